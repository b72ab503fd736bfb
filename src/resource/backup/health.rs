//! How the backups of an instance stand: whether WAL is archived, how old the newest backup is, and what the timers did.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::timer::{State, Timer};
use crate::backup::age::ahead;
use crate::backup::{Archiver, Backup, Catalogue, Kind};
use crate::host::{Look, Probe};
use crate::resource::Site;
use crate::resource::instance::target::Target;
use crate::settings::{InstancePaths, Settings};

/// A timer of backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scheduled {
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The unit whose failure is that of the backup.
    pub unit: String,
    /// As systemd writes times.
    pub schedule: String,
    /// It elapses at its times.
    pub active: bool,
    /// The last backup that it began failed.
    pub failed: bool,
    pub next: Option<Timestamp>,
    pub last: Option<Timestamp>,
}

/// What systemd says of a timer and its service; nothing where it does not answer.
fn scheduled(timer: &Timer, calendar: &str, said: &str) -> Scheduled {
    let mut blocks = said.split("\n\n");
    let [timer_says, service_says] = [(); 2].map(|()| blocks.next().unwrap_or_default());
    let value = |block: &str, key: &str| {
        let mut lines = block.lines();
        let found = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.unwrap_or_default().to_owned()
    };
    let time = |key: &str| {
        let text = value(timer_says, key);
        let time = DateTime::strptime("%a %Y-%m-%d %H:%M:%S UTC", text).ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    Scheduled {
        kind: timer.kind,
        unit: timer.service_name(),
        schedule: calendar.to_owned(),
        active: value(timer_says, "ActiveState") == "active",
        failed: value(service_says, "ActiveState") == "failed",
        next: time("NextElapseUSecRealtime"),
        last: time("LastTriggerUSec"),
    }
}

/// The timers of an instance.
pub fn timers(paths: &InstancePaths, site: &Settings, look: &dyn Look) -> Result<Vec<Scheduled>> {
    let Some(systemd) = &site.systemd else {
        return Ok(Vec::new());
    };
    let mut timers = Vec::new();
    for kind in Kind::ALL {
        let timer = Timer {
            kind,
            paths: paths.clone(),
        };
        let file = look.read(&systemd.unit_path.join(timer.name()))?;
        if let Some(calendar) = State::read(file.as_deref()).calendar() {
            let probe = Probe::timer(systemd.user, &timer.name(), &timer.service_name());
            let said = look.probe(&probe).map(|said| said.text());
            timers.push(scheduled(&timer, calendar, &said.unwrap_or_default()));
        }
    }
    Ok(timers)
}

/// How the backups of an instance stand.
#[derive(Debug, Clone, Serialize)]
pub struct Health {
    pub stanza: String,
    /// The newest sound backup of this cluster.
    pub newest: Option<Backup>,
    /// Seconds since it ended.
    pub age: Option<i64>,
    /// None where the server does not run.
    pub archiver: Option<Archiver>,
    pub timers: Vec<Scheduled>,
    /// What is wrong with the repository, in the tool's words.
    pub problems: Vec<String>,
    /// What is to be said of the clocks.
    #[serde(skip)]
    ahead: Option<String>,
    #[serde(skip)]
    newest_by_kind: Vec<(Kind, Timestamp)>,
}

/// Something of an instance that should be in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub sound: bool,
    pub detail: String,
}

