//! An existing instance that is changed: page checksums, and what only a restart brings into effect.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::instance::with_main;
use crate::secrets::Programs;
use crate::support::pg::{Major, Site, free_port};

/// What the server itself says.
fn checksums(site: &Site) -> String {
    site.ask("SHOW data_checksums")
}

fn changes(reply: &Value) -> Vec<String> {
    let all = reply["changes"].as_array().unwrap();
    all.iter()
        .map(|change| change.as_str().unwrap().to_owned())
        .collect()
}

/// Names, running and configured values, in the spelling of SHOW, for as long as the server says so.
#[test]
fn what_waits_for_a_restart_in_every_major() {
    for major in Major::all() {
        let site = Site::new(&major);
        let name = format!("{}/main", major.number);
        let run = |more: Value| {
            let mut params = json!({ "name": "main", "port": site.port() });
            params
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            site.ansible("instance", false, &params)
        };
        let settings =
            json!({ "shared_buffers": "16MB", "wal_level": "replica", "max_wal_senders": 10 });
        run(json!({ "data_checksums": false, "settings": settings }));
        let waiting = |reply: &Value| -> Vec<String> {
            let all = reply["pending_restart_settings"].as_array().unwrap();
            assert_eq!(reply["pending_restart"], !all.is_empty());
            assert_eq!(reply["instance"]["pending_restart_settings"], json!(all));
            // The next run, and whoever asks, is told the same.
            for said in [
                &run(json!({}))["pending_restart_settings"],
                &site.ansible("instance_info", false, &json!({}))["instances"][0]["pending_restart_settings"],
            ] {
                assert_eq!(*said, json!(all), "{major:?}");
            }
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            all.iter()
                .map(|one| {
                    ["name", "running", "configured"]
                        .map(|key| text(&one[key]))
                        .join(" ")
                })
                .collect()
        };
        let settings =
            json!({ "shared_buffers": "4096", "wal_level": "LOGICAL", "hot_standby": "no" });
        let wanted = json!({ "name": "main", "port": site.port(), "settings": settings });
        let checked = site.ansible("instance", true, &wanted);
        let reply = run(json!({ "settings": settings }));
        assert_eq!(
            checked["pending_restart_settings"],
            reply["pending_restart_settings"]
        );
        assert_eq!(
            waiting(&reply),
            [
                "hot_standby on off",
                "shared_buffers 16MB 32MB",
                "wal_level replica logical"
            ]
        );
        // Back to what runs, in other words; and taken out of the file, where the server waits whatever the default is.
        let settings = json!({ "shared_buffers": "16384kB", "wal_level": "hot_standby", "hot_standby": null, "max_wal_senders": null });
        let wanted = json!({ "name": "main", "port": site.port(), "settings": settings });
        let checked = site.ansible("instance", true, &wanted);
        let reply = run(json!({ "settings": settings }));
        assert_eq!(
            checked["pending_restart_settings"],
            reply["pending_restart_settings"]
        );
        assert_eq!(
            waiting(&reply),
            ["hot_standby on on", "max_wal_senders 10 10"]
        );
        site.ask("ALTER SYSTEM SET max_wal_senders = 7");
        assert_eq!(
            waiting(&run(json!({ "state": "reloaded" }))),
            ["hot_standby on on", "max_wal_senders 10 7"]
        );

        // Served by one restart, and page checksums with it.
        let allowed = json!({ "data_checksums": true, "restart_policy": "when_required" });
        let reply = run(allowed.clone());
        assert_eq!(
            changes(&reply),
            [format!(
                "restart instance `{name}`, with page checksums enabled meanwhile"
            )]
        );
        assert_eq!(waiting(&reply), Vec::<String>::new());
        assert_eq!(
            (checksums(&site), site.ask("SHOW max_wal_senders")),
            ("on".into(), "7".into())
        );
        assert_eq!(run(allowed)["changed"], false);
        let reply = run(json!({ "data_checksums": false, "state": "stopped" }));
        assert_eq!(
            changes(&reply),
            [
                format!("stop instance `{name}`"),
                format!("disable page checksums of instance `{name}`")
            ]
        );
        let reply = run(json!({ "data_checksums": true, "state": "stopped" }));
        assert_eq!(
            changes(&reply),
            [format!("enable page checksums of instance `{name}`")]
        );
        assert_eq!(reply["instance"]["data_checksums"], true);
    }
}

