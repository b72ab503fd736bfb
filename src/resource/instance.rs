//! Instances: a cluster, its configuration, its run state, and the roles, tablespaces and databases nested in it.
//! Each is a stage of its own; this file strings them together.

pub mod accepted;
pub mod adoption;
pub mod busy;
pub mod checksums;
pub mod cluster;
pub mod condition;
pub mod configuration;
mod contradictions;
pub mod desired;
pub mod directory;
pub mod discovery;
pub mod explain;
pub mod foreground;
pub mod forgetting;
pub mod heeding;
pub mod hold;
pub mod keeper;
pub mod kept;
pub mod logs;
pub mod lookup;
mod mounts;
pub mod passfile;
pub mod pending;
pub mod protection;
pub mod reading;
pub mod record;
pub mod registration;
pub mod removal;
pub mod replication;
pub mod report;
pub mod runner;
pub mod service;
pub mod target;
pub mod templates;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use self::accepted::Accepted;
use self::adoption::{Adoption, Unseen};
use self::cluster::{Cluster, Traits};
use self::condition::{Aim, Condition};
use self::configuration::Configuration;
use self::contradictions::{check, check_owners};
use self::desired::{InstanceSpec, State};
use self::discovery::Wish;
use self::forgetting::Forgetting;
use self::hold::NotHeld;
use self::lookup::Identity;
use self::passfile::Passfile;
use self::protection::Protection;
use self::registration::{Reachable, Registration};
use self::removal::{How, Removal};
use self::report::{Report, Traits as Chosen};
use self::service::{Service, Settle};
use self::target::{DEFAULT_PORT, Target};
use self::templates::Templates;
use crate::backup::schedule::Scheduling;
use crate::bail_fault;
use crate::component::{self, Contribution};
use crate::host::Look;
use crate::manifest::{
    DatabaseSpec, HbaRecord, IdentMapping, InstanceRef, Membership, Presence, RoleSpec, Setting,
    Settings, TablespaceSpec, UpdatePassword,
};
use crate::pg::hba::Record;
use crate::pg::ident_map::Mapping;
use crate::pg::version::Major;
use crate::resource::access;
use crate::resource::authentication;
use crate::resource::backup::schedule::Timers;
use crate::resource::database;
use crate::resource::expect::NewInstance;
use crate::resource::role::Roles;
use crate::resource::tablespace::Tablespaces;
use crate::resource::{Job, Site, subject};
use crate::secret::Secret;
use crate::settings::Initdb;
use crate::stage::AnyStage;

/// The run that brings an instance to what is wanted.
pub fn job(spec: InstanceSpec, site: &Site, look: &dyn Look) -> Result<Job> {
    let (target, adoption) = match target(&spec, site, look) {
        Err(error) => return unseen(&spec, site, look, error),
        Ok(found) => found,
    };
    match spec.state {
        State::Absent => declared_absent(&spec, target, site, look),
        State::Forgotten => {
            let mut job = Job::new(subject("instance", &target.paths, site));
            spec.shape(&mut job);
            let timers = Timers::new(&target.paths, site, Scheduling::Ended);
            job.stages.push(Box::new(Forgetting { target }));
            job.stages.push(Box::new(timers));
            Ok(job)
        }
        _ => present(spec, target, adoption, site, look),
    }
}

/// A cluster that is to be adopted, on a host where nothing tells of it yet: check mode has nothing to say.
fn unseen(spec: &InstanceSpec, site: &Site, look: &dyn Look, error: anyhow::Error) -> Result<Job> {
    let explained =
        site.check && spec.adopt && Unseen::explains(&error, look, &site.settings, spec.version)?;
    if !explained {
        return Err(error);
    }
    let paths = site.settings.paths(version(spec, site, look)?, &spec.name);
    let mut job = Job::new(subject("instance", &paths, site));
    spec.shape(&mut job);
    job.stages.push(Box::new(Unseen { paths }));
    Ok(job)
}

