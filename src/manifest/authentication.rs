//! Records of `pg_hba.conf` and mappings of `pg_ident.conf`, one of them or the whole list.

use std::collections::BTreeMap;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{HbaMethod, HostConnection, InstanceRef, Presence, all};
use crate::bail_fault;
use crate::plan::Impact;
use crate::secret::Secret;

/// A record of `pg_hba.conf`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct HbaRecord {
    /// Network side of the record; left out, the record is for local sockets.
    #[serde(default)]
    pub connection: Option<HostConnection>,
    /// Database names, separated by commas, as they stand in the file: a keyword in double quotes is a name, and so is
    /// what begins with `+`, `@` or `/` without meaning it.
    #[serde(default = "all")]
    pub database: String,
    /// User names, separated by commas, likewise.
    #[serde(default = "all")]
    pub user: String,
    /// Authentication method.
    pub method: HbaMethod,
    /// Options of the method by name, such as `map`; its passwords have options of their own.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub options: Option<BTreeMap<String, String>>,
    /// Password with which the method `ldap` binds to look for the user.
    #[serde(default)]
    pub ldapbindpasswd: Option<Secret>,
    /// Shared secrets of the method `radius`, separated by commas.
    #[serde(default)]
    pub radiussecrets: Option<Secret>,
    /// Whether the record is to be there.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub state: Presence,
}

/// A mapping of `pg_ident.conf`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct IdentMapping {
    /// Name of the map, as the option `map` of a record of `pg_hba.conf` has it.
    pub map: String,
    /// Name of the user as the operating system or another authority knows it; with a slash in front, a regular expression.
    pub system_user: String,
    /// Role as which that user may connect; as of PostgreSQL 16 also `all`, `+group` and `/expression`, which are names when
    /// they are in double quotes.
    pub role: String,
    /// Whether the mapping is to be there.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub state: Presence,
}

/// One end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum End {
    First,
    Last,
}

/// What is said of the file, beside the record itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, bound(deserialize = "T: Deserialize<'de>"))]
pub struct InFile<T> {
    /// The instance, as `name` or `version/name`; may be left out when there is only one.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// Put it before or behind all others, the included ones too. Where nothing is said of the place, what is there stays
    /// where it is, and what is new goes to the end of the file.
    #[serde(default)]
    pub position: Option<End>,
    /// Put it somewhere before this record, given as it stands in the file.
    #[serde(default)]
    pub before: Option<String>,
    /// Put it somewhere behind this record, given as it stands in the file.
    #[serde(default)]
    pub after: Option<String>,
    /// Several of them instead of a single one, each with the options that a single one has. What is there stays where it is;
    /// what is new goes behind the one before it in this list, the first one to the place that is given.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub records: Option<Vec<T>>,
    /// Makes the file hold exactly `records`, in this order. Comments and include directives stay.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub purge: bool,
    /// Refuse the whole plan when a change has a greater impact than this.
    #[serde(default)]
    pub max_impact: Option<Impact>,
    /// How many seconds to wait for another run on the same instance; 60 unless given, 0: not at all.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub lock_timeout: Option<u32>,
}

const FILE_KEYS: [&str; 8] = [
    "instance",
    "position",
    "before",
    "after",
    "records",
    "purge",
    "max_impact",
    "lock_timeout",
];

/// What a single record says when nothing is said.
const DEFAULTS: [(&str, &str); 3] = [("database", "all"), ("user", "all"), ("state", "present")];

impl<T: DeserializeOwned> InFile<T> {
    /// Splits the request into what is said of the file and the single record, if there is one; `key` is what none can do
    /// without.
    pub fn from_value(value: Value, what: &str, key: &str) -> Result<(Self, Option<T>)> {
        let Value::Object(mut own) = value else {
            bail_fault!(Input, "{what}: expected a map of options");
        };
        let file: Map<String, Value> = FILE_KEYS
            .iter()
            .filter_map(|key| own.shift_remove(*key).map(|value| ((*key).into(), value)))
            .collect();
        let file: Self = crate::input::from_json(Value::Object(file), what)?;
        if file.records.is_none() {
            if file.purge {
                bail_fault!(Input, "{what}: `purge` is for a list of `records`"; "give all records that the file is to have");
            }
            if !own.contains_key(key) {
                bail_fault!(Input, "{what}: `{key}` is required"; "or a list of `records`");
            }
            let single = crate::input::from_json(Value::Object(own), what)?;
            return Ok((file, Some(single)));
        }
        // Defaults are no contradiction: Ansible hands them over.
        let is_default = |name: &str, value: &Value| {
            let known = DEFAULTS
                .iter()
                .any(|(key, default)| name == *key && value == *default);
            known || value.is_null()
        };
        if let Some((name, _)) = own.iter().find(|(name, value)| !is_default(name, value)) {
            bail_fault!(
                Input,
                "{what}: `{name}` does not go with `records`";
                "give it to the items of the list"
            );
        }
        Ok((file, None))
    }
}
