//! Whether the service manager can do what is asked of it, and what its user should know.

use anyhow::{Error, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::fault;
use crate::host::{Look, Probe, Unit, Verb};
use crate::manager::Manager;
use crate::plan::Step;
use crate::settings::{Caller, Settings};

/// The service manager as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Systemd {
    pub systemctl: bool,
    pub access: Access,
    pub user: String,
}

/// How we reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// The user's manager: whether it runs, and whether it does so without a session.
    User { runs: bool, lingers: bool },
    /// The system's: as root or through sudo, or not at all.
    System { allowed: bool },
}

impl Systemd {
    /// None where the site's services are not systemd's.
    pub fn observe(look: &dyn Look, site: &Settings) -> Result<Option<Self>> {
        match site.service_manager {
            Some(_) => Self::reached(look, site),
            None => Ok(None),
        }
    }

    /// None where nothing runs at its time by systemd.
    pub fn scheduler(look: &dyn Look, site: &Settings) -> Result<Option<Self>> {
        match site.scheduler {
            Some(_) => Self::reached(look, site),
            None => Ok(None),
        }
    }

    fn reached(look: &dyn Look, site: &Settings) -> Result<Option<Self>> {
        let Some(systemd) = &site.systemd else {
            return Ok(None);
        };
        let exists = |path: &Utf8Path| look.stat(path).map(|stat| stat.is_some());
        let caller = look.caller();
        // Where it usually is, before a process is made to ask.
        let systemctl = exists(Utf8Path::new("/usr/bin/systemctl"))?
            || look.probe(&Probe::systemctl_version()).is_ok();
        let access = if systemd.user {
            Access::User {
                runs: match &caller.runtime_dir {
                    Some(directory) => exists(&directory.join("systemd/private"))?,
                    None => false,
                },
                lingers: lingers(look, &caller.user)?,
            }
        } else {
            Access::System {
                allowed: caller.root || caller.uid == 0 || systemd.sudo,
            }
        };
        Ok(Some(Self {
            systemctl,
            access,
            user: caller.user.clone(),
        }))
    }

    /// What must be mended before a unit can be told anything.
    pub fn missing(&self) -> Option<Error> {
        if !self.systemctl {
            return Some(fault!(
                NotFound,
                "program `systemctl` is not installed, and the site settings have the section `systemd`";
                "remove that section where servers are not run by systemd"
            ));
        }
        match self.access {
            Access::User { runs: false, .. } => Some(Unit::no_session(&self.user)),
            Access::System { allowed: false } => Some(fault!(
                Denied,
                "system units are root's, and the program was called as `{}`", self.user;
                "call it as root (`become: true`), or set `systemd.sudo`, or `systemd.user` for units of the user's own"
            )),
            _ => None,
        }
    }

    /// Whether its user's services neither outlive its sessions nor start at boot.
    pub fn needs_lingering(&self) -> bool {
        matches!(self.access, Access::User { lingers: false, .. })
    }

    /// What should be mended before the next boot.
    pub fn warning(&self) -> Option<String> {
        let user = &self.user;
        match self.access {
            Access::User {
                runs: true,
                lingers: false,
            } => Some(no_lingering(user)),
            _ => None,
        }
    }
}

/// Whether a unit is started at boot; none where systemd does not say, or says something else of it (`masked`).
pub fn starts_at_boot(look: &dyn Look, unit: &Unit) -> Option<bool> {
    let output = look.probe(&Probe::unit(unit.user, &unit.name, "UnitFileState"));
    file_state(&output.ok()?.text())
}

/// The same from what `systemctl show` prints.
fn file_state(text: &str) -> Option<bool> {
    let state = text
        .lines()
        .find_map(|line| line.strip_prefix("UnitFileState="))?;
    match state {
        "enabled" => Some(true),
        // `indirect`: of a template of which another instance is enabled (systemctl).
        "disabled" | "indirect" => Some(false),
        _ => None,
    }
}

/// Why a user of services should linger, and how.
pub fn no_lingering(user: &str) -> String {
    format!(
        "lingering is not enabled for user `{user}`: its servers end with its last session and do not start at boot; \
         as root: `loginctl enable-linger {user}`"
    )
}

/// Whether a shutdown of the host ends the user's manager by force after some time, whatever the units in it say: a server
/// that writes its last checkpoint is killed with it.
pub fn cuts_short(look: &dyn Look, systemd: &Systemd) -> Result<bool> {
    let Access::User { runs: true, .. } = systemd.access else {
        return Ok(false);
    };
    let unit = format!("user@{}.service", look.caller().uid);
    let Ok(output) = look.probe(&Probe::unit(false, &unit, "TimeoutStopUSec")) else {
        return Ok(false);
    };
    let text = output.text();
    Ok(output.success()
        && text
            .lines()
            .any(|line| line.starts_with("TimeoutStopUSec=") && line != "TimeoutStopUSec=infinity"))
}

