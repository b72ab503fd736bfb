//! Backups by pgBackRest: the stanza comes with the instance, backups are taken when they are due, and nobody loses any.

use serde_json::{Value, json};

use super::interruption::wait_for;
use super::support::mounts::apart;
use super::support::pg::{Major, Site};
use super::support::tree;

/// A site whose backups go to a directory of its own.
pub fn site() -> Site {
    site_of(&Major::usual())
}

fn site_of(major: &Major) -> Site {
    Site::with_settings(
        major,
        &json!({ "pgbackrest": { "repository": { "mode": "path", "path": "backups" } } }),
    )
}

pub fn params(site: &Site, more: &Value) -> Value {
    let mut params =
        json!({ "name": "main", "port": site.port(), "pgbackrest": { "stanza": "app" } });
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    params
}

fn backups(site: &Site) -> Value {
    site.ansible(
        "instance_backup_info",
        false,
        &json!({ "instance": "main" }),
    )
}

#[test]
fn an_instance_is_archived_and_backed_up_from_its_creation_on() {
    let site = site();
    let number = site.major().number;
    let reply = site.converges("instance", &params(&site, &json!({})));
    for change in [
        format!("make stanza `app` for instance `{number}/main`"),
        "create role `backup`".to_owned(),
        format!("put instance `{number}/main` into stanza `app`"),
        "let role `backup` take backups".to_owned(),
        format!("check that WAL of instance `{number}/main` arrives in stanza `app`"),
    ] {
        assert!(
            reply["changes"]
                .as_array()
                .unwrap()
                .contains(&json!(change)),
            "{change}: {:#}",
            reply["changes"]
        );
    }
    assert_eq!(
        site.sql(
            site.port(),
            "postgres",
            "SELECT rolsuper FROM pg_roles WHERE rolname = 'backup'"
        ),
        "f"
    );

    let once = json!({ "instance": "main", "type": "full", "max_age": "1d" });
    let reply = site.converges("instance_backup", &once);
    assert_eq!(
        reply["changes"],
        json!([format!(
            "take a backup of instance `{number}/main` into stanza `app` (full)"
        )])
    );
    assert_eq!(reply["backup"]["type"], "full");
    // What copies more is good enough for less.
    site.changes_nothing(
        "instance_backup",
        &json!({ "instance": "main", "type": "diff", "max_age": 3600.to_string() }),
    );
    // Asked for without an age it is taken.
    site.sql(site.port(), "postgres", "CREATE DATABASE shop");
    let reply = site.runs_as_checked("instance_backup", &json!({ "instance": "main" }));
    assert_eq!(reply["backup"]["type"], "incr");

    let info = backups(&site);
    assert_eq!(info["backups"].as_array().unwrap().len(), 2);
    assert_eq!(info["backups"][0]["databases"], json!(["postgres", "shop"]));
    assert_eq!(info["backups"][0]["prior"], info["backups"][1]["label"]);
    assert_eq!(info["archiver"]["failing"], false);
    assert_eq!(info["problems"], json!([]));
    let table = site.pgsocle(["instance", "backups", "main"]).go().stdout;
    assert!(table.starts_with("label "), "{table}");
    assert_eq!(table.lines().count(), 3, "{table}");

    // Who works with the instance finds them by pgBackRest's own program.
    let env = site.pgsocle(["instance", "env", "main"]).go().stdout;
    let variables = format!(
        "\nPGBACKREST_CONFIG_PATH={}\nPGBACKREST_STANZA=app\n",
        site.path("srv/etc/pgbackrest").display()
    );
    assert!(env.ends_with(&variables), "{env}");
    let label = info["backups"][0]["label"].as_str().unwrap();
    let own = site
        .pgsocle(["instance", "exec", "main", "--", "pgbackrest", "info"])
        .go();
    assert!(own.stdout.contains(label), "{own:?}");
}

/// From the creation on to the proof, and back to the second before a mistake. In memory, since restores wait for the disk.
#[test]
fn the_whole_way_of_every_major() {
    apart("backup::the_whole_way_of_every_major", || {
        std::thread::scope(|all| {
            for major in Major::all() {
                all.spawn(move || the_whole_way(&major));
            }
        });
    });
}

