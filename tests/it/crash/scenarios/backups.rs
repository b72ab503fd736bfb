//! Backups, and what comes of them.

use serde_json::{Value, json};

use super::{Scenario, in_instance, instance, quick_site};
use crate::interruption::wait_for;
use crate::support::pg::Site;

/// A site with a section for backups. All that they are made of, which is much, is in memory.
fn site_with_backups(method: &str, settings: &Value) -> Site {
    let site = quick_site();
    site.mount(&site.path("srv"), "1g");
    site.write_settings(&json!({
        "postgresql": { "bindir": site.path("programs/{version}/bin") },
        method: settings,
    }));
    site
}

fn pgbackrest() -> Value {
    json!({ "repository": { "mode": "path", "path": "backups" } })
}

/// A restore in place, of a stopped instance that was backed up.
pub fn restore() -> Scenario {
    restore_from("pgbackrest", &pgbackrest(), &json!({ "stanza": "app" }))
}

pub fn restore_of_a_base_backup() -> Scenario {
    let settings = json!({ "directory": "backups" });
    let mut scenario = restore_from("basebackup", &settings, &json!({}));
    scenario.name = "restore of a base backup";
    scenario
}

fn restore_from(method: &'static str, settings: &Value, spec: &Value) -> Scenario {
    let site = site_with_backups(method, settings);
    let params = instance(&site, &json!({ method: spec }));
    site.ansible("instance", false, &params);
    let space = site.path("srv/space");
    site.program("mkdir").arg(&space).go();
    let location = space.display();
    for statement in [
        format!("CREATE TABLESPACE fast LOCATION '{location}'"),
        "CREATE TABLE t TABLESPACE fast AS SELECT 1 AS n".to_owned(),
    ] {
        site.sql(site.port(), "postgres", &statement);
    }
    site.ansible(
        "instance_backup",
        false,
        &in_instance(&json!({ "type": "full" })),
    );
    let back = vec![("instance", json!({ "name": "main", "state": "stopped" }))];
    // By its version: a run that was killed may have left it without its directory.
    let params =
        json!({ "instance": format!("{}/main", site.major().number), "target_immediate": true });
    Scenario::new("restore", site, ("instance_restore", params), back)
}

/// A backup where there is none: what is listed is whole whatever happens, and one is there in the end.
pub fn base_backup() -> Scenario {
    let site = site_with_backups("basebackup", &json!({ "directory": "backups" }));
    let stanza = site.path(format!("srv/srv/backups/{}-main", site.major().number));
    let instance = instance(&site, &json!({ "basebackup": {} }));
    // The one that a killed run has completed is not taken once more.
    let params = in_instance(&json!({ "max_age": "1d" }));
    let mut scenario = Scenario::new(
        "base backup",
        site,
        ("instance_backup", params),
        vec![("instance", instance)],
    );
    scenario.emptied = vec![stanza.join("backups")];
    scenario.also = whole_backups;
    scenario
}

fn whole_backups(site: &Site, done: bool) -> Result<(), String> {
    let info = || site.ansible("instance_backup_info", false, &in_instance(&json!({})));
    let known = info();
    let listed = known["backups"].as_array().unwrap();
    let backups = site.path(format!(
        "srv/srv/backups/{}-main/backups",
        site.major().number
    ));
    for backup in listed {
        let label = backup["label"].as_str().unwrap();
        let output = site
            .postgresql("pg_verifybackup")
            .arg("--quiet")
            .arg(backups.join(label).join("data"))
            .any_code()
            .go();
        if output.code != 0 || backup["error"] == true {
            return Err(format!("backup {label} is listed: {}", output.stderr));
        }
    }
    if done && listed.len() != 1 {
        return Err(format!("{} backups are listed", listed.len()));
    }
    // `pg_basebackup` may live on when the run that has started it was killed.
    wait_for("the end of the killed backup", || {
        info()["backup_in_progress"] == false
    });
    Ok(())
}

/// An instance comes into a stanza, which is made for it.
pub fn stanza() -> Scenario {
    let site = site_with_backups("pgbackrest", &pgbackrest());
    let with = |own: Value| {
        instance(
            &site,
            &json!({ "pgbackrest": own, "restart_policy": "when_required" }),
        )
    };
    let params = with(json!({ "stanza": "app" }));
    let back = vec![("instance", with(json!({ "state": "absent" })))];
    let cleared = ["archive/app", "backup/app"].map(|name| site.path("srv/srv/backups").join(name));
    let mut scenario = Scenario::new("stanza", site, ("instance", params), back);
    scenario.cleared = cleared.into();
    scenario
}
