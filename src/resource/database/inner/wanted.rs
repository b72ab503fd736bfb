//! The inside of one database that is to be there, beside what is there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::{Value, json};

use super::{Extension, Inside, Objects, Seen, Version, extensions, schemas};
use crate::manifest::{DatabaseSpec, ExtensionSpec, Presence, SchemaSpec};
use crate::nearest;
use crate::pg::ident::{ident, literal};
use crate::plan::{Action, Change, Diff, Impact, Step, attributes};
use crate::{bail_fault, fault};

/// The inside of one database that is wanted, beside what is there.
pub struct Wanted<'a> {
    pub spec: &'a DatabaseSpec,
    pub inside: &'a Inside,
    pub seen: &'a Seen,
}

impl Wanted<'_> {
    /// In an order in which nothing is in the way of what follows: a schema must be there before what is in it,
    /// and is dropped after that has been dropped or moved.
    pub fn changes(&self) -> Result<Vec<Change>> {
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
            && !self.seen.survey.around.roles.contains(owner)
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
        let mut kept = contents
            .iter()
            .filter_map(|objects| objects.extension.as_ref());
        if let Some(extension) = kept.find(|extension| self.keeps(extension)) {
            bail_fault!(
                Conflict,
                "schema `{name}` of database `{database}` is not dropped: it holds extension `{extension}`, which is to be present";
                "give the extension another `schema`"
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

    /// Whether the extension is to be present.
    fn keeps(&self, extension: &str) -> bool {
        extensions(self.spec)
            .iter()
            .any(|other| other.name == extension && other.state == Presence::Present)
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
            statement.extend([" SCHEMA ", &ident(schema)]);
        }
        if let Some(version) = &want.version {
            statement.extend([" VERSION ", &literal(version)]);
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
            ("requires", (!brings.is_empty()).then(|| brings.join(", "))),
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
    pub fn view(&self) -> (Value, Value) {
        let mut schemas: BTreeMap<&str, Option<&str>> = self
            .inside
            .schemas
            .values()
            .filter(|schema| {
                let extension = schema.extension.as_deref();
                !extension.is_some_and(|extension| self.drops(extension))
            })
            .map(|schema| (schema.name.as_str(), Some(schema.owner.as_str())))
            .collect();
        for want in super::schemas(self.spec) {
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
        let needed: Vec<String> = super::extensions(self.spec)
            .iter()
            .filter(|want| {
                want.state == Presence::Present && !self.inside.extensions.contains_key(&want.name)
            })
            .flat_map(|want| self.needed(&want.name))
            .collect();
        for name in &needed {
            extensions.entry(name).or_insert_with(|| self.fresh(name));
        }
        for want in super::extensions(self.spec) {
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
pub fn in_order<'a>(
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
