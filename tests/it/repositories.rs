//! Repositories of pgBackRest as the site settings say them: encrypted ones, several of them, those behind TLS; and what
//! becomes of instances whose repository is full, read-only or does not answer.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::interruption::wait_for;
use super::room::Filler;
use super::support::bin::Run;
use super::support::canary::Canary;
use super::support::mounts::apart;
use super::support::pg::{Major, Site, free_port, listener};

/// Backups go to both repositories' places, encrypted into one; nobody but pgBackRest is told the passphrase.
#[test]
fn a_passphrase_is_told_to_pgbackrest_alone() {
    let canary = Canary::new();
    let site = Site::new(&Major::usual());
    let pass = site.path("etc/pass");
    site.write_owned(&pass, canary.password().as_bytes(), 0o600);
    site.write_settings(&json!({ "pgbackrest": {
        "repository": { "mode": "path", "path": "one", "cipher": { "pass_file": pass } },
        "more_repositories": [{ "mode": "path", "path": "two" }],
        "options": { "process-max": 2, "repo2-bundle": true },
    }}));
    let check = site.ansible_run("site", true, &json!({})).go();
    canary.assert_not_printed(&check);
    let instance =
        json!({ "name": "main", "port": site.port(), "pgbackrest": { "stanza": "app" } });
    let made = site.ansible_run("instance", false, &instance).go();
    canary.assert_not_printed(&made);
    site.changes_nothing("instance", &instance);
    site.changes_nothing("site", &json!({}));
    site.ansible(
        "instance_backup",
        false,
        &json!({ "instance": "main", "type": "full" }),
    );

    // OpenSSL marks what it has encrypted so.
    let archive = |repository: &str| {
        let info = site.path(format!("srv/srv/{repository}/archive/app/archive.info"));
        std::fs::read(info).unwrap().starts_with(b"Salted__")
    };
    assert!(archive("one"));
    assert!(!archive("two"));

    let changed = Canary::new();
    site.write_owned(&pass, changed.password().as_bytes(), 0o600);
    let told = site.ansible_run("site", true, &json!({})).go();
    canary.assert_not_printed(&told);
    changed.assert_not_printed(&told);
    let reply: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(reply["changed"], true, "{reply:#}");
    let secrets = site.path("srv/etc/pgbackrest/conf.d/@repositories.conf");
    let before = std::fs::read(&secrets).unwrap();
    let told = site.ansible_run("site", false, &json!({})).code(1).go();
    changed.assert_not_printed(&told);
    let reply: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let msg = reply["msg"].as_str().unwrap();
    let said = "the encryption of repository 1 is not the one that it was made with, and cannot be changed: stanza `app` is in it";
    assert_eq!(msg, said);
    assert_eq!(std::fs::read(&secrets).unwrap(), before);

    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "absent" }),
    );
    site.write_owned(&pass, canary.password().as_bytes(), 0o600);
    site.ansible("site", false, &json!({ "state": "absent" }));
    std::fs::remove_file(&pass).unwrap();
    // What is left of backups is encrypted; the file with the passphrase is gone.
    canary.assert_absent_below(site.dir(), &[]);
    assert!(site.path("srv/srv/two/backup/app/backup.info").exists());
}

/// Ends one WAL file: its name.
fn switch(site: &Site) -> String {
    // Without anything in it the present file would not be left.
    let sql = |statement: &str| site.sql(site.port(), "postgres", statement);
    sql("CREATE TABLE t (); DROP TABLE t");
    sql("SELECT pg_walfile_name(pg_switch_wal())")
}

fn archiving(site: &Site, fails: bool) {
    let asked = if fails {
        "SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) FROM pg_stat_archiver"
    } else {
        "SELECT last_archived_time > last_failed_time AND NOT EXISTS (SELECT FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') FROM pg_stat_archiver"
    };
    wait_for("the archiver", || {
        site.sql(site.port(), "postgres", asked) == "t"
    });
}

fn backup(site: &Site) -> Run {
    site.ansible_run("instance_backup", false, &json!({ "instance": "main" }))
}

