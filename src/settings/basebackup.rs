//! Section `basebackup` of the site settings.

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Schedule;
use super::check::wrong;
use super::path::Srv;
use crate::input::Wrong;

/// Backups by PostgreSQL's own programs: `pg_basebackup`, `pg_verifybackup`, and from PostgreSQL 17 on `pg_combinebackup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaseBackup {
    /// Where backups and archived WAL go: a directory for each stanza below it. It is to lie on another disk than the data.
    #[serde(default = "directory")]
    #[schemars(with = "Srv")]
    pub directory: Utf8PathBuf,

    /// How WAL comes there: `archive`, by `archive_command`.
    #[serde(default)]
    pub wal: Wal,

    /// How much is kept.
    #[serde(default)]
    pub retention: FullRetention,

    /// When backups are taken by themselves, where systemd is the `scheduler`. Unset: incremental ones, `daily`; full ones
    /// before PostgreSQL 17, which has no others. There what is said of others holds for full ones where nothing is said of them.
    #[serde(default)]
    pub schedule: Option<Schedule>,
}

fn directory() -> Utf8PathBuf {
    "basebackup".into()
}

/// How WAL is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Wal {
    /// The server copies each file when it is complete.
    #[default]
    Archive,
}

/// How many backups are kept. What they need is kept with them: the WAL since the oldest one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct FullRetention {
    /// Number of full backups, each with the others that build upon it.
    pub full: u32,
}

impl Default for FullRetention {
    fn default() -> Self {
        Self { full: 2 }
    }
}

impl BaseBackup {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        if self.retention.full == 0 {
            return wrong(
                "basebackup.retention.full",
                "is 0",
                "at least one is kept: give 1 or more",
            );
        }
        // `pg_verifybackup` hands it to a shell in double quotes (`parse_required_wal`).
        if self.directory.as_str().contains(['"', '$', '`', '\\']) {
            return wrong(
                "basebackup.directory",
                "holds a character that means something in double quotes to a shell",
                "`pg_verifybackup` cannot read backups there: choose another name",
            );
        }
        Ok(())
    }
}
