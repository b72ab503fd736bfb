//! A role that is not to be there: what would stop its removal, and how it goes with what it owns.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;

use super::{Row, Seen, is_predefined};
use crate::host::{Look, Query, Server};
use crate::manifest::RoleSpec;
use crate::pg::ident::ident;
use crate::plan::{Action, Change, Diff, Impact, Step, attributes};
use crate::resource::catalog;
use crate::secret::Text;
use crate::{bail_fault, fault};

/// What a role is bound to that is to go.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Bonds {
    /// Databases in which objects depend on it (empty string: objects that belong to no database).
    pub dependents: Vec<String>,
    /// Databases that it owns, or has privileges on.
    pub on_databases: Vec<String>,
    pub owned_databases: Vec<Owned>,
    pub owned_tablespaces: Vec<String>,
    /// Databases that accept no connections, whoever owns them.
    pub closed_databases: Vec<String>,
}

/// A database of a role.
#[derive(Debug, Clone, Deserialize)]
pub struct Owned {
    pub name: String,
    pub is_template: bool,
    pub sessions: i64,
}

impl Bonds {
    /// Of these roles, as far as they are there.
    pub fn observe(
        look: &dyn Look,
        server: &Server,
        roles: &[&str],
    ) -> Result<BTreeMap<String, Self>> {
        #[derive(Deserialize)]
        struct Bound {
            name: String,
            #[serde(flatten)]
            bonds: Bonds,
        }
        let query = Query {
            server: server.clone(),
            database: catalog::MAINTENANCE.into(),
            sql: include_str!("../../sql/role_removal.sql"),
            parameter: json!(roles),
        };
        let rows: Vec<Bound> = look.rows(query)?;
        Ok(rows.into_iter().map(|row| (row.name, row.bonds)).collect())
    }

    /// Leaves out what lies in databases that are dropped before.
    pub fn leave_out(&mut self, dropped: &dyn Fn(&String) -> bool) {
        self.dependents.retain(|name| !dropped(name));
        self.on_databases.retain(|name| !dropped(name));
        self.owned_databases.retain(|own| !dropped(&own.name));
    }
}

pub fn drop(spec: &RoleSpec, row: &Row, seen: &Seen, known: &BTreeSet<String>) -> Result<Change> {
    let name = ident(&spec.name);
    let Bonds {
        dependents,
        on_databases,
        owned_databases: owned,
        ..
    } = &row.bonds;
    refuse(spec, &row.bonds, seen, known)?;
    check_obstacles(spec, &row.bonds)?;
    let mut steps = Vec::new();
    if spec.drop_owned && !owned.is_empty() {
        if owned
            .iter()
            .any(|database| database.name == catalog::MAINTENANCE)
        {
            bail_fault!(
                Conflict,
                "role `{}` owns database `{}`, which is not dropped", spec.name, catalog::MAINTENANCE;
                "give what it owns to another role with `reassign_owned`"
            );
        }
        steps.push(Step::Disconnect);
        for database in owned {
            steps.push(Step::sql_alone(
                &seen.server,
                catalog::MAINTENANCE,
                format!("DROP DATABASE {}", ident(&database.name)),
            ));
        }
    }
    if spec.drop_owned || spec.reassign_owned.is_some() {
        let mut databases: Vec<&str> = dependents
            .iter()
            .map(String::as_str)
            .filter(|database| !database.is_empty())
            .collect();
        if spec.drop_owned {
            databases.retain(|database| !owned.iter().any(|own| own.name == *database));
        }
        let shared = dependents.iter().any(String::is_empty) || !on_databases.is_empty();
        if shared && !databases.contains(&catalog::MAINTENANCE) {
            databases.push(catalog::MAINTENANCE);
        }
        for database in databases {
            let mut statements = Vec::new();
            if let Some(heir) = &spec.reassign_owned {
                statements.push(Text::plain(format!(
                    "REASSIGN OWNED BY {name} TO {}",
                    ident(heir)
                )));
            }
            // Privileges granted to the role are not reassigned: DROP OWNED takes them away (documentation, 22.4).
            statements.push(format!("DROP OWNED BY {name}").into());
            steps.push(Step::sql(&seen.server, database, statements));
        }
    }
    steps.push(Step::sql(
        &seen.server,
        catalog::MAINTENANCE,
        vec![format!("DROP ROLE {name}").into()],
    ));
    let mut lines = vec![("name", Some(spec.name.clone()))];
    if spec.drop_owned && !owned.is_empty() {
        let names: Vec<&str> = owned.iter().map(|own| own.name.as_str()).collect();
        lines.push(("databases", Some(names.join(", "))));
    }
    Ok(Change::new(
        Action::Drop,
        format!("role {}", spec.name),
        format!("drop role `{}`", spec.name),
        Diff::new(format!("role {}", spec.name), attributes(&lines), ""),
        Impact::Destructive,
        steps,
    ))
}

