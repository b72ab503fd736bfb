//! Backups by PostgreSQL's own programs: taken, expired, checked, verified, restored, proved; on every major.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::interruption::wait_for;
use super::support::pg::{Major, Site, free_port};
use super::support::tree;

fn settings(more: &Value) -> Value {
    let mut own = json!({ "directory": "backups" });
    for (key, value) in more.as_object().unwrap() {
        own[key] = value.clone();
    }
    json!({ "basebackup": own })
}

fn site(major: &Major) -> Site {
    Site::with_settings(major, &settings(&json!({})))
}

fn params(site: &Site, more: &Value) -> Value {
    let mut params = json!({ "name": "main", "port": site.port(), "backup_method": "basebackup" });
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    params
}

fn main(more: &Value) -> Value {
    let mut params = json!({ "instance": "main" });
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    params
}

fn sql(site: &Site, statement: &str) -> String {
    site.sql(site.port(), "postgres", statement)
}

/// Everything up to now is in the archive.
fn archive(site: &Site) {
    sql(site, "SELECT pg_switch_wal()");
    settled(site);
}

/// Nothing waits to be archived.
fn settled(site: &Site) {
    let waiting = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'";
    wait_for("the archive", || sql(site, waiting) == "0");
}

fn backup(site: &Site, more: &Value) -> Value {
    let reply = site.runs_as_checked("instance_backup", &main(more));
    settled(site);
    reply
}

fn info(site: &Site) -> Value {
    site.ansible("instance_backup_info", false, &main(&json!({})))
}

fn labels(site: &Site) -> Vec<String> {
    let info = info(site);
    let backups = info["backups"].as_array().unwrap().iter();
    backups
        .map(|backup| backup["label"].as_str().unwrap().to_owned())
        .collect()
}

fn stanza(site: &Site) -> PathBuf {
    site.path(format!("srv/srv/backups/{}-main", site.major().number))
}

fn refused(site: &Site, kind: &str, params: &Value, msg: &str) {
    let reply = site.refused(kind, params);
    let said = reply["msg"].as_str().unwrap();
    assert!(said.contains(msg), "{msg}: {said}");
}

fn changes(reply: &Value) -> Vec<&str> {
    let changes = reply["changes"].as_array().unwrap().iter();
    changes.filter_map(Value::as_str).collect()
}

/// The largest file of a backup.
fn largest(directory: &Path) -> PathBuf {
    let files = std::fs::read_dir(directory).unwrap().flatten();
    files
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap()
}

fn flip_a_bit(file: &Path) {
    let mut content = std::fs::read(file).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(file, content).unwrap();
}

/// What holds on every major.
#[test]
fn taken_and_restored_beside() {
    for major in Major::all() {
        let site = site(&major);
        let number = major.number;
        let name = format!("{number}-main");
        let reply = site.converges("instance", &params(&site, &json!({})));
        for change in [
            format!("make stanza `{name}` for instance `{number}/main`"),
            format!("put instance `{number}/main` into stanza `{name}`"),
            format!("check that WAL of instance `{number}/main` arrives in stanza `{name}`"),
        ] {
            assert!(changes(&reply).contains(&&*change), "{change}: {reply:#}");
        }
        let role = "SELECT rolsuper, rolreplication FROM pg_roles WHERE rolname = 'backup'";
        assert_eq!(sql(&site, role), "f|t");
        // A tablespace lies elsewhere, and comes back elsewhere.
        let space = site.path("srv/space");
        std::fs::create_dir(&space).unwrap();
        site.give(&space);
        let space = space.display();
        sql(&site, &format!("CREATE TABLESPACE fast LOCATION '{space}'"));
        sql(&site, "CREATE TABLE kept TABLESPACE fast AS SELECT 7 AS id");

        taken(&site, &name);
        let found = info(&site);
        assert_eq!(found["tool"], "pg_basebackup");
        assert_eq!(found["problems"], json!([]));
        let archived = &found["archives"][0]["system_identifier"];
        assert_eq!(*archived, found["system_identifier"]);
        assert!(found["backups"][0]["size"].as_u64().unwrap() > 1 << 24);

        let (port, before) = (free_port(), lose_a_table(&site));
        site.pgsocle(["instance", "backup-verify", "main"]).go();
        let copy =
            json!({ "instance": "copy", "stanza": name, "port": port, "target_time": before });
        site.runs_as_checked("instance_restore", &copy);
        let since = "SELECT count(*) FROM orders, since";
        let mut answers = vec![
            ("SELECT id FROM orders", "1"),
            ("SELECT id FROM kept", "7"),
            ("SHOW archive_mode", "off"),
        ];
        answers.extend((number >= 17).then_some((since, "10000")));
        for (query, found) in answers {
            assert_eq!(site.sql(port, "postgres", query), found, "{query}");
        }
    }
}

