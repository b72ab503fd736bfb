//! Runs that end before their time: killed, or failed. The next one finds its way.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::secrets::Programs;
use crate::support::pg::{Major, Site};

fn wanted(site: &Site, state: &str) -> Value {
    json!({
        "name": "main", "port": site.port(), "state": state, "settings": { "work_mem": "8MB" },
        "roles": [{ "name": "ann", "login": true, "password": "p", "pgpass": true }, { "name": "bob", "memberships": ["ann"] }],
    })
}

/// The next run ends where an undisturbed one ends, and the one after it finds nothing to do.
fn assert_recovers(site: &Site, params: &Value, when: &str) {
    let reply = site.ansible("instance", false, params);
    let runs = params["state"] == "started";
    assert_eq!(site.is_running(), runs, "{when}: {reply:#}");
    if !runs {
        site.ansible(
            "instance",
            false,
            &json!({ "name": "main", "state": "started" }),
        );
    }
    assert_eq!(
        site.ask("SELECT concat_ws(' ', current_setting('work_mem'), current_setting('listen_addresses'), current_setting('logging_collector'), string_agg(rolname, ' ' ORDER BY rolname)) FROM pg_roles WHERE rolname IN ('ann', 'bob')"),
        "8MB localhost on ann bob",
        "{when}"
    );
    assert_eq!(
        site.ask("SELECT pg_has_role('bob', 'ann', 'member')"),
        "t",
        "{when}"
    );
    let mut again = params.clone();
    again["state"] = json!("started");
    site.changes_nothing("instance", &again);
    // Nothing half-made lies about.
    let parent = site.datadir().parent().unwrap().to_owned();
    let mut names: Vec<_> = std::fs::read_dir(parent)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["data", "wal"], "{when}");
    assert_eq!(site.servers().len(), 1, "{when}");
    site.converges("instance", &json!({ "name": "main", "state": "absent" }));
}

#[test]
fn killed_by_its_own_programs() {
    let site = Site::new(&Major::usual());
    // Killed before and after each program does its work, and with half a cluster made.
    for (program, script) in [
        ("initdb", "kill -9 $PPID; exit 1"),
        ("initdb", "\"$real\" \"$@\"; kill -9 $PPID; exit 0"),
        (
            "initdb",
            "\"$real\" \"$@\"; rm -r \"$2/global\"; kill -9 $PPID; exit 0",
        ),
        // It works on after its caller has gone.
        ("initdb", "kill -9 $PPID"),
        ("pg_ctl", "kill -9 $PPID; exit 1"),
        ("pg_ctl", "kill -9 $PPID"),
        ("pg_ctl", "\"$real\" \"$@\"; kill -9 $PPID; exit 0"),
    ] {
        for state in ["started", "stopped"] {
            let params = wanted(&site, state);
            Programs::wrap(&site, &json!({ program: script }));
            let output = site.ansible_run("instance", false, &params).any_code().go();
            assert_eq!(output.code, -9, "{output:?}");
            site.write_settings(&json!({}));
            assert_recovers(&site, &params, &format!("{program}: {script} ({state})"));
        }
    }
}

#[test]
fn killed_at_any_time() {
    let site = Site::new(&Major::usual());
    let start = Instant::now();
    site.ansible("instance", false, &wanted(&site, "started"));
    let whole = start.elapsed();
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "absent" }),
    );
    // The last part, where files, server and roles follow each other quickly, more closely.
    for percent in [20, 60, 75, 85, 90, 94, 97, 99] {
        let params = wanted(&site, "started");
        let mut run = site
            .ansible_run("instance", false, &params)
            .any_code()
            .start();
        std::thread::sleep(whole * percent / 100);
        if !run.has_ended() {
            let _ = kill(Pid::from_raw(run.pid()), Signal::SIGKILL);
        }
        run.wait();
        assert_recovers(&site, &params, &format!("killed at {percent} %"));
    }
}

