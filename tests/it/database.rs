//! Databases on real servers, alone and in their instance.

use serde_json::{Value, json};

use crate::instance::with_main;
use crate::support::pg::{Major, Site};

fn database(name: &str, more: &Value) -> Value {
    let mut params = json!({ "instance": "main", "name": name });
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    params
}

fn started(major: &Major) -> Site {
    let site = Site::new(major);
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "port": site.port(), "roles": [{ "name": "ann" }, { "name": "bob" }] }),
    );
    site
}

impl Site {
    /// A query in a database of `main`.
    fn within(&self, database: &str, query: &str) -> String {
        self.sql_through(&self.socket(), database, query)
    }

    /// What the catalogs say of a database: owner, limit, tablespace, settings, comment; schemas and extensions.
    fn database(&self, name: &str) -> [String; 2] {
        let own = self.ask(&format!(
            "SELECT concat_ws(' ', datdba::regrole, datconnlimit,
                    (SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0),
                    '[' || shobj_description(oid, 'pg_database') || ']')
               FROM pg_database d WHERE datname = '{name}'"
        ));
        let inner = "SELECT concat_ws(' | ',
                (SELECT string_agg(nspname || ':' || nspowner::regrole, ' ' ORDER BY nspname) FROM pg_namespace
                  WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')),
                (SELECT string_agg(extname || ':' || nspname, ' ' ORDER BY extname)
                   FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace WHERE extname <> 'plpgsql'))";
        [own, self.within(name, inner)]
    }

    fn has_database(&self, name: &str) -> bool {
        self.ask(&format!(
            "SELECT count(*) FROM pg_database WHERE datname = '{name}'"
        )) == "1"
    }
}

/// On every major: the catalogs differ between them.
#[test]
fn everything_comes_changes_and_goes() {
    for major in Major::all() {
        let site = started(&major);
        let all = json!({
            "owner": "ann", "connection_limit": 7, "comment": "it's Ann's",
            "settings": { "work_mem": "8MB", "search_path": ["app", "public"], "app.tenant": "a b" },
            "schemas": ["app", { "name": "Ext", "owner": "bob" }],
            "extensions": [{ "name": "hstore", "schema": "Ext" }, "earthdistance"],
        });
        let reply = site.converges("database", &database("shop", &all));
        assert_eq!(
            reply["changes"],
            json!([
                "create database `shop`",
                "create schema `app` of database `shop`",
                "create schema `Ext` of database `shop`",
                "create extension `hstore` of database `shop`",
                "create extension `earthdistance` of database `shop`",
            ])
        );
        assert_eq!(
            site.database("shop"),
            [
                "ann 7 {\"app.tenant=a b\",\"search_path=app, public\",work_mem=8MB} [it's Ann's]",
                "Ext:bob app:ann | cube:public earthdistance:public hstore:Ext",
            ]
        );
        // Nothing said, nothing changed: not the owner either.
        site.changes_nothing("database", &database("shop", &json!({})));
        let other = json!({
            "owner": "bob", "connection_limit": -1, "comment": "", "settings": { "work_mem": "9MB" }, "settings_purge": true,
            "schemas": [{ "name": "app", "owner": "bob" }, { "name": "Ext", "state": "absent" }],
            "extensions": [{ "name": "hstore", "schema": "app" }, { "name": "earthdistance", "state": "absent" }],
        });
        site.converges("database", &database("shop", &other));
        assert_eq!(
            site.database("shop"),
            ["bob -1 {work_mem=9MB}", "app:bob | cube:public hstore:app"]
        );
        site.converges("database", &database("shop", &json!({ "state": "absent" })));
        assert!(!site.has_database("shop"));
    }
}

#[test]
fn locales_by_major() {
    for major in Major::all() {
        let site = started(&major);
        site.converges(
            "database",
            &database("latin", &json!({ "encoding": "LATIN1", "locale": "C" })),
        );
        assert_eq!(
            site.ask("SELECT pg_encoding_to_char(encoding) || datcollate FROM pg_database WHERE datname = 'latin'"),
            "LATIN1C"
        );
        for (since, provider, locale) in [
            (
                15,
                "icu",
                json!({ "locale_provider": "icu", "icu_locale": "en-US", "encoding": "UTF8", "locale": "C" }),
            ),
            (
                17,
                "builtin",
                json!({ "locale_provider": "builtin", "locale": "C.UTF-8", "encoding": "UTF8" }),
            ),
        ] {
            let params = database(provider, &locale);
            if major.number >= since {
                site.converges("database", &params);
                let column = "SELECT datlocprovider FROM pg_database WHERE datname = ";
                assert_eq!(site.ask(&format!("{column}'{provider}'")), provider[..1]);
            } else {
                assert_eq!(
                    site.refusal("database", &params)[0],
                    format!(
                        "database `{provider}`: locale provider `{provider}` comes with PostgreSQL {since}, this is {}",
                        major.number
                    )
                );
            }
        }
        assert_eq!(
            site.refusal(
                "database",
                &database("latin", &json!({ "encoding": "UTF8" }))
            ),
            [
                format!(
                    "databases of {}/main: database `latin`: `encoding` is `LATIN1` and cannot become `UTF8`: it is chosen at creation",
                    major.number
                ),
                "leave it out, or make another database; nothing was changed".into(),
            ]
        );
    }
}

