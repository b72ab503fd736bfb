//! What is tried on a tool before it is trusted: odd names and texts, the superuser role, PostgreSQL's own roles, entries with
//! which the server would not start again. Refused alike in check mode and in a run, or done exactly.

use serde_json::{Value, json};

use crate::instance::with_main;
use crate::support::pg::{Major, Site};

fn role(name: &str, more: &Value) -> Value {
    let mut params = json!({ "instance": "main", "name": name });
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    params
}

#[test]
fn names_that_mean_something_elsewhere() {
    let site = with_main(&json!({}));
    let long = "x".repeat(63);
    let names = [
        "a b",
        "a\"b",
        "it's",
        "été",
        "back\\slash",
        "user",
        "all",
        "ALL",
        "replication",
        "sameuser",
        "+x",
        "@x",
        "a,b",
        "a#b",
        "a:b",
        "$1",
        "%s",
        &long,
    ];
    let all = |state: &str| {
        let roles = names.map(|name| {
            json!({
                "name": name, "state": state, "login": true, "password": "p:\\ w", "pgpass": true, "comment": name,
                "settings": { "app.name": name },
                "hba_records": [{ "method": "scram-sha-256", "connection": { "address": "192.0.2.1" } }],
            })
        });
        json!({ "name": "main", "roles": roles })
    };
    site.converges("instance", &all("present"));
    let rules = "SELECT json_agg(user_name[1] ORDER BY line_number) FROM pg_hba_file_rules WHERE address = '192.0.2.1' AND error IS NULL";
    let rules: Value = serde_json::from_str(&site.ask(rules)).unwrap();
    assert_eq!(rules, json!(names));
    site.converges("instance", &all("absent"));
    let left = std::fs::read_to_string(site.datadir().join("pg_hba.conf")).unwrap();
    assert!(!left.contains("192.0.2.1"), "{left}");
    assert_eq!(
        site.ask("SELECT count(*) FROM pg_roles WHERE rolname !~ '^pg_'"),
        "1"
    );
}

#[test]
fn names_and_texts_that_cannot_be_kept() {
    let site = with_main(&json!({}));
    let hba = json!([{ "method": "trust", "database": "postgres" }]);
    let long = "é".repeat(32);
    for (name, more, msg) in [
        (
            long.as_str(),
            json!({}),
            format!("role `{long}`: the name has 64 bytes, more than the 63 that PostgreSQL keeps"),
        ),
        (
            "public",
            json!({}),
            "role `public`: PostgreSQL reserves this name".into(),
        ),
        (
            "none",
            json!({}),
            "role `none`: PostgreSQL reserves this name".into(),
        ),
        (
            "a",
            json!({ "password": "a\0b" }),
            "role `a`: the password holds a NUL character".into(),
        ),
        (
            "a",
            json!({ "comment": "a\0b" }),
            "role `a`: `comment` holds a NUL character".into(),
        ),
        (
            "a",
            json!({ "settings": { "app.x": "\0" } }),
            "role `a`: the value of parameter `app.x` holds a NUL character".into(),
        ),
        (
            "a",
            json!({ "password": "a\nb", "pgpass": true }),
            "role `a`: a password with a line break cannot be written to the password file".into(),
        ),
        (
            "a\nb",
            json!({ "password": "a", "pgpass": true }),
            "role `a\nb`: a name with a line break cannot be written to the password file".into(),
        ),
        // From 16 on the server would take it for a regular expression.
        (
            "/.*",
            json!({ "hba_records": hba }),
            "role `/.*`: pg_hba.conf cannot name a role that begins with a slash".into(),
        ),
    ] {
        assert_eq!(site.refusal("role", &role(name, &more))[0], msg);
    }
    // Without a file to be written to they are names and passwords like others.
    site.converges("role", &role("a\nb", &json!({ "password": "a\nb" })));
    site.converges("role", &role("/.*", &json!({})));
}

#[test]
fn passwords_as_people_have_them() {
    let site = with_main(&json!({}));
    // Compatibility forms, a space that is none, an invisible hyphen, combining accents, what SASLprep forbids.
    for (index, password) in [
        "a",
        "\u{2168}",
        "\u{a0}x",
        "x\u{ad}",
        "e\u{301}te",
        "\u{627}1",
        "\t",
        "q'uo\\te",
        "md5",
        &"x".repeat(5_000),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("p{index}");
        site.converges(
            "role",
            &role(&name, &json!({ "login": true, "password": password })),
        );
        let login = site
            .postgresql("psql")
            .args([
                "-XAtq",
                "-h",
                "127.0.0.1",
                "-p",
                &site.port().to_string(),
                "-U",
                &name,
                "-d",
                "postgres",
                "-c",
                "SELECT 1",
            ])
            .env("PGPASSWORD", password);
        // psql itself cuts passwords from a file, none from the environment.
        assert_eq!(login.go().stdout.trim(), "1", "{password:?}");
    }
}

