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
    /// An earlier run had begun to tell the manager, and was interrupted.
    begun: bool,
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
            begun: false,
            outside: false,
        };
        let (Manager::Systemd { unit, .. }, Some(file)) =
            (&self.target.manager, self.target.manager.instance_file())
        else {
            return Ok(seen);
        };
        seen.file = look.read(&file)?;
        let objects = [
            format!("service {unit}"),
            format!("configuration {}", self.target.paths),
        ];
        seen.begun = objects.iter().any(|object| world.begun.contains(object));
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
        let known = seen.file.as_deref() == Some(content.as_bytes());
        if seen.new || (known && !seen.begun) {
            return Ok(plan);
        }
        let (action, verb, steps) = match &seen.file {
            _ if seen.begun => (Action::Alter, "finish", manager.register(bindir, paths)),
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

/// The service manager must be there for what a run tells it.
pub struct Reachable {
    pub settings: Settings,
}

impl Stage for Reachable {
    type Seen = Option<Systemd>;

    fn name(&self) -> String {
        "service manager".to_owned()
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Option<Systemd>> {
        Systemd::observe(look, &self.settings)
    }

    fn plan(&self, seen: &Option<Systemd>) -> Result<Plan> {
        let Some(systemd) = seen else {
            return Ok(Plan::default());
        };
        Ok(Plan {
            missing: systemd.missing().into_iter().collect(),
            warnings: systemd.warning().into_iter().collect(),
            ..Plan::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::site::tests::Machine;

    fn stage(settings: &str, wanted: bool) -> (Registration, Seen) {
        let machine = Machine::with_systemd(true);
        let site = machine.site(&format!("prefix: /p\nrun_prefix: /r\n{settings}"));
        let major = "15".parse().unwrap();
        let stage = Registration {
            target: Target::new(&site.settings, &machine, major, "main").unwrap(),
            settings: site.settings.clone(),
            wanted,
        };
        let seen = stage.observe(&machine, &World::default()).unwrap();
        (stage, seen)
    }

    /// The file as it should be.
    fn own_file(stage: &Registration) -> Vec<u8> {
        let target = &stage.target;
        let manager = &target.manager;
        manager
            .instance_file_content(&target.bindir, &target.paths)
            .into_bytes()
    }

    #[test]
    fn not_known_to_its_manager() {
        let (stage, seen) = stage("systemd: {}", true);
        insta::assert_snapshot!(stage.plan(&seen).unwrap(), @r"
        make the service of instance `15/main` [none]
          make directory /var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@15-main.service.d
          write /var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@15-main.service.d/instance.conf
          daemon-reload pgsocle-postgresql@15-main.service
          enable pgsocle-postgresql@15-main.service
        ");
        insta::assert_snapshot!(stage.plan(&seen).unwrap().changes[0].diff.after, @r"
        # Written by pgsocle for instance 15/main.
        [Unit]
        RequiresMountsFor=/p/srv/pgsql/15/main/data /p/srv/pgsql/15/main/wal
        # Held by `pgsocle instance hold` while this file is there: it says why.
        AssertPathExists=!/p/var/pgsocle/15-main/hold

        [Service]
        ExecStart=
        ExecStart=/usr/lib/postgresql/15/bin/postgres -D /p/srv/pgsql/15/main/data
        StandardOutput=append:/p/log/postgresql/15-main-start.log
        StandardError=inherit
        ");
        let (stage, seen) = self::stage("systemd: {user: false}", true);
        insta::assert_snapshot!(stage.plan(&seen).unwrap(), @r"
        make the service of instance `15/main` [none]
          as root: make directory /etc/systemd/system/pgsocle-postgresql@15-main.service.d
          as root: write /etc/systemd/system/pgsocle-postgresql@15-main.service.d/instance.conf
          daemon-reload pgsocle-postgresql@15-main.service
          enable pgsocle-postgresql@15-main.service
        ");
        insta::assert_snapshot!(stage.plan(&seen).unwrap().changes[0].diff.after, @r"
        # Written by pgsocle for instance 15/main.
        [Unit]
        RequiresMountsFor=/p/srv/pgsql/15/main/data /p/srv/pgsql/15/main/wal
        # Held by `pgsocle instance hold` while this file is there: it says why.
        AssertPathExists=!/p/var/pgsocle/15-main/hold

        [Service]
        ExecStart=
        ExecStart=/usr/lib/postgresql/15/bin/postgres -D /p/srv/pgsql/15/main/data
        ");
    }

    #[test]
    fn the_programs_have_moved() {
        let (stage, mut seen) = stage("systemd: {}", true);
        seen.file = Some(b"[Service]\n".to_vec());
        insta::assert_snapshot!(stage.plan(&seen).unwrap(), @r"
        change the service of instance `15/main` [none]
          make directory /var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@15-main.service.d
          write /var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@15-main.service.d/instance.conf
          daemon-reload pgsocle-postgresql@15-main.service
        ");
    }

    #[test]
    fn nothing_to_do() {
        let (stage, mut seen) = stage("systemd: {}", true);
        seen.file = Some(own_file(&stage));
        assert_eq!(stage.plan(&seen).unwrap().to_string(), "");
        // The creation of the cluster writes it.
        seen = Seen {
            file: None,
            new: true,
            ..seen
        };
        assert_eq!(stage.plan(&seen).unwrap().to_string(), "");
        let (stage, seen) = self::stage("", true);
        assert_eq!(stage.plan(&seen).unwrap().to_string(), "");
    }

    #[test]
    fn a_server_outside_of_its_unit() {
        let (stage, mut seen) = stage("systemd: {}", true);
        seen.file = Some(own_file(&stage));
        seen.outside = true;
        insta::assert_snapshot!(stage.plan(&seen).unwrap(), @"warning: instance `15/main` runs, but not in its unit `pgsocle-postgresql@15-main.service`: systemd neither sees nor stops it; a restart brings it under systemd");
    }

    #[test]
    fn the_manager_is_needed_only_for_what_it_knows() {
        for (wanted, file, missing) in [(true, false, 1), (false, true, 1), (false, false, 0)] {
            let (stage, mut seen) = stage("systemd: {}", wanted);
            seen.systemd = seen.systemd.map(|systemd| Systemd {
                systemctl: false,
                ..systemd
            });
            seen.file = file.then(|| own_file(&stage));
            let plan = stage.plan(&seen).unwrap();
            assert_eq!(
                (plan.missing.len(), plan.changes.len()),
                (missing, usize::from(wanted))
            );
        }
    }

    #[test]
    fn a_stop_reaches_a_server_that_the_unit_does_not_know() {
        use crate::manager::Manner;
        let (stage, _) = stage("systemd: {}", true);
        let target = &stage.target;
        let steps: Vec<String> = target
            .manager
            .stop("/b".into(), &target.paths, Manner::default())
            .iter()
            .map(ToString::to_string)
            .collect();
        insta::assert_snapshot!(steps.join("\n"), @r"
        close our own sessions
        stop pgsocle-postgresql@15-main.service and wait until its server has ended
        close our own sessions
        run /b/pg_ctl stop -s -w -t 60 -m fast -D /p/srv/pgsql/15/main/data
        ");
    }
}
