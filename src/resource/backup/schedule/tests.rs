use super::*;
use crate::resource::instance::target::Target;
use crate::resource::site::tests::Machine;

fn schedule(own: &[(Kind, Timing)], site: &[(Kind, &str)]) -> Scheduling {
    let site = site.iter().map(|(kind, at)| (*kind, (*at).to_owned()));
    Scheduling::As(Schedule {
        own: own.iter().cloned().collect(),
        site: site.collect(),
        site_says: false,
    })
}

fn at(calendar: &str) -> Timing {
    Timing::At(calendar.to_owned())
}

struct Host {
    machine: Machine,
    settings: String,
}

impl Host {
    fn new(settings: &str) -> Self {
        let mut machine = Machine::with_systemd(true);
        machine.put("/usr/local/bin/pgsocle", "");
        Self {
            machine,
            settings: format!("prefix: /p\nrun_prefix: /r\n{settings}"),
        }
    }

    fn stage(&self, scheduling: Scheduling) -> Timers {
        let site = self.machine.site(&self.settings);
        let major = "15".parse().unwrap();
        let target = Target::new(&site.settings, &self.machine, major, "main").unwrap();
        Timers::new(&target.paths, &site, scheduling)
    }

    fn plan(&self, scheduling: &Scheduling) -> Result<Plan> {
        let stage = self.stage(scheduling.clone());
        stage.plan(&stage.observe(&self.machine, &World::default())?)
    }

    /// Does what the plan says to files.
    fn apply(&mut self, scheduling: &Scheduling) -> Plan {
        let plan = self.plan(scheduling).unwrap();
        for step in plan.changes.iter().flat_map(|change| &change.steps) {
            let step = match step {
                Step::AsRoot(step) => step,
                step => step,
            };
            match step {
                Step::WriteFile {
                    path,
                    content: Content::Bytes(content),
                    ..
                } => {
                    let text = String::from_utf8(content.clone()).unwrap();
                    self.machine.put(path.as_str(), &text);
                }
                Step::Remove { path } => self.machine.take(path.as_str()),
                _ => {}
            }
        }
        assert_eq!(self.plan(scheduling).unwrap().to_string(), "");
        plan
    }
}

