//! The base directories of the site: where the system user cannot make them, root does.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::host::Look;
use crate::plan::{Action, Change, Diff, Impact, Plan, RunAs, Step};
use crate::settings::Settings;
use crate::stage::{Stage, World};

pub struct Bases {
    paths: Vec<(Utf8PathBuf, u32)>,
    user: String,
}

impl Bases {
    pub fn new(site: &Settings) -> Self {
        // 0755: clients of other users reach the sockets below, and servers keep what they hold to themselves.
        Self {
            paths: vec![
                (site.prefix.clone(), 0o755),
                (site.run_prefix.clone(), 0o755),
            ],
            user: site.sysuser.user.clone(),
        }
    }
}

impl Stage for Bases {
    type Seen = Vec<Utf8PathBuf>;

    fn name(&self) -> String {
        "base directories".to_owned()
    }

    fn before_lock(&self) -> bool {
        true
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Self::Seen> {
        let mut missing = Vec::new();
        for (path, _) in &self.paths {
            if look.stat(path)?.is_none() {
                missing.push(path.clone());
            }
        }
        Ok(missing)
    }

    fn plan(&self, missing: &Self::Seen) -> Result<Plan> {
        let mut plan = Plan::default();
        for (path, mode) in self.paths.iter().filter(|(path, _)| missing.contains(path)) {
            plan.changes.push(Change::new(
                Action::Create,
                format!("directory {path}"),
                format!("make base directory `{path}`"),
                Diff::new(
                    path.as_str(),
                    "",
                    format!("owner: {}\nmode: {mode:04o}\n", self.user),
                ),
                Impact::None,
                vec![Step::MakeDir {
                    path: path.clone(),
                    mode: *mode,
                    run_as: RunAs::Root,
                }],
            ));
        }
        Ok(plan)
    }
}
