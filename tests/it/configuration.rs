//! Values of parameters: refused before they are written, refused by the server before it is told, taken back when it
//! does not start with them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::instance::with_main;
use crate::support::pg::{Site, free_port};

impl Site {
    fn conf_path(&self) -> PathBuf {
        self.datadir().join("postgresql.conf")
    }

    /// The text of postgresql.conf.
    fn conf_text(&self) -> String {
        std::fs::read_to_string(self.conf_path()).unwrap()
    }

    /// A line at the end of postgresql.conf, by hand.
    fn append_conf(&self, line: &str) {
        let text = format!("{}{line}\n", self.conf_text());
        self.write_owned(&self.conf_path(), text.as_bytes(), 0o600);
    }

    /// A run that fails after it has begun. Gives message, hint, and what was taken back.
    fn fails(&self, kind: &str, params: &Value) -> [Value; 3] {
        let output = self.ansible_run(kind, false, params).any_code().go();
        assert_ne!(output.code, 0, "{params}");
        let mut reply: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(reply["applied"], json!([]), "{reply:#}");
        let said = |value: &Value| json!(self.redact(value.as_str().unwrap_or_default()));
        [
            said(&reply["msg"]),
            said(&reply["hint"]),
            reply["reverted"].take(),
        ]
    }
}

/// Which no program but the server with its libraries loaded can judge.
const ONLY_THE_SERVER: &str = "plpgsql.extra_warnings";

#[test]
fn what_the_server_would_refuse_is_taken_back_before_the_reload() {
    let site = with_main(&json!({ "settings": { "shared_preload_libraries": "plpgsql" } }));
    let number = site.major().number;
    let (before, loaded) = (site.conf_text(), site.ask("SELECT pg_conf_load_time()"));
    let params =
        json!({ "name": "main", "settings": { ONLY_THE_SERVER: "junk", "work_mem": "9MB" } });
    let line = before.lines().count() + 1;
    assert_eq!(
        site.fails("instance", &params),
        [
            json!(format!(
                "files of instance {number}/main: the server of instance `{number}/main` refuses the new configuration: \
                 `SITE/srv/srv/pgsql/{number}/main/data/postgresql.conf` line {line}: parameter `{ONLY_THE_SERVER}` = `junk`: \
                 setting could not be applied"
            )),
            json!(
                "the previous files are back, and the server was told nothing: correct what is wanted, and try again"
            ),
            json!([format!(
                "set `{ONLY_THE_SERVER}`, `work_mem` in postgresql.conf"
            )]),
        ]
    );
    assert_eq!(site.conf_text(), before);
    assert_eq!(site.ask("SELECT pg_conf_load_time()"), loaded);
}

