//! The law of crashes: whatever call a run dies at, the next one ends where an undisturbed one ends.
//!
//! Every scenario is run once and recorded; then it is run again and again, each time with a fault at another of its
//! points ([`support::faults`](crate::support::faults)), on a real server. After each:
//!
//! 1. no file is half-written: each that was or will be there has its old or its new content;
//! 2. check mode says what the next run then does;
//! 3. the next run ends as an undisturbed one: the same files, roles, databases, settings, servers;
//! 4. the run after it changes nothing;
//! 5. nothing is left over.
//!
//! All points take long: a part of them is chosen, evenly over the run, unless `PGSOCLE_TEST_ALL_POINTS` is set.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::faults::{Fault, Point};
use crate::support::laws::Socket;
use crate::support::pg::{Major, Site};
use crate::support::tree::{self, Tree};

/// How many points of a scenario are tried when not all are.
const SOME: usize = 7;

/// What can be compared between runs: no times, numbers or salts are in it.
#[derive(Debug, PartialEq, Eq, Clone)]
struct State {
    files: Tree,
    /// What each server says of its roles, databases and settings.
    servers: BTreeMap<PathBuf, String>,
}

/// A run, and the one that brings back what was before it.
struct Scenario {
    name: &'static str,
    site: Site,
    kind: &'static str,
    params: Value,
    back: Vec<(&'static str, Value)>,
}

impl Scenario {
    fn new(
        name: &'static str,
        site: Site,
        (kind, params): (&'static str, Value),
        back: Vec<(&'static str, Value)>,
    ) -> Self {
        let scenario = Self {
            name,
            site,
            kind,
            params,
            back,
        };
        scenario.go_back();
        scenario
    }

    fn args(&self) -> [&str; 2] {
        ["ansible", self.kind]
    }

    fn request(&self) -> String {
        json!({ "protocol": 1, "check_mode": false, "params": self.params }).to_string()
    }

    fn go_back(&self) {
        for (kind, params) in &self.back {
            self.site.ansible(kind, false, params);
        }
    }

    /// Records an undisturbed run: its points, the state before it, and the one after.
    fn record(&self) -> (Vec<Point>, State, State) {
        // Once before: what only the very first run leaves (the lock, the journal) is there from now on.
        self.site.ansible(self.kind, false, &self.params);
        self.go_back();
        let before = state(&self.site);
        let points = self.site.recorded(&self.args(), &self.request());
        let after = state(&self.site);
        self.go_back();
        (points, before, after)
    }

    /// The law, for a kind of fault, at the points that are of interest for it.
    fn holds(&self, faults: &[Fault], of_interest: fn(&Point) -> bool) {
        let start = Instant::now();
        let (points, before, after) = self.record();
        let points: Vec<Point> = points.into_iter().filter(of_interest).collect();
        assert!(!points.is_empty(), "{}: no points", self.name);
        let chosen = chosen(&points);
        let mut failures = Vec::new();
        for fault in faults {
            for point in &chosen {
                if let Err(why) = self.holds_at(point, *fault, &before, &after) {
                    failures.push(format!("=== {fault:?} at {point}\n{why}"));
                    // Whatever is left of it: the next point begins anew.
                    self.start_over();
                }
                self.go_back();
            }
        }
        let told = format!(
            "{}: {} of {} points, {faults:?}: {} failed, {:.1} s\n",
            self.name,
            chosen.len(),
            points.len(),
            failures.len(),
            start.elapsed().as_secs_f64()
        );
        // Not by `eprint!`, which the harness keeps to itself unless a test fails.
        let _ = std::io::stderr().write_all(told.as_bytes());
        assert!(
            failures.is_empty(),
            "{}: {} of {} points:\n{}",
            self.name,
            failures.len(),
            chosen.len() * faults.len(),
            failures.join("\n")
        );
    }

    fn start_over(&self) {
        for name in left_over(&self.site) {
            let path = self.site.path(name);
            let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        }
    }

    fn holds_at(
        &self,
        point: &Point,
        fault: Fault,
        before: &State,
        after: &State,
    ) -> Result<(), String> {
        let site = &self.site;
        let output = site
            .disturbed(&self.args(), &self.request(), point, fault)
            .go();
        let ended = format!("exit code {}, said {}", output.code, output.stdout.trim());
        if let Some(file) = torn(site, before, after) {
            return Err(format!("{file} is neither old nor new ({ended})"));
        }
        let checked = reply(site, self.kind, true, &self.params)
            .map_err(|why| format!("check mode after it ({ended}): {why}"))?;
        let done = reply(site, self.kind, false, &self.params)
            .map_err(|why| format!("the next run ({ended}): {why}"))?;
        if checked["undetermined"] == json!([]) && checked["plan"] != done["plan"] {
            return Err(format!(
                "check mode said {}\nthe run did {}",
                checked["plan"], done["plan"]
            ));
        }
        let found = state(site);
        let differences = differences(after, &found);
        if !differences.is_empty() {
            return Err(format!(
                "after the next run, which did {} ({ended}):\n{differences}",
                done["changes"]
            ));
        }
        if !asks_by_name(&self.params) {
            let again = reply(site, self.kind, false, &self.params)
                .map_err(|why| format!("the run after it: {why}"))?;
            if again["changed"] != false {
                return Err(format!("the run after it did {}", again["changes"]));
            }
        }
        let left = left_over(site);
        if !left.is_empty() {
            return Err(format!("left over: {left:?} ({ended})"));
        }
        Ok(())
    }
}

/// Acts asked for by name always change.
fn asks_by_name(params: &Value) -> bool {
    params["state"] == "restarted"
}

/// All points, or some: the first, the last, and evenly between them those that follow what changes something.
fn chosen(points: &[Point]) -> Vec<Point> {
    if std::env::var_os("PGSOCLE_TEST_ALL_POINTS").is_some() {
        return points.to_vec();
    }
    let boundary = |call: &str| {
        [
            "rename", "unlink", "symlink", "mkdir", "clone", "wait", "vfork", "fork",
        ]
        .iter()
        .any(|name| call.starts_with(name))
    };
    let mut at: Vec<usize> = (1..points.len())
        .filter(|index| boundary(&points[*index].call) || boundary(&points[index - 1].call))
        .collect();
    let rest = (0..points.len()).step_by(points.len().div_ceil(SOME).max(1));
    if at.len() < SOME {
        at.extend(rest);
    }
    at.sort_unstable();
    at.dedup();
    let some = SOME.min(at.len());
    (0..some)
        .map(|number| points[at[number * (at.len() - 1) / (some - 1).max(1)]].clone())
        .collect()
}

fn reply(site: &Site, kind: &str, check_mode: bool, params: &Value) -> Result<Value, String> {
    let output = site.ansible_run(kind, check_mode, params).any_code().go();
    if output.code == 0 {
        return serde_json::from_str(&output.stdout).map_err(|error| error.to_string());
    }
    Err(format!("{}{}", output.stdout, output.stderr))
}

/// What no run may leave, by its name.
fn left_over(site: &Site) -> Vec<String> {
    let mut left = Vec::new();
    let mut open = vec![site.dir().to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory)
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().into_string().unwrap_or_default();
            if name.starts_with(".pgsocle") || name.starts_with(".tmp") || name.contains("pgsocle-")
            {
                left.push(
                    entry
                        .path()
                        .strip_prefix(site.dir())
                        .unwrap()
                        .display()
                        .to_string(),
                );
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && name != "base"
                && name != "template"
            {
                open.push(entry.path());
            }
        }
    }
    left.sort();
    left
}

/// Files that are ours to write: not what servers keep, nor what only grows.
fn files(site: &Site) -> Tree {
    let kept = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let above = path.parent().unwrap();
        let in_cluster = above.join("PG_VERSION").exists();
        let in_wal = above.join("archive_status").exists();
        let own = ["run", "bin", "etc", "programs", "template"]
            .iter()
            .any(|own| path == site.path(own));
        !in_wal
            && !own
            && !(in_cluster
                && (path.is_dir()
                    || ["postmaster.pid", "postmaster.opts", "current_logfiles"].contains(&&*name)))
            && !["history", "lock", "trace"].contains(&&*name)
            && !name.ends_with(".log")
    };
    tree::snapshot_of(site.dir(), &kept)
}

const SETTINGS: &str = "SELECT name, setting, pending_restart FROM pg_settings WHERE source NOT IN ('client', 'session', 'default') \
    AND name NOT IN ('log_timezone', 'TimeZone') ORDER BY 1";

fn state(site: &Site) -> State {
    let servers = site.servers().into_iter().map(|(_, datadir)| {
        let socket = Socket::of(&datadir);
        let dump = site
            .postgresql("pg_dumpall")
            .args(["-s", "--no-role-passwords", "-U", "postgres", "-h"])
            .arg(&socket.directory)
            .args(["-p", &socket.port])
            .go()
            .stdout;
        let dump: String = dump
            .lines()
            .filter(|line| {
                !line.is_empty()
                    && !line.starts_with("--")
                    // A token that is drawn anew for each dump.
                    && !line.starts_with("\\restrict")
                    && !line.starts_with("\\unrestrict")
            })
            .fold(String::new(), |text, line| text + line + "\n");
        let settings = site.sql_through(&socket, "postgres", SETTINGS);
        (datadir, format!("{dump}{settings}"))
    });
    State {
        servers: servers.collect(),
        files: files(site),
    }
}

fn differences(wanted: &State, found: &State) -> String {
    let mut lines = tree::differences(&wanted.files, &found.files);
    let wanted_servers: Vec<_> = wanted.servers.keys().collect();
    let found_servers: Vec<_> = found.servers.keys().collect();
    if wanted_servers != found_servers {
        lines.push(format!(
            "servers: {wanted_servers:?}, found {found_servers:?}"
        ));
    }
    for (datadir, was) in &wanted.servers {
        let is = found.servers.get(datadir).cloned().unwrap_or_default();
        lines.extend(
            was.lines()
                .filter(|line| !is.lines().any(|other| other == *line))
                .map(|line| format!("- {line}")),
        );
        lines.extend(
            is.lines()
                .filter(|line| !was.lines().any(|other| other == *line))
                .map(|line| format!("+ {line}")),
        );
    }
    lines.join("\n")
}

/// A file that has neither the content of before nor that of after.
fn torn(site: &Site, before: &State, after: &State) -> Option<String> {
    files(site).into_iter().find_map(|(path, what)| {
        let known: Vec<&String> = [before, after]
            .iter()
            .filter_map(|state| state.files.get(&path))
            .collect();
        let whole = known.is_empty() || known.iter().any(|known| **known == what);
        (!whole).then(|| format!("{path} ({what}, not {known:?})"))
    })
}

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
    for path in ["template", "home/tmp"] {
        let path = site.path(path);
        site.program("sh")
            .args(["-c", "mkdir -p \"$0\" 2>/dev/null"])
            .arg(&path)
            .any_code()
            .go();
    }
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

fn creation(state: &str) -> Scenario {
    let site = quick_site();
    let mut params = instance(&site, &inhabitants());
    params["state"] = json!(state);
    // The second run on one that is stopped would be refused: its roles cannot be seen.
    params["start_temporarily"] = json!(state == "stopped");
    let back = vec![("instance", json!({ "name": "main", "state": "absent" }))];
    Scenario::new("creation", site, ("instance", params), back)
}

fn removal() -> Scenario {
    let site = quick_site();
    let back = vec![("instance", instance(&site, &inhabitants()))];
    let params =
        json!({ "name": "main", "version": site.major().number.to_string(), "state": "absent" });
    Scenario::new("removal", site, ("instance", params), back)
}

/// Settings of every kind, another port (which the password file follows), and the restart that they need.
fn reconfiguration(state: &str) -> Scenario {
    let site = quick_site();
    let mut back = instance(&site, &inhabitants());
    back["restart_policy"] = json!("when_required");
    back["settings"]["max_connections"] = json!(40);
    let mut params = instance(&site, &json!({ "state": state }));
    params["port"] = json!(crate::support::pg::free_port());
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
fn reconfiguration_of_a_stopped_one() -> Scenario {
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

fn reloaded() -> Scenario {
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

fn run_state(from: &str, to: &'static str) -> Scenario {
    let site = quick_site();
    let back = instance(&site, &json!({ "state": from }));
    Scenario::new(
        to,
        site,
        ("instance", json!({ "name": "main", "state": to })),
        vec![("instance", back)],
    )
}

fn role() -> Scenario {
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

fn removal_of_a_role() -> Scenario {
    let mut scenario = role();
    let (kind, absent) = scenario.back.pop().unwrap();
    scenario
        .back
        .push((kind, std::mem::replace(&mut scenario.params, absent)));
    scenario.name = "removal of a role";
    scenario.go_back();
    scenario
}

fn role_of_a_stopped_one() -> Scenario {
    let mut scenario = role();
    for params in [&mut scenario.params, &mut scenario.back[1].1] {
        params["start_temporarily"] = json!(true);
    }
    scenario.back[0].1["state"] = json!("stopped");
    scenario.name = "role, temporary start";
    scenario.go_back();
    scenario
}

fn database() -> Scenario {
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

fn site_files() -> Scenario {
    let site = quick_site();
    Scenario::new(
        "site",
        site,
        ("site", json!({})),
        vec![("site", json!({ "state": "absent" }))],
    )
}

const KILL: &[Fault] = &[Fault::Signal("SIGKILL")];

fn any(_: &Point) -> bool {
    true
}

#[test]
fn a_creation() {
    creation("started").holds(KILL, any);
}

#[test]
fn a_creation_that_stays_stopped() {
    creation("stopped").holds(KILL, any);
}

#[test]
fn a_removal() {
    removal().holds(KILL, any);
}

#[test]
fn a_reconfiguration() {
    reconfiguration("present").holds(KILL, any);
}

#[test]
fn a_reconfiguration_of_a_stopped_one() {
    reconfiguration_of_a_stopped_one().holds(KILL, any);
}

#[test]
fn a_reload() {
    reloaded().holds(KILL, any);
}

#[test]
fn a_start_a_stop_and_a_restart() {
    run_state("stopped", "started").holds(KILL, any);
    run_state("started", "stopped").holds(KILL, any);
    run_state("started", "restarted").holds(KILL, any);
}

#[test]
fn a_role_and_its_removal() {
    role().holds(KILL, any);
    removal_of_a_role().holds(KILL, any);
}

#[test]
fn a_role_of_a_stopped_one() {
    role_of_a_stopped_one().holds(KILL, any);
}

#[test]
fn a_database() {
    database().holds(KILL, any);
}

#[test]
fn the_files_of_a_site() {
    site_files().holds(KILL, any);
}
