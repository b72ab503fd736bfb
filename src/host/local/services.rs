//! Units: whether their manager can be reached, and how a server comes up under it.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::Local;
use crate::fault;
use crate::host::root::{self, Request};
use crate::host::{Command, Look, Probe, Unit, Verb, exec};
use crate::pg::postmaster_pid::{PostmasterPid, is_server};
use crate::pg::selinux;

/// How often a starting server is looked at.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

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

/// The server of a data directory, if it runs: what its lock file says. A file left by another boot may name any process.
fn server(local: &Local, datadir: &Utf8Path) -> Result<Option<PostmasterPid>> {
    let Some(content) = local.read(&datadir.join("postmaster.pid"))? else {
        return Ok(None);
    };
    let file = PostmasterPid::parse(&content);
    let runs = file.pid.is_some_and(|pid| {
        local.alive(pid)
            && local
                .read(Utf8Path::new(&format!("/proc/{pid}/comm")))
                .is_ok_and(|name| name.as_deref().is_some_and(is_server))
    });
    Ok(Some(file).filter(|_| runs))
}

/// `pg_ctl start`. When its patience ends before the server is ready, that one goes on: it is not a failure.
pub(super) fn start_server(local: &Local, command: &Command, datadir: &Utf8Path) -> Result<()> {
    let known = server(local, datadir)?;
    let Err(error) = exec::run(&local.caller, command, local.lock.borrow().as_ref()) else {
        return Ok(());
    };
    match server(local, datadir)? {
        Some(now) if known.as_ref().is_none_or(|known| known.pid != now.pid) => {
            if now.is_ready() {
                return Ok(());
            }
            Err(still(
                datadir,
                "starting",
                &format!("{error:#}"),
                &command.logs,
            ))
        }
        _ => Err(error),
    }
}

/// `pg_ctl stop`; nothing where there is no server any more.
pub(super) fn stop_server(local: &Local, command: &Command, datadir: &Utf8Path) -> Result<()> {
    if local.stat(&datadir.join("postmaster.pid"))?.is_none() {
        return Ok(());
    }
    let Err(error) = exec::run(&local.caller, command, local.lock.borrow().as_ref()) else {
        return Ok(());
    };
    if server(local, datadir)?.is_some() {
        return Err(still(
            datadir,
            "stopping",
            &format!("{error:#}"),
            &command.logs,
        ));
    }
    Err(error)
}

/// The time is over, and the server is on its way: it is left alone.
fn still(datadir: &Utf8Path, what: &str, said: &str, logs: &[Utf8PathBuf]) -> anyhow::Error {
    let more = if what == "starting" {
        "a recovery takes the time it takes, and goes on by itself"
    } else {
        "mode smart waits for every session to end, and a last checkpoint takes its time; `--mode fast` cuts sessions; a restart is to be asked for again when it has ended"
    };
    let logs: Vec<&str> = logs.iter().map(|path| path.as_str()).collect();
    fault!(
        Underway,
        "the server in `{datadir}` is still {what}: {said}";
        "{more}; its log ({}) tells how far it is, and a longer `timeout` waits longer", logs.join(", ")
    )
}

