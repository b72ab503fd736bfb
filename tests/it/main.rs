//! All integration tests, in one binary.
#![allow(
    clippy::disallowed_methods,
    reason = "tests play the part of the operator: they write files and start programs"
)]

mod layers;
mod support;
mod tidy;