fn present(
    spec: InstanceSpec,
    target: Target,
    adoption: Option<Adoption>,
    site: &Site,
    look: &dyn Look,
) -> Result<Job> {
    let mut job = begun(&spec, &target, site)?;
    if let Some(adoption) = adoption {
        // It knows best why a cluster cannot be taken.
        job.stages.insert(0, Box::new(adoption));
    }
    job.stages
        .extend(crate::resource::site::ground(look, site)?);
    let mut templates = Templates::observe(
        look,
        &site.settings,
        site.config_dir.as_ref(),
        &target.paths,
        spec.auth.as_ref(),
    )?;
    let components = components(&spec, &target, site, look)?;
    templates.access = authentication::declared(&components, target.paths.version)?;
    let port = spec.port.and_then(|port| u16::try_from(port).ok());
    let first_port = port.or_else(|| templates.port()).unwrap_or(DEFAULT_PORT);
    let near = if spec.create {
        None
    } else {
        lookup::near(&lookup::list(look, &site.settings)?, &spec.name)
    };
    job.stages.push(Box::new(Cluster {
        target: target.clone(),
        traits: traits(&spec, &site.settings.postgresql.initdb),
        port: first_port,
        create: spec.create,
        recreate: spec.recreate,
        near,
        mountpoint: site.settings.mountpoint(&target.paths),
    }));
    job.stages.push(Box::new(Chosen {
        target: target.clone(),
        spec: chosen(&spec, templates.methods(&target.paths, spec.auth.as_ref())?),
    }));
    job.stages.push(Box::new(Configuration {
        target: target.clone(),
        templates,
        port,
        first_port,
        settings: parameters(&spec, &components),
        purge: spec.settings_purge,
        keeps: components.keeps,
        site: Some(site.settings.clone()),
        text: None,
        alone: false,
        assumed: false,
    }));
    job.stages
        .extend(access(&components.hba, &components.ident, &target)?);
    job.stages.push(Box::new(Accepted::new(
        &target,
        spec.state,
        spec.restarts()?,
    )));
    job.stages.push(Box::new(Registration {
        target: target.clone(),
        settings: site.settings.clone(),
        wanted: true,
    }));
    job.stages.extend(components.before_start);
    job.stages.push(Box::new(Protection {
        target: target.clone(),
        wanted: spec.deletion_protection,
    }));
    job.stages
        .extend(running(&spec, components.roles, &target, site)?);
    job.stages.extend(components.after_roles);
    if components.scheduling != Scheduling::Unmanaged {
        let timers = Timers::new(&target.paths, site, components.scheduling);
        job.stages.push(Box::new(timers));
    }
    job.stages.push(Box::new(Settle {
        target: target.clone(),
        state: spec.state,
        checksums: spec.data_checksums,
    }));
    job.stages.push(Box::new(Report { target }));
    Ok(job)
}

/// What the components add to the files of authentication.
fn access(
    hba: &[HbaRecord],
    ident: &[IdentMapping],
    target: &Target,
) -> Result<Vec<Box<dyn AnyStage>>> {
    let mut stages = Vec::new();
    if !hba.is_empty() {
        stages.push(authentication::contributed::<Record>(target, hba)?);
    }
    if !ident.is_empty() {
        stages.push(authentication::contributed::<Mapping>(target, ident)?);
    }
    Ok(stages)
}

/// What the components of an instance add to its run.
fn components(
    spec: &InstanceSpec,
    target: &Target,
    site: &Site,
    look: &dyn Look,
) -> Result<Contribution> {
    let wishes = component::Wishes::new(
        spec.backup_method,
        spec.pgbackrest.as_ref(),
        spec.basebackup.as_ref(),
    )
    .with_context(|| format!("instance `{}`", target.paths))?;
    let view = component::View {
        look,
        site: &site.settings,
        paths: &target.paths,
    };
    component::contribution(&wishes, &view)
}

/// What components want of postgresql.conf, and what the user does: the latter wins.
fn parameters(spec: &InstanceSpec, components: &Contribution) -> Settings {
    let theirs = components.parameters.iter();
    let mut settings: Settings = theirs
        .map(|(name, value)| ((*name).to_owned(), Setting(value.clone())))
        .collect();
    for (name, value) in spec.settings.iter().flatten() {
        settings.insert(name.to_lowercase(), value.clone());
    }
    settings
}

/// The server, started where that is wanted or needed, and what is in it.
fn running(
    spec: &InstanceSpec,
    own: Vec<RoleSpec>,
    target: &Target,
    site: &Site,
) -> Result<Vec<Box<dyn AnyStage>>> {
    let roles = roles(spec, own, site);
    let databases = spec.databases.clone().unwrap_or_default();
    let tablespaces = spec.tablespaces.clone().unwrap_or_default();
    let placed = !(tablespaces.is_empty() && databases.is_empty());
    let mut stages: Vec<Box<dyn AnyStage>> = Vec::new();
    stages.push(Box::new(Service {
        target: target.clone(),
        state: spec.state,
        restarts: spec.restarts()?,
        checksums: spec.data_checksums,
        catalogs: !roles.wanted.is_empty() || placed,
        own_roles_only: roles.own_only && !placed,
        start_temporarily: spec.start_temporarily,
    }));
    stages.push(Box::new(Passfile {
        target: target.clone(),
    }));
    stages.extend(inner(roles, tablespaces, databases, target)?);
    Ok(stages)
}