fn the_whole_way(major: &Major) {
    let site = site_of(major);
    site.mount(&site.path("srv"), "1g");
    let sql = |statement: &str| site.sql(site.port(), "postgres", statement);
    let wanted = params(&site, &json!({}));
    site.ansible("instance", false, &wanted);
    site.changes_nothing("instance", &wanted);
    let space = site.path("srv/fast");
    site.program("mkdir").arg(&space).go();
    sql(&format!(
        "CREATE TABLESPACE fast LOCATION '{}'",
        space.display()
    ));
    for kind in ["full", "incr"] {
        let taken = json!({ "instance": "main", "type": kind });
        let reply = site.ansible("instance_backup", false, &taken);
        assert_eq!(reply["backup"]["type"], kind, "{reply:#}");
    }
    sql("CREATE TABLE orders TABLESPACE fast AS SELECT 1 AS id");
    let before = sql("SELECT clock_timestamp()");
    sql("DROP TABLE orders");
    sql("CREATE TABLE after AS SELECT 1");
    let last = sql("SELECT pg_walfile_name(pg_switch_wal())");
    wait_for("the archive", || {
        sql("SELECT last_archived_wal FROM pg_stat_archiver") >= last
    });

    let query = "SELECT to_regclass('orders') IS NULL, to_regclass('after') IS NULL";
    let restored = json!({ "instance": "main", "target_time": before });
    let mut proof = restored.clone();
    proof["checks"] = json!([{ "database": "postgres", "sql": query, "expected": "f|t" }]);
    let reply = site.ansible("instance_backup_test", false, &proof);
    assert_eq!(reply["backup_test"]["verdict"], "proved", "{reply:#}");

    let stopped = json!({ "name": "main", "state": "stopped" });
    site.ansible("instance", false, &stopped);
    let reply = site.runs_as_checked("instance_restore", &restored);
    assert_eq!(reply["recovery"]["timeline"], 2, "{reply:#}");
    assert_eq!(sql(query), "f|t");
    // It is archived, on its new timeline.
    site.changes_nothing("instance", &wanted);
    let tool = |verb: &str| site.pgsocle(["instance", verb, "main"]).go().stdout;
    tool("backup-check");
    let verified = tool("backup-verify");
    assert!(verified.contains("status: ok"), "{verified}");

    site.ansible(
        "instance_backup",
        false,
        &json!({ "instance": "main", "type": "full" }),
    );
    site.write_settings(&json!({ "pgbackrest": {
        "repository": { "mode": "path", "path": "backups", "retention": { "full": 1 } },
    }}));
    site.ansible("site", false, &json!({}));
    let (expired, number) = (tool("backup-expire"), major.number);
    let summary = format!("delete what has expired of instance `{number}/main`: backups 20");
    assert!(expired.starts_with(&summary), "{expired}");
    assert_eq!(
        backups(&site)["backups"].as_array().unwrap().len(),
        1,
        "{number}"
    );
}

/// Who has backups in a stanza has them there for himself.
#[test]
fn a_stanza_of_another_cluster_is_left_alone() {
    let site = site();
    let number = site.major().number;
    site.ansible("instance", false, &params(&site, &json!({})));
    site.ansible(
        "instance_backup",
        false,
        &json!({ "instance": "main", "type": "full" }),
    );
    let stanza = site.path("srv/srv/backups");
    let held = tree::snapshot_with_times(&stanza);

    // A new cluster in its place, as after a disaster.
    let gone = json!({ "name": "main", "state": "absent" });
    site.converges("instance", &gone);
    let kept = tree::snapshot_with_times(&stanza);
    assert_eq!(held, kept, "a drop leaves the backups");
    assert!(!site.path("srv/etc/pgbackrest/conf.d/app.conf").exists());
    let reply = site.refused("instance", &params(&site, &json!({})));
    let msg = reply["msg"].as_str().unwrap();
    assert!(
        msg.contains(
            "stanza `app` holds 1 backups and archived WAL of another cluster (system identifier "
        ),
        "{msg}"
    );
    assert_eq!(kept, tree::snapshot_with_times(&stanza));
    assert!(!site.datadir().exists());

    // Asked to, it goes on in it, and what was there stays.
    let taken = json!({ "pgbackrest": { "stanza": "app", "take_over": true } });
    let reply = site.converges("instance", &params(&site, &taken));
    let summary = format!("make stanza `app` that of instance `{number}/main`");
    assert!(
        reply["changes"]
            .as_array()
            .unwrap()
            .contains(&json!(summary)),
        "{reply:#}"
    );
    let reply = site.runs_as_checked(
        "instance_backup",
        &json!({ "instance": "main", "max_age": "1d" }),
    );
    // The first backup of this cluster, whatever the other one has.
    assert_eq!(reply["changed"], true);
    let info = backups(&site);
    let all = info["backups"].as_array().unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0]["system_identifier"], info["system_identifier"]);
    assert_ne!(all[1]["system_identifier"], info["system_identifier"]);

    let gone = json!({ "name": "main", "state": "absent", "delete_backups": true });
    let reply = site.converges("instance", &gone);
    assert!(
        reply["changes"]
            .as_array()
            .unwrap()
            .contains(&json!("delete stanza `app` with 2 backups")),
        "{reply:#}"
    );
    assert!(!stanza.join("backup/app").exists());
}

