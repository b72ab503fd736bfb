//! What is deleted only when somebody really means it: instances and databases that are protected, data that are set aside
//! instead, dumps that stay.

use serde_json::{Value, json};

use crate::instance::with_main;
use crate::support::pg::{Major, Site};

fn protective(params: &Value) -> Site {
    let site = Site::with_settings(&Major::usual(), &json!({ "deletion_protection": true }));
    let mut all = json!({ "name": "main", "port": site.port() });
    all.as_object_mut()
        .unwrap()
        .extend(params.as_object().unwrap().clone());
    site.converges("instance", &all);
    site
}

fn get(site: &Site) -> Value {
    site.pgsocle(["instance", "get", "main", "-o", "json"])
        .json()
}

fn lift(site: &Site) -> String {
    format!(
        "if it is to go, lift that in a call of its own: `deletion_protection: false` for the instance, \
         or `pgsocle instance alter {}/main --no-deletion-protection`; nothing was changed",
        site.major().number
    )
}

#[test]
fn an_instance_is_protected_until_that_is_lifted() {
    let site = protective(&json!({}));
    let number = site.major().number;
    let absent = json!({ "name": "main", "state": "absent" });
    let protected =
        format!("instance {number}/main: instance `{number}/main` is protected against deletion");
    assert_eq!(get(&site)["deletion_protection"], json!(true));
    assert_eq!(
        site.ansible("instance_info", false, &json!({}))["instances"][0]["deletion_protection"],
        json!(true)
    );
    for keep_data in [false, true] {
        let mut params = absent.clone();
        params["keep_data"] = json!(keep_data);
        assert_eq!(
            site.refusal("instance", &params),
            [protected.clone(), lift(&site)]
        );
    }
    for value in [false, true] {
        let both = json!({ "name": "main", "state": "absent", "deletion_protection": value });
        let reply = site.refused("instance", &both);
        assert_eq!(reply["error_kind"], "input");
        assert_eq!(
            reply["hint"],
            "lift it in a task of its own, with `deletion_protection: false`; then leave it out here"
        );
    }
    // Lifted, restored, lifted: each once, and without a restart.
    for (value, sentence) in [
        (false, "lift the deletion protection of instance"),
        (true, "protect instance"),
        (false, "lift the deletion protection of instance"),
    ] {
        let params = json!({ "name": "main", "deletion_protection": value });
        let reply = site.converges("instance", &params);
        let said = reply["changes"][0].as_str().unwrap();
        assert!(said.starts_with(sentence), "{said}");
        assert_eq!(reply["instance"]["deletion_protection"], json!(value));
        // What is left out is left as it is.
        site.changes_nothing("instance", &json!({ "name": "main" }));
        assert_eq!(get(&site)["deletion_protection"], json!(value));
    }
    site.converges("instance", &absent);
    // Nothing of it is remembered for the next one of the name.
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "port": site.port() }),
    );
    assert_eq!(get(&site)["deletion_protection"], json!(true));
}

#[test]
fn the_command_asks_and_refuses_what_was_protected_by_name() {
    let site = protective(&json!({ "deletion_protection": true, "state": "stopped" }));
    let number = site.major().number;
    let drop = ["instance", "drop", "main", "--non-interactive"];
    let before = site.picture();
    let output = site.pgsocle(drop).code(1).go();
    assert_eq!(
        output.stderr,
        format!(
            "error: instance {number}/main: instance `{number}/main` is protected against deletion\nhint: {}\n",
            lift(&site)
        )
    );
    before.assert_same(&site.picture(), "a refused drop");
    // The site's word changes nothing about it.
    site.write_settings(&json!({ "deletion_protection": false }));
    site.pgsocle(drop).code(1).go();
    site.write_settings(&json!({ "deletion_protection": true }));
    let output = site
        .pgsocle(["instance", "drop", "main", "--dry-run"])
        .code(1)
        .go();
    assert!(
        output.stderr.contains("is protected against deletion"),
        "{output:?}"
    );
    // With the mere default, an answer to the question is enough.
    std::fs::remove_file(site.path(format!("srv/var/pgsocle/{number}-main/instance.json")))
        .unwrap();
    site.pgsocle(drop).go();
    assert!(!site.datadir().exists());
}