/// Takes backups of every type that the major has.
fn taken(site: &Site, name: &str) {
    let number = site.major().number;
    if number < 17 {
        let msg = format!(
            "PostgreSQL {number} has full backups only: one of type `incr` needs 17 or newer"
        );
        refused(
            site,
            "instance_backup",
            &main(&json!({ "type": "incr" })),
            &msg,
        );
    }
    // There is nothing to build upon.
    let reply = backup(site, &json!({}));
    assert_eq!(reply["backup"]["type"], "full");
    let told = changes(&reply);
    assert_eq!(
        told[..2],
        [
            format!("take a backup of instance `{number}/main` into stanza `{name}` (full)"),
            format!("keep it as `{}` in stanza `{name}`", labels(site)[0]),
        ]
    );
    // What was archived before it is of no use.
    let gone = format!(
        "delete what has expired of instance `{number}/main`: WAL 000000010000000000000001 to "
    );
    assert!(told[2].starts_with(&gone), "{told:?}");
    site.changes_nothing("instance_backup", &main(&json!({ "max_age": "1d" })));
    if number < 17 {
        return;
    }
    let since = "CREATE TABLE since AS SELECT generate_series(1, 10000) AS id";
    sql(site, since);
    for (kind, prior) in [("incr", 0), ("diff", 1), ("incr", 0)] {
        let before = labels(site);
        let reply = backup(site, &json!({ "type": kind }));
        assert_eq!(reply["backup"]["type"], kind);
        assert_eq!(reply["backup"]["prior"], before[prior], "{kind}");
        assert!(reply["backup"]["repo_size"].as_u64() < reply["backup"]["size"].as_u64());
    }
}

/// A table that somebody drops after the time that is given; everything is archived.
fn lose_a_table(site: &Site) -> String {
    sql(site, "CREATE TABLE orders AS SELECT 1 AS id");
    let before = sql(site, "SELECT clock_timestamp()");
    sql(site, "DROP TABLE orders");
    archive(site);
    before
}

/// On the newest major, whose backups build upon one another.
#[test]
fn restored_in_its_place() {
    let site = site(Major::all().last().unwrap());
    site.ansible("instance", false, &params(&site, &json!({})));
    backup(&site, &json!({}));
    let before = lose_a_table(&site);
    // It ends behind the target: of no use for it, and nothing later can build upon it.
    backup(&site, &json!({}));
    let stopped = json!({ "name": "main", "state": "stopped" });
    site.ansible("instance", false, &stopped);
    refused(
        &site,
        "instance_restore",
        &main(&json!({ "delta": true })),
        "`delta`: pg_basebackup restores into an empty place only",
    );
    let wanted = main(&json!({ "target_time": before }));
    let reply = site.runs_as_checked("instance_restore", &wanted);
    assert_eq!(reply["recovery"]["timeline"], 2);
    assert_eq!(sql(&site, "SELECT id FROM orders"), "1");
    // It is archived and backed up as before, on its new timeline.
    site.changes_nothing("instance", &params(&site, &json!({})));
    site.pgsocle(["instance", "backup-check", "main"]).go();
    let all = labels(&site);
    // The newest one is of a time that has been undone; the one before it is young enough.
    let reply = backup(&site, &json!({ "max_age": "1d" }));
    assert_eq!(reply["backup"]["label"], all[1]);
    let undone = format!(
        "backup `{}` is of a time that a restore has undone: no recovery along timeline 2 begins with it",
        all[0]
    );
    refused(
        &site,
        "instance_restore",
        &main(&json!({ "label": all[0] })),
        &undone,
    );
    let unknown = "the archive of stanza `";
    refused(
        &site,
        "instance_restore",
        &main(&json!({ "target_timeline": "7" })),
        unknown,
    );
    let reply = backup(&site, &json!({}));
    if site.major().number < 17 {
        assert_eq!(reply["backup"]["type"], "full");
    } else {
        assert_eq!(reply["backup"]["prior"], all[1]);
    }
    site.pgsocle(["instance", "backup-verify", "main"]).go();
    // One that cannot be read is told of, and nothing builds upon it.
    let label = reply["backup"]["label"].as_str().unwrap();
    let file = format!("backups/{label}/backup.json");
    std::fs::write(stanza(&site).join(file), "").unwrap();
    let reply = backup(&site, &json!({}));
    assert_ne!(reply["backup"]["prior"], *label);
    let told = format!("backup `{label}` is not known: ");
    for list in [&reply["warnings"], &info(&site)["problems"]] {
        assert!(list[0].as_str().unwrap().starts_with(&told), "{list}");
    }
    let place = main(&json!({ "label": label, "directory": site.path("srv/look") }));
    refused(&site, "instance_restore", &place, &told);
}

