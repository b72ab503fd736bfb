//! Restores from pgBackRest: back in time, beside, elsewhere; and what was there before is lost only when all went well.

use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};

use super::backup::{params, site};
use super::interruption::wait_for;
use super::support::mounts::apart;
use super::support::pg::{Site, free_port};
use super::support::tree::snapshot_tree;

/// An instance with a backup, and a table that somebody drops after the time that is given.
fn with_a_lost_table() -> (Site, String) {
    let site = site();
    // Neither of them is the caller's, nor UTC.
    let zones = json!({ "timezone": "Asia/Kolkata", "log_timezone": "America/St_Johns" });
    let instance = params(&site, &json!({ "settings": zones }));
    site.ansible("instance", false, &instance);
    site.ansible(
        "instance_backup",
        false,
        &json!({ "instance": "main", "type": "full" }),
    );
    sql(&site, "CREATE TABLE orders AS SELECT 1 AS id");
    let before = sql(&site, "SELECT clock_timestamp()");
    sql(&site, "DROP TABLE orders");
    sql(&site, "CREATE TABLE after AS SELECT 1");
    // A commit after the target, archived.
    let last = sql(&site, "SELECT pg_walfile_name(pg_switch_wal())");
    wait_for("the archive", || {
        let archived = "SELECT last_archived_wal FROM pg_stat_archiver";
        sql(&site, archived) >= last
    });
    (site, before)
}

fn sql(site: &Site, statement: &str) -> String {
    site.sql(site.port(), "postgres", statement)
}

fn stop(site: &Site) {
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "stopped" }),
    );
}

fn to(time: &str) -> Value {
    json!({ "instance": "main", "target_time": time })
}

#[test]
fn back_to_the_second_before() {
    let (site, before) = with_a_lost_table();
    let number = site.major().number;
    let reply = site.refused("instance_restore", &to(&before));
    assert_eq!(
        reply["msg"],
        format!(
            "restore of instance {number}/main: instance `{number}/main` runs: its data cannot be replaced"
        )
    );
    // One of the time that is undone.
    let incr = json!({ "instance": "main", "type": "incr" });
    let undone = site.ansible("instance_backup", false, &incr);
    stop(&site);
    let mut wanted = to(&before);
    wanted["keep_old"] = true.into();
    // What is meant is the same everywhere.
    assert!(before.ends_with("+05:30"), "{before}");
    let elsewhere = site.ansible_run("instance_restore", true, &wanted);
    let told = elsewhere.env("TZ", "Pacific/Auckland").json();
    let meant: jiff::Timestamp = before.parse().unwrap();
    assert_eq!(told["restore"]["target"], meant.to_string());
    let reply = site.runs_as_checked("instance_restore", &wanted);
    let datadir = site.datadir();
    let kept = format!("{}.dropped-1", datadir.display());
    let label = reply["restore"]["label"].as_str().unwrap();
    let changes = reply["changes"].as_array().unwrap();
    assert!(
        changes[0].as_str().unwrap().starts_with(&format!(
            "restore instance `{number}/main` from backup `{label}`, up to "
        )),
        "{changes:?}"
    );
    assert_eq!(
        changes[1..],
        [
            json!(format!(
                "put the restored data in the place of those of instance `{number}/main`"
            )),
            json!(format!("start instance `{number}/main`")),
            json!(format!(
                "keep the old data of instance `{number}/main` as `{kept}`"
            )),
        ]
    );
    assert_eq!(sql(&site, "SELECT id FROM orders"), "1");
    assert_eq!(sql(&site, "SELECT to_regclass('after') IS NULL"), "t");
    assert_eq!(reply["recovery"]["timeline"], 2);
    assert!(std::path::Path::new(&kept).join("PG_VERSION").exists());
    // It is archived and backed up as before, on its new timeline.
    site.changes_nothing("instance", &params(&site, &json!({})));
    // From what was undone no WAL leads to here.
    stop(&site);
    let reply = site.ansible("instance_restore", false, &json!({ "instance": "main" }));
    assert_eq!(reply["restore"]["label"], label);
    assert_ne!(undone["backup"]["label"], label);
    assert_eq!(sql(&site, "SELECT id FROM orders"), "1");
    site.ansible("instance_backup", false, &incr);
}

