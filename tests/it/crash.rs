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

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::bin::Output;
use crate::support::faults::{Fault, Point};
use crate::support::mounts::apart;
use crate::support::pg::Site;

mod scenarios;
mod state;

use self::scenarios::{backups, systemd};
use self::state::{State, differences, left_over, state, torn};

/// How many points of a scenario are tried when not all are.
const SOME: usize = 5;

/// A run, and the one that brings back what was before it.
struct Scenario {
    name: &'static str,
    site: Site,
    kind: &'static str,
    params: Value,
    back: Vec<(&'static str, Value)>,
    /// What no run of ours takes back.
    cleared: Vec<PathBuf>,
    /// … and what is in these directories.
    emptied: Vec<PathBuf>,
    /// What must hold of it beside the law, at once after a fault and (true) once a run has come to its end.
    also: fn(&Site, bool) -> Result<(), String>,
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
            cleared: Vec::new(),
            emptied: Vec::new(),
            also: |_, _| Ok(()),
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
        self.forget_what_is_set_aside();
        for (kind, params) in &self.back {
            self.site.ansible(kind, false, params);
        }
        self.cleared.iter().for_each(|path| remove(path));
        self.emptied.iter().for_each(|path| empty(path));
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

    /// Each removal that keeps the data takes the next number.
    fn forget_what_is_set_aside(&self) {
        let instances = self.site.path("srv/srv/pgsql");
        let major = instances.join(self.site.major().number.to_string());
        for entry in std::fs::read_dir(major.join("main")).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().contains(".dropped-") {
                std::fs::remove_dir_all(path).unwrap();
            }
        }
    }

    fn start_over(&self) {
        for name in left_over(&self.site) {
            let path = self.site.path(name);
            let above = path.parent().unwrap();
            let on_a_mount_point = ["pgsocle-new", "pgsocle-drop"]
                .iter()
                .any(|name| path.ends_with(name));
            if on_a_mount_point {
                for part in ["data", "wal"].map(|name| above.with_file_name(name)) {
                    empty(&part);
                }
            } else {
                remove(&path);
            }
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
        if output.code < 0 {
            forget_staged(site);
        }
        self.ended_well(fault, &output, before, after)
            .map_err(|why| format!("{why} ({ended})"))?;
        // Who waits does not make the same number of calls each time: it may be through, and is not to be done once more.
        if output.code == 0 && self.kind == "instance_restore" {
            return Ok(());
        }
        if let Some(file) = torn(site, before, after) {
            return Err(format!("{file} is neither old nor new ({ended})"));
        }
        (self.also)(site, false).map_err(|why| format!("{why} ({ended})"))?;
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
        (self.also)(site, true).map_err(|why| format!("after the next run ({ended}): {why}"))?;
        let found = state(site);
        let differences = differences(after, &found);
        if !differences.is_empty() {
            return Err(format!(
                "after the next run, which did {} ({ended}):\n{differences}",
                done["changes"]
            ));
        }
        if !asks_by_name(&self.params) && self.kind != "instance_restore" {
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

impl Scenario {
    /// A run that was not killed has ended by itself: it says how, in its reply and in the journal, and servers that ran run.
    fn ended_well(
        &self,
        fault: Fault,
        output: &Output,
        before: &State,
        after: &State,
    ) -> Result<(), String> {
        let number = match fault {
            Fault::Signal("SIGKILL") => return Ok(()),
            Fault::Signal("SIGTERM") => 15,
            Fault::Signal("SIGHUP") => 1,
            Fault::Signal(_) => 2,
            Fault::Error(_) => 0,
        };
        let reply = || serde_json::from_str::<Value>(&output.stdout).unwrap_or_default();
        match output.code {
            0 => {}
            code if number > 0 && code == 128 + number => {
                let reply = reply();
                if reply["error_kind"] != "interrupted" || reply["failed"] != true {
                    return Err("it does not say that it was interrupted".to_owned());
                }
            }
            // Before the run has touched anything.
            code if number > 0 && code == -number => {}
            1 if number == 0 => {
                let kind = &reply()["error_kind"];
                if kind == "internal" || !kind.is_string() {
                    return Err("it does not say what failed".to_owned());
                }
            }
            code => return Err(format!("it ended with {code}")),
        }
        let missing: Vec<_> = self
            .site
            .servers()
            .into_iter()
            .map(|(_, datadir)| datadir)
            .collect();
        let missing = before
            .servers
            .keys()
            .find(|datadir| after.servers.contains_key(*datadir) && !missing.contains(datadir));
        if let Some(datadir) = missing {
            return Err(format!(
                "the server of {} was left stopped",
                datadir.display()
            ));
        }
        // An error may be of the journal itself.
        let open = open_runs(&self.site);
        if number > 0 && !open.is_empty() {
            return Err(format!("the journal tells no end of {open:?}"));
        }
        Ok(())
    }
}

/// The runs that a journal below the site has no end of.
fn open_runs(site: &Site) -> Vec<String> {
    let mut open = Vec::new();
    let state = site.path("srv/var/pgsocle");
    for entry in std::fs::read_dir(state).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(entry.path().join("history")).unwrap_or_default();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).expect("a line of the journal");
            let run = line["run"].as_str().unwrap().to_owned();
            open.retain(|other| *other != run);
            if line["event"] == "begin" {
                open.push(run);
            }
        }
    }
    open
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

/// What a run that was killed at once had staged for `postgres -C` stays where temporary files are, and nobody else can read it.
fn forget_staged(site: &Site) {
    for entry in std::fs::read_dir(site.path("home/tmp")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o700);
        std::fs::remove_dir_all(path).unwrap();
    }
}

fn remove(path: &Path) {
    let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir_all(path));
}

