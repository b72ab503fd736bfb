//! The run state: started, restarted or told to reload, by what is wanted and what the files need.

use anyhow::Result;
use serde_json::{Map, Value};

use crate::bail_fault;
use crate::host::{Look, Query, Server};
use crate::manager::{Manager, Start, StopMode};
use crate::plan::{Action, Change, Content, Diff, Fact, Impact, Pending, Plan, Reach, Scope, Step};
use crate::resource::catalog;
use crate::resource::instance::busy::{self, Work};
use crate::resource::instance::checksums::Switch;
use crate::resource::instance::desired::State;
use crate::resource::instance::hold::Hold;
use crate::resource::instance::pending::pending;
use crate::resource::instance::target::{Mistaken, Running, Target};
use crate::resource::site::systemd::UnitState;
use crate::stage::{Catalogs, Stage, World};

/// Brings a server into the state that the later stages need.
pub struct Service {
    pub target: Target,
    pub state: State,
    /// Restart when, and only when, a setting needs it.
    pub restarts: bool,
    /// Page checksums that are wanted.
    pub checksums: Option<bool>,
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
    /// An earlier run had stopped the server in order to start it again, and did not come to that.
    restart_begun: bool,
    running: Option<Running>,
    hold: Option<Hold>,
    unit: UnitState,
    mistaken: Option<Mistaken>,
    configured: Server,
    pending: Vec<Pending>,
    /// Page checksums are to be switched.
    switch: Option<Switch>,
    /// What keeps the server from being stopped or started now.
    works: Vec<Work>,
    reload_needed: Option<Reach>,
    /// Why it would not start again.
    no_start: Vec<String>,
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
            // One that is to stop is not asked what waits: it need not answer.
            Some(running) if running.ready && self.state != State::Stopped => {
                world.pending(match &world.waiting {
                    Some(waiting) => waiting.clone(),
                    None => pending(look, &running.server)?,
                })
            }
            _ => Vec::new(),
        };
        let mut seen = Seen {
            new: world.cluster_made,
            unfinished: !world.cluster_made && self.target.unfinished(look)?,
            mistaken: if running.is_some() || world.cluster_made {
                None
            } else {
                self.target.mistaken(look)?
            },
            restart_begun: world.restart_begun,
            running,
            hold: Hold::read(look, &self.target.paths)?,
            unit: UnitState::default(),
            configured,
            pending,
            switch: if world.cluster_made {
                None
            } else {
                Switch::observe(look, &self.target, self.checksums)?
            },
            works: Vec::new(),
            reload_needed: world.reload_needed,
            no_start: world.no_start.clone(),
            disabled: self.target.start_conf(look)?.as_deref() == Some("disabled"),
            previous: world
                .replaced
                .iter()
                .map(|file| Step::write(&file.path, Content::Bytes(file.before.clone()), 0o600))
                .collect(),
        };
        if seen.restart_begun || self.acts(&seen) {
            seen.unit = UnitState::observe(look, &self.target.manager, world.cluster_made)?;
        }
        if self.disturbs(&seen) {
            let server = seen.running.as_ref().map(|running| &running.server);
            seen.works = Work::observe(look, &self.target, server)?;
        }
        Ok(seen)
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let mut plan = Plan::default();
        match &seen.running {
            None => {
                busy::check(&self.target, "started or changed", &seen.works)?;
                if let Some(switch) = seen.switch {
                    switch.check_shut_down(&self.target)?;
                    switch.put(&self.target, &mut plan);
                }
                self.not_running(seen, &mut plan)?;
            }
            Some(running) if running.temporary => {
                plan.changes.push(self.change(
                    Action::Stop,
                    "stop what an interrupted run had started of",
                    ("started (temporarily)", "stopped"),
                    Impact::None,
                    self.stop_steps(StopMode::Fast),
                ));
                if let Some(switch) = seen.switch {
                    switch.put(&self.target, &mut plan);
                }
                self.not_running(seen, &mut plan)?;
            }
            Some(running) => self.is_running(seen, running, &mut plan)?,
        }
        Ok(plan)
    }
}

/// When a server last read its configuration.
#[derive(serde::Deserialize)]
pub struct Loaded {
    /// Microseconds since 1970.
    loaded: i64,
}

