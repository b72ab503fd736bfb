//! Databases: what is wanted, what is there, what must change. Whole lists are seen and decided at once;
//! what is inside of them (schemas, extensions) is the next stage ([`inner`]), which needs sessions there.

pub mod facts;
pub mod inner;
mod removal;
mod wanted;

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use self::inner::Inner;
use self::removal::drop;
use self::wanted::Wanted;
use crate::bail_fault;
use crate::host::{Look, Probe, Query, Server};
use crate::manifest::{DatabaseSpec, LocaleProvider, Presence, check_identifier, check_unique};
use crate::plan::{Fact, Plan};
use crate::resource::catalog::{self, ServerFacts, Surroundings};
use crate::resource::instance::cluster::{check_encoding, check_provider, folded};
use crate::resource::parameters::Parameters;
use crate::resource::protection;
use crate::settings::InstancePaths;
use crate::stage::{AnyStage, Sight, Stage, World};

/// What a new database is copied from, unless its encoding or locale differ.
const TEMPLATE: &str = "template1";

/// The stages of a list of databases; with `view`, the first one's view is given in the reply.
pub fn stages(
    specs: Vec<DatabaseSpec>,
    paths: InstancePaths,
    view: bool,
) -> Result<Vec<Box<dyn AnyStage>>> {
    let mut databases = Databases::new(specs.clone(), paths.clone())?;
    databases.view = view;
    Ok(vec![
        Box::new(databases),
        Box::new(Inner { specs, paths, view }),
    ])
}

/// The databases of one instance.
pub struct Databases {
    pub specs: Vec<DatabaseSpec>,
    pub paths: InstancePaths,
    /// Whether the object's view goes into the reply: there is exactly one, and it was asked for by itself.
    pub view: bool,
}

/// A database as the server has it. What is not known of a cluster that is still to be made is none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Row {
    pub name: String,
    pub owner: String,
    pub encoding: Option<String>,
    pub collate: Option<String>,
    pub ctype: Option<String>,
    pub locale_provider: Option<String>,
    /// The locale of a provider other than libc.
    pub provider_locale: Option<String>,
    pub tablespace: String,
    /// -1: no limit; -2: a removal of it was interrupted.
    pub connection_limit: i32,
    pub is_template: bool,
    pub allows_connections: bool,
    /// `name=value` items.
    pub settings: Option<Vec<String>>,
    pub comment: Option<String>,
    /// How many sessions use it, where that matters.
    pub sessions: Option<i64>,
}

/// What `pg_database.datconnlimit` is while a database is being dropped (dbcommands.c).
const INVALID: i32 = -2;

/// Where a database says of itself that it is protected: a setting that the server only keeps.
const PROTECTION: &str = "pgsocle.deletion_protection";

/// What both stages see with one round trip.
struct Survey {
    facts: ServerFacts,
    rows: BTreeMap<String, Row>,
    around: Surroundings,
}

impl Survey {
    fn observe(
        look: &dyn Look,
        world: &World,
        names: &[&str],
        counted: &[&str],
        roles: &[&str],
    ) -> Result<Self> {
        let query = |sql, parameter| {
            catalog::server(world).map(|server| Query {
                server: server.clone(),
                database: catalog::MAINTENANCE.into(),
                sql,
                parameter,
            })
        };
        let rows = query(
            include_str!("../sql/database.sql"),
            json!({ "names": names, "counted": counted }),
        )?;
        let around = catalog::surroundings_query(catalog::server(world)?, roles);
        let mut answers = look
            .query(&[catalog::facts_query(&rows), rows, around])?
            .into_iter();
        let mut next = || answers.next().unwrap_or_default();
        let facts = catalog::facts(next())?;
        let rows = next().read()?;
        let around = next().read()?.pop().unwrap_or_default();
        Ok(Self::new(world, facts, rows, around))
    }

    /// Of a new cluster: the databases that initdb makes, owned by the superuser.
    fn predict(world: &World, paths: &InstancePaths) -> Result<Self> {
        let superuser = &catalog::server(world)?.user;
        let rows =
            [catalog::MAINTENANCE, TEMPLATE, "template0"].map(|name| Row::initial(name, superuser));
        let around = Surroundings::new_cluster(superuser);
        Ok(Self::new(
            world,
            ServerFacts::new_cluster(paths),
            rows.into(),
            around,
        ))
    }

    fn new(world: &World, facts: ServerFacts, rows: Vec<Row>, around: Surroundings) -> Self {
        let mut rows: BTreeMap<String, Row> = rows
            .into_iter()
            .map(|row| (row.name.clone(), row))
            .collect();
        rows.retain(|name, _| world.databases.get(name) != Some(&false));
        Self {
            facts,
            rows,
            around: around.with(world),
        }
    }
}

