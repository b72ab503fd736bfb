//! What must change, as data: changes with their steps, impact and diff.
//!
//! A [`Plan`] is made by pure functions and carried out by one dull loop (`engine`). `changed`,
//! `diff`, the list of changes and the steps that run are all read off the same value, so they
//! cannot disagree (docs/decisions/0001-plan-as-data.md).

use std::fmt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::host::{Command, Server, Unit, Verb};
use crate::pg::pgpass::Pgpass;
use crate::secret::Text;

/// How much a change disturbs those who use the instance.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Impact {
    /// Nobody notices.
    None,
    /// The server reads its configuration again.
    Reload,
    /// Sessions are cut: the server is stopped or started again.
    Restart,
    /// Data are copied or rewritten (moving a database to another tablespace).
    Rewrite,
    /// Data are lost.
    Destructive,
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Reload => "reload",
            Self::Restart => "restart",
            Self::Rewrite => "rewrite",
            Self::Destructive => "destructive",
        })
    }
}

/// What is done to the object of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Create,
    Alter,
    Drop,
    Start,
    Stop,
    Restart,
    Reload,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Alter => "alter",
            Self::Drop => "drop",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
        })
    }
}

/// What a file will hold. Bytes, because a Latin-1 `postgresql.conf` is legal; text where a part is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Bytes(Vec<u8>),
    Text(Text),
}

/// What it changes that a server reads its files again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Values of parameters; sessions begin as before.
    Values,
    /// Who gets in, or what a session begins with: new ones may be kept out.
    Sessions,
}

/// Who carries a step out when the program was called as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunAs {
    /// The system user that owns the instances.
    #[default]
    Sysuser,
    Root,
}

/// One effect. Steps never branch: what needs to look again is another stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes a directory and its missing parents; one that exists keeps its content and gets the mode.
    MakeDir {
        path: Utf8PathBuf,
        mode: u32,
        run_as: RunAs,
    },
    /// Replaces a file at once: a temporary file beside it, fsync, rename, fsync of the directory.
    WriteFile {
        path: Utf8PathBuf,
        content: Content,
        mode: u32,
    },
    /// Changes the password file from what it was when looked at; what runs on other instances have put there since stays. Without
    /// anything in it the file goes.
    Passwords {
        path: Utf8PathBuf,
        before: Pgpass,
        after: Pgpass,
    },
    /// Makes or replaces a symbolic link.
    Symlink {
        path: Utf8PathBuf,
        target: Utf8PathBuf,
    },
    Rename {
        from: Utf8PathBuf,
        to: Utf8PathBuf,
    },
    RenameIfExists {
        from: Utf8PathBuf,
        to: Utf8PathBuf,
    },
    /// For taking back: where something was set aside it gets its name again, and what has it now goes; else nothing.
    PutBack {
        path: Utf8PathBuf,
        aside: Utf8PathBuf,
        /// By way of this name: half-removed it must not be taken for the thing itself.
        gone: Utf8PathBuf,
    },
    /// Removes a file or a whole directory tree; what is not there is no error.
    Remove {
        path: Utf8PathBuf,
    },
    /// Moves what is in a directory up into its parent, `PG_VERSION` last, and gives the parent its mode: for a
    /// mount point, which cannot be renamed.
    MoveUp {
        from: Utf8PathBuf,
        to: Utf8PathBuf,
    },
    /// Removes what is in a directory, what marks it as ours last: a mount point cannot be removed itself.
    EmptyDir {
        path: Utf8PathBuf,
    },
    /// Removes a directory if it is empty.
    RemoveEmptyDir {
        path: Utf8PathBuf,
    },
    Run(Command),
    /// The same, but nothing when this file is not there: for taking back what may not have been done.
    RunIfExists {
        path: Utf8PathBuf,
        command: Command,
    },
    /// Carries steps out until one fails, and writes into a file when that was and what failed, as [`crate::host::Recorded`]. It
    /// does not fail itself: what came of it is for a later stage to judge.
    Record {
        steps: Vec<Step>,
        into: Utf8PathBuf,
    },
    /// Sends statements one by one; in one transaction unless `outside_transaction`.
    Sql {
        server: Server,
        database: String,
        statements: Vec<Text>,
        outside_transaction: bool,
    },
    Service {
        unit: Unit,
        verb: Verb,
    },
    /// Has the server read its files again, and waits until it has; where new sessions may be kept out, until one gets in.
    Reload {
        server: Server,
        reach: Reach,
    },
    /// `pg_ctl start`, which waits for the server; one that is still starting when the time is over is left to it.
    StartServer {
        command: Command,
        datadir: Utf8PathBuf,
    },
    /// `pg_ctl stop`, likewise; nothing when there is no server.
    StopServer {
        command: Command,
        datadir: Utf8PathBuf,
    },
    /// Stops a unit and waits until its server has ended; one that is still stopping when the time is over is left to it.
    StopUnit {
        unit: Unit,
        datadir: Utf8PathBuf,
        timeout: Duration,
        logs: Vec<Utf8PathBuf>,
    },
    /// Starts a unit and waits until its server accepts connections; what the logs gained meanwhile is in the error.
    StartUnit {
        unit: Unit,
        datadir: Utf8PathBuf,
        timeout: Duration,
        logs: Vec<Utf8PathBuf>,
        port: u16,
    },
    /// Has systemd-tmpfiles make what a file of rules says.
    Tmpfiles {
        file: Utf8PathBuf,
        user: bool,
        sudo: bool,
    },
    /// A step on files that are root's (system units, `/etc`): done by root when the program was called as root.
    AsRoot(Box<Step>),
    /// Ends the step list's view of a server: sessions that the host keeps open are closed first.
    Disconnect,
}

