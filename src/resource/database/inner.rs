//! What is inside of databases: schemas and extensions. A stage of its own, because only a session in the
//! database can see them: one query for each database that declares some.

mod wanted;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::wanted::Wanted;
use super::{Row, Survey, TEMPLATE};
use crate::bail_fault;
use crate::host::{Look, Query, Server};
use crate::manifest::{
    DatabaseSpec, ExtensionSpec, Presence, SchemaSpec, check_identifier, check_unique,
};
use crate::pg::ident::ident;
use crate::pg::version::Major;
use crate::plan::{Action, Change, Diff, Impact, Plan, Scope};
use crate::resource::catalog;
use crate::settings::InstancePaths;
use crate::stage::{Catalogs, Sight, Stage, World};

/// Schemas and extensions of a list of databases.
pub struct Inner {
    pub specs: Vec<DatabaseSpec>,
    pub paths: InstancePaths,
    /// Whether the view of the (only) database goes into the reply.
    pub view: bool,
}

/// Whether anything is said of what is inside.
pub fn declared(spec: &DatabaseSpec) -> bool {
    spec.state == Presence::Present
        && (spec.schemas.as_ref().is_some_and(|list| !list.is_empty())
            || spec
                .extensions
                .as_ref()
                .is_some_and(|list| !list.is_empty()))
}

/// Checks what can be checked without looking.
pub fn check(spec: &DatabaseSpec) -> Result<()> {
    let what = format!("database `{}`", spec.name);
    let (schemas, extensions) = (schemas(spec), extensions(spec));
    check_unique(
        &format!("{what}: schema"),
        schemas.iter().map(|schema| schema.name.as_str()),
    )?;
    check_unique(
        &format!("{what}: extension"),
        extensions.iter().map(|extension| extension.name.as_str()),
    )?;
    for schema in schemas {
        check_identifier(&format!("{what}: schema"), &schema.name)?;
        if schema.name.starts_with("pg_") || schema.name == "information_schema" {
            bail_fault!(Input, "{what}: schema `{}` is one of the system's", schema.name; "names of schemas do not begin with `pg_`");
        }
        if schema.cascade && schema.state == Presence::Present {
            bail_fault!(
                Input,
                "{what}: `cascade` of schema `{}` needs `state: absent`",
                schema.name
            );
        }
    }
    for extension in extensions {
        check_identifier(&format!("{what}: extension"), &extension.name)?;
        if extension.cascade && extension.state == Presence::Present {
            bail_fault!(
                Input,
                "{what}: `cascade` of extension `{}` needs `state: absent`",
                extension.name
            );
        }
        if extension
            .version
            .as_ref()
            .is_some_and(|version| version.is_empty() || version.contains('\0'))
        {
            bail_fault!(Input, "{what}: the version of extension `{}` is empty or holds a NUL character", extension.name; "leave it out for the default one");
        }
        if let Some(schema) = &extension.schema
            && extension.state == Presence::Present
            && schemas
                .iter()
                .any(|other| other.name == *schema && other.state == Presence::Absent)
        {
            bail_fault!(
                Input,
                "{what}: extension `{}` is to be in schema `{schema}`, which is to be absent",
                extension.name
            );
        }
    }
    Ok(())
}

fn schemas(spec: &DatabaseSpec) -> &[SchemaSpec] {
    spec.schemas.as_deref().unwrap_or_default()
}

fn extensions(spec: &DatabaseSpec) -> &[ExtensionSpec] {
    spec.extensions.as_deref().unwrap_or_default()
}