/// None where the instance is not backed up.
pub fn health(target: &Target, site: &Site, look: &dyn Look) -> Result<Option<Health>> {
    let Some(tool) = super::tool_of(target, site, look)? else {
        return Ok(None);
    };
    let now: Timestamp = site.now.parse().context("the time of the run")?;
    let cluster = look.system_identifier(&target.paths.datadir)?;
    let archiver = super::archiver(target, look)?;
    // A repository that does not answer is what is to be told, not a reason to tell nothing.
    let looked = match tool.missing(look)? {
        Some(missing) => Err(missing),
        None => tool.glance(look),
    };
    let mut catalogue = looked.unwrap_or_else(|error| Catalogue {
        problems: vec![format!("{error:#}")],
        ..Catalogue::default()
    });
    if catalogue.problems.is_empty() && catalogue.clusters.is_empty() {
        let missing = format!("stanza `{}` is not in its repository", tool.stanza());
        catalogue.problems.push(missing);
    }
    let catalogue = super::of_its_past(catalogue, look, &target.paths.datadir)?;
    let newest = |kind| catalogue.newest(cluster?, kind);
    let of_kind = |kind: Kind| {
        let own = catalogue.backups.iter();
        let mut own =
            own.filter(|backup| Some(backup.system_identifier) == cluster && !backup.error);
        own.find(|backup| backup.kind == kind)
            .map(|backup| (kind, backup.date_stop))
    };
    Ok(Some(Health {
        stanza: tool.stanza().to_owned(),
        age: newest(Kind::Incr).map(|backup| now.duration_since(backup.date_stop).as_secs()),
        newest: newest(Kind::Incr).cloned(),
        ahead: newest(Kind::Incr).and_then(|backup| ahead(backup, now)),
        archiver,
        timers: timers(&target.paths, &site.settings, look)?,
        newest_by_kind: Kind::ALL.into_iter().filter_map(of_kind).collect(),
        problems: catalogue.complaints().cloned().collect(),
    }))
}

impl Health {
    /// What `instance status` tells.
    pub fn parts(&self) -> Vec<Part> {
        let part = |name: &str, sound, detail| Part {
            name: name.to_owned(),
            sound,
            detail,
        };
        let mut parts = Vec::new();
        if let Some(archiver) = &self.archiver {
            parts.push(part(
                "archiving",
                !archiver.is_failing(),
                archived(archiver),
            ));
        }
        let newest = match (&self.newest, self.age) {
            (Some(backup), Some(age)) => format!(
                "newest {} ({}), {} old",
                backup.label,
                backup.kind.name(),
                // Seconds of an age of hours say nothing.
                in_words(age)
            ),
            _ => format!("none in stanza `{}` yet", self.stanza),
        };
        parts.push(match (self.problems.first(), &self.ahead) {
            (Some(_), _) => part("backups", false, self.problems.join("; ")),
            (None, Some(ahead)) => part("backups", false, ahead.clone()),
            (None, None) => part("backups", true, newest),
        });
        for timer in &self.timers {
            let time =
                |time: Option<Timestamp>| time.map_or("none".to_owned(), |at| at.to_string());
            let state = match (timer.failed, timer.active) {
                (true, _) => "failed",
                (false, true) => "waiting",
                (false, false) => "not active",
            };
            let detail = format!(
                "{state} ({}; last {}, next {})",
                timer.schedule,
                time(timer.last),
                time(timer.next)
            );
            parts.push(part(&timer.unit, !timer.failed && timer.active, detail));
        }
        parts
    }
}

fn archived(archiver: &Archiver) -> String {
    if archiver.archive_mode == "off" {
        return "off (`archive_mode`): apply the instance again, and restart it".to_owned();
    }
    if archiver.in_recovery && archiver.archive_mode != "always" {
        return "none, since the server is in recovery".to_owned();
    }
    let last = match (&archiver.last_archived_wal, &archiver.last_archived_time) {
        (Some(wal), Some(time)) => format!("last archived {wal} at {time}"),
        _ => "nothing archived yet".to_owned(),
    };
    let queue = archiver.queue;
    if archiver.failing {
        let failed = archiver.last_failed_wal.as_deref().unwrap_or("?");
        let at = archiver.last_failed_time.as_deref().unwrap_or("?");
        format!("failing: {failed} at {at}; {last}; {queue} files wait")
    } else {
        format!("{last}; {queue} files wait")
    }
}

/// An age in its largest unit.
fn in_words(seconds: i64) -> String {
    let age = SignedDuration::from_secs(seconds.max(0));
    let (minutes, hours) = (age.as_mins(), age.as_hours());
    match hours {
        0 => format!("{minutes} min"),
        1..=47 => format!("{hours} h"),
        _ => format!("{} d", hours / 24),
    }
}

