//! The loop that everything goes through: look, plan, and if asked to, lock, journal, perform.
//!
//! A run that may act first goes through all stages as check mode does. What check mode would refuse
//! is therefore refused before anything is touched, `max_impact` is judged on the whole plan, and a run
//! with nothing to do takes no lock and writes nothing. Only then are the stages run again under the
//! lock, each looking at what the ones before it have done (docs/decisions/0006-look-before-lock.md).

use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value, json};

use crate::fault::{Fault, Kind};
use crate::host::lock::Guard;
use crate::host::{Act, Claim, Host, LockMode, Look};
use crate::journal::{self, Entry, Stamp, Unfinished};
use crate::plan::{Action, Change, Impact, Pending, Plan, Scope, Step};
use crate::stage::{AnyStage, World};

/// What a run is about: for the lock, the journal and the messages.
pub struct Subject {
    /// "instance 15/main".
    pub name: String,
    /// The lock file; none for what needs no lock.
    pub lock: Option<Utf8PathBuf>,
    /// Which other runs it keeps out.
    pub mode: LockMode,
    /// A lock file of its own kind: one such run after the other, whatever else it shares.
    pub alone: Option<Utf8PathBuf>,
    /// How long to wait for another run.
    pub lock_timeout: Duration,
    /// Where the journal is kept; none: not journaled.
    pub journal: Option<Utf8PathBuf>,
}

/// How a run goes about it.
#[derive(Default)]
pub struct Options {
    /// Refuse the whole plan when one change has a greater impact.
    pub max_impact: Option<Impact>,
    /// Leave a failed creation as it is, for inspection.
    pub keep_failed: bool,
    pub stamp: Stamp,
}

/// What came of a run: the plans of all stages as one, and the views of the objects.
#[derive(Default)]
pub struct Outcome {
    pub plan: Plan,
    pub views: Map<String, Value>,
    pub pending_restart: Option<Vec<Pending>>,
}

/// A run that failed, and what it had done by then.
#[derive(Debug)]
pub struct Failure {
    pub error: anyhow::Error,
    /// Summaries of the changes that were made and stay.
    pub applied: Vec<String>,
    /// Summaries of the changes that were made and have been taken back.
    pub reverted: Vec<String>,
}

/// What is still done when a run has failed, whatever kept it from its end.
pub type Aftermath = Box<dyn Fn(&Failure, &dyn Look) -> Result<Vec<Step>>>;

/// Does it. The failure stays what is told.
pub fn follow_up(aftermath: &Aftermath, failure: &Failure, act: &dyn Act) {
    let done = aftermath(failure, act.look())
        .and_then(|steps| steps.iter().try_for_each(|step| act.perform(step)));
    if let Err(error) = done {
        log::error!("what came of the run could not be kept: {error:#}");
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            error,
            applied: Vec::new(),
            reverted: Vec::new(),
        }
    }
}

type Stages = [Box<dyn AnyStage>];

/// Brings what the stages stand for about, or says what would have to be done.
pub fn converge(
    stages: &Stages,
    host: Host,
    subject: &Subject,
    options: &Options,
) -> Result<Outcome, Failure> {
    let (mut foreseen, unfinished) = loop {
        match (foresee(stages, host.look(), subject), host, &subject.lock) {
            (Ok(foreseen), ..) => break foreseen,
            // Seen in the middle of another's work (a server that is just starting), it may look wrong.
            (Err(_), Host::Apply(act), Some(lock)) if act.is_locked(lock)? => {
                drop(act.lock(&subject.claim(lock, false))?);
            }
            (Err(error), ..) => return Err(error.into()),
        }
    };
    match host {
        Host::Check(_) => {
            let missing = std::mem::take(&mut foreseen.plan.missing);
            foreseen
                .plan
                .warnings
                .extend(missing.iter().map(|error| format!("{error:#}")));
        }
        Host::Apply(_) => {
            if let Some(error) = foreseen.plan.missing.pop() {
                return Err(error.into());
            }
        }
    }
    if let Some(limit) = options.max_impact
        && foreseen.plan.impact() > limit
    {
        return Err(beyond(&foreseen.plan, limit).into());
    }
    match host {
        Host::Apply(act)
            if !foreseen.plan.is_empty()
                || !foreseen.plan.undetermined.is_empty()
                // What an interrupted run had begun has been looked after: the journal is to say so.
                || unfinished =>
        {
            let ends_server = foreseen.plan.changes.iter().any(Change::ends_server);
            carry_out(stages, act, subject, options, ends_server)
        }
        _ => Ok(foreseen),
    }
}

/// What the journal tells of earlier runs.
fn unfinished(look: &dyn Look, subject: &Subject) -> Result<Unfinished> {
    let Some(path) = &subject.journal else {
        return Ok(Unfinished::default());
    };
    let content = look.read(path)?.unwrap_or_default();
    Ok(journal::unfinished(&journal::text(&content), &subject.name))
}

