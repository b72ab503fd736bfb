//! The configuration of a restored copy: it becomes that of the new instance, and archives nothing.

use anyhow::Result;
use camino::Utf8PathBuf;

use super::fetch::object;
use crate::bail_fault;
use crate::component::backups::archiving::PARAMETERS;
use crate::host::Look;
use crate::manifest::{Setting, Settings};
use crate::pg::conf::Conf;
use crate::plan::{Content, Plan, Step};
use crate::resource::Site;
use crate::resource::instance::configuration::{Configuration, Seen};
use crate::resource::instance::target::{DEFAULT_PORT, Target};
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
        // One that was there before stays where it was.
        let before = look.read(&target.paths.config_file)?.unwrap_or_default();
        let before = Conf::parse_leniently(&before).get("port");
        let port = port
            .or_else(|| before.and_then(|port| port.parse().ok()))
            .or_else(|| templates.port())
            .or(Some(DEFAULT_PORT));
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

/// The configuration, and what the restore has written above it.
pub struct Copied {
    configuration: Seen,
    auto: Vec<u8>,
}

impl Stage for Follow {
    type Seen = Copied;

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

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Copied> {
        let path = &self.target.paths.config_file;
        if look.stat(path)?.is_none() {
            bail_fault!(
                Conflict,
                "the backup holds no postgresql.conf (`{path}`): that of its cluster lies outside of the data directory";
                "restore into a `directory`, and put the files of its configuration there"
            );
        }
        let mut configuration = self.configuration.observe(look, world)?;
        // What this run takes away there is in nobody's way.
        configuration
            .reading
            .assignments
            .retain(|found| found.name != "archive_mode" || found.file != self.auto_file());
        Ok(Copied {
            configuration,
            auto: look.read(&self.auto_file())?.unwrap_or_default(),
        })
    }

    fn plan(&self, seen: &Copied) -> Result<Plan> {
        let mut plan = self.configuration.plan(&seen.configuration)?;
        // Until here it has kept the copy from archiving; now postgresql.conf does, and may be changed.
        let mut auto = Conf::parse(&seen.auto)?;
        if auto.unset("archive_mode")
            && let Some(change) = plan.changes.last_mut()
        {
            let content = Content::Bytes(auto.render());
            change
                .steps
                .push(Step::write(&self.auto_file(), content, 0o600));
        }
        Ok(plan)
    }
}

impl Follow {
    fn auto_file(&self) -> Utf8PathBuf {
        self.target.paths.datadir.join("postgresql.auto.conf")
    }
}
