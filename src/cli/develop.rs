//! What is made from the types: schemas. (The sources of the Ansible modules are made by `make shims`.)

use clap::Args;

use super::{Ended, show};
use crate::door::exit;
use crate::generate;

#[derive(Args)]
pub struct Schema {
    /// What to describe: `instance`, `role`, `database` …
    kind: String,
}

impl Schema {
    pub fn run(&self) -> Result<u8, Ended> {
        schema(&self.kind)
    }
}

/// Prints the schema of a kind.
pub fn schema(kind: &str) -> Result<u8, Ended> {
    show::json(&generate::schema(kind)?)?;
    Ok(exit::DONE)
}