#[test]
fn archiving_ends_only_when_that_is_said() {
    let site = site();
    let number = site.major().number;
    // An instance that was there before.
    site.ansible(
        "instance",
        false,
        &params(&site, &json!({ "pgbackrest": null })),
    );
    let reply = site.runs_as_checked("instance", &params(&site, &json!({})));
    assert_eq!(
        reply["pending_restart_settings"][0]["name"], "archive_mode",
        "{reply:#}"
    );
    assert!(
        reply["warnings"][0]
            .as_str()
            .unwrap()
            .contains("is not archived before it has been restarted")
    );
    let when_required = json!({ "restart_policy": "when_required" });
    let reply = site.converges("instance", &params(&site, &when_required));
    let check = format!("check that WAL of instance `{number}/main` arrives in stanza `app`");
    assert!(
        reply["changes"].as_array().unwrap().contains(&json!(check)),
        "{reply:#}"
    );

    // Nothing said of it, it goes on: with an exact list of settings too.
    let silent = json!({ "pgbackrest": null, "settings": {}, "settings_purge": true });
    site.changes_nothing("instance", &params(&site, &silent));
    let reply = site.refused(
        "instance",
        &params(&site, &json!({ "pgbackrest": { "stanza": "other" } })),
    );
    assert_eq!(
        reply["msg"],
        format!(
            "pgBackRest of instance {number}/main: instance `{number}/main` is in stanza `app`, not in `other`: a live instance does not change its stanza by the way"
        )
    );

    let absent = json!({ "pgbackrest": { "state": "absent" }, "restart_policy": "when_required" });
    site.converges("instance", &params(&site, &absent));
    let mode = site.sql(site.port(), "postgres", "SHOW archive_mode");
    assert_eq!(mode, "off");
    let reply = site.refused("instance_backup", &json!({ "instance": "main" }));
    assert_eq!(
        reply["msg"],
        format!("instance `{number}/main` is not backed up: it is in no stanza")
    );
}

#[test]
fn what_is_damaged_is_put_right() {
    let site = site();
    let wanted = params(&site, &json!({}));
    site.ansible("instance", false, &wanted);
    let configuration = site.path("srv/etc/pgbackrest/conf.d/app.conf");
    let sound = std::fs::read(&configuration).unwrap();
    std::fs::remove_file(&configuration).unwrap();
    site.converges("instance", &wanted);
    assert_eq!(std::fs::read(&configuration).unwrap(), sound);

    site.sql(
        site.port(),
        "postgres",
        "REVOKE EXECUTE ON FUNCTION pg_switch_wal() FROM backup",
    );
    site.converges("instance", &wanted);

    std::fs::remove_dir_all(site.path("srv/srv/backups/archive/app")).unwrap();
    std::fs::remove_dir_all(site.path("srv/srv/backups/backup/app")).unwrap();
    site.converges("instance", &wanted);
}

#[test]
fn backups_that_cannot_be_taken() {
    let site = site();
    let number = site.major().number;
    let with = |pgbackrest: Value| params(&site, &json!({ "pgbackrest": pgbackrest }));
    for (pgbackrest, msg) in [
        (
            json!({}),
            format!("instance `{number}/main`: `pgbackrest` needs a `stanza`"),
        ),
        (
            json!({ "stanza": "../x" }),
            format!("instance `{number}/main`: stanza name `../x` is not valid"),
        ),
    ] {
        assert_eq!(site.refused("instance", &with(pgbackrest))["msg"], msg);
    }
    site.ansible("instance", false, &with(json!({ "stanza": "app" })));
    for (more, msg) in [
        (
            json!({ "max_age": "soon" }),
            "`max_age`: `soon` is no age".to_owned(),
        ),
        (json!({ "type": "half" }), String::new()),
    ] {
        let mut params = json!({ "instance": "main" });
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        let reply = site.refused("instance_backup", &params);
        assert!(reply["msg"].as_str().unwrap().contains(&msg), "{reply:#}");
    }
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "stopped" }),
    );
    let reply = site.refused("instance_backup", &json!({ "instance": "main" }));
    assert_eq!(
        reply["msg"],
        format!(
            "backup of instance {number}/main: instance `{number}/main` is stopped: pgBackRest takes backups of a server that runs"
        )
    );
    let plain = Site::new(&Major::usual());
    let reply = plain.refused(
        "instance",
        &json!({ "name": "main", "port": plain.port(), "pgbackrest": { "stanza": "x" } }),
    );
    assert_eq!(
        reply["msg"],
        format!(
            "instance `{number}/main`: `pgbackrest` is given, and the site settings have no section `pgbackrest`"
        )
    );
}
