//! Standbys: page checksums that are switched on one of several clusters, and those that others made.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};

use crate::busy::with_replication;
use crate::interruption::wait_for;
use crate::support::laws::Socket;
use crate::support::pg::{Major, Site, free_port};

impl Site {
    /// A standby of the server at a port of this site: its data directory, not started yet.
    pub fn standby(&self, from: u16, port: u16, datadir: &Path) {
        self.program("mkdir")
            .arg("-p")
            .arg(datadir.parent().unwrap())
            .go();
        self.postgresql("pg_basebackup")
            .args([
                "-h",
                &self.path("run/postgresql").display().to_string(),
                "-p",
                &from.to_string(),
            ])
            .args(["-U", "replication", "-R", "--checkpoint=fast", "-D"])
            .arg(datadir)
            .go();
        let conf = datadir.join("postgresql.conf");
        let text = std::fs::read_to_string(&conf).unwrap();
        self.write_owned(&conf, format!("{text}\nport = {port}\n").as_bytes(), 0o600);
    }

    /// Waits until a standby has received all that the server at a port has written.
    fn caught_up(&self, from: u16, datadir: &Path) {
        let position = self.sql(from, "postgres", "SELECT pg_current_wal_lsn()");
        let query = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'");
        let socket = Socket::of(datadir);
        while self.sql_through(&socket, "postgres", &query) != "t" {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// What a run would warn of page checksums.
fn of_checksums(site: &Site, params: &Value) -> Vec<String> {
    let checked = site.ansible("instance", true, params);
    let warnings = checked["warnings"].as_array().unwrap().iter();
    let all = warnings.map(|warning| warning.as_str().unwrap().to_owned());
    all.filter(|warning| warning.contains("checksums"))
        .collect()
}

const PHYSICAL: &str = "SELECT pg_create_physical_replication_slot('b')";

#[test]
fn slots_of_every_major() {
    for major in Major::all() {
        let site = Site::new(&major);
        let params = json!({
            "name": "main", "port": site.port(), "data_checksums": false, "settings": { "wal_level": "logical" },
        });
        site.ansible("instance", false, &params);
        let wanted =
            json!({ "name": "main", "data_checksums": true, "restart_policy": "when_required" });
        for (slot, warnings) in [
            (
                "SELECT pg_create_logical_replication_slot('a', 'pgoutput')",
                0,
            ),
            (PHYSICAL, 1),
        ] {
            site.sql(site.port(), "postgres", slot);
            assert_eq!(of_checksums(&site, &wanted).len(), warnings, "{slot}");
        }
    }
}

#[test]
fn page_checksums_of_one_of_several_clusters() {
    let site = with_replication(&Major::usual());
    let version = site.major().number;
    let (from, port) = (site.port(), free_port());
    let instance = |name: &str, more: Value| {
        let mut params = json!({ "name": name });
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        params
    };
    site.ansible(
        "instance",
        false,
        &instance("a", json!({ "port": from, "data_checksums": false })),
    );
    let restart = |on: bool| {
        instance(
            "a",
            json!({ "data_checksums": on, "restart_policy": "when_required" }),
        )
    };
    let stopped =
        |name: &str| instance(name, json!({ "data_checksums": true, "state": "stopped" }));
    let warnings = |params: &Value| of_checksums(&site, params);
    let said = |name: &str, is: &str, others: &str| {
        vec![format!(
            "instance `{version}/{name}` {is}: enable page checksums of {others} too, with all of these servers stopped meanwhile, \
             or make the standbys anew; pg_rewind and other tools that copy blocks corrupt checksums otherwise"
        )]
    };
    assert_eq!(warnings(&restart(true)), Vec::<String>::new());

    // By those that are connected.
    let datadir = site.path(format!("srv/srv/pgsql/{version}/b/data"));
    site.standby(from, port, &datadir);
    site.pgsocle(["instance", "start", "b"]).go();
    site.caught_up(from, &datadir);
    let has = said("a", "has standbys", "them");
    assert_eq!(warnings(&restart(true)), has);
    assert_eq!(warnings(&restart(false)), Vec::<String>::new());
    let is = said("b", "is a standby", "its primary and the other standbys");
    assert_eq!(warnings(&stopped("b")), is);
    let reply = site.ansible("instance", false, &stopped("b"));
    assert_eq!(reply["instance"]["data_checksums"], true);

    // By their slots.
    assert_eq!(warnings(&restart(true)), Vec::<String>::new());
    site.sql(from, "postgres", PHYSICAL);
    site.pgsocle(["instance", "stop", "a"]).go();
    assert_eq!(warnings(&stopped("a")), has);
    let reply = site.converges("instance", &restart(true));
    assert_eq!(reply["warnings"], json!(has));
}

#[test]
fn a_standby_of_others_is_adopted() {
    let site = with_replication(&Major::usual());
    let version = site.major().number;
    let (from, port) = (site.port(), free_port());
    site.ansible("instance", false, &json!({ "name": "a", "port": from }));
    let datadir = site.path("srv/elsewhere");
    site.standby(from, port, &datadir);
    site.postgresql("pg_ctl")
        .args(["start", "-w", "-s", "-D"])
        .arg(&datadir)
        .arg("-l")
        .arg(site.path("home/start.log"))
        .go();
    site.caught_up(from, &datadir);
    let adopt = json!({ "name": "b", "adopt": true, "datadir": datadir, "state": "present" });
    let reply = site.converges("instance", &adopt);
    assert_eq!(reply["instance"]["state"], "started");
    assert_eq!(reply["instance"]["port"], port);
    // Its log has a name of its own; its primary may know it by the other one.
    let show =
        |name: &str| site.sql_through(&Socket::of(&datadir), "postgres", &format!("SHOW {name}"));
    assert_eq!(show("cluster_name"), "a");
    assert_eq!(
        show("log_filename"),
        format!("{version}-b-%Y-%m-%d_%H%M%S.log")
    );
    // It lives as others do, and follows its primary all the while.
    site.converges(
        "instance",
        &json!({ "name": "b", "settings": { "work_mem": "9MB" } }),
    );
    for state in ["restarted", "stopped", "started"] {
        site.converges("instance", &json!({ "name": "b", "state": state }));
    }
    site.ansible("role", false, &json!({ "instance": "a", "name": "ann" }));
    site.caught_up(from, &datadir);
    assert_eq!(show("work_mem"), "9MB");
    let roles = site.ansible("role_info", false, &json!({ "instance": "b" }));
    assert!(roles.to_string().contains("\"ann\""), "{roles}");
    for params in [
        json!({ "name": "b", "roles": [{ "name": "bob" }] }),
        json!({ "name": "b", "databases": [{ "name": "shop" }] }),
    ] {
        let [said, hint] = site.refusal("instance", &params);
        assert!(
            said.ends_with(&format!(
                "instance `{version}/b` is a standby: it cannot be written to"
            )),
            "{said}"
        );
        assert_eq!(hint, "make the change on its primary");
    }
    site.converges(
        "instance",
        &json!({ "name": "b", "version": version.to_string(), "state": "forgotten" }),
    );
    assert_eq!(show("work_mem"), "9MB");
}

/// Whether another process has a file open. (One in a tree of majors is not the one that we started, but a child of it.)
fn opened_elsewhere(file: &Path) -> bool {
    let inode = std::fs::metadata(file).unwrap().ino();
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let others = processes.filter(|process| *process.file_name() != *own);
    let mut descriptors = others
        .filter_map(|process| std::fs::read_dir(process.path().join("fd")).ok())
        .flatten()
        .flatten();
    descriptors.any(|open| std::fs::metadata(open.path()).is_ok_and(|open| open.ino() == inode))
}

/// A primary and its standby, both archived into one stanza; backups are taken from either.
#[test]
fn a_stanza_of_two() {
    let mut majors = vec![Major::usual()];
    majors.extend(Major::all().pop());
    majors.dedup();
    majors.iter().for_each(a_stanza_of_two_of);
}

fn a_stanza_of_two_of(major: &Major) {
    let site = Site::with_settings(
        major,
        &json!({
            "postgresql": { "replrole": "replication", "auth": { "local": "trust" } },
            "pgbackrest": { "repository": { "mode": "path", "path": "backups" } },
        }),
    );
    let version = site.major().number;
    let (from, port) = (site.port(), free_port());
    let instance = |name: &str, more: Value| {
        let mut params = json!({ "name": name, "pgbackrest": { "stanza": "app" } });
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        params
    };
    site.ansible("instance", false, &instance("a", json!({ "port": from })));
    let datadir = site.path(format!("srv/srv/pgsql/{version}/b/data"));
    site.standby(from, port, &datadir);
    site.ansible("instance", false, &json!({ "name": "b" }));
    site.caught_up(from, &datadir);
    // Another run changes the file of the stanza at the same moment: nobody's lines are lost.
    let file = site.path("srv/etc/pgbackrest/conf.d/app.conf");
    let lock = site.path("run/pgbackrest/lock/members.lock");
    let held = std::fs::File::options().write(true).open(&lock).unwrap();
    let held = Flock::lock(held, FlockArg::LockExclusive).unwrap();
    let run = site
        .ansible_run("instance", false, &instance("b", json!({})))
        .start();
    wait_for("the run at the lock", || opened_elsewhere(&lock));
    let text = std::fs::read_to_string(&file).unwrap();
    site.write_owned(&file, format!("{text}process-max=2\n").as_bytes(), 0o640);
    drop(held);
    let reply: Value = serde_json::from_str(&run.wait().stdout).unwrap();
    let put = format!("put instance `{version}/b` into stanza `app`");
    assert!(
        reply["changes"].as_array().unwrap().contains(&json!(put)),
        "{reply:#}"
    );
    let text = std::fs::read_to_string(&file).unwrap();
    for line in ["pg1-path=", "pg2-path=", "process-max=2"] {
        assert!(text.contains(line), "{text}");
    }
    site.changes_nothing("instance", &instance("b", json!({})));
    site.changes_nothing("instance", &instance("a", json!({})));

    for (name, kind) in [("b", "full"), ("a", "incr")] {
        let taken = json!({ "instance": name, "type": kind });
        let reply = site.ansible("instance_backup", false, &taken);
        assert_eq!(reply["backup"]["type"], kind, "{name}: {reply:#}");
    }
    let labels = |name: &str| {
        let info = site.ansible("instance_backup_info", false, &json!({ "instance": name }));
        assert_eq!(info["problems"], json!([]));
        assert_eq!(info["archiver"]["failing"], false);
        info["backups"].clone()
    };
    assert_eq!(labels("a").as_array().unwrap().len(), 2);
    assert_eq!(labels("a"), labels("b"));
    for name in ["a", "b"] {
        site.pgsocle(["instance", "status", name]).go();
        site.pgsocle(["instance", "backup-check", name]).go();
    }
    let gone = json!({ "name": "a", "state": "absent", "delete_backups": true });
    let [said, _] = site.refusal("instance", &gone);
    assert!(
        said.ends_with("is that of another instance as well: its backups are not deleted"),
        "{said}"
    );
    site.converges(
        "instance",
        &json!({ "name": "b", "pgbackrest": { "state": "absent" } }),
    );
    let file = std::fs::read_to_string(&file).unwrap();
    assert!(
        file.contains("pg1-path=") && !file.contains("pg2-"),
        "{file}"
    );
}
