//! Looking after backups: what has expired, and whether everything is as it was written.

use std::collections::BTreeMap;

use anyhow::Result;

use super::repository::{Entry, root};
use super::retention;
use super::tool::BaseBackup;
use crate::backup::{BackupTool as _, Expired, Verdict};
use crate::host::{Look, Probe};
use crate::pg::wal;

/// The size of a WAL file unless `initdb` was told otherwise.
const DEFAULT_SEGMENT: u32 = 16 << 20;

/// What is beyond retention, and what runs that were cut short have left.
pub fn expired(tool: &BaseBackup, look: &dyn Look) -> Result<Expired> {
    let repository = &tool.repository;
    let mut unreadable = BTreeMap::new();
    let entries = repository.entries(look, &mut unreadable)?;
    let catalogue = repository.catalogue(look)?;
    let mut expired = Expired {
        kept: unreadable.values().cloned().collect(),
        ..Expired::default()
    };
    // What one that cannot be read builds upon stays with it.
    let needed = |label: &str| unreadable.keys().any(|own| root(own) == root(label));
    let gone = retention::expired(&catalogue.backups, tool.keep).into_iter();
    let gone = gone.filter(|backup| !needed(&backup.label));
    expired.backups = gone.map(|backup| backup.label.clone()).collect();
    if !catalogue.busy {
        expired.backups.extend(repository.remains(look)?);
    }
    for label in &expired.backups {
        let directory = repository.backup(label);
        // Half of a backup must not be taken for one.
        expired.files.push(directory.join("backup.json"));
        expired.files.push(directory);
    }
    // Where the WAL begins that it needs is not known either.
    if !unreadable.is_empty() {
        return Ok(expired);
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
    let mut unreadable = BTreeMap::new();
    let entries = tool.repository.entries(look, &mut unreadable)?;
    let mut problems: Vec<String> = unreadable.into_values().collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::site::tests::Machine;

    const FULL: &str = "20260102-000000F";

    /// Three full backups, of which two go, and one more that builds upon the second; `damaged` is cut off.
    fn stanza(damaged: &str) -> Machine {
        let clusters = r#"{"clusters":[{"system_identifier":7,"version":"17","archive":1}]}"#;
        let mut machine = Machine::new(false, &[("/b/app/stanza.json", clusters)]);
        for number in 1..=5 {
            machine.put(&format!("/b/app/wal/1/00000001000000000000000{number}"), "");
        }
        for (label, kind, prior, wal) in [
            ("20260101-000000F", "full", "null".to_owned(), 2),
            (FULL, "full", "null".to_owned(), 3),
            (
                "20260102-000000F_20260103-000000I",
                "incr",
                format!("\"{FULL}\""),
                4,
            ),
            ("20260104-000000F", "full", "null".to_owned(), 5),
        ] {
            let time = format!(
                "{}-{}-{}T00:00:00Z",
                &label[..4],
                &label[4..6],
                &label[6..8]
            );
            let entry = format!(
                r#"{{"type":"{kind}","version":"17","system_identifier":7,"prior":{prior},"tablespaces":[],"date_start":"{time}",
                "date_stop":"{time}","size":1,"repo_size":1,"wal_start":"00000001000000000000000{wal}",
                "wal_stop":"00000001000000000000000{wal}","lsn_start":"0/1","lsn_stop":"0/2","wal_segment_size":16777216}}"#
            );
            let content = if label == damaged { "{" } else { &entry };
            machine.put(&format!("/b/app/backups/{label}/backup.json"), content);
        }
        machine
    }

    fn tool(machine: &Machine) -> BaseBackup {
        let site = machine.site("basebackup: {directory: /b, retention: {full: 1}}\n");
        let own = site.settings.basebackup.as_ref().unwrap();
        BaseBackup::new(own, &site.settings, "app".into(), machine).unwrap()
    }

    #[test]
    fn what_cannot_be_read_stays_and_holds_up_nothing_else() {
        let wal = |from: u8, until: u8| {
            let name = |number| format!("00000001000000000000000{number}");
            vec![(name(from), name(until))]
        };
        for (damaged, gone, ranges) in [
            (
                "",
                vec![
                    "20260102-000000F_20260103-000000I",
                    FULL,
                    "20260101-000000F",
                ],
                wal(1, 4),
            ),
            // It is not counted: the newest one that is known stays.
            ("20260104-000000F", vec!["20260101-000000F"], vec![]),
            // What builds upon it is of no use, and stays as well.
            (FULL, vec!["20260101-000000F"], vec![]),
            // What it builds upon stays.
            (
                "20260102-000000F_20260103-000000I",
                vec!["20260101-000000F"],
                vec![],
            ),
        ] {
            let machine = stanza(damaged);
            let tool = tool(&machine);
            let expired = expired(&tool, &machine).unwrap();
            assert_eq!(expired.backups, gone, "{damaged}");
            assert_eq!(expired.wal, ranges, "{damaged}");
            let file = tool.repository.backup(damaged).join("backup.json");
            let told: Vec<String> = (!damaged.is_empty())
                .then(|| {
                    format!(
                        "backup `{damaged}` is not known: `{file}` cannot be read: EOF while parsing an object at line 1 column 1; restore it \
                         from a copy, or remove it if that backup is not needed: until then neither the backup nor archived WAL is deleted"
                    )
                })
                .into_iter()
                .collect();
            assert_eq!(expired.kept, told);
            let catalogue = tool.catalogue(&machine).unwrap();
            let problems: Vec<String> = catalogue.complaints().cloned().collect();
            assert_eq!(problems, told);
            let sound = catalogue.newest(7, crate::backup::Kind::Incr).unwrap();
            let newest = match damaged {
                "20260104-000000F" => "20260102-000000F_20260103-000000I",
                _ => "20260104-000000F",
            };
            assert_eq!(sound.label, newest);
            let useless = catalogue.backups.iter().filter(|backup| backup.error);
            assert_eq!(useless.count(), usize::from(damaged == FULL));
        }
    }
}
