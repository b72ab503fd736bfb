//! What a user can declare. Each kind turns its input into a [`Job`]: the stages of a run, and what they are about.
//!
//! To add a resource: its file below `resource/` (what is wanted, what is seen, `observe`, `predict`, `plan`,
//! with tests of its plans), its observation in `sql/`, and one line in [`REGISTRY`], which gives it the JSON
//! door, the schema, the Ansible module and the reference page.

pub mod access;
pub mod authentication;
pub mod backup;
pub mod catalog;
pub mod database;
pub mod dump;
pub mod expect;
pub mod instance;
pub mod parameters;
pub mod pgconf;
pub mod proof;
mod protection;
pub mod restore;
pub mod role;
#[cfg(test)]
mod samples;
pub mod site;
pub mod tablespace;

use std::time::Duration;

use anyhow::Result;
use camino::Utf8PathBuf;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::component;
use crate::engine::{Aftermath, Subject};
use crate::host::{LockMode, Look};
use crate::manifest::{
    DatabaseSpec, HbaRecord, IdentMapping, InFile, InstanceRef, Place, RoleSpec, TablespaceSpec,
    Within,
};
use crate::pg::hba::Record;
use crate::pg::ident_map::Mapping;
use crate::plan::Impact;
use crate::resource::instance::condition::{Aim, Condition};
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
    /// Variables that say something of it: for whoever is to see the same site.
    pub environment: Vec<(String, String)>,
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
    /// Where more is to be left of a failure than its message.
    pub aftermath: Option<Aftermath>,
    /// Where what others say of a failure means something here.
    pub explain: Option<Box<dyn Fn(anyhow::Error) -> anyhow::Error>>,
}

