//! The site: the directories, units and files that instances need on a host (`site-configure`).
//!
//! [`items`] says what they are, from the settings alone; [`check`] compares them with the host; the stages
//! [`files::Files`] and [`files::Removal`] make and remove them (docs/decisions/0009-site-files.md).

pub mod files;
pub mod items;
pub mod services;
pub mod systemd;
#[cfg(test)]
pub mod tests;

use std::fmt;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::files::{Files, Removal};
use self::items::Templates;
pub use self::items::privileges;
use self::services::Services;
use self::systemd::{Logind, Systemd};
use crate::component::item::{Item, Purpose};
use crate::engine::Subject;
use crate::fault::Fault;
use crate::host::{LockMode, Look};
use crate::manifest::Presence;
use crate::resource::{Job, Site};
use crate::settings::Settings;
use crate::stage::AnyStage;

/// The directories, units and files that the instances of a host need.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SiteSpec {
    /// Whether the files of the site are to be there. Their removal is refused while an instance exists; logs are kept.
    pub state: Presence,

    /// Whether files whose content is not what the site settings give are overwritten. Default: `true`.
    /// With `false` such files are told of in a warning, and only what is missing is made.
    pub force: Option<bool>,
}

/// Something of the site that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub path: Utf8PathBuf,
    pub problem: Problem,
    /// What is wrong, where the problem alone does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Finding {
    fn new(path: Utf8PathBuf, problem: Problem) -> Self {
        Self {
            path,
            problem,
            message: None,
        }
    }

    fn unfit(path: Utf8PathBuf, message: String) -> Self {
        Self {
            message: Some(message),
            ..Self::new(path, Problem::Unfit)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    Missing,
    /// The content is not what the site settings give.
    Differs,
    /// A directory is wanted where there is something else, or the other way round.
    WrongKind,
    /// The system user's services end with its last session, and do not start at boot.
    Lingering,
    /// logind takes semaphores and shared memory from under running servers.
    RemoveIpc,
    /// logind ends servers that were started from a login session.
    KillUserProcesses,
    /// At shutdown systemd kills what the system user's services have not finished within two minutes.
    StopTimeout,
    /// A service beside the instances does not run.
    NotRunning,
    /// What a component needs is missing, too old or not valid.
    Unfit,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match self.problem {
            Problem::Missing => write!(f, "`{path}` is missing"),
            Problem::Differs => {
                write!(f, "`{path}` differs from what the site settings give")
            }
            Problem::WrongKind => write!(f, "`{path}` is not of the right kind"),
            Problem::NotRunning => {
                let unit = path.file_name().unwrap_or_default();
                write!(f, "`{unit}` does not run")
            }
            Problem::Unfit => f.write_str(self.message.as_deref().unwrap_or_default()),
            Problem::Lingering => {
                let user = path.file_name().unwrap_or_default();
                write!(f, "{}", systemd::no_lingering(user))
            }
            Problem::RemoveIpc => write!(f, "{}", systemd::REMOVE_IPC),
            Problem::KillUserProcesses => write!(
                f,
                "systemd-logind ends servers that were started from a login session with that session \
                 (KillUserProcesses=yes): {}",
                systemd::KILL_USER_PROCESSES
            ),
            Problem::StopTimeout => write!(
                f,
                "systemd kills the services of the system user when they take long to end at shutdown: role \
                 socle.postgresql.install writes `{path}` against it, with `TimeoutStopSec=infinity`"
            ),
        }
    }
}

/// What the system's own configuration does to the servers of this site.
fn threats(look: &dyn Look, site: &Settings) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut add = |path: Utf8PathBuf, problem| findings.push(Finding::new(path, problem));
    if let Some(systemd) = Systemd::observe(look, site)? {
        if systemd.needs_lingering() {
            add(
                Utf8Path::new(systemd::LINGER).join(&systemd.user),
                Problem::Lingering,
            );
        }
        if systemd::cuts_short(look, &systemd)? {
            add(systemd::stop_file(look.caller().uid), Problem::StopTimeout);
        }
    }
    if let Some(logind) = Logind::observe(look)? {
        let conf = Utf8Path::new("/etc/systemd/logind.conf");
        if logind.takes_memory() {
            add(conf.into(), Problem::RemoveIpc);
        }
        if logind.kill_user_processes && site.service_manager.is_none() {
            add(conf.into(), Problem::KillUserProcesses);
        }
    }
    Ok(findings)
}

/// Everything that is managed on the host, in the order in which it is made.
pub fn items(look: &dyn Look, site: &Site) -> Result<Vec<Item>> {
    let templates = Templates::observe(look, &site.settings, site.config_dir.as_deref())?;
    items::items(&site.settings, &templates)
}

/// What is missing or differs, and what of the system's configuration threatens the servers.
pub fn check(look: &dyn Look, site: &Site) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for item in items(look, site)? {
        match files::problem(look, &item) {
            Ok(problem) => {
                findings.extend(problem.map(|problem| Finding::new(item.path, problem)));
            }
            Err(error) if Fault::of(&error).is_some() => {
                findings.push(Finding::unfit(item.path, format!("{error:#}")));
            }
            Err(error) => return Err(error),
        }
    }
    let lacks = services::lacks(look, &site.settings)?;
    findings.extend(
        lacks
            .into_iter()
            .map(|lack| Finding::unfit(lack.path, lack.fault.to_string())),
    );
    findings.extend(
        services::stopped(look, site)?
            .into_iter()
            .map(|unit| Finding::new(unit, Problem::NotRunning)),
    );
    findings.extend(threats(look, &site.settings)?);
    Ok(findings)
}

/// The run that makes or removes them.
pub fn job(spec: &SiteSpec, site: &Site, look: &dyn Look) -> Result<Job> {
    let state = site.settings.state_directory().join("site");
    let mut job = Job::new(Subject {
        name: "site".to_owned(),
        lock: Some(state.join("lock")),
        mode: LockMode::Change,
        alone: None,
        lock_timeout: site.lock_timeout,
        journal: Some(state.join("history")),
    });
    let items = items(look, site)?;
    if spec.state == Presence::Absent {
        job.stages.push(Box::new(Removal::new(items, site)));
        return Ok(job);
    }
    let view = files::view(&site.settings, &items, "present");
    let (bases, rest) = items
        .into_iter()
        .partition(|item| item.purpose == Purpose::Base);
    job.stages.push(Box::new(Files::bases(bases, site)));
    job.stages.push(Box::new(Files {
        view: Some(view),
        overwrite: spec.force.unwrap_or(true),
        ..Files::new(rest, site)
    }));
    job.stages.push(Box::new(Services::new(site).strict()));
    Ok(job)
}

/// What the first instance of a site needs of it: made by its own run where it is missing.
pub fn ground(look: &dyn Look, site: &Site) -> Result<[Box<dyn AnyStage>; 2]> {
    let items = items(look, site)?
        .into_iter()
        .filter(|item| {
            matches!(
                item.purpose,
                Purpose::Base
                    | Purpose::Unit
                    | Purpose::Rules
                    | Purpose::Component
                    | Purpose::Service(_)
                    | Purpose::Backups
            )
        })
        .collect();
    Ok([
        Box::new(Files::bases(items, site)),
        Box::new(Services::new(site)),
    ])
}