fn refuse(spec: &RoleSpec, bonds: &Bonds, seen: &Seen, known: &BTreeSet<String>) -> Result<()> {
    let all: BTreeSet<&String> = bonds.dependents.iter().chain(&bonds.on_databases).collect();
    if spec.name == seen.server.user {
        bail_fault!(
            Conflict,
            "role `{}` is the superuser role of the instance: it is not dropped",
            spec.name
        );
    }
    if is_predefined(&spec.name) {
        bail_fault!(
            Conflict,
            "role `{}` is one of PostgreSQL's own: it is not dropped",
            spec.name
        );
    }
    if !all.is_empty() && !spec.drop_owned && spec.reassign_owned.is_none() {
        let places: Vec<String> = all
            .into_iter()
            .map(|database| {
                if database.is_empty() {
                    "shared objects".to_owned()
                } else {
                    format!("database `{database}`")
                }
            })
            .collect();
        return Err(fault!(
            Conflict,
            "role `{}` cannot be dropped: objects depend on it in {}", spec.name, places.join(", ");
            "set `drop_owned: true` to drop them, or `reassign_owned` to give them to another role"
        ));
    }
    if let Some(heir) = &spec.reassign_owned
        && !known.contains(heir)
    {
        bail_fault!(
            NotFound,
            "role `{}`: `reassign_owned` names role `{heir}`, which does not exist",
            spec.name
        );
    }
    Ok(())
}

/// A database that is dropped does not come back when a later step fails: what would stop one is looked for before.
fn check_obstacles(spec: &RoleSpec, bonds: &Bonds) -> Result<()> {
    let name = &spec.name;
    let Bonds {
        dependents,
        owned_databases: owned,
        closed_databases: closed,
        ..
    } = bonds;
    let to_drop = |database: &str| spec.drop_owned && owned.iter().any(|own| own.name == database);
    if (spec.drop_owned || spec.reassign_owned.is_some())
        && let Some(database) = dependents
            .iter()
            .find(|database| closed.contains(database) && !to_drop(database))
    {
        bail_fault!(
            Conflict,
            "role `{name}` cannot be dropped: objects depend on it in database `{database}`, which does not accept connections";
            "`ALTER DATABASE {} ALLOW_CONNECTIONS true` lets sessions in", ident(database)
        );
    }
    if !spec.drop_owned {
        return Ok(());
    }
    if let Some(tablespace) = bonds.owned_tablespaces.first() {
        bail_fault!(
            Conflict,
            "role `{name}` owns tablespace `{tablespace}`, which is not dropped with the rest";
            "drop it, or give it to another role, or use `reassign_owned`"
        );
    }
    for Owned {
        name: database,
        is_template,
        sessions,
    } in owned
    {
        if *is_template {
            bail_fault!(
                Conflict,
                "role `{name}` owns database `{database}`, which is a template database: it is not dropped";
                "`ALTER DATABASE {} IS_TEMPLATE false` makes it an ordinary one", ident(database)
            );
        }
        if *sessions > 0 {
            bail_fault!(
                Conflict,
                "role `{name}` owns database `{database}`, which is in use ({sessions} sessions): it is not dropped";
                "end the sessions, or drop the database with `force_drop: true` before"
            );
        }
    }
    Ok(())
}
