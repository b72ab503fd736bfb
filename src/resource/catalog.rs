//! What the stages that read and change catalogs share.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::host::{Look, Query, Rows, Server};
use crate::manifest::Settings;
use crate::pg::guc::{self, Guc};
use crate::pg::ident::{ident, literal};
use crate::settings::InstancePaths;
use crate::stage::{Catalogs, World};
use crate::{bail_fault, fault};

/// The database that our sessions use where any would do.
pub const MAINTENANCE: &str = "postgres";

/// The tablespaces that initdb makes.
pub const INITIAL_TABLESPACES: [&str; 2] = ["pg_default", "pg_global"];

/// How the parameters begin that are notes of ours: the server keeps them, and no session heeds them.
pub const NOTES: &str = "pgsocle.";

/// What every catalog stage must know of the server.
#[derive(Debug, Clone, Deserialize)]
pub struct ServerFacts {
    pub in_recovery: bool,
    pub password_encryption: String,
    pub hba_file: String,
    /// `server_version_num`.
    pub version: i32,
    /// Of the parameters that some role or database has a value of its own of; null when there is none.
    pub parameters: Option<Vec<Guc>>,
}

impl ServerFacts {
    /// As a cluster says of itself that this run makes.
    pub fn new_cluster(paths: &InstancePaths) -> Self {
        Self {
            in_recovery: false,
            password_encryption: "scram-sha-256".into(),
            hba_file: paths.hba_file.clone().into(),
            version: i32::from(paths.version.number()) * 10_000,
            parameters: None,
        }
    }
}

/// What databases and tablespaces refer to.
#[derive(Debug, Default, Deserialize)]
pub struct Surroundings {
    /// Of the roles that were asked for: those of the server and those that this run makes.
    #[serde(default, deserialize_with = "or_empty")]
    pub roles: BTreeSet<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub tablespaces: BTreeSet<String>,
    /// Databases that have been set aside.
    #[serde(default, deserialize_with = "or_empty")]
    pub kept: Vec<String>,
    /// What the maintenance database has been given as `name=value` items, notes of ours among them.
    #[serde(default, deserialize_with = "or_empty")]
    pub notes: Vec<String>,
}

/// `json_agg` of nothing is null.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Surroundings {
    /// As a cluster has them that this run makes.
    pub fn new_cluster(superuser: &str) -> Self {
        Self {
            roles: [superuser.to_owned()].into(),
            tablespaces: INITIAL_TABLESPACES.map(str::to_owned).into(),
            ..Self::default()
        }
    }

    /// With what earlier stages of the run make and drop.
    #[must_use]
    pub fn with(mut self, world: &World) -> Self {
        for (names, changes) in [
            (&mut self.roles, &world.roles),
            (&mut self.tablespaces, &world.tablespaces),
        ] {
            for (name, made) in changes {
                if *made {
                    names.insert(name.clone());
                } else {
                    names.remove(name);
                }
            }
        }
        self
    }
}

/// Asks for [`Surroundings`], with those of these roles that exist.
pub fn surroundings_query(server: &Server, roles: &[&str]) -> Query {
    Query {
        server: server.clone(),
        database: MAINTENANCE.into(),
        sql: include_str!("../sql/surroundings.sql"),
        parameter: json!({ "roles": roles }),
    }
}

/// The server that the run talks to, or why there is none.
pub fn server(world: &World) -> Result<&Server> {
    match &world.catalogs {
        Catalogs::Readable(server) | Catalogs::New(server) | Catalogs::Hidden(server) => Ok(server),
        Catalogs::Stopped => Err(fault!(
            Unavailable,
            "the server is stopped";
            "start the instance, or set `start_temporarily: true` to start it for the time of this run"
        )),
        Catalogs::Absent => Err(fault!(NotFound, "the instance does not exist")),
        Catalogs::Unknown => Err(anyhow::anyhow!("no stage has looked for the server")),
    }
}

/// Runs an observation beside the one of the server itself.
pub fn observe<T: DeserializeOwned>(
    look: &dyn Look,
    query: Query,
) -> Result<(ServerFacts, Vec<T>)> {
    let mut answers = look.query(&[facts_query(&query), query])?.into_iter();
    let mut next = || answers.next().unwrap_or_default();
    Ok((facts(next())?, next().read()?))
}

/// Asks the server of a query for its [`ServerFacts`].
pub fn facts_query(beside: &Query) -> Query {
    Query {
        server: beside.server.clone(),
        database: beside.database.clone(),
        sql: include_str!("../sql/server.sql"),
        parameter: Value::Null,
    }
}

/// The answer to [`facts_query`].
pub fn facts(answer: Rows) -> Result<ServerFacts> {
    let facts = answer.read()?.pop();
    facts.context("the server said nothing of itself")
}

/// A standby refuses every write: said before, instead of by the server in the middle.
pub fn refuse_standby(facts: &ServerFacts, paths: &InstancePaths) -> Result<()> {
    if facts.in_recovery {
        bail_fault!(Conflict, "instance `{paths}` is a standby: it cannot be written to"; "make the change on its primary");
    }
    Ok(())
}

