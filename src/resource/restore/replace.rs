//! The new data take the place of the old ones, which are set aside until the server has answered.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::fetch::{object, staging};
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
    /// Those that the run replaces have been set aside by one that was cut short.
    aside: bool,
    /// What is there was restored by it, and no server has been started on it.
    untouched: bool,
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
        Ok(Seen {
            there: look.list(datadir)?.is_some_and(|names| !names.is_empty()),
            aside: look.stat(&aside(datadir))?.is_some(),
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
            steps.push(match (seen.there, seen.aside) {
                (_, false) => away(aside(path)),
                (_, true) if seen.untouched => Step::Remove { path: path.clone() },
                // Somebody may have worked with it.
                (_, true) => away(kept::name(path, seen.free)),
            });
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
        back.extend(directories.into_iter().map(|path| {
            if seen.there || seen.aside {
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
