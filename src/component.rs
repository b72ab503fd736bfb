//! Satellites of PostgreSQL: programs of their own that an instance is given. A component decides nothing about order: it says
//! what it adds to the host ([`Component::site`]) and to an instance ([`Component::contribute`]), as data and as stages, and
//! the run on the instance merges that with what is wanted anyway (docs/decisions/0018-components.md).
//!
//! To add one: `component/NAME.rs` with its implementation; a line in [`REGISTRY`]; its section of the site settings; where
//! it may be tuned per instance, a field in [`Wishes`] and in the instance's spec.

pub mod backups;
pub mod basebackup;
pub mod item;
pub mod pgbackrest;
pub mod service;

use anyhow::Result;
use camino::Utf8PathBuf;

use self::item::Item;
use self::service::Service;
use crate::backup::schedule::Scheduling;
use crate::backup::{BackupTool, Method};
use crate::bail_fault;
use crate::fault::Fault;
use crate::host::Look;
use crate::manifest::{HbaRecord, IdentMapping, Presence, RoleSpec};
use crate::settings::{InstancePaths, Settings};
use crate::stage::AnyStage;

/// Every satellite, in the order in which they come to an instance.
pub const REGISTRY: &[&dyn Component] = &[&pgbackrest::PgBackRest, &basebackup::BaseBackup];

/// A satellite.
pub trait Component: Sync {
    /// Directories and files of the host, in the order in which they are made.
    fn site(&self, _: &Settings) -> Vec<Item> {
        Vec::new()
    }

    /// What runs on the host beside the instances, once the files are there.
    fn services(&self, _: &Settings) -> Vec<Service> {
        Vec::new()
    }

    /// The units of all services that it may have, whatever the settings say.
    fn units(&self) -> &'static [&'static str] {
        &[]
    }

    /// Files that it has with other settings, and not with these.
    fn former(&self, _: &Settings) -> Vec<Item> {
        Vec::new()
    }

    /// What the host lacks of what it needs.
    fn lacks(&self, _: &dyn Look, _: &Settings) -> Result<Vec<Lack>> {
        Ok(Vec::new())
    }

    /// What is to be said before its files are overwritten.
    fn objections(&self, _: &dyn Look, _: &Settings) -> Result<Vec<Objection>> {
        Ok(Vec::new())
    }

    /// What an instance gets, or loses, of it.
    fn contribute(&self, _: &Wishes, _: &View) -> Result<Contribution> {
        Ok(Contribution::default())
    }

    /// Variables by which its programs know the instance, for whoever works with it.
    fn environment(&self, _: &View) -> Result<Vec<(&'static str, String)>> {
        Ok(Vec::new())
    }

    /// What is done before an instance goes, whatever was said of it.
    fn retract(&self, _: &View, _: Removed) -> Result<Vec<Box<dyn AnyStage>>> {
        Ok(Vec::new())
    }

    /// What holds the backups of a stanza, whatever cluster they are of.
    fn stanza_tool(
        &self,
        _: &Settings,
        _: &str,
        _: &dyn Look,
    ) -> Result<Option<Box<dyn BackupTool>>> {
        Ok(None)
    }

    /// What takes the backups of an instance, where this component does.
    fn backup_tool(&self, _: &View) -> Result<Option<Box<dyn BackupTool>>> {
        Ok(None)
    }
}

/// Something that a component needs of the host and that is missing, too old or not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    pub path: Utf8PathBuf,
    pub fault: Fault,
}

/// Why files of the site had better not become what the settings give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// They must not.
    Refused(Fault),
    /// Somebody should look first.
    Doubtful(String),
}

/// What is said of the components of an instance; what is left out is left as it is.
#[derive(Debug, Default)]
pub struct Wishes {
    pub pgbackrest: Option<pgbackrest::Spec>,
    pub basebackup: Option<basebackup::Spec>,
}

impl Wishes {
    /// One method of backups at the most: there is one `archive_command`.
    ///
    /// # Errors
    /// When what is said contradicts itself.
    pub fn new(
        method: Option<Method>,
        pgbackrest: Option<&pgbackrest::Spec>,
        basebackup: Option<&basebackup::Spec>,
    ) -> Result<Self> {
        let mut wishes = Self {
            pgbackrest: pgbackrest.cloned(),
            basebackup: basebackup.cloned(),
        };
        match method {
            Some(Method::PgBackRest) => _ = wishes.pgbackrest.get_or_insert_default(),
            Some(Method::BaseBackup) => _ = wishes.basebackup.get_or_insert_default(),
            None => {}
        }
        let said = wishes.said();
        if let Some(method) = method
            && let Some((other, wanted)) = said
                .iter()
                .find(|(said, wanted)| (*said == method) != *wanted)
        {
            let (name, other) = (method.name(), other.name());
            let state = if *wanted { "present" } else { "absent" };
            bail_fault!(
                Input,
                "`backup_method: {name}` and `{other}` with `state: {state}` contradict each other";
                "an instance is backed up by one of both"
            );
        }
        if said.iter().filter(|(_, wanted)| *wanted).count() > 1 {
            bail_fault!(
                Input,
                "`pgbackrest` and `basebackup` are both given: an instance is backed up by one of them";
                "a server has one `archive_command`: leave one of them out"
            );
        }
        Ok(wishes)
    }