#[test]
fn errors_that_were_there() {
    let site = with_main(&json!({}));
    let number = site.major().number;
    let file = format!("SITE/srv/srv/pgsql/{number}/main/data/postgresql.conf");
    // One that does not keep the server from taking over others.
    site.append_conf("timezone = 'Mars/Olympus'");
    let line = site.conf_text().lines().count();
    let warning = format!(
        "`{file}` line {line}: parameter `timezone` = `Mars/Olympus`: setting could not be applied (the server goes on with the \
         value that it has, and would not start again)"
    );
    let reply = site.converges(
        "instance",
        &json!({ "name": "main", "settings": { "work_mem": "9MB" } }),
    );
    let warnings: Vec<String> = reply["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| site.redact(warning.as_str().unwrap()))
        .collect();
    assert_eq!(warnings, [warning]);
    assert_eq!(site.ask("SHOW work_mem"), "9MB");
    // One that does: the server would take over nothing.
    site.append_conf("wrk_mem = 4MB");
    let refusal = [
        format!(
            "files of instance {number}/main: the server of instance `{number}/main` takes over no change as its files are: \
             `{file}` line {}: unrecognized configuration parameter `wrk_mem`",
            line + 1
        ),
        "this was so before this run: correct it first, the server would not start again either"
            .to_owned(),
    ];
    for params in [
        json!({ "name": "main", "settings": { "work_mem": "10MB" } }),
        json!({ "name": "main", "state": "reloaded" }),
    ] {
        assert_eq!(site.refusal("instance", &params), refusal, "{params}");
    }
    // Taking it away is no harm.
    site.converges(
        "instance",
        &json!({ "name": "main", "settings": { "wrk_mem": null, "timezone": "UTC" } }),
    );
}

#[test]
fn certificates_that_are_of_no_use() {
    let site = with_main(&json!({}));
    let number = site.major().number;
    let params = json!({ "name": "main", "settings": { "ssl": "on", "ssl_ca_file": "ca.crt" } });
    let data = format!("SITE/srv/srv/pgsql/{number}/main/data");
    assert_eq!(
        site.refusal("instance", &params),
        [
            format!(
                "configuration of instance {number}/main: TLS is on, and `{data}/server.crt`, which is `ssl_cert_file`, does not \
                 exist; `{data}/server.key`, which is `ssl_key_file`, does not exist; `{data}/ca.crt`, which is `ssl_ca_file`, \
                 does not exist"
            ),
            "put the files there first: nothing was changed".to_owned(),
        ]
    );
    // A reload would tell nobody but the log.
    for name in ["server.crt", "server.key"] {
        site.write_owned(&site.datadir().join(name), b"junk\n", 0o600);
    }
    let params = json!({ "name": "main", "settings": { "ssl": "on" } });
    let [said, hint] = site.refusal("instance", &params);
    let start = format!(
        "configuration of instance {number}/main: TLS is on, and PostgreSQL {number} would not start with that: could not load \
         server certificate file `{data}/server.crt`: "
    );
    assert!(said.starts_with(&start), "{said}");
    assert_eq!(
        hint,
        "correct the files, or what is wanted: nothing was changed"
    );
    // Nor would what is spoilt later be told by anybody, and the server goes on with what it has until it is stopped.
    site.certify();
    site.converges("instance", &params);
    site.write_owned(&site.datadir().join("server.crt"), b"junk\n", 0o600);
    let [said, _] = site.refusal("instance", &json!({ "name": "main", "state": "restarted" }));
    let why = format!(
        "again, or would let nobody in: TLS is on, and could not load server certificate file `{data}/server.crt`: "
    );
    assert!(said.contains(&why), "{said}");
    assert!(site.is_running());
    site.certify();
    let restarted = json!({ "name": "main", "state": "restarted" });
    let reply = site.ansible("instance", false, &restarted);
    assert_eq!(reply["changed"], true, "{reply:#}");
}

#[test]
fn a_server_that_would_not_start_again_is_not_stopped_for_a_restart() {
    let site = with_main(&json!({}));
    let number = site.major().number;
    let hba = site.datadir().join("pg_hba.conf");
    let before = std::fs::read_to_string(&hba).unwrap();
    let line = before.lines().count() + 1;
    site.write_owned(&hba, format!("{before}junk\n").as_bytes(), 0o600);
    let refusal = [
        format!(
            "service of instance {number}/main: with its files as they are, the server of instance `{number}/main` would not start \
             again, or would let nobody in: `SITE/srv/srv/pgsql/{number}/main/data/pg_hba.conf` line {line}: invalid connection \
             type \"junk\""
        ),
        "this was so before this run: correct it first; nothing was restarted".to_owned(),
    ];
    // Nor is what no file could hold, or would leave us without a socket, written into one.
    for (settings, msg, hint) in [
        (
            json!({ "app.ten-ant": "x" }),
            "`app.ten-ant` is not the name of a setting",
            "give letters, digits and underscores, and one dot at most",
        ),
        (
            json!({ "include": "more.conf" }),
            "`include` is a directive, not a setting",
            "write it into the file with `pgsocle pgconf edit`",
        ),
        (
            json!({ "unix_socket_directories": "@app, /tmp" }),
            "`unix_socket_directories` = `@app, /tmp` leaves no socket by which the server can be reached",
            "let it begin with a directory, as an absolute path",
        ),
    ] {
        let [said, remedy] =
            site.refusal("instance", &json!({ "name": "main", "settings": settings }));
        let start = format!("configuration of instance {number}/main: ");
        assert_eq!(
            (said.trim_start_matches(&start), remedy.as_str()),
            (msg, hint)
        );
    }
    let settings = json!({ "max_connections": 50 });
    for params in [
        json!({ "name": "main", "state": "restarted" }),
        json!({ "name": "main", "settings": settings, "restart_on_changes": true }),
    ] {
        assert_eq!(site.refusal("instance", &params), refusal, "{params}");
    }
    site.write_owned(&hba, before.as_bytes(), 0o600);
    let mode = |mode: u32| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(site.datadir(), permissions).unwrap();
    };
    mode(0o755);
    let restart = || site.pgsocle(["instance", "restart"]);
    let output = restart().code(1).go();
    assert!(
        output.stderr.contains("would not start again"),
        "{output:?}"
    );
    mode(0o700);
    assert!(site.is_running());
    let allowed = json!({ "instance": "main", "settings": settings, "restart_on_changes": true });
    let reply = site.converges("pgconf", &allowed);
    assert_eq!(reply["pending_restart"], false);
    assert_eq!(site.ask("SHOW max_connections"), "50");
    // A server whose socket somebody has removed answers nobody; it can be stopped all the same.
    let socket = format!("run/postgresql/.s.PGSQL.{}", site.port());
    std::fs::remove_file(site.path(socket)).unwrap();
    let output = site.pgsocle(["instance", "stop"]).code(1).go();
    assert!(
        output
            .stderr
            .contains("pgsocle instance stop --mode immediate"),
        "{output:?}"
    );
    site.pgsocle(["instance", "stop", "--mode", "immediate"])
        .go();
    assert!(!site.is_running());
    // One that may not be looked into hides none of the others.
    mode(0o000);
    let list = site.pgsocle(["instance", "list", "-o", "json"]).json();
    let info = site.ansible("instance_info", false, &json!({}));
    let output = restart().arg("--all").code(1).go();
    mode(0o700);
    assert_eq!(list[0]["status"], "unreadable", "{list:#}");
    assert_eq!(info["instances"][0]["state"], "unreadable", "{info:#}");
    assert!(
        output.stderr.contains("its owner cannot use it"),
        "{output:?}"
    );
}