pub struct Seen {
    server: Server,
    survey: Survey,
    /// Locales of the host; none when nobody asks for one, or they cannot be listed.
    locales: Option<Vec<String>>,
    parameters: Parameters,
}

impl Databases {
    /// Checks what can be checked without looking.
    pub fn new(specs: Vec<DatabaseSpec>, paths: InstancePaths) -> Result<Self> {
        for spec in &specs {
            check(spec, &paths)?;
            inner::check(spec)?;
        }
        check_unique("database", specs.iter().map(|spec| spec.name.as_str()))?;
        Ok(Self {
            specs,
            paths,
            view: false,
        })
    }

    fn names(&self) -> Vec<&str> {
        self.specs
            .iter()
            .map(|spec| spec.name.as_str())
            .chain([TEMPLATE])
            .collect()
    }

    /// The host's locales, if a database asks for one that is the host's affair.
    fn locales(
        &self,
        look: &dyn Look,
        rows: &BTreeMap<String, Row>,
    ) -> Result<Option<Vec<String>>> {
        let asked = self.specs.iter().any(|spec| {
            spec.locale_provider != Some(LocaleProvider::Builtin)
                && spec
                    .locale
                    .as_ref()
                    .is_some_and(|locale| !["c", "posix"].contains(&folded(locale).as_str()))
                && spec.state == Presence::Present
                && !rows.contains_key(&spec.name)
        });
        if !asked {
            return Ok(None);
        }
        let output = look.probe(&Probe::locales())?;
        Ok(output
            .success()
            .then(|| output.text().lines().map(folded).collect()))
    }
}

fn check(spec: &DatabaseSpec, paths: &InstancePaths) -> Result<()> {
    let name = &spec.name;
    let what = format!("database `{name}`");
    check_identifier("database", name)?;
    let unsupported = [
        (
            "publications",
            spec.publications
                .as_ref()
                .is_some_and(|list| !list.is_empty()),
        ),
        (
            "subscriptions",
            spec.subscriptions
                .as_ref()
                .is_some_and(|list| !list.is_empty()),
        ),
        (
            "clone",
            spec.clone.as_ref().is_some_and(|clone| !clone.is_null()),
        ),
    ];
    for (option, given) in unsupported {
        if given {
            bail_fault!(Unsupported, "{what}: option `{option}` is not supported in this version of pgsocle"; "leave it out");
        }
    }
    if spec.force_drop && spec.state == Presence::Present {
        bail_fault!(Input, "{what}: `force_drop` needs `state: absent`");
    }
    if spec.keep_data && spec.state == Presence::Present {
        bail_fault!(Input, "{what}: `keep_data` needs `state: absent`");
    }
    if spec.deletion_protection.is_some() && spec.state == Presence::Absent {
        return Err(protection::contradiction(&what));
    }
    if spec.connection_limit.is_some_and(|limit| limit < -1) {
        bail_fault!(Input, "{what}: `connection_limit` is -1 (no limit) or more");
    }
    if let Some(tablespace) = &spec.tablespace {
        check_identifier("tablespace", tablespace)?;
        // DEFAULT is a keyword of CREATE DATABASE, and "default" most likely meant as such.
        if tablespace.eq_ignore_ascii_case("default") {
            bail_fault!(Input, "{what}: `{tablespace}` is no name of a tablespace"; "the default one is called `pg_default`");
        }
        if tablespace == "pg_global" {
            bail_fault!(
                Input,
                "{what}: tablespace `pg_global` is for shared catalogs only"
            );
        }
    }
    if let Some(owner) = &spec.owner {
        check_identifier("owner", owner)?;
    }
    if let Some(encoding) = &spec.encoding {
        check_encoding(encoding, &what)?;
    }
    check_provider(
        paths.version,
        spec.locale_provider,
        spec.icu_locale.as_deref(),
        &what,
    )?;
    if let (Some(LocaleProvider::Builtin), Some(locale)) = (spec.locale_provider, &spec.locale)
        && !["C", "C.UTF-8", "C.UTF8", "PG_UNICODE_FAST"].contains(&locale.as_str())
    {
        bail_fault!(Input, "{what}: locale provider `builtin` has no locale `{locale}`"; "it has `C`, `C.UTF-8`, and `PG_UNICODE_FAST` from PostgreSQL 18 on");
    }
    for (option, value) in [
        ("locale", &spec.locale),
        ("icu_locale", &spec.icu_locale),
        ("comment", &spec.comment),
    ] {
        if value.as_ref().is_some_and(|value| value.contains('\0')) {
            bail_fault!(Input, "{what}: `{option}` holds a NUL character");
        }
    }
    catalog::check_settings(&what, spec.settings.as_ref())
}

