//! The human door: arguments, confirmations, tables. It decides nothing.

pub mod log;
pub mod options;

use std::ffi::OsString;
use std::io::Write as _;

use clap::{Parser, Subcommand};

use crate::ansible;
use crate::door::{Process, exit};
use crate::host::root;

/// Creates, configures, runs and watches PostgreSQL instances, their roles and databases.
#[derive(Parser)]
#[command(name = "pgsocle", disable_version_flag = true)]
struct Arguments {
    /// Print the version and the protocol that the Ansible collection speaks with it.
    #[arg(long)]
    version: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Answer one JSON request of the Ansible collection.
    #[command(hide = true)]
    Ansible { kind: String },
    #[command(hide = true, name = root::ARGUMENT)]
    RootHelper { bases: Vec<String> },
}

/// Runs the program; gives its exit code.
pub fn run(arguments: impl Iterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                exit::USAGE
            } else {
                exit::DONE
            };
        }
    };
    if arguments.version {
        let _ = writeln!(
            std::io::stdout(),
            "pgsocle {} (protocol {})",
            env!("CARGO_PKG_VERSION"),
            ansible::PROTOCOL
        );
        return exit::DONE;
    }
    match arguments.command {
        Some(Command::Ansible { kind }) => ansible::serve(
            &kind,
            &Process::read(),
            std::io::stdin().lock(),
            std::io::stdout().lock(),
        ),
        Some(Command::RootHelper { bases }) => {
            let served = root::serve(&bases, std::io::stdin().lock(), std::io::stdout().lock());
            if served.is_ok() {
                exit::DONE
            } else {
                exit::FAULT
            }
        }
        None => exit::USAGE,
    }
}
