use serde_json::json;

use super::*;
use crate::backup::recovery::{Action as AtTarget, Recovery, Target as Goal};
use crate::backup::{Archive, Expired, Method, Source, Trouble, Verdict};
use crate::host::{Command, Server};
use crate::resource::proof::CheckSpec;
use crate::resource::samples::{self, shown};

/// A tool that restores by saying so.
struct Fake;

impl BackupTool for Fake {
    fn method(&self) -> Method {
        Method::PgBackRest
    }

    fn stanza(&self) -> &'static str {
        "app"
    }

    fn catalogue(&self, _: &dyn Look) -> Result<Catalogue> {
        Ok(Catalogue::default())
    }

    fn trouble(&self, said: &str) -> Option<Trouble> {
        match said {
            "noise" => Some(Trouble::Key),
            "checksum" => Some(Trouble::Damaged),
            _ => None,
        }
    }

    fn take(&self, _: Kind, _: &Server, _: &Source, _: &Catalogue) -> Vec<Step> {
        Vec::new()
    }

    fn expired(&self, _: &dyn Look) -> Result<Expired> {
        Ok(Expired::default())
    }

    fn expire(&self, _: &Expired) -> Vec<Step> {
        Vec::new()
    }

    fn check(&self, _: &Server) -> Vec<Step> {
        Vec::new()
    }

    fn verify(&self, _: &dyn Look) -> Result<Verdict> {
        Ok(Verdict {
            sound: true,
            report: String::new(),
        })
    }

    fn restore(
        &self,
        backup: &Backup,
        _: &Catalogue,
        place: &Place,
        _: &Recovery,
    ) -> Result<Vec<Step>> {
        let words = [backup.label.as_str(), place.directory.as_str()];
        Ok(vec![Step::Run(Command::new("/bin/fake").args(words))])
    }
}

fn copy() -> Copy {
    let target = samples::target(15);
    Copy {
        tool: Rc::new(Fake),
        scene: Scene {
            copy: of(&target, "/scratch".into(), 60),
            paths: target.paths,
            directory: "/scratch".into(),
            given: false,
            stanza: "app".into(),
            tool: "pgBackRest",
            recovery: Recovery {
                target: Goal::Latest,
                exclusive: false,
                timeline: None,
                action: AtTarget::Promote,
            },
            amcheck: false,
            checks: Vec::new(),
            keep: false,
        },
        label: None,
        any_cluster: false,
        evidence: "/srv/state/backup-test.json".into(),
        now: "2026-11-27T21:00:00Z".parse().unwrap(),
        max_age: Some(SignedDuration::from_hours(24)),
    }
}

fn seen() -> Seen {
    Seen {
        last: None,
        catalogue: Catalogue {
            backups: vec![Backup {
                version: "15".into(),
                date_start: "2026-11-27T20:33:28Z".parse().unwrap(),
                date_stop: "2026-11-27T20:33:34Z".parse().unwrap(),
                size: 1000,
                wal_start: Some("000000010000000000000003".into()),
                wal_stop: Some("000000010000000000000003".into()),
                ..crate::backup::sample("20261127-203328F")
            }],
            archives: vec![Archive {
                system_identifier: 7,
                repository: 1,
                wal_min: None,
                wal_max: Some("000000010000000000000007".into()),
            }],
            ..Catalogue::default()
        },
        cluster: Some(7),
        in_place: Vec::new(),
        free: 2000,
        installed: true,
    }
}

fn last(own: serde_json::Value) -> Evidence {
    let common = json!({
        "verdict": "proved", "instance": "15/main", "stanza": "app", "tool": "pgBackRest", "label": "20261127-203328F",
        "type": "full", "date_stop": "2026-11-27T20:33:34Z", "target": "the end of the archived WAL",
        "begun": "2026-11-27T20:40:00Z", "ended": "2026-11-27T20:41:00Z", "restore_seconds": 1.0, "total_seconds": 60.0,
        "checks": [], "versions": { "pgsocle": "", "postgresql": "" },
    });
    samples::with(common, own)
}

