//! The seam to the machine: what may be read ([`Look`]), and what may be done ([`Act`]).
//!
//! Check mode is given a `&dyn Look` only, so there is no value in the process that could write
//! (docs/decisions/0004-check-mode-by-type.md). The implementations live in `host/`, the only impure code.

pub mod editor;
pub mod exec;
pub mod files;
pub mod local;
pub mod lock;
pub mod process;
pub mod root;
pub mod signals;
pub mod sql;
pub mod tail;
pub mod terminal;
pub mod users;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault;
use crate::pg::controldata;
use crate::plan::Step;
use crate::secret::Text;

/// What kind of thing a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    File,
    Directory,
    Symlink,
    Other,
}

/// What is at a path (links are not followed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Number of the file system it lies on: differs from its parent's on a mount point.
    pub device: u64,
    /// When its content last changed, in microseconds since 1970.
    pub modified: i64,
}

/// An external program with its arguments. Arguments are plain strings: a secret cannot become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub program: Utf8PathBuf,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, Text)>,
    pub stdin: Option<Text>,
    /// An argument whose value is the path of a private file with this content (`initdb --pwfile`).
    pub secret_file: Option<(String, Text)>,
    /// Log files, or directories of them, in which it says why it failed: what they gain meanwhile goes into the error.
    pub logs: Vec<Utf8PathBuf>,
    /// An argument with which it tells how far it is: given when somebody looks at the log.
    pub progress: Option<&'static str>,
}

impl Command {
    pub fn new(program: impl Into<Utf8PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            stdin: None,
            secret_file: None,
            logs: Vec::new(),
            progress: None,
        }
    }

    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    #[must_use]
    pub fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<Text>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program.as_str())?;
        for argument in &self.arguments {
            let plain = !argument.is_empty()
                && argument
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c));
            if plain {
                write!(f, " {argument}")?;
            } else {
                write!(f, " '{}'", argument.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

/// A command that only reads. It can be built by the constructors below only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    command: Command,
    /// It says the same for as long as a run takes: asked once.
    constant: bool,
    /// How long it is waited for.
    limit: Option<Duration>,
}

impl Probe {
    pub fn command(&self) -> &Command {
        &self.command
    }

    pub fn is_constant(&self) -> bool {
        self.constant
    }

    pub fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// The same, an error when it takes longer.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    fn new(command: Command) -> Self {
        Self {
            command,
            constant: false,
            limit: None,
        }
    }

    fn constant(command: Command) -> Self {
        Self {
            constant: true,
            ..Self::new(command)
        }
    }

    /// `postgres --describe-config`: every parameter with its type, unit, context and range; needs no cluster.
    pub fn describe_config(bindir: &Utf8Path) -> Self {
        Self::constant(Command::new(bindir.join("postgres")).arg("--describe-config"))
    }

    /// `postgres -C NAME` with no configuration at all: the built-in value of a parameter.
    pub fn default_value(bindir: &Utf8Path, name: &str) -> Self {
        Self::constant(
            Command::new(bindir.join("postgres"))
                .args(["-D", "/", "-c", "config_file=/dev/null", "-C", name])
                .env("LC_ALL", "C"),
        )
    }

    /// `pg_controldata`, in English.
    pub fn controldata(bindir: &Utf8Path, datadir: &Utf8Path) -> Self {
        Self::new(
            Command::new(bindir.join("pg_controldata"))
                .args(["-D", datadir.as_str()])
                .env("LC_ALL", "C"),
        )
    }

    /// `stat -c %C`: the SELinux context of a path.
    pub fn selinux_context(path: &Utf8Path) -> Self {
        Self::new(Command::new("stat").args(["-c", "%C", path.as_str()]))
    }

    /// `locale -a`
    pub fn locales() -> Self {
        Self::constant(Command::new("locale").arg("-a"))
    }

    /// `systemctl --version`
    pub fn systemctl_version() -> Self {
        Self::constant(Command::new("systemctl").arg("--version"))
    }

    /// `systemctl [--user] show -p … UNIT`, with times in UTC.
    pub fn unit(user: bool, unit: &str, properties: &str) -> Self {
        let manager = if user { "--user" } else { "--system" };
        Self::new(
            Command::new("systemctl")
                .args([manager, "show", "-p", properties, unit])
                .env("TZ", "UTC")
                .env("LC_ALL", "C"),
        )
    }

    /// `loginctl show-session`, which without a session tells of logind itself.
    pub fn logind() -> Self {
        let properties = ["-p", "RemoveIPC", "-p", "KillUserProcesses"];
        Self::new(
            Command::new("loginctl")
                .arg("show-session")
                .args(properties),
        )
    }

    /// `openssl verify`: whether an authority stands for a certificate now.
    pub fn verify_certificate(authority: &Utf8Path, certificate: &Utf8Path) -> Self {
        Self::new(
            Command::new("openssl")
                .args([
                    "verify",
                    "-CAfile",
                    authority.as_str(),
                    certificate.as_str(),
                ])
                .env("LC_ALL", "C"),
        )
    }

    /// `systemctl [--user] show`: when a timer elapses and has elapsed, in UTC, and what became of its service.
    pub fn timer(user: bool, timer: &str, service: &str) -> Self {
        let manager = if user { "--user" } else { "--system" };
        let properties = "ActiveState,NextElapseUSecRealtime,LastTriggerUSec";
        Self::new(
            Command::new("systemctl")
                .args([manager, "show", "-p", properties, timer, service])
                .env("TZ", "UTC")
                .env("LC_ALL", "C"),
        )
    }

    /// `systemd-analyze calendar`: whether it is a time.
    pub fn calendar(time: &str) -> Self {
        Self::constant(Command::new("systemd-analyze").args(["calendar", time]))
    }

    /// What a program says of its version; a word or an option asks for it.
    pub fn version(program: &Utf8Path, asked: &str) -> Self {
        Self::constant(Command::new(program).arg(asked))
    }

    /// `pgbackrest … info`: what is in the repositories for a stanza, or one backup of it in full.
    pub fn pgbackrest_info(pgbackrest: Command, backup: Option<&str>) -> Self {
        let set = backup.map(|label| format!("--set={label}"));
        Self::new(pgbackrest.args(["--output=json"]).args(set).arg("info"))
    }

    /// `pgbackrest … repo-ls`: the files that tell of timelines.
    pub fn pgbackrest_histories(pgbackrest: Command, directory: &str) -> Self {
        let filter = "--filter=^[0-9A-F]{8}[.]history$";
        Self::new(pgbackrest.args([filter, "repo-ls", directory]))
    }

    /// `pgbackrest … repo-get`: what is in a file of a repository.
    pub fn pgbackrest_file(pgbackrest: Command, path: &str) -> Self {
        Self::new(pgbackrest.args(["repo-get", path]))
    }

    /// `pgbackrest … expire --dry-run`: what retention would take away.
    pub fn pgbackrest_expire(pgbackrest: Command) -> Self {
        Self::new(pgbackrest.args(["--dry-run", "--log-level-console=info", "expire"]))
    }

    /// `pgbackrest … verify`: reads everything in the repositories.
    pub fn pgbackrest_verify(pgbackrest: Command) -> Self {
        Self::new(pgbackrest.args(["--output=text", "--verbose", "verify"]))
    }

    /// `pg_verifybackup`: reads everything of a backup. What it says of damage is all told, in English.
    pub fn verifybackup(bindir: &Utf8Path, backup: &Utf8Path) -> Self {
        let verify = Command::new(bindir.join("pg_verifybackup"));
        Self::new(verify.arg(backup.as_str()).env("LC_ALL", "C"))
    }

    /// The site's command that prints a password (`postgresql.auth.password_command`).
    pub fn password(command: &[String]) -> Option<Self> {
        let (program, arguments) = command.split_first()?;
        Some(Self::new(Command::new(program.as_str()).args(arguments)))
    }
}

