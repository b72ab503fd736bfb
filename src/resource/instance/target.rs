//! An instance that is addressed, with everything that follows from the site settings.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::bail_fault;
use crate::host::{FileKind, Look, Server, Unit};
use crate::journal;
use crate::manager::{Manager, Manner, is_temporary, log_place};
use crate::pg::guc;
use crate::pg::postmaster_pid::{PostmasterPid, is_server};
use crate::pg::version::Major;
use crate::plan::Step;
use crate::resource::instance::directory::{NEW_INSIDE, is_mountpoint, staging};
use crate::resource::instance::reading::Reading;
use crate::resource::instance::record::{self, Adopted};
use crate::resource::instance::{condition, mounts};
use crate::settings::InstancePaths;
use crate::settings::Settings;

/// The port of a server whose configuration names none.
pub const DEFAULT_PORT: u16 = 5432;

#[derive(Debug, Clone)]
pub struct Target {
    pub paths: InstancePaths,
    pub bindir: Utf8PathBuf,
    pub manager: Manager,
    /// The superuser role.
    pub surole: String,
    /// Where it lies, when others made it.
    pub adopted: Option<Adopted>,
    /// The data or WAL directory where it is a mount point: it can be emptied, but neither renamed nor removed.
    pub mountpoints: Vec<Utf8PathBuf>,
    /// The site's command that prints a password, filled in for this instance.
    pub password_command: Vec<String>,
    /// Whether it is protected against deletion unless it says otherwise.
    pub protected_by_default: bool,
    /// How long this run waits for the server, and how it stops it.
    pub manner: Manner,
    /// Whether its unit is to start it at boot; none: that is left as it is.
    pub boot: Option<bool>,
    /// How long a server is waited for that is just starting or stopping; none: it is taken as it is.
    pub patience: Duration,
}

/// Who starts and stops it: whoever did before it was adopted.
fn manager(
    site: &Settings,
    look: &dyn Look,
    paths: &InstancePaths,
    adopted: Option<&Adopted>,
) -> Manager {
    let Some(adopted) = adopted else {
        return Manager::new(site, paths);
    };
    let Some(name) = adopted.unit.clone() else {
        // Whether postgresql-common's start at boot is said in their start.conf: they get no unit of ours.
        return if adopted.is_packaged() {
            Manager::None
        } else {
            Manager::new(site, paths)
        };
    };
    let caller = look.caller();
    let sudo = site.systemd.as_ref().is_some_and(|systemd| systemd.sudo);
    let allowed = caller.root || caller.uid == 0 || sudo;
    Manager::Foreign {
        unit: Unit {
            name,
            user: false,
            sudo,
        },
        allowed,
    }
}

/// A server that runs, as its postmaster.pid says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub pid: i32,
    pub server: Server,
    /// Started by a run for its own time, and still there: that run is at work, or was killed.
    pub temporary: bool,
    /// It accepts connections: it is neither starting (which is recovery, perhaps long) nor stopping.
    pub ready: bool,
}

/// Another program that has the number in a stale `postmaster.pid` by now. A server takes it for one that runs already, and
/// does not start (`CreateLockFile` in miscinit.c).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistaken {
    pub pid: i32,
    /// Processes of a server that was killed, still at work in the data directory.
    pub workers: Vec<i32>,
}

impl Target {
    /// An instance that there is, or may be. An adopted one whose cluster is gone, or is another one by now, is refused.
    pub fn new(site: &Settings, look: &dyn Look, version: Major, name: &str) -> Result<Self> {
        let target = Self::recorded(site, look, version, name)?;
        if let Some(adopted) = &target.adopted {
            adopted.verify(look)?;
        }
        Ok(target)
    }

    /// The same, whatever lies at its place: for lists, and for letting go of it.
    pub fn recorded(site: &Settings, look: &dyn Look, version: Major, name: &str) -> Result<Self> {
        let (paths, adopted) = record::paths(look, site, version, name)?;
        Self::at(site, look, paths, adopted)
    }

