//! How old a backup is, by two clocks: that of the host on which it was taken, and that of the run.

use jiff::{SignedDuration, Timestamp};

use super::Backup;

/// By how much clocks may differ before anybody is told.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Whether a time is no further away than the limit. What lies ahead counts as what lies behind: clocks differ, and what was
/// taken by one that was years ahead is not young until then.
pub fn is_within(time: Timestamp, now: Timestamp, limit: SignedDuration) -> bool {
    now.duration_since(time).abs() <= limit
}

/// By how much a backup ends after the present, where that is more than clocks may differ.
pub fn ahead(backup: &Backup, now: Timestamp) -> Option<String> {
    let ahead = backup.date_stop.duration_since(now);
    (ahead > SKEW).then(|| {
        format!(
            "backup `{}` ends {} s from now, at {}: the clock of this host or of the one where it was taken is wrong",
            backup.label,
            ahead.as_secs(),
            backup.date_stop
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn backup(stop: &str) -> Backup {
        Backup {
            date_stop: time(stop),
            ..crate::backup::sample("L")
        }
    }

    #[test]
    fn young_and_old() {
        let now = time("2026-11-28T12:00:00Z");
        let day = SignedDuration::from_hours(24);
        for (stop, young) in [
            ("2026-11-28T11:59:59Z", true),
            ("2026-11-27T12:00:00Z", true),
            ("2026-11-27T11:59:59Z", false),
            // A clock that is a little ahead takes no backup away.
            ("2026-11-28T15:00:00Z", true),
            // What one wrote that was years ahead stands for none.
            ("2036-11-28T12:00:00Z", false),
        ] {
            assert_eq!(is_within(time(stop), now, day), young, "{stop}");
        }
        assert!(is_within(now, now, SignedDuration::ZERO));
    }

    #[test]
    fn what_is_told_of_clocks() {
        let now = time("2026-11-28T12:00:00Z");
        assert_eq!(ahead(&backup("2026-11-28T12:01:00Z"), now), None);
        assert_eq!(ahead(&backup("2020-11-28T12:01:00Z"), now), None);
        assert_eq!(
            ahead(&backup("2026-11-28T12:01:01Z"), now).unwrap(),
            "backup `L` ends 61 s from now, at 2026-11-28T12:01:01Z: the clock of this host or of the one where it was taken is wrong"
        );
    }
}
