//! The four laws that hold for every run, asked of real servers.
//!
//! 1. Check mode reports what the run then reports, and leaves files, catalogs and processes as they were.
//! 2. The second run changes nothing.
//! 3. Nothing is started, restarted or removed that the plan did not name.
//! 4. What was stopped stays stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::pg::Site;
use super::tree::{self, Tree};

/// Everything below a site that a run could change.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    pub files: Tree,
    /// Data directory → process and when it was started, for servers that run.
    pub servers: BTreeMap<PathBuf, (i32, String)>,
    /// Data directory → what the catalogs say, row by row, with the transaction that wrote each row.
    pub catalogs: BTreeMap<PathBuf, String>,
}

/// Shared catalogs and settings as lines. xmin tells of a row that was written again with the same content.
const CATALOGS: &str = "
SELECT 'role ' || xmin || ' ' || r::text FROM pg_authid r
UNION ALL SELECT 'member ' || xmin || ' ' || m::text FROM pg_auth_members m
UNION ALL SELECT 'setting ' || xmin || ' ' || s::text FROM pg_db_role_setting s
UNION ALL SELECT 'comment ' || xmin || ' ' || c::text FROM pg_shdescription c
UNION ALL SELECT 'database ' || d.datname || ' ' || d.datdba || ' ' || d.datconnlimit FROM pg_database d
UNION ALL SELECT 'parameter ' || name || '=' || setting || ' ' || pending_restart FROM pg_settings
 WHERE source NOT IN ('client', 'session')
UNION ALL SELECT 'loaded ' || pg_conf_load_time()
ORDER BY 1";

impl Site {
    /// How everything below the site stands.
    pub fn picture(&self) -> Picture {
        let servers: BTreeMap<PathBuf, i32> = self
            .servers()
            .into_iter()
            .map(|(pid, datadir)| (datadir, pid))
            .collect();
        let mut files = tree::snapshot_with_times(self.dir());
        files.retain(|path, _| {
            let path = self.path(path);
            let by_a_server = servers.keys().any(|datadir| is_servers_own(datadir, &path))
                || path.extension().is_some_and(|extension| extension == "log")
                // Directories in which a running server makes and removes files.
                || (!servers.is_empty()
                    && (path.ends_with("log/postgresql")
                        || path.ancestors().any(|above| above.join("archive_status").is_dir())
                        // What it keeps in tablespaces (`PG_17_202406281`).
                        || path.to_string_lossy().contains("/PG_1")));
            !by_a_server
        });
        let mut catalogs = BTreeMap::new();
        let mut running = BTreeMap::new();
        for (datadir, pid) in servers {
            let socket = Socket::of(&datadir);
            let ask = |query: &str| self.sql_through(&socket, "postgres", query);
            running.insert(
                datadir.clone(),
                (pid, ask("SELECT pg_postmaster_start_time()")),
            );
            catalogs.insert(datadir, ask(CATALOGS));
        }
        Picture {
            files,
            servers: running,
            catalogs,
        }
    }

    /// A query on a server wherever it really listens.
    pub fn sql_through(&self, socket: &Socket, database: &str, query: &str) -> String {
        let output = self
            .postgresql("psql")
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h"])
            .arg(&socket.directory)
            .args([
                "-p",
                &socket.port,
                "-d",
                database,
                "-U",
                "postgres",
                "-c",
                query,
            ])
            .go();
        output.stdout.trim_end().to_owned()
    }

    /// Checks, runs, and runs again: the laws hold. Gives the reply of the (first) run.
    ///
    /// # Panics
    /// When one of the laws is broken.
    pub fn converges(&self, kind: &str, params: &Value) -> Value {
        let reply = self.runs_as_checked(kind, params);
        // Acts asked for by name always change: the one exception.
        if !matches!(params["state"].as_str(), Some("restarted" | "reloaded")) {
            self.changes_nothing(kind, params);
        }
        reply
    }

    /// The first law and the third: what check mode said is what happened.
    pub fn runs_as_checked(&self, kind: &str, params: &Value) -> Value {
        let before = self.picture();
        let checked = self.ansible(kind, true, params);
        before.assert_same(&self.picture(), &format!("check mode of {kind} {params}"));
        let reply = self.ansible(kind, false, params);
        assert_foreseen(&checked, &reply, &format!("{kind} {params}"));
        before.assert_run_state_as_planned(&self.picture(), &reply);
        reply
    }

    /// The second law: neither check mode nor a run finds anything to do, nor does anything.
    pub fn changes_nothing(&self, kind: &str, params: &Value) {
        let before = self.picture();
        for check_mode in [true, false] {
            let reply = self.ansible(kind, check_mode, params);
            let lasting: Vec<&Value> = reply["plan"].as_array().unwrap().iter().collect();
            assert!(
                reply["changed"] == false && reply["change_state"].is_null(),
                "the second run (check mode: {check_mode}) of {kind} {params}: {lasting:#?}"
            );
            if !params["start_temporarily"].as_bool().unwrap_or(false) {
                assert!(lasting.is_empty(), "{kind} {params}: {lasting:#?}");
                before.assert_same(
                    &self.picture(),
                    &format!("second run (check mode: {check_mode}) of {kind} {params}"),
                );
            }
        }
    }

