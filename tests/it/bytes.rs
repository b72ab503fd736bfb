//! Files and names of any bytes, on real servers: PostgreSQL takes bytes as they are, and so do we. Whatever somebody has
//! written, a run ends as it should: done, or refused with a word about it, the file as it was.

use std::path::Path;

use serde_json::{Value, json};

use crate::instance::with_main;
use crate::support::pg::{Major, Site};

/// What nobody should write, by a name.
fn nasty(file: &str) -> Vec<(&'static str, Vec<u8>)> {
    let long = "x".repeat(1 << 20);
    let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    vec![
        (
            "a NUL",
            b"local a\0b all md5\nwork_mem = '4\0MB'\n".to_vec(),
        ),
        (
            "broken UTF-8",
            b"# \xff\xfe\nwork_mem = '\xc3\x28'\nlocal \xc3\x28 all md5\n".to_vec(),
        ),
        (
            "Latin-1",
            b"m\xe9 \xe9t\xe9 ann\nlocal \xe9t\xe9 all md5\n".to_vec(),
        ),
        ("a long line", format!("{long}\n").into_bytes()),
        (
            "a long value",
            format!("local {long} all md5\nsearch_path = '{long}'\n").into_bytes(),
        ),
        (
            "quotes without an end",
            b"work_mem = '4MB\nlocal \"all all md5\n".to_vec(),
        ),
        ("a quote at the end", b"work_mem = '".to_vec()),
        ("a backslash at the end", b"local all all md5 \\".to_vec()),
        ("a loop", format!("include '{file}'\n").into_bytes()),
        (
            "a loop in a name",
            format!("local @{file} @{file} md5\n").into_bytes(),
        ),
        ("a directory of itself", b"include_dir '.'\n".to_vec()),
        ("all bytes", all),
        ("ends of line", b"\r\r\n\x0b\x0c\x85\n\r".to_vec()),
    ]
}

/// A run that is done or refused; one that is refused has left the file alone.
fn ends(site: &Site, path: &Path, arguments: &[&str], what: &str) {
    let before = std::fs::read(path).unwrap();
    let output = site.pgsocle(arguments).any_code().go();
    let told = || format!("{what}: {arguments:?}: {} {}", output.code, output.stderr);
    assert!([0, 1, 2].contains(&output.code), "{}", told());
    let after = std::fs::read(path).unwrap();
    if output.code == 0 {
        for line in before.split(|byte| *byte == b'\n') {
            // What continues a line is no part of it: at the end of a file it would take what is added.
            let line = line.strip_suffix(b"\\").unwrap_or(line).trim_ascii();
            let kept = after.windows(line.len().max(1)).any(|part| part == line);
            assert!(kept || line.is_empty(), "{}: a line is lost", told());
        }
    } else {
        assert!(output.stderr.contains("error: "), "{}", told());
        assert!(before == after, "{}: the file is another one", told());
    }
}

const CONF: &[&[&str]] = &[
    &["pgconf", "show"],
    &["pgconf", "explain", "work_mem"],
    &["pgconf", "set", "work_mem=9MB"],
    &["instance", "get", "main"],
    &["instance", "apply", "--dry-run", "-f", "manifest.yaml"],
    &["instance", "list"],
];

const HBA: &[&[&str]] = &[
    &["pghba", "show"],
    &["pghba", "explain", "--user", "ann", "--database", "shop"],
    &["pghba", "add", "--user", "ann", "--method", "reject"],
    &["role", "create", "ann", "--dry-run"],
    &["instance", "get", "main"],
];

const IDENT: &[&[&str]] = &[
    &["pgident", "show"],
    &[
        "pgident",
        "add",
        "--map",
        "m",
        "--system-user",
        "x",
        "--role",
        "ann",
    ],
    &[
        "pghba",
        "add",
        "--user",
        "ann",
        "--method",
        "reject",
        "--dry-run",
    ],
];

