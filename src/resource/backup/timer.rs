//! The units that take backups of an instance: a timer and its service for each kind.

use std::fmt::Write as _;

use camino::Utf8Path;
use serde::Serialize;

use crate::backup::Kind;
use crate::manager::{quoted, unit_name, word};
use crate::settings::{InstancePaths, Settings};

/// How long a backup waits for another one of the instance, in seconds: a day.
const PATIENCE: u32 = 86_400;

/// The backups of one kind, taken by themselves.
#[derive(Debug, Clone)]
pub struct Timer {
    pub kind: Kind,
    pub paths: InstancePaths,
}

/// What a timer's file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum State {
    /// There is none.
    Absent,
    /// None is wanted, whatever the site settings say: systemd calls an empty file masked (systemd.unit).
    Never,
    /// As the site settings say.
    Site(String),
    /// As was said of the instance.
    Own(String),
}

const BY_SITE: &str = "as the site settings say";
const BY_INSTANCE: &str = "as was said of it";

impl State {
    pub fn read(content: Option<&[u8]>) -> Self {
        let Some(content) = content else {
            return Self::Absent;
        };
        let text = String::from_utf8_lossy(content);
        if text.is_empty() {
            return Self::Never;
        }
        let mut times = text
            .lines()
            .filter_map(|line| line.strip_prefix("OnCalendar="));
        let calendar = times.next_back().unwrap_or_default().trim().to_owned();
        if text
            .lines()
            .next()
            .is_some_and(|line| line.contains(BY_SITE))
        {
            Self::Site(calendar)
        } else {
            Self::Own(calendar)
        }
    }

    pub fn calendar(&self) -> Option<&str> {
        match self {
            Self::Absent | Self::Never => None,
            Self::Site(calendar) | Self::Own(calendar) => Some(calendar),
        }
    }
}

/// What a service runs, and as whom.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    pub executable: &'a Utf8Path,
    pub environment: &'a [(String, String)],
    pub site: &'a Settings,
}

impl Timer {
    /// `pgsocle-backup-incr@15-main.timer`
    pub fn name(&self) -> String {
        format!("{}.timer", self.stem())
    }

    pub fn service_name(&self) -> String {
        format!("{}.service", self.stem())
    }

    fn stem(&self) -> String {
        format!(
            "pgsocle-backup-{}@{}",
            self.kind.name(),
            self.paths.qualified_name
        )
    }

    /// The content of its file.
    pub fn content(&self, state: &State) -> Option<String> {
        let (calendar, by) = match state {
            State::Absent => return None,
            State::Never => return Some(String::new()),
            State::Site(calendar) => (calendar, BY_SITE),
            State::Own(calendar) => (calendar, BY_INSTANCE),
        };
        let (kind, paths) = (self.kind.name(), &self.paths);
        Some(format!(
            "# Written by pgsocle for instance {paths}, {by}.\n\
             [Unit]\n\
             Description=Timer of backups ({kind}) of PostgreSQL instance {paths}\n\n\
             [Timer]\n\
             OnCalendar={calendar}\n\
             # Not all instances and hosts at once, and each at a time of its own.\n\
             RandomizedDelaySec=1h\n\
             FixedRandomDelay=true\n\
             # What was due while the host was down is made up for.\n\
             Persistent=true\n\n\
             [Install]\n\
             WantedBy=timers.target\n"
        ))
    }

    /// The command of its service, as words of a command line.
    pub fn command(&self, executable: &str) -> String {
        format!(
            "{executable} instance backup --type={} --lock-timeout={PATIENCE} {}",
            self.kind.name(),
            self.paths
        )
    }

    /// The content of the file of its service.
    pub fn service(&self, program: &Program) -> String {
        let (kind, paths, site) = (self.kind.name(), &self.paths, program.site);
        let mut unit = format!(
            "# Written by pgsocle for instance {paths}.\n\
             [Unit]\n\
             Description=Backup ({kind}) of PostgreSQL instance {paths}\n\
             # Of a server that was stopped there is nothing to back up; one that has crashed leaves this file behind.\n\
             ConditionPathExists={}\n",
            paths
                .datadir
                .join("postmaster.pid")
                .as_str()
                .replace('%', "%%")
        );
        if site.service_manager.is_some() {
            let _ = writeln!(unit, "After={}", unit_name(&paths.qualified_name));
        }
        unit += "\n[Service]\nType=oneshot\n";
        if site.systemd.as_ref().is_some_and(|systemd| !systemd.user) {
            let user = &site.sysuser;
            let _ = writeln!(unit, "User={}\nGroup={}", user.user, user.group);
        }
        for (name, value) in program.environment {
            let assignment = quoted(format!("{name}={value}"));
            let _ = writeln!(unit, "Environment={assignment}");
        }
        let command = self.command(&word(program.executable));
        unit + "ExecStart=" + &command + "\n"
    }
}

/// The executable that a service runs.
pub fn executable(service: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(service);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))?;
    Some(line.split_once(" instance backup ")?.0.to_owned())
}
