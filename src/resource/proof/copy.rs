//! The look into the repository, and the data in the scratch place.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::verdict::Verdict;
use super::{Scene, kept};
use crate::backup::age::is_within;
use crate::backup::recovery::{choose, wal};
use crate::backup::{Backup, BackupTool, Catalogue, Kind, Place};
use crate::bail_fault;
use crate::host::Look;
use crate::manager::Manager;
use crate::plan::{Action, Change, Content, Diff, Impact, Plan, Scope, Step, attributes};
use crate::resource::backup::choice;
use crate::resource::instance::target::Target;
use crate::resource::restore::fetch::{check_version, occupants, unreadable};
use crate::settings::InstancePaths;
use crate::stage::{Stage, World};

/// Marks a directory as a scratch place, and tells what is restored in it.
pub const MARK: &str = "pgsocle-backup-test";

/// The port of the copy's server: it only names the socket, which lies in the scratch place.
pub const PORT: u16 = 5432;

/// The longest path of a socket, in bytes (`UNIXSOCK_PATH_BUFLEN` in pqcomm.h).
const LONGEST_SOCKET: usize = 107;

/// The copy of an instance in a scratch place.
pub fn of(target: &Target, directory: &Utf8Path, timeout: u32) -> Target {
    let datadir = directory.join("data");
    let file = |name: &str| directory.join(name);
    Target {
        manager: Manager::None,
        adopted: None,
        mountpoints: Vec::new(),
        password_command: Vec::new(),
        manner: target.manner.within(Some(timeout)),
        patience: Duration::ZERO,
        paths: InstancePaths {
            waldir: datadir.join("pg_wal"),
            datadir,
            logdir: None,
            start_log: file("log"),
            socket_directory: directory.to_owned(),
            passfile: None,
            config_file: file("postgresql.conf"),
            hba_file: file("pg_hba.conf"),
            ident_file: file("pg_ident.conf"),
            ..target.paths.clone()
        },
        ..target.clone()
    }
}

/// The backup that is restored: kept in [`MARK`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    pub label: String,
    pub kind: Kind,
    pub date_stop: Timestamp,
    /// The WAL that the recovery reads: from, and up to, as far as is known.
    pub wal_start: Option<String>,
    pub wal_stop: Option<String>,
}

/// Chooses a backup and fetches it, where a proof is due.
pub struct Copy {
    pub tool: Rc<dyn BackupTool>,
    pub scene: Scene,
    pub label: Option<String>,
    /// Backups of every cluster in the stanza are meant.
    pub any_cluster: bool,
    pub evidence: Utf8PathBuf,
    pub now: Timestamp,
    pub max_age: Option<SignedDuration>,
}

pub struct Seen {
    last: Option<Evidence>,
    catalogue: Catalogue,
    /// Of the cluster that is there: its backups are meant.
    cluster: Option<u64>,
    /// What is in the scratch place.
    in_place: Vec<String>,
    free: u64,
    installed: bool,
}

impl Stage for Copy {
    type Seen = Seen;

