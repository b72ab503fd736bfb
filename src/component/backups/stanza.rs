//! The stanza in the repository: made for a cluster, kept from every other one.

use std::rc::Rc;

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::backup::{BackupTool, Catalogue};
use crate::bail_fault;
use crate::fault::Fault;
use crate::host::Look;
use crate::plan::{Action, Change, Diff, Impact, Plan, Scope, Step, attributes};
use crate::settings::InstancePaths;
use crate::stage::{Stage, World};

/// A tool whose stanzas are made with the instances.
pub trait StanzaTool: BackupTool {
    /// Makes the stanza for a cluster; where it has been that of another one, makes it this one's. Before the cluster is made,
    /// in check mode, it has no identifier.
    fn make(&self, known: &Catalogue, identifier: Option<u64>, paths: &InstancePaths) -> Vec<Step>;

    /// Deletes it with everything in it.
    fn delete(&self, paths: &InstancePaths) -> Vec<Step>;

    /// Whether other instances of this host are in it as well.
    fn is_shared(&self, look: &dyn Look, paths: &InstancePaths) -> Result<bool>;

    /// Directories of the stanza that somebody has taken away.
    fn lost(&self, _: &dyn Look) -> Result<Vec<Utf8PathBuf>> {
        Ok(Vec::new())
    }

    /// Where it is made and deleted, in which words, when that is another host.
    fn made_elsewhere(&self) -> Option<Elsewhere> {
        None
    }

    /// It is made elsewhere, and has not been yet.
    fn is_awaited(&self, _: &dyn Look) -> Result<bool> {
        Ok(false)
    }
}

/// What is to be run on another host.
pub struct Elsewhere {
    pub make: String,
    pub delete: String,
}

/// Sees to it that the stanza is there, and is of this cluster.
pub struct Stanza {
    pub tool: Rc<dyn StanzaTool>,
    pub paths: InstancePaths,
    /// What another cluster has left in it may be added to.
    pub take_over: bool,
}

pub struct Seen {
    /// Or why it cannot be looked into.
    catalogue: Result<Catalogue, String>,
    /// What must be there before it can be.
    missing: Option<Fault>,
    /// None: the cluster is only to be made.
    identifier: Option<u64>,
    new: bool,
    lost: Vec<Utf8PathBuf>,
}

