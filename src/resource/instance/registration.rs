//! What the service manager knows of an instance: kept true when programs move, or when systemd comes later.

use anyhow::Result;
use camino::Utf8Path;

use crate::host::{Look, Unit};
use crate::manager::Manager;
use crate::plan::{Action, Change, Diff, Impact, Plan};
use crate::resource::instance::hold::Hold;
use crate::resource::instance::target::Target;
use crate::resource::site::systemd::{self, Systemd};
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
    /// The server runs.
    runs: bool,
    /// … but not as a process of its unit.
    outside: bool,
    /// The unit starts it at boot; none where that was not asked, or systemd does not say.
    boot: Option<bool>,
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
            runs: false,
            outside: false,
            boot: None,
        };
        if let Manager::Foreign { unit, .. } = &self.target.manager
            && self.target.boot == Some(false)
            && Hold::read(look, &self.target.paths)?.is_none()
        {
            // postgresql-common starts what its start.conf says, by a generator: such units are neither enabled nor disabled.
            seen.boot = match self.target.start_conf(look)? {
                Some(said) => Some(said == "auto"),
                None => systemd::starts_at_boot(look, unit),
            };
        }
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
            seen.runs = true;
            seen.outside = !unit.holds(&groups);
        }
        if self.target.boot.is_some() && seen.file.is_some() && !seen.new {
            seen.boot = systemd::starts_at_boot(look, unit);
        }
        Ok(seen)
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let mut plan = Plan::default();
        let manager = &self.target.manager;
        if let Manager::Foreign { unit, .. } = manager
            && seen.boot == Some(true)
        {
            let paths = &self.target.paths;
            plan.warnings.push(format!(
                "the unit `{unit}` of instance `{paths}` is not pgsocle's, and starts it at the next boot; \
                 `pgsocle instance hold {paths}` keeps it stopped"
            ));
        }
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
        let paths = &self.target.paths;
        if seen.outside {
            plan.warnings.push(format!(
                "instance `{paths}` runs, but not in its unit `{unit}`: systemd neither sees nor stops it; \
                 a restart brings it under systemd"
            ));
        }
        if seen.new {
            return Ok(plan);
        }
        plan.changes.extend(self.written(seen, unit, &file));
        plan.changes.extend(self.at_boot(seen, unit));
        Ok(plan)
    }
}

impl Registration {
    /// The file as it should be, and what the manager is told of it.
    fn written(&self, seen: &Seen, unit: &Unit, file: &Utf8Path) -> Option<Change> {
        let Target {
            bindir,
            paths,
            manager,
            ..
        } = &self.target;
        let content = manager.instance_file_content(bindir, paths);
        if seen.file.as_deref() == Some(content.as_bytes()) && !seen.begun {
            return None;
        }
        let register = || {
            // What nobody has said follows the server.
            let boot = self.target.boot.or(seen.boot).unwrap_or(seen.runs);
            manager.register(bindir, paths, boot)
        };
        let (action, verb, steps) = match &seen.file {
            _ if seen.begun => (Action::Alter, "finish", register()),
            Some(_) => (
                Action::Alter,
                "change",
                manager.write_instance_file(bindir, paths),
            ),
            None => (Action::Create, "make", register()),
        };
        let before = seen.file.as_deref().map(String::from_utf8_lossy);
        Some(Change::new(
            action,
            format!("service {unit}"),
            format!("{verb} the service of instance `{paths}`"),
            Diff::new(file.as_str(), before.unwrap_or_default(), content),
            Impact::None,
            steps,
        ))
    }

    /// Started at boot or not, as the run state is declared (docs/decisions/0017-at-boot.md).
    fn at_boot(&self, seen: &Seen, unit: &Unit) -> Option<Change> {
        let paths = &self.target.paths;
        let (before, after) = (seen.boot?, self.target.boot?);
        // What is finished has it so already.
        if before == after || (seen.begun && after) {
            return None;
        }
        let summary = if after {
            format!("have instance `{paths}` start at boot")
        } else {
            format!("keep instance `{paths}` from starting at boot")
        };
        let [before, after_line] = [before, after].map(|boot| format!("starts_at_boot: {boot}\n"));
        Some(Change::new(
            Action::Alter,
            format!("service {unit}"),
            summary,
            Diff::new(unit.name.as_str(), before, after_line),
            Impact::None,
            self.target.manager.at_boot(after).into_iter().collect(),
        ))
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
    use crate::resource::samples::shown;
    use crate::resource::site::tests::Machine;

    fn stage(settings: &str, wanted: bool) -> (Registration, Seen) {
        let machine = Machine::with_systemd(true);
        let site = machine.site(&format!("prefix: /p\nrun_prefix: /r\n{settings}"));
        let major = "15".parse().unwrap();
        let mut stage = Registration {
            target: Target::new(&site.settings, &machine, major, "main").unwrap(),
            settings: site.settings.clone(),
            wanted,
        };
        stage.target.boot = Some(true);
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
    fn started_at_boot_as_declared() {
        let (mut stage, mut seen) = stage("systemd: {}", true);
        seen.file = Some(own_file(&stage));
        for (declared, is, summary) in [
            (
                Some(false),
                Some(true),
                "keep instance `15/main` from starting at boot",
            ),
            (
                Some(true),
                Some(false),
                "have instance `15/main` start at boot",
            ),
            (Some(true), Some(true), ""),
            (Some(false), Some(false), ""),
            (None, Some(true), ""),
            // Masked, or the manager does not run.
            (Some(false), None, ""),
        ] {
            stage.target.boot = declared;
            seen.boot = is;
            let plan = stage.plan(&seen).unwrap();
            let said = plan.changes.iter().map(|change| change.summary.as_str());
            assert_eq!(said.collect::<String>(), summary, "{declared:?} {is:?}");
        }
        stage.target.boot = Some(false);
        seen.boot = Some(true);
        insta::assert_snapshot!(shown(stage.plan(&seen)), @r"
        keep instance `15/main` from starting at boot [none]
          disable pgsocle-postgresql@15-main.service
          -starts_at_boot: true
          +starts_at_boot: false
        ");
    }

    #[test]
    fn a_unit_of_others_that_starts_at_boot() {
        let (mut stage, mut seen) = stage("", true);
        let unit = Unit {
            name: "postgresql@15-main.service".to_owned(),
            user: false,
            sudo: false,
        };
        stage.target.manager = Manager::Foreign {
            unit,
            allowed: true,
        };
        seen.boot = Some(true);
        insta::assert_snapshot!(stage.plan(&seen).unwrap(), @"warning: the unit `postgresql@15-main.service` of instance `15/main` is not pgsocle's, and starts it at the next boot; `pgsocle instance hold 15/main` keeps it stopped");
        seen.boot = Some(false);
        assert_eq!(stage.plan(&seen).unwrap().to_string(), "");
    }

    #[test]
    fn nobody_has_said_whether_it_starts_at_boot() {
        for (runs, is, verb) in [
            (true, None, Some("enable")),
            (false, None, None),
            (true, Some(false), None),
            (false, Some(true), Some("enable")),
        ] {
            let (mut stage, mut seen) = stage("systemd: {}", true);
            stage.target.boot = None;
            (seen.runs, seen.boot, seen.begun) = (runs, is, true);
            let plan = stage.plan(&seen).unwrap().to_string();
            let told = plan.lines().find(|line| line.contains("able pgsocle"));
            let verb = verb.map(|verb| format!("  {verb} pgsocle-postgresql@15-main.service"));
            assert_eq!(told, verb.as_deref(), "{runs} {is:?}");
        }
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
