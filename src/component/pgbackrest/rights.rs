//! What the backup role may do: it is no superuser, and calls just the functions that a backup is made with
//! (pgBackRest configuration reference, `pg-user`; PostgreSQL documentation, 9.28.3).

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;

use crate::host::{Look, Query};
use crate::manifest::{Membership, Presence};
use crate::pg::ident::ident;
use crate::pg::version::Major;
use crate::plan::{Action, Change, Diff, Impact, Plan, Step};
use crate::settings::InstancePaths;
use crate::stage::{Sight, Stage, World};

/// The database that pgBackRest connects to: rights on functions are a database's own.
const DATABASE: &str = "postgres";

/// The rights of the backup role.
pub struct Rights {
    pub paths: InstancePaths,
    pub role: String,
}

pub struct Seen {
    server: crate::host::Server,
    missing: Vec<String>,
}

#[derive(Deserialize)]
struct Row {
    signature: String,
}

/// The first major that lets others than superusers run CHECKPOINT, which pgBackRest does on a standby before it copies it
/// (PostgreSQL documentation, 22.5).
pub const CHECKPOINTS: Major = Major::new(15);

/// The roles that it is a member of.
pub fn memberships(major: Major) -> Vec<Membership> {
    let checkpoint = (major >= CHECKPOINTS).then_some("pg_checkpoint");
    ["pg_read_all_settings"]
        .into_iter()
        .chain(checkpoint)
        .map(|role| Membership {
            role: role.into(),
            state: Presence::Present,
        })
        .collect()
}

/// The functions with which a backup is begun and ended were renamed in 15.
fn functions(major: Major) -> [&'static str; 4] {
    let (start, stop) = if major >= Major::new(15) {
        (
            "pg_catalog.pg_backup_start(text, boolean)",
            "pg_catalog.pg_backup_stop(boolean)",
        )
    } else {
        (
            "pg_catalog.pg_start_backup(text, boolean, boolean)",
            "pg_catalog.pg_stop_backup(boolean, boolean)",
        )
    };
    [
        start,
        stop,
        "pg_catalog.pg_switch_wal()",
        "pg_catalog.pg_create_restore_point(text)",
    ]
}

impl Stage for Rights {
    type Seen = Option<Seen>;

    fn name(&self) -> String {
        format!("rights of role `{}` in instance {}", self.role, self.paths)
    }

    fn sight(&self, world: &World) -> Sight {
        world.server_sight()
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Option<Seen>> {
        let Some(server) = world.server() else {
            return Ok(None);
        };
        let query = Query {
            server: server.clone(),
            database: DATABASE.into(),
            sql: include_str!("../../sql/backup_rights.sql"),
            parameter: json!({ "role": self.role, "functions": functions(self.paths.version) }),
        };
        let rows: Vec<Row> = look.rows(query)?;
        Ok(Some(Seen {
            server: server.clone(),
            missing: rows.into_iter().map(|row| row.signature).collect(),
        }))
    }

    fn predict(&self, _: &dyn Look, world: &World) -> Result<Option<Seen>> {
        Ok(world.server().map(|server| Seen {
            server: server.clone(),
            missing: functions(self.paths.version).map(str::to_owned).into(),
        }))
    }

    fn plan(&self, seen: &Option<Seen>) -> Result<Plan> {
        let mut plan = Plan::default();
        let Some(seen) = seen.as_ref().filter(|seen| !seen.missing.is_empty()) else {
            return Ok(plan);
        };
        let functions = seen.missing.join(", ");
        let role = &self.role;
        let object = format!("rights of role {role}");
        let after = format!("execute: {functions}\n");
        plan.changes.push(Change::new(
            Action::Alter,
            &object,
            format!("let role `{role}` take backups"),
            Diff::new(&object, "", after),
            Impact::None,
            vec![Step::sql(
                &seen.server,
                DATABASE,
                vec![format!("GRANT EXECUTE ON FUNCTION {functions} TO {}", ident(role)).into()],
            )],
        ));
        Ok(plan)
    }
}