    /// The same refusal in check mode and in a run, nothing touched by either. Gives the reply.
    pub fn refused(&self, kind: &str, params: &Value) -> Value {
        let before = self.picture();
        let mut replies = [true, false].map(|check_mode| {
            let output = self.ansible_run(kind, check_mode, params).any_code().go();
            assert!(
                output.code == 1 || output.code == 2,
                "{kind} {params} was to be refused: {output:?}"
            );
            before.assert_same(
                &self.picture(),
                &format!("refusal (check mode: {check_mode}) of {kind} {params}"),
            );
            let reply: Value = serde_json::from_str(&output.stdout)
                .unwrap_or_else(|error| panic!("not JSON ({error}): {output:?}"));
            assert_eq!(reply["failed"], true, "{reply:#}");
            assert_eq!(reply["changed"], false, "{reply:#}");
            assert_eq!(reply["applied"], Value::Array(Vec::new()), "{reply:#}");
            reply
        });
        assert_eq!(replies[0], replies[1], "check mode and run refuse alike");
        replies[1].take()
    }

    /// What is said with a refusal: message and hint, the site's own directory as `SITE`.
    pub fn refusal(&self, kind: &str, params: &Value) -> [String; 2] {
        let reply = self.refused(kind, params);
        ["msg", "hint"].map(|key| self.redact(reply[key].as_str().unwrap_or_default()))
    }

    /// The site's own directory as `SITE`, its port as `PORT`.
    pub fn redact(&self, text: &str) -> String {
        text.replace(&self.dir().display().to_string(), "SITE")
            .replace(&self.port().to_string(), "PORT")
    }
}

/// Where a server listens, as its postmaster.pid says.
#[derive(Debug, Clone)]
pub struct Socket {
    pub directory: String,
    pub port: String,
}

impl Socket {
    pub fn of(datadir: &Path) -> Self {
        let text = std::fs::read_to_string(datadir.join("postmaster.pid")).expect("postmaster.pid");
        let line = |number: usize| text.lines().nth(number).unwrap_or_default().to_owned();
        Self {
            port: line(3),
            directory: line(4),
        }
    }
}

/// What a running server writes by itself: all of its data directory but the files that people edit.
fn is_servers_own(datadir: &Path, path: &Path) -> bool {
    let Ok(below) = path.strip_prefix(datadir) else {
        return false;
    };
    below.components().count() != 1
        || below.ends_with("postmaster.pid")
        // Its directories' times: a server makes and removes files in them whenever it likes.
        || path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
}

impl Picture {
    /// # Panics
    /// When anything differs.
    pub fn assert_same(&self, after: &Self, what: &str) {
        let mut lines = tree::differences(&self.files, &after.files);
        for (name, was, is) in [
            (
                "servers",
                format!("{:#?}", self.servers),
                format!("{:#?}", after.servers),
            ),
            (
                "catalogs",
                self.catalogs
                    .values()
                    .cloned()
                    .collect::<Vec<_>>()
                    .join("\n"),
                after
                    .catalogs
                    .values()
                    .cloned()
                    .collect::<Vec<_>>()
                    .join("\n"),
            ),
        ] {
            for line in was.lines().filter(|line| !is.contains(line)) {
                lines.push(format!("- {name}: {line}"));
            }
            for line in is.lines().filter(|line| !was.contains(line)) {
                lines.push(format!("+ {name}: {line}"));
            }
        }
        assert!(lines.is_empty(), "{what} changed:\n{}", lines.join("\n"));
    }

    /// The third and fourth laws: servers came, went and were renewed as the plan says, and not otherwise.
    pub fn assert_run_state_as_planned(&self, after: &Self, reply: &Value) {
        let actions: Vec<&str> = reply["plan"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|change| {
                change["object"]
                    .as_str()
                    .is_some_and(|object| object.starts_with("instance "))
            })
            .filter_map(|change| change["action"].as_str())
            .collect();
        let named = |wanted: &[&str]| actions.iter().any(|action| wanted.contains(action));
        for (datadir, server) in &self.servers {
            match after.servers.get(datadir) {
                Some(now) if now == server => {}
                Some(_) => assert!(named(&["restart"]), "restarted without a word: {reply:#}"),
                None => assert!(
                    named(&["stop", "drop"]),
                    "stopped without a word: {reply:#}"
                ),
            }
        }
        for datadir in after.servers.keys() {
            if !self.servers.contains_key(datadir) {
                assert!(
                    actions
                        .iter()
                        .rfind(|action| ["start", "stop"].contains(action))
                        == Some(&"start"),
                    "started without a word: {reply:#}"
                );
            }
        }
    }
}

/// # Panics
/// When check mode did not say what the run then did. What could not be known is said to be so.
fn assert_foreseen(checked: &Value, done: &Value, what: &str) {
    if checked["undetermined"] == Value::Array(Vec::new()) {
        for key in [
            "changed",
            "change_state",
            "changes",
            "plan",
            "diff",
            "pending_restart",
        ] {
            assert_eq!(
                checked[key], done[key],
                "`{key}` of {what}: check mode and run"
            );
        }
        for key in ["warnings", "pending_restart_settings", "instance", "role"] {
            assert_part_of(&checked[key], &done[key], &format!("`{key}` of {what}"));
        }
        return;
    }
    let mut done = done["plan"].as_array().unwrap().iter();
    for change in checked["plan"].as_array().unwrap() {
        assert!(
            done.any(|other| other == change),
            "check mode of {what} foresaw what was not done: {change}"
        );
    }
}

/// What check mode says of an object is what comes of it; of an object that is yet to be made it may say less.
fn assert_part_of(foreseen: &Value, come: &Value, what: &str) {
    match (foreseen, come) {
        (Value::Object(foreseen), Value::Object(come)) => {
            for (key, value) in foreseen {
                // Only a running server tells these.
                if ["locale", "locale_provider", "encoding"].contains(&key.as_str()) {
                    continue;
                }
                let what = format!("{what}: `{key}`");
                assert_part_of(value, come.get(key).unwrap_or(&Value::Null), &what);
            }
        }
        _ => assert_eq!(foreseen, come, "{what}: check mode and run"),
    }
}
