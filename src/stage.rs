//! One look, one decision: the unit of work that the engine strings together.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::Utf8PathBuf;
use serde_json::{Map, Value};

use crate::host::{Look, Server};
use crate::plan::{Fact, Pending, Plan, Reach, Replaced};

/// A step of a run that looks once and decides once. Two laws hold for each:
/// after its plan has been carried out its plan is empty, and `predict` equals what `observe` then sees.
pub trait Stage {
    type Seen;

    /// What an operator would call it, for `undetermined` and errors: "roles of 15/main".
    fn name(&self) -> String;

    /// Lays the ground on which the lock stands: carried out before it is taken.
    fn before_lock(&self) -> bool {
        false
    }

    /// The lock of what runs on other instances change as well: held while this stage looks and acts.
    fn lock(&self) -> Option<Utf8PathBuf> {
        None
    }

    /// Whether this stage can look now, given what earlier stages of this run plan to do.
    fn sight(&self, _: &World) -> Sight {
        Sight::Look
    }

    /// Reads, and only reads.
    fn observe(&self, look: &dyn Look, world: &World) -> Result<Self::Seen>;

    /// What `observe` will see once the earlier plans of this run have been carried out.
    fn predict(&self, look: &dyn Look, world: &World) -> Result<Self::Seen> {
        self.observe(look, world)
    }

    /// Pure: values in, values out.
    fn plan(&self, seen: &Self::Seen) -> Result<Plan>;
}

/// How far a stage can see in a run that has not acted (yet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// What is there now is what the stage will find.
    Look,
    /// An earlier stage makes what this one would look at; `predict` knows how that will be.
    Predict,
    /// It cannot be known before earlier stages have acted; the reason is reported.
    Hidden(String),
    /// There is nothing to do for this stage.
    Skip,
}

/// A stage whose `Seen` has been erased, so that a run can hold many.
pub trait AnyStage {
    fn name(&self) -> String;
    fn before_lock(&self) -> bool;
    fn lock(&self) -> Option<Utf8PathBuf>;
    fn decide(&self, look: &dyn Look, world: &World) -> Result<Plan>;
}

impl<S: Stage> AnyStage for S {
    fn name(&self) -> String {
        Stage::name(self)
    }

    fn before_lock(&self) -> bool {
        Stage::before_lock(self)
    }

    fn lock(&self) -> Option<Utf8PathBuf> {
        Stage::lock(self)
    }

    fn decide(&self, look: &dyn Look, world: &World) -> Result<Plan> {
        match self.sight(world) {
            Sight::Look => self.plan(&self.observe(look, world)?),
            Sight::Predict => self.plan(&self.predict(look, world)?),
            Sight::Hidden(why) => Ok(Plan::undetermined(format!("{}: {why}", Stage::name(self)))),
            Sight::Skip => Ok(Plan::default()),
        }
    }
}

/// Whether the catalogs of the run's instance can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Catalogs {
    /// No stage has said anything yet.
    #[default]
    Unknown,
    /// The server answers here.
    Readable(Server),
    /// This run makes the cluster: its catalogs are those of a new one.
    New(Server),
    /// The cluster exists and this run will start it: what is in it cannot be known yet.
    Hidden(Server),
    /// The server is stopped and stays so.
    Stopped,
    /// There is no such instance.
    Absent,
}

