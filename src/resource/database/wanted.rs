//! One database that is to be there, beside what is there: how it is made, and how it is altered.

use anyhow::Result;
use serde_json::{Map, Value};

use super::{INVALID, PROTECTION, Row, Seen, TEMPLATE, inner, uses};
use crate::bail_fault;
use crate::manifest::{DatabaseSpec, LocaleProvider};
use crate::nearest;
use crate::pg::guc::Guc;
use crate::pg::ident::{ident, literal};
use crate::plan::{Action, Change, Diff, Impact, Scope, Step, attributes};
use crate::resource::catalog;
use crate::resource::instance::cluster::{folded, folded_encoding};
use crate::secret::Text;

pub struct Wanted<'a> {
    pub spec: &'a DatabaseSpec,
    pub row: Option<&'a Row>,
    /// The row of template1.
    pub template: Option<&'a Row>,
    pub parameters: Option<&'a [Guc]>,
}

impl Wanted<'_> {
    /// What must change of the database itself.
    pub fn changes(&self, seen: &Seen) -> Result<Vec<Change>> {
        self.check_references(seen)?;
        seen.parameters
            .check(&format!("database `{}`", self.spec.name), &self.settings())?;
        match self.row {
            None => Ok(vec![self.creation(seen)?]),
            Some(row) => {
                self.check_creation_only(row)?;
                Ok(self
                    .alteration(row, seen)
                    .into_iter()
                    .chain(self.move_to_tablespace(row, seen)?)
                    .collect())
            }
        }
    }

    fn check_references(&self, seen: &Seen) -> Result<()> {
        let name = &self.spec.name;
        if let Some(owner) = &self.spec.owner
            && !seen.survey.around.roles.contains(owner)
        {
            bail_fault!(NotFound, "database `{name}` is to be owned by role `{owner}`, which does not exist"; "create it before, or correct the name");
        }
        if let Some(tablespace) = &self.spec.tablespace
            && !seen.survey.around.tablespaces.contains(tablespace)
        {
            let known = seen
                .survey
                .around
                .tablespaces
                .iter()
                .map(String::as_str)
                .filter(|name| *name != "pg_global");
            let hint = nearest::hint(tablespace, known).unwrap_or_default();
            bail_fault!(NotFound, "database `{name}`: tablespace `{tablespace}` does not exist"; "{hint}");
        }
        Ok(())
    }

    /// Refuses what only a creation can choose.
    fn check_creation_only(&self, row: &Row) -> Result<()> {
        let (spec, name) = (self.spec, &self.spec.name);
        if row.connection_limit == INVALID {
            bail_fault!(Conflict, "database `{name}` is invalid: its removal was interrupted"; "drop it with `state: absent`, then make it anew");
        }
        let provider = spec.locale_provider.map(LocaleProvider::name);
        let differs = |want: Option<&str>, have: Option<&String>| matches!((want, have), (Some(want), Some(have)) if want != have);
        let encoding = spec.encoding.as_ref().filter(|want| {
            row.encoding
                .as_ref()
                .is_some_and(|have| folded_encoding(want) != folded_encoding(have))
        });
        // Where the two differ, the first alone would not tell why.
        let own_locale = match (&row.collate, &row.ctype) {
            _ if row.locale_provider.as_deref() == Some("builtin") => row.provider_locale.clone(),
            (Some(collate), Some(ctype)) if collate != ctype => {
                Some(format!("{collate}` with LC_CTYPE `{ctype}"))
            }
            (collate, _) => collate.clone(),
        };
        let differences = [
            (
                "encoding",
                encoding.map(String::as_str),
                row.encoding.as_ref(),
            ),
            (
                "locale_provider",
                provider.filter(|want| differs(Some(want), row.locale_provider.as_ref())),
                row.locale_provider.as_ref(),
            ),
            (
                "locale",
                spec.locale
                    .as_deref()
                    .filter(|want| row.collate.is_some() && !has_locale(row, want)),
                own_locale.as_ref(),
            ),
            (
                "icu_locale",
                spec.icu_locale.as_deref().filter(|want| {
                    row.collate.is_some()
                        && row.provider_locale.as_deref().map(folded) != Some(folded(want))
                }),
                row.provider_locale.as_ref(),
            ),
        ];
        for (option, want, have) in differences {
            if let Some(want) = want {
                bail_fault!(
                    Conflict,
                    "database `{name}`: `{option}` is `{}` and cannot become `{want}`: it is chosen at creation", have.map_or("", String::as_str);
                    "leave it out, or make another database; nothing was changed"
                );
            }
        }
        Ok(())
    }

    /// Clauses of CREATE DATABASE for encoding and locale, where template1 has others; each of them needs template0.
    pub fn traits(&self) -> Result<Vec<String>> {
        let (spec, template) = (self.spec, self.template);
        let mut clauses = Vec::new();
        if let Some(encoding) = &spec.encoding
            && template
                .and_then(|row| row.encoding.as_deref())
                .map(folded_encoding)
                != Some(folded_encoding(encoding))
        {
            clauses.push(format!("ENCODING {}", literal(encoding)));
        }
        let have = template.and_then(|row| row.locale_provider.as_deref());
        let new_locale = spec
            .locale
            .as_ref()
            .filter(|want| !template.is_some_and(|row| has_locale(row, want)));
        // A locale by itself is one of libc, whatever the template's provider.
        let provider = spec.locale_provider.or_else(|| {
            (new_locale.is_some() && have.is_some_and(|have| have != "libc"))
                .then_some(LocaleProvider::Libc)
        });
        if let Some(provider) = provider
            && have != Some(provider.name())
        {
            clauses.push(format!("LOCALE_PROVIDER {}", provider.name()));
        }
        if provider == Some(LocaleProvider::Builtin) {
            match &spec.locale {
                Some(locale) if new_locale.is_some() || have != Some("builtin") => {
                    clauses.push(format!("BUILTIN_LOCALE {}", literal(locale)));
                }
                None if have != Some("builtin") => {
                    bail_fault!(
                        Input,
                        "database `{}`: `locale_provider: builtin` needs `locale`, as `C.UTF-8`",
                        spec.name
                    )
                }
                _ => {}
            }
        } else if let Some(locale) = new_locale {
            let locale = literal(locale);
            clauses.push(format!("LC_COLLATE {locale} LC_CTYPE {locale}"));
        }
        if let Some(locale) = &spec.icu_locale
            && template
                .and_then(|row| row.provider_locale.as_deref())
                .map(folded)
                != Some(folded(locale))
        {
            clauses.push(format!("ICU_LOCALE {}", literal(locale)));
        }
        Ok(clauses)
    }

    /// Whether a new one is a copy of template1 with all that is in it (else of template0).
    pub fn copies_template(&self) -> Result<bool> {
        Ok(self.traits()?.is_empty())
    }

    fn creation(&self, seen: &Seen) -> Result<Change> {
        let (spec, name) = (self.spec, &self.spec.name);
        if let (Some(locale), Some(known)) = (&spec.locale, &seen.locales)
            && spec.locale_provider != Some(LocaleProvider::Builtin)
            && !known.contains(&folded(locale))
            && !["c", "posix"].contains(&folded(locale).as_str())
        {
            bail_fault!(
                Input,
                "locale `{locale}` of database `{name}` is not known on this host";
                "`locale -a` lists the known ones; Debian makes it with `localedef -i {} -f UTF-8 {locale}`",
                locale.split('.').next().unwrap_or(locale)
            );
        }
        let mut create = format!("CREATE DATABASE {}", ident(name));
        if let Some(owner) = &spec.owner {
            create.extend([" OWNER ", &ident(owner)]);
        }
        let traits = self.traits()?;
        if !traits.is_empty() {
            create.extend([" TEMPLATE template0 ", &traits.join(" ")]);
        }
        if let Some(tablespace) = &spec.tablespace {
            create.extend([" TABLESPACE ", &ident(tablespace)]);
        }
        if let Some(limit) = spec.connection_limit {
            create.extend([" CONNECTION LIMIT ", &limit.to_string()]);
        }
        // A session of ours in template1 would keep the server from copying it.
        let mut steps = vec![
            Step::Disconnect,
            Step::sql_alone(&seen.server, catalog::MAINTENANCE, create),
        ];
        let rest = self.settings_and_comment();
        if !rest.is_empty() {
            steps.push(Step::sql(&seen.server, catalog::MAINTENANCE, rest));
        }
        let drop = format!("DROP DATABASE IF EXISTS {}", ident(name));
        let object = format!("database {name}");
        let scope = Scope::Database(name.clone());
        let change = Change::new(
            Action::Create,
            object,
            format!("create database `{name}`"),
            self.diff(),
            Impact::None,
            steps,
        )
        .undo(
            scope.clone(),
            vec![
                Step::Disconnect,
                Step::sql_alone(&seen.server, catalog::MAINTENANCE, drop),
            ],
        );
        // With things inside, the database stands only when they do.
        Ok(if inner::declared(spec) {
            change
        } else {
            change.settles(scope)
        })
    }

    fn settings(&self) -> Vec<(String, Option<String>)> {
        let present = self.row.map(Row::settings).unwrap_or_default();
        catalog::settings_changes(
            self.parameters,
            &present,
            self.spec.settings.as_ref(),
            self.spec.settings_purge,
        )
    }

    /// The protection against deletion, where it changes.
    fn protection(&self) -> Option<bool> {
        let present = self.row.and_then(Row::protection).unwrap_or_default();
        self.spec
            .deletion_protection
            .filter(|wanted| *wanted != present)
    }

    fn settings_and_comment(&self) -> Vec<Text> {
        let name = ident(&self.spec.name);
        let mut statements: Vec<Text> = self
            .settings()
            .iter()
            .map(|(parameter, value)| {
                catalog::set_parameter(&format!("DATABASE {name}"), parameter, value.as_deref())
                    .into()
            })
            .collect();
        if let Some(protected) = self.protection() {
            let value = if protected { "on" } else { "off" };
            statements.push(
                catalog::set_parameter(&format!("DATABASE {name}"), PROTECTION, Some(value)).into(),
            );
        }
        if let Some(comment) = &self.spec.comment
            && self
                .row
                .and_then(|row| row.comment.as_deref())
                .unwrap_or_default()
                != comment
        {
            statements.push(
                format!(
                    "COMMENT ON DATABASE {name} IS {}",
                    catalog::comment_literal(comment)
                )
                .into(),
            );
        }
        statements
    }

    fn alteration(&self, row: &Row, seen: &Seen) -> Option<Change> {
        let spec = self.spec;
        let name = ident(&spec.name);
        let mut statements: Vec<Text> = Vec::new();
        if let Some(owner) = spec.owner.as_ref().filter(|owner| **owner != row.owner) {
            statements.push(format!("ALTER DATABASE {name} OWNER TO {}", ident(owner)).into());
        }
        if let Some(limit) = spec
            .connection_limit
            .filter(|limit| *limit != row.connection_limit)
        {
            statements.push(format!("ALTER DATABASE {name} CONNECTION LIMIT {limit}").into());
        }
        statements.extend(self.settings_and_comment());
        (!statements.is_empty()).then(|| {
            Change::new(
                Action::Alter,
                format!("database {}", spec.name),
                format!("alter database `{}`", spec.name),
                self.diff(),
                Impact::None,
                vec![Step::sql(&seen.server, catalog::MAINTENANCE, statements)],
            )
        })
    }

    /// A change of its own: all files are copied, and nobody may use the database meanwhile.
    fn move_to_tablespace(&self, row: &Row, seen: &Seen) -> Result<Option<Change>> {
        let name = &self.spec.name;
        let Some(tablespace) = self
            .spec
            .tablespace
            .as_ref()
            .filter(|wanted| **wanted != row.tablespace)
        else {
            return Ok(None);
        };
        let sessions = row.sessions.unwrap_or_default();
        if sessions > 0 {
            bail_fault!(
                Conflict,
                "database `{name}` cannot be moved to tablespace `{tablespace}`: {} it", uses(sessions);
                "end them first; nothing was changed"
            );
        }
        // Not from within.
        let from = if name == catalog::MAINTENANCE {
            TEMPLATE
        } else {
            catalog::MAINTENANCE
        };
        let statement = format!(
            "ALTER DATABASE {} SET TABLESPACE {}",
            ident(name),
            ident(tablespace)
        );
        let lines = |tablespace: &str| {
            attributes(&[
                ("name", Some(name.clone())),
                ("tablespace", Some(tablespace.to_owned())),
            ])
        };
        Ok(Some(Change::new(
            Action::Alter,
            format!("database {name}"),
            format!("move database `{name}` to tablespace `{tablespace}`"),
            Diff::new(
                format!("tablespace of database {name}"),
                lines(&row.tablespace),
                lines(tablespace),
            ),
            Impact::Rewrite,
            vec![
                Step::Disconnect,
                Step::sql_alone(&seen.server, from, statement),
                Step::Disconnect,
            ],
        )))
    }

    /// Managed attributes only, in a fixed order, before and after; the tablespace of an existing one has its own.
    fn diff(&self) -> Diff {
        let (spec, row) = (self.spec, self.row);
        let settings =
            |values| catalog::settings_line(values, spec.settings.as_ref(), spec.settings_purge);
        let present = row.map(Row::settings).unwrap_or_default();
        let wanted = catalog::settings_after(&present, &self.settings());
        let mut after = vec![
            ("name", Some(spec.name.clone())),
            ("owner", spec.owner.clone()),
        ];
        if row.is_none() {
            after.extend([
                ("encoding", spec.encoding.clone()),
                ("locale", spec.locale.clone()),
                (
                    "locale_provider",
                    spec.locale_provider
                        .map(|provider| provider.name().to_owned()),
                ),
                ("icu_locale", spec.icu_locale.clone()),
                ("tablespace", spec.tablespace.clone()),
            ]);
        }
        after.extend([
            (
                "connection_limit",
                spec.connection_limit.map(|limit| limit.to_string()),
            ),
            ("settings", settings(&wanted)),
            ("comment", spec.comment.clone()),
            (
                "deletion_protection",
                spec.deletion_protection.map(|on| on.to_string()),
            ),
        ]);
        let before = row.map(|row| {
            attributes(&[
                ("name", Some(spec.name.clone())),
                ("owner", spec.owner.as_ref().map(|_| row.owner.clone())),
                (
                    "connection_limit",
                    spec.connection_limit
                        .map(|_| row.connection_limit.to_string()),
                ),
                ("settings", settings(&present)),
                (
                    "comment",
                    spec.comment
                        .as_ref()
                        .map(|_| row.comment.clone().unwrap_or_default()),
                ),
                (
                    "deletion_protection",
                    spec.deletion_protection
                        .map(|_| row.protection().unwrap_or_default().to_string()),
                ),
            ])
        });
        Diff::new(
            format!("database {}", spec.name),
            before.unwrap_or_default(),
            attributes(&after),
        )
    }

    /// The database as `get` will show it once the plan is carried out, without what is inside.
    pub fn view(&self, superuser: &str) -> Map<String, Value> {
        let spec = self.spec;
        let mut row = self.row.cloned().unwrap_or_else(|| Row {
            name: spec.name.clone(),
            owner: superuser.to_owned(),
            connection_limit: -1,
            is_template: false,
            settings: None,
            comment: None,
            ..self
                .template
                .cloned()
                .unwrap_or_else(|| Row::initial(TEMPLATE, superuser))
        });
        let set = |field: &mut String, wanted: &Option<String>| {
            if let Some(wanted) = wanted {
                field.clone_from(wanted);
            }
        };
        set(&mut row.owner, &spec.owner);
        set(&mut row.tablespace, &spec.tablespace);
        row.connection_limit = spec.connection_limit.unwrap_or(row.connection_limit);
        if self.row.is_none() {
            let same = |have: &String| {
                spec.encoding
                    .as_deref()
                    .is_none_or(|want| folded_encoding(want) == folded_encoding(have))
            };
            if !row.encoding.as_ref().is_some_and(same) {
                row.encoding.clone_from(&spec.encoding);
            }
            if let Some(provider) = spec.locale_provider {
                row.locale_provider = Some(provider.name().to_owned());
            }
            if spec.locale_provider != Some(LocaleProvider::Builtin) {
                row.collate = spec.locale.clone().or(row.collate);
            }
            row.provider_locale = spec.icu_locale.clone().or(row.provider_locale);
        }
        if let Some(comment) = &spec.comment {
            row.comment = (!comment.is_empty()).then(|| comment.clone());
        }
        let settings = catalog::settings_after(&row.settings(), &self.settings());
        let protected = self.spec.deletion_protection.or(row.protection());
        let protection = protected.map(|on| {
            let value = if on { "on" } else { "off" };
            (PROTECTION.to_owned(), value.to_owned())
        });
        row.settings = Some(
            settings
                .into_iter()
                .chain(protection)
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        );
        row.view()
    }
}

/// Whether `locale` says what the database has: libc's for both collation and character types, or its provider's.
fn has_locale(row: &Row, locale: &str) -> bool {
    let same = |have: &Option<String>| have.as_deref().map(folded) == Some(folded(locale));
    (row.locale_provider.as_deref() != Some("builtin") && same(&row.collate) && same(&row.ctype))
        || same(&row.provider_locale)
}
