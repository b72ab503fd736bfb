//! Tablespaces: what is wanted, what is there, what must change. Those that are to be there come before the databases that
//! lie in them, those that go after. (PostgreSQL documentation, 23.6 "Tablespaces".)

mod check;
mod place;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::check::check;
use self::place::Place;
use self::wanted::Wanted;
use crate::bail_fault;
use crate::host::{Look, Query, Server};
use crate::manifest::{Presence, TablespaceSpec, check_unique};
use crate::pg::guc::split_list;
use crate::pg::ident::ident;
use crate::plan::{Action, Change, Diff, Fact, Impact, Plan, Step, attributes};
use crate::resource::catalog::{self, ServerFacts, Surroundings};
use crate::resource::protection;
use crate::settings::InstancePaths;
use crate::stage::{Sight, Stage, World};

/// Where the maintenance database keeps the names of those that are protected: a tablespace has no place for a note of ours.
const PROTECTED: &str = "pgsocle.protected_tablespaces";

/// Tablespaces of one instance: those that are to be there, or those that are to go.
pub struct Tablespaces {
    specs: Vec<TablespaceSpec>,
    paths: InstancePaths,
    /// Whether the object's view goes into the reply: there is exactly one, and it was asked for by itself.
    view: bool,
}

/// A tablespace as the server has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Row {
    name: String,
    owner: String,
    location: Utf8PathBuf,
    /// `name=value` items.
    settings: Option<Vec<String>>,
    comment: Option<String>,
    /// The databases that have something in it, where that was asked.
    databases: Option<Vec<String>>,
    /// Bytes, where that was asked.
    size: Option<i64>,
}

pub struct Seen {
    server: Server,
    user: String,
    facts: ServerFacts,
    rows: BTreeMap<String, Row>,
    around: Surroundings,
    protected: BTreeSet<String>,
    /// Databases that this run drops.
    dropped: Vec<String>,
    places: BTreeMap<Utf8PathBuf, Place>,
}

impl Tablespaces {
    /// Checks what can be checked without looking; gives those that are to be there, and those that are to go.
    pub fn new(specs: Vec<TablespaceSpec>, paths: &InstancePaths) -> Result<[Self; 2]> {
        for spec in &specs {
            check(spec, paths)?;
        }
        check_unique("tablespace", specs.iter().map(|spec| spec.name.as_str()))?;
        let (there, gone) = specs
            .into_iter()
            .partition(|spec| spec.state == Presence::Present);
        Ok([there, gone].map(|specs| Self {
            specs,
            paths: paths.clone(),
            view: false,
        }))
    }

    /// The one of a run on one tablespace.
    pub fn alone(spec: TablespaceSpec, paths: &InstancePaths) -> Result<Self> {
        let [there, gone] = Self::new(vec![spec], paths)?;
        let mut one = if there.specs.is_empty() { gone } else { there };
        one.view = true;
        Ok(one)
    }

    fn places(
        &self,
        look: &dyn Look,
        rows: &BTreeMap<String, Row>,
    ) -> Result<BTreeMap<Utf8PathBuf, Place>> {
        let new = self
            .specs
            .iter()
            .filter(|spec| spec.state == Presence::Present && !rows.contains_key(&spec.name));
        new.filter_map(TablespaceSpec::place)
            .map(|path| Ok((path.clone(), place::look_at(look, &path, &self.paths)?)))
            .collect()
    }
}

fn query(server: &Server, names: &Value, occupied: &Value, sized: bool) -> Query {
    Query {
        server: server.clone(),
        database: catalog::MAINTENANCE.into(),
        sql: include_str!("../sql/tablespace.sql"),
        parameter: json!({ "names": names, "occupied": occupied, "sized": sized }),
    }
}

/// The tablespaces beside those of initdb, with their sizes in bytes; or the one of a name.
pub fn list(look: &dyn Look, server: &Server, name: Option<&str>) -> Result<Vec<Value>> {
    let names = name.map(|name| vec![name]);
    let rows = query(server, &json!(names), &json!([]), true);
    let around = catalog::surroundings_query(server, &[]);
    let mut answers = look.query(&[rows, around])?.into_iter();
    let mut next = || answers.next().unwrap_or_default();
    let rows: Vec<Row> = next().read()?;
    let around: Surroundings = next().read()?.pop().unwrap_or_default();
    let protected = protected(&around);
    let views = rows.into_iter().map(|row| {
        let mut view = row.view(protected.contains(&row.name));
        view.insert("size".into(), json!(row.size));
        Value::Object(view)
    });
    Ok(views.collect())
}

fn protected(around: &Surroundings) -> BTreeSet<String> {
    let notes = catalog::settings_map(&around.notes);
    let names = notes.get(PROTECTED).map(|names| split_list(names));
    names.into_iter().flatten().collect()
}