#[test]
fn what_has_expired_and_what_is_damaged() {
    let of = |full: u32| {
        // A name that a shell, the server and its files each take for something else.
        settings(&json!({ "directory": "it's 100% b", "retention": { "full": full } }))
    };
    let site = Site::with_settings(&Major::usual(), &of(2));
    let stanza = site.path(format!("srv/srv/it's 100% b/{}-main", site.major().number));
    let number = site.major().number;
    site.ansible("instance", false, &params(&site, &json!({})));
    let full = json!({ "type": "full" });
    backup(&site, &full);
    backup(&site, &full);
    let [second, first] = &labels(&site)[..] else {
        panic!("two backups")
    };
    let expire = |more: &[&str]| {
        let command = ["instance", "backup-expire", "main"];
        site.pgsocle(command).args(more).go().stdout
    };
    assert_eq!(expire(&[]), "nothing to do\n");

    // A backup takes away what it makes dispensable.
    let reply = backup(&site, &full);
    let summary =
        format!("delete what has expired of instance `{number}/main`: backups {first}; WAL ");
    assert!(changes(&reply)[2].starts_with(&summary), "{reply:#}");
    let all = labels(&site);
    assert_eq!(all.len(), 2);
    assert_eq!(all[1], *second);
    let backups = stanza.join("backups");
    assert!(!backups.join(first).exists());

    site.write_settings(&of(1));
    let told = expire(&["--dry-run", "--diff"]);
    assert!(told.contains(&format!("\n-{second}\n")), "{told}");
    assert_eq!(labels(&site).len(), 2);
    site.write_settings(&of(2));

    // Whatever else lies there is not ours.
    std::fs::create_dir(backups.join("mine")).unwrap();
    std::fs::create_dir(backups.join("20200101-000000F")).unwrap();
    assert_eq!(
        expire(&[]),
        format!("delete what has expired of instance `{number}/main`: backups 20200101-000000F\n")
    );
    assert!(backups.join("mine").exists());

    let verify = || site.pgsocle(["instance", "backup-verify", "main"]);
    let report = verify().go().stdout;
    assert!(report.contains("\nstatus: ok\n"), "{report}");
    // A file of WAL, with others behind it.
    sql(&site, "CREATE TABLE later AS SELECT 1");
    archive(&site);
    let wal = stanza.join("wal/1");
    let info = info(&site);
    let gone = info["backups"][0]["wal_start"].as_str().unwrap();
    let aside = site.path("srv/aside");
    std::fs::rename(wal.join(gone), &aside).unwrap();
    let told = verify().code(1).go().stderr;
    assert!(
        told.contains(&format!("\nWAL: {gone} is missing\n")),
        "{told}"
    );
    std::fs::rename(&aside, wal.join(gone)).unwrap();
    flip_a_bit(&largest(&backups.join(second).join("data/base/1")));
    let told = verify().code(1).go().stderr;
    assert!(
        told.contains(&format!(
            "\nbackup: {second}, damaged: pg_verifybackup: error: checksum mismatch for file"
        )),
        "{told}"
    );
    let restore = json!({ "stanza": format!("{number}-main"), "directory": site.path("srv/look"), "label": second });
    let reply = site
        .ansible_run("instance_restore", false, &restore)
        .code(1)
        .json();
    assert!(
        reply["msg"].as_str().unwrap().contains("checksum mismatch"),
        "{reply:#}"
    );
    assert!(!site.path("srv/look").exists());
}

