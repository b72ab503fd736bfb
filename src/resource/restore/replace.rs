//! The new data take the place of the old ones, which are set aside until the server has answered.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::fetch::{object, staging};
use super::spaces::{Exchange, exchanges};
use crate::host::Look;
use crate::manager::StopMode;
use crate::plan::{Action, Change, Diff, Fact, Impact, Plan, Scope, Step};
use crate::resource::instance::kept;
use crate::resource::instance::target::Target;
use crate::stage::{Sight, Stage, World};

/// What the old data are called meanwhile.
pub fn aside(path: &Utf8Path) -> Utf8PathBuf {
    format!("{path}.before-restore").into()
}

/// Changes the places of the data.
pub struct Replace {
    pub target: Target,
}

pub struct Seen {
    /// There are data in the place.
    there: bool,
    /// Of those that the run replaces these have been set aside by one that was cut short.
    aside: Vec<Utf8PathBuf>,
    /// What is there was restored by it, and no server has been started on it.
    untouched: bool,
    spaces: Vec<Exchange>,
    /// A number for what is kept.
    free: u32,
}

impl Stage for Replace {
    type Seen = Seen;

    fn name(&self) -> String {
        object(&self.target)
    }

    fn sight(&self, world: &World) -> Sight {
        if world.changed.contains_key(&object(&self.target)) {
            Sight::Look
        } else {
            Sight::Skip
        }
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let datadir = &self.target.paths.datadir;
        let mut set_aside = Vec::new();
        for path in self.target.directories() {
            if look.stat(&aside(path))?.is_some() {
                set_aside.push(path.clone());
            }
        }
        Ok(Seen {
            there: look.list(datadir)?.is_some_and(|names| !names.is_empty()),
            aside: set_aside,
            spaces: exchanges(look, datadir, self.target.paths.version)?,
            untouched: look.stat(&datadir.join("backup_label"))?.is_some(),
            free: kept::free(look, &self.target.paths)?,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let paths = &self.target.paths;
        let directories = self.target.directories();
        let mut steps = Vec::new();
        for path in directories.iter().copied() {
            let away = |to: Utf8PathBuf| Step::RenameIfExists {
                from: path.clone(),
                to,
            };
            steps.push(if !seen.aside.contains(path) {
                away(aside(path))
            } else if seen.untouched || !seen.there {
                Step::Remove { path: path.clone() }
            } else {
                // Somebody may have worked with it.
                away(kept::name(path, seen.free))
            });
        }
        let worked_with = seen.there && !seen.untouched;
        for space in &seen.spaces {
            steps.extend(space.away(&paths.datadir, worked_with, seen.free));
            steps.extend(space.come());
        }
        // The data directory last: what it needs is there then.
        for path in directories.iter().rev().copied() {
            if let Some(parent) = path.parent() {
                steps.push(Step::make_dir(parent, 0o755));
            }
            steps.push(Step::Rename {
                from: staging(path),
                to: path.clone(),
            });
        }
        let manner = self.target.manner.ending(StopMode::Immediate);
        let manager = &self.target.manager;
        let mut back = manager.stop(&self.target.bindir, paths, manner);
        back.extend(seen.spaces.iter().flat_map(Exchange::back));
        // Last again: as long as the old ones are aside, it is known that they are not back.
        back.extend(directories.into_iter().rev().map(|path| {
            if seen.there || !seen.aside.is_empty() {
                Step::PutBack {
                    path: path.clone(),
                    aside: aside(path),
                    gone: staging(path),
                }
            } else {
                Step::Remove { path: path.clone() }
            }
        }));
        let object = format!("data of instance {paths}");
        let line = |from: &str| format!("data: {from}\n");
        let (before, impact) = if seen.there {
            (line("as they are"), Impact::Destructive)
        } else {
            (String::new(), Impact::None)
        };
        let change = Change::new(
            Action::Alter,
            &object,
            if seen.there {
                format!("put the restored data in the place of those of instance `{paths}`")
            } else {
                format!("put the restored data in the place of instance `{paths}`")
            },
            Diff::new(&object, before, line("of the backup")),
            impact,
            steps,
        )
        .undo(Scope::Restore, back);
        Ok(Plan {
            changes: vec![change],
            facts: vec![Fact::Stopped],
            ..Plan::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::samples;

    /// What happens to the directories before the new ones come.
    fn steps(there: bool, set_aside: &[&str], untouched: bool) -> String {
        let replace = Replace {
            target: samples::target(15),
        };
        let seen = Seen {
            there,
            aside: set_aside.iter().map(Utf8PathBuf::from).collect(),
            untouched,
            spaces: Vec::new(),
            free: 1,
        };
        let plan = replace.plan(&seen).unwrap();
        let steps = plan.changes[0].steps.iter().take(2);
        steps
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn whatever_a_killed_run_had_set_aside() {
        let (data, wal) = ("/srv/main/data", "/srv/main/wal");
        insta::assert_snapshot!(steps(true, &[], false), @r"
        rename /srv/main/data to /srv/main/data.before-restore
        rename /srv/main/wal to /srv/main/wal.before-restore
        ");
        // Killed between the two: the old WAL is in its place still.
        insta::assert_snapshot!(steps(false, &[data], false), @r"
        remove /srv/main/data
        rename /srv/main/wal to /srv/main/wal.before-restore
        ");
        // Killed when the WAL was new, and the data were not there yet.
        insta::assert_snapshot!(steps(false, &[data, wal], false), @r"
        remove /srv/main/data
        remove /srv/main/wal
        ");
        // No server was started on what is there; one was.
        insta::assert_snapshot!(steps(true, &[data, wal], true), @r"
        remove /srv/main/data
        remove /srv/main/wal
        ");
        insta::assert_snapshot!(steps(true, &[data, wal], false), @r"
        rename /srv/main/data to /srv/main/data.dropped-1
        rename /srv/main/wal to /srv/main/wal.dropped-1
        ");
    }
}