#[test]
fn files_that_are_not_ours_to_write() {
    let site = with_main(&json!({ "state": "stopped" }));
    let params = json!({ "name": "main", "state": "present", "settings": { "work_mem": "9MB" } });
    let before = site.conf_text();
    // The directory is somebody else's.
    let mode = |mode: u32| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(site.datadir(), permissions).unwrap();
    };
    mode(0o500);
    let output = site.ansible_run("instance", false, &params).code(1).go();
    mode(0o700);
    assert!(output.stdout.contains("Permission denied"), "{output:?}");
    assert!(
        output.stdout.contains("\"error_kind\":\"denied\""),
        "{output:?}"
    );
    assert_eq!(site.conf_text(), before);
    // The file is: its owner is kept, or it is not replaced.
    if nix::unistd::geteuid().is_root() {
        let owner = |uid: u32| std::os::unix::fs::chown(site.conf_path(), Some(uid), None).unwrap();
        let own = std::fs::metadata(site.conf_path()).unwrap().uid();
        std::fs::set_permissions(site.conf_path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        owner(0);
        let [_, hint, _] = site.fails("instance", &params);
        assert_eq!(hint, "give it to the user who owns the instances: `chown`");
        let found = std::fs::metadata(site.conf_path()).unwrap();
        assert_eq!((found.uid(), site.conf_text()), (0, before));
        owner(own);
    }
    site.converges("instance", &params);
    let names: Vec<_> = std::fs::read_dir(site.datadir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with(".pgsocle"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn include_loops_and_missing_files() {
    let site = with_main(&json!({ "state": "stopped" }));
    let number = site.major().number;
    let data = format!("SITE/srv/srv/pgsql/{number}/main/data");
    let params = json!({ "name": "main", "state": "present", "settings": { "work_mem": "9MB" } });
    let (before, start) = (
        site.conf_text(),
        format!("configuration of instance {number}/main: "),
    );
    let line = before.lines().count() + 1;
    site.write_owned(
        &site.datadir().join("a.conf"),
        b"# a\ninclude 'postgresql.conf'\n",
        0o600,
    );
    site.append_conf("include 'a.conf'");
    assert_eq!(
        site.refusal("instance", &params)[0],
        format!(
            "{start}`{data}/a.conf` line 2 includes `{data}/postgresql.conf`, which includes it: the server refuses such a loop"
        )
    );
    site.write_owned(
        &site.datadir().join("a.conf"),
        b"# a\nwork_mem = '4MB\n",
        0o600,
    );
    assert_eq!(
        site.refusal("instance", &params)[0],
        format!("{start}`{data}/a.conf`: syntax error in line 2 of the configuration file")
    );
    // What was so before is a warning while nothing runs.
    std::fs::remove_file(site.datadir().join("a.conf")).unwrap();
    let reply = site.converges("instance", &params);
    let warning = site.redact(reply["warnings"][0].as_str().unwrap());
    assert!(
        warning.contains("a.conf")
            && warning.ends_with("(it was so before this run: the server would not start)"),
        "{warning} {line}"
    );
}

#[test]
fn an_included_file_says_where_a_stopped_one_will_listen() {
    let site = with_main(&json!({ "state": "stopped", "settings": { "work_mem": "8MB" } }));
    let (port, number) = (free_port(), site.major().number);
    let more = site.datadir().join("more.conf");
    let text = format!("port = {port}\nwork_mem = 7MB\n");
    site.write_owned(&more, text.as_bytes(), 0o600);
    site.append_conf("include 'more.conf'\nmaintenance_work_mem = 70MB");
    let shown = || {
        let view: Value = site
            .pgsocle(["instance", "get", "main", "-o", "json"])
            .json();
        let settings =
            ["work_mem", "maintenance_work_mem"].map(|name| view["settings"][name].clone());
        (view["port"].clone(), settings)
    };
    let expected = (json!(port), [json!("7MB"), json!("70MB")]);
    assert_eq!(shown(), expected);
    let listed = site.pgsocle(["instance", "list", "-o", "json"]).json();
    assert_eq!(listed[0]["port"], port);
    // What a run promises of the settings is what they are then.
    let params = json!({ "name": "main", "state": "present", "settings": { "work_mem": "9MB", "maintenance_work_mem": "90MB" } });
    let reply = site.converges("instance", &params);
    let view = &reply["instance"];
    let expected = (json!(port), [json!("7MB"), json!("90MB")]);
    assert_eq!(
        (
            view["port"].clone(),
            ["work_mem", "maintenance_work_mem"].map(|name| view["settings"][name].clone())
        ),
        expected
    );
    assert_eq!(shown(), expected);
    site.converges("instance", &json!({ "name": "main", "state": "started" }));
    assert_eq!(site.socket().port, port.to_string());
    site.converges("role", &json!({ "instance": "main", "name": "ann" }));
    site.converges("instance", &json!({ "name": "main", "state": "stopped" }));
    // Where it cannot be followed, the rest is shown all the same.
    site.write_owned(
        &more,
        format!("{text}include 'more.conf'\n").as_bytes(),
        0o600,
    );
    assert_eq!(shown().1, [json!("9MB"), json!("90MB")]);
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "version": number.to_string(), "state": "absent" }),
    );
}

/// `list` tells of every instance, whatever is wrong with one.
#[test]
fn a_broken_file_hides_no_instance() {
    let site = with_main(&json!({ "state": "stopped" }));
    site.append_conf("work_mem = 'x");
    let listed = site.pgsocle(["instance", "list", "-o", "json"]).json();
    assert_eq!(listed[0]["port"], Value::Null);
    let problem = listed[0]["problem"].as_str().unwrap();
    assert!(problem.contains("postgresql.conf"), "{problem}");
    let output = site.pgsocle(["instance", "list"]).go();
    assert!(output.stdout.contains("main"), "{}", output.stdout);
    assert!(
        output.stderr.starts_with("warning: instance `"),
        "{}",
        output.stderr
    );
}
