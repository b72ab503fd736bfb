//! Bad input: a clear error, the same in check mode and in a run; nothing changed, nothing lost.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::instance::with_main;
use crate::support::pg::{Major, Site, listener};

fn refused(site: &Site, params: &Value, msg: &str, hint: &str) {
    let [said, remedy] = site.refusal("instance", params);
    assert_eq!((said.as_str(), remedy.as_str()), (msg, hint), "{params}");
}

#[test]
fn names_and_ports() {
    let site = Site::new(&Major::usual());
    refused(
        &site,
        &json!({ "name": "15/main" }),
        "instance name `15/main` is not valid",
        "the name is `main`; give the major as the `version` (`--version 15`)",
    );
    for name in ["", "a/b", "a-b", "..", "a b", "é", "a\n", &"x".repeat(64)] {
        refused(
            &site,
            &json!({ "name": name, "port": site.port() }),
            &format!("instance name `{name}` is not valid"),
            "use letters, digits and underscores (it becomes part of paths, units and log file names); a cluster with another name is adopted under one like this, with its `datadir`",
        );
    }
    for port in [-1_i64, 0, 65_536, 70_000] {
        refused(
            &site,
            &json!({ "name": "main", "port": port }),
            &format!("instance `main`: port {port} is out of range"),
            "ports are from 1 to 65535",
        );
    }
}

#[test]
fn a_port_that_is_taken_on_one_address_family() {
    let site = Site::new(&Major::usual());
    let number = site.major().number;
    for address in ["127.0.0.1", "0.0.0.0", "::1", "::"] {
        let listener = match listener(address, site.port()) {
            Ok(listener) => listener,
            // A host without IPv6 has nothing to refuse there.
            Err(error)
                if address.contains(':')
                    && error.kind() == std::io::ErrorKind::AddrNotAvailable =>
            {
                continue;
            }
            Err(error) => panic!("{address}: {error}"),
        };
        refused(
            &site,
            &json!({ "name": "main", "port": site.port() }),
            &format!(
                "instance {number}/main: port PORT of instance `{number}/main` is taken on this host"
            ),
            "give another `port`; `ss -ltnp sport = :PORT` shows who listens",
        );
        drop(listener);
    }
}

#[test]
fn a_data_directory_that_is_not_ours_to_fill() {
    let site = Site::new(&Major::usual());
    let number = site.major().number;
    site.program("mkdir").arg("-p").arg(site.datadir()).go();
    let photo = site.datadir().join("holiday.jpg");
    site.write_owned(&photo, b"sun", 0o600);
    let params = json!({ "name": "main", "port": site.port() });
    refused(
        &site,
        &params,
        &format!(
            "instance {number}/main: data directory `SITE/srv/srv/pgsql/{number}/main/data` exists, is not empty and holds no cluster"
        ),
        "empty it, or change `postgresql.datadir` in the site settings; nothing was changed",
    );
    refused(
        &site,
        &json!({ "name": "main", "state": "absent" }),
        &format!(
            "instance {number}/main: data directory `SITE/srv/srv/pgsql/{number}/main/data` holds something that is no cluster: it is not removed"
        ),
        "look into it, and remove it by hand if it is not needed",
    );
    std::fs::remove_file(photo).unwrap();
    let wal = site.datadir().with_file_name("wal");
    site.program("mkdir")
        .arg("-p")
        .arg(wal.join("archive_status"))
        .go();
    refused(
        &site,
        &params,
        &format!(
            "instance {number}/main: WAL directory `SITE/srv/srv/pgsql/{number}/main/wal` exists and is not empty"
        ),
        "empty it; nothing was changed",
    );
}

#[test]
fn majors_locales_and_encodings() {
    let site = Site::new(&Major::usual());
    let number = site.major().number;
    let port = site.port();
    let [msg, hint] = site.refusal(
        "instance",
        &json!({ "name": "main", "port": port, "version": "9.6" }),
    );
    assert_eq!(
        (msg.as_str(), hint.as_str()),
        (
            "wrong value of `instance.version`: `9.6` is not a major version of PostgreSQL",
            ""
        )
    );
    for (params, msg, hint) in [
        (
            json!({ "locale": "xx_XX.UTF-8" }),
            format!(
                "instance {number}/main: locale `xx_XX.UTF-8` of instance `{number}/main` is not known on this host"
            ),
            "`locale -a` lists the known ones; Debian makes it with `localedef -i xx_XX -f UTF-8 xx_XX.UTF-8`",
        ),
        (
            json!({ "encoding": "UTF9" }),
            format!(
                "instance {number}/main: instance `{number}/main`: encoding `UTF9` is not known to PostgreSQL"
            ),
            "did you mean `UTF8`?",
        ),
        (
            json!({ "locale_provider": "icu" }),
            format!(
                "instance {number}/main: instance `{number}/main`: `locale_provider: icu` needs `icu_locale`, as `en-US` or `und`"
            ),
            "",
        ),
    ] {
        let mut all = json!({ "name": "main", "port": port });
        for (key, value) in params.as_object().unwrap() {
            all[key] = value.clone();
        }
        refused(&site, &all, &msg, hint);
    }
    // A newer one than we know is a warning, and its programs are missing: a plan, and a warning, in check mode.
    let newer =
        json!({ "name": "main", "port": port, "version": "19", "roles": [{ "name": "ann" }] });
    let before = site.picture();
    let reply = site.ansible("instance", true, &newer);
    assert_eq!(
        reply["warnings"],
        json!([
            "PostgreSQL 19 is newer than this program knows (up to 18)",
            "server programs of PostgreSQL 19 are not installed: no initdb in `/usr/lib/postgresql/19/bin`",
        ])
    );
    assert_eq!(
        reply["changes"],
        json!([
            "create instance `19/main`",
            "write the configuration of instance `19/main`",
            "start instance `19/main`",
            "create role `ann`"
        ])
    );
    let reply = site
        .ansible_run("instance", false, &newer)
        .any_code()
        .json();
    assert_eq!(
        reply["msg"],
        "server programs of PostgreSQL 19 are not installed: no initdb in `/usr/lib/postgresql/19/bin`"
    );
    assert_eq!(
        reply["hint"],
        "install them (Debian: postgresql-19), or set `postgresql.bindir` or `postgresql.versions` in the site settings"
    );
    before.assert_same(&site.picture(), "a refused creation");
}