impl Step {
    pub fn sql(server: &Server, database: &str, statements: Vec<Text>) -> Self {
        Self::Sql {
            server: server.clone(),
            database: database.into(),
            statements,
            outside_transaction: false,
        }
    }

    /// For what PostgreSQL refuses in a transaction block: CREATE DATABASE, DROP DATABASE, ALTER SYSTEM.
    pub fn sql_alone(server: &Server, database: &str, statement: impl Into<Text>) -> Self {
        Self::Sql {
            server: server.clone(),
            database: database.into(),
            statements: vec![statement.into()],
            outside_transaction: true,
        }
    }

    pub fn make_dir(path: &Utf8Path, mode: u32) -> Self {
        Self::MakeDir {
            path: path.into(),
            mode,
            run_as: RunAs::Sysuser,
        }
    }

    /// The same by root, or plainly.
    #[must_use]
    pub fn as_root(self, root: bool) -> Self {
        if root {
            Self::AsRoot(Box::new(self))
        } else {
            self
        }
    }

    pub fn passwords(path: &Utf8Path, before: &Pgpass, after: &Pgpass) -> Self {
        Self::Passwords {
            path: path.into(),
            before: before.clone(),
            after: after.clone(),
        }
    }

    pub fn write(path: &Utf8Path, content: Content, mode: u32) -> Self {
        Self::WriteFile {
            path: path.into(),
            content,
            mode,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeDir { path, .. } => write!(f, "make directory {path}"),
            Self::WriteFile { path, .. } => write!(f, "write {path}"),
            Self::Passwords { path, .. } => write!(f, "change {path}"),
            Self::Symlink { path, target } => write!(f, "link {path} -> {target}"),
            Self::Rename { from, to } | Self::RenameIfExists { from, to } => {
                write!(f, "rename {from} to {to}")
            }
            Self::PutBack { path, aside, .. } => write!(f, "put {aside} back as {path}"),
            Self::Remove { path } => write!(f, "remove {path}"),
            Self::MoveUp { from, .. } => write!(f, "move the content of {from} up"),
            Self::EmptyDir { path } => write!(f, "empty {path}"),
            Self::RemoveEmptyDir { path } => write!(f, "remove {path} if empty"),
            Self::Run(command)
            | Self::RunIfExists { command, .. }
            | Self::StartServer { command, .. }
            | Self::StopServer { command, .. } => write!(f, "run {command}"),
            Self::Record { steps, .. } => {
                f.write_str("whatever comes of it:")?;
                for step in steps {
                    write!(f, " {step};")?;
                }
                Ok(())
            }
            Self::Sql {
                database,
                statements,
                ..
            } => {
                write!(f, "in {database}:")?;
                for statement in statements {
                    write!(f, " {statement};")?;
                }
                Ok(())
            }
            Self::Service { unit, verb } => write!(f, "{verb} {unit}"),
            Self::Reload { .. } => {
                f.write_str("reload and wait until the server has read its files")
            }
            Self::StartUnit { unit, .. } => {
                write!(f, "start {unit} and wait until the server answers")
            }
            Self::StopUnit { unit, .. } => {
                write!(f, "stop {unit} and wait until its server has ended")
            }
            Self::Tmpfiles { file, .. } => write!(f, "make the directories of {file}"),
            Self::AsRoot(step) => write!(f, "as root: {step}"),
            Self::Disconnect => f.write_str("close our own sessions"),
        }
    }
}