fn empty(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        remove(&entry.path());
    }
}

const KILL: &[Fault] = &[Fault::Signal("SIGKILL")];

fn any(_: &Point) -> bool {
    true
}

#[test]
fn a_creation() {
    scenarios::creation("started").holds(KILL, any);
}

#[test]
fn a_creation_that_stays_stopped() {
    scenarios::creation("stopped").holds(KILL, any);
}

#[test]
fn a_removal() {
    scenarios::removal().holds(KILL, any);
}

#[test]
fn a_reconfiguration() {
    scenarios::reconfiguration("present").holds(KILL, any);
}

#[test]
fn a_reconfiguration_of_a_stopped_one() {
    scenarios::reconfiguration_of_a_stopped_one().holds(KILL, any);
}

#[test]
fn a_reload() {
    scenarios::reloaded().holds(KILL, any);
}

#[test]
fn a_start_a_stop_and_a_restart() {
    scenarios::run_state("stopped", "started").holds(KILL, any);
    scenarios::run_state("started", "stopped").holds(KILL, any);
    scenarios::run_state("started", "restarted").holds(KILL, any);
}

#[test]
fn a_role_and_its_removal() {
    scenarios::role().holds(KILL, any);
    scenarios::removal_of_a_role().holds(KILL, any);
}

#[test]
fn a_role_of_a_stopped_one() {
    scenarios::role_of_a_stopped_one().holds(KILL, any);
}

#[test]
fn a_database() {
    scenarios::database().holds(KILL, any);
}

#[test]
fn an_adoption_and_its_end() {
    scenarios::adoption().holds(KILL, any);
    scenarios::end_of_an_adoption().holds(KILL, any);
}

#[test]
fn a_removal_that_keeps_the_data() {
    scenarios::removal_that_keeps_the_data("started").holds(KILL, any);
    scenarios::removal_that_keeps_the_data("stopped").holds(KILL, any);
}

#[test]
fn the_parameters_alone() {
    scenarios::parameters().holds(KILL, any);
}

#[test]
fn a_record_of_pg_hba_and_of_pg_ident() {
    scenarios::record_of_pg_hba().holds(KILL, any);
    scenarios::record_of_pg_ident().holds(KILL, any);
}

#[test]
fn a_hold_and_its_end() {
    scenarios::hold().holds(KILL, any);
    scenarios::end_of_a_hold().holds(KILL, any);
}

#[test]
fn an_alteration() {
    scenarios::alteration().holds(KILL, any);
}

#[test]
fn a_creation_on_mount_points() {
    apart("crash::a_creation_on_mount_points", || {
        scenarios::creation_on_mount_points().holds(KILL, any);
    });
}

#[test]
fn a_removal_on_mount_points() {
    apart("crash::a_removal_on_mount_points", || {
        scenarios::removal_on_mount_points().holds(KILL, any);
    });
}

/// Every point at which the data change their places, and some of those at which programs run or the old data go.
#[test]
fn a_restore() {
    apart("crash::a_restore", || {
        let restore = backups::restore();
        restore.holds(KILL, |point| point.call.starts_with("rename"));
        restore.holds(KILL, |point| {
            let old = point.call.starts_with("unlink") && point.line.contains(".before-restore");
            old || ["clone", "vfork", "wait"]
                .iter()
                .any(|name| point.call.starts_with(name))
        });
    });
}

#[test]
fn a_base_backup() {
    apart("crash::a_base_backup", || {
        backups::base_backup().holds(KILL, any);
    });
}

#[test]
fn a_restore_of_a_base_backup() {
    apart("crash::a_restore_of_a_base_backup", || {
        backups::restore_of_a_base_backup().holds(KILL, any);
    });
}

#[test]
fn a_tablespace_and_its_removal() {
    scenarios::tablespace().holds(KILL, any);
    scenarios::removal_of_a_tablespace().holds(KILL, any);
}

#[test]
fn a_stanza() {
    apart("crash::a_stanza", || {
        backups::stanza().holds(KILL, any);
    });
}

#[test]
fn a_unit_and_its_end() {
    systemd::unit().holds(KILL, any);
    systemd::end_of_a_unit().holds(KILL, any);
}

#[test]
fn the_files_of_a_site() {
    scenarios::site_files(scenarios::quick_site()).holds(KILL, any);
    systemd::site_files().holds(KILL, any);
}

/// Ctrl-C, a stop, and a lost connection.
#[test]
fn a_signal() {
    let signals: &[Fault] = &["SIGTERM"].map(Fault::Signal);
    scenarios::creation("started").holds(signals, any);
    scenarios::reconfiguration("present").holds(signals, any);
    scenarios::role().holds(&["SIGINT", "SIGHUP"].map(Fault::Signal), any);
    scenarios::database().holds(signals, any);
}

/// Every call that takes room on a disk.
fn takes_room(point: &Point) -> bool {
    let to_a_file = point.line.contains("</") && !point.line.contains("</dev/");
    match point.call.as_str() {
        "write" | "fsync" | "fdatasync" => to_a_file,
        call => ["openat", "mkdir", "rename", "symlink"]
            .iter()
            .any(|name| call.starts_with(name)),
    }
}

#[test]
fn a_full_disk() {
    let full = &[Fault::Error("ENOSPC")];
    scenarios::creation("started").holds(full, takes_room);
    scenarios::reconfiguration("present").holds(full, takes_room);
    scenarios::role().holds(full, takes_room);
    scenarios::removal().holds(full, takes_room);
}
