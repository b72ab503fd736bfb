//! A repository in an object store: S3, as far as pgBackRest speaks it (`support/s3.py`).

use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use serde_json::{Value, json};

use super::interruption::wait_for;
use super::repositories::{Running, certificates};
use super::support::bin::Run;
use super::support::canary::Canary;
use super::support::pg::{Major, Site, free_port};

const ACCESS_KEY: &str = "AKIAEXAMPLE";

/// The server, with the certificate of the site, and one bucket.
fn serve(site: &Site, port: u16, secret: &Path) -> Running {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/s3.py");
    let server = Run::program("python3")
        .args([script, &port.to_string()])
        .args(["db.crt", "db.key"].map(|name| site.path("etc").join(name)))
        .arg(site.path("etc/buckets"))
        .arg(ACCESS_KEY)
        .arg(secret)
        .start();
    let running = Running(Pid::from_raw(server.pid()));
    wait_for("the store", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    running
}

/// What is in the bucket, by the names of the files.
fn objects(bucket: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(bucket).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                objects(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn settings(site: &Site, bucket: &str, port: u16, io_timeout: &str) -> Value {
    let file = |name: &str| site.path("etc").join(name);
    json!({ "pgbackrest": {
        "repository": {
            "mode": "s3", "bucket": bucket, "endpoint": "s3.test", "region": "elsewhere", "uri_style": "path",
            "key_file": file("key"), "key_secret_file": file("secret"), "cipher": { "pass_file": file("pass") },
            "storage": { "host": "localhost", "port": port, "ca_file": file("ca.crt") },
        },
        // Many small uploads would take their time; a WAL file is to come in several parts.
        "options": {
            "repo1-bundle": true, "repo1-storage-upload-chunk-size": "5MiB", "compress-type": "none", "io-timeout": io_timeout,
        },
    }})
}

/// What there is to say of the backups where not all is well.
fn told(site: &Site) -> String {
    let run = site.pgsocle(["instance", "status", "main"]);
    let told = run.code(3).go().stdout;
    let line = told.lines().find_map(|line| line.strip_prefix("backups: "));
    line.unwrap().to_owned()
}

/// Everything an operator does with it; what the store refuses is told in its words, and no secret of it is ever printed.
#[test]
fn backups_in_s3() {
    let (secret, pass) = (Canary::new(), Canary::new());
    let site = Site::new(&Major::usual());
    let file = |name: &str| site.path("etc").join(name);
    for (name, content) in [
        ("key", ACCESS_KEY),
        ("secret", secret.password()),
        ("pass", pass.password()),
    ] {
        site.write_owned(&file(name), content.as_bytes(), 0o600);
    }
    certificates(&file(""), "localhost", "1");
    let bucket = file("buckets/backups");
    std::fs::create_dir_all(&bucket).unwrap();
    let port = free_port();
    let server = serve(&site, port, &file("secret"));
    let use_bucket = |bucket: &str, io_timeout: &str| {
        site.write_settings(&settings(&site, bucket, port, io_timeout));
        let run = site.ansible_run("site", false, &json!({})).go();
        secret.assert_not_printed(&run);
        pass.assert_not_printed(&run);
    };
    use_bucket("backups", "60");
    // As a deletion leaves it that was cut short.
    let stopped = site.path("run/pgbackrest/lock/app.stop");
    site.write_owned(&stopped, b"", 0o640);
    let instance =
        json!({ "name": "main", "port": site.port(), "pgbackrest": { "stanza": "app" } });
    let run = site.ansible_run("instance", false, &instance).go();
    secret.assert_not_printed(&run);
    site.changes_nothing("instance", &instance);
    let backup = |kind: &str| {
        let taken = json!({ "instance": "main", "type": kind });
        let reply = site.ansible("instance_backup", false, &taken);
        assert_eq!(reply["backup"]["type"], kind);
    };
    backup("full");
    let sql = |statement: &str| site.sql(site.port(), "postgres", statement);
    sql("CREATE TABLE t AS SELECT 1 AS i");
    backup("incr");
    sql("INSERT INTO t VALUES (2)");
    sql("SELECT pg_create_restore_point('here')");
    sql("INSERT INTO t VALUES (3)");
    sql("SELECT pg_switch_wal()");
    let archive = std::fs::read(bucket.join("pgbackrest/archive/app/archive.info")).unwrap();
    assert!(archive.starts_with(b"Salted__"));

    site.pgsocle(["instance", "backup-check", "main"]).go();
    let copy = free_port();
    let restored =
        json!({ "instance": "copy", "stanza": "app", "port": copy, "target_name": "here" });
    site.ansible("instance_restore", false, &restored);
    let rows = site.sql(copy, "postgres", "SELECT count(*) FROM t");
    assert_eq!(rows, "2");
    site.ansible(
        "instance",
        false,
        &json!({ "name": "copy", "state": "absent" }),
    );

    let refused =
        |words: &str| format!("repository 1: [ProtocolError] HTTP request failed with {words}");
    use_bucket("other", "60");
    assert_eq!(
        told(&site),
        refused("404 (Not Found): NoSuchBucket: The specified bucket does not exist")
    );
    let wrong = Canary::new();
    site.write_owned(&file("secret"), wrong.password().as_bytes(), 0o600);
    use_bucket("backups", "60");
    assert_eq!(
        told(&site),
        refused("403 (Forbidden): SignatureDoesNotMatch: The signature is not that of the secret")
    );
    site.write_owned(&file("secret"), secret.password().as_bytes(), 0o600);
    let authority = file("ca.crt");
    std::fs::rename(&authority, file("ca")).unwrap();
    let missing = format!(
        "`{}` is missing, which the site settings name for the object store of repository 1",
        authority.display()
    );
    let reply: Value = site.ansible_run("site", false, &json!({})).code(1).json();
    assert_eq!(reply["msg"], missing);
    std::fs::rename(file("ca"), &authority).unwrap();

    drop(server);
    // Each of its requests is tried for so long.
    use_bucket("backups", "1");
    let info = site.ansible(
        "instance_backup_info",
        false,
        &json!({ "instance": "main" }),
    );
    let said = info["problems"][0].as_str().unwrap();
    assert!(said.contains("[111] Connection refused"), "{said}");
    use_bucket("backups", "60");
    let _server = serve(&site, port, &file("secret"));
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "absent", "delete_backups": true }),
    );
    assert_eq!(objects(&bucket), [] as [PathBuf; 0]);
}