/// A target that the WAL does not reach is found out by the server: what was there is there again.
#[test]
fn what_fails_leaves_what_was_there() {
    let (site, _) = with_a_lost_table();
    let number = site.major().number;
    stop(&site);
    let files = snapshot_tree(&site.datadir().join("base"));
    let name = json!({ "instance": "main", "target_name": "never" });
    let reply = site
        .ansible_run("instance_restore", false, &name)
        .code(1)
        .go();
    let reply: Value = serde_json::from_str(&reply.stdout).unwrap();
    assert_eq!(
        reply["msg"],
        format!(
            "restore of instance {number}/main: the recovery along timeline `latest` ended before its target, restore point `never`"
        )
    );
    assert_eq!(reply["applied"], json!([]));
    assert_eq!(files, snapshot_tree(&site.datadir().join("base")));
    assert!(!site.is_running());
    for rest in ["before-restore", "restoring"] {
        assert!(!site.datadir().with_extension(rest).exists());
    }
    site.ansible("instance", false, &params(&site, &json!({})));
    assert_eq!(sql(&site, "SELECT to_regclass('after') IS NULL"), "f");
    for (target, msg) in [
        (
            json!({ "target_time": "2020-01-01 00:00:00Z" }),
            "no backup reaches back to 2020-01-01T00:00:00Z",
        ),
        (
            json!({ "target_time": "2999-01-01 00:00:00Z" }),
            "recovery target: 2999-01-01T00:00:00Z is yet to come",
        ),
        (
            json!({ "target_time": "2026-01-01 00:00:00" }),
            "recovery target: time `2026-01-01 00:00:00` says no zone",
        ),
        (
            json!({ "label": "20200101-000000F" }),
            "there is no backup `20200101-000000F`",
        ),
        (
            json!({ "target_lsn": "0/1", "target_xid": 3 }),
            "a recovery has one target",
        ),
        (
            json!({ "target_action": "pause" }),
            "`target_action: pause` needs a target",
        ),
        (
            json!({ "port": 5000 }),
            &*format!("instance `{number}/main` exists: `port` is for a new one"),
        ),
    ] {
        stop(&site);
        let mut wanted = json!({ "instance": "main" });
        for (key, value) in target.as_object().unwrap() {
            wanted[key] = value.clone();
        }
        let reply = site.refused("instance_restore", &wanted);
        assert!(
            reply["msg"].as_str().unwrap().contains(msg),
            "{msg}: {reply:#}"
        );
    }
}

#[test]
fn a_copy_beside_it() {
    let (site, before) = with_a_lost_table();
    let number = site.major().number;
    let port = free_port();
    let copy = json!({ "instance": "copy", "stanza": "app", "port": port, "target_time": before });
    let reply = site.runs_as_checked("instance_restore", &copy);
    assert_eq!(reply["instance"]["state"], "started");
    assert_eq!(site.sql(port, "postgres", "SELECT id FROM orders"), "1");
    // It has the system identifier of the other one: it must not add to its archive.
    assert_eq!(site.sql(port, "postgres", "SHOW archive_mode"), "off");
    assert_eq!(site.sql(port, "postgres", "SHOW cluster_name"), "copy");
    assert_eq!(sql(&site, "SELECT to_regclass('after') IS NULL"), "f");
    let reply = site.refused("instance_backup", &json!({ "instance": "copy" }));
    assert!(
        reply["msg"].as_str().unwrap().contains("is in no stanza"),
        "{reply:#}"
    );
    site.ansible(
        "instance",
        false,
        &json!({ "name": "copy", "state": "absent" }),
    );
    // Neither is anything lost when its stanza is not said.
    let reply = site.refused(
        "instance_restore",
        &json!({ "instance": "copy", "port": port }),
    );
    assert_eq!(
        reply["msg"],
        format!(
            "instance `{number}/copy` does not exist: which backups are to be restored must be said"
        )
    );
}

#[test]
fn the_data_alone() {
    let (site, _) = with_a_lost_table();
    let place = site.path("srv/elsewhere");
    let wanted = json!({ "stanza": "app", "directory": place, "target_immediate": true });
    // It waits for no instance, and none has it in its history.
    let state = site.path(format!("srv/var/pgsocle/{}-main", site.major().number));
    let history = || std::fs::read_to_string(state.join("history")).unwrap();
    let (told, lock) = (history(), std::fs::File::open(state.join("lock")).unwrap());
    let lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    site.runs_as_checked("instance_restore", &wanted);
    drop(lock);
    assert_eq!(history(), told);
    assert!(place.join("PG_VERSION").exists());
    let auto = std::fs::read_to_string(place.join("postgresql.auto.conf")).unwrap();
    assert!(auto.contains("archive_mode = 'off'"), "{auto}");
    let reply = site.refused("instance_restore", &wanted);
    assert!(
        reply["msg"].as_str().unwrap().contains("is not empty"),
        "{reply:#}"
    );
}

