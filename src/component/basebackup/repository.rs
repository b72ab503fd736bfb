//! What lies where, for a stanza:
//!
//! | | |
//! |---|---|
//! | `stanza.json` | the clusters that it is, or was, of |
//! | `lock` | held by whoever changes something |
//! | `backups/LABEL/` | a backup: `backup.json`, what there is to know of it; `data`, as `pg_basebackup` wrote it; `tablespaces` |
//! | `backups/new.partial/` | one that is being taken |
//! | `wal/1/` | archived WAL of the first of the clusters |
//!
//! A directory without `backup.json` is no backup: it is written last, and removed first.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backup::{Archive, Backup, Catalogue, Kind, Tablespace};
use crate::host::Look;
use crate::pg::version::Major;
use crate::pg::wal;
use crate::{bail_fault, fault};

/// A backup that is being taken.
pub const PARTIAL: &str = "new.partial";

/// The directory of a stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    pub root: Utf8PathBuf,
}

impl Repository {
    pub fn stanza(&self) -> Utf8PathBuf {
        self.root.join("stanza.json")
    }

    pub fn lock(&self) -> Utf8PathBuf {
        self.root.join("lock")
    }

    pub fn backups(&self) -> Utf8PathBuf {
        self.root.join("backups")
    }

    pub fn backup(&self, label: &str) -> Utf8PathBuf {
        self.backups().join(label)
    }

    pub fn data(&self, label: &str) -> Utf8PathBuf {
        self.backup(label).join("data")
    }

    pub fn archive(&self, number: u32) -> Utf8PathBuf {
        self.root.join("wal").join(number.to_string())
    }

    /// The clusters; none where there is no stanza. A directory that holds something else is not taken for an empty one.
    pub fn clusters(&self, look: &dyn Look) -> Result<Clusters> {
        if let Some(content) = look.read(&self.stanza())? {
            return serde_json::from_slice(&content).map_err(|error| {
                fault!(
                    Unavailable,
                    "`{}`, which tells whose backups these are, cannot be read: {error}", self.stanza();
                    "restore that file from a copy: `{{\"clusters\":[{{\"system_identifier\":7…,\"version\":\"17\",\"archive\":1}}]}}` with what \
                     `pg_controldata` says of a backup"
                )
            });
        }
        let mut held = look.list(&self.backups())?.unwrap_or_default();
        let archives = self.root.join("wal");
        for number in look.list(&archives)?.unwrap_or_default() {
            held.extend(look.list(&archives.join(number))?.unwrap_or_default());
        }
        if let Some(name) = held.first() {
            bail_fault!(
                Conflict,
                "`{}` holds `{name}`, and there is no `stanza.json` that tells whose it is", self.root;
                "restore that file from a copy, or move the directory away"
            );
        }
        Ok(Clusters::default())
    }

    /// What there is.
    pub fn catalogue(&self, look: &dyn Look) -> Result<Catalogue> {
        let clusters = self.clusters(look)?;
        let mut catalogue = Catalogue {
            clusters: clusters
                .all
                .iter()
                .map(|own| own.system_identifier)
                .collect(),
            busy: look.is_locked(&self.lock())?,
            ..Catalogue::default()
        };
        for entry in self.entries(look, &mut catalogue.unreadable)? {
            catalogue.backups.push(entry.1.backup(entry.0));
        }
        let order = |backup: &Backup| (backup.date_stop, backup.label.clone());
        catalogue
            .backups
            .sort_by_key(|backup| std::cmp::Reverse(order(backup)));
        let broken: Vec<bool> = catalogue
            .backups
            .iter()
            .map(|backup| !catalogue.is_whole(backup))
            .collect();
        for (backup, broken) in catalogue.backups.iter_mut().zip(broken) {
            backup.error = broken;
        }
        for cluster in &clusters.all {
            let directory = self.archive(cluster.archive);
            let Some(names) = look.list(&directory)? else {
                catalogue
                    .problems
                    .push(format!("directory `{directory}` is missing"));
                continue;
            };
            let mut segments = names.iter().filter(|name| wal::is_segment(name));
            let (min, max) = (segments.clone().min(), segments.by_ref().max());
            catalogue.archives.push(Archive {
                system_identifier: cluster.system_identifier,
                repository: 1,
                wal_min: min.cloned(),
                wal_max: max.cloned(),
            });
        }
        Ok(catalogue)
    }