/// What is archived once is kept as it is.
#[test]
fn a_file_that_is_there_already() {
    let site = site(&Major::usual());
    site.ansible("instance", false, &params(&site, &json!({})));
    settled(&site);
    let (new, wal) = (site.path("srv/new"), stanza(&site).join("wal/1"));
    let command = sql(&site, "SHOW archive_command").replace("%f", "name");
    let command = command.replace("%p", new.to_str().unwrap());
    let run = |code: i32| site.program("sh").args(["-c", &command]).code(code).go();
    for (content, code, kept) in [("one", 0, "one"), ("one", 0, "one"), ("two", 1, "one")] {
        site.write_owned(&new, content.as_bytes(), 0o600);
        run(code);
        assert_eq!(std::fs::read_to_string(wal.join("name")).unwrap(), kept);
    }
    // What a server that was cut short has left of a file is no file; where the directory is not there, none is made.
    std::fs::rename(wal.join("name"), wal.join(".name")).unwrap();
    run(0);
    assert_eq!(std::fs::read_to_string(wal.join("name")).unwrap(), "two");
    std::fs::rename(&wal, wal.with_extension("away")).unwrap();
    run(1);
    assert!(!wal.exists());
    // That is told.
    let status = site.pgsocle(["instance", "status", "main"]).code(3).go();
    let line = format!("\nbackups: directory `{}` is missing\n", wal.display());
    assert!(status.stdout.contains(&line), "{status:?}");
    refused(
        &site,
        "instance_backup",
        &main(&json!({})),
        "is not in order: directory `",
    );
}

#[test]
fn proved_and_found_wanting() {
    let site = site(&Major::usual());
    let number = site.major().number;
    site.ansible("instance", false, &params(&site, &json!({})));
    backup(&site, &json!({}));
    sql(&site, "CREATE TABLE orders AS SELECT 1 AS id");
    archive(&site);
    sql(&site, "INSERT INTO orders VALUES (2)");
    archive(&site);
    let check =
        json!({ "database": "postgres", "sql": "SELECT sum(id) FROM orders", "expected": "3" });
    let wanted = main(&json!({ "amcheck": false, "checks": [check] }));
    let reply = site.runs_as_checked("instance_backup_test", &wanted);
    let proof = &reply["backup_test"];
    assert_eq!(
        (&proof["verdict"], &proof["tool"]),
        (&json!("proved"), &json!("pg_basebackup"))
    );

    let fails = |msg: &str| {
        let reply = site
            .ansible_run("instance_backup_test", false, &wanted)
            .code(1)
            .go();
        let reply: Value = serde_json::from_str(&reply.stdout).unwrap();
        assert!(
            reply["msg"].as_str().unwrap().contains(msg),
            "{msg}: {reply:#}"
        );
    };
    let wal = stanza(&site).join("wal/1");
    let mut names: Vec<String> = std::fs::read_dir(&wal)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.len() == 24)
        .collect();
    names.sort();
    let gone = &names[names.len() - 2];
    let aside = site.path("srv/aside");
    std::fs::rename(wal.join(gone), &aside).unwrap();
    fails(&format!(
        "WAL file `{gone}` of instance `{number}/main` is missing from the archive"
    ));
    std::fs::rename(&aside, wal.join(gone)).unwrap();
    // In the middle of the records of a file: the recovery takes that for the end.
    let file = wal.join(gone);
    let sound = std::fs::read(&file).unwrap();
    let mut damaged = sound.clone();
    damaged[40..200].fill(0xFF);
    std::fs::write(&file, damaged).unwrap();
    fails(&format!(
        "archived WAL of instance `{number}/main` is damaged in the repository: the recovery does not get past WAL file `{gone}`"
    ));
    std::fs::write(&file, sound).unwrap();
    let label = &labels(&site)[0];
    flip_a_bit(&largest(
        &stanza(&site)
            .join("backups")
            .join(label)
            .join("data/base/1"),
    ));
    fails(&format!(
        "backup `{label}` of instance `{number}/main` is damaged in the repository: "
    ));
}