#[test]
fn the_superuser_role_and_postgresqls_own() {
    let site = with_main(&json!({}));
    let number = site.major().number;
    for option in ["superuser", "login"] {
        assert_eq!(
            site.refusal("role", &role("postgres", &json!({ option: false }))),
            [
                format!(
                    "roles of {number}/main: role `postgres` is the superuser role of the instance: `{option}` cannot be false"
                ),
                "pgsocle itself would be locked out".into(),
            ]
        );
    }
    for more in [
        json!({ "login": true }),
        json!({ "settings": { "work_mem": "8MB" } }),
        json!({ "password": "x" }),
    ] {
        assert_eq!(
            site.refusal("role", &role("pg_monitor", &more))[0],
            format!(
                "roles of {number}/main: role `pg_monitor` is one of PostgreSQL's own: its attributes and settings cannot be changed"
            )
        );
    }
    assert_eq!(
        site.refusal("role", &role("pg_monitor", &json!({ "state": "absent" })))[0],
        format!(
            "roles of {number}/main: role `pg_monitor` is one of PostgreSQL's own: it is not dropped"
        )
    );
    assert_eq!(
        site.refusal("role", &role("pg_mine", &json!({})))[0],
        format!(
            "roles of {number}/main: role `pg_mine` is none of the predefined roles, and no other may begin with `pg_`"
        )
    );
    let staff = json!({ "name": "main", "roles": [{ "name": "staff" }, { "name": "pg_monitor", "memberships": ["staff"] }] });
    site.converges("instance", &staff);
}

#[test]
fn memberships_in_a_circle() {
    let site =
        with_main(&json!({ "roles": [{ "name": "a", "memberships": ["b"] }, { "name": "b" }] }));
    let number = site.major().number;
    for (roles, member, group) in [
        (json!([{ "name": "a", "memberships": ["a"] }]), "a", "a"),
        (json!([{ "name": "b", "memberships": ["a"] }]), "b", "a"),
        (
            json!([{ "name": "c", "memberships": ["d"] }, { "name": "d", "memberships": ["c"] }]),
            "c",
            "d",
        ),
    ] {
        assert_eq!(
            site.refusal("instance", &json!({ "name": "main", "roles": roles }))[0],
            format!(
                "roles of {number}/main: role `{member}` cannot be a member of role `{group}`, which is `{member}` itself or a member of it"
            )
        );
    }
    // Turned round in one run.
    let round = json!([{ "name": "b", "memberships": ["a"] }, { "name": "a", "memberships": [{ "role": "b", "state": "absent" }] }]);
    let _ = site
        .ansible_run(
            "instance",
            false,
            &json!({ "name": "main", "roles": round }),
        )
        .any_code()
        .go();
    // Without a list there is nothing to make exact.
    site.changes_nothing("role", &role("a", &json!({ "memberships_purge": true })));
}

/// From 16 on a membership is granted by somebody, with options, and more than once.
#[test]
fn grants_of_others_survive_and_are_taken_back() {
    for major in Major::all().into_iter().filter(|major| major.number >= 16) {
        let site = Site::new(&major);
        let all = json!({ "name": "main", "port": site.port(), "roles": [{ "name": "staff" }, { "name": "boss" }, { "name": "ann" }] });
        site.ansible("instance", false, &all);
        site.ask("GRANT staff TO boss WITH ADMIN OPTION; GRANT staff TO ann WITH INHERIT FALSE, SET FALSE GRANTED BY boss; GRANT staff TO ann");
        let grants = || {
            site.ask("SELECT string_agg(concat_ws(' ', grantor::regrole, admin_option, inherit_option, set_option), ',' ORDER BY grantor::regrole::text) FROM pg_auth_members WHERE member = 'ann'::regrole")
        };
        site.changes_nothing(
            "role",
            &role(
                "ann",
                &json!({ "memberships": ["staff"], "memberships_purge": true }),
            ),
        );
        assert_eq!(grants(), "boss f f f,postgres f t t");
        let got = site
            .pgsocle(["role", "-i", "main", "get", "ann", "-o", "json"])
            .json();
        assert_eq!(got["memberships"], json!(["staff"]));
        site.converges(
            "role",
            &role(
                "ann",
                &json!({ "memberships": [{ "role": "staff", "state": "absent" }] }),
            ),
        );
        assert_eq!(grants(), "");
    }
}

#[test]
fn settings_that_the_server_would_refuse() {
    let site = with_main(&json!({ "roles": [{ "name": "ann" }] }));
    let number = site.major().number;
    for (settings, msg, hint) in [
        (
            json!({ "wrk_mem": "8MB" }),
            "parameter `wrk_mem` is not known to the server",
            "did you mean `work_mem`?",
        ),
        (
            json!({ "work_mem": "much" }),
            "invalid value `much` for parameter `work_mem`",
            "",
        ),
        (
            json!({ "log_statement": "mood" }),
            "invalid value `mood` for parameter `log_statement`",
            "did you mean `mod`?",
        ),
        (
            json!({ "max_connections": 5 }),
            "parameter `max_connections` cannot be set for sessions",
            "give it in the `settings` of the instance",
        ),
        (
            json!({ "app.a b": "x" }),
            "`app.a b` is not the name of a parameter",
            "names of custom parameters are identifiers with dots between them, as `app.tenant`",
        ),
    ] {
        for name in ["ann", "new"] {
            let more = json!({ "settings": settings });
            let said = site.refusal("role", &role(name, &more));
            let named = format!("roles of {number}/main: role `{name}`: {msg}");
            assert_eq!(
                (said[0].as_str(), hint.is_empty() || said[1] == hint),
                (named.as_str(), true),
                "{said:?}"
            );
        }
    }
}