/// A metric: its name, what it says, and its samples (more labels, value).
type Metric = (
    &'static str,
    &'static str,
    fn(&Health) -> Vec<(String, i64)>,
);

const METRICS: &[Metric] = &[
    (
        "pgsocle_backup_newest_timestamp_seconds",
        "When the newest sound backup of a type ended, in seconds since 1970.",
        |health| {
            let newest = health.newest_by_kind.iter();
            let sample = |(kind, time): &(Kind, Timestamp)| (of_type(*kind), time.as_second());
            newest.map(sample).collect()
        },
    ),
    (
        "pgsocle_backup_archive_failing",
        "Whether the last attempt to archive WAL failed, or WAL is not archived at all.",
        |health| {
            let archiver = health.archiver.iter();
            archiver
                .map(|archiver| (String::new(), archiver.is_failing().into()))
                .collect()
        },
    ),
    (
        "pgsocle_backup_archive_queue_files",
        "How many WAL files wait to be archived.",
        |health| {
            let archiver = health.archiver.iter();
            archiver
                .map(|archiver| (String::new(), archiver.queue.try_into().unwrap_or(i64::MAX)))
                .collect()
        },
    ),
    (
        "pgsocle_backup_repository_problems",
        "How many things are wrong with the repository, or keep it from being looked into.",
        |health| {
            let count = health.problems.len();
            vec![(String::new(), count.try_into().unwrap_or(i64::MAX))]
        },
    ),
    (
        "pgsocle_backup_timer_failed",
        "Whether the last backup that a timer began failed.",
        |health| {
            let timers = health.timers.iter();
            timers
                .map(|timer| (of_type(timer.kind), timer.failed.into()))
                .collect()
        },
    ),
];

fn of_type(kind: Kind) -> String {
    format!(",type=\"{}\"", kind.name())
}