#[test]
fn settings_that_make_no_sense() {
    let site = with_main(&json!({}));
    let number = site.major().number;
    for (settings, msg, hint) in [
        (
            json!({ "wrk_mem": "8MB" }),
            format!("setting `wrk_mem` is not known to PostgreSQL {number}"),
            "did you mean `work_mem`?",
        ),
        (
            json!({ "max_connections": "abc" }),
            "setting `max_connections`: invalid value `abc` for parameter `max_connections`".into(),
            "give a whole number",
        ),
        (
            json!({ "port": 5 }),
            "`port` does not belong in `settings`".into(),
            "give it as the option `port`",
        ),
        (
            json!({ "data_directory": "/" }),
            "`data_directory` cannot be set: the site settings say where files are".into(),
            "",
        ),
    ] {
        let [said, remedy] =
            site.refusal("instance", &json!({ "name": "main", "settings": settings }));
        assert!(said.ends_with(&msg), "{said}");
        assert_eq!(remedy, hint, "{said}");
    }
}

#[test]
fn what_only_creation_can_choose() {
    let site = with_main(&json!({ "locale": "C", "encoding": "UTF8" }));
    let number = site.major().number;
    site.changes_nothing(
        "instance",
        &json!({ "name": "main", "locale": "C", "encoding": "utf-8" }),
    );
    for (option, value, was, becomes) in [
        ("locale", json!("C.UTF-8"), "C", "C.UTF-8"),
        ("encoding", json!("LATIN1"), "UTF8", "LATIN1"),
        ("locale_provider", json!("icu"), "libc", "icu"),
    ] {
        refused(
            &site,
            &json!({ "name": "main", option: value, "settings": { "work_mem": "8MB" } }),
            &format!(
                "traits of instance {number}/main: instance `{number}/main`: `{option}` is `{was}` and cannot become `{becomes}`: it is chosen at creation"
            ),
            "leave it out, or make another instance; nothing was changed",
        );
    }
}

#[test]
fn an_instance_that_must_exist() {
    let site = with_main(&json!({ "state": "stopped" }));
    let number = site.major().number;
    refused(
        &site,
        &json!({ "name": "mian", "create": false }),
        &format!(
            "instance {number}/mian: instance `{number}/mian` does not exist (is `{number}/main` meant?)"
        ),
        "it is not made because of `create: false`; list instances with `pgsocle instance list`",
    );
    site.changes_nothing(
        "instance",
        &json!({ "name": "main", "create": false, "state": "present" }),
    );
}

