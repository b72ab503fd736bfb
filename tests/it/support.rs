//! What integration tests stand on: the executable, a site with real servers, fake programs, canaries, snapshots of trees.
#![allow(
    dead_code,
    reason = "a set of tools; not every one is in use at every time"
)]

pub mod bin;
pub mod canary;
pub mod fakebin;
pub mod faults;
pub mod laws;
pub mod mounts;
pub mod pg;
pub mod source;
pub mod tree;
