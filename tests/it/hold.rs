//! Held instances: nothing starts them, whoever tries is told why, and what runs is left alone.

use serde_json::{Value, json};

use super::instance::with_main;
use super::support::pg::Site;

const REASON: &str = "disks are replaced";

fn hold(stop: bool) -> Value {
    json!({ "instance": "main", "reason": REASON, "stop": stop })
}

impl Site {
    fn held_by(&self) -> String {
        let view = self.ansible("instance_info", false, &json!({ "instance": "main" }));
        let hold = &view["instances"][0]["hold"];
        assert_eq!(hold["reason"], REASON);
        format!(
            "held by `{}` since {}",
            hold["by"].as_str().unwrap(),
            hold["since"].as_str().unwrap()
        )
    }
}

#[test]
fn a_held_instance_is_not_started() {
    let site = with_main(&json!({}));
    let name = format!("{}/main", site.major().number);
    let reply = site.converges("instance_hold", &hold(true));
    assert_eq!(
        reply["changes"],
        json!([
            format!("hold instance `{name}`: {REASON}"),
            format!("stop instance `{name}`")
        ])
    );
    assert!(!site.is_running());

    let why = |done: &str, who: &str| {
        let by = site.held_by();
        [
            format!("{who}: instance `{name}` is held and cannot be {done}: {REASON} ({by})"),
            format!(
                "`pgsocle instance release {name}` ends that, when the reason is gone; nothing was changed"
            ),
        ]
    };
    let service = format!("service of instance {name}");
    let instance = |more: Value| {
        let mut params = json!({ "name": "main", "port": site.port() });
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        params
    };
    let role = json!({ "instance": "main", "name": "bob", "start_temporarily": true });
    let briefly = "started, not even for the time of a run";
    for (kind, params, done, who) in [
        ("instance", instance(json!({})), "started", &service),
        // Nothing else of the run is done either.
        (
            "instance",
            instance(json!({ "settings": { "work_mem": "9MB" } })),
            "started",
            &service,
        ),
        (
            "instance",
            instance(json!({ "state": "restarted" })),
            "started",
            &service,
        ),
        (
            "instance",
            instance(
                json!({ "state": "present", "start_temporarily": true, "roles": [{ "name": "bob" }] }),
            ),
            briefly,
            &service,
        ),
        ("role", role, briefly, &service),
        (
            "instance",
            instance(json!({ "state": "absent" })),
            "dropped",
            &format!("hold of instance {name}"),
        ),
    ] {
        assert_eq!(
            site.refusal(kind, &params),
            why(done, who).map(|text| site.redact(&text))
        );
    }

    // What need not start anything goes on.
    site.converges(
        "instance",
        &instance(json!({ "state": "stopped", "settings": { "work_mem": "9MB" } })),
    );

    let reply = site.converges(
        "instance_hold",
        &json!({ "instance": "main", "state": "released" }),
    );
    assert_eq!(reply["instance"]["hold"], Value::Null);
    assert!(!site.is_running(), "a release starts nothing");
    site.converges("instance", &instance(json!({})));
    assert!(site.is_running());
}

#[test]
fn a_hold_leaves_a_running_server_alone() {
    let site = with_main(&json!({}));
    let name = format!("{}/main", site.major().number);
    let reply = site.converges("instance_hold", &hold(false));
    assert_eq!(
        reply["warnings"],
        json!([format!(
            "instance `{name}` runs on: held, it will not be started again once it has ended; \
             `stop` (`--stop`) stops it with the hold"
        )])
    );
    assert!(site.is_running());
    let wanted = |more: Value| {
        let mut params =
            json!({ "name": "main", "port": site.port(), "restart_policy": "when_required" });
        params["settings"] = more;
        params
    };
    // No start is needed for these.
    site.converges("instance", &wanted(json!({ "work_mem": "9MB" })));
    // A restart is one, and is refused as a whole.
    let [msg, _] = site.refusal("instance", &wanted(json!({ "max_connections": 33 })));
    assert!(
        msg.contains("is held and cannot be restarted: disks are replaced"),
        "{msg}"
    );
    assert!(site.is_running());
    // Another reason is another hold.
    let reply = site.converges(
        "instance_hold",
        &json!({ "instance": "main", "reason": "something else" }),
    );
    assert_eq!(
        reply["diff"][0]["after"].as_str().unwrap().lines().next(),
        Some("reason: something else")
    );
}

#[test]
fn holds_on_the_command_line() {
    let site = with_main(&json!({}));
    let name = format!("{}/main", site.major().number);
    let hold = ["instance", "hold", "--reason", REASON];
    site.pgsocle(["instance", "hold"]).code(2).go();
    let dry = site.pgsocle(hold).args(["--stop", "--dry-run"]).go();
    assert_eq!(
        dry.stdout,
        format!(
            "hold instance `{name}`: {REASON} (impact: none)\nstop instance `{name}` (impact: restart)\n\
             dry run: nothing was changed\n"
        )
    );
    site.pgsocle(hold).arg("--stop").go();
    let by = site.held_by();
    for start in [
        &["instance", "start", "main"][..],
        &["instance", "start", "--all"],
        &["instance", "restart", "main"],
        &["instance", "start", "main", "--foreground"],
        &["postgres", &name.replace('/', "-")],
    ] {
        let output = site.pgsocle(start).code(1).go();
        assert!(
            output.stderr.contains(&format!(
                "instance `{name}` is held and cannot be started: {REASON} ({by})"
            )),
            "{start:?}: {output:?}"
        );
    }
    let status = site.pgsocle(["instance", "status"]).code(3).go();
    assert_eq!(status.stdout, "PostgreSQL: not running\n");
    assert!(
        status
            .stderr
            .starts_with(&format!("instance `{name}` is held: {REASON} (by ")),
        "{status:?}"
    );
    let list = site.pgsocle(["instance", "list"]).go();
    let lines: Vec<&str> = list.stdout.lines().collect();
    assert!(lines[0].ends_with("status       hold"), "{list:?}");
    assert!(lines[1].ends_with(REASON), "{list:?}");
    let get = site.pgsocle(["instance", "get"]).go();
    assert!(
        get.stdout.contains(&format!("reason = {REASON}")),
        "{get:?}"
    );

    site.pgsocle(["instance", "release", "--all"]).go();
    let list = site.pgsocle(["instance", "list"]).go();
    assert!(!list.stdout.contains("hold"), "{list:?}");
    site.pgsocle(["instance", "start", "main"]).go();
}

#[test]
fn a_hold_made_by_hand_holds() {
    let site = with_main(&json!({ "state": "stopped" }));
    let state = site.path(format!("srv/var/pgsocle/{}-main", site.major().number));
    site.write_owned(&state.join("hold"), b"ask Ann\nfirst\n", 0o644);
    let output = site.pgsocle(["instance", "start"]).code(1).go();
    assert!(
        output
            .stderr
            .contains("is held and cannot be started: ask Ann first (held by `somebody`"),
        "{output:?}"
    );
    site.converges("instance_hold", &json!({ "state": "released" }));
}

#[test]
fn what_a_hold_needs() {
    let site = with_main(&json!({ "state": "stopped" }));
    for params in [
        json!({}),
        json!({ "reason": "  " }),
        json!({ "state": "released", "reason": "x" }),
        json!({ "state": "released", "stop": true }),
        json!({ "instance": "other", "reason": "x" }),
    ] {
        site.refused("instance_hold", &params);
    }
}