/// One of these lines, and the server reads nothing of the file; restarted, it does not start.
#[test]
fn entries_of_pg_hba_that_would_break_it() {
    let site = with_main(&json!({}));
    let host = |more: Value| {
        let mut connection = json!({ "address": "192.0.2.0/24" });
        for (key, value) in more.as_object().unwrap() {
            connection[key] = value.clone();
        }
        connection
    };
    for record in [
        json!({ "method": "peer", "connection": host(json!({})) }),
        json!({ "method": "cert", "connection": host(json!({})) }),
        json!({ "method": "gss" }),
        json!({ "method": "sspi", "connection": host(json!({})) }),
        json!({ "method": "ldap", "connection": host(json!({})) }),
        json!({ "method": "radius", "connection": host(json!({})) }),
        json!({ "method": "md5", "connection": host(json!({ "netmask": "255.0.0.0" })) }),
        json!({ "method": "md5", "connection": host(json!({ "address": "" })) }),
        json!({ "method": "md5", "connection": host(json!({ "address": "a b" })) }),
        json!({ "method": "md5", "database": "" }),
        json!({ "method": "md5", "database": "a\nb" }),
    ] {
        let [msg, _] = site.refusal("role", &role("ann", &json!({ "hba_records": [record] })));
        assert!(msg.contains("role `ann`: entry of pg_hba.conf: "), "{msg}");
    }
    let quoted = json!([{ "method": "md5", "database": "app , \"all\", \"a,b\"" }]);
    site.converges("role", &role("ann", &json!({ "hba_records": quoted })));
    assert_eq!(
        site.ask("SELECT array_to_string(database, '|') FROM pg_hba_file_rules WHERE 'ann' = ANY (user_name)"),
        "app|all|a,b"
    );
    // Somebody else's mistake would keep the server from reading what is added.
    let file = site.datadir().join("pg_hba.conf");
    let text = std::fs::read_to_string(&file).unwrap();
    let number = text.lines().count() + 1;
    site.write_owned(&file, format!("{text}nonsense\n").as_bytes(), 0o600);
    let more = json!([{ "method": "md5", "database": "other" }]);
    let [msg, _] = site.refusal("role", &role("ann", &json!({ "hba_records": more })));
    assert!(
        msg.ends_with(&format!(
            "pg_hba.conf` line {number}: invalid connection type \"nonsense\""
        )),
        "{msg}"
    );
}

#[test]
fn nothing_is_dropped_before_all_can_be() {
    let site = with_main(&json!({ "roles": [{ "name": "ann" }] }));
    let number = site.major().number;
    let gone = |how: &str, value: Value| role("ann", &json!({ "state": "absent", how: value }));
    site.ask("CREATE DATABASE first OWNER ann");
    site.ask("CREATE DATABASE second OWNER ann IS_TEMPLATE true");
    assert_eq!(
        site.refusal("role", &gone("drop_owned", json!(true)))[0],
        format!(
            "roles of {number}/main: role `ann` owns database `second`, which is a template database: it is not dropped"
        )
    );
    site.ask("ALTER DATABASE second IS_TEMPLATE false");
    site.sql_through(
        &site.socket(),
        "second",
        "CREATE TABLE hers (); ALTER TABLE hers OWNER TO ann",
    );
    site.ask("ALTER DATABASE second ALLOW_CONNECTIONS false");
    assert_eq!(
        site.refusal("role", &gone("reassign_owned", json!("postgres")))[0],
        format!(
            "roles of {number}/main: role `ann` cannot be dropped: objects depend on it in database `second`, which does not accept connections"
        )
    );
    let spaces = site.path("srv/fast");
    site.program("mkdir").arg(&spaces).go();
    site.ask(&format!(
        "CREATE TABLESPACE fast OWNER ann LOCATION '{}'",
        spaces.display()
    ));
    assert_eq!(
        site.refusal("role", &gone("drop_owned", json!(true)))[0],
        format!(
            "roles of {number}/main: role `ann` owns tablespace `fast`, which is not dropped with the rest"
        )
    );
    site.ask("DROP TABLESPACE fast");
    site.converges("role", &gone("drop_owned", json!(true)));
    assert_eq!(
        site.ask("SELECT count(*) FROM pg_database WHERE datname IN ('first', 'second')"),
        "0"
    );
}
