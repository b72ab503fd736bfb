//! The unit of others that runs an adopted instance: while the instance is held, a drop-in of ours keeps whoever starts
//! the unit from starting it, as a line of our own units does (docs/decisions/0015-services.md).

use anyhow::Result;
use camino::Utf8Path;

use crate::host::Look;
use crate::manager::Manager;
use crate::plan::{Action, Change, Diff, Impact, Plan};
use crate::resource::instance::target::Target;
use crate::stage::{Stage, World};

/// Brings the drop-in or takes it away.
pub struct Heeding {
    pub target: Target,
    pub held: bool,
}

#[derive(Default)]
pub struct Seen {
    /// The drop-in as it is.
    file: Option<Vec<u8>>,
    /// Nothing else is in its directory.
    alone: bool,
    /// An earlier run had begun to tell the manager, and was interrupted.
    begun: bool,
}

impl Stage for Heeding {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("service of instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let mut seen = Seen::default();
        if let (Manager::Foreign { unit, .. }, Some(file)) =
            (&self.target.manager, self.target.manager.hold_file())
        {
            let directory = file.parent().unwrap_or(Utf8Path::new("/"));
            seen.file = look.read(&file)?;
            seen.alone = look.list(directory)?.is_some_and(|names| names.len() == 1);
            seen.begun = world.begun.contains(&format!("service {unit}"));
        }
        Ok(seen)
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let mut plan = Plan::default();
        let paths = &self.target.paths;
        let manager = &self.target.manager;
        let (Manager::Foreign { unit, allowed }, Some(file)) = (manager, manager.hold_file())
        else {
            return Ok(plan);
        };
        let wanted = self.held.then(|| Manager::hold_file_content(paths));
        if seen.file.as_deref() == wanted.as_deref().map(str::as_bytes) && !seen.begun {
            return Ok(plan);
        }
        if !allowed {
            plan.warnings.push(if self.held {
                format!(
                    "the unit `{unit}` of instance `{paths}` is not pgsocle's and knows nothing of the hold: systemd may still \
                     start it; call pgsocle as root (`become: true`), which tells it"
                )
            } else {
                format!(
                    "`{file}` stays, since only root can remove it; without a hold it keeps nothing from starting"
                )
            });
            return Ok(plan);
        }
        let (action, summary, steps) = match &wanted {
            Some(content) => (
                Action::Create,
                format!("have unit `{unit}` heed the hold of instance `{paths}`"),
                manager.heed_hold(content),
            ),
            None => (
                Action::Drop,
                format!("let unit `{unit}` start instance `{paths}` again"),
                manager.ignore_hold(seen.alone),
            ),
        };
        let before = seen.file.as_deref().map(String::from_utf8_lossy);
        plan.changes.push(Change::new(
            action,
            format!("service {unit}"),
            summary,
            Diff::new(
                file.as_str(),
                before.unwrap_or_default(),
                wanted.unwrap_or_default(),
            ),
            Impact::None,
            steps,
        ));
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Unit;
    use crate::resource::samples::{self, shown};

    fn stage(held: bool, allowed: bool) -> Heeding {
        let unit = Unit {
            name: "postgresql@15-main.service".into(),
            user: false,
            sudo: false,
        };
        let mut target = samples::target(15);
        target.manager = Manager::Foreign { unit, allowed };
        Heeding { target, held }
    }

    /// With the drop-in, or without.
    fn seen(file: bool, alone: bool) -> Seen {
        let content = Manager::hold_file_content(&samples::paths(15));
        Seen {
            file: file.then(|| content.into_bytes()),
            alone,
            begun: false,
        }
    }

    #[test]
    fn a_drop_in_comes_with_a_hold_and_goes_with_it() {
        insta::assert_snapshot!(shown(stage(true, true).plan(&seen(false, false))), @r"
        have unit `postgresql@15-main.service` heed the hold of instance `15/main` [none]
          as root: make directory /etc/systemd/system/postgresql@15-main.service.d
          as root: write /etc/systemd/system/postgresql@15-main.service.d/pgsocle-hold.conf
          daemon-reload postgresql@15-main.service
          +[Unit]
          +# Held by `pgsocle instance hold` while this file is there: it says why.
          +AssertPathExists=!/srv/state/hold
        ");
        insta::assert_snapshot!(shown(stage(false, true).plan(&seen(true, true))), @r"
        let unit `postgresql@15-main.service` start instance `15/main` again [none]
          as root: remove /etc/systemd/system/postgresql@15-main.service.d/pgsocle-hold.conf
          as root: remove /etc/systemd/system/postgresql@15-main.service.d if empty
          daemon-reload postgresql@15-main.service
          -[Unit]
          -# Held by `pgsocle instance hold` while this file is there: it says why.
          -AssertPathExists=!/srv/state/hold
        ");
        // Others have drop-ins of their own for it.
        insta::assert_snapshot!(shown(stage(false, true).plan(&seen(true, false))), @r"
        let unit `postgresql@15-main.service` start instance `15/main` again [none]
          as root: remove /etc/systemd/system/postgresql@15-main.service.d/pgsocle-hold.conf
          daemon-reload postgresql@15-main.service
          -[Unit]
          -# Held by `pgsocle instance hold` while this file is there: it says why.
          -AssertPathExists=!/srv/state/hold
        ");
    }

    #[test]
    fn nothing_to_do() {
        for (held, file) in [(true, true), (false, false)] {
            for allowed in [true, false] {
                let plan = stage(held, allowed).plan(&seen(file, true));
                assert_eq!(shown(plan), "", "{held} {allowed}");
            }
        }
        let mut stage = stage(true, true);
        stage.target.manager = Manager::None;
        assert_eq!(shown(stage.plan(&Seen::default())), "");
    }

    #[test]
    fn what_was_begun_is_finished() {
        let begun = Seen {
            begun: true,
            ..seen(true, true)
        };
        insta::assert_snapshot!(shown(stage(true, true).plan(&begun)), @r"
        have unit `postgresql@15-main.service` heed the hold of instance `15/main` [none]
          as root: make directory /etc/systemd/system/postgresql@15-main.service.d
          as root: write /etc/systemd/system/postgresql@15-main.service.d/pgsocle-hold.conf
          daemon-reload postgresql@15-main.service
           [Unit]
           # Held by `pgsocle instance hold` while this file is there: it says why.
           AssertPathExists=!/srv/state/hold
        ");
    }

    #[test]
    fn without_root() {
        insta::assert_snapshot!(shown(stage(true, false).plan(&seen(false, false))), @"warning: the unit `postgresql@15-main.service` of instance `15/main` is not pgsocle's and knows nothing of the hold: systemd may still start it; call pgsocle as root (`become: true`), which tells it");
        insta::assert_snapshot!(shown(stage(false, false).plan(&seen(true, true))), @"warning: `/etc/systemd/system/postgresql@15-main.service.d/pgsocle-hold.conf` stays, since only root can remove it; without a hold it keeps nothing from starting");
    }
}
