//! File systems without any room left, for real: small ones, that are filled before a run.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::instance::with_main_at;
use crate::support::mounts::apart;
use crate::support::pg::{Major, Site};

/// What a file system in memory gives room in.
const PAGE: usize = 4096;

/// Takes all room that is left at a place, for as long as this is there.
pub struct Filler(PathBuf);

impl Filler {
    pub fn at(place: &Path) -> Self {
        let path = place.join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if let Err(error) = file.write_all(&vec![0; size]) {
                assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
                size /= 2;
            }
        }
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

/// Ends the journal at the end of a page, and begins a new one where a line is to have room yet.
fn pad(journal: &Path, room: bool) {
    let file = std::fs::OpenOptions::new().append(true).open(journal);
    let length = usize::try_from(journal.metadata().unwrap().len()).unwrap();
    let blanks = length.next_multiple_of(PAGE) - length + usize::from(room);
    file.unwrap()
        .write_all("\n".repeat(blanks).as_bytes())
        .unwrap();
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn files_that_find_no_room() {
    apart("room::files_that_find_no_room", || {
        let site = Site::new(&Major::usual());
        let main = format!("{}/main", site.major().number);
        let data = site.path(format!("srv/srv/pgsql/{main}/data"));
        let (state, passwords) = (site.path("srv/var"), site.path("home/passwords"));
        for (place, size) in [(&data, "96m"), (&state, "1m"), (&passwords, "1m")] {
            site.mount(place, size);
        }
        site.write_settings(&json!({
            "postgresql": { "auth": { "passfile": passwords.join("pgpass") } },
        }));
        with_main_at(
            &site,
            &json!({ "roles": [{ "name": "ann", "password": "p", "pgpass": true }] }),
        );
        let own = state.join(format!("pgsocle/{}", main.replace('/', "-")));
        let within = |params: Value| {
            let mut params = params;
            params["instance"] = json!("main");
            params
        };
        let record = json!({ "method": "md5", "database": "shop" });
        let role = |name: &str, more: (&str, Value)| {
            let mut params = within(json!({ "name": name, "password": "p" }));
            params[more.0] = more.1;
            params
        };
        for (kind, params, place, file) in [
            (
                "pgconf",
                within(json!({ "settings": { "work_mem": "9MB" } })),
                &data,
                data.join("postgresql.conf"),
            ),
            (
                "pghba",
                within(record.clone()),
                &data,
                data.join("pg_hba.conf"),
            ),
            (
                "role",
                role("bob", ("hba_records", json!([record]))),
                &data,
                data.join("pg_hba.conf"),
            ),
            (
                "pgident",
                within(json!({ "map": "m", "system_user": "x", "role": "ann" })),
                &data,
                data.join("pg_ident.conf"),
            ),
            (
                "role",
                role("eve", ("pgpass", json!(true))),
                &passwords,
                passwords.join("pgpass"),
            ),
            (
                "pgconf",
                within(json!({ "settings": { "work_mem": "8MB" } })),
                &state,
                own.join("history"),
            ),
            (
                "instance",
                json!({ "name": "main", "deletion_protection": true }),
                &state,
                own.join("instance.json"),
            ),
            (
                "instance_hold",
                within(json!({ "reason": "it is full" })),
                &state,
                own.join("hold"),
            ),
        ] {
            pad(&own.join("history"), !file.ends_with("history"));
            let filler = Filler::at(place);
            let before = std::fs::read(&file).ok();
            let output = site.ansible_run(kind, false, &params).code(1).go();
            let reply: Value = serde_json::from_str(&output.stdout).unwrap();
            let (msg, place) = (reply["msg"].as_str().unwrap(), place.display());
            let full = format!(
                "`{}` cannot be written: the file system at `{place}` is full (",
                file.display()
            );
            assert!(msg.contains(&full), "{kind}: {msg}");
            assert_eq!(
                reply["hint"],
                "make room on it, and try again; the file is as it was"
            );
            assert_eq!(reply["error_kind"], "unavailable");
            assert_eq!(std::fs::read(&file).ok(), before, "{}", file.display());
            let left = std::fs::read_dir(file.parent().unwrap()).unwrap();
            let mut left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            assert_eq!(left.find(|name| name.starts_with(".pgsocle-")), None);
            assert!(site.is_running());
            // With room again, the same run does the rest.
            drop(filler);
            let reply = site.converges(kind, &params);
            assert_eq!(reply["changed"], true, "{kind}");
            assert_ne!(std::fs::read(&file).ok(), before, "{}", file.display());
        }
    });
}

/// When a disk is full a server must be stopped above all.
#[test]
fn a_stop_needs_no_room() {
    apart("room::a_stop_needs_no_room", || {
        let site = Site::new(&Major::usual());
        let state = site.path("srv/var");
        site.mount(&state, "1m");
        with_main_at(&site, &json!({}));
        let own = format!("pgsocle/{}-main", site.major().number);
        pad(&state.join(own).join("history"), false);
        let filler = Filler::at(&state);
        let stop = json!({ "name": "main", "state": "stopped" });
        let reply = site.ansible("instance", false, &stop);
        assert!(!site.is_running());
        let warning = reply["warnings"][0].as_str().unwrap();
        assert!(
            warning.starts_with("the journal does not tell of this run: "),
            "{warning}"
        );
        drop(filler);
        site.changes_nothing("instance", &stop);
    });
}

/// A creation that runs out of room is taken back as a whole.
#[test]
fn a_creation_that_finds_no_room() {
    apart("room::a_creation_that_finds_no_room", || {
        let site = Site::new(&Major::usual());
        let place = site.path("srv/srv");
        site.mount(&place, "8m");
        let params = json!({ "name": "main", "port": site.port() });
        let output = site.ansible_run("instance", false, &params).code(1).go();
        let reply: Value = serde_json::from_str(&output.stdout).unwrap();
        let msg = reply["msg"].as_str().unwrap();
        assert!(msg.contains("No space left on device"), "{msg}");
        assert_eq!(reply["applied"], json!([]));
        let left: Vec<_> = std::fs::read_dir(place.join("pgsql"))
            .into_iter()
            .flatten()
            .collect();
        assert!(left.is_empty(), "{left:?}");
        crate::support::bin::Run::program("mount")
            .args(["-o", "remount,size=256m"])
            .arg(&place)
            .go();
        site.converges("instance", &params);
        assert!(site.is_running());
    });
}
