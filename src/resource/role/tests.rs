use insta::assert_snapshot;

use super::removal::Owned;
use super::*;
use crate::pg::pgpass::Pgpass;
use crate::resource::samples::{facts, from, paths, server, shown};

const HBA: &str = "# first\nlocal all postgres peer\nhost all bob 10.0.0.0/8 md5\nhost all all 127.0.0.1/32 scram-sha-256\n";
const PASSFILE: &str = "# ours\n*:5432:*:bob:old\n*:5433:*:bob:other\n";

fn bob() -> Row {
    Row {
        login: true,
        ..Row::predefined("bob")
    }
}

fn scram(password: &str) -> Secret {
    scram::scram_verifier(&Secret::new(password))
}

struct Server {
    rows: Vec<Row>,
    facts: ServerFacts,
    hba: Option<&'static str>,
    passfile: Option<&'static str>,
    view: bool,
}

impl Default for Server {
    fn default() -> Self {
        let group = |name| Row::predefined(name);
        Self {
            rows: vec![
                Row::superuser("postgres"),
                group("staff"),
                group("pg_monitor"),
            ],
            facts: facts(),
            hba: None,
            passfile: None,
            view: false,
        }
    }
}

impl Server {
    fn with(row: Row) -> Self {
        let mut server = Self::default();
        server.rows.push(row);
        server
    }

    fn planned(self, specs: Value) -> String {
        let roles = match Roles::new(from(specs), paths(17)) {
            Ok(roles) => Roles {
                view: self.view,
                ..roles
            },
            Err(error) => return shown(Err(error)),
        };
        let rows: BTreeMap<String, Row> = self
            .rows
            .into_iter()
            .map(|row| (row.name.clone(), row))
            .collect();
        let seen = Seen {
            server: server(),
            facts: self.facts,
            known: rows.keys().cloned().collect(),
            rows,
            parameters: Parameters::default(),
            files: Files {
                hba_unread: false,
                hba: self
                    .hba
                    .map(|content| ("/srv/main/data/pg_hba.conf".into(), content.into())),
                passfile: self.passfile.map(|content| {
                    (
                        "/srv/pgpass".into(),
                        Pgpass::parse(content.as_bytes()).unwrap(),
                    )
                }),
                port: server().port,
                new: false,
            },
        };
        shown(roles.plan(&seen))
    }
}

/// What is planned for bob.
fn alter(row: Row, own: Value) -> String {
    let mut spec = json!({ "name": "bob" });
    spec.as_object_mut()
        .unwrap()
        .extend(own.as_object().unwrap().clone());
    Server::with(row).planned(json!([spec]))
}

fn changes(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines.filter(|line| !line.starts_with("fact ")).collect()
}

#[test]
fn creation_with_everything() {
    assert_snapshot!(Server::default().planned(json!([{
        "name": "bob", "password": "hush", "inherit": false, "login": true, "superuser": false, "createdb": true,
        "createrole": true, "replication": true, "bypassrls": true, "connection_limit": 5, "valid_until": "2030-01-01",
        "memberships": ["staff", { "role": "pg_monitor" }, { "role": "ann", "state": "absent" }],
        "settings": { "search_path": ["app", "public"], "work_mem": "64MB", "jit": null }, "comment": "it's",
    }])));
}

#[test]
fn creation_with_nothing_said() {
    assert_snapshot!(Server::default().planned(json!([{ "name": "My \"Bob\"" }])));
}

#[test]
fn a_password_already_hashed() {
    let hashed = "md5".to_owned() + &"0".repeat(32);
    assert_snapshot!(
        Server::default().planned(json!([{ "name": "bob", "encrypted_password": hashed }]))
    );
    let row = Row {
        password: Some(Secret::new(hashed.clone())),
        ..bob()
    };
    assert_eq!(
        changes(&alter(row, json!({ "encrypted_password": hashed }))),
        ""
    );
}

#[test]
fn no_verifier_is_shown() {
    let text = alter(bob(), json!({ "password": "hush" }));
    assert!(!text.contains("SCRAM") && !text.contains("hush"), "{text}");
}

