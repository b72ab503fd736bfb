//! Sections `powa`, `prometheus` and `temboard` of the site settings.

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LogLevel;
use super::path::{Absolute, Etc, Log, Run, Srv};

/// PoWA: statistics of the workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Powa {
    /// Its database.
    pub dbname: String,

    /// Its role.
    pub role: String,
}

impl Default for Powa {
    fn default() -> Self {
        Self {
            dbname: "powa".to_owned(),
            role: "powa".to_owned(),
        }
    }
}

/// Metrics by `postgres_exporter`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// The program `postgres_exporter`.
    #[schemars(with = "Absolute")]
    pub execpath: Utf8PathBuf,

    /// The role that it connects as.
    #[serde(default = "prometheus_role")]
    pub role: String,

    /// Template of the configuration files; `{name}` is `version-name`.
    #[serde(default = "prometheus_configpath")]
    #[schemars(with = "Etc", extend("x-variables" = ["name"]))]
    pub configpath: Utf8PathBuf,

    /// Template of the PID files; `{name}` is `version-name`.
    #[serde(default = "prometheus_pid_file")]
    #[schemars(with = "Run", extend("x-variables" = ["name"]))]
    pub pid_file: Utf8PathBuf,
}

fn prometheus_role() -> String {
    "prometheus".to_owned()
}

fn prometheus_configpath() -> Utf8PathBuf {
    "prometheus/postgres_exporter-{name}.conf".into()
}

fn prometheus_pid_file() -> Utf8PathBuf {
    "prometheus/{name}.pid".into()
}

/// The temBoard agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Temboard {
    /// URL of the user interface.
    pub ui_url: String,

    /// Public key of the user interface.
    #[schemars(with = "Absolute")]
    pub signing_key: Utf8PathBuf,

    /// Identity of the agent.
    pub certificate: TemboardCertificate,

    /// The program `temboard-agent`.
    #[serde(default = "temboard_execpath")]
    #[schemars(with = "Absolute")]
    pub execpath: Utf8PathBuf,

    /// The role that it connects as.
    #[serde(default = "temboard_role")]
    pub role: String,

    /// Template of the configuration files; `{name}` is `version-name`.
    #[serde(default = "temboard_configpath")]
    #[schemars(with = "Etc", extend("x-variables" = ["name"]))]
    pub configpath: Utf8PathBuf,

    /// Template of the PID files; `{name}` is `version-name`.
    #[serde(default = "temboard_pid_file")]
    #[schemars(with = "Run", extend("x-variables" = ["name"]))]
    pub pid_file: Utf8PathBuf,

    /// Plugins to load.
    #[serde(default = "temboard_plugins")]
    pub plugins: Vec<TemboardPlugin>,

    /// Template of the agents' homes; `{name}` is `version-name`.
    #[serde(default = "temboard_home")]
    #[schemars(with = "Srv", extend("x-variables" = ["name"]))]
    pub home: Utf8PathBuf,

    /// Directory of the logs.
    #[serde(default = "temboard_logpath")]
    #[schemars(with = "Log")]
    pub logpath: Utf8PathBuf,

    /// Where the agents log to.
    #[serde(default)]
    pub logmethod: TemboardLogMethod,

    /// The least that they log.
    #[serde(default = "temboard_loglevel")]
    pub loglevel: LogLevel,
}

fn temboard_execpath() -> Utf8PathBuf {
    "/usr/bin/temboard-agent".into()
}

fn temboard_role() -> String {
    "temboardagent".to_owned()
}

fn temboard_configpath() -> Utf8PathBuf {
    "temboard-agent/temboard-agent-{name}.conf".into()
}

fn temboard_pid_file() -> Utf8PathBuf {
    "temboard-agent/temboard-agent-{name}.pid".into()
}

fn temboard_plugins() -> Vec<TemboardPlugin> {
    vec![
        TemboardPlugin::Monitoring,
        TemboardPlugin::Dashboard,
        TemboardPlugin::Activity,
    ]
}

fn temboard_home() -> Utf8PathBuf {
    "temboard-agent/{name}".into()
}

fn temboard_logpath() -> Utf8PathBuf {
    "temboard".into()
}

fn temboard_loglevel() -> LogLevel {
    LogLevel::Info
}

/// Identity of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemboardCertificate {
    /// Certificate of the authority.
    #[serde(default)]
    #[schemars(with = "Option<Absolute>")]
    pub ca_cert: Option<Utf8PathBuf>,

    /// Certificate.
    #[schemars(with = "Absolute")]
    pub cert: Utf8PathBuf,

    /// Its key.
    #[schemars(with = "Absolute")]
    pub key: Utf8PathBuf,
}

/// A plugin of the temBoard agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum TemboardPlugin {
    Activity,
    Administration,
    Dashboard,
    Maintenance,
    Monitoring,
    Pgconf,
    Statements,
}

/// Where the temBoard agent logs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum TemboardLogMethod {
    #[default]
    Stderr,
    Syslog,
    File,
}
