//! Held instances: what must not be started, since when, by whom and why.
//!
//! A hold is a file in the state of the instance. Whoever would start the server looks for it: our own runs, and
//! systemd by a line of the unit (docs/decisions/0015-services.md). It says nothing about a server that runs.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::host::Look;
use crate::manifest::InstanceRef;
use crate::plan::{Action, Change, Content, Diff, Fact, Impact, Plan, Step, attributes};
use crate::resource::instance::desired::State;
use crate::resource::instance::heeding::Heeding;
use crate::resource::instance::registration::Registration;
use crate::resource::instance::report::Report;
use crate::resource::instance::service::{Service, Settle};
use crate::resource::instance::target::Target;
use crate::resource::{Job, Located, Site, locate, subject};
use crate::settings::InstancePaths;
use crate::stage::{Stage, World};
use crate::{bail_fault, fault};

/// A hold on an instance: while it lasts nothing starts the server, neither a run nor a reboot.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldSpec {
    /// The instance, as `name` or `version/name`; may be left out when there is only one.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// Whether the instance is to be held, or may be started again.
    #[serde(default)]
    pub state: HoldState,
    /// Why: whoever tries to start the instance is told so. Required to hold an instance.
    #[serde(default)]
    pub reason: Option<String>,
    /// Stop a running server as well. Without it the server runs on, and cannot come back once it has ended.
    #[serde(default)]
    pub stop: bool,
    /// How long to wait for the server to stop, in seconds. Default: 60.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub timeout: Option<u32>,
    /// Refuse the whole plan when a change has a greater impact than this.
    #[serde(default)]
    pub max_impact: Option<Impact>,
}

/// Whether an instance is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum HoldState {
    #[default]
    Held,
    Released,
}

/// What the file of a hold says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub reason: String,
    /// Who called the program.
    pub by: String,
    /// When, in UTC.
    pub since: String,
}

impl Hold {
    /// The hold of an instance. The file counts, whatever is in it: one made by hand holds too.
    pub fn read(look: &dyn Look, paths: &InstancePaths) -> Result<Option<Self>> {
        let Some(content) = look.read(&paths.hold())? else {
            return Ok(None);
        };
        Ok(Some(serde_json::from_slice(&content).unwrap_or_else(
            |_| {
                let text = String::from_utf8_lossy(&content).trim().replace('\n', " ");
                Self {
                    reason: if text.is_empty() {
                        "no reason given".to_owned()
                    } else {
                        text
                    },
                    by: "somebody".to_owned(),
                    since: "an unknown time".to_owned(),
                }
            },
        )))
    }

    /// Why something is not done with the instance.
    pub fn refusal(&self, paths: &InstancePaths, done: &str) -> anyhow::Error {
        let Self { reason, by, since } = self;
        fault!(
            Conflict,
            "instance `{paths}` is held and cannot be {done}: {reason} (held by `{by}` since {since})";
            "`pgsocle instance release {paths}` ends that, when the reason is gone; nothing was changed"
        )
    }

    /// What is said of it beside other things.
    pub fn told(&self, paths: &InstancePaths) -> String {
        let Self { reason, by, since } = self;
        format!("instance `{paths}` is held: {reason} (by `{by}` since {since})")
    }

    fn render(&self) -> Vec<u8> {
        format!("{}\n", json!(self)).into_bytes()
    }
}

/// What users see of it; null where there is none.
pub fn view(hold: Option<&Hold>) -> Value {
    json!(hold)
}