    /// What is written down of each backup, by its label.
    pub fn entries(
        &self,
        look: &dyn Look,
        unreadable: &mut BTreeMap<String, String>,
    ) -> Result<Vec<(String, Entry)>> {
        let mut entries = Vec::new();
        for label in look.list(&self.backups())?.unwrap_or_default() {
            let file = self.backup(&label).join("backup.json");
            if !is_label(&label) {
                continue;
            }
            let entry = look.read(&file).and_then(|content| {
                let content = content.as_deref();
                Ok(content.map(serde_json::from_slice).transpose()?)
            });
            match entry {
                Ok(entry) => entries.extend(entry.map(|entry| (label, entry))),
                Err(error) => {
                    let told = format!(
                        "backup `{label}` is not known: `{file}` cannot be read: {error:#}; restore it from a copy, or remove it if that \
                         backup is not needed: until then neither the backup nor archived WAL is deleted"
                    );
                    unreadable.insert(label, told);
                }
            }
        }
        Ok(entries)
    }

    /// What runs that were cut short have left of backups.
    pub fn remains(&self, look: &dyn Look) -> Result<Vec<String>> {
        let mut remains = Vec::new();
        for name in look.list(&self.backups())?.unwrap_or_default() {
            let file = self.backup(&name).join("backup.json");
            if name == PARTIAL || is_label(&name) && look.stat(&file)?.is_none() {
                remains.push(name);
            }
        }
        Ok(remains)
    }
}

/// The clusters of a stanza: what `stanza.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clusters {
    /// The present one last.
    #[serde(rename = "clusters")]
    pub all: Vec<Cluster>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    pub system_identifier: u64,
    pub version: Major,
    /// The number of its archive.
    pub archive: u32,
}

impl Clusters {
    /// The number of the archive of a cluster; of one that is not in the stanza yet, the next one.
    pub fn archive(&self, identifier: Option<u64>) -> u32 {
        let known = self
            .all
            .iter()
            .find(|own| Some(own.system_identifier) == identifier);
        let next = || self.all.iter().map(|own| own.archive).max().unwrap_or(0) + 1;
        known.map_or_else(next, |own| own.archive)
    }

    /// The same with this one as the present one.
    #[must_use]
    pub fn with(&self, system_identifier: u64, version: Major) -> Self {
        let archive = self.archive(Some(system_identifier));
        let mut all = self.all.clone();
        all.retain(|own| own.system_identifier != system_identifier);
        all.push(Cluster {
            system_identifier,
            version,
            archive,
        });
        Self { all }
    }
}

/// What is known of a backup before it is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    #[serde(rename = "type")]
    pub kind: Kind,
    pub version: Major,
    pub system_identifier: u64,
    pub prior: Option<String>,
    pub tablespaces: Vec<Tablespace>,
}

/// What `backup.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    #[serde(flatten)]
    pub intent: Intent,
    pub date_start: Timestamp,
    pub date_stop: Timestamp,
    /// Bytes of the cluster, and of the backup.
    pub size: u64,
    pub repo_size: u64,
    pub wal_start: String,
    pub wal_stop: String,
    pub lsn_start: String,
    pub lsn_stop: String,
    pub wal_segment_size: u32,
}

impl Entry {
    fn backup(self, label: String) -> Backup {
        let intent = self.intent;
        Backup {
            label,
            kind: intent.kind,
            version: intent.version.to_string(),
            date_start: self.date_start,
            date_stop: self.date_stop,
            size: self.size,
            repo_size: Some(self.repo_size),
            databases: None,
            wal_start: Some(self.wal_start),
            wal_stop: Some(self.wal_stop),
            lsn_start: Some(self.lsn_start),
            lsn_stop: Some(self.lsn_stop),
            prior: intent.prior,
            error: false,
            repository: 1,
            system_identifier: intent.system_identifier,
            tablespaces: intent.tablespaces,
        }
    }
}