    /// An instance that lies here.
    pub fn at(
        site: &Settings,
        look: &dyn Look,
        paths: InstancePaths,
        adopted: Option<Adopted>,
    ) -> Result<Self> {
        let version = paths.version;
        let mut bindir = None;
        let candidates = site.bindirs(version);
        for candidate in &candidates {
            if look.stat(&candidate.join("postgres"))?.is_some() {
                bindir = Some(candidate.clone());
                break;
            }
        }
        let bindir = bindir
            .or_else(|| candidates.first().cloned())
            .unwrap_or_default();
        let surole = site.postgresql.surole.name.clone();
        let mut mountpoints: Vec<Utf8PathBuf> = Vec::new();
        for path in [&paths.datadir, &paths.waldir] {
            if is_mountpoint(look, path)? {
                mountpoints.push(path.clone());
            }
        }
        let fill = |word: &String| {
            word.replace("{instance}", &paths.to_string())
                .replace("{role}", &surole)
        };
        Ok(Self {
            password_command: site
                .postgresql
                .auth
                .password_command
                .iter()
                .map(fill)
                .collect(),
            manager: manager(site, look, &paths, adopted.as_ref()),
            adopted,
            manner: Manner::default(),
            boot: None,
            patience: Duration::ZERO,
            bindir,
            mountpoints,
            protected_by_default: site.deletion_protection,
            surole: surole.clone(),
            paths,
        })
    }

    /// What postgresql-common's start.conf says of it: `auto`, `manual` or `disabled`.
    pub fn start_conf(&self, look: &dyn Look) -> Result<Option<String>> {
        let Some(adopted) = &self.adopted else {
            return Ok(None);
        };
        let content = look.read(&adopted.config_file.with_file_name("start.conf"))?;
        Ok(content.and_then(|content| {
            let text = String::from_utf8_lossy(&content).into_owned();
            let mut lines = text.lines().filter_map(|line| {
                let word = line.split('#').next().unwrap_or_default().trim();
                (!word.is_empty()).then(|| word.to_owned())
            });
            lines.next()
        }))
    }

    /// How to talk to the server when it listens here.
    pub fn server(&self, socket_directory: &Utf8Path, port: u16) -> Server {
        Server {
            socket_directory: socket_directory.into(),
            port,
            user: self.surole.clone(),
            passfile: self.paths.passfile.clone(),
            password_command: self.password_command.clone(),
        }
    }

    /// The server, if it runs: where it really listens, whatever its configuration says by now. A run that needs an
    /// answer of it waits while it starts or stops.
    pub fn running(&self, look: &dyn Look) -> Result<Option<Running>> {
        let mut running = self.running_now(look)?;
        if self.patience.is_zero() || running.as_ref().is_none_or(|running| running.ready) {
            return Ok(running);
        }
        let settled = look.patiently(self.patience, &mut || {
            running = self.running_now(look)?;
            Ok(running.as_ref().is_none_or(|running| running.ready))
        })?;
        if !settled {
            bail_fault!(
                Underway,
                "instance `{}` does not accept connections yet, after {} seconds: it is still starting or stopping", self.paths, self.patience.as_secs();
                "recovery goes on by itself, its log ({}) tells how far it is; run this again when it is through, or with a longer timeout", log_place(&self.paths)
            );
        }
        Ok(running)
    }

    fn running_now(&self, look: &dyn Look) -> Result<Option<Running>> {
        let datadir = &self.paths.datadir;
        let content = look
            .read(&datadir.join("postmaster.pid"))
            .map_err(|error| condition::unreadable(look, datadir, error))?;
        let Some(content) = content else {
            return Ok(None);
        };
        let file = PostmasterPid::parse(&content);
        let Some(pid) = file.pid else { return Ok(None) };
        if !look.alive(pid) || !self.is_own(look, pid) {
            return Ok(None);
        }
        let ready = file.is_ready();
        let port = file.port.unwrap_or(DEFAULT_PORT);
        let socket = file
            .socket_directory
            .filter(|directory| !directory.is_empty());
        let socket = socket.map_or_else(|| self.paths.socket_directory.clone(), Utf8PathBuf::from);
        Ok(Some(Running {
            pid,
            server: self.server(&socket, port),
            temporary: look
                .read(&self.paths.datadir.join("postmaster.opts"))?
                .is_some_and(|opts| is_temporary(&String::from_utf8_lossy(&opts))),
            ready,
        }))
    }

