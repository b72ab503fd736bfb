//! Repositories of pgBackRest as the site settings say them: encrypted ones, several of them, and those behind TLS.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::support::canary::Canary;
use super::support::pg::{Major, Site};

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

/// An authority, and a certificate of it that is good for so many days.
fn certificates(dir: &Path, days: &str) {
    let script = format!(
        "cd '{}' && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=authority -keyout ca.key -out ca.crt -days 2 \
         && openssl req -newkey rsa:2048 -nodes -subj /CN=db -keyout db.key -out db.csr \
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
    certificates(&site.path("etc"), "-1");
    site.give(&file("db.key"));
    refused(format!(
        "the certificate `{}` of the TLS server of pgBackRest is of no use: certificate has expired",
        file("db.crt").display()
    ));
    certificates(&site.path("etc"), "1");
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
