//! All integration tests, in one binary.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests play the part of the operator: they write files, start programs, and panic when these fail"
)]

mod adoption;
mod alter;
mod authentication;
mod backup;
mod basebackup;
mod bench;
mod busy;
mod bytes;
mod cli;
mod companion;
mod condition;
mod configuration;
mod crash;
mod database;
mod dump;
mod hold;
mod hostile;
mod instance;
mod interruption;
mod layers;
mod leftovers;
mod locks;
mod naming;
mod object_store;
mod patience;
mod pgconf;
mod pglift;
mod proof;
mod protection;
mod protocol;
mod refusals;
mod repositories;
mod restore;
mod role;
mod room;
mod schedule;
mod secrets;
mod service;
mod settings;
mod standby;
mod support;
mod tablespace;
mod tidy;
mod upkeep;
