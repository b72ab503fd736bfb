//! Backups, whatever tool takes them: what there is to know of them, and what a tool must be able to do.

pub mod age;
pub mod recovery;
pub mod schedule;
pub mod timeline;

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::recovery::Recovery;
use self::timeline::Timelines;
use crate::host::{Look, Server};
use crate::pg::version::Major;
use crate::plan::Step;
use crate::stage::AnyStage;

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

/// What takes the backups of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Method {
    /// pgBackRest.
    PgBackRest,
    /// PostgreSQL's own programs.
    BaseBackup,
}

impl Method {
    /// As settings and manifests call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PgBackRest => "pgbackrest",
            Self::BaseBackup => "basebackup",
        }
    }

    /// As people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::PgBackRest => "pgBackRest",
            Self::BaseBackup => "pg_basebackup",
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
    /// It is of no use: it has pages whose checksums are wrong, or what it builds upon is gone.
    pub error: bool,
    /// Number of the repository, where there are several.
    pub repository: u16,
    /// The cluster that it is of; a string, since it has more digits than numbers of JSON may have.
    #[serde(serialize_with = "as_text")]
    pub system_identifier: u64,
    /// Its tablespaces, where the list of all backups has them.
    #[serde(skip)]
    pub tablespaces: Vec<Tablespace>,
}

/// A tablespace of a cluster, or in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tablespace {
    /// Its number, which is the name of its link in `pg_tblspc`.
    pub oid: u64,
    /// As people call it; its number, where that is not known.
    pub name: String,
    /// Where it lies, or lay when the backup was taken.
    pub location: Utf8PathBuf,
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
    /// Backups of which nothing is known, by label: why, and what to do. Nothing is made of them, and they are not deleted.
    pub unreadable: BTreeMap<String, String>,
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
            && self.unreadable.is_empty()
            && self
                .archives
                .iter()
                .all(|archive| archive.wal_max.is_none())
    }

    /// A backup with all that it builds upon, the full one first.
    pub fn chain<'a>(&'a self, backup: &'a Backup) -> Vec<&'a Backup> {
        let mut chain = vec![backup];
        while let Some(prior) = &chain[0].prior
            && let Some(found) = self.backups.iter().find(|known| known.label == *prior)
            && !chain.contains(&found)
        {
            chain.insert(0, found);
        }
        chain
    }

    /// All that is to be said of it.
    pub fn complaints(&self) -> impl Iterator<Item = &String> {
        self.problems.iter().chain(self.unreadable.values())
    }

    /// Whether all that a backup builds upon is there.
    pub fn is_whole(&self, backup: &Backup) -> bool {
        self.chain(backup)[0].kind == Kind::Full
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
    /// WAL does not arrive, or is not even sent.
    pub fn is_failing(&self) -> bool {
        self.failing || self.archive_mode == "off"
    }

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

/// The cluster of which a backup is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub version: Major,
    /// Its identifier; none where its control file cannot be read.
    pub cluster: Option<u64>,
    pub timelines: Timelines,
    pub standby: bool,
    pub tablespaces: Vec<Tablespace>,
    /// The place in the WAL since which the server knows what has changed ([`BackupTool::known_since`]).
    pub known_since: Option<u64>,
}

impl Source {
    /// Whether a backup is a sound one of this cluster, and of its past.
    pub fn comes_from(&self, backup: &Backup) -> bool {
        self.cluster == Some(backup.system_identifier)
            && !backup.error
            && self.timelines.lead_from(backup)
    }
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
    /// What is to be removed for it, in this order, where that is ours to do.
    pub files: Vec<Utf8PathBuf>,
    /// Why something stays.
    pub kept: Vec<String>,
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
    fn method(&self) -> Method;

