//! Why a parameter has the value that it has: what the files say, in the order in which the server reads them, what it
//! runs with, and what waits. Of a stopped instance the same is told from its files and by `postgres -C`.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bail_fault;
use crate::host::{Look, Probe, Query, Server};
use crate::pg::guc::{self, Context, Guc};
use crate::resource::catalog;
use crate::resource::instance::configuration::shown;
use crate::resource::instance::reading::{Assignment, Reading};
use crate::resource::instance::target::Target;

/// What is known of a parameter of an instance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    pub name: String,
    /// As the server runs with it, for a session without settings of its own; none of a stopped one.
    pub running: Option<String>,
    /// Where that comes from, in the words of `pg_settings`: `default`, `configuration file`, `command line`, …
    pub running_source: Option<String>,
    /// As the files have it, or the default: what a start would bring.
    pub configured: Option<String>,
    /// Where that stands; none: nowhere, it is the default.
    pub source: Option<Place>,
    /// What the files say beside that, and what therefore has no effect; the last word first.
    pub shadowed: Vec<Place>,
    /// Roles and databases whose sessions begin with another value.
    pub overrides: Vec<Override>,
    /// The configured value waits for a restart.
    pub pending_restart: Option<bool>,
    /// How a change comes into effect.
    pub takes_effect: &'static str,
    pub unit: Option<String>,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub default: Option<String>,
    pub description: Option<String>,
}

/// A value in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    pub file: Utf8PathBuf,
    pub line: usize,
    pub value: String,
}

/// A value of ALTER ROLE or ALTER DATABASE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    pub role: Option<String>,
    pub database: Option<String>,
    pub value: String,
}

/// A row of `explain.sql`.
#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    description: Option<String>,
    running: Option<String>,
    source: Option<String>,
    pending_restart: bool,
    overrides: Option<Vec<Override>>,
    #[serde(flatten)]
    guc: Value,
}

/// Explains these parameters; with no name, all that a file sets.
///
/// # Errors
/// A name that neither the server, its programs nor the files know.
pub fn explain(look: &dyn Look, target: &Target, names: &[String]) -> Result<Vec<Explained>> {
    let reading = Reading::on_disk(look, &target.paths)?;
    let mut names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    if names.is_empty() {
        names.extend(reading.assignments.iter().map(|one| one.name.clone()));
    }
    names.sort();
    names.dedup();
    let running = target.running(look)?;
    let rows: BTreeMap<String, Row> = match &running {
        Some(running) => ask(look, &running.server, &names)?
            .into_iter()
            .map(|row| (row.name.clone(), row))
            .collect(),
        None => BTreeMap::new(),
    };
    let gucs = if names.iter().all(|name| rows.contains_key(name)) {
        Vec::new()
    } else if look.stat(&target.bindir.join("postgres"))?.is_some() {
        let output = look.probe(&Probe::describe_config(&target.bindir))?;
        guc::parse_describe_config(&output.text())
    } else {
        Vec::new()
    };
    names
        .iter()
        .map(|name| {
            let row = rows.get(name);
            let known = row
                .and_then(|row| serde_json::from_value(with_name(row)).ok())
                .or_else(|| {
                    gucs.iter()
                        .find(|guc| guc.name.eq_ignore_ascii_case(name))
                        .cloned()
                });
            let places: Vec<Place> = reading.of_parameter(name).map(Place::of).collect();
            if known.is_none() && places.is_empty() && !gucs.is_empty() {
                unknown(target, name, &gucs)?;
            }
            let default = match (&row, &known) {
                (None, Some(guc)) if guc.boot.is_none() || places.is_empty() => {
                    default_of(look, target, guc)?
                }
                _ => None,
            };
            Ok(Explained::of(name, row, known.as_ref(), places, default))
        })
        .collect()
}

fn with_name(row: &Row) -> Value {
    let mut guc = row.guc.clone();
    guc["name"] = json!(row.name);
    guc
}

fn unknown(target: &Target, name: &str, gucs: &[Guc]) -> Result<()> {
    let names = gucs.iter().map(|guc| guc.name.as_str());
    let what = format!(
        "parameter `{name}` is not known to PostgreSQL {}",
        target.paths.version
    );
    match crate::nearest::nearest(name, names) {
        Some(near) => bail_fault!(NotFound, "{what}"; "did you mean `{near}`?"),
        None => bail_fault!(NotFound, "{what}"),
    }
}