#[derive(Debug, Clone, Deserialize)]
struct Schema {
    name: String,
    owner: String,
    /// The extension that made it.
    extension: Option<String>,
    /// What is in it; only of those that are to be dropped.
    contents: Option<Vec<Objects>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Extension {
    name: String,
    version: String,
    schema: String,
    relocatable: bool,
    requires: Option<Vec<String>>,
    /// What needs it; only of those that are to be dropped.
    dependents: Option<Vec<Objects>>,
}

/// So many objects of one kind.
#[derive(Debug, Clone, Deserialize)]
struct Objects {
    kind: String,
    count: i64,
    /// The extension that they belong to, or are.
    extension: Option<String>,
}

/// What is in a database.
#[derive(Debug, Clone, Default)]
struct Inside {
    schemas: BTreeMap<String, Schema>,
    extensions: BTreeMap<String, Extension>,
}

/// A row of `inner.sql`.
#[derive(Deserialize)]
struct Observed {
    schemas: Option<Vec<Schema>>,
    extensions: Option<Vec<Extension>>,
}

/// An extension that the server could install.
#[derive(Debug, Clone, Deserialize)]
struct Available {
    name: String,
    default_version: Option<String>,
    versions: Option<BTreeMap<String, Version>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Version {
    /// The only schema that it can be in.
    schema: Option<String>,
    requires: Option<Vec<String>>,
}

impl From<Observed> for Inside {
    fn from(observed: Observed) -> Self {
        let schemas = observed
            .schemas
            .into_iter()
            .flatten()
            .map(|schema| (schema.name.clone(), schema));
        let extensions = observed
            .extensions
            .into_iter()
            .flatten()
            .map(|extension| (extension.name.clone(), extension));
        Self {
            schemas: schemas.collect(),
            extensions: extensions.collect(),
        }
    }
}

impl Inside {
    /// As initdb leaves template0.
    fn initial(version: Major, superuser: &str) -> Self {
        // From 15 on the owner of a database owns its public schema, by way of this role.
        let owner = if version >= Major::new(15) {
            "pg_database_owner"
        } else {
            superuser
        };
        let public = Schema {
            name: "public".into(),
            owner: owner.into(),
            extension: None,
            contents: None,
        };
        let plpgsql = Extension {
            name: "plpgsql".into(),
            version: "1.0".into(),
            schema: "pg_catalog".into(),
            relocatable: false,
            requires: None,
            dependents: None,
        };
        Self {
            schemas: [(public.name.clone(), public)].into(),
            extensions: [(plpgsql.name.clone(), plpgsql)].into(),
        }
    }
}

pub struct Seen {
    server: Server,
    survey: Survey,
    insides: BTreeMap<String, Inside>,
    /// None: nobody needs to know, or it cannot be known.
    available: Option<BTreeMap<String, Available>>,
    /// Databases that this run made.
    made: BTreeSet<String>,
    /// What the stage of the database itself says of it.
    view: Map<String, Value>,
}

impl Inner {
    fn wanted(&self) -> impl Iterator<Item = &DatabaseSpec> {
        self.specs
            .iter()
            .filter(|spec| spec.state == Presence::Present && (self.view || declared(spec)))
    }

    fn roles(&self) -> Vec<&str> {
        self.wanted()
            .flat_map(|spec| {
                schemas(spec)
                    .iter()
                    .map(|schema| schema.owner.as_deref())
                    .chain([spec.owner.as_deref()])
            })
            .flatten()
            .collect()
    }

    /// What `inner.sql` is to look for, on behalf of a database.
    fn parameter(&self, spec: &DatabaseSpec) -> Value {
        let names: BTreeSet<&str> = schemas(spec)
            .iter()
            .map(|schema| schema.name.as_str())
            .chain(
                extensions(spec)
                    .iter()
                    .filter_map(|extension| extension.schema.as_deref()),
            )
            .chain(["public"])
            .collect();
        let absent_schemas: Vec<&str> = schemas(spec)
            .iter()
            .filter(|schema| schema.state == Presence::Absent)
            .map(|schema| schema.name.as_str())
            .collect();
        let absent_extensions: Vec<&str> = extensions(spec)
            .iter()
            .filter(|extension| extension.state == Presence::Absent)
            .map(|extension| extension.name.as_str())
            .collect();
        let names = if self.view { Value::Null } else { json!(names) };
        json!({ "schemas": names, "absent_schemas": absent_schemas, "absent_extensions": absent_extensions })
    }

    fn seen(world: &World, survey: Survey, insides: BTreeMap<String, Inside>) -> Result<Seen> {
        let made = world
            .databases
            .iter()
            .filter(|(_, made)| **made)
            .map(|(name, _)| name.clone())
            .collect();
        let server = catalog::server(world)?.clone();
        Ok(Seen {
            server,
            survey,
            insides,
            available: None,
            made,
            view: world.view.clone(),
        })
    }
}

/// Whether an extension has to be made or brought to another version: only then it matters what is available.
fn needs_available(spec: &DatabaseSpec, inside: &Inside) -> bool {
    extensions(spec)
        .iter()
        .filter(|extension| extension.state == Presence::Present)
        .any(|extension| {
            inside
                .extensions
                .get(&extension.name)
                .is_none_or(|present| {
                    extension
                        .version
                        .as_ref()
                        .is_some_and(|version| *version != present.version)
                })
        })
}

impl Stage for Inner {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("schemas and extensions of {}", self.paths)
    }

