//! The end of an instance: stopped, forgotten by its manager, its directories removed.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::backup::Tablespace;
use crate::bail_fault;
use crate::host::Look;
use crate::manager::{Manager, StopMode};
use crate::pg::pgpass::Pgpass;
use crate::plan::{Action, Change, Diff, Fact, Impact, Plan, Step, attributes};
use crate::resource::instance::directory::{
    DROP_INSIDE, Directory, directory, dropping, leftovers, own_tablespaces, tablespaces, versions,
};
use crate::resource::instance::kept::{self, Stranded};
use crate::resource::instance::passfile::taken_away;
use crate::resource::instance::record::Record;
use crate::resource::instance::target::{Running, Target};
use crate::resource::protection;
use crate::stage::{Stage, World};

/// An instance that is not to be there.
pub struct Removal {
    pub target: Target,
    pub how: How,
    /// Its dumps may lie beside those of others.
    pub dumps_are_shared: bool,
}

/// How an instance is taken away.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Somebody was asked and said yes: only a protection of the instance's own counts.
    pub asked: bool,
    /// Its data are set aside.
    pub keep_data: bool,
    pub delete_dumps: bool,
    /// Its backups go too.
    pub delete_backups: bool,
}

pub struct Seen {
    record: Record,
    recorded: bool,
    /// The number for data that are set aside.
    free: u32,
    stranded: Option<Stranded>,
    dumps: bool,
    datadir: Directory,
    running: Option<Running>,
    port: u16,
    leftovers: Vec<Utf8PathBuf>,
    passfile: Option<(Utf8PathBuf, Vec<u8>)>,
    registered: bool,
    /// An earlier run was killed when all but the empty directories above it were gone.
    emptied: bool,
    /// Where its tablespaces lie.
    tablespaces: Vec<Tablespace>,
    /// What it has in those that were made with it.
    own: Vec<Utf8PathBuf>,
}

impl Stage for Removal {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let paths = &self.target.paths;
        let mut emptied = false;
        let begun = world.begun.contains(&format!("instance {paths}"));
        if begun {
            for parent in self.target.parents() {
                emptied |= look.list(parent)?.is_some_and(|names| names.is_empty());
            }
        }
        let registered = match self.target.manager.instance_file() {
            // An earlier run may have taken it away, and not told the manager.
            Some(file) => begun || look.stat(&file)?.is_some(),
            None => false,
        };
        let running = self.target.running(look)?;
        // Entries of the password file follow where it listens, not what waits for a restart.
        let server = match &running {
            Some(running) => running.server.clone(),
            None => self.target.configured_on_disk(look)?,
        };
        let (tablespaces, below) = (
            tablespaces(look, &paths.datadir)?,
            own_tablespaces(&paths.datadir),
        );
        let mut own = Vec::new();
        for space in tablespaces
            .iter()
            .filter(|one| one.location.starts_with(&below))
        {
            let names = versions(look, &space.location, paths.version)?.into_iter();
            own.extend(names.map(|name| space.location.join(name)));
        }
        Ok(Seen {
            record: Record::read(look, paths)?,
            recorded: look.stat(&paths.record)?.is_some(),
            free: kept::free(look, paths)?,
            stranded: kept::stranded(look, paths)?,
            dumps: self.how.delete_dumps && look.stat(&paths.dumps_directory)?.is_some(),
            datadir: directory(look, &paths.datadir)?,
            running,
            port: server.port,
            leftovers: leftovers(look, paths)?,
            passfile: match &paths.passfile {
                Some(path) => look.read(path)?.map(|content| (path.clone(), content)),
                None => None,
            },
            registered,
            emptied,
            tablespaces,
            own,
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
        if exists {
            self.check_protection(&seen.record)?;
        }
        let keeps = exists && self.how.keep_data;
        if keeps {
            self.check_kept()?;
        }
        let dumps = self.delete_dumps(seen)?;
        let remains = !seen.leftovers.is_empty() || seen.stranded.is_some() || seen.emptied;
        if !exists && !remains && !seen.registered {
            plan.changes.extend(dumps);
            return Ok(plan);
        }
        let steps = self.steps(seen, exists);
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
        let summary = if keeps {
            format!(
                "drop instance `{paths}`, with its data kept as `{}`",
                kept::name(&paths.datadir, seen.free)
            )
        } else if exists {
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
            match (keeps, &seen.running) {
                (true, Some(_)) => Impact::Restart,
                (true, None) => Impact::None,
                (false, _) => Impact::Destructive,
            },
            steps,
        ));
        plan.changes.extend(dumps);
        if exists && !keeps {
            plan.warnings.extend(self.left_in_tablespaces(seen));
        }
        Ok(plan)
    }
}