#[test]
fn no_bytes_of_a_file_are_too_much() {
    let site = with_main(&json!({}));
    let manifest = json!({ "name": "main", "settings": { "work_mem": "8MB" } });
    site.write_owned(
        &site.path("home/manifest.yaml"),
        manifest.to_string().as_bytes(),
        0o644,
    );
    for state in ["started", "stopped"] {
        for (file, commands) in [
            ("postgresql.conf", CONF),
            ("pg_hba.conf", HBA),
            ("pg_ident.conf", IDENT),
        ] {
            let path = site.datadir().join(file);
            let text = std::fs::read(&path).unwrap();
            for (name, bytes) in nasty(file) {
                for arguments in commands {
                    site.write_owned(&path, &[&*text, &*bytes].concat(), 0o600);
                    ends(&site, &path, arguments, &format!("{state}, {file}, {name}"));
                }
            }
            site.write_owned(&path, &text, 0o600);
        }
        site.ansible(
            "instance",
            false,
            &json!({ "name": "main", "state": "stopped" }),
        );
    }
}

#[test]
fn records_in_latin_1() {
    for major in Major::all() {
        let site = Site::new(&major);
        site.ansible(
            "instance",
            false,
            &json!({ "name": "main", "port": site.port() }),
        );
        let path = site.datadir().join("pg_hba.conf");
        let text = std::fs::read(&path).unwrap();
        let with = |line: &[u8]| [&*text, line].concat();
        // A database of that name there may be.
        site.write_owned(&path, &with(b"local \xe9t\xe9 all md5\n"), 0o600);
        let record =
            |database: &str| json!({ "instance": "main", "database": database, "method": "md5" });
        site.converges("pghba", &record("shop"));
        let found = std::fs::read(&path).unwrap();
        assert!(
            found.starts_with(&with(b"local \xe9t\xe9 all md5\n")),
            "{major:?}"
        );
        assert_eq!(
            site.ask("SELECT count(*) FROM pg_hba_file_rules WHERE error IS NULL AND 'shop' = ANY (database)"),
            "1"
        );
        // What the server says of it holds the bytes.
        site.write_owned(&path, &with(b"loc\xe9l all all md5\n"), 0o600);
        let line = text.split(|byte| *byte == b'\n').count();
        for (kind, params) in [
            ("pghba", record("app")),
            (
                "role",
                json!({ "instance": "main", "name": "ann", "hba_records": [{ "method": "md5" }] }),
            ),
        ] {
            let [msg, _] = site.refusal(kind, &params);
            assert!(
                msg.ends_with(&format!(
                    "pg_hba.conf` line {line}: invalid connection type \"loc\u{fffd}l\""
                )),
                "{major:?} {kind}: {msg}"
            );
        }
        let info = site.ansible("pghba_info", false, &json!({ "instance": "main" }));
        assert_eq!(info["loaded"], false, "{info}");
    }
}

#[test]
fn names_in_a_database_without_an_encoding() {
    let site = with_main(&json!({ "encoding": "SQL_ASCII", "locale": "C" }));
    let socket = site.socket();
    let run = site
        .postgresql("psql")
        .args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-d",
            "postgres",
        ])
        .args(["-h", &socket.directory, "-p", &socket.port, "-f", "-"]);
    run.env("PGCLIENTENCODING", "SQL_ASCII")
        .stdin(&b"CREATE ROLE \"\xe9t\xe9\"; COMMENT ON ROLE \"\xe9t\xe9\" IS '\xff'; CREATE DATABASE \"\xe9\""[..])
        .go();
    let names = |kind: &str| -> Vec<String> {
        let listed: Value = site.pgsocle([kind, "list", "-o", "json"]).json();
        let all = listed.as_array().unwrap().iter();
        all.map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(names("role").contains(&"\u{fffd}t\u{fffd}".to_owned()));
    assert!(names("database").contains(&"\u{fffd}".to_owned()));
    let params = json!({
        "name": "main", "roles": [{ "name": "Zoë", "comment": "she" }], "databases": [{ "name": "shop", "owner": "Zoë" }],
    });
    for changed in [true, false] {
        let reply = site.ansible("instance", false, &params);
        assert_eq!(reply["changed"], changed, "{reply}");
    }
}
