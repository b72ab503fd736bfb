//! Service units, and how their manager is told.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Command;
use crate::fault;

/// The names of all units of ours begin so.
pub const UNIT_PREFIX: &str = "pgsocle-";

/// Where systemd looks for what is added to units of others (systemd.unit).
pub const SYSTEM_UNITS: &str = "/etc/systemd/system";
/// The name of what we add to one.
pub const HOLD_FILE: &str = "pgsocle-hold.conf";
/// What a unit says that heeds a hold; the path of the file of the hold follows.
pub const HOLD_LINES: &str =
    "# Held by `pgsocle instance hold` while this file is there: it says why.\nAssertPathExists=!";

/// A service unit of the instance's manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub name: String,
    /// The user's manager (`systemctl --user`), not the system's.
    pub user: bool,
    /// Through sudo, as the site settings say.
    pub sudo: bool,
}

impl Unit {
    /// `systemctl` for its manager.
    pub fn systemctl(&self, arguments: &[&str]) -> Command {
        let manager = if self.user { "--user" } else { "--system" };
        let command = if self.sudo {
            Command::new("sudo").args(["-n", "systemctl"])
        } else {
            Command::new("systemctl")
        };
        command.arg(manager).args(arguments.iter().copied())
    }

    /// … telling it something. Neither start nor stop is waited for: see [`crate::plan::Step::StartUnit`].
    pub fn tell(&self, verb: Verb) -> Command {
        match verb {
            Verb::DaemonReload => self.systemctl(&[verb.name()]),
            Verb::Start | Verb::Stop => self.systemctl(&["--no-block", verb.name(), &self.name]),
            _ => self.systemctl(&[verb.name(), &self.name]),
        }
    }

    /// Whether a process is the unit's, by its `/proc/PID/cgroup`.
    pub fn holds(&self, groups: &[u8]) -> bool {
        String::from_utf8_lossy(groups)
            .lines()
            .any(|line| line.split('/').any(|part| part == self.name))
    }

    /// The error when no service manager runs for a user.
    pub fn no_session(user: &str) -> anyhow::Error {
        fault!(
            Unavailable,
            "the service manager of user `{user}` does not run, and the site settings want services in it";
            "as root, `loginctl enable-linger {user}` starts it, now and at every boot"
        )
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What a service manager is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    Start,
    Stop,
    Restart,
    Reload,
    /// Reads its configuration again, if it runs.
    TryReload,
    Enable,
    Disable,
    /// Forgets that it failed.
    ResetFailed,
    /// Reads the unit files again.
    DaemonReload,
}

impl Verb {
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::TryReload => "try-reload-or-restart",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::ResetFailed => "reset-failed",
            Self::DaemonReload => "daemon-reload",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_a_unit() {
        let unit = "pgsocle-postgresql@15-main.service";
        let known = Unit {
            name: unit.to_owned(),
            user: true,
            sudo: false,
        };
        let slice = r"app-pgsocle\x2dpostgresql.slice";
        for (groups, own) in [
            (
                format!(
                    "0::/user.slice/user-101.slice/user@101.service/app.slice/{slice}/{unit}\n"
                ),
                true,
            ),
            (
                format!("12:pids:/\n1:name=systemd:/system.slice/{unit}\n"),
                true,
            ),
            (
                "0::/user.slice/user-101.slice/session-1.scope\n".to_owned(),
                false,
            ),
            (format!("0::/system.slice/x{unit}\n"), false),
        ] {
            assert_eq!(known.holds(groups.as_bytes()), own, "{groups}");
        }
    }

    #[test]
    fn words_for_a_manager() {
        for (user, sudo, verb, line) in [
            (
                true,
                false,
                Verb::Stop,
                "systemctl --user --no-block stop x.service",
            ),
            (
                true,
                false,
                Verb::Start,
                "systemctl --user --no-block start x.service",
            ),
            (
                false,
                false,
                Verb::DaemonReload,
                "systemctl --system daemon-reload",
            ),
            (
                false,
                true,
                Verb::Enable,
                "sudo -n systemctl --system enable x.service",
            ),
        ] {
            let unit = Unit {
                name: "x.service".to_owned(),
                user,
                sudo,
            };
            assert_eq!(unit.tell(verb).to_string(), line);
        }
    }
}
