//! What a stop, a restart or a start would ruin, and the order of several restarts.

use serde_json::{Value, json};

use crate::instance::with_main;
use crate::support::bin::{Run, Started};
use crate::support::pg::{Major, Site, free_port};

/// A client program that goes on until it is killed, once the server knows of it.
struct Session(Option<Started>);

impl Session {
    fn start(site: &Site, run: Run, seen: &str) -> Self {
        let mut session = run.any_code().start();
        while site.ask(seen) != "t" {
            assert!(!session.has_ended(), "{:?}", session.wait());
        }
        Self(Some(session))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            let pid = nix::unistd::Pid::from_raw(session.pid());
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            session.wait();
        }
    }
}

fn main(more: Value) -> Value {
    let mut params = json!({ "name": "main" });
    params
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    params
}

/// The refusals of everything that would cut a backup short; and that nothing else is refused.
fn assert_kept(site: &Site, said: &str, hint: &str) {
    let name = format!("{}/main", site.major().number);
    for (params, stage, act) in [
        (json!({ "state": "restarted" }), "service of", "restarted"),
        (
            json!({ "state": "stopped" }),
            "end of the run on",
            "stopped",
        ),
        (
            json!({ "settings": { "max_connections": 50 }, "restart_policy": "when_required" }),
            "service of",
            "restarted",
        ),
    ] {
        let [msg, remedy] = site.refusal("instance", &main(params));
        let digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        assert_eq!(
            digits(&msg),
            digits(&format!(
                "{stage} instance {name}: instance `{name}` cannot be {act} now: {said}"
            )),
        );
        assert_eq!(digits(&remedy), format!("{hint}; nothing was changed"));
    }
    site.changes_nothing("instance", &main(json!({})));
}

/// A site whose instances let a replication role in through their sockets.
pub fn with_replication(major: &Major) -> Site {
    let settings = json!({ "replrole": "replication", "auth": { "local": "trust" } });
    Site::with_settings(major, &json!({ "postgresql": settings }))
}

#[test]
fn base_backups_of_every_major() {
    for major in Major::all() {
        let site = with_replication(&major);
        site.ansible("instance", false, &main(json!({ "port": site.port() })));
        let socket = site.socket();
        let client = |program: &str| {
            site.postgresql(program).args([
                "-h",
                &socket.directory,
                "-p",
                &socket.port,
                "-U",
                "postgres",
            ])
        };
        // One at a snail's pace.
        let backup = Session::start(
            &site,
            site.program("sh")
                .args(["-c", "exec \"$@\" >/dev/null", "sh"])
                .arg(major.bindir().join("pg_basebackup"))
                .args([
                    "-h",
                    &socket.directory,
                    "-p",
                    &socket.port,
                    "-U",
                    "replication",
                    "--format=tar",
                    "--pgdata=-",
                    "--max-rate=32",
                    "--checkpoint=fast",
                    "--wal-method=none",
                ]),
            "SELECT count(*) > 0 FROM pg_stat_progress_basebackup WHERE backup_total > 0",
        );
        assert_kept(
            &site,
            "a base backup is being taken (process 0 of `pg_basebackup`)",
            "wait until it has ended, or end it with `SELECT pg_terminate_backend()`",
        );
        // As the hint says.
        site.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_basebackup");
        drop(backup);
        while site.ask("SELECT count(*) FROM pg_stat_progress_basebackup") != "0" {
            std::thread::yield_now();
        }
        // Begun and ended by functions, as backup tools do.
        let begin = if major.number < 15 {
            "pg_start_backup('x', true, false)"
        } else {
            "pg_backup_start('x', true)"
        };
        // The client waits as long as there is this file: it may outlive the sandbox that is killed.
        let waits = site.path("home/waits");
        site.write_owned(&waits, b"", 0o600);
        let wait = format!(
            "\\! exec >/dev/null 2>&1; while [ -e {} ]; do sleep 0.1; done",
            waits.display()
        );
        let backup = Session::start(
            &site,
            client("psql").args([
                "-XAt",
                "-d",
                "postgres",
                "-c",
                &format!("SELECT {begin}"),
                "-c",
                &wait,
            ]),
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'idle' AND query ~ '^SELECT pg_(start_backup|backup_start)'",
        );
        assert_kept(
            &site,
            "a base backup is being taken (process 0 of `psql`)",
            "wait until it has ended, or end it with `SELECT pg_terminate_backend()`",
        );
        site.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'psql' AND pid <> pg_backend_pid()");
        std::fs::remove_file(&waits).unwrap();
        drop(backup);
        if major.number < 15 {
            site.ask("SELECT pg_start_backup('x', true)");
            assert_kept(
                &site,
                "a base backup is being taken (file `backup_label`)",
                "end it with `SELECT pg_stop_backup()`",
            );
            site.ask("SELECT pg_stop_backup()");
        }
        let reply = site.ansible("instance", false, &main(json!({ "state": "restarted" })));
        assert_eq!(reply["changed"], true);
    }
}

