//! The look into the repository, and the data beside their place.

use std::rc::Rc;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::replace::aside;
use super::spaces;
use crate::backup::recovery::{Recovery, choose, wal};
use crate::backup::{Backup, BackupTool, Catalogue, Place, Tablespace, Trouble};
use crate::host::{FileKind, Look};
use crate::pg::conf::Conf;
use crate::pg::tablespace;
use crate::pg::version::Major;
use crate::plan::{Action, Change, Diff, Impact, Plan, Step, attributes};
use crate::resource::backup::choice;
use crate::resource::instance::directory::{Directory, directory, own_tablespaces, versions};
use crate::resource::instance::target::Target;
use crate::settings::InstancePaths;
use crate::stage::{Stage, World};
use crate::{bail_fault, fault};

/// Where the data of a restore lie until they take the place of the old ones.
pub fn staging(path: &Utf8Path) -> Utf8PathBuf {
    format!("{path}.restoring").into()
}

/// What an object of this run is called.
pub fn object(target: &Target) -> String {
    format!("restore of instance {}", target.paths)
}

/// What the old data are called, which go last.
pub fn old_data(target: &Target) -> String {
    format!("old data of instance {}", target.paths)
}

/// What is where a directory is to be: names in it, or the thing itself that is none.
pub fn occupants(look: &dyn Look, path: &Utf8Path) -> Result<Vec<String>> {
    Ok(match look.stat(path)?.map(|stat| stat.kind) {
        Some(FileKind::Directory) => look.list(path)?.unwrap_or_default(),
        Some(_) => vec![path.to_string()],
        None => Vec::new(),
    })
}

/// Refuses a backup of another major: its data are nothing to the programs of the instance.
pub fn check_version(backup: &Backup, paths: &InstancePaths) -> Result<()> {
    match backup.version.parse::<Major>() {
        Ok(major) if major != paths.version => bail_fault!(
            Conflict,
            "backup `{}` is of PostgreSQL {major}, and instance `{paths}` is of {}", backup.label, paths.version;
            "address the instance as `{major}/{}`", paths.name
        ),
        _ => Ok(()),
    }
}

/// That a repository is encrypted with another key, and what to do.
pub fn key(stanza: &str) -> (String, String) {
    (
        format!(
            "the repository of stanza `{stanza}` cannot be deciphered: the cipher key is not the one that it was encrypted with"
        ),
        "give it the key that it was made with (`repo1-cipher-type`, `repo1-cipher-pass`); without it the backups are lost"
            .to_owned(),
    )
}

/// Why there is nothing to choose from, where the repository itself is in trouble.
pub fn unreadable(tool: &dyn BackupTool, catalogue: &Catalogue) -> Option<anyhow::Error> {
    let stanza = tool.stanza();
    if *catalogue == Catalogue::default() {
        return Some(fault!(
            NotFound,
            "there is no stanza `{stanza}` in the repository of {}", tool.name();
            "`pgsocle instance status` names that of an instance; nothing was changed"
        ));
    }
    let problem = catalogue.problems.first()?;
    let said = problem.lines().next().unwrap_or_default();
    Some(match tool.trouble(problem) {
        Some(Trouble::Key) => {
            let (said, remedy) = key(stanza);
            fault!(Unavailable, "{said}"; "{remedy}")
        }
        Some(Trouble::Damaged) => fault!(
            Unavailable,
            "the repository of stanza `{stanza}` is damaged: {said}";
            "look after the storage; a copy of the file may be in another repository"
        ),
        None => fault!(Unavailable, "stanza `{stanza}` cannot be read: {said}"),
    })
}

/// Fetches the data of a backup.
pub struct Fetch {
    pub tool: Rc<dyn BackupTool>,
    pub target: Target,
    pub recovery: Recovery,
    pub label: Option<String>,
    pub now: Timestamp,
    /// Into the data directory itself.
    pub delta: bool,
    /// Into this directory, for nobody.
    pub place: Option<Utf8PathBuf>,
    /// For another instance than that of the backups, or for none.
    pub copy: bool,
}

pub struct Seen {
    catalogue: Catalogue,
    /// Of the cluster that is there: its backups are meant.
    cluster: Option<u64>,
    running: bool,
    datadir: Directory,
    /// Tablespaces of the backup, each with its place.
    tablespaces: Vec<(Tablespace, Utf8PathBuf)>,
    /// A place in which another cluster has data.
    foreign: Option<Utf8PathBuf>,
    /// Bytes where the data will lie.
    free: u64,
    /// What is in the directory that was given.
    in_place: Vec<String>,
    /// A WAL file that is missing on the way.
    gap: Option<String>,
    /// An earlier run has brought the data, and the server recovers, or has; the old data are still aside, or were just going. Whether
    /// it was for the same target.
    arrived: Option<bool>,
}

impl Stage for Fetch {
    type Seen = Seen;

