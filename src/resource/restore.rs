//! Restores: the data of a backup take the place of an instance's, or become another one.
//!
//! A restore is several stages. The first looks into the repository and chooses the backup; what it finds is told before
//! anything is touched. It fetches the data beside their place ([`fetch`]), so that what was there is whole until the new data
//! are complete; then they change places ([`replace`]). The server is started and recovers ([`recovered`]): when it has
//! answered, the old data are taken away or kept, and when it fails they come back.

pub(super) mod failure;
pub(super) mod fetch;
mod follow;
mod recovered;
mod replace;
mod spaces;

use std::rc::Rc;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use self::fetch::Fetch;
use self::follow::Follow;
use self::recovered::Recovered;
use self::replace::{Replace, aside};
use crate::backup::BackupTool;
use crate::backup::recovery::{Action, Recovery, Target as Goal};
use crate::bail_fault;
use crate::component;
use crate::engine::Subject;
use crate::host::{LockMode, Look};
use crate::manifest::InstanceRef;
use crate::pg::version::Major;
use crate::plan::Impact;
use crate::resource::instance::desired::State;
use crate::resource::instance::directory::{Directory, directory};
use crate::resource::instance::hold::NotHeld;
use crate::resource::instance::lookup;
use crate::resource::instance::registration::Registration;
use crate::resource::instance::report::Report;
use crate::resource::instance::service::Service;
use crate::resource::instance::target::Target;
use crate::resource::{Job, Site, backup, site, subject};
use crate::settings::Settings;

/// A restore of an instance from a backup.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreSpec {
    /// The instance, as `name` or `version/name`; may be left out when there is only one. One that exists must be stopped, and
    /// its data are replaced; one that does not is made.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// The stanza whose backups are restored. Default: that of the instance. Required for a new instance.
    #[serde(default)]
    pub stanza: Option<String>,
    /// Put the data into this directory instead, and start nothing. It must be empty, or not be there.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub directory: Option<Utf8PathBuf>,
    /// The backup. Default: the newest one that ends before the target.
    #[serde(default)]
    pub label: Option<String>,
    /// Recover up to this time, with its zone: `2026-11-27 20:33:28+01:00`. Without any target: to the end of the archived WAL.
    #[serde(default)]
    pub target_time: Option<String>,
    /// Recover up to this place in the WAL: `0/3000028`.
    #[serde(default)]
    pub target_lsn: Option<String>,
    /// Recover up to this transaction.
    #[serde(default)]
    pub target_xid: Option<u64>,
    /// Recover up to this restore point (`pg_create_restore_point`).
    #[serde(default)]
    pub target_name: Option<String>,
    /// Recover no further than the backup needs to be consistent.
    #[serde(default)]
    pub target_immediate: bool,
    /// Stop just before the target instead of just after it.
    #[serde(default)]
    pub target_exclusive: bool,
    /// The timeline to recover along: `latest`, `current` (the backup's own), or a number.
    #[serde(default)]
    pub target_timeline: Option<String>,
    /// What the server does at the target: it becomes an ordinary one, waits to be looked at, or ends.
    #[serde(default)]
    pub target_action: Action,
    /// TCP port of a new instance.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i64>,
    /// Keep the files that are right, and fetch the others only: needs no second place, but the old data cannot come back.
    #[serde(default)]
    pub delta: bool,
    /// Keep the old data when all went well, beside their place, as `data.dropped-1`. Otherwise they go as soon as the
    /// restored server has answered. With another `target_action` than `promote` they are kept anyway.
    #[serde(default)]
    pub keep_old: bool,
    /// How long to wait for the recovery, in seconds. Default: a day. One that needs longer goes on by itself.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub timeout: Option<u32>,
    /// Refuse the whole plan when a change has a greater impact than this.
    #[serde(default)]
    pub max_impact: Option<Impact>,
    /// How many seconds to wait for another run on the same instance; 60 unless given, 0: not at all.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub lock_timeout: Option<u32>,
}

/// How long a recovery is waited for, unless said otherwise, in seconds.
pub(super) const TIMEOUT: u32 = 86_400;

