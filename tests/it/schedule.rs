//! Backups that are taken by themselves, with a `systemctl` that only pretends: units, what systemd is told, and what is told
//! of a backup that failed.

use serde_json::{Value, json};

use super::support::bin::Run;
use super::support::fakebin::{Answer, FakeBin};
use super::support::pg::{Major, Site};

struct Host {
    /// What takes the backups.
    method: &'static str,
    site: Site,
    fakes: FakeBin,
}

impl Host {
    fn new() -> Self {
        let repository = json!({ "mode": "path", "path": "backups" });
        Self::with("pgbackrest", &json!({ "repository": repository }))
    }

    fn with(method: &'static str, section: &Value) -> Self {
        let settings = json!({ "systemd": {}, method: section });
        let site = Site::with_settings(&Major::usual(), &settings);
        let ok = |pattern| Answer::ok(pattern, "");
        let fakes = FakeBin::new(site.dir())
            .program(
                "systemctl",
                &[
                    ok("--user daemon-reload"),
                    ok("--user enable *"),
                    ok("--user disable *"),
                    ok("--user restart *"),
                    ok("--user --no-block start *.timer"),
                    ok("--user --no-block stop *"),
                    Answer::ok(
                        "--user show * pgsocle-backup-*",
                        "NextElapseUSecRealtime=Sat 2026-11-28 00:36:10 UTC\nLastTriggerUSec=Fri 2026-11-27 00:36:10 UTC\n\
                         ActiveState=active\n\nActiveState=failed\n",
                    ),
                    Answer::ok("--user show *", "ActiveState=inactive\nJob=\n"),
                ],
            )
            .program("systemd-tmpfiles", &[ok("--user --create *")])
            .program(
                "systemd-analyze",
                &[
                    Answer::fails("calendar someday", "Failed to parse calendar specification 'someday': Invalid argument", 1),
                    ok("calendar *"),
                ],
            );
        for directory in [".run", ".run/systemd"] {
            std::fs::create_dir(site.path("home").join(directory)).unwrap();
        }
        site.write_owned(&site.path("home/.run/systemd/private"), b"", 0o600);
        Self {
            method,
            site,
            fakes,
        }
    }

    fn with_systemd(&self, run: Run) -> Run {
        let run = run
            .env("PATH", self.fakes.path())
            .env("XDG_RUNTIME_DIR", self.site.path("home/.run"));
        match self.method {
            "pgbackrest" => run.env("PGSOCLE_PGBACKREST__LOCKPATH", "locks of backups"),
            _ => run,
        }
    }

    fn run(&self, check_mode: bool, wanted: &Value) -> Run {
        let params = json!({
            "name": "main", "port": self.site.port(), "state": "stopped", self.method: wanted,
        });
        self.with_systemd(self.site.ansible_run("instance", check_mode, &params))
    }

    /// Looks first, then acts, then has nothing to do; gives what it did.
    fn converges(&self, pgbackrest: &Value) -> Vec<String> {
        let foreseen = self.run(true, pgbackrest).json();
        let reply = self.run(false, pgbackrest).json();
        assert_eq!(foreseen["changes"], reply["changes"]);
        assert_eq!(self.run(false, pgbackrest).json()["changed"], false);
        let changes = reply["changes"].as_array().unwrap().iter();
        changes
            .map(|change| change.as_str().unwrap().to_owned())
            .collect()
    }

    fn unit(&self, kind: &str, of: &str) -> std::path::PathBuf {
        let number = self.site.major().number;
        let name = format!("pgsocle-backup-{kind}@{number}-main.{of}");
        self.site.path("home/.local/share/systemd/user").join(name)
    }

    fn read(&self, kind: &str, of: &str) -> String {
        std::fs::read_to_string(self.unit(kind, of)).unwrap()
    }

    /// What systemctl was told of timers since the first `known` calls.
    fn told(&self, known: usize) -> Vec<String> {
        let calls = self.fakes.calls("systemctl").split_off(known);
        calls
            .into_iter()
            .map(|call| call.args.join(" "))
            .filter(|line| line.contains("pgsocle-backup-") && !line.contains(" show "))
            .collect()
    }

    fn calls(&self) -> usize {
        self.fakes.calls("systemctl").len()
    }
}

/// Where there are full backups only, they are taken when others were to be.
#[test]
fn timers_of_the_backups_that_a_major_has() {
    let host = Host::with("basebackup", &json!({ "schedule": { "incr": "hourly" } }));
    let number = host.site.major().number;
    let kind = if number < 17 { "full" } else { "incr" };
    let summary =
        format!("take backups of instance `{number}/main` ({kind}) by themselves: hourly");
    let changes = host.converges(&json!({}));
    assert!(changes.contains(&summary), "{changes:?}");
    let told: Vec<String> = host.converges(&json!({ "state": "absent" }));
    let summary = format!("take no backups of instance `{number}/main` ({kind}) by themselves");
    assert!(told.contains(&summary), "{told:?}");
}

