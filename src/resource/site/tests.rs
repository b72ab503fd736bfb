mod pgbackrest;

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::items::{Templates, items, privileges};
use super::*;
use crate::bail_fault;
use crate::component::item::What;
use crate::host::{Command, FileKind, Look, Output, Privileges, Probe, Query, Rows, Stat};
use crate::plan::Plan;
use crate::settings::{Caller, Settings};
use crate::stage::World;

/// A machine that is nothing but files; a directory is a path that ends with a slash.
pub struct Machine {
    files: BTreeMap<Utf8PathBuf, String>,
    /// What its programs say, by the beginning of the command: exit status, output, errors.
    answers: Vec<(&'static str, (i32, &'static str, &'static str))>,
    ports: Vec<u16>,
    /// Owner and mode of files that are not root's with mode 0755.
    owners: BTreeMap<Utf8PathBuf, (u32, u32)>,
    /// When files were changed, in microseconds since 1970.
    times: BTreeMap<Utf8PathBuf, i64>,
    caller: Caller,
}

impl Machine {
    pub fn new(root: bool, files: &[(&str, &str)]) -> Self {
        let mut machine = Self {
            files: BTreeMap::new(),
            answers: Vec::new(),
            ports: Vec::new(),
            owners: BTreeMap::new(),
            times: BTreeMap::new(),
            caller: Caller {
                user: "postgres".to_owned(),
                group: "postgres".to_owned(),
                uid: 26,
                gid: 26,
                home: "/var/lib/postgresql".into(),
                config_home: None,
                data_home: None,
                runtime_dir: Some("/run/user/26".into()),
                root,
            },
        };
        for (path, content) in files {
            machine.put(path, content);
        }
        machine
    }

    /// With systemd, the user's manager and lingering.
    pub fn with_systemd(root: bool) -> Self {
        Self::new(
            root,
            &[
                ("/usr/bin/systemctl", ""),
                ("/run/user/26/systemd/private", ""),
                ("/var/lib/systemd/linger/postgres", ""),
            ],
        )
    }

    pub fn put(&mut self, path: &str, content: &str) {
        self.files.insert(path.into(), content.to_owned());
    }

    pub fn take(&mut self, path: &str) {
        self.files.remove(Utf8Path::new(path));
    }

    /// The site with these settings.
    ///
    /// # Panics
    /// When they are wrong.
    pub fn site(&self, settings: &str) -> Site {
        Site {
            settings: Settings::load(Some(("s.yaml".into(), settings)), &[], &self.caller).unwrap(),
            config_dir: Some("/etc/pgsocle".into()),
            environment: Vec::new(),
            check: true,
            lock_timeout: std::time::Duration::ZERO,
            by: "alice".to_owned(),
            now: "2026-11-27T18:00:00Z".to_owned(),
        }
    }

    fn is_directory(&self, path: &Utf8Path) -> bool {
        self.files.keys().any(|known| {
            known.starts_with(path) && (known != path || known.as_str().ends_with('/'))
        })
    }
}

impl Look for Machine {
    fn free_space(&self, _: &Utf8Path) -> Result<u64> {
        Ok(1 << 40)
    }

    fn networks(&self) -> Result<Vec<(std::net::IpAddr, std::net::IpAddr)>> {
        Ok(Vec::new())
    }

    fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        Ok(self
            .files
            .get(path)
            .filter(|_| !self.is_directory(path))
            .map(|content| content.clone().into_bytes()))
    }

    fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>> {
        let directory = self.is_directory(path);
        let inside = path.as_str().ends_with("/.");
        let (uid, mode) = self.owners.get(path).copied().unwrap_or((0, 0o755));
        Ok(
            (directory || self.files.contains_key(path) && !inside).then_some(Stat {
                kind: if directory {
                    FileKind::Directory
                } else {
                    FileKind::File
                },
                mode,
                uid,
                gid: 0,
                device: 1,
                modified: self.times.get(path).copied().unwrap_or(0),
            }),
        )
    }

