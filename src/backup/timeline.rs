//! The timelines of a cluster, as its newest `.history` file tells them (PostgreSQL documentation, 26.3.6; `timeline.c`).

use anyhow::Result;

use super::Backup;
use super::recovery::lsn;
use crate::bail_fault;
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

    /// The past of one of these timelines; none where the cluster was never on it.
    pub fn of(mut self, timeline: u32) -> Option<Self> {
        if self.present != timeline {
            let place = self.left.iter().position(|(left, _)| *left == timeline)?;
            self.left.truncate(place);
            self.present = timeline;
        }
        Some(self)
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
    pub fn hold(&self, timeline: u32, place: u64) -> bool {
        timeline == self.present
            || self
                .left
                .iter()
                .any(|(left, at)| *left == timeline && place <= *at)
    }
}

/// The timelines up to this one, or the newest, as the `.history` files of an archive tell them; `names` are those in it, of which
/// `read` is asked for one.
pub fn archived(
    names: &[String],
    stanza: &str,
    wanted: Option<u32>,
    read: impl FnOnce(&str) -> Result<Option<Vec<u8>>>,
) -> Result<Option<Timelines>> {
    let Some(file) = history(names, stanza, wanted)? else {
        return Ok(wanted.map(|_| Timelines::default()));
    };
    Ok(read(&file)?.and_then(|content| Timelines::parse(&file, &content)))
}

/// Of the files of an archive the one that tells of a timeline, or of the newest one. None tells of the first; and an archive may have
/// begun later.
fn history(names: &[String], stanza: &str, wanted: Option<u32>) -> Result<Option<String>> {
    let number = |name: &String| u32::from_str_radix(name.strip_suffix(".history")?, 16).ok();
    let mut known: Vec<u32> = names.iter().filter_map(number).collect();
    known.sort_unstable();
    let Some(timeline) = wanted
        .or(known.last().copied())
        .filter(|wanted| *wanted > 1)
    else {
        return Ok(None);
    };
    if !known.contains(&timeline) {
        let known: Vec<String> = known.iter().map(|own| format!(", {own}")).collect();
        bail_fault!(
            NotFound,
            "the archive of stanza `{stanza}` knows no timeline {timeline}";
            "give another `target_timeline`; it knows 1{}", known.concat()
        );
    }
    Ok(Some(format!("{timeline:08X}.history")))
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

    #[test]
    fn the_past_of_a_timeline() {
        let text = b"1\t0/5000000\tx\n2\t0/7000000\tx\n";
        let all = Timelines::parse("00000003.history", text).unwrap();
        let second = Timelines::parse("00000002.history", b"1\t0/5000000\tx\n");
        assert_eq!(all.clone().of(3), Some(all.clone()));
        assert_eq!(all.clone().of(2), second);
        assert_eq!(all.clone().of(1), Some(Timelines::default()));
        assert_eq!(all.of(4), None);
    }

    #[test]
    fn the_file_that_tells_of_a_timeline() {
        let names = [
            "00000002.history",
            "0000000A.history",
            "000000010000000000000001",
        ];
        let names = names.map(str::to_owned);
        let found = |names: &[String], wanted| match history(names, "app", wanted) {
            Ok(found) => found.unwrap_or_default(),
            Err(error) => crate::fault::Fault::of(&error)
                .unwrap()
                .hint
                .clone()
                .unwrap(),
        };
        for (wanted, file) in [
            (None, "0000000A.history"),
            (Some(2), "00000002.history"),
            (Some(1), ""),
            (Some(3), "give another `target_timeline`; it knows 1, 2, 10"),
        ] {
            assert_eq!(found(&names, wanted), file);
        }
        assert_eq!(found(&[], None), "");
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics(name in ".*", content: Vec<u8>) {
            let _ = Timelines::parse(&name, &content);
        }
    }
}
