//! Site settings: what holds for every instance of a host, and where everything lies.
//!
//! [`Settings`] is the whole tree, and its doc comments are the reference. [`load`] reads it from the
//! text of `settings.yaml` and from the environment, [`paths`] computes the places of an instance.
//! Everything here is pure: texts, variables and the caller come in as values.

mod basebackup;
mod check;
mod document;
mod environment;
mod host;
mod load;
mod monitoring;
mod path;
mod paths;
mod patroni;
mod pgbackrest;
mod postgresql;
mod schema;
mod template;
#[cfg(test)]
mod tests;

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::basebackup::{BaseBackup, FullRetention, Wal};
pub use self::environment::{PREFIX as VARIABLE_PREFIX, of_site as environment_of_site};
pub use self::host::{Api, Audit, Cli, Logrotate, Rsyslog, Systemd};
pub use self::load::Caller;
pub use self::monitoring::{
    Powa, Prometheus, Temboard, TemboardCertificate, TemboardLogMethod, TemboardPlugin,
};
pub use self::paths::{DatadirPattern, InstancePaths, Level};
pub use self::patroni::{
    ConfigurationMode, Connection, Ctl, Etcd, EtcdVersion, Patroni, PatroniPostgreSql, Place,
    Protocol, RestApi, Ssl, SslMode, VerifyClient,
};
pub use self::pgbackrest::{
    Certificate, Entry, EntryValue, HostSsh, HostTls, PathRepository, PgBackRest, Repository,
    Retention, Schedule,
};
pub use self::postgresql::{
    Auth, BackupRole, HostMethod, HostSslMethod, Initdb, LocalMethod, PostgreSql, SuRole, Version,
};
pub use self::template::{Part, expand, parts, variables};

use self::path::Absolute;

/// The user that everything belongs to where root calls and the settings name nobody.
pub const DEFAULT_SYSTEM_USER: &str = "postgres";

/// Settings of the site. Every relative path is completed with `prefix` or `run_prefix` and the
/// directory that its `x-relative-to` names; `~/` is the home of the system user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline, transform = schema::none_required)]
pub struct Settings {
    /// HTTP interface (read, without effect).
    #[serde(default)]
    pub api: Api,

    /// PostgreSQL.
    #[serde(default)]
    pub postgresql: PostgreSql,

    /// Patroni. `null`: not used.
    #[serde(default)]
    pub patroni: Option<Patroni>,

    /// pgBackRest. `null`: not used.
    #[serde(default)]
    pub pgbackrest: Option<PgBackRest>,

    /// Backups by PostgreSQL's own programs. `null`: not used.
    #[serde(default)]
    pub basebackup: Option<BaseBackup>,

    /// PoWA. `null`: not used.
    #[serde(default)]
    pub powa: Option<Powa>,

    /// `postgres_exporter`. `null`: not used.
    #[serde(default)]
    pub prometheus: Option<Prometheus>,

    /// temBoard agent. `null`: not used.
    #[serde(default)]
    pub temboard: Option<Temboard>,

    /// systemd. `null`: not used.
    #[serde(default)]
    pub systemd: Option<Systemd>,

    /// logrotate. `null`: not used.
    #[serde(default)]
    pub logrotate: Option<Logrotate>,

    /// rsyslog. `null`: not used.
    #[serde(default)]
    pub rsyslog: Option<Rsyslog>,

    /// Command line.
    #[serde(default)]
    pub cli: Cli,

    /// What runs the services. Default: `systemd` when the section `systemd` is there, else `null`: the
    /// programs are started directly.
    #[serde(default)]
    pub service_manager: Option<Manager>,

    /// What runs things at their times. Default: as for `service_manager`.
    #[serde(default)]
    pub scheduler: Option<Manager>,

    /// What makes the directories that do not outlive a boot. Default: as for `service_manager`.
    #[serde(default)]
    pub tmpfiles_manager: Option<Manager>,

    /// Base of what lasts (`etc`, `srv`, `log`, `var`). Default: `~/.local/share/pgsocle`
    /// (`$XDG_DATA_HOME`) of the system user, also when root calls.
    #[schemars(with = "Absolute")]
    pub prefix: Utf8PathBuf,

    /// Base of what does not outlive a boot: sockets, locks, PID files. Default:
    /// `$XDG_RUNTIME_DIR/pgsocle` of the system user where that directory exists, else `/tmp/pgsocle`.
    /// As anyone can make the latter first, it is only used when it belongs to the system user and
    /// nobody else can write to it; set `run_prefix` where several users run instances.
    #[schemars(with = "Absolute")]
    pub run_prefix: Utf8PathBuf,

    /// The user, and its group, that everything belongs to and every server runs as. Default: the
    /// calling user and its primary group; `postgres` when root calls.
    #[schemars(with = "(String, String)")]
    pub sysuser: SystemUser,

    /// Name of an instance where none is given.
    #[serde(default = "main_name")]
    pub instance_default_name: String,

    /// Refuse to create or to change an instance while its place is not mounted: `true` asks that the
    /// parent directory of its data directory is a mount point, a path that this one is.
    #[serde(default)]
    pub require_mountpoint: RequireMountpoint,

    /// Refuse a declared `state: absent` of instances that do not say otherwise by `deletion_protection` of their own.
    /// pglift protects nothing: `false` is its behaviour.
    #[serde(default = "yes")]
    pub deletion_protection: bool,
}

fn yes() -> bool {
    true
}

fn main_name() -> String {
    "main".to_owned()
}

/// What runs services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Manager {
    Systemd,
}

/// A user and its group; a list of both in the settings file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(String, String)", into = "(String, String)")]
pub struct SystemUser {
    pub user: String,
    pub group: String,
}

impl From<(String, String)> for SystemUser {
    fn from((user, group): (String, String)) -> Self {
        Self { user, group }
    }
}

impl From<SystemUser> for (String, String) {
    fn from(user: SystemUser) -> Self {
        (user.user, user.group)
    }
}

/// Whether, and which, directory must be a mount point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "neither a boolean nor a path")]
#[schemars(inline)]
pub enum RequireMountpoint {
    /// The parent directory of the data directory, or none.
    Parent(bool),
    /// This directory.
    Path(#[schemars(with = "Absolute")] Utf8PathBuf),
}

impl Default for RequireMountpoint {
    fn default() -> Self {
        Self::Parent(false)
    }
}

/// How much is logged, in the words of Python's logging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}
