//! The run state: started, restarted or told to reload, by what is wanted and what the files need.

use anyhow::Result;
use serde_json::{Map, Value};

use crate::bail_fault;
use crate::host::{Look, Query, Server};
use crate::manager::{Manager, Start, StopMode};
use crate::plan::{Action, Change, Content, Diff, Fact, Impact, Pending, Plan, Scope, Step};
use crate::resource::catalog;
use crate::resource::instance::desired::State;
use crate::resource::instance::target::{Running, Target};
use crate::stage::{Catalogs, Stage, World};

/// Brings a server into the state that the later stages need.
pub struct Service {
    pub target: Target,
    pub state: State,
    /// Restart when, and only when, a setting needs it.
    pub restarts: bool,
    /// Later stages read and change catalogs.
    pub catalogs: bool,
    /// … but only for what comes with the instance by itself: no reason to start a stopped server.
    pub own_roles_only: bool,
    /// A stopped server may be started for them.
    pub start_temporarily: bool,
}

pub struct Seen {
    new: bool,
    /// An earlier run that was to make the instance did not come to its end.
    unfinished: bool,
    running: Option<Running>,
    configured: Server,
    pending: Vec<Pending>,
    reload_needed: bool,
    previous: Vec<Step>,
    /// postgresql-common is told not to start it.
    disabled: bool,
}

impl Stage for Service {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("service of instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let running = if world.cluster_made {
            None
        } else {
            self.target.running(look)?
        };
        let configured = match &world.configured {
            Some(server) => server.clone(),
            None => self.target.configured_on_disk(look)?,
        };
        let pending = match &running {
            Some(running) => world.pending(pending(look, &running.server)?),
            None => Vec::new(),
        };
        Ok(Seen {
            new: world.cluster_made,
            unfinished: !world.cluster_made && self.target.unfinished(look)?,
            running,
            configured,
            pending,
            reload_needed: world.reload_needed,
            disabled: self.target.start_conf(look)?.as_deref() == Some("disabled"),
            previous: world
                .replaced
                .iter()
                .map(|file| Step::write(&file.path, Content::Bytes(file.before.clone()), 0o600))
                .collect(),
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let mut plan = Plan::default();
        match &seen.running {
            None => self.not_running(seen, &mut plan)?,
            Some(running) if running.temporary => {
                plan.changes.push(self.change(
                    Action::Stop,
                    "stop what an interrupted run had started of",
                    ("started (temporarily)", "stopped"),
                    Impact::None,
                    self.stop_steps(StopMode::Fast),
                ));
                self.not_running(seen, &mut plan)?;
            }
            Some(running) => self.is_running(seen, running, &mut plan),
        }
        Ok(plan)
    }
}

/// Settings that wait for a restart, from the server.
pub fn pending(look: &dyn Look, server: &Server) -> Result<Vec<Pending>> {
    values(look, server, &[])
}

/// The same, and these whether they wait or not.
pub fn values(look: &dyn Look, server: &Server, also: &[String]) -> Result<Vec<Pending>> {
    let query = Query {
        server: server.clone(),
        database: catalog::MAINTENANCE.into(),
        sql: include_str!("../../sql/pending_restart.sql"),
        parameter: also.into(),
    };
    catalog::rows(look.query(&[query])?.into_iter().next().unwrap_or_default())
}

/// When the server last read its configuration, in microseconds since 1970.
pub fn loaded(look: &dyn Look, server: &Server) -> Result<i64> {
    #[derive(serde::Deserialize)]
    struct Row {
        loaded: i64,
    }
    let query = Query {
        server: server.clone(),
        database: catalog::MAINTENANCE.into(),
        sql: include_str!("../../sql/loaded.sql"),
        parameter: Value::Null,
    };
    let rows: Vec<Row> =
        catalog::rows(look.query(&[query])?.into_iter().next().unwrap_or_default())?;
    Ok(rows.first().map_or(i64::MAX, |row| row.loaded))
}

impl Service {
    fn start<'a>(&'a self, server: &'a Server) -> Start<'a> {
        Start {
            bindir: &self.target.bindir,
            paths: &self.target.paths,
            server,
        }
    }

