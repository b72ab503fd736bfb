//! systemd's user units, with a `systemctl` that only pretends: what is written, what it is told, and what it is not.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::bin::Run;
use crate::support::fakebin::{Answer, FakeBin};
use crate::support::pg::{Major, Site};
use crate::support::tree;

/// A site whose services are systemd's, and the programs that play its part.
struct Host {
    site: Site,
    fakes: FakeBin,
}

impl Host {
    /// `state` is what a unit is in once it was told to start.
    fn new(state: &str) -> Self {
        Self::with_unit(&format!("ActiveState={state}\nJob=\n"), false)
    }

    /// `show` is what systemctl tells of the unit.
    fn with_unit(show: &str, session: bool) -> Self {
        let site = Site::with_settings(&Major::usual(), &json!({ "systemd": {} }));
        let ok = |pattern| Answer::ok(pattern, "");
        let fakes = FakeBin::new(site.dir())
            .program(
                "systemctl",
                &[
                    ok("--user daemon-reload"),
                    ok("--user enable *"),
                    ok("--user disable *"),
                    ok("--user --no-block start *"),
                    ok("--user --no-block stop *"),
                    ok("--user reset-failed *"),
                    Answer::ok("--user show *", show),
                ],
            )
            .program("systemd-tmpfiles", &[ok("--user --create *")])
            .program(
                "journalctl",
                &[Answer::ok("--user -u *", "FATAL:  so says the journal\n")],
            );
        for directory in [".run", ".run/systemd"] {
            std::fs::create_dir(site.path("home").join(directory)).unwrap();
        }
        if session {
            let socket = site.path("home/.run/systemd/private");
            site.write_owned(&socket, b"", 0o600);
        }
        Self { site, fakes }
    }

    fn with_session(state: &str) -> Self {
        Self::with_unit(&format!("ActiveState={state}\nJob=\n"), true)
    }

    fn run(&self, kind: &str, check_mode: bool, params: &Value) -> Run {
        self.site
            .ansible_run(kind, check_mode, params)
            .env("PATH", self.fakes.path())
            .env("XDG_RUNTIME_DIR", self.site.path("home/.run"))
    }

    fn instance(&self, state: &str) -> Value {
        json!({ "name": "main", "port": self.site.port(), "state": state })
    }

    fn unit(&self) -> String {
        format!(
            "pgsocle-postgresql@{}-main.service",
            self.site.major().number
        )
    }

    fn units(&self) -> PathBuf {
        self.site.path("home/.local/share/systemd/user")
    }

    /// What systemctl was told since the first `known` calls, without questions.
    fn told(&self, known: usize) -> Vec<String> {
        let calls = self.fakes.calls("systemctl").split_off(known);
        calls
            .into_iter()
            .map(|call| call.args.join(" "))
            .filter(|line| !line.contains(" show "))
            .collect()
    }

    fn calls(&self) -> usize {
        self.fakes.calls("systemctl").len()
    }
}