/// Who has backups in a stanza has them there for himself.
#[test]
fn a_stanza_of_another_cluster_is_left_alone() {
    let site = site(&Major::usual());
    let number = site.major().number;
    let stanza = stanza(&site);
    site.ansible("instance", false, &params(&site, &json!({})));
    backup(&site, &json!({}));
    let gone = json!({ "name": "main", "state": "absent" });
    site.converges("instance", &gone);
    let kept = tree::snapshot_with_times(&stanza);
    assert!(stanza.join("backups").exists(), "a drop leaves the backups");
    refused(
        &site,
        "instance",
        &params(&site, &json!({})),
        &format!(
            "stanza `{number}-main` holds 1 backups and archived WAL of another cluster (system identifier "
        ),
    );
    assert_eq!(kept, tree::snapshot_with_times(&stanza));
    let taken = params(&site, &json!({ "basebackup": { "take_over": true } }));
    site.converges("instance", &taken);
    let command = sql(&site, "SHOW archive_command");
    assert!(command.contains("/wal/2'"), "{command}");
    let reply = backup(&site, &json!({ "max_age": "1d" }));
    assert_eq!(reply["changed"], true, "the first one of this cluster");
    let info = info(&site);
    let all = info["backups"].as_array().unwrap();
    assert_eq!(all[0]["system_identifier"], info["system_identifier"]);
    assert_ne!(all[1]["system_identifier"], info["system_identifier"]);
    // That of the other cluster is as good as ever.
    let old = json!({
        "instance": "old", "stanza": format!("{number}-main"), "label": all[1]["label"], "port": free_port(),
    });
    site.runs_as_checked("instance_restore", &old);

    let gone = json!({ "name": "main", "state": "absent", "delete_backups": true });
    let reply = site.converges("instance", &gone);
    let summary = format!("delete stanza `{number}-main` with 2 backups");
    assert!(changes(&reply).contains(&&*summary), "{reply:#}");
    assert!(!stanza.exists());
}

#[test]
fn one_method_at_a_time() {
    let both = json!({
        "basebackup": {}, "pgbackrest": { "repository": { "mode": "path", "path": "other" } },
    });
    let site = Site::with_settings(&Major::usual(), &both);
    let number = site.major().number;
    let with = |more: Value| {
        let mut params = json!({ "name": "main", "port": site.port() });
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        params
    };
    let instance = format!("instance `{number}/main`");
    for (wish, msg) in [
        (
            json!({ "pgbackrest": { "stanza": "app" }, "basebackup": {} }),
            format!(
                "{instance}: `pgbackrest` and `basebackup` are both given: an instance is backed up by one of them"
            ),
        ),
        (
            json!({ "pgbackrest": { "stanza": "app" }, "backup_method": "basebackup" }),
            format!(
                "{instance}: `backup_method: basebackup` and `pgbackrest` with `state: present` contradict each other"
            ),
        ),
        (
            json!({ "basebackup": { "state": "absent" }, "backup_method": "basebackup" }),
            format!(
                "{instance}: `backup_method: basebackup` and `basebackup` with `state: absent` contradict each other"
            ),
        ),
        (
            json!({ "basebackup": { "stanza": "../x" } }),
            format!("{instance}: stanza name `../x` is not valid"),
        ),
        (
            json!({ "backup_method": "pgbackrest" }),
            format!("{instance}: `pgbackrest` needs a `stanza`"),
        ),
        (
            json!({ "basebackup": { "schedule": { "incr": "daily" } } }),
            format!(
                "{instance}: `basebackup.schedule.incr` is given, and PostgreSQL {number} has full backups only"
            ),
        ),
    ] {
        if number < 17 || !msg.contains("schedule") {
            assert_eq!(site.refused("instance", &with(wish))["msg"], msg);
        }
    }
    site.ansible(
        "instance",
        false,
        &with(json!({ "pgbackrest": { "stanza": "app" } })),
    );
    let msg = format!(
        "{instance} is backed up by pgBackRest (stanza `app`), not by pg_basebackup: a live instance does not change that by the way"
    );
    let method = json!({ "backup_method": "basebackup" });
    assert_eq!(site.refused("instance", &with(method.clone()))["msg"], msg);
    let restarts =
        json!({ "pgbackrest": { "state": "absent" }, "restart_policy": "when_required" });
    site.converges("instance", &with(restarts));
    let mut wanted = with(method);
    wanted["restart_policy"] = "when_required".into();
    site.converges("instance", &wanted);
    // Said once more that the other one is not there: nothing.
    wanted["pgbackrest"] = json!({ "state": "absent" });
    site.changes_nothing("instance", &wanted);
    // Nothing said of it, it goes on: with an exact list of settings too.
    let silent = json!({ "settings": {}, "settings_purge": true });
    site.changes_nothing("instance", &with(silent));
    assert_eq!(
        site.refused(
            "instance",
            &with(json!({ "basebackup": { "stanza": "other" } }))
        )["msg"],
        format!(
            "pg_basebackup of instance {number}/main: {instance} is in stanza `{number}-main`, not in `other`: a live instance does not change its stanza by the way"
        )
    );
    // Where there are two tools, the one that knows the stanza is meant.
    backup(&site, &json!({}));
    let place = json!({ "stanza": format!("{number}-main"), "directory": site.path("srv/place") });
    site.runs_as_checked("instance_restore", &place);

    let absent = json!({ "basebackup": { "state": "absent" }, "restart_policy": "when_required" });
    site.converges("instance", &with(absent));
    assert_eq!(sql(&site, "SHOW archive_mode"), "off");
    assert_eq!(
        site.refused("instance_backup", &main(&json!({})))["msg"],
        format!("{instance} is not backed up: it is in no stanza")
    );
    let plain = Site::new(&Major::usual());
    assert_eq!(
        plain.refused("instance", &params(&plain, &json!({})))["msg"],
        format!(
            "{instance}: `basebackup` is given, and the site settings have no section `basebackup`"
        )
    );
}

