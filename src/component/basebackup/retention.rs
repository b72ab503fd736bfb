//! What is beyond retention: pure, of what there is.

use crate::backup::{Backup, Kind};
use crate::pg::wal;

/// The backups that go, newest first, so that nothing is left without what it builds upon. The newest full ones of `keep` stay,
/// and what builds upon them; `backups` are the newest first.
pub fn expired(backups: &[Backup], keep: u32) -> Vec<&Backup> {
    let full = backups.iter().filter(|backup| backup.kind == Kind::Full);
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    let gone: Vec<&str> = full.skip(keep).map(|backup| &*backup.label).collect();
    let is_gone = |backup: &&Backup| {
        let root = backup.label.split('_').next().unwrap_or_default();
        gone.contains(&root)
    };
    backups.iter().filter(is_gone).collect()
}

/// Of the names in an archive those that no backup needs any more: what lies before the oldest WAL that any of them begins
/// with, whatever its timeline, as `pg_archivecleanup` has it. Histories of timelines stay. `starts` is never empty.
pub fn unneeded<'a>(names: &'a [String], starts: &[&str]) -> Vec<&'a str> {
    let oldest = starts.iter().filter_map(|start| wal::order(start)).min();
    let before = |name: &&str| match (wal::order(name), oldest) {
        (Some(own), Some(oldest)) => own < oldest,
        _ => false,
    };
    names.iter().map(String::as_str).filter(before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup(label: &str) -> Backup {
        let kind = match label.as_bytes()[label.len() - 1] {
            b'F' => Kind::Full,
            b'D' => Kind::Diff,
            _ => Kind::Incr,
        };
        Backup {
            kind,
            ..crate::backup::sample(label)
        }
    }

    #[test]
    fn a_full_backup_goes_with_what_builds_upon_it() {
        let all = ["3F_3I", "3F", "2F_2J", "2F_2D", "2F", "1F_1I", "1F"].map(backup);
        let gone = |keep| -> Vec<String> {
            let gone = expired(&all, keep).into_iter();
            gone.map(|backup| backup.label.clone()).collect()
        };
        assert_eq!(gone(3), [""; 0]);
        assert_eq!(gone(2), ["1F_1I", "1F"]);
        assert_eq!(gone(1), ["2F_2J", "2F_2D", "2F", "1F_1I", "1F"]);
    }

    #[test]
    fn wal_that_nothing_needs() {
        let names = [
            "000000010000000000000002",
            "000000010000000000000003",
            "000000010000000000000003.00000028.backup",
            "000000010000000000000004",
            "00000002.history",
            "000000020000000000000003",
            "000000020000000000000005",
        ]
        .map(str::to_owned);
        // The older backup is on the other timeline, and further on.
        let starts = ["000000010000000000000009", "000000020000000000000004"];
        assert_eq!(
            unneeded(&names, &starts),
            [
                "000000010000000000000002",
                "000000010000000000000003",
                "000000010000000000000003.00000028.backup",
                "000000020000000000000003",
            ]
        );
        assert_eq!(unneeded(&names, &[]), [""; 0]);
    }
}
