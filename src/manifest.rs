//! The input types that several resources share: names, states, ports, and the plain specs of roles
//! and databases, which lie below the resources so that an instance can nest them.
//!
//! Their doc comments are the documentation of the options everywhere: Ansible, command line, schema,
//! reference pages. Schema extensions (`x-…`) say what JSON Schema has no word for:
//! `x-create-only` (refused when it changes), `x-hidden` (doors that do not show it: `cli`, `ansible`; of the command line
//! the verbs `create` and `alter`),
//! `x-alter` (the names of the two repeatable options of `alter`), `x-short` (a bare string stands for the
//! object with this key), `x-unsupported` (known from pglift, refused by name in this version).

mod authentication;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use camino::Utf8PathBuf;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use self::authentication::{End, HbaRecord, IdentMapping, InFile};
use crate::bail_fault;
use crate::secret::Secret;

/// Whether an object is to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Presence {
    #[default]
    Present,
    Absent,
}

/// When a plain password is compared and set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum UpdatePassword {
    #[default]
    Always,
    OnCreate,
}

/// The value of a parameter as it may stand in YAML; `null` takes the parameter away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting(pub Option<String>);

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::Null => None,
            Value::Bool(value) => Some(if value { "on" } else { "off" }.into()),
            Value::Number(value) => Some(value.to_string()),
            Value::String(value) => Some(value),
            Value::Array(values) => Some(
                values
                    .iter()
                    .map(|value| match value {
                        Value::String(text) => Ok(text.clone()),
                        Value::Number(number) => Ok(number.to_string()),
                        _ => Err(D::Error::custom(
                            "invalid type: a list of parameter values holds strings and numbers",
                        )),
                    })
                    .collect::<Result<Vec<_>, _>>()?
                    .join(", "),
            ),
            Value::Object(_) => {
                return Err(D::Error::custom(
                    "invalid type: map, expected a parameter value",
                ));
            }
        }))
    }
}

impl JsonSchema for Setting {
    fn schema_name() -> Cow<'static, str> {
        "Setting".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean", "array", "null"] })
    }
}

/// Parameters by name.
pub type Settings = BTreeMap<String, Setting>;

/// Which instance is meant: `name`, or `version/name` where a name exists in several majors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstanceRef {
    pub version: Option<String>,
    pub name: Option<String>,
}

impl InstanceRef {
    pub fn parse(text: &str) -> Self {
        match text.split_once('/') {
            Some((version, name)) => Self {
                version: Some(version.into()),
                name: Some(name.into()),
            },
            None => Self {
                version: None,
                name: Some(text.into()),
            },
        }
    }
}

impl fmt::Display for InstanceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(version) = &self.version {
            write!(f, "{version}/")?;
        }
        f.write_str(self.name.as_deref().unwrap_or("(the only one)"))
    }
}

impl<'de> Deserialize<'de> for InstanceRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || text.split('/').any(str::is_empty) || text.matches('/').count() > 1 {
            return Err(D::Error::custom(format!(
                "`{text}` is no instance: give `name` or `version/name`"
            )));
        }
        Ok(Self::parse(&text))
    }
}

impl JsonSchema for InstanceRef {
    fn schema_name() -> Cow<'static, str> {
        "InstanceRef".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// An object that lives in an instance: the options that say where, beside its own.
/// (Not `serde(flatten)`, which would accept unknown keys silently.)
#[derive(Debug, Clone)]
pub struct Within<T> {
    pub place: Place,
    pub spec: T,
}

/// Where the object lives, and how to get there.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The instance, as `name` or `version/name`; may be left out when there is only one.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// Start a stopped instance for the time of this run (without TCP listener), and stop it again.
    /// Without it, a stopped instance is refused.
    #[serde(default)]
    pub start_temporarily: bool,
    /// Refuse the whole plan when a change has a greater impact than this.
    #[serde(default)]
    pub max_impact: Option<crate::plan::Impact>,
    /// How many seconds to wait for another run on the same instance; 60 unless given, 0: not at all.
    #[serde(default)]
    pub lock_timeout: Option<u32>,
}

const PLACE_KEYS: [&str; 4] = [
    "instance",
    "start_temporarily",
    "max_impact",
    "lock_timeout",
];

