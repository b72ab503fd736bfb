//! The instance among the clusters of its stanza: its options in `conf.d/STANZA.conf`.

use anyhow::Result;
use camino::Utf8PathBuf;

use super::stanza_file::{Member, StanzaFile};
use super::tool::{stanza_directory, stanza_files};
use crate::bail_fault;
use crate::host::{Look, Server};
use crate::plan::{Action, Change, Content, Diff, Impact, Plan, Step};
use crate::settings::{self, InstancePaths};
use crate::stage::{Stage, World};

/// The place of an instance in a stanza's file.
pub struct Membership {
    pub own: settings::PgBackRest,
    pub paths: InstancePaths,
    /// The role as which pgBackRest connects.
    pub role: String,
    /// None: in no stanza.
    pub stanza: Option<String>,
}

pub struct Seen {
    files: Vec<(String, Vec<u8>, StanzaFile)>,
    server: Option<Server>,
}

impl Stage for Membership {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("pgBackRest of instance {}", self.paths)
    }

    /// Other instances may be in the stanza, and their runs write the same file.
    fn lock(&self) -> Option<Utf8PathBuf> {
        Some(self.own.lockpath.join("members.lock"))
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let server = world.server().or(world.configured.as_ref());
        Ok(Seen {
            files: stanza_files(&self.own, look)?,
            server: server.cloned(),
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let (paths, datadir) = (&self.paths, &self.paths.datadir);
        let mut plan = Plan::default();
        let other = seen.files.iter().find(|(stanza, _, file)| {
            file.number(datadir).is_some() && Some(stanza) != self.stanza.as_ref()
        });
        let Some(stanza) = &self.stanza else {
            if let Some((stanza, content, file)) = other {
                let mut left = file.clone();
                left.remove(datadir);
                plan.changes.push(self.change(stanza, content, &left));
            }
            return Ok(plan);
        };
        if let Some((other, ..)) = other {
            bail_fault!(
                Conflict,
                "instance `{paths}` is in stanza `{other}`, not in `{stanza}`: a live instance does not change its stanza by the way";
                "take it out first, with `pgbackrest: {{state: absent}}` in a run of its own; its backups stay. Nothing was changed"
            );
        }
        let port_and_socket = seen.server.as_ref().map_or_else(
            || (5432, paths.socket_directory.clone()),
            |server| (server.port, server.socket_directory.clone()),
        );
        let known = seen.files.iter().find(|(name, ..)| name == stanza);
        let before = known.map(|(_, content, _)| content.as_slice());
        let mut file = known.map(|(.., file)| file.clone()).unwrap_or_default();
        let present = file.clone();
        file.put(
            stanza,
            &Member {
                datadir: datadir.clone(),
                port: port_and_socket.0,
                user: self.role.clone(),
                socket_directory: port_and_socket.1,
            },
        );
        if file != present {
            plan.changes
                .push(self.change(stanza, before.unwrap_or_default(), &file));
        }
        Ok(plan)
    }
}

impl Membership {
    fn path(&self, stanza: &str) -> Utf8PathBuf {
        stanza_directory(&self.own).join(format!("{stanza}.conf"))
    }

    fn change(&self, stanza: &str, before: &[u8], file: &StanzaFile) -> Change {
        let path = self.path(stanza);
        let (action, after, step) = if file.has_members() {
            let after = file.render();
            let content = Content::Bytes(after.clone().into_bytes());
            let action = if before.is_empty() {
                Action::Create
            } else {
                Action::Alter
            };
            (action, after, Step::write(&path, content, 0o640))
        } else {
            let step = Step::Remove { path: path.clone() };
            (Action::Drop, String::new(), step)
        };
        let paths = &self.paths;
        Change::new(
            action,
            format!("pgbackrest {paths}"),
            match &self.stanza {
                Some(_) => format!("put instance `{paths}` into stanza `{stanza}`"),
                None => format!("take instance `{paths}` out of stanza `{stanza}`"),
            },
            Diff::new(path.as_str(), String::from_utf8_lossy(before), after),
            Impact::None,
            vec![step],
        )
    }
}
