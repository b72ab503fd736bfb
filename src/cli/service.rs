//! `pgsocle instance start|stop|restart|reload|hold|release`, and servers in the foreground.

use clap::{Args, ValueEnum};

use super::change::Run;
use super::instance::{REFERENCE, identities, reference, target};
use super::{Call, Ended};
use crate::door::Session;
use crate::facts;
use crate::fault;
use crate::host::process;
use crate::manager::StopMode;
use crate::manifest::InstanceRef;
use crate::resource::instance::desired::State;
use crate::resource::instance::hold::{self, HoldSpec, HoldState};
use crate::resource::instance::lookup::{self, Identity};
use crate::resource::instance::replication::restart_order;
use crate::resource::instance::target::Target;
use crate::resource::instance::{foreground, service_job};

/// Several instances.
#[derive(Args)]
struct Instances {
    /// The instances; may be left out when there is only one.
    #[arg(value_name = REFERENCE, value_parser = reference)]
    instances: Vec<InstanceRef>,
    /// Every instance of the site. One that fails does not keep the others from being tried.
    #[arg(long, conflicts_with = "instances")]
    all: bool,
}

impl Instances {
    fn meant(&self, session: &Session) -> Result<Vec<Identity>, Ended> {
        if self.all {
            return Ok(lookup::list(&session.local, &session.site.settings)?);
        }
        identities(session, &self.instances)
    }

    fn several(&self) -> bool {
        self.all || self.instances.len() > 1
    }
}

/// How long a server is waited for.
#[derive(Args, Clone, Copy)]
struct Patience {
    /// How long to wait for each server, 60 unless given. One that needs longer (recovery, a last checkpoint) goes on
    /// by itself; the command fails and says so.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,
}

/// Several instances, and what is done to each.
#[derive(Args)]
pub struct Many {
    #[command(flatten)]
    instances: Instances,
    #[command(flatten)]
    run: Run,
}

#[derive(Args)]
pub struct Start {
    #[command(flatten)]
    instances: Instances,
    #[command(flatten)]
    patience: Patience,
    /// Become the server of the one instance, instead of starting it in the background: for containers and debugging.
    #[arg(long, conflicts_with_all = ["all", "timeout", "dry_run", "diff", "max_impact", "output"])]
    foreground: bool,
    #[command(flatten)]
    run: Run,
}

/// Stop and restart.
#[derive(Args)]
pub struct Stop {
    #[command(flatten)]
    instances: Instances,
    #[command(flatten)]
    patience: Patience,
    /// `smart` waits until every session has ended; `fast` cuts them; `immediate` saves no checkpoint, so that the next
    /// start recovers.
    #[arg(long, short = 'm', value_name = "MODE", default_value = "fast")]
    mode: Mode,
    #[command(flatten)]
    run: Run,
}

/// The words of [`StopMode`].
#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Smart,
    Fast,
    Immediate,
}

impl From<Mode> for StopMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Smart => Self::Smart,
            Mode::Fast => Self::Fast,
            Mode::Immediate => Self::Immediate,
        }
    }
}

fn bring(
    call: &Call,
    run: &Run,
    instances: &Instances,
    (state, timeout, mode): (State, Option<u32>, StopMode),
) -> Result<u8, Ended> {
    let session = run.open(call)?;
    let job = |identity| {
        let mut target = target(&session, identity)?;
        target.manner = target.manner.within(timeout).ending(mode);
        let of_running = matches!(state, State::Restarted | State::Reloaded);
        // Who says "all" thinks of what runs: what is stopped stays so.
        if of_running && instances.all && target.running(&session.local)?.is_none() {
            let warning = format!("instance `{}` is stopped, and stays so", target.paths);
            let mut job = service_job(target, State::Present, &session.site, &session.local)?;
            job.warnings.push(warning);
            return Ok(job);
        }
        service_job(target, state, &session.site, &session.local)
    };
    let mut meant = instances.meant(&session)?;
    if state == State::Restarted {
        meant = restart_order(&session.local, &session.site.settings, meant);
    }
    let jobs = meant.iter().map(job).collect();
    run.carry_out_all(&session, jobs, instances.several())
}

impl Many {
    pub fn reload(&self, call: &Call) -> Result<u8, Ended> {
        let how = (State::Reloaded, None, StopMode::Fast);
        bring(call, &self.run, &self.instances, how)
    }