/// However long it takes: the server goes on, everybody is told, and when there is room again no WAL is missing.
#[test]
fn a_repository_without_room_and_one_that_is_read_only() {
    apart(
        "repositories::a_repository_without_room_and_one_that_is_read_only",
        || {
            let site = Site::new(&Major::usual());
            let number = site.major().number;
            let [archive, kept] =
                ["archive", "backup"].map(|part| site.path("srv/srv/backups").join(part));
            for part in [&archive, &kept] {
                site.mount(part, "64m");
            }
            site.write_settings(
                &json!({ "pgbackrest": { "repository": { "mode": "path", "path": "backups" } } }),
            );
            let instance =
                json!({ "name": "main", "port": site.port(), "pgbackrest": { "stanza": "app" } });
            site.ansible("instance", false, &instance);
            backup(&site).go();

            let filler = Filler::at(&archive);
            let mut wal = vec![switch(&site)];
            archiving(&site, true);
            wal.extend([switch(&site), switch(&site)]);
            let info = || {
                let instance = json!({ "instance": "main" });
                site.ansible("instance_backup_info", false, &instance)
            };
            let archiver = &info()["archiver"];
            assert_eq!(archiver["failing"], true);
            assert_eq!(archiver["last_failed_wal"], wal[0]);
            assert_eq!(archiver["queue"], 3);
            let status = |code: i32| {
                let run = site.pgsocle(["instance", "status", "main"]);
                run.code(code).go().stdout
            };
            let told = status(3);
            assert!(
                told.contains(&format!("\narchiving: failing: {}", wal[0])),
                "{told}"
            );
            assert!(told.contains("; 3 files wait\n"), "{told}");
            let metrics = site.pgsocle(["instance", "backup-metrics"]).go().stdout;
            let of_instance = format!("{{instance=\"{number}/main\",stanza=\"app\"}}");
            for metric in ["failing{} 1", "queue_files{} 3"] {
                let line = format!(
                    "\npgsocle_backup_archive_{}\n",
                    metric.replace("{}", &of_instance)
                );
                assert!(metrics.contains(&line), "{line}: {metrics}");
            }

            drop(filler);
            wal.push(switch(&site));
            archiving(&site, false);
            let told = status(0);
            assert!(told.contains("; 0 files wait\n"), "{told}");
            let segments = archive.join(format!("app/{number}-1/{}", &wal[0][..16]));
            let there: Vec<String> = std::fs::read_dir(segments)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            for name in &wal {
                let found = there.iter().filter(|file| file.starts_with(name));
                assert_eq!(found.count(), 1, "{name}: {there:?}");
            }
            let found = info();
            assert_eq!(found["archives"][0]["wal_max"], wal[3]);
            assert_eq!(found["problems"], json!([]));

            let failure = || {
                let reply: Value = backup(&site).code(1).json();
                reply["msg"].as_str().unwrap().to_owned()
            };
            let filler = Filler::at(&kept);
            let msg = failure();
            assert!(msg.contains("[28] No space left on device"), "{msg}");
            drop(filler);
            let remount = |how: &str, part: &Path| {
                let options = format!("remount,{how}");
                Run::program("mount").args(["-o", &options]).arg(part).go();
            };
            remount("ro", &kept);
            let msg = failure();
            assert!(msg.contains("[30] Read-only file system"), "{msg}");
            remount("ro", &archive);
            switch(&site);
            archiving(&site, true);
            let told = status(3);
            assert!(told.contains("\narchiving: failing: "), "{told}");
            remount("rw", &archive);
            remount("rw", &kept);
            switch(&site);
            archiving(&site, false);
            status(0);
            let reply = backup(&site).json();
            assert_eq!(reply["backup"]["type"], "incr");
            assert_eq!(info()["backups"].as_array().unwrap().len(), 2);
            site.changes_nothing("instance", &instance);
        },
    );
}

