//! What a run is judged by: what is there before it, after it, and after one that was disturbed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::laws::Socket;
use crate::support::pg::Site;
use crate::support::tree::{self, Tree};

/// What can be compared between runs: no times, numbers or salts are in it.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct State {
    pub files: Tree,
    /// What each server says of its roles, databases and settings.
    pub servers: BTreeMap<PathBuf, String>,
}

/// What pgBackRest writes into the configuration that it restores, but for when that was.
fn without_times(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

/// What no run may leave, by its name.
pub fn left_over(site: &Site) -> Vec<String> {
    let mut left = Vec::new();
    let mut open = vec![site.dir().to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory)
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().into_string().unwrap_or_default();
            let begins = [".pgsocle", ".tmp"].iter().any(|own| name.starts_with(own));
            let ends = ["pgsocle-new", "pgsocle-drop", ".partial"]
                .iter()
                .any(|own| name.ends_with(own));
            if begins || ends {
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
        let in_space = name.starts_with("PG_") && path.is_dir();
        let in_wal = above.join("archive_status").exists();
        let own = [
            "run",
            "bin",
            "etc",
            "programs",
            "template",
            "srv/srv/backups",
        ]
        .iter()
        .any(|own| path == site.path(own));
        !in_wal
            && !own
            && !in_space
            && !(in_cluster
                && (path.is_dir()
                    || ["postmaster.pid", "postmaster.opts", "current_logfiles"].contains(&&*name)))
            && !["history", "lock", "lock.server", "trace"].contains(&&*name)
            && !name.ends_with(".log")
    };
    let mut files = tree::snapshot_of(site.dir(), &kept);
    for (path, what) in &mut files {
        // It says when it was made.
        if path.ends_with("/hold") {
            "a hold".clone_into(what);
        }
        if path.ends_with("/postgresql.auto.conf") {
            *what = without_times(&site.path(path));
        }
    }
    files
}

const SETTINGS: &str = "SELECT name, setting, pending_restart FROM pg_settings WHERE source NOT IN ('client', 'session', 'default') \
    AND name NOT IN ('log_timezone', 'TimeZone') ORDER BY 1";

pub fn state(site: &Site) -> State {
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

pub fn differences(wanted: &State, found: &State) -> String {
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
pub fn torn(site: &Site, before: &State, after: &State) -> Option<String> {
    files(site).into_iter().find_map(|(path, what)| {
        let known: Vec<&String> = [before, after]
            .iter()
            .filter_map(|state| state.files.get(&path))
            .collect();
        let whole = known.is_empty() || known.iter().any(|known| **known == what);
        (!whole).then(|| format!("{path} ({what}, not {known:?})"))
    })
}
