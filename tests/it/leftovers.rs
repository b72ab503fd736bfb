//! What a run finds that another one, or an operator, has left half-done.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::instance::with_main;
use crate::support::pg::{Major, Site};

#[test]
fn a_drop_that_was_cut_short_is_finished_by_the_next_one() {
    let site = with_main(&json!({}));
    let absent = json!({ "name": "main", "state": "absent" });
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "stopped" }),
    );
    // As a killed run leaves it: the data directory is renamed, the WAL directory is not yet; the journal has no end.
    let cut = |both: bool| {
        let (data, version) = (site.datadir(), site.major().number);
        let parent = data.parent().unwrap().to_owned();
        std::fs::rename(&data, parent.join("data.pgsocle-drop")).unwrap();
        if both {
            std::fs::rename(parent.join("wal"), parent.join("wal.pgsocle-drop")).unwrap();
        }
        let history = site.path(format!("srv/var/pgsocle/{version}-main/history"));
        let mut text = std::fs::read_to_string(&history).unwrap();
        let line = format!(
            "{{\"run\":\"9-9\",\"subject\":\"instance {version}/main\",\"event\":\"begin\",\
             \"plan\":[{{\"action\":\"drop\",\"object\":\"instance {version}/main\"}}]}}\n"
        );
        text.push_str(&line);
        std::fs::write(&history, text).unwrap();
    };
    for both in [false, true] {
        cut(both);
        // Made anew without a word about mounts: whoever dropped it does not miss it.
        let wanted = json!({ "name": "main", "port": site.port(), "state": "stopped" });
        site.converges("instance", &wanted);
        cut(both);
        // The major is told by what is left.
        site.converges("instance", &absent);
        assert!(
            !site
                .path("srv/srv/pgsql")
                .join(site.major().number.to_string())
                .exists()
        );
        site.converges("instance", &wanted);
        cut(both);
        let left = site
            .pgsocle(["instance", "drop", "main", "--non-interactive"])
            .go();
        assert_eq!(
            left.stdout,
            format!(
                "remove what is left of instance `{}/main`\n",
                site.major().number
            )
        );
        site.converges("instance", &wanted);
    }
}

#[test]
fn what_was_written_but_not_read_is_read() {
    let site = with_main(&json!({ "settings": { "work_mem": "8MB" } }));
    let path = site.datadir().join("postgresql.conf");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("work_mem = 8MB", "work_mem = 9MB")).unwrap();
    assert_eq!(site.ask("SHOW work_mem"), "8MB");
    // Nothing is said of settings: what somebody else has in hand is left alone.
    site.changes_nothing("instance", &json!({ "name": "main" }));
    let wanted = json!({ "name": "main", "settings": { "work_mem": "9MB" } });
    let reply = site.converges("instance", &wanted);
    assert_eq!(
        reply["changes"],
        json!([format!("reload instance `{}/main`", site.major().number)])
    );
    assert_eq!(site.ask("SHOW work_mem"), "9MB");
    // The same for one that waits for a restart.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}\nmax_connections = 55\n")).unwrap();
    let wanted = json!({
        "name": "main", "settings": { "max_connections": 55 }, "restart_policy": "when_required",
    });
    site.converges("instance", &wanted);
    assert_eq!(site.ask("SHOW max_connections"), "55");
}

