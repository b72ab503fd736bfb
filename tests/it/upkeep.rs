//! Looking after backups: what is expired, checked and verified, what is told while one is taken, and what keeps one from being
//! taken.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::support::fakebin::{Answer, FakeBin};
use super::support::pg::{Major, Site};

fn settings(more: &Value) -> Value {
    let mut own =
        json!({ "repository": { "mode": "path", "path": "backups", "retention": { "full": 2 } } });
    for (key, value) in more.as_object().unwrap() {
        own[key] = value.clone();
    }
    json!({ "pgbackrest": own })
}

fn params(site: &Site) -> Value {
    json!({ "name": "main", "port": site.port(), "pgbackrest": { "stanza": "app" } })
}

/// A site with an instance in a stanza.
fn site() -> Site {
    let site = Site::with_settings(&Major::usual(), &settings(&json!({})));
    site.ansible("instance", false, &params(&site));
    site
}

fn backup(site: &Site, more: &Value) -> Value {
    let mut params = json!({ "instance": "main" });
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    site.ansible("instance_backup", false, &params)
}

fn labels(site: &Site) -> Vec<String> {
    let info = site.ansible(
        "instance_backup_info",
        false,
        &json!({ "instance": "main" }),
    );
    let backups = info["backups"].as_array().unwrap().iter();
    backups
        .map(|backup| backup["label"].as_str().unwrap().to_owned())
        .collect()
}

/// A file of the repository whose path has these parts.
fn file(directory: &Path, parts: &[&str]) -> PathBuf {
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            let text = path.to_str().unwrap();
            if path.is_dir() {
                directories.push(path);
            } else if parts.iter().all(|part| text.contains(part)) {
                return path;
            }
        }
    }
    panic!("no file {parts:?}")
}

