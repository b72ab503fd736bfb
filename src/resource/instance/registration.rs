//! What the service manager knows of an instance: kept true when programs move, or when systemd comes later.

use anyhow::Result;
use camino::Utf8Path;

use crate::host::Look;
use crate::manager::Manager;
use crate::plan::{Action, Change, Diff, Impact, Plan};
use crate::resource::instance::target::Target;
use crate::resource::site::systemd::Systemd;
use crate::settings::Settings;
use crate::stage::{Stage, World};

/// The file that binds the unit to its instance.
pub struct Registration {
    pub target: Target,
    pub settings: Settings,
    /// False: the instance goes, and only its manager must be there for that.
    pub wanted: bool,
}

pub struct Seen {
    systemd: Option<Systemd>,
    /// The file as it is.
    file: Option<Vec<u8>>,
    /// The creation of the cluster writes it.
    new: bool,
    /// The server runs, but not as a process of its unit.
    outside: bool,
}

impl Stage for Registration {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("service of instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let systemd = Systemd::observe(look, &self.settings)?;
        let mut seen = Seen {
            systemd,
            file: None,
            new: world.cluster_made,
            outside: false,
        };
        let (Manager::Systemd { unit, .. }, Some(file)) =
            (&self.target.manager, self.target.manager.instance_file())
        else {
            return Ok(seen);
        };
        seen.file = look.read(&file)?;
        if !seen.new
            && let Some(running) = self.target.running(look)?
        {
            let path = format!("/proc/{}/cgroup", running.pid);
            let groups = look.read(Utf8Path::new(&path))?.unwrap_or_default();
            seen.outside = !unit.holds(&groups);
        }
        Ok(seen)
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let mut plan = Plan::default();
        let manager = &self.target.manager;
        let (Some(systemd), Manager::Systemd { unit, .. }, Some(file)) =
            (&seen.systemd, manager, manager.instance_file())
        else {
            return Ok(plan);
        };
        let needed = self.wanted || seen.file.is_some();
        if needed && let Some(missing) = systemd.missing() {
            plan.missing.push(missing);
        }
        if !self.wanted {
            return Ok(plan);
        }
        plan.warnings.extend(systemd.warning());
        let (bindir, paths) = (&self.target.bindir, &self.target.paths);
        if seen.outside {
            plan.warnings.push(format!(
                "instance `{paths}` runs, but not in its unit `{unit}`: systemd neither sees nor stops it; \
                 a restart brings it under systemd"
            ));
        }
        let content = manager.instance_file_content(bindir, paths);
        if seen.new || seen.file.as_deref() == Some(content.as_bytes()) {
            return Ok(plan);
        }
        let (action, verb, steps) = match &seen.file {
            // Whether it starts at boot was decided once, perhaps otherwise by the operator.
            Some(_) => (
                Action::Alter,
                "change",
                manager.write_instance_file(bindir, paths),
            ),
            None => (Action::Create, "make", manager.register(bindir, paths)),
        };
        let before = seen.file.as_deref().map(String::from_utf8_lossy);
        plan.changes.push(Change::new(
            action,
            format!("service {unit}"),
            format!("{verb} the service of instance `{paths}`"),
            Diff::new(file.as_str(), before.unwrap_or_default(), content),
            Impact::None,
            steps,
        ));
        Ok(plan)
    }
}