/// A run that makes or changes an instance, with the first look at it.
fn begun(spec: &InstanceSpec, target: &Target, site: &Site) -> Result<Job> {
    let mut job = Job::new(subject("instance", &target.paths, site));
    spec.shape(&mut job);
    job.warnings.extend(newer(target.paths.version));
    job.stages.push(Box::new(Condition {
        target: target.clone(),
        aim: Aim::Use,
        identifier: identifier(spec)?,
    }));
    Ok(job)
}

/// Its roles, tablespaces and databases, each after what it needs; what goes, goes in the contrary order.
fn inner(
    roles: WantedRoles,
    tablespaces: Vec<TablespaceSpec>,
    databases: Vec<DatabaseSpec>,
    target: &Target,
) -> Result<Vec<Box<dyn AnyStage>>> {
    check_owners(&roles.wanted, &tablespaces, &databases)?;
    let [places, emptied] = Tablespaces::new(tablespaces, &target.paths)?;
    let [there, gone] = Roles::new(roles.wanted, target.paths.clone())?
        .on_stopped(roles.own_only)
        .split();
    let mut stages: Vec<Box<dyn AnyStage>> = vec![Box::new(there)];
    stages.extend(access::taken_over(target));
    stages.push(Box::new(places));
    stages.extend(database::stages(databases, target.paths.clone(), false)?);
    stages.push(Box::new(emptied));
    stages.push(Box::new(gone));
    Ok(stages)
}

/// The run that takes an instance away.
pub fn removal_job(target: Target, site: &Site, look: &dyn Look, how: How) -> Result<Job> {
    let view = component::View {
        look,
        site: &site.settings,
        paths: &target.paths,
    };
    let removed = component::Removed {
        delete_backups: how.delete_backups,
    };
    let retracted = component::retraction(&view, removed)?;
    let mut job = Job::new(subject("instance", &target.paths, site));
    job.stages.push(Box::new(NotHeld {
        target: target.clone(),
        done: "dropped",
    }));
    job.stages.push(Box::new(Condition {
        target: target.clone(),
        aim: Aim::Remove,
        identifier: None,
    }));
    job.stages.push(Box::new(Registration {
        target: target.clone(),
        settings: site.settings.clone(),
        wanted: false,
    }));
    let timers = Timers::new(&target.paths, site, Scheduling::Ended);
    job.stages.push(Box::new(Removal {
        dumps_are_shared: site.settings.dumps_are_shared(),
        target,
        how,
    }));
    job.stages.push(Box::new(timers));
    job.stages.extend(retracted);
    Ok(job)
}

fn declared_absent(
    spec: &InstanceSpec,
    target: Target,
    site: &Site,
    look: &dyn Look,
) -> Result<Job> {
    let how = How {
        asked: false,
        keep_data: spec.keep_data,
        delete_dumps: spec.delete_dumps,
        delete_backups: spec.delete_backups,
    };
    let mut job = removal_job(target, site, look, how)?;
    spec.shape(&mut job);
    Ok(job)
}

fn newer(version: Major) -> Option<String> {
    let known = Major::NEWEST_KNOWN;
    (version > known)
        .then(|| format!("PostgreSQL {version} is newer than this program knows (up to {known})"))
}

/// The instance that is meant; with the stage that makes it one, where a cluster is to be adopted.
fn target(spec: &InstanceSpec, site: &Site, look: &dyn Look) -> Result<(Target, Option<Adoption>)> {
    check(spec)?;
    let (mut target, adoption) = placed(spec, site, look)?;
    target.manner = target.manner.within(spec.timeout);
    if !matches!(spec.state, State::Stopped | State::Absent) {
        target.patience = target.manner.timeout;
    }
    target.boot = match spec.state {
        State::Started | State::Restarted | State::Reloaded => Some(true),
        State::Stopped => Some(false),
        State::Present | State::Absent | State::Forgotten => None,
    };
    Ok((target, adoption))
}