impl Loaded {
    pub fn query(server: &Server) -> Query {
        Query {
            server: server.clone(),
            database: catalog::MAINTENANCE.into(),
            sql: include_str!("../../sql/loaded.sql"),
            parameter: Value::Null,
        }
    }

    pub fn time(answer: &[Self]) -> i64 {
        answer.first().map_or(i64::MAX, |row| row.loaded)
    }
}

/// When the server last read its configuration, in microseconds since 1970.
pub fn loaded(look: &dyn Look, server: &Server) -> Result<i64> {
    Ok(Loaded::time(&look.rows(Loaded::query(server))?))
}

impl Seen {
    /// Something waits for a restart.
    fn waits(&self) -> bool {
        !self.pending.is_empty() || self.switch.is_some()
    }
}

impl Service {
    /// Leaves a server as it is, running or not; reloads one that runs where earlier stages ask for it.
    pub fn leaving(target: Target) -> Self {
        Self {
            target,
            state: State::Present,
            restarts: false,
            checksums: None,
            catalogs: false,
            own_roles_only: false,
            start_temporarily: false,
        }
    }

    fn start<'a>(&'a self, server: &'a Server) -> Start<'a> {
        Start {
            bindir: &self.target.bindir,
            paths: &self.target.paths,
            server,
            timeout: self.target.manner.timeout,
        }
    }

    /// Whether a server that is stopped is started, and stays so.
    fn starts(&self) -> bool {
        matches!(
            self.state,
            State::Started | State::Restarted | State::Reloaded
        )
    }

    /// Whether a running server is restarted; `waits`: something waits for that.
    fn renews(&self, waits: bool) -> bool {
        self.state == State::Restarted || (self.restarts && waits && self.state != State::Stopped)
    }

    /// Whether the manager will be told to start a server.
    fn acts(&self, seen: &Seen) -> bool {
        match &seen.running {
            Some(running) if !running.temporary => self.renews(seen.waits()),
            _ => self.starts() || self.state == State::Present && seen.restart_begun,
        }
    }

    /// Whether a server, or a data directory that others may be working on, is touched.
    fn disturbs(&self, seen: &Seen) -> bool {
        let stopped = seen.running.is_none() && !seen.new;
        let started = seen.running.is_none() || self.target.manner.spares();
        self.acts(seen) && !seen.new && started
            || stopped && (self.catalogs || seen.switch.is_some())
    }

