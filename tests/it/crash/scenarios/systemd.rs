//! Units of servers.

use serde_json::{Value, json};

use super::{Scenario, instance, quick_site};
use crate::support::pg::Site;

/// Servers are systemd's from now on, with programs in its place: they know which unit is enabled and what the units were
/// when they last read them, and keep both in files, which are compared as all others are.
fn under_systemd(site: &mut Site, more: &Value) {
    let mut settings = json!({
        "postgresql": { "bindir": site.path("programs/{version}/bin") },
        "systemd": {},
    });
    for (key, value) in more.as_object().unwrap() {
        settings[key] = value.clone();
    }
    site.write_settings(&settings);
    let home = site.path("home");
    for directory in [".run/systemd", ".local/share/systemd/user", "enabled"] {
        site.program("mkdir")
            .arg("-p")
            .arg(home.join(directory))
            .go();
    }
    site.write_owned(&home.join(".run/systemd/private"), b"", 0o600);
    let systemctl = format!(
        "#!/bin/sh\ncd '{}' && for unit; do :; done\nread_units() {{ rm -rf read; cp -r .local/share/systemd/user read; }}\n\
         case $2 in daemon-reload) read_units;; enable) : >enabled/$unit; read_units;; disable) rm -f enabled/$unit; read_units;;\n\
         show) echo ActiveState=inactive; echo Job=; for unit; do [ -e enabled/$unit ] && echo UnitFileState=enabled && exit; done; echo UnitFileState=disabled;;\nesac\n",
        home.display()
    );
    let programs = site.path("bin/systemd");
    std::fs::create_dir(&programs).unwrap();
    for (name, script) in [
        ("systemctl", &*systemctl),
        ("systemd-tmpfiles", "#!/bin/sh\n"),
    ] {
        site.write_owned(&programs.join(name), script.as_bytes(), 0o755);
    }
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    site.set_variable("PATH", path);
    site.set_variable("XDG_RUNTIME_DIR", home.join(".run"));
}

/// With all that a site can have: units, schedules, and what pgBackRest needs.
pub fn site_files() -> Scenario {
    let mut site = quick_site();
    under_systemd(
        &mut site,
        &json!({ "pgbackrest": { "repository": { "mode": "path", "path": "backups" } } }),
    );
    let mut scenario = super::site_files(site);
    scenario.name = "site with systemd and pgBackRest";
    scenario
}

/// A server that was not under systemd gets its unit, which is enabled.
pub fn unit() -> Scenario {
    let mut site = quick_site();
    let params = instance(&site, &json!({}));
    site.ansible("instance", false, &params);
    under_systemd(&mut site, &json!({}));
    let unit = format!("pgsocle-postgresql@{}-main.service", site.major().number);
    let home = site.path("home");
    let mut scenario = Scenario::new("unit", site, ("instance", params), Vec::new());
    scenario.cleared = vec![
        home.join(".local/share/systemd/user")
            .join(format!("{unit}.d")),
        home.join("enabled").join(&unit),
        home.join("read"),
    ];
    scenario
}

pub fn end_of_a_unit() -> Scenario {
    let mut site = quick_site();
    under_systemd(&mut site, &json!({}));
    let back = instance(&site, &json!({ "state": "stopped" }));
    let absent =
        json!({ "name": "main", "version": site.major().number.to_string(), "state": "absent" });
    Scenario::new(
        "end of a unit",
        site,
        ("instance", absent),
        vec![("instance", back)],
    )
}
