//! Section `patroni` of the site settings.

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::path::{Absolute, Etc, Log, Run};

/// High availability by Patroni.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Patroni {
    /// The program `patroni`.
    #[schemars(with = "Absolute")]
    pub execpath: Utf8PathBuf,

    /// The program `patronictl`.
    #[schemars(with = "Absolute")]
    pub ctlpath: Utf8PathBuf,

    /// Template of the configuration files; `{name}` is `version-name`.
    #[schemars(with = "Etc", extend("x-variables" = ["name"]))]
    pub configpath: Utf8PathBuf,

    /// Directory that holds a directory of logs for each instance.
    #[schemars(with = "Log")]
    pub logpath: Utf8PathBuf,

    /// Template of the PID files; `{name}` is `version-name`.
    #[schemars(with = "Run", extend("x-variables" = ["name"]))]
    pub pid_file: Utf8PathBuf,

    /// The distributed configuration store.
    pub etcd: Etcd,

    /// Identity of clients of the REST API.
    pub ctl: Option<Ctl>,

    /// Where Patroni keeps configuration.
    pub configuration_mode: ConfigurationMode,

    /// The server below Patroni.
    pub postgresql: PatroniPostgreSql,

    /// TLS of the REST API.
    pub restapi: RestApi,

    /// Fail when `patroni --validate-config` refuses the configuration; otherwise warn only.
    pub enforce_config_validation: bool,
}

impl Default for Patroni {
    fn default() -> Self {
        Self {
            execpath: "/usr/bin/patroni".into(),
            ctlpath: "/usr/bin/patronictl".into(),
            configpath: "patroni/{name}.yaml".into(),
            logpath: "patroni".into(),
            pid_file: "patroni/{name}.pid".into(),
            etcd: Etcd::default(),
            ctl: None,
            configuration_mode: ConfigurationMode::default(),
            postgresql: PatroniPostgreSql::default(),
            restapi: RestApi::default(),
            enforce_config_validation: true,
        }
    }
}

/// The distributed configuration store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Etcd {
    /// Generation of its API.
    pub version: EtcdVersion,

    /// Its members, as `host:port`; at least one.
    pub hosts: Vec<String>,

    /// Scheme; `https` is needed as soon as `cacert` or `cert` is set.
    pub protocol: Protocol,

    /// Certificate of the authority.
    #[schemars(with = "Option<Absolute>")]
    pub cacert: Option<Utf8PathBuf>,

    /// Client certificate.
    #[schemars(with = "Option<Absolute>")]
    pub cert: Option<Utf8PathBuf>,

    /// Key of the client certificate.
    #[schemars(with = "Option<Absolute>")]
    pub key: Option<Utf8PathBuf>,
}

impl Default for Etcd {
    fn default() -> Self {
        Self {
            version: EtcdVersion::Etcd3,
            hosts: vec!["localhost:2379".to_owned()],
            protocol: Protocol::Http,
            cacert: None,
            cert: None,
            key: None,
        }
    }
}

/// Generation of the API of etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum EtcdVersion {
    Etcd,
    Etcd3,
}

/// Scheme of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Protocol {
    Http,
    Https,
}

/// Identity of clients of the REST API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ctl {
    /// Certificate.
    #[schemars(with = "Absolute")]
    pub certfile: Utf8PathBuf,

    /// Its key.
    #[schemars(with = "Absolute")]
    pub keyfile: Utf8PathBuf,
}

/// Where Patroni keeps configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigurationMode {
    /// HBA records.
    pub auth: Place,

    /// Configuration parameters.
    pub parameters: Place,
}

/// In the local file or in the distributed store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Place {
    #[default]
    Local,
    Dynamic,
}

/// The server below Patroni.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatroniPostgreSql {
    /// How Patroni connects to it.
    pub connection: Option<Connection>,

    /// Template of the password files that Patroni writes; `{name}` is `version-name`.
    #[schemars(with = "Etc", extend("x-variables" = ["name"]))]
    pub passfile: Utf8PathBuf,

    /// Allow `pg_rewind`.
    pub use_pg_rewind: bool,
}

impl Default for PatroniPostgreSql {
    fn default() -> Self {
        Self {
            connection: None,
            passfile: "patroni/{name}.pgpass".into(),
            use_pg_rewind: false,
        }
    }
}

/// How Patroni connects to the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Connection {
    /// Checks of the server's certificate.
    pub ssl: Option<Ssl>,
}

/// Checks of the server's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ssl {
    /// As libpq's `sslmode`.
    pub mode: Option<SslMode>,

    /// Revocation list.
    #[schemars(with = "Option<Absolute>")]
    pub crl: Option<Utf8PathBuf>,

    /// Directory of revocation lists.
    #[schemars(with = "Option<Absolute>")]
    pub crldir: Option<Utf8PathBuf>,

    /// Certificates of the authorities.
    #[schemars(with = "Option<Absolute>")]
    pub rootcert: Option<Utf8PathBuf>,
}

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// TLS of the REST API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestApi {
    /// Certificate of the authority for client certificates.
    #[schemars(with = "Option<Absolute>")]
    pub cafile: Option<Utf8PathBuf>,

    /// Server certificate; turns HTTPS on.
    #[schemars(with = "Option<Absolute>")]
    pub certfile: Option<Utf8PathBuf>,

    /// Its key.
    #[schemars(with = "Option<Absolute>")]
    pub keyfile: Option<Utf8PathBuf>,

    /// Check of client certificates; needs `certfile`, and `required` needs `patroni.ctl` too.
    pub verify_client: Option<VerifyClient>,
}

/// Check of client certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum VerifyClient {
    Optional,
    Required,
}