/// What is known of the run's instance from its earlier stages.
#[derive(Debug, Clone, Default)]
pub struct World {
    pub catalogs: Catalogs,
    /// This run made (or would make) the cluster.
    pub cluster_made: bool,
    /// Its system identifier, once it is there.
    pub system_identifier: Option<u64>,
    /// This run started (or would start) the server.
    pub started: bool,
    /// Roles that earlier stages make (true) or drop (false).
    pub roles: BTreeMap<String, bool>,
    /// Tablespaces that earlier stages make (true) or drop (false).
    pub tablespaces: BTreeMap<String, bool>,
    /// Databases that earlier stages make (true) or drop (false).
    pub databases: BTreeMap<String, bool>,
    /// The server must read its files again.
    pub reload_needed: Option<Reach>,
    /// This run has told (or would have told) the server to read its files.
    pub reloaded: bool,
    /// Settings that this run changes and that take effect with a restart: what the server says of them is out of date.
    pub restart_changed: Vec<String>,
    /// Those of them that run with another value than the new one.
    pub restart_needed: Vec<Pending>,
    /// This run restarted (or would restart) the server.
    pub restarted: bool,
    /// What waits for a restart, as the server has said in this run, unless it has been told to read its files since.
    pub waiting: Option<Vec<Pending>>,
    pub pending_restart: Option<Vec<Pending>>,
    /// Why the server would not start again or let nobody in, with its files as this run leaves them.
    pub no_start: Vec<String>,
    /// Where the server will listen with the files as this run leaves them.
    pub configured: Option<Server>,
    /// The port that the instance leaves in this run, and the one that it gets.
    pub moved: Option<(u16, u16)>,
    /// Objects whose change an earlier run has begun, and nobody has ended.
    pub begun: BTreeSet<String>,
    /// An earlier run has stopped the server, or was about to, in order to start it again.
    pub restart_begun: bool,
    /// … and this run has started it again (or would).
    pub runs_again: bool,
    /// Ports between which an earlier run was to move the instance, and may have done it by half.
    pub move_begun: Option<(u16, u16)>,
    /// Configuration files that this run replaces, each once, until the server has read them.
    pub replaced: Vec<Replaced>,
    /// … and has replaced: they are on the disk, and the server has not been told.
    pub written: bool,
    /// What this run changes in the public view of the object.
    pub view: Map<String, Value>,
    /// Objects that this run has changed (true), or would change (false).
    pub changed: BTreeMap<String, bool>,
}

impl World {
    /// Takes in a plan; `performed` says that it has been carried out, not only made.
    pub fn follow(&mut self, plan: &Plan, performed: bool) {
        let lasting = plan.changes.iter().filter(|change| !change.transient);
        self.changed
            .extend(lasting.map(|change| (change.object.clone(), performed)));
        self.learn(&plan.facts, performed);
    }

    /// Takes in what a plan promises; `performed` says that it has been carried out, not only planned.
    pub fn learn(&mut self, facts: &[Fact], performed: bool) {
        for fact in facts.iter().cloned() {
            match fact {
                Fact::Cluster(identifier) => self.system_identifier = Some(identifier),
                Fact::ClusterMade => {
                    self.cluster_made = true;
                    self.catalogs = Catalogs::Stopped;
                }
                Fact::Runs(server) => self.catalogs = Catalogs::Readable(server),
                Fact::Starts(server) => {
                    self.started = true;
                    self.catalogs = if performed {
                        Catalogs::Readable(server)
                    } else if self.cluster_made {
                        Catalogs::New(server)
                    } else {
                        Catalogs::Hidden(server)
                    };
                    self.taken_over();
                    self.restart_needed.clear();
                }
                Fact::Restarts { before, after } => {
                    self.restarted = true;
                    self.catalogs = Catalogs::Readable(if performed { after } else { before });
                    self.taken_over();
                    self.restart_needed.clear();
                    self.pending_restart = Some(Vec::new());
                }
                Fact::Stopped => self.catalogs = Catalogs::Stopped,
                Fact::Absent => {
                    self.catalogs = Catalogs::Absent;
                    self.system_identifier = None;
                }
                Fact::Role(name) => _ = self.roles.insert(name, true),
                Fact::NoRole(name) => _ = self.roles.insert(name, false),
                Fact::Tablespace(name) => _ = self.tablespaces.insert(name, true),
                Fact::NoTablespace(name) => _ = self.tablespaces.insert(name, false),
                Fact::Database(name) => _ = self.databases.insert(name, true),
                Fact::NoDatabase(name) => _ = self.databases.insert(name, false),
                Fact::ReloadNeeded(reach) => {
                    self.reload_needed = self.reload_needed.max(Some(reach));
                }
                Fact::Reloads => {
                    self.reloaded = true;
                    self.taken_over();
                    if performed {
                        self.restart_changed.clear();
                        self.restart_needed.clear();
                    }
                }
                Fact::RestartNeeded { changed, pending } => {
                    self.restart_changed.extend(changed);
                    self.restart_needed.extend(pending);
                }
                Fact::Waiting(pending) => self.waiting = Some(pending),
                Fact::PendingRestart(pending) => self.pending_restart = Some(pending),
                Fact::NoStart(why) => self.no_start.extend(why),
                Fact::Configured(server) => self.configured = Some(server),
                Fact::Moves(from, to) => self.moved = Some((from, to)),
                Fact::Begun(object) => _ = self.begun.insert(object),
                Fact::RunsAgain => self.runs_again = true,
                Fact::RestartBegun => self.restart_begun = true,
                Fact::MoveBegun(from, to) => self.move_begun = Some((from, to)),
                Fact::Replaces(file) => {
                    self.written |= performed;
                    match self
                        .replaced
                        .iter_mut()
                        .find(|known| known.path == file.path)
                    {
                        Some(known) => known.after = file.after,
                        None => self.replaced.push(file),
                    }
                }
                Fact::View(parts) => self.view.extend(parts),
            }
        }
    }

