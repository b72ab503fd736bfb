//! Whether the service manager can do what is asked of it, and what its user should know.

use anyhow::{Error, Result};
use camino::Utf8Path;

use crate::fault;
use crate::host::{Look, Unit};
use crate::settings::Settings;

/// The service manager as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Systemd {
    pub systemctl: bool,
    pub access: Access,
    pub user: String,
}

/// How we reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// The user's manager: whether it runs, and whether it does so without a session.
    User { runs: bool, lingers: bool },
    /// The system's: as root or through sudo, or not at all.
    System { allowed: bool },
}

impl Systemd {
    /// None where the site's services are not systemd's.
    pub fn observe(look: &dyn Look, site: &Settings) -> Result<Option<Self>> {
        let (Some(systemd), Some(_)) = (&site.systemd, &site.service_manager) else {
            return Ok(None);
        };
        let exists = |path: &Utf8Path| look.stat(path).map(|stat| stat.is_some());
        let caller = look.caller();
        let mut systemctl = false;
        for directory in ["/usr/bin", "/bin", "/usr/local/bin"] {
            systemctl = systemctl || exists(&Utf8Path::new(directory).join("systemctl"))?;
        }
        let access = if systemd.user {
            Access::User {
                runs: match &caller.runtime_dir {
                    Some(directory) => exists(&directory.join("systemd/private"))?,
                    None => false,
                },
                lingers: exists(&Utf8Path::new("/var/lib/systemd/linger").join(&caller.user))?,
            }
        } else {
            Access::System {
                allowed: caller.root || caller.uid == 0 || systemd.sudo,
            }
        };
        Ok(Some(Self {
            systemctl,
            access,
            user: caller.user.clone(),
        }))
    }

    /// What must be mended before a unit can be told anything.
    pub fn missing(&self) -> Option<Error> {
        if !self.systemctl {
            return Some(fault!(
                NotFound,
                "program `systemctl` is not installed, and the site settings have the section `systemd`";
                "remove that section where servers are not run by systemd"
            ));
        }
        match self.access {
            Access::User { runs: false, .. } => Some(Unit::no_session(&self.user)),
            Access::System { allowed: false } => Some(fault!(
                Denied,
                "system units are root's, and the program was called as `{}`", self.user;
                "call it as root (`become: true`), or set `systemd.sudo`, or `systemd.user` for units of the user's own"
            )),
            _ => None,
        }
    }

    /// What should be mended before the next boot.
    pub fn warning(&self) -> Option<String> {
        let user = &self.user;
        match self.access {
            Access::User {
                runs: true,
                lingers: false,
            } => Some(format!(
                "lingering is not enabled for user `{user}`: its servers end with its last session and do not start at boot; \
                 as root: `loginctl enable-linger {user}`"
            )),
            _ => None,
        }
    }
}