    /// Refuses what starts a server that somebody holds.
    fn not_held(&self, seen: &Seen, done: &str) -> Result<()> {
        match &seen.hold {
            Some(hold) => Err(hold.refusal(&self.target.paths, done)),
            None => Ok(()),
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
        let manner = self.target.manner.ending(mode);
        Manager::pg_ctl_stop(&self.target.bindir, &self.target.paths, manner)
    }

    /// What takes a start back: a unit that systemd would start again and again is stopped too.
    fn give_up(&self) -> Vec<Step> {
        let (target, manner) = (&self.target, self.target.manner.ending(StopMode::Immediate));
        target.manager.stop(&target.bindir, &target.paths, manner)
    }

    /// Takes a stale `postmaster.pid` away whose number another program has by now. While there is work in the data directory
    /// the file stays: it is what keeps a second server out.
    fn clear_the_way(&self, seen: &Seen, plan: &mut Plan) -> Result<Vec<Step>> {
        let Some(Mistaken { pid, workers }) = &seen.mistaken else {
            return Ok(Vec::new());
        };
        let paths = &self.target.paths;
        if !workers.is_empty() {
            let workers: Vec<String> = workers.iter().map(ToString::to_string).collect();
            bail_fault!(
                Conflict,
                "the server of instance `{paths}` is gone, but processes of it still work in `{}`: {}", paths.datadir, workers.join(", ");
                "see what they do, end them with `kill`, and try again; nothing was changed"
            );
        }
        let path = paths.datadir.join("postmaster.pid");
        plan.warnings.push(format!(
            "`{path}` is stale: process {pid} is another program by now; the file is removed"
        ));
        Ok(vec![Step::Remove { path }])
    }

    fn not_running(&self, seen: &Seen, plan: &mut Plan) -> Result<()> {
        let paths = &self.target.paths;
        let scope = if seen.new {
            Scope::Creation
        } else {
            Scope::Configuration
        };
        // What is stopped on purpose stays so: with this in the journal no later run starts it.
        if self.state == State::Stopped && seen.restart_begun {
            plan.changes.push(self.change(
                Action::Stop,
                "leave stopped, which an interrupted run was to start again,",
                ("stopped, to be started again", "stopped"),
                Impact::None,
                Vec::new(),
            ));
        }
        // What ran runs again.
        let again = self.state == State::Present && seen.restart_begun && seen.hold.is_none();
        let starts = again || self.starts() || (self.catalogs && self.start_temporarily);
        if starts && seen.disabled {
            let file = paths.config_file.with_file_name("start.conf");
            bail_fault!(
                Conflict,
                "instance `{paths}` is not to be started: `{file}` says `disabled`";
                "write `manual` or `auto` there first; nothing was changed"
            );
        }
        if again || self.starts() {
            let verb = if again {
                plan.facts.push(Fact::RunsAgain);
                "start again, which an interrupted run had stopped to restart it,"
            } else {
                "start"
            };
            self.not_held(seen, "started")?;
            let mut steps = self.clear_the_way(seen, plan)?;
            steps.extend(seen.unit.clear(&self.target.manager)?);
            steps.extend(self.target.manager.start(&self.start(&seen.configured)));
            plan.warnings.extend(seen.unit.warnings.iter().cloned());
            if seen.unit.by_hand_only && self.target.boot.is_none() && self.target.adopted.is_none()
            {
                plan.warnings.push(format!(
                    "instance `{paths}` is started now and not at boot, since that is how its unit was left by `state: stopped` or \
                     by hand; a declared `state: started` changes it"
                ));
            }
            let change = self
                .change(
                    Action::Start,
                    verb,
                    ("stopped", "started"),
                    Impact::None,
                    steps,
                )
                .undo(scope, self.give_up());
            plan.missing.extend(self.target.manager.missing());
            // What the files say by now has been taken over; only a creation can still be undone.
            plan.changes.push(if seen.new {
                change
            } else {
                change.settles(Scope::Configuration)
            });
            plan.facts.push(Fact::Starts(seen.configured.clone()));
            plan.facts.push(state("started"));
            plan.facts.push(listens(&seen.configured));
        } else if !self.catalogs || (self.own_roles_only && !seen.new && !seen.unfinished) {
            plan.facts.push(Fact::Stopped);
        } else if seen.new || seen.unfinished || self.start_temporarily {
            self.not_held(seen, "started, not even for the time of a run")?;
            let mut steps = self.clear_the_way(seen, plan)?;
            steps.extend(Manager::start_temporarily(&self.start(&seen.configured)));
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
                "start it (`state: started`, `pgsocle instance start {paths}`), or have it started for the time of this run (`start_temporarily: true`, `--start-temporarily`); nothing was changed"
            );
        }
        Ok(())
    }

    fn is_running(&self, seen: &Seen, running: &Running, plan: &mut Plan) -> Result<()> {
        plan.facts.push(Fact::Runs(running.server.clone()));
        plan.facts.push(Fact::PendingRestart(seen.pending.clone()));
        if self.renews(seen.waits()) {
            self.not_held(seen, "restarted")?;
            busy::check(&self.target, "restarted", &seen.works)?;
            if !seen.no_start.is_empty() {
                bail_fault!(
                    Conflict,
                    "with its files as they are, the server of instance `{}` would not start again, or would let nobody in: {}", self.target.paths, seen.no_start.join("; ");
                    "this was so before this run: correct it first; nothing was restarted"
                );
            }
            plan.missing.extend(self.target.manager.missing());
            let restart = self.restart(seen, running)?;
            plan.warnings.extend(seen.unit.warnings.iter().cloned());
            plan.changes.push(restart);
            if let Some(switch) = seen.switch {
                switch.tell(&self.target, plan);
            }
            let (before, after) = (running.server.clone(), seen.configured.clone());
            if before.port != after.port {
                plan.facts.push(Fact::Moves(before.port, after.port));
            }
            plan.facts.push(listens(&after));
            plan.facts.push(Fact::Restarts { before, after });
            return Ok(());
        }
        if let Some(switch) = seen.switch.filter(|_| self.state != State::Stopped) {
            return Err(switch.runs(&self.target));
        }
        let asked = (self.state == State::Reloaded).then_some(Reach::Sessions);
        if let Some(reach) = asked.max(seen.reload_needed) {
            let steps = vec![Step::Reload {
                server: running.server.clone(),
                reach,
            }];
            let mut back = seen.previous.clone();
            if !back.is_empty() {
                back.extend(steps.clone());
            }
            plan.changes.push(
                self.change(
                    Action::Reload,
                    "reload",
                    ("started", "started (reloaded)"),
                    Impact::Reload,
                    steps,
                )
                // A server that has read the new files may be out of reach through them.
                .undo(Scope::Configuration, back)
                .settles(Scope::Configuration),
            );
            plan.facts.push(Fact::Reloads);
        }
        Ok(())
    }