fn placed(spec: &InstanceSpec, site: &Site, look: &dyn Look) -> Result<(Target, Option<Adoption>)> {
    if spec.adopt {
        let wish = Wish {
            version: spec.version,
            name: spec.name.clone(),
            datadir: spec.datadir.clone(),
            config_file: spec.config_file.clone(),
        };
        let (target, adoption) = adoption::begin(look, &site.settings, wish)?;
        return Ok((target, Some(adoption)));
    }
    let version = version(spec, site, look)?;
    // Whatever has become of it: what is let go of, or refused, need not be there.
    let target = if matches!(spec.state, State::Absent | State::Forgotten) {
        Target::recorded(&site.settings, look, version, &spec.name)?
    } else {
        Target::new(&site.settings, look, version, &spec.name)?
    };
    Ok((target, None))
}

/// The same for an instance that must not exist yet.
pub fn create_job(spec: InstanceSpec, site: &Site, look: &dyn Look) -> Result<Job> {
    let (target, _) = target(&spec, site, look)?;
    let mut job = job(spec, site, look)?;
    job.stages.insert(0, Box::new(NewInstance { target }));
    Ok(job)
}

/// The same for an existing instance: what is not given stays, whether it runs too.
pub fn alter_job(
    (version, name): &Identity,
    mut wanted: Map<String, Value>,
    site: &Site,
    look: &dyn Look,
) -> Result<Job> {
    wanted.insert("name".into(), name.as_str().into());
    wanted.insert("version".into(), json!(version));
    wanted.insert("create".into(), false.into());
    wanted
        .entry("state")
        .or_insert_with(|| json!(State::Present));
    let spec: InstanceSpec = crate::input::from_json(Value::Object(wanted), "instance")?;
    if spec.gives_passwords()
        && spec.state != State::Started
        && !spec.start_temporarily
        && Target::new(&site.settings, look, *version, name)?
            .running(look)?
            .is_none()
    {
        bail_fault!(
            Unavailable,
            "instance `{version}/{name}` is stopped: passwords of its roles can be neither compared nor set";
            "add `--start-temporarily` to start it for the time of this run, or `--state started`; nothing was changed"
        );
    }
    job(spec, site, look)
}

/// A run that starts, stops, restarts or reloads an existing instance and does nothing else. What is as
/// wanted already is a warning; a stopped server has nothing to reload.
pub fn service_job(mut target: Target, state: State, site: &Site, look: &dyn Look) -> Result<Job> {
    if state != State::Stopped {
        target.patience = target.manner.timeout;
    }
    let running = target.running(look)?.is_some();
    let mut job = Job::new(subject("instance", &target.paths, site));
    match (state, running) {
        (State::Started, true) => job
            .warnings
            .push(format!("instance `{}` is started already", target.paths)),
        (State::Stopped, false) => job
            .warnings
            .push(format!("instance `{}` is stopped already", target.paths)),
        (State::Reloaded, false) => bail_fault!(
            Unavailable,
            "instance `{}` is stopped: there is no server to reload", target.paths;
            "start it with `pgsocle instance start {}`", target.paths
        ),
        _ => {}
    }
    if (state, running) != (State::Started, true) && (state, running) != (State::Stopped, false) {
        job.stages.push(Box::new(Reachable {
            settings: site.settings.clone(),
        }));
    }
    job.stages
        .push(Box::new(Accepted::new(&target, state, false)));
    job.stages.push(Box::new(Condition {
        target: target.clone(),
        aim: if state == State::Stopped {
            Aim::Stop
        } else {
            Aim::Use
        },
        identifier: None,
    }));
    job.stages.push(Box::new(Service {
        target: target.clone(),
        state,
        restarts: false,
        checksums: None,
        catalogs: false,
        own_roles_only: false,
        start_temporarily: false,
    }));
    job.stages.push(Box::new(Passfile {
        target: target.clone(),
    }));
    job.stages.push(Box::new(Settle {
        target: target.clone(),
        state,
        checksums: None,
    }));
    job.stages.push(Box::new(Report { target }));
    Ok(job)
}

/// The system identifier that was given: a number in a string, since it has more digits than numbers of JSON may have.
fn identifier(spec: &InstanceSpec) -> Result<Option<u64>> {
    match &spec.system_identifier {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(identifier) => Ok(Some(identifier)),
            Err(_) => bail_fault!(
                Input,
                "instance `{}`: `system_identifier` is no number: `{text}`", spec.name;
                "`pg_controldata` tells it"
            ),
        },
    }
}

