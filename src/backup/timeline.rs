//! The timelines of a cluster, as its newest `.history` file tells them (PostgreSQL documentation, 26.3.6; `timeline.c`).

use super::Backup;
use super::recovery::lsn;
use crate::pg::wal;

/// The timeline of a cluster, and the earlier ones, each with the place in the WAL where it was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timelines {
    pub present: u32,
    left: Vec<(u32, u64)>,
}

impl Default for Timelines {
    fn default() -> Self {
        Self {
            present: 1,
            left: Vec::new(),
        }
    }
}

impl Timelines {
    /// Of a file `00000002.history`.
    pub fn parse(name: &str, content: &[u8]) -> Option<Self> {
        let digits = name.strip_suffix(".history")?;
        let present = u32::from_str_radix(digits, 16).ok()?;
        let text = String::from_utf8_lossy(content);
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, lsn(words.next()?)?))
        };
        let left = text.lines().filter_map(line).collect();
        Some(Self { present, left })
    }

    /// Whether the WAL leads from a backup to where the cluster is: not from one of a time that a restore has undone. What the tool
    /// does not tell is no reason to doubt.
    pub fn lead_from(&self, backup: &Backup) -> bool {
        let stop = backup.wal_stop.as_deref().zip(backup.lsn_stop.as_deref());
        let held =
            stop.and_then(|(segment, place)| Some(self.hold(wal::timeline(segment)?, lsn(place)?)));
        held.unwrap_or(true)
    }

    /// Whether the cluster has been at a place in the WAL of a timeline.
    fn hold(&self, timeline: u32, place: u64) -> bool {
        timeline == self.present
            || self
                .left
                .iter()
                .any(|(left, at)| *left == timeline && place <= *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_cluster_has_been() {
        let text =
            b"# comment\n1\t0/5000000\tno recovery target specified\n\n2\t1/0\tbefore 2026-11-27\n";
        let timelines = Timelines::parse("00000003.history", text).unwrap();
        for (timeline, place, held) in [
            (3, u64::MAX, true),
            (2, 0x1_0000_0000, true),
            (2, 0x1_0000_0001, false),
            (1, 0x500_0000, true),
            (1, 0x600_0000, false),
            (4, 0, false),
        ] {
            assert_eq!(
                timelines.hold(timeline, place),
                held,
                "{timeline} {place:X}"
            );
        }
        assert!(Timelines::default().hold(1, 7));
        for name in ["x.history", "00000003", "000000030000000000000001"] {
            assert_eq!(Timelines::parse(name, b""), None, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics(name in ".*", content: Vec<u8>) {
            let _ = Timelines::parse(&name, &content);
        }
    }
}
