//! No password is left where it does not belong, whatever the server is told to log and whatever goes wrong.

use serde_json::{Value, json};

use crate::support::bin::Output;
use crate::support::canary::Canary;
use crate::support::pg::{Major, Site};

/// Everything that a server can be told to write down of a statement.
fn talkative() -> Value {
    json!({
        "log_statement": "all", "log_min_duration_statement": 0, "log_min_error_statement": "debug5",
        "log_min_messages": "debug2", "log_duration": true, "log_min_duration_sample": 0,
        "log_statement_sample_rate": 1, "log_transaction_sample_rate": 1, "log_error_verbosity": "verbose",
        "log_parameter_max_length": -1, "log_parameter_max_length_on_error": -1, "debug_print_parse": true,
        "debug_print_rewritten": true, "debug_print_plan": true, "log_connections": true, "track_activities": true,
        "log_replication_commands": true, "shared_preload_libraries": "pg_stat_statements, auto_explain",
        "auto_explain.log_min_duration": 0, "pg_stat_statements.track": "all",
    })
}

#[test]
fn a_canary_is_found_nowhere() {
    let site = Site::with_settings(
        &Major::usual(),
        &json!({ "postgresql": { "replrole": "replication", "surole": { "pgpass": true } } }),
    );
    let programs = Programs::wrap(&site, &json!({}));
    let canaries: Vec<Canary> = (0..6).map(|_| Canary::new()).collect();
    let word = |index: usize| canaries[index].password();
    let check = |what: &str, output: &Output| {
        for canary in &canaries {
            canary.assert_not_printed(output);
        }
        assert!(
            !output.stdout.contains("SCRAM-SHA-256$"),
            "{what}: {output:?}"
        );
    };
    let mut params = json!({
        "name": "main", "port": site.port(), "settings": talkative(),
        "surole_password": word(0), "replrole_password": word(1),
        "roles": [{ "name": "ann", "login": true, "password": word(2), "pgpass": true }],
    });
    for check_mode in [true, false, false] {
        check(
            "creation",
            &site.ansible_run("instance", check_mode, &params).go(),
        );
    }
    site.ask("CREATE EXTENSION pg_stat_statements");
    // Passwords that change, and drift.
    params["surole_password"] = json!(word(3));
    params["roles"][0]["password"] = json!(word(4));
    for check_mode in [true, false] {
        check(
            "new passwords",
            &site.ansible_run("instance", check_mode, &params).go(),
        );
    }
    // What the server refuses: the statement with the secret itself, and one after it in the same run.
    for role in [
        json!({ "name": "bob", "password": word(5), "settings": { "work_mem": "much" } }),
        json!({ "name": "pg_bob", "password": word(5) }),
        json!({ "name": "bob", "password": word(5), "connection_limit": -5 }),
        json!({ "name": "bob", "password": word(5), "memberships": ["nobody"] }),
        json!({ "name": "bob", "password": word(5), "passwrd": word(4) }),
        json!({ "name": "bob", "password": [word(5)] }),
        json!({ "name": "bob", "encrypted_password": word(5) }),
    ] {
        let mut role = role.clone();
        role["instance"] = json!("main");
        let output = site.ansible_run("role", false, &role).any_code().go();
        assert!(output.code > 0, "{output:?}");
        check("refusal", &output);
    }
    let request = format!(
        "{{\"protocol\": 1, \"params\": {{\"surole_password\": \"{}\"}}",
        word(0)
    );
    check(
        "no JSON",
        &site
            .pgsocle(["ansible", "instance"])
            .stdin(request)
            .any_code()
            .go(),
    );
    // The server's own memory of statements, and what it logged: the verifiers are secrets too.
    let remembered = site.ask("SELECT string_agg(query, ' ') FROM pg_stat_statements");
    assert!(!remembered.contains("PASSWORD"), "{remembered}");
    for entry in std::fs::read_dir(site.path("srv/log/postgresql")).unwrap() {
        let text = std::fs::read(entry.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&text);
        let logged: Vec<_> = text
            .lines()
            .filter(|line| line.contains("SCRAM-SHA-256$"))
            .collect();
        assert!(logged.is_empty(), "a verifier was logged: {logged:#?}");
    }
    for canary in &canaries {
        for below in ["srv/log", "srv/var", "run", "home", "programs"] {
            canary.assert_absent_below(&site.path(below), &[".pgpass"]);
        }
    }
    // The words really were set, and kept where they belong.
    let passfile = std::fs::read_to_string(site.path("home/.pgpass")).unwrap();
    assert!(
        passfile.contains(word(3)) && passfile.contains(word(4)),
        "{passfile}"
    );
    let calls = programs.calls();
    assert!(
        calls.contains("initdb") && calls.contains("pg_ctl"),
        "{calls}"
    );
}

/// The server programs of a site behind scripts that write down how they were called.
pub struct Programs {
    dir: std::path::PathBuf,
}

impl Programs {
    /// `before`: shell text by program, run before the real one; `$real` is its path.
    pub fn wrap(site: &Site, before: &Value) -> Self {
        let dir = site.path("programs");
        let bin = dir.join(site.major().number.to_string()).join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let calls = dir.join("calls");
        site.write_owned(&calls, b"", 0o666);
        for program in [
            "initdb",
            "pg_checksums",
            "pg_ctl",
            "postgres",
            "pg_controldata",
        ] {
            let real = site.major().bindir().join(program);
            let script = format!(
                "#!/bin/sh\nreal='{real}'\nprintf '%s ' '{program}' \"$@\" >>'{calls}'\necho >>'{calls}'\nenv >>'{calls}'\n{before}\nexec \"$real\" \"$@\"\n",
                real = real.display(),
                calls = calls.display(),
                before = before[program].as_str().unwrap_or_default(),
            );
            site.write_owned(&bin.join(program), script.as_bytes(), 0o755);
        }
        site.write_settings(&json!({
            "postgresql": { "bindir": dir.join("{version}/bin"), "replrole": "replication", "surole": { "pgpass": true } },
        }));
        Self { dir }
    }

    /// Every call with its environment.
    pub fn calls(&self) -> String {
        std::fs::read_to_string(self.dir.join("calls")).unwrap()
    }
}
