//! What pgBackRest says of what has expired, and of what it has verified.

use anyhow::Result;

use super::lacks::version as numbers;
use crate::backup::{Expired, Verdict};
use crate::bail_fault;

/// The log of `expire --dry-run`.
pub fn expired(log: &str) -> Expired {
    let mut expired = Expired::default();
    for line in log.lines() {
        if let Some((_, label)) = line.split_once(": remove expired backup ") {
            expired.backups.push(label.trim().to_owned());
        }
        if let Some((_, range)) = line.split_once(" remove archive, start = ")
            && let Some((start, stop)) = range.split_once(", stop = ")
        {
            let [start, stop] = [start, stop].map(|wal| wal.trim().to_owned());
            expired.wal.push((start, stop));
        }
    }
    expired
}

/// The first version that has the command.
const VERIFIES: (u32, u32) = (2, 39);

/// Refuses a pgBackRest that cannot verify; `version` is what it says of itself: `pgBackRest 2.45`.
pub fn can_verify(version: &str) -> Result<()> {
    let number = version.trim().trim_start_matches("pgBackRest ");
    if numbers(version).is_some_and(|numbers| numbers < VERIFIES) {
        bail_fault!(
            Unsupported,
            "pgBackRest {number} cannot verify a repository: version {}.{} is the first that can", VERIFIES.0, VERIFIES.1;
            "install a newer one"
        );
    }
    Ok(())
}

/// The report of `verify --output=text --verbose`: the exit status is 0 whatever was found.
pub fn verdict(report: &str) -> Verdict {
    let mut lines = report.lines().map(str::trim);
    Verdict {
        sound: lines.any(|line| line == "status: ok"),
        report: report.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As pgBackRest 2.45 printed it.
    #[test]
    fn what_has_expired() {
        let log = "\
2026-11-27 21:14:50.198 P00   INFO: [DRY-RUN] expire command begin 2.45: --stanza=app
2026-11-27 21:14:50.206 P00   INFO: [DRY-RUN] repo1: expire full backup set 20261127-211421F, 20261127-211421F_20261127-211432D
2026-11-27 21:14:50.218 P00   INFO: [DRY-RUN] repo1: remove expired backup 20261127-211421F_20261127-211432D
2026-11-27 21:14:50.218 P00   INFO: [DRY-RUN] repo1: remove expired backup 20261127-211421F
2026-11-27 21:14:50.218 P00   INFO: [DRY-RUN] repo1: 15-1 remove archive, start = 000000010000000000000001, stop = 000000010000000000000006
2026-11-27 21:14:50.218 P00   INFO: [DRY-RUN] expire command end: completed successfully (22ms)
";
        let labels = ["20261127-211421F_20261127-211432D", "20261127-211421F"];
        assert_eq!(
            expired(log),
            Expired {
                backups: labels.map(str::to_owned).into(),
                wal: vec![(
                    "000000010000000000000001".to_owned(),
                    "000000010000000000000006".to_owned()
                )],
                ..Expired::default()
            }
        );
        assert_eq!(expired(""), Expired::default());
    }

    #[test]
    fn versions_that_verify() {
        for (version, can) in [
            ("pgBackRest 2.45\n", true),
            ("pgBackRest 2.39", true),
            ("pgBackRest 2.38", false),
            ("pgBackRest 2.5dev", false),
            ("pgBackRest 2.55.1", true),
            ("pgBackRest 3.0", true),
            ("something else", true),
        ] {
            assert_eq!(can_verify(version).is_ok(), can, "{version}");
        }
        assert_eq!(
            can_verify("pgBackRest 2.38\n").unwrap_err().to_string(),
            "pgBackRest 2.38 cannot verify a repository: version 2.39 is the first that can"
        );
    }

    #[test]
    fn verdicts() {
        for (report, sound) in [
            ("stanza: app\nstatus: ok\n", true),
            (
                "stanza: app\nstatus: error\n  backup: 20261127-211421F, status: invalid\n",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(verdict(report).sound, sound, "{report}");
        }
    }
}