#[test]
fn actions_at_the_target() {
    let (site, before) = with_a_lost_table();
    for (action, up) in [("pause", true), ("shutdown", false)] {
        stop(&site);
        let mut wanted = to(&before);
        wanted["target_action"] = action.into();
        wanted["delta"] = true.into();
        let reply = site.runs_as_checked("instance_restore", &wanted);
        assert_eq!(site.is_running(), up, "{action}: {reply:#}");
        if up {
            assert_eq!(reply["recovery"]["paused"], true);
            // The table itself is locked: the transaction that drops it has begun before the target, and not ended.
            assert_eq!(sql(&site, "SELECT to_regclass('orders') IS NULL"), "f");
            assert_eq!(sql(&site, "SELECT pg_is_in_recovery()"), "t");
        }
    }
}

/// A `pgbackrest` that kills whoever calls it for a restore: before it has done anything, or when it is done.
fn deadly(site: &Site, when: &str) {
    let program = site.path("bin/pgbackrest");
    let script = format!(
        "#!/bin/sh\nfor last; do :; done\n[ \"$last\" = restore ] || exec /usr/bin/pgbackrest \"$@\"\n\
         [ {when} = before ] && kill -9 $PPID && exit 1\n/usr/bin/pgbackrest \"$@\"\n[ {when} = after ] && kill -9 $PPID\nexit 0\n"
    );
    site.write_owned(&program, script.as_bytes(), 0o755);
    site.write_settings(&json!({ "pgbackrest": {
        "repository": { "mode": "path", "path": "backups" }, "execpath": program,
    } }));
}

/// Killed in the middle, it leaves what was there, or what the next run needs; repeated, it comes to its end.
#[test]
fn killed_and_repeated() {
    let (site, before) = with_a_lost_table();
    let (datadir, waldir) = (site.datadir(), site.datadir().with_file_name("wal"));
    let named = |path: &Path, more: &str| PathBuf::from(format!("{}.{more}", path.display()));
    stop(&site);
    let mut wanted = to(&before);
    wanted["instance"] = json!(format!("{}/main", site.major().number));
    for when in ["before", "after"] {
        deadly(&site, when);
        let files = snapshot_tree(&datadir);
        site.ansible_run("instance_restore", false, &wanted)
            .any_code()
            .go();
        assert!(!named(&datadir, "before-restore").exists());
        assert_eq!(files, snapshot_tree(&datadir), "{when}");
    }
    // Killed later still: the old data are aside, the new ones have not come yet.
    for path in [&datadir, &waldir] {
        std::fs::rename(path, named(path, "before-restore")).unwrap();
    }
    deadly(&site, "never");
    let reply = site.runs_as_checked("instance_restore", &wanted);
    assert_eq!(reply["changed"], true);
    assert_eq!(sql(&site, "SELECT id FROM orders"), "1");
    for rest in ["before-restore", "restoring"] {
        assert!(
            !named(&datadir, rest).exists() && !named(&waldir, rest).exists(),
            "{rest}"
        );
    }
    assert!(sql(&site, "SHOW archive_command").contains("--stanza=app"));
    // Killed when the server had recovered already: the next run sees to the rest.
    std::fs::create_dir(named(&datadir, "before-restore")).unwrap();
    let reply = site.ansible("instance_restore", false, &wanted);
    assert_eq!(
        reply["changes"],
        json!([format!(
            "remove the old data of instance `{}/main`",
            site.major().number
        )])
    );
    assert!(!named(&datadir, "before-restore").exists() && site.is_running());
    // Or when all that was missing was the journal's last line: nothing is taken from a server that runs.
    let number = site.major().number;
    let history = site.path(format!("srv/var/pgsocle/{number}-main/history"));
    let text = std::fs::read_to_string(&history).unwrap();
    let (begun, last) = text.trim_end().rsplit_once('\n').unwrap();
    assert!(last.contains("\"event\":\"done\""), "{last}");
    site.write_owned(&history, format!("{begun}\n").as_bytes(), 0o640);
    for check_mode in [true, false] {
        let reply = site.ansible("instance_restore", check_mode, &wanted);
        assert_eq!(reply["changes"], json!([]));
        assert_eq!(
            reply["warnings"],
            json!([format!(
                "instance `{number}/main` runs with the data of an earlier restore, which was interrupted: that one is finished; \
                 for another, stop the instance first"
            )])
        );
    }
    let msg = site.refused("instance_restore", &wanted)["msg"].to_string();
    assert!(msg.contains("runs: its data cannot be replaced"), "{msg}");
    site.write_settings(
        &json!({ "pgbackrest": { "repository": { "mode": "path", "path": "backups" } } }),
    );
    site.ansible("instance_backup", false, &json!({ "instance": "main" }));
}