#[test]
fn unchanged() {
    let row = Row {
        connection_limit: 3,
        password: Some(scram("hush")),
        valid_until: Some("2030-01-01T00:00:00+00:00".into()),
        valid_until_same: Some(true),
        memberships: Some(vec!["staff".into()]),
        settings: Some(vec![
            "TimeZone=UTC".into(),
            "search_path=app, public".into(),
            "temp_tablespaces=\"\"".into(),
        ]),
        comment: Some("old".into()),
        ..bob()
    };
    for own in [
        json!({}),
        json!({ "login": true, "superuser": false, "connection_limit": 3, "comment": "old" }),
        json!({ "password": "hush" }),
        json!({ "password": "other", "update_password": "on_create" }),
        json!({ "valid_until": "2030-01-01" }),
        json!({ "memberships": ["staff", { "role": "none_such", "state": "absent" }], "memberships_purge": true }),
        json!({ "memberships": [] }),
        json!({ "settings": { "temp_tablespaces": "" } }),
        json!({ "settings": { "timezone": "UTC", "search_path": "\"app\",public", "temp_tablespaces": "" }, "settings_purge": true }),
    ] {
        assert_eq!(changes(&alter(row.clone(), own.clone())), "", "{own}");
    }
}

#[test]
fn passwords() {
    let with = |password| Row { password, ..bob() };
    let md5 = Some(scram::md5_verifier(&Secret::new("hush"), "bob"));
    let all = [
        alter(with(None), json!({ "password": "hush" })),
        alter(with(Some(scram("old"))), json!({ "password": "hush" })),
        alter(with(md5.clone()), json!({ "password": "other" })),
        changes(&alter(with(md5), json!({ "password": "hush" }))),
        changes(&alter(
            with(None),
            json!({ "password": "hush", "update_password": "on_create" }),
        )),
    ];
    assert_snapshot!(all.join("\n"));
}

#[test]
fn one_attribute_at_a_time() {
    let row = Row {
        comment: Some("old".into()),
        valid_until: Some("2020-01-01T00:00:00+00:00".into()),
        valid_until_same: Some(false),
        ..bob()
    };
    let all: Vec<String> = [
        json!({ "login": false }),
        json!({ "superuser": true, "createdb": true, "inherit": false }),
        json!({ "connection_limit": 0 }),
        json!({ "valid_until": "infinity" }),
        json!({ "comment": "" }),
        json!({ "comment": "new" }),
    ]
    .into_iter()
    .map(|own| changes(&alter(row.clone(), own)))
    .collect();
    assert_snapshot!(all.join("\n"));
}

#[test]
fn settings() {
    let row = Row {
        settings: Some(vec![
            "TimeZone=UTC".into(),
            "work_mem=64MB".into(),
            "myapp.Level=3".into(),
        ]),
        ..bob()
    };
    let all: Vec<String> = [
        json!({ "settings": { "timezone": "CET", "jit": false } }),
        json!({ "settings": { "TIMEZONE": null } }),
        json!({ "settings": { "timezone": "UTC" }, "settings_purge": true }),
        json!({ "settings": { "search_path": "\"$user\", public", "log_statement": "all" } }),
        json!({ "settings": { "search_path": "" } }),
    ]
    .into_iter()
    .map(|own| changes(&alter(row.clone(), own)))
    .collect();
    assert_snapshot!(all.join("\n"));
}

#[test]
fn settings_that_mean_the_same_are_no_change() {
    let parameter = |name, vartype, unit: Option<&str>| json!({ "name": name, "vartype": vartype, "unit": unit, "context": "user", "enumvals": [] });
    let facts = || ServerFacts {
        parameters: from(json!([
            parameter("enable_seqscan", "bool", None),
            parameter("work_mem", "integer", Some("kB")),
        ])),
        ..facts()
    };
    let row = Row {
        settings: Some(vec![
            "enable_seqscan=false".into(),
            "work_mem=1GB".into(),
            "myapp.level=1GB".into(),
        ]),
        ..bob()
    };
    let planned = |settings: Value| {
        let server = Server {
            facts: facts(),
            ..Server::with(row.clone())
        };
        changes(&server.planned(json!([{ "name": "bob", "settings": settings }])))
    };
    let same = json!({ "enable_seqscan": false, "Work_Mem": "1024MB", "myapp.level": "1GB" });
    assert_eq!(planned(same), "");
    let others = json!({ "enable_seqscan": true, "work_mem": "1024", "myapp.level": "1024MB" });
    assert!(planned(others).contains(
        "SET \"enable_seqscan\" TO 'on'; ALTER ROLE \"bob\" SET \"myapp\".\"level\" TO '1024MB'; \
             ALTER ROLE \"bob\" SET \"work_mem\" TO '1024';"
    ));
}

