//! This machine: files, processes, and what `exec` and `sql` reach. The one place where steps become effects.

#![expect(clippy::disallowed_methods, reason = "host/ is where effects live")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use jiff::Timestamp;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use serde_json::Value;

use crate::fault::{Fault, Kind};
use crate::host::root::{Helper, Request, remove_empty_dir};
use crate::host::signals::Signals;
use crate::host::sql::Sessions;
use crate::host::{
    Act, Claim, Command, FileKind, Interruption, Look, Output, Probe, Query, Recorded, Rows, Stat,
    Unit, Verb, exec, files, lock,
};
use crate::plan::{Content, RunAs, Step};
use crate::settings::Caller;
use crate::{bail_fault, fault};

mod services;
mod sudo;

/// The machine as seen by the user who owns the instances.
pub struct Local {
    caller: Caller,
    sessions: Sessions,
    /// The child with root's rights, where one is needed.
    root: Option<RefCell<Helper>>,
    /// Files of root's are written through sudo.
    sudo: bool,
    /// The lock that this run holds, for the programs that it runs.
    lock: RefCell<Option<std::fs::File>>,
    /// What constant probes have said, by their command.
    said: RefCell<HashMap<String, Output>>,
    /// What `scratch` has come to.
    judged: RefCell<Vec<(Judged, Output)>>,
    /// Programs that were not waited for to the end, with what was said of them.
    silent: RefCell<HashMap<Utf8PathBuf, Fault>>,
    signals: Signals,
}

/// Files with their names, and what they were given to.
type Judged = (Vec<(String, Vec<u8>)>, Command);

impl Local {
    pub fn new(caller: Caller, root: Option<RefCell<Helper>>, sudo: bool) -> Self {
        Self {
            caller,
            sessions: Sessions::default(),
            root,
            sudo,
            lock: RefCell::new(None),
            said: RefCell::default(),
            judged: RefCell::default(),
            silent: RefCell::default(),
            signals: Signals::default(),
        }
    }
}

impl Local {
    /// Whoever has not answered once is not asked again: many instances have one repository.
    fn in_time(&self, command: &Command, limit: Duration) -> Result<Output> {
        if let Some(fault) = self.silent.borrow().get(&command.program) {
            return Err(fault.clone().into());
        }
        let said = exec::output_within(&self.caller, command, limit);
        if let Some(fault) = said.as_ref().err().and_then(Fault::of)
            && fault.kind == Kind::Unavailable
        {
            let program = command.program.clone();
            self.silent.borrow_mut().insert(program, fault.clone());
        }
        said
    }
}

/// None for what does not exist; every other error names the path.
fn absent<T>(result: std::io::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(
            fault!(Denied, "{error}"; "the user who owns the instances must be able to read it"),
        ),
        Err(error) => Err(error.into()),
    }
}

/// The content of a file; none when it does not exist.
pub fn read(path: &Utf8Path) -> Result<Option<Vec<u8>>> {
    absent(fs::read(path))
}

/// Whether there is a directory.
pub fn is_directory(path: &Utf8Path) -> bool {
    path.is_dir()
}