/// What a command printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Exit status; none when it was ended by a signal.
    pub status: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    pub fn success(&self) -> bool {
        self.status == Some(0)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// When steps were carried out, and what failed of them: the file that [`Step::Record`] writes, in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    pub begun: Timestamp,
    pub ended: Timestamp,
    /// None: all went well.
    pub error: Option<String>,
}

/// Where a server listens, and as whom we speak to it. Always the local socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub socket_directory: Utf8PathBuf,
    pub port: u16,
    /// The superuser role.
    pub user: String,
    /// Where to find a password if the server asks for one (pglift's instances, adopted ones).
    pub passfile: Option<Utf8PathBuf>,
    /// The site's command that prints a password, `{instance}` and `{role}` already filled in.
    pub password_command: Vec<String>,
}

/// An observation query of `src/sql/`, with the one parameter `$1`, a JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub server: Server,
    pub database: String,
    pub sql: &'static str,
    pub parameter: Value,
}

/// The answer to a query: the JSON text of a list with an object for each row, for whoever knows what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows(pub String);

impl Rows {
    /// The rows as values of a type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        serde_json::from_str(&self.0).context("rows of an observation")
    }
}

impl Default for Rows {
    fn default() -> Self {
        Self("[]".to_owned())
    }
}

/// What root does for the system user: nothing that is not named here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Privileges {
    /// Directories that it makes, for the system user.
    pub directories: Vec<Utf8PathBuf>,
    /// Files that it writes and removes.
    pub files: Vec<Utf8PathBuf>,
    /// Where it writes and removes the system units of ours, and that it may start and stop them.
    pub unit_path: Option<Utf8PathBuf>,
}

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
}