impl Stage for Stanza {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("stanza `{}` of instance {}", self.tool.stanza(), self.paths)
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let missing = self.tool.missing(look)?;
        let catalogue = match &missing {
            None => self
                .tool
                .catalogue(look)
                .map_err(|error| format!("{error:#}")),
            Some(_) => Ok(Catalogue::default()),
        };
        Ok(Seen {
            catalogue,
            missing: missing.and_then(|error| Fault::of(&error).cloned()),
            identifier: look.system_identifier(&self.paths.datadir)?,
            new: world.cluster_made,
            lost: self.tool.lost(look)?,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let (stanza, paths) = (self.tool.stanza(), &self.paths);
        let mut plan = Plan::default();
        plan.missing
            .extend(seen.missing.clone().map(anyhow::Error::from));
        let seen_stanza = match &seen.catalogue {
            // Whether there is one cannot be told from a repository that does not answer.
            Ok(catalogue) if catalogue.cluster().is_none() && !catalogue.problems.is_empty() => {
                Err(catalogue.problems.join("; "))
            }
            other => other.as_ref().map_err(String::clone),
        };
        let catalogue = match seen_stanza {
            Ok(catalogue) => catalogue,
            Err(why) if seen.new => bail_fault!(
                Unavailable,
                "stanza `{stanza}` of instance `{paths}`: {why}";
                "mend the repository first, or make the instance without `{}`; nothing was changed", self.tool.method().name()
            ),
            Err(why) => {
                plan.warnings.push(format!(
                    "whether stanza `{stanza}` of instance `{paths}` is as it should be cannot be seen: {why}"
                ));
                return Ok(plan);
            }
        };
        plan.warnings.extend(
            catalogue
                .complaints()
                .map(|problem| format!("stanza `{stanza}` of instance `{paths}`: {problem}")),
        );
        let cluster = catalogue.cluster();
        if cluster.is_some() && cluster == seen.identifier {
            // What was in them is told of above, and by a verification.
            plan.changes.extend(seen.lost.iter().map(|path| {
                let object = format!("stanza {stanza}");
                Change::new(
                    Action::Create,
                    &object,
                    format!("make directory `{path}` of stanza `{stanza}` again"),
                    Diff::new(&object, "", format!("directory: {path}\n")),
                    Impact::None,
                    vec![Step::make_dir(path, 0o700)],
                )
            }));
            return Ok(plan);
        }
        if let (None, Some(host)) = (cluster, self.tool.made_elsewhere()) {
            plan.warnings.push(format!(
                "there is no stanza `{stanza}` on the repository host yet, and it is made there: {}",
                host.make
            ));
            return Ok(plan);
        }
        if let Some(other) = cluster
            && !self.take_over
            && !catalogue.is_empty()
        {
            bail_fault!(
                Conflict,
                "stanza `{stanza}` holds {} backups and archived WAL of another cluster (system identifier {other}): it is not made that of instance `{paths}`", catalogue.backups.len();
                "choose another `stanza`; or restore that cluster; or, where this one is to go on in its place, set `take_over: true`. Nothing was changed"
            );
        }
        let object = format!("stanza {stanza}");
        let line = |cluster: Option<String>| attributes(&[("cluster", cluster)]);
        let (action, summary) = match cluster {
            None => (
                Action::Create,
                format!("make stanza `{stanza}` for instance `{paths}`"),
            ),
            Some(_) => (
                Action::Alter,
                format!("make stanza `{stanza}` that of instance `{paths}`"),
            ),
        };
        let change = Change::new(
            action,
            &object,
            summary,
            Diff::new(
                &object,
                line(cluster.map(|other| other.to_string())),
                line(Some(format!("that of instance {paths}"))),
            ),
            Impact::None,
            self.tool.make(catalogue, seen.identifier, paths),
        );
        plan.changes.push(if seen.new && cluster.is_none() {
            change.undo(Scope::Creation, self.tool.delete(paths))
        } else {
            change
        });
        Ok(plan)
    }
}

/// Deletes the stanza with its backups, when its last cluster goes.
pub struct Deletion {
    pub tool: Rc<dyn StanzaTool>,
    pub paths: InstancePaths,
}

pub struct Present {
    catalogue: Catalogue,
    shared: bool,
}

impl Stage for Deletion {
    type Seen = Present;

    fn name(&self) -> String {
        format!("stanza `{}` of instance {}", self.tool.stanza(), self.paths)
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Present> {
        Ok(Present {
            catalogue: self.tool.catalogue(look)?,
            shared: self.tool.is_shared(look, &self.paths)?,
        })
    }

    fn plan(&self, seen: &Present) -> Result<Plan> {
        let (stanza, paths) = (self.tool.stanza(), &self.paths);
        if seen.shared {
            bail_fault!(
                Conflict,
                "stanza `{stanza}` of instance `{paths}` is that of another instance as well: its backups are not deleted";
                "leave out `delete_backups`; nothing was changed"
            );
        }
        if let Some(host) = self.tool.made_elsewhere() {
            bail_fault!(
                Conflict,
                "the backups of instance `{paths}` lie on a repository host: they are deleted there, not here";
                "leave out `delete_backups`, and run {} there; nothing was changed", host.delete
            );
        }
        let mut plan = Plan::default();
        if seen.catalogue.clusters.is_empty() {
            return Ok(plan);
        }
        let object = format!("stanza {stanza}");
        let backups = seen.catalogue.backups.iter();
        let unreadable = seen.catalogue.unreadable.keys().map(String::as_str);
        let labels = backups.map(|backup| backup.label.as_str());
        let labels: Vec<&str> = labels.chain(unreadable).collect();
        plan.changes.push(Change::new(
            Action::Drop,
            &object,
            format!("delete stanza `{stanza}` with {} backups", labels.len()),
            Diff::new(&object, format!("backups: {}\n", labels.join(", ")), ""),
            Impact::Destructive,
            self.tool.delete(paths),
        ));
        Ok(plan)
    }
}