/// What the textfile collector of the Prometheus node exporter reads; for each instance its name.
pub fn metrics(all: &[(String, Health)]) -> String {
    let mut text = String::new();
    for (name, help, samples) in METRICS {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        for (instance, health) in all {
            for (labels, value) in samples(health) {
                let stanza = &health.stanza;
                let _ = writeln!(
                    text,
                    "{name}{{instance=\"{instance}\",stanza=\"{stanza}\"{labels}}} {value}"
                );
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::samples;

    fn timer() -> Timer {
        Timer {
            kind: Kind::Incr,
            paths: samples::paths(15),
        }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// As systemd 252 prints it.
    #[test]
    fn what_systemd_says() {
        let said = "NextElapseUSecRealtime=Sat 2026-11-28 00:36:10 UTC\nLastTriggerUSec=Fri 2026-11-27 00:36:10 UTC\n\
                    Result=success\nActiveState=active\n\nResult=exit-code\nActiveState=failed\n";
        let all = scheduled(&timer(), "daily", said);
        assert_eq!(
            all,
            Scheduled {
                kind: Kind::Incr,
                unit: "pgsocle-backup-incr@15-main.service".to_owned(),
                schedule: "daily".to_owned(),
                active: true,
                failed: true,
                next: Some(time("2026-11-28T00:36:10Z")),
                last: Some(time("2026-11-27T00:36:10Z")),
            }
        );
        for said in [
            "",
            "NextElapseUSecRealtime=\nLastTriggerUSec=n/a\nActiveState=inactive\n\nActiveState=inactive\n",
        ] {
            let none = scheduled(&timer(), "daily", said);
            assert_eq!((none.next, none.last), (None, None));
            assert!(!none.active && !none.failed);
        }
    }

    fn health() -> Health {
        Health {
            stanza: "app".to_owned(),
            newest: None,
            age: None,
            archiver: Some(Archiver {
                last_archived_wal: Some("000000010000000000000003".to_owned()),
                last_archived_time: Some("2026-11-27T18:00:00+00:00".to_owned()),
                ..Archiver::default()
            }),
            timers: vec![scheduled(
                &timer(),
                "daily",
                "ActiveState=active\n\nActiveState=failed\n",
            )],
            problems: Vec::new(),
            ahead: None,
            newest_by_kind: vec![(Kind::Full, Timestamp::from_second(1_795_811_614).unwrap())],
        }
    }

    fn told(health: &Health) -> String {
        let line = |part: Part| format!("{} {}: {}\n", part.sound, part.name, part.detail);
        health.parts().into_iter().map(line).collect()
    }

    #[test]
    fn what_status_tells() {
        let mut health = health();
        insta::assert_snapshot!(told(&health), @r"
        true archiving: last archived 000000010000000000000003 at 2026-11-27T18:00:00+00:00; 0 files wait
        true backups: none in stanza `app` yet
        false pgsocle-backup-incr@15-main.service: failed (daily; last none, next none)
        ");
        let archiver = health.archiver.as_mut().unwrap();
        archiver.archive_mode = "off".to_owned();
        let first = health.parts().remove(0);
        let off = "off (`archive_mode`): apply the instance again, and restart it";
        assert_eq!((first.sound, first.detail.as_str()), (false, off));
        let archiver = health.archiver.as_mut().unwrap();
        archiver.archive_mode = "on".to_owned();
        archiver.in_recovery = true;
        let first = health.parts().remove(0);
        let recovering = "none, since the server is in recovery";
        assert_eq!((first.sound, first.detail.as_str()), (true, recovering));
        let archiver = health.archiver.as_mut().unwrap();
        archiver.in_recovery = false;
        archiver.failing = true;
        archiver.last_failed_wal = Some("000000010000000000000004".to_owned());
        archiver.last_failed_time = Some("2026-11-27T18:05:00+00:00".to_owned());
        archiver.queue = 3;
        health.timers.clear();
        health.ahead = Some("backup `L` ends 61 s from now".to_owned());
        assert_eq!(health.parts()[1].detail, "backup `L` ends 61 s from now");
        health.problems = vec!["repository 1: permission denied".to_owned()];
        insta::assert_snapshot!(told(&health), @r"
        false archiving: failing: 000000010000000000000004 at 2026-11-27T18:05:00+00:00; last archived 000000010000000000000003 at 2026-11-27T18:00:00+00:00; 3 files wait
        false backups: repository 1: permission denied
        ");
    }

    #[test]
    fn ages() {
        for (seconds, words) in [
            (0, "0 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (172_799, "47 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(in_words(seconds), words);
        }
    }

    #[test]
    fn what_prometheus_reads() {
        insta::assert_snapshot!(metrics(&[("15/main".to_owned(), health())]), @r#"
        # HELP pgsocle_backup_newest_timestamp_seconds When the newest sound backup of a type ended, in seconds since 1970.
        # TYPE pgsocle_backup_newest_timestamp_seconds gauge
        pgsocle_backup_newest_timestamp_seconds{instance="15/main",stanza="app",type="full"} 1795811614
        # HELP pgsocle_backup_archive_failing Whether the last attempt to archive WAL failed, or WAL is not archived at all.
        # TYPE pgsocle_backup_archive_failing gauge
        pgsocle_backup_archive_failing{instance="15/main",stanza="app"} 0
        # HELP pgsocle_backup_archive_queue_files How many WAL files wait to be archived.
        # TYPE pgsocle_backup_archive_queue_files gauge
        pgsocle_backup_archive_queue_files{instance="15/main",stanza="app"} 0
        # HELP pgsocle_backup_repository_problems How many things are wrong with the repository, or keep it from being looked into.
        # TYPE pgsocle_backup_repository_problems gauge
        pgsocle_backup_repository_problems{instance="15/main",stanza="app"} 0
        # HELP pgsocle_backup_timer_failed Whether the last backup that a timer began failed.
        # TYPE pgsocle_backup_timer_failed gauge
        pgsocle_backup_timer_failed{instance="15/main",stanza="app",type="incr"} 1
        "#);
    }
}