impl Unit {
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

/// Which other runs on the same instance a run keeps out (docs/decisions/0010-two-locks.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LockMode {
    /// It changes something: one such run after the other.
    #[default]
    Change,
    /// It reads the cluster for long (a backup, a dump, a proof): others go on changing what is in it, but nobody
    /// stops, restarts or drops it meanwhile.
    Read,
}

/// A lock that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub path: &'a Utf8Path,
    /// Others may hold it at the same time in the same way.
    pub shared: bool,
    /// How long to wait for those who hold it otherwise; zero: not at all.
    pub timeout: Duration,
    /// What the run is about: told to others who wait.
    pub subject: &'a str,
}

/// Everything an observation may use. Nothing here can change the machine.
pub trait Look {
    /// The content of a file; none when it does not exist.
    fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>>;
    fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>>;
    /// The system identifier of the cluster in a data directory; none when there is no cluster.
    fn system_identifier(&self, datadir: &Utf8Path) -> Result<Option<u64>> {
        let control = self.read(&datadir.join("global/pg_control"))?;
        Ok(control.and_then(|control| controldata::identifier(&control)))
    }
    /// Names in a directory, sorted; none when it does not exist.
    fn list(&self, path: &Utf8Path) -> Result<Option<Vec<String>>>;
    fn link(&self, path: &Utf8Path) -> Result<Option<Utf8PathBuf>>;
    fn probe(&self, probe: &Probe) -> Result<Output>;
    /// The rows of each query; the sessions are read-only and run side by side.
    fn query(&self, queries: &[Query]) -> Result<Vec<Rows>>;
    /// Whether something listens on or occupies a TCP port, on any address family.
    fn port_taken(&self, port: u16) -> Result<bool>;
    /// Bytes that an ordinary user can still write where a path lies, or would.
    fn free_space(&self, path: &Utf8Path) -> Result<u64>;
    fn alive(&self, pid: i32) -> bool;
    /// Whether another run holds a lock now.
    fn is_locked(&self, _path: &Utf8Path) -> Result<bool> {
        Ok(false)
    }
    /// Asks again and again until the answer is yes or the time is over; gives the last answer.
    fn patiently(
        &self,
        _timeout: Duration,
        question: &mut dyn FnMut() -> Result<bool>,
    ) -> Result<bool> {
        question()
    }
    /// The addresses of this host with their netmasks.
    fn networks(&self) -> Result<Vec<(IpAddr, IpAddr)>>;
    /// Main memory in bytes.
    fn memory(&self) -> Result<u64>;
    /// `postgres -C` and the like on a staged configuration: files are written only below a private temporary directory,
    /// whose path replaces `{}` in the arguments, and is replaced by it in the output.
    fn scratch(&self, files: &[(&str, Vec<u8>)], command: &Command) -> Result<Output>;
    /// Where the program runs: for path searches and messages.
    fn caller(&self) -> &crate::settings::Caller;
}

impl dyn Look + '_ {
    /// The rows of one query.
    pub fn rows<T: DeserializeOwned>(&self, query: Query) -> Result<Vec<T>> {
        let mut answers = self.query(&[query])?.into_iter();
        answers.next().unwrap_or_default().read()
    }
}

/// A signal that asked this process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interruption {
    pub number: u8,
    /// `SIGINT`
    pub name: &'static str,
}

/// What may be done, one step at a time.
pub trait Act: Look {
    fn perform(&self, step: &Step) -> Result<()>;
    /// Seeing as reading: what an upcast would give.
    fn look(&self) -> &dyn Look;
    /// Waits for a lock, and holds it until the guard is dropped.
    fn lock(&self, claim: &Claim) -> Result<lock::Guard>;
    /// The same for a few steps: programs that outlive us do not hold it.
    fn lock_briefly(&self, claim: &Claim) -> Result<lock::Guard>;
    /// From now on a signal that asks this process to end is noted ([`Self::interrupted`]); a second one is obeyed at once.
    fn heed_signals(&self) -> Result<()>;
    fn interrupted(&self) -> Option<Interruption>;
    /// Appends a line to a journal and makes sure that it is on the disk.
    fn journal(&self, path: &Utf8Path, line: &Value) -> Result<()>;
}

/// How a run may treat the machine.
#[derive(Clone, Copy)]
pub enum Host<'a> {
    Check(&'a dyn Look),
    Apply(&'a dyn Act),
}

impl<'a> Host<'a> {
    pub fn look(&self) -> &'a dyn Look {
        match self {
            Self::Check(look) => *look,
            Self::Apply(act) => act.look(),
        }
    }
}

/// How long a server is waited for to start or to stop, unless said otherwise.
pub const START_TIMEOUT: Duration = Duration::from_secs(60);

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