#[test]
fn names_that_need_quotes() {
    let site = with_main(&json!({}));
    let long = "x".repeat(63);
    let names = [
        "a b",
        "a\"b",
        "it's",
        "été",
        "back\\slash",
        "user",
        "dbname=postgres",
        "a\nb",
        &long,
    ];
    let all = |state: &str| {
        let databases = names.map(|name| {
            let inside = json!([name]);
            let schemas = if state == "present" {
                inside
            } else {
                Value::Null
            };
            json!({ "name": name, "state": state, "comment": name, "schemas": schemas })
        });
        json!({ "name": "main", "databases": databases })
    };
    site.converges("instance", &all("present"));
    site.converges("instance", &all("absent"));
    assert_eq!(
        site.refusal("database", &database(&"é".repeat(32), &json!({})))[0],
        format!(
            "database `{}`: the name has 64 bytes, more than the 63 that PostgreSQL keeps",
            "é".repeat(32)
        )
    );
}

/// What check mode cannot know, the run takes back.
#[test]
fn a_creation_that_fails_leaves_no_database() {
    let site = with_main(&json!({}));
    site.within("template1", "CREATE TYPE hstore AS (a int)");
    for more in [
        json!({ "schemas": ["app"], "extensions": ["hstore"] }),
        json!({ "schemas": ["app"], "settings": { "timezone": "Mars/Olympus" } }),
    ] {
        let reply = site
            .ansible_run("database", false, &database("shop", &more))
            .any_code()
            .json();
        assert_eq!(reply["failed"], true, "{reply:#}");
        assert!(!site.has_database("shop"), "{reply:#}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_refused() {
    let site = with_main(&json!({ "roles": [{ "name": "ann" }] }));
    let number = site.major().number;
    site.ansible(
        "database",
        false,
        &database(
            "shop",
            &json!({ "schemas": ["app"], "extensions": ["earthdistance"] }),
        ),
    );
    site.within("shop", "CREATE TABLE app.basket ()");
    site.ask("CREATE DATABASE closed ALLOW_CONNECTIONS false");
    for (name, more, msg, hint) in [
        (
            "shop",
            json!({ "owner": "an" }),
            format!(
                "databases of {number}/main: database `shop` is to be owned by role `an`, which does not exist"
            ),
            "create it before, or correct the name",
        ),
        (
            "shop",
            json!({ "schemas": [{ "name": "app", "state": "absent" }] }),
            format!(
                "schemas and extensions of {number}/main: schema `app` of database `shop` is not dropped: it holds 1 table"
            ),
            "drop or move them first, or set `cascade: true` to drop them too",
        ),
        (
            "shop",
            json!({ "extensions": ["hstroe"] }),
            format!(
                "schemas and extensions of {number}/main: extension `hstroe` of database `shop` is not available on this server"
            ),
            "did you mean `hstore`? Install its package on the host first (PostgreSQL's own come with postgresql-contrib)",
        ),
        (
            "shop",
            json!({ "tablespace": "fast" }),
            format!(
                "databases of {number}/main: database `shop`: tablespace `fast` does not exist"
            ),
            "valid here: `pg_default`",
        ),
        (
            "shop",
            json!({ "settings": { "wrk_mem": "1MB" } }),
            format!(
                "databases of {number}/main: database `shop`: parameter `wrk_mem` is not known to the server"
            ),
            "did you mean `work_mem`?",
        ),
        (
            "shop",
            json!({ "settings": { "shared_buffers": "1GB" } }),
            format!(
                "databases of {number}/main: database `shop`: parameter `shared_buffers` cannot be set for sessions"
            ),
            "give it in the `settings` of the instance",
        ),
        (
            "closed",
            json!({ "schemas": ["app"] }),
            format!(
                "schemas and extensions of {number}/main: database `closed` does not accept connections: its schemas and extensions cannot be changed"
            ),
            "`ALTER DATABASE \"closed\" ALLOW_CONNECTIONS true` lets sessions in",
        ),
        (
            "template1",
            json!({ "state": "absent" }),
            format!(
                "databases of {number}/main: database `template1` is a template database: it is not dropped"
            ),
            "`ALTER DATABASE \"template1\" IS_TEMPLATE false` makes it an ordinary one",
        ),
        (
            "shop",
            json!({ "publications": [{ "name": "p" }] }),
            "database `shop`: option `publications` is not supported in this version of pgsocle"
                .into(),
            "leave it out",
        ),
        (
            "shop",
            json!({ "schemas": [{ "nam": "app" }] }),
            "unknown option `database.schemas[0].nam`".into(),
            "did you mean `name`?",
        ),
    ] {
        assert_eq!(
            site.refusal("database", &database(name, &more)),
            [msg, hint.into()]
        );
    }
    let old = json!({ "extensions": [{ "name": "hstore", "version": "0.1" }] });
    let [msg, hint] = site.refusal("database", &database("shop", &old));
    assert!(
        msg.ends_with("extension `hstore` of database `shop` is not available in version `0.1`"),
        "{msg}"
    );
    assert!(hint.starts_with("available: `1.4`, "), "{hint}");
    let cascade = json!({ "schemas": [{ "name": "app", "state": "absent", "cascade": true }] });
    site.converges("database", &database("shop", &cascade));
}

#[test]
fn sessions_keep_a_database_unless_forced() {
    let site = with_main(&json!({ "databases": [{ "name": "shop" }] }));
    let number = site.major().number;
    let socket = site.socket();
    let session = site
        .postgresql("psql")
        .args([
            "-X",
            "-h",
            &socket.directory,
            "-p",
            &socket.port,
            "-d",
            "shop",
            "-U",
            "postgres",
            "-c",
            "SELECT pg_sleep(600)",
        ])
        .any_code()
        .start();
    while site.ask("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop'") == "0" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(
        site.refusal("database", &database("shop", &json!({ "state": "absent" }))),
        [
            format!(
                "databases of {number}/main: database `shop` is not dropped: 1 session uses it"
            ),
            "end them, or set `force_drop: true` to have them ended".into(),
        ]
    );
    site.ask("ALTER DATABASE shop OWNER TO pg_monitor");
    let reply = site.converges(
        "database",
        &database("shop", &json!({ "state": "absent", "force_drop": true })),
    );
    assert_eq!(
        reply["changes"],
        json!(["drop database `shop`, which 1 session uses"])
    );
    session.wait();
}

/// A role and what it owns come in one run and go in one run.
#[test]
fn a_role_goes_after_its_database() {
    let site = with_main(&json!({}));
    let all = |state: &str| {
        json!({
            "name": "main",
            "roles": [
                { "name": "ann", "state": state, "hba_records": [{ "method": "trust", "database": "shop" }] },
                { "name": "bob", "state": state },
            ],
            "databases": [{ "name": "shop", "state": state, "owner": "ann", "schemas": [{ "name": "app", "owner": "bob" }] }],
        })
    };
    site.converges("instance", &all("present"));
    site.ask("GRANT CONNECT ON DATABASE shop TO bob");
    let reply = site.converges("instance", &all("absent"));
    assert_eq!(
        reply["changes"],
        json!([
            "change pg_hba.conf",
            format!("reload instance `{}/main`", site.major().number),
            "drop database `shop`",
            "drop role `ann`",
            "drop role `bob`"
        ])
    );
    let mut muddled = all("present");
    muddled["roles"][1]["state"] = json!("absent");
    assert_eq!(
        site.refusal("instance", &muddled)[0],
        "role `bob` is to be absent, and to own database `shop` or a schema of it"
    );
}

/// With nothing to change, the queries are the same for ten and for a hundred, plus one per database that declares
/// what is inside of it.
#[test]
fn queries_do_not_grow_with_the_lists() {
    let site = with_main(
        &json!({ "settings": { "log_statement": "all", "log_destination": "stderr", "logging_collector": "off" } }),
    );
    let params = |count: usize, inner: usize| {
        let roles: Vec<Value> = (0..count)
            .map(|index| {
                json!({ "name": format!("r{index}"), "login": true, "memberships": ["pg_monitor"],
                        "settings": { "work_mem": "8MB" }, "valid_until": "2040-01-01" })
            })
            .collect();
        let databases: Vec<Value> = (0..count / 10)
            .map(|index| {
                let schemas = if index < inner { json!(["app"]) } else { Value::Null };
                json!({ "name": format!("d{index}"), "owner": "r0", "settings": { "work_mem": "8MB" }, "schemas": schemas })
            })
            .collect();
        json!({ "name": "main", "roles": roles, "databases": databases })
    };
    site.ansible("instance", false, &params(100, 3));
    let logged = |params: &Value| {
        let log = |site: &Site| {
            let directory = site.path("srv/log/postgresql");
            std::fs::read_dir(directory)
                .unwrap()
                .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
                .collect::<String>()
                .matches("LOG:  execute ")
                .count()
        };
        let before = log(&site);
        site.ansible("instance", false, params);
        log(&site) - before
    };
    let (ten, hundred) = (logged(&params(10, 0)), logged(&params(100, 0)));
    assert!(ten > 0, "nothing was logged");
    assert_eq!(ten, hundred);
    assert_eq!(logged(&params(100, 3)) - logged(&params(100, 2)), 1);
}