#[test]
fn memberships() {
    let row = Row {
        memberships: Some(vec!["old".into(), "staff".into()]),
        ..bob()
    };
    let all: Vec<String> = [
        json!({ "memberships": ["pg_monitor"] }),
        json!({ "memberships": [{ "role": "old", "state": "absent" }, "staff"] }),
        json!({ "memberships": ["pg_monitor"], "memberships_purge": true }),
        json!({ "memberships": ["nobody"] }),
    ]
    .into_iter()
    .map(|own| changes(&alter(row.clone(), own)))
    .collect();
    assert_snapshot!(all.join("\n"));
}

/// Made first, then made members, dropped last.
#[test]
fn roles_that_need_each_other() {
    let row = Row {
        memberships: Some(vec!["staff".into()]),
        ..bob()
    };
    let mut server = Server::with(row);
    let staff = Row {
        bonds: Bonds {
            dependents: vec!["shop".into()],
            ..Bonds::default()
        },
        ..Row::predefined("staff")
    };
    server.rows.push(staff);
    assert_snapshot!(server.planned(json!([
        { "name": "staff", "state": "absent", "reassign_owned": "heir" },
        { "name": "bob", "memberships": ["later", { "role": "staff", "state": "absent" }] },
        { "name": "later" },
        { "name": "heir" },
    ])));
}

#[test]
fn removal() {
    let gone = |row: Row, own: Value| {
        let mut all = json!({ "state": "absent" });
        all.as_object_mut()
            .unwrap()
            .extend(own.as_object().unwrap().clone());
        alter(row, all)
    };
    let own = |name: &str| Owned {
        name: name.into(),
        is_template: false,
        sessions: 0,
    };
    let bonds = || Bonds {
        dependents: vec![
            String::new(),
            "postgres".into(),
            "shop".into(),
            "its \"own\"".into(),
        ],
        on_databases: vec!["its \"own\"".into()],
        owned_databases: vec![own("its \"own\"")],
        ..Bonds::default()
    };
    let bound = |bonds: Bonds| Row { bonds, ..bob() };
    let all = [
        Server::default().planned(json!([{ "name": "bob", "state": "absent" }])),
        gone(bob(), json!({})),
        gone(bound(bonds()), json!({})),
        gone(bound(bonds()), json!({ "drop_owned": true })),
        gone(bound(bonds()), json!({ "reassign_owned": "staff" })),
        gone(bound(bonds()), json!({ "reassign_owned": "nobody" })),
        gone(
            bound(Bonds {
                owned_databases: vec![own("postgres")],
                ..bonds()
            }),
            json!({ "drop_owned": true }),
        ),
        Server::default().planned(json!([{ "name": "postgres", "state": "absent" }])),
        Server::default().planned(json!([{ "name": "pg_monitor", "state": "absent" }])),
        gone(
            bound(Bonds {
                owned_databases: vec![Owned {
                    sessions: 2,
                    ..own("shop")
                }],
                ..bonds()
            }),
            json!({ "drop_owned": true }),
        ),
        gone(
            bound(Bonds {
                owned_databases: vec![Owned {
                    is_template: true,
                    ..own("shop")
                }],
                ..bonds()
            }),
            json!({ "drop_owned": true }),
        ),
        gone(
            bound(Bonds {
                owned_tablespaces: vec!["fast".into()],
                ..bonds()
            }),
            json!({ "drop_owned": true }),
        ),
        gone(
            bound(Bonds {
                closed_databases: vec!["shop".into()],
                ..bonds()
            }),
            json!({ "reassign_owned": "staff" }),
        ),
    ];
    assert_snapshot!(all.join("\n"));
}

