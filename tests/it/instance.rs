//! Instances from nothing to nothing, on real servers.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::laws::Socket;
use crate::support::pg::{Major, Site};

/// A site with one instance `main` that runs.
pub fn with_main(params: &Value) -> Site {
    let site = Site::new(&Major::usual());
    with_main_at(&site, params);
    site
}

/// The same at a site that has been prepared.
pub fn with_main_at(site: &Site, params: &Value) {
    let mut all = json!({ "name": "main", "port": site.port() });
    for (key, value) in params.as_object().unwrap() {
        all[key] = value.clone();
    }
    site.ansible("instance", false, &all);
}

impl Site {
    pub fn datadir(&self) -> std::path::PathBuf {
        self.path(format!("srv/srv/pgsql/{}/main/data", self.major().number))
    }

    /// The running instance `main`.
    pub fn socket(&self) -> Socket {
        Socket::of(&self.datadir())
    }

    /// A query on `main`, as the superuser role.
    pub fn ask(&self, query: &str) -> String {
        self.sql_through(&self.socket(), "postgres", query)
    }

    pub fn is_running(&self) -> bool {
        self.servers()
            .iter()
            .any(|(_, datadir)| *datadir == self.datadir())
    }
}

fn summaries(reply: &Value) -> Vec<&str> {
    reply["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|summary| summary.as_str().unwrap())
        .collect()
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one life, told from beginning to end"
)]
fn an_instance_of_every_major_comes_lives_and_goes() {
    for major in Major::all() {
        let site = Site::with_settings(
            &major,
            &json!({ "postgresql": { "replrole": "replication" } }),
        );
        let version = major.number;
        let wanted = |state: &str| {
            json!({
                "name": "main", "port": site.port(), "state": state,
                "settings": { "work_mem": "8MB", "max_connections": 50 },
                "surole_password": "s3kret word", "replrole_password": "an0ther",
                "roles": [{ "name": "ann", "login": true, "password": "p" }, { "name": "staff" }],
            })
        };
        let bare = site.picture();
        let reply = site.converges("instance", &wanted("started"));
        assert_eq!(
            summaries(&reply),
            [
                format!("create instance `{version}/main`"),
                format!("write the configuration of instance `{version}/main`"),
                format!("start instance `{version}/main`"),
                "alter role `postgres`".into(),
                "create role `replication`".into(),
                "create role `ann`".into(),
                "create role `staff`".into(),
                "grant `pg_read_all_stats` to role `replication`".into(),
            ]
        );
        assert_eq!(reply["change_state"], "created");
        assert_eq!(reply["pending_restart"], false);
        assert_eq!(reply["instance"]["state"], "started");
        assert_eq!(
            site.ask("SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^pg_'"),
            "ann postgres replication staff"
        );
        assert_eq!(site.ask("SHOW work_mem"), "8MB");
        // A password is never required of us, and always of others.
        for (host, user, password, code) in [
            ("127.0.0.1", "ann", "p", 0),
            ("127.0.0.1", "ann", "q", 2),
            ("127.0.0.1", "replication", "an0ther", 0),
            ("127.0.0.1", "postgres", "s3kret word", 0),
        ] {
            site.postgresql("psql")
                .args([
                    "-XAtqw", "-h", host, "-U", user, "-d", "postgres", "-c", "SELECT 1",
                ])
                .args(["-p", &site.port().to_string()])
                .env("PGPASSWORD", password)
                .code(code)
                .go();
        }

        let stopped = json!({ "name": "main", "state": "stopped" });
        let reply = site.converges("instance", &stopped);
        assert_eq!(
            summaries(&reply),
            [format!("stop instance `{version}/main`")]
        );
        assert!(!site.is_running());
        // The fourth law: nothing that is said of a stopped instance makes it run.
        for params in [
            json!({ "name": "main", "state": "present", "settings": { "work_mem": "9MB" } }),
            json!({ "name": "main", "state": "stopped", "settings": { "work_mem": "10MB" } }),
        ] {
            site.converges("instance", &params);
            assert!(!site.is_running());
        }
        let reply = site.converges("instance", &json!({ "name": "main" }));
        assert_eq!(
            summaries(&reply),
            [format!("start instance `{version}/main`")]
        );
        assert_eq!(site.ask("SHOW work_mem"), "10MB");
        let reply = site.converges("instance", &json!({ "name": "main", "state": "restarted" }));
        assert_eq!(
            summaries(&reply),
            [format!("restart instance `{version}/main`")]
        );
        let reply = site.converges("instance", &json!({ "name": "main", "state": "reloaded" }));
        assert_eq!(
            summaries(&reply),
            [format!("reload instance `{version}/main`")]
        );

        let reply = site.converges("instance", &json!({ "name": "main", "state": "absent" }));
        assert_eq!(
            summaries(&reply),
            [format!("drop instance `{version}/main`")]
        );
        assert_eq!(reply["change_state"], "dropped");
        assert_eq!(site.servers(), []);
        // What other instances share, and the journal.
        assert_eq!(
            remains(&site, &bare),
            [
                "run/postgresql",
                "srv/log",
                "srv/log/postgresql",
                "srv/srv",
                "srv/srv/pgsql",
                "srv/var",
                "srv/var/pgsocle",
                &format!("srv/var/pgsocle/{version}-main"),
            ]
        );

        let reply = site.converges("instance", &wanted("started"));
        assert_eq!(reply["change_state"], "created");
    }
}