/// What is in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// They are set aside and come back like the rest, on file systems of their own too.
#[test]
fn tablespaces() {
    apart("restore::tablespaces", || {
        let site = site();
        site.mount(&site.path("srv"), "1g");
        let [fast, late] = ["fast", "late"].map(|name| site.path("srv").join(name));
        site.ansible("instance", false, &params(&site, &json!({})));
        for space in [&fast, &late] {
            site.mount(space, "96m");
        }
        let make = |space: &Path, table: &str| {
            let name = space.file_name().unwrap().to_str().unwrap();
            let location = space.display();
            sql(
                &site,
                &format!("CREATE TABLESPACE {name} LOCATION '{location}'"),
            );
            sql(
                &site,
                &format!("CREATE TABLE {table} TABLESPACE {name} AS SELECT 1 AS id"),
            );
        };
        make(&fast, "orders");
        let full = json!({ "instance": "main", "type": "full" });
        site.ansible("instance_backup", false, &full);
        let before = sql(&site, "SELECT clock_timestamp()");
        sql(&site, "INSERT INTO orders VALUES (2)");
        make(&late, "after");
        let last = sql(&site, "SELECT pg_walfile_name(pg_switch_wal())");
        wait_for("the archive", || {
            sql(&site, "SELECT last_archived_wal FROM pg_stat_archiver") >= last
        });

        // What fails leaves what was there.
        stop(&site);
        let held = [&fast, &late].map(|space| snapshot_tree(space));
        let never = json!({ "instance": "main", "target_name": "never" });
        site.ansible_run("instance_restore", false, &never)
            .code(1)
            .go();
        assert_eq!(held, [&fast, &late].map(|space| snapshot_tree(space)));

        let mut wanted = to(&before);
        wanted["keep_old"] = true.into();
        site.runs_as_checked("instance_restore", &wanted);
        assert_eq!(sql(&site, "SELECT count(*) FROM orders"), "1");
        assert_eq!(sql(&site, "SELECT to_regclass('after') IS NULL"), "t");
        let version = held[0].keys().find(|path| path.starts_with("PG_"));
        let version = version.unwrap().split('/').next().unwrap();
        assert_eq!(names(&fast), [version, "dropped-1"]);
        assert_eq!(names(&late), ["dropped-1"]);
        // What is kept is whole: a server could be started on it.
        let kept = PathBuf::from(format!("{}.dropped-1", site.datadir().display()));
        let links = kept.join("pg_tblspc");
        let mut targets: Vec<PathBuf> = names(&links)
            .iter()
            .map(|oid| std::fs::read_link(links.join(oid)).unwrap())
            .collect();
        targets.sort();
        assert_eq!(targets, [&fast, &late].map(|space| space.join("dropped-1")));
        for target in targets {
            assert_eq!(names(&target), [version]);
        }

        // Beside it they have places of their own.
        let port = free_port();
        let of_copy = site.datadir().parent().unwrap().with_file_name("copy");
        let never =
            json!({ "instance": "copy", "stanza": "app", "port": port, "target_name": "never" });
        site.ansible_run("instance_restore", false, &never)
            .code(1)
            .go();
        assert_eq!(names(&of_copy), [""; 0]);
        let copy =
            json!({ "instance": "copy", "stanza": "app", "port": port, "target_time": before });
        site.runs_as_checked("instance_restore", &copy);
        assert_eq!(
            site.sql(port, "postgres", "SELECT count(*) FROM orders"),
            "1"
        );
        let place = site.sql(
            port,
            "postgres",
            "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast'",
        );
        let own = of_copy.join("data.tablespaces/fast");
        assert_eq!(place, own.display().to_string());
        assert_eq!(names(&own), [version]);
        assert_eq!(names(&fast), [version, "dropped-1"]);

        // Nothing is left of the old ones when they are not kept, and nobody else's are replaced.
        stop(&site);
        let main = format!("{}/main", site.major().number);
        let at_once = json!({ "instance": main, "target_immediate": true });
        site.ansible("instance_restore", false, &at_once);
        assert_eq!(names(&fast), [version, "dropped-1"]);
        stop(&site);
        std::fs::rename(site.datadir(), site.path("srv/away")).unwrap();
        let reply = site.refused("instance_restore", &at_once);
        let msg = reply["msg"].as_str().unwrap();
        let foreign = format!(
            "a tablespace goes to `{}`, and another cluster",
            fast.display()
        );
        assert!(msg.contains(&foreign), "{msg}");
    });
}