impl<T: DeserializeOwned> Within<T> {
    /// Splits the request into the place and the object itself, each checked for unknown keys.
    pub fn from_value(value: Value, what: &str) -> Result<Self> {
        let Value::Object(mut own) = value else {
            bail_fault!(Input, "{what}: expected a map of options");
        };
        let place: serde_json::Map<String, Value> = PLACE_KEYS
            .iter()
            .filter_map(|key| own.shift_remove(*key).map(|value| ((*key).into(), value)))
            .collect();
        Ok(Self {
            place: crate::input::from_json(Value::Object(place), what)?,
            spec: crate::input::from_json(Value::Object(own), what)?,
        })
    }
}

/// An item of a list that may be given as its bare name.
pub trait Short: DeserializeOwned {
    const KEY: &'static str;
}

/// Deserializes a list whose items are objects, or bare strings that stand for the object's key.
pub fn shorthand<'de, D: Deserializer<'de>, T: Short>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let Some(items) = Option::<Vec<Value>>::deserialize(deserializer)? else {
        return Ok(None);
    };
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| {
            let item = match item {
                Value::String(name) => serde_json::json!({ T::KEY: name }),
                other => other,
            };
            crate::input::relay(item, &format!("[{index}]"))
        })
        .collect::<Result<Vec<T>, _>>()
        .map(Some)
}

/// Membership of a role in another.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Membership {
    /// The group role.
    pub role: String,
    /// Whether the role is to be a member.
    #[serde(default)]
    pub state: Presence,
}

impl Short for Membership {
    const KEY: &'static str = "role";
}

/// How a client connects, for an entry of `pg_hba.conf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum HostType {
    #[default]
    Host,
    Hostssl,
    Hostnossl,
    Hostgssenc,
    Hostnogssenc,
}

impl HostType {
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Hostssl => "hostssl",
            Self::Hostnossl => "hostnossl",
            Self::Hostgssenc => "hostgssenc",
            Self::Hostnogssenc => "hostnogssenc",
        }
    }
}

/// The network side of an entry of `pg_hba.conf`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct HostConnection {
    /// Connection type.
    #[serde(default, rename = "type")]
    pub kind: HostType,
    /// Client host name, address or range.
    pub address: String,
    /// Client network mask, where the address has no length of its own.
    #[serde(default)]
    pub netmask: Option<String>,
}

/// Authentication method of an entry of `pg_hba.conf` (PostgreSQL documentation, 20.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum HbaMethod {
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
    Peer,
    Gss,
    Cert,
    /// As of PostgreSQL 18.
    Oauth,
}

impl HbaMethod {
    pub fn name(self) -> &'static str {
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
            Self::Peer => "peer",
            Self::Gss => "gss",
            Self::Cert => "cert",
            Self::Oauth => "oauth",
        }
    }
}

/// An entry of `pg_hba.conf` for a role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct RoleHba {
    /// Network side of the entry; left out, the entry is for local sockets.
    #[serde(default)]
    pub connection: Option<HostConnection>,
    /// Database names, separated by commas.
    #[serde(default = "all")]
    pub database: String,
    /// Authentication method.
    pub method: HbaMethod,
    /// Whether the entry is to be there.
    #[serde(default)]
    pub state: Presence,
}

fn all() -> String {
    "all".into()
}

