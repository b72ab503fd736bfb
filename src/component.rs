//! Satellites of PostgreSQL: programs of their own that an instance is given. A component decides nothing about order: it says
//! what it adds to the host ([`Component::site`]) and to an instance ([`Component::contribute`]), as data and as stages, and
//! the run on the instance merges that with what is wanted anyway (docs/decisions/0018-components.md).
//!
//! To add one: `component/NAME.rs` with its implementation; a line in [`REGISTRY`]; its section of the site settings; where
//! it may be tuned per instance, a field in [`Wishes`] and in the instance's spec.

pub mod item;
pub mod pgbackrest;
pub mod service;

use anyhow::Result;
use camino::Utf8PathBuf;

use self::item::Item;
use self::service::Service;
use crate::backup::BackupTool;
use crate::backup::schedule::Scheduling;
use crate::bail_fault;
use crate::fault::Fault;
use crate::host::Look;
use crate::manifest::{HbaRecord, IdentMapping, RoleSpec};
use crate::settings::{InstancePaths, Settings};
use crate::stage::AnyStage;

/// Every satellite, in the order in which they come to an instance.
pub const REGISTRY: &[&dyn Component] = &[&pgbackrest::PgBackRest];

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
    fn stanza_tool(&self, _: &Settings, _: &str) -> Result<Option<Box<dyn BackupTool>>> {
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
pub struct Wishes<'a> {
    pub pgbackrest: Option<&'a pgbackrest::Spec>,
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

/// What holds the backups of a stanza.
pub fn stanza_tool(site: &Settings, stanza: &str) -> Result<Option<Box<dyn BackupTool>>> {
    for component in REGISTRY {
        if let Some(tool) = component.stanza_tool(site, stanza)? {
            return Ok(Some(tool));
        }
    }
    Ok(None)
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
        if other.scheduling != Scheduling::Unmanaged {
            self.scheduling = other.scheduling;
        }
        self.before_start.extend(other.before_start);
        self.after_roles.extend(other.after_roles);
        Ok(())
    }
}

/// What all components add to the run on an instance.
pub fn contribution(wishes: &Wishes, view: &View) -> Result<Contribution> {
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