    /// What a stale `postmaster.pid` does to a start; none when there is no such file, or its process is gone, which the
    /// server sees by itself.
    pub fn mistaken(&self, look: &dyn Look) -> Result<Option<Mistaken>> {
        let Some(content) = look.read(&self.paths.datadir.join("postmaster.pid"))? else {
            return Ok(None);
        };
        let Some(pid) = PostmasterPid::parse(&content).pid else {
            return Ok(None);
        };
        if !look.alive(pid) || self.is_own(look, pid) {
            return Ok(None);
        }
        let mut workers = Vec::new();
        for name in look.list("/proc".into())?.unwrap_or_default() {
            if let Ok(worker) = name.parse()
                && let Ok(Some(directory)) =
                    look.link(&Utf8PathBuf::from(format!("/proc/{name}/cwd")))
                && self.is_datadir(look, &directory)
            {
                workers.push(worker);
            }
        }
        Ok(Some(Mistaken { pid, workers }))
    }

    /// A stale file may name a process that is another one by now: a server works in its data directory. Where that may
    /// not be seen (a server in a user namespace of its own, a hardened host), the name of the process must do.
    fn is_own(&self, look: &dyn Look, pid: i32) -> bool {
        let process = Utf8PathBuf::from(format!("/proc/{pid}"));
        // Another user's; of one that may not be looked at, the directory is root's (proc(5)).
        let uid = look.caller().uid;
        if matches!(look.stat(&process), Ok(Some(stat)) if ![0, uid].contains(&stat.uid)) {
            return false;
        }
        match look.link(&process.join("cwd")) {
            Ok(directory) => directory.is_some_and(|found| self.is_datadir(look, &found)),
            Err(_) => look
                .read(&process.join("comm"))
                .is_ok_and(|name| name.as_deref().is_some_and(is_server)),
        }
    }

    fn is_datadir(&self, look: &dyn Look, found: &Utf8Path) -> bool {
        let same = |a: &Utf8Path, b: &Utf8Path| match (
            look.stat(&a.join("PG_VERSION")),
            look.stat(&b.join("PG_VERSION")),
        ) {
            (Ok(Some(a)), Ok(Some(b))) => a == b,
            _ => false,
        };
        found == self.paths.datadir || same(found, &self.paths.datadir)
    }

    /// Where the server will listen, with these values of its parameters.
    pub fn configured(&self, values: &BTreeMap<String, String>) -> Server {
        let port = values
            .get("port")
            .and_then(|port| port.parse().ok())
            .unwrap_or(DEFAULT_PORT);
        let sockets = values.get("unix_socket_directories");
        let sockets = sockets.map(String::as_str).unwrap_or_default();
        let socket = guc::split_list(sockets)
            .into_iter()
            .find(|directory| directory.starts_with('/'));
        let socket = socket.map_or_else(|| self.paths.socket_directory.clone(), Utf8PathBuf::from);
        self.server(&socket, port)
    }

    /// The same for the configuration on disk.
    pub fn configured_on_disk(&self, look: &dyn Look) -> Result<Server> {
        Ok(self.configured(&Reading::in_view(look, &self.paths)?.values()))
    }

    /// What a server says before its own log is open.
    pub fn start_log(&self) -> Utf8PathBuf {
        self.paths.start_log.clone()
    }

