//! `pg_hba.conf` and `pg_ident.conf` on real servers.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::instance::with_main;
use crate::support::pg::{Major, Site};

impl Site {
    fn hba_path(&self) -> PathBuf {
        self.datadir().join("pg_hba.conf")
    }

    fn hba_text(&self) -> String {
        std::fs::read_to_string(self.hba_path()).unwrap()
    }

    fn write_hba(&self, text: &str) {
        self.write_owned(&self.hba_path(), text.as_bytes(), 0o600);
    }

    /// The records of the file, each in one line without columns.
    fn hba_lines(&self) -> Vec<String> {
        let text = self.hba_text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty()).collect()
    }
}

/// What every instance of ours has.
const OWN: [&str; 4] = [
    "local all postgres peer map=pgsocle",
    "local all all scram-sha-256",
    "host all all 127.0.0.1/32 scram-sha-256",
    "host all all ::1/128 scram-sha-256",
];

fn hba(more: &Value) -> Value {
    let mut params = json!({ "instance": "main" });
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    params
}

#[test]
fn records_come_move_and_go() {
    let site = with_main(&json!({}));
    let heading = site.hba_text().lines().next().unwrap().to_owned();
    let network = json!({ "type": "hostssl", "address": "192.0.2.0", "netmask": "255.255.255.0" });
    let record = json!({ "connection": network, "database": "shop, \"all\"", "user": "+staff", "method": "scram-sha-256" });
    let line = "hostssl shop,\"all\" +staff 192.0.2.0 255.255.255.0 scram-sha-256";
    let reply = site.converges("pghba", &hba(&record));
    let number = site.major().number;
    assert_eq!(
        reply["changes"],
        json!([
            format!("add `{line}` to pg_hba.conf"),
            format!("reload instance `{number}/main`"),
        ])
    );
    assert_eq!(site.hba_lines(), [&OWN[..], &[line]].concat());
    // The server knows it, although it has SSL switched off and says of the record that it cannot match.
    let rules = "SELECT auth_method FROM pg_hba_file_rules WHERE '+staff' = ANY (user_name)";
    assert_eq!(site.ask(rules), "scram-sha-256");
    // The same in other words.
    let other = json!({ "type": "hostssl", "address": "192.0.2.128/24" });
    let same = json!({ "connection": other, "database": "\"all\",\"shop\"", "user": "+staff", "method": "scram-sha-256" });
    site.changes_nothing("pghba", &hba(&same));
    let with = |params: &Value, key: &str, value: &str| {
        let mut params = params.clone();
        params[key] = json!(value);
        hba(&params)
    };
    let reply = site.converges("pghba", &with(&same, "before", OWN[2]));
    assert_eq!(
        reply["changes"][0],
        "move `hostssl \"all\",shop +staff 192.0.2.128/24 scram-sha-256` in pg_hba.conf"
    );
    assert_eq!(site.hba_lines(), [&OWN[..2], &[line], &OWN[2..]].concat());
    site.converges("pghba", &with(&same, "position", "first"));
    assert_eq!(site.hba_lines(), [&[line], &OWN[..]].concat());
    assert!(site.hba_text().starts_with(&heading));
    site.converges("pghba", &with(&same, "after", OWN[3]));
    assert_eq!(site.hba_lines(), [&OWN[..], &[line]].concat());
    site.converges("pghba", &with(&same, "state", "absent"));
    assert_eq!(site.hba_lines(), OWN);
    assert_eq!(
        site.refusal("pghba", &with(&same, "before", "local x x peer"))[0],
        format!(
            "pg_hba.conf of instance {number}/main: `pg_hba.conf` has no record `local x x peer`"
        )
    );
}

