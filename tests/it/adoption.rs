//! Clusters that others made become instances, and stop being such, on real servers laid out as Debian's packages do it.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::laws::Socket;
use crate::support::pg::{Major, Site, free_port};

/// A cluster with its configuration beside it, as `pg_createcluster` makes one: `deb/lib/15/main`, `deb/etc/15/main`.
struct Cluster<'a> {
    site: &'a Site,
    name: &'a str,
}

impl<'a> Cluster<'a> {
    /// Made, and not started.
    fn new(site: &'a Site, name: &'a str) -> Self {
        let cluster = Self { site, name };
        let (data, etc) = (cluster.data(), cluster.etc());
        for directory in [&data, &etc, &site.path("run/debian")] {
            site.program("mkdir").arg("-p").arg(directory).go();
        }
        site.postgresql("initdb")
            .args(["--auth=trust", "--no-sync", "-U", "postgres", "-D"])
            .arg(&data)
            .go();
        for file in ["postgresql.conf", "pg_hba.conf", "pg_ident.conf"] {
            site.program("mv").arg(data.join(file)).arg(&etc).go();
        }
        let path = etc.join("postgresql.conf");
        let mut text = std::fs::read_to_string(&path).unwrap();
        let more = format!(
            "data_directory = '{}'\nhba_file = '{}'\nident_file = '{}'\nport = {}\nlisten_addresses = ''\n\
             unix_socket_directories = '{}'\ncluster_name = '15/{name}'\ninclude_dir = 'conf.d'\n",
            data.display(),
            etc.join("pg_hba.conf").display(),
            etc.join("pg_ident.conf").display(),
            site.port(),
            site.path("run/debian").display(),
        );
        text.push_str(&more);
        site.write_owned(&path, text.as_bytes(), 0o644);
        site.program("mkdir").arg(etc.join("conf.d")).go();
        site.write_owned(&etc.join("start.conf"), b"# how\nmanual\n", 0o644);
        cluster
    }

    fn data(&self) -> PathBuf {
        self.site.path(format!("srv/lib/15/{}", self.name))
    }

    fn etc(&self) -> PathBuf {
        self.site.path(format!("srv/etc/15/{}", self.name))
    }

    fn pg_ctl(&self, verb: &str) {
        let options = format!(
            "-c config_file={}",
            self.etc().join("postgresql.conf").display()
        );
        self.site
            .postgresql("pg_ctl")
            .args([verb, "-w", "-s", "-D"])
            .arg(self.data())
            .arg("-l")
            .arg(self.site.path("home/start.log"))
            .args(["-o", &options])
            .go();
    }

    fn ask(&self, query: &str) -> String {
        let socket = Socket::of(&self.data());
        self.site.sql_through(&socket, "postgres", query)
    }

    /// What adopts it under a name.
    fn adopt(&self, name: &str) -> Value {
        json!({ "name": name, "state": "present", "adopt": true, "datadir": self.data() })
    }

    fn with(&self, name: &str, more: Value) -> Value {
        let mut params = self.adopt(name);
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        params
    }

    fn conf(&self) -> String {
        std::fs::read_to_string(self.etc().join("postgresql.conf")).unwrap()
    }
}

