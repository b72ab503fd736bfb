//! What is managed on the host, as a function of the site settings and the templates.

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use crate::component;
use crate::component::item::{Item, Purpose, What, is_own};
use crate::fault;
use crate::host::{Look, Privileges};
use crate::manager::word;
use crate::settings::{Settings, expand};

/// The unit of all instances.
pub const UNIT: &str = "pgsocle-postgresql@.service";
/// The rules for the directories of PostgreSQL.
pub const RULES: &str = "pgsocle-postgresql.conf";

const USER_UNIT: &str = include_str!("../../templates/systemd/user.service");
const SYSTEM_UNIT: &str = include_str!("../../templates/systemd/system.service");
const LOGROTATE: &str = include_str!("../../templates/logrotate/postgresql.conf");
const RSYSLOG: &str = include_str!("../../templates/rsyslog/postgresql.conf");

/// The templates of the site's files: shipped, or the site's own from its configuration directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates {
    unit: String,
    logrotate: String,
    rsyslog: String,
}

impl Templates {
    pub fn shipped(site: &Settings) -> Self {
        let user = site.systemd.as_ref().is_none_or(|systemd| systemd.user);
        Self {
            unit: if user { USER_UNIT } else { SYSTEM_UNIT }.to_owned(),
            logrotate: LOGROTATE.to_owned(),
            rsyslog: RSYSLOG.to_owned(),
        }
    }

    pub fn observe(
        look: &dyn Look,
        site: &Settings,
        config_dir: Option<&Utf8Path>,
    ) -> Result<Self> {
        let mut this = Self::shipped(site);
        let Some(directory) = config_dir else {
            return Ok(this);
        };
        for (name, text) in [
            (format!("systemd/{UNIT}"), &mut this.unit),
            ("postgresql/logrotate.conf".to_owned(), &mut this.logrotate),
            ("postgresql/rsyslog.conf".to_owned(), &mut this.rsyslog),
        ] {
            let path = directory.join(name);
            if let Some(content) = look.read(&path)? {
                *text = String::from_utf8(content).map_err(
                    |_| fault!(Input, "template `{path}` is not UTF-8"; "save it as UTF-8"),
                )?;
            }
        }
        Ok(this)
    }
}

/// Everything that is managed on the host, in the order in which it is made.
pub fn items(site: &Settings, templates: &Templates) -> Result<Vec<Item>> {
    // 0755: clients of other users reach the sockets below, and servers keep what they hold to themselves.
    let mut items: Vec<Item> = [&site.prefix, &site.run_prefix]
        .map(|base| Item {
            path: base.clone(),
            what: What::Directory { mode: 0o755 },
            purpose: Purpose::Base,
            root: true,
        })
        .into();
    let file = |content: String| What::File {
        content,
        mode: 0o644,
    };
    let sockets = &site.postgresql.socket_directory;
    items.extend(Item::rules(site, RULES, sockets, 0o755));
    let mut add = |path: &Utf8Path, what: What, purpose: Purpose, root: bool| {
        items.push(Item {
            path: path.into(),
            what,
            purpose,
            root,
        });
    };
    if let (Some(systemd), Some(_)) = (&site.systemd, &site.service_manager) {
        let path = systemd.unit_path.join(UNIT);
        let unit = fill(site, UNIT, &templates.unit)?;
        add(&path, file(unit), Purpose::Unit, !systemd.user);
    }
    let logpath = site.postgresql.logpath.as_ref();
    let settings = [
        (
            site.rsyslog.as_ref().map(|rsyslog| &rsyslog.configdir),
            "rsyslog.conf",
            &templates.rsyslog,
        ),
        (
            site.logrotate
                .as_ref()
                .map(|logrotate| &logrotate.configdir),
            "logrotate.conf",
            &templates.logrotate,
        ),
    ];
    for (directory, name, template) in settings {
        if let (Some(directory), Some(_)) = (directory, logpath) {
            let content = file(fill(site, name, template)?);
            let root = !is_own(site, directory);
            add(&directory.join(name), content, Purpose::Logging, root);
        }
    }
    if let Some(directory) = site
        .postgresql
        .auth
        .passfile
        .as_deref()
        .and_then(Utf8Path::parent)
        // It is there as soon as what lies in it is.
        .filter(|directory| {
            let bases = [&site.prefix, &site.run_prefix];
            !bases.iter().any(|base| base.starts_with(directory))
        })
    {
        let root = !is_own(site, directory);
        add(
            directory,
            What::Directory { mode: 0o700 },
            Purpose::Passwords,
            root,
        );
    }
    if let Some(directory) = logpath {
        let root = !is_own(site, directory);
        add(
            directory,
            What::Directory { mode: 0o750 },
            Purpose::Logs,
            root,
        );
    }
    for component in component::REGISTRY {
        items.extend(component.site(site));
    }
    Ok(items)
}

/// Fills in a template. Units have a syntax of their own for paths.
fn fill(site: &Settings, name: &str, template: &str) -> Result<String> {
    let word = |path: &Utf8Path| {
        if name == UNIT {
            word(path)
        } else {
            path.to_string()
        }
    };
    let postgresql = &site.postgresql;
    let logpath = word(postgresql.logpath.as_deref().unwrap_or(Utf8Path::new("")));
    let sockets = word(&postgresql.socket_directory);
    let (prefix, run_prefix) = (word(&site.prefix), word(&site.run_prefix));
    let values = [
        ("user", site.sysuser.user.as_str()),
        ("group", site.sysuser.group.as_str()),
        ("logpath", &logpath),
        ("socket_directory", &sockets),
        ("prefix", &prefix),
        ("run_prefix", &run_prefix),
    ];
    expand(template, &values).with_context(|| format!("template {name}"))
}

/// What root does for the system user when the program was called as root.
pub fn privileges(site: &Settings) -> Result<Privileges> {
    let mut privileges = Privileges {
        // Timers lie there as well.
        unit_path: site
            .systemd
            .as_ref()
            .filter(|systemd| !systemd.user && site.scheduler.is_some())
            .map(|systemd| systemd.unit_path.clone()),
        ..Privileges::default()
    };
    for item in items(site, &Templates::shipped(site))? {
        match (&item.what, item.purpose) {
            _ if !item.root => {}
            (What::Directory { .. }, _) => privileges.directories.push(item.path),
            (_, Purpose::Unit) => {
                privileges.unit_path = item.path.parent().map(Utf8Path::to_owned);
            }
            _ => privileges.files.push(item.path),
        }
    }
    Ok(privileges)
}
