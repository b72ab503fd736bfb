//! All integration tests, in one binary.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests play the part of the operator: they write files, start programs, and panic when these fail"
)]

mod layers;
mod support;
mod tidy;