/// Directories that were not there in the beginning.
fn remains(site: &Site, bare: &crate::support::laws::Picture) -> Vec<String> {
    site.picture()
        .files
        .into_iter()
        .filter(|(path, what)| what.contains("directory") && !bare.files.contains_key(path))
        .map(|(path, _)| path)
        .collect()
}

#[test]
fn a_new_instance_is_left_as_its_state_says() {
    for (state, temporarily, runs) in [
        ("stopped", true, false),
        ("present", true, false),
        ("restarted", false, true),
        ("reloaded", false, true),
    ] {
        let site = Site::new(&Major::usual());
        let params = json!({
            "name": "main", "port": site.port(), "state": state, "roles": [{ "name": "ann" }],
        });
        let reply = site.runs_as_checked("instance", &params);
        assert_eq!(site.is_running(), runs, "{state}");
        assert_eq!(
            reply["instance"]["state"],
            if runs { "started" } else { "stopped" }
        );
        let started = summaries(&reply)
            .iter()
            .any(|summary| summary.starts_with("start, for the time of this run"));
        assert_eq!(started, temporarily, "{state}: {reply:#}");
        // The roles of a stopped instance cannot be seen; they can with a word.
        if !runs {
            let mut again = params.clone();
            again["start_temporarily"] = json!(true);
            site.changes_nothing("instance", &again);
            assert!(!site.is_running());
            assert_eq!(
                site.refusal("instance", &params),
                [
                    format!(
                        "service of instance {0}/main: instance `{0}/main` is stopped: its roles and databases can be neither seen nor changed",
                        site.major().number
                    ),
                    format!(
                        "start it (`state: started`, `pgsocle instance start {0}/main`), or have it started for the time of this run (`start_temporarily: true`, `--start-temporarily`); nothing was changed",
                        site.major().number
                    )
                ]
            );
        }
    }
}

#[test]
fn a_drop_keeps_what_is_not_its_own() {
    let site = Site::with_settings(
        &Major::usual(),
        &json!({ "postgresql": { "surole": { "pgpass": true } } }),
    );
    let (port, other) = (site.port(), crate::support::pg::free_port());
    let passfile = site.path("home/.pgpass");
    let foreign = format!(
        "db.example.org:{port}:*:postgres:theirs\n*:{other}:*:postgres:another\n# a remark\n"
    );
    // Before its entry is there: afterwards that would tell of an instance that is missed.
    site.converges("instance", &json!({ "name": "other", "port": other }));
    site.write_owned(&passfile, foreign.as_bytes(), 0o600);
    site.converges(
        "instance",
        &json!({ "name": "main", "port": port, "surole_password": "own" }),
    );
    let text = std::fs::read_to_string(&passfile).unwrap();
    assert!(
        text.contains(&format!("*:{port}:*:postgres:own\n")),
        "{text}"
    );
    site.converges("instance", &json!({ "name": "main", "state": "absent" }));
    let mut lines: Vec<_> = foreign.lines().collect();
    lines.sort_unstable();
    let text = std::fs::read_to_string(&passfile).unwrap();
    let mut left: Vec<_> = text.lines().collect();
    left.sort_unstable();
    assert_eq!(left, lines);
    assert_eq!(site.servers().len(), 1);
    assert!(!Path::new(&site.datadir()).exists());
}