    fn name(&self) -> String {
        match &self.place {
            Some(place) => format!("restore into `{place}`"),
            None => object(&self.target),
        }
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let datadir = &self.target.paths.datadir;
        if let Some(missing) = self.tool.missing(look)? {
            return Err(missing);
        }
        let in_place = match &self.place {
            Some(place) => occupants(look, place)?,
            None => Vec::new(),
        };
        let running = self.place.is_none() && self.target.running(look)?.is_some();
        let label = self.label.as_deref();
        let home = Some(&**datadir).filter(|_| !self.copy);
        let catalogue = choice(&*self.tool, label, &self.recovery, look, home)?;
        let cluster = look.system_identifier(datadir)?;
        let begun = look.stat(&aside(datadir))?.is_some();
        let mut free = look.free_space(self.place.as_deref().unwrap_or(datadir))?;
        let mut tablespaces = Vec::new();
        let mut foreign = None;
        let chosen = self.choose(&catalogue, cluster).ok();
        let gap = match chosen {
            Some(backup) => self.tool.gap(look, backup, &self.recovery)?,
            None => None,
        };
        if let Some(backup) = chosen.filter(|_| !self.delta && self.place.is_none()) {
            let own = spaces::linked(look, datadir)?;
            for space in self.tool.tablespaces(look, backup)? {
                let location = if self.copy {
                    own_tablespaces(datadir).join(&space.name)
                } else {
                    space.location.clone()
                };
                let others = !begun
                    && !own.contains_key(&location)
                    && !versions(look, &location, self.target.paths.version)?.is_empty();
                foreign = foreign.or(others.then(|| location.clone()));
                // One file system may be counted twice: what does not fit then is taken back.
                free = free.saturating_add(look.free_space(&location)?);
                tablespaces.push((space, location));
            }
        }
        let auto = look.read(&datadir.join("postgresql.auto.conf"))?;
        let auto = Conf::parse_leniently(&auto.unwrap_or_default());
        Ok(Seen {
            catalogue,
            cluster,
            arrived: (running && (begun || world.begun.contains(&old_data(&self.target))))
                .then(|| self.recovery.target.is_said_by(&auto)),
            running,
            datadir: directory(look, datadir)?,
            tablespaces,
            foreign,
            free,
            in_place,
            gap,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let paths = &self.target.paths;
        match seen.arrived {
            Some(true) => {
                return Ok(Plan {
                    warnings: vec![format!(
                        "instance `{paths}` runs with the data of an earlier restore, which was interrupted: that one is finished; \
                         for another, stop the instance first"
                    )],
                    ..Plan::default()
                });
            }
            Some(false) => {
                bail_fault!(
                    Conflict,
                    "instance `{paths}` runs on the data of a restore to another target, and that has not come to its end: the old \
                     data wait in `{}`", aside(&paths.datadir);
                    "restore to the same target again to end it; or stop the instance first, and what was restored is replaced; nothing was changed"
                );
            }
            None => {}
        }
        self.check(seen)?;
        let backup = self
            .choose(&seen.catalogue, seen.cluster)
            .map_err(|error| unreadable(&*self.tool, &seen.catalogue).unwrap_or(error))?;
        if self.place.is_none() {
            check_version(backup, &self.target.paths)?;
        }
        let mut plan = Plan::default();
        // Another one may have been newer.
        plan.warnings
            .extend(seen.catalogue.unreadable.values().cloned());
        let needed = if self.delta { 0 } else { backup.size };
        if needed > seen.free {
            bail_fault!(
                Conflict,
                "backup `{}` needs {needed} bytes, and there are {} where it goes", backup.label, seen.free;
                "make room{}; nothing was changed",
                self.or_delta("to fetch into the data directory itself")
            );
        }
        plan.warnings.extend(seen.gap.as_ref().map(|file| {
            format!(
                "WAL file `{file}` is missing from the archive of stanza `{}`: no recovery from backup `{}` gets past it, and what came later \
                 is lost with the data that are replaced", self.tool.stanza(), backup.label
            )
        }));
        plan.changes.push(self.change(seen, backup)?);
        plan.view = Some(("restore", self.view(seen, backup)));
        Ok(plan)
    }
}

impl Fetch {
    fn choose<'c>(&self, catalogue: &'c Catalogue, cluster: Option<u64>) -> Result<&'c Backup> {
        choose(
            catalogue,
            cluster.filter(|_| !self.copy),
            &self.recovery.target,
            self.label.as_deref(),
            self.now,
        )
    }

