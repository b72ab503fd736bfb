//! The server recovers: waited for, looked at, and then the old data go.

use std::cell::Cell;
use std::collections::BTreeMap;

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::Deserialize;
use serde_json::{Value, json};

use super::fetch::object;
use super::replace::aside;
use super::spaces;
use crate::backup::recovery::{Action as AtTarget, Recovery};
use crate::bail_fault;
use crate::host::{Command, Look, Query};
use crate::manager::logs as server_logs;
use crate::pg::tablespace;
use crate::plan::{Action, Change, Diff, Fact, Impact, Plan, Scope, Step};
use crate::resource::catalog;
use crate::resource::instance::kept;
use crate::resource::instance::logs;
use crate::resource::instance::target::Target;
use crate::stage::{Sight, Stage, World};

/// Sees the recovery through.
pub struct Recovered {
    pub target: Target,
    pub recovery: Recovery,
    pub keep_old: bool,
    /// The data have replaced others.
    pub replaced: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Progress {
    in_recovery: bool,
    paused: bool,
    lsn: Option<String>,
    last_transaction: Option<String>,
    timeline: u32,
}

pub struct Seen {
    end: End,
    /// Old data are there.
    old: bool,
    /// Locations of tablespaces that have old data, with their numbers.
    spaces: BTreeMap<Utf8PathBuf, String>,
    free: u32,
}

/// How the recovery ended.
enum End {
    /// It will be seen in the run.
    Foreseen,
    /// At its target.
    Reached(Progress),
    /// The server ends there by itself: this run starts it for that.
    ToShutDown,
    /// The server is gone, with these words.
    Failed(String),
    /// It goes on.
    Underway(Option<Progress>),
}

impl Stage for Recovered {
    type Seen = Seen;

    fn name(&self) -> String {
        object(&self.target)
    }

    fn sight(&self, world: &World) -> Sight {
        match world.changed.get(&object(&self.target)) {
            Some(false) => Sight::Predict,
            _ => Sight::Look,
        }
    }