    pub fn release(&self, call: &Call) -> Result<u8, Ended> {
        held(call, &self.run, &self.instances, |instance| HoldSpec {
            instance: Some(instance),
            state: HoldState::Released,
            reason: None,
            stop: false,
            timeout: None,
            max_impact: None,
        })
    }
}

impl Start {
    pub fn start(&self, call: &Call) -> Result<u8, Ended> {
        if self.foreground {
            return self.become_server(call);
        }
        let how = (State::Started, self.patience.timeout, StopMode::Fast);
        bring(call, &self.run, &self.instances, how)
    }

    fn become_server(&self, call: &Call) -> Result<u8, Ended> {
        let session = self.run.open(call)?;
        let identities = identities(&session, &self.instances.instances)?;
        let [identity] = &identities[..] else {
            return Err(fault!(
                Input,
                "`--foreground` takes one instance, and {} are named", identities.len();
                "start the others without it"
            )
            .into());
        };
        let target = target(&session, identity)?;
        if session.site.settings.service_manager.is_some() {
            return Err(fault!(
                Unsupported,
                "instance `{}` is run by systemd, not in the foreground", target.paths;
                "start it without `--foreground`, or take the section `systemd` out of the site settings"
            )
            .into());
        }
        become_server(call, session, target)
    }
}

impl Stop {
    pub fn stop(&self, call: &Call) -> Result<u8, Ended> {
        self.bring(call, State::Stopped)
    }

    pub fn restart(&self, call: &Call) -> Result<u8, Ended> {
        self.bring(call, State::Restarted)
    }

    fn bring(&self, call: &Call, state: State) -> Result<u8, Ended> {
        let how = (state, self.patience.timeout, self.mode.into());
        bring(call, &self.run, &self.instances, how)
    }
}

#[derive(Args)]
pub struct Hold {
    #[command(flatten)]
    instances: Instances,
    /// Why: whoever tries to start the instance is told so.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Stop the server as well, if it runs.
    #[arg(long)]
    stop: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    run: Run,
}

impl Hold {
    pub fn hold(&self, call: &Call) -> Result<u8, Ended> {
        held(call, &self.run, &self.instances, |instance| HoldSpec {
            instance: Some(instance),
            state: HoldState::Held,
            reason: Some(self.reason.clone()),
            stop: self.stop,
            timeout: self.patience.timeout,
            max_impact: None,
        })
    }
}

fn held(
    call: &Call,
    run: &Run,
    instances: &Instances,
    spec: impl Fn(InstanceRef) -> HoldSpec,
) -> Result<u8, Ended> {
    let session = run.open(call)?;
    let job = |(version, name): &Identity| {
        let reference = InstanceRef {
            version: Some(version.to_string()),
            name: Some(name.clone()),
        };
        hold::job(&spec(reference), &session.site, &session.local)
    };
    let jobs = instances.meant(&session)?.iter().map(job).collect();
    run.carry_out_all(&session, jobs, instances.several())
}

/// `pgsocle postgres VERSION-NAME`, as units of pglift's kind call it.
#[derive(Args)]
pub struct Postgres {
    #[arg(value_name = "VERSION-NAME")]
    instance: String,
}

impl Postgres {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        let session = call.open(false)?;
        let Some((version, name)) = self.instance.split_once('-') else {
            return Err(fault!(
                Input,
                "`{}` is no instance: it is written as `15-main` here",
                self.instance
            )
            .into());
        };
        let reference = InstanceRef {
            version: Some(version.to_owned()),
            name: Some(name.to_owned()),
        };
        let target =
            facts::target(&session.site, &session.local, Some(&reference)).map_err(Ended::usage)?;
        become_server(call, session, target)
    }
}

/// Makes what the server needs, and becomes it.
fn become_server(call: &Call, session: Session, target: Target) -> Result<u8, Ended> {
    let job = foreground::job(&target, &session.site, &session.local)?;
    session.run(job)?;
    let command = [
        target.bindir.join("postgres").into_string(),
        "-D".to_owned(),
        target.paths.datadir.to_string(),
    ];
    let (program, environment) = facts::execution(
        &target,
        &session.local,
        &command,
        &[],
        &call.process.environment,
    )?;
    // Nothing of ours may be open in the server.
    drop(session);
    Err(process::replace(&program, &command[1..], &environment).into())
}