#[test]
fn units_are_written_once_and_kept_true() {
    let host = Host::with_session("inactive");
    let (site, unit) = (&host.site, host.unit());
    let stopped = host.instance("stopped");
    let reply = host.run("instance", false, &stopped).json();
    assert_eq!(reply["changed"], true);
    assert_eq!(
        host.told(0),
        [
            "--user daemon-reload".to_owned(),
            "--user daemon-reload".to_owned(),
        ]
    );
    let file = host.units().join(format!("{unit}.d/instance.conf"));
    let version = site.major().number;
    let (srv, data) = (site.path("srv"), site.datadir());
    let expected = format!(
        "# Written by pgsocle for instance {version}/main.\n[Unit]\nRequiresMountsFor={data} {srv}/srv/pgsql/{version}/main/wal\n\
         # Held by `pgsocle instance hold` while this file is there: it says why.\n\
         AssertPathExists=!{srv}/var/pgsocle/{version}-main/hold\n\n\
         [Service]\nExecStart=\nExecStart={bindir}/postgres -D {data}\n\
         StandardOutput=append:{srv}/log/postgresql/{version}-main-start.log\nStandardError=inherit\n",
        data = data.display(),
        srv = srv.display(),
        bindir = site.major().bindir().display(),
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);

    let known = host.calls();
    for check_mode in [true, false] {
        let reply = host.run("instance", check_mode, &stopped).json();
        assert_eq!(reply["changed"], false, "{reply:#}");
    }
    assert_eq!(host.told(known), Vec::<String>::new());

    // Programs that moved, or somebody's hand.
    site.write_owned(&file, b"[Service]\nExecStart=/old/postgres\n", 0o644);
    for check_mode in [true, false] {
        let reply = host.run("instance", check_mode, &stopped).json();
        assert_eq!(
            reply["changes"],
            json!([format!("change the service of instance `{version}/main`")])
        );
        assert_eq!(
            reply["diff"][0]["before"],
            "[Service]\nExecStart=/old/postgres\n"
        );
        assert_eq!(reply["diff"][0]["after"], expected.as_str());
    }
    assert_eq!(host.told(known), ["--user daemon-reload"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);

    let refused = host
        .run("site", false, &json!({ "state": "absent" }))
        .code(1)
        .json();
    assert_eq!(
        refused["msg"],
        format!("site: the site cannot be removed while instances exist: {version}/main")
    );
    let known = host.calls();
    host.run(
        "instance",
        false,
        &json!({ "name": "main", "state": "absent" }),
    )
    .go();
    assert_eq!(
        host.told(known),
        [
            format!("--user disable {unit}"),
            "--user daemon-reload".to_owned()
        ]
    );
    assert!(!file.exists());
    let reply = host
        .run("site", false, &json!({ "state": "absent" }))
        .json();
    assert_eq!(reply["changed"], true);
    assert_eq!(
        std::fs::read_dir(host.units()).unwrap().count(),
        0,
        "{reply:#}"
    );
}

#[test]
fn no_service_manager_runs() {
    let host = Host::new("inactive");
    let complaint = format!(
        "the service manager of user `{}` does not run, and the site settings want services in it",
        host.site.sysuser()
    );
    let before = tree::snapshot_with_times(host.site.dir());
    let wanted = host.instance("started");
    let checked = host.run("instance", true, &wanted).json();
    assert!(
        checked["warnings"]
            .as_array()
            .unwrap()
            .contains(&json!(complaint)),
        "{checked:#}"
    );
    let reply = host.run("instance", false, &wanted).code(1).json();
    assert_eq!(reply["msg"], complaint.as_str());
    assert_eq!(
        reply["hint"],
        format!(
            "as root, `loginctl enable-linger {}` starts it, now and at every boot",
            host.site.sysuser()
        )
    );
    assert_eq!(host.told(0), Vec::<String>::new());
    assert_eq!(before, tree::snapshot_with_times(host.site.dir()));
}

#[test]
fn a_unit_that_fails_shows_why() {
    let host = Host::with_session("failed");
    let (version, unit) = (host.site.major().number, host.unit());
    let reply = host
        .run("instance", false, &host.instance("started"))
        .code(1)
        .json();
    assert_eq!(
        reply["msg"],
        format!(
            "start instance `{version}/main`: unit `{unit}` failed to start\nserver log:\nFATAL:  so says the journal"
        )
    );
    assert_eq!(
        reply["hint"],
        format!("`journalctl --user -u {unit}` and the server's own log say more")
    );
    // A creation that fails leaves nothing behind, the unit included.
    assert!(!host.site.datadir().exists());
    assert!(!host.units().join(format!("{unit}.d")).exists());
    assert_eq!(
        host.told(0)[3..],
        [
            format!("--user --no-block start {unit}"),
            format!("--user --no-block stop {unit}"),
            format!("--user disable {unit}"),
            "--user daemon-reload".to_owned(),
        ]
    );
}

#[test]
fn a_unit_that_is_masked() {
    let host = Host::with_unit("LoadState=masked\nActiveState=inactive\nJob=\n", true);
    let (version, unit) = (host.site.major().number, host.unit());
    host.run("instance", false, &host.instance("stopped")).go();
    let known = host.calls();
    for check_mode in [true, false] {
        let reply = host
            .run("instance", check_mode, &host.instance("started"))
            .code(1)
            .json();
        assert_eq!(
            reply["msg"],
            format!(
                "service of instance {version}/main: unit `{unit}` is masked: systemd starts it for nobody"
            )
        );
        assert_eq!(
            reply["hint"],
            format!(
                "somebody did that on purpose; `systemctl --user unmask {unit}` ends it. Nothing was changed"
            )
        );
    }
    assert_eq!(host.told(known), Vec::<String>::new());
}

#[test]
fn a_unit_that_systemd_has_given_up() {
    let host = Host::with_unit("ActiveState=failed\nResult=start-limit-hit\nJob=\n", true);
    let unit = host.unit();
    host.run("instance", false, &host.instance("stopped")).go();
    let known = host.calls();
    host.run("instance", false, &host.instance("started"))
        .code(1)
        .go();
    assert_eq!(
        host.told(known)[..2],
        [
            format!("--user reset-failed {unit}"),
            format!("--user --no-block start {unit}"),
        ]
    );
}

#[test]
fn a_server_that_ends_again_and_again() {
    let host = Host::with_unit(
        "ActiveState=activating\nSubState=auto-restart\nNRestarts=3\nJob=\n",
        true,
    );
    let (version, unit) = (host.site.major().number, host.unit());
    // The fake unit never ends: what takes the start back does not wait for it for long.
    let mut wanted = host.instance("started");
    wanted["timeout"] = json!(1);
    let reply = host.run("instance", false, &wanted).code(1).json();
    assert_eq!(
        reply["msg"],
        format!(
            "start instance `{version}/main`: the server of unit `{unit}` ends while it starts, and systemd starts it \
             again and again\nserver log:\nFATAL:  so says the journal"
        )
    );
    assert_eq!(
        host.told(0)[3..5],
        [
            format!("--user --no-block start {unit}"),
            format!("--user --no-block stop {unit}"),
        ]
    );
}

#[test]
fn a_hold_is_written_into_a_unit_that_lacks_it() {
    let host = Host::with_session("inactive");
    let version = host.site.major().number;
    host.run("instance", false, &host.instance("stopped")).go();
    let file = host
        .units()
        .join(format!("{}.d/instance.conf", host.unit()));
    let full = std::fs::read_to_string(&file).unwrap();
    let older: Vec<&str> = full
        .lines()
        .filter(|line| !line.contains("AssertPathExists"))
        .collect();
    let older = older.join("\n") + "\n";
    host.site.write_owned(&file, older.as_bytes(), 0o644);
    let hold = json!({ "reason": "disks are replaced" });
    for check_mode in [true, false] {
        let reply = host.run("instance_hold", check_mode, &hold).json();
        assert_eq!(
            reply["changes"],
            json!([
                format!("change the service of instance `{version}/main`"),
                format!("hold instance `{version}/main`: disks are replaced"),
            ])
        );
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), full);
    let reply = host.run("instance_hold", false, &hold).json();
    assert_eq!(reply["changed"], false);
}

