//! Roles on real servers, alone and in their instance.

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

/// What the catalog says of a role: attributes, limit, validity, memberships, settings, comment.
fn catalog(site: &Site, name: &str) -> String {
    site.ask(&format!(
        "SELECT concat_ws(' ', CASE WHEN rolsuper THEN 'super' END, CASE WHEN rolinherit THEN 'inherit' END,
                CASE WHEN rolcreaterole THEN 'createrole' END, CASE WHEN rolcreatedb THEN 'createdb' END,
                CASE WHEN rolcanlogin THEN 'login' END, CASE WHEN rolreplication THEN 'replication' END,
                CASE WHEN rolbypassrls THEN 'bypassrls' END, rolconnlimit, rolvaliduntil,
                (SELECT string_agg(roleid::regrole::text, ',' ORDER BY roleid) FROM pg_auth_members WHERE member = r.oid),
                (SELECT setconfig FROM pg_db_role_setting WHERE setrole = r.oid),
                '[' || shobj_description(oid, 'pg_authid') || ']')
           FROM pg_roles r WHERE rolname = '{name}'"
    ))
}

#[test]
fn every_attribute_comes_changes_and_goes() {
    let site = with_main(&json!({ "roles": [{ "name": "staff" }, { "name": "Night Shift" }] }));
    let everything = json!({
        "inherit": false, "login": true, "superuser": true, "createdb": true, "createrole": true,
        "replication": true, "bypassrls": true, "connection_limit": 5, "valid_until": "2030-01-02T03:04:05Z",
        "memberships": ["staff", { "role": "Night Shift" }], "comment": "it's Ann's",
        "settings": { "work_mem": "8MB", "search_path": ["app", "\"Mixed Case\"", "public"], "app.tenant": "a b" },
    });
    let reply = site.converges("role", &role("ann", &everything));
    assert_eq!(reply["change_state"], "created");
    assert_eq!(
        catalog(&site, "ann"),
        "super createrole createdb login replication bypassrls 5 2030-01-02 03:04:05+00 staff,\"Night Shift\" \
         {\"app.tenant=a b\",\"search_path=app, \\\"Mixed Case\\\", public\",work_mem=8MB} [it's Ann's]"
    );
    // Nothing said, nothing changed.
    site.changes_nothing("role", &role("ann", &json!({})));
    let less = json!({
        "superuser": false, "bypassrls": false, "connection_limit": -1, "valid_until": "infinity", "comment": "",
        "memberships": [{ "role": "staff", "state": "absent" }], "settings": { "work_mem": null },
    });
    let reply = site.converges("role", &role("ann", &less));
    assert_eq!(reply["change_state"], "changed");
    assert_eq!(
        catalog(&site, "ann"),
        "createrole createdb login replication -1 infinity \"Night Shift\" {\"app.tenant=a b\",\"search_path=app, \\\"Mixed Case\\\", public\"}"
    );
    let exact = json!({ "memberships": ["staff"], "memberships_purge": true, "settings": { "work_mem": "9MB" }, "settings_purge": true });
    site.converges("role", &role("ann", &exact));
    assert_eq!(
        catalog(&site, "ann"),
        "createrole createdb login replication -1 infinity staff {work_mem=9MB}"
    );
    let reply = site.converges("role", &role("ann", &json!({ "state": "absent" })));
    assert_eq!(reply["change_state"], "dropped");
    assert_eq!(catalog(&site, "ann"), "");
}

#[test]
fn members_of_what_comes_later_in_the_list() {
    let site = with_main(&json!({}));
    let roles = json!({ "name": "main", "roles": [
        { "name": "a", "memberships": ["b"] }, { "name": "b", "memberships": ["c"] }, { "name": "c" },
    ] });
    site.converges("instance", &roles);
    assert_eq!(catalog(&site, "a"), "inherit -1 b");
    assert_eq!(catalog(&site, "b"), "inherit -1 c");
}

#[test]
fn passwords_are_compared_and_drift_is_seen() {
    let site = with_main(&json!({}));
    let verifier = || site.ask("SELECT rolpassword FROM pg_authid WHERE rolname = 'ann'");
    let params = role("ann", &json!({ "login": true, "password": "pass word" }));
    site.converges("role", &params);
    assert!(verifier().starts_with("SCRAM-SHA-256$4096:"));
    site.ask("ALTER ROLE ann PASSWORD 'drifted'");
    let reply = site.converges("role", &params);
    assert_eq!(reply["changes"], json!(["alter role `ann`"]));
    assert_eq!(
        (&reply["diff"][0]["before"], &reply["diff"][0]["after"]),
        (
            &json!("name: ann\nlogin: true\npassword: ********\n"),
            &json!("name: ann\nlogin: true\npassword: ******** (changed)\n")
        )
    );
    // Drift of an expired kind: MD5 of the same password is that password.
    site.ask("SET password_encryption = 'md5'; ALTER ROLE ann PASSWORD 'pass word'");
    assert!(verifier().starts_with("md5"));
    site.changes_nothing("role", &params);
    // on_create: never compared later.
    site.changes_nothing(
        "role",
        &role(
            "ann",
            &json!({ "password": "other", "update_password": "on_create" }),
        ),
    );
    // Already hashed.
    let hashed = "md5c4a3b1bc1bd4e5a7e1cf8c3c9a28f0b6";
    site.converges(
        "role",
        &role("ann", &json!({ "encrypted_password": hashed })),
    );
    assert_eq!(verifier(), hashed);
    site.ask("ALTER ROLE ann PASSWORD NULL");
    site.converges("role", &params);
    // A server that still says md5 gets md5.
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "settings": { "password_encryption": "md5" } }),
    );
    site.converges("role", &role("ann", &json!({ "password": "new" })));
    assert!(verifier().starts_with("md5"));
}