#[test]
fn programs_at_work_on_a_data_directory() {
    let site = with_main(&json!({ "state": "stopped" }));
    let name = format!("{}/main", site.major().number);
    let program = site.path("home/pg_upgrade");
    site.write_owned(&program, &std::fs::read("/bin/sleep").unwrap(), 0o755);
    let mut upgrade = site
        .program(&program)
        .arg("1000")
        .env("PGDATAOLD", site.datadir())
        .any_code()
        .start();
    let named = || {
        let file = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", upgrade.pid()));
        file("comm").is_ok_and(|name| name == "pg_upgrade\n")
    };
    while !named() {
        std::thread::yield_now();
    }
    for params in [
        json!({}),
        json!({ "state": "present", "data_checksums": true }),
    ] {
        let [msg, hint] = site.refusal("instance", &main(params));
        assert_eq!(
            msg,
            format!(
                "service of instance {name}: instance `{name}` cannot be started or changed now: `pg_upgrade` works on its data directory (process {})",
                upgrade.pid()
            )
        );
        assert_eq!(hint, "wait until it has ended; nothing was changed");
    }
    site.changes_nothing("instance", &main(json!({ "state": "present" })));
    assert!(!upgrade.has_ended());
    drop(Session(Some(upgrade)));
    site.converges("instance", &main(json!({})));
}

#[test]
fn standbys_are_restarted_before_their_primaries() {
    let site = with_replication(&Major::usual());
    let number = site.major().number;
    let ports = [free_port(), free_port(), free_port()];
    site.ansible("instance", false, &json!({ "name": "a", "port": ports[0] }));
    let directory = |name: &str| site.path(format!("srv/srv/pgsql/{number}/{name}/data"));
    // One follows the primary, the other one that standby; the names would have it the other way round.
    for (name, port, from) in [("b", ports[1], ports[0]), ("c", ports[2], ports[1])] {
        site.standby(from, port, &directory(name));
        site.pgsocle(["instance", "start", name]).go();
    }
    let summaries = |args: &[&str]| -> Vec<String> {
        let output = site.pgsocle(["instance", "restart"]).args(args).go();
        output.stdout.lines().map(str::to_owned).collect()
    };
    let restarts = |names: &[&str]| -> Vec<String> {
        names
            .iter()
            .map(|name| format!("restart instance `{number}/{name}`"))
            .collect()
    };
    assert_eq!(summaries(&["--all"]), restarts(&["c", "b", "a"]));
    assert_eq!(summaries(&["a", "c"]), restarts(&["c", "a"]));
    // Where they are stopped their configuration tells.
    site.pgsocle(["instance", "stop", "--all"]).go();
    assert_eq!(
        summaries(&["a", "b", "c"]),
        ["c", "b", "a"].map(|name| format!("start instance `{number}/{name}`"))
    );
}