/// The file by which the role `install` keeps systemd from that.
pub fn stop_file(uid: u32) -> Utf8PathBuf {
    format!("/etc/systemd/system/user@{uid}.service.d/pgsocle.conf").into()
}

/// A unit that is to be started, as far as it is in the way of that; and what threatens the server once it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitState {
    /// Nothing starts it.
    masked: bool,
    /// systemd has given it up.
    limited: bool,
    /// It does not start at boot.
    pub by_hand_only: bool,
    pub warnings: Vec<String>,
}

impl UnitState {
    /// To be asked before a start only: it costs two processes. A new instance has no unit yet.
    pub fn observe(look: &dyn Look, manager: &Manager, new: bool) -> Result<Self> {
        let mut state = Self {
            warnings: Logind::observe(look)?
                .map(|logind| logind.warnings(manager))
                .unwrap_or_default(),
            ..Self::default()
        };
        if let Manager::Systemd { unit, .. } | Manager::Foreign { unit, .. } = manager
            && !new
        {
            let properties = "LoadState,ActiveState,Result,UnitFileState";
            // Where systemctl is missing or its manager does not run, that is said by other means.
            if let Ok(output) = look.probe(&Probe::unit(unit.user, &unit.name, properties)) {
                let text = output.text();
                let is = |line: &str| text.lines().any(|found| found == line);
                state.masked = is("LoadState=masked");
                state.by_hand_only = file_state(&text) == Some(false);
                state.limited = is("ActiveState=failed") && is("Result=start-limit-hit");
            }
        }
        Ok(state)
    }

    /// What must be done before the start; an error where that is the operator's.
    pub fn clear(&self, manager: &Manager) -> Result<Vec<Step>> {
        let (Manager::Systemd { unit, .. } | Manager::Foreign { unit, .. }) = manager else {
            return Ok(Vec::new());
        };
        if self.masked {
            let user = if unit.user { "--user " } else { "" };
            return Err(fault!(
                Conflict,
                "unit `{unit}` is masked: systemd starts it for nobody";
                "somebody did that on purpose; `systemctl {user}unmask {unit}` ends it. Nothing was changed"
            ));
        }
        let unit = unit.clone();
        let verb = Verb::ResetFailed;
        Ok(if self.limited {
            vec![Step::Service { unit, verb }]
        } else {
            Vec::new()
        })
    }
}

/// What logind does to a user's processes and memory when its last session ends (logind.conf).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logind {
    pub remove_ipc: bool,
    pub kill_user_processes: bool,
    pub user: User,
    /// The user whose login session we run in, by number.
    pub session: Option<u32>,
}

/// The user whom servers run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// logind leaves what belongs to a system user alone.
    pub system: bool,
    pub lingers: bool,
}

impl Logind {
    /// None where there is no logind, or it does not answer.
    pub fn observe(look: &dyn Look) -> Result<Option<Self>> {
        if look.stat(Utf8Path::new("/run/systemd/system"))?.is_none() {
            return Ok(None);
        }
        let Ok(output) = look.probe(&Probe::logind()) else {
            return Ok(None);
        };
        if !output.success() {
            return Ok(None);
        }
        let text = output.text();
        let is = |line: &str| text.lines().any(|found| found == line);
        let read = |path: &str| -> Result<String> {
            let content = look.read(Utf8Path::new(path))?.unwrap_or_default();
            Ok(String::from_utf8_lossy(&content).into_owned())
        };
        let caller = look.caller();
        Ok(Some(Self {
            remove_ipc: is("RemoveIPC=yes"),
            kill_user_processes: is("KillUserProcesses=yes"),
            user: User {
                system: is_system(caller, &read("/etc/login.defs")?),
                lingers: lingers(look, &caller.user)?,
            },
            session: session(&read("/proc/self/cgroup")?),
        }))
    }

    /// `RemoveIPC` takes semaphores and shared memory from under a running server.
    pub fn takes_memory(&self) -> bool {
        self.remove_ipc && !self.user.system && !self.user.lingers
    }

    /// What threatens a server that is started now.
    pub fn warnings(&self, manager: &Manager) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.takes_memory() {
            warnings.push(REMOVE_IPC.to_owned());
        }
        if self.kill_user_processes
            && matches!(manager, Manager::None)
            // Root's processes are spared (`KillExcludeUsers`).
            && self.session.is_some_and(|uid| uid != 0)
        {
            warnings.push(format!(
                "the server belongs to this login session, and systemd-logind ends it with the session: {KILL_USER_PROCESSES}"
            ));
        }
        warnings
    }
}

