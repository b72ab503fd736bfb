//! The kinds of repositories.

use std::num::NonZeroU16;

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::input::relay;
use crate::settings::path::{Absolute, Run, Srv};

/// Where backups go, and how they get there: a kind, chosen by `mode`.
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
    /// In an object store that speaks S3.
    S3(S3),
    /// In Azure Blob Storage.
    Azure(Azure),
    /// In Google Cloud Storage.
    Gcs(Gcs),
}

impl<'de> Deserialize<'de> for Repository {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Mode {
            HostTls,
            HostSsh,
            Path,
            S3,
            Azure,
            Gcs,
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
            Mode::S3 => relay(value, "").map(Self::S3),
            Mode::Azure => relay(value, "").map(Self::Azure),
            Mode::Gcs => relay(value, "").map(Self::Gcs),
        }
    }
}

impl Repository {
    /// The host that it is on, where that is another one: backups are taken and stanzas are made there.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::HostTls(HostTls { host, .. }) | Self::HostSsh(HostSsh { host, .. }) => Some(host),
            Self::Path(_) | Self::S3(_) | Self::Azure(_) | Self::Gcs(_) => None,
        }
    }

    /// Its encryption, where it is this host that encrypts.
    pub fn cipher(&self) -> Option<&Cipher> {
        match self {
            Self::HostTls(_) | Self::HostSsh(_) => None,
            Self::Path(PathRepository { cipher, .. })
            | Self::S3(S3 { cipher, .. })
            | Self::Azure(Azure { cipher, .. })
            | Self::Gcs(Gcs { cipher, .. }) => cipher.as_ref(),
        }
    }

    /// How the object store is reached, where it is one.
    pub fn storage(&self) -> Option<&Store> {
        match self {
            Self::HostTls(_) | Self::HostSsh(_) | Self::Path(_) => None,
            Self::S3(S3 { storage, .. })
            | Self::Azure(Azure { storage, .. })
            | Self::Gcs(Gcs { storage, .. }) => Some(storage),
        }
    }

    /// How much is kept, where it is this host that takes backups.
    pub fn retention(&self) -> Option<&Retention> {
        match self {
            Self::HostTls(_) | Self::HostSsh(_) => None,
            Self::Path(PathRepository { retention, .. })
            | Self::S3(S3 { retention, .. })
            | Self::Azure(Azure { retention, .. })
            | Self::Gcs(Gcs { retention, .. }) => Some(retention),
        }
    }
}

/// A repository on another host, over TLS. How much is kept and the encryption are that host's to say.
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

    /// PID file of the local TLS server (read, without effect: systemd runs it).
    #[serde(default = "tls_pid_file")]
    #[schemars(with = "Run")]
    pub pid_file: Utf8PathBuf,
}

/// A repository on another host, over SSH. How much is kept and the encryption are that host's to say.
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

    /// Encryption of the repository. Unset: none.
    #[serde(default)]
    pub cipher: Option<Cipher>,
}

/// A repository in an object store that speaks S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// The bucket; it must be there.
    pub bucket: String,

    /// The endpoint, a host name, with its port where that is another than that of HTTPS. Required for S3; else unset: that of
    /// the provider.
    pub endpoint: String,

    /// The region.
    pub region: String,

    /// What all names in the bucket begin with.
    #[serde(default = "store_path")]
    pub path: String,

    /// Whether the bucket is named in the host or in the path of a request. Unset: in the host.
    #[serde(default)]
    pub uri_style: Option<UriStyle>,

    /// How requests are authorized: by a key (`shared`; Google: that of an account of a `service`), by the identity of this
    /// machine (`auto`), or by what the store knows beside (S3: `web-id`, with newer versions of pgBackRest `pod-id` and
    /// `process`, whose command is the option `repo1-s3-process-cmd`; Azure: `sas`; Google: `token`, and newer `web-id`).
    #[serde(default)]
    pub key_type: S3Key,

    /// File that holds the access key, or whatever `key_type` needs: key, signature or token.
    #[serde(default)]
    #[schemars(with = "Option<Absolute>")]
    pub key_file: Option<Utf8PathBuf>,

    /// File that holds the secret of the access key of S3.
    #[serde(default)]
    #[schemars(with = "Option<Absolute>")]
    pub key_secret_file: Option<Utf8PathBuf>,

    /// File that holds a session token of S3.
    #[serde(default)]
    #[schemars(with = "Option<Absolute>")]
    pub token_file: Option<Utf8PathBuf>,

    /// File that holds the key with which S3 is to encrypt what it stores (newer versions of pgBackRest).
    #[serde(default)]
    #[schemars(with = "Option<Absolute>")]
    pub sse_customer_key_file: Option<Utf8PathBuf>,

    /// Role of this machine, for `auto` of S3. Unset: looked up.
    #[serde(default)]
    pub role: Option<String>,

    /// How the store is reached.
    #[serde(default)]
    pub storage: Store,

    /// How much is kept.
    #[serde(default)]
    pub retention: Retention,

    /// Encryption of the repository, before it is sent. Unset: none.
    #[serde(default)]
    pub cipher: Option<Cipher>,
}