/// A role: what is left out is left as it is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleSpec {
    /// Name of the role.
    #[schemars(extend("x-create-only" = true))]
    pub name: String,
    /// Whether the role is to be there.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub state: Presence,
    /// Password in clear; it is compared with what the server has stored, and set only when it differs.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Password already hashed (SCRAM-SHA-256 or MD5), stored as it is.
    #[serde(default)]
    pub encrypted_password: Option<Secret>,
    /// Whether a password of an existing role is compared and set, or only given at creation.
    #[serde(default)]
    pub update_password: UpdatePassword,
    /// With `state: absent`: drop everything that the role owns, its databases included.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub drop_owned: bool,
    /// With `state: absent`: give everything that the role owns to this role.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub reassign_owned: Option<String>,
    /// Inherit the privileges of the roles it is a member of (INHERIT).
    #[serde(default)]
    pub inherit: Option<bool>,
    /// May log in (LOGIN).
    #[serde(default)]
    pub login: Option<bool>,
    /// Is a superuser (SUPERUSER).
    #[serde(default)]
    pub superuser: Option<bool>,
    /// May create databases (CREATEDB).
    #[serde(default)]
    pub createdb: Option<bool>,
    /// May create roles (CREATEROLE).
    #[serde(default)]
    pub createrole: Option<bool>,
    /// May start replication (REPLICATION).
    #[serde(default)]
    pub replication: Option<bool>,
    /// Bypasses row-level security (BYPASSRLS).
    #[serde(default)]
    pub bypassrls: Option<bool>,
    /// How many sessions the role may have; -1 for no limit.
    #[serde(default)]
    #[schemars(range(min = -1))]
    pub connection_limit: Option<i32>,
    /// When the password ends to be valid, as a date and time; `infinity` for never.
    #[serde(default)]
    pub valid_until: Option<String>,
    /// Roles that the role is a member of; those not listed are kept.
    #[serde(default, deserialize_with = "shorthand")]
    #[schemars(extend("x-alter" = ["grant", "revoke"], "x-create" = "in-role", "x-short" = "role"))]
    pub memberships: Option<Vec<Membership>>,
    /// Makes `memberships` exact: those not listed are revoked.
    #[serde(default)]
    pub memberships_purge: bool,
    /// Parameters set for the role's sessions (ALTER ROLE … SET); null takes one away, those not listed are kept.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub settings: Option<Settings>,
    /// Makes `settings` exact: those not listed are taken away.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub settings_purge: bool,
    /// Comment on the role; an empty one takes it away.
    #[serde(default)]
    pub comment: Option<String>,
    /// Entries of `pg_hba.conf` for the role; those not listed are kept.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub hba_records: Option<Vec<RoleHba>>,
    /// Keep an entry with the role's password in the password file of the site (`postgresql.auth.passfile`), or remove it.
    #[serde(default)]
    pub pgpass: Option<bool>,
}

/// A schema of a database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct SchemaSpec {
    /// Name of the schema.
    pub name: String,
    /// Whether the schema is to be there; it is dropped only when nothing is in it, unless `cascade` is set.
    #[serde(default)]
    pub state: Presence,
    /// Owner of the schema; at creation the owner of the database unless given.
    #[serde(default)]
    pub owner: Option<String>,
    /// With `state: absent`: drop what is in it and what depends on it too.
    #[serde(default)]
    pub cascade: bool,
}

impl Short for SchemaSpec {
    const KEY: &'static str = "name";
}

/// An extension of a database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ExtensionSpec {
    /// Name of the extension.
    pub name: String,
    /// Schema of its objects.
    #[serde(default)]
    pub schema: Option<String>,
    /// Version; at creation the default one unless given.
    #[serde(default)]
    pub version: Option<String>,
    /// Whether the extension is to be there; it is dropped only when nothing depends on it, unless `cascade` is set.
    #[serde(default)]
    pub state: Presence,
    /// With `state: absent`: drop what depends on it too.
    #[serde(default)]
    pub cascade: bool,
}

impl Short for ExtensionSpec {
    const KEY: &'static str = "name";
}

/// Who provides the collations of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LocaleProvider {
    Libc,
    Icu,
    /// From PostgreSQL 17 on.
    Builtin,
}

impl LocaleProvider {
    pub fn name(self) -> &'static str {
        match self {
            Self::Libc => "libc",
            Self::Icu => "icu",
            Self::Builtin => "builtin",
        }
    }
}

/// A tablespace: what is left out is left as it is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TablespaceSpec {
    /// Name of the tablespace.
    #[schemars(extend("x-create-only" = true))]
    pub name: String,
    /// Whether the tablespace is to be there; it is dropped only when nothing is in it, and its directory stays.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub state: Presence,
    /// Directory of the tablespace, outside the data directory; needed to make it. One that is missing is made where the user of the servers may.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("x-create-only" = true))]
    pub location: Option<Utf8PathBuf>,
    /// Owner of the tablespace.
    #[serde(default)]
    pub owner: Option<String>,
    /// Parameters of the planner for what lies in it (`random_page_cost`, `effective_io_concurrency`, …); null takes one away, those
    /// not listed are kept.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub settings: Option<Settings>,
    /// Comment on the tablespace; an empty one takes it away.
    #[serde(default)]
    pub comment: Option<String>,
    /// Whether `state: absent` is refused; off unless it was ever given. It cannot be lifted in the call that drops.
    /// It is kept in the database `postgres`, so that standbys have it too.
    #[serde(default)]
    pub deletion_protection: Option<bool>,
}

