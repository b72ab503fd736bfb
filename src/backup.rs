//! Backups, whatever tool takes them: what there is to know of them, and what a tool must be able to do.

pub mod age;
pub mod recovery;
pub mod schedule;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::recovery::Recovery;
use crate::host::{Look, Server};
use crate::pg::version::Major;
use crate::plan::Step;

/// How much of a cluster a backup copies.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Kind {
    /// What has changed since the last backup of any kind.
    #[default]
    Incr,
    /// What has changed since the last full backup.
    Diff,
    /// Everything.
    Full,
}

impl Kind {
    /// The one that copies most first.
    pub const ALL: [Self; 3] = [Self::Full, Self::Diff, Self::Incr];

    pub fn name(self) -> &'static str {
        match self {
            Self::Incr => "incr",
            Self::Diff => "diff",
            Self::Full => "full",
        }
    }
}

/// A backup in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    pub label: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Major version of its server.
    pub version: String,
    /// When it was begun and ended, in UTC.
    pub date_start: Timestamp,
    pub date_stop: Timestamp,
    /// Bytes of the cluster.
    pub size: u64,
    /// Bytes that it takes up in the repository, with what it shares with others; none where the tool does not tell.
    pub repo_size: Option<u64>,
    /// The databases in it, where the tool tells.
    pub databases: Option<Vec<String>>,
    /// The first and the last WAL file that it needs.
    pub wal_start: Option<String>,
    pub wal_stop: Option<String>,
    pub lsn_start: Option<String>,
    pub lsn_stop: Option<String>,
    /// The backup that it builds upon.
    pub prior: Option<String>,
    /// The repository has pages in it whose checksums are wrong.
    pub error: bool,
    /// Number of the repository, where there are several.
    pub repository: u16,
    /// The cluster that it is of; a string, since it has more digits than numbers of JSON may have.
    #[serde(serialize_with = "as_text")]
    pub system_identifier: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn as_text<S: serde::Serializer>(identifier: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(identifier)
}

/// What is in the repositories for one stanza, newest backup first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    pub backups: Vec<Backup>,
    /// The clusters that it knows, the present one last.
    pub clusters: Vec<u64>,
    /// Archived WAL, by cluster.
    pub archives: Vec<Archive>,
    /// Something takes a backup now.
    pub busy: bool,
    /// What is wrong with it, in the tool's words.
    pub problems: Vec<String>,
}

/// Archived WAL of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Archive {
    #[serde(serialize_with = "as_text")]
    pub system_identifier: u64,
    pub repository: u16,
    pub wal_min: Option<String>,
    pub wal_max: Option<String>,
}

impl Catalogue {
    /// The cluster that the stanza is of by now.
    pub fn cluster(&self) -> Option<u64> {
        self.clusters.last().copied()
    }

    /// Nothing in it that anybody would miss.
    pub fn is_empty(&self) -> bool {
        self.backups.is_empty()
            && self
                .archives
                .iter()
                .all(|archive| archive.wal_max.is_none())
    }

    /// The newest sound backup of a cluster that is at least of this kind.
    pub fn newest(&self, cluster: u64, kind: Kind) -> Option<&Backup> {
        self.sound(cluster, kind).next()
    }

    fn sound(&self, cluster: u64, kind: Kind) -> impl Iterator<Item = &Backup> {
        self.backups.iter().filter(move |backup| {
            backup.system_identifier == cluster && backup.kind >= kind && !backup.error
        })
    }
}

/// How archiving stands in a server (`pg_stat_archiver`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Archiver {
    #[serde(skip_serializing)]
    pub in_recovery: bool,
    pub archive_mode: String,
    pub archived_count: u64,
    pub last_archived_wal: Option<String>,
    pub last_archived_time: Option<String>,
    pub failed_count: u64,
    pub last_failed_wal: Option<String>,
    pub last_failed_time: Option<String>,
    /// The last attempt failed.
    pub failing: bool,
    /// How many WAL files wait.
    pub queue: u64,
}

