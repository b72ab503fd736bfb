//! The site's password file follows an instance that moves to another port.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::host::Look;
use crate::pg::pgpass::Pgpass;
use crate::plan::{Action, Change, Diff, Impact, Plan, Step};
use crate::resource::instance::target::Target;
use crate::stage::{Sight, Stage, World};

/// The change that takes entries away; a file without any goes.
pub fn taken_away(path: &Utf8Path, before: &Pgpass, after: &Pgpass) -> Option<Change> {
    if before == after {
        return None;
    }
    Some(Change::new(
        Action::Alter,
        "file pgpass",
        format!("change the password file {path}"),
        Diff::new(path.as_str(), before.masked(), after.masked()),
        Impact::None,
        vec![Step::passwords(path, before, after)],
    ))
}

/// Entries of this host with the old port get the new one.
pub struct Passfile {
    pub target: Target,
}

pub struct Seen {
    path: Utf8PathBuf,
    before: Pgpass,
    after: Pgpass,
}

impl Stage for Passfile {
    type Seen = Option<Seen>;

    fn name(&self) -> String {
        format!("password file of instance {}", self.target.paths)
    }

    fn sight(&self, world: &World) -> Sight {
        if world.moved.or(world.move_begun).is_some() {
            Sight::Look
        } else {
            Sight::Skip
        }
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Option<Seen>> {
        let (Some(path), Some((from, to))) = (
            &self.target.paths.passfile,
            world.moved.or(world.move_begun),
        ) else {
            return Ok(None);
        };
        // An earlier run may have been interrupted before the instance moved, or it has moved again since.
        let now = world.server().or(world.configured.as_ref());
        if world.moved.is_none() && now.is_none_or(|server| server.port != to) {
            return Ok(None);
        }
        let Some(content) = look.read(path)? else {
            return Ok(None);
        };
        let before = Pgpass::parse(&content)?;
        let mut after = before.clone();
        after.rename_port(&self.target.paths.own_hosts(), from, to);
        Ok(Some(Seen {
            path: path.clone(),
            before,
            after,
        }))
    }

    fn plan(&self, seen: &Option<Seen>) -> Result<Plan> {
        let mut plan = Plan::default();
        if let Some(seen) = seen.as_ref().filter(|seen| seen.before != seen.after) {
            plan.changes.push(Change::new(
                Action::Alter,
                "file pgpass",
                format!("change the port in the password file {}", seen.path),
                Diff::new(
                    seen.path.as_str(),
                    seen.before.masked(),
                    seen.after.masked(),
                ),
                Impact::None,
                vec![Step::passwords(&seen.path, &seen.before, &seen.after)],
            ));
        }
        Ok(plan)
    }
}