    fn check(&self, seen: &Seen) -> Result<()> {
        let paths = &self.target.paths;
        if let Some(place) = &self.place {
            if !seen.in_place.is_empty() {
                bail_fault!(
                    Conflict,
                    "`{place}` is not empty: nothing is restored into it";
                    "empty it, or give another `directory`; nothing was changed"
                );
            }
            return Ok(());
        }
        if seen.running {
            bail_fault!(
                Conflict,
                "instance `{paths}` runs: its data cannot be replaced";
                "stop it with `pgsocle instance stop {paths}` first; nothing was changed"
            );
        }
        if seen.datadir == Directory::Other {
            bail_fault!(
                Conflict,
                "data directory `{}` holds something that is no cluster: it is not replaced", paths.datadir;
                "look into it, and remove it by hand if it is not needed; nothing was changed"
            );
        }
        if self.delta {
            return Ok(());
        }
        if let Some(path) = self.target.mountpoints.first() {
            bail_fault!(
                Conflict,
                "`{path}` of instance `{paths}` is a mount point: it cannot be set aside while the data of the backup are put beside it";
                "restore beside it, with `stanza` and another name{}; nothing was changed",
                self.or_delta("to fetch into it: the old data cannot come back then")
            );
        }
        if let Some(path) = &seen.foreign {
            bail_fault!(
                Conflict,
                "a tablespace goes to `{path}`, and another cluster than instance `{paths}` has data there";
                "look into it, and move it away if it is not needed; nothing was changed"
            );
        }
        Ok(())
    }

    /// The other way, where the tool knows it.
    fn or_delta(&self, what: &str) -> String {
        if self.tool.overwrites() {
            format!(", or give `delta: true` {what}")
        } else {
            String::new()
        }
    }

    fn change(&self, seen: &Seen, backup: &Backup) -> Result<Change> {
        let (tool, paths) = (&self.tool, &self.target.paths);
        let staging = staging(&paths.datadir);
        let wal_staging = self::staging(&paths.waldir);
        let waldir = (!self.target.wal_inside()).then_some(&paths.waldir);
        let (directory, wal) = match (&self.place, self.delta) {
            (Some(place), _) => (place, None),
            (None, true) => (&paths.datadir, waldir),
            (None, false) => (&staging, waldir.map(|_| &wal_staging)),
        };
        let place = Place {
            directory,
            datadir: if self.place.is_some() {
                directory
            } else {
                &paths.datadir
            },
            waldir: wal.map(Utf8PathBuf::as_path),
            tablespaces: (self.place.is_some() || self.copy && self.delta)
                .then(|| own_tablespaces(directory)),
            mapped: seen
                .tablespaces
                .iter()
                .map(|(space, location)| (space.oid, spaces::staging(location)))
                .collect(),
            delta: self.delta,
            // A copy of a cluster must not add to the archive of the one that it is a copy of.
            silent: self.copy,
        };
        let mut steps = Vec::new();
        if !self.delta {
            let staged = [Some(directory), wal].into_iter().flatten();
            if self.place.is_none() {
                steps.extend(
                    staged
                        .clone()
                        .map(|path| Step::Remove { path: path.clone() }),
                );
            }
            steps.extend(staged.map(|path| Step::make_dir(path, 0o700)));
            for (_, path) in &place.mapped {
                steps.push(Step::Remove { path: path.clone() });
                steps.push(Step::make_dir(path, 0o700));
            }
        }
        steps.extend(tool.restore(backup, &seen.catalogue, &place, &self.recovery)?);
        if let (Some(waldir), false) = (waldir, self.delta)
            && self.place.is_none()
        {
            steps.push(Step::Symlink {
                path: staging.join("pg_wal"),
                target: waldir.clone(),
            });
        }
        for (space, location) in &seen.tablespaces {
            steps.push(Step::Symlink {
                path: tablespace::link(directory, space.oid),
                target: location.clone(),
            });
        }
        let object = match &self.place {
            Some(place) => format!("directory {place}"),
            None => object(&self.target),
        };
        let summary = match &self.place {
            Some(place) => format!("restore backup `{}` into `{place}`", backup.label),
            None => format!(
                "restore instance `{paths}` from backup `{}`, up to {}",
                backup.label, self.recovery
            ),
        };
        let line = |label: Option<String>| attributes(&[("restored from", label)]);
        let change = Change::new(
            Action::Create,
            &object,
            summary,
            Diff::new(&object, "", line(Some(backup.label.clone()))),
            if self.delta {
                Impact::Destructive
            } else {
                Impact::None
            },
            steps,
        );
        if self.delta {
            return Ok(change);
        }
        let staged = [Some(directory), wal].into_iter().flatten();
        let spaces = place.mapped.iter().map(|(_, path)| path);
        let gone = staged
            .chain(spaces)
            .map(|path| Step::Remove { path: path.clone() });
        // The places of a copy's own were made for it.
        let own = seen.tablespaces.iter().filter(|_| self.copy);
        let made = own.flat_map(|(_, location)| location.ancestors().take(2));
        let empty = made.map(|path| Step::RemoveEmptyDir { path: path.into() });
        Ok(change.undo(crate::plan::Scope::Restore, gone.chain(empty).collect()))
    }

    fn view(&self, seen: &Seen, backup: &Backup) -> Value {
        let (from, until) = wal(&seen.catalogue, backup, &self.recovery.target);
        json!({
            "label": backup.label,
            "date_stop": backup.date_stop,
            "target": self.recovery.to_string(),
            "wal_start": from,
            "wal_stop": until,
            "space_needed": backup.size,
            "space_free": seen.free,
        })
    }
}