    fn change(
        &self,
        action: Action,
        verb: &str,
        diff: (&str, &str),
        impact: Impact,
        steps: Vec<Step>,
    ) -> Change {
        let object = format!("instance {}", self.target.paths);
        let line = |state: &str| format!("state: {state}\n");
        let summary = format!("{verb} instance `{}`", self.target.paths);
        Change::new(
            action,
            &object,
            summary,
            Diff::new(&object, line(diff.0), line(diff.1)),
            impact,
            steps,
        )
    }

    fn stop_steps(&self, mode: StopMode) -> Vec<Step> {
        Manager::pg_ctl_stop(&self.target.bindir, &self.target.paths, mode)
    }

    fn not_running(&self, seen: &Seen, plan: &mut Plan) -> Result<()> {
        let paths = &self.target.paths;
        let scope = if seen.new {
            Scope::Creation
        } else {
            Scope::Configuration
        };
        let starts = matches!(
            self.state,
            State::Started | State::Restarted | State::Reloaded
        ) || (self.catalogs && self.start_temporarily);
        if starts && seen.disabled {
            let file = paths.config_file.with_file_name("start.conf");
            bail_fault!(
                Conflict,
                "instance `{paths}` is not to be started: `{file}` says `disabled`";
                "write `manual` or `auto` there first; nothing was changed"
            );
        }
        if matches!(
            self.state,
            State::Started | State::Restarted | State::Reloaded
        ) {
            let steps = self.target.manager.start(&self.start(&seen.configured));
            let change = self
                .change(
                    Action::Start,
                    "start",
                    ("stopped", "started"),
                    Impact::None,
                    steps,
                )
                .undo(scope, self.stop_steps(StopMode::Immediate));
            plan.missing.extend(self.target.manager.missing());
            // What the files say by now has been taken over; only a creation can still be undone.
            plan.changes.push(if seen.new {
                change
            } else {
                change.settles(Scope::Configuration)
            });
            plan.facts.push(Fact::Starts(seen.configured.clone()));
            plan.facts.push(state("started"));
        } else if !self.catalogs || (self.own_roles_only && !seen.new && !seen.unfinished) {
            plan.facts.push(Fact::Stopped);
        } else if seen.new || seen.unfinished || self.start_temporarily {
            let steps = Manager::start_temporarily(&self.start(&seen.configured));
            let verb = "start, for the time of this run and without TCP listener,";
            plan.changes.push(
                self.change(
                    Action::Start,
                    verb,
                    ("stopped", "started (temporarily)"),
                    Impact::None,
                    steps,
                )
                .undo(
                    if seen.new {
                        Scope::Creation
                    } else {
                        Scope::TemporaryStart
                    },
                    self.stop_steps(StopMode::Fast),
                )
                .transient(),
            );
            plan.facts.push(Fact::Starts(seen.configured.clone()));
        } else {
            bail_fault!(
                Unavailable,
                "instance `{paths}` is stopped: its roles and databases can be neither seen nor changed";
                "set `state: started`, or `start_temporarily: true` to start it for the time of this run; nothing was changed"
            );
        }
        Ok(())
    }