#[test]
fn a_whole_list() {
    let site = with_main(&json!({}));
    let text = site.hba_text();
    site.write_hba(&format!(
        "{text}# of the team\nlocal a a md5 # why\n# the end"
    ));
    let records = json!([
        { "user": "postgres", "method": "peer", "options": { "map": "pgsocle" } },
        { "connection": { "address": "10.0.0.0/8" }, "method": "ldap", "options": { "ldapserver": "h", "ldapbasedn": "dc=x" },
          "ldapbindpasswd": "canary # 1" },
        { "database": "a", "user": "a", "method": "md5" },
        { "user": "postgres", "method": "peer", "options": { "map": "pgsocle" } },
    ]);
    let list = |records: &Value, purge: bool| json!({ "instance": "main", "records": records, "purge": purge });
    let reply = site.converges("pghba", &list(&records, true));
    assert!(!reply.to_string().contains("canary"), "{reply:#}");
    let diff = reply["diff"][0]["after"].as_str().unwrap();
    assert!(diff.contains("ldapbindpasswd=********\n"), "{diff}");
    let expected = [
        OWN[0],
        "host all all 10.0.0.0/8 ldap ldapbasedn=dc=x ldapserver=h ldapbindpasswd=\"canary # 1\"",
        "local a a md5 # why",
    ];
    assert_eq!(site.hba_lines(), expected);
    assert!(site.hba_text().ends_with("# of the team\nlocal   a               a                                       md5 # why\n# the end") || site.hba_text().contains("# of the team\nlocal a a md5 # why\n# the end"));
    // Only the password is another one.
    let mut other = records.clone();
    other[1]["ldapbindpasswd"] = json!("canary");
    let reply = site.converges("pghba", &list(&other, true));
    assert!(!reply.to_string().contains("canary"), "{reply:#}");
    assert_ne!(reply["diff"][0]["before"], reply["diff"][0]["after"]);
    // Not the whole list: what is there stays, what is new follows the one before it.
    let some = json!([
        { "database": "a", "user": "a", "method": "md5", "state": "absent" },
        { "user": "postgres", "method": "peer", "options": { "map": "pgsocle" } },
        { "database": "b", "method": "md5" },
        { "database": "c", "method": "md5" },
    ]);
    site.converges("pghba", &list(&some, false));
    assert_eq!(
        site.hba_lines()[..3],
        [OWN[0], "local b all md5", "local c all md5"]
    );
    for (params, what) in [
        (json!({}), "pghba: `method` is required"),
        (
            json!({ "records": [], "method": "md5" }),
            "pghba: `method` does not go with `records`",
        ),
        (
            json!({ "records": [], "user": "ann" }),
            "pghba: `user` does not go with `records`",
        ),
        (
            json!({ "method": "md5", "purge": true }),
            "pghba: `purge` is for a list of `records`",
        ),
        (
            json!({ "records": [{ "method": "md5", "state": "absent" }], "purge": true }),
            "`state: absent` makes no sense in a list with `purge`",
        ),
        (
            json!({ "method": "md5", "position": "first", "after": "local all all md5" }),
            "`position`, `before` and `after` exclude each other",
        ),
        (
            json!({ "method": "md5", "before": "local all" }),
            "not a record of `pg_hba.conf`: no user",
        ),
        (
            json!({ "method": "md5", "options": { "map": "x" } }),
            "option `map` is for `ident`, `peer`, `gss`, `cert`, `oauth` only (authentication method `md5`)",
        ),
        (
            json!({ "method": "ldap", "options": { "ldapbindpasswd": "canary" } }),
            "`ldapbindpasswd` does not belong in `options`, which may be shown",
        ),
        (
            json!({ "method": "oauth", "options": { "issuer": "x", "scope": "y" } }),
            "PostgreSQL 15 has no authentication method `oauth`",
        ),
    ] {
        if site.major().number >= 18 && what.ends_with("`oauth`") {
            continue;
        }
        assert_eq!(site.refusal("pghba", &hba(&params))[0], what, "{params}");
    }
}

/// A record that would keep the superuser role out of the local socket.
#[test]
fn nobody_locks_us_out() {
    let site = with_main(&json!({}));
    let number = site.major().number;
    let refused = |why: &str| {
        format!(
            "pg_hba.conf of instance {number}/main: with this pg_hba.conf the superuser role `postgres` could not connect through the \
             local socket any more ({why}), and nothing could manage the instance"
        )
    };
    let own = json!({ "user": "postgres", "method": "peer", "options": { "map": "pgsocle" }, "state": "absent" });
    assert_eq!(
        site.refusal("pghba", &hba(&own))[0],
        refused("`local all all scram-sha-256` asks for a password, and the site has none for it")
    );
    site.write_hba(&format!("{}\n{}\n{}\n", OWN[0], OWN[2], OWN[3]));
    assert_eq!(
        site.refusal("pghba", &hba(&own))[0],
        refused("no record is for it")
    );
    let reject = json!({ "method": "reject", "position": "first" });
    assert_eq!(
        site.refusal("pghba", &hba(&reject))[0],
        refused("`local all all reject` rejects it")
    );
    assert_eq!(
        site.refusal(
            "pghba",
            &json!({ "instance": "main", "records": [], "purge": true })
        )[0],
        refused("no record is for it")
    );
    let empty = json!({ "instance": "main", "records": [], "purge": true });
    assert_eq!(
        site.refusal("pgident", &empty)[0],
        refused("`local all postgres peer map=pgsocle` decides, and no mapping of `pgsocle` lets the system user `USER` be it")
            .replace("pg_hba.conf", "pg_ident.conf")
            .replace("USER", site.sysuser())
    );
    // Behind the one that lets it in, a rejection is welcome.
    site.converges("pghba", &hba(&json!({ "method": "reject" })));
}