/// What is to be done about `KillUserProcesses=yes`.
pub const KILL_USER_PROCESSES: &str = "set `KillUserProcesses=no` in /etc/systemd/logind.conf, or have systemd run the \
     servers (section `systemd` of the site settings)";

/// What `RemoveIPC=yes` does, and what is to be done about it (documentation, "systemd `RemoveIPC`").
pub const REMOVE_IPC: &str = "systemd-logind removes semaphores and shared memory of the system user, whose number is an \
     ordinary user's, when its last session ends (RemoveIPC=yes), and running servers fail: as root, set `RemoveIPC=no` in \
     /etc/systemd/logind.conf and restart systemd-logind, or have the user linger (`loginctl enable-linger USER`)";

/// Whether a user's services run without a session.
pub fn lingers(look: &dyn Look, user: &str) -> Result<bool> {
    let file = Utf8Path::new(LINGER).join(user);
    Ok(look.stat(&file)?.is_some())
}

/// Where logind keeps who lingers.
pub const LINGER: &str = "/var/lib/systemd/linger";

/// systemd takes the same number from the same file (`uid_is_system` in basic/user-util.c).
fn is_system(caller: &Caller, login_defs: &str) -> bool {
    let highest = login_defs.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("SYS_UID_MAX")).then(|| words.next()?.parse().ok())?
    });
    caller.uid <= highest.unwrap_or(999)
}

/// The user of the login session that a process belongs to, by its `/proc/PID/cgroup`.
fn session(groups: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut parts = line.split('/');
        let user = parts.find_map(|part| {
            part.strip_prefix("user-")?
                .strip_suffix(".slice")?
                .parse()
                .ok()
        })?;
        let scope = |part: &str| {
            part.strip_prefix("session-")
                .is_some_and(|rest| rest.strip_suffix(".scope").is_some())
        };
        parts.any(scope).then_some(user)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_at_boot() {
        for (said, starts) in [
            ("LoadState=loaded\nUnitFileState=enabled\n", Some(true)),
            ("UnitFileState=disabled\n", Some(false)),
            ("UnitFileState=indirect\n", Some(false)),
            ("UnitFileState=masked\n", None),
            ("UnitFileState=\n", None),
            ("", None),
        ] {
            assert_eq!(file_state(said), starts, "{said}");
        }
    }

    #[test]
    fn sessions() {
        for (groups, user) in [
            (
                "0::/user.slice/user-1000.slice/session-3.scope\n",
                Some(1000),
            ),
            (
                "1:name=systemd:/user.slice/user-0.slice/session-c1.scope\n",
                Some(0),
            ),
            (
                "0::/user.slice/user-101.slice/user@101.service/app.slice/x.service\n",
                None,
            ),
            ("0::/system.slice/ssh.service\n", None),
            ("", None),
        ] {
            assert_eq!(session(groups), user, "{groups}");
        }
    }

    fn logind(yes: bool, system: bool, lingers: bool, session: Option<u32>) -> Logind {
        Logind {
            remove_ipc: yes,
            kill_user_processes: yes,
            user: User { system, lingers },
            session,
        }
    }

    #[test]
    fn what_logind_ends() {
        let unit = Manager::Systemd {
            unit: Unit {
                name: "x.service".to_owned(),
                user: true,
                sudo: false,
            },
            unit_path: "/u".into(),
        };
        for (logind, by_hand, by_unit) in [
            (logind(false, false, false, Some(1000)), 0, 0),
            (logind(true, false, false, Some(1000)), 2, 1),
            (logind(true, true, false, Some(1000)), 1, 0),
            (logind(true, false, true, Some(1000)), 1, 0),
            (logind(true, true, true, Some(0)), 0, 0),
            (logind(true, true, true, None), 0, 0),
        ] {
            let counts = [&Manager::None, &unit].map(|manager| logind.warnings(manager).len());
            assert_eq!(counts, [by_hand, by_unit], "{logind:?}");
        }
    }

    #[test]
    fn a_unit_in_the_way() {
        let manager = Manager::Systemd {
            unit: Unit {
                name: "x.service".to_owned(),
                user: true,
                sudo: false,
            },
            unit_path: "/u".into(),
        };
        let state = UnitState {
            masked: true,
            ..UnitState::default()
        };
        let error = state.clear(&manager).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unit `x.service` is masked: systemd starts it for nobody"
        );
        let state = UnitState {
            limited: true,
            ..UnitState::default()
        };
        let steps = state.clear(&manager).unwrap();
        assert_eq!(steps.len(), 1);
        assert_eq!(steps[0].to_string(), "reset-failed x.service");
        assert_eq!(state.clear(&Manager::None).unwrap(), []);
        assert_eq!(UnitState::default().clear(&manager).unwrap(), []);
    }
}