/// How requests to S3 are authorized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum S3Key {
    #[default]
    Shared,
    Auto,
    WebId,
    PodId,
    Process,
}

/// A repository in Azure Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Azure {
    /// The account.
    pub account: String,

    /// The container; it must be there.
    pub container: String,

    /// The endpoint, a host name. Unset: that of Azure.
    #[serde(default)]
    pub endpoint: Option<String>,

    /// What all names in the container begin with.
    #[serde(default = "store_path")]
    pub path: String,

    /// Whether the account is named in the host or in the path of a request. Unset: in the host.
    #[serde(default)]
    pub uri_style: Option<UriStyle>,

    /// How requests are authorized: by a key, by a signature, by the identity of this machine (from pgBackRest 2.55 on).
    #[serde(default)]
    pub key_type: AzureKey,

    /// File that holds the key or the signature; for `shared` and `sas`.
    #[serde(default)]
    #[schemars(with = "Option<Absolute>")]
    pub key_file: Option<Utf8PathBuf>,

    /// How the store is reached.
    #[serde(default)]
    pub storage: Store,

    /// How much is kept.
    #[serde(default)]
    pub retention: Retention,

    /// Encryption of the repository, before it is sent. Unset: none.
    #[serde(default)]
    pub cipher: Option<Cipher>,
}

/// How requests to Azure are authorized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum AzureKey {
    #[default]
    Shared,
    Sas,
    Auto,
}

/// A repository in Google Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gcs {
    /// The bucket; it must be there.
    pub bucket: String,

    /// The endpoint, a host name. Unset: that of Google.
    #[serde(default)]
    pub endpoint: Option<String>,

    /// What all names in the bucket begin with.
    #[serde(default = "store_path")]
    pub path: String,

    /// How requests are authorized: by the key of a service account, by the account of this machine, by a token, by a workload
    /// identity.
    #[serde(default)]
    pub key_type: GcsKey,

    /// Key file of the service account, or credential file of `web-id`, which pgBackRest reads itself; for `token`, file that
    /// holds the token.
    #[serde(default)]
    #[schemars(with = "Option<Absolute>")]
    pub key_file: Option<Utf8PathBuf>,

    /// How the store is reached.
    #[serde(default)]
    pub storage: Store,

    /// How much is kept.
    #[serde(default)]
    pub retention: Retention,

    /// Encryption of the repository, before it is sent. Unset: none.
    #[serde(default)]
    pub cipher: Option<Cipher>,
}

/// How requests to Google are authorized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum GcsKey {
    #[default]
    Service,
    Auto,
    Token,
    WebId,
}

fn store_path() -> String {
    "/pgbackrest".to_owned()
}

/// Where a store names the bucket or account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum UriStyle {
    Host,
    Path,
}

/// How an object store is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Host to connect to instead of the endpoint (not Google).
    pub host: Option<String>,

    /// Its port (Google: in `endpoint`). Unset: that of HTTPS.
    pub port: Option<NonZeroU16>,

    /// Whether its certificate is checked. Unset: it is.
    pub verify_tls: Option<bool>,

    /// Certificates of the authorities. Unset: those of the system.
    #[schemars(with = "Option<Absolute>")]
    pub ca_file: Option<Utf8PathBuf>,
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

/// Encryption of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cipher {
    /// The cipher.
    #[serde(default)]
    pub r#type: CipherType,

    /// File that holds the passphrase. It cannot be changed once there are backups.
    #[schemars(with = "Absolute")]
    pub pass_file: Utf8PathBuf,
}

/// The ciphers that pgBackRest knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum CipherType {
    #[default]
    #[serde(rename = "aes-256-cbc")]
    Aes256Cbc,
}

/// How many backups are kept, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// `repo1-retention-archive`: for how many full backups WAL is kept. Without effect with `full_type: time`, where WAL is
    /// kept as long as the backups.
    pub archive: u32,

    /// `repo1-retention-diff`: how many differential backups.
    pub diff: u32,

    /// `repo1-retention-full`: how many full backups, or of how many days.
    pub full: u32,

    /// `repo1-retention-full-type`: whether `full` counts backups or days. Unset: backups.
    pub full_type: Option<RetentionType>,
}

/// What a retention counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RetentionType {
    Count,
    Time,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            archive: 2,
            diff: 3,
            full: 2,
            full_type: None,
        }
    }
}
