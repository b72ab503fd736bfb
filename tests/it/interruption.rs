//! Runs that end before their time: killed, or failed. The next one finds its way.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::secrets::Programs;
use crate::support::pg::{Major, Site, listener};

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

/// A site whose `initdb` waits until the test lets it go on.
fn with_slow_initdb(site: &Site) -> (std::path::PathBuf, std::path::PathBuf) {
    let (begun, go_on) = (site.path("home/begun"), site.path("home/go-on"));
    let script = format!(
        "touch '{}'; until [ -e '{}' ]; do sleep 0.05; done",
        begun.display(),
        go_on.display()
    );
    Programs::wrap(site, &json!({ "initdb": script }));
    (begun, go_on)
}

pub fn wait_for(what: &str, found: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !found() {
        assert!(Instant::now() < patience, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn control_c_ends_a_run_between_two_changes() {
    let site = Site::new(&Major::usual());
    let number = site.major().number;
    let (begun, go_on) = with_slow_initdb(&site);
    let port = site.port().to_string();
    let create = |code| {
        site.pgsocle(["instance", "create", "main", "--port", &port])
            .code(code)
    };
    // The first one: initdb is waited for, then taken back.
    let run = create(130).start();
    wait_for("initdb", || begun.exists());
    kill(Pid::from_raw(run.pid()), Signal::SIGINT).unwrap();
    site.write_owned(&go_on, b"", 0o644);
    let said = run.wait();
    assert_eq!(
        said.stderr,
        format!(
            "warn: interrupted: the run ends when its present change is done; another signal ends it at once\n\
             error: the run was interrupted by SIGINT\n\
             taken back: create instance `{number}/main`\n\
             hint: what it had begun was finished or taken back; run it again for the rest\n"
        )
    );
    assert!(!site.path(format!("srv/srv/pgsql/{number}")).exists());
    // Another one, later: at once. What is left is the next run's to see to; it waits for initdb, which has the lock.
    for path in [&begun, &go_on] {
        std::fs::remove_file(path).unwrap();
    }
    let run = create(143).start();
    wait_for("initdb", || begun.exists());
    for _ in 0..2 {
        kill(Pid::from_raw(run.pid()), Signal::SIGTERM).unwrap();
        std::thread::sleep(Duration::from_millis(1500));
    }
    run.wait();
    site.write_owned(&go_on, b"", 0o644);
    create(0).go();
    let history = site.pgsocle(["history", "main", "-o", "json"]).json();
    let results: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["result"])
        .collect();
    assert_eq!(results, ["failed", "interrupted", "done"]);
}

#[test]
fn a_reader_that_has_gone_stops_no_run() {
    let site = crate::instance::with_main(&json!({}));
    site.program("sh")
        .args(["-c", "\"$0\" \"$@\" 2>&1 | true"])
        .arg(site.path("bin/pgsocle"))
        .args(["-L", "debug", "role", "create", "-i", "main", "ann"])
        .go();
    assert_eq!(
        site.ask("SELECT count(*) FROM pg_roles WHERE rolname = 'ann'"),
        "1"
    );
}

#[test]
fn without_a_journal_nothing_is_begun() {
    let site = crate::instance::with_main(&json!({}));
    let (params, gone) = (
        json!({ "instance": "main", "name": "ann" }),
        json!({ "instance": "main", "name": "ann", "state": "absent" }),
    );
    let request = json!({ "protocol": 1, "params": params }).to_string();
    let args = ["ansible", "role"];
    let points = site.recorded(&args, &request);
    let point = points
        .iter()
        .find(|point| point.call == "write" && point.line.contains("/history>"))
        .expect("the journal is written");
    site.ansible("role", false, &gone);
    let before = site.picture();
    let full = crate::support::faults::Fault::Error("ENOSPC");
    let reply = site.disturbed(&args, &request, point, full).code(1).json();
    let msg = reply["msg"].as_str().unwrap();
    assert!(
        msg.contains("/history` cannot be written: the file system at ")
            && msg.contains(" bytes are needed"),
        "{msg}"
    );
    assert_eq!(
        (&reply["applied"], &reply["changed"]),
        (&json!([]), &json!(false))
    );
    assert_eq!(site.picture().catalogs, before.catalogs);
}

#[test]
fn a_port_that_is_taken_at_the_last_moment() {
    let site = Site::new(&Major::usual());
    let number = site.major().number;
    let (begun, go_on) = with_slow_initdb(&site);
    let params = json!({ "name": "main", "port": site.port() });
    let run = site.ansible_run("instance", false, &params).code(1).start();
    wait_for("initdb", || begun.exists());
    let other = listener("127.0.0.1", site.port()).unwrap();
    site.write_owned(&go_on, b"", 0o644);
    let reply: Value = serde_json::from_str(&run.wait().stdout).unwrap();
    let msg = reply["msg"].as_str().unwrap();
    assert!(msg.contains("Address already in use"), "{msg}");
    assert_eq!(reply["applied"], json!([]));
    assert!(!site.path(format!("srv/srv/pgsql/{number}")).exists());
    drop(other);
    site.ansible("instance", false, &params);
    assert!(site.is_running());
}

/// What root makes for the system user is that user's, or it is not there.
#[test]
fn roots_child_is_killed() {
    use std::os::unix::fs::MetadataExt as _;
    let site = Site::new(&Major::usual());
    let base = site.path("base");
    let prefix = base.join("srv");
    let owner = std::fs::metadata(site.path("srv")).unwrap().uid();
    for call in ["mkdir", "chmod", "lchown", "rename"] {
        let _ = std::fs::remove_dir_all(&base);
        std::fs::create_dir(&base).unwrap();
        if !nix::unistd::geteuid().is_root() {
            // An ordinary user makes it itself: the same law, and nobody to kill.
            site.give(&base);
        }
        site.write_settings(&json!({ "prefix": prefix }));
        let params = json!({ "protocol": 1, "params": {} }).to_string();
        crate::support::bin::Run::argv(["strace", "-qqq", "-f", "-o", "/dev/null", "-P"])
            .arg(base.join(".pgsocle-srv.new"))
            .args(["-e", &format!("inject={call}:signal=SIGKILL:when=1"), "--"])
            .arg(site.path("bin/pgsocle"))
            .args(["ansible", "site"])
            .env("PGSOCLE_CONFIG_DIR", site.path("etc"))
            .env("HOME", site.path("home"))
            .stdin(params.clone())
            .any_code()
            .go();
        assert!(
            !prefix.exists() || std::fs::metadata(&prefix).unwrap().uid() == owner,
            "{call}: it has another owner"
        );
        site.pgsocle_undropped(["ansible", "site"])
            .stdin(params)
            .go();
        assert_eq!(std::fs::metadata(&prefix).unwrap().uid(), owner, "{call}");
        let names: Vec<_> = std::fs::read_dir(&base)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["srv"], "{call}");
    }
}
