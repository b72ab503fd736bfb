//! Section `pgbackrest` of the site settings.

mod check;
mod global;
mod repository;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::path::{Absolute, Etc, Log, Run, Srv};

pub use self::global::{Entry, EntryValue};
pub use self::repository::{Certificate, HostSsh, HostTls, PathRepository, Repository, Retention};

/// Backups by pgBackRest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PgBackRest {
    /// The program `pgbackrest`.
    #[serde(default = "execpath")]
    #[schemars(with = "Absolute")]
    pub execpath: Utf8PathBuf,

    /// Directory of the configuration.
    #[serde(default = "configpath")]
    #[schemars(with = "Etc")]
    pub configpath: Utf8PathBuf,

    /// Where backups go: pgBackRest's `repo1`.
    pub repository: Repository,

    /// Where backups go as well: pgBackRest's `repo2` and so on. WAL is archived to all of them.
    #[serde(default)]
    pub more_repositories: Vec<Repository>,

    /// More options of pgBackRest by their own names, for every command: `process-max: 4`, `repo1-bundle: true`.
    #[serde(default)]
    pub options: BTreeMap<String, Word>,

    /// When backups are taken by themselves, where this host takes them and systemd is the `scheduler`. Unset: incremental
    /// ones, `daily`.
    #[serde(default)]
    pub schedule: Option<Schedule>,

    /// Directory of the logs.
    #[serde(default = "configpath")]
    #[schemars(with = "Log")]
    pub logpath: Utf8PathBuf,

    /// Directory for WAL on its way.
    #[serde(default = "spoolpath")]
    #[schemars(with = "Srv")]
    pub spoolpath: Utf8PathBuf,

    /// Directory of the locks.
    #[serde(default = "lockpath")]
    #[schemars(with = "Run")]
    pub lockpath: Utf8PathBuf,
}

fn execpath() -> Utf8PathBuf {
    "/usr/bin/pgbackrest".into()
}

fn configpath() -> Utf8PathBuf {
    "pgbackrest".into()
}

fn spoolpath() -> Utf8PathBuf {
    "pgbackrest/spool".into()
}

fn lockpath() -> Utf8PathBuf {
    "pgbackrest/lock".into()
}

/// The value of an option of pgBackRest's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "neither a boolean, an integer, a string nor a list of strings"
)]
#[schemars(inline)]
pub enum Word {
    Bool(bool),
    Integer(i64),
    Text(String),
    /// For options that may be there several times.
    List(Vec<String>),
}

impl PgBackRest {
    /// Every repository with its number, by which pgBackRest knows it.
    pub fn repositories(&self) -> impl Iterator<Item = (usize, &Repository)> {
        (1..).zip(std::iter::once(&self.repository).chain(&self.more_repositories))
    }

    /// The repositories on other hosts that are reached over TLS; all of them agree on what this host's server is.
    pub fn over_tls(&self) -> impl Iterator<Item = &HostTls> {
        self.repositories()
            .filter_map(|(_, repository)| match repository {
                Repository::HostTls(host) => Some(host),
                _ => None,
            })
    }
}

/// Where a repository stands in the settings.
fn place(number: usize) -> String {
    match number.checked_sub(2) {
        None => "pgbackrest.repository".to_owned(),
        Some(index) => format!("pgbackrest.more_repositories[{index}]"),
    }
}

/// Times of backups, by type, as systemd writes them: `daily`, `Sun 02:00`. Each is put off by up to an hour, always the same
/// for an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Schedule {
    /// Full backups.
    pub full: Option<String>,

    /// What has changed since the last full one.
    pub diff: Option<String>,

    /// What has changed since the last one.
    pub incr: Option<String>,
}
