//! The end of an instance: stopped, forgotten by its manager, its directories removed.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::bail_fault;
use crate::host::Look;
use crate::manager::{Manager, StopMode};
use crate::pg::pgpass::Pgpass;
use crate::plan::{Action, Change, Diff, Fact, Impact, Plan, Step, attributes};
use crate::resource::instance::cluster::{DROP_INSIDE, Directory, directory, dropping, leftovers};
use crate::resource::instance::passfile::taken_away;
use crate::resource::instance::target::{Running, Target};
use crate::stage::{Stage, World};

/// An instance that is not to be there.
pub struct Removal {
    pub target: Target,
}

pub struct Seen {
    datadir: Directory,
    running: Option<Running>,
    port: u16,
    leftovers: Vec<Utf8PathBuf>,
    passfile: Option<(Utf8PathBuf, Vec<u8>)>,
    registered: bool,
}

impl Stage for Removal {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let paths = &self.target.paths;
        let registered = match self.target.manager.instance_file() {
            Some(file) => look.stat(&file)?.is_some(),
            None => false,
        };
        Ok(Seen {
            datadir: directory(look, &paths.datadir)?,
            running: self.target.running(look)?,
            port: self.target.configured_on_disk(look)?.port,
            leftovers: leftovers(look, paths)?,
            passfile: match &paths.passfile {
                Some(path) => look.read(path)?.map(|content| (path.clone(), content)),
                None => None,
            },
            registered,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let paths = &self.target.paths;
        if let Some(adopted) = &self.target.adopted {
            let how = if adopted.is_packaged() {
                "pg_dropcluster drops it"
            } else {
                "its data directory can be removed by hand"
            };
            bail_fault!(
                Conflict,
                "instance `{paths}` was adopted: its files are not pgsocle's to remove";
                "let go of it with `pgsocle instance forget {paths}` (`state: forgotten`); then {how}"
            );
        }
        let exists = match &seen.datadir {
            Directory::Cluster(major) if *major != paths.version.to_string() => bail_fault!(
                Conflict,
                "data directory `{}` belongs to PostgreSQL {major}, not {}: it is not removed",
                paths.datadir,
                paths.version
            ),
            Directory::Cluster(_) => true,
            Directory::Other => bail_fault!(
                Conflict,
                "data directory `{}` holds something that is no cluster: it is not removed", paths.datadir;
                "look into it, and remove it by hand if it is not needed"
            ),
            Directory::Missing | Directory::Empty | Directory::Remains => false,
        };
        let mut plan = Plan {
            facts: vec![Fact::Absent],
            ..Plan::default()
        };
        if !exists && seen.leftovers.is_empty() && !seen.registered {
            return Ok(plan);
        }
        let mut steps = Vec::new();
        if seen.running.is_some() {
            steps.extend(Manager::pg_ctl_stop(
                &self.target.bindir,
                paths,
                StopMode::Immediate,
            ));
        }
        if seen.registered {
            steps.extend(self.target.manager.unregister());
        }
        if exists {
            steps.extend(self.remove());
        }
        steps.extend(seen.leftovers.iter().map(|path| self.target.clear(path)));
        steps.extend(self.target.empty_parents());
        let lines = [
            ("name", Some(paths.name.clone())),
            ("version", Some(paths.version.to_string())),
            (
                "state",
                Some(
                    if seen.running.is_some() {
                        "started"
                    } else {
                        "stopped"
                    }
                    .to_owned(),
                ),
            ),
            ("port", exists.then(|| seen.port.to_string())),
            ("data_directory", Some(paths.datadir.to_string())),
            ("wal_directory", Some(paths.waldir.to_string())),
        ];
        let object = format!("instance {paths}");
        let diff = Diff::new(&object, attributes(&lines), "");
        let summary = if exists {
            format!("drop instance `{paths}`")
        } else {
            format!("remove what is left of instance `{paths}`")
        };
        // First: afterwards nobody knows the port any more.
        if exists {
            plan.changes.extend(self.forget_passwords(seen)?);
        }
        plan.changes.push(Change::new(
            Action::Drop,
            object,
            summary,
            diff,
            Impact::Destructive,
            steps,
        ));
        Ok(plan)
    }
}

impl Removal {
    /// Renamed first: killed in the middle, what is left is no cluster any more but still recognised. The data
    /// directory goes last, so that it tells of the WAL directory.
    fn remove(&self) -> Vec<Step> {
        let paths = &self.target.paths;
        let (mut names, mut contents) = (Vec::new(), Vec::new());
        for path in [&paths.datadir, &paths.waldir] {
            if *path == paths.waldir && self.target.wal_inside() {
                continue;
            }
            if self.target.mountpoints.contains(path) {
                names.push(Step::make_dir(&path.join(DROP_INSIDE), 0o700));
                contents.push(Step::EmptyDir { path: path.clone() });
            } else {
                names.push(Step::RenameIfExists {
                    from: path.clone(),
                    to: dropping(path),
                });
                contents.push(Step::Remove {
                    path: dropping(path),
                });
            }
        }
        names.extend(contents.into_iter().rev());
        names
    }

    /// Entries of this host with the instance's port; those of other hosts are not ours.
    fn forget_passwords(&self, seen: &Seen) -> Result<Option<Change>> {
        let Some((path, content)) = &seen.passfile else {
            return Ok(None);
        };
        let before = Pgpass::parse(content)?;
        let mut after = before.clone();
        after.remove_port(&self.target.paths.own_hosts(), seen.port);
        Ok(taken_away(path, &before, &after))
    }
}