/// Takes what a run promises into a view; a hold that is in force by now says more than was promised.
pub fn promised(view: &mut Map<String, Value>, promises: &Map<String, Value>) {
    let same = |key: &str, value: &Value| {
        key == "hold"
            && view
                .get(key)
                .is_some_and(|hold| hold["reason"] == value["reason"])
    };
    let news: Vec<(String, Value)> = promises
        .iter()
        .filter(|(key, value)| !same(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    view.extend(news);
}

/// The run that holds or releases an instance.
pub fn job(spec: &HoldSpec, site: &Site, look: &dyn Look) -> Result<Job> {
    let Located {
        mut target,
        warnings,
        ..
    } = locate(spec.instance.as_ref(), site, look)?;
    target.manner = target.manner.within(spec.timeout);
    let paths = &target.paths;
    let reason = spec.reason.as_deref().map(str::trim).unwrap_or_default();
    let wanted = match spec.state {
        HoldState::Held if reason.is_empty() => bail_fault!(
            Input,
            "instance `{paths}`: a hold needs a `reason`";
            "say why the instance must not be started: whoever tries is told so"
        ),
        HoldState::Held => Some(Hold {
            reason: reason.to_owned(),
            by: site.by.clone(),
            since: site.now.clone(),
        }),
        HoldState::Released if spec.stop || spec.reason.is_some() => bail_fault!(
            Input,
            "instance `{paths}`: `stop` and `reason` belong to a hold, not to its end"
        ),
        HoldState::Released => None,
    };
    let mut job = Job::new(subject("instance", paths, site));
    job.max_impact = spec.max_impact;
    job.warnings = warnings;
    // The line of the unit that heeds the hold: units that an older version wrote have none.
    if let Some(file) = target.manager.instance_file()
        && look.stat(&file)?.is_some()
    {
        job.stages.push(Box::new(Registration {
            target: target.clone(),
            settings: site.settings.clone(),
            wanted: true,
        }));
    }
    job.stages.push(Box::new(Heeding {
        target: target.clone(),
        held: wanted.is_some(),
    }));
    job.stages.push(Box::new(Holding {
        target: target.clone(),
        wanted,
        stops: spec.stop,
    }));
    if spec.stop {
        job.stages.push(Box::new(Service {
            target: target.clone(),
            state: State::Stopped,
            restarts: false,
            checksums: None,
            catalogs: false,
            own_roles_only: false,
            start_temporarily: false,
        }));
        job.stages.push(Box::new(Settle {
            checksums: None,
            target: target.clone(),
            state: State::Stopped,
        }));
    }
    job.stages.push(Box::new(Report { target }));
    Ok(job)
}

/// Makes, changes or takes away the hold.
struct Holding {
    target: Target,
    /// None: released.
    wanted: Option<Hold>,
    stops: bool,
}

struct Seen {
    hold: Option<Hold>,
    runs: bool,
}

impl Stage for Holding {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("hold of instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        Ok(Seen {
            hold: Hold::read(look, &self.target.paths)?,
            runs: self.target.running(look)?.is_some(),
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let paths = &self.target.paths;
        let mut plan = Plan::default();
        let (action, summary, steps) = match (&seen.hold, &self.wanted) {
            (None, None) => return Ok(plan),
            (Some(have), Some(want)) if have.reason == want.reason => return Ok(plan),
            (Some(have), None) => (
                Action::Drop,
                format!(
                    "release instance `{paths}`, held by `{}` since {}: {}",
                    have.by, have.since, have.reason
                ),
                vec![Step::Remove { path: paths.hold() }],
            ),
            (have, Some(want)) => {
                if seen.runs && !self.stops {
                    plan.warnings.push(format!(
                        "instance `{paths}` runs on: held, it will not be started again once it has ended; \
                         `stop` (`--stop`) stops it with the hold"
                    ));
                }
                (
                    if have.is_some() {
                        Action::Alter
                    } else {
                        Action::Create
                    },
                    format!("hold instance `{paths}`: {}", want.reason),
                    vec![
                        Step::make_dir(&paths.state_directory, 0o750),
                        Step::write(&paths.hold(), Content::Bytes(want.render()), 0o644),
                    ],
                )
            }
        };
        let object = format!("hold of instance {paths}");
        let diff = Diff::new(
            &object,
            shown(seen.hold.as_ref()),
            shown(self.wanted.as_ref()),
        );
        plan.changes.push(Change::new(
            action,
            object,
            summary,
            diff,
            Impact::None,
            steps,
        ));
        // Without the time, which check mode cannot foresee.
        let promise = self
            .wanted
            .as_ref()
            .map(|hold| json!({ "reason": hold.reason, "by": hold.by }));
        plan.facts.push(Fact::View(Map::from_iter([(
            "hold".to_owned(),
            json!(promise),
        )])));
        Ok(plan)
    }
}

/// One side of a diff.
fn shown(hold: Option<&Hold>) -> String {
    attributes(&[
        ("reason", hold.map(|hold| hold.reason.clone())),
        ("by", hold.map(|hold| hold.by.clone())),
    ])
}

/// Refuses to go on with a held instance: nothing is taken away under somebody's hand.
pub struct NotHeld {
    pub target: Target,
    /// "dropped"
    pub done: &'static str,
}

impl Stage for NotHeld {
    type Seen = Option<Hold>;

    fn name(&self) -> String {
        format!("hold of instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Option<Hold>> {
        // A hold outlives its instance only where that was taken away by hand.
        if look.stat(&self.target.paths.datadir)?.is_none() {
            return Ok(None);
        }
        Hold::read(look, &self.target.paths)
    }

    fn plan(&self, seen: &Option<Hold>) -> Result<Plan> {
        match seen {
            Some(hold) => Err(hold.refusal(&self.target.paths, self.done)),
            None => Ok(Plan::default()),
        }
    }
}
