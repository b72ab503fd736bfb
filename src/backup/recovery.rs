//! Where a recovery is to end, and from which backup it can begin (PostgreSQL documentation, 26.3.5).

use std::fmt;

use anyhow::Result;
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

use super::{Backup, Catalogue};
use crate::bail_fault;
use crate::pg::conf::Conf;

/// The parameters that say where a recovery ends.
pub const TARGETS: [&str; 5] = [
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
];

/// Where a recovery ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// At the end of the archived WAL.
    Latest,
    /// As soon as the backup is consistent.
    Immediate,
    Time(Timestamp),
    /// A place in the WAL, as `0/3000028`.
    Lsn(u64),
    /// The end of a transaction.
    Xid(u64),
    /// A restore point (`pg_create_restore_point`).
    Name(String),
}

impl Target {
    /// Reads a time. It must say its zone: a host's own is a matter of chance.
    pub fn time(text: &str) -> Result<Self> {
        let said = text.trim();
        let short = said.rsplit_once(['+', '-']).is_some_and(|(_, zone)| {
            zone.len() == 2 && zone.bytes().all(|digit| digit.is_ascii_digit())
        });
        // PostgreSQL writes `+01`.
        let full = if short && said.contains(':') {
            format!("{said}:00")
        } else {
            said.to_owned()
        };
        match full.parse::<Timestamp>() {
            Ok(time) => Ok(Self::Time(time)),
            Err(_) if said.parse::<DateTime>().is_ok() => bail_fault!(
                Input,
                "recovery target: time `{text}` says no zone";
                "write `{said}+00:00` for UTC, or the zone that is meant"
            ),
            Err(_) => bail_fault!(
                Input,
                "recovery target: `{text}` is no time";
                "give it as `2026-11-27 20:33:28+01:00`"
            ),
        }
    }

    /// Reads a place in the WAL.
    pub fn lsn(text: &str) -> Result<Self> {
        match lsn(text) {
            Some(lsn) => Ok(Self::Lsn(lsn)),
            None => {
                bail_fault!(Input, "recovery target: `{text}` is no place in the WAL"; "give it as `0/3000028`")
            }
        }
    }

    /// The parameter that says it, and its value; none for the end of the WAL.
    pub fn parameter(&self) -> Option<(&'static str, String)> {
        Some(match self {
            Self::Latest => return None,
            Self::Immediate => ("recovery_target", "immediate".to_owned()),
            Self::Lsn(lsn) => ("recovery_target_lsn", shown(*lsn)),
            Self::Name(name) => ("recovery_target_name", name.clone()),
            Self::Time(time) => (
                "recovery_target_time",
                time.strftime("%F %T%.6f+00").to_string(),
            ),
            Self::Xid(xid) => ("recovery_target_xid", xid.to_string()),
        })
    }

    /// Whether it is the one that a restored `postgresql.auto.conf` says.
    pub fn is_said_by(&self, conf: &Conf) -> bool {
        let said = TARGETS
            .iter()
            .filter_map(|name| Some((*name, conf.get(name)?)));
        let said = said.filter(|(_, value)| !value.is_empty());
        said.eq(self.parameter())
    }

    /// The recovery goes on past the backup itself.
    fn is_past_backup(&self) -> bool {
        !matches!(self, Self::Immediate)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("the end of the archived WAL"),
            Self::Immediate => f.write_str("the end of the backup"),
            Self::Time(time) => write!(f, "{time}"),
            Self::Lsn(lsn) => write!(f, "WAL {}", shown(*lsn)),
            Self::Xid(xid) => write!(f, "transaction {xid}"),
            Self::Name(name) => write!(f, "restore point `{name}`"),
        }
    }
}

/// Reads `0/3000028`.
pub fn lsn(text: &str) -> Option<u64> {
    let (high, low) = text.trim().split_once('/')?;
    let half = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(digits, 16).ok())?
    };
    Some((u64::from(half(high)?) << 32) | u64::from(half(low)?))
}

/// As PostgreSQL writes it.
pub fn shown(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF)
}

