//! Looking after backups: what is beyond retention goes, the way of WAL into the repository is checked, and what lies there is
//! read again.

use std::rc::Rc;

use anyhow::Result;

use super::tool;
use crate::backup::{BackupTool, Catalogue, Expired, Verdict};
use crate::host::{LockMode, Look};
use crate::manifest::{InstanceRef, Place};
use crate::plan::{Action, Change, Diff, Impact, Plan};
use crate::resource::instance::target::{Running, Target};
use crate::resource::{Job, Site, addressed};
use crate::stage::{Sight, Stage, World};
use crate::{bail_fault, fault};

/// A run on the backups of an instance, which goes on being changed meanwhile.
fn begun(
    what: &str,
    reference: &InstanceRef,
    site: &Site,
    look: &dyn Look,
) -> Result<(Job, Box<dyn BackupTool>, Target)> {
    let place = Place {
        instance: Some(reference.clone()),
        ..Place::default()
    };
    let begun = addressed(what, &place, site, look)?;
    let mut job = begun.job;
    job.subject.mode = LockMode::Read;
    let tool = tool(&begun.target, site, look)?;
    job.subject.alone = tool.lock();
    if let Some(missing) = tool.missing(look)? {
        return Err(missing);
    }
    Ok((job, tool, begun.target))
}

/// The run that takes away what is beyond retention.
pub fn expire(reference: &InstanceRef, site: &Site, look: &dyn Look) -> Result<Job> {
    let (mut job, tool, target) = begun("expiry of backups", reference, site, look)?;
    if let Some(elsewhere) = tool.elsewhere("expire") {
        return Err(elsewhere);
    }
    job.stages.push(Box::new(Expiry {
        tool: tool.into(),
        target,
        after: None,
    }));
    Ok(job)
}

/// Takes away what is beyond retention.
pub struct Expiry {
    pub tool: Rc<dyn BackupTool>,
    pub target: Target,
    /// Only once this object has been changed.
    pub after: Option<String>,
}

impl Stage for Expiry {
    type Seen = Expired;

    fn name(&self) -> String {
        format!("expiry of backups of instance {}", self.target.paths)
    }

    fn sight(&self, world: &World) -> Sight {
        match self.after.as_ref().map(|object| world.changed.get(object)) {
            None | Some(Some(true)) => Sight::Look,
            Some(Some(false)) => Sight::Hidden("what the new backup makes dispensable goes".into()),
            Some(None) => Sight::Skip,
        }
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Expired> {
        self.tool.expired(look)
    }

    fn plan(&self, seen: &Expired) -> Result<Plan> {
        let mut plan = Plan::default();
        // A run that takes a backup has told it.
        if self.after.is_none() {
            plan.warnings.extend(seen.kept.iter().cloned());
        }
        let wal = seen.wal.iter().map(|(start, stop)| {
            if start == stop {
                start.clone()
            } else {
                format!("{start} to {stop}")
            }
        });
        let wal: Vec<String> = wal.collect();
        let mut what = Vec::new();
        if !seen.backups.is_empty() {
            what.push(format!("backups {}", seen.backups.join(", ")));
        }
        if !wal.is_empty() {
            what.push(format!("WAL {}", wal.join(", ")));
        }
        if what.is_empty() {
            return Ok(plan);
        }
        let paths = &self.target.paths;
        let object = format!("backups of instance {paths}");
        let lines: Vec<&str> = seen
            .backups
            .iter()
            .chain(&wal)
            .map(String::as_str)
            .collect();
        plan.changes.push(Change::new(
            Action::Drop,
            &object,
            format!(
                "delete what has expired of instance `{paths}`: {}",
                what.join("; ")
            ),
            Diff::new(&object, lines.join("\n") + "\n", ""),
            // With a backup it is what the settings ask for.
            match self.after {
                Some(_) => Impact::None,
                None => Impact::Destructive,
            },
            self.tool.expire(seen),
        ));
        Ok(plan)
    }
}

/// The run that checks whether WAL arrives in the repository; it leaves nothing changed.
pub fn check(reference: &InstanceRef, site: &Site, look: &dyn Look) -> Result<Job> {
    let (mut job, tool, target) = begun("check of backups", reference, site, look)?;
    job.stages.push(Box::new(Check { tool, target }));
    Ok(job)
}

struct Check {
    tool: Box<dyn BackupTool>,
    target: Target,
}

impl Stage for Check {
    type Seen = (Option<Running>, Catalogue);

    fn name(&self) -> String {
        format!("check of backups of instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Self::Seen> {
        Ok((self.target.running(look)?, self.tool.catalogue(look)?))
    }

    fn plan(&self, (running, catalogue): &Self::Seen) -> Result<Plan> {
        let (paths, stanza) = (&self.target.paths, self.tool.stanza());
        let Some(running) = running else {
            bail_fault!(
                Unavailable,
                "instance `{paths}` is stopped: no WAL of it could arrive in stanza `{stanza}`";
                "start it with `pgsocle instance start {paths}`"
            );
        };
        // The check itself would wait half an hour for a host that does not answer.
        if let Some(problem) = catalogue.problems.first() {
            bail_fault!(
                Unavailable,
                "the repository of stanza `{stanza}` of instance `{paths}` is not in order: {problem}";
                "look after its storage; directories that are missing are made when the instance is applied again"
            );
        }
        let object = format!("archive of stanza {stanza}");
        let mut plan = Plan::default();
        plan.warnings.extend(catalogue.unreadable.values().cloned());
        plan.changes.push(
            Change::new(
                Action::Alter,
                &object,
                format!("check that WAL of instance `{paths}` arrives in stanza `{stanza}`"),
                Diff::new(&object, "checked: false\n", "checked: true\n"),
                Impact::None,
                self.tool.check(&running.server),
            )
            .transient(),
        );
        Ok(plan)
    }
}

/// Reads all backups of an instance again; an error unless they are sound.
pub fn verify(target: &Target, site: &Site, look: &dyn Look) -> Result<Verdict> {
    let tool = tool(target, site, look)?;
    if let Some(missing) = tool.missing(look)?.or_else(|| tool.elsewhere("verify")) {
        return Err(missing);
    }
    let verdict = tool.verify(look)?;
    if !verdict.sound {
        return Err(fault!(
            Command,
            "stanza `{}` of instance `{}` is damaged, or cannot be read:\n{}", tool.stanza(), target.paths, verdict.report;
            "take a full backup: what is damaged cannot be restored from"
        ));
    }
    Ok(verdict)
}