#[test]
fn host_based_authentication_and_the_password_file() {
    let site = with_main(&json!({}));
    let hba = || {
        let text = std::fs::read_to_string(site.datadir().join("pg_hba.conf")).unwrap();
        let lines = text.lines().filter(|line| line.contains("ann"));
        lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    let pgpass = || std::fs::read_to_string(site.path("home/.pgpass")).unwrap_or_default();
    let mode = || {
        site.path("home/.pgpass")
            .metadata()
            .map(|meta| std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777)
            .ok()
    };
    let records = json!([
        { "database": "postgres, app", "method": "scram-sha-256", "connection": { "address": "192.0.2.0/24" } },
        { "method": "reject", "connection": { "type": "hostnossl", "address": "192.0.2.7", "netmask": "255.255.255.255" } },
        { "database": "app", "method": "trust" },
    ]);
    let reply = site.converges(
        "role",
        &role("ann", &json!({ "login": true, "password": "se:cret", "hba_records": records, "pgpass": true })),
    );
    assert_eq!(
        reply["changes"],
        json!([
            "create role `ann`",
            "change pg_hba.conf",
            format!(
                "change the password file {}",
                site.path("home/.pgpass").display()
            ),
            format!("reload instance `{}/main`", site.major().number),
        ])
    );
    assert_eq!(
        hba(),
        [
            "host postgres,app ann 192.0.2.0/24 scram-sha-256",
            "hostnossl all ann 192.0.2.7 255.255.255.255 reject",
            "local app ann trust",
        ]
    );
    // The server knows them already.
    assert_eq!(
        site.ask(
            "SELECT count(*) FROM pg_hba_file_rules WHERE 'ann' = ANY (user_name) AND error IS NULL"
        ),
        "3"
    );
    assert_eq!(pgpass(), format!("*:{}:*:ann:se\\:cret\n", site.port()));
    assert_eq!(mode(), Some(0o600));
    let gone = json!([{ "database": "app", "method": "trust", "state": "absent" }]);
    site.converges(
        "role",
        &role("ann", &json!({ "hba_records": gone, "pgpass": false })),
    );
    assert_eq!(hba().len(), 2);
    assert_eq!(mode(), None);
    site.converges(
        "role",
        &role("ann", &json!({ "password": "se:cret", "pgpass": true })),
    );
    site.converges("role", &role("ann", &json!({ "state": "absent" })));
    assert_eq!(hba(), [""; 0]);
    assert_eq!(pgpass(), "");
}

/// As with `pghba`, the server has the last word on the file, before it is told to read it.
#[test]
fn records_that_the_server_refuses() {
    for major in Major::all() {
        let site = Site::new(&major);
        let (number, path) = (major.number, site.datadir().join("pg_hba.conf"));
        let records = |database: &str| json!([{ "database": database, "method": "md5" }]);
        // In an instance that is new, and goes again.
        let mut params = json!({
            "name": "main", "port": site.port(),
            "roles": [{ "name": "ann", "hba_records": records("@nowhere") }],
        });
        let reply = |kind: &str, params: &Value| -> Value {
            let output = site.ansible_run(kind, false, params).code(2).go();
            serde_json::from_str(&output.stdout).unwrap()
        };
        let refused = reply("instance", &params);
        let start = format!(
            "files of instance {number}/main: the server of instance `{number}/main` refuses the new configuration: \
             `SITE/srv/srv/pgsql/{number}/main/data/pg_hba.conf` line "
        );
        let said = site.redact(refused["msg"].as_str().unwrap());
        assert!(said.starts_with(&start), "{said}");
        assert_eq!(refused["applied"], json!([]));
        assert!(site.servers().is_empty());
        params["roles"] = json!([]);
        site.ansible("instance", false, &params);

        let (text, loaded) = (
            std::fs::read_to_string(&path).unwrap(),
            site.ask("SELECT pg_conf_load_time()"),
        );
        let params = role("ann", &json!({ "hba_records": records("@nowhere") }));
        let refused = reply("role", &params);
        let line = text.lines().count() + 1;
        let said = site.redact(refused["msg"].as_str().unwrap());
        assert!(said.starts_with(&format!("{start}{line}: ")), "{said}");
        assert_eq!(
            refused["hint"],
            "the previous files are back, and the server was told nothing: correct what is wanted, and try again"
        );
        assert_eq!(refused["applied"], json!(["create role `ann`"]));
        assert_eq!(refused["reverted"], json!(["change pg_hba.conf"]));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_eq!(site.ask("SELECT pg_conf_load_time()"), loaded);
        // A file that somebody broke is not taken over by adding to it: said before anything is done.
        site.write_owned(&path, format!("{text}nonsense\n").as_bytes(), 0o600);
        let params = role("bob", &json!({ "hba_records": records("shop") }));
        let [msg, _] = site.refusal("role", &params);
        let older = start.replace(
            "refuses the new configuration",
            "takes over no change as its files are",
        );
        assert_eq!(
            msg,
            format!("{older}{line}: invalid connection type \"nonsense\"")
        );
        assert_eq!(
            site.ask("SELECT count(*) FROM pg_roles WHERE rolname = 'bob'"),
            "0"
        );
        site.write_owned(&path, text.as_bytes(), 0o600);
        site.converges("role", &params);
    }
}

#[test]
fn a_role_that_others_need() {
    let site = with_main(&json!({ "roles": [{ "name": "ann" }, { "name": "heir" }] }));
    site.ask(
        "CREATE TABLE kept (); ALTER TABLE kept OWNER TO ann; GRANT SELECT ON pg_class TO ann",
    );
    site.ask("CREATE DATABASE hers OWNER ann");
    let absent = |more: &Value| {
        let mut params = role("ann", more);
        params["state"] = json!("absent");
        params
    };
    assert_eq!(
        site.refusal("role", &absent(&json!({}))),
        [
            format!(
                "roles of {}/main: role `ann` cannot be dropped: objects depend on it in database `hers`, database `postgres`",
                site.major().number
            ),
            "set `drop_owned: true` to drop them, or `reassign_owned` to give them to another role"
                .into(),
        ]
    );
    assert_eq!(
        site.refusal("role", &absent(&json!({ "reassign_owned": "nobody" })))[0],
        format!(
            "roles of {}/main: role `ann`: `reassign_owned` names role `nobody`, which does not exist",
            site.major().number
        )
    );
    let mut limited = absent(&json!({ "drop_owned": true }));
    limited["max_impact"] = json!("rewrite");
    assert_eq!(
        site.refusal("role", &limited)[0],
        "the plan goes beyond `max_impact: rewrite`: drop role `ann` (destructive)"
    );
    site.converges("role", &absent(&json!({ "reassign_owned": "heir" })));
    assert_eq!(
        site.ask("SELECT relowner::regrole FROM pg_class WHERE relname = 'kept'"),
        "heir"
    );
    assert_eq!(
        site.ask("SELECT datdba::regrole FROM pg_database WHERE datname = 'hers'"),
        "heir"
    );
    let mut owned = role("heir", &json!({ "drop_owned": true }));
    owned["state"] = json!("absent");
    site.converges("role", &owned);
    assert_eq!(
        site.ask("SELECT count(*) FROM pg_class WHERE relname = 'kept'"),
        "0"
    );
    assert_eq!(
        site.ask("SELECT count(*) FROM pg_database WHERE datname = 'hers'"),
        "0"
    );
}

#[test]
fn a_stopped_instance_stays_stopped() {
    let site = with_main(&json!({ "state": "stopped" }));
    let number = site.major().number;
    let params = role("ann", &json!({ "login": true, "password": "p" }));
    assert_eq!(
        site.refusal("role", &params),
        [
            format!(
                "service of instance {number}/main: instance `{number}/main` is stopped: its roles and databases can be neither seen nor changed"
            ),
            format!(
                "start it (`state: started`, `pgsocle instance start {number}/main`), or have it started for the time of this run (`start_temporarily: true`, `--start-temporarily`); nothing was changed"
            ),
        ]
    );
    let mut moment = params.clone();
    moment["start_temporarily"] = json!(true);
    let checked = site.ansible("role", true, &moment);
    assert_eq!(
        checked["changes"],
        json!([
            format!(
                "start, for the time of this run and without TCP listener, instance `{number}/main`"
            ),
            format!("stop instance `{number}/main` again"),
        ])
    );
    assert_eq!(
        checked["undetermined"],
        json!([format!(
            "roles of {number}/main: the server is stopped; this run starts it"
        )])
    );
    let reply = site.converges("role", &moment);
    assert_eq!(
        reply["changes"],
        json!([
            format!(
                "start, for the time of this run and without TCP listener, instance `{number}/main`"
            ),
            "create role `ann`",
            format!("stop instance `{number}/main` again"),
        ])
    );
    assert_eq!(
        (&reply["changed"], &reply["change_state"]),
        (&json!(true), &json!("created"))
    );
    assert!(!site.is_running());
    // What fails in between stops it again too.
    let mut wrong = moment.clone();
    wrong["memberships"] = json!(["nobody"]);
    site.ansible_run("role", false, &wrong).any_code().json();
    assert!(!site.is_running());
}