#[test]
fn a_backup_is_chosen_and_fetched() {
    insta::assert_snapshot!(shown(copy().plan(&seen())), @r#"
    restore backup `20261127-203328F` of instance `15/main` into `/scratch` [none]
      close our own sessions
      run /bin/pg_ctl stop -s -w -t 60 -m immediate -D /scratch/data
      empty /scratch
      remove /scratch
      make directory /scratch
      write /scratch/pgsocle-backup-test
      write /scratch/postgresql.conf
      write /scratch/pg_hba.conf
      write /scratch/pg_ident.conf
      make directory /scratch/data
      whatever comes of it: run /bin/fake 20261127-203328F /scratch/data;
      +backup: 20261127-203328F
      +up to: the end of the archived WAL
      +directory: /scratch
      undo Restore: close our own sessions; run /bin/pg_ctl stop -s -w -t 60 -m immediate -D /scratch/data; empty /scratch; remove /scratch
    {"backup_test":{"label":"20261127-203328F","date_stop":"2026-11-27T20:33:34Z","target":"the end of the archived WAL","wal_start":"000000010000000000000003","wal_stop":"000000010000000000000007","space_needed":1000,"space_free":2000,"directory":"/scratch","evidence":"/srv/state/backup-test.json"}}
    "#);
    let mut kept = copy();
    kept.scene.keep = true;
    let plan = kept.plan(&seen()).unwrap();
    assert_eq!(plan.changes[0].undo, None, "what is kept is not taken back");
}

#[test]
fn when_a_proof_is_due() {
    let due = |change: &dyn Fn(&mut Copy), own: serde_json::Value| {
        let (mut copy, mut seen) = (copy(), seen());
        change(&mut copy);
        seen.last = Some(last(own));
        !copy.plan(&seen).unwrap().is_empty()
    };
    let asked = || CheckSpec {
        database: "shop".into(),
        sql: "SELECT 1".into(),
        expected: None,
    };
    assert!(!due(&|_| {}, json!({})));
    assert!(due(&|_| {}, json!({ "verdict": "failed" })));
    assert!(due(&|_| {}, json!({ "ended": "2026-11-26T20:59:59Z" })));
    // By a clock that was wrong.
    assert!(due(&|_| {}, json!({ "ended": "2036-11-26T21:00:00Z" })));
    assert!(due(&|_| {}, json!({ "target": "the end of the backup" })));
    assert!(due(&|_| {}, json!({ "stanza": "other" })));
    assert!(due(&|copy| copy.max_age = None, json!({})));
    assert!(due(&|copy| copy.scene.amcheck = true, json!({})));
    assert!(due(&|copy| copy.scene.checks.push(asked()), json!({})));
    let named = |copy: &mut Copy| copy.label = Some("20261127-203328F".into());
    assert!(!due(&named, json!({})));
    assert!(due(&named, json!({ "label": "20261120-203328F" })));
}

#[test]
fn refusals() {
    let refused = |change: &dyn Fn(&mut Seen)| {
        let mut seen = seen();
        change(&mut seen);
        let text = shown(copy().plan(&seen));
        text.lines().next().unwrap_or_default().to_owned()
    };
    let empty = |problem: &str| {
        let problems = vec![problem.to_owned()];
        move |seen: &mut Seen| {
            seen.catalogue = Catalogue {
                problems: problems.clone(),
                ..Catalogue::default()
            };
        }
    };
    for (found, wanted) in [
        (
            refused(&|seen| seen.in_place = vec!["something".into()]),
            "Conflict: `/scratch` is not empty, and no proof has made it: nothing is restored into it",
        ),
        (
            refused(&|seen| seen.in_place = vec!["data".into(), MARK.into()]),
            "restore backup `20261127-203328F` of instance `15/main` into `/scratch` [none]",
        ),
        (
            refused(&|seen| seen.free = 999),
            "Conflict: backup `20261127-203328F` needs 1000 bytes, and there are 999 at `/scratch`",
        ),
        (
            refused(&|seen| seen.installed = false),
            "NotFound: the server programs of PostgreSQL 15 are not installed, and the copy is started with them",
        ),
        (
            refused(&|seen| seen.catalogue.backups[0].version = "17".into()),
            "Conflict: backup `20261127-203328F` is of PostgreSQL 17, and instance `15/main` is of 15",
        ),
        (
            refused(&|seen| seen.cluster = Some(8)),
            "NotFound: there is no backup to restore",
        ),
        (
            refused(&empty("noise")),
            "Unavailable: the repository of stanza `app` cannot be deciphered: the cipher key is not the one that it was encrypted with",
        ),
        (
            refused(&empty("checksum")),
            "Unavailable: the repository of stanza `app` is damaged: checksum",
        ),
        (
            refused(&empty("no route\nHINT: x")),
            "Unavailable: stanza `app` cannot be read: no route",
        ),
    ] {
        assert_eq!(found, wanted);
    }
}