impl Stage for Tablespaces {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("tablespaces of {}", self.paths)
    }

    fn sight(&self, world: &World) -> Sight {
        if self.specs.is_empty() {
            Sight::Skip
        } else {
            world.catalog_sight()
        }
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let server = catalog::server(world)?;
        let names = |absent_only: bool| -> Vec<&str> {
            self.specs
                .iter()
                .filter(|spec| !absent_only || spec.state == Presence::Absent)
                .map(|spec| spec.name.as_str())
                .collect()
        };
        let owners: Vec<&str> = self
            .specs
            .iter()
            .filter_map(|spec| spec.owner.as_deref())
            .collect();
        let rows = query(server, &json!(names(false)), &json!(names(true)), false);
        let around = catalog::surroundings_query(server, &owners);
        let mut answers = look
            .query(&[catalog::facts_query(&rows), rows, around])?
            .into_iter();
        let mut next = || answers.next().unwrap_or_default();
        let facts = catalog::facts(next())?;
        let rows = next().read()?;
        let around = next().read()?.pop().unwrap_or_default();
        self.seen(look, world, facts, rows, around)
    }

    fn predict(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let user = &catalog::server(world)?.user;
        let rows = catalog::INITIAL_TABLESPACES.map(|name| Row {
            name: name.into(),
            owner: user.clone(),
            location: Utf8PathBuf::new(),
            settings: None,
            comment: None,
            databases: None,
            size: None,
        });
        let facts = ServerFacts::new_cluster(&self.paths);
        let around = Surroundings::new_cluster(user);
        self.seen(look, world, facts, rows.into(), around)
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        catalog::refuse_standby(&seen.facts, &self.paths)?;
        let mut plan = Plan::default();
        let mut protected = seen.protected.clone();
        for spec in &self.specs {
            let row = seen.rows.get(&spec.name);
            match (spec.state, row) {
                (Presence::Present, row) => {
                    let wanted = Wanted { spec, row, seen };
                    wanted.plan(&mut protected, &mut plan)?;
                    if self.view {
                        plan.view = Some(("tablespace", Value::Object(wanted.view())));
                    }
                }
                (Presence::Absent, Some(row)) => {
                    plan.changes.push(drop(row, seen)?);
                    plan.facts.push(Fact::NoTablespace(spec.name.clone()));
                }
                (Presence::Absent, None) => {}
            }
        }
        Ok(plan)
    }
}

impl Tablespaces {
    fn seen(
        &self,
        look: &dyn Look,
        world: &World,
        facts: ServerFacts,
        rows: Vec<Row>,
        around: Surroundings,
    ) -> Result<Seen> {
        let server = catalog::server(world)?.clone();
        let rows: BTreeMap<String, Row> = rows
            .into_iter()
            .map(|row| (row.name.clone(), row))
            .collect();
        let dropped = world.databases.iter().filter(|(_, made)| !**made);
        Ok(Seen {
            user: server.user.clone(),
            server,
            facts,
            protected: protected(&around),
            around: around.with(world),
            dropped: dropped.map(|(name, _)| name.clone()).collect(),
            places: self.places(look, &rows)?,
            rows,
        })
    }
}

impl Row {
    fn settings(&self) -> BTreeMap<String, String> {
        catalog::settings_map(self.settings.as_deref().unwrap_or_default())
    }

    fn view(&self, protected: bool) -> Map<String, Value> {
        [
            ("name", json!(self.name)),
            ("owner", json!(self.owner)),
            ("location", json!(self.location)),
            ("settings", json!(self.settings())),
            ("comment", json!(self.comment)),
            ("deletion_protection", json!(protected)),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }
}

/// The server drops only what is empty; its directory stays, as it was before the tablespace came.
fn drop(row: &Row, seen: &Seen) -> Result<Change> {
    let name = &row.name;
    if seen.protected.contains(name) {
        return Err(protection::refusal("tablespace", name));
    }
    let mut occupants = row.databases.clone().unwrap_or_default();
    occupants.retain(|database| !seen.dropped.contains(database));
    if !occupants.is_empty() {
        bail_fault!(
            Conflict,
            "tablespace `{name}` is not dropped: there is something in it of database `{}`", occupants.join("`, `");
            "move it (`ALTER TABLE ALL IN TABLESPACE … SET TABLESPACE …` in that database, or the database itself), or drop it; nothing was changed"
        );
    }
    let object = format!("tablespace {name}");
    let lines = [
        ("name", Some(name.clone())),
        ("owner", Some(row.owner.clone())),
        ("location", Some(row.location.to_string())),
    ];
    let statement = format!("DROP TABLESPACE {}", ident(name));
    Ok(Change::new(
        Action::Drop,
        &object,
        format!("drop tablespace `{name}`"),
        Diff::new(&object, attributes(&lines), ""),
        Impact::Destructive,
        vec![Step::sql_alone(
            &seen.server,
            catalog::MAINTENANCE,
            statement,
        )],
    ))
}

#[cfg(test)]
mod tests;
