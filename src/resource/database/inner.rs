//! What is inside of databases: schemas and extensions. A stage of its own, because only a session in the
//! database can see them: one query for each database that declares some.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Row, Survey, TEMPLATE};
use crate::host::{Look, Query, Server};
use crate::manifest::{
    DatabaseSpec, ExtensionSpec, Presence, SchemaSpec, check_identifier, check_unique,
};
use crate::nearest;
use crate::pg::ident::{ident, literal};
use crate::pg::version::Major;
use crate::plan::{Action, Change, Diff, Impact, Plan, Scope, Step, attributes};
use crate::resource::catalog;
use crate::settings::InstancePaths;
use crate::stage::{Catalogs, Sight, Stage, World};
use crate::{bail_fault, fault};

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

    fn seen(
        &self,
        world: &World,
        survey: Survey,
        insides: BTreeMap<String, Inside>,
    ) -> Result<Seen> {
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
            let observed: Option<Observed> = catalog::rows(rows)?.pop();
            insides.insert(name.clone(), observed.map(Inside::from).unwrap_or_default());
        }
        let mut seen = self.seen(world, survey, insides)?;
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
            let rows: Vec<Available> =
                catalog::rows(look.query(&[query])?.pop().unwrap_or_default())?;
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
        self.seen(world, Survey::predict(world, &self.paths)?, insides)
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

/// The inside of one database that is wanted, beside what is there.
struct Wanted<'a> {
    spec: &'a DatabaseSpec,
    inside: &'a Inside,
    seen: &'a Seen,
}