impl Look for Local {
    fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        read(path)
    }

    fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>> {
        Ok(absent(fs::symlink_metadata(path))?.map(|metadata| {
            let kind = metadata.file_type();
            Stat {
                kind: if kind.is_dir() {
                    FileKind::Directory
                } else if kind.is_symlink() {
                    FileKind::Symlink
                } else if kind.is_file() {
                    FileKind::File
                } else {
                    FileKind::Other
                },
                mode: metadata.mode() & 0o7777,
                uid: metadata.uid(),
                gid: metadata.gid(),
                device: metadata.dev(),
                modified: metadata.mtime() * 1_000_000 + metadata.mtime_nsec() / 1000,
            }
        }))
    }

    fn list(&self, path: &Utf8Path) -> Result<Option<Vec<String>>> {
        let Some(entries) = absent(fs::read_dir(path))? else {
            return Ok(None);
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(Some(names))
    }

    fn link(&self, path: &Utf8Path) -> Result<Option<Utf8PathBuf>> {
        match fs::read_link(path) {
            Ok(target) => Ok(Utf8PathBuf::from_path_buf(target).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => Ok(None),
            Err(error) => absent(Err(error)),
        }
    }

    fn probe(&self, probe: &Probe) -> Result<Output> {
        let ask = || match probe.limit() {
            Some(limit) => self.in_time(probe.command(), limit),
            None => exec::output(&self.caller, probe.command()),
        };
        if !probe.is_constant() {
            return ask();
        }
        let asked = probe.command().to_string();
        if let Some(said) = self.said.borrow().get(&asked) {
            return Ok(said.clone());
        }
        let said = ask()?;
        self.said.borrow_mut().insert(asked, said.clone());
        Ok(said)
    }

    fn query(&self, queries: &[Query]) -> Result<Vec<Rows>> {
        self.sessions.query(&self.caller, queries)
    }

    /// From /proc/net: asking by binding or connecting would disturb what we look at.
    fn port_taken(&self, port: u16) -> Result<bool> {
        let wanted = format!("{port:04X}");
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            let Some(content) = self.read(Utf8Path::new(table))? else {
                continue;
            };
            let taken = String::from_utf8_lossy(&content)
                .lines()
                .skip(1)
                .any(|line| {
                    let mut fields = line.split_whitespace().skip(1);
                    let local = fields
                        .next()
                        .and_then(|address| address.rsplit_once(':'))
                        .map(|(_, port)| port);
                    // 0A is LISTEN (include/net/tcp_states.h).
                    local == Some(wanted.as_str()) && fields.nth(1) == Some("0A")
                });
            if taken {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn free_space(&self, path: &Utf8Path) -> Result<u64> {
        // What is not there yet will be made below what is.
        let there = path.ancestors().find(|above| above.exists());
        let there = there.unwrap_or(Utf8Path::new("/"));
        let found = nix::sys::statvfs::statvfs(there.as_std_path())
            .with_context(|| format!("the free space at `{there}`"))?;
        Ok(found.blocks_available() * found.fragment_size())
    }

    fn alive(&self, pid: i32) -> bool {
        pid > 0
            && !matches!(
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None),
                Err(nix::errno::Errno::ESRCH)
            )
    }

    /// A lock that this run holds is no other's.
    fn is_locked(&self, path: &Utf8Path) -> Result<bool> {
        let own = self.lock.borrow();
        if let (Some(own), Some(there)) = (own.as_ref(), absent(fs::metadata(path))?) {
            let own = own.metadata()?;
            if (own.dev(), own.ino()) == (there.dev(), there.ino()) {
                return Ok(false);
            }
        }
        lock::is_held(path)
    }

    fn patiently(
        &self,
        timeout: Duration,
        question: &mut dyn FnMut() -> Result<bool>,
    ) -> Result<bool> {
        let deadline = std::time::Instant::now() + timeout;
        loop {
            if question()? {
                return Ok(true);
            }
            if std::time::Instant::now() >= deadline {
                return Ok(false);
            }
            std::thread::sleep(services::PAUSE);
        }
    }

    /// Asked of the kernel, as the server asks for `samehost` and `samenet` (`pg_foreach_ifaddr`).
    fn networks(&self) -> Result<Vec<(IpAddr, IpAddr)>> {
        let address = |storage: SockaddrStorage| match (
            storage.as_sockaddr_in(),
            storage.as_sockaddr_in6(),
        ) {
            (Some(address), _) => Some(IpAddr::from(address.ip())),
            (_, Some(address)) => Some(IpAddr::from(address.ip())),
            _ => None,
        };
        let all = getifaddrs().context("list the addresses of this host")?;
        Ok(all
            .filter_map(|own| Some((address(own.address?)?, address(own.netmask?)?)))
            .collect())
    }

    fn memory(&self) -> Result<u64> {
        let content = fs::read_to_string("/proc/meminfo")?;
        let kilobytes = content
            .lines()
            .find_map(|line| {
                line.strip_prefix("MemTotal:")?
                    .trim()
                    .strip_suffix(" kB")?
                    .trim()
                    .parse::<u64>()
                    .ok()
            })
            .context("no MemTotal in /proc/meminfo")?;
        Ok(kilobytes * 1024)
    }

    /// A run looks twice, and is mostly told the same: the same files are judged once.
    fn scratch(&self, files: &[(&str, Vec<u8>)], command: &Command) -> Result<Output> {
        let asked = files
            .iter()
            .map(|(name, content)| ((*name).to_owned(), content.clone()));
        let asked = (asked.collect(), command.clone());
        let judged = |(known, _): &&(Judged, Output)| *known == asked;
        if let Some((_, verdict)) = self.judged.borrow().iter().find(judged) {
            return Ok(verdict.clone());
        }
        // What is staged may hold secrets (`primary_conninfo`).
        let directory = tempfile::Builder::new()
            .prefix(".pgsocle-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()
            .context("make a private temporary directory")?;
        for (name, content) in files {
            let path = directory.path().join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, content)?;
        }
        let path = directory.path().to_string_lossy().into_owned();
        let mut command = command.clone();
        for argument in &mut command.arguments {
            *argument = argument.replace("{}", &path);
        }
        let mut output = exec::output(&self.caller, &command)?;
        for stream in [&mut output.stdout, &mut output.stderr] {
            *stream = String::from_utf8_lossy(stream)
                .replace(&path, "{}")
                .into_bytes();
        }
        self.judged.borrow_mut().push((asked, output.clone()));
        Ok(output)
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Act for Local {
    fn perform(&self, step: &Step) -> Result<()> {
        match step {
            Step::MakeDir {
                path,
                mode,
                run_as: RunAs::Root,
            } => self.make_dir_by_root(path, *mode),
            Step::MakeDir {
                path,
                mode,
                run_as: RunAs::Sysuser,
            } => files::make_dir(path, *mode),
            Step::WriteFile {
                path,
                content,
                mode,
            } => files::write(path, content, *mode),
            Step::Passwords {
                path,
                before,
                after,
            } => files::change_passwords(path, before, after),
            Step::Symlink { path, target } => files::symlink(path, target),
            Step::RenameIfExists { from, .. } if !from.exists() => Ok(()),
            Step::Rename { from, to } | Step::RenameIfExists { from, to } => {
                files::rename(from, to)
            }
            Step::PutBack { path, aside, gone } => files::put_back(path, aside, gone),
            Step::Remove { path } => files::remove(path),
            Step::MoveUp { from, to } => files::move_up(from, to),
            Step::EmptyDir { path } => {
                let mut names = self.list(path)?.unwrap_or_default();
                names.sort_by_key(|name| name.starts_with("pgsocle-"));
                for name in names {
                    files::remove(&path.join(name))?;
                }
                Ok(())
            }
            Step::RemoveEmptyDir { path } => remove_empty_dir(path),
            Step::Run(command) => exec::run(&self.caller, command, self.lock.borrow().as_ref()),
            Step::RunIfExists { path, command } => {
                if path.exists() {
                    exec::run(&self.caller, command, self.lock.borrow().as_ref())
                } else {
                    Ok(())
                }
            }
            Step::Record { steps, into } => self.record(steps, into),
            Step::StartServer { command, datadir } => {
                services::start_server(self, command, datadir)
            }
            Step::StopServer { command, datadir } => services::stop_server(self, command, datadir),
            Step::Sql {
                server,
                database,
                statements,
                outside_transaction,
            } => self.sessions.execute(
                &self.caller,
                server,
                database,
                statements,
                *outside_transaction,
            ),
            Step::Service { unit, verb } => {
                if matches!(verb, Verb::Stop | Verb::Restart) {
                    self.sessions.close();
                }
                self.service(unit, *verb)
            }
            Step::Reload { server, reach } => self.sessions.reload(&self.caller, server, *reach),
            Step::StartUnit {
                unit,
                datadir,
                timeout,
                logs,
                port,
            } => services::start(self, unit, datadir, *timeout, logs, *port),
            Step::StopUnit {
                unit,
                datadir,
                timeout,
                logs,
            } => {
                self.sessions.close();
                services::stop(self, unit, datadir, *timeout, logs)
            }
            Step::Tmpfiles { file, user, sudo } => self.tmpfiles(file, *user, *sudo),
            Step::AsRoot(step) => match &self.root {
                Some(root) => by_root(&mut root.borrow_mut(), step),
                None => match self.perform(step) {
                    Err(error) if self.sudo && is_denied(&error) => sudo::perform(self, step),
                    done => done.map_err(for_root),
                },
            },
            Step::Disconnect => {
                self.sessions.close();
                Ok(())
            }
        }
    }

    fn look(&self) -> &dyn Look {
        self
    }

    fn lock_briefly(&self, claim: &Claim) -> Result<lock::Guard> {
        if let Some(parent) = claim.path.parent() {
            files::make_dir(parent, 0o750)?;
        }
        lock::take(claim)
    }

    fn lock(&self, claim: &Claim) -> Result<lock::Guard> {
        let guard = self.lock_briefly(claim)?;
        *self.lock.borrow_mut() = Some(guard.file()?);
        Ok(guard)
    }

    fn heed_signals(&self) -> Result<()> {
        self.signals.heed()
    }

    fn interrupted(&self) -> Option<Interruption> {
        self.signals.interruption()
    }

    fn journal(&self, path: &Utf8Path, line: &Value) -> Result<()> {
        if let Some(parent) = path.parent() {
            files::make_dir(parent, 0o750)?;
        }
        files::append_line(path, &line.to_string())
    }
}

impl Local {
    /// One that the system user may not make itself.
    fn make_dir_by_root(&self, path: &Utf8Path, mode: u32) -> Result<()> {
        match &self.root {
            Some(root) if !below_own(path, self.caller.uid)? => {
                let path = path.to_owned();
                root.borrow_mut().ask(&Request::MakeDir { path, mode })?;
                Ok(())
            }
            _ => files::make_dir(path, mode),
        }
    }

    fn record(&self, steps: &[Step], into: &Utf8Path) -> Result<()> {
        let begun = Timestamp::now();
        let done = steps.iter().try_for_each(|step| self.perform(step));
        let recorded = Recorded {
            begun,
            ended: Timestamp::now(),
            error: done.err().map(|error| format!("{error:#}")),
        };
        let content = Content::Bytes(serde_json::to_vec(&recorded)?);
        files::write(into, &content, 0o600)
    }

    /// Tells a service manager something: the system's through root where we were called as root.
    fn service(&self, unit: &Unit, verb: Verb) -> Result<()> {
        if unit.user {
            services::session(self)?;
        } else if let Some(root) = &self.root {
            let name = unit.name.clone();
            root.borrow_mut().ask(&Request::Service { name, verb })?;
            return Ok(());
        }
        exec::run(&self.caller, &unit.tell(verb), self.lock.borrow().as_ref())
    }

    fn tmpfiles(&self, file: &Utf8Path, user: bool, sudo: bool) -> Result<()> {
        if !user && let Some(root) = &self.root {
            let file = file.to_owned();
            root.borrow_mut().ask(&Request::Tmpfiles { file })?;
            return Ok(());
        }
        let command = match (user, sudo) {
            (true, _) => Command::new("systemd-tmpfiles").arg("--user"),
            (false, true) => Command::new("sudo").args(["-n", "systemd-tmpfiles"]),
            (false, false) => Command::new("systemd-tmpfiles"),
        };
        exec::run(
            &self.caller,
            &command.args(["--create", file.as_str()]),
            self.lock.borrow().as_ref(),
        )
    }
}

/// Whether something was refused for want of a right.
fn is_denied(error: &anyhow::Error) -> bool {
    Fault::told(error).is_some_and(|fault| fault.kind == Kind::Denied)
}

/// What an ordinary user is told of files that are root's.
fn for_root(error: anyhow::Error) -> anyhow::Error {
    if is_denied(&error) {
        fault!(Denied, "{error:#}"; "it is root's: call pgsocle as root (`become: true`), or choose another place in the site settings")
    } else {
        error
    }
}

/// Has root do a step on files.
fn by_root(root: &mut Helper, step: &Step) -> Result<()> {
    let request = match step {
        Step::MakeDir { path, .. } => Request::MakeRootDir { path: path.clone() },
        Step::WriteFile {
            path,
            content: Content::Bytes(content),
            mode,
        } => Request::Write {
            path: path.clone(),
            content: String::from_utf8(content.clone()).context("a file of root's is not UTF-8")?,
            mode: *mode,
        },
        Step::Remove { path } => Request::Remove { path: path.clone() },
        Step::RemoveEmptyDir { path } => Request::RemoveEmptyDir { path: path.clone() },
        other => bail_fault!(Unsupported, "root does not do this: {other}"),
    };
    root.ask(&request)?;
    Ok(())
}

/// Whether what is made there lies in a directory of the user's: below a home even the directories between are the user's own,
/// and root follows no links of others.
fn below_own(path: &Utf8Path, uid: u32) -> Result<bool> {
    for ancestor in path.ancestors() {
        match fs::metadata(ancestor) {
            Ok(metadata) => return Ok(metadata.uid() == uid),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// The number of this process.
pub fn process_id() -> u32 {
    std::process::id()
}