#[test]
fn data_that_are_set_aside_come_back() {
    let site = with_main(&json!({ "databases": [{ "name": "shop" }] }));
    let parent = site.datadir().parent().unwrap().to_owned();
    let number = site.major().number;
    let absent = json!({ "name": "main", "state": "absent", "keep_data": true });
    let wanted = json!({ "name": "main", "port": site.port(), "state": "started" });
    let names = || {
        let mut names: Vec<String> = std::fs::read_dir(&parent)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let reply = site.converges("instance", &absent);
    assert_eq!(
        reply["changes"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .as_str(),
        Some(
            format!(
                "drop instance `{number}/main`, with its data kept as `{}/data.dropped-1`",
                parent.display()
            )
            .as_str()
        )
    );
    assert_eq!(reply["plan"][0]["impact"], "restart");
    assert_eq!(names(), ["data.dropped-1", "wal.dropped-1"]);
    assert_eq!(
        site.pgsocle(["instance", "list", "-o", "json"]).json(),
        json!([])
    );
    // Another one takes its place, and goes the same way, by the command.
    site.converges("instance", &wanted);
    let said = site
        .pgsocle([
            "instance",
            "drop",
            "main",
            "--keep-data",
            "--non-interactive",
        ])
        .go()
        .stdout;
    assert!(said.contains("data.dropped-2`"), "{said}");
    assert_eq!(
        names(),
        [
            "data.dropped-1",
            "data.dropped-2",
            "wal.dropped-1",
            "wal.dropped-2"
        ]
    );
    // The first one comes back: two names.
    for directory in ["data", "wal"] {
        std::fs::rename(
            parent.join(format!("{directory}.dropped-1")),
            parent.join(directory),
        )
        .unwrap();
    }
    site.converges("instance", &wanted);
    assert_eq!(
        site.ask("SELECT count(*) FROM pg_database WHERE datname = 'shop'"),
        "1"
    );
    assert_eq!(site.ask("SELECT pg_is_in_recovery()"), "f");
}

#[test]
fn data_that_were_being_set_aside_when_the_run_was_killed() {
    let site = with_main(&json!({ "state": "stopped" }));
    let parent = site.datadir().parent().unwrap().to_owned();
    // The data directory has its new name, the WAL directory has not.
    let cut = || {
        std::fs::rename(parent.join("data"), parent.join("data.dropped-1")).unwrap();
        let version = site.major().number;
        let history = site.path(format!("srv/var/pgsocle/{version}-main/history"));
        let mut text = std::fs::read_to_string(&history).unwrap();
        let line = format!(
            "{{\"run\":\"9-9\",\"subject\":\"instance {version}/main\",\"event\":\"begin\",\
             \"plan\":[{{\"action\":\"drop\",\"object\":\"instance {version}/main\"}}]}}\n"
        );
        text.push_str(&line);
        std::fs::write(&history, text).unwrap();
    };
    cut();
    site.converges(
        "instance",
        &json!({ "name": "main", "state": "absent", "keep_data": true }),
    );
    assert!(parent.join("wal.dropped-1/archive_status").exists());
    for directory in ["data", "wal"] {
        std::fs::rename(
            parent.join(format!("{directory}.dropped-1")),
            parent.join(directory),
        )
        .unwrap();
    }
    cut();
    // A new one does not take the WAL of the one that was kept.
    site.converges("instance", &json!({ "name": "main", "port": site.port() }));
    assert!(parent.join("wal.dropped-1/archive_status").exists());
    assert!(site.is_running());
}

#[test]
fn dumps_stay_unless_they_are_to_go() {
    let site = with_main(&json!({ "state": "stopped" }));
    let number = site.major().number;
    let dumps = site.path(format!("srv/srv/dumps/{number}-main"));
    site.program("mkdir").arg("-p").arg(&dumps).go();
    site.write_owned(&dumps.join("shop.dump"), b"PGDMP", 0o600);
    site.converges("instance", &json!({ "name": "main", "state": "absent" }));
    assert!(dumps.join("shop.dump").exists());
    let absent = json!({ "name": "main", "state": "absent", "delete_dumps": true });
    // They lie where those of others do.
    site.write_settings(&json!({ "postgresql": { "dumps_directory": "dumps/15-main" } }));
    if number == 15 {
        let [msg, _] = site.refusal("instance", &absent);
        assert!(
            msg.ends_with("dumps of other instances may be in `SITE/srv/srv/dumps/15-main` as well: they are not deleted"),
            "{msg}"
        );
    }
    site.write_settings(&json!({}));
    let reply = site.converges("instance", &absent);
    assert_eq!(
        reply["changes"],
        json!([format!("delete the dumps of instance `{number}/main`")])
    );
    assert!(!dumps.exists());
    for option in ["delete_dumps", "keep_data"] {
        let [msg, _] = site.refusal("instance", &json!({ "name": "main", option: true }));
        assert_eq!(
            msg,
            format!("instance `main`: `{option}` needs `state: absent`")
        );
    }
}

#[test]
fn databases_are_protected_and_set_aside() {
    for major in Major::all() {
        let site = Site::new(&major);
        site.ansible(
            "instance",
            false,
            &json!({ "name": "main", "port": site.port() }),
        );
        let database = |own: Value| {
            let mut all = json!({ "name": "shop" });
            all.as_object_mut()
                .unwrap()
                .extend(own.as_object().unwrap().clone());
            all
        };
        site.converges("database", &database(json!({
            "deletion_protection": true, "settings": { "work_mem": "9MB" }, "settings_purge": true,
        })));
        // A note of ours is no setting of theirs.
        let seen = site
            .pgsocle(["database", "get", "shop", "-o", "json"])
            .json();
        assert_eq!(seen["settings"], json!({ "work_mem": "9MB" }));
        assert_eq!(seen["deletion_protection"], json!(true));
        site.converges(
            "database",
            &database(json!({ "settings": {}, "settings_purge": true })),
        );
        for absent in [
            json!({ "state": "absent" }),
            json!({ "state": "absent", "force_drop": true, "keep_data": true }),
        ] {
            let [msg, _] = site.refusal("database", &database(absent));
            assert_eq!(
                msg,
                format!(
                    "databases of {}/main: database `shop` is protected against deletion",
                    major.number
                )
            );
        }
        let both = database(json!({ "state": "absent", "deletion_protection": false }));
        assert_eq!(site.refused("database", &both)["error_kind"], "input");
        site.pgsocle(["database", "drop", "shop", "--non-interactive"])
            .code(1)
            .go();
        site.pgsocle(["database", "alter", "shop", "--no-deletion-protection"])
            .go();
        site.changes_nothing(
            "database",
            &database(json!({ "deletion_protection": false })),
        );

        site.sql_through(
            &site.socket(),
            "shop",
            "CREATE TABLE stock AS SELECT 7 AS pieces",
        );
        let absent = database(json!({ "state": "absent", "keep_data": true }));
        let reply = site.converges("database", &absent);
        assert_eq!(
            reply["changes"],
            json!(["drop database `shop`, with its data kept as `shop_dropped_1`"])
        );
        // Nobody comes in; another of the name takes its place, and goes the same way.
        site.converges("database", &database(json!({})));
        let session = site
            .postgresql("psql")
            .args(["-XqAt", "-U", "postgres", "-d", "shop", "-h"])
            .arg(&site.socket().directory)
            .args(["-p", &site.socket().port])
            .stdin("SELECT pg_sleep(600);")
            .any_code()
            .start();
        while site.ask("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND wait_event = 'PgSleep'") != "1" {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        site.refused("database", &absent);
        let forced = database(json!({ "state": "absent", "keep_data": true, "force_drop": true }));
        site.converges("database", &forced);
        session.wait();
        assert_eq!(
            site.ask("SELECT string_agg(datname || ' ' || datallowconn, ', ' ORDER BY datname) FROM pg_database WHERE datname ~ 'shop'"),
            "shop_dropped_1 false, shop_dropped_2 false"
        );
        site.ask("ALTER DATABASE shop_dropped_1 RENAME TO shop");
        site.ask("ALTER DATABASE shop ALLOW_CONNECTIONS true");
        assert_eq!(
            site.sql_through(&site.socket(), "shop", "SELECT pieces FROM stock"),
            "7"
        );
    }
}
