//! The human door: arguments, confirmations, tables. It decides nothing.

mod authentication;
mod backup;
mod change;
mod completion;
mod database;
mod deferred;
mod develop;
mod dump;
mod ended;
mod given;
mod history;
mod instance;
pub mod log;
mod manifest;
mod manual;
mod object;
pub mod options;
mod pgconf;
mod prompt;
mod proof;
mod restore;
mod role;
mod service;
mod show;
mod site;
mod tablespace;

use std::ffi::OsString;

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::deferred::Deferred;
use self::ended::Ended;
use crate::ansible;
use crate::door::{Process, Session, exit};
use crate::host::{editor, process, root, terminal};

/// Options of every command come behind its own.
const EVERYWHERE: &str = "Options of every command";

/// Creates, configures, runs and watches PostgreSQL instances, their roles and databases.
#[derive(Parser)]
#[command(name = "pgsocle", disable_version_flag = true)]
struct Arguments {
    /// How much is logged; warnings unless given here or in the site settings.
    #[arg(
        short = 'L',
        long,
        global = true,
        value_name = "LEVEL",
        ignore_case = true,
        help_heading = EVERYWHERE
    )]
    log_level: Option<log::Level>,
    /// Append the log to this file instead of writing it to stderr.
    #[arg(
        short = 'l',
        long,
        global = true,
        value_name = "FILE",
        help_heading = EVERYWHERE
    )]
    log_file: Option<Utf8PathBuf>,
    /// Log everything: `--log-level debug`.
    #[arg(long, global = true, hide = true)]
    debug: bool,
    /// Ask for confirmations (the default).
    #[arg(
        long,
        global = true,
        overrides_with = "non_interactive",
        help_heading = EVERYWHERE
    )]
    interactive: bool,
    /// Ask nothing: every question has its default answer.
    #[arg(
        long,
        global = true,
        overrides_with = "interactive",
        help_heading = EVERYWHERE
    )]
    non_interactive: bool,
    /// Print the version and the protocol that the Ansible collection speaks with it.
    #[arg(long)]
    version: bool,
    /// Print the completion script of a shell: `completion`.
    #[arg(long, value_name = "SHELL", hide = true)]
    completion: Option<completion::Shell>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Instances: make, change, run and drop them.
    Instance(Deferred<instance::Command>),
    /// Roles of an instance.
    Role(Deferred<role::Command>),
    /// Databases of an instance.
    Database(Deferred<database::Command>),
    /// Tablespaces of an instance.
    Tablespace(Deferred<tablespace::Command>),
    /// Parameters of postgresql.conf of an instance.
    Pgconf(pgconf::Command),
    /// Who may connect to an instance, and how: records of `pg_hba.conf`.
    Pghba(Deferred<authentication::Pghba>),
    /// As whom users of the host may connect: mappings of `pg_ident.conf`.
    Pgident(Deferred<authentication::Pgident>),
    /// Who changed what, when, and how it ended.
    History(history::Command),
    /// Become the server of an instance.
    #[command(hide = true)]
    Postgres(service::Postgres),
    /// The settings of the site.
    SiteSettings(site::Settings),
    /// The directories, units and files that instances need on the host.
    SiteConfigure(site::Configure),
    /// The JSON schema of what can be declared.
    Schema(develop::Schema),
    /// Print the completion script of a shell.
    Completion(completion::Completion),
    /// What the scripts of completion and the packagers ask for.
    #[command(hide = true)]
    Dev(develop::Command),
    /// Answer one JSON request of the Ansible collection.
    #[command(hide = true)]
    Ansible { kind: String },
    #[command(hide = true, name = root::ARGUMENT)]
    RootHelper { bases: Vec<String> },
}

/// What the command line says for all commands, and what the process was given.
pub struct Call {
    process: Process,
    interactive: bool,
    level: Option<log::Level>,
}

impl Call {
    /// Opens a session; the site settings may say how much is logged.
    fn open(&self, check: bool) -> Result<Session> {
        let session = Session::open(&self.process, check)?;
        log::level(
            self.level
                .or_else(|| Some(session.site.settings.cli.log_level?.into())),
        );
        Ok(session)
    }

    /// What is done is told as it is done, where somebody sits at a terminal and has not said how much to tell.
    fn show_progress(&self) {
        if self.level.is_none() && terminal::watched() {
            log::level(Some(log::Level::Info));
        }
    }

