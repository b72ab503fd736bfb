//! Units: whether their manager can be reached, and how a server comes up under it.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::Local;
use crate::host::root::{self, Request};
use crate::host::{Command, Look as _, Probe, Unit, Verb, exec};
use crate::pg::postmaster_pid::PostmasterPid;
use crate::{bail_fault, fault};

/// How often a starting server is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// The user's manager answers on a socket of its own; without it systemctl speaks of buses and environment variables.
pub(super) fn session(local: &Local) -> Result<()> {
    let socket = local
        .caller
        .runtime_dir
        .as_ref()
        .map(|directory| directory.join("systemd/private"));
    match socket {
        Some(socket) if local.stat(&socket)?.is_some() => Ok(()),
        _ => Err(Unit::no_session(&local.caller.user)),
    }
}

/// Starts a unit without waiting for its job, and reads what the server writes of itself: the start-up of a
/// server may take longer than we wait, and its unit then goes on without us.
pub(super) fn start(
    local: &Local,
    unit: &Unit,
    datadir: &Utf8Path,
    timeout: Duration,
    logs: &[Utf8PathBuf],
) -> Result<()> {
    let before = exec::sizes(logs);
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    local.service(unit, Verb::Start)?;
    let deadline = Instant::now() + timeout;
    for turn in 1_u32.. {
        if ready(local, unit, datadir)? {
            return Ok(());
        }
        if turn.is_multiple_of(10) && ended(local, unit)? {
            let mut words = exec::gained(logs, &before);
            if words.is_empty() {
                words = journal(local, unit, since);
            }
            let journal = if unit.user {
                "journalctl --user"
            } else {
                "journalctl"
            };
            return Err(fault!(
                Command,
                "unit `{unit}` failed to start\nserver log:\n{words}";
                "`{journal} -u {unit}` and the server's own log say more"
            ));
        }
        if Instant::now() >= deadline {
            bail_fault!(
                Unavailable,
                "the server of unit `{unit}` was not ready after {} seconds; it is still starting", timeout.as_secs();
                "a long recovery may need more time: look into its log ({}), and run this again when it is ready",
                logs.iter().map(|path| path.as_str()).collect::<Vec<_>>().join(", ")
            );
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// The server says so itself, and it is the unit's: a file left by another boot may name any process.
fn ready(local: &Local, unit: &Unit, datadir: &Utf8Path) -> Result<bool> {
    let Some(content) = local.read(&datadir.join("postmaster.pid"))? else {
        return Ok(false);
    };
    let file = PostmasterPid::parse(&content);
    let Some(pid) = file.pid.filter(|_| file.is_ready()) else {
        return Ok(false);
    };
    let groups = local.read(Utf8Path::new(&format!("/proc/{pid}/cgroup")))?;
    Ok(groups.is_some_and(|groups| unit.holds(&groups)))
}

/// The unit neither runs nor has a job that would make it.
fn ended(local: &Local, unit: &Unit) -> Result<bool> {
    let output = local.probe(&Probe::unit(unit.user, &unit.name, "ActiveState,Job"))?;
    let text = output.text();
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
    };
    Ok(matches!(value("ActiveState"), "failed" | "inactive") && matches!(value("Job"), "" | "0"))
}

/// The last lines of the unit in the journal, if we may read them.
fn journal(local: &Local, unit: &Unit, since: u64) -> String {
    if !unit.user
        && let Some(root) = &local.root
    {
        let name = unit.name.clone();
        return root
            .borrow_mut()
            .ask(&Request::Journal { name, since })
            .unwrap_or_default();
    }
    let command = match (unit.user, unit.sudo) {
        (true, _) => Command::new("journalctl").arg("--user"),
        (false, true) => Command::new("sudo").args(["-n", "journalctl"]),
        (false, false) => Command::new("journalctl"),
    };
    let command = command.args(root::journal(&unit.name, since));
    exec::output(&local.caller, &command)
        .map_or_else(|_| String::new(), |output| output.text().trim().to_owned())
}
