//! Satellites of PostgreSQL: programs of their own that an instance is given. A component decides nothing about order: it says
//! what it adds to the host ([`Component::site`]) and to an instance ([`Component::contribute`]), as data and as stages, and
//! the run on the instance merges that with what is wanted anyway (docs/decisions/0018-components.md).
//!
//! To add one: `component/NAME.rs` with its implementation; a line in [`REGISTRY`]; its section of the site settings; where
//! it may be tuned per instance, a field in [`Wishes`] and in the instance's spec.

pub mod item;
pub mod pgbackrest;

use anyhow::Result;
use camino::Utf8Path;

use self::item::Item;
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

    /// What an instance gets, or loses, of it.
    fn contribute(&self, _: &Wishes, _: &View) -> Result<Contribution> {
        Ok(Contribution::default())
    }

    /// What is done after an instance is gone, whatever was said of it.
    fn retract(&self, _: &View, _: &Removed) -> Vec<Box<dyn AnyStage>> {
        Vec::new()
    }
}

/// What is said of the components of an instance; what is left out is left as it is.
#[derive(Debug, Default)]
pub struct Wishes<'a> {
    pub pgbackrest: Option<&'a pgbackrest::Spec>,
}

/// The instance that is meant.
pub struct View<'a> {
    pub site: &'a Settings,
    pub paths: &'a InstancePaths,
    pub bindir: &'a Utf8Path,
}

/// How an instance goes.
#[derive(Debug, Clone, Copy)]
pub struct Removed {
    /// Its backups go too.
    pub delete_backups: bool,
}

/// What a component adds to the run on an instance.
#[derive(Default)]
pub struct Contribution {
    /// Parameters of postgresql.conf; without a value: taken away. What the user sets wins.
    pub parameters: Vec<(&'static str, Option<String>)>,
    pub roles: Vec<RoleSpec>,
    /// Records at the head of the two files of authentication.
    pub hba: Vec<HbaRecord>,
    pub ident: Vec<IdentMapping>,
    /// What must be there when the server starts.
    pub before_start: Vec<Box<dyn AnyStage>>,
    /// What needs a server that runs, and the roles.
    pub after_roles: Vec<Box<dyn AnyStage>>,
}