impl Removal {
    /// A copy of a data directory has links to the same places: what is in them may be another cluster's.
    fn left_in_tablespaces(&self, seen: &Seen) -> Option<String> {
        let below = own_tablespaces(&self.target.paths.datadir);
        let others = seen.tablespaces.iter();
        let places: Vec<&str> = others
            .filter(|one| !one.location.starts_with(&below))
            .map(|one| one.location.as_str())
            .collect();
        (!places.is_empty()).then(|| {
            format!(
                "what instance `{}` has in tablespaces stays in `{}`: where no copy of its data directory uses it, \
                 remove `PG_{}_*` there",
                self.target.paths,
                places.join("`, `"),
                self.target.paths.version
            )
        })
    }

    /// Stopped, forgotten by its manager, taken away or set aside.
    fn steps(&self, seen: &Seen, exists: bool) -> Vec<Step> {
        let (paths, keeps) = (&self.target.paths, exists && self.how.keep_data);
        let mut steps = Vec::new();
        if seen.running.is_some() && keeps {
            steps.extend(self.target.manager.stop(
                &self.target.bindir,
                paths,
                self.target.manner.ending(StopMode::Fast),
            ));
        } else if seen.running.is_some() {
            steps.extend(Manager::pg_ctl_stop(
                &self.target.bindir,
                paths,
                self.target.manner.ending(StopMode::Immediate),
            ));
        }
        if seen.registered {
            steps.extend(self.target.manager.unregister());
        }
        // Before the data: killed in between, a run leaves what is protected as the site settings have it, and a lifted
        // protection is none of the next instance of the name.
        if seen.recorded {
            steps.push(Step::Remove {
                path: paths.record.clone(),
            });
        }
        if keeps {
            steps.extend(kept::set_aside(paths, seen.free));
        } else if exists {
            // Before the data, which tell of them.
            for path in &seen.own {
                steps.push(Step::Remove { path: path.clone() });
                let above = path.ancestors().skip(1).take(2);
                steps.extend(above.map(|path| Step::RemoveEmptyDir { path: path.into() }));
            }
            steps.extend(self.remove());
        }
        steps.extend(seen.leftovers.iter().map(|path| self.target.clear(path)));
        steps.extend(seen.stranded.as_ref().map(Stranded::follow));
        steps.extend(self.target.empty_parents());
        steps
    }

    fn check_protection(&self, record: &Record) -> Result<()> {
        let paths = &self.target.paths;
        let protected = if self.how.asked {
            record.deletion_protection == Some(true)
        } else {
            record.is_protected(self.target.protected_by_default)
        };
        if protected {
            return Err(protection::refusal("instance", paths));
        }
        Ok(())
    }

    fn check_kept(&self) -> Result<()> {
        if let Some(path) = self.target.mountpoints.first() {
            bail_fault!(
                Conflict,
                "`{path}` is a mount point: it cannot be set aside by another name";
                "stop the instance and unmount the file system, or leave out `keep_data` to have it emptied; nothing was changed"
            );
        }
        Ok(())
    }

    fn delete_dumps(&self, seen: &Seen) -> Result<Option<Change>> {
        let (paths, dumps) = (&self.target.paths, &self.target.paths.dumps_directory);
        if !seen.dumps {
            return Ok(None);
        }
        if self.dumps_are_shared {
            bail_fault!(
                Conflict,
                "dumps of other instances may be in `{dumps}` as well: they are not deleted";
                "delete those of instance `{paths}` by hand, or set `postgresql.dumps_directory` to a template with `{{version}}` and `{{name}}`; nothing was changed"
            );
        }
        let object = format!("dumps of instance {paths}");
        Ok(Some(Change::new(
            Action::Drop,
            &object,
            format!("delete the dumps of instance `{paths}`"),
            Diff::new(&object, format!("directory: {dumps}\n"), ""),
            Impact::Destructive,
            vec![Step::Remove {
                path: dumps.clone(),
            }],
        )))
    }