    /// As people call it: `pgBackRest`.
    fn name(&self) -> &'static str {
        self.method().title()
    }

    /// Under what name the backups of the instance are kept.
    fn stanza(&self) -> &str;

    /// What there is.
    fn catalogue(&self, look: &dyn Look) -> Result<Catalogue>;

    /// The same, an error when it is not told within seconds.
    fn glance(&self, look: &dyn Look) -> Result<Catalogue> {
        self.catalogue(look)
    }

    /// The same, with the databases of each backup.
    fn in_full(&self, look: &dyn Look) -> Result<Catalogue> {
        self.catalogue(look)
    }

    /// The tablespaces in a backup.
    fn tablespaces(&self, _: &dyn Look, backup: &Backup) -> Result<Vec<Tablespace>> {
        Ok(backup.tablespaces.clone())
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

    /// Whether a WAL file is in the archive for certain: as a file that is not looked into.
    fn has_wal(&self, _: &dyn Look, _name: &str) -> Result<bool> {
        Ok(false)
    }

    /// The timelines of a cluster, up to this one or the newest, as its archive tells; none where it does not.
    fn timelines(
        &self,
        _: &dyn Look,
        _cluster: u64,
        _wanted: Option<u32>,
    ) -> Result<Option<Timelines>> {
        Ok(None)
    }

    /// The first WAL file behind a backup that is missing from the archive while later ones are there, along the timeline that is
    /// recovered; none where all are there, or where that is not told at a glance.
    fn gap(&self, _: &dyn Look, _: &Backup, _: &Recovery) -> Result<Option<String>> {
        Ok(None)
    }

    /// What the words mean with which it, or a server that calls it, failed.
    fn trouble(&self, _: &str) -> Option<Trouble> {
        None
    }

    /// What is taken when this is asked for, or nothing in particular.
    fn kind(&self, asked: Option<Kind>, _: &Source, _: &Catalogue) -> Result<Kind> {
        Ok(asked.unwrap_or_default())
    }

    /// The place in the WAL at which a backup must begin for another one to build upon it; none: any will do.
    fn known_since(&self, _: &dyn Look, _: Major, _: &Server) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Why it takes none from a standby of this major.
    fn not_from_a_standby(&self, _: Major) -> Option<anyhow::Error> {
        None
    }

    /// Takes a backup of the server, which runs.
    fn take(&self, kind: Kind, server: &Server, source: &Source, known: &Catalogue) -> Vec<Step>;

    /// What makes a backup of what was taken by the change of this object, where that wants a second look; retention is then
    /// for us to see to as well.
    fn keep(&self, _object: &str) -> Option<Box<dyn AnyStage>> {
        None
    }

    /// Puts the data of a backup somewhere, made ready for a recovery.
    fn restore(
        &self,
        backup: &Backup,
        known: &Catalogue,
        place: &Place,
        recovery: &Recovery,
    ) -> Result<Vec<Step>>;

    /// Whether it can restore over what is there, file by file ([`Place::delta`]).
    fn overwrites(&self) -> bool {
        true
    }

    /// Whether another run takes a backup, as far as that can be asked often.
    fn is_taking(&self, _: &dyn Look) -> Result<bool> {
        Ok(false)
    }

    /// What runs that change the repository lock, one after the other; none: it sees to that itself.
    fn lock(&self) -> Option<Utf8PathBuf> {
        None
    }

    /// What is beyond retention.
    fn expired(&self, look: &dyn Look) -> Result<Expired>;

    /// Takes it away.
    fn expire(&self, expired: &Expired) -> Vec<Step>;

    /// Asks the server, which runs, and the repository whether WAL arrives.
    fn check(&self, server: &Server) -> Vec<Step>;

    /// Reads everything in the repository, and compares it with its checksums.
    fn verify(&self, look: &dyn Look) -> Result<Verdict>;
}

/// A full one, for tests to vary.
#[cfg(test)]
pub fn sample(label: &str) -> Backup {
    Backup {
        label: label.into(),
        kind: Kind::Full,
        version: "17".into(),
        date_start: Timestamp::UNIX_EPOCH,
        date_stop: Timestamp::UNIX_EPOCH,
        size: 1,
        repo_size: None,
        databases: None,
        wal_start: None,
        wal_stop: None,
        lsn_start: None,
        lsn_stop: None,
        prior: None,
        error: false,
        repository: 1,
        system_identifier: 7,
        tablespaces: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup(label: &str, kind: Kind, prior: Option<&str>) -> Backup {
        Backup {
            kind,
            prior: prior.map(str::to_owned),
            ..sample(label)
        }
    }

    #[test]
    fn what_a_cluster_comes_from() {
        let history = Timelines::parse("00000002.history", b"1\t0/5000000\tx\n").unwrap();
        let source = Source {
            version: Major::new(17),
            cluster: Some(7),
            timelines: history,
            standby: false,
            tablespaces: Vec::new(),
            known_since: None,
        };
        let stopped = |wal: &str, lsn: &str| Backup {
            wal_stop: Some(wal.into()),
            lsn_stop: Some(lsn.into()),
            ..backup("x", Kind::Full, None)
        };
        let before = stopped("000000010000000000000004", "0/4000120");
        for (found, wanted) in [
            (before.clone(), true),
            (stopped("000000010000000000000006", "0/6000120"), false),
            (stopped("000000020000000000000006", "0/6000120"), true),
            (backup("x", Kind::Full, None), true),
            (
                Backup {
                    error: true,
                    ..before.clone()
                },
                false,
            ),
            (
                Backup {
                    system_identifier: 8,
                    ..before
                },
                false,
            ),
        ] {
            assert_eq!(source.comes_from(&found), wanted, "{found:?}");
        }
    }

    #[test]
    fn what_a_backup_builds_upon() {
        let catalogue = Catalogue {
            backups: vec![
                backup("incr", Kind::Incr, Some("diff")),
                backup("diff", Kind::Diff, Some("full")),
                backup("lost", Kind::Incr, Some("gone")),
                backup("round", Kind::Incr, Some("round")),
                backup("full", Kind::Full, None),
            ],
            ..Catalogue::default()
        };
        let chain = |place: usize| {
            let backup = &catalogue.backups[place];
            let chain = catalogue.chain(backup).into_iter();
            let labels: Vec<&str> = chain.map(|own| &*own.label).collect();
            (labels.join(" "), catalogue.is_whole(backup))
        };
        for (place, labels, whole) in [
            (0, "full diff incr", true),
            (1, "full diff", true),
            (2, "lost", false),
            (3, "round", false),
            (4, "full", true),
        ] {
            assert_eq!(chain(place), (labels.to_owned(), whole));
        }
    }
}