    /// Where a new directory is made: beside its place, or in it when it is a mount point.
    pub fn place(&self, path: &Utf8PathBuf) -> Utf8PathBuf {
        if self.mountpoints.contains(path) {
            path.join(NEW_INSIDE)
        } else {
            staging(path)
        }
    }

    /// Gives what was made in its place its name.
    pub fn settle(&self, path: &Utf8PathBuf) -> Step {
        let (from, to) = (self.place(path), path.clone());
        if self.mountpoints.contains(path) {
            Step::MoveUp { from, to }
        } else {
            Step::Rename { from, to }
        }
    }

    /// Takes a directory away, or what is in it where it is a mount point.
    pub fn clear(&self, path: &Utf8PathBuf) -> Step {
        let path = path.clone();
        if self.mountpoints.contains(&path) {
            Step::EmptyDir { path }
        } else {
            Step::Remove { path }
        }
    }

    /// The same for one that has not got its name yet.
    pub fn clear_new(&self, path: &Utf8PathBuf) -> Step {
        if self.mountpoints.contains(path) {
            self.clear(path)
        } else {
            self.clear(&staging(path))
        }
    }

    /// The data directory, and that of the WAL where it is not below it.
    pub fn directories(&self) -> Vec<&Utf8PathBuf> {
        let outside = (!self.wal_inside()).then_some(&self.paths.waldir);
        [Some(&self.paths.datadir), outside]
            .into_iter()
            .flatten()
            .collect()
    }

    /// `pg_wal` is a plain directory of the data directory.
    pub fn wal_inside(&self) -> bool {
        self.paths.waldir == self.paths.datadir.join("pg_wal")
    }

    /// The directories above the data and WAL directories that go with them when nothing else is there: `…/15/main`, `…/15`.
    pub fn parents(&self) -> Vec<&Utf8Path> {
        let own = [
            self.paths.name.clone(),
            self.paths.version.to_string(),
            format!("{}-{}", self.paths.version, self.paths.name),
        ];
        let mut parents: Vec<&Utf8Path> = Vec::new();
        for directory in [&self.paths.datadir, &self.paths.waldir] {
            for parent in directory.ancestors().skip(1) {
                if !parent
                    .file_name()
                    .is_some_and(|name| own.iter().any(|own| own == name))
                {
                    break;
                }
                if !parents.contains(&parent) {
                    parents.push(parent);
                }
            }
        }
        parents
    }

    /// Takes those of them away in which nothing is.
    pub fn empty_parents(&self) -> Vec<Step> {
        let step = |path: &Utf8Path| Step::RemoveEmptyDir { path: path.into() };
        self.parents().into_iter().map(step).collect()
    }

    /// A trace that the instance existed: a file system above it that should be mounted, its unit, or a journal that
    /// tells of its creation and of no drop.
    pub fn trace(&self, look: &dyn Look) -> Result<Option<String>> {
        let read = |path: &str| -> Result<String> {
            let content = look.read(path.into())?.unwrap_or_default();
            Ok(String::from_utf8_lossy(&content).into_owned())
        };
        let (fstab, mounts) = (read("/etc/fstab")?, read("/proc/self/mounts")?);
        for path in [&self.paths.datadir, &self.paths.waldir] {
            if let Some(point) = mounts::unmounted(&fstab, &mounts, path) {
                return Ok(Some(format!(
                    "may exist (`{point}` of /etc/fstab is not mounted)"
                )));
            }
        }
        if let Some(file) = self.manager.instance_file()
            && look
                .stat(&file)?
                .is_some_and(|stat| stat.kind == FileKind::File)
        {
            return Ok(Some(format!("existed (its unit has a file `{file}`)")));
        }
        let Some(journal) = look.read(&self.paths.history)? else {
            return Ok(None);
        };
        Ok(match self.told(&journal) {
            Told::Made(time) => Some(format!("existed (created at {time}, says its journal)")),
            Told::Nothing | Told::Begun => None,
        })
    }