/// Before and after, as text, of the managed attributes of an object or the lines of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    pub before_header: String,
    pub after_header: String,
    pub before: String,
    pub after: String,
}

impl Diff {
    pub fn new(
        header: impl Into<String>,
        before: impl Into<String>,
        after: impl Into<String>,
    ) -> Self {
        let header = header.into();
        Self {
            before_header: header.clone(),
            after_header: header,
            before: before.into(),
            after: after.into(),
        }
    }
}

/// What an undo step list belongs to; it is forgotten when a change settles the same thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The creation of an instance: undone as a whole, unless `drop_on_error` is off.
    Creation,
    /// Files of a running instance, until the server has taken them over.
    Configuration,
    /// A database made by this run, until its inner objects stand.
    Database(String),
    /// A restore, until the restored server has answered; a copy that is only made to be looked at, until it is gone.
    Restore,
    /// A start for the time of this run only.
    TemporaryStart,
}

/// One thing that changes, with all that is said of it and done for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub action: Action,
    /// The kind and name: "role bob".
    pub object: String,
    /// A sentence for people: "create role `bob`".
    pub summary: String,
    pub diff: Diff,
    pub impact: Impact,
    pub steps: Vec<Step>,
    /// How to take it back when a later step of this run fails.
    pub undo: Option<(Scope, Vec<Step>)>,
    /// What cannot be taken back any more once this change is done.
    pub settles: Option<Scope>,
    /// For the time of this run only: named in the plan, but it does not make the run "changed".
    pub transient: bool,
}

impl Change {
    /// A change cannot be built without saying what it is, what it shows and what it disturbs.
    pub fn new(
        action: Action,
        object: impl Into<String>,
        summary: impl Into<String>,
        diff: Diff,
        impact: Impact,
        steps: Vec<Step>,
    ) -> Self {
        Self {
            action,
            object: object.into(),
            summary: summary.into(),
            diff,
            impact,
            steps,
            undo: None,
            settles: None,
            transient: false,
        }
    }

    #[must_use]
    pub fn undo(mut self, scope: Scope, steps: Vec<Step>) -> Self {
        self.undo = Some((scope, steps));
        self
    }

    #[must_use]
    pub fn transient(mut self) -> Self {
        self.transient = true;
        self
    }

    /// Whether whoever reads the cluster meanwhile would be cut off.
    pub fn ends_server(&self) -> bool {
        matches!(self.action, Action::Stop | Action::Restart | Action::Drop)
            && self.object.starts_with("instance ")
    }

    #[must_use]
    pub fn settles(mut self, scope: Scope) -> Self {
        self.settles = Some(scope);
        self
    }
}

