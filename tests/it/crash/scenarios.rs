//! The runs that are disturbed.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Scenario;
use crate::support::pg::{Major, Site, free_port};

pub mod backups;
pub mod systemd;

/// A site where `initdb` takes a moment only: it copies what a real one made once.
pub fn quick_site() -> Site {
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
    creation_at(quick_site(), state)
}

fn creation_at(site: Site, state: &str) -> Scenario {
    let mut params = instance(&site, &inhabitants());
    params["state"] = json!(state);
    // The second run on one that is stopped would be refused: its roles cannot be seen.
    params["start_temporarily"] = json!(state == "stopped");
    let back = vec![("instance", json!({ "name": "main", "state": "absent" }))];
    Scenario::new("creation", site, ("instance", params), back)
}

pub fn removal() -> Scenario {
    removal_at(quick_site())
}

fn removal_at(site: Site) -> Scenario {
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

/// A cluster of others, at a place of its own, that runs.
fn foreign_cluster(site: &Site) -> PathBuf {
    let (data, wal) = (site.path("srv/lib/own"), site.path("srv/lib/own_wal"));
    let sockets = site.path("run/own");
    site.program("mkdir")
        .arg("-p")
        .arg(&sockets)
        .arg(site.path("srv/lib"))
        .go();
    let initdb = site.path(format!("programs/{}/bin/initdb", site.major().number));
    site.program(initdb)
        .arg("-D")
        .arg(&data)
        .args(["--username=postgres", "--auth=trust"])
        .arg(format!("--waldir={}", wal.display()))
        .go();
    let path = data.join("postgresql.conf");
    let text = std::fs::read_to_string(&path).unwrap();
    let more = format!(
        "port = {}\nlisten_addresses = ''\nunix_socket_directories = '{}'\nfsync = off\n",
        site.port(),
        sockets.display()
    );
    site.write_owned(&path, (text + &more).as_bytes(), 0o600);
    site.postgresql("pg_ctl")
        .args(["start", "-w", "-s", "-D"])
        .arg(&data)
        .arg("-l")
        .arg(site.path("home/start.log"))
        .go();
    data
}

/// What is noted, and what the run does with the instance at once.
pub fn adoption() -> Scenario {
    let site = quick_site();
    let datadir = foreign_cluster(&site);
    let adopt = |work_mem: Value, role: Value| {
        json!({
            "name": "own", "state": "present", "adopt": true, "datadir": datadir,
            "settings": { "work_mem": work_mem }, "roles": [role],
        })
    };
    let params = adopt(
        json!("9MB"),
        json!({ "name": "ann", "login": true, "password": "p", "update_password": "on_create", "pgpass": true }),
    );
    let back = vec![
        (
            "instance",
            adopt(json!(null), json!({ "name": "ann", "state": "absent" })),
        ),
        ("instance", json!({ "name": "own", "state": "forgotten" })),
    ];
    Scenario::new("adoption", site, ("instance", params), back)
}

pub fn end_of_an_adoption() -> Scenario {
    let mut scenario = adoption();
    let (_, forgotten) = scenario.back.pop().unwrap();
    let mut again = std::mem::replace(&mut scenario.params, forgotten);
    again["roles"][0]["update_password"] = json!("always");
    scenario.back = vec![("instance", again)];
    scenario.name = "end of an adoption";
    scenario.go_back();
    scenario
}

pub fn removal_that_keeps_the_data(state: &str) -> Scenario {
    let mut scenario = removal();
    scenario.params["keep_data"] = json!(true);
    scenario.back[0].1["start_temporarily"] = json!(true);
    scenario.back[0].1["state"] = json!(state);
    scenario.name = "removal that keeps the data";
    scenario.go_back();
    scenario
}

/// A scenario of something in an instance, from its kind, what is wanted, and what is taken back.
fn within(name: &'static str, kind: &'static str, params: &Value, back: &Value) -> Scenario {
    let site = quick_site();
    let back = vec![
        ("instance", instance(&site, &json!({}))),
        (kind, in_instance(back)),
    ];
    Scenario::new(name, site, (kind, in_instance(params)), back)
}

/// One that a reload brings into effect, one that a restart does.
pub fn parameters() -> Scenario {
    let set = |work_mem: Value, connections: Value| json!({ "settings": { "work_mem": work_mem, "max_connections": connections }, "restart_policy": "when_required" });
    within(
        "parameters",
        "pgconf",
        &set(json!("9MB"), json!(41)),
        &set(json!("8MB"), json!(null)),
    )
}

pub fn record_of_pg_hba() -> Scenario {
    let record = |state: &str| {
        json!({
            "user": "eve", "database": "shop", "method": "reject", "connection": { "address": "192.0.2.1" }, "state": state,
        })
    };
    within(
        "record of pg_hba.conf",
        "pghba",
        &record("present"),
        &record("absent"),
    )
}

pub fn record_of_pg_ident() -> Scenario {
    let mapping = |state: &str| json!({ "map": "staff", "system_user": "eve", "role": "ann", "state": state });
    within(
        "record of pg_ident.conf",
        "pgident",
        &mapping("present"),
        &mapping("absent"),
    )
}

pub fn hold() -> Scenario {
    let site = quick_site();
    let back = vec![
        (
            "instance_hold",
            in_instance(&json!({ "state": "released" })),
        ),
        ("instance", instance(&site, &json!({}))),
    ];
    let params = in_instance(&json!({ "reason": "the disk is being replaced", "stop": true }));
    site.ansible("instance", false, &back[1].1);
    Scenario::new("hold", site, ("instance_hold", params), back)
}

pub fn end_of_a_hold() -> Scenario {
    let mut scenario = hold();
    let (kind, released) = scenario.back.remove(0);
    let held = std::mem::replace(&mut scenario.params, released);
    scenario.back.push((kind, held));
    scenario.name = "end of a hold";
    // A held one is not started.
    scenario.site.ansible(kind, false, &scenario.params);
    scenario.back[0].1["state"] = json!("present");
    scenario.go_back();
    scenario
}

/// What is noted of it, what is in its files, and who is in it.
pub fn alteration() -> Scenario {
    let mut scenario = reconfiguration("present");
    scenario.params["create"] = json!(false);
    scenario.params["port"] = json!(scenario.site.port());
    scenario.params["restart_policy"] = json!("never");
    scenario.params["deletion_protection"] = json!(true);
    let record = |state: &str| json!([{ "database": "shop", "method": "reject", "state": state }]);
    scenario.params["roles"] = json!([{
        "name": "ann", "comment": "another", "password": "p", "pgpass": true, "hba_records": record("present"),
    }]);
    scenario.back[0].1["roles"][0]["hba_records"] = record("absent");
    scenario.back[0].1["deletion_protection"] = json!(false);
    scenario.name = "alteration";
    scenario.go_back();
    scenario
}

/// The data directory and the WAL directory are file systems of their own.
fn on_mount_points(scenario: fn(Site) -> Scenario) -> Scenario {
    let site = quick_site();
    let place = site.path(format!("srv/srv/pgsql/{}/main", site.major().number));
    for name in ["data", "wal"] {
        site.mount(&place.join(name), "100%");
    }
    scenario(site)
}

pub fn creation_on_mount_points() -> Scenario {
    let mut scenario = on_mount_points(|site| creation_at(site, "started"));
    scenario.name = "creation on mount points";
    scenario
}

pub fn removal_on_mount_points() -> Scenario {
    let mut scenario = on_mount_points(removal_at);
    scenario.name = "removal on mount points";
    scenario
}

pub fn site_files(site: Site) -> Scenario {
    Scenario::new(
        "site",
        site,
        ("site", json!({})),
        vec![("site", json!({ "state": "absent" }))],
    )
}

/// With everything that one can have; the directory that it is made in stays when it goes.
pub fn tablespace() -> Scenario {
    let site = quick_site();
    let location = site.path("srv/fast");
    let params = in_instance(&json!({
        "name": "fast", "location": location, "owner": "ann", "comment": "it is", "deletion_protection": true,
        "settings": { "random_page_cost": 1.1 },
    }));
    let roles = json!({ "roles": [{ "name": "ann" }] });
    let unprotected =
        in_instance(&json!({ "name": "fast", "location": location, "deletion_protection": false }));
    let back = vec![
        ("instance", instance(&site, &roles)),
        ("tablespace", unprotected),
        (
            "tablespace",
            in_instance(&json!({ "name": "fast", "state": "absent" })),
        ),
    ];
    let mut scenario = Scenario::new("tablespace", site, ("tablespace", params), back);
    scenario.cleared = vec![location];
    scenario.go_back();
    scenario
}

pub fn removal_of_a_tablespace() -> Scenario {
    let mut scenario = tablespace();
    scenario.cleared.clear();
    let (kind, absent) = scenario.back.pop().unwrap();
    let mut wanted = std::mem::replace(&mut scenario.params, absent);
    wanted["deletion_protection"] = json!(false);
    scenario.back[1] = (kind, wanted);
    scenario.name = "removal of a tablespace";
    scenario.go_back();
    scenario
}