    fn name(&self) -> String {
        self.scene.object()
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        if let Some(missing) = self.tool.missing(look)? {
            return Err(missing);
        }
        let directory = &self.scene.directory;
        let programs = &self.scene.copy.bindir;
        let datadir = &self.scene.paths.datadir;
        let label = self.label.as_deref();
        let home = Some(&**datadir).filter(|_| !self.any_cluster);
        let catalogue = choice(&*self.tool, label, &self.scene.recovery, look, home)?;
        Ok(Seen {
            last: kept(look, &self.evidence)?,
            catalogue,
            cluster: look
                .system_identifier(datadir)?
                .filter(|_| !self.any_cluster),
            in_place: occupants(look, directory)?,
            free: look.free_space(directory)?,
            installed: look.stat(&programs.join("postgres"))?.is_some(),
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let scene = &self.scene;
        let paths = &scene.paths;
        if let Some(last) = seen.last.as_ref().filter(|last| self.is_enough(last)) {
            return Ok(Plan {
                view: Some(("backup_test", json!(last))),
                ..Plan::default()
            });
        }
        self.check_place(seen)?;
        let target = &scene.recovery.target;
        let label = self.label.as_deref();
        let backup = choose(&seen.catalogue, seen.cluster, target, label, self.now)
            .map_err(|error| unreadable(&*self.tool, &seen.catalogue).unwrap_or(error))?;
        check_version(backup, paths)?;
        if !seen.installed {
            bail_fault!(
                NotFound,
                "the server programs of PostgreSQL {} are not installed, and the copy is started with them", paths.version;
                "install them, or prove the backup on a host that has them"
            );
        }
        if backup.size > seen.free {
            bail_fault!(
                Conflict,
                "backup `{}` needs {} bytes, and there are {} at `{}`", backup.label, backup.size, seen.free, scene.directory;
                "make room, or give another `directory`; nothing was changed"
            );
        }
        let (wal_start, wal_stop) = wal(&seen.catalogue, backup, target);
        let chosen = Chosen {
            label: backup.label.clone(),
            kind: backup.kind,
            date_stop: backup.date_stop,
            wal_start,
            wal_stop,
        };
        Ok(Plan {
            // Another one may have been newer.
            warnings: seen.catalogue.unreadable.values().cloned().collect(),
            view: Some(("backup_test", self.view(seen, backup, &chosen))),
            changes: vec![self.change(&chosen, backup, &seen.catalogue)?],
            ..Plan::default()
        })
    }
}

impl Copy {
    /// The last proof is young, and was one of the same kind.
    fn is_enough(&self, last: &Evidence) -> bool {
        let scene = &self.scene;
        let checks = last.checks.iter().map(|checked| &checked.check);
        last.verdict == Verdict::Proved
            && self
                .max_age
                .is_some_and(|limit| is_within(last.ended, self.now, limit))
            && last.stanza == scene.stanza
            && last.target.as_ref() == Some(&scene.recovery.target.to_string())
            && (self.label.is_none() || last.label == self.label)
            && (last.amcheck.is_some() || !scene.amcheck)
            && checks.eq(&scene.checks)
    }

    fn check_place(&self, seen: &Seen) -> Result<()> {
        let directory = &self.scene.directory;
        // A run that was killed may have left the mark under a name for the time of writing it.
        if !seen.in_place.is_empty() && !seen.in_place.iter().any(|name| name.contains(MARK)) {
            bail_fault!(
                Conflict,
                "`{directory}` is not empty, and no proof has made it: nothing is restored into it";
                "empty it, or give another `directory`; nothing was changed"
            );
        }
        let socket = directory.join(format!(".s.PGSQL.{PORT}"));
        if socket.as_str().len() > LONGEST_SOCKET {
            bail_fault!(
                Input,
                "`{directory}` is too long: the path of a socket in it would be longer than {LONGEST_SOCKET} bytes";
                "give a shorter `directory`"
            );
        }
        Ok(())
    }

    fn change(&self, chosen: &Chosen, backup: &Backup, known: &Catalogue) -> Result<Change> {
        let scene = &self.scene;
        let directory = &scene.directory;
        let own = &scene.copy.paths;
        let place = Place {
            directory: &own.datadir,
            datadir: &own.datadir,
            waldir: None,
            tablespaces: Some(scene.file("tablespaces")),
            mapped: Vec::new(),
            delta: false,
            silent: true,
        };
        let text = |text: &str| Content::Bytes(text.as_bytes().to_vec());
        let write = |path: &Utf8Path, content: &str| Step::write(path, text(content), 0o600);
        // What another proof has left.
        let mut steps = scene.gone();
        steps.extend([
            Step::make_dir(directory, 0o700),
            write(&scene.file(MARK), &serde_json::to_string(chosen)?),
            write(
                &own.config_file,
                "# What holds is said on the command line.\n",
            ),
            // Nobody else comes into the directory of the socket.
            write(&own.hba_file, "local all all trust\n"),
            write(&own.ident_file, ""),
            Step::make_dir(&own.datadir, 0o700),
            Step::Record {
                steps: self.tool.restore(backup, known, &place, &scene.recovery)?,
                into: scene.file("restore.json"),
            },
        ]);
        let object = scene.object();
        let change = Change::new(
            Action::Create,
            &object,
            format!(
                "restore backup `{}` of instance `{}` into `{directory}`",
                chosen.label, scene.paths
            ),
            Diff::new(
                &object,
                "",
                attributes(&[
                    ("backup", Some(chosen.label.clone())),
                    ("up to", Some(scene.recovery.target.to_string())),
                    ("directory", Some(directory.to_string())),
                ]),
            ),
            Impact::None,
            steps,
        );
        Ok(if scene.keep {
            change
        } else {
            change.undo(Scope::Restore, scene.gone())
        })
    }

    fn view(&self, seen: &Seen, backup: &Backup, chosen: &Chosen) -> Value {
        json!({
            "label": chosen.label,
            "date_stop": chosen.date_stop,
            "target": self.scene.recovery.target.to_string(),
            "wal_start": chosen.wal_start,
            "wal_stop": chosen.wal_stop,
            "space_needed": backup.size,
            "space_free": seen.free,
            "directory": self.scene.directory,
            "evidence": self.evidence,
        })
    }
}

#[cfg(test)]
#[path = "copy/tests.rs"]
mod tests;