impl Archiver {
    /// What is to be said of it; none when all is well.
    pub fn complaint(&self, instance: &impl std::fmt::Display) -> Option<String> {
        self.failing.then(|| {
            format!(
                "WAL of instance `{instance}` is not archived: `{}` failed at {}, {} files wait; \
                 the server's log says why, and the server goes on until its disk is full",
                self.last_failed_wal.as_deref().unwrap_or("?"),
                self.last_failed_time.as_deref().unwrap_or("?"),
                self.queue
            )
        })
    }
}

/// A tablespace in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tablespace {
    pub oid: u64,
    pub name: String,
    /// Its location when the backup was taken.
    pub location: Utf8PathBuf,
}

/// Where the data of a backup are put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    /// The directory into which they are restored.
    pub directory: &'a Utf8Path,
    /// Where that will be when the server is started: what fetches WAL then is told of it.
    pub datadir: &'a Utf8Path,
    /// The directory of the WAL, where it is not below the data directory.
    pub waldir: Option<&'a Utf8Path>,
    /// Below which the tablespaces go; none: where they were.
    pub tablespaces: Option<Utf8PathBuf>,
    /// Where single ones go, by their numbers.
    pub mapped: Vec<(u64, Utf8PathBuf)>,
    /// Files that are there and right are kept.
    pub delta: bool,
    /// The server is not to archive: it is a copy.
    pub silent: bool,
}

/// What retention would take away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expired {
    /// Labels of backups, newest first.
    pub backups: Vec<String>,
    /// The first and the last WAL file of each range.
    pub wal: Vec<(String, String)>,
}

/// What came of reading a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub sound: bool,
    /// In the tool's words.
    pub report: String,
}

/// What keeps a repository from giving a backup back, as far as the tool's words tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A file is not what was put there, or is gone.
    Damaged,
    /// It is encrypted with another key than the one that is configured, or one of both has none.
    Key,
}

/// What takes backups of an instance and gives them back.
pub trait BackupTool {
    /// As people call it: `pgBackRest`.
    fn name(&self) -> &'static str;

    /// Under what name the backups of the instance are kept.
    fn stanza(&self) -> &str;

    /// What there is.
    fn catalogue(&self, look: &dyn Look) -> Result<Catalogue>;

    /// The same, with the databases of each backup.
    fn in_full(&self, look: &dyn Look) -> Result<Catalogue> {
        self.catalogue(look)
    }

    /// The tablespaces in a backup.
    fn tablespaces(&self, _: &dyn Look, _label: &str) -> Result<Vec<Tablespace>> {
        Ok(Vec::new())
    }

    /// What must be mended before a backup can be taken here.
    fn missing(&self, _: &dyn Look) -> Result<Option<anyhow::Error>> {
        Ok(None)
    }

    /// Why a command on the repository is not run on this host, but on another.
    fn elsewhere(&self, _command: &str) -> Option<anyhow::Error> {
        None
    }

    /// What it says of its version; none where it does not tell.
    fn version(&self, _: &dyn Look) -> Result<Option<String>> {
        Ok(None)
    }

    /// What the words mean with which it, or a server that calls it, failed.
    fn trouble(&self, _: &str) -> Option<Trouble> {
        None
    }

    /// Why it takes none from a standby of this major.
    fn not_from_a_standby(&self, _: Major) -> Option<anyhow::Error> {
        None
    }

    /// Takes a backup of the server, which runs.
    fn take(&self, kind: Kind, server: &Server, standby: bool) -> Vec<Step>;

    /// Puts the data of a backup somewhere, made ready for a recovery.
    fn restore(&self, label: &str, place: &Place, recovery: &Recovery) -> Vec<Step>;

    /// A file that is there for as long as a backup is taken, or longer.
    fn lock(&self) -> Option<Utf8PathBuf> {
        None
    }

    /// What is beyond retention.
    fn expired(&self, look: &dyn Look) -> Result<Expired>;

    /// Takes it away.
    fn expire(&self) -> Vec<Step>;

    /// Asks the server, which runs, and the repository whether WAL arrives.
    fn check(&self) -> Vec<Step>;

    /// Reads everything in the repository, and compares it with its checksums.
    fn verify(&self, look: &dyn Look) -> Result<Verdict>;
}