#[test]
fn a_timer_of_the_user() {
    let mut host = Host::new("systemd: {}");
    let plan = host.apply(&schedule(&[], &[(Kind::Incr, "daily")]));
    insta::assert_snapshot!(plan, @r"
    take backups of instance `15/main` (incr) by themselves: daily [none]
      make directory /var/lib/postgresql/.local/share/systemd/user
      write /var/lib/postgresql/.local/share/systemd/user/pgsocle-backup-incr@15-main.service
      write /var/lib/postgresql/.local/share/systemd/user/pgsocle-backup-incr@15-main.timer
      daemon-reload pgsocle-backup-incr@15-main.timer
      enable pgsocle-backup-incr@15-main.timer
      start pgsocle-backup-incr@15-main.timer
    ");
    insta::assert_snapshot!(plan.changes[0].diff.after, @r"
    # Written by pgsocle for instance 15/main, as the site settings say.
    [Unit]
    Description=Timer of backups (incr) of PostgreSQL instance 15/main

    [Timer]
    OnCalendar=daily
    # Not all instances and hosts at once, and each at a time of its own.
    RandomizedDelaySec=1h
    FixedRandomDelay=true
    # What was due while the host was down is made up for.
    Persistent=true

    [Install]
    WantedBy=timers.target
    # Written by pgsocle for instance 15/main.
    [Unit]
    Description=Backup (incr) of PostgreSQL instance 15/main
    # Of a server that was stopped there is nothing to back up; one that has crashed leaves this file behind.
    ConditionPathExists=/p/srv/pgsql/15/main/data/postmaster.pid
    After=pgsocle-postgresql@15-main.service

    [Service]
    Type=oneshot
    Environment=PGSOCLE_CONFIG_DIR=/etc/pgsocle
    ExecStart=/usr/local/bin/pgsocle instance backup --type=incr --lock-timeout=86400 15/main
    ");
}

#[test]
fn a_timer_of_the_system() {
    let mut host = Host::new("systemd: {user: false}\nsysuser: [postgres, postgres]");
    let plan = host.apply(&schedule(&[(Kind::Full, at("Sun 02:00"))], &[]));
    insta::assert_snapshot!(plan, @r"
    take backups of instance `15/main` (full) by themselves: Sun 02:00 [none]
      as root: make directory /etc/systemd/system
      as root: write /etc/systemd/system/pgsocle-backup-full@15-main.service
      as root: write /etc/systemd/system/pgsocle-backup-full@15-main.timer
      daemon-reload pgsocle-backup-full@15-main.timer
      enable pgsocle-backup-full@15-main.timer
      start pgsocle-backup-full@15-main.timer
    ");
    insta::assert_snapshot!(plan.changes[0].diff.after, @r"
    # Written by pgsocle for instance 15/main, as was said of it.
    [Unit]
    Description=Timer of backups (full) of PostgreSQL instance 15/main

    [Timer]
    OnCalendar=Sun 02:00
    # Not all instances and hosts at once, and each at a time of its own.
    RandomizedDelaySec=1h
    FixedRandomDelay=true
    # What was due while the host was down is made up for.
    Persistent=true

    [Install]
    WantedBy=timers.target
    # Written by pgsocle for instance 15/main.
    [Unit]
    Description=Backup (full) of PostgreSQL instance 15/main
    # Of a server that was stopped there is nothing to back up; one that has crashed leaves this file behind.
    ConditionPathExists=/p/srv/pgsql/15/main/data/postmaster.pid
    After=pgsocle-postgresql@15-main.service

    [Service]
    Type=oneshot
    User=postgres
    Group=postgres
    Environment=PGSOCLE_CONFIG_DIR=/etc/pgsocle
    ExecStart=/usr/local/bin/pgsocle instance backup --type=full --lock-timeout=86400 15/main
    ");
    insta::assert_snapshot!(host.apply(&Scheduling::Ended), @r"
    take no backups of instance `15/main` (full) by themselves [none]
      disable pgsocle-backup-full@15-main.timer
      stop pgsocle-backup-full@15-main.timer
      as root: remove /etc/systemd/system/pgsocle-backup-full@15-main.timer
      as root: remove /etc/systemd/system/pgsocle-backup-full@15-main.service
      daemon-reload pgsocle-backup-full@15-main.timer
    ");
}

/// What was said of an instance stays; what was not, follows the site.
#[test]
fn who_decides() {
    let kind = Kind::Incr;
    let own = |calendar: &str| State::Own(calendar.to_owned());
    let site = |calendar: &str| State::Site(calendar.to_owned());
    for (said, of_site, present, wanted_state) in [
        (None, None, State::Absent, State::Absent),
        (None, Some("daily"), State::Absent, site("daily")),
        (None, Some("daily"), site("weekly"), site("daily")),
        (None, None, site("weekly"), State::Absent),
        (None, Some("daily"), own("hourly"), own("hourly")),
        (None, Some("daily"), State::Never, State::Never),
        (
            Some(at("hourly")),
            Some("daily"),
            State::Never,
            own("hourly"),
        ),
        (
            Some(at("daily")),
            Some("daily"),
            site("daily"),
            own("daily"),
        ),
        (
            Some(Timing::Never),
            Some("daily"),
            own("hourly"),
            State::Never,
        ),
    ] {
        let schedule = Schedule {
            own: said
                .clone()
                .map(|timing| (kind, timing))
                .into_iter()
                .collect(),
            site: of_site
                .map(|at| (kind, at.to_owned()))
                .into_iter()
                .collect(),
            site_says: true,
        };
        assert_eq!(
            wanted(&schedule, kind, present.clone()),
            wanted_state,
            "{said:?} {of_site:?} {present:?}"
        );
    }
}

#[test]
fn what_a_file_says_is_read_back() {
    let host = Host::new("systemd: {}");
    let stage = host.stage(Scheduling::Unmanaged);
    let timer = Timer {
        kind: Kind::Diff,
        paths: stage.paths.clone(),
    };
    for state in [
        State::Absent,
        State::Never,
        State::Site("daily".to_owned()),
        State::Own("Mon..Fri *-*-* 04:30:00 Europe/Paris".to_owned()),
    ] {
        let content = timer.content(&state);
        assert_eq!(State::read(content.as_deref().map(str::as_bytes)), state);
    }
}

#[test]
fn times_change_and_go() {
    let mut host = Host::new("systemd: {}");
    let site = [(Kind::Incr, "daily")];
    host.apply(&schedule(&[], &site));
    insta::assert_snapshot!(host.apply(&schedule(&[(Kind::Incr, at("hourly"))], &site)), @r"
    take backups of instance `15/main` (incr) by themselves: hourly [none]
      make directory /var/lib/postgresql/.local/share/systemd/user
      write /var/lib/postgresql/.local/share/systemd/user/pgsocle-backup-incr@15-main.service
      write /var/lib/postgresql/.local/share/systemd/user/pgsocle-backup-incr@15-main.timer
      daemon-reload pgsocle-backup-incr@15-main.timer
      restart pgsocle-backup-incr@15-main.timer
    ");
    // Nothing said, nothing changed.
    assert_eq!(host.apply(&schedule(&[], &site)).to_string(), "");
    insta::assert_snapshot!(host.apply(&schedule(&[(Kind::Incr, Timing::Never)], &site)), @r"
    take no backups of instance `15/main` (incr) by themselves [none]
      disable pgsocle-backup-incr@15-main.timer
      stop pgsocle-backup-incr@15-main.timer
      make directory /var/lib/postgresql/.local/share/systemd/user
      write /var/lib/postgresql/.local/share/systemd/user/pgsocle-backup-incr@15-main.timer
      remove /var/lib/postgresql/.local/share/systemd/user/pgsocle-backup-incr@15-main.service
      daemon-reload pgsocle-backup-incr@15-main.timer
    ");
    assert_eq!(host.apply(&schedule(&[], &site)).to_string(), "");
    insta::assert_snapshot!(host.apply(&Scheduling::Ended), @r"
    take no backups of instance `15/main` (incr) by themselves [none]
      remove /var/lib/postgresql/.local/share/systemd/user/pgsocle-backup-incr@15-main.timer
      remove /var/lib/postgresql/.local/share/systemd/user/pgsocle-backup-incr@15-main.service
      daemon-reload pgsocle-backup-incr@15-main.timer
    ");
    assert_eq!(host.apply(&Scheduling::Ended).to_string(), "");
}

#[test]
fn an_interrupted_run_is_finished() {
    let mut host = Host::new("systemd: {}");
    let scheduling = schedule(&[], &[(Kind::Incr, "daily")]);
    host.apply(&scheduling);
    let stage = host.stage(scheduling);
    let mut world = World::default();
    world
        .begun
        .insert("timer pgsocle-backup-incr@15-main.timer".to_owned());
    let plan = stage
        .plan(&stage.observe(&host.machine, &world).unwrap())
        .unwrap();
    let steps: Vec<String> = plan.changes[0]
        .steps
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        steps[3..],
        [
            "daemon-reload pgsocle-backup-incr@15-main.timer",
            "enable pgsocle-backup-incr@15-main.timer",
            "start pgsocle-backup-incr@15-main.timer"
        ]
    );
}

/// An executable that was delivered for a task is gone tomorrow.
#[test]
fn the_executable_must_stay() {
    let mut host = Host::new("systemd: {}");
    host.machine.take("/usr/local/bin/pgsocle");
    let by_site = schedule(&[], &[(Kind::Incr, "daily")]);
    insta::assert_snapshot!(host.plan(&by_site).unwrap(), @"warning: backups of instance `15/main` cannot be scheduled: `pgsocle` is not installed on the host, and the present executable was delivered for this task; role socle.postgresql.install puts it to `/usr/local/bin/pgsocle`");
    let own = schedule(&[(Kind::Incr, at("daily"))], &[]);
    let plan = host.plan(&own).unwrap();
    assert_eq!((plan.changes.len(), plan.missing.len()), (0, 1));
    assert_eq!(host.plan(&Scheduling::Ended).unwrap().to_string(), "");

    // The one that a unit names already, while it is there.
    host.machine.put("/opt/pgsocle", "");
    let unit = "[Service]\nExecStart=/opt/pgsocle instance backup --type=incr 15/main\n";
    let service =
        "/var/lib/postgresql/.local/share/systemd/user/pgsocle-backup-incr@15-main.service";
    host.machine.put(service, unit);
    host.machine.put("/usr/bin/pgsocle", "");
    let plan = host.plan(&by_site).unwrap();
    assert!(
        plan.changes[0].diff.after.ends_with(
            "ExecStart=/opt/pgsocle instance backup --type=incr --lock-timeout=86400 15/main\n"
        ),
        "{}",
        plan.changes[0].diff.after
    );
}

/// A backup by timer sees the site that the run saw which made the timer.
#[test]
fn what_the_environment_says_of_the_site_goes_with_it() {
    let variables = [
        ("HOME", "/u/ann"),
        ("PGSOCLE_CONFIG_DIR", "/elsewhere"),
        ("PGSOCLE_EXAMPLE", "no setting"),
        ("PGSOCLE_PREFIX", "/srv/100%"),
        ("PGSOCLE_POSTGRESQL__REPLROLE", "re\"pl $x"),
        ("PGSOCLE_PGBACKREST", "{\"a\":\n1}"),
        ("XDG_DATA_HOME", "/u/ann/data"),
    ];
    let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let host = Host::new("systemd: {}");
    let mut stage = host.stage(schedule(&[], &[(Kind::Incr, "daily")]));
    stage
        .environment
        .extend(settings::environment_of_site(&environment, false));
    let plan = stage
        .plan(&stage.observe(&host.machine, &World::default()).unwrap())
        .unwrap();
    let lines = plan.changes[0].diff.after.lines();
    let lines: Vec<&str> = lines
        .filter_map(|line| line.strip_prefix("Environment="))
        .collect();
    assert_eq!(
        lines,
        [
            "PGSOCLE_CONFIG_DIR=/etc/pgsocle",
            r#""PGSOCLE_PGBACKREST={\"a\":\n1}""#,
            r#""PGSOCLE_POSTGRESQL__REPLROLE=re\"pl $x""#,
            "PGSOCLE_PREFIX=/srv/100%%",
            "XDG_DATA_HOME=/u/ann/data",
        ]
    );
    // Root's own home decides nothing.
    assert_eq!(settings::environment_of_site(&environment, true).len(), 3);
    assert_eq!(
        stage.for_a_shell(),
        "PGSOCLE_CONFIG_DIR=/etc/pgsocle PGSOCLE_PGBACKREST='{\"a\":\n1}' PGSOCLE_POSTGRESQL__REPLROLE='re\"pl $x' \
         PGSOCLE_PREFIX='/srv/100\\%' XDG_DATA_HOME=/u/ann/data "
    );
}

#[test]
fn without_systemd_cron_is_told() {
    let host = Host::new("sysuser: [postgres, postgres]");
    let silent = schedule(&[], &[(Kind::Incr, "daily")]);
    assert_eq!(host.plan(&silent).unwrap().to_string(), "");
    let said = schedule(&[(Kind::Full, at("Sun 02:00"))], &[(Kind::Incr, "*:0/15")]);
    insta::assert_snapshot!(host.plan(&said).unwrap(), @"warning: backups of instance `15/main` are not taken by themselves: the site settings have no `scheduler`; for the crontab of user `postgres`: `0 2 * * Sun PGSOCLE_CONFIG_DIR=/etc/pgsocle pgsocle instance backup --type=full --lock-timeout=86400 15/main`, `(*:0/15) PGSOCLE_CONFIG_DIR=/etc/pgsocle pgsocle instance backup --type=incr --lock-timeout=86400 15/main`; a time in brackets is for you to put into cron's words, and was not checked: only systemd knows whether it is one");
    let plain = schedule(&[(Kind::Full, at("Sun 02:00"))], &[]);
    let told = host.plan(&plain).unwrap().to_string();
    assert!(told.ends_with(" 15/main`\n"), "{told}");
    assert_eq!(host.plan(&Scheduling::Ended).unwrap().to_string(), "");
}