impl Job {
    pub fn new(subject: Subject) -> Self {
        Self {
            stages: Vec::new(),
            subject,
            max_impact: None,
            keep_failed: false,
            warnings: Vec::new(),
            aftermath: None,
            explain: None,
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
        name: "instance_backup",
        schema: schema::<backup::BackupSpec>,
        job: |value, site, look| {
            backup::job(
                &crate::input::from_json(value, "instance_backup")?,
                site,
                look,
            )
        },
    },
    Kind {
        name: "instance_restore",
        schema: schema::<restore::RestoreSpec>,
        job: |value, site, look| {
            restore::job(
                &crate::input::from_json(value, "instance_restore")?,
                site,
                look,
            )
        },
    },
    Kind {
        name: "instance_backup_test",
        schema: schema::<proof::ProofSpec>,
        job: |value, site, look| {
            proof::job(
                &crate::input::from_json(value, "instance_backup_test")?,
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
        name: "tablespace",
        schema: schema_within::<TablespaceSpec>,
        job: tablespace_job,
    },
    Kind {
        name: "pgconf",
        schema: schema::<pgconf::PgconfSpec>,
        job: |value, site, look| pgconf::job(crate::input::from_json(value, "pgconf")?, site, look),
    },
    Kind {
        name: "pghba",
        schema: schema_in_file::<HbaRecord>,
        job: authentication::job::<Record>,
    },
    Kind {
        name: "pgident",
        schema: schema_in_file::<IdentMapping>,
        job: authentication::job::<Mapping>,
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
    joined(schema::<Place>(), schema::<T>())
}

/// The schema of a record in a file: of itself, or of a list of them, so that nothing is required.
fn schema_in_file<T: JsonSchema>() -> Value {
    let mut own = joined(schema::<InFile<T>>(), schema::<T>());
    if let Some(map) = own.as_object_mut() {
        map.shift_remove("required");
    }
    own
}

/// The options of both, and what is said of the second.
fn joined(mut first: Value, mut second: Value) -> Value {
    for key in ["properties", "$defs"] {
        let taken = |schema: &mut Value| match schema[key].take() {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let mut all = taken(&mut first);
        all.extend(taken(&mut second));
        if let Some(map) = second.as_object_mut() {
            if all.is_empty() {
                map.shift_remove(key);
            } else {
                map.insert(key.to_owned(), Value::Object(all));
            }
        }
    }
    second
}

fn role_job(value: Value, site: &Site, look: &dyn Look) -> Result<Job> {
    let Within { place, spec } = Within::<RoleSpec>::from_value(value, "role")?;
    within("role", &spec.name.clone(), &place, site, look, |target| {
        let mut roles = role::Roles::new(vec![spec], target.paths.clone())?;
        roles.view = true;
        let mut stages: Vec<Box<dyn AnyStage>> = vec![Box::new(roles)];
        stages.extend(access::taken_over(target));
        Ok(stages)
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
        |target| database::stages(vec![spec], target.paths.clone(), true),
    )
}

fn tablespace_job(value: Value, site: &Site, look: &dyn Look) -> Result<Job> {
    let Within { place, spec } = Within::<TablespaceSpec>::from_value(value, "tablespace")?;
    within(
        "tablespace",
        &spec.name.clone(),
        &place,
        site,
        look,
        |target| {
            let one = tablespace::Tablespaces::alone(spec, &target.paths)?;
            Ok(vec![Box::new(one)])
        },
    )
}

/// A run on objects of one instance: finds the server, does the work, leaves the run state as it was.
fn within(
    kind: &str,
    name: &str,
    place: &Place,
    site: &Site,
    look: &dyn Look,
    stages: impl FnOnce(&Target) -> Result<Vec<Box<dyn AnyStage>>>,
) -> Result<Job> {
    let Addressed {
        mut job,
        target,
        exists,
    } = addressed(&format!("{kind} {name}"), place, site, look)?;
    if exists {
        job.stages.push(Box::new(Service {
            catalogs: true,
            start_temporarily: place.start_temporarily,
            ..Service::leaving(target.clone())
        }));
    }
    job.stages.extend(stages(&target)?);
    if exists {
        job.stages.push(Box::new(Settle {
            target,
            state: instance::desired::State::Present,
            checksums: None,
        }));
    }
    Ok(job)
}

/// A run on something of an instance that exists, or of one that an earlier task would have made.
struct Addressed {
    job: Job,
    target: Target,
    exists: bool,
}

/// An instance that is addressed, whether it is there, and what is to be said if it is not.
struct Located {
    target: Target,
    exists: bool,
    warnings: Vec<String>,
}

/// The instance that is addressed. In check mode an earlier task may be the one that makes it.
fn locate(reference: Option<&InstanceRef>, site: &Site, look: &dyn Look) -> Result<Located> {
    let mut warnings = Vec::new();
    let found = lookup::find(look, &site.settings, reference);
    let (version, instance, exists) = match (found, reference) {
        (Ok((version, instance)), _) => (version, instance, true),
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
    let target = Target::new(&site.settings, look, version, &instance)?;
    Ok(Located {
        target,
        exists,
        warnings,
    })
}

/// An instance that must be there.
pub fn existing(site: &Site, look: &dyn Look, reference: Option<&InstanceRef>) -> Result<Target> {
    let (version, name) = lookup::find(look, &site.settings, reference)?;
    Target::new(&site.settings, look, version, &name)
}

/// The beginning of every run on one: its limits, its lock, and the first look at it.
fn addressed(what: &str, place: &Place, site: &Site, look: &dyn Look) -> Result<Addressed> {
    let Located {
        mut target,
        exists,
        warnings,
    } = locate(place.instance.as_ref(), site, look)?;
    target.patience = target.manner.timeout;
    let mut subject = subject("instance", &target.paths, site);
    subject.name = format!("{what} of instance {}", target.paths);
    let mut job = Job::new(subject);
    job.max_impact = place.max_impact;
    job.wait_for(place.lock_timeout);
    job.warnings = warnings;
    job.stages.push(if exists {
        Box::new(Condition {
            target: target.clone(),
            aim: Aim::Use,
            identifier: None,
        })
    } else {
        Box::new(instance::service::Assumed {
            target: target.clone(),
        })
    });
    Ok(Addressed {
        job,
        target,
        exists,
    })
}

fn is_missing(error: &anyhow::Error) -> bool {
    crate::fault::Fault::is(error, crate::fault::Kind::NotFound)
}

/// Variables by which the programs of components know an instance.
pub fn variables_of_components(
    target: &Target,
    site: &Site,
    look: &dyn Look,
) -> Result<impl Iterator<Item = (String, String)>> {
    let variables = component::environment(&component::View {
        look,
        site: &site.settings,
        paths: &target.paths,
    })?;
    let owned = |(name, value): (&str, String)| (name.to_owned(), value);
    Ok(variables.into_iter().map(owned))
}

/// What a run on an instance locks and journals.
fn subject(kind: &str, paths: &InstancePaths, site: &Site) -> Subject {
    Subject {
        name: format!("{kind} {paths}"),
        lock: Some(paths.lock.clone()),
        mode: LockMode::Change,
        alone: None,
        lock_timeout: site.lock_timeout,
        journal: Some(paths.history.clone()),
    }
}