/// What initdb is told: by the instance, else by the site.
fn traits(spec: &InstanceSpec, initdb: &Initdb) -> Traits {
    Traits {
        // The site's libc locale says nothing to another provider.
        locale: spec.locale.clone().or_else(|| initdb.locale.clone()),
        locale_provider: spec.locale_provider,
        icu_locale: spec.icu_locale.clone(),
        encoding: spec.encoding.clone().or_else(|| initdb.encoding.clone()),
        data_checksums: spec.data_checksums.or(initdb.data_checksums),
        allow_group_access: initdb.allow_group_access == Some(true),
    }
}

fn chosen(spec: &InstanceSpec, auth: Vec<Record>) -> report::Choice {
    report::Choice {
        auth,
        locale: spec.locale.clone(),
        encoding: spec.encoding.clone(),
        locale_provider: spec.locale_provider,
        icu_locale: spec.icu_locale.clone(),
    }
}

/// Said; or that of the only instance of the name, so that a new major on the host makes no second one; or the site's.
fn version(spec: &InstanceSpec, site: &Site, look: &dyn Look) -> Result<Major> {
    if let Some(version) = spec.version {
        if version < Major::OLDEST {
            bail_fault!(
                Unsupported,
                "instance `{}`: PostgreSQL {version} is older than what is supported", spec.name;
                "give a `version` from {} on", Major::OLDEST
            );
        }
        return Ok(version);
    }
    let named: Vec<Major> = lookup::list(look, &site.settings)?
        .into_iter()
        .filter_map(|(version, name)| (name == spec.name).then_some(version))
        .collect();
    match named[..] {
        [only] => return Ok(only),
        [] if spec.state == State::Absent => {
            let reference = InstanceRef {
                version: None,
                name: Some(spec.name.clone()),
            };
            if let Some((left, _)) = lookup::remains(look, &site.settings, &reference)? {
                return Ok(left);
            }
        }
        [] => {}
        _ if named.len() > 1 && site.settings.postgresql.default_version.is_none() => bail_fault!(
            Input,
            "instance `{}` exists in several majors: {}", spec.name, named.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            "give `version`"
        ),
        _ => {}
    }
    // On a bare host check mode predicts what the packages to come will most likely bring.
    Ok(lookup::default_version(look, &site.settings)?.unwrap_or(Major::NEWEST_KNOWN))
}

struct WantedRoles {
    wanted: Vec<RoleSpec>,
    /// Nothing but what the instance itself brings along: no reason to start a stopped server.
    own_only: bool,
}

/// The instance's own roles, then the declared ones; a declared role of the same name adds to ours.
fn roles(spec: &InstanceSpec, mut own: Vec<RoleSpec>, site: &Site) -> WantedRoles {
    let settings = &site.settings.postgresql;
    let declared = spec.roles.clone().unwrap_or_default();
    if let Some(password) = &spec.surole_password {
        own.push(RoleSpec {
            password: Some(password.clone()),
            pgpass: settings.surole.pgpass.then_some(true),
            ..RoleSpec::named(&settings.surole.name)
        });
    }
    if let Some(name) = &settings.replrole {
        own.push(RoleSpec {
            login: Some(true),
            replication: Some(true),
            password: spec.replrole_password.clone(),
            memberships: Some(vec![Membership {
                role: "pg_read_all_stats".into(),
                state: Presence::Present,
            }]),
            ..RoleSpec::named(name)
        });
    }
    own.retain(|role| !declared.iter().any(|other| other.name == role.name));
    WantedRoles {
        own_only: declared.is_empty() && !(spec.gives_passwords() && spec.start_temporarily),
        wanted: own.into_iter().chain(declared).collect(),
    }
}

impl RoleSpec {
    /// A role of which nothing is said but its name.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            state: Presence::Present,
            password: None::<Secret>,
            encrypted_password: None,
            update_password: UpdatePassword::Always,
            drop_owned: false,
            reassign_owned: None,
            inherit: None,
            login: None,
            superuser: None,
            createdb: None,
            createrole: None,
            replication: None,
            bypassrls: None,
            connection_limit: None,
            valid_until: None,
            memberships: None,
            memberships_purge: false,
            settings: None,
            settings_purge: false,
            comment: None,
            hba_records: None,
            pgpass: None,
        }
    }
}