#[test]
fn what_is_declared_stopped_does_not_start_at_boot() {
    let host = Host::with_unit("ActiveState=inactive\nJob=\nUnitFileState=enabled\n", true);
    let (version, unit) = (host.site.major().number, host.unit());
    host.run("instance", false, &host.instance("stopped")).go();
    let known = host.calls();
    for check_mode in [true, false] {
        let reply = host
            .run("instance", check_mode, &host.instance("stopped"))
            .json();
        assert_eq!(
            reply["changes"],
            json!([format!(
                "keep instance `{version}/main` from starting at boot"
            )])
        );
        assert_eq!(reply["diff"][0]["after"], "starts_at_boot: false\n");
    }
    assert_eq!(host.told(known), [format!("--user disable {unit}")]);
    // Nothing is said of it.
    let reply = host
        .run("instance", false, &host.instance("present"))
        .json();
    assert_eq!(reply["changed"], false);
}

#[test]
fn a_start_by_hand_of_what_does_not_start_at_boot() {
    let host = Host::with_unit("ActiveState=failed\nJob=\nUnitFileState=disabled\n", true);
    let version = host.site.major().number;
    host.run("instance", false, &host.instance("stopped")).go();
    let reply = host.run("instance", true, &host.instance("started")).json();
    assert_eq!(
        reply["changes"],
        json!([
            format!("have instance `{version}/main` start at boot"),
            format!("start instance `{version}/main`")
        ])
    );
    assert!(!reply["warnings"].to_string().contains("not at boot"));
    let said = host
        .site
        .pgsocle(["instance", "start", "main", "--dry-run"])
        .env("PATH", host.fakes.path())
        .env("XDG_RUNTIME_DIR", host.site.path("home/.run"))
        .go()
        .stderr;
    assert!(
        said.contains(&format!(
            "instance `{version}/main` is started now and not at boot"
        )),
        "{said}"
    );
}
