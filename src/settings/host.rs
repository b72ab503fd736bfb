//! Sections about the host and about the program itself: `systemd`, `logrotate`, `rsyslog`, `api`, `cli`.

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LogLevel;
use super::path::{Absolute, Etc, Log, Run};

/// systemd runs the services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = super::schema::none_required)]
pub struct Systemd {
    /// Directory of the units. Default: `~/.local/share/systemd/user` (`$XDG_DATA_HOME`) with `user`,
    /// else `/etc/systemd/system`.
    #[schemars(with = "Absolute")]
    pub unit_path: Utf8PathBuf,

    /// Directory of the rules for directories that do not outlive a boot. Default:
    /// `~/.config/user-tmpfiles.d` (`$XDG_CONFIG_HOME`) with `user`, else `/etc/tmpfiles.d`.
    #[schemars(with = "Absolute")]
    pub tmpfilesd_conf_path: Utf8PathBuf,

    /// The service manager of the system user runs the services; otherwise that of the system.
    #[serde(default = "yes")]
    pub user: bool,

    /// Call `systemctl` and `systemd-tmpfiles` with sudo, and write units by it (`install`, `mv`, `rm`), when an ordinary
    /// user calls. Not with `user`.
    #[serde(default)]
    pub sudo: bool,
}

fn yes() -> bool {
    true
}

/// Rotation of logs by logrotate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Logrotate {
    /// Directory of the configuration that is made for it.
    #[schemars(with = "Etc")]
    pub configdir: Utf8PathBuf,
}

impl Default for Logrotate {
    fn default() -> Self {
        Self {
            configdir: "logrotate.d".into(),
        }
    }
}

/// Logs through rsyslog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rsyslog {
    /// Directory of the configuration that is made for it.
    #[schemars(with = "Etc")]
    pub configdir: Utf8PathBuf,
}

impl Default for Rsyslog {
    fn default() -> Self {
        Self {
            configdir: "rsyslog".into(),
        }
    }
}

const LOG_FORMAT: &str = "%(asctime)s %(levelname)-8s %(name)s - %(message)s";
const DATE_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// The HTTP interface of pglift. It is read so that pglift's settings load; there is no such interface here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Format of log lines.
    pub log_format: String,

    /// The least that is logged.
    pub log_level: Option<LogLevel>,

    /// Format of times in log lines.
    pub date_format: String,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            log_format: LOG_FORMAT.to_owned(),
            log_level: None,
            date_format: DATE_FORMAT.to_owned(),
        }
    }
}

/// The command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cli {
    /// Format of lines in the log file.
    pub log_format: String,

    /// The least that is logged.
    pub log_level: Option<LogLevel>,

    /// Format of times in the log file.
    pub date_format: String,

    /// The lock of the site.
    #[schemars(with = "Run")]
    pub lock_file: Utf8PathBuf,

    /// A log of every command. `null`: none.
    pub audit: Option<Audit>,
}

impl Default for Cli {
    fn default() -> Self {
        Self {
            log_format: LOG_FORMAT.to_owned(),
            log_level: None,
            date_format: DATE_FORMAT.to_owned(),
            lock_file: ".pgsocle.lock".into(),
            audit: None,
        }
    }
}

/// A log of every command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Its file.
    #[schemars(with = "Log")]
    pub path: Utf8PathBuf,

    /// Format of its lines.
    #[serde(default = "audit_log_format")]
    pub log_format: String,

    /// Format of times in its lines.
    #[serde(default = "audit_date_format")]
    pub date_format: String,
}

fn audit_log_format() -> String {
    "%(levelname)-8s - %(asctime)s - %(name)s - %(message)s".to_owned()
}

fn audit_date_format() -> String {
    DATE_FORMAT.to_owned()
}