    /// Renamed first: killed in the middle, what is left is no cluster any more but still recognised. The data
    /// directory goes last, so that it tells of the WAL directory.
    fn remove(&self) -> Vec<Step> {
        let (mut names, mut contents) = (Vec::new(), Vec::new());
        for path in self.target.directories() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::samples;
    use crate::resource::site::tests::Machine;

    fn seen() -> Seen {
        Seen {
            record: Record::default(),
            recorded: false,
            free: 2,
            stranded: None,
            dumps: false,
            datadir: Directory::Cluster("17".into()),
            running: None,
            port: 5432,
            leftovers: Vec::new(),
            passfile: None,
            registered: false,
            emptied: false,
            tablespaces: Vec::new(),
            own: Vec::new(),
        }
    }

    #[test]
    fn tablespaces_of_a_copy_go_with_it() {
        let at = |location: &str| Tablespace {
            oid: 1,
            name: "1".into(),
            location: location.into(),
        };
        let seen = Seen {
            tablespaces: vec![at("/srv/main/data.tablespaces/1"), at("/mnt/fast")],
            own: vec!["/srv/main/data.tablespaces/1/PG_17_202406281".into()],
            ..seen()
        };
        let how = How {
            asked: true,
            ..How::default()
        };
        let plan = removal(how).plan(&seen).unwrap();
        let steps: Vec<String> = plan.changes[0]
            .steps
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            steps[0],
            "remove /srv/main/data.tablespaces/1/PG_17_202406281"
        );
        assert_eq!(
            plan.warnings,
            [
                "what instance `17/main` has in tablespaces stays in `/mnt/fast`: where no copy of its data directory uses it, \
                 remove `PG_17_*` there"
            ]
        );
        let how = How {
            keep_data: true,
            ..how
        };
        let kept = removal(how).plan(&seen).unwrap();
        assert!(
            !kept.changes[0]
                .steps
                .iter()
                .any(|step| step.to_string().contains("tablespaces"))
        );
    }

    fn removal(how: How) -> Removal {
        Removal {
            target: samples::target(17),
            how,
            dumps_are_shared: false,
        }
    }

    #[test]
    fn a_mount_point_cannot_be_set_aside() {
        let how = How {
            asked: true,
            keep_data: true,
            delete_dumps: false,
            delete_backups: false,
        };
        let mut removal = removal(how);
        assert!(samples::shown(removal.plan(&seen())).starts_with(
            "drop instance `17/main`, with its data kept as `/srv/main/data.dropped-2` [none]\n  \
             rename /srv/main/data to /srv/main/data.dropped-2\n  rename /srv/main/wal to /srv/main/wal.dropped-2\n"
        ));
        removal.target.mountpoints.push("/srv/main/data".into());
        assert_eq!(
            samples::shown(removal.plan(&seen())),
            "Conflict: `/srv/main/data` is a mount point: it cannot be set aside by another name\n\
             hint: stop the instance and unmount the file system, or leave out `keep_data` to have it emptied; nothing was changed\n"
        );
    }

    #[test]
    fn an_interrupted_run_may_not_have_told_the_service_manager() {
        let machine = Machine::with_systemd(true);
        let site = machine.site("prefix: /p\nrun_prefix: /r\nsystemd: {}");
        let mut removal = removal(How::default());
        let major = "15".parse().unwrap();
        removal.target = Target::new(&site.settings, &machine, major, "main").unwrap();
        for (begun, told) in [("instance 15/main", true), ("instance 15/other", false)] {
            let mut world = World::default();
            world.begun.insert(begun.to_owned());
            let seen = removal.observe(&machine, &world).unwrap();
            assert_eq!(seen.registered, told, "{begun}");
        }
    }

    /// Whose word counts: the instance's own, else the site's; an answer to the command's question only against the latter.
    #[test]
    fn whose_protection_counts() {
        for (own, site, asked, refused) in [
            (None, true, false, true),
            (None, true, true, false),
            (None, false, false, false),
            (Some(true), false, false, true),
            (Some(true), false, true, true),
            (Some(false), true, false, false),
        ] {
            let mut removal = removal(How {
                asked,
                ..How::default()
            });
            removal.target.protected_by_default = site;
            let mut seen = seen();
            seen.record.deletion_protection = own;
            assert_eq!(
                removal.plan(&seen).is_err(),
                refused,
                "{own:?} {site} {asked}"
            );
        }
        // What a killed run has left of an instance is nobody's to protect.
        let rest = Seen {
            datadir: Directory::Missing,
            leftovers: vec!["/srv/main/data.pgsocle-drop".into()],
            ..seen()
        };
        assert!(removal(How::default()).plan(&rest).is_ok());
    }
}