#[test]
fn members_of_nobody() {
    let site = with_main(&json!({}));
    let number = site.major().number;
    let params = json!({
        "name": "main", "settings": { "work_mem": "8MB" },
        "roles": [{ "name": "ann" }, { "name": "bob", "memberships": ["an"] }],
    });
    refused(
        &site,
        &params,
        &format!(
            "roles of {number}/main: role `bob` is to be a member of role `an`, which does not exist"
        ),
        "create it before, or correct the name",
    );
    for (spec, msg) in [
        (json!({ "name": "" }), "role: the name is empty"),
        (
            json!({ "name": "a", "connection_limit": -2 }),
            "role `a`: `connection_limit` is -1 (no limit) or more",
        ),
        (
            json!({ "name": "a", "password": "" }),
            "role `a`: the password is empty",
        ),
        (
            json!({ "name": "a", "password": "p", "encrypted_password": "md5" }),
            "role `a`: `password` and `encrypted_password` exclude each other",
        ),
        (
            json!({ "name": "a", "encrypted_password": "plain" }),
            "role `a`: `encrypted_password` is neither a SCRAM-SHA-256 verifier nor an MD5 hash",
        ),
        (
            json!({ "name": "a", "drop_owned": true }),
            "role `a`: `drop_owned` and `reassign_owned` need `state: absent`",
        ),
    ] {
        let mut role = spec.clone();
        role["instance"] = json!("main");
        assert_eq!(site.refusal("role", &role)[0], msg);
    }
    let [msg, _] = site.refusal(
        "role",
        &json!({ "instance": "main", "name": "a", "valid_until": "some day" }),
    );
    assert!(
        msg.ends_with("invalid input syntax for type timestamp with time zone: \"some day\""),
        "{msg}"
    );
    for address in ["300.0.0.0/8", "10.0.0.0/33"] {
        let hba = json!([{ "method": "trust", "connection": { "address": address } }]);
        let [msg, _] = site.refusal(
            "role",
            &json!({ "instance": "main", "name": "a", "hba_records": hba }),
        );
        assert!(
            msg.contains("role `a`: entry of pg_hba.conf: ") && msg.contains(address),
            "{msg}"
        );
    }
    let twice = json!({ "name": "main", "roles": [{ "name": "a" }, { "name": "a" }] });
    assert_eq!(
        site.refusal("instance", &twice)[0],
        "role `a` is given twice"
    );
    // The superuser role stays.
    assert_eq!(
        site.refusal(
            "role",
            &json!({ "instance": "main", "name": "postgres", "state": "absent" })
        )[0],
        format!(
            "roles of {number}/main: role `postgres` is the superuser role of the instance: it is not dropped"
        )
    );
}

#[test]
fn site_settings_that_cannot_be_used() {
    let site = Site::new(&Major::usual());
    let file = site.path("etc/settings.yaml");
    let good = std::fs::read(&file).unwrap();
    for text in [
        &b"prefix: [\n"[..],
        b"prefix: 3\n",
        b"prefx: /srv\n",
        b"\xff\xfe",
        b"- a\n",
        b"sysuser: 12",
    ] {
        std::fs::write(&file, text).unwrap();
        let [msg, _] = site.refusal("instance", &json!({ "name": "main" }));
        assert!(msg.contains("SITE/etc/settings.yaml"), "{msg}");
    }
    std::fs::write(&file, &good).unwrap();
    if nix::unistd::geteuid().is_root() {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let [msg, hint] = site.refusal("instance", &json!({ "name": "main" }));
        assert!(
            msg.starts_with("the site settings cannot be read: "),
            "{msg}"
        );
        assert_eq!(hint, "every user of pgsocle must be able to read them");
    }
}

#[test]
fn two_at_once() {
    let site = Site::new(&Major::usual());
    let params = json!({ "name": "main", "port": site.port(), "roles": [{ "name": "ann" }] });
    let runs: Vec<_> = (0..6)
        .map(|index| {
            std::thread::sleep(std::time::Duration::from_millis(index * 150));
            site.ansible_run("instance", false, &params).start()
        })
        .collect();
    let changed: Vec<Value> = runs
        .into_iter()
        .map(|run| serde_json::from_str::<Value>(&run.wait().stdout).unwrap()["changed"].take())
        .collect();
    // What one has done the others find done: no object is made twice.
    assert!(changed.contains(&json!(true)), "{changed:?}");
    assert_eq!(
        site.ask("SELECT count(*) FROM pg_roles WHERE rolname = 'ann'"),
        "1"
    );
    assert_eq!(site.servers().len(), 1);
    site.changes_nothing("instance", &params);
}

/// Where the server asks for a password after all (an adopted `pg_hba.conf`), the site's password file is what we have.
#[test]
fn a_wrong_password() {
    let site = Site::new(&Major::usual());
    let params = json!({ "name": "main", "port": site.port(), "surole_password": "right" });
    site.ansible("instance", false, &params);
    let file = site.datadir().join("pg_hba.conf");
    let own = std::fs::read_to_string(&file).unwrap();
    let asking = own.replace("peer map=pgsocle", "scram-sha-256");
    assert_ne!(own, asking);
    std::fs::write(&file, asking).unwrap();
    site.ask("SELECT pg_reload_conf()");
    let role = json!({ "name": "ann", "login": true });
    let entry = |password: &str| format!("*:{}:*:postgres:{password}\n", site.port());
    let passfile = site.path("home/.pgpass");
    site.write_owned(&passfile, entry("wr0ng-canary").as_bytes(), 0o600);
    let reply = site.ansible_run("role", false, &role).code(1).json();
    assert_eq!(
        site.redact(reply["msg"].as_str().unwrap()),
        format!(
            "service of instance {}/main: no session as role `postgres` through \
             SITE/run/postgresql/.s.PGSQL.PORT: password authentication failed for user \"postgres\"",
            site.major().number
        )
    );
    assert!(
        reply["hint"].as_str().unwrap().contains("password file"),
        "{reply}"
    );
    assert!(!reply.to_string().contains("wr0ng-canary"));
    site.write_owned(&passfile, entry("right").as_bytes(), 0o600);
    assert_eq!(site.ansible("role", false, &role)["changed"], json!(true));
}