    fn is_running(&self, seen: &Seen, running: &Running, plan: &mut Plan) {
        plan.facts.push(Fact::Runs(running.server.clone()));
        plan.facts.push(Fact::PendingRestart(seen.pending.clone()));
        let pending = !seen.pending.is_empty();
        if self.state == State::Restarted
            || (self.restarts && pending && self.state != State::Stopped)
        {
            plan.missing.extend(self.target.manager.missing());
            let start = self.start(&seen.configured);
            let mut steps = self
                .target
                .manager
                .stop(start.bindir, start.paths, StopMode::Fast);
            steps.extend(self.target.manager.start(&start));
            let mut back = self.stop_steps(StopMode::Immediate);
            back.extend(seen.previous.iter().cloned());
            back.extend(self.target.manager.start(&self.start(&running.server)));
            plan.changes.push(
                self.change(
                    Action::Restart,
                    "restart",
                    ("started", "started (restarted)"),
                    Impact::Restart,
                    steps,
                )
                .undo(Scope::Configuration, back)
                .settles(Scope::Configuration),
            );
            let (before, after) = (running.server.clone(), seen.configured.clone());
            if before.port != after.port {
                plan.facts.push(Fact::Moves(before.port, after.port));
            }
            plan.facts.push(Fact::Restarts { before, after });
        } else if self.state == State::Reloaded || seen.reload_needed {
            let steps = vec![Step::Reload {
                server: running.server.clone(),
            }];
            plan.changes.push(
                self.change(
                    Action::Reload,
                    "reload",
                    ("started", "started (reloaded)"),
                    Impact::Reload,
                    steps,
                )
                .settles(Scope::Configuration),
            );
        }
    }
}

/// In check mode: stands for an instance that an earlier task would have made and started.
pub struct Assumed {
    pub target: Target,
}

impl Stage for Assumed {
    type Seen = ();

    fn name(&self) -> String {
        format!("instance {}", self.target.paths)
    }

    fn observe(&self, _: &dyn Look, _: &World) -> Result<()> {
        Ok(())
    }

    fn plan(&self, (): &()) -> Result<Plan> {
        let server = self.target.server(
            &self.target.paths.socket_directory,
            crate::resource::instance::target::DEFAULT_PORT,
        );
        Ok(Plan {
            facts: vec![Fact::ClusterMade, Fact::Starts(server)],
            ..Plan::default()
        })
    }
}

fn state(state: &str) -> Fact {
    Fact::View(Map::from_iter([("state".to_owned(), Value::from(state))]))
}

/// The end of a run: stops what is to be stopped, or was started for this run only.
pub struct Settle {
    pub target: Target,
    pub state: State,
}

/// Whether the server runs at the end, and whether somebody else had started it.
pub struct AtEnd {
    running: bool,
    temporarily: bool,
}

impl Stage for Settle {
    type Seen = AtEnd;

    fn name(&self) -> String {
        format!("end of the run on instance {}", self.target.paths)
    }

    fn observe(&self, _: &dyn Look, world: &World) -> Result<AtEnd> {
        Ok(AtEnd {
            running: matches!(
                world.catalogs,
                Catalogs::Readable(_) | Catalogs::New(_) | Catalogs::Hidden(_)
            ),
            temporarily: world.started,
        })
    }

    fn plan(&self, seen: &AtEnd) -> Result<Plan> {
        let stays = match self.state {
            State::Started | State::Restarted | State::Reloaded => true,
            State::Present => !seen.temporarily,
            State::Stopped | State::Absent | State::Forgotten => false,
        };
        let mut plan = Plan::default();
        if !seen.running || stays {
            return Ok(plan);
        }
        let (target, paths) = (&self.target, &self.target.paths);
        let object = format!("instance {paths}");
        let change = if seen.temporarily {
            let steps = Manager::pg_ctl_stop(&target.bindir, paths, StopMode::Fast);
            let diff = Diff::new(
                &object,
                "state: started (temporarily)\n",
                "state: stopped\n",
            );
            Change::new(
                Action::Stop,
                &object,
                format!("stop instance `{paths}` again"),
                diff,
                Impact::None,
                steps,
            )
            .settles(Scope::TemporaryStart)
            .transient()
        } else {
            plan.missing.extend(target.manager.missing());
            let steps = target.manager.stop(&target.bindir, paths, StopMode::Fast);
            let diff = Diff::new(&object, "state: started\n", "state: stopped\n");
            Change::new(
                Action::Stop,
                &object,
                format!("stop instance `{paths}`"),
                diff,
                Impact::Restart,
                steps,
            )
        };
        plan.changes.push(change);
        plan.facts.push(Fact::Stopped);
        plan.facts.push(state("stopped"));
        Ok(plan)
    }
}
