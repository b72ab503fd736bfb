//! One role that is to be there, beside what is there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::Value;

use super::{Row, Seen};
use crate::bail_fault;
use crate::manifest::{Presence, RoleSpec, UpdatePassword};
use crate::pg::guc::Guc;
use crate::pg::ident::{ident, literal};
use crate::pg::scram;
use crate::plan::{Action, Change, Diff, Impact, Step, attributes};
use crate::resource::catalog::{self, ServerFacts};
use crate::secret::{MASK, Secret, Text};

/// A role that is to be there, beside what is there.
pub struct Wanted<'a> {
    pub spec: &'a RoleSpec,
    pub row: Option<&'a Row>,
    pub known: &'a BTreeSet<String>,
    pub parameters: Option<&'a [Guc]>,
    /// None: there was nothing to compare.
    pub password_matches: Option<bool>,
}

/// A boolean attribute: its name as an option and in a diff, what is wanted, what is there, and its two spellings in SQL.
type Flag = (&'static str, Option<bool>, Option<bool>, [&'static str; 2]);

impl Wanted<'_> {
    fn flags(&self) -> [Flag; 7] {
        let (spec, row) = (self.spec, self.row);
        [
            (
                "inherit",
                spec.inherit,
                row.map(|row| row.inherit),
                ["INHERIT", "NOINHERIT"],
            ),
            (
                "login",
                spec.login,
                row.map(|row| row.login),
                ["LOGIN", "NOLOGIN"],
            ),
            (
                "superuser",
                spec.superuser,
                row.map(|row| row.superuser),
                ["SUPERUSER", "NOSUPERUSER"],
            ),
            (
                "createdb",
                spec.createdb,
                row.map(|row| row.createdb),
                ["CREATEDB", "NOCREATEDB"],
            ),
            (
                "createrole",
                spec.createrole,
                row.map(|row| row.createrole),
                ["CREATEROLE", "NOCREATEROLE"],
            ),
            (
                "replication",
                spec.replication,
                row.map(|row| row.replication),
                ["REPLICATION", "NOREPLICATION"],
            ),
            (
                "bypassrls",
                spec.bypassrls,
                row.map(|row| row.bypassrls),
                ["BYPASSRLS", "NOBYPASSRLS"],
            ),
        ]
    }

    /// The password to send, if it is to be set.
    fn password(&self, facts: &ServerFacts) -> Option<Secret> {
        if self.row.is_some() && self.spec.update_password == UpdatePassword::OnCreate {
            return None;
        }
        if let Some(hashed) = &self.spec.encrypted_password {
            let same = self.row.and_then(|row| row.password.as_ref()) == Some(hashed);
            return (!same).then(|| hashed.clone());
        }
        let password = self.spec.password.as_ref()?;
        if self.password_matches == Some(true) {
            return None;
        }
        Some(if facts.password_encryption == "md5" {
            scram::md5_verifier(password, &self.spec.name)
        } else {
            scram::scram_verifier(password)
        })
    }

    /// Parameters to set (some value) or to take away (none).
    fn settings(&self) -> Vec<(String, Option<String>)> {
        let present = self.row.map(Row::settings).unwrap_or_default();
        catalog::settings_changes(
            self.parameters,
            &present,
            self.spec.settings.as_ref(),
            self.spec.settings_purge,
        )
    }

    /// Memberships to grant and to revoke.
    fn memberships(&self) -> Result<(Vec<String>, Vec<String>)> {
        let present: BTreeSet<&str> = self
            .row
            .iter()
            .flat_map(|row| row.memberships.iter().flatten())
            .map(String::as_str)
            .collect();
        let (mut grant, mut revoke) = (Vec::new(), Vec::new());
        for membership in self.spec.memberships.iter().flatten() {
            let there = present.contains(membership.role.as_str());
            match membership.state {
                Presence::Present if !self.known.contains(&membership.role) => bail_fault!(
                    NotFound,
                    "role `{}` is to be a member of role `{}`, which does not exist", self.spec.name, membership.role;
                    "create it before, or correct the name"
                ),
                Presence::Present if !there => grant.push(membership.role.clone()),
                Presence::Absent if there => revoke.push(membership.role.clone()),
                _ => {}
            }
        }
        // With no list at all there is nothing to make exact, as for `settings_purge`.
        if self.spec.memberships_purge && self.spec.memberships.is_some() {
            let listed: BTreeSet<&str> = self
                .spec
                .memberships
                .iter()
                .flatten()
                .map(|membership| membership.role.as_str())
                .collect();
            revoke.extend(
                present
                    .iter()
                    .filter(|role| !listed.contains(**role))
                    .map(|role| (*role).to_owned()),
            );
        }
        Ok((grant, revoke))
    }

    /// CREATE ROLE or ALTER ROLE with what differs, its parameters and its comment; and whether the password is set.
    fn statements(&self, facts: &ServerFacts) -> (Vec<Text>, bool) {
        let spec = self.spec;
        let name = ident(&spec.name);
        let mut options = Text::default();
        for (_, wanted, present, [yes, no]) in self.flags() {
            if let Some(wanted) = wanted
                && present != Some(wanted)
            {
                options.push(format!(" {}", if wanted { yes } else { no }));
            }
        }
        if let Some(limit) = spec.connection_limit
            && self.row.map(|row| row.connection_limit) != Some(limit)
        {
            options.push(format!(" CONNECTION LIMIT {limit}"));
        }
        if let Some(until) = &spec.valid_until
            && self
                .row
                .is_none_or(|row| row.valid_until_same != Some(true))
        {
            options.push(format!(" VALID UNTIL {}", literal(until)));
        }
        let password = self.password(facts);
        if let Some(password) = &password {
            // A verifier holds neither quotes nor backslashes.
            options = options
                .and(" PASSWORD '")
                .and_secret(password.clone())
                .and("'");
        }

        let mut statements = Vec::new();
        if self.row.is_none() {
            let mut create = Text::plain(format!("CREATE ROLE {name}"));
            create.append(options);
            statements.push(create);
        } else if options != Text::default() {
            let mut alter = Text::plain(format!("ALTER ROLE {name}"));
            alter.append(options);
            statements.push(alter);
        }
        for (parameter, value) in self.settings() {
            statements.push(
                catalog::set_parameter(&format!("ROLE {name}"), &parameter, value.as_deref())
                    .into(),
            );
        }
        if let Some(comment) = &spec.comment
            && self
                .row
                .and_then(|row| row.comment.as_deref())
                .unwrap_or_default()
                != comment
        {
            statements.push(
                format!(
                    "COMMENT ON ROLE {name} IS {}",
                    catalog::comment_literal(comment)
                )
                .into(),
            );
        }
        (statements, password.is_some())
    }

    /// The change of the role itself, and that of its memberships.
    pub fn change(&self, seen: &Seen) -> Result<(Option<Change>, Option<Change>)> {
        let spec = self.spec;
        let name = ident(&spec.name);
        if self.row.is_none() && super::is_predefined(&spec.name) {
            bail_fault!(
                Input,
                "role `{}` is none of the predefined roles, and no other may begin with `pg_`", spec.name;
                "correct the name"
            );
        }
        if spec.name == seen.server.user {
            for (option, wanted) in [("superuser", spec.superuser), ("login", spec.login)] {
                if wanted == Some(false) {
                    bail_fault!(
                        Conflict,
                        "role `{}` is the superuser role of the instance: `{option}` cannot be false", spec.name;
                        "pgsocle itself would be locked out"
                    );
                }
            }
        }
        seen.parameters
            .check(&format!("role `{}`", spec.name), &self.settings())?;
        let (statements, password_changes) = self.statements(&seen.facts);
        if super::is_predefined(&spec.name)
            && statements
                .iter()
                .any(|statement| !statement.to_string().starts_with("COMMENT"))
        {
            bail_fault!(
                Conflict,
                "role `{}` is one of PostgreSQL's own: its attributes and settings cannot be changed", spec.name;
                "memberships and the comment can"
            );
        }
        let (grant, revoke) = self.memberships()?;
        // Most of a thousand: nothing is put into words of them.
        if statements.is_empty() && grant.is_empty() && revoke.is_empty() {
            return Ok((None, None));
        }
        let grants: Vec<Text> = grant
            .iter()
            .map(|group| format!("GRANT {} TO {name}", ident(group)).into())
            .chain(
                revoke
                    .iter()
                    .flat_map(|group| self.revocations(group, &seen.facts)),
            )
            .collect();
        let object = format!("role {}", spec.name);
        let (action, verb) = if self.row.is_none() {
            (Action::Create, "create")
        } else {
            (Action::Alter, "alter")
        };
        let step = |statements| vec![Step::sql(&seen.server, catalog::MAINTENANCE, statements)];
        let role = (!statements.is_empty()).then(|| {
            let summary = format!("{verb} role `{}`", spec.name);
            Change::new(
                action,
                object.clone(),
                summary,
                self.diff(password_changes),
                Impact::None,
                step(statements),
            )
        });
        let memberships = (!grants.is_empty()).then(|| {
            let mut words = Vec::new();
            if !grant.is_empty() {
                words.push(format!("grant `{}` to", grant.join("`, `")));
            }
            if !revoke.is_empty() {
                words.push(format!("revoke `{}` from", revoke.join("`, `")));
            }
            let summary = format!("{} role `{}`", words.join(" and "), spec.name);
            let header = format!("memberships of role {}", spec.name);
            let before = self.memberships_line(&[], &[]);
            let after = self.memberships_line(&grant, &revoke);
            Change::new(
                Action::Alter,
                object,
                summary,
                Diff::new(header, before, after),
                Impact::None,
                step(grants),
            )
        });
        Ok((role, memberships))
    }

    /// From 16 on, REVOKE takes back what one role granted and passes over the rest with a warning.
    fn revocations(&self, group: &str, facts: &ServerFacts) -> Vec<Text> {
        let revoke = format!("REVOKE {} FROM {}", ident(group), ident(&self.spec.name));
        let grants = self.row.and_then(|row| row.grants.as_ref());
        if facts.version < 160_000 || grants.is_none() {
            return vec![revoke.into()];
        }
        grants
            .into_iter()
            .flatten()
            .filter(|grant| grant.role == group)
            .map(|grant| format!("{revoke} GRANTED BY {}", ident(&grant.grantor)).into())
            .collect()
    }

    fn memberships_line(&self, grant: &[String], revoke: &[String]) -> String {
        let mut roles: BTreeSet<&str> = self
            .row
            .iter()
            .flat_map(|row| row.memberships.iter().flatten())
            .map(String::as_str)
            .collect();
        roles.extend(grant.iter().map(String::as_str));
        roles.retain(|role| !revoke.iter().any(|revoked| revoked == role));
        format!(
            "memberships: {}\n",
            roles.into_iter().collect::<Vec<_>>().join(", ")
        )
    }

    /// Managed attributes only, in a fixed order, before and after.
    fn diff(&self, password_changes: bool) -> Diff {
        let (spec, row) = (self.spec, self.row);
        let managed_password = spec.password.is_some() || spec.encrypted_password.is_some();
        let had_password = row.is_some_and(|row| row.password.is_some());
        let settings = |values: &BTreeMap<String, String>| {
            catalog::settings_line(values, spec.settings.as_ref(), spec.settings_purge)
        };
        let present = row.map(Row::settings).unwrap_or_default();
        let wanted = catalog::settings_after(&present, &self.settings());
        let mut before = Vec::new();
        let mut after = vec![("name", Some(spec.name.clone()))];
        for (name, want, have, _) in self.flags() {
            before.push((name, want.and(have).map(|value| value.to_string())));
            after.push((name, want.map(|value| value.to_string())));
        }
        after.push((
            "connection_limit",
            spec.connection_limit.map(|limit| limit.to_string()),
        ));
        before.push((
            "connection_limit",
            spec.connection_limit
                .and(row)
                .map(|row| row.connection_limit.to_string()),
        ));
        let until = row.map(|row| row.valid_until.clone().unwrap_or_else(|| "infinity".into()));
        let same = row.is_some_and(|row| row.valid_until_same == Some(true));
        after.push((
            "valid_until",
            if same {
                spec.valid_until.as_ref().and(until.clone())
            } else {
                spec.valid_until.clone()
            },
        ));
        before.push(("valid_until", spec.valid_until.as_ref().and(until)));
        let password_line = |there: bool, changed: bool| {
            managed_password.then(|| match (there, changed) {
                (true, true) => format!("{MASK} (changed)"),
                (true, false) => MASK.to_owned(),
                (false, _) => "none".to_owned(),
            })
        };
        before.push(("password", row.and(password_line(had_password, false))));
        after.push((
            "password",
            password_line(
                had_password || password_changes,
                password_changes && had_password,
            ),
        ));
        before.push(("settings", row.and(settings(&present))));
        after.push(("settings", settings(&wanted)));
        before.push((
            "comment",
            spec.comment
                .as_ref()
                .and(row)
                .map(|row| row.comment.clone().unwrap_or_default()),
        ));
        after.push(("comment", spec.comment.clone()));
        if row.is_some() {
            before.insert(0, ("name", Some(spec.name.clone())));
        }
        Diff::new(
            format!("role {}", spec.name),
            attributes(&before),
            attributes(&after),
        )
    }

    /// The role as `get` will show it once the plan is carried out.
    pub fn view(&self) -> Value {
        let spec = self.spec;
        let default = Row::predefined(&spec.name);
        let mut row = self.row.cloned().unwrap_or(Row {
            inherit: true,
            login: false,
            ..default
        });
        row.superuser = spec.superuser.unwrap_or(row.superuser);
        row.inherit = spec.inherit.unwrap_or(row.inherit);
        row.login = spec.login.unwrap_or(row.login);
        row.createdb = spec.createdb.unwrap_or(row.createdb);
        row.createrole = spec.createrole.unwrap_or(row.createrole);
        row.replication = spec.replication.unwrap_or(row.replication);
        row.bypassrls = spec.bypassrls.unwrap_or(row.bypassrls);
        row.connection_limit = spec.connection_limit.unwrap_or(row.connection_limit);
        if row.valid_until_same != Some(true) && spec.valid_until.is_some() {
            row.valid_until.clone_from(&spec.valid_until);
        }
        if spec.password.is_some() || spec.encrypted_password.is_some() {
            row.password = Some(Secret::new(""));
        }
        if let Some(comment) = &spec.comment {
            row.comment = (!comment.is_empty()).then(|| comment.clone());
        }
        let settings = catalog::settings_after(&row.settings(), &self.settings());
        row.settings = Some(
            settings
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        );
        if let Ok((grant, revoke)) = self.memberships() {
            let mut roles: BTreeSet<String> = row
                .memberships
                .take()
                .unwrap_or_default()
                .into_iter()
                .collect();
            roles.extend(grant);
            roles.retain(|role| !revoke.contains(role));
            row.memberships = Some(roles.into_iter().collect());
        }
        row.view()
    }
}