fn until(what: &str, mut question: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !question() {
        assert!(Instant::now() < patience, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_has_expired_goes() {
    let site = site();
    let number = site.major().number;
    for _ in 0..2 {
        backup(&site, &json!({ "type": "full" }));
    }
    let [newest, oldest] = &labels(&site)[..] else {
        panic!("two backups")
    };
    let expire = |more: &[&str]| {
        let command = ["instance", "backup-expire", "main"];
        site.pgsocle(command).args(more).go().stdout
    };
    assert_eq!(expire(&[]), "nothing to do\n");

    site.write_settings(&settings(&json!({
        "repository": { "mode": "path", "path": "backups", "retention": { "full": 1 } }
    })));
    site.ansible("site", false, &json!({}));
    let told = expire(&["--dry-run", "--diff"]);
    let summary = format!("delete what has expired of instance `{number}/main`: backups {oldest}");
    assert!(told.starts_with(&summary), "{told}");
    assert!(told.contains(&format!("\n-{oldest}\n")), "{told}");
    assert_eq!(labels(&site).len(), 2);
    let refused = site
        .pgsocle([
            "instance",
            "backup-expire",
            "main",
            "--max-impact",
            "restart",
        ])
        .code(1)
        .go();
    assert!(refused.stderr.contains("(destructive)"), "{refused:?}");
    assert!(expire(&[]).starts_with(&summary));
    assert_eq!(labels(&site), std::slice::from_ref(newest));
    assert_eq!(expire(&[]), "nothing to do\n");
}

#[test]
fn checked_and_verified() {
    let site = site();
    let number = site.major().number;
    let check = |more: &[&str]| {
        let run = site.pgsocle(["instance", "backup-check", "main"]);
        run.args(more)
    };
    let summary = format!("check that WAL of instance `{number}/main` arrives in stanza `app`");
    let told = check(&["--dry-run"]).go().stdout;
    assert_eq!(
        told,
        format!("{summary} (impact: none)\ndry run: nothing was changed\n")
    );
    assert_eq!(check(&[]).go().stdout, format!("{summary}\n"));
    assert_eq!(check(&["-o", "json"]).json()["changed"], false);

    let verify = || site.pgsocle(["instance", "backup-verify", "main"]);
    backup(&site, &json!({ "type": "full" }));
    assert!(verify().go().stdout.contains("status: ok"));
    let damaged = file(
        &site.path("srv/srv/backups/backup/app"),
        &["/base/", "/1259.gz"],
    );
    std::fs::write(&damaged, b"dust").unwrap();
    let failed = verify().code(1).go().stderr;
    assert!(
        failed.contains(&format!(
            "stanza `app` of instance `{number}/main` is damaged, or cannot be read:"
        )),
        "{failed}"
    );
    assert!(failed.contains("checksum invalid: 1"), "{failed}");

    // WAL that does not arrive.
    let archive = site.path("srv/srv/backups/archive/app");
    std::fs::rename(&archive, archive.with_extension("away")).unwrap();
    let failed = check(&[]).code(1).go().stderr;
    assert!(failed.contains("archive.info"), "{failed}");
    site.pgsocle(["instance", "stop", "main"]).go();
    let failed = check(&[]).code(1).go().stderr;
    assert!(
        failed.contains(&format!(
            "instance `{number}/main` is stopped: no WAL of it could arrive in stanza `app`"
        )),
        "{failed}"
    );
}

#[test]
fn an_old_pgbackrest_is_named() {
    let site = site();
    let number = site.major().number;
    let fakes = FakeBin::new(site.dir())
        .program("pgbackrest", &[Answer::ok("version", "pgBackRest 2.38\n")]);
    let program = site.dir().join("fakebin/pgbackrest");
    site.write_settings(&settings(&json!({ "execpath": program })));
    let failed = site
        .pgsocle(["instance", "backup-verify", "main"])
        .code(1)
        .go();
    assert!(
        failed.stderr.contains(
            "pgBackRest 2.38 cannot verify a repository: version 2.39 is the first that can"
        ),
        "{failed:?}"
    );
    assert_eq!(fakes.calls("pgbackrest").len(), 1, "{number}");
}

#[test]
fn who_looks_sees_how_far_it_is() {
    let site = site();
    let take = |level: &str| {
        let run = site.pgsocle(["--log-level", level, "instance", "backup", "main"]);
        run.go().stderr
    };
    let told = take("info");
    assert!(told.contains("P00   INFO: backup command begin"), "{told}");
    assert_eq!(take("warning"), "");
    let params = json!({ "instance": "main" });
    let reply = site.ansible_run("instance_backup", false, &params).go();
    assert_eq!(reply.stderr, "");
}

/// The processes of pgBackRest that take a backup of the site's instance.
fn backing_up(site: &Site) -> Vec<Pid> {
    let own = format!(
        "--config-path={}",
        site.path("srv/etc/pgbackrest").display()
    );
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let command = std::fs::read(entry.path().join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).into_owned();
            let mut words = command.split('\0');
            (words.next()?.ends_with("pgbackrest")
                && command.contains(&own)
                && words.any(|word| word == "backup"))
            .then_some(Pid::from_raw(pid))
        })
        .collect()
}

#[test]
fn while_a_backup_is_taken() {
    let site = site();
    let number = site.major().number;
    let take = |more: Value| {
        let mut params = json!({ "instance": "main", "type": "full" });
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        site.ansible_run("instance_backup", false, &params)
    };
    let first = take(json!({})).start();
    let lock = site.path("run/pgbackrest/lock/app-backup.lock");
    until("a backup begins", || lock.exists());
    let processes = backing_up(&site);
    assert_eq!(processes.len(), 1);
    kill(processes[0], Signal::SIGSTOP).unwrap();

    let second = take(json!({ "lock_timeout": 0 })).code(1).json();
    assert_eq!(
        second["msg"],
        format!(
            "backup of instance {number}/main: a backup is being taken into stanza `app` of instance `{number}/main` already"
        )
    );
    let info = site.ansible(
        "instance_backup_info",
        false,
        &json!({ "instance": "main" }),
    );
    assert_eq!(info["backup_in_progress"], true);
    // What is in the cluster is changed meanwhile.
    let role = json!({ "instance": "main", "name": "bob" });
    assert_eq!(site.ansible("role", false, &role)["changed"], true);
    for (verb, options) in [
        ("stop", &[][..]),
        ("restart", &[]),
        ("drop", &["--non-interactive"]),
    ] {
        let refused = site
            .pgsocle(["instance", verb, "main", "--lock-timeout", "0"])
            .args(options)
            .code(1)
            .go();
        assert!(
            refused
                .stderr
                .contains(&format!("backup of instance {number}/main")),
            "{refused:?}"
        );
    }

    let mut third = take(json!({ "lock_timeout": 600 })).start();
    assert!(!third.has_ended());
    kill(processes[0], Signal::SIGCONT).unwrap();
    first.wait();
    third.wait();
    assert_eq!(labels(&site).len(), 2);
}

/// The server goes on, and everybody is told.
#[test]
fn a_repository_that_takes_nothing() {
    let site = site();
    let number = site.major().number;
    backup(&site, &json!({ "type": "full" }));
    let repository = site.path("srv/srv/backups");
    let give = |mode: &str, below: &Path| {
        let find = site.program("find").arg(below);
        find.args(["-type", "d", "-exec", "chmod", mode, "{}", "+"])
            .go();
    };
    // Without anything in it the present file would not be left.
    let switch = || {
        for statement in [
            "CREATE TABLE IF NOT EXISTS t (); DROP TABLE t",
            "SELECT pg_switch_wal()",
        ] {
            site.sql(site.port(), "postgres", statement);
        }
    };
    give("u-w", &repository);
    switch();
    until("archiving fails", || {
        let failing = "SELECT failed_count > 0 AND last_failed_time > coalesce(last_archived_time, '-infinity') FROM pg_stat_archiver";
        site.sql(site.port(), "postgres", failing) == "t"
    });
    let info = site.ansible(
        "instance_backup_info",
        false,
        &json!({ "instance": "main" }),
    );
    assert_eq!(info["archiver"]["failing"], true);
    assert_ne!(info["archiver"]["queue"], 0);
    let status = site
        .pgsocle(["instance", "status", "main"])
        .code(3)
        .go()
        .stdout;
    let lines: Vec<&str> = status.lines().collect();
    assert_eq!(lines[0], "PostgreSQL: running");
    assert!(lines[1].starts_with("archiving: failing: 0000"), "{status}");
    assert!(lines[2].starts_with("backups: newest 20"), "{status}");
    let facts = |backup: bool| {
        let asked = json!({ "instance": "main", "backup": backup });
        site.ansible("instance_info", false, &asked)["instances"][0]["backup"].take()
    };
    assert_eq!(facts(true)["archiver"]["failing"], true);
    assert_eq!(facts(false), Value::Null);
    let metrics = site.pgsocle(["instance", "backup-metrics"]).go().stdout;
    let failing = format!(
        "\npgsocle_backup_archive_failing{{instance=\"{number}/main\",stanza=\"app\"}} 1\n"
    );
    assert!(metrics.contains(&failing), "{metrics}");
    let reply = site.ansible("instance", false, &params(&site));
    assert_eq!(reply["changed"], false);
    let warning = reply["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with(&format!(
            "WAL of instance `{number}/main` is not archived: `0000"
        )),
        "{warning}"
    );
    give("u+w", &repository);
    switch();
    until("it is archived again", || {
        site.sql(
            site.port(),
            "postgres",
            "SELECT last_archived_time > last_failed_time FROM pg_stat_archiver",
        ) == "t"
    });
    site.pgsocle(["instance", "status", "main"]).go();

    give("u-w", &repository.join("backup"));
    let reply = site
        .ansible_run("instance_backup", false, &json!({ "instance": "main" }))
        .code(1)
        .json();
    let msg = reply["msg"].as_str().unwrap();
    assert!(msg.contains("Permission denied"), "{msg}");
    give("u+w", &repository);
}