#[test]
fn a_stopped_server_stays_so() {
    let site = with_main(&json!({}));
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "stopped" }),
    );
    // Another group of the user's may read the file.
    let groups = site.program("id").args(["-G"]).go().stdout;
    let group = groups.split_whitespace().last().unwrap().parse().unwrap();
    std::os::unix::fs::chown(site.hba_path(), None, Some(group)).unwrap();
    let access = |mode: u32| {
        let meta = site.hba_path().metadata().unwrap();
        assert_eq!((meta.gid(), meta.mode() & 0o777), (group, mode));
    };
    let readable = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(site.hba_path(), readable).unwrap();
    let reply = site.converges(
        "pghba",
        &hba(&json!({ "database": "shop", "method": "md5" })),
    );
    access(0o640);
    assert_eq!(
        reply["changes"],
        json!(["add `local shop all md5` to pg_hba.conf"])
    );
    assert_eq!(reply["plan"][0]["impact"], "none");
    site.converges(
        "pgident",
        &hba(&json!({ "map": "m", "system_user": "a b", "role": "ann" })),
    );
    let info = site.ansible(
        "pghba_info",
        false,
        &hba(&json!({ "user": "ann", "database": "shop" })),
    );
    assert_eq!(info["loaded"], Value::Null);
    assert_eq!(info["explanation"]["method"], "scram-sha-256");
    // Nobody else's mistake is made worse, or hidden.
    let text = site.hba_text();
    site.write_hba(&format!("{text}nonsense\n"));
    let number = text.lines().count() + 1;
    let path = site.redact(&site.hba_path().display().to_string());
    let what = format!("line {number} of {path} is wrong: unknown connection type `nonsense`");
    let reply = site.converges("pghba", &hba(&json!({ "database": "x", "method": "md5" })));
    assert_eq!(
        site.redact(reply["warnings"][0].as_str().unwrap()),
        format!("{what} (with it the server does not take the file)")
    );
    assert!(!site.is_running());
}

#[test]
fn the_server_has_the_last_word() {
    let site = with_main(&json!({}));
    let number = site.major().number;
    let (text, loaded) = (site.hba_text(), site.ask("SELECT pg_conf_load_time()"));
    // Of values of options only the server knows whether it takes them.
    let ldap = json!({ "connection": { "address": "10.0.0.0/8" }, "method": "ldap",
        "options": { "ldapprefix": "x", "ldapport": "none" } });
    let output = site.ansible_run("pghba", false, &hba(&ldap)).code(2).go();
    let reply: Value = serde_json::from_str(&output.stdout).unwrap();
    let line = text.lines().count() + 1;
    assert_eq!(
        site.redact(reply["msg"].as_str().unwrap()),
        format!(
            "files of instance {number}/main: the server of instance `{number}/main` refuses the new configuration: \
             `SITE/srv/srv/pgsql/{number}/main/data/pg_hba.conf` line {line}: invalid LDAP port number: \"none\""
        )
    );
    assert_eq!(reply["applied"], json!([]));
    assert_eq!(site.hba_text(), text);
    assert_eq!(site.ask("SELECT pg_conf_load_time()"), loaded);
    // A file that somebody broke is not taken over by adding to it.
    site.write_hba(&format!("{text}nonsense\n"));
    let [msg, hint] = site.refusal("pghba", &hba(&json!({ "method": "md5", "database": "x" })));
    assert_eq!(
        msg,
        format!(
            "files of instance {number}/main: the server of instance `{number}/main` takes over no change as its files are: \
             `SITE/srv/srv/pgsql/{number}/main/data/pg_hba.conf` line {line}: invalid connection type \"nonsense\""
        )
    );
    assert!(
        hint.starts_with("this was so before this run: correct it first"),
        "{hint}"
    );
    let info = site.ansible("pghba_info", false, &hba(&json!({})));
    assert_eq!(info["loaded"], false);
    let records = info["records"].as_array().unwrap();
    assert_eq!(
        records.last().unwrap()["error"],
        "unknown connection type `nonsense`"
    );
    assert_eq!(records.last().unwrap()["line"], line);
    // What a killed run wrote is read by the next one.
    site.write_hba(&format!("{text}local x all md5\n"));
    let reply = site.converges("pghba", &hba(&json!({ "method": "md5", "database": "x" })));
    assert_eq!(
        reply["changes"],
        json!([format!("reload instance `{number}/main`")])
    );
}

