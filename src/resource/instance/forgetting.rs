//! The end of an adoption: the server and its files stay as they are, what we know and have made of it goes.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::bail_fault;
use crate::host::Look;
use crate::manager::Manager;
use crate::pg::pgpass::Pgpass;
use crate::plan::{Action, Change, Diff, Fact, Impact, Plan, Step};
use crate::resource::instance::adoption;
use crate::resource::instance::directory::{Directory, directory};
use crate::resource::instance::heeding::{self, Heeding};
use crate::resource::instance::passfile::taken_away;
use crate::resource::instance::target::Target;
use crate::stage::{Stage, World};

/// An adopted instance that is to be nobody's again.
pub struct Forgetting {
    pub target: Target,
}

pub struct Seen {
    /// Of an instance that was not adopted: whether there is one.
    exists: bool,
    running: bool,
    port: u16,
    passfile: Option<(Utf8PathBuf, Vec<u8>)>,
    /// A unit of ours runs it.
    registered: bool,
    held: bool,
    heeding: heeding::Seen,
    /// A log that we began.
    start_log: bool,
}

impl Stage for Forgetting {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let paths = &self.target.paths;
        let running = self.target.running(look)?;
        Ok(Seen {
            exists: matches!(directory(look, &paths.datadir)?, Directory::Cluster(_)),
            running: running.is_some(),
            port: match running {
                Some(running) => running.server.port,
                None => self.target.configured_on_disk(look)?.port,
            },
            passfile: match &paths.passfile {
                Some(path) => look.read(path)?.map(|content| (path.clone(), content)),
                None => None,
            },
            registered: match self.target.manager.instance_file() {
                // An earlier run may have taken it away, and not told the manager.
                Some(file) => {
                    world.begun.contains(&format!("adoption {paths}"))
                        || look.stat(&file)?.is_some()
                }
                None => false,
            },
            held: look.stat(&paths.hold())?.is_some(),
            heeding: self.heeding().observe(look, world)?,
            start_log: look.stat(&paths.start_log)?.is_some(),
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let paths = &self.target.paths;
        let mut plan = Plan {
            facts: vec![Fact::Absent],
            ..Plan::default()
        };
        let Some(adopted) = &self.target.adopted else {
            if seen.exists {
                bail_fault!(
                    Conflict,
                    "instance `{paths}` was not adopted: it is one because it lies at `{}`, where the settings have it", paths.datadir;
                    "stop it, or drop it; nothing was changed"
                );
            }
            return Ok(plan);
        };
        plan.changes
            .extend(Self::passwords(seen, &adopted.passwords)?);
        let Plan {
            changes, warnings, ..
        } = self.heeding().plan(&seen.heeding)?;
        plan.changes.extend(changes);
        plan.warnings.extend(warnings);
        let mut steps = Vec::new();
        if seen.registered {
            if seen.running
                && let Manager::Systemd { unit, .. } = &self.target.manager
            {
                plan.warnings.push(format!(
                    "instance `{paths}` goes on running, but its unit `{unit}` was pgsocle's and goes: nobody starts it at the next boot"
                ));
            }
            steps.extend(self.target.manager.unregister());
        }
        if seen.start_log && paths.start_log.starts_with(&paths.state_directory) {
            steps.push(Step::Remove {
                path: paths.start_log.clone(),
            });
        }
        if seen.held {
            steps.push(Step::Remove { path: paths.hold() });
        }
        // Last: killed before, the next run still knows what there is to do.
        steps.push(Step::Remove {
            path: paths.record.clone(),
        });
        plan.changes.push(Change::new(
            Action::Alter,
            format!("adoption {paths}"),
            format!(
                "forget instance `{paths}`: `{}` stays as it {}",
                paths.datadir,
                if seen.running { "runs" } else { "is" }
            ),
            Diff::new(format!("adoption {paths}"), adoption::lines(adopted), ""),
            Impact::None,
            steps,
        ));
        Ok(plan)
    }
}

impl Forgetting {
    /// Its unit heeds holds no more.
    fn heeding(&self) -> Heeding {
        Heeding {
            target: self.target.clone(),
            held: false,
        }
    }

    /// Entries of our form at its port that were not there before the adoption.
    fn passwords(seen: &Seen, known: &[String]) -> Result<Option<Change>> {
        let Some((path, content)) = &seen.passfile else {
            return Ok(None);
        };
        let before = Pgpass::parse(content)?;
        let mut after = before.clone();
        for user in before.users_at(seen.port) {
            if !known.contains(&user) {
                after.remove("*", seen.port, "*", &user);
            }
        }
        Ok(taken_away(path, &before, &after))
    }
}