impl RestoreSpec {
    pub(super) fn recovery(&self) -> Result<Recovery> {
        let given = [
            self.target_time.as_deref().map(Goal::time),
            self.target_lsn.as_deref().map(Goal::lsn),
            self.target_xid.map(|xid| Ok(Goal::Xid(xid))),
            self.target_name.clone().map(|name| Ok(Goal::Name(name))),
            self.target_immediate.then_some(Ok(Goal::Immediate)),
        ];
        let mut given = given.into_iter().flatten();
        let target = given.next().unwrap_or(Ok(Goal::Latest))?;
        if given.next().is_some() {
            bail_fault!(
                Input,
                "a recovery has one target: `target_time`, `target_lsn`, `target_xid`, `target_name` and `target_immediate` exclude each other"
            );
        }
        let timeline = self.target_timeline.clone();
        if let Some(timeline) = &timeline
            && !["latest", "current"].contains(&timeline.as_str())
            && timeline.parse::<u32>().is_err()
        {
            bail_fault!(
                Input,
                "`target_timeline`: `{timeline}` is neither `latest`, `current` nor a number"
            );
        }
        let recovery = Recovery {
            target,
            exclusive: self.target_exclusive,
            timeline,
            action: self.target_action,
        };
        recovery.check()?;
        Ok(recovery)
    }
}

/// The run that restores.
pub fn job(spec: &RestoreSpec, site: &Site, look: &dyn Look) -> Result<Job> {
    let recovery = spec.recovery()?;
    let now: Timestamp = site.now.parse().context("the time of the run")?;
    if let Some(directory) = &spec.directory {
        return into_directory(spec, recovery, now, directory, site, look);
    }
    let mut target = target(spec.instance.as_ref(), &site.settings, look)?;
    target.manner = target.manner.within(Some(spec.timeout.unwrap_or(TIMEOUT)));
    let paths = target.paths.clone();
    // A restore that was killed may have left nothing but what it had set aside.
    let exists = !matches!(
        directory(look, &paths.datadir)?,
        Directory::Missing | Directory::Empty
    ) || look.stat(&aside(&paths.datadir))?.is_some();
    let tool: Rc<dyn BackupTool> =
        source(spec.stanza.as_deref(), Some(&target), site, look)?.into();
    if spec.delta && !tool.overwrites() {
        bail_fault!(
            Unsupported,
            "`delta`: {} restores into an empty place only, whatever is right of what is there", tool.name();
            "leave it out; nothing was changed"
        );
    }
    // Whoever is not in the stanza becomes a copy of the cluster that is: with names of its own, and no part in its archive.
    let own = backup::tool_of(&target, site, look)?;
    let copy = own.as_ref().is_none_or(|own| own.stanza() != tool.stanza());
    if !copy && spec.port.is_some() {
        bail_fault!(
            Input,
            "instance `{paths}` exists: `port` is for a new one";
            "the restored configuration says it; `pgsocle instance alter` changes it afterwards"
        );
    }
    let mut job = Job::new(subject("instance", &paths, site));
    job.max_impact = spec.max_impact;
    job.wait_for(spec.lock_timeout);
    if let Some(own) = own.filter(|_| copy) {
        job.warnings.push(format!(
            "instance `{paths}` is in stanza `{}`, and becomes a copy of what is in `{}`: it archives nothing. Where it is to go on, apply it \
             again, restart it, and take a full backup", own.stanza(), tool.stanza()
        ));
    }
    job.stages.push(Box::new(NotHeld {
        target: target.clone(),
        done: "restored",
    }));
    if !exists {
        job.stages.extend(site::ground(look, site)?);
    }
    explain(&mut job, &recovery, &tool);
    job.stages.push(Box::new(Fetch {
        tool,
        target: target.clone(),
        recovery: recovery.clone(),
        label: spec.label.clone(),
        now,
        delta: spec.delta,
        place: None,
        copy,
    }));
    if !spec.delta {
        job.stages.push(Box::new(Replace {
            target: target.clone(),
        }));
    }
    if copy {
        let port = spec.port.and_then(|port| u16::try_from(port).ok());
        job.stages
            .push(Box::new(Follow::new(&target, port, site, look)?));
    }
    job.stages.push(Box::new(Registration {
        target: target.clone(),
        settings: site.settings.clone(),
        wanted: true,
    }));
    if recovery.action != Action::Shutdown {
        job.stages.push(Box::new(Service {
            state: State::Started,
            ..Service::leaving(target.clone())
        }));
    }
    job.stages.push(Box::new(Recovered {
        target: target.clone(),
        // Who looks before he decides may want the old ones.
        keep_old: spec.keep_old || recovery.action != Action::Promote,
        recovery,
        replaced: exists && !spec.delta,
    }));
    job.stages.push(Box::new(Report { target }));
    Ok(job)
}

