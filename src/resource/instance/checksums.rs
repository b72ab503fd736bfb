//! Page checksums, switched by `pg_checksums` while the server is down.
//!
//! Enabling writes the checksum of every page, and says so in `pg_control` at the very end; disabling changes
//! `pg_control` only (documentation, `pg_checksums`). Cut short, either leaves the cluster as it was for the server, and
//! the next run begins anew.

use anyhow::Result;
use serde_json::{Map, Value};

use crate::fault;
use crate::host::{Command, Look, Probe, Query};
use crate::pg::controldata::{ClusterState, ControlData};
use crate::pg::slot;
use crate::plan::{Action, Change, Diff, Fact, Impact, Plan, Step};
use crate::resource::catalog;
use crate::resource::instance::target::Target;

/// Checksums that are to be other than they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    pub on: bool,
    /// Of the cluster, as `pg_control` has it.
    state: ClusterState,
    /// Other clusters have the same blocks.
    peers: Option<Peers>,
}

/// How a cluster is one of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peers {
    /// It is a standby itself.
    Primary,
    /// Standbys receive WAL from it, or have a slot for that.
    Standbys,
}

impl Switch {
    /// None: as wanted, or nothing is wanted.
    pub fn observe(look: &dyn Look, target: &Target, wanted: Option<bool>) -> Result<Option<Self>> {
        let Some(on) = wanted else { return Ok(None) };
        let Some(control) = control_data(look, target)? else {
            return Ok(None);
        };
        if control.checksums == on {
            return Ok(None);
        }
        Ok(Some(Self {
            on,
            state: control.state,
            peers: Peers::observe(look, target)?,
        }))
    }

    fn verb(self) -> &'static str {
        if self.on { "enable" } else { "disable" }
    }

    /// Every page is written, or nobody notices.
    pub fn impact(self) -> Impact {
        if self.on {
            Impact::Rewrite
        } else {
            Impact::None
        }
    }

    /// "with page checksums enabled meanwhile"
    pub fn meanwhile(self) -> String {
        format!("with page checksums {}d meanwhile", self.verb())
    }

    /// Before and after, as lines of a diff.
    pub fn lines(self) -> [String; 2] {
        [!self.on, self.on].map(|on| format!("data_checksums: {on}\n"))
    }

    /// For the public view of the instance.
    fn fact(self) -> Fact {
        Fact::View(Map::from_iter([(
            "data_checksums".to_owned(),
            Value::from(self.on),
        )]))
    }

    pub fn step(self, target: &Target) -> Step {
        Step::Run(Command::new(target.bindir.join("pg_checksums")).args([
            format!("--{}", self.verb()),
            "-D".to_owned(),
            target.paths.datadir.to_string(),
        ]))
    }

    /// Switched in a plan, while the server is down.
    pub fn put(self, target: &Target, plan: &mut Plan) {
        plan.changes.push(self.change(target));
        self.tell(target, plan);
    }

    /// What else a plan says that switches them. "It is recommended to stop all the clusters before switching them all
    /// consistently" (documentation, `pg_checksums`, Notes).
    pub fn tell(self, target: &Target, plan: &mut Plan) {
        plan.facts.push(self.fact());
        let paths = &target.paths;
        let (is, others) = match self.peers {
            None => return,
            Some(Peers::Primary) => ("is a standby", "its primary and the other standbys"),
            Some(Peers::Standbys) => ("has standbys", "them"),
        };
        plan.warnings.push(format!(
            "instance `{paths}` {is}: {verb} page checksums of {others} too, with all of these servers stopped meanwhile, or make the \
             standbys anew; pg_rewind and other tools that copy blocks corrupt checksums otherwise",
            verb = self.verb()
        ));
    }

    /// For a server that is stopped.
    fn change(self, target: &Target) -> Change {
        let object = format!("instance {}", target.paths);
        let [before, after] = self.lines();
        Change::new(
            Action::Alter,
            &object,
            format!(
                "{} page checksums of instance `{}`",
                self.verb(),
                target.paths
            ),
            Diff::new(&object, before, after),
            self.impact(),
            vec![self.step(target)],
        )
    }

    /// What was stopped in disorder is not touched: `pg_checksums` refuses it, and a recovery must come first.
    pub fn check_shut_down(self, target: &Target) -> Result<()> {
        if self.state.is_shut_down() {
            return Ok(());
        }
        let (paths, state) = (&target.paths, self.state.name());
        Err(fault!(
            Conflict,
            "page checksums of instance `{paths}` cannot be switched: it was not shut down cleanly (`pg_control` says: {state})";
            "start it once, so that it recovers (`pgsocle instance start {paths}`), and run this again; nothing was changed"
        ))
    }

    /// The server runs, and nobody allowed to stop it.
    pub fn runs(self, target: &Target) -> anyhow::Error {
        let paths = &target.paths;
        fault!(
            Conflict,
            "instance `{paths}` runs: its page checksums can be {}d only while it is down", self.verb();
            "allow a stop and a start by `restart_policy: when_required` (`--restart-policy when_required`), or set `state: stopped`; nothing was changed"
        )
    }
}

impl Peers {
    fn observe(look: &dyn Look, target: &Target) -> Result<Option<Self>> {
        let datadir = &target.paths.datadir;
        if look.stat(&datadir.join("standby.signal"))?.is_some() {
            return Ok(Some(Self::Primary));
        }
        let slots = datadir.join("pg_replslot");
        for name in look.list(&slots)?.unwrap_or_default() {
            let state = look.read(&slots.join(name).join("state"))?;
            if state.and_then(|state| slot::is_physical(&state)) == Some(true) {
                return Ok(Some(Self::Standbys));
            }
        }
        let Some(running) = target.running(look)?.filter(|running| running.ready) else {
            return Ok(None);
        };
        let query = Query {
            server: running.server,
            database: catalog::MAINTENANCE.into(),
            sql: include_str!("../../sql/standbys.sql"),
            parameter: Value::Null,
        };
        let standbys: Vec<Value> = look.rows(query)?;
        Ok((!standbys.is_empty()).then_some(Self::Standbys))
    }
}

/// What `pg_controldata` says; none where the programs are not installed (yet), or it cannot say.
pub fn control_data(look: &dyn Look, target: &Target) -> Result<Option<ControlData>> {
    if look.stat(&target.bindir.join("pg_controldata"))?.is_none() {
        return Ok(None);
    }
    let output = look.probe(&Probe::controldata(&target.bindir, &target.paths.datadir))?;
    if !output.success() {
        return Ok(None);
    }
    ControlData::parse(&output.stdout).map(Some)
}
