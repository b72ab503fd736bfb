//! What the log of a server tells of its recovery (`xlogrecovery.c`, `xlog.c`, `postmaster.c`), with the prefix `%m [%p] ` and
//! UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::backup::recovery::lsn;

/// What is said of a recovery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// Where the last record of the WAL begins that was replayed.
    pub redo_done: Option<u64>,
    /// When the last transaction ended that was replayed.
    pub last_transaction: Option<Timestamp>,
    /// When the server accepted sessions.
    pub ready: Option<Timestamp>,
    /// Why it ended.
    pub fatal: Option<String>,
    /// WAL that the backup itself needs was not there.
    pub incomplete: bool,
    /// It came to the end of the WAL before its target.
    pub too_short: bool,
}

/// In these words servers say that they miss WAL of the backup.
const INCOMPLETE: [&str; 4] = [
    "could not locate required checkpoint record",
    "could not locate a valid checkpoint record",
    "WAL ends before end of online backup",
    "WAL ends before consistent recovery point",
];

impl Log {
    pub fn read(text: &str) -> Self {
        let mut log = Self::default();
        for line in text.lines() {
            let after = |words: &str| line.split_once(words).map(|(_, rest)| rest);
            let word = |words: &str| after(words)?.split_whitespace().next();
            if let Some(place) = word("redo done at ") {
                log.redo_done = lsn(place);
            } else if let Some(time) = after("last completed transaction was at log time ") {
                log.last_transaction = time.strip_suffix("+00").and_then(utc);
            } else if line.ends_with("database system is ready to accept connections") {
                log.ready = line.get(..23).and_then(utc);
            } else if let Some(said) = after("FATAL:") {
                log.fatal = Some(said.trim().to_owned());
            }
            log.incomplete |= INCOMPLETE.iter().any(|words| line.contains(words));
            log.too_short |=
                line.contains("recovery ended before configured recovery target was reached");
        }
        log
    }
}

/// `2026-11-27 21:51:51.069`
fn utc(time: &str) -> Option<Timestamp> {
    let time: DateTime = time.parse().ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As PostgreSQL 15 said it.
    #[test]
    fn to_the_end() {
        let log = Log::read(
            "2026-11-27 21:52:03.646 UTC [20129] LOG:  database system was interrupted; last known up at 2026-11-27 21:51:24 UTC\n\
             2026-11-27 21:52:07.143 UTC [20129] LOG:  starting archive recovery\n\
             2026-11-27 21:52:07.227 UTC [20129] LOG:  restored log file \"000000010000000000000002\" from archive\n\
             2026-11-27 21:52:07.255 UTC [20129] LOG:  redo starts at 0/2000028\n\
             2026-11-27 21:52:07.400 UTC [20129] LOG:  redo done at 0/3016BD0 system usage: CPU: user: 0.00 s, system: 0.00 s, elapsed: 0.10 s\n\
             2026-11-27 21:52:07.400 UTC [20129] LOG:  last completed transaction was at log time 2026-11-27 21:51:30.5+00\n\
             2026-11-27 21:52:07.500 UTC [20120] LOG:  database system is ready to accept connections\n",
        );
        assert_eq!(
            log,
            Log {
                redo_done: Some(0x301_6BD0),
                last_transaction: Some("2026-11-27T21:51:30.5Z".parse().unwrap()),
                ready: Some("2026-11-27T21:52:07.5Z".parse().unwrap()),
                ..Log::default()
            }
        );
    }

    #[test]
    fn failures() {
        let failed = |words: &str| {
            Log::read(&format!(
                "2026-11-27 21:52:50.330 UTC [23183] FATAL:  {words}\n"
            ))
        };
        let words = "could not locate required checkpoint record";
        let log = failed(words);
        assert_eq!((log.fatal.as_deref(), log.incomplete), (Some(words), true));
        let words = "recovery ended before configured recovery target was reached";
        let log = failed(words);
        assert_eq!((log.fatal.as_deref(), log.too_short), (Some(words), true));
    }

    proptest! {
        #[test]
        fn no_log_makes_it_panic(text in ".{0,200}") {
            let _ = Log::read(&text);
        }
    }
}