/// What later stages of the same run may rely on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The system identifier of the cluster as it is.
    Cluster(u64),
    /// The cluster is made by this run: its catalogs are those of a new one.
    ClusterMade,
    /// The server runs (or is started by this run) and answers here.
    Runs(Server),
    /// The server is started by this run.
    Starts(Server),
    /// A running server is restarted by this run: where it listens before, and after.
    Restarts {
        before: Server,
        after: Server,
    },
    /// The server does not run, and nothing in this run starts it.
    Stopped,
    /// There is no such instance, and this run makes none.
    Absent,
    Role(String),
    NoRole(String),
    Tablespace(String),
    NoTablespace(String),
    Database(String),
    NoDatabase(String),
    /// The server must read its files again.
    ReloadNeeded(Reach),
    /// The server has read its files: what it says of them is up to date.
    Reloads,
    /// Settings that this run changes and only a restart brings into effect: all of them, and those that run
    /// with another value than the new one.
    RestartNeeded {
        changed: Vec<String>,
        pending: Vec<Pending>,
    },
    /// These wait for a restart, as the server says before it is told anything by this run.
    Waiting(Vec<Pending>),
    /// The run leaves these waiting for a restart, as the server says.
    PendingRestart(Vec<Pending>),
    /// With its files as they are the server would not start again, or would let nobody in: why.
    NoStart(Vec<String>),
    /// Where the server will listen once it has been started with the files as this run leaves them.
    Configured(Server),
    /// From one port to another, by this run.
    Moves(u16, u16),
    /// An earlier run has begun a change of this object, and its journal does not say that it was done or taken back.
    Begun(String),
    /// An earlier run has begun to restart the server, likewise: the server was to run.
    RestartBegun,
    /// … and this run starts it again, for good.
    RunsAgain,
    /// An earlier run, which did not come to a good end, was to take the instance from one port to another.
    MoveBegun(u16, u16),
    /// A configuration file of the server that this run replaces.
    Replaces(Replaced),
    /// Parts of the object's public view that this run changes.
    View(serde_json::Map<String, Value>),
}

/// A configuration file that a run replaces: as it was, for putting it back when the server refuses the new one, and as
/// it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    pub path: Utf8PathBuf,
    pub before: Vec<u8>,
    pub after: Vec<u8>,
}

/// A setting that waits for a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub name: String,
    /// As the server runs with it; none when it is not known before the run.
    pub running: Option<String>,
    /// As it will run after a restart.
    pub configured: Option<String>,
}

/// What must change, and what else is to be said.
#[derive(Debug, Default)]
pub struct Plan {
    pub changes: Vec<Change>,
    /// What must be there before the plan can be carried out: a warning in check mode, else an error.
    pub missing: Vec<anyhow::Error>,
    pub warnings: Vec<String>,
    /// What could not be seen, and therefore is not decided: never guessed.
    pub undetermined: Vec<String>,
    pub facts: Vec<Fact>,
    /// The public view of the object once the plan has been carried out, by its key in the reply.
    pub view: Option<(&'static str, Value)>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether something is other than before once the plan has been carried out.
    pub fn changed(&self) -> bool {
        self.changes.iter().any(|change| !change.transient)
    }

    pub fn impact(&self) -> Impact {
        self.changes
            .iter()
            .map(|change| change.impact)
            .max()
            .unwrap_or(Impact::None)
    }

    pub fn undetermined(what: impl Into<String>) -> Self {
        Self {
            undetermined: vec![what.into()],
            ..Self::default()
        }
    }
}

/// For tests and `--dry-run`: what would be done, in the order in which it would be done.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            writeln!(f, "{} [{}]", change.summary, change.impact)?;
            for step in &change.steps {
                writeln!(f, "  {step}")?;
            }
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        for what in &self.undetermined {
            writeln!(f, "undetermined: {what}")?;
        }
        Ok(())
    }
}

/// The managed attributes of an object as lines, in a fixed order: one side of a diff.
pub fn attributes(lines: &[(&str, Option<String>)]) -> String {
    lines
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}: {value}\n")))
        .collect()
}