#[test]
fn a_running_cluster_is_adopted_lives_and_is_let_go_of() {
    let site = Site::new(&Major::usual());
    let version = site.major().number;
    let cluster = Cluster::new(&site, "my-app");
    cluster.pg_ctl("start");
    let before = site.picture();
    // A name with a hyphen is another one here.
    let reply = site.converges("instance", &cluster.adopt("my_app"));
    assert_eq!(
        reply["changes"].as_array().unwrap().last().unwrap(),
        &json!(format!(
            "adopt `{}` as instance `{version}/my_app`, as it lies and runs",
            cluster.data().display()
        ))
    );
    assert_eq!(reply["instance"]["state"], "started");
    assert_eq!(reply["instance"]["data_directory"], json!(cluster.data()));
    assert_eq!(reply["instance"]["port"], site.port());
    assert_eq!(site.picture().servers, before.servers);
    // The files of the cluster are those that were there.
    let own = |tree: &crate::support::tree::Tree| {
        let mut tree = tree.clone();
        tree.retain(|path, _| path.starts_with("srv/etc") || path.starts_with("srv/lib"));
        tree
    };
    assert_eq!(own(&before.files), own(&site.picture().files));

    // Everything works on it, where its files are.
    let lives = cluster.with(
        "my_app",
        json!({
            "settings": { "work_mem": "9MB" },
            "roles": [{
                "name": "ann", "login": true, "password": "p", "pgpass": true,
                "hba_records": [{ "method": "trust", "database": "all" }],
            }],
            "databases": [{ "name": "shop", "owner": "ann" }],
        }),
    );
    site.converges("instance", &lives);
    assert_eq!(cluster.ask("SHOW work_mem"), "9MB");
    assert!(cluster.conf().contains("\nwork_mem = 9MB"));
    assert!(!cluster.data().join("postgresql.conf").exists());
    let hba = std::fs::read_to_string(cluster.etc().join("pg_hba.conf")).unwrap();
    assert!(hba.lines().any(|line| line.contains("ann")), "{hba}");
    // By its name alone, too.
    let role = json!({ "instance": "my_app", "name": "bob" });
    site.converges("role", &role);
    let waits =
        json!({ "name": "my_app", "settings": { "max_connections": 55 }, "state": "present" });
    let reply = site.converges("instance", &waits);
    assert_eq!(reply["pending_restart"], true);
    for state in ["restarted", "stopped", "started"] {
        site.converges("instance", &json!({ "name": "my_app", "state": state }));
    }
    assert_eq!(
        cluster.ask("SELECT concat_ws(' ', current_setting('max_connections'), current_setting('config_file'))"),
        format!("55 {}", cluster.etc().join("postgresql.conf").display())
    );
    let listed = site.pgsocle(["instance", "list", "-o", "json"]).json();
    assert_eq!(
        listed,
        json!([{
            "name": "my_app", "version": version.to_string(), "port": site.port(), "datadir": cluster.data(), "status": "running", "hold": null,
        }])
    );
    // Temporarily as well, and back.
    site.converges("instance", &json!({ "name": "my_app", "state": "stopped" }));
    let temporarily = json!({ "instance": "my_app", "name": "carl", "start_temporarily": true });
    site.runs_as_checked("role", &temporarily);
    assert!(site.servers().is_empty());
    site.converges("instance", &json!({ "name": "my_app", "state": "started" }));

    // Let go of: the server runs on, and what we made in its files stays; the entry in the password file was ours.
    let passfile = site.path("home/.pgpass");
    let mut text = std::fs::read_to_string(&passfile).unwrap();
    text += "db.example:5432:*:zoe:secret\n";
    site.write_owned(&passfile, text.as_bytes(), 0o600);
    let before = site.picture();
    let forgotten =
        json!({ "name": "my_app", "version": version.to_string(), "state": "forgotten" });
    site.converges("instance", &forgotten);
    let after = site.picture();
    assert_eq!(
        (before.servers, own(&before.files)),
        (after.servers, own(&after.files))
    );
    assert_eq!(
        std::fs::read_to_string(&passfile).unwrap(),
        "db.example:5432:*:zoe:secret\n"
    );
    let state = site.path(format!("srv/var/pgsocle/{version}-my_app"));
    let mut left: Vec<_> = std::fs::read_dir(state)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["history", "lock", "lock.server"]);
    assert_eq!(
        site.pgsocle(["instance", "list", "-o", "json"]).json(),
        json!([])
    );
    // And back again, with what is there.
    site.converges("instance", &lives);
}

#[test]
fn a_stopped_cluster_stays_stopped_and_a_disabled_one_is_not_started() {
    let site = Site::new(&Major::usual());
    let version = site.major().number;
    let cluster = Cluster::new(&site, "main");
    // Never started: only postgresql-common could tell where its configuration is.
    let [said, hint] = site.refusal("instance", &cluster.adopt("main"));
    assert_eq!(
        said,
        "the postgresql.conf of `SITE/srv/lib/15/main` is not to be found"
    );
    assert_eq!(hint, "say where it is with `config_file`");
    let told = cluster.with(
        "main",
        json!({ "config_file": cluster.etc().join("postgresql.conf") }),
    );
    let reply = site.converges("instance", &told);
    assert_eq!(reply["instance"]["state"], "stopped");
    assert!(site.servers().is_empty());
    site.write_owned(&cluster.etc().join("start.conf"), b"disabled\n", 0o644);
    let [said, hint] = site.refusal("instance", &json!({ "name": "main", "state": "started" }));
    assert_eq!(
        said,
        format!(
            "service of instance {version}/main: instance `{version}/main` is not to be started: `SITE/srv/etc/15/main/start.conf` says `disabled`"
        )
    );
    assert_eq!(
        hint,
        "write `manual` or `auto` there first; nothing was changed"
    );
    site.write_owned(&cluster.etc().join("start.conf"), b"manual\n", 0o644);
    site.converges("instance", &json!({ "name": "main", "state": "started" }));
    assert_eq!(cluster.ask("SHOW cluster_name"), "15/main");
}