/// All stages in turn, each told what the ones before it plan; nothing is touched. Also: whether earlier runs of the
/// subject were interrupted.
fn foresee(stages: &Stages, look: &dyn Look, subject: &Subject) -> Result<(Outcome, bool)> {
    let mut world = World::default();
    let unfinished = unfinished(look, subject)?;
    world.learn(&unfinished.facts, false);
    let mut outcome = Outcome::default();
    for stage in stages {
        let plan = stage.decide(look, &world).with_context(|| stage.name())?;
        world.follow(&plan, false);
        outcome.add(plan);
    }
    outcome.pending_restart = world.pending_restart;
    Ok((outcome, unfinished.own))
}

/// All stages in turn, each carried out before the next one looks.
fn carry_out(
    stages: &Stages,
    act: &dyn Act,
    subject: &Subject,
    options: &Options,
    ends_server: bool,
) -> Result<Outcome, Failure> {
    let mut run = Run {
        act,
        locks: Locks::default(),
        undo: Vec::new(),
        applied: Vec::new(),
        undone: Vec::new(),
        closes: false,
        outcome: Outcome::default(),
        world: World::default(),
    };
    let entry = Entry::new(&options.stamp, &subject.name);
    let (ground, rest): (Vec<&dyn AnyStage>, Vec<&dyn AnyStage>) = stages
        .iter()
        .map(AsRef::as_ref)
        .partition(|stage| stage.before_lock());
    let result = run
        .stages(&ground, subject, options, &entry)
        .and_then(|()| {
            run.locks = Locks::take(act, subject, ends_server)?;
            Ok(())
        })
        .and_then(|()| {
            // From here on a signal ends the run where it can be ended, not in the middle.
            act.heed_signals()?;
            let unfinished = unfinished(act.look(), subject)?;
            run.world.learn(&unfinished.facts, true);
            run.closes = unfinished.own;
            run.stages(&rest, subject, options, &entry)
        });
    let failure = match result {
        Ok(()) => None,
        Err(error) => Some(run.take_back(error, options)),
    };
    if !run.applied.is_empty() || run.closes || failure.is_some() {
        let mut end = entry.end(failure.as_ref().map(|failure| {
            json!({
                "error": format!("{:#}", failure.error),
                "applied": failure.applied,
                "reverted": failure.reverted,
                "undone": run.undone,
            })
        }));
        if let Some(identifier) = run.world.system_identifier {
            end["system_identifier"] = json!(identifier.to_string());
        }
        if let Some(journal) = &subject.journal
            && let Err(error) = act.journal(journal, &end)
        {
            log::warn!("the journal could not be written: {error:#}");
        }
    }
    failure.map_or(Ok(run.outcome), Err)
}

impl Subject {
    fn claim<'a>(&'a self, path: &'a Utf8Path, shared: bool) -> Claim<'a> {
        Claim {
            path,
            shared,
            timeout: self.lock_timeout,
            subject: &self.name,
        }
    }

    /// The lock of the server, beside that of the changes: none is needed by a subject without a lock.
    fn server_lock(&self) -> Option<Utf8PathBuf> {
        Some(self.lock.as_ref()?.with_extension("server"))
    }
}

/// What a run holds (docs/decisions/0010-two-locks.md).
#[derive(Default)]
struct Locks {
    held: Vec<Guard>,
    server: bool,
}

impl Locks {
    /// The server's lock first: who waits for a backup to end keeps nobody else waiting.
    fn take(act: &dyn Act, subject: &Subject, ends_server: bool) -> Result<Self> {
        let (Some(changes), Some(server)) = (&subject.lock, subject.server_lock()) else {
            return Ok(Self::default());
        };
        let reads = subject.mode == LockMode::Read;
        let mut held = Vec::new();
        if reads || ends_server {
            held.push(act.lock(&subject.claim(&server, reads))?);
        }
        if !reads {
            held.push(act.lock(&subject.claim(changes, false))?);
        }
        if let Some(alone) = &subject.alone {
            held.push(act.lock(&subject.claim(alone, false))?);
        }
        Ok(Self {
            held,
            server: reads || ends_server,
        })
    }

    /// For a plan that has become another since it was first made: not waited for, since others wait for this run.
    fn before(&mut self, plan: &Plan, act: &dyn Act, subject: &Subject) -> Result<()> {
        if let Some(path) = subject.server_lock()
            && !self.server
            && plan.changes.iter().any(Change::ends_server)
        {
            let claim = Claim {
                timeout: Duration::ZERO,
                ..subject.claim(&path, false)
            };
            self.held.push(act.lock(&claim)?);
            self.server = true;
        }
        Ok(())
    }
}

struct Run<'a> {
    act: &'a dyn Act,
    locks: Locks,
    /// Scope, what was done, how it is taken back; newest last.
    undo: Vec<(Scope, String, Vec<Step>)>,
    applied: Vec<String>,
    /// Changes that were taken back before they were complete: for the journal.
    undone: Vec<String>,
    /// The end of this run is also that of earlier ones, which were interrupted.
    closes: bool,
    outcome: Outcome,
    world: World,
}