/// An authority, and a certificate of it for a name that is good for so many days.
pub fn certificates(dir: &Path, name: &str, days: &str) {
    let script = format!(
        "cd '{}' && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=authority -keyout ca.key -out ca.crt -days 2 \
         && openssl req -newkey rsa:2048 -nodes -subj /CN={name} -keyout db.key -out db.csr \
         && openssl x509 -req -in db.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out db.crt -days {days} && chmod 0600 db.key",
        dir.display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_the_tls_server_would_refuse_is_named_before_anything_is_done() {
    let site = Site::new(&Major::usual());
    let file = |name: &str| site.path("etc").join(name);
    site.write_settings(&json!({ "pgbackrest": { "repository": {
        "mode": "host-tls", "host": "repo1", "cn": "repo1",
        "certificate": { "ca_cert": file("ca.crt"), "cert": file("db.crt"), "key": file("db.key") },
    }}}));
    let refused = |expected: String| {
        let reply = site.ansible_run("site", false, &json!({})).any_code().go();
        let reply: serde_json::Value = serde_json::from_str(&reply.stdout).unwrap();
        assert_eq!(reply["msg"], expected);
        assert_eq!(reply["applied"], json!([]));
        assert!(!site.path("srv/etc/pgbackrest").exists());
    };
    refused(format!(
        "`{}` is missing, which the site settings name for the TLS server of pgBackRest",
        file("db.key").display()
    ));
    certificates(&site.path("etc"), "db", "-1");
    site.give(&file("db.key"));
    refused(format!(
        "the certificate `{}` of the TLS server of pgBackRest is of no use: certificate has expired",
        file("db.crt").display()
    ));
    certificates(&site.path("etc"), "db", "1");
    site.give(&file("db.key"));
    let reply = site.ansible("site", false, &json!({}));
    let server = format!(
        "the TLS server of pgBackRest does not run, and the site settings name no service manager that would start it: as user \
         `{}`, run `/usr/bin/pgbackrest server --config={}`, now and at every boot",
        site.sysuser(),
        site.path("srv/etc/pgbackrest/server.conf").display()
    );
    // Whoever runs on this machine may listen there.
    let warnings = reply["warnings"].as_array().unwrap();
    assert!(
        warnings.iter().all(|warning| *warning == json!(server)),
        "{reply:#}"
    );
}

/// A program that is ended with the test.
pub struct Running(pub Pid);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGTERM);
    }
}