#[test]
fn timers_come_and_go_with_the_schedule() {
    let host = Host::new();
    let site = &host.site;
    let number = site.major().number;
    let timer = |kind: &str| format!("pgsocle-backup-{kind}@{number}-main.timer");
    let said = |kind: &str, what: &str| {
        format!("take backups of instance `{number}/main` ({kind}) by themselves: {what}")
    };
    let changes = host.converges(&json!({ "stanza": "app" }));
    assert!(changes.contains(&said("incr", "daily")), "{changes:?}");
    assert_eq!(
        host.told(0),
        [
            format!("--user enable {}", timer("incr")),
            format!("--user --no-block start {}", timer("incr"))
        ]
    );
    assert!(host.read("incr", "timer").contains("\nOnCalendar=daily\n"));
    let service = host.read("incr", "service");
    let condition = format!(
        "ConditionPathExists={}/postmaster.pid\n",
        site.datadir().display()
    );
    assert!(service.contains(&condition), "{service}");
    let directory = format!(
        "Environment=PGSOCLE_CONFIG_DIR={}\nEnvironment=\"PGSOCLE_PGBACKREST__LOCKPATH=locks of backups\"\n",
        site.path("etc").display()
    );
    assert!(service.contains(&directory), "{service}");
    let command =
        format!("pgsocle instance backup --type=incr --lock-timeout=86400 {number}/main\n");
    assert!(service.ends_with(&command), "{service}");

    let known = host.calls();
    let own = json!({ "stanza": "app", "schedule": { "full": "Sun 02:00", "incr": "never" } });
    assert_eq!(
        host.converges(&own),
        [
            said("full", "Sun 02:00"),
            format!("take no backups of instance `{number}/main` (incr) by themselves")
        ]
    );
    assert_eq!(host.read("incr", "timer"), "");
    assert_eq!(
        host.told(known),
        [
            format!("--user enable {}", timer("full")),
            format!("--user --no-block start {}", timer("full")),
            format!("--user disable {}", timer("incr")),
            format!("--user --no-block stop {}", timer("incr")),
        ]
    );
    // What is not said stays.
    assert_eq!(host.converges(&json!({ "stanza": "app" })), [""; 0]);
    assert_eq!(host.converges(&Value::Null), [""; 0]);
    let other = json!({ "stanza": "app", "schedule": { "full": "Sat 02:00" } });
    assert_eq!(host.converges(&other), [said("full", "Sat 02:00")]);

    for (calendar, msg) in [
        (
            "at noon;",
            "`pgbackrest.schedule.diff`: `at noon;` is no time".to_owned(),
        ),
        (
            "someday",
            format!(
                "schedule of backups of instance {number}/main: instance `{number}/main`: `someday` is no time that systemd \
                 understands: Failed to parse calendar specification 'someday': Invalid argument"
            ),
        ),
    ] {
        let wrong = json!({ "stanza": "app", "schedule": { "diff": calendar } });
        assert_eq!(host.run(false, &wrong).any_code().json()["msg"], msg);
    }

    host.converges(&json!({ "state": "absent" }));
    for (kind, of) in [("full", "timer"), ("full", "service"), ("incr", "timer")] {
        assert!(!host.unit(kind, of).exists(), "{kind} {of}");
    }
    assert_eq!(host.converges(&json!({ "state": "absent" })), [""; 0]);

    host.converges(&json!({ "stanza": "app" }));
    assert!(host.unit("incr", "timer").exists());
    let gone = json!({ "name": "main", "state": "absent" });
    let reply = host
        .with_systemd(site.ansible_run("instance", false, &gone))
        .json();
    assert_eq!(reply["changed"], true);
    assert!(!host.unit("incr", "timer").exists());
    assert!(!host.unit("incr", "service").exists());
}

#[test]
fn a_backup_that_failed_is_seen() {
    let host = Host::new();
    let site = &host.site;
    let number = site.major().number;
    host.run(false, &json!({ "stanza": "app" })).json();
    let unit = format!("pgsocle-backup-incr@{number}-main.service");
    let status = host
        .with_systemd(site.pgsocle(["instance", "status", "main"]))
        .code(3)
        .go()
        .stdout;
    assert_eq!(
        status,
        format!(
            "PostgreSQL: not running\nbackups: none in stanza `app` yet\n\
             {unit}: failed (daily; last 2026-11-27T00:36:10Z, next 2026-11-28T00:36:10Z)\n"
        )
    );
    let info = site.ansible_run(
        "instance_backup_info",
        false,
        &json!({ "instance": "main" }),
    );
    assert_eq!(
        host.with_systemd(info).json()["timers"],
        json!([{
            "type": "incr", "unit": unit, "schedule": "daily", "active": true, "failed": true,
            "next": "2026-11-28T00:36:10Z", "last": "2026-11-27T00:36:10Z",
        }])
    );
    let metrics = host.with_systemd(site.pgsocle(["instance", "backup-metrics"]));
    let failed = format!(
        "\npgsocle_backup_timer_failed{{instance=\"{number}/main\",stanza=\"app\",type=\"incr\"}} 1\n"
    );
    let metrics = metrics.go().stdout;
    assert!(metrics.contains(&failed), "{metrics}");
}