#[test]
fn wal_directory_apart() {
    let site = Site::with_settings(
        &Major::usual(),
        &json!({ "postgresql": { "waldir": "wal/{version}/{name}" } }),
    );
    let bare = site.picture();
    let reply = site.converges("instance", &json!({ "name": "main", "port": site.port() }));
    let wal = std::fs::read_link(site.datadir().join("pg_wal")).unwrap();
    assert_eq!(reply["instance"]["wal_directory"], json!(wal));
    assert!(wal.join("archive_status").is_dir());
    site.converges("instance", &json!({ "name": "main", "state": "absent" }));
    assert!(!wal.exists());
    let remains = remains(&site, &bare);
    let own: Vec<_> = remains
        .iter()
        .filter(|path| path.starts_with("srv/srv"))
        .collect();
    assert_eq!(own, ["srv/srv", "srv/srv/pgsql", "srv/srv/wal"]);
}

#[test]
fn not_mounted() {
    let site = with_main(&json!({ "state": "stopped" }));
    let number = site.major().number;
    let own = site.datadir().parent().unwrap().to_owned();
    let away = site.path("home/away");
    std::fs::rename(&own, &away).unwrap();
    let params = json!({ "name": "main", "port": site.port() });
    for empty in [false, true] {
        if empty {
            std::fs::create_dir_all(site.datadir()).unwrap();
        }
        let [msg, hint] = site.refusal("instance", &params);
        let (head, tail) = msg.split_once("created at ").unwrap_or((&msg, ""));
        assert_eq!(
            head,
            format!("instance {number}/main: instance `{number}/main` existed (")
        );
        assert_eq!(
            tail.split_once(", says").unwrap_or_default().1,
            format!(
                " its journal), but its data directory `SITE/srv/srv/pgsql/{number}/main/data` is missing or empty: not mounted?"
            )
        );
        assert_eq!(
            hint,
            "mount it; or set `recreate: true` to make a new, empty instance in its place"
        );
    }
    std::fs::remove_dir_all(&own).unwrap();
    std::fs::rename(&away, &own).unwrap();
    site.converges("instance", &params);
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "stopped" }),
    );
    std::fs::rename(&own, &away).unwrap();
    let mut again = params.clone();
    again["recreate"] = json!(true);
    let reply = site.converges("instance", &again);
    assert_eq!(reply["change_state"], "created");
    // Dropped on purpose: no word of a mount.
    site.converges("instance", &json!({ "name": "main", "state": "absent" }));
    site.converges("instance", &params);
}

#[test]
fn port_of_a_running_instance() {
    let site = Site::with_settings(
        &Major::usual(),
        &json!({ "postgresql": { "surole": { "pgpass": true } } }),
    );
    let (old, new) = (site.port(), crate::support::pg::free_port());
    let params = |port: u16| json!({ "name": "main", "port": port, "surole_password": "own" });
    site.converges("instance", &params(old));
    let reply = site.converges("instance", &params(new));
    assert_eq!(reply["pending_restart"], true);
    assert_eq!(
        reply["pending_restart_settings"],
        json!([{ "name": "port", "running": old.to_string(), "configured": new.to_string() }])
    );
    assert_eq!(site.socket().port, old.to_string());
    // Whoever speaks with it goes where it listens.
    site.converges("role", &json!({ "instance": "main", "name": "ann" }));
    let reply = site.converges("instance", &json!({ "name": "main" }));
    assert_eq!(reply["pending_restart"], true);
    let mut restart = params(new);
    restart["restart_policy"] = json!("when_required");
    let reply = site.converges("instance", &restart);
    assert_eq!(reply["pending_restart"], false);
    assert_eq!(site.socket().port, new.to_string());
    assert_eq!(
        site.ask("SELECT count(*) FROM pg_roles WHERE rolname = 'ann'"),
        "1"
    );
    let passfile = std::fs::read_to_string(site.path("home/.pgpass")).unwrap();
    assert_eq!(passfile, format!("*:{new}:*:postgres:own\n"));
}

