//! Several runs on one instance: in turn where they change something, side by side where they do not conflict, and a word
//! about who is at work where one has to wait.

use std::time::{Duration, Instant};

use camino::Utf8Path;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pgsocle::host::{Claim, lock};
use serde_json::{Value, json};

use crate::instance::with_main;
use crate::support::bin::Started;
use crate::support::laws::Picture;
use crate::support::pg::{Site, free_port};

/// A reader's hold on the server of `main`, as a backup has it.
fn reading(site: &Site) -> lock::Guard {
    let path = site.path(format!(
        "srv/var/pgsocle/{}-main/lock.server",
        site.major().number
    ));
    if !path.exists() {
        site.write_owned(&path, b"", 0o640);
    }
    lock::take(&Claim {
        path: Utf8Path::from_path(&path).unwrap(),
        shared: true,
        timeout: Duration::ZERO,
        subject: "backup of instance main",
    })
    .unwrap()
}

/// A session that keeps CREATE ROLE waiting until it is killed.
fn brake(site: &Site) -> Started {
    let socket = site.socket();
    let session = site
        .postgresql("psql")
        .args(["-XqAt", "-U", "postgres", "-d", "postgres", "-h"])
        .arg(&socket.directory)
        .args(["-p", &socket.port])
        .stdin("BEGIN; LOCK TABLE pg_authid IN SHARE MODE; SELECT pg_sleep(600);")
        .any_code()
        .start();
    until(
        site,
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND wait_event = 'PgSleep'",
    );
    session
}

fn release(site: &Site, brake: Started) {
    site.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND pid <> pg_backend_pid()");
    brake.wait();
}