/// The backup from which a recovery begins: the one that is named, else the newest that ends before the target.
pub fn choose<'a>(
    catalogue: &'a Catalogue,
    cluster: Option<u64>,
    target: &Target,
    label: Option<&str>,
    now: Timestamp,
) -> Result<&'a Backup> {
    let own = |backup: &&Backup| cluster.is_none_or(|cluster| backup.system_identifier == cluster);
    let own: Vec<&Backup> = catalogue.backups.iter().filter(own).collect();
    if let Some(told) = label.and_then(|label| catalogue.unreadable.get(label)) {
        bail_fault!(Unavailable, "{told}");
    }
    let Some(oldest) = own.last() else {
        if let Some(told) = catalogue.unreadable.values().next() {
            bail_fault!(Unavailable, "there is no backup to restore: {told}");
        }
        bail_fault!(
            NotFound,
            "there is no backup to restore";
            "`pgsocle instance backups` lists what there is"
        );
    };
    // The clock of a run has whole seconds.
    if let Target::Time(time) = target
        && time.duration_since(now) >= SignedDuration::from_secs(1)
    {
        bail_fault!(Input, "recovery target: {time} is yet to come");
    }
    if let Some(label) = label {
        let Some(named) = own.iter().find(|backup| backup.label == label) else {
            let labels: Vec<&str> = own.iter().map(|backup| backup.label.as_str()).collect();
            bail_fault!(NotFound, "there is no backup `{label}`"; "there are: {}", labels.join(", "));
        };
        if !ends_before(named, target) {
            bail_fault!(
                Conflict,
                "backup `{label}` ends only after the recovery target, {target}";
                "choose an older one, or leave the label out"
            );
        }
        return Ok(named);
    }
    let fitting = |backup: &&&Backup| !backup.error && ends_before(backup, target);
    match own.iter().find(fitting) {
        Some(backup) => Ok(backup),
        None => bail_fault!(
            Conflict,
            "no backup reaches back to {target}: the oldest one, `{}`, ends at {}{}", oldest.label, oldest.date_stop,
            oldest.lsn_stop.as_ref().map(|lsn| format!(" (WAL {lsn})")).unwrap_or_default();
            "choose a later target"
        ),
    }
}

/// Whether a backup is consistent before the target is reached.
fn ends_before(backup: &Backup, target: &Target) -> bool {
    match target {
        Target::Time(time) => backup.date_stop <= *time,
        Target::Lsn(wanted) => backup
            .lsn_stop
            .as_deref()
            .and_then(lsn)
            .is_none_or(|stop| stop <= *wanted),
        _ => true,
    }
}

/// What is restored, and how far it is recovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    pub target: Target,
    /// Stop just before the target instead of just after it.
    pub exclusive: bool,
    /// `latest`, `current`, or a number; none: as the server has it (`latest`).
    pub timeline: Option<String>,
    pub action: Action,
}

/// What the server does at the target.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Action {
    /// It becomes an ordinary server, on a timeline of its own.
    #[default]
    Promote,
    /// It waits, to be looked at: queries are answered, nothing can be changed.
    Pause,
    /// It ends.
    Shutdown,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Where it ends, and along which timeline.
impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.exclusive {
            f.write_str("just before ")?;
        }
        write!(f, "{}", self.target)?;
        match &self.timeline {
            Some(timeline) => write!(f, " along timeline {timeline}"),
            None => Ok(()),
        }
    }
}

impl Recovery {
    /// The timeline along which it goes, where that is said by its number.
    pub fn numbered(&self) -> Option<u32> {
        self.timeline.as_deref()?.parse().ok()
    }

    /// It stays on the timeline of the backup.
    pub fn is_along_the_backups(&self) -> bool {
        self.timeline.as_deref() == Some("current")
    }