#[test]
fn a_creation_that_fails_leaves_nothing() {
    let site = Site::new(&Major::usual());
    let number = site.major().number;
    let mut params = wanted(&site, "started");
    params["settings"]["shared_preload_libraries"] = json!("nosuch");
    let reply = site.ansible_run("instance", false, &params).code(1).json();
    let msg = reply["msg"].as_str().unwrap();
    assert!(
        msg.contains("could not access file \"nosuch\": No such file or directory"),
        "{msg}"
    );
    assert_eq!(
        reply["reverted"],
        json!([
            format!("create instance `{number}/main`"),
            format!("write the configuration of instance `{number}/main`"),
        ])
    );
    assert_eq!(
        (&reply["applied"], &reply["changed"]),
        (&json!([]), &json!(false))
    );
    assert!(!site.path(format!("srv/srv/pgsql/{number}")).exists());
    assert_eq!(site.servers(), []);
    // As found, for inspection, when that is wanted.
    params["drop_on_error"] = json!(false);
    let reply = site.ansible_run("instance", false, &params).code(1).json();
    assert_eq!(reply["reverted"], json!([]));
    assert_eq!(
        reply["applied"],
        json!([
            format!("create instance `{number}/main`"),
            format!("write the configuration of instance `{number}/main`"),
        ])
    );
    assert!(site.datadir().join("PG_VERSION").exists());
    // Mended by the next one.
    params["settings"]["shared_preload_libraries"] = Value::Null;
    site.ansible("instance", false, &params);
    assert_recovers(&site, &wanted(&site, "started"), "mended");

    // A later failure too: which time zones there are is known to the server alone.
    let mut late = wanted(&site, "started");
    late["databases"] = json!([{ "name": "shop", "settings": { "timezone": "Mars/Olympus" } }]);
    let reply = site.ansible_run("instance", false, &late).any_code().json();
    assert!(
        reply["msg"]
            .as_str()
            .unwrap()
            .contains("invalid value for parameter \"TimeZone\": \"Mars/Olympus\""),
        "{reply:#}"
    );
    // What was made in the cluster, and for it, went with it.
    assert!(!site.path("home/.pgpass").exists());
    assert_eq!(
        (&reply["applied"], &reply["changed"]),
        (&json!([]), &json!(false))
    );
    assert!(!site.path(format!("srv/srv/pgsql/{number}")).exists());
    assert_eq!(site.servers(), []);
}

#[test]
fn a_start_for_a_moment_that_was_cut_short() {
    let site = Site::new(&Major::usual());
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "port": site.port(), "state": "stopped" }),
    );
    let cut = || {
        Programs::wrap(
            &site,
            &json!({ "pg_ctl": "\"$real\" \"$@\"; kill -9 $PPID; exit 0" }),
        );
        let role = json!({ "instance": "main", "name": "ann", "start_temporarily": true });
        let output = site.ansible_run("role", false, &role).any_code().go();
        assert_eq!(output.code, -9);
        site.write_settings(&json!({}));
        assert!(site.is_running());
    };
    // Nobody wanted it to run: the next run on it ends that.
    cut();
    site.ansible(
        "role",
        false,
        &json!({ "instance": "main", "name": "ann", "start_temporarily": true }),
    );
    assert!(!site.is_running());
    cut();
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "present" }),
    );
    assert!(!site.is_running());
    // Somebody wants it to run: with its listener.
    cut();
    site.ansible("instance", false, &json!({ "name": "main" }));
    assert_eq!(site.ask("SHOW listen_addresses"), "localhost");
    site.changes_nothing("instance", &json!({ "name": "main" }));
}

#[test]
fn the_lock_outlives_no_run() {
    let site = Site::new(&Major::usual());
    Programs::wrap(&site, &json!({ "initdb": "sleep 1" }));
    let params = json!({ "name": "main", "port": site.port() });
    let first = site.ansible_run("instance", false, &params).start();
    let patience = Instant::now() + Duration::from_secs(20);
    while !site.path("srv/var/pgsocle").exists() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(10));
    }
    let second = site.ansible_run("instance", false, &params).start();
    let changed = [first, second]
        .map(|run| serde_json::from_str::<Value>(&run.wait().stdout).unwrap()["changed"].take());
    assert_eq!(changed, [json!(true), json!(false)]);
}
