//! What a server needs that the caller itself becomes.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::bail_fault;
use crate::host::Look;
use crate::plan::{Action, Change, Diff, Impact, Plan, Step};
use crate::resource::instance::hold::Hold;
use crate::resource::instance::target::{Running, Target};
use crate::resource::{Job, Site, site, subject};
use crate::stage::{Stage, World};

/// The run that makes ready for it; it is refused where the server runs already or is held.
pub fn job(target: &Target, site: &Site, look: &dyn Look) -> Result<Job> {
    let mut job = Job::new(subject("instance", &target.paths, site));
    job.stages.extend(site::ground(look, site)?);
    job.stages.push(Box::new(Ready {
        target: target.clone(),
    }));
    Ok(job)
}

struct Ready {
    target: Target,
}

struct Seen {
    running: Option<Running>,
    hold: Option<Hold>,
    /// Directories that a boot has taken away.
    missing: Vec<Utf8PathBuf>,
}

impl Stage for Ready {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let paths = &self.target.paths;
        let mut missing = Vec::new();
        for directory in [Some(&paths.socket_directory), paths.logdir.as_ref()] {
            if let Some(directory) = directory
                && look.stat(directory)?.is_none()
            {
                missing.push(directory.clone());
            }
        }
        Ok(Seen {
            running: self.target.running(look)?,
            hold: Hold::read(look, paths)?,
            missing,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let paths = &self.target.paths;
        if let Some(running) = &seen.running {
            bail_fault!(
                Conflict,
                "instance `{paths}` runs already, as process {}", running.pid;
                "stop it with `pgsocle instance stop {paths}` first"
            );
        }
        if let Some(hold) = &seen.hold {
            return Err(hold.refusal(paths, "started"));
        }
        let mut plan = Plan::default();
        for path in &seen.missing {
            let mode = if *path == paths.socket_directory {
                0o755
            } else {
                0o750
            };
            plan.changes.push(Change::new(
                Action::Create,
                format!("directory {path}"),
                format!("make directory `{path}`"),
                Diff::new(path.as_str(), "", "state: present\n"),
                Impact::None,
                vec![Step::make_dir(path, mode)],
            ));
        }
        Ok(plan)
    }
}
