//! What is made from the types: schemas, and the sources of the Ansible modules.

use clap::{Args, Subcommand};

use super::{Ended, incomplete, show};
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

#[derive(Args)]
pub struct Command {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// The source of the Ansible module of a kind.
    Shim { kind: String },
}

impl Command {
    pub fn run(&self) -> Result<u8, Ended> {
        match &self.verb {
            Some(Verb::Shim { kind }) => {
                show::print(&generate::shim(kind)?)?;
                Ok(exit::DONE)
            }
            None => Ok(incomplete(&["dev"])),
        }
    }
}