/// Waits until a query says 1.
fn until(site: &Site, query: &str) {
    let patience = Instant::now() + Duration::from_secs(60);
    while site.ask(query) != "1" {
        assert!(Instant::now() < patience, "{query}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All that could have been changed; that somebody asked is written down all the same.
fn picture(site: &Site) -> Picture {
    let mut picture = site.picture();
    picture
        .files
        .retain(|path, _| !path.starts_with("srv/var/pgsocle/"));
    picture
}

fn reply(run: Started) -> Value {
    serde_json::from_str(&run.wait().stdout).unwrap()
}

#[test]
fn roles_four_at_a_time_come_in_turn() {
    let site = with_main(&json!({}));
    let role = |index: usize| {
        let params = json!({ "name": format!("role{index:02}"), "login": true });
        site.ansible_run("role", false, &params).start()
    };
    let mut running: std::collections::VecDeque<Started> = (0..4).map(role).collect();
    for next in 4..24 {
        let done = reply(running.pop_front().unwrap());
        assert_eq!(done["changed"], json!(true), "{done:#}");
        if next < 20 {
            running.push_back(role(next));
        }
    }
    assert_eq!(
        site.ask("SELECT count(*) FROM pg_roles WHERE rolname ~ '^role[0-9]+$'"),
        "20"
    );
    // One after the other: what a run begins it ends before the next one begins.
    let history = std::fs::read_to_string(site.path(format!(
        "srv/var/pgsocle/{}-main/history",
        site.major().number
    )))
    .unwrap();
    let lines: Vec<Value> = history
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["subject"].as_str().unwrap().starts_with("role role"))
        .collect();
    assert_eq!(lines.len(), 40);
    for pair in lines.chunks(2) {
        assert_eq!(
            (&pair[0]["event"], &pair[1]["event"]),
            (&json!("begin"), &json!("done"))
        );
        assert_eq!(pair[0]["run"], pair[1]["run"]);
    }
}

/// What the password file gets while a run on one instance is at work is there when it has ended.
#[test]
fn two_instances_and_one_password_file() {
    let site = with_main(&json!({}));
    let other = free_port();
    site.ansible(
        "instance",
        false,
        &json!({ "name": "other", "port": other }),
    );
    let role = |instance: &str, name: &str| json!({ "instance": instance, "name": name, "login": true, "password": "p", "pgpass": true });
    // It has seen the file, and cannot go on.
    let session = brake(&site);
    let first = site
        .ansible_run("role", false, &role("main", "ann"))
        .start();
    until(
        &site,
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
    );
    site.ansible("role", false, &role("other", "bob"));
    release(&site, session);
    reply(first);
    let file = std::fs::read_to_string(site.path("home/.pgpass")).unwrap();
    let mut lines: Vec<&str> = file.lines().collect();
    lines.sort_unstable();
    let mut expected =
        [(site.port(), "ann"), (other, "bob")].map(|(port, role)| format!("*:{port}:*:{role}:p"));
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn who_waits_is_told_for_whom_and_a_killed_run_holds_nothing() {
    let site = with_main(&json!({}));
    let session = brake(&site);
    let first = site
        .ansible_run("role", false, &json!({ "name": "ann" }))
        .any_code()
        .start();
    until(
        &site,
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE ROLE%' AND wait_event_type = 'Lock'",
    );
    let number = site.major().number;
    // In every way to say it, and for every change; what only looks is not held up.
    let impatient = json!({ "name": "bob", "lock_timeout": 0 });
    let said = |reply: &Value| {
        let msg = reply["msg"].as_str().unwrap().to_owned();
        let since = msg.split(", since ").nth(1).unwrap().trim_end_matches(')');
        assert_eq!(since.len(), "2026-11-27T19:00:00Z".len(), "{msg}");
        msg.replace(since, "TIME")
            .replace(&first.pid().to_string(), "PID")
    };
    let before = picture(&site);
    let refused = site.ansible_run("role", false, &impatient).code(1).json();
    assert_eq!(
        said(&refused),
        format!(
            "role bob of instance {number}/main: another run is at work: role ann of instance {number}/main (process PID, since TIME)"
        )
    );
    assert_eq!(
        refused["hint"],
        "try again when it has ended, or wait longer (`lock_timeout`, `--lock-timeout`)"
    );
    assert_eq!(refused["error_kind"], "unavailable");
    let refused = site
        .pgsocle([
            "instance",
            "restart",
            "main",
            "--lock-timeout",
            "0",
            "-o",
            "json",
        ])
        .code(1)
        .json();
    assert_eq!(
        said(&refused),
        format!(
            "instance {number}/main: another run is at work: role ann of instance {number}/main (process PID, since TIME)"
        )
    );
    // A word of the command line counts more than one of the manifest.
    site.pgsocle(["instance", "apply", "-f", "-", "--lock-timeout", "0"])
        .stdin("{name: main, state: stopped, lock_timeout: 600}")
        .code(1)
        .go();
    site.changes_nothing("instance", &json!({ "name": "main", "lock_timeout": 0 }));
    before.assert_same(&picture(&site), "runs that did not wait");

    let second = site
        .ansible_run("role", false, &json!({ "name": "bob" }))
        .start();
    kill(Pid::from_raw(first.pid()), Signal::SIGKILL).unwrap();
    release(&site, session);
    assert_eq!(reply(second)["changed"], json!(true));
    assert_eq!(
        site.ask("SELECT count(*) FROM pg_roles WHERE rolname = 'bob'"),
        "1"
    );
}

#[test]
fn while_somebody_reads_the_cluster_it_goes_on_but_does_not_end() {
    let site = with_main(&json!({}));
    let number = site.major().number;
    let readers = [reading(&site), reading(&site)];
    for (kind, params) in [
        ("role", json!({ "name": "ann", "lock_timeout": 0 })),
        ("database", json!({ "name": "shop", "lock_timeout": 0 })),
        (
            "instance",
            json!({ "name": "main", "settings": { "work_mem": "9MB" }, "lock_timeout": 0 }),
        ),
        (
            "instance",
            json!({ "name": "main", "state": "reloaded", "lock_timeout": 0 }),
        ),
    ] {
        site.runs_as_checked(kind, &params);
    }
    let before = picture(&site);
    for params in [
        json!({ "name": "main", "state": "stopped" }),
        json!({ "name": "main", "state": "restarted" }),
        json!({ "name": "main", "state": "absent" }),
        json!({ "name": "main", "settings": { "max_connections": 50 }, "restart_policy": "when_required" }),
    ] {
        let mut params = params;
        params["lock_timeout"] = json!(0);
        let refused = site.ansible_run("instance", false, &params).code(1).json();
        let msg = refused["msg"].as_str().unwrap();
        let reader = format!(
            "backup of instance main (process {}, since ",
            std::process::id()
        );
        assert!(
            msg.starts_with(&format!(
                "instance {number}/main: another run is at work: {reader}"
            )) && msg.matches(&reader).count() == 2,
            "{msg}"
        );
        assert_eq!(refused["applied"], json!([]));
    }
    before.assert_same(&picture(&site), "what was not to happen under a reader");
    drop(readers);
    site.converges(
        "instance",
        &json!({ "name": "main", "state": "stopped", "lock_timeout": 0 }),
    );
}
