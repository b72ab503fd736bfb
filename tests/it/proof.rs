//! Proofs of backups: restored into a scratch place, recovered, checked; and what is wrong is told apart.

use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::backup::{params, site};
use super::interruption::wait_for;
use super::support::pg::Site;

/// An instance with a backup, and a table that is in the archived WAL only.
fn backed_up(site: &Site) {
    site.ansible("instance", false, &params(site, &json!({})));
    site.ansible(
        "instance_backup",
        false,
        &json!({ "instance": "main", "type": "full" }),
    );
    sql(site, "CREATE TABLE orders AS SELECT 1 AS id");
    archive(site);
}

fn sql(site: &Site, statement: &str) -> String {
    site.sql(site.port(), "postgres", statement)
}

/// Everything up to now is in the archive.
fn archive(site: &Site) {
    let last = sql(site, "SELECT pg_walfile_name(pg_switch_wal())");
    wait_for("the archive", || {
        sql(site, "SELECT last_archived_wal FROM pg_stat_archiver") >= last
    });
}

fn scratch(site: &Site) -> PathBuf {
    site.path(format!("srv/srv/backup-test/{}-main", site.major().number))
}

fn evidence(site: &Site) -> Value {
    let file = format!(
        "srv/var/pgsocle/{}-main/backup-test.json",
        site.major().number
    );
    serde_json::from_slice(&std::fs::read(site.path(file)).unwrap()).unwrap()
}

fn wanted(expected: &str) -> Value {
    json!({
        "instance": "main",
        "checks": [{ "database": "postgres", "sql": "SELECT id, 'x' FROM orders", "expected": expected }],
    })
}

/// Proves what cannot be proved: the message. Nothing is left but the evidence.
fn fails(site: &Site, wanted: &Value) -> String {
    let servers = site.servers();
    let reply = site
        .ansible_run("instance_backup_test", false, wanted)
        .code(1)
        .go();
    let reply: Value = serde_json::from_str(&reply.stdout).unwrap();
    assert!(!scratch(site).exists(), "{reply:#}");
    assert_eq!(site.servers(), servers);
    let msg = reply["msg"].as_str().unwrap().to_owned();
    let kept = evidence(site);
    assert_eq!(kept["verdict"], "failed");
    assert!(msg.ends_with(kept["problem"].as_str().unwrap()), "{msg}");
    msg
}

/// Refuses what cannot be begun, in check mode as in a run, and only the latter leaves evidence, and nothing else: the message.
fn not_begun(site: &Site, wanted: &Value) -> String {
    let state = format!("srv/var/pgsocle/{}-main", site.major().number);
    let metrics = site.path(&state).join("backup.prom");
    let mut wanted = wanted.clone();
    wanted["metrics_file"] = json!(metrics);
    let answer = |check_mode: bool| -> Value {
        let run = site.ansible_run("instance_backup_test", check_mode, &wanted);
        let reply = run.any_code().go();
        assert!([1, 2].contains(&reply.code), "{reply:?}");
        serde_json::from_str(&reply.stdout).unwrap()
    };
    let mut before = site.picture();
    let checked = answer(true);
    before.assert_same(&site.picture(), &format!("check mode of {wanted}"));
    let reply = answer(false);
    assert_eq!(reply, checked, "check mode and run refuse alike");
    let mut after = site.picture();
    for picture in [&mut before, &mut after] {
        picture.files.retain(|path, _| !path.starts_with(&state));
    }
    before.assert_same(&after, &format!("refusal of {wanted}"));
    let kept = evidence(site);
    assert_eq!(kept["verdict"], "refused", "{kept:#}");
    assert_eq!(
        (&kept["problem"], &kept["remedy"]),
        (&reply["msg"], &reply["hint"])
    );
    let text = std::fs::read_to_string(&metrics).unwrap();
    let failed = format!(
        "{{instance=\"{}/main\",stanza=\"app\"}} 0",
        site.major().number
    );
    let line = format!("pgsocle_backup_test_success{failed}");
    assert!(text.lines().any(|found| found == line), "{text}");
    reply["msg"].as_str().unwrap().to_owned()
}