#[test]
fn several_instances() {
    let majors = Major::side_by_side();
    let site = Site::new(majors.last().unwrap());
    let mut ports = Vec::new();
    for (major, name) in majors
        .iter()
        .flat_map(|major| [(major, "one"), (major, "two")])
    {
        let port = crate::support::pg::free_port();
        ports.push(port);
        site.converges(
            "instance",
            &json!({ "name": name, "version": major.number.to_string(), "port": port }),
        );
    }
    assert_eq!(site.servers().len(), ports.len());
    let number = site.major().number;
    site.converges(
        "role",
        &json!({ "instance": format!("{number}/two"), "name": "ann" }),
    );
    if majors.len() == 1 {
        site.converges("role", &json!({ "instance": "one", "name": "bob" }));
        assert_eq!(
            site.refusal("role", &json!({ "name": "bob" })),
            [
                format!("several instances exist: {number}/one, {number}/two"),
                "say which one is meant (`-i`, or `instance`)".into()
            ]
        );
    } else {
        let all: Vec<_> = majors
            .iter()
            .map(|major| format!("{}/one", major.number))
            .collect();
        assert_eq!(
            site.refusal("role", &json!({ "instance": "one", "name": "bob" })),
            [
                format!("instance `one` is ambiguous: {}", all.join(", ")),
                format!("give the version, as `{}`", all[0])
            ]
        );
    }
    let role = json!({ "instance": "tow", "name": "bob" });
    let reply = site.ansible_run("role", false, &role).any_code().json();
    assert_eq!(reply["msg"], "instance `tow` does not exist");
    assert_eq!(
        reply["hint"],
        format!("did you mean `{}/two`?", majors[0].number)
    );
    // An earlier task of the playbook may be the one that makes it.
    assert_eq!(
        site.ansible("role", true, &role)["warnings"],
        json!(["instance `tow` does not exist: the plan assumes that it is made before"])
    );
    site.converges(
        "instance",
        &json!({ "name": "one", "version": number.to_string(), "state": "absent" }),
    );
    assert_eq!(site.servers().len(), ports.len() - 1);
}

#[test]
fn locale_providers_of_every_major() {
    for major in Major::all() {
        let providers = [
            (
                15,
                json!({ "locale_provider": "icu", "icu_locale": "en-US" }),
            ),
            (
                17,
                json!({ "locale_provider": "builtin", "locale": "C.UTF-8" }),
            ),
        ];
        for (since, traits) in providers {
            let site = Site::new(&major);
            let merged = |mut params: Value| {
                for (name, value) in traits.as_object().unwrap() {
                    params[name] = value.clone();
                }
                params
            };
            let instance = merged(json!({ "name": "main", "port": site.port() }));
            if major.number < since {
                let reply = site.refused("instance", &instance);
                assert_eq!(reply["error_kind"], "unsupported", "{reply:#}");
                continue;
            }
            let reply = site.converges("instance", &instance);
            assert_eq!(reply["change_state"], "created", "{reply:#}");
            let provider = &traits["locale_provider"];
            site.converges("database", &merged(json!({ "name": "same" })));
            let other = json!({ "name": "other", "locale": "C", "locale_provider": "libc" });
            site.converges("database", &other);
            let facts = site.ansible("database_info", false, &json!({}));
            let same = facts["databases"].as_array().unwrap();
            assert!(same.iter().any(|view| view["name"] == "same"), "{facts:#}");
            let view = &site.ansible("instance_info", false, &json!({}))["instances"][0];
            assert_eq!(view["locale_provider"], *provider, "{view:#}");
            let changed = json!({ "name": "main", "locale_provider": "libc" });
            let reply = site.refused("instance", &changed);
            assert_eq!(reply["error_kind"], "conflict", "{reply:#}");
        }
    }
}
