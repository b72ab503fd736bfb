//! Parameters that name an instance follow it: of a data directory that was copied, or adopted under another name.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::instance::with_main;
use crate::support::laws::Socket;
use crate::support::pg::{Site, free_port};

impl Site {
    /// Puts the directories of the stopped instance `main` elsewhere, by `cp -a` or `mv`. Gives the data directory.
    fn carried(&self, how: &[&str], to: &Path) -> PathBuf {
        let from = self.datadir();
        let from = from.parent().unwrap();
        self.program("mkdir")
            .arg("-p")
            .arg(to.parent().unwrap())
            .go();
        self.program(how[0]).args(&how[1..]).args([from, to]).go();
        self.program("ln")
            .args(["-sfn".as_ref(), to.join("wal").as_os_str()])
            .arg(to.join("data/pg_wal"))
            .go();
        to.join("data")
    }
}

/// What the server of a data directory says of its name and its log.
fn names(site: &Site, datadir: &Path) -> String {
    let query =
        "SELECT concat_ws(' ', current_setting('cluster_name'), current_setting('log_filename'))";
    site.sql_through(&Socket::of(datadir), "postgres", query)
}

fn log(site: &Site, name: &str) -> String {
    format!("{}-{name}-%Y-%m-%d_%H%M%S.log", site.major().number)
}

#[test]
fn a_copy_has_names_of_its_own() {
    let site = with_main(&json!({ "state": "stopped" }));
    let version = site.major().number;
    let data = site.carried(
        &["cp", "-a"],
        &site.path(format!("srv/srv/pgsql/{version}/second")),
    );
    let params = json!({ "name": "second", "port": free_port() });
    let reply = site.converges("instance", &params);
    assert_eq!(
        reply["changes"],
        json!([
            "set `port`, `cluster_name`, `log_filename` in postgresql.conf",
            format!("start instance `{version}/second`")
        ])
    );
    assert_eq!(
        reply["warnings"],
        json!([
            format!(
                "setting `cluster_name` = `main` names another instance, as the site's template has it; now it names `{version}/second`"
            ),
            format!(
                "setting `log_filename` = `{}` names another instance, as the site's template has it; now it names `{version}/second`",
                log(&site, "main")
            ),
        ])
    );
    assert_eq!(
        names(&site, &data),
        format!("second {}", log(&site, "second"))
    );
    // What is said counts, whatever it names; and so does what was set by hand.
    let own: Value = json!({
        "name": "second", "settings": { "cluster_name": "main", "log_filename": "mine.log" }, "restart_policy": "when_required",
    });
    site.converges("instance", &own);
    site.changes_nothing("instance", &params);
    assert_eq!(names(&site, &data), "main mine.log");
    let main = site.converges("instance", &json!({ "name": "main" }));
    assert_eq!(
        main["changes"],
        json!([format!("start instance `{version}/main`")])
    );
}

#[test]
fn an_adopted_cluster_has_the_names_of_its_instance() {
    let site = with_main(&json!({}));
    site.ansible(
        "instance",
        false,
        &json!({ "name": "main", "state": "stopped" }),
    );
    let version = site.major().number;
    let data = site.carried(&["mv"], &site.path("srv/elsewhere/main"));
    site.postgresql("pg_ctl")
        .args(["start", "-w", "-s", "-D"])
        .arg(&data)
        .arg("-l")
        .arg(site.path("home/start.log"))
        .go();
    let params = json!({ "name": "shop", "state": "present", "adopt": true, "datadir": data });
    let reply = site.converges("instance", &params);
    assert_eq!(
        reply["changes"].as_array().unwrap()[..2],
        [
            json!(format!(
                "adopt `{}` as instance `{version}/shop`, as it lies and runs",
                data.display()
            )),
            json!("set `cluster_name`, `log_filename` in postgresql.conf"),
        ]
    );
    assert_eq!(reply["pending_restart"], true);
    assert_eq!(names(&site, &data), format!("main {}", log(&site, "shop")));
    site.converges("instance", &json!({ "name": "shop", "state": "restarted" }));
    assert_eq!(names(&site, &data), format!("shop {}", log(&site, "shop")));
}