/// What a query on the copy gives; nothing while nobody answers.
fn in_scratch(site: &Site, query: &str) -> String {
    let output = site
        .postgresql("psql")
        .args(["-XAtq", "-U", "postgres", "-d", "postgres", "-h"])
        .arg(scratch(site))
        .args(["-p", "5432", "-c", query])
        .any_code()
        .go();
    output.stdout.trim().to_owned()
}

/// The files in a directory of the repository whose paths hold these words, sorted.
fn repository(site: &Site, words: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![site.path("srv/srv/backups")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.to_str().unwrap().contains(words) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn flip_a_bit(file: &Path) {
    let mut content = std::fs::read(file).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(file, content).unwrap();
}

#[test]
fn a_backup_is_proved() {
    let site = site();
    let number = site.major().number;
    backed_up(&site);
    let before = site.servers();
    let metrics = site.path("srv/backup.prom");
    let mut wanted = wanted("1|x");
    wanted["metrics_file"] = json!(metrics);
    wanted["max_age"] = "1d".into();
    let reply = site.runs_as_checked("instance_backup_test", &wanted);
    let kept = evidence(&site);
    assert_eq!(reply["backup_test"], kept);
    assert_eq!(kept["verdict"], "proved", "{kept:#}");
    assert_eq!(kept["amcheck"], json!({ "passed": true, "said": null }));
    assert_eq!(kept["checks"][0]["found"], "1|x");
    for key in [
        "restore_seconds",
        "recovery_seconds",
        "total_seconds",
        "rpo_seconds",
    ] {
        assert!(kept[key].as_f64().unwrap() > 0.0, "{key}: {kept:#}");
    }
    let (label, place) = (kept["label"].as_str().unwrap(), scratch(&site));
    let place = place.display();
    let state = site.path(format!("srv/var/pgsocle/{number}-main/backup-test.json"));
    assert_eq!(
        reply["changes"],
        json!([
            format!("restore backup `{label}` of instance `{number}/main` into `{place}`"),
            format!(
                "start a server in `{place}`, which recovers up to the end of the archived WAL"
            ),
            "check the copy by `pg_amcheck` and 1 query",
            format!("stop the server in `{place}`, and remove the copy"),
            format!(
                "write what came of it into `{}`, and metrics into `{}`",
                state.display(),
                metrics.display()
            ),
        ])
    );
    assert!(!scratch(&site).exists());
    assert_eq!(site.servers(), before);
    let text = std::fs::read_to_string(&metrics).unwrap();
    let line =
        format!("pgsocle_backup_test_success{{instance=\"{number}/main\",stanza=\"app\"}} 1");
    assert!(text.lines().any(|found| found == line), "{text}");

    // Young enough; not for other questions.
    site.changes_nothing("instance_backup_test", &wanted);
    wanted["checks"][0]["expected"] = "2|x".into();
    let msg = fails(&site, &wanted);
    assert_eq!(
        msg,
        format!(
            "proof of the backups of instance {number}/main: the copy is not as it should be: \
             `SELECT id, 'x' FROM orders` in database `postgres`: expected `2|x`, found `1|x`"
        )
    );
    let text = std::fs::read_to_string(&metrics).unwrap();
    assert!(text.contains("\"app\"} 0\n"), "{text}");

    assert_eq!(site.servers(), before);
}

#[test]
fn other_questions_and_other_places() {
    let site = site();
    backed_up(&site);
    let before = site.servers();
    // A query changes nothing, not even the copy.
    let mut wanted = json!({
        "instance": "main",
        "amcheck": false,
        "checks": [{ "database": "postgres", "sql": "DROP TABLE orders" }],
    });
    let msg = fails(&site, &wanted);
    assert!(
        msg.ends_with("cannot execute DROP TABLE in a read-only transaction"),
        "{msg}"
    );

    // What is kept is taken away by the next proof.
    wanted["checks"] = json!([]);
    wanted["keep"] = true.into();
    wanted["target_immediate"] = true.into();
    let reply = site.ansible("instance_backup_test", false, &wanted);
    assert_eq!(reply["backup_test"]["rpo_seconds"], Value::Null);
    assert_eq!(
        in_scratch(&site, "SELECT to_regclass('orders') IS NULL"),
        "t"
    );
    let checks = site.path("home/checks.yaml");
    std::fs::write(
        &checks,
        "checks: [{database: postgres, sql: SELECT 1, expected: '1'}]\n",
    )
    .unwrap();
    site.pgsocle([
        "instance",
        "backup-test",
        "main",
        "--no-amcheck",
        "--checks",
    ])
    .args([checks.to_str().unwrap()])
    .go();
    assert!(!scratch(&site).exists());

    // As on another host, where there is no instance.
    let given = site.path("srv/place");
    let elsewhere =
        json!({ "instance": "drill", "stanza": "app", "amcheck": false, "directory": given });
    let reply = site.runs_as_checked("instance_backup_test", &elsewhere);
    assert_eq!(std::fs::read_dir(&given).unwrap().count(), 0);
    assert_eq!(reply["backup_test"]["verdict"], "proved");
    assert_eq!(site.servers(), before);
}

/// The instance goes on, but nobody takes it away; and a proof that was killed is no burden to the next one.
#[test]
fn at_work_and_killed() {
    let site = site();
    backed_up(&site);
    let before = site.servers();
    let slow = json!({
        "instance": "main",
        "amcheck": false,
        "checks": [{ "database": "postgres", "sql": "SELECT pg_sleep(600)" }],
    });
    let begin = |code: i32| {
        let run = site
            .ansible_run("instance_backup_test", false, &slow)
            .code(code)
            .start();
        wait_for("the query", || {
            in_scratch(
                &site,
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
            ) == "1"
        });
        run
    };
    let end_query = || {
        in_scratch(
            &site,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'",
        )
    };
    // Asked to end, it takes the copy away.
    let run = begin(128 + 15);
    kill(Pid::from_raw(run.pid()), Signal::SIGTERM).unwrap();
    end_query();
    run.wait();
    assert!(!scratch(&site).exists());
    assert_eq!(site.servers(), before);

    let run = begin(-9);
    site.ansible(
        "role",
        false,
        &json!({ "instance": "main", "name": "clerk" }),
    );
    let kept_out = |kind: &str, wanted: &Value, by: &str| {
        let reply = site.ansible_run(kind, false, wanted).code(1).go();
        let reply: Value = serde_json::from_str(&reply.stdout).unwrap();
        let msg = reply["msg"].as_str().unwrap();
        assert!(msg.contains(by), "{by}: {msg}");
    };
    let stop = json!({ "name": "main", "state": "stopped", "lock_timeout": 0 });
    let at_work = "another run is at work: backup test of instance ";
    kept_out("instance", &stop, at_work);
    let mut another = json!({ "instance": "main", "amcheck": false, "lock_timeout": 0 });
    kept_out("instance_backup_test", &another, at_work);

    kill(Pid::from_raw(run.pid()), Signal::SIGKILL).unwrap();
    run.wait();
    kept_out("instance_backup_test", &another, "still runs");
    end_query();
    another["lock_timeout"] = 60.into();
    site.ansible("instance_backup_test", false, &another);
    assert!(!scratch(&site).exists());
    assert_eq!(site.servers(), before);
}

#[test]
fn what_is_damaged_and_what_is_missing() {
    let site = site();
    let number = site.major().number;
    backed_up(&site);
    sql(&site, "INSERT INTO orders VALUES (2)");
    archive(&site);
    let wanted = json!({ "instance": "main", "amcheck": false });

    // Of the WAL behind the backup the last but one, without which the last one is never read.
    let wal: Vec<PathBuf> = repository(&site, "archive/app")
        .into_iter()
        .filter(|path| path.extension().is_some_and(|found| found == "gz"))
        .collect();
    let (gone, aside) = (&wal[wal.len() - 2], site.path("srv/aside.gz"));
    let name = &gone.file_name().unwrap().to_str().unwrap()[..24];
    std::fs::rename(gone, &aside).unwrap();
    let missing = |name: &str| {
        format!("WAL file `{name}` of instance `{number}/main` is missing from the archive")
    };
    let msg = fails(&site, &wanted);
    assert!(msg.contains(&missing(name)), "{msg}");
    std::fs::rename(&aside, gone).unwrap();

    // The WAL of the backup itself.
    let info = site.ansible(
        "instance_backup_info",
        false,
        &json!({ "instance": "main" }),
    );
    let start = info["backups"][0]["wal_start"].as_str().unwrap();
    let of_backup = wal
        .iter()
        .find(|path| path.to_str().unwrap().contains(&format!("/{start}-")))
        .unwrap();
    std::fs::rename(of_backup, &aside).unwrap();
    let msg = fails(&site, &wanted);
    assert!(msg.contains(&missing(start)), "{msg}");
    std::fs::rename(&aside, of_backup).unwrap();

    flip_a_bit(gone);
    let msg = fails(&site, &wanted);
    let damaged =
        format!("archived WAL of instance `{number}/main` is damaged in the repository: ");
    assert!(msg.contains(&damaged), "{msg}");

    let label = info["backups"][0]["label"].as_str().unwrap();
    let file = repository(&site, &format!("{label}/pg_data/base/"))
        .into_iter()
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    flip_a_bit(&file);
    let msg = fails(&site, &wanted);
    let damaged =
        format!("backup `{label}` of instance `{number}/main` is damaged in the repository: ");
    assert!(msg.contains(&damaged), "{msg}");
    assert_eq!(evidence(&site)["recovery_seconds"], Value::Null);
}

#[test]
fn another_key() {
    let site = site();
    let number = site.major().number;
    site.ansible("site", false, &json!({}));
    let configuration = site.path("srv/etc/pgbackrest/conf.d/key.conf");
    let key = |key: &str| {
        let text = format!("[global]\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass={key}\n");
        site.write_owned(&configuration, text.as_bytes(), 0o600);
    };
    key("right");
    backed_up(&site);
    let wanted = json!({ "instance": "main", "amcheck": false });
    site.runs_as_checked("instance_backup_test", &wanted);
    let said = format!(
        "proof of the backups of instance {number}/main: the repository of stanza `app` cannot be deciphered: \
         the cipher key is not the one that it was encrypted with"
    );
    let proved = evidence(&site)["ended"].clone();
    key("wrong");
    assert_eq!(not_begun(&site, &wanted), said);
    std::fs::remove_file(&configuration).unwrap();
    assert_eq!(not_begun(&site, &wanted), said);
    assert_eq!(evidence(&site)["last_proved"], proved);
}

#[test]
fn what_is_not_begun() {
    let site = site();
    site.ansible("instance", false, &params(&site, &json!({})));
    let refused = |more: Value, msg: &str| {
        let mut wanted = json!({ "instance": "main" });
        for (key, value) in more.as_object().unwrap() {
            wanted[key] = value.clone();
        }
        let said = not_begun(&site, &wanted);
        assert!(said.contains(msg), "{msg}: {said}");
    };
    refused(json!({}), "there is no backup to restore");
    site.ansible(
        "instance_backup",
        false,
        &json!({ "instance": "main", "type": "full" }),
    );
    let long = format!("/{}", "x".repeat(100));
    for (more, msg) in [
        (
            json!({ "label": "20200101-000000F" }),
            "there is no backup `20200101-000000F`",
        ),
        (
            json!({ "directory": site.path("home") }),
            "is not empty, and no proof has made it",
        ),
        (
            json!({ "directory": "x" }),
            "`directory`: `x` is not absolute",
        ),
        (json!({ "directory": long }), "is too long"),
        (
            json!({ "checks": [{ "database": "postgres", "sql": "\\! id" }] }),
            "`checks`: `\\! id` is no query",
        ),
        (json!({ "max_age": "soon" }), "`max_age`: `soon` is no age"),
        (
            json!({ "target_time": "2999-01-01 00:00:00Z" }),
            "is yet to come",
        ),
    ] {
        std::fs::write(site.path("home/something"), "").unwrap();
        refused(more, msg);
    }
    // Of what is not there at all, where that was said.
    let elsewhere = site.path("srv/elsewhere.json");
    let wanted = json!({ "instance": "gone", "evidence": elsewhere });
    site.ansible_run("instance_backup_test", false, &wanted)
        .any_code()
        .go();
    let kept: Value = serde_json::from_slice(&std::fs::read(elsewhere).unwrap()).unwrap();
    assert_eq!(kept["verdict"], "refused");
    assert_eq!(kept["instance"], format!("{}/gone", site.major().number));
}
