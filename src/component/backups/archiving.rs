//! Whether WAL arrives in the repository: asked for when something of it changes, and told of on every run.

use std::rc::Rc;

use anyhow::Result;
use serde_json::Value;

use super::stanza::StanzaTool;
use crate::backup::Archiver;
use crate::host::{Look, Query, Server};
use crate::pg::conf::Conf;
use crate::plan::{Action, Change, Diff, Impact, Plan};
use crate::settings::InstancePaths;
use crate::stage::{Sight, Stage, World};

/// The parameters that archiving hangs on.
pub const PARAMETERS: [&str; 3] = ["archive_command", "archive_mode", "wal_level"];

/// Checks the way from the server to the repository.
pub struct Archiving {
    pub tool: Rc<dyn StanzaTool>,
    pub paths: InstancePaths,
}

pub struct Seen {
    server: Option<Server>,
    archiver: Archiver,
    /// Something of archiving is other than before this run.
    touched: bool,
    /// This run restarts the server, or has: it archives by now.
    restarted: bool,
    /// The repository host has no stanza yet, which wants the server that this run makes.
    awaited: bool,
}

/// How archiving stands in a running server.
pub fn archiver(look: &dyn Look, server: &Server) -> Result<Archiver> {
    let query = Query {
        server: server.clone(),
        database: "postgres".into(),
        sql: include_str!("../../sql/archiver.sql"),
        parameter: Value::Null,
    };
    let rows: Vec<Archiver> = look.rows(query)?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

impl Stage for Archiving {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("archiving of instance {}", self.paths)
    }

    fn sight(&self, world: &World) -> Sight {
        world.server_sight()
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let archiver = match world.server() {
            Some(server) => archiver(look, server)?,
            None => Archiver::default(),
        };
        Ok(Seen {
            server: world.server().cloned(),
            archiver,
            touched: self.touched(world),
            restarted: world.restarted,
            awaited: self.tool.is_awaited(look)?,
        })
    }

    /// Of a new cluster.
    fn predict(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        Ok(Seen {
            server: world.server().cloned(),
            archiver: Archiver {
                archive_mode: "on".to_owned(),
                ..Archiver::default()
            },
            touched: true,
            restarted: false,
            awaited: self.tool.is_awaited(look)?,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let (stanza, paths) = (self.tool.stanza(), &self.paths);
        let mut plan = Plan::default();
        let archiver = &seen.archiver;
        if archiver.archive_mode == "off" && !seen.restarted {
            plan.warnings.push(format!(
                "instance `{paths}` is not archived before it has been restarted: `archive_mode` is still off"
            ));
            return Ok(plan);
        }
        if !seen.touched || seen.awaited || archiver.in_recovery {
            plan.warnings.extend(archiver.complaint(paths));
            return Ok(plan);
        }
        let object = format!("archive of stanza {stanza}");
        plan.changes.push(Change::new(
            Action::Alter,
            &object,
            format!("check that WAL of instance `{paths}` arrives in stanza `{stanza}`"),
            Diff::new(&object, "checked: false\n", "checked: true\n"),
            Impact::None,
            seen.server
                .as_ref()
                .map(|server| self.tool.check(server))
                .unwrap_or_default(),
        ));
        Ok(plan)
    }
}

impl Archiving {
    /// The new cluster, its configuration, the stanza, the way to it; or a run that was to change them was cut short.
    fn touched(&self, world: &World) -> bool {
        let objects = [
            format!("stanza {}", self.tool.stanza()),
            format!("{} {}", self.tool.method().name(), self.paths),
            format!("archive of stanza {}", self.tool.stanza()),
        ];
        let known =
            |object: &String| world.changed.contains_key(object) || world.begun.contains(object);
        world.cluster_made
            || world.restarted
            || objects.iter().any(known)
            || world.replaced.iter().any(|file| {
                file.path == self.paths.config_file && {
                    let [before, after] = [&file.before, &file.after]
                        .map(|content| Conf::parse(content).unwrap_or_default());
                    PARAMETERS
                        .iter()
                        .any(|name| before.get(name) != after.get(name))
                }
            })
    }
}
