//! postgresql.conf of real instances: edited in place, and true to what the server does with it.

use serde_json::{Value, json};

use crate::instance::with_main;
use crate::support::pg::Site;

fn want(settings: &Value) -> Value {
    json!({ "name": "main", "settings": settings })
}

impl Site {
    fn conf(&self) -> Vec<u8> {
        std::fs::read(self.datadir().join("postgresql.conf")).unwrap()
    }

    fn show(&self, name: &str) -> String {
        self.ask(&format!("SHOW {name}"))
    }
}

fn actions(reply: &Value) -> Vec<(&str, &str)> {
    reply["plan"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            (
                change["action"].as_str().unwrap(),
                change["impact"].as_str().unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_reload_where_that_is_enough_and_a_restart_where_it_is_allowed() {
    let site = with_main(&json!({}));
    let reply = site.converges("instance", &want(&json!({ "work_mem": "8MB" })));
    assert_eq!(actions(&reply), [("alter", "reload"), ("reload", "reload")]);
    assert_eq!(reply["pending_restart"], false);
    assert_eq!(site.show("work_mem"), "8MB");

    // Waits, and is said to wait, on every run and whatever that run is about.
    let reply = site.converges(
        "instance",
        &want(&json!({ "max_connections": 120, "work_mem": "9MB" })),
    );
    let waits = json!([{ "name": "max_connections", "running": "100", "configured": "120" }]);
    assert_eq!(reply["pending_restart_settings"], waits);
    assert_eq!(
        (site.show("work_mem"), site.show("max_connections")),
        ("9MB".into(), "100".into())
    );
    for params in [
        want(&json!({ "max_connections": 120 })),
        want(&json!({})),
        json!({ "name": "main" }),
    ] {
        let reply = site.ansible("instance", false, &params);
        assert_eq!(reply["changed"], false);
        assert_eq!(reply["pending_restart"], true);
        assert_eq!(reply["pending_restart_settings"], waits);
        assert_eq!(reply["instance"]["pending_restart_settings"], waits);
    }
    // Set back: nothing waits any more.
    let reply = site.converges("instance", &want(&json!({ "max_connections": 100 })));
    assert_eq!(reply["pending_restart"], false);
    let reply = site.converges(
        "instance",
        &want(&json!({ "max_connections": 121, "wal_level": "logical" })),
    );
    assert_eq!(
        reply["pending_restart_settings"],
        json!([
            { "name": "max_connections", "running": "100", "configured": "121" },
            { "name": "wal_level", "running": "replica", "configured": "logical" },
        ])
    );

    // What waits from an earlier run counts too.
    let mut restart = want(&json!({}));
    restart["restart_policy"] = json!("when_required");
    let mut limited = restart.clone();
    limited["max_impact"] = json!("reload");
    assert_eq!(
        site.refusal("instance", &limited),
        [
            format!(
                "the plan goes beyond `max_impact: reload`: restart instance `{}/main` (restart)",
                site.major().number
            ),
            "allow it with a greater `max_impact`, or change what is wanted".into(),
        ]
    );
    let reply = site.converges("instance", &restart);
    assert_eq!(actions(&reply), [("restart", "restart")]);
    assert_eq!(reply["pending_restart"], false);
    assert_eq!(site.show("max_connections"), "121");
    // … and its other name.
    let mut alias = want(&json!({ "max_connections": null, "wal_level": "replica" }));
    alias["restart_on_changes"] = json!(true);
    let reply = site.converges("instance", &alias);
    assert_eq!(actions(&reply), [("alter", "none"), ("restart", "restart")]);
    assert_eq!(site.show("max_connections"), "100");
}

#[test]
fn what_is_not_said_stays_byte_for_byte() {
    let site = with_main(&json!({ "state": "stopped" }));
    let path = site.datadir().join("postgresql.conf");
    let own = b"# R\xe9glages de la base\r\nWork_Mem = 4MB   # m\xe9moire\r\n\r\nlog_min_duration_statement 250ms\r\n#work_mem = 1MB\r\ninclude_if_exists 'none.conf'\r\n";
    let mut content = own.to_vec();
    content.extend(site.conf());
    site.write_owned(&path, &content, 0o640);
    site.converges(
        "instance",
        &want(&json!({ "work_mem": "8MB", "log_min_duration_statement": null })),
    );
    let mut expected = b"# R\xe9glages de la base\r\nWork_Mem = 8MB   # m\xe9moire\r\n\r\n#log_min_duration_statement 250ms\r\n#work_mem = 1MB\r\ninclude_if_exists 'none.conf'\r\n".to_vec();
    expected.extend(&content[own.len()..]);
    let now = site.conf();
    assert!(
        now == expected,
        "--- expected\n{}\n--- found\n{}",
        String::from_utf8_lossy(&expected),
        String::from_utf8_lossy(&now)
    );
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn values_that_mean_the_same_are_the_same() {
    let site = with_main(&json!({ "settings": {
        "maintenance_work_mem": "1GB", "checkpoint_timeout": "300s", "log_connections": true,
        "search_path": ["$user", "public"], "random_page_cost": 1.5, "shared_buffers": "1%",
    } }));
    for settings in [
        json!({ "maintenance_work_mem": "1024MB" }),
        json!({ "maintenance_work_mem": 1_048_576 }),
        json!({ "checkpoint_timeout": "5min", "Log_Connections": "yes" }),
        json!({ "log_connections": 1, "random_page_cost": "1.50" }),
        json!({ "shared_buffers": "1%" }),
    ] {
        site.changes_nothing("instance", &want(&settings));
    }
    let total: u64 = std::fs::read_to_string("/proc/meminfo")
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let set = site.ask("SELECT setting::bigint * 8 FROM pg_settings WHERE name = 'shared_buffers'");
    let percent = set.parse::<u64>().unwrap() * 100 / total;
    assert!(
        percent <= 1 && set.parse::<u64>().unwrap() * 1000 / total >= 8,
        "{set} of {total}"
    );
}

#[test]
fn purge_takes_away_what_is_not_said_and_nothing_else() {
    let site = with_main(&json!({ "settings": { "work_mem": "8MB", "log_connections": true } }));
    let mut exact = want(&json!({ "work_mem": "8MB" }));
    exact["settings_purge"] = json!(true);
    let reply = site.converges("instance", &exact);
    assert_eq!(actions(&reply), [("alter", "reload"), ("reload", "reload")]);
    assert_eq!(reply["pending_restart"], false);
    assert_eq!(
        (site.show("log_connections"), site.show("work_mem")),
        ("off".into(), "8MB".into())
    );
    assert_eq!(site.show("cluster_name"), "main");
}

#[test]
fn preloaded_libraries_are_merged() {
    let site = with_main(&json!({ "settings": { "shared_preload_libraries": "auto_explain" } }));
    let reply = site.converges(
        "instance",
        &want(&json!({ "shared_preload_libraries": "pg_stat_statements" })),
    );
    assert_eq!(
        reply["pending_restart_settings"],
        json!([{ "name": "shared_preload_libraries", "running": "auto_explain", "configured": "auto_explain, pg_stat_statements" }])
    );
    site.changes_nothing(
        "instance",
        &want(&json!({ "shared_preload_libraries": ["pg_stat_statements"] })),
    );
}

#[test]
fn alter_system_is_said_to_win() {
    let site = with_main(&json!({ "settings": { "work_mem": "8MB" } }));
    site.ask("ALTER SYSTEM SET work_mem = '5MB'");
    let said = json!([
        "setting `work_mem` = `8MB` has no effect: postgresql.auto.conf says `5MB` (ALTER SYSTEM RESET work_mem takes that away)"
    ]);
    let params = want(&json!({ "work_mem": "8MB" }));
    for check_mode in [true, false, false] {
        let reply = site.ansible("instance", check_mode, &params);
        assert_eq!(
            (&reply["changed"], &reply["warnings"]),
            (&json!(false), &said)
        );
    }
    site.ask("ALTER SYSTEM RESET work_mem");
    assert_eq!(
        site.ansible("instance", false, &params)["warnings"],
        json!([])
    );
}

/// What only a start can show: the previous values come back, and the server with them if it ran.
#[test]
fn a_server_that_does_not_start_comes_back_as_it_was() {
    let site = with_main(&json!({}));
    for name in ["bad.crt", "bad.key"] {
        site.write_owned(&site.datadir().join(name), b"no certificate\n", 0o600);
    }
    let before = site.conf();
    let cases = [
        (
            json!({ "shared_preload_libraries": "nosuch", "work_mem": "8MB" }),
            "FATAL:  could not access file \"nosuch\": No such file or directory",
        ),
        // A certificate is tried before, unless a command asks for its passphrase.
        (
            json!({ "ssl": true, "ssl_cert_file": "bad.crt", "ssl_key_file": "bad.key", "ssl_passphrase_command": "true", "max_connections": 50 }),
            "FATAL:  could not load server certificate file \"bad.crt\"",
        ),
        // An address that is nobody's (RFC 5737).
        (
            json!({ "listen_addresses": "203.0.113.1" }),
            "FATAL:  could not create any TCP/IP sockets",
        ),
    ];
    for state in ["started", "stopped"] {
        site.ansible(
            "instance",
            false,
            &json!({ "name": "main", "state": state }),
        );
        for (settings, said) in &cases {
            let mut params = want(settings);
            params["restart_policy"] = json!("when_required");
            let reply = site.ansible_run("instance", false, &params).code(1).json();
            assert!(reply["msg"].as_str().unwrap().contains(said), "{reply:#}");
            let names: Vec<&String> = settings.as_object().unwrap().keys().collect();
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            let summary = reply["reverted"][0].as_str().unwrap();
            assert!(
                names.iter().all(|name| summary.contains(*name)),
                "{reply:#}"
            );
            assert_eq!(
                (&reply["applied"], &reply["changed"]),
                (&json!([]), &json!(false))
            );
            assert!(site.conf() == before, "{state}: {settings}");
            assert_eq!(site.is_running(), state == "started");
        }
        if state == "started" {
            assert_eq!(site.show("work_mem"), "4MB");
            site.changes_nothing("instance", &json!({ "name": "main" }));
        }
    }
}
