//! Data directories in bad condition: recognised and named with their remedy before anything is begun, in check mode as well.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::instance::with_main;
use crate::support::bin::Started;
use crate::support::pg::Site;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn number(site: &Site) -> String {
    site.major().number.to_string()
}

#[test]
fn modes_and_owners_of_a_stopped_instance() {
    let site = with_main(&json!({ "state": "stopped" }));
    let (data, version, user) = (site.datadir(), number(&site), site.sysuser().to_owned());
    let place = format!("SITE/srv/srv/pgsql/{version}/main/data");
    let start = json!({ "name": "main", "state": "started" });
    let role = json!({ "name": "ann", "start_temporarily": true });

    mode(&data, 0o755);
    for (kind, params) in [("instance", &start), ("role", &role)] {
        assert_eq!(
            site.refusal(kind, params),
            [
                format!(
                    "instance {version}/main: data directory `{place}` has mode 0755: a server starts only with 0700 or 0750"
                ),
                format!("`chmod 0700 {place}` makes it so; nothing was changed"),
            ]
        );
    }
    mode(&data, 0o700);

    let hba = data.join("pg_hba.conf");
    mode(&hba, 0o000);
    let [msg, _] = site.refusal("instance", &start);
    assert!(
        msg.starts_with(&format!("instance {version}/main: `{place}/pg_hba.conf` cannot be read by `{user}`, who runs the servers")),
        "{msg}"
    );
    mode(&hba, 0o600);

    let versions = data.join("PG_VERSION");
    let own = std::fs::read(&versions).unwrap();
    site.write_owned(&versions, b"9\n", 0o600);
    let [msg, hint] = site.refusal(
        "role",
        &json!({ "instance": format!("{version}/main"), "name": "ann" }),
    );
    assert_eq!(
        (msg, hint.as_str()),
        (
            format!(
                "instance {version}/main: data directory `{place}` belongs to PostgreSQL 9, not {version}"
            ),
            "give the version that it has, or another name"
        )
    );
    site.write_owned(&versions, &own, 0o600);

    if nix::unistd::geteuid().is_root() {
        chown(&data, Some(0), Some(0)).unwrap();
        for (kind, params) in [
            ("instance", &start),
            (
                "role",
                &json!({ "instance": format!("{version}/main"), "name": "ann" }),
            ),
            (
                "instance",
                &json!({ "name": "main", "version": version, "state": "absent" }),
            ),
        ] {
            let [msg, hint] = site.refusal(kind, params);
            assert!(
                msg.ends_with(&format!("data directory `{place}` belongs to user 0, not to `{user}`, who runs the servers")),
                "{msg}"
            );
            assert!(
                hint.starts_with("if it is an instance's, `chown -R "),
                "{hint}"
            );
        }
        let id = |option| {
            site.program("id")
                .arg(option)
                .go()
                .stdout
                .trim()
                .parse()
                .ok()
        };
        chown(&data, id("-u"), id("-g")).unwrap();
    }
    // In order again: it starts; and what runs is warned of what keeps it from starting once more.
    site.converges("instance", &start);
    mode(&data, 0o705);
    let reply = site.ansible("instance", false, &start);
    assert_eq!(reply["changed"], json!(false));
    let warning = site.redact(reply["warnings"][0].as_str().unwrap());
    assert!(
        warning.starts_with(&format!("data directory `{place}` has mode 0705: ")),
        "{warning}"
    );
}