impl Stage for Databases {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("databases of {}", self.paths)
    }

    fn sight(&self, world: &World) -> Sight {
        if self.specs.is_empty() {
            Sight::Skip
        } else {
            world.catalog_sight()
        }
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let counted: Vec<&str> = self
            .specs
            .iter()
            .filter(|spec| spec.state == Presence::Absent || spec.tablespace.is_some())
            .map(|spec| spec.name.as_str())
            .collect();
        let owners: Vec<&str> = self
            .specs
            .iter()
            .filter_map(|spec| spec.owner.as_deref())
            .collect();
        let survey = Survey::observe(look, world, &self.names(), &counted, &owners)?;
        let locales = self.locales(look, &survey.rows)?;
        let server = catalog::server(world)?.clone();
        let settings = self.specs.iter().filter_map(|spec| spec.settings.as_ref());
        let parameters = Parameters::observe(look, &server, settings)?;
        Ok(Seen {
            server,
            survey,
            locales,
            parameters,
        })
    }

    fn predict(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let survey = Survey::predict(world, &self.paths)?;
        let locales = self.locales(look, &survey.rows)?;
        Ok(Seen {
            server: catalog::server(world)?.clone(),
            survey,
            locales,
            parameters: Parameters::default(),
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        catalog::refuse_standby(&seen.survey.facts, &self.paths)?;
        let mut plan = Plan::default();
        for spec in &self.specs {
            let row = seen.survey.rows.get(&spec.name);
            match (spec.state, row) {
                (Presence::Present, row) => {
                    let want = Wanted {
                        spec,
                        row,
                        template: seen.survey.rows.get(TEMPLATE),
                        parameters: seen.survey.facts.parameters.as_deref(),
                    };
                    plan.changes.extend(want.changes(seen)?);
                    if row.is_none() {
                        plan.facts.push(Fact::Database(spec.name.clone()));
                    }
                    if self.view {
                        plan.facts.push(Fact::View(want.view(&seen.server.user)));
                    }
                }
                (Presence::Absent, Some(row)) => {
                    plan.changes.push(drop(spec, row, seen)?);
                    plan.facts.push(Fact::NoDatabase(spec.name.clone()));
                }
                (Presence::Absent, None) => {}
            }
        }
        Ok(plan)
    }
}

fn uses(sessions: i64) -> String {
    if sessions == 1 {
        "1 session uses".into()
    } else {
        format!("{sessions} sessions use")
    }
}

impl Row {
    /// As initdb makes it; encoding and locale are not known before.
    fn initial(name: &str, superuser: &str) -> Self {
        Self {
            name: name.into(),
            owner: superuser.into(),
            encoding: None,
            collate: None,
            ctype: None,
            locale_provider: None,
            provider_locale: None,
            tablespace: "pg_default".into(),
            connection_limit: -1,
            is_template: name != catalog::MAINTENANCE,
            allows_connections: name != "template0",
            settings: None,
            comment: None,
            sessions: None,
        }
    }

    /// What sessions get; notes of ours are none of it.
    fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = catalog::settings_map(self.settings.as_deref().unwrap_or_default());
        settings.retain(|name, _| !name.starts_with(catalog::NOTES));
        settings
    }

    /// Whether it is protected against deletion, where that was ever said.
    fn protection(&self) -> Option<bool> {
        let settings = catalog::settings_map(self.settings.as_deref().unwrap_or_default());
        settings.get(PROTECTION).map(|value| value == "on")
    }

    /// What `get` shows beside what is inside.
    fn view(&self) -> serde_json::Map<String, Value> {
        [
            ("name", json!(self.name)),
            ("owner", json!(self.owner)),
            ("encoding", json!(self.encoding)),
            ("locale", json!(self.collate)),
            ("locale_provider", json!(self.locale_provider)),
            (
                "icu_locale",
                json!(
                    self.provider_locale
                        .as_ref()
                        .filter(|_| self.locale_provider.as_deref() == Some("icu"))
                ),
            ),
            ("tablespace", json!(self.tablespace)),
            ("connection_limit", json!(self.connection_limit)),
            ("settings", json!(self.settings())),
            ("comment", json!(self.comment)),
            (
                "deletion_protection",
                json!(self.protection() == Some(true)),
            ),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }
}

#[cfg(test)]
mod tests;