#[test]
fn a_repository_that_is_not_there() {
    let site = site();
    let number = site.major().number;
    let repository = site.path("srv/srv/backups");
    std::fs::rename(&repository, repository.with_extension("away")).unwrap();
    let reply = site.refused("instance_backup", &json!({ "instance": "main" }));
    assert_eq!(
        reply["msg"],
        format!(
            "backup of instance {number}/main: stanza `app` of instance `{number}/main` is not in its repository"
        )
    );
    let status = site.pgsocle(["instance", "status", "main"]).code(3).go();
    let line = "\nbackups: stanza `app` is not in its repository\n";
    assert!(status.stdout.ends_with(line), "{status:?}");
    std::fs::rename(repository.with_extension("away"), &repository).unwrap();

    // What the tool says when a disk is full, or a host does not answer, is passed on.
    let info = site
        .program("pgbackrest")
        .arg(format!(
            "--config-path={}",
            site.path("srv/etc/pgbackrest").display()
        ))
        .args(["--stanza=app", "--output=json", "info"])
        .go()
        .stdout;
    for (code, words) in [
        (
            39,
            "ERROR: [039]: unable to write '/backups/x': [28] No space left on device",
        ),
        (
            49,
            "ERROR: [049]: unable to connect to 'backup.example:8432': [111] Connection refused",
        ),
    ] {
        let directory = site.path(format!("fake{code}"));
        std::fs::create_dir(&directory).unwrap();
        let _fakes = FakeBin::new(&directory).program(
            "pgbackrest",
            &[
                Answer::ok("*--output=json info", &info),
                Answer::fails("* backup", words, code),
            ],
        );
        let program = directory.join("fakebin/pgbackrest");
        site.write_settings(&settings(&json!({ "execpath": program })));
        let reply = site
            .ansible_run("instance_backup", false, &json!({ "instance": "main" }))
            .code(1)
            .json();
        let msg = reply["msg"].as_str().unwrap();
        assert!(
            msg.ends_with(&format!(
                "`pgbackrest` failed with exit status {code}: {words}"
            )),
            "{msg}"
        );
    }

    // Nor does one that says nothing keep anybody waiting who asks how things stand, or for something else.
    let (silent, asked) = (site.path("silent"), site.path("home/asked"));
    let script = format!("#!/bin/sh\ntouch {}\nexec sleep 3600\n", asked.display());
    site.write_owned(&silent, script.as_bytes(), 0o755);
    site.write_settings(&settings(&json!({ "execpath": silent })));
    site.pgsocle(["instance", "list"]).go();
    site.ansible("instance_info", false, &json!({}));
    assert!(!asked.exists());
    let status = site.pgsocle(["instance", "status", "main"]).code(3).go();
    let line = format!(
        "\nbackups: the repository is unreachable: `{}` has not answered within 5 seconds\n",
        silent.display()
    );
    assert!(status.stdout.ends_with(&line), "{status:?}");
    assert!(asked.exists());
}
