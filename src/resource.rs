//! What a user can declare. Each kind turns its input into a [`Job`]: the stages of a run, and what they are about.
//!
//! To add a resource: its file below `resource/` (what is wanted, what is seen, `observe`, `predict`, `plan`,
//! with tests of its plans), its observation in `sql/`, and one line in [`REGISTRY`], which gives it the JSON
//! door, the schema, the Ansible module and the reference page.

pub mod access;
pub mod catalog;
pub mod database;
pub mod expect;
pub mod instance;
pub mod parameters;
pub mod role;
#[cfg(test)]
mod samples;
pub mod site;

use std::time::Duration;

use anyhow::Result;
use camino::Utf8PathBuf;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::engine::Subject;
use crate::host::{LockMode, Look};
use crate::manifest::{DatabaseSpec, Place, RoleSpec, Within};
use crate::plan::Impact;
use crate::resource::instance::desired::InstanceSpec;
use crate::resource::instance::lookup;
use crate::resource::instance::service::{Service, Settle};
use crate::resource::instance::target::Target;
use crate::settings::InstancePaths;
use crate::settings::Settings;
use crate::stage::AnyStage;

/// The site's settings, and where they were found.
pub struct Site {
    pub settings: Settings,
    /// Where the site's own templates may lie.
    pub config_dir: Option<Utf8PathBuf>,
    /// Nothing will be done: a missing instance may be one that an earlier task would make.
    pub check: bool,
    /// How long to wait for another run on the same instance.
    pub lock_timeout: Duration,
    /// Who called, and when (UTC), for what is kept on the host.
    pub by: String,
    pub now: String,
}

/// A run: its stages, and what they are about.
pub struct Job {
    pub stages: Vec<Box<dyn AnyStage>>,
    pub subject: Subject,
    pub max_impact: Option<Impact>,
    pub keep_failed: bool,
    pub warnings: Vec<String>,
}

impl Job {
    pub fn new(subject: Subject) -> Self {
        Self {
            stages: Vec::new(),
            subject,
            max_impact: None,
            keep_failed: false,
            warnings: Vec::new(),
        }
    }

    /// How many seconds to wait for other runs, where that was said.
    pub fn wait_for(&mut self, seconds: Option<u32>) {
        if let Some(seconds) = seconds {
            self.subject.lock_timeout = Duration::from_secs(seconds.into());
        }
    }
}

/// A kind of resource: how it is called, described and run.
pub struct Kind {
    /// Module name, noun of the command line, name of the schema.
    pub name: &'static str,
    pub schema: fn() -> Value,
    pub job: fn(Value, &Site, &dyn Look) -> Result<Job>,
}

/// Every kind that converges. Read-only kinds are in `facts`.
pub const REGISTRY: &[Kind] = &[
    Kind {
        name: "instance",
        schema: schema::<InstanceSpec>,
        job: |value, site, look| {
            instance::job(crate::input::from_json(value, "instance")?, site, look)
        },
    },
    Kind {
        name: "instance_hold",
        schema: schema::<instance::hold::HoldSpec>,
        job: |value, site, look| {
            instance::hold::job(
                &crate::input::from_json(value, "instance_hold")?,
                site,
                look,
            )
        },
    },
    Kind {
        name: "role",
        schema: schema_within::<RoleSpec>,
        job: role_job,
    },
    Kind {
        name: "database",
        schema: schema_within::<DatabaseSpec>,
        job: database_job,
    },
    Kind {
        name: "site",
        schema: schema::<site::SiteSpec>,
        job: |value, site, look| site::job(&crate::input::from_json(value, "site")?, site, look),
    },
];

/// The kind of this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    REGISTRY.iter().find(|kind| kind.name == name)
}

/// The JSON Schema of an input type.
pub fn schema<T: JsonSchema>() -> Value {
    SchemaGenerator::default()
        .into_root_schema_for::<T>()
        .to_value()
}