    fn predict(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        Ok(Seen {
            end: if self.recovery.action == AtTarget::Shutdown {
                End::ToShutDown
            } else {
                End::Foreseen
            },
            old: self.replaced,
            spaces: BTreeMap::new(),
            free: kept::free(look, &self.target.paths)?,
        })
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let paths = &self.target.paths;
        let end = if self.recovery.action == AtTarget::Shutdown {
            End::ToShutDown
        } else {
            self.await_end(look)?
        };
        let mut spaces = spaces::linked(look, &aside(&paths.datadir))?;
        let mut free = kept::free(look, paths)?;
        for location in spaces.clone().keys() {
            if look.stat(&spaces::aside(location))?.is_none() {
                spaces.remove(location);
            }
            while look.stat(&spaces::kept(location, free))?.is_some() {
                free += 1;
            }
        }
        Ok(Seen {
            end,
            old: look.stat(&aside(&paths.datadir))?.is_some(),
            spaces,
            free,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let paths = &self.target.paths;
        let mut plan = Plan::default();
        match &seen.end {
            End::Foreseen => {}
            End::Reached(progress) => plan.view = Some(("recovery", view(progress))),
            End::ToShutDown => {
                plan.changes.push(self.run_to_the_end());
                plan.facts.push(Fact::Stopped);
            }
            End::Failed(said) => bail_fault!(
                Command,
                "the recovery of instance `{paths}` failed: {said}";
                "choose a target that the archived WAL reaches; what was there before is there again"
            ),
            End::Underway(progress) => bail_fault!(
                Underway,
                "instance `{paths}` is still recovering, after {} seconds{}", self.target.manner.timeout.as_secs(),
                progress.as_ref().and_then(|progress| progress.lsn.as_ref()).map(|lsn| format!(" (at WAL {lsn})")).unwrap_or_default();
                "it goes on by itself; its log tells how far it is. The old data stay in `{}` until this is run again", aside(&paths.datadir)
            ),
        }
        plan.warnings.extend(self.how_to_go_on());
        if seen.old {
            plan.changes.push(self.old_data(seen));
        }
        Ok(plan)
    }
}

fn view(progress: &Progress) -> Value {
    json!({
        "lsn": progress.lsn,
        "last_transaction": progress.last_transaction,
        "timeline": progress.timeline,
        "paused": progress.paused,
    })
}

impl Recovered {
    /// A server that is no ordinary one afterwards.
    fn how_to_go_on(&self) -> Option<String> {
        let paths = &self.target.paths;
        match self.recovery.action {
            AtTarget::Promote => None,
            AtTarget::Pause => Some(format!(
                "instance `{paths}` waits at the target, and can only be read: look whether it is the right one. If it is, \
                 `pgsocle instance exec {paths} -- psql -d postgres -c 'SELECT pg_wal_replay_resume()'` makes it an ordinary server; \
                 else stop it, and restore again"
            )),
            AtTarget::Shutdown => Some(format!(
                "instance `{paths}` ends at the target, at each start: to go on, write `recovery_target_action = 'promote'` in the place \
                 of `'shutdown'` into `{}/postgresql.auto.conf`, and start it",
                paths.datadir
            )),
        }
    }

    /// Waits until the server is what it is to be at the target, or has ended.
    fn await_end(&self, look: &dyn Look) -> Result<End> {
        let last = Cell::new(None);
        let gone = Cell::new(false);
        let settled = look.patiently(self.target.manner.timeout, &mut || {
            let Some(running) = self.target.running(look)? else {
                gone.set(true);
                return Ok(true);
            };
            if !running.ready {
                return Ok(false);
            }
            let query = Query {
                server: running.server,
                database: catalog::MAINTENANCE.into(),
                sql: include_str!("../../sql/recovery.sql"),
                parameter: Value::Null,
            };
            // The server that is just ending closes the session.
            let Ok(answers) = look.query(&[query]) else {
                return Ok(false);
            };
            let rows = answers.into_iter().next().unwrap_or_default();
            let progress = rows.read::<Progress>()?.into_iter().next();
            let there = progress
                .as_ref()
                .is_some_and(|progress| match self.recovery.action {
                    AtTarget::Pause => progress.paused,
                    AtTarget::Promote | AtTarget::Shutdown => !progress.in_recovery,
                });
            last.set(progress);
            Ok(there)
        })?;
        if gone.get() {
            return Ok(End::Failed(self.last_words(look)?));
        }
        Ok(match (settled, last.take()) {
            (true, Some(progress)) => End::Reached(progress),
            (_, progress) => End::Underway(progress),
        })
    }

    /// What a server said before it ended.
    fn last_words(&self, look: &dyn Look) -> Result<String> {
        let Ok(path) = logs::current(&self.target, look) else {
            return Ok("its log is not there".to_owned());
        };
        let content = look.read(&path)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&content);
        // What sessions are told meanwhile is not why.
        let fatal = text.lines().rev().find_map(|line| {
            let said = &line[line.find("FATAL:")?..];
            let by_the_way = ["the database system is", "terminating "];
            (!by_the_way.iter().any(|words| said.contains(words))).then(|| said.to_owned())
        });
        Ok(fatal.unwrap_or_else(|| format!("see `{path}`")))
    }

    /// A server that ends at its target by itself.
    fn run_to_the_end(&self) -> Change {
        let paths = &self.target.paths;
        let mut server = Command::new(self.target.bindir.join("postgres"))
            .args(["-D", paths.datadir.as_str()])
            .args(["-c", "listen_addresses="]);
        server.logs = server_logs(paths);
        let object = format!("recovery of instance {paths}");
        Change::new(
            Action::Alter,
            &object,
            format!("recover instance `{paths}` up to its target, where its server ends"),
            Diff::new(&object, "", "state: shut down at the target\n"),
            Impact::None,
            vec![
                Step::make_dir(&paths.socket_directory, 0o755),
                Step::Run(server),
            ],
        )
    }

    /// What was there before is taken away, or kept under another name.
    fn old_data(&self, seen: &Seen) -> Change {
        let paths = &self.target.paths;
        let directories = self.target.directories();
        let kept = kept::name(&paths.datadir, seen.free);
        let of_spaces = seen.spaces.iter().flat_map(|(location, oid)| {
            let path = spaces::aside(location);
            if !self.keep_old {
                return vec![Step::Remove { path }];
            }
            let target = spaces::kept(location, seen.free);
            let to = target.clone();
            // What is kept stays a whole: it must not lead to the new ones.
            let path_of_link = tablespace::link(&aside(&paths.datadir), oid);
            vec![
                Step::Rename { from: path, to },
                Step::Symlink {
                    path: path_of_link,
                    target,
                },
            ]
        });
        // The data directory last: it is what tells a run that something is left to do.
        let steps = directories.into_iter().rev().map(|path| {
            if self.keep_old {
                Step::RenameIfExists {
                    from: aside(path),
                    to: kept::name(path, seen.free),
                }
            } else {
                Step::Remove { path: aside(path) }
            }
        });
        let object = format!("old data of instance {paths}");
        let before = format!("data: {}\n", aside(&paths.datadir));
        let (summary, after, impact) = if self.keep_old {
            (
                format!("keep the old data of instance `{paths}` as `{kept}`"),
                format!("data: {kept}\n"),
                Impact::None,
            )
        } else {
            (
                format!("remove the old data of instance `{paths}`"),
                String::new(),
                Impact::Destructive,
            )
        };
        Change::new(
            if self.keep_old {
                Action::Alter
            } else {
                Action::Drop
            },
            &object,
            summary,
            Diff::new(&object, before, after),
            impact,
            of_spaces.chain(steps).collect(),
        )
        .settles(Scope::Restore)
    }
}