impl Wanted<'_> {
    /// In an order in which nothing is in the way of what follows: a schema must be there before what is in it,
    /// and is dropped after that has been dropped or moved.
    fn changes(&self) -> Result<Vec<Change>> {
        let (there, gone): (Vec<_>, Vec<_>) = extensions(self.spec)
            .iter()
            .partition(|extension| extension.state == Presence::Present);
        let mut changes = Vec::new();
        let needs = |name: &str| -> Vec<String> {
            self.inside
                .extensions
                .get(name)
                .and_then(|extension| extension.requires.clone())
                .unwrap_or_default()
        };
        for extension in in_order(&gone, &needs).into_iter().rev() {
            changes.extend(self.drop_extension(extension)?);
        }
        for schema in schemas(self.spec)
            .iter()
            .filter(|schema| schema.state == Presence::Present)
        {
            changes.extend(self.schema(schema)?);
        }
        for extension in in_order(&there, &|name| self.requires(name)) {
            changes.extend(match self.inside.extensions.get(&extension.name) {
                None => Some(self.create_extension(extension)?),
                Some(present) => self.alter_extension(extension, present)?,
            });
        }
        for schema in schemas(self.spec)
            .iter()
            .filter(|schema| schema.state == Presence::Absent)
        {
            changes.extend(self.drop_schema(schema)?);
        }
        Ok(changes)
    }

    fn change(
        &self,
        action: Action,
        kind: &str,
        name: &str,
        lines: [&Lines; 2],
        impact: Impact,
        statements: &[String],
    ) -> Change {
        let database = &self.spec.name;
        let verb = action.to_string();
        let object = format!("{kind} {name} of database {database}");
        let side = |lines: &Lines| {
            if lines.is_empty() {
                return String::new();
            }
            let name = [("name", Some(name.to_owned()))];
            attributes(&name) + &attributes(lines)
        };
        let statements = statements
            .iter()
            .map(|statement| statement.clone().into())
            .collect();
        Change::new(
            action,
            &object,
            format!("{verb} {kind} `{name}` of database `{database}`"),
            Diff::new(&object, side(lines[0]), side(lines[1])),
            impact,
            vec![Step::sql(&self.seen.server, database, statements)],
        )
    }

    fn schema(&self, want: &SchemaSpec) -> Result<Option<Change>> {
        let (database, name) = (&self.spec.name, &want.name);
        if let Some(owner) = &want.owner
            && !self.seen.survey.roles.contains(owner)
        {
            bail_fault!(
                NotFound,
                "schema `{name}` of database `{database}` is to be owned by role `{owner}`, which does not exist";
                "create it before, or correct the name"
            );
        }
        let Some(present) = self.inside.schemas.get(name) else {
            let owner = want.owner.as_ref().or(self.spec.owner.as_ref());
            let authorization = owner
                .map(|owner| format!(" AUTHORIZATION {}", ident(owner)))
                .unwrap_or_default();
            let statement = format!("CREATE SCHEMA {}{authorization}", ident(name));
            let after = vec![("owner", owner.cloned())];
            return Ok(Some(self.change(
                Action::Create,
                "schema",
                name,
                [&vec![], &after],
                Impact::None,
                &[statement],
            )));
        };
        let Some(owner) = want.owner.as_ref().filter(|owner| **owner != present.owner) else {
            return Ok(None);
        };
        let statement = format!("ALTER SCHEMA {} OWNER TO {}", ident(name), ident(owner));
        let (before, after) = (
            vec![("owner", Some(present.owner.clone()))],
            vec![("owner", Some(owner.clone()))],
        );
        Ok(Some(self.change(
            Action::Alter,
            "schema",
            name,
            [&before, &after],
            Impact::None,
            &[statement],
        )))
    }

    fn drop_schema(&self, want: &SchemaSpec) -> Result<Option<Change>> {
        let (database, name) = (&self.spec.name, &want.name);
        let Some(present) = self.inside.schemas.get(name) else {
            return Ok(None);
        };
        if let Some(extension) = present.extension.as_ref() {
            if self.drops(extension) {
                return Ok(None);
            }
            bail_fault!(
                Conflict,
                "schema `{name}` of database `{database}` belongs to extension `{extension}`: it is not dropped";
                "drop the extension instead"
            );
        }
        let contents: Vec<&Objects> = present
            .contents
            .iter()
            .flatten()
            .filter(|objects| {
                objects
                    .extension
                    .as_ref()
                    .is_none_or(|extension| !self.leaves(extension, name))
            })
            .collect();
        if !contents.is_empty() && !want.cascade {
            bail_fault!(
                Conflict,
                "schema `{name}` of database `{database}` is not dropped: it holds {}", list(&contents);
                "drop or move them first, or set `cascade: true` to drop them too"
            );
        }
        let mut before = vec![("owner", Some(present.owner.clone()))];
        before.push(("contents", (!contents.is_empty()).then(|| list(&contents))));
        let (impact, how) = if contents.is_empty() {
            (Impact::None, "")
        } else {
            (Impact::Destructive, " CASCADE")
        };
        let statement = format!("DROP SCHEMA {}{how}", ident(name));
        Ok(Some(self.change(
            Action::Drop,
            "schema",
            name,
            [&before, &vec![]],
            impact,
            &[statement],
        )))
    }

    /// Whether this run drops the extension.
    fn drops(&self, extension: &str) -> bool {
        extensions(self.spec)
            .iter()
            .any(|other| other.name == extension && other.state == Presence::Absent)
    }

    /// Whether this run drops the extension or moves it out of the schema.
    fn leaves(&self, extension: &str, schema: &str) -> bool {
        self.drops(extension)
            || extensions(self.spec).iter().any(|other| {
                other.name == extension
                    && other.schema.as_ref().is_some_and(|wanted| wanted != schema)
            })
    }

    /// The version that a new extension will have, if that is known.
    fn version(&self, name: &str) -> Option<&Version> {
        let available = self.seen.available.as_ref()?.get(name)?;
        let wanted = extensions(self.spec)
            .iter()
            .find(|extension| extension.name == name);
        let version = wanted
            .and_then(|extension| extension.version.as_ref())
            .or(available.default_version.as_ref())?;
        available.versions.as_ref()?.get(version)
    }

    fn requires(&self, name: &str) -> Vec<String> {
        self.version(name)
            .and_then(|version| version.requires.clone())
            .unwrap_or_default()
    }

    /// Refuses an extension or a version of it that the server does not have.
    fn check_available(&self, name: &str, version: Option<&str>) -> Result<()> {
        let Some(all) = &self.seen.available else {
            return Ok(());
        };
        let database = &self.spec.name;
        let Some(available) = all.get(name) else {
            let near = nearest::nearest(name, all.keys().map(String::as_str));
            let near = near
                .map(|near| format!("did you mean `{near}`? "))
                .unwrap_or_default();
            bail_fault!(
                NotFound,
                "extension `{name}` of database `{database}` is not available on this server";
                "{near}Install its package on the host first (PostgreSQL's own come with postgresql-contrib)"
            );
        };
        let versions = available.versions.as_ref();
        if let Some(version) = version
            && !versions.is_some_and(|versions| versions.contains_key(version))
        {
            let known: Vec<String> = versions
                .into_iter()
                .flatten()
                .map(|(version, _)| format!("`{version}`"))
                .collect();
            bail_fault!(
                NotFound,
                "extension `{name}` of database `{database}` is not available in version `{version}`";
                "available: {}", known.join(", ")
            );
        }
        Ok(())
    }

    /// Refuses a schema that will not be there.
    fn check_schema(&self, extension: &str, schema: &str) -> Result<()> {
        let declared = schemas(self.spec)
            .iter()
            .any(|other| other.name == schema && other.state == Presence::Present);
        if declared || self.inside.schemas.contains_key(schema) || schema == "pg_catalog" {
            return Ok(());
        }
        bail_fault!(
            NotFound,
            "extension `{extension}` of database `{}` is to be in schema `{schema}`, which does not exist", self.spec.name;
            "add it to `schemas`"
        )
    }

    fn create_extension(&self, want: &ExtensionSpec) -> Result<Change> {
        let name = &want.name;
        self.check_available(name, want.version.as_deref())?;
        let version = self.version(name);
        let only = version.and_then(|version| version.schema.as_deref());
        if let (Some(only), Some(schema)) = (only, &want.schema)
            && only != schema
        {
            return Err(fault!(
                Conflict,
                "extension `{name}` of database `{}` cannot be in schema `{schema}`: it can be in `{only}` only", self.spec.name;
                "leave `schema` out"
            ));
        }
        let mut statement = format!("CREATE EXTENSION {}", ident(name));
        // Our sessions have pg_catalog alone in their search path: an extension must not land there.
        let schema = want
            .schema
            .as_deref()
            .or_else(|| only.is_none().then_some("public"));
        if let Some(schema) = schema {
            self.check_schema(name, schema)?;
            statement.push_str(&format!(" SCHEMA {}", ident(schema)));
        }
        if let Some(version) = &want.version {
            statement.push_str(&format!(" VERSION {}", literal(version)));
        }
        statement.push_str(" CASCADE");
        let brings: Vec<String> = self
            .needed(name)
            .into_iter()
            .filter(|needed| !self.inside.extensions.contains_key(needed))
            .filter(|needed| {
                !extensions(self.spec)
                    .iter()
                    .any(|other| other.name == *needed)
            })
            .collect();
        for needed in &brings {
            self.check_available(needed, None)?;
        }
        let after = vec![
            ("schema", schema.or(only).map(str::to_owned)),
            ("version", want.version.clone()),
            ("brings", (!brings.is_empty()).then(|| brings.join(", "))),
        ];
        Ok(self.change(
            Action::Create,
            "extension",
            name,
            [&vec![], &after],
            Impact::None,
            &[statement],
        ))
    }

    /// All that an extension requires, directly or not.
    fn needed(&self, name: &str) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut open = self.requires(name);
        while let Some(next) = open.pop() {
            if all.insert(next.clone()) {
                open.extend(self.requires(&next));
            }
        }
        all
    }

    fn alter_extension(&self, want: &ExtensionSpec, present: &Extension) -> Result<Option<Change>> {
        let name = &want.name;
        let (mut before, mut after, mut statements) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(version) = want
            .version
            .as_ref()
            .filter(|version| **version != present.version)
        {
            self.check_available(name, Some(version))?;
            statements.push(format!(
                "ALTER EXTENSION {} UPDATE TO {}",
                ident(name),
                literal(version)
            ));
        }
        if let Some(schema) = want
            .schema
            .as_ref()
            .filter(|schema| **schema != present.schema)
        {
            if !present.relocatable {
                bail_fault!(
                    Conflict,
                    "extension `{name}` of database `{}` cannot be moved from schema `{}` to `{schema}`", self.spec.name, present.schema;
                    "it is not made to be moved: drop it and create it anew, or leave `schema` out"
                );
            }
            self.check_schema(name, schema)?;
            statements.push(format!(
                "ALTER EXTENSION {} SET SCHEMA {}",
                ident(name),
                ident(schema)
            ));
        }
        if let Some(schema) = &want.schema {
            before.push(("schema", Some(present.schema.clone())));
            after.push(("schema", Some(schema.clone())));
        }
        if let Some(version) = &want.version {
            before.push(("version", Some(present.version.clone())));
            after.push(("version", Some(version.clone())));
        }
        Ok((!statements.is_empty()).then(|| {
            self.change(
                Action::Alter,
                "extension",
                name,
                [&before, &after],
                Impact::None,
                &statements,
            )
        }))
    }

    fn drop_extension(&self, want: &ExtensionSpec) -> Result<Option<Change>> {
        let (database, name) = (&self.spec.name, &want.name);
        let Some(present) = self.inside.extensions.get(name) else {
            return Ok(None);
        };
        let dependents: Vec<&Objects> = present
            .dependents
            .iter()
            .flatten()
            .filter(|objects| {
                objects
                    .extension
                    .as_ref()
                    .is_none_or(|extension| !self.drops(extension))
            })
            .collect();
        if !dependents.is_empty() && !want.cascade {
            bail_fault!(
                Conflict,
                "extension `{name}` of database `{database}` is not dropped: {} depend on it", list(&dependents);
                "drop them first, or set `cascade: true` to drop them too"
            );
        }
        let before = vec![
            ("schema", Some(present.schema.clone())),
            ("version", Some(present.version.clone())),
            (
                "dependents",
                (!dependents.is_empty()).then(|| list(&dependents)),
            ),
        ];
        let how = if dependents.is_empty() {
            ""
        } else {
            " CASCADE"
        };
        let statement = format!("DROP EXTENSION {}{how}", ident(name));
        // Its tables, and what the server keeps for it, go with it.
        Ok(Some(self.change(
            Action::Drop,
            "extension",
            name,
            [&before, &vec![]],
            Impact::Destructive,
            &[statement],
        )))
    }

    /// Schemas and extensions as `get` will show them once the plan is carried out.
    fn view(&self) -> (Value, Value) {
        let mut schemas: BTreeMap<&str, Option<&str>> = self
            .inside
            .schemas
            .values()
            .map(|schema| (schema.name.as_str(), Some(schema.owner.as_str())))
            .collect();
        for want in self::schemas(self.spec) {
            if want.state == Presence::Absent {
                schemas.remove(want.name.as_str());
                continue;
            }
            let default = self.spec.owner.as_deref().unwrap_or(&self.seen.server.user);
            let owner = schemas.entry(&want.name).or_insert(Some(default));
            *owner = want.owner.as_deref().or(*owner);
        }
        let mut extensions: BTreeMap<&str, (Option<&str>, Option<&str>)> = self
            .inside
            .extensions
            .values()
            .map(|extension| {
                (
                    extension.name.as_str(),
                    (
                        Some(extension.schema.as_str()),
                        Some(extension.version.as_str()),
                    ),
                )
            })
            .collect();
        let needed: Vec<String> = self::extensions(self.spec)
            .iter()
            .filter(|want| {
                want.state == Presence::Present && !self.inside.extensions.contains_key(&want.name)
            })
            .flat_map(|want| self.needed(&want.name))
            .collect();
        for name in &needed {
            extensions.entry(name).or_insert_with(|| self.fresh(name));
        }
        for want in self::extensions(self.spec) {
            if want.state == Presence::Absent {
                extensions.remove(want.name.as_str());
                continue;
            }
            let (schema, version) = extensions
                .entry(&want.name)
                .or_insert_with(|| self.fresh(&want.name));
            *schema = want.schema.as_deref().or(*schema);
            *version = want.version.as_deref().or(*version);
        }
        (
            schemas.into_iter().map(|(name, owner)| json!({ "name": name, "owner": owner })).collect(),
            extensions
                .into_iter()
                .map(|(name, (schema, version))| json!({ "name": name, "schema": schema, "version": version }))
                .collect(),
        )
    }

    /// Schema and version of an extension made with nothing said about it.
    fn fresh(&self, name: &str) -> (Option<&str>, Option<&str>) {
        let default = self
            .seen
            .available
            .as_ref()
            .and_then(|all| all.get(name)?.default_version.as_deref());
        let only = self
            .version(name)
            .and_then(|version| version.schema.as_deref());
        (only.or(Some("public")), default)
    }
}

