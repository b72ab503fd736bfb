//! `backup_manifest`, which the server writes of every backup (PostgreSQL documentation, 76).

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::backup::recovery::lsn;

/// What is of use here of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Bytes of each file, by its path.
    files: HashMap<String, u64>,
    /// The WAL that the backup needs: from a place on a timeline, up to one.
    pub start: Place,
    pub stop: Place,
}

/// A place in the WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub timeline: u32,
    pub lsn: u64,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "Files")]
    files: Vec<File>,
    #[serde(rename = "WAL-Ranges")]
    ranges: Vec<Range>,
}

#[derive(Deserialize)]
struct File {
    /// A name that is no UTF-8 is written in hexadecimal.
    #[serde(rename = "Path", alias = "Encoded-Path")]
    path: String,
    #[serde(rename = "Size")]
    size: u64,
}

#[derive(Deserialize)]
struct Range {
    #[serde(rename = "Timeline")]
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    start: String,
    #[serde(rename = "End-LSN")]
    end: String,
}

/// In an incremental backup, the file that holds what has changed of another one (`INCREMENTAL.1259` of `1259`).
const CHANGED: &str = "INCREMENTAL.";

impl Manifest {
    pub fn parse(content: &[u8]) -> Result<Self> {
        let document: Document =
            serde_json::from_slice(content).context("the manifest of the backup")?;
        let place = |range: &Range, text: &str| {
            let lsn = lsn(text)?;
            let timeline = range.timeline;
            Some(Place { timeline, lsn })
        };
        let ranges = document.ranges.iter();
        let starts = ranges
            .clone()
            .filter_map(|range| place(range, &range.start));
        let ends = ranges.filter_map(|range| place(range, &range.end));
        let (start, stop) = starts
            .min_by_key(|place| place.lsn)
            .zip(ends.max_by_key(|place| place.lsn))
            .context("the manifest of the backup names no WAL")?;
        let files = document.files.into_iter();
        Ok(Self {
            files: files.map(|file| (file.path, file.size)).collect(),
            start,
            stop,
        })
    }

    /// Bytes of the backup itself.
    pub fn size(&self) -> u64 {
        self.files.values().sum()
    }
}

/// Bytes of the cluster of which the last of these backups is, each of which builds upon the one before it. What is changed
/// counts beside what it changes: it is never less than what a restore takes.
pub fn restored(chain: &[Manifest]) -> u64 {
    let Some((newest, earlier)) = chain.split_last() else {
        return 0;
    };
    let size = |(path, own): (&String, &u64)| {
        let (directory, name) = match path.rsplit_once('/') {
            Some((directory, name)) => (format!("{directory}/"), name),
            None => (String::new(), path.as_str()),
        };
        let Some(name) = name.strip_prefix(CHANGED) else {
            return *own;
        };
        let (whole, changed) = (
            format!("{directory}{name}"),
            format!("{directory}{CHANGED}{name}"),
        );
        let mut bytes = *own;
        for manifest in earlier.iter().rev() {
            if let Some(size) = manifest.files.get(&whole) {
                return bytes + size;
            }
            bytes += manifest.files.get(&changed).copied().unwrap_or_default();
        }
        bytes
    };
    newest.files.iter().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(files: &str) -> Manifest {
        let text = format!(
            "{{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": 7713007211442476800,\n\"Files\": [{files}],\n\
             \"WAL-Ranges\": [\n{{ \"Timeline\": 2, \"Start-LSN\": \"0/3000000\", \"End-LSN\": \"0/3000120\" }},\n\
             {{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/3000000\" }}\n],\n\"Manifest-Checksum\": \"49\"}}\n"
        );
        Manifest::parse(text.as_bytes()).unwrap()
    }

    fn file(path: &str, size: u64) -> String {
        format!(
            "{{ \"Path\": \"{path}\", \"Size\": {size}, \"Last-Modified\": \"2026-11-28 00:07:16 GMT\" }}"
        )
    }

    #[test]
    fn the_wal_of_a_backup() {
        let found = manifest(&file("backup_label", 225));
        let place = |timeline, lsn| Place { timeline, lsn };
        assert_eq!(found.start, place(1, 0x200_0028));
        assert_eq!(found.stop, place(2, 0x300_0120));
        assert_eq!(found.size(), 225);
    }

    #[test]
    fn what_a_restore_takes() {
        let full = manifest(&[file("base/5/1", 100), file("base/5/2", 10), file("x", 1)].join(","));
        let first = manifest(&[file("base/5/INCREMENTAL.1", 8), file("base/5/2", 20)].join(","));
        let second = manifest(
            &[
                file("base/5/INCREMENTAL.1", 4),
                file("base/5/INCREMENTAL.2", 2),
                file("INCREMENTAL.x", 3),
            ]
            .join(","),
        );
        assert_eq!(restored(std::slice::from_ref(&full)), 111);
        assert_eq!(restored(&[full.clone(), first.clone()]), 100 + 8 + 20);
        assert_eq!(
            restored(&[full, first, second]),
            (100 + 8 + 4) + (20 + 2) + (1 + 3)
        );
        assert_eq!(restored(&[]), 0);
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics(bytes: Vec<u8>) {
            let _ = Manifest::parse(&bytes);
        }
    }
}