/// A failure is told with what it means.
fn explain(job: &mut Job, recovery: &Recovery, tool: &Rc<dyn BackupTool>) {
    let (recovery, tool) = (recovery.clone(), Rc::clone(tool));
    let object = format!("restore of {}", job.subject.name);
    job.explain = Some(Box::new(move |error| {
        failure::explained(error, &object, &recovery, |said| tool.trouble(said))
    }));
}

/// The data alone.
fn into_directory(
    spec: &RestoreSpec,
    recovery: Recovery,
    now: Timestamp,
    place: &Utf8PathBuf,
    site: &Site,
    look: &dyn Look,
) -> Result<Job> {
    if spec.delta || spec.keep_old || spec.port.is_some() {
        bail_fault!(
            Input,
            "`directory`: nothing is replaced or started there: `delta`, `keep_old` and `port` make no sense"
        );
    }
    if !place.is_absolute() {
        bail_fault!(Input, "`directory`: `{place}` is not absolute");
    }
    let found = match &spec.instance {
        Some(_) => Some(target(spec.instance.as_ref(), &site.settings, look)?),
        None => None,
    };
    let tool: Rc<dyn BackupTool> =
        source(spec.stanza.as_deref(), found.as_ref(), site, look)?.into();
    let target = match found {
        Some(target) => target,
        None => Target::new(
            &site.settings,
            look,
            lookup::default_version(look, &site.settings)?.unwrap_or(Major::NEWEST_KNOWN),
            &site.settings.instance_default_name,
        )?,
    };
    // Nobody's data: no instance waits for it, and none has it in its history. Who comes second finds the directory taken.
    let mut job = Job::new(Subject {
        name: format!("directory {place}"),
        lock: None,
        mode: LockMode::Read,
        alone: None,
        lock_timeout: site.lock_timeout,
        journal: None,
    });
    job.max_impact = spec.max_impact;
    explain(&mut job, &recovery, &tool);
    job.stages.push(Box::new(Fetch {
        tool,
        target,
        recovery,
        label: spec.label.clone(),
        now,
        delta: false,
        place: Some(place.clone()),
        copy: true,
    }));
    Ok(job)
}

/// The instance that is meant, whether it is there or not: a restore that was killed may have left it without its directory.
pub(super) fn target(
    reference: Option<&InstanceRef>,
    settings: &Settings,
    look: &dyn Look,
) -> Result<Target> {
    let name = reference.and_then(|reference| reference.name.as_deref());
    let (version, name) = match (lookup::find(look, settings, reference), name) {
        (Ok(found), _) => found,
        (Err(error), Some(name)) if super::is_missing(&error) => {
            if !lookup::valid_name(name) {
                return Err(error);
            }
            let version = reference.and_then(|reference| reference.version.as_deref());
            let version = match version {
                Some(version) => version.parse()?,
                None => lookup::default_version(look, settings)?.unwrap_or(Major::NEWEST_KNOWN),
            };
            (version, name.to_owned())
        }
        (Err(error), _) => return Err(error),
    };
    Target::recorded(settings, look, version, &name)
}

/// What holds the backups.
pub(super) fn source(
    stanza: Option<&str>,
    target: Option<&Target>,
    site: &Site,
    look: &dyn Look,
) -> Result<Box<dyn BackupTool>> {
    match (stanza, target) {
        (Some(stanza), _) => component::stanza_tool(&site.settings, stanza, look)?.ok_or_else(|| {
            crate::fault!(
                Input,
                "the site settings do not say where backups are: there is no section `pgbackrest` or `basebackup`"
            )
        }),
        (None, Some(target)) => match backup::tool_of(target, site, look)? {
            Some(tool) => Ok(tool),
            None if look.stat(&target.paths.datadir)?.is_none() => bail_fault!(
                Input,
                "instance `{}` does not exist: which backups are to be restored must be said", target.paths;
                "give `stanza`"
            ),
            None => Err(backup::not_backed_up(target)),
        },
        (None, None) => bail_fault!(
            Input,
            "which backups are to be restored must be said";
            "give `instance` or `stanza`"
        ),
    }
}
