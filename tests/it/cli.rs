//! The command line as people use it.

use super::support::bin::Run;
use super::support::canary::Canary;
use super::support::pg::{Major, Site};
use super::support::tree::{assert_unchanged, snapshot_tree};

/// A site with a running instance `main` on its port.
fn with_instance() -> Site {
    let site = Site::new(&Major::usual());
    let port = site.port().to_string();
    site.pgsocle(["instance", "create", "--port", &port]).go();
    site
}

#[test]
fn version_and_help_need_no_settings() {
    for word in ["--version", "--help"] {
        let output = Run::pgsocle()
            .arg(word)
            .env("PGSOCLE_CONFIG_DIR", "/no/such/place")
            .go();
        assert!(output.stdout.contains("pgsocle"), "{output:?}");
        assert_eq!(output.stderr, "");
    }
    Run::pgsocle().code(2).go();
    let output = Run::pgsocle().arg("instance").code(2).go();
    assert!(
        output.stderr.contains("Usage: pgsocle instance"),
        "{output:?}"
    );
}

#[test]
fn an_instance_from_creation_to_drop() {
    let site = Site::new(&Major::usual());
    let (port, major) = (site.port().to_string(), site.major().number);
    let name = format!("{major}/main");
    let before = snapshot_tree(site.dir());
    let create = ["instance", "create", "--port", &port];
    let dry = site.pgsocle(create).args(["--dry-run", "--diff"]).go();
    assert!(dry.stdout.contains(&format!("+port = {port}\n")), "{dry:?}");
    assert!(
        dry.stdout.ends_with("dry run: nothing was changed\n"),
        "{dry:?}"
    );
    assert_unchanged(site.dir(), &before, &[]);
    let made = site.pgsocle(create).go();
    assert!(
        made.stdout.ends_with(&format!("start instance `{name}`\n")),
        "{made:?}"
    );
    let again = site.pgsocle(create).code(1).go();
    assert!(
        again.stderr.starts_with(&format!(
            "error: create: instance `{name}` exists already\nhint: "
        )),
        "{again:?}"
    );

    let list = site.pgsocle(["instance", "list", "-o", "json"]).json();
    assert_eq!(list[0]["status"], "running");
    assert_eq!(list[0]["port"], site.port());
    let status = site.pgsocle(["instance", "status"]).go();
    assert_eq!(status.stdout, "PostgreSQL: running\n");
    let output = site.pgsocle(["instance", "start", "main"]).go();
    assert_eq!(output.stdout, "nothing to do\n");
    assert_eq!(
        output.stderr,
        format!("warning: instance `{name}` is started already\n")
    );
    site.pgsocle(["instance", "stop", "--all"]).go();
    let status = site.pgsocle(["instance", "status"]).code(3).go();
    assert_eq!(status.stdout, "PostgreSQL: not running\n");
    let output = site.pgsocle(["instance", "reload"]).code(1).go();
    assert_eq!(
        output.stderr,
        format!(
            "error: instance `{name}` is stopped: there is no server to reload\nhint: start it with `pgsocle instance start {name}`\n"
        )
    );

    // Nobody can be asked.
    let output = site.pgsocle(["instance", "drop"]).code(1).go();
    assert!(output.stderr.contains("--non-interactive"), "{output:?}");
    site.pgsocle(["instance", "drop", "--non-interactive"]).go();
    assert_eq!(
        site.pgsocle(["instance", "list"]).go().stdout,
        "name  version  port  datadir  status\n"
    );
    // What was done stays written down.
    let history = site.pgsocle(["history", "main", "-o", "json"]).json();
    let results: Vec<_> = history.as_array().unwrap().iter().collect();
    assert_eq!(results.len(), 3);
    assert!(results.iter().all(|run| run["result"] == "done"));
}

#[test]
fn what_is_not_there_is_wrong_usage() {
    let site = Site::new(&Major::usual());
    let output = site.pgsocle(["instance", "status"]).code(2).go();
    assert_eq!(
        output.stderr,
        "error: there is no instance\nhint: make one with `pgsocle instance create`\n"
    );
    let reply = site
        .pgsocle(["role", "-i", "nosuch", "list", "-o", "json"])
        .code(2)
        .json();
    assert_eq!(reply["failed"], true);
    assert_eq!(reply["error_kind"], "not_found");
}