    /// At the end of the WAL there is nothing to decide: the server is an ordinary one.
    pub fn check(&self) -> Result<()> {
        if self.target == Target::Latest && self.action != Action::Promote {
            bail_fault!(
                Input,
                "`target_action: {}` needs a target: at the end of the archived WAL a server is promoted", self.action.name();
                "give a target, as `target_time`"
            );
        }
        let comparable = matches!(
            self.target,
            Target::Time(_) | Target::Lsn(_) | Target::Xid(_)
        );
        if self.exclusive && !comparable {
            bail_fault!(
                Input,
                "`target_exclusive` is for a time, a place in the WAL or a transaction"
            );
        }
        Ok(())
    }
}

/// The WAL that a recovery reads: from, and up to, as far as is known.
pub fn wal(
    catalogue: &Catalogue,
    backup: &Backup,
    target: &Target,
) -> (Option<String>, Option<String>) {
    let archived = catalogue.archives.iter().find(|archive| {
        (archive.system_identifier, archive.repository)
            == (backup.system_identifier, backup.repository)
    });
    let until = if target.is_past_backup() {
        archived.and_then(|archive| archive.wal_max.clone())
    } else {
        backup.wal_stop.clone()
    };
    (backup.wal_start.clone(), until)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::backup::{Archive, Kind};
    use crate::fault::Fault;

    fn backup(label: &str, kind: Kind, stop: &str, lsn: &str) -> Backup {
        Backup {
            kind,
            version: "15".into(),
            date_start: stop.parse().unwrap(),
            date_stop: stop.parse().unwrap(),
            wal_start: Some("000000010000000000000003".into()),
            wal_stop: Some("000000010000000000000003".into()),
            lsn_stop: Some(lsn.into()),
            ..crate::backup::sample(label)
        }
    }

    fn catalogue() -> Catalogue {
        Catalogue {
            backups: vec![
                backup("third", Kind::Incr, "2026-11-03T00:00:00Z", "0/9000000"),
                backup("second", Kind::Incr, "2026-11-02T00:00:00Z", "0/6000000"),
                backup("first", Kind::Full, "2026-11-01T00:00:00Z", "0/3000000"),
            ],
            archives: vec![Archive {
                system_identifier: 7,
                repository: 1,
                wal_min: None,
                wal_max: Some("00000001000000000000000A".into()),
            }],
            ..Catalogue::default()
        }
    }

    fn chosen(target: &Target, label: Option<&str>) -> String {
        let now = "2026-11-04T00:00:00Z".parse().unwrap();
        match choose(&catalogue(), Some(7), target, label, now) {
            Ok(backup) => backup.label.clone(),
            Err(error) => Fault::of(&error).unwrap().msg.clone(),
        }
    }

    #[test]
    fn the_backup_before_the_target() {
        let time = |text: &str| Target::time(text).unwrap();
        for (target, label, said) in [
            (Target::Latest, None, "third"),
            (Target::Immediate, Some("first"), "first"),
            (time("2026-11-02 12:00:00+00"), None, "second"),
            // Noon in New York is later.
            (time("2026-11-02T20:00:00-05:00"), None, "third"),
            (time("2026-11-02T00:00:00Z"), None, "second"),
            (Target::lsn("0/8FFFFFF").unwrap(), None, "second"),
            (Target::Xid(7), None, "third"),
            (
                time("2026-10-31 12:00:00+00"),
                None,
                "no backup reaches back to 2026-10-31T12:00:00Z: the oldest one, `first`, ends at 2026-11-01T00:00:00Z (WAL 0/3000000)",
            ),
            (
                time("2026-11-05 12:00:00+00"),
                None,
                "recovery target: 2026-11-05T12:00:00Z is yet to come",
            ),
            (
                Target::Latest,
                Some("fourth"),
                "there is no backup `fourth`",
            ),
            (
                time("2026-11-02 12:00:00+00"),
                Some("third"),
                "backup `third` ends only after the recovery target, 2026-11-02T12:00:00Z",
            ),
        ] {
            assert_eq!(chosen(&target, label), said, "{target:?}");
        }
        let mut catalogue = catalogue();
        let other = choose(
            &catalogue,
            Some(8),
            &Target::Latest,
            None,
            Timestamp::UNIX_EPOCH,
        );
        assert!(other.is_err());
        // What cannot be read is said by name; the others are as good as ever.
        let lost = ("fifth".to_owned(), "backup `fifth` is not known".to_owned());
        catalogue.unreadable = BTreeMap::from([lost]);
        let chosen = |catalogue: &Catalogue, label| {
            let now = "2026-11-04T00:00:00Z".parse().unwrap();
            match choose(catalogue, Some(7), &Target::Latest, label, now) {
                Ok(backup) => backup.label.clone(),
                Err(error) => error.to_string(),
            }
        };
        assert_eq!(chosen(&catalogue, None), "third");
        assert_eq!(
            chosen(&catalogue, Some("fifth")),
            "backup `fifth` is not known"
        );
        catalogue.backups.clear();
        assert!(!catalogue.is_empty());
        assert_eq!(
            chosen(&catalogue, None),
            "there is no backup to restore: backup `fifth` is not known"
        );
    }

    #[test]
    fn what_a_restored_configuration_says() {
        let conf = |text: &str| Conf::parse(text.as_bytes()).unwrap();
        let time = Target::time("2026-11-28 03:44:45.2+00").unwrap();
        let own = "recovery_target = ''\nrecovery_target_time = '2026-11-28 03:44:45.200000+00'\n";
        for (target, text, same) in [
            (&time, own, true),
            (
                &time,
                "recovery_target_time = '2026-11-28 03:44:46.000000+00'",
                false,
            ),
            (&time, "", false),
            (&Target::Latest, "recovery_target_xid = ''", true),
            (&Target::Latest, own, false),
            (&Target::Immediate, "recovery_target = 'immediate'", true),
        ] {
            assert_eq!(target.is_said_by(&conf(text)), same, "{target}: {text}");
        }
    }

    #[test]
    fn what_a_recovery_is_called() {
        let recovery = |exclusive, timeline: Option<&str>| Recovery {
            target: Target::Xid(7),
            exclusive,
            timeline: timeline.map(str::to_owned),
            action: Action::Promote,
        };
        for (recovery, words) in [
            (recovery(false, None), "transaction 7"),
            (
                recovery(true, Some("2")),
                "just before transaction 7 along timeline 2",
            ),
        ] {
            assert_eq!(recovery.to_string(), words);
        }
    }

    #[test]
    fn times_have_zones() {
        let said = |text: &str| match Target::time(text) {
            Ok(target) => target.to_string(),
            Err(error) => Fault::of(&error).unwrap().msg.clone(),
        };
        for (text, read) in [
            ("2026-11-27 20:33:28+01", "2026-11-27T19:33:28Z"),
            ("2026-11-27T20:33:28.5-05:30", "2026-11-28T02:03:28.5Z"),
            ("2026-11-27 20:33:28Z", "2026-11-27T20:33:28Z"),
            (
                "2026-11-27 20:33:28",
                "recovery target: time `2026-11-27 20:33:28` says no zone",
            ),
            (
                "2026-11-27",
                "recovery target: time `2026-11-27` says no zone",
            ),
            ("yesterday", "recovery target: `yesterday` is no time"),
            ("", "recovery target: `` is no time"),
        ] {
            assert_eq!(said(text), read);
        }
    }

    #[test]
    fn places_in_the_wal() {
        for (text, read) in [
            ("0/3000028", Some(0x300_0028)),
            ("1/0", Some(0x1_0000_0000)),
            ("16/B374D848", Some(0x16_B374_D848)),
            ("0", None),
            ("/", None),
            ("0/+1", None),
            ("0/100000000", None),
        ] {
            assert_eq!(lsn(text), read, "{text}");
            if let Some(lsn) = read {
                assert_eq!(shown(lsn), text);
            }
        }
    }

    #[test]
    fn the_wal_that_is_read() {
        let catalogue = catalogue();
        let first = &catalogue.backups[2];
        let known = |target: &Target| wal(&catalogue, first, target).1.unwrap();
        assert_eq!(known(&Target::Latest), "00000001000000000000000A");
        assert_eq!(known(&Target::Immediate), "000000010000000000000003");
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics(text in ".*") {
            let _ = (Target::time(&text), Target::lsn(&text));
        }
    }
}
