//! One tablespace that is to be there, beside what is there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::{Map, Value};

use super::place::Place;
use super::{PROTECTED, Row, Seen};
use crate::manifest::TablespaceSpec;
use crate::pg::ident::{ident, literal};
use crate::plan::{Action, Change, Diff, Fact, Impact, Plan, Step, attributes};
use crate::resource::catalog;
use crate::secret::Text;
use crate::{bail_fault, fault};

/// A tablespace that is to be there.
pub struct Wanted<'a> {
    pub spec: &'a TablespaceSpec,
    pub row: Option<&'a Row>,
    pub seen: &'a Seen,
}

impl Wanted<'_> {
    pub fn plan(&self, protected: &mut BTreeSet<String>, plan: &mut Plan) -> Result<()> {
        let (spec, name) = (self.spec, &self.spec.name);
        if let Some(owner) = &spec.owner
            && !self.seen.around.roles.contains(owner)
        {
            bail_fault!(NotFound, "tablespace `{name}` is to be owned by role `{owner}`, which does not exist"; "create it before, or correct the name");
        }
        let mut steps = Vec::new();
        let statements = self.statements(protected);
        if self.row.is_none() {
            steps.extend(self.creation(plan)?);
            plan.facts.push(Fact::Tablespace(name.clone()));
        } else {
            self.check_location()?;
        }
        if !statements.is_empty() {
            steps.push(Step::sql(
                &self.seen.server,
                catalog::MAINTENANCE,
                statements,
            ));
        }
        if !steps.is_empty() {
            let (action, verb) = match self.row {
                None => (Action::Create, "create"),
                Some(_) => (Action::Alter, "alter"),
            };
            plan.changes.push(Change::new(
                action,
                format!("tablespace {name}"),
                format!("{verb} tablespace `{name}`"),
                self.diff(),
                Impact::None,
                steps,
            ));
        }
        Ok(())
    }

    fn check_location(&self) -> Result<()> {
        if let (Some(wanted), Some(row)) = (self.spec.place(), self.row)
            && wanted != row.location
        {
            bail_fault!(
                Conflict,
                "tablespace `{}` lies in `{}`, not in `{wanted}`: a tablespace cannot be moved", row.name, row.location;
                "make another one there, and move databases and tables into it"
            );
        }
        Ok(())
    }

    fn creation(&self, plan: &mut Plan) -> Result<Vec<Step>> {
        let name = &self.spec.name;
        let Some(location) = self.spec.place() else {
            bail_fault!(
                Input,
                "tablespace `{name}` does not exist, and is made only with its `location`"
            );
        };
        let user = &self.seen.user;
        let make = format!("`install -d -o {user} -m 0700 {location}` makes it");
        let mut steps = Vec::new();
        match self.seen.places.get(&location).unwrap_or(&Place::Missing) {
            Place::Free => {}
            Place::ToMake => steps.push(Step::make_dir(&location, 0o700)),
            // Another task may make it before the run.
            Place::Missing => plan.missing.push(fault!(
                NotFound,
                "tablespace `{name}`: directory `{location}` does not exist, and cannot be made by the user of the servers";
                "{make}"
            )),
            Place::Foreign => bail_fault!(
                Denied,
                "tablespace `{name}`: directory `{location}` does not belong to the user of the servers, or is closed to it";
                "`chown` it, if nothing else uses it"
            ),
            Place::InUse(inside) => bail_fault!(
                Conflict,
                "tablespace `{name}`: `{location}` holds `{inside}`, which is what a cluster keeps in a tablespace";
                "choose another directory; if the cluster is gone and nothing of it is needed, remove that"
            ),
            Place::NoDirectory => bail_fault!(
                Conflict,
                "tablespace `{name}`: `{location}` is no directory"
            ),
        }
        let mut create = format!("CREATE TABLESPACE {}", ident(name));
        if let Some(owner) = &self.spec.owner {
            create.extend([" OWNER ", &ident(owner)]);
        }
        create.extend([" LOCATION ", &literal(location.as_str())]);
        steps.push(Step::sql_alone(
            &self.seen.server,
            catalog::MAINTENANCE,
            create,
        ));
        Ok(steps)
    }

    /// What is said in a transaction.
    fn statements(&self, protected: &mut BTreeSet<String>) -> Vec<Text> {
        let (spec, quoted) = (self.spec, ident(&self.spec.name));
        let mut statements: Vec<Text> = Vec::new();
        if let (Some(owner), Some(row)) = (&spec.owner, self.row)
            && *owner != row.owner
        {
            statements.push(format!("ALTER TABLESPACE {quoted} OWNER TO {}", ident(owner)).into());
        }
        for (parameter, value) in self.settings() {
            let what = match value {
                Some(value) => format!("SET ({parameter} = {value})"),
                None => format!("RESET ({parameter})"),
            };
            statements.push(format!("ALTER TABLESPACE {quoted} {what}").into());
        }
        if let Some(comment) = &spec.comment
            && self
                .row
                .and_then(|row| row.comment.as_deref())
                .unwrap_or_default()
                != comment
        {
            let comment = catalog::comment_literal(comment);
            statements.push(format!("COMMENT ON TABLESPACE {quoted} IS {comment}").into());
        }
        let changes = match spec.deletion_protection {
            Some(true) => protected.insert(spec.name.clone()),
            Some(false) => protected.remove(&spec.name),
            // A namesake that was dropped by other means leaves nothing to the new one.
            None => self.row.is_none() && protected.remove(&spec.name),
        };
        if changes {
            let names: Vec<String> = protected.iter().map(|name| ident(name)).collect();
            let database = format!("DATABASE {}", ident(catalog::MAINTENANCE));
            let names = (!names.is_empty()).then(|| names.join(", "));
            statements.push(catalog::set_parameter(&database, PROTECTED, names.as_deref()).into());
        }
        statements
    }

    /// Parameters to set, or to reset.
    fn settings(&self) -> Vec<(String, Option<String>)> {
        let present = self.row.map(Row::settings).unwrap_or_default();
        let mut changes =
            catalog::settings_changes(None, &present, self.spec.settings.as_ref(), false);
        changes.retain(|(name, wanted)| {
            let number = |value: Option<&String>| value.and_then(|value| value.parse::<f64>().ok());
            wanted.is_none() || number(wanted.as_ref()) != number(present.get(name))
        });
        changes
    }

    fn is_protected(&self) -> bool {
        self.row.is_some() && self.seen.protected.contains(&self.spec.name)
    }

    /// Managed attributes only, in a fixed order, before and after.
    fn diff(&self) -> Diff {
        let spec = self.spec;
        let present = self.row.map(Row::settings).unwrap_or_default();
        let line = |values: &BTreeMap<String, String>| {
            catalog::settings_line(values, spec.settings.as_ref(), false)
        };
        let before = self.row.map(|row| {
            attributes(&[
                ("name", Some(spec.name.clone())),
                ("owner", spec.owner.as_ref().map(|_| row.owner.clone())),
                (
                    "location",
                    spec.location.as_ref().map(|_| row.location.to_string()),
                ),
                ("settings", line(&present)),
                (
                    "comment",
                    spec.comment
                        .as_ref()
                        .map(|_| row.comment.clone().unwrap_or_default()),
                ),
                (
                    "deletion_protection",
                    spec.deletion_protection
                        .map(|_| self.is_protected().to_string()),
                ),
            ])
        });
        let after = attributes(&[
            ("name", Some(spec.name.clone())),
            ("owner", spec.owner.clone()),
            ("location", spec.place().map(|path| path.to_string())),
            (
                "settings",
                line(&catalog::settings_after(&present, &self.settings())),
            ),
            ("comment", spec.comment.clone()),
            (
                "deletion_protection",
                spec.deletion_protection.map(|on| on.to_string()),
            ),
        ]);
        Diff::new(
            format!("tablespace {}", spec.name),
            before.unwrap_or_default(),
            after,
        )
    }

    /// The tablespace as `get` will show it once the plan is carried out, but for its size.
    pub fn view(&self) -> Map<String, Value> {
        let spec = self.spec;
        let mut row = self.row.cloned().unwrap_or_else(|| Row {
            name: spec.name.clone(),
            owner: self.seen.user.clone(),
            location: spec.place().unwrap_or_default(),
            settings: None,
            comment: None,
            databases: None,
            size: None,
        });
        if let Some(owner) = &spec.owner {
            row.owner.clone_from(owner);
        }
        if let Some(comment) = &spec.comment {
            row.comment = (!comment.is_empty()).then(|| comment.clone());
        }
        let settings = catalog::settings_after(&row.settings(), &self.settings());
        let items = settings
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"));
        row.settings = Some(items.collect());
        row.view(
            spec.deletion_protection
                .unwrap_or_else(|| self.is_protected()),
        )
    }
}