#[test]
fn page_checksums() {
    let site = with_main(&json!({ "data_checksums": false }));
    let name = format!("{}/main", site.major().number);
    let params = |more: Value| {
        let mut params = json!({ "name": "main" });
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        params
    };
    assert_eq!(
        site.refusal("instance", &params(json!({ "data_checksums": true, "settings": { "work_mem": "8MB" } }))),
        [
            format!("service of instance {name}: instance `{name}` runs: its page checksums can be enabled only while it is down"),
            "allow a stop and a start by `restart_policy: when_required` (`--restart-policy when_required`), or set `state: stopped`; nothing was changed".into()
        ]
    );
    // A stop and a start that were allowed; the settings that wait for one are served by the same.
    let allowed = params(
        json!({ "data_checksums": true, "restart_policy": "when_required", "settings": { "max_connections": 50 } }),
    );
    let reply = site.converges("instance", &allowed);
    assert_eq!(
        changes(&reply),
        [
            "set `max_connections` in postgresql.conf".to_owned(),
            format!("restart instance `{name}`, with page checksums enabled meanwhile")
        ]
    );
    assert_eq!(reply["plan"][1]["impact"], "rewrite");
    assert_eq!(
        (checksums(&site), site.ask("SHOW max_connections")),
        ("on".into(), "50".into())
    );
    // Stopped anyway, by this run.
    let reply = site.converges(
        "instance",
        &params(json!({ "data_checksums": false, "state": "stopped" })),
    );
    assert_eq!(
        changes(&reply),
        [
            format!("stop instance `{name}`"),
            format!("disable page checksums of instance `{name}`")
        ]
    );
    // Stopped before, and left so.
    let reply = site.converges(
        "instance",
        &params(json!({ "data_checksums": true, "state": "present" })),
    );
    assert_eq!(
        changes(&reply),
        [format!("enable page checksums of instance `{name}`")]
    );
    assert!(!site.is_running());
    // With a word on both, and with a restart that is asked for by name.
    let reply = site.converges("instance", &params(json!({ "data_checksums": false })));
    assert_eq!(
        changes(&reply),
        [
            format!("disable page checksums of instance `{name}`"),
            format!("start instance `{name}`")
        ]
    );
    site.converges(
        "instance",
        &params(json!({ "data_checksums": true, "state": "restarted" })),
    );
    assert_eq!(checksums(&site), "on");
}

#[test]
fn page_checksums_of_a_crashed_server() {
    let site = with_main(&json!({ "data_checksums": false }));
    let name = format!("{}/main", site.major().number);
    let (pid, _) = site.servers()[0].clone();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    while site.is_running() {
        std::thread::yield_now();
    }
    assert_eq!(
        site.refusal(
            "instance",
            &json!({ "name": "main", "state": "present", "data_checksums": true })
        ),
        [
            format!(
                "service of instance {name}: page checksums of instance `{name}` cannot be switched: it was not shut down cleanly (`pg_control` says: in production)"
            ),
            format!(
                "start it once, so that it recovers (`pgsocle instance start {name}`), and run this again; nothing was changed"
            )
        ]
    );
}