impl TablespaceSpec {
    /// Its directory as the server writes it: without a slash at the end.
    pub fn place(&self) -> Option<Utf8PathBuf> {
        let location = self.location.as_ref()?;
        Some(location.components().collect())
    }
}

/// A database: what is left out is left as it is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSpec {
    /// Name of the database.
    #[schemars(extend("x-create-only" = true))]
    pub name: String,
    /// Whether the database is to be there.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub state: Presence,
    /// With `state: absent`: end the sessions that use it (DROP DATABASE … WITH (FORCE)).
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub force_drop: bool,
    /// With `state: absent`: set the database aside instead of dropping it, as `NAME_dropped_1`, without connections.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub keep_data: bool,
    /// Whether `state: absent` is refused; off unless it was ever given. It cannot be lifted in the call that drops.
    /// It is kept in the database (`ALTER DATABASE … SET pgsocle.deletion_protection`), so that standbys have it too.
    #[serde(default)]
    pub deletion_protection: Option<bool>,
    /// Owner of the database.
    #[serde(default)]
    pub owner: Option<String>,
    /// Encoding of the database, as `UTF8`.
    #[serde(default)]
    #[schemars(extend("x-create-only" = true))]
    pub encoding: Option<String>,
    /// Locale of the database; it is made from template0 when this differs from template1's.
    #[serde(default)]
    #[schemars(extend("x-create-only" = true))]
    pub locale: Option<String>,
    /// Provider of the locale (`icu` from PostgreSQL 15 on, `builtin` from 17 on).
    #[serde(default)]
    #[schemars(extend("x-create-only" = true))]
    pub locale_provider: Option<LocaleProvider>,
    /// Locale of the ICU provider, as `de-DE-x-icu` or `en-US`.
    #[serde(default)]
    #[schemars(extend("x-create-only" = true))]
    pub icu_locale: Option<String>,
    /// Tablespace; changing it moves the database, which is refused while sessions use it.
    #[serde(default)]
    pub tablespace: Option<String>,
    /// How many sessions the database may have; -1 for no limit.
    #[serde(default)]
    #[schemars(range(min = -1))]
    pub connection_limit: Option<i32>,
    /// Parameters set for sessions of the database (ALTER DATABASE … SET); null takes one away, those not listed are kept.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub settings: Option<Settings>,
    /// Makes `settings` exact: those not listed are taken away.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub settings_purge: bool,
    /// Comment on the database; an empty one takes it away.
    #[serde(default)]
    pub comment: Option<String>,
    /// Schemas; those not listed are kept.
    #[serde(default, deserialize_with = "shorthand")]
    #[schemars(extend("x-alter" = ["add-schema", "remove-schema"], "x-create" = "schema", "x-short" = "name"))]
    pub schemas: Option<Vec<SchemaSpec>>,
    /// Extensions; those not listed are kept.
    #[serde(default, deserialize_with = "shorthand")]
    #[schemars(extend("x-alter" = ["add-extension", "remove-extension"], "x-create" = "extension", "x-short" = "name"))]
    pub extensions: Option<Vec<ExtensionSpec>>,
    /// Logical publications; not supported in this version.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"], "x-unsupported" = true))]
    pub publications: Option<Vec<Value>>,
    /// Logical subscriptions; not supported in this version.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"], "x-unsupported" = true))]
    pub subscriptions: Option<Vec<Value>>,
    /// Copy another database into this one; not supported in this version.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"], "x-unsupported" = true))]
    pub clone: Option<Value>,
}

/// Checks the length and content of an SQL name: PostgreSQL would cut a longer one silently.
pub fn check_identifier(what: &str, name: &str) -> Result<()> {
    if name.is_empty() {
        bail_fault!(Input, "{what}: the name is empty");
    }
    if name.len() > 63 {
        bail_fault!(
            Input,
            "{what} `{name}`: the name has {} bytes, more than the 63 that PostgreSQL keeps",
            name.len()
        );
    }
    if name.contains('\0') {
        bail_fault!(Input, "{what}: the name holds a NUL character");
    }
    Ok(())
}

/// Refuses two entries of the same name in one list: which one would win is nobody's wish.
pub fn check_unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            bail_fault!(Input, "{what} `{name}` is given twice");
        }
    }
    Ok(())
}
