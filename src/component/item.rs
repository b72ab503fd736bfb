//! Directories and files of the site: what is managed on a host beside its instances.

use camino::{Utf8Path, Utf8PathBuf};

use crate::settings::Settings;

/// A directory or file of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub path: Utf8PathBuf,
    pub what: What,
    pub purpose: Purpose,
    /// It lies where only root can write: done by root when the program was called as root.
    pub root: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Directory { mode: u32 },
    File { content: String, mode: u32 },
}

/// What an item is there for; decides what else is done when it changes, and whether it may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The base directories.
    Base,
    /// Rules by which systemd makes the directories that do not outlive a boot.
    Rules,
    /// The unit of all instances.
    Unit,
    /// Configuration of a component, and directories that it cannot do without.
    Component,
    /// Configuration of rsyslog or logrotate.
    Logging,
    /// Where password files lie: not ours to remove.
    Passwords,
    /// Where servers log.
    Logs,
    /// Where backups lie: not ours to remove.
    Backups,
}

impl Item {
    pub fn directory(site: &Settings, path: &Utf8Path, mode: u32, purpose: Purpose) -> Self {
        Self {
            path: path.into(),
            what: What::Directory { mode },
            purpose,
            root: !is_own(site, path),
        }
    }

    pub fn file(
        site: &Settings,
        path: &Utf8Path,
        content: String,
        mode: u32,
        purpose: Purpose,
    ) -> Self {
        Self {
            path: path.into(),
            what: What::File { content, mode },
            purpose,
            root: !is_own(site, path),
        }
    }
}

/// Below a base directory the system user does everything.
pub fn is_own(site: &Settings, path: &Utf8Path) -> bool {
    [&site.prefix, &site.run_prefix]
        .into_iter()
        .any(|base| base.as_str() != "/" && path.starts_with(base))
}