/// What a start without any file would bring, which `--describe-config` does not tell of numbers and booleans.
fn default_of(look: &dyn Look, target: &Target, guc: &Guc) -> Result<Option<String>> {
    let output = look.probe(&Probe::default_value(&target.bindir, &guc.name))?;
    let text = output.text();
    Ok(output
        .success()
        .then(|| guc::with_unit(guc, text.trim_end())))
}

fn ask(look: &dyn Look, server: &Server, names: &[String]) -> Result<Vec<Row>> {
    let query = Query {
        server: server.clone(),
        database: catalog::MAINTENANCE.into(),
        sql: include_str!("../../sql/explain.sql"),
        parameter: json!(names),
    };
    look.rows(query)
}

impl Place {
    fn of(assignment: &Assignment) -> Self {
        Self {
            file: assignment.file.clone(),
            line: assignment.line,
            value: shown(&assignment.name, &assignment.value),
        }
    }
}

impl Explained {
    fn of(
        name: &str,
        row: Option<&Row>,
        guc: Option<&Guc>,
        mut places: Vec<Place>,
        default: Option<String>,
    ) -> Self {
        let default = default.or_else(|| {
            let guc = guc?;
            Some(guc::with_unit(guc, guc.boot.as_deref()?))
        });
        let source = (!places.is_empty()).then(|| places.remove(0));
        let said = source.as_ref().map(|place| place.value.clone());
        Self {
            name: name.to_owned(),
            running: row
                .and_then(|row| row.running.as_deref())
                .map(|value| shown(name, value)),
            running_source: row.and_then(|row| row.source.clone()),
            configured: said.or_else(|| default.clone()),
            source,
            shadowed: places,
            overrides: row
                .and_then(|row| row.overrides.clone())
                .unwrap_or_default(),
            pending_restart: row.map(|row| row.pending_restart),
            takes_effect: takes_effect(guc),
            unit: guc.and_then(|guc| guc.unit.clone()),
            kind: guc.map_or("string", |guc| guc.vartype.name()),
            default,
            description: row.and_then(|row| row.description.clone()),
        }
    }
}

/// In the words of an operator. What is not known is a placeholder of a library, which takes every value.
fn takes_effect(guc: Option<&Guc>) -> &'static str {
    match guc.map(|guc| guc.context) {
        Some(Context::Internal) => "never",
        Some(Context::Postmaster) => "restart",
        Some(Context::SuperuserBackend | Context::Backend) => "reload, for new sessions",
        _ => "reload",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::samples::from;

    fn place(file: &str, line: usize, value: &str) -> Place {
        Place {
            file: file.into(),
            line,
            value: value.into(),
        }
    }

    #[test]
    fn a_parameter_of_a_running_server_and_of_a_stopped_one() {
        let row: Row = from(json!({
            "name": "work_mem", "description": "Sets.", "vartype": "integer", "unit": "kB", "context": "user", "enumvals": [],
            "min": 64, "max": 2_147_483_647, "boot": "4096", "running": "8MB", "source": "configuration file",
            "pending_restart": false, "overrides": [{ "role": "bob", "database": null, "value": "1GB" }],
        }));
        let guc: Guc = serde_json::from_value(with_name(&row)).unwrap();
        let places = vec![place("/a/auto", 3, "8MB"), place("/a/conf", 7, "5MB")];
        let running = Explained::of("work_mem", Some(&row), Some(&guc), places.clone(), None);
        assert_eq!(
            serde_json::to_value(&running).unwrap(),
            json!({
                "name": "work_mem", "running": "8MB", "running_source": "configuration file", "configured": "8MB",
                "source": { "file": "/a/auto", "line": 3, "value": "8MB" },
                "shadowed": [{ "file": "/a/conf", "line": 7, "value": "5MB" }],
                "overrides": [{ "role": "bob", "database": null, "value": "1GB" }],
                "pending_restart": false, "takes_effect": "reload", "unit": "kB", "type": "integer", "default": "4MB",
                "description": "Sets.",
            })
        );
        let stopped = Explained::of("work_mem", None, Some(&guc), Vec::new(), None);
        assert_eq!(
            (
                stopped.running,
                stopped.configured.as_deref(),
                stopped.source,
                stopped.pending_restart
            ),
            (None, Some("4MB"), None, None)
        );
    }
}