#[test]
fn a_file_system_that_is_mounted_read_only() {
    // Mounting needs root's rights; what follows from the table of mounts is told by unit tests as well.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let site = with_main(&json!({ "state": "stopped" }));
    let version = number(&site);
    let place = site.path("srv/srv/pgsql");
    let before = site.picture();
    for arguments in [
        &["instance", "start", "main"][..],
        &["instance", "drop", "main", "--non-interactive"],
        &["role", "create", "ann"],
    ] {
        let script =
            "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" && shift && exec \"$@\"";
        let output = site
            .undropped("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(&place)
            .arg(site.path("bin/pgsocle"))
            .args(arguments)
            .code(1)
            .go();
        assert_eq!(
            site.redact(&output.stderr),
            format!(
                "error: instance {version}/main: `SITE/srv/srv/pgsql/{version}/main/data` lies on a file system that is mounted read-only at `SITE/srv/srv/pgsql`\n\
                 hint: see why (`dmesg`, /etc/fstab), and mount it for writing: `mount -o remount,rw SITE/srv/srv/pgsql`; nothing was changed\n"
            )
        );
    }
    before.assert_same(&site.picture(), "runs on a read-only file system");
}

#[test]
fn another_cluster_in_the_place_of_the_one_that_was_there() {
    let site = with_main(&json!({ "state": "stopped" }));
    let version = number(&site);
    site.ansible(
        "instance",
        false,
        &json!({ "name": "other", "state": "stopped" }),
    );
    let parent = site.datadir().parent().unwrap().to_owned();
    let other = parent.with_file_name("other");
    let swap = || {
        let aside = parent.with_file_name("aside");
        std::fs::rename(&parent, &aside).unwrap();
        std::fs::rename(&other, &parent).unwrap();
        std::fs::rename(&aside, &other).unwrap();
        for (name, place) in [("main", &parent), ("other", &other)] {
            let link = place.join("data/pg_wal");
            std::fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink(place.join("wal"), &link).unwrap();
            assert!(link.join("archive_status").exists(), "{name}");
        }
    };
    swap();
    let control = std::fs::read(site.datadir().join("global/pg_control")).unwrap();
    let identifier = u64::from_ne_bytes(*control.first_chunk().unwrap());
    let start = json!({ "name": "main", "port": site.port() });
    for (kind, params) in [
        ("instance", start.clone()),
        ("instance", json!({ "name": "main", "state": "absent" })),
        (
            "role",
            json!({ "instance": "main", "name": "ann", "start_temporarily": true }),
        ),
    ] {
        let [msg, hint] = site.refusal(kind, &params);
        assert!(
            msg.starts_with(&format!(
                "instance {version}/main: data directory `SITE/srv/srv/pgsql/{version}/main/data` holds another cluster (system identifier {identifier}) than the one that instance `{version}/main` had ("
            )),
            "{msg}"
        );
        assert!(
            hint.contains(&format!("`system_identifier: \"{identifier}\"`")),
            "{hint}"
        );
    }
    let mut wrong = start.clone();
    wrong["system_identifier"] = json!("12");
    let [msg, _] = site.refusal("instance", &wrong);
    assert!(
        msg.ends_with(&format!("has the system identifier {identifier}, not 12")),
        "{msg}"
    );
    // Said once, it is meant from then on.
    let mut meant = start.clone();
    meant["system_identifier"] = json!(identifier.to_string());
    site.converges("instance", &meant);
    site.changes_nothing("instance", &start);
    site.converges("instance", &json!({ "name": "main", "state": "absent" }));
    site.converges("instance", &start);
}

/// A program of the servers' user that is no server, with its working directory.
fn sleeper(site: &Site, directory: &Path) -> Started {
    site.program("sleep")
        .arg("600")
        .current_dir(directory)
        .any_code()
        .start()
}

#[test]
fn a_stale_pid_file_keeps_nobody_from_starting() {
    let site = with_main(&json!({}));
    let version = number(&site);
    let file = site.datadir().join("postmaster.pid");
    let text = std::fs::read_to_string(&file).unwrap();
    let stop = json!({ "name": "main", "state": "stopped" });
    let start = json!({ "name": "main", "state": "started" });
    let stale = |pid: i32| {
        site.ansible("instance", false, &stop);
        let (_, rest) = text.split_once('\n').unwrap();
        site.write_owned(&file, format!("{pid}\n{rest}").as_bytes(), 0o600);
    };
    // Gone: the greatest number that a process can have is below this one (`PID_MAX_LIMIT` in threads.h).
    stale(4_194_305);
    let reply = site.converges("instance", &start);
    assert_eq!(reply["warnings"], json!([]));

    // Another program by now, of the same user: the server itself would refuse.
    let other = sleeper(&site, &site.path("home"));
    stale(other.pid());
    let reply = site.converges("instance", &start);
    assert_eq!(
        site.redact(reply["warnings"][0].as_str().unwrap()),
        format!(
            "`SITE/srv/srv/pgsql/{version}/main/data/postmaster.pid` is stale: process {} is another program by now; the file is removed",
            other.pid()
        )
    );

    // What is left of a killed server may still be writing.
    stale(other.pid());
    let worker = sleeper(&site, &site.datadir());
    let [msg, _] = site.refusal("instance", &start);
    assert!(
        msg.ends_with(&format!(
            "the server of instance `{version}/main` is gone, but processes of it still work in `SITE/srv/srv/pgsql/{version}/main/data`: {}",
            worker.pid()
        )),
        "{msg}"
    );
    for mut process in [other, worker] {
        assert!(!process.has_ended());
        kill(Pid::from_raw(process.pid()), Signal::SIGKILL).unwrap();
        process.wait();
    }
    site.converges("instance", &start);
}
