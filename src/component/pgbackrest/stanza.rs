//! The stanza in the repository: made for a cluster, kept from every other one.

use anyhow::Result;

use super::tool::{PgBackRest, stanza_files};
use crate::backup::{BackupTool as _, Catalogue};
use crate::bail_fault;
use crate::host::Look;
use crate::plan::{Action, Change, Diff, Impact, Plan, Scope, Step, attributes};
use crate::settings::InstancePaths;
use crate::stage::{Stage, World};

/// Sees to it that the stanza is there, and is of this cluster.
pub struct Stanza {
    pub tool: PgBackRest,
    pub paths: InstancePaths,
    /// What another cluster has left in it may be added to.
    pub take_over: bool,
}

pub struct Seen {
    /// Or why it cannot be looked into.
    catalogue: Result<Catalogue, String>,
    installed: bool,
    /// None: the cluster is only to be made.
    identifier: Option<u64>,
    new: bool,
}

impl Stage for Stanza {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("stanza `{}` of instance {}", self.tool.stanza(), self.paths)
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let installed = self.tool.is_installed(look)?;
        let catalogue = if installed {
            self.tool
                .catalogue(look)
                .map_err(|error| format!("{error:#}"))
        } else {
            Ok(Catalogue::default())
        };
        Ok(Seen {
            catalogue,
            installed,
            identifier: look.system_identifier(&self.paths.datadir)?,
            new: world.cluster_made,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let (stanza, paths) = (self.tool.stanza(), &self.paths);
        let mut plan = Plan::default();
        if !seen.installed {
            plan.missing.push(self.tool.not_installed());
        }
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
                "mend the repository first, or make the instance without `pgbackrest`; nothing was changed"
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
                .problems
                .iter()
                .map(|problem| format!("stanza `{stanza}` of instance `{paths}`: {problem}")),
        );
        let cluster = catalogue.cluster();
        if cluster.is_some() && cluster == seen.identifier {
            return Ok(plan);
        }
        if cluster.is_none() && !self.tool.is_local() {
            plan.warnings.push(format!(
                "there is no stanza `{stanza}` on the repository host yet, and it is made there: \
                 `pgbackrest --stanza={stanza} stanza-create` (role socle.postgresql.backup_host does it)"
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
        let (action, summary, step) = match cluster {
            None => (
                Action::Create,
                format!("make stanza `{stanza}` for instance `{paths}`"),
                self.tool.offline("stanza-create", &paths.datadir),
            ),
            Some(_) => (
                Action::Alter,
                format!("make stanza `{stanza}` that of instance `{paths}`"),
                self.tool.offline("stanza-upgrade", &paths.datadir),
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
            vec![Step::Run(step)],
        );
        plan.changes.push(if seen.new && cluster.is_none() {
            change.undo(Scope::Creation, self.tool.delete_stanza(&paths.datadir))
        } else {
            change
        });
        Ok(plan)
    }
}

/// Deletes the stanza with its backups, when its last cluster goes.
pub struct Deletion {
    pub tool: PgBackRest,
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
        let files = stanza_files(&self.tool.own, look)?;
        let own = files.iter().find(|(name, ..)| name == self.tool.stanza());
        Ok(Present {
            catalogue: self.tool.catalogue(look)?,
            shared: own.is_some_and(|(.., file)| file.has_others(&self.paths.datadir)),
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
        if !self.tool.is_local() {
            bail_fault!(
                Conflict,
                "the backups of instance `{paths}` lie on a repository host: they are deleted there, not here";
                "leave out `delete_backups`, and run `pgbackrest --stanza={stanza} stanza-delete` there; nothing was changed"
            );
        }
        let mut plan = Plan::default();
        if seen.catalogue.clusters.is_empty() {
            return Ok(plan);
        }
        let object = format!("stanza {stanza}");
        let backups = seen.catalogue.backups.iter();
        let labels: Vec<&str> = backups.map(|backup| backup.label.as_str()).collect();
        plan.changes.push(Change::new(
            Action::Drop,
            &object,
            format!(
                "delete stanza `{stanza}` with {} backups",
                seen.catalogue.backups.len()
            ),
            Diff::new(&object, format!("backups: {}\n", labels.join(", ")), ""),
            Impact::Destructive,
            self.tool.delete_stanza(&paths.datadir),
        ));
        Ok(plan)
    }
}
