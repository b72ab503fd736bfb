//! Looking after backups: what has expired, and whether everything is as it was written.

use anyhow::Result;

use super::repository::Entry;
use super::retention;
use super::tool::BaseBackup;
use crate::backup::{BackupTool as _, Expired, Verdict};
use crate::bail_fault;
use crate::host::{Look, Probe};
use crate::pg::wal;

/// The size of a WAL file unless `initdb` was told otherwise.
const DEFAULT_SEGMENT: u32 = 16 << 20;

/// What is beyond retention, and what runs that were cut short have left.
pub fn expired(tool: &BaseBackup, look: &dyn Look) -> Result<Expired> {
    let repository = &tool.repository;
    let mut problems = Vec::new();
    let entries = repository.entries(look, &mut problems)?;
    if let Some(problem) = problems.first() {
        bail_fault!(
            Unavailable,
            "stanza `{}`: {problem}: nothing is deleted", tool.stanza();
            "what that backup needs is not known; once the file is removed, what is left of the backup goes"
        );
    }
    let catalogue = repository.catalogue(look)?;
    let mut expired = Expired::default();
    let gone = retention::expired(&catalogue.backups, tool.keep);
    expired.backups = gone.iter().map(|backup| backup.label.clone()).collect();
    if !catalogue.busy {
        expired.backups.extend(repository.remains(look)?);
    }
    for label in &expired.backups {
        let directory = repository.backup(label);
        // Half of a backup must not be taken for one.
        expired.files.push(directory.join("backup.json"));
        expired.files.push(directory);
    }
    for cluster in &repository.clusters(look)?.all {
        let own = |entry: &Entry| entry.intent.system_identifier == cluster.system_identifier;
        let left = entries
            .iter()
            .filter(|(label, entry)| own(entry) && !expired.backups.contains(label));
        let starts: Vec<&str> = left.map(|(_, entry)| &*entry.wal_start).collect();
        let size = entries.iter().find(|(_, entry)| own(entry));
        let size = size.map_or(DEFAULT_SEGMENT, |(_, entry)| entry.wal_segment_size);
        let directory = repository.archive(cluster.archive);
        let names = look.list(&directory)?.unwrap_or_default();
        let unneeded: Vec<&str> = match starts.as_slice() {
            // Of the present cluster backups will come; of a former one none.
            [] if catalogue.cluster() == Some(cluster.system_identifier) => Vec::new(),
            [] => names.iter().map(String::as_str).collect(),
            starts => retention::unneeded(&names, starts),
        };
        expired.wal.extend(wal::ranges(&unneeded, size));
        let files = unneeded.into_iter().map(|name| directory.join(name));
        expired.files.extend(files);
    }
    Ok(expired)
}

/// Reads every backup, and looks whether WAL is missing.
pub fn verify(tool: &BaseBackup, look: &dyn Look) -> Result<Verdict> {
    let mut problems = Vec::new();
    let entries = tool.repository.entries(look, &mut problems)?;
    let mut report = vec![format!("stanza: {}", tool.stanza())];
    let known = tool.repository.catalogue(look)?.backups;
    for (label, entry) in &entries {
        if known.iter().any(|own| own.label == *label && own.error) {
            problems.push(format!(
                "backup: {label}, of no use: a backup that it builds upon is not there"
            ));
            continue;
        }
        match complaint(tool, look, label, entry) {
            None => report.push(format!("backup: {label}, sound")),
            Some(said) if tool.trouble(&said).is_some() => {
                problems.push(format!("backup: {label}, damaged: {said}"));
            }
            Some(said) => problems.push(format!("backup: {label}, not verified: {said}")),
        }
    }
    for cluster in &tool.repository.clusters(look)?.all {
        let own = entries
            .iter()
            .map(|(_, entry)| entry)
            .filter(|entry| entry.intent.system_identifier == cluster.system_identifier);
        let size = own.clone().next().map(|entry| entry.wal_segment_size);
        let starts: Vec<&str> = own.map(|entry| &*entry.wal_start).collect();
        let directory = tool.repository.archive(cluster.archive);
        let Some(names) = look.list(&directory)? else {
            problems.push(format!("WAL: directory `{directory}` is missing"));
            continue;
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let gaps = wal::gaps(&names, &starts, size.unwrap_or(DEFAULT_SEGMENT));
        problems.extend(gaps.into_iter().map(|(from, until)| {
            if from == until {
                format!("WAL: {from} is missing")
            } else {
                format!("WAL: {from} to {until} are missing")
            }
        }));
    }
    let sound = problems.is_empty();
    report.extend(problems);
    let status = if sound { "ok" } else { "error" };
    report.insert(1, format!("status: {status}"));
    Ok(Verdict {
        sound,
        report: report.join("\n"),
    })
}

/// What `pg_verifybackup` says against a backup.
fn complaint(tool: &BaseBackup, look: &dyn Look, label: &str, entry: &Entry) -> Option<String> {
    let data = tool.repository.data(label);
    let probe = Probe::verifybackup(&tool.programs(entry.intent.version), &data);
    match look.probe(&probe) {
        Ok(output) if output.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("{error:#}")),
    }
}