impl Run<'_> {
    fn stages(
        &mut self,
        stages: &[&dyn AnyStage],
        subject: &Subject,
        options: &Options,
        entry: &Entry,
    ) -> Result<()> {
        for stage in stages {
            self.not_interrupted()?;
            let lock = stage.lock();
            let _shared = match &lock {
                Some(path) => Some(self.act.lock_briefly(&subject.claim(path, false))?),
                None => None,
            };
            let plan = stage
                .decide(self.act.look(), &self.world)
                .with_context(|| stage.name())?;
            if let Some(limit) = options.max_impact
                && plan.impact() > limit
            {
                return Err(beyond(&plan, limit));
            }
            self.locks.before(&plan, self.act, subject)?;
            if let Some(journal) = &subject.journal
                && !plan.is_empty()
                // The journal lies on the ground that is only being laid.
                && !stage.before_lock()
            {
                let noted = self.act.journal(journal, &entry.begin(&plan));
                match noted {
                    // On a full disk above all a server must be stopped, and nobody will have to finish a stop.
                    Err(error)
                        if plan
                            .changes
                            .iter()
                            .all(|change| change.action == Action::Stop) =>
                    {
                        self.outcome
                            .plan
                            .warnings
                            .push(format!("the journal does not tell of this run: {error:#}"));
                    }
                    noted => noted?,
                }
            }
            for change in &plan.changes {
                self.not_interrupted()?;
                self.perform(change)?;
            }
            self.world.follow(&plan, true);
            self.outcome.add(plan);
        }
        self.outcome
            .pending_restart
            .clone_from(&self.world.pending_restart);
        Ok(())
    }

    /// Between two changes is where a run can be ended: what is not settled is taken back as after a failure.
    fn not_interrupted(&self) -> Result<()> {
        match self.act.interrupted() {
            None => Ok(()),
            Some(signal) => Err(Fault::new(
                Kind::Interrupted,
                format!("the run was interrupted by {}", signal.name),
            )
            .signal(signal.number)
            .hint("what it had begun was finished or taken back; run it again for the rest")
            .into()),
        }
    }

    fn perform(&mut self, change: &Change) -> Result<()> {
        log::info!("{}", change.summary);
        // Pushed before the first step: a change that fails half-way is taken back too.
        if let Some((scope, steps)) = &change.undo {
            self.undo
                .push((scope.clone(), change.summary.clone(), steps.clone()));
        }
        for step in &change.steps {
            log::debug!("{step}");
            let done = self.act.perform(step);
            if done.as_ref().is_err_and(is_underway) {
                self.applied.push(change.summary.clone());
            }
            done.with_context(|| change.summary.clone())?;
        }
        if let Some(settled) = &change.settles {
            self.undo.retain(|(scope, ..)| scope != settled);
        }
        self.applied.push(change.summary.clone());
        Ok(())
    }

    /// Undoes what is not settled, newest first. What cannot be undone is said, and the rest still tried.
    fn take_back(&mut self, error: anyhow::Error, options: &Options) -> Failure {
        let mut applied = std::mem::take(&mut self.applied);
        let mut reverted = Vec::new();
        // A server that recovers, or writes its last checkpoint, is not to be cut short for being slow.
        let underway = is_underway(&error);
        for (scope, summary, steps) in self.undo.drain(..).rev() {
            if options.keep_failed && scope == Scope::Creation
                || underway && scope != Scope::Creation
            {
                continue;
            }
            let mut whole = true;
            for step in &steps {
                log::debug!("undo: {step}");
                if let Err(error) = self.act.perform(step) {
                    log::error!("could not take back `{summary}`: {error:#}");
                    whole = false;
                }
            }
            let Some(place) = applied.iter().position(|done| *done == summary) else {
                self.undone.extend(whole.then_some(summary));
                continue;
            };
            if whole && matches!(scope, Scope::Creation | Scope::Restore) {
                // What was made in a cluster that is gone is gone with it.
                reverted.splice(0..0, applied.drain(place..));
            } else if whole {
                reverted.insert(0, applied.remove(place));
            }
        }
        Failure {
            error,
            applied,
            reverted,
        }
    }
}

impl Outcome {
    fn add(&mut self, plan: Plan) {
        if let Some((key, view)) = plan.view {
            self.views.insert(key.into(), view);
        }
        self.plan.changes.extend(plan.changes);
        self.plan.missing.extend(plan.missing);
        self.plan.warnings.extend(plan.warnings);
        self.plan.undetermined.extend(plan.undetermined);
    }
}

/// Only our waiting has ended.
fn is_underway(error: &anyhow::Error) -> bool {
    Fault::is(error, Kind::Underway)
}

fn beyond(plan: &Plan, limit: Impact) -> anyhow::Error {
    let offenders: Vec<String> = plan
        .changes
        .iter()
        .filter(|change| change.impact > limit)
        .map(|change| format!("{} ({})", change.summary, change.impact))
        .collect();
    crate::fault!(
        Conflict,
        "the plan goes beyond `max_impact: {limit}`: {}",
        offenders.join("; ");
        "allow it with a greater `max_impact`, or change what is wanted"
    )
}
