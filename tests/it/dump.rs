//! Dumps of databases, made and brought back by real servers.

use serde_json::{Value, json};

use crate::support::pg::{Major, Site};

fn site(major: &Major) -> Site {
    let site = Site::new(major);
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "port": site.port(), "databases": [{ "name": "my shop", "comment": "kept" }, { "name": "other" }] }),
    );
    site.sql_through(
        &site.socket(),
        "my shop",
        "CREATE TABLE stock AS SELECT 7 AS pieces",
    );
    site
}

fn dumps(site: &Site) -> Vec<Value> {
    let listed = site.pgsocle(["database", "dumps", "-o", "json"]).json();
    listed.as_array().unwrap().clone()
}

#[test]
fn there_and_back() {
    for major in Major::all() {
        let site = site(&major);
        let pieces =
            |database: &str| site.sql_through(&site.socket(), database, "SELECT pieces FROM stock");
        site.pgsocle(["database", "dump", "my shop", "--dry-run"])
            .go();
        assert_eq!(dumps(&site), [] as [Value; 0]);
        let reply = site
            .pgsocle(["database", "dump", "my shop", "-o", "json"])
            .json();
        let found = dumps(&site);
        assert_eq!(found, [reply["dump"].clone()]);
        assert_eq!(found[0]["dbname"], "my shop");
        let id = found[0]["id"].as_str().unwrap();
        let names = site
            .path(format!("srv/srv/dumps/{}-main", major.number))
            .read_dir()
            .unwrap();
        assert_eq!(names.count(), 1, "nothing but the dump");

        // As long as it is there, nothing is put into it; into another one it may go.
        let run = site.pgsocle(["database", "restore", id]).code(1).go();
        assert!(
            run.stderr.contains("database `my shop` exists"),
            "{}",
            run.stderr
        );
        site.pgsocle(["database", "restore", id, "other"]).go();
        assert_eq!(pieces("other"), "7");
        // All of it, or nothing.
        let run = site
            .pgsocle(["database", "restore", id, "other"])
            .code(1)
            .go();
        assert!(run.stderr.contains("already exists"), "{}", run.stderr);
        site.pgsocle(["database", "drop", "my shop", "--non-interactive"])
            .go();
        site.pgsocle(["database", "restore", id]).go();
        assert_eq!(pieces("my shop"), "7");
        assert_eq!(
            site.ask("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'my shop'"),
            "kept"
        );
    }
}

/// What a killed run has left of a database is not taken for one that somebody made.
#[test]
fn a_restore_that_was_killed() {
    let site = site(&Major::usual());
    site.pgsocle(["database", "dump", "other"]).go();
    let id = dumps(&site)[0]["id"].as_str().unwrap().to_owned();
    let drop = ["database", "drop", "other", "--non-interactive"];
    site.pgsocle(drop).go();
    let programs = site.path("bin/programs");
    std::fs::create_dir(&programs).unwrap();
    let real = site.major().bindir();
    for entry in std::fs::read_dir(&real).unwrap().flatten() {
        std::os::unix::fs::symlink(entry.path(), programs.join(entry.file_name())).unwrap();
    }
    let program = programs.join("pg_restore");
    std::fs::remove_file(&program).unwrap();
    let script = format!(
        "#!/bin/sh\n'{}' \"$@\"; kill -9 $PPID\n",
        real.join("pg_restore").display()
    );
    site.write_owned(&program, script.as_bytes(), 0o755);
    let major = json!({ "version": site.major().number.to_string(), "bindir": programs });
    site.write_settings(&json!({ "postgresql": { "versions": [major] } }));
    site.pgsocle(["database", "restore", &id]).code(-9).go();
    site.write_settings(&json!({}));
    for options in [&["--dry-run"][..], &[]] {
        let args = [&["database", "restore", &id], options].concat();
        let said = site.pgsocle(args).code(1).go().stderr;
        assert!(
            said.contains("an earlier restore of a dump as it was interrupted"),
            "{said}"
        );
    }
    site.pgsocle(drop).go();
    site.pgsocle(["database", "restore", &id]).go();
    // Who has done it once more has ended that.
    let said = site
        .pgsocle(["database", "restore", &id])
        .code(1)
        .go()
        .stderr;
    assert!(
        said.contains("database `other` exists: the dump is not put into it"),
        "{said}"
    );
}

#[test]
fn what_is_refused_and_what_fails() {
    let site = site(&Major::usual());
    let said = |args: &[&str]| {
        site.pgsocle([&["database"], args].concat())
            .any_code()
            .go()
            .stderr
    };
    assert!(said(&["dump", "my shup"]).contains("did you mean `my shop`?"));
    assert!(said(&["dump", "other", "--output", "/there/is/no/such"]).contains("is no directory"));
    assert!(said(&["restore", "other_0123456789"]).contains("there is no dump"));

    // A command that fails leaves nothing that looks like a dump; nor does what is brought back by half.
    site.write_settings(&json!({ "postgresql": { "dump_commands": [
        ["{bindir}/pg_dump", "-Fc", "-f", "{path}/{dbname}_{date}.dump", "-d", "{conninfo}"],
        ["/bin/sh", "-c", "echo no tape in the drive >&2; exit 1"],
    ] } }));
    assert!(said(&["dump", "other"]).contains("no tape in the drive"));
    let directory = site.path(format!("srv/srv/dumps/{}-main", site.major().number));
    assert_eq!(directory.read_dir().unwrap().count(), 0);
    let broken = directory.join("gone_2026-11-27T20:33:28+00:00.dump");
    site.write_owned(&broken, b"PGDMP and nothing else", 0o600);
    let id = dumps(&site)[0]["id"].as_str().unwrap().to_owned();
    assert!(said(&["restore", &id]).contains("pg_restore"));
    assert_eq!(
        site.ask("SELECT count(*) FROM pg_database WHERE datname = 'gone'"),
        "0"
    );

    site.pgsocle(["instance", "stop", "main"]).go();
    assert!(said(&["dump", "other"]).contains("is stopped"));
}