/// A TLS server of pgBackRest at a port, with the certificate of the site.
fn serve(site: &Site, port: u16) -> Running {
    let configuration = site.path("home/server.conf");
    let path = |name: &str| site.path("etc").join(name).display().to_string();
    let options = format!(
        "[global]\ntls-server-address=127.0.0.1\ntls-server-port={port}\ntls-server-ca-file={}\ntls-server-cert-file={}\n\
         tls-server-key-file={}\ntls-server-auth=db=*\nlog-level-file=off\nlock-path={}\n",
        path("ca.crt"),
        path("db.crt"),
        path("db.key"),
        site.path("home/lock").display(),
    );
    site.write_owned(&configuration, options.as_bytes(), 0o600);
    site.give(&site.path("etc/db.key"));
    let server = site
        .program("pgbackrest")
        .arg(format!("--config={}", configuration.display()))
        .arg("server")
        .start();
    let running = Running(Pid::from_raw(server.pid()));
    wait_for("the server", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    running
}

/// A program `ssh` that closes its output and stays, for whose end pgBackRest waits: both are ended.
fn one_that_stays(
    site: &Site,
    use_repository: &dyn Fn(&Value, &Value),
    status: &dyn Fn() -> String,
) {
    let (ssh, pid) = (site.path("home/stays"), site.path("home/pid"));
    let script = format!(
        "#!/bin/sh\necho $$ >'{}'\nexec >&- 2>&-\nexec sleep 3600\n",
        pid.display()
    );
    site.write_owned(&ssh, script.as_bytes(), 0o755);
    use_repository(
        &json!({ "mode": "host-ssh", "host": "localhost", "cmd_ssh": ssh }),
        &json!({}),
    );
    assert_eq!(
        status(),
        "the repository is unreachable: `/usr/bin/pgbackrest` has not answered within 5 seconds"
    );
    let pid = std::fs::read_to_string(&pid).unwrap();
    let command = format!("/proc/{}/cmdline", pid.trim());
    wait_for("the end of `ssh`", || {
        std::fs::read(&command).is_ok_and(|words| words.is_empty()) || !Path::new(&command).exists()
    });
}

/// Whatever is asked, the answer comes, and names the host.
#[test]
fn a_repository_host_that_does_not_answer() {
    let site = Site::new(&Major::usual());
    let number = site.major().number;
    let local = json!({ "mode": "path", "path": "backups" });
    site.write_settings(&json!({ "pgbackrest": { "repository": local } }));
    let instance =
        json!({ "name": "main", "port": site.port(), "pgbackrest": { "stanza": "app" } });
    site.ansible("instance", false, &instance);

    let file = |name: &str| site.path("etc").join(name);
    certificates(&site.path("etc"), "db", "1");
    site.give(&file("db.key"));
    let silent = site.path("home/silent");
    site.write_owned(&silent, b"#!/bin/sh\nexec sleep 60\n", 0o755);
    let port = free_port();
    // It takes connections, and says nothing.
    let mute = listener("127.0.0.1", port).unwrap();
    let tls = json!({
        "mode": "host-tls", "host": "localhost", "cn": "authority", "host_port": port, "port": free_port(),
        "certificate": { "ca_cert": file("ca.crt"), "cert": file("db.crt"), "key": file("db.key") },
    });
    let ssh = json!({ "mode": "host-ssh", "host": "localhost", "cmd_ssh": silent });
    // Shorter than what a look waits for by itself.
    let short = json!({ "io-timeout": 1, "protocol-timeout": 1, "db-timeout": 1 });
    let use_repository = |repository: &Value, options: &Value| {
        site.write_settings(
            &json!({ "pgbackrest": { "repository": repository, "options": options } }),
        );
        site.ansible("site", false, &json!({}));
    };
    let status = || {
        let run = site.pgsocle(["instance", "status", "main"]);
        let told = run.code(3).go().stdout;
        let line = told.lines().find_map(|line| line.strip_prefix("backups: "));
        line.unwrap().to_owned()
    };
    use_repository(&tls, &short);
    let told = status();
    let words = format!("waiting for read from 'localhost:{port}'");
    assert!(
        told.starts_with("repository 1: ") && told.contains(&words),
        "{told}"
    );

    use_repository(&ssh, &short);
    let words = "waiting for read from 'remote-0 process on 'localhost' read'";
    let told = status();
    assert!(
        told.starts_with("repository 1: ") && told.contains(words),
        "{told}"
    );
    let refused = |kind: &str, params: Value| {
        let reply: Value = site.ansible_run(kind, false, &params).code(1).json();
        let msg = reply["msg"].as_str().unwrap().to_owned();
        assert!(msg.contains(words), "{kind}: {msg}");
        assert_eq!(reply["applied"], json!([]));
        msg
    };
    let new = json!({ "name": "new", "port": free_port(), "pgbackrest": { "stanza": "new" } });
    let msg = refused("instance", new);
    let named = format!("stanza `new` of instance `{number}/new`: repository 1: ");
    assert!(msg.contains(&named), "{msg}");
    refused(
        "instance_restore",
        json!({ "instance": "copy", "stanza": "app" }),
    );
    let check = site.pgsocle(["instance", "backup-check", "main"]);
    let said = check.code(1).go().stderr;
    assert!(said.contains(words), "{said}");
    // Of what is there already it is a warning.
    let reply = site.ansible("instance", false, &instance);
    let warnings = reply["warnings"].as_array().unwrap();
    let warning = warnings
        .iter()
        .find(|warning| warning.as_str().unwrap().contains(words));
    let warning = warning.unwrap().as_str().unwrap();
    let unseen = format!(
        "whether stanza `app` of instance `{number}/main` is as it should be cannot be seen: "
    );
    assert!(warning.starts_with(&unseen), "{warning}");

    one_that_stays(&site, &use_repository, &status);

    // Nobody listens; then somebody does whose certificate is of yesterday.
    drop(mute);
    use_repository(&tls, &short);
    let told = status();
    assert!(told.contains("[111] Connection refused"), "{told}");
    use_repository(&tls, &json!({}));
    certificates(&site.path("etc"), "db", "-1");
    let _server = serve(&site, port);
    let told = status();
    assert!(
        told.contains(&format!(
            "unable to verify certificate presented by 'localhost:{port}': [10] certificate has expired"
        )),
        "{told}"
    );
}