#[test]
fn entries_of_pg_hba() {
    let planned = |specs: Value| {
        changes(
            &Server {
                hba: Some(HBA),
                ..Server::with(bob())
            }
            .planned(specs),
        )
    };
    let one = |own: Value| planned(json!([{ "name": "bob", "hba_records": [own] }]));
    let all = [
        one(json!({ "method": "scram-sha-256", "database": "shop, app" })),
        one(json!({ "method": "cert", "connection": { "type": "hostssl", "address": "::1/128" } })),
        one(
            json!({ "method": "md5", "connection": { "address": "10.0.0.0", "netmask": "255.0.0.0" } }),
        ),
        one(
            json!({ "method": "md5", "connection": { "address": "10.0.0.0/8" }, "state": "absent" }),
        ),
        one(json!({ "method": "trust", "state": "absent" })),
        planned(json!([{ "name": "bob", "state": "absent" }])),
        planned(json!([{ "name": "ann", "state": "absent" }])),
    ];
    assert_snapshot!(all.join("\n"));
}

#[test]
fn entries_of_the_password_file() {
    let planned = |row: Option<Row>, own: Value| {
        let mut server = row.map_or_else(Server::default, Server::with);
        server.passfile = Some(PASSFILE);
        let mut spec = json!({ "name": "bob" });
        spec.as_object_mut()
            .unwrap()
            .extend(own.as_object().unwrap().clone());
        changes(&server.planned(json!([spec])))
    };
    let known = || {
        Some(Row {
            password: Some(scram("hush")),
            ..bob()
        })
    };
    let all = [
        planned(known(), json!({ "password": "hush", "pgpass": true })),
        planned(
            known(),
            json!({ "password": "new", "pgpass": true, "update_password": "on_create" }),
        ),
        planned(
            None,
            json!({ "password": "new", "pgpass": true, "update_password": "on_create" }),
        ),
        planned(known(), json!({ "pgpass": false })),
        planned(known(), json!({})),
        planned(known(), json!({ "state": "absent" })),
    ];
    assert_snapshot!(all.join("\n"));
}

#[test]
fn refused_before_looking() {
    let all: Vec<String> = [
        json!([{ "name": "a", "password": "x", "encrypted_password": "y" }]),
        json!([{ "name": "a", "state": "absent", "drop_owned": true, "reassign_owned": "b" }]),
        json!([{ "name": "a", "drop_owned": true }]),
        json!([{ "name": "a", "password": "" }]),
        json!([{ "name": "a", "encrypted_password": "clear" }]),
        json!([{ "name": "a", "connection_limit": -2 }]),
        json!([{ "name": "a", "memberships": ["b", "b"] }]),
        json!([{ "name": "a", "settings": { "jit": true, "JIT": false } }]),
        json!([{ "name": "a" }, { "name": "a" }]),
        json!([{ "name": "public" }]),
        json!([{ "name": "pg_own" }]),
    ]
    .into_iter()
    .map(|specs| Server::default().planned(specs))
    .collect();
    assert_snapshot!(all.join(""));
}

#[test]
fn a_standby_is_not_written_to() {
    let facts = ServerFacts {
        in_recovery: true,
        ..facts()
    };
    assert_snapshot!(
        Server {
            facts,
            ..Server::default()
        }
        .planned(json!([{ "name": "bob" }]))
    );
}

#[test]
fn the_view_is_that_after_the_run() {
    let row = Row {
        memberships: Some(vec!["old".into()]),
        settings: Some(vec!["work_mem=1MB".into()]),
        ..bob()
    };
    let server = Server {
        view: true,
        ..Server::with(row)
    };
    assert_snapshot!(server.planned(json!([{
        "name": "bob", "password": "hush", "createdb": true, "connection_limit": 3, "comment": "x",
        "memberships": ["staff"], "memberships_purge": true, "settings": { "jit": true },
    }])));
}
