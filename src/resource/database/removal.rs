//! The end of a database: dropped, or set aside under another name.

use anyhow::Result;

use super::{Row, Seen, uses};
use crate::bail_fault;
use crate::manifest::DatabaseSpec;
use crate::pg::ident::{ident, literal};
use crate::plan::{Action, Change, Diff, Impact, Step, attributes};
use crate::resource::{catalog, protection};

/// The longest name that PostgreSQL takes, in bytes (`NAMEDATALEN` in `pg_config_manual.h`).
const LONGEST: usize = 63;

pub fn drop(spec: &DatabaseSpec, row: &Row, seen: &Seen) -> Result<Change> {
    let name = &spec.name;
    if row.is_template {
        bail_fault!(
            Conflict,
            "database `{name}` is a template database: it is not dropped";
            "`ALTER DATABASE {} IS_TEMPLATE false` makes it an ordinary one", ident(name)
        );
    }
    if name == catalog::MAINTENANCE {
        bail_fault!(
            Conflict,
            "database `{name}` is the one that the server is maintained from: it is not dropped"
        );
    }
    if row.protection() == Some(true) {
        return Err(protection::refusal("database", name));
    }
    let sessions = row.sessions.unwrap_or_default();
    if sessions > 0 && !spec.force_drop {
        bail_fault!(
            Conflict,
            "database `{name}` is not dropped: {} it", uses(sessions);
            "end them, or set `force_drop: true` to have them ended"
        );
    }
    let mut summary = format!("drop database `{name}`");
    if sessions > 0 {
        summary.extend([", which ", &uses(sessions)]);
    }
    let lines = [
        ("name", Some(name.clone())),
        ("owner", Some(row.owner.clone())),
    ];
    let object = format!("database {name}");
    let diff = Diff::new(&object, attributes(&lines), "");
    let (impact, step) = if spec.keep_data {
        let kept = kept(name, &seen.survey.around.kept);
        summary.extend([", with its data kept as `", &kept, "`"]);
        (Impact::None, set_aside(spec, &kept, seen))
    } else {
        let force = if spec.force_drop { " WITH (FORCE)" } else { "" };
        let statement = format!("DROP DATABASE {}{force}", ident(name));
        let step = Step::sql_alone(&seen.server, catalog::MAINTENANCE, statement);
        (Impact::Destructive, step)
    };
    Ok(Change::new(
        Action::Drop,
        &object,
        summary,
        diff,
        impact,
        vec![Step::Disconnect, step],
    ))
}

/// The first free name for a database that is set aside.
fn kept(name: &str, taken: &[String]) -> String {
    let mut number = 1;
    loop {
        let ending = format!("_dropped_{number}");
        let mut end = name.len().min(LONGEST - ending.len());
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let kept = format!("{}{ending}", &name[..end]);
        if !taken.contains(&kept) {
            return kept;
        }
        number += 1;
    }
}

/// In one transaction: a session that comes in between has the server refuse all of it.
fn set_aside(spec: &DatabaseSpec, kept: &str, seen: &Seen) -> Step {
    let name = ident(&spec.name);
    let mut statements = vec![format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false").into()];
    if spec.force_drop {
        statements.push(
            format!(
                "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = {}",
                literal(&spec.name)
            )
            .into(),
        );
    }
    statements.push(format!("ALTER DATABASE {name} RENAME TO {}", ident(kept)).into());
    Step::sql(&seen.server, catalog::MAINTENANCE, statements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_databases_that_are_set_aside() {
        let taken = ["app_dropped_1".to_owned(), "app_dropped_2".to_owned()];
        assert_eq!(kept("app", &taken), "app_dropped_3");
        assert_eq!(kept("shop", &taken), "shop_dropped_1");
        assert_eq!(
            kept(&"ä".repeat(31), &[]),
            format!("{}_dropped_1", "ä".repeat(26))
        );
    }
}
