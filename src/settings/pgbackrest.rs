//! Section `pgbackrest` of the site settings.

use std::num::NonZeroU16;

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::input::relay;

use super::path::{Absolute, Etc, Log, Run, Srv};

/// Backups by pgBackRest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PgBackRest {
    /// The program `pgbackrest`.
    #[serde(default = "execpath")]
    #[schemars(with = "Absolute")]
    pub execpath: Utf8PathBuf,

    /// Directory of the configuration.
    #[serde(default = "configpath")]
    #[schemars(with = "Etc")]
    pub configpath: Utf8PathBuf,

    /// Where backups go.
    pub repository: Repository,

    /// When backups are taken by themselves, where this host takes them and systemd is the `scheduler`. Unset: incremental
    /// ones, `daily`.
    #[serde(default)]
    pub schedule: Option<Schedule>,

    /// Directory of the logs.
    #[serde(default = "configpath")]
    #[schemars(with = "Log")]
    pub logpath: Utf8PathBuf,

    /// Directory for WAL on its way.
    #[serde(default = "spoolpath")]
    #[schemars(with = "Srv")]
    pub spoolpath: Utf8PathBuf,

    /// Directory of the locks.
    #[serde(default = "lockpath")]
    #[schemars(with = "Run")]
    pub lockpath: Utf8PathBuf,
}

fn execpath() -> Utf8PathBuf {
    "/usr/bin/pgbackrest".into()
}

fn configpath() -> Utf8PathBuf {
    "pgbackrest".into()
}

fn spoolpath() -> Utf8PathBuf {
    "pgbackrest/spool".into()
}

fn lockpath() -> Utf8PathBuf {
    "pgbackrest/lock".into()
}

/// Where backups go, and how they get there: one of three kinds, chosen by `mode`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "mode", rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Repository {
    /// On another host, over TLS.
    HostTls(HostTls),
    /// On another host, over SSH.
    HostSsh(HostSsh),
    /// On this host, or on what is mounted here.
    Path(PathRepository),
}

impl<'de> Deserialize<'de> for Repository {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Mode {
            HostTls,
            HostSsh,
            Path,
        }
        let mut value = Map::deserialize(deserializer)?;
        let Some(mode) = value.remove("mode") else {
            return Err(D::Error::missing_field("mode"));
        };
        let value = Value::Object(value);
        match relay(mode, "mode")? {
            Mode::HostTls => relay(value, "").map(Self::HostTls),
            Mode::HostSsh => relay(value, "").map(Self::HostSsh),
            Mode::Path => relay(value, "").map(Self::Path),
        }
    }
}

/// A repository on another host, over TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostTls {
    /// The repository host.
    pub host: String,

    /// Its port. Unset: that of pgBackRest.
    #[serde(default)]
    pub host_port: Option<NonZeroU16>,

    /// Its configuration file, a path on that host.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub host_config: Option<Utf8PathBuf>,

    /// Common name in the certificate of the repository host.
    pub cn: String,

    /// Identity of the local server.
    pub certificate: Certificate,

    /// Port of the local TLS server.
    #[serde(default = "tls_port")]
    pub port: NonZeroU16,

    /// PID file of the local TLS server.
    #[serde(default = "tls_pid_file")]
    #[schemars(with = "Run")]
    pub pid_file: Utf8PathBuf,
}

/// A repository on another host, over SSH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostSsh {
    /// The repository host.
    pub host: String,

    /// Its SSH port. Unset: that of SSH.
    #[serde(default)]
    pub host_port: Option<NonZeroU16>,

    /// Its configuration file, a path on that host.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub host_config: Option<Utf8PathBuf>,

    /// User on that host.
    #[serde(default)]
    pub host_user: Option<String>,

    /// The program `ssh`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub cmd_ssh: Option<Utf8PathBuf>,
}

/// A repository on this host, or on what is mounted here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathRepository {
    /// Directory of the repository.
    #[schemars(with = "Srv")]
    pub path: Utf8PathBuf,

    /// How much is kept.
    #[serde(default)]
    pub retention: Retention,
}

fn tls_port() -> NonZeroU16 {
    const { NonZeroU16::new(8432).unwrap() }
}

fn tls_pid_file() -> Utf8PathBuf {
    "pgbackrest.pid".into()
}

/// Identity of the local TLS server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Certificate of the authority.
    #[schemars(with = "Absolute")]
    pub ca_cert: Utf8PathBuf,

    /// Certificate.
    #[schemars(with = "Absolute")]
    pub cert: Utf8PathBuf,

    /// Its key.
    #[schemars(with = "Absolute")]
    pub key: Utf8PathBuf,
}

/// How many backups are kept, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// `repo1-retention-archive`.
    pub archive: u32,

    /// `repo1-retention-diff`.
    pub diff: u32,

    /// `repo1-retention-full`.
    pub full: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            archive: 2,
            diff: 3,
            full: 2,
        }
    }
}

/// Times of backups, by type, as systemd writes them: `daily`, `Sun 02:00`. Each is put off by up to an hour, always the same
/// for an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Schedule {
    /// Full backups.
    pub full: Option<String>,

    /// What has changed since the last full one.
    pub diff: Option<String>,

    /// What has changed since the last one.
    pub incr: Option<String>,
}