    fn list(&self, path: &Utf8Path) -> Result<Option<Vec<String>>> {
        if !self.is_directory(path) {
            return Ok(None);
        }
        let mut names: Vec<String> = self
            .files
            .keys()
            .filter_map(|known| known.strip_prefix(path).ok()?.components().next())
            .map(|name| name.as_str().to_owned())
            .collect();
        names.dedup();
        Ok(Some(names))
    }

    fn link(&self, _: &Utf8Path) -> Result<Option<Utf8PathBuf>> {
        Ok(None)
    }

    fn probe(&self, probe: &Probe) -> Result<Output> {
        let command = probe.command().to_string();
        let answer = self
            .answers
            .iter()
            .find(|(start, _)| command.starts_with(start));
        let Some((_, (status, stdout, stderr))) = answer else {
            bail_fault!(Command, "no program `{}`", probe.command().program)
        };
        Ok(Output {
            status: Some(*status),
            stdout: stdout.as_bytes().to_vec(),
            stderr: stderr.as_bytes().to_vec(),
        })
    }

    fn query(&self, _: &[Query]) -> Result<Vec<Rows>> {
        Ok(Vec::new())
    }

    fn port_taken(&self, port: u16) -> Result<bool> {
        Ok(self.ports.contains(&port))
    }

    fn alive(&self, _: i32) -> bool {
        false
    }

    fn memory(&self) -> Result<u64> {
        Ok(0)
    }

    fn scratch(&self, _: &[(&str, Vec<u8>)], _: &Command) -> Result<Output> {
        Ok(Output::default())
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }
}

const PLAIN: &str = "prefix: /p\nrun_prefix: /r\n";
const USER: &str = "prefix: /p\nrun_prefix: /r\nsystemd: {}\n";
const SYSTEM: &str = "prefix: /p\nrun_prefix: /r\nsystemd: {user: false}\nlogrotate: {configdir: /etc/logrotate.d}\n\
                      rsyslog: {}\npostgresql: {logpath: /var/log/pg}\n";

/// Everything with its content, as one text.
fn shown(settings: &str) -> String {
    let site = Machine::new(true, &[]).site(settings);
    let items = items(&site.settings, &Templates::shipped(&site.settings)).unwrap();
    items
        .into_iter()
        .map(|item| {
            let root = if item.root { " (root)" } else { "" };
            match item.what {
                What::Directory { mode } => format!("{}/ {mode:04o}{root}\n", item.path),
                What::File { content, mode } => {
                    format!("{} {mode:04o}{root}\n{content}--\n", item.path)
                }
                What::Private { .. } => format!("{}\n", item.path),
            }
        })
        .collect()
}