type Lines = Vec<(&'static str, Option<String>)>;

/// The extensions of a list, each after those of the list that it requires.
fn in_order<'a>(
    list: &[&'a ExtensionSpec],
    requires: &dyn Fn(&str) -> Vec<String>,
) -> Vec<&'a ExtensionSpec> {
    fn visit<'a>(
        name: &str,
        list: &[&'a ExtensionSpec],
        requires: &dyn Fn(&str) -> Vec<String>,
        visited: &mut BTreeSet<String>,
        ordered: &mut Vec<&'a ExtensionSpec>,
    ) {
        if !visited.insert(name.to_owned()) {
            return;
        }
        for needed in requires(name) {
            visit(&needed, list, requires, visited, ordered);
        }
        ordered.extend(list.iter().find(|extension| extension.name == name));
    }
    let (mut visited, mut ordered) = (BTreeSet::new(), Vec::new());
    for extension in list {
        visit(&extension.name, list, requires, &mut visited, &mut ordered);
    }
    ordered
}

/// `1 table, 3 functions, 40 functions of extension cube`
fn list(objects: &[&Objects]) -> String {
    let words: Vec<String> = objects
        .iter()
        .map(
            |Objects {
                 kind,
                 count,
                 extension,
             }| {
                let plural = match (count, kind.as_str()) {
                    (1, _) => "",
                    (_, kind) if kind.ends_with("ss") || kind.ends_with('x') => "es",
                    _ => "s",
                };
                match extension {
                    Some(extension) if kind == "extension" => format!("extension `{extension}`"),
                    Some(extension) => format!("{count} {kind}{plural} of extension `{extension}`"),
                    None => format!("{count} {kind}{plural}"),
                }
            },
        )
        .collect();
    words.join(", ")
}
