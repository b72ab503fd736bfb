//! Sites and instances that pglift 3.3 made, managed in place: the same settings file, nothing moved, and pglift reads on.
//! `scripts/pglift.sh` brings pglift here, from the Python package index.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::bin::Run;
use crate::support::pg::{Major, Site};
use crate::support::source::checkout;
use crate::support::tree;

/// The virtual environment, made when it is not there.
fn environment() -> PathBuf {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    // With the environment of who runs the tests: proxies and indexes of pip are said there.
    let made = || {
        let output = Command::new(checkout().join("scripts/pglift.sh"))
            .output()
            .expect("start scripts/pglift.sh");
        assert!(
            output.status.success(),
            "pglift cannot be had: run `scripts/pglift.sh` and see\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("a path")
            .trim_end()
            .into()
    };
    PLACE.get_or_init(made).clone()
}

/// A site that pglift and pgsocle share.
struct Shared(Site);

impl Shared {
    /// `~/` in a setting stands for the home of the servers' user.
    fn new(postgresql: &Value) -> Self {
        let site = Site::new(&Major::usual());
        let home = format!("{}/", site.path("home").display());
        let postgresql: Value =
            serde_json::from_str(&postgresql.to_string().replace("~/", &home)).unwrap();
        let default_version = json!({ "default_version": site.major().number.to_string() });
        // pglift refuses what it does not know.
        site.write_settings(&json!({
            "postgresql": with(default_version, postgresql),
            "deletion_protection": null,
        }));
        let shared = Self(site);
        shared.pglift(&["site-configure", "install"]).go();
        shared
    }

    fn pglift(&self, args: &[&str]) -> Run {
        self.0
            .program(environment().join("bin/pglift"))
            .arg("--non-interactive")
            .args(args)
            .env("PGLIFT_CONFIG_DIR", self.0.path("etc"))
    }

    fn pglift_apply(&self, manifest: &Value) -> Value {
        self.pglift(&["instance", "apply", "-f", "-", "-o", "json"])
            .stdin(manifest.to_string())
            .json()
    }

    fn apply(&self, more: &[&str], manifest: &Value) -> Value {
        self.0
            .pgsocle(["instance", "apply", "-f", "-", "-o", "json"])
            .args(more)
            .stdin(manifest.to_string())
            .json()
    }

    /// What both programs print must be the same. Gives it.
    fn both(&self, args: &[&str]) -> Value {
        let (one, mut other) = (self.pglift(args).json(), self.0.pgsocle(args).json());
        // Instances have holds here.
        for instance in other.as_array_mut().into_iter().flatten() {
            if let Some(hold) = instance.as_object_mut().and_then(|it| it.remove("hold")) {
                assert_eq!(hold, Value::Null);
            }
        }
        assert_eq!(one, other, "{args:?}");
        one
    }

    fn passfile(&self, path: &str) -> String {
        std::fs::read_to_string(self.0.path(path)).unwrap_or_default()
    }

    fn manifest(&self) -> Value {
        json!({
            "name": "main",
            "version": self.0.major().number.to_string(),
            "state": "started",
            "port": self.0.port(),
            "settings": {
                "max_connections": 50,
                "shared_buffers": "32MB",
                "work_mem": "8MB",
                "effective_cache_size": "50%",
                "log_connections": true,
                "log_min_duration_statement": "3s",
                "random_page_cost": 1.5,
                "cluster_name": "{version}/{name}",
                "log_line_prefix": "%m [%p] %q%u@%d ",
                "shared_preload_libraries": "pg_stat_statements",
                "search_path": "\"$user\", public",
            },
            "roles": [
                {
                    "name": "app",
                    "login": true,
                    "password": "it's: a\\word",
                    "pgpass": true,
                    "connection_limit": 10,
                    "valid_until": "2035-01-01T00:00:00+01:00",
                    "memberships": ["pg_read_all_data", { "role": "pg_monitor" }],
                    "hba_records": [
                        { "connection": { "address": "127.0.0.1/32" }, "database": "app", "method": "scram-sha-256" },
                        {
                            "connection": { "type": "hostssl", "address": "10.0.0.0", "netmask": "255.0.0.0" },
                            "database": "app,postgres",
                            "method": "md5",
                        },
                        { "database": "app", "method": "peer" },
                    ],
                },
                { "name": "readers", "inherit": false },
                { "name": "nobody", "state": "absent" },
            ],
            "databases": [
                {
                    "name": "app",
                    "owner": "app",
                    "locale": "C",
                    "settings": {
                        "work_mem": "5MB",
                        "application_name": "my app",
                        "enable_seqscan": false,
                        "random_page_cost": 1.25,
                        "statement_timeout": "30s",
                        "search_path": "public",
                    },
                    "schemas": ["sales", { "name": "audit", "owner": "readers" }],
                    "extensions": ["pg_stat_statements", { "name": "hstore", "schema": "sales" }],
                },
                { "name": "plain" },
                { "name": "gone", "state": "absent" },
            ],
        })
    }
}

fn with(mut manifest: Value, more: Value) -> Value {
    let (Some(manifest_map), Value::Object(more)) = (manifest.as_object_mut(), more) else {
        panic!("objects")
    };
    manifest_map.extend(more);
    manifest
}

fn is_empty(reply: &Value, what: &str) {
    assert_eq!(
        [
            &reply["changed"],
            &reply["plan"],
            &reply["warnings"],
            &reply["undetermined"],
            &reply["pending_restart"]
        ],
        [
            &json!(false),
            &json!([]),
            &json!([]),
            &json!([]),
            &json!(false)
        ],
        "{what}: {reply:#}"
    );
}

fn taken_over(shared: &Shared, manifest: &Value, passfile: &str) {
    let site = &shared.0;
    assert_eq!(
        shared.pglift_apply(manifest)["change_state"],
        "created",
        "{manifest}"
    );

    // As pglift left it, there is nothing to do, and finding this out leaves everything as it is.
    is_empty(&shared.apply(&["--dry-run"], manifest), "dry run");
    is_empty(&shared.apply(&[], manifest), "run");
    shared.both(&["instance", "list", "-o", "json"]);
    let entries = shared.passfile(passfile);

    // A change takes effect where the instance is, and is one for pglift too.
    let places = |site: &Site| {
        let mut tree = tree::snapshot_tree(&site.path("srv"));
        tree.retain(|path, what| {
            what == "directory" && !path.contains("/base/") || what.starts_with("->")
        });
        tree.into_keys()
            .filter(|path| !path.starts_with("var"))
            .collect::<Vec<_>>()
    };
    let at = places(site);
    let mut changed = manifest.clone();
    changed["settings"]["work_mem"] = json!("9MB");
    changed["roles"][0]["password"] = json!("an0ther");
    changed["databases"][0]["settings"]["enable_seqscan"] = json!(true);
    let planned = shared.apply(&["--dry-run"], &changed);
    let reply = shared.apply(&[], &changed);
    assert_eq!(planned["plan"], reply["plan"]);
    assert_eq!(
        reply["changes"],
        json!([
            "set `work_mem` in postgresql.conf",
            format!("reload instance `{}/main`", site.major().number),
            "alter role `app`",
            format!("change the password file {}", site.path(passfile).display()),
            "alter database `app`",
        ]),
        "{reply:#}"
    );
    assert_eq!(places(site), at);
    assert_eq!(
        shared.passfile(passfile),
        entries.replace(r"it's\: a\\word", "an0ther")
    );
    is_empty(&shared.apply(&[], &changed), "second run");
    assert_eq!(shared.pglift_apply(&changed)["change_state"], Value::Null);
    let pglift = |args: &[&str]| shared.pglift(args).args(["-o", "json"]).json();
    assert_eq!(
        pglift(&["instance", "get", "main"])["settings"]["work_mem"],
        "9MB"
    );
    assert_eq!(pglift(&["role", "get", "app"])["pgpass"], true);
    assert_eq!(
        pglift(&["database", "get", "app"])["settings"]["enable_seqscan"],
        true
    );

    // Its life.
    for (verb, code) in [("stop", 3), ("start", 0), ("restart", 0)] {
        site.pgsocle(["instance", verb, "main"]).go();
        shared
            .pglift(&["instance", "status", "main"])
            .code(code)
            .go();
        site.pgsocle(["instance", "status", "main"]).code(code).go();
    }
    shared.both(&["instance", "list", "-o", "json"]);
    site.pgsocle(["--non-interactive", "instance", "drop", "main"])
        .go();
    assert_eq!(shared.both(&["instance", "list", "-o", "json"]), json!([]));
    assert_eq!(shared.passfile(passfile), "");
}

#[test]
fn an_instance_of_a_site_with_default_settings() {
    let shared = Shared::new(&json!({}));
    taken_over(&shared, &shared.manifest(), "home/.pgpass");
}

#[test]
fn an_instance_of_a_site_with_passwords() {
    let shared = Shared::new(&json!({
        "auth": { "local": "scram-sha-256", "host": "scram-sha-256", "passfile": "~/passwords" },
        "surole": { "name": "dba", "pgpass": true },
        "replrole": "standby",
        "initdb": { "locale": "C.UTF-8", "encoding": "UTF8", "data_checksums": true, "allow_group_access": true },
        "datadir": "clusters/{version}-{name}/data",
        "waldir": "clusters/{version}-{name}/wal",
    }));
    let manifest = with(
        shared.manifest(),
        json!({ "surole_password": "s3kret", "replrole_password": "an0ther:one", "auth": { "host": "md5" } }),
    );
    taken_over(&shared, &manifest, "home/passwords");
}

/// What its documentation has playbooks do, as manifests: they load, or are refused by name.
#[test]
fn manifests_that_pglift_reads() {
    let shared = Shared::new(&json!({ "replrole": "replication" }));
    let major = shared.0.major().number.to_string();
    let port = crate::support::pg::free_port();
    let production = json!({
        "name": "prod", "version": major, "state": "started", "port": port, "restart_on_changes": true,
        "settings": {
            "max_connections": 100, "shared_buffers": "10%", "shared_preload_libraries": "unaccent, pg_stat_statements",
            "unix_socket_directories": shared.0.path("run"), "wal_level": null,
        },
        "surole_password": "a", "replrole_password": "b",
        "roles": [
            { "name": "bob", "login": true, "password": "c", "connection_limit": 10, "valid_until": "2035-01-01T00:00",
              "memberships": ["pg_read_all_stats", "pg_signal_backend"] },
            { "name": "peter", "pgpass": true, "password": "d" },
        ],
        "databases": [
            { "name": "db", "owner": "bob", "settings": { "work_mem": "3MB" }, "extensions": [{ "name": "unaccent", "schema": "public" }] },
            { "name": "gone", "state": "absent" },
        ],
    });
    let replicated = "grant `pg_read_all_stats` to role `replication`".to_owned();
    for (manifest, expected) in [
        (
            production.clone(),
            vec![
                format!("create instance `{major}/prod`"),
                format!("write the configuration of instance `{major}/prod`"),
                format!("start instance `{major}/prod`"),
                "alter role `postgres`".into(),
                "create role `replication`".into(),
                "create role `bob`".into(),
                "create role `peter`".into(),
                replicated.clone(),
                "grant `pg_read_all_stats`, `pg_signal_backend` to role `bob`".into(),
                format!(
                    "change the password file {}",
                    shared.0.path("home/.pgpass").display()
                ),
                "create database `db`".into(),
                "create extension `unaccent` of database `db`".into(),
            ],
        ),
        (
            json!({ "name": "dev", "version": major, "state": "stopped", "port": port, "data_checksums": true, "auth": { "local": "peer", "host": "md5" } }),
            vec![
                format!("create instance `{major}/dev`"),
                format!("write the configuration of instance `{major}/dev`"),
                format!(
                    "start, for the time of this run and without TCP listener, instance `{major}/dev`"
                ),
                "create role `replication`".into(),
                replicated,
                format!("stop instance `{major}/dev` again"),
            ],
        ),
        (
            json!({ "name": "old", "version": major, "state": "absent" }),
            vec![],
        ),
    ] {
        let reply = shared.apply(&["--dry-run"], &manifest);
        assert_eq!(reply["changes"], json!(expected), "{reply:#}");
    }

    for (option, value) in [
        ("prometheus", json!({ "port": 9187, "password": "x" })),
        ("powa", json!({ "password": "x" })),
        ("temboard", json!({ "port": 2345 })),
        ("patroni", json!({ "cluster": "c", "node": "n" })),
        (
            "standby",
            json!({ "primary_conninfo": "host=a", "status": "promoted" }),
        ),
        (
            "replication_slots",
            json!(["one", { "name": "two", "state": "absent" }]),
        ),
    ] {
        let mut manifest = production.clone();
        manifest[option] = value;
        let reply = shared
            .0
            .pgsocle(["instance", "apply", "-f", "-", "--dry-run", "-o", "json"])
            .stdin(manifest.to_string())
            .any_code()
            .json();
        assert_eq!(
            reply["msg"],
            format!(
                "`standard input`: instance `prod`: option `{option}` is not supported in this version of pgsocle"
            ),
        );
    }
}