#[test]
fn user_name_maps() {
    let site = with_main(&json!({}));
    let path = site.datadir().join("pg_ident.conf");
    let lines = || {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        let lines = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.collect::<Vec<_>>()
    };
    let own = lines();
    let mapping = json!({ "map": "m", "system_user": "/^(.*)@x$", "role": "\\1" });
    let reply = site.converges("pgident", &hba(&mapping));
    assert_eq!(
        reply["changes"][0],
        "add `m /^(.*)@x$ \\1` to pg_ident.conf"
    );
    assert_eq!(
        lines(),
        [own.clone(), vec!["m /^(.*)@x$ \\1".to_owned()]].concat()
    );
    let mut first = mapping.clone();
    first["position"] = json!("first");
    site.converges("pgident", &hba(&first));
    assert_eq!(lines()[0], "m /^(.*)@x$ \\1");
    let records = json!([
        { "map": "a", "system_user": "x, y", "role": "\"all\"" },
        { "map": "m", "system_user": "/^(.*)@x$", "role": "\\1" },
        { "map": "pgsocle", "system_user": site.sysuser(), "role": "postgres" },
    ]);
    let list = json!({ "instance": "main", "records": records, "purge": true });
    site.converges("pgident", &list);
    let expected = ["m /^(.*)@x$ \\1".to_owned(), own[0].clone()];
    assert_eq!(own.len(), 1);
    assert_eq!(lines()[0], "a \"x, y\" \"all\"");
    assert_eq!(lines()[1..], expected);
    site.converges(
        "pgident",
        &hba(&json!({ "map": "a", "system_user": "x, y", "role": "\"all\"", "state": "absent" })),
    );
    assert_eq!(lines(), expected);
    // An expression that only the server can judge.
    let wrong = json!({ "map": "m", "system_user": "/(", "role": "x" });
    for check in [true, false] {
        let output = site.ansible_run("pgident", check, &hba(&wrong));
        let reply: Value = serde_json::from_str(&output.code(2).go().stdout).unwrap();
        let message = reply["msg"].as_str().unwrap();
        assert!(
            message.contains("does not take the regular expression `(`: "),
            "{message}"
        );
    }
    assert_eq!(lines(), expected);
}

#[test]
fn on_the_command_line() {
    let site = with_main(&json!({}));
    let number = site.major().number;
    let add = [
        "pghba",
        "-i",
        "main",
        "add",
        "--connection-address",
        "10.0.0.0/8",
        "--user",
        "ann",
        "--method",
        "ident",
    ];
    let dry = site
        .pgsocle(add)
        .args(["--option", "map=m", "--dry-run", "--diff"])
        .go();
    assert!(
        dry.stdout.contains(
            "\n+host    all             ann             10.0.0.0/8              ident map=m\n"
        ),
        "{dry:?}"
    );
    assert_eq!(site.hba_lines(), OWN);
    let done = site.pgsocle(add).args(["--option", "map=m"]).go();
    assert_eq!(
        done.stdout,
        format!(
            "add `host all ann 10.0.0.0/8 ident map=m` to pg_hba.conf\nreload instance `{number}/main`\n"
        )
    );
    let again = site.pgsocle(add).args(["--option", "map=m"]).go();
    assert_eq!(again.stdout, "nothing to do\n");
    let shown = site.pgsocle(["pghba", "show"]).go();
    assert!(shown.stdout.contains("10.0.0.0/8"), "{shown:?}");
    let explained = site
        .pgsocle([
            "pghba",
            "explain",
            "--user",
            "ann",
            "--database",
            "shop",
            "--address",
            "10.1.1.1",
        ])
        .go();
    assert!(
        explained
            .stdout
            .ends_with(": host all ann 10.0.0.0/8 ident map=m\n    decides\nident\n"),
        "{explained:?}"
    );
    // A record for local sockets has no address.
    let local = ["pghba", "add", "--database", "x", "--method", "reject"];
    let dry = site.pgsocle(local).arg("--dry-run").go();
    assert!(
        dry.stdout
            .starts_with("add `local x all reject` to pg_hba.conf"),
        "{dry:?}"
    );
    let remove = [
        "pghba",
        "remove",
        "--connection-address",
        "10.0.0.0",
        "--connection-netmask",
        "255.0.0.0",
        "--user",
        "ann",
        "--method",
        "ident",
        "--option",
        "map=m",
    ];
    site.pgsocle(remove).go();
    assert_eq!(site.hba_lines(), OWN);
}

