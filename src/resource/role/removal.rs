//! A role that is not to be there: what would stop its removal, and how it goes with what it owns.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Owned, Row, Seen, is_predefined};
use crate::manifest::RoleSpec;
use crate::pg::ident::ident;
use crate::plan::{Action, Change, Diff, Impact, Step, attributes};
use crate::resource::catalog;
use crate::secret::Text;
use crate::{bail_fault, fault};

pub fn drop(spec: &RoleSpec, row: &Row, seen: &Seen, known: &BTreeSet<String>) -> Result<Change> {
    let name = ident(&spec.name);
    let dependents = row.dependents.clone().unwrap_or_default();
    let on_databases = row.on_databases.clone().unwrap_or_default();
    let owned: &[Owned] = row.owned_databases.as_deref().unwrap_or_default();
    refuse(spec, row, seen, known)?;
    check_obstacles(spec, row, &dependents, owned)?;
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

fn refuse(spec: &RoleSpec, row: &Row, seen: &Seen, known: &BTreeSet<String>) -> Result<()> {
    let all: BTreeSet<&String> = row
        .dependents
        .iter()
        .chain(&row.on_databases)
        .flatten()
        .collect();
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
fn check_obstacles(
    spec: &RoleSpec,
    row: &Row,
    dependents: &[String],
    owned: &[Owned],
) -> Result<()> {
    let name = &spec.name;
    let closed = row.closed_databases.as_deref().unwrap_or_default();
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
    if let Some(tablespace) = row.owned_tablespaces.iter().flatten().next() {
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
