//! The seam to the machine: what may be read ([`Look`]), and what may be done ([`Act`]).
//!
//! Check mode is given a `&dyn Look` only, so there is no value in the process that could write
//! (docs/decisions/0004-check-mode-by-type.md). The implementations live in `host/`, the only impure code.

pub mod editor;
pub mod exec;
pub mod files;
pub mod local;
pub mod lock;
mod probe;
pub mod process;
pub mod root;
pub mod signals;
pub mod sql;
pub mod tail;
pub mod terminal;
mod unit;
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

use crate::pg::{controldata, selinux};
use crate::plan::Step;
use crate::secret::Text;

pub use self::probe::Probe;
pub use self::unit::{HOLD_FILE, HOLD_LINES, SYSTEM_UNITS, UNIT_PREFIX, Unit, Verb};

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

    /// Whether SELinux is there and enforced. What cannot be read enforces nothing.
    pub fn enforces_selinux(&self) -> bool {
        let enforce = self.read(selinux::ENFORCE.into()).ok().flatten();
        selinux::is_enforced(enforce.as_deref())
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