/// Starts a unit without waiting for its job, and reads what the server writes of itself: the start-up of a
/// server may take longer than we wait, and its unit then goes on without us.
pub(super) fn start(
    local: &Local,
    unit: &Unit,
    datadir: &Utf8Path,
    timeout: Duration,
    logs: &[Utf8PathBuf],
    port: u16,
) -> Result<()> {
    let before = exec::sizes(logs);
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let mut restarts = None;
    local.service(unit, Verb::Start)?;
    let words = |local: &Local| {
        let words = exec::gained(logs, &before);
        if words.is_empty() {
            journal(local, unit, since)
        } else {
            words
        }
    };
    let journal = if unit.user {
        "journalctl --user"
    } else {
        "journalctl"
    };
    let deadline = Instant::now() + timeout;
    for turn in 1_u32.. {
        // systemd hears of it a moment later: by then nobody should find the unit still starting.
        if ready(local, unit, datadir)? && state(local, unit)?.active != "activating" {
            return Ok(());
        }
        if turn.is_multiple_of(10) {
            let state = state(local, unit)?;
            let restarted = state.restarts > *restarts.get_or_insert(state.restarts);
            let failed = if state.ended() {
                Some((
                    format!("unit `{unit}` failed to start"),
                    format!("`{journal} -u {unit}` and the server's own log say more"),
                ))
            } else if restarted || state.waits_to_restart() {
                Some((
                    format!(
                        "the server of unit `{unit}` ends while it starts, and systemd starts it again and again"
                    ),
                    format!("mend what its log names; `{journal} -u {unit}` says more"),
                ))
            } else {
                None
            };
            if let Some((what, remedy)) = failed {
                let words = words(local);
                let denied = denied(local, unit, &words, datadir, port);
                return Err(fault!(Command, "{what}\nserver log:\n{words}"; "{denied}{remedy}"));
            }
        }
        if Instant::now() >= deadline {
            let said = format!(
                "not ready after {} seconds\nserver log:\n{}",
                timeout.as_secs(),
                words(local)
            );
            return Err(still(datadir, "starting", &said, logs));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// What is said first of a server that a system unit could not start, where SELinux may be why.
fn denied(local: &Local, unit: &Unit, words: &str, datadir: &Utf8Path, port: u16) -> String {
    if unit.user || !(local as &dyn Look).enforces_selinux() {
        return String::new();
    }
    selinux::remedy(words, datadir, port).map_or_else(String::new, |remedy| {
        format!("{remedy}; `ausearch -m AVC -ts recent` shows what was denied, ")
    })
}

/// Stops a unit without waiting for its job. A server that the unit does not know is none of its business.
pub(super) fn stop(
    local: &Local,
    unit: &Unit,
    datadir: &Utf8Path,
    timeout: Duration,
    logs: &[Utf8PathBuf],
) -> Result<()> {
    local.service(unit, Verb::Stop)?;
    let deadline = Instant::now() + timeout;
    loop {
        // Asked of systemd only once the server is gone, which its file tells for less.
        let runs = server(local, datadir)?.is_some_and(|file| is_of(local, unit, &file));
        if !runs && state(local, unit)?.ended() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let said = format!("not ended after {} seconds", timeout.as_secs());
            return Err(still(datadir, "stopping", &said, logs));
        }
        std::thread::sleep(PAUSE);
    }
}

/// The server says so itself, and it is the unit's.
fn ready(local: &Local, unit: &Unit, datadir: &Utf8Path) -> Result<bool> {
    Ok(server(local, datadir)?.is_some_and(|file| file.is_ready() && is_of(local, unit, &file)))
}

/// Whether a server is a process of the unit.
fn is_of(local: &Local, unit: &Unit, file: &PostmasterPid) -> bool {
    let path = format!("/proc/{}/cgroup", file.pid.unwrap_or_default());
    local
        .read(Utf8Path::new(&path))
        .is_ok_and(|groups| groups.is_some_and(|groups| unit.holds(&groups)))
}

/// How a unit stands.
#[derive(Default)]
struct State {
    active: String,
    sub: String,
    job: String,
    restarts: u32,
}

impl State {
    /// It neither runs nor has a job that would make it.
    fn ended(&self) -> bool {
        matches!(self.active.as_str(), "failed" | "inactive")
            && matches!(self.job.as_str(), "" | "0")
    }

    fn waits_to_restart(&self) -> bool {
        self.sub == "auto-restart"
    }
}

fn state(local: &Local, unit: &Unit) -> Result<State> {
    let properties = "ActiveState,SubState,Job,NRestarts";
    let output = local.probe(&Probe::unit(unit.user, &unit.name, properties))?;
    let mut state = State::default();
    for line in output.text().lines() {
        match line.split_once('=') {
            Some(("ActiveState", value)) => value.clone_into(&mut state.active),
            Some(("SubState", value)) => value.clone_into(&mut state.sub),
            Some(("Job", value)) => value.clone_into(&mut state.job),
            Some(("NRestarts", value)) => state.restarts = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    Ok(state)
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