    /// Page checksums are switched while the server is down anyway.
    fn restart(&self, seen: &Seen, running: &Running) -> Result<Change> {
        let start = self.start(&seen.configured);
        let manager = &self.target.manager;
        let mut steps = seen.unit.clear(manager)?;
        steps.extend(manager.stop(start.bindir, start.paths, self.target.manner));
        steps.extend(seen.switch.map(|switch| switch.step(&self.target)));
        steps.extend(manager.start(&start));
        let mut back = self.give_up();
        back.extend(seen.previous.iter().cloned());
        back.extend(manager.start(&self.start(&running.server)));
        let mut change = self.change(
            Action::Restart,
            "restart",
            ("started", "started (restarted)"),
            Impact::Restart,
            steps,
        );
        if let Some(switch) = seen.switch {
            let [before, after] = switch.lines();
            change.summary = format!("{}, {}", change.summary, switch.meanwhile());
            change.diff.before += &before;
            change.diff.after += &after;
            change.impact = change.impact.max(switch.impact());
        }
        Ok(change
            .undo(Scope::Configuration, back)
            .settles(Scope::Configuration))
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

/// Where clients find its socket, for the public view.
fn listens(server: &Server) -> Fact {
    let directory = server.socket_directory.as_str();
    Fact::View(Map::from_iter([(
        "socket_directory".to_owned(),
        Value::from(directory),
    )]))
}

/// The end of a run: stops what is to be stopped, or was started for this run only.
pub struct Settle {
    pub target: Target,
    pub state: State,
    /// Page checksums that are wanted.
    pub checksums: Option<bool>,
}

/// Whether the server runs at the end, and whether somebody else had started it.
pub struct AtEnd {
    running: bool,
    temporarily: bool,
    /// Page checksums are still to be switched, once the server has been stopped.
    switch: Option<Switch>,
    works: Vec<Work>,
}

impl Stage for Settle {
    type Seen = AtEnd;

    fn name(&self) -> String {
        format!("end of the run on instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<AtEnd> {
        let mut seen = AtEnd {
            running: matches!(
                world.catalogs,
                Catalogs::Readable(_) | Catalogs::New(_) | Catalogs::Hidden(_)
            ),
            temporarily: world.started && !world.runs_again,
            switch: None,
            works: Vec::new(),
        };
        if let (State::Stopped, false, Catalogs::Readable(server)) =
            (self.state, seen.temporarily, &world.catalogs)
        {
            seen.switch = Switch::observe(look, &self.target, self.checksums)?;
            if self.target.manner.spares() {
                seen.works = Work::observe(look, &self.target, Some(server))?;
            }
        }
        Ok(seen)
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
            let manner = target.manner.ending(StopMode::Fast);
            let steps = Manager::pg_ctl_stop(&target.bindir, paths, manner);
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
            busy::check(target, "stopped", &seen.works)?;
            plan.missing.extend(target.manager.missing());
            let steps = target.manager.stop(&target.bindir, paths, target.manner);
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
        if let Some(switch) = seen.switch {
            switch.put(target, &mut plan);
        }
        plan.facts.push(Fact::Stopped);
        plan.facts.push(state("stopped"));
        Ok(plan)
    }
}
