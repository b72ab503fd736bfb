//! The runs that are disturbed.

use serde_json::{Value, json};

use super::Scenario;
use crate::support::pg::{Major, Site, free_port};

/// A site where `initdb` takes a moment only: it copies what a real one made once.
fn quick_site() -> Site {
    let site = Site::new(&Major::usual());
    let template = site.path("template");
    std::fs::create_dir(&template).unwrap();
    let bin = site.path(format!("programs/{}/bin", site.major().number));
    std::fs::create_dir_all(&bin).unwrap();
    let real = site.major().bindir();
    for entry in std::fs::read_dir(&real).unwrap() {
        let entry = entry.unwrap();
        std::os::unix::fs::symlink(entry.path(), bin.join(entry.file_name())).unwrap();
    }
    std::fs::remove_file(bin.join("initdb")).unwrap();
    let script = format!(
        "#!/bin/sh\nfor word; do case $word in --waldir=*) wal=${{word#--waldir=}};; esac; done\n\
         if [ ! -e '{template}/data' ]; then '{real}' \"$@\" --no-sync && cp -a \"$2\" '{template}/data.part' && cp -aL \"$2/pg_wal\" '{template}/wal' \
         && mv '{template}/data.part' '{template}/data'; exit; fi\n\
         cp -a '{template}/data' \"$2\" && rm \"$2/pg_wal\" && cp -a '{template}/wal' \"$wal\" && ln -s \"$wal\" \"$2/pg_wal\"\n",
        template = template.display(),
        real = real.join("initdb").display(),
    );
    site.write_owned(&bin.join("initdb"), script.as_bytes(), 0o755);
    site.give(&template);
    site.write_settings(&json!({
        "postgresql": { "bindir": site.path("programs/{version}/bin") },
    }));
    site
}

fn instance(site: &Site, more: &Value) -> Value {
    let mut params = json!({
        "name": "main", "port": site.port(), "settings": { "fsync": false, "work_mem": "8MB" },
    });
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    params
}

fn in_instance(more: &Value) -> Value {
    let mut params = json!({ "instance": "main" });
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    params
}

fn inhabitants() -> Value {
    json!({
        "roles": [
            { "name": "ann", "login": true, "password": "p", "pgpass": true, "comment": "she" },
            { "name": "bob", "memberships": ["ann"], "settings": { "work_mem": "9MB" } },
        ],
        "databases": [{ "name": "shop", "owner": "ann", "comment": "wares", "schemas": [{ "name": "stock" }] }],
    })
}

pub fn creation(state: &str) -> Scenario {
    let site = quick_site();
    let mut params = instance(&site, &inhabitants());
    params["state"] = json!(state);
    // The second run on one that is stopped would be refused: its roles cannot be seen.
    params["start_temporarily"] = json!(state == "stopped");
    let back = vec![("instance", json!({ "name": "main", "state": "absent" }))];
    Scenario::new("creation", site, ("instance", params), back)
}

pub fn removal() -> Scenario {
    let site = quick_site();
    let back = vec![("instance", instance(&site, &inhabitants()))];
    let params =
        json!({ "name": "main", "version": site.major().number.to_string(), "state": "absent" });
    Scenario::new("removal", site, ("instance", params), back)
}

/// Settings of every kind, another port (which the password file follows), and the restart that they need.
pub fn reconfiguration(state: &str) -> Scenario {
    let site = quick_site();
    let mut back = instance(&site, &inhabitants());
    back["restart_policy"] = json!("when_required");
    back["settings"]["max_connections"] = json!(40);
    let mut params = instance(&site, &json!({ "state": state }));
    params["port"] = json!(free_port());
    params["restart_policy"] = json!("when_required");
    params["settings"] = json!({ "fsync": false, "work_mem": "9MB", "max_connections": 41 });
    Scenario::new(
        "reconfiguration",
        site,
        ("instance", params),
        vec![("instance", back)],
    )
}

/// The same of a server that is stopped and stays so.
pub fn reconfiguration_of_a_stopped_one() -> Scenario {
    let mut scenario = reconfiguration("stopped");
    let mut start = scenario.back[0].1.clone();
    let mut stop = start.clone();
    for key in ["roles", "databases"] {
        stop.as_object_mut().unwrap().remove(key);
    }
    stop["state"] = json!("stopped");
    start["state"] = json!("started");
    scenario.back = vec![("instance", stop)];
    scenario.name = "reconfiguration, stopped";
    scenario
}

pub fn reloaded() -> Scenario {
    let site = quick_site();
    let back = instance(&site, &json!({}));
    let params = instance(
        &site,
        &json!({ "state": "present", "settings": { "work_mem": "9MB" } }),
    );
    Scenario::new(
        "reload",
        site,
        ("instance", params),
        vec![("instance", back)],
    )
}

pub fn run_state(from: &str, to: &'static str) -> Scenario {
    let site = quick_site();
    let back = instance(&site, &json!({ "state": from }));
    Scenario::new(
        to,
        site,
        ("instance", json!({ "name": "main", "state": to })),
        vec![("instance", back)],
    )
}

pub fn role() -> Scenario {
    let site = quick_site();
    let params = in_instance(&json!({
        "name": "eve", "login": true, "password": "p", "update_password": "on_create", "pgpass": true, "comment": "snake",
        "settings": { "work_mem": "9MB" }, "memberships": ["pg_monitor"],
        "hba_records": [{ "method": "scram-sha-256", "connection": { "address": "192.0.2.1" } }],
    }));
    let back = vec![
        ("instance", instance(&site, &json!({}))),
        (
            "role",
            in_instance(&json!({ "name": "eve", "state": "absent" })),
        ),
    ];
    Scenario::new("role", site, ("role", params), back)
}

pub fn removal_of_a_role() -> Scenario {
    let mut scenario = role();
    let (kind, absent) = scenario.back.pop().unwrap();
    scenario
        .back
        .push((kind, std::mem::replace(&mut scenario.params, absent)));
    scenario.name = "removal of a role";
    scenario.go_back();
    scenario
}

pub fn role_of_a_stopped_one() -> Scenario {
    let mut scenario = role();
    for params in [&mut scenario.params, &mut scenario.back[1].1] {
        params["start_temporarily"] = json!(true);
    }
    scenario.back[0].1["state"] = json!("stopped");
    scenario.name = "role, temporary start";
    scenario.go_back();
    scenario
}

pub fn database() -> Scenario {
    let site = quick_site();
    let params = in_instance(&json!({
        "name": "shop", "owner": "ann", "comment": "wares", "settings": { "work_mem": "9MB" },
        "schemas": [{ "name": "stock", "owner": "ann" }, { "name": "orders" }],
        "extensions": [{ "name": "hstore", "schema": "stock" }],
    }));
    let roles = json!({ "roles": [{ "name": "ann" }] });
    let back = vec![
        ("instance", instance(&site, &roles)),
        (
            "database",
            in_instance(&json!({ "name": "shop", "state": "absent" })),
        ),
    ];
    Scenario::new("database", site, ("database", params), back)
}

pub fn site_files() -> Scenario {
    let site = quick_site();
    Scenario::new(
        "site",
        site,
        ("site", json!({})),
        vec![("site", json!({ "state": "absent" }))],
    )
}
