//! How long servers are waited for, what is said when that was too short, and how they are stopped.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::instance::with_main;
use super::support::pg::Site;

/// Waits for what another process does. Generous: it is there for what never comes.
fn comes(what: &str, mut happened: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !happened() {
        assert!(Instant::now() < patience, "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Site {
    fn ready(&self) -> bool {
        let file = std::fs::read_to_string(self.datadir().join("postmaster.pid"));
        file.is_ok_and(|text| text.contains("\nready"))
    }
}

/// An instance whose recovery lasts until the file `go` is there.
fn recovering() -> (Site, std::path::PathBuf) {
    let site = with_main(&json!({}));
    site.pgsocle(["instance", "stop"]).go();
    let go = site.path("home/go");
    let conf = site.datadir().join("postgresql.conf");
    let text = format!(
        "{}restore_command = 'until [ -e {} ]; do sleep 0.02; done; false'\n",
        std::fs::read_to_string(&conf).unwrap(),
        go.display()
    );
    site.write_owned(&conf, text.as_bytes(), 0o600);
    site.write_owned(&site.datadir().join("recovery.signal"), b"", 0o600);
    (site, go)
}

#[test]
fn a_slow_recovery_goes_on() {
    let (site, go) = recovering();
    let name = format!("{}/main", site.major().number);
    let start = ["instance", "start", "--timeout", "1"];
    let failed = site.pgsocle(start).code(1).go();
    assert!(
        failed.stderr.contains(&format!(
            "start instance `{name}`: the server in `{}` is still starting: ",
            site.datadir().display()
        )),
        "{failed:?}"
    );
    assert!(failed.stderr.contains("server log:\n"), "{failed:?}");
    assert!(
        failed
            .stderr
            .contains("hint: a recovery takes the time it takes, and goes on by itself; its log ("),
        "{failed:?}"
    );
    let servers = site.servers();
    assert_eq!(servers.len(), 1, "our end is not the server's");

    // Whoever needs an answer of it waits, and is told; whoever does not goes on.
    let again = site.pgsocle(start).code(1).go();
    let still = format!(
        "instance `{name}` does not accept connections yet, after 1 seconds: it is still starting or stopping"
    );
    assert!(again.stderr.contains(&still), "{again:?}");
    let wanted = json!({ "name": "main", "port": site.port(), "timeout": 1 });
    for check_mode in [true, false] {
        let reply = site
            .ansible_run("instance", check_mode, &wanted)
            .code(1)
            .json();
        assert_eq!(reply["error_kind"], "underway", "{reply:#}");
        assert_eq!(reply["changed"], false, "{reply:#}");
        assert!(reply["msg"].as_str().unwrap().contains(&still), "{reply:#}");
    }
    site.pgsocle(["instance", "status"]).go();
    let get = site.pgsocle(["instance", "get"]).go();
    assert!(get.stdout.contains("started"), "{get:?}");
    assert_eq!(site.servers(), servers);

    // A run that is there in time waits it out.
    let waiting = site.pgsocle(["instance", "start"]).start();
    site.write_owned(&go, b"", 0o644);
    let output = waiting.wait();
    assert!(
        output
            .stderr
            .contains(&format!("instance `{name}` is started already")),
        "{output:?}"
    );
    assert_eq!(site.servers(), servers);
}

#[test]
fn a_recovery_can_be_stopped() {
    let (site, _) = recovering();
    site.pgsocle(["instance", "start", "--timeout", "1"])
        .code(1)
        .go();
    site.pgsocle(["instance", "stop", "--mode", "immediate"])
        .go();
    assert!(!site.is_running());
}

#[test]
fn modes_of_a_stop() {
    let site = with_main(&json!({}));
    let name = format!("{}/main", site.major().number);
    let socket = site.socket();
    let session = |name: &str| {
        let mut session = site
            .postgresql("psql")
            .args(["-XAtq", "-h", &socket.directory, "-p", &socket.port])
            .args(["-U", "postgres", "-d", "postgres"])
            .env("PGAPPNAME", name)
            .args(["-c", "SELECT pg_sleep(3600)"])
            .any_code()
            .start();
        let count =
            format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'");
        comes("the session", || {
            assert!(!session.has_ended());
            site.ask(&count) == "1"
        });
        session
    };
    let first = session("first");
    let stop = |more: &[&str], code| {
        site.pgsocle(["instance", "stop"])
            .args(more)
            .code(code)
            .go()
    };
    let smart = stop(&["--mode", "smart", "--timeout", "1"], 1);
    assert!(
        smart.stderr.contains(&format!(
            "stop instance `{name}`: the server in `{}` is still stopping: ",
            site.datadir().display()
        )),
        "{smart:?}"
    );
    assert!(
        smart.stderr.contains("`--mode fast` cuts sessions"),
        "{smart:?}"
    );
    assert!(site.is_running());
    // The session that it waited for ends, and the server with it.
    kill(Pid::from_raw(first.pid()), Signal::SIGINT).unwrap();
    first.wait();
    comes("the end", || !site.is_running());

    site.pgsocle(["instance", "start"]).go();
    let second = session("second");
    stop(&["--mode", "fast"], 0);
    second.wait();
    assert!(!site.is_running());

    site.pgsocle(["instance", "start"]).go();
    stop(&["-m", "immediate"], 0);
    assert!(!site.is_running());
    site.pgsocle(["instance", "start"]).go();
    site.pgsocle(["instance", "restart", "-m", "immediate"])
        .go();
    stop(&["--mode", "slow"], 2);
    assert!(site.is_running());
}

#[test]
fn a_server_in_the_foreground() {
    let site = with_main(&json!({ "state": "stopped" }));
    let qualified = format!("{}-main", site.major().number);
    for command in [
        &["instance", "start", "--foreground"][..],
        &["postgres", &qualified],
    ] {
        let mut server = site.pgsocle(command).start();
        comes("the server", || {
            assert!(!server.has_ended());
            site.ready()
        });
        assert_eq!(
            site.servers()[0].0,
            server.pid(),
            "the process itself is the server"
        );
        let again = site.pgsocle(command).code(1).go();
        assert!(
            again.stderr.contains("runs already, as process"),
            "{again:?}"
        );
        kill(Pid::from_raw(server.pid()), Signal::SIGINT).unwrap();
        let output = server.wait();
        assert_eq!(output.code, 0, "{output:?}");
    }
    for wrong in [
        &["instance", "start", "--foreground", "--all"][..],
        &["instance", "start", "--foreground", "--timeout", "3"],
        &["postgres", "main"],
        &["postgres", "main-15"],
        &["postgres", "15-nobody"],
    ] {
        site.pgsocle(wrong).code(2).go();
    }
}

#[test]
fn one_that_fails_does_not_keep_the_others() {
    let site = with_main(&json!({ "state": "stopped" }));
    let major = site.major().number;
    for name in ["other", "third"] {
        let port = super::support::pg::free_port();
        site.ansible(
            "instance",
            false,
            &json!({ "name": name, "port": port, "state": "stopped" }),
        );
    }
    let conf = site.path(format!("srv/srv/pgsql/{major}/other/data/postgresql.conf"));
    let mut text = std::fs::read_to_string(&conf).unwrap();
    text.push_str("shared_preload_libraries = 'no_such_library'\n");
    site.write_owned(&conf, text.as_bytes(), 0o600);
    let output = site.pgsocle(["instance", "start", "--all"]).code(1).go();
    assert!(
        output
            .stdout
            .contains(&format!("start instance `{major}/main`")),
        "{output:?}"
    );
    assert!(
        output
            .stdout
            .contains(&format!("start instance `{major}/third`")),
        "{output:?}"
    );
    assert!(
        output
            .stderr
            .contains(&format!("start instance `{major}/other`: "))
            && output.stderr.contains("no_such_library"),
        "{output:?}"
    );
    assert_eq!(site.servers().len(), 2);
    let output = site.pgsocle(["instance", "stop", "--all"]).go();
    assert!(
        output
            .stderr
            .contains(&format!("instance `{major}/other` is stopped already")),
        "{output:?}"
    );
    assert_eq!(site.servers(), []);
    // Whoever restarts or reloads them all thinks of those that run.
    for verb in ["restart", "reload"] {
        let output = site.pgsocle(["instance", verb, "--all"]).go();
        assert_eq!(output.stdout, "nothing to do\n".repeat(3), "{verb}");
        assert!(
            output.stderr.contains(&format!(
                "instance `{major}/third` is stopped, and stays so"
            )),
            "{verb}: {output:?}"
        );
    }
    assert_eq!(site.servers(), []);
}