#[test]
fn roles_and_databases() {
    let site = with_instance();
    let diff = site
        .pgsocle(["role", "create", "bob", "--login", "--dry-run", "--diff"])
        .go();
    assert_eq!(
        diff.stdout,
        "\
create role `bob` (impact: none)
--- role bob
+++ role bob
@@ -0,0 +1,2 @@
+name: bob
+login: true
dry run: nothing was changed
"
    );
    assert_eq!(
        site.pgsocle(["role", "create", "bob", "--login"])
            .go()
            .stdout,
        "create role `bob`\n"
    );
    site.pgsocle(["role", "create", "bob"]).code(1).go();
    let output = site
        .pgsocle(["role", "alter", "bbo", "--login"])
        .code(1)
        .go();
    assert!(
        output.stderr.ends_with("hint: did you mean `bob`?\n"),
        "{output:?}"
    );
    let reply = site
        .pgsocle([
            "role",
            "alter",
            "bob",
            "--grant",
            "pg_monitor",
            "-o",
            "json",
        ])
        .json();
    assert_eq!(reply["changed"], true);
    assert_eq!(reply["role"]["memberships"][0], "pg_monitor");
    site.pgsocle([
        "database", "create", "app", "--owner", "bob", "--schema", "s",
    ])
    .go();
    let app = site
        .pgsocle(["database", "get", "app", "-o", "json"])
        .json();
    assert_eq!(app["owner"], "bob");
    let list = site
        .pgsocle(["database", "list", "-x", "postgres", "-o", "json"])
        .json();
    assert_eq!(list[0]["name"], "app");
    assert!(list[0]["size"].is_u64());
    site.pgsocle(["database", "drop", "app", "--non-interactive"])
        .go();
    site.pgsocle(["role", "drop", "bob", "--non-interactive"])
        .go();
    site.pgsocle(["role", "get", "bob"]).code(1).go();
}

#[test]
fn manifests() {
    let site = with_instance();
    for (text, said) in [
        (
            "name: bob\nlogn: true\n",
            "error: `standard input`: unknown option `role.logn`\nhint: did you mean `login`?\n",
        ),
        (
            "name: [\n",
            "error: invalid YAML in `standard input`, line 1: ",
        ),
    ] {
        let run = site.pgsocle(["role", "apply", "-f", "-"]);
        let output = run.stdin(text).code(2).go();
        assert!(output.stderr.starts_with(said), "{output:?}");
    }
    let canary = Canary::new();
    let manifest = format!("name: bob\nlogin: true\npassword: {}\n", canary.password());
    let apply = || {
        let run = site.pgsocle(["role", "apply", "-f", "-", "--diff", "-L", "debug"]);
        run.stdin(manifest.clone()).go()
    };
    let output = apply();
    assert!(
        output.stdout.starts_with("create role `bob`\n"),
        "{output:?}"
    );
    canary.assert_not_printed(&output);
    assert_eq!(apply().stdout, "nothing to do\n");
}

#[test]
fn a_secret_cannot_be_asked_for_without_a_terminal() {
    let site = with_instance();
    let output = site
        .pgsocle(["role", "create", "bob", "--password"])
        .code(2)
        .go();
    assert!(
        output
            .stderr
            .starts_with("error: password: it cannot be asked for"),
        "{output:?}"
    );
}

#[test]
fn programs_in_the_environment_of_an_instance() {
    let site = with_instance();
    let psql = ["instance", "exec", "main", "--", "psql", "-XAtc"];
    let output = site
        .pgsocle_undropped(psql)
        .args(["SELECT current_user", "postgres"])
        .go();
    assert_eq!(output.stdout, "postgres\n");
    let shown = [
        "instance",
        "exec",
        "main",
        "sh",
        "-c",
        "echo $PGPORT; exit 7",
    ];
    let output = site.pgsocle(shown).env("PGPORT", "1").code(7).go();
    assert_eq!(output.stdout, "1\n");
    site.pgsocle(["instance", "exec", "main", "no-such-program"])
        .code(1)
        .go();
    let env = site.pgsocle(["instance", "env"]).go();
    assert!(
        env.stdout.contains(&format!("PGPORT={}\n", site.port())),
        "{env:?}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let site = Site::new(&Major::usual());
    let output = site
        .program("bash")
        .args([
            "-c",
            "{ \"$1\" site-settings --schema; echo $? >&2; } | true",
            "bash",
        ])
        .arg(site.path("bin/pgsocle"))
        .go();
    assert_eq!(output.stderr, "0\n");
}

#[test]
fn site_settings() {
    let site = Site::new(&Major::usual());
    let all = site.pgsocle(["site-settings", "-o", "json"]).json();
    assert_eq!(all["run_prefix"].as_str(), site.path("run").to_str());
    let own = site
        .pgsocle(["site-settings", "--no-defaults", "-o", "json"])
        .json();
    assert_eq!(own["instance_default_name"], serde_json::Value::Null);
    let defaults = site.pgsocle(["site-settings", "--defaults"]).go();
    assert!(
        defaults.stdout.contains("\ninstance_default_name: main\n"),
        "{defaults:?}"
    );
}

#[test]
fn output_that_cannot_be_written_is_told() {
    let site = Site::new(&Major::usual());
    let output = site
        .program("bash")
        .args(["-c", "\"$1\" site-settings > /dev/full", "bash"])
        .arg(site.path("bin/pgsocle"))
        .code(1)
        .go();
    assert_eq!(
        output.stderr,
        "error: standard output cannot be written: No space left on device (os error 28)\n"
    );
}