#[test]
fn an_included_file_that_wins_is_named() {
    let site = with_main(&json!({}));
    let data = site.datadir();
    let path = data.join("postgresql.conf");
    let text = std::fs::read_to_string(&path).unwrap();
    let more = data.join("more");
    std::fs::create_dir(&more).unwrap();
    std::fs::set_permissions(&more, std::fs::Permissions::from_mode(0o755)).unwrap();
    site.write_owned(&more.join("a.conf"), b"work_mem = 12MB\n", 0o644);
    std::fs::write(&path, format!("{text}\ninclude_dir 'more'\n")).unwrap();
    let wanted = |value: &str| json!({ "name": "main", "settings": { "work_mem": value } });
    let warning = format!(
        "setting `work_mem` is not as wanted: `{}` line 1, which postgresql.conf includes, says `12MB`",
        data.join("more/a.conf").display()
    );
    // On every run, until it is mended.
    let reply = site.converges("instance", &wanted("9MB"));
    assert_eq!(reply["warnings"], json!([warning]));
    assert_eq!(
        site.ansible("instance", false, &wanted("9MB"))["warnings"],
        json!([warning])
    );
    assert_eq!(
        site.converges("instance", &wanted("12288kB"))["warnings"],
        json!([])
    );
}

#[test]
fn no_move_to_a_port_that_somebody_has() {
    let site = with_main(&json!({}));
    let other = std::net::TcpListener::bind("[::1]:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let [msg, _] = site.refusal("instance", &json!({ "name": "main", "port": port }));
    assert_eq!(
        msg,
        format!(
            "configuration of instance {0}/main: port {port}, wanted for instance `{0}/main`, is taken on this host",
            site.major().number
        )
    );
}

#[test]
fn what_is_chosen_at_creation_is_never_passed_over() {
    let site = with_main(&json!({ "auth": { "local": "scram-sha-256" }, "data_checksums": false }));
    let number = site.major().number;
    // The same of a running and of a stopped one.
    for state in ["started", "stopped"] {
        site.ansible(
            "instance",
            false,
            &json!({ "name": "main", "state": state }),
        );
        site.changes_nothing(
            "instance",
            &json!({ "name": "main", "state": state, "auth": { "local": "scram-sha-256" } }),
        );
        for (option, value, shown) in [
            (
                "auth",
                json!({ "local": "trust" }),
                "`auth.local` is `scram-sha-256` and cannot become `trust`",
            ),
            (
                "data_checksums",
                json!(true),
                "`data_checksums` is `false` and cannot become `true`",
            ),
        ] {
            let mut params = json!({ "name": "main", "state": state });
            params[option] = value;
            let [msg, _] = site.refusal("instance", &params);
            assert_eq!(
                msg,
                format!(
                    "traits of instance {number}/main: instance `{number}/main`: {shown}: it is chosen at creation"
                )
            );
        }
    }
}

#[test]
fn an_entry_in_the_password_file_tells_of_an_instance() {
    let site = Site::new(&Major::usual());
    let settings = json!({ "postgresql": { "auth": { "passfile": site.path("pgpass") } } });
    site.write_settings(&settings);
    let port = site.port();
    let entry = format!("localhost:{port}:*:postgres:secret\n");
    site.write_owned(&site.path("pgpass"), entry.as_bytes(), 0o600);
    let params = json!({ "name": "main", "port": port, "state": "stopped" });
    let [msg, hint] = site.refusal("instance", &params);
    assert!(
        msg.contains("has an entry for role `postgres` at port PORT"),
        "{msg}"
    );
    assert!(hint.contains("recreate: true"), "{hint}");
    let mut anew = params;
    anew["recreate"] = json!(true);
    site.ansible("instance", false, &anew);
}

#[test]
fn nothing_is_writable_for_others_whatever_the_umask() {
    let site = Site::new(&Major::usual());
    site.program("sh")
        .args(["-c", "umask 000; exec \"$0\" \"$@\""])
        .arg(site.path("bin/pgsocle"))
        .args([
            "instance",
            "create",
            "main",
            "--port",
            &site.port().to_string(),
        ])
        .go();
    let mut open = Vec::new();
    let mut paths = vec![site.path("srv/srv"), site.path("srv/var")];
    while let Some(path) = paths.pop() {
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        if metadata.permissions().mode() & 0o022 != 0 && !metadata.is_symlink() {
            open.push(path.clone());
        }
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            paths.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    assert_eq!(open, Vec::<std::path::PathBuf>::new());
}