    fn sight(&self, world: &World) -> Sight {
        if self.wanted().next().is_none() {
            Sight::Skip
        } else {
            world.catalog_sight()
        }
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let server = catalog::server(world)?;
        let names: Vec<&str> = self
            .wanted()
            .map(|spec| spec.name.as_str())
            .chain([TEMPLATE])
            .collect();
        let survey = Survey::observe(look, world, &names, &[], &self.roles())?;
        let template = survey.rows.get(TEMPLATE);
        let initial = || Inside::initial(self.paths.version, &server.user);
        let mut insides = BTreeMap::new();
        let (mut asked, mut queries) = (Vec::new(), Vec::new());
        for spec in self.wanted() {
            let database = match survey.rows.get(&spec.name) {
                Some(row) if row.allows_connections => &spec.name,
                Some(_) => continue,
                // In a run that has not acted yet: it will be a copy of a template.
                None => match template {
                    Some(template) if template.allows_connections && copies(spec, template)? => {
                        &template.name
                    }
                    _ => {
                        insides.insert(spec.name.clone(), initial());
                        continue;
                    }
                },
            };
            asked.push(&spec.name);
            queries.push(Query {
                server: server.clone(),
                database: database.clone(),
                sql: include_str!("../../sql/inner.sql"),
                parameter: self.parameter(spec),
            });
        }
        for (name, rows) in asked.into_iter().zip(look.query(&queries)?) {
            let observed: Option<Observed> = rows.read()?.pop();
            insides.insert(name.clone(), observed.map(Inside::from).unwrap_or_default());
        }
        let mut seen = Self::seen(world, survey, insides)?;
        if self.wanted().any(|spec| {
            seen.insides
                .get(&spec.name)
                .is_some_and(|inside| needs_available(spec, inside))
        }) {
            let query = Query {
                server: server.clone(),
                database: catalog::MAINTENANCE.into(),
                sql: include_str!("../../sql/available.sql"),
                parameter: Value::Null,
            };
            let rows: Vec<Available> = look.rows(query)?;
            seen.available = Some(
                rows.into_iter()
                    .map(|row| (row.name.clone(), row))
                    .collect(),
            );
        }
        Ok(seen)
    }

    /// In a new cluster every database is as initdb makes it; its extensions cannot be listed before it runs.
    fn predict(&self, _: &dyn Look, world: &World) -> Result<Seen> {
        debug_assert!(matches!(world.catalogs, Catalogs::New(_)));
        let superuser = &catalog::server(world)?.user;
        let insides = self
            .wanted()
            .map(|spec| {
                (
                    spec.name.clone(),
                    Inside::initial(self.paths.version, superuser),
                )
            })
            .collect();
        Self::seen(world, Survey::predict(world, &self.paths)?, insides)
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let mut plan = Plan::default();
        for spec in self.wanted() {
            let inside = seen.insides.get(&spec.name);
            let made = seen.made.contains(&spec.name);
            if declared(spec) {
                let Some(inside) = inside else {
                    bail_fault!(
                        Conflict,
                        "database `{}` does not accept connections: its schemas and extensions cannot be changed", spec.name;
                        "`ALTER DATABASE {} ALLOW_CONNECTIONS true` lets sessions in", ident(&spec.name)
                    );
                };
                let mut changes = Wanted { spec, inside, seen }.changes()?;
                if made {
                    settle(&spec.name, &mut changes);
                }
                plan.changes.extend(changes);
            }
            if self.view {
                let mut view = seen.view.clone();
                let (schemas, extensions) = inside.map_or((Value::Null, Value::Null), |inside| {
                    Wanted { spec, inside, seen }.view()
                });
                view.insert("schemas".into(), schemas);
                view.insert("extensions".into(), extensions);
                plan.view = Some(("database", Value::Object(view)));
            }
        }
        Ok(plan)
    }
}

/// Whether a new database will be a copy of template1 (else of template0).
fn copies(spec: &DatabaseSpec, template: &Row) -> Result<bool> {
    super::Wanted {
        spec,
        row: None,
        template: Some(template),
        parameters: None,
    }
    .copies_template()
}

/// With the last change the new database stands, and is not taken back any more.
fn settle(name: &str, changes: &mut Vec<Change>) {
    let last = changes.pop().unwrap_or_else(|| {
        // All of it came with the template.
        let object = format!("database {name}");
        Change::new(
            Action::Alter,
            &object,
            format!("keep database `{name}`"),
            Diff::new(&object, "", ""),
            Impact::None,
            Vec::new(),
        )
        .transient()
    });
    changes.push(last.settles(Scope::Database(name.to_owned())));
}

#[cfg(test)]
mod tests;
