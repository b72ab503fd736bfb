//! The configuration of a restored copy: it becomes that of the new instance, and archives nothing.

use anyhow::Result;

use super::fetch::object;
use crate::bail_fault;
use crate::component::pgbackrest::archiving::PARAMETERS;
use crate::host::Look;
use crate::manifest::{Setting, Settings};
use crate::plan::Plan;
use crate::resource::Site;
use crate::resource::instance::configuration::{Configuration, Seen};
use crate::resource::instance::target::Target;
use crate::resource::instance::templates::Templates;
use crate::stage::{Sight, Stage, World};

/// Parameters that tell instances apart: as the site's template has them.
const OWN: [&str; 5] = [
    "cluster_name",
    "log_directory",
    "log_filename",
    "port",
    "unix_socket_directories",
];

/// Brings the restored configuration to what a new instance needs.
pub struct Follow {
    target: Target,
    configuration: Configuration,
}

impl Follow {
    pub fn new(target: &Target, port: Option<u16>, site: &Site, look: &dyn Look) -> Result<Self> {
        let templates = Templates::observe(
            look,
            &site.settings,
            site.config_dir.as_ref(),
            &target.paths,
            None,
        )?;
        let own = templates.parameters.iter();
        let mut settings: Settings = own
            .filter(|(name, _)| OWN.contains(&name.as_str()) && name != "port")
            .map(|(name, value)| (name.clone(), Setting(Some(value.clone()))))
            .collect();
        for name in PARAMETERS {
            if name != "wal_level" {
                settings.insert(name.to_owned(), Setting(None));
            }
        }
        let port = port.or_else(|| templates.port());
        Ok(Self {
            target: target.clone(),
            configuration: Configuration {
                target: target.clone(),
                port,
                first_port: port.unwrap_or_default(),
                templates,
                settings,
                purge: false,
                keeps: Vec::new(),
                site: None,
                text: None,
                alone: false,
                assumed: false,
            },
        })
    }
}

impl Stage for Follow {
    type Seen = Seen;

    fn name(&self) -> String {
        self.configuration.name()
    }

    fn sight(&self, world: &World) -> Sight {
        match world.changed.get(&object(&self.target)) {
            Some(false) => Sight::Hidden(
                "port, names and archiving are set once the configuration has been restored".into(),
            ),
            _ => Sight::Look,
        }
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let path = &self.target.paths.config_file;
        if look.stat(path)?.is_none() {
            bail_fault!(
                Conflict,
                "the backup holds no postgresql.conf (`{path}`): that of its cluster lies outside of the data directory";
                "restore into a `directory`, and put the files of its configuration there"
            );
        }
        self.configuration.observe(look, world)
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        self.configuration.plan(seen)
    }
}
