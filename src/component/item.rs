//! Directories and files of the site: what is managed on a host beside its instances.

use camino::{Utf8Path, Utf8PathBuf};

use crate::fault::{Fault, Kind};
use crate::host::Look;
use crate::secret::{Secret, Text};
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
    Directory {
        mode: u32,
    },
    File {
        content: String,
        mode: u32,
    },
    /// A file for its owner alone (0600), with what other files hold at the time when it is written.
    Private {
        parts: Vec<Part>,
    },
}

/// A piece of a file that holds secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Plain(String),
    /// The one line that this file holds; the setting names it.
    ContentOf {
        setting: String,
        file: Utf8PathBuf,
    },
}

/// What an item is there for; decides what else is done when it changes, and whether it may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The base directories.
    Base,
    /// Rules by which systemd makes the directories that do not outlive a boot.
    Rules,
    /// The unit of all instances, or of a service beside them.
    Unit,
    /// What the service of this unit reads, and reads again when it changes.
    Service(&'static str),
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

    /// The rules by which systemd makes a directory that a boot takes away; only those below `run_prefix` are ours to make.
    pub fn rules(site: &Settings, file: &str, directory: &Utf8Path, mode: u32) -> Option<Self> {
        let (Some(systemd), Some(_)) = (&site.systemd, &site.tmpfiles_manager) else {
            return None;
        };
        if !directory.starts_with(&site.run_prefix) || *directory == site.run_prefix {
            return None;
        }
        let owner = if systemd.user {
            "- -".to_owned()
        } else {
            format!("{} {}", site.sysuser.user, site.sysuser.group)
        };
        // A directory that is not named is made for root, and then refused as an unsafe way to the one below it.
        let mut directories: Vec<&Utf8Path> = directory
            .ancestors()
            .take_while(|path| path.starts_with(&site.run_prefix))
            .collect();
        directories.reverse();
        let lines = directories.into_iter().map(|path| {
            let mode = if path == directory { mode } else { 0o755 };
            let path = path.as_str().replace('%', "%%");
            if path.contains(char::is_whitespace) {
                format!("d \"{path}\" {mode:04o} {owner}\n")
            } else {
                format!("d {path} {mode:04o} {owner}\n")
            }
        });
        Some(Self {
            path: systemd.tmpfilesd_conf_path.join(file),
            what: What::File {
                content: lines.collect(),
                mode: 0o644,
            },
            purpose: Purpose::Rules,
            root: !systemd.user,
        })
    }
}

impl What {
    /// What the file is to hold; none for a directory.
    ///
    /// # Errors
    /// What is wrong with a file that holds a secret.
    pub fn content(&self, look: &dyn Look) -> Result<Option<Text>, Fault> {
        let parts = match self {
            Self::Directory { .. } => return Ok(None),
            Self::File { content, .. } => return Ok(Some(Text::plain(content))),
            Self::Private { parts } => parts,
        };
        let mut text = Text::default();
        for part in parts {
            match part {
                Part::Plain(plain) => text.push(plain),
                Part::ContentOf { setting, file } => text.push_secret(secret(look, setting, file)?),
            }
        }
        Ok(Some(text))
    }

    pub fn mode(&self) -> u32 {
        match self {
            Self::Directory { mode } | Self::File { mode, .. } => *mode,
            Self::Private { .. } => 0o600,
        }
    }
}

/// The one line that a file holds.
pub fn secret(look: &dyn Look, setting: &str, file: &Utf8Path) -> Result<Secret, Fault> {
    let wrong = |kind, what: String, hint: &str| {
        let msg = format!("`{file}`, which `{setting}` of the site settings names, {what}");
        Fault::new(kind, msg).hint(hint)
    };
    let content = look
        .read(file)
        .map_err(|error| {
            wrong(
                Kind::Denied,
                format!("cannot be read: {error:#}"),
                "let the system user own it, with mode 0600",
            )
        })?
        .ok_or_else(|| {
            wrong(
                Kind::NotFound,
                "is missing".to_owned(),
                "write the secret to it, as one line, and let the system user alone read it",
            )
        })?;
    let text = String::from_utf8(content).unwrap_or_default();
    let line = text.strip_suffix('\n').unwrap_or(&text);
    if line.is_empty() || line.contains(char::is_control) || line.trim() != line {
        return Err(wrong(
            Kind::Input,
            "does not hold one line of text".to_owned(),
            "write the secret to it and nothing else, without spaces around it",
        ));
    }
    Ok(Secret::new(line))
}

/// Below a base directory the system user does everything.
pub fn is_own(site: &Settings, path: &Utf8Path) -> bool {
    [&site.prefix, &site.run_prefix]
        .into_iter()
        .any(|base| base.as_str() != "/" && path.starts_with(base))
}