/// The label of a backup that was begun then, as pgBackRest makes them; `root` is that of the full one that it builds upon.
pub fn label(kind: Kind, begun: Timestamp, root: Option<&str>) -> String {
    let time = begun.strftime("%Y%m%d-%H%M%S");
    match (kind, root) {
        (Kind::Incr, Some(root)) => format!("{root}_{time}I"),
        (Kind::Diff, Some(root)) => format!("{root}_{time}D"),
        _ => format!("{time}F"),
    }
}

/// Whether it looks like a label: nothing else is ever removed.
fn is_label(name: &str) -> bool {
    let part = |part: &str, kinds: &[u8]| {
        let bytes = part.as_bytes();
        bytes.len() == 16
            && kinds.contains(&bytes[15])
            && bytes[..15]
                .iter()
                .enumerate()
                .all(|(place, byte)| match place {
                    8 => *byte == b'-',
                    _ => byte.is_ascii_digit(),
                })
    };
    match name.split_once('_') {
        None => part(name, b"F"),
        Some((root, own)) => part(root, b"F") && part(own, b"ID"),
    }
}

/// The full backup in a label.
pub fn root(label: &str) -> &str {
    label.split('_').next().unwrap_or_default()
}

/// Bytes of the WAL that a backup holds itself.
pub fn wal_size(start: u64, stop: u64, size: u32) -> u64 {
    let size = u64::from(size.max(1));
    (stop.saturating_sub(1) / size)
        .saturating_sub(start / size)
        .saturating_add(1)
        * size
}

/// The place of a tablespace in a backup.
pub fn tablespace(backup: &Utf8Path, own: &Tablespace) -> Utf8PathBuf {
    backup.join("tablespaces").join(&own.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        let begun = "2026-11-27T12:00:05.9Z".parse().unwrap();
        let full = label(Kind::Full, begun, None);
        assert_eq!(full, "20261127-120005F");
        let [diff, incr] = [Kind::Diff, Kind::Incr].map(|kind| label(kind, begun, Some(&full)));
        assert_eq!(diff, "20261127-120005F_20261127-120005D");
        assert_eq!(incr, "20261127-120005F_20261127-120005I");
        assert_eq!(root(&incr), full);
        assert_eq!(root(&full), full);
        for (name, fits) in [
            (&*full, true),
            (&*diff, true),
            (&*incr, true),
            ("20261127-120005I", false),
            ("20261127-120005F_20261127-120005F", false),
            ("20261127_120005F", false),
            ("old", false),
            (PARTIAL, false),
            ("", false),
        ] {
            assert_eq!(is_label(name), fits, "{name}");
        }
    }

    #[test]
    fn archives_of_clusters() {
        let none = Clusters::default();
        assert_eq!(none.archive(None), 1);
        let one = none.with(7, Major::new(15));
        assert_eq!((one.archive(Some(7)), one.archive(Some(8))), (1, 2));
        let two = one.with(8, Major::new(17));
        let identifiers = |clusters: &Clusters| -> Vec<u64> {
            clusters
                .all
                .iter()
                .map(|own| own.system_identifier)
                .collect()
        };
        assert_eq!(identifiers(&two), [7, 8]);
        // Back again, to its own archive.
        let back = two.with(7, Major::new(15));
        assert_eq!(identifiers(&back), [8, 7]);
        assert_eq!((back.archive(Some(7)), back.archive(None)), (1, 3));
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(
            text,
            r#"{"clusters":[{"system_identifier":7,"version":"15","archive":1}]}"#
        );
        assert_eq!(serde_json::from_str::<Clusters>(&text).unwrap(), one);
    }

    #[test]
    fn the_wal_in_a_backup() {
        const SIZE: u32 = 16 << 20;
        for (start, stop, files) in [
            (0x200_0028, 0x200_0120, 1),
            (0x200_0028, 0x300_0000, 1),
            (0x200_0028, 0x300_0001, 2),
        ] {
            assert_eq!(wal_size(start, stop, SIZE), files * u64::from(SIZE));
        }
    }
}