/// A `pg_basebackup` of its own, beside the other programs.
fn with_program(site: &Site, script: &str) {
    let directory = site.path("bin/programs");
    let _ = std::fs::create_dir(&directory);
    for entry in std::fs::read_dir(site.major().bindir()).unwrap().flatten() {
        let link = directory.join(entry.file_name());
        if !link.exists() {
            std::os::unix::fs::symlink(entry.path(), link).unwrap();
        }
    }
    let program = directory.join("pg_basebackup");
    std::fs::remove_file(&program).unwrap();
    site.write_owned(&program, script.as_bytes(), 0o755);
    let mut settings = settings(&json!({}));
    let major = site.major().number.to_string();
    settings["postgresql"] = json!({
        "default_version": major, "versions": [{ "version": major, "bindir": directory }],
    });
    site.write_settings(&settings);
}

#[test]
fn killed_and_at_the_same_time() {
    let site = site(&Major::usual());
    let number = site.major().number;
    site.ansible("instance", false, &params(&site, &json!({})));
    let real = site.major().bindir().join("pg_basebackup");
    let real = real.display();
    let partial = stanza(&site).join("backups/new.partial");
    for script in [
        "kill -9 $PPID; exit 1".to_owned(),
        format!("{real} \"$@\"; kill -9 $PPID"),
    ] {
        with_program(&site, &format!("#!/bin/sh\n{script}\n"));
        site.ansible_run("instance_backup", false, &main(&json!({})))
            .code(-9)
            .go();
        assert!(partial.exists());
        assert_eq!(labels(&site), [""; 0]);
    }
    // It works on until it is told to go on, and holds the lock.
    let go = site.path("srv/go");
    with_program(
        &site,
        &format!(
            "#!/bin/sh\nwhile ! [ -e {} ]; do sleep 0.01; done\nexec {real} \"$@\"\n",
            go.display()
        ),
    );
    let first = site
        .ansible_run("instance_backup", false, &main(&json!({})))
        .start();
    wait_for("the backup", || info(&site)["backup_in_progress"] == true);
    let at_once = main(&json!({ "lock_timeout": 0 }));
    let reply = site
        .ansible_run("instance_backup", false, &at_once)
        .code(1)
        .json();
    assert_eq!(
        reply["msg"],
        format!(
            "backup of instance {number}/main: a backup is being taken into stanza `{number}-main` of instance `{number}/main` already"
        )
    );
    std::fs::write(&go, "").unwrap();
    first.wait();
    assert_eq!(labels(&site).len(), 1);
    assert!(!partial.exists());
    assert_eq!(info(&site)["backup_in_progress"], false);
    // What a server says is passed on.
    with_program(
        &site,
        "#!/bin/sh\necho 'pg_basebackup: error: could not write: No space left on device' >&2\nexit 1\n",
    );
    let reply = site
        .ansible_run("instance_backup", false, &main(&json!({})))
        .code(1)
        .json();
    assert!(
        reply["msg"]
            .as_str()
            .unwrap()
            .ends_with("No space left on device"),
        "{reply:#}"
    );
    assert_eq!(labels(&site).len(), 1);
}