#[test]
fn in_an_editor() {
    let site = with_main(&json!({}));
    // One of few words.
    let edit = |line: &str| {
        let editor = format!("sh -c 'echo \"{line}\" >> \"$1\"' sh");
        site.pgsocle(["pghba", "edit"]).env("EDITOR", editor)
    };
    edit("local shop all md5").go();
    assert_eq!(site.hba_lines().last().unwrap(), "local shop all md5");
    let refused = edit("nonsense").any_code().go();
    assert_ne!(refused.code, 0);
    assert!(
        refused.stderr.contains("invalid connection type"),
        "{refused:?}"
    );
    let kept = refused
        .stderr
        .split("your text is kept in `")
        .nth(1)
        .and_then(|rest| rest.split('`').next());
    let kept = PathBuf::from(kept.expect("the place of the edited file"));
    std::fs::remove_dir_all(kept.parent().unwrap()).unwrap();
    assert_eq!(site.hba_lines().last().unwrap(), "local shop all md5");
    // Another program was faster: its work is not lost, and neither is ours.
    let text = site.hba_text();
    let other = format!(
        "sh -c 'echo local a all md5 >> \"$1\"; echo local b all md5 >> {}' sh",
        site.hba_path().display()
    );
    let late = site
        .pgsocle(["pghba", "edit"])
        .env("EDITOR", other)
        .code(1)
        .go();
    assert!(
        late.stderr
            .contains("pg_hba.conf` was changed by somebody else in the meantime"),
        "{late:?}"
    );
    assert_eq!(site.hba_text(), format!("{text}local b all md5\n"));
    let kept = late.stderr.split("your text is kept in `").nth(1).unwrap();
    let kept = PathBuf::from(kept.split('`').next().unwrap());
    assert!(
        std::fs::read_to_string(&kept)
            .unwrap()
            .ends_with("local a all md5\n")
    );
    std::fs::remove_dir_all(kept.parent().unwrap()).unwrap();
    site.write_hba(&text);
    let failed = site
        .pgsocle(["pghba", "edit"])
        .env("EDITOR", "false")
        .code(1)
        .go();
    assert!(
        failed
            .stderr
            .starts_with("error: the editor `false` ended with"),
        "{failed:?}"
    );
    site.pgsocle([
        "pgident",
        "add",
        "--map",
        "m",
        "--system-user",
        "x",
        "--role",
        "ann",
    ])
    .go();
    let shown = site.pgsocle(["pgident", "show", "-o", "json"]).go();
    assert!(shown.stdout.contains("\"system_user\": \"x\""), "{shown:?}");
}

/// What a client sees of the record that decided.
fn attempt(site: &Site, user: &str, database: &str, origin: &str) -> String {
    let socket = site.socket();
    let (host, ssl) = match origin {
        "local" | "replication" => (socket.directory.as_str(), "disable"),
        "tcp" => ("127.0.0.1", "disable"),
        _ => ("127.0.0.1", "require"),
    };
    let quote = |text: &str| format!("'{text}'");
    let replication = origin == "replication";
    let target = format!(
        "host={} port={} user={} dbname={} sslmode={ssl} gssencmode=disable replication={replication}",
        quote(host),
        socket.port,
        quote(user),
        quote(database)
    );
    let query = if replication {
        "IDENTIFY_SYSTEM"
    } else {
        "SELECT 1"
    };
    let output = site
        .postgresql("psql")
        .env("PGPASSFILE", "/dev/null")
        .args(["-X", "-w", "-A", "-t", "-q", "-d", &target, "-c", query])
        .any_code()
        .go();
    let said = |words: &str| output.stderr.contains(words);
    let method =
        if output.code == 0 || said("does not exist") || said("walsender") || said("WAL sender") {
            "trust"
        } else if said("pg_hba.conf rejects") {
            "reject"
        } else if said("no pg_hba.conf entry") {
            "implicit reject"
        } else if said("no password supplied") {
            "scram-sha-256"
        } else {
            panic!("{target}: {output:?}")
        };
    method.to_owned()
}