#[test]
fn items_without_systemd() {
    insta::assert_snapshot!(shown(PLAIN), @r"
    /p/ 0755 (root)
    /r/ 0755 (root)
    /var/lib/postgresql/ 0700 (root)
    /p/log/postgresql/ 0750
    ");
}

#[test]
fn items_with_user_units() {
    insta::assert_snapshot!(shown(USER), @r"
    /p/ 0755 (root)
    /r/ 0755 (root)
    /var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-postgresql.conf 0644
    d /r 0755 - -
    d /r/postgresql 0755 - -
    --
    /var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@.service 0644
    [Unit]
    Description=PostgreSQL instance %i
    Documentation=man:postgres(1)
    # An operator's start is never refused for being one too many.
    StartLimitIntervalSec=0

    [Service]
    # A server says by itself when it accepts connections; for one built without systemd put `Type=exec`.
    Type=notify
    # The file `instance.conf` of each instance gives ExecStart.
    ExecStartPre=/bin/mkdir -p /r/postgresql
    ExecReload=/bin/kill -HUP $MAINPID
    # A fast shutdown, told to the postmaster alone; what outlives it is killed.
    KillMode=mixed
    KillSignal=SIGINT
    # Recovery before the start and the checkpoint before the end take the time they take.
    TimeoutSec=infinity
    # A postmaster that was killed comes back; one that refuses its configuration (exit status 1) is not tried again.
    Restart=on-abnormal
    RestartSec=5
    # When the kernel kills one backend, the postmaster sees to the others.
    OOMPolicy=continue
    # What PostgreSQL bears. Not PrivateTmp, ProtectHome, PrivateDevices or ProtectSystem=strict: COPY, archive_command,
    # sockets and tablespaces may be anywhere. Not MemoryDenyWriteExecute: JIT compiles.
    NoNewPrivileges=yes
    LockPersonality=yes
    RestrictRealtime=yes
    RestrictSUIDSGID=yes

    [Install]
    WantedBy=default.target
    --
    /var/lib/postgresql/ 0700 (root)
    /p/log/postgresql/ 0750
    ");
}

#[test]
fn items_with_system_units() {
    insta::assert_snapshot!(shown(SYSTEM), @r#"
    /p/ 0755 (root)
    /r/ 0755 (root)
    /etc/tmpfiles.d/pgsocle-postgresql.conf 0644 (root)
    d /r 0755 postgres postgres
    d /r/postgresql 0755 postgres postgres
    --
    /etc/systemd/system/pgsocle-postgresql@.service 0644 (root)
    [Unit]
    Description=PostgreSQL instance %i
    Documentation=man:postgres(1)
    After=network-online.target
    Wants=network-online.target
    # An operator's start is never refused for being one too many.
    StartLimitIntervalSec=0

    [Service]
    # A server says by itself when it accepts connections; for one built without systemd put `Type=exec`.
    Type=notify
    User=postgres
    Group=postgres
    # The file `instance.conf` of each instance gives ExecStart.
    ExecStartPre=/bin/mkdir -p /r/postgresql
    ExecReload=/bin/kill -HUP $MAINPID
    # A fast shutdown, told to the postmaster alone; what outlives it is killed.
    KillMode=mixed
    KillSignal=SIGINT
    # Recovery before the start and the checkpoint before the end take the time they take.
    TimeoutSec=infinity
    # A postmaster that was killed comes back; one that refuses its configuration (exit status 1) is not tried again.
    Restart=on-abnormal
    RestartSec=5
    # When memory runs out the kernel spares the postmaster, and the backends are like everybody else
    # (PostgreSQL documentation, "Linux Memory Overcommit"); when it kills one, the postmaster sees to the others.
    OOMScoreAdjust=-900
    Environment=PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj PG_OOM_ADJUST_VALUE=0
    OOMPolicy=continue
    # What PostgreSQL bears. Not PrivateTmp, ProtectHome, PrivateDevices or ProtectSystem=strict: COPY, archive_command,
    # sockets and tablespaces may be anywhere. Not MemoryDenyWriteExecute: JIT compiles.
    # ProtectSystem=full: /usr, /boot and /etc are read-only; `instance.conf` allows what lies there.
    NoNewPrivileges=yes
    LockPersonality=yes
    RestrictRealtime=yes
    RestrictSUIDSGID=yes
    ProtectControlGroups=yes
    ProtectKernelModules=yes
    ProtectKernelTunables=yes
    ProtectSystem=full

    [Install]
    WantedBy=multi-user.target
    --
    /p/etc/rsyslog/rsyslog.conf 0644
    $umask 0027
    template(name="pgsocle_postgresql" type="string" string="/var/log/pg/%programname%.log")
    if $programname startswith "postgresql-" then {
      action(type="omfile" dynaFile="pgsocle_postgresql" fileCreateMode="0640" fileOwner="postgres" fileGroup="postgres")
      stop
    }
    --
    /etc/logrotate.d/logrotate.conf 0644 (root)
    "/var/log/pg"/*.log {
      su postgres postgres
      weekly
      rotate 10
      copytruncate
      delaycompress
      compress
      notifempty
      missingok
    }
    --
    /var/lib/postgresql/ 0700 (root)
    /var/log/pg/ 0750 (root)
    "#);
}

#[test]
fn directories_for_the_next_boot() {
    for (settings, expected) in [
        (
            "run_prefix: /r",
            Some("d /r 0755 - -\nd /r/postgresql 0755 - -\n"),
        ),
        (
            "run_prefix: '/r s'",
            Some("d \"/r s\" 0755 - -\nd \"/r s/postgresql\" 0755 - -\n"),
        ),
        (
            "run_prefix: /r\npostgresql: {socket_directory: a/b%}",
            Some("d /r 0755 - -\nd /r/a 0755 - -\nd /r/a/b%% 0755 - -\n"),
        ),
        ("run_prefix: /r\npostgresql: {socket_directory: /r}", None),
        (
            "run_prefix: /r\npostgresql: {socket_directory: /run/postgresql}",
            None,
        ),
        ("run_prefix: /r\ntmpfiles_manager: null", None),
    ] {
        let site =
            Machine::new(false, &[]).site(&format!("prefix: /p\nsystemd: {{}}\n{settings}\n"));
        let items = items(&site.settings, &Templates::shipped(&site.settings)).unwrap();
        let rules = items
            .into_iter()
            .find(|item| item.purpose == Purpose::Rules);
        let content = rules.map(|item| match item.what {
            What::File { content, .. } => content,
            What::Directory { .. } | What::Private { .. } => String::new(),
        });
        assert_eq!(content.as_deref(), expected, "{settings}");
    }
}

#[test]
fn the_sites_own_templates() {
    let mut machine = Machine::new(false, &[]);
    machine.put(
        "/etc/pgsocle/systemd/pgsocle-postgresql@.service",
        "[Service]\nUser={user}\nType=exec\n",
    );
    let find = |machine: &Machine| {
        let items = super::items(machine, &machine.site(USER))?;
        Ok::<_, anyhow::Error>(
            items
                .into_iter()
                .find(|item| item.purpose == Purpose::Unit)
                .map(|item| item.what),
        )
    };
    assert_eq!(
        find(&machine).unwrap(),
        Some(What::File {
            content: "[Service]\nUser=postgres\nType=exec\n".to_owned(),
            mode: 0o644
        })
    );
    machine.put(
        "/etc/pgsocle/systemd/pgsocle-postgresql@.service",
        "User={usr}\n",
    );
    insta::assert_snapshot!(format!("{:#}", find(&machine).unwrap_err()), @r"
    template pgsocle-postgresql@.service: unknown variable `{usr}` in `User={usr}
    `
    ");
}

#[test]
fn what_root_may_do() {
    let of = |settings| privileges(&Machine::new(true, &[]).site(settings).settings).unwrap();
    assert_eq!(
        of(USER),
        Privileges {
            directories: vec!["/p".into(), "/r".into(), "/var/lib/postgresql".into()],
            ..Privileges::default()
        }
    );
    assert_eq!(
        of(SYSTEM),
        Privileges {
            directories: vec![
                "/p".into(),
                "/r".into(),
                "/var/lib/postgresql".into(),
                "/var/log/pg".into()
            ],
            files: vec![
                "/etc/tmpfiles.d/pgsocle-postgresql.conf".into(),
                "/etc/logrotate.d/logrotate.conf".into()
            ],
            unit_path: Some("/etc/systemd/system".into()),
        }
    );
}

/// The plans of all stages, one after the other on the same machine.
fn plan(machine: &Machine, settings: &str, spec: &Value) -> Result<Plan> {
    let site = machine.site(settings);
    let spec: SiteSpec = serde_json::from_value(spec.clone())?;
    let mut whole = Plan::default();
    for stage in job(&spec, &site, machine)?.stages {
        let plan = stage.decide(machine, &World::default())?;
        whole.view = plan.view.or(whole.view);
        whole.changes.extend(plan.changes);
        whole.warnings.extend(plan.warnings);
        whole.missing.extend(plan.missing);
    }
    Ok(whole)
}

/// A machine on which everything is as it should be.
pub(super) fn complete(settings: &str) -> Machine {
    let mut machine = Machine::with_systemd(true);
    let site = machine.site(settings);
    for item in super::items(&machine, &site).unwrap() {
        match item.what {
            What::Directory { .. } => machine.put(&format!("{}/", item.path), ""),
            What::File { content, .. } => machine.put(item.path.as_str(), &content),
            What::Private { .. } => {}
        }
    }
    machine
}

const UNIT: &str = "/var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@.service";

#[test]
fn a_bare_host() {
    let machine = Machine::with_systemd(true);
    insta::assert_snapshot!(plan(&machine, USER, &json!({})).unwrap(), @r"
    make base directory `/p` [none]
      make directory /p
    make base directory `/r` [none]
      make directory /r
    write `/var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-postgresql.conf` [none]
      make directory /var/lib/postgresql/.config/user-tmpfiles.d
      write /var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-postgresql.conf
      make the directories of /var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-postgresql.conf
    write `/var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@.service` [none]
      make directory /var/lib/postgresql/.local/share/systemd/user
      write /var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@.service
      daemon-reload pgsocle-postgresql@.service
    make directory `/var/lib/postgresql` [none]
      make directory /var/lib/postgresql
    make directory `/p/log/postgresql` [none]
      make directory /p/log/postgresql
    ");
    insta::assert_snapshot!(plan(&machine, SYSTEM, &json!({})).unwrap(), @r"
    make base directory `/p` [none]
      make directory /p
    make base directory `/r` [none]
      make directory /r
    write `/etc/tmpfiles.d/pgsocle-postgresql.conf` [none]
      as root: make directory /etc/tmpfiles.d
      as root: write /etc/tmpfiles.d/pgsocle-postgresql.conf
      make the directories of /etc/tmpfiles.d/pgsocle-postgresql.conf
    write `/etc/systemd/system/pgsocle-postgresql@.service` [none]
      as root: make directory /etc/systemd/system
      as root: write /etc/systemd/system/pgsocle-postgresql@.service
      daemon-reload pgsocle-postgresql@.service
    write `/p/etc/rsyslog/rsyslog.conf` [none]
      make directory /p/etc/rsyslog
      write /p/etc/rsyslog/rsyslog.conf
    write `/etc/logrotate.d/logrotate.conf` [none]
      as root: make directory /etc/logrotate.d
      as root: write /etc/logrotate.d/logrotate.conf
    make directory `/var/lib/postgresql` [none]
      make directory /var/lib/postgresql
    make directory `/var/log/pg` [none]
      make directory /var/log/pg
    ");
}

#[test]
fn a_complete_host_is_left_alone() {
    for settings in [PLAIN, USER, SYSTEM] {
        let machine = complete(settings);
        assert_eq!(
            plan(&machine, settings, &json!({})).unwrap().to_string(),
            ""
        );
        assert_eq!(check(&machine, &machine.site(settings)).unwrap(), []);
    }
}

#[test]
fn what_differs_is_told_or_overwritten() {
    let mut machine = complete(USER);
    machine.put(UNIT, "[Service]\nType=simple\n");
    let plan_of = |spec| plan(&machine, USER, &spec).unwrap();
    assert_eq!(
        plan_of(json!({})).view,
        Some((
            "site",
            json!({
                "state": "present",
                "prefix": "/p",
                "run_prefix": "/r",
                "directories": ["/p", "/r", "/var/lib/postgresql", "/p/log/postgresql"],
                "files": ["/var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-postgresql.conf", UNIT],
            })
        ))
    );
    insta::assert_snapshot!(plan_of(json!({})), @r"
    change `/var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@.service` [none]
      write /var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@.service
      daemon-reload pgsocle-postgresql@.service
    ");
    insta::assert_snapshot!(plan_of(json!({"force": false})), @"warning: `/var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@.service` differs from what the site settings give and is left as it is; `pgsocle site-configure install --force` or the module `site` overwrites it");
    let before = &plan_of(json!({})).changes[0].diff.before;
    assert_eq!(before, "[Service]\nType=simple\n");
    machine.take("/r/");
    machine.take("/p/log/postgresql/");
    machine.put("/p/log/postgresql", "a file\n");
    let findings: Vec<String> = check(&machine, &machine.site(USER))
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        findings,
        [
            "`/r` is missing".to_owned(),
            format!("`{UNIT}` differs from what the site settings give"),
            "`/p/log/postgresql` is not of the right kind".to_owned(),
        ]
    );
    assert_eq!(
        plan(&machine, USER, &json!({})).unwrap_err().to_string(),
        "`/p/log/postgresql` is in the way: it is not a directory"
    );
}

#[test]
fn without_a_service_manager() {
    let told = |machine: &Machine, settings: &str| {
        let plan = plan(machine, settings, &json!({})).unwrap();
        assert_eq!(plan.missing.len(), 1);
        plan.missing[0].to_string()
    };
    let mut machine = Machine::with_systemd(false);
    insta::assert_snapshot!(told(&machine, SYSTEM), @"system units are root's, and the program was called as `postgres`");
    machine.take("/run/user/26/systemd/private");
    insta::assert_snapshot!(told(&machine, USER), @"the service manager of user `postgres` does not run, and the site settings want services in it");
    machine.take("/usr/bin/systemctl");
    insta::assert_snapshot!(told(&machine, USER), @"program `systemctl` is not installed, and the site settings have the section `systemd`");
}

#[test]
fn removal() {
    let absent = json!({"state": "absent"});
    let mut machine = complete(SYSTEM);
    machine.put("/var/log/pg/15-main.log", "a line\n");
    machine.put("/r/postgresql/", "");
    insta::assert_snapshot!(plan(&machine, SYSTEM, &absent).unwrap(), @r"
    remove `/etc/logrotate.d/logrotate.conf` [none]
      as root: remove /etc/logrotate.d/logrotate.conf
    remove `/p/etc/rsyslog/rsyslog.conf` [none]
      remove /p/etc/rsyslog/rsyslog.conf
    remove `/etc/systemd/system/pgsocle-postgresql@.service` [none]
      as root: remove /etc/systemd/system/pgsocle-postgresql@.service
      daemon-reload pgsocle-postgresql@.service
    remove `/etc/tmpfiles.d/pgsocle-postgresql.conf` [none]
      as root: remove /etc/tmpfiles.d/pgsocle-postgresql.conf
    remove the empty directory `/r/postgresql` [none]
      remove /r/postgresql if empty
    remove the empty directory `/r` [none]
      as root: remove /r if empty
    warning: directory `/var/log/pg` is kept: 1 entries are in it
    ");
    let machine = Machine::with_systemd(true);
    assert_eq!(plan(&machine, SYSTEM, &absent).unwrap().to_string(), "");
}

#[test]
fn no_removal_while_instances_exist() {
    let mut machine = complete(USER);
    for (version, name) in [("15", "main"), ("17", "other")] {
        let data = format!("/p/srv/pgsql/{version}/{name}/data");
        machine.put(&format!("{data}/PG_VERSION"), version);
        machine.put(&format!("{data}/global/pg_control"), "");
    }
    let error = plan(&machine, USER, &json!({"state": "absent"})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the site cannot be removed while instances exist: 15/main, 17/other"
    );
}

#[test]
fn the_first_instance_makes_its_ground() {
    let machine = Machine::with_systemd(true);
    let [files, services] = ground(&machine, &machine.site(USER)).unwrap();
    let plan = |stage: &dyn AnyStage| stage.decide(&machine, &World::default()).unwrap();
    assert_eq!(plan(&*services).to_string(), "");
    insta::assert_snapshot!(plan(&*files), @r"
    make base directory `/p` [none]
      make directory /p
    make base directory `/r` [none]
      make directory /r
    write `/var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-postgresql.conf` [none]
      make directory /var/lib/postgresql/.config/user-tmpfiles.d
      write /var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-postgresql.conf
      make the directories of /var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-postgresql.conf
    write `/var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@.service` [none]
      make directory /var/lib/postgresql/.local/share/systemd/user
      write /var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@.service
      daemon-reload pgsocle-postgresql@.service
    ");
}