    /// The methods of which something is said, and whether they are wanted.
    fn said(&self) -> Vec<(Method, bool)> {
        let all = [
            (
                Method::PgBackRest,
                self.pgbackrest.as_ref().map(|own| own.state),
            ),
            (
                Method::BaseBackup,
                self.basebackup.as_ref().map(|own| own.state),
            ),
        ];
        let said = all
            .into_iter()
            .filter_map(|(method, state)| Some((method, state?)));
        said.map(|(method, state)| (method, state == Presence::Present))
            .collect()
    }

    /// A live instance does not change its method by the way.
    fn check(&self, view: &View) -> Result<()> {
        let wanted = self.said().into_iter().find(|(_, wanted)| *wanted);
        if let Some((wanted, _)) = wanted
            && let Some(present) = backup_tool(view)?
            && present.method() != wanted
        {
            let (paths, method) = (view.paths, present.method().name());
            bail_fault!(
                Conflict,
                "instance `{paths}` is backed up by {} (stanza `{}`), not by {}: a live instance does not change that by the way",
                present.name(), present.stanza(), wanted.title();
                "end it first, with `{method}: {{state: absent}}` in a run of its own; its backups stay. Nothing was changed"
            );
        }
        Ok(())
    }
}

/// The instance that is meant.
pub struct View<'a> {
    pub look: &'a dyn Look,
    pub site: &'a Settings,
    pub paths: &'a InstancePaths,
}

/// Variables by which the programs of all components know the instance.
pub fn environment(view: &View) -> Result<Vec<(&'static str, String)>> {
    let mut variables = Vec::new();
    for component in REGISTRY {
        variables.extend(component.environment(view)?);
    }
    Ok(variables)
}

/// What takes the backups of an instance.
pub fn backup_tool(view: &View) -> Result<Option<Box<dyn BackupTool>>> {
    for component in REGISTRY {
        if let Some(tool) = component.backup_tool(view)? {
            return Ok(Some(tool));
        }
    }
    Ok(None)
}

/// How an instance goes.
#[derive(Debug, Clone, Copy)]
pub struct Removed {
    /// Its backups go too.
    pub delete_backups: bool,
}

/// What holds the backups of a stanza: where there are several, the one that knows it.
pub fn stanza_tool(
    site: &Settings,
    stanza: &str,
    look: &dyn Look,
) -> Result<Option<Box<dyn BackupTool>>> {
    let mut tools = Vec::new();
    for component in REGISTRY {
        tools.extend(component.stanza_tool(site, stanza, look)?);
    }
    let mut place = 0;
    if tools.len() > 1 {
        let knows = |tool: &dyn BackupTool| {
            let known = tool.catalogue(look);
            known.is_ok_and(|catalogue| catalogue.cluster().is_some())
        };
        place = tools
            .iter()
            .position(|tool| knows(tool.as_ref()))
            .unwrap_or_default();
    }
    Ok(tools.into_iter().nth(place))
}

/// What a component adds to the run on an instance.
#[derive(Default)]
pub struct Contribution {
    /// Parameters of postgresql.conf; without a value: taken away. What the user sets wins.
    pub parameters: Vec<(&'static str, Option<String>)>,
    /// Parameters that stay although nothing is said of them.
    pub keeps: Vec<&'static str>,
    pub roles: Vec<RoleSpec>,
    /// Records at the head of the two files of authentication.
    pub hba: Vec<HbaRecord>,
    pub ident: Vec<IdentMapping>,
    /// What must be there when the server starts.
    pub before_start: Vec<Box<dyn AnyStage>>,
    /// The backups that are taken by themselves.
    pub scheduling: Scheduling,
    /// What needs a server that runs, and the roles.
    pub after_roles: Vec<Box<dyn AnyStage>>,
}

impl Contribution {
    /// Takes in what another component adds. Two that want different values of one parameter do not go together.
    fn merge(&mut self, other: Self) -> Result<()> {
        for (name, value) in other.parameters {
            match self.parameters.iter().find(|(known, _)| *known == name) {
                None => self.parameters.push((name, value)),
                Some((_, known)) if *known == value => {}
                Some(_) => {
                    bail_fault!(Conflict, "two components want different values of `{name}`")
                }
            }
        }
        self.keeps.extend(other.keeps);
        self.roles.extend(other.roles);
        self.hba.extend(other.hba);
        self.ident.extend(other.ident);
        // That one is not, or no longer, there ends nothing of another.
        let ends = other.scheduling == Scheduling::Ended;
        if other.scheduling != Scheduling::Unmanaged
            && !(ends && matches!(self.scheduling, Scheduling::As(_)))
        {
            self.scheduling = other.scheduling;
        }
        self.before_start.extend(other.before_start);
        self.after_roles.extend(other.after_roles);
        Ok(())
    }
}

/// What all components add to the run on an instance.
pub fn contribution(wishes: &Wishes, view: &View) -> Result<Contribution> {
    wishes.check(view)?;
    let mut all = Contribution::default();
    for component in REGISTRY {
        all.merge(component.contribute(wishes, view)?)?;
    }
    Ok(all)
}

/// What all components do when an instance goes.
pub fn retraction(view: &View, removed: Removed) -> Result<Vec<Box<dyn AnyStage>>> {
    let mut stages = Vec::new();
    for component in REGISTRY {
        stages.extend(component.retract(view, removed)?);
    }
    Ok(stages)
}