/// The schema of an object in an instance: the options that say where come first.
fn schema_within<T: JsonSchema>() -> Value {
    let mut own = schema::<T>();
    let mut properties: Map<String, Value> = schema::<Place>()["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    if let Some(map) = own["properties"].as_object_mut() {
        properties.extend(std::mem::take(map));
        *map = properties;
    }
    if let Some(definitions) = schema::<Place>().get("$defs").and_then(Value::as_object) {
        let all = own.as_object_mut().map(|own| {
            own.entry("$defs")
                .or_insert_with(|| Value::Object(Map::new()))
        });
        if let Some(Value::Object(all)) = all {
            all.extend(definitions.clone());
        }
    }
    own
}

fn role_job(value: Value, site: &Site, look: &dyn Look) -> Result<Job> {
    let Within { place, spec } = Within::<RoleSpec>::from_value(value, "role")?;
    within("role", &spec.name.clone(), &place, site, look, |paths| {
        let mut roles = role::Roles::new(vec![spec], paths)?;
        roles.view = true;
        Ok(vec![Box::new(roles)])
    })
}

fn database_job(value: Value, site: &Site, look: &dyn Look) -> Result<Job> {
    let Within { place, spec } = Within::<DatabaseSpec>::from_value(value, "database")?;
    within(
        "database",
        &spec.name.clone(),
        &place,
        site,
        look,
        |paths| database::stages(vec![spec], paths, true),
    )
}

/// A run on objects of one instance: finds the server, does the work, leaves the run state as it was.
fn within(
    kind: &str,
    name: &str,
    place: &Place,
    site: &Site,
    look: &dyn Look,
    stages: impl FnOnce(InstancePaths) -> Result<Vec<Box<dyn AnyStage>>>,
) -> Result<Job> {
    let mut warnings = Vec::new();
    let found = lookup::find(look, &site.settings, place.instance.as_ref());
    let (version, instance, exists) = match (found, place.instance.as_ref()) {
        (Ok((version, instance)), _) => (version, instance, true),
        // In check mode an earlier task may be the one that makes it.
        (Err(error), Some(reference)) if site.check && is_missing(&error) => {
            let version = match &reference.version {
                Some(version) => version.parse()?,
                None => lookup::default_version(look, &site.settings)?
                    .unwrap_or(crate::pg::version::Major::NEWEST_KNOWN),
            };
            let instance = reference
                .name
                .clone()
                .unwrap_or_else(|| site.settings.instance_default_name.clone());
            warnings.push(format!(
                "instance `{reference}` does not exist: the plan assumes that it is made before"
            ));
            (version, instance, false)
        }
        (Err(error), _) => return Err(error),
    };
    let mut target = Target::new(&site.settings, look, version, &instance)?;
    target.patience = target.manner.timeout;
    let mut subject = subject("instance", &target.paths, site);
    subject.name = format!("{kind} {name} of instance {}", target.paths);
    let mut job = Job::new(subject);
    job.max_impact = place.max_impact;
    job.wait_for(place.lock_timeout);
    job.warnings = warnings;
    if !exists {
        job.stages.push(Box::new(instance::service::Assumed {
            target: target.clone(),
        }));
        job.stages.extend(stages(target.paths.clone())?);
        return Ok(job);
    }
    job.stages.push(Box::new(Service {
        target: target.clone(),
        state: instance::desired::State::Present,
        restarts: false,
        catalogs: true,
        own_roles_only: false,
        start_temporarily: place.start_temporarily,
    }));
    job.stages.extend(stages(target.paths.clone())?);
    job.stages.push(Box::new(Settle {
        target,
        state: instance::desired::State::Present,
    }));
    Ok(job)
}

fn is_missing(error: &anyhow::Error) -> bool {
    crate::fault::Fault::of(error).is_some_and(|fault| fault.kind == crate::fault::Kind::NotFound)
}

/// What a run on an instance locks and journals.
fn subject(kind: &str, paths: &InstancePaths, site: &Site) -> Subject {
    Subject {
        name: format!("{kind} {paths}"),
        lock: Some(paths.lock.clone()),
        mode: LockMode::Change,
        lock_timeout: site.lock_timeout,
        journal: Some(paths.history.clone()),
    }
}
