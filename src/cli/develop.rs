//! What is made from the types: schemas. (The sources of the Ansible modules are made by `make shims`.)

use clap::{Args, Subcommand};

use super::{Call, Ended, built, completion, incomplete, manual, show};
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
    /// What may come in place of the last word of a command line.
    Complete {
        #[arg(last = true)]
        words: Vec<String>,
    },
    /// The manual page.
    Manual,
}

impl Command {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        match &self.verb {
            Some(Verb::Complete { words }) => completion::complete(call, &built(), words),
            Some(Verb::Manual) => {
                show::print(&manual::page(&built()))?;
                Ok(exit::DONE)
            }
            None => Ok(incomplete(&["dev"])),
        }
    }
}