/// `name=value` items of `pg_db_role_setting` as a map.
pub fn settings_map(items: &[String]) -> BTreeMap<String, String> {
    items
        .iter()
        .filter_map(|item| item.split_once('='))
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// Refuses a parameter that is given twice: the server does not tell upper from lower case in their names.
pub fn check_settings(what: &str, settings: Option<&Settings>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for (name, setting) in settings.into_iter().flatten() {
        if setting.0.as_ref().is_some_and(|value| value.contains('\0')) {
            bail_fault!(
                Input,
                "{what}: the value of parameter `{name}` holds a NUL character"
            );
        }
        if name.is_empty() || name.contains('\0') {
            bail_fault!(
                Input,
                "{what}: `settings` holds a parameter without a proper name"
            );
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            bail_fault!(
                Input,
                "{what}: parameter `{name}` is given twice in `settings`"
            );
        }
    }
    Ok(())
}

/// Parameters to set (some value) or to reset (none), in the order of their names; in the server's spelling where
/// it has the parameter (`TimeZone`). Values that mean the same are no change, as far as the server says what they mean.
pub fn settings_changes(
    known: Option<&[Guc]>,
    present: &BTreeMap<String, String>,
    wanted: Option<&Settings>,
    purge: bool,
) -> Vec<(String, Option<String>)> {
    let Some(wanted) = wanted else {
        return Vec::new();
    };
    let wanted: BTreeMap<String, Option<&String>> = wanted
        .iter()
        .map(|(name, setting)| (name.to_ascii_lowercase(), setting.0.as_ref()))
        .collect();
    let present: BTreeMap<String, (&String, &String)> = present
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), (name, value)))
        .collect();
    let names: BTreeSet<&String> = wanted
        .keys()
        .chain(present.keys().filter(|_| purge))
        .collect();
    names
        .into_iter()
        .filter_map(|name| {
            let (spelling, have) = present.get(name).copied().unzip();
            let want = wanted.get(name).copied().flatten();
            let unchanged = match (want, have) {
                (Some(want), Some(have)) => same(known, name, want, have),
                (None, None) => true,
                _ => false,
            };
            (!unchanged).then(|| (spelling.unwrap_or(name).clone(), want.cloned()))
        })
        .collect()
}

/// The parameters once these changes have been made.
pub fn settings_after(
    present: &BTreeMap<String, String>,
    changes: &[(String, Option<String>)],
) -> BTreeMap<String, String> {
    let mut after = present.clone();
    for (name, value) in changes {
        match value {
            Some(value) => _ = after.insert(name.clone(), value.clone()),
            None => _ = after.remove(name),
        }
    }
    after
}

/// The managed ones of these parameters as a line of a diff; none when parameters are not managed.
pub fn settings_line(
    values: &BTreeMap<String, String>,
    wanted: Option<&Settings>,
    purge: bool,
) -> Option<String> {
    let wanted = wanted?;
    let managed = |name: &String| {
        purge
            || wanted
                .keys()
                .any(|wanted| wanted.eq_ignore_ascii_case(name))
    };
    let lines: Vec<String> = values
        .iter()
        .filter(|(name, _)| managed(name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Some(lines.join(", "))
}

fn same(known: Option<&[Guc]>, name: &str, want: &str, have: &str) -> bool {
    if guc::is_list(name) {
        // An empty list is stored as one of an empty name (`search_path=""`).
        let items = |list| {
            let mut items = guc::split_list(list);
            items.retain(|item| !item.is_empty());
            items
        };
        return items(want) == items(have);
    }
    let mut known = known.into_iter().flatten();
    want == have
        || known
            .find(|guc| guc.name.eq_ignore_ascii_case(name))
            .is_some_and(|guc| guc::same_value(guc, want, have))
}

/// `ALTER ROLE x SET parameter TO value`, `… RESET parameter` when there is none.
pub fn set_parameter(object: &str, parameter: &str, value: Option<&str>) -> String {
    // `a.b` is two identifiers: a custom parameter of extension a.
    let name = parameter
        .split('.')
        .map(ident)
        .collect::<Vec<_>>()
        .join(".");
    match value {
        None => format!("ALTER {object} RESET {name}"),
        Some(value) if guc::is_list(parameter) => {
            let items = guc::split_list(value);
            let items: Vec<String> = items.iter().map(|item| literal(item)).collect();
            format!(
                "ALTER {object} SET {name} TO {}",
                if items.is_empty() {
                    "''".into()
                } else {
                    items.join(", ")
                }
            )
        }
        Some(value) => format!("ALTER {object} SET {name} TO {}", literal(value)),
    }
}

/// An empty comment is none.
pub fn comment_literal(comment: &str) -> String {
    if comment.is_empty() {
        "NULL".into()
    } else {
        literal(comment)
    }
}