#[test]
fn page_checksums_cut_short() {
    let site = with_main(&json!({ "data_checksums": false }));
    let name = format!("{}/main", site.major().number);
    // Whether it runs is not said: it ran, so it is to run again.
    let mut on = true;
    for script in [
        "kill -9 $PPID; exit 1",
        // It works on after its caller has gone.
        "kill -9 $PPID; sleep 0.2",
        "\"$real\" \"$@\"; kill -9 $PPID; exit 0",
    ] {
        let wanted = json!({ "name": "main", "state": "present", "data_checksums": on, "restart_policy": "when_required" });
        Programs::wrap(&site, &json!({ "pg_checksums": script }));
        let output = site.ansible_run("instance", false, &wanted).any_code().go();
        assert_eq!(output.code, -9, "{output:?}");
        assert!(!site.is_running());
        site.write_settings(&json!({}));
        let reply = site.ansible("instance", false, &wanted);
        assert_eq!(
            changes(&reply).last(),
            Some(&format!(
                "start again, which an interrupted run had stopped to restart it, instance `{name}`"
            )),
            "{script}"
        );
        assert_eq!(checksums(&site), if on { "on" } else { "off" }, "{script}");
        site.changes_nothing("instance", &wanted);
        on = !on;
    }
    // One that fails leaves the server as it was, with its former settings.
    let wanted = json!({ "name": "main", "data_checksums": on, "restart_policy": "when_required", "settings": { "max_connections": 50 } });
    Programs::wrap(
        &site,
        &json!({ "pg_checksums": "echo 'broken page' >&2; exit 1" }),
    );
    let reply = site.ansible_run("instance", false, &wanted).code(1).json();
    assert!(
        reply["msg"]
            .as_str()
            .unwrap()
            .ends_with("`pg_checksums` failed with exit status 1: broken page"),
        "{reply:#}"
    );
    assert_eq!(
        (&reply["changed"], &reply["applied"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(
        (checksums(&site), site.ask("SHOW max_connections")),
        (if on { "off" } else { "on" }.into(), "100".into())
    );
}

#[test]
fn a_restart_that_was_cut_short() {
    let site = with_main(&json!({}));
    let wanted = json!({ "name": "main", "state": "present", "restart_policy": "when_required", "settings": { "max_connections": 50 } });
    Programs::wrap(
        &site,
        &json!({ "pg_ctl": "case \"$*\" in start*) kill -9 $PPID; exit 1;; esac" }),
    );
    let output = site.ansible_run("instance", false, &wanted).any_code().go();
    assert_eq!(output.code, -9, "{output:?}");
    site.write_settings(&json!({}));
    assert!(!site.is_running());
    site.ansible("instance", false, &wanted);
    assert_eq!(site.ask("SHOW max_connections"), "50");
    site.changes_nothing("instance", &wanted);
    // What is stopped on purpose stays so, whoever has stopped it.
    site.converges("instance", &json!({ "name": "main", "state": "stopped" }));
    site.converges("instance", &json!({ "name": "main", "state": "present" }));
    assert!(!site.is_running());
    site.ansible("instance", false, &json!({ "name": "main" }));
    Programs::wrap(
        &site,
        &json!({ "pg_ctl": "case \"$*\" in start*) kill -9 $PPID; exit 1;; esac" }),
    );
    let wanted = json!({ "name": "main", "state": "restarted" });
    let output = site.ansible_run("instance", false, &wanted).any_code().go();
    assert_eq!(output.code, -9, "{output:?}");
    site.write_settings(&json!({}));
    let reply = site.converges("instance", &json!({ "name": "main", "state": "stopped" }));
    let name = format!("{}/main", site.major().number);
    assert_eq!(
        changes(&reply),
        [format!(
            "leave stopped, which an interrupted run was to start again, instance `{name}`"
        )]
    );
    site.changes_nothing("instance", &json!({ "name": "main", "state": "present" }));
    assert!(!site.is_running());
}

/// Wherever it is told to listen, it is spoken to where it does.
#[test]
fn another_port_and_another_socket_directory() {
    let site = Site::with_settings(
        &Major::usual(),
        &json!({ "postgresql": { "surole": { "pgpass": true } } }),
    );
    let (old, new) = (site.port(), free_port());
    let sockets = site.path("run/elsewhere");
    std::fs::create_dir(&sockets).unwrap();
    std::os::unix::fs::chown(
        &sockets,
        Some(std::os::unix::fs::MetadataExt::uid(
            &std::fs::metadata(site.path("run")).unwrap(),
        )),
        None,
    )
    .unwrap();
    let params = |port: u16, role: &str, policy: &str| {
        let mut params = json!({
            "name": "main", "port": port, "surole_password": "own", "restart_policy": policy,
            "roles": [{ "name": role, "login": true, "password": "p", "pgpass": true }],
            "databases": [{ "name": role, "owner": role, "schemas": ["inner"] }],
        });
        if port == new {
            params["settings"] = json!({ "unix_socket_directories": sockets });
        }
        params
    };
    let passfile = || {
        let text = std::fs::read_to_string(site.path("home/.pgpass")).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let entries = |port: u16, roles: &[&str]| -> Vec<String> {
        roles
            .iter()
            .map(|role| {
                let password = if *role == "postgres" { "own" } else { "p" };
                format!("*:{port}:*:{role}:{password}")
            })
            .collect()
    };
    site.ansible("instance", false, &params(old, "ann", "never"));
    // Not restarted: everything goes on where it listens, in nested objects of the same run too.
    let reply = site.converges("instance", &params(new, "bob", "never"));
    let names: Vec<&str> = reply["pending_restart_settings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["port", "unix_socket_directories"]);
    assert_eq!(
        (site.socket().port, passfile()),
        (old.to_string(), entries(old, &["ann", "bob", "postgres"]))
    );
    site.ansible("role", false, &json!({ "instance": "main", "name": "eve", "login": true, "password": "p", "pgpass": true }));
    let env = site.pgsocle(["instance", "env", "main"]).go().stdout;
    assert!(env.contains(&format!("PGPORT={old}\n")), "{env}");
    // Restarted, with new nested objects in the same run.
    let reply = site.converges("instance", &params(new, "joe", "when_required"));
    assert_eq!(reply["pending_restart"], false);
    let socket = site.socket();
    assert_eq!(
        (socket.port.clone(), socket.directory),
        (new.to_string(), sockets.display().to_string())
    );
    assert_eq!(
        passfile(),
        entries(new, &["ann", "bob", "eve", "joe", "postgres"])
    );
    assert_eq!(
        site.ask(
            "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate"
        ),
        "ann bob joe postgres"
    );
    site.ansible(
        "role",
        false,
        &json!({ "instance": "main", "name": "eve", "state": "absent" }),
    );
    // Back, restarted by a command of its own: the entries go along.
    site.ansible("instance", false, &params(old, "ann", "never"));
    assert_eq!(passfile(), entries(new, &["ann", "bob", "joe", "postgres"]));
    site.pgsocle(["instance", "restart", "main"]).go();
    assert_eq!(
        (site.socket().port, passfile()),
        (
            old.to_string(),
            entries(old, &["ann", "bob", "joe", "postgres"])
        )
    );
    // Dropped while it waits for another one: its entries are those of where it listens.
    site.ansible("instance", false, &params(new, "ann", "never"));
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "absent" }),
    );
    assert!(!site.path("home/.pgpass").exists());
}