    /// Has the caller edit a copy of a file.
    fn edit(&self, session: &Session, name: &str, content: &[u8]) -> Result<editor::Copy> {
        let program = ["VISUAL", "EDITOR"]
            .iter()
            .filter_map(|name| self.process.get(name))
            .find(|program| !program.trim().is_empty());
        let environment = &self.process.environment;
        let program = program.unwrap_or("vi");
        editor::edit(&session.local, program, environment, name, content)
    }

    /// Opens a session that only looks.
    fn look(&self) -> Result<Session> {
        let session = self.open(false)?;
        show::say(
            session
                .warnings
                .iter()
                .map(|warning| format!("warning: {warning}")),
        );
        Ok(session)
    }
}

/// Runs the program; gives its exit code. A panic, which is a bug, ends in a message like any other error.
pub fn run(arguments: impl Iterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.collect();
    let json = arguments.get(1).is_some_and(|first| first == "ansible");
    ended::tell_panics(json);
    serve(arguments)
}

fn serve(arguments: Vec<OsString>) -> u8 {
    let parsed = Arguments::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| {
            let json = wants_json(&matches);
            Ok((Arguments::from_arg_matches(&matches)?, json))
        });
    let (arguments, json) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return refused(&error),
    };
    if arguments.version {
        let version = env!("CARGO_PKG_VERSION");
        let protocol = ansible::PROTOCOL;
        let _ = show::print(&format!("pgsocle {version} (protocol {protocol})\n"));
        return exit::DONE;
    }
    let ended = match arguments.completion {
        Some(shell) => completion::script(shell),
        None => called(arguments),
    };
    match ended {
        Ok(code) => code,
        Err(ended) => {
            ended.tell();
            if json {
                let _ = show::json(&ended.json());
            }
            ended.code
        }
    }
}

/// Whether the command is to answer in JSON, also when it fails.
fn wants_json(matches: &ArgMatches) -> bool {
    let below = matches.subcommand().map(|(_, below)| below);
    matches!(matches.try_contains_id(change::OUTPUT), Ok(true)) || below.is_some_and(wants_json)
}

fn called(arguments: Arguments) -> Result<u8, Ended> {
    let file = arguments.log_file.as_deref().map(process::append);
    log::start(file.transpose()?);
    let level = if arguments.debug {
        Some(log::Level::Debug)
    } else {
        arguments.log_level
    };
    log::level(level);
    let call = Call {
        process: Process::read(),
        interactive: !arguments.non_interactive,
        level,
    };
    match arguments.command {
        Some(Command::Instance(command)) => command.called.run(&call),
        Some(Command::Role(command)) => command.called.run(&call),
        Some(Command::Database(command)) => command.called.run(&call),
        Some(Command::Tablespace(command)) => command.called.run(&call),
        Some(Command::Pgconf(command)) => command.run(&call),
        Some(Command::Pghba(command)) => command.called.run(&call),
        Some(Command::Pgident(command)) => command.called.run(&call),
        Some(Command::History(command)) => command.run(&call),
        Some(Command::Postgres(command)) => command.run(&call),
        Some(Command::SiteSettings(command)) => command.run(&call),
        Some(Command::SiteConfigure(command)) => command.run(&call),
        Some(Command::Schema(command)) => command.run(),
        Some(Command::Dev(command)) => command.run(&call),
        Some(Command::Completion(completion)) => completion.run(),
        Some(Command::Ansible { kind }) => Ok(ansible::serve(
            &kind,
            &call.process,
            std::io::stdin().lock(),
            std::io::stdout().lock(),
        )),
        Some(Command::RootHelper { bases }) => {
            root::serve(&bases, std::io::stdin().lock(), std::io::stdout().lock())?;
            Ok(exit::DONE)
        }
        None => Ok(incomplete(&[])),
    }
}

/// The arguments are wrong, or help was asked for.
fn refused(error: &clap::Error) -> u8 {
    let _ = error.print();
    if error.use_stderr() {
        exit::USAGE
    } else {
        exit::DONE
    }
}

/// The whole command line, with what all commands have in common in each of them.
fn built() -> clap::Command {
    let mut command = Arguments::command();
    command.build();
    command
}

/// A group of commands was named, but none of them.
fn incomplete(path: &[&str]) -> u8 {
    let mut command = built();
    let mut group = &mut command;
    for name in path {
        match group.find_subcommand_mut(name) {
            Some(found) => group = found,
            None => return exit::USAGE,
        }
    }
    refused(&group.error(ErrorKind::MissingSubcommand, "a command is missing"))
}

#[cfg(test)]
mod tests;
