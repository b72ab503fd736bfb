//! When backups are taken by themselves: what is wanted, in systemd's notation of times (systemd.time, "Calendar Events").

use std::collections::BTreeMap;

use anyhow::Result;

use super::Kind;
use crate::bail_fault;

/// What becomes of the timers of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scheduling {
    /// They stay as they are.
    #[default]
    Unmanaged,
    As(Schedule),
    /// They go.
    Ended,
}

/// When backups are taken, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    /// What is said of the instance.
    pub own: BTreeMap<Kind, Timing>,
    /// What the site does with instances of which nothing is said.
    pub site: BTreeMap<Kind, String>,
    /// Somebody has written that down.
    pub site_says: bool,
}

/// When.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timing {
    At(String),
    Never,
}

impl Timing {
    /// `never`, or a time. What the time means is systemd's to say.
    ///
    /// # Errors
    /// When it cannot be a time: it becomes a line of a unit. `key` is where it stands.
    pub fn parse(key: &str, text: &str) -> Result<Self> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("never") {
            return Ok(Self::Never);
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || " *,-./:~_+".contains(c);
        if text.is_empty() || !text.chars().all(plain) {
            bail_fault!(
                Input,
                "`{key}`: `{text}` is no time";
                "write it as systemd does, `daily` or `Sun 02:00`, or `never`"
            );
        }
        Ok(Self::At(text.to_owned()))
    }
}

/// The same time as cron has it, for what it can say.
pub fn crontab(calendar: &str) -> Option<String> {
    let word = match calendar {
        "hourly" => "0 * * * *",
        "daily" => "0 0 * * *",
        "weekly" => "0 0 * * 1",
        "monthly" => "0 0 1 * *",
        _ => "",
    };
    if !word.is_empty() {
        return Some(word.to_owned());
    }
    let mut words = calendar.split(' ').rev();
    let mut clock = words.next()?.split(':');
    let mut number = || clock.next()?.parse::<u8>().ok();
    let (hour, minute) = (number()?, number()?);
    let (mut day, mut weekdays) = ("*".to_owned(), "*".to_owned());
    for word in words {
        if let Some(date) = word.strip_prefix("*-*-") {
            if date != "*" {
                day = date.parse::<u8>().ok()?.to_string();
            }
        } else {
            let known = |name: &str| {
                ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
                    .iter()
                    .any(|day| day.eq_ignore_ascii_case(name))
            };
            weekdays = word.replace("..", "-");
            if !weekdays.split([',', '-']).all(known) {
                return None;
            }
        }
    }
    Some(format!("{minute} {hour} {day} * {weekdays}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings() {
        let at = |text: &str| Some(Timing::At(text.to_owned()));
        for (text, timing) in [
            ("daily", at("daily")),
            (" Sun 02:00 ", at("Sun 02:00")),
            (
                "Mon..Fri *-*-* 04:30:00 Europe/Paris",
                at("Mon..Fri *-*-* 04:30:00 Europe/Paris"),
            ),
            ("never", Some(Timing::Never)),
            ("", None),
            ("daily\nExecStart=/bin/sh", None),
            ("daily; x", None),
            ("100%", None),
        ] {
            assert_eq!(Timing::parse("schedule.full", text).ok(), timing, "{text}");
        }
        assert_eq!(
            Timing::parse("pgbackrest.schedule.full", "at 5 o'clock")
                .unwrap_err()
                .to_string(),
            "`pgbackrest.schedule.full`: `at 5 o'clock` is no time"
        );
    }

    #[test]
    fn as_cron_has_it() {
        for (calendar, cron) in [
            ("daily", Some("0 0 * * *")),
            ("weekly", Some("0 0 * * 1")),
            ("Sun 02:00", Some("0 2 * * Sun")),
            ("Mon..Fri *-*-* 04:30:00", Some("30 4 * * Mon-Fri")),
            ("Mon,Thu 23:05", Some("5 23 * * Mon,Thu")),
            ("*-*-01 03:00", Some("0 3 1 * *")),
            ("02:15", Some("15 2 * * *")),
            ("*:0/15", None),
            ("Someday 02:00", None),
            ("2027-01-01 02:00", None),
            ("02:00 Europe/Paris", None),
        ] {
            assert_eq!(crontab(calendar).as_deref(), cron, "{calendar}");
        }
    }
}
