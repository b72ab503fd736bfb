//! Section `postgresql` of the site settings.

use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::path::{Absolute, Log, Run, Srv};
use crate::pg::version::Major;

/// PostgreSQL: programs, what new instances are made with, and where everything lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PostgreSql {
    /// Template of the directory of a major's programs; must hold `{version}`. Unset: looked for in
    /// `/usr/lib/postgresql/{version}/bin` and `/usr/pgsql-{version}/bin`.
    #[schemars(with = "Option<Absolute>", extend("x-variables" = ["version"]))]
    pub bindir: Option<Utf8PathBuf>,

    /// Majors whose programs lie somewhere else than `bindir` says. Those found through `bindir` need
    /// not be listed.
    pub versions: Vec<Version>,

    /// Major for an instance that is created without naming one. Unset: the highest one installed.
    pub default_version: Option<Major>,

    /// What new data directories are made with.
    pub initdb: Initdb,

    /// How clients authenticate.
    pub auth: Auth,

    /// The superuser role.
    pub surole: SuRole,

    /// Name of the replication role. Unset: no such role is made. Needed for Patroni.
    pub replrole: Option<String>,

    /// The role for backups.
    pub backuprole: BackupRole,

    /// Template of data directories; must hold `{name}`, may hold `{version}`.
    #[schemars(with = "Srv", extend("x-variables" = ["version", "name"]))]
    pub datadir: Utf8PathBuf,

    /// Template of WAL directories; holds the same variables as `datadir`.
    #[schemars(with = "Srv", extend("x-variables" = ["version", "name"]))]
    pub waldir: Utf8PathBuf,

    /// Directory of the servers' logs. `null`: logging is left to the instances' own settings.
    #[schemars(with = "Option<Log>")]
    pub logpath: Option<Utf8PathBuf>,

    /// Directory of the servers' sockets.
    #[schemars(with = "Run")]
    pub socket_directory: Utf8PathBuf,

    /// Template of the directories for dumps of databases.
    #[schemars(with = "Srv", extend("x-variables" = ["version", "name"]))]
    pub dumps_directory: Utf8PathBuf,

    /// Commands that dump a database, each a list of words. The program is absolute or below `{bindir}`.
    #[schemars(extend("x-variables" = ["bindir", "path", "conninfo", "dbname", "date"]))]
    pub dump_commands: Vec<Vec<String>>,
}

impl Default for PostgreSql {
    fn default() -> Self {
        Self {
            bindir: None,
            versions: Vec::new(),
            default_version: None,
            initdb: Initdb::default(),
            auth: Auth::default(),
            surole: SuRole::default(),
            replrole: None,
            backuprole: BackupRole::default(),
            datadir: "pgsql/{version}/{name}/data".into(),
            waldir: "pgsql/{version}/{name}/wal".into(),
            logpath: Some("postgresql".into()),
            socket_directory: "postgresql".into(),
            dumps_directory: "dumps/{version}-{name}".into(),
            dump_commands: vec![
                [
                    "{bindir}/pg_dump",
                    "-Fc",
                    "-f",
                    "{path}/{dbname}_{date}.dump",
                    "-d",
                    "{conninfo}",
                ]
                .map(str::to_owned)
                .to_vec(),
            ],
        }
    }
}

/// A major and where its programs are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// The major.
    pub version: Major,

    /// Directory of its programs.
    #[schemars(with = "Absolute")]
    pub bindir: Utf8PathBuf,
}

/// What `initdb` is told where an instance does not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Initdb {
    /// Locale. `null`: that of the environment.
    pub locale: Option<String>,

    /// Encoding of databases. `null`: that of the locale.
    pub encoding: Option<String>,

    /// Checksums of data pages. `null`: as the major does by itself (on since 18).
    pub data_checksums: Option<bool>,

    /// Read access to the data directory for the group of the system user.
    pub allow_group_access: Option<bool>,
}

impl Default for Initdb {
    fn default() -> Self {
        Self {
            locale: Some("C".to_owned()),
            encoding: Some("UTF8".to_owned()),
            data_checksums: None,
            allow_group_access: None,
        }
    }
}

/// How clients authenticate, where an instance does not say otherwise. Unlike in pglift, whose default
/// is `trust`, everyone needs a password by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Method for connections through the socket.
    pub local: LocalMethod,

    /// Method for TCP connections.
    pub host: HostMethod,

    /// Method for TCP connections with TLS. `null`: none is set.
    pub hostssl: Option<HostSslMethod>,

    /// Password file of the system user that is kept up to date. `null`: none is kept.
    #[schemars(with = "Option<Absolute>")]
    pub passfile: Option<Utf8PathBuf>,

    /// Command, as a list of words, that prints the password of a role. Its words may hold `{instance}`
    /// and `{role}`. Empty: there is none.
    #[schemars(extend("x-variables" = ["instance", "role"]))]
    pub password_command: Vec<String>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            local: LocalMethod::ScramSha256,
            host: HostMethod::ScramSha256,
            hostssl: Some(HostSslMethod::ScramSha256),
            passfile: Some("~/.pgpass".into()),
            password_command: Vec::new(),
        }
    }
}

/// Declares the authentication methods of a kind of connection: the common ones and some more.
macro_rules! methods {
    ($(#[$doc:meta])* $kind:ident $(, $more:ident = $word:literal)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        #[schemars(inline)]
        pub enum $kind {
            Trust,
            Reject,
            Md5,
            Password,
            #[serde(rename = "scram-sha-256")]
            ScramSha256,
            Sspi,
            Ident,
            Pam,
            Ldap,
            Radius,
            $($more,)*
        }

        impl $kind {
            /// The word in `pg_hba.conf`.
            pub fn as_str(self) -> &'static str {
                match self {
                    Self::Trust => "trust",
                    Self::Reject => "reject",
                    Self::Md5 => "md5",
                    Self::Password => "password",
                    Self::ScramSha256 => "scram-sha-256",
                    Self::Sspi => "sspi",
                    Self::Ident => "ident",
                    Self::Pam => "pam",
                    Self::Ldap => "ldap",
                    Self::Radius => "radius",
                    $(Self::$more => $word,)*
                }
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

methods!(
    /// Authentication methods for the socket.
    LocalMethod, Peer = "peer"
);
methods!(
    /// Authentication methods for TCP.
    HostMethod, Gss = "gss"
);
methods!(
    /// Authentication methods for TCP with TLS.
    HostSslMethod, Gss = "gss", Cert = "cert"
);

/// The superuser role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SuRole {
    /// Name of the role.
    pub name: String,

    /// Keep its password in `auth.passfile`.
    pub pgpass: bool,
}

impl Default for SuRole {
    fn default() -> Self {
        Self {
            name: "postgres".to_owned(),
            pgpass: false,
        }
    }
}

/// The role for backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BackupRole {
    /// Name of the role.
    pub name: String,

    /// Keep its password in `auth.passfile`.
    pub pgpass: bool,
}

impl Default for BackupRole {
    fn default() -> Self {
        Self {
            name: "backup".to_owned(),
            pgpass: false,
        }
    }
}