#[test]
fn what_is_not_adopted() {
    let site = Site::new(&Major::usual());
    let version = site.major().number;
    let cluster = Cluster::new(&site, "main");
    cluster.pg_ctl("start");
    let refusal = |params: &Value| {
        let [said, hint] = site.refusal("instance", params);
        format!("{said}\n  {hint}").replace(&version.to_string(), "15")
    };
    let datadir = |path: &str| json!({ "name": "x", "adopt": true, "datadir": site.path(path) });
    insta::assert_snapshot!(refusal(&cluster.with("main", json!({ "version": "14" }))), @r"
    data directory `SITE/srv/lib/15/main` belongs to PostgreSQL 15, not 14
      adopt it as `15/main`
    ");
    insta::assert_snapshot!(refusal(&datadir("srv/nowhere")), @r"
    data directory `SITE/srv/nowhere` does not exist
      say where the cluster lies with `datadir`; is its file system mounted?
    ");
    insta::assert_snapshot!(refusal(&datadir("srv/etc")), @r"
    `SITE/srv/etc` holds no cluster (or one that is still being made)
      say where the cluster lies with `datadir`
    ");
    insta::assert_snapshot!(refusal(&json!({ "name": "x", "adopt": true, "datadir": "lib" })), @"data directory `lib` is not an absolute path");
    // This machine may have clusters of its own.
    let said = refusal(&json!({ "name": "nobody", "version": version.to_string(), "adopt": true }));
    let (said, hint) = said.split_once("\n  ").unwrap();
    assert_eq!(
        said,
        "there is no cluster `15/nobody` to adopt, neither below /etc/postgresql nor below /var/lib/pgsql"
    );
    assert!(
        hint.starts_with("say where it lies with `datadir`"),
        "{hint}"
    );
    insta::assert_snapshot!(refusal(&json!({ "name": "my-app", "adopt": true })), @r"
    instance name `my-app` is not valid
      use letters, digits and underscores (it becomes part of paths, units and log file names); a cluster with another name is adopted under one like this, with its `datadir`
    ");
    insta::assert_snapshot!(refusal(&json!({ "name": "x", "datadir": cluster.data() })), @r"
    instance `x`: `datadir` and `config_file` say where a cluster lies that is adopted
      set `adopt: true`; where instances are made, the site settings say
    ");
    insta::assert_snapshot!(refusal(&cluster.with("x", json!({ "state": "absent" }))), @"instance `x`: `adopt: true` and that it is not to be there contradict each other");
    // Others run it.
    for (name, content) in [
        ("patroni.dynamic.json", "{}"),
        ("postgresql-auto-failover.conf", ""),
    ] {
        let trace = cluster.data().join(name);
        site.write_owned(&trace, content.as_bytes(), 0o600);
        let said = refusal(&cluster.adopt("main"));
        assert!(
            said.contains(&format!("(there is a file `{name}`): it is not adopted")),
            "{said}"
        );
        std::fs::remove_file(trace).unwrap();
    }
    // A name that exists; another data directory; another name for the same one.
    site.ansible(
        "instance",
        false,
        &json!({ "name": "own", "state": "stopped", "port": free_port() }),
    );
    insta::assert_snapshot!(refusal(&cluster.adopt("own")), @r"
    adoption of instance 15/own: instance `15/own` is there already, at `SITE/srv/srv/pgsql/15/own/data`: it cannot be adopted from another data directory
      choose another name; nothing was changed
    ");
    site.changes_nothing(
        "instance",
        &json!({ "name": "own", "adopt": true, "state": "present" }),
    );
    insta::assert_snapshot!(refusal(&json!({
        "name": "x", "adopt": true, "datadir": site.path(format!("srv/srv/pgsql/{version}/own/data")),
    })), @r"
    adoption of instance 15/x: data directory `SITE/srv/srv/pgsql/15/own/data` is that of instance `15/own` already
      call it by that name; nothing was changed
    ");
    insta::assert_snapshot!(refusal(&json!({ "name": "own", "state": "forgotten" })), @r"
    instance 15/own: instance `15/own` was not adopted: it is one because it lies at `SITE/srv/srv/pgsql/15/own/data`, where the settings have it
      stop it, or drop it; nothing was changed
    ");
    site.converges("instance", &cluster.adopt("main"));
    insta::assert_snapshot!(refusal(&cluster.adopt("second")), @r"
    adoption of instance 15/second: data directory `SITE/srv/lib/15/main` is that of instance `15/main` already
      call it by that name; nothing was changed
    ");
    insta::assert_snapshot!(refusal(&cluster.with("main", json!({ "datadir": site.path("srv/nowhere") }))), @r"
    data directory `SITE/srv/nowhere` does not exist
      say where the cluster lies with `datadir`; is its file system mounted?
    ");
    insta::assert_snapshot!(refusal(&cluster.with("main", json!({
        "version": version.to_string(), "datadir": site.path("srv/nowhere"),
    }))), @r"
    adoption of instance 15/main: instance `15/main` is adopted already, from `SITE/srv/lib/15/main`: it cannot be adopted from another data directory
      choose another name; nothing was changed
    ");
    // What was adopted is not ours to remove.
    insta::assert_snapshot!(refusal(&json!({ "name": "main", "state": "absent" })), @r"
    instance 15/main: instance `15/main` was adopted: its files are not pgsocle's to remove
      let go of it with `pgsocle instance forget 15/main` (`state: forgotten`); then its data directory can be removed by hand
    ");
}

#[test]
fn another_cluster_at_the_place_of_an_adopted_one_and_none() {
    let site = Site::new(&Major::usual());
    let version = site.major().number;
    let cluster = Cluster::new(&site, "main");
    cluster.pg_ctl("start");
    site.converges("instance", &cluster.adopt("main"));
    cluster.pg_ctl("stop");
    let (data, aside) = (cluster.data(), site.path("srv/lib/15/aside"));
    std::fs::rename(&data, &aside).unwrap();
    let refusals = || {
        let mut all = Vec::new();
        for (kind, params) in [
            ("instance", json!({ "name": "main" })),
            ("instance", json!({ "name": "main", "recreate": true })),
            ("instance", cluster.adopt("main")),
            ("role", json!({ "instance": "main", "name": "bob" })),
        ] {
            let [said, hint] = site.refusal(kind, &params);
            all.push(format!("{said}\n  {hint}").replace(&version.to_string(), "15"));
        }
        let output = site.pgsocle(["instance", "start", "main"]).code(1).go();
        all.push(
            site.redact(&output.stderr)
                .replace(&version.to_string(), "15"),
        );
        all.dedup();
        all.join("\n").trim_end().to_owned()
    };
    insta::assert_snapshot!(refusals(), @r"
    the adopted instance `15/main` has no cluster at `SITE/srv/lib/15/main`: not mounted, moved, or removed?
      mount it; or let go of the instance with `pgsocle instance forget 15/main`
    error: the adopted instance `15/main` has no cluster at `SITE/srv/lib/15/main`: not mounted, moved, or removed?
    hint: mount it; or let go of the instance with `pgsocle instance forget 15/main`
    ");
    let listed = site.pgsocle(["instance", "list", "-o", "json"]).json();
    assert_eq!(listed[0]["status"], "missing");
    let info = site.ansible("instance_info", false, &json!({}));
    assert_eq!(info["instances"][0]["state"], "missing");
    // Another one in its place.
    site.postgresql("initdb")
        .args(["--auth=trust", "--no-sync", "-U", "postgres", "-D"])
        .arg(&data)
        .go();
    let said = refusals();
    let first = said.lines().next().unwrap();
    assert!(
        first.starts_with("data directory `SITE/srv/lib/15/main` holds another cluster than the one that was adopted as instance `15/main` (system identifier "),
        "{said}"
    );
    // It can be let go of all the same.
    site.converges(
        "instance",
        &json!({ "name": "main", "version": version.to_string(), "state": "forgotten" }),
    );
}

#[test]
fn as_people_do_it() {
    let site = Site::new(&Major::usual());
    let version = site.major().number;
    let cluster = Cluster::new(&site, "main");
    cluster.pg_ctl("start");
    let id = cluster.ask("SELECT system_identifier FROM pg_control_system()");
    let name = format!("{version}/main");
    let data = cluster.data().display().to_string();
    let run = |args: &[&str]| {
        let output = site.pgsocle(args).go();
        site.redact(&output.stdout)
            .replace(&id, "IDENTIFIER")
            .replace(&version.to_string(), "15")
    };
    let before = site.picture();
    insta::assert_snapshot!(run(&["instance", "adopt", &name, "--datadir", &data, "--dry-run", "--diff"]), @r"
    adopt `SITE/srv/lib/15/main` as instance `15/main`, as it lies and runs (impact: none)
    --- adoption 15/main
    +++ adoption 15/main
    @@ -0,0 +1,7 @@
    +data_directory: SITE/srv/lib/15/main
    +wal_directory: SITE/srv/lib/15/main/pg_wal
    +config_file: SITE/srv/etc/15/main/postgresql.conf
    +hba_file: SITE/srv/etc/15/main/pg_hba.conf
    +ident_file: SITE/srv/etc/15/main/pg_ident.conf
    +socket_directory: SITE/run/debian
    +system_identifier: IDENTIFIER
    dry run: nothing was changed
    ");
    before.assert_same(&site.picture(), "a dry run");
    insta::assert_snapshot!(run(&["instance", "adopt", &name, "--datadir", &data]), @"adopt `SITE/srv/lib/15/main` as instance `15/main`, as it lies and runs");
    insta::assert_snapshot!(run(&["instance", "adopt", &name]), @"nothing to do");
    insta::assert_snapshot!(run(&["instance", "status", "main"]), @"PostgreSQL: running");
    insta::assert_snapshot!(run(&["instance", "forget", "main"]), @"forget instance `15/main`: `SITE/srv/lib/15/main` stays as it runs");
    let missing = site.pgsocle(["instance", "forget", "main"]).code(2).go();
    assert_eq!(
        missing.stderr,
        "error: instance `main` does not exist: there is none at all\n"
    );
}

#[test]
fn a_cluster_with_a_tablespace_elsewhere() {
    let site = Site::new(&Major::usual());
    let version = site.major().number;
    let cluster = Cluster::new(&site, "main");
    let space = site.path("srv/space");
    site.program("mkdir").arg(&space).go();
    cluster.pg_ctl("start");
    let create = format!("CREATE TABLESPACE fast LOCATION '{}'", space.display());
    cluster.ask(&create);
    cluster.ask("CREATE TABLE t TABLESPACE fast AS SELECT 1 AS n");
    let database = json!({ "name": "shop", "tablespace": "fast" });
    site.converges(
        "instance",
        &cluster.with("main", json!({ "databases": [database] })),
    );
    for state in ["stopped", "started"] {
        site.converges("instance", &json!({ "name": "main", "state": state }));
    }
    let found = "SELECT concat_ws(' ', n, (SELECT spcname FROM pg_tablespace s, pg_database d \
                 WHERE d.dattablespace = s.oid AND datname = 'shop')) FROM t";
    assert_eq!(cluster.ask(found), "1 fast");
    // Let go of, it is there as it was.
    site.converges(
        "instance",
        &json!({ "name": "main", "version": version.to_string(), "state": "forgotten" }),
    );
    assert_eq!(cluster.ask(found), "1 fast");
}

#[test]
fn a_cluster_of_another_user() {
    // Only root gives directories away.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let site = Site::new(&Major::usual());
    let cluster = Cluster::new(&site, "main");
    let told = cluster.with(
        "main",
        json!({ "config_file": cluster.etc().join("postgresql.conf") }),
    );
    std::os::unix::fs::chown(cluster.data(), Some(2), None).unwrap();
    // Whether it lets others in or not.
    for mode in [0o750, 0o700] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(cluster.data(), mode).unwrap();
        let [said, hint] = site.refusal("instance", &told);
        let user = site.sysuser();
        assert_eq!(
            said,
            format!(
                "data directory `SITE/srv/lib/15/main` belongs to user `bin`, and instances of this site belong to `{user}`"
            )
        );
        assert_eq!(
            hint,
            "adopt it with a site of its own, whose settings have `sysuser: [bin, …]` (PGSOCLE_CONFIG_DIR names its directory)"
        );
    }
}

#[test]
fn before_the_packages_are_there() {
    let site = Site::new(&Major::usual());
    let nowhere = json!({ "postgresql": { "bindir": site.path("none/{version}") } });
    site.write_settings(&nowhere);
    for more in [
        json!({ "version": "15" }),
        json!({ "version": "15", "datadir": site.path("srv/nowhere") }),
    ] {
        let mut params = json!({ "name": "nobody", "adopt": true });
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        // What the packages will bring is not known; without them there is nothing to adopt.
        let checked = site.ansible("instance", true, &params);
        assert_eq!(checked["changed"], false);
        assert_eq!(
            checked["undetermined"],
            json!([
                "adoption of instance 15/nobody: server programs of PostgreSQL 15 are not installed yet, and neither is there a cluster"
            ])
        );
        let reply = site.ansible_run("instance", false, &params).code(1).json();
        assert_eq!(reply["error_kind"], "not_found");
    }
}