/// An instance whose `pg_hba.conf` has a bit of everything.
fn with_many_records(major: &Major) -> Site {
    let site = Site::new(major);
    let roles = json!([
        { "name": "crew" }, { "name": "staff", "memberships": ["crew"] },
        { "name": "ann", "login": true, "replication": true, "memberships": ["staff"] },
        { "name": "bob", "login": true }, { "name": "Odd, One", "login": true }, { "name": "/^b", "login": true },
        { "name": "boss", "login": true, "superuser": true },
    ]);
    let databases =
        json!([{ "name": "ann" }, { "name": "staff" }, { "name": "shop" }, { "name": "all" }]);
    let params = json!({ "name": "main", "port": site.port(), "roles": roles, "databases": databases,
        "settings": { "listen_addresses": "127.0.0.1" } });
    site.ansible("instance", false, &params);
    let data = site.datadir();
    site.certify();
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "settings": { "ssl": "on" } }),
    );
    let new = major.number >= 16;
    site.write_owned(
        &data.join("more.conf"),
        b"hostnossl /^s.*p$ /^bo samenet trust\n",
        0o600,
    );
    site.write_owned(
        &data.join("users"),
        b"# two\n\"Odd, One\"\n+crew, nobody\n",
        0o600,
    );
    let include = if new { "include more.conf\n" } else { "" };
    site.write_hba(&format!(
        "local all postgres peer map=pgsocle\n\
         local sameuser all trust\n\
         local samerole ann,boss reject\n\
         local \"all\" bob trust\n\
         local replication @users trust\n\
         hostssl shop @users 127.0.0.0/8 trust\n\
         hostnossl shop \"Odd, One\" samehost reject\n\
         {include}\
         host all /^b 10.0.0.0/8 reject\n\
         host staff /^b 127.0.0.1 255.255.255.255 reject\n\
         host sameuser,samegroup all samenet trust\n\
         hostgssenc all all all reject\n\
         hostnogssenc all bob 127.0.0.0 255.255.0.0 scram-sha-256\n\
         host \"all\" boss all trust\n\
         host shop boss localhost trust\n\
         host all +crew 127.0.0.1/32 scram-sha-256\n\
         host replication all all trust\n\
         local shop +boss,+nobody trust\n"
    ));
    site.ask("SELECT pg_reload_conf()");
    site.pgsocle(["instance", "reload", "main"]).go();
    site
}

/// Every major's own judgement, connection by connection.
#[test]
fn explanations_are_what_servers_do() {
    for major in Major::all() {
        let site = with_many_records(&major);
        let mut seen = std::collections::BTreeMap::new();
        for user in ["ann", "bob", "Odd, One", "/^b", "boss", "ghost"] {
            for database in ["ann", "staff", "shop", "all", "bob"] {
                for origin in ["local", "tcp", "ssl", "replication"] {
                    if origin == "replication" && database != "all" {
                        continue;
                    }
                    let address = if ["tcp", "ssl"].contains(&origin) {
                        "127.0.0.1"
                    } else {
                        "local"
                    };
                    let question = json!({ "instance": "main", "user": user, "database": database, "address": address,
                        "ssl": origin == "ssl", "replication": origin == "replication" });
                    let info = site.ansible("pghba_info", false, &question);
                    assert_eq!(info["loaded"], true, "{info:#}");
                    assert_eq!(info["warnings"], json!([]), "{info:#}");
                    let explanation = &info["explanation"];
                    // A record that may be for it as well as the one that is.
                    let mut possible = vec![explanation["method"].as_str().unwrap()];
                    for tried in explanation["tried"].as_array().unwrap() {
                        if tried["matches"].is_null() {
                            possible.push(tried["method"].as_str().unwrap());
                        }
                    }
                    assert_eq!(explanation["certain"], possible.len() == 1);
                    let done = attempt(&site, user, database, origin);
                    assert!(
                        possible.contains(&done.as_str()),
                        "{}: {user} {database} {origin}: the server does `{done}`: {explanation:#}",
                        major.number
                    );
                    *seen.entry(done).or_insert(0) += 1;
                }
            }
        }
        assert_eq!(seen.len(), 4, "every outcome was there: {seen:?}");
    }
}
