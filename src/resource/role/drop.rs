//! A role that is not to be there: refused while something depends on it, unless told what becomes of that.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Row, Seen};
use crate::manifest::RoleSpec;
use crate::pg::ident::ident;
use crate::plan::{Action, Change, Diff, Impact, Step, attributes};
use crate::resource::catalog;
use crate::secret::Text;
use crate::{bail_fault, fault};

pub(super) fn drop(
    spec: &RoleSpec,
    row: &Row,
    seen: &Seen,
    known: &BTreeSet<String>,
) -> Result<Change> {
    let name = ident(&spec.name);
    let dependents = row.dependents.clone().unwrap_or_default();
    let owned = row.owned_databases.clone().unwrap_or_default();
    if spec.name == seen.server.user {
        bail_fault!(
            Conflict,
            "role `{}` is the superuser role of the instance: it is not dropped",
            spec.name
        );
    }
    if !dependents.is_empty() && !spec.drop_owned && spec.reassign_owned.is_none() {
        let places: Vec<String> = dependents
            .iter()
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
    let mut steps = Vec::new();
    if spec.drop_owned && !owned.is_empty() {
        if owned
            .iter()
            .any(|database| database == catalog::MAINTENANCE)
        {
            bail_fault!(
                Conflict,
                "role `{}` owns database `{}`, which is not dropped", spec.name, catalog::MAINTENANCE;
                "give what it owns to another role with `reassign_owned`"
            );
        }
        steps.push(Step::Disconnect);
        for database in &owned {
            steps.push(Step::sql_alone(
                &seen.server,
                catalog::MAINTENANCE,
                format!("DROP DATABASE {}", ident(database)),
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
            databases.retain(|database| !owned.iter().any(|name| name == database));
        }
        if dependents.iter().any(String::is_empty) && !databases.contains(&catalog::MAINTENANCE) {
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
        lines.push(("databases", Some(owned.join(", "))));
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
