//! The user states what should be; `observe` reads what is; `plan`, a pure function, says what must
//! change; `apply` carries the plan out. Everything we report is read off the plan.
//!
//! Read in this order: [`engine`], [`plan`], [`stage`], [`resource::role`], [`host`]. Ten minutes.
//!
//! Layers, each using only those below (kept by `tests/it/layers.rs`): the doors [`cli`] and [`ansible`],
//! with [`door`] between them and the rest; [`engine`]; [`resource`] and [`facts`]; the traits and types of [`host`];
//! and what is pure: [`plan`], [`stage`], [`manager`], [`manifest`], [`settings`], [`pg`], [`secret`], [`fault`].
//! Only the modules inside [`host`] touch the machine.

pub mod ansible;
pub mod backup;
pub mod cli;
pub mod component;
pub mod door;
pub mod engine;
pub mod facts;
pub mod fault;
pub mod generate;
pub mod host;
pub mod input;
pub mod journal;
pub mod manager;
pub mod manifest;
pub mod nearest;
pub mod pg;
pub mod plan;
pub mod resource;
pub mod schema;
pub mod secret;
pub mod settings;
pub mod stage;