    /// The server has read its files (or would have).
    fn taken_over(&mut self) {
        self.reload_needed = None;
        self.waiting = None;
        self.replaced.clear();
        self.written = false;
    }

    /// What waits for a restart: what the server said when it was asked, and what this run adds to it and takes from it.
    pub fn pending(&self, server: Vec<Pending>) -> Vec<Pending> {
        if self.restarted {
            return Vec::new();
        }
        let mut all: Vec<Pending> = server
            .into_iter()
            .filter(|pending| !self.restart_changed.contains(&pending.name))
            .chain(self.restart_needed.clone())
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// How a stage that reads catalogs can see.
    pub fn catalog_sight(&self) -> Sight {
        match &self.catalogs {
            Catalogs::Readable(_) | Catalogs::Unknown | Catalogs::Stopped => Sight::Look,
            Catalogs::New(_) => Sight::Predict,
            Catalogs::Hidden(_) => {
                Sight::Hidden("the server is stopped; this run starts it".into())
            }
            Catalogs::Absent => Sight::Skip,
        }
    }

    /// The same for one that has nothing to do where no server runs.
    pub fn server_sight(&self) -> Sight {
        match self.catalogs {
            Catalogs::Stopped | Catalogs::Unknown => Sight::Skip,
            _ => self.catalog_sight(),
        }
    }

    /// The server that this run talks to, now or once it has started it.
    pub fn server(&self) -> Option<&Server> {
        match &self.catalogs {
            Catalogs::Readable(server) | Catalogs::New(server) | Catalogs::Hidden(server) => {
                Some(server)
            }
            Catalogs::Unknown | Catalogs::Stopped | Catalogs::Absent => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reload_makes_out_of_date() {
        let mut world = World::default();
        let waits = Pending {
            name: "max_connections".into(),
            running: None,
            configured: None,
        };
        let facts = [
            Fact::Waiting(vec![waits.clone()]),
            Fact::ReloadNeeded(Reach::Sessions),
            Fact::ReloadNeeded(Reach::Values),
        ];
        world.learn(&facts, true);
        assert_eq!(world.waiting, Some(vec![waits]));
        assert_eq!(world.reload_needed, Some(Reach::Sessions));
        world.learn(&[Fact::Reloads], true);
        assert_eq!((world.waiting, world.reload_needed), (None, None));
    }

    #[test]
    fn nothing_waits_behind_a_restart() {
        let waits = Pending {
            name: "port".into(),
            running: None,
            configured: None,
        };
        let server = Server {
            socket_directory: "/run".into(),
            port: 5432,
            user: "postgres".into(),
            passfile: None,
            password_command: Vec::new(),
        };
        for performed in [false, true] {
            let mut world = World::default();
            let (before, after) = (server.clone(), server.clone());
            let facts = [
                Fact::PendingRestart(vec![waits.clone()]),
                Fact::Restarts { before, after },
            ];
            world.learn(&facts, performed);
            assert_eq!(world.pending_restart, Some(Vec::new()), "{performed}");
        }
    }
}