    /// A creation was begun and never ended well: what is there may lack what a new instance gets.
    pub fn unfinished(&self, look: &dyn Look) -> Result<bool> {
        Ok(look
            .read(&self.paths.history)?
            .is_some_and(|journal| self.told(&journal) == Told::Begun))
    }

    fn told(&self, journal: &[u8]) -> Told {
        let object = format!("instance {}", self.paths);
        let own = format!(r#""object":"{object}""#);
        let mut told = Told::Nothing;
        let mut dropping: Option<(Value, Told)> = None;
        for line in journal::text(journal).lines() {
            // A journal grows with the instance's life, and most of it is about what lives in it, or of ends that nobody waits
            // for: that is not taken apart.
            let matters = if line.contains(r#""event":"begin""#) {
                let acts = [r#""action":"create""#, r#""action":"drop""#];
                line.contains(&own) && acts.iter().any(|act| line.contains(act))
            } else {
                told == Told::Begun || dropping.is_some()
            };
            if !matters {
                continue;
            }
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let reverted = line["failure"]["reverted"]
                .as_array()
                .is_some_and(|reverted| !reverted.is_empty());
            match line["event"].as_str() {
                Some("begin") => {
                    for change in line["plan"].as_array().into_iter().flatten() {
                        if change["object"] == object.as_str() {
                            match change["action"].as_str() {
                                Some("create") => told = Told::Begun,
                                // Killed in the middle of it, a run has still been told to drop it.
                                Some("drop") => {
                                    let before = std::mem::replace(&mut told, Told::Nothing);
                                    dropping = Some((line["run"].clone(), before));
                                }
                                _ => {}
                            }
                        }
                    }
                }
                Some("failed")
                    if dropping
                        .as_ref()
                        .is_some_and(|(run, _)| *run == line["run"]) =>
                {
                    told = dropping.take().map_or(Told::Nothing, |(_, before)| before);
                }
                // Of the run that began it, or of one on the instance that ended it.
                Some("done")
                    if told == Told::Begun && line["subject"].as_str() == Some(object.as_str()) =>
                {
                    told = Told::Made(line["time"].as_str().unwrap_or_default().to_owned());
                }
                Some("failed") if told == Told::Begun && reverted => told = Told::Nothing,
                _ => {}
            }
        }
        told
    }
}

/// What a journal tells of the creation of its instance.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Begun,
    /// When.
    Made(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::samples;

    #[test]
    fn what_a_journal_tells() {
        let target = samples::target(17);
        let begin = |run: &str, action: &str| {
            format!(
                r#"{{"run":"{run}","subject":"instance 17/main","event":"begin","plan":[{{"action":"{action}","object":"instance 17/main"}}]}}"#
            )
        };
        let end = |run: &str, event: &str| {
            format!(
                r#"{{"run":"{run}","time":"T{run}","subject":"instance 17/main","event":"{event}","failure":{{"reverted":[]}}}}"#
            )
        };
        let made = || Told::Made("T1".into());
        for (lines, told) in [
            (vec![], Told::Nothing),
            (vec![begin("1", "create")], Told::Begun),
            (vec![begin("1", "create"), end("1", "done")], made()),
            (
                vec![begin("1", "create"), end("1", "done"), begin("2", "alter")],
                made(),
            ),
            (
                vec![
                    begin("1", "create"),
                    end("1", "done"),
                    begin("2", "drop"),
                    end("2", "done"),
                ],
                Told::Nothing,
            ),
            // Killed while dropping: nobody waits for its data any more.
            (
                vec![begin("1", "create"), end("1", "done"), begin("2", "drop")],
                Told::Nothing,
            ),
            // A drop that was refused half-way leaves the instance.
            (
                vec![
                    begin("1", "create"),
                    end("1", "done"),
                    begin("2", "drop"),
                    end("2", "failed"),
                ],
                made(),
            ),
        ] {
            assert_eq!(target.told(lines.join("\n").as_bytes()), told, "{lines:?}");
        }
    }
}
