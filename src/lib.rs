//! The user states what should be; `observe` reads what is; `plan`, a pure function, says what must
//! change; `apply` carries the plan out. Everything we report is read off the plan.

pub mod fault;
pub mod input;
pub mod nearest;
pub mod pg;
pub mod secret;
pub mod settings;
