use super::*;
use crate::backup::Kind;
use crate::backup::recovery::{Action, Recovery};
use crate::resource::proof::{CheckSpec, copy, metrics};
use crate::resource::samples;

const GOOD: &str = "\
2026-11-27 21:00:05.000 UTC [9] LOG:  redo done at 0/7000060 system usage: CPU: user: 0.00 s
2026-11-27 21:00:05.000 UTC [9] LOG:  last completed transaction was at log time 2026-11-27 20:59:00.5+00
2026-11-27 21:00:06.250 UTC [8] LOG:  database system is ready to accept connections
";

fn scene() -> Scene {
    let target = samples::target(15);
    Scene {
        copy: copy::of(&target, "/scratch".into(), 60),
        paths: target.paths,
        directory: "/scratch".into(),
        given: false,
        stanza: "app".into(),
        tool: "pgBackRest",
        recovery: Recovery {
            target: Target::Latest,
            exclusive: false,
            timeline: None,
            action: Action::Promote,
        },
        amcheck: true,
        checks: vec![CheckSpec {
            database: "shop".into(),
            sql: "SELECT 1".into(),
            expected: Some("1\n".into()),
        }],
        keep: false,
    }
}

fn recorded(begun: &str, ended: &str, error: Option<&str>) -> Recorded {
    let time = |seconds: &str| format!("2026-11-27T21:00:{seconds}Z").parse().unwrap();
    Recorded {
        begun: time(begun),
        ended: time(ended),
        error: error.map(str::to_owned),
    }
}

fn good() -> Facts {
    Facts {
        chosen: Chosen {
            label: "20261127-203328F".into(),
            kind: Kind::Full,
            date_stop: "2026-11-27T20:33:34Z".parse().unwrap(),
            wal_start: Some("000000010000000000000003".into()),
            wal_stop: Some("000000010000000000000007".into()),
        },
        restore: recorded("00", "04", None),
        recovery: Some(recorded("04", "05", None)),
        log: GOOD.to_owned(),
        segment_size: Some(16 << 20),
        unread: false,
        without_amcheck: None,
        amcheck: Some(recorded("07", "08", None)),
        checks: vec![(Some(recorded("08", "09", None)), Some("1\n".into()))],
        last_proved: None,
        versions: Versions::default(),
    }
}

/// What pgBackRest's words mean is told there.
fn meaning(said: &str) -> Option<Trouble> {
    match said {
        said if said.contains("[026]") => Some(Trouble::Damaged),
        said if said.contains("[031]") => Some(Trouble::Key),
        _ => None,
    }
}

fn problem(change: impl FnOnce(&mut Scene, &mut Facts)) -> Option<String> {
    let (mut scene, mut facts) = (scene(), good());
    change(&mut scene, &mut facts);
    let evidence = judge(&scene, &facts, &meaning);
    assert_eq!(
        evidence.verdict == Verdict::Failed,
        evidence.problem.is_some()
    );
    evidence.problem
}

#[test]
fn a_good_one() {
    let evidence = judge(&scene(), &good(), &meaning);
    insta::assert_json_snapshot!(evidence, @r#"
    {
      "verdict": "proved",
      "problem": null,
      "remedy": null,
      "instance": "15/main",
      "stanza": "app",
      "tool": "pgBackRest",
      "label": "20261127-203328F",
      "type": "full",
      "date_stop": "2026-11-27T20:33:34Z",
      "target": "the end of the archived WAL",
      "wal_start": "000000010000000000000003",
      "wal_stop": "000000010000000000000007",
      "begun": "2026-11-27T21:00:00Z",
      "ended": "2026-11-27T21:00:09Z",
      "last_proved": "2026-11-27T21:00:09Z",
      "restore_seconds": 4.0,
      "recovery_seconds": 2.25,
      "total_seconds": 9.0,
      "recovered_to": "0/7000060",
      "newest_data": "2026-11-27T20:59:00.5Z",
      "rpo_seconds": 59.5,
      "amcheck": {
        "passed": true,
        "said": null
      },
      "checks": [
        {
          "database": "shop",
          "sql": "SELECT 1",
          "expected": "1\n",
          "found": "1",
          "error": null,
          "passed": true
        }
      ],
      "versions": {
        "pgsocle": "",
        "postgresql": "",
        "tool": null
      },
      "directory": null
    }
    "#);
    insta::assert_snapshot!(metrics::text(&evidence), @r#"
    # HELP pgsocle_backup_test_success Whether the last test of a backup was a good one.
    # TYPE pgsocle_backup_test_success gauge
    pgsocle_backup_test_success{instance="15/main",stanza="app"} 1
    # HELP pgsocle_backup_test_timestamp_seconds When it ended.
    # TYPE pgsocle_backup_test_timestamp_seconds gauge
    pgsocle_backup_test_timestamp_seconds{instance="15/main",stanza="app"} 1795813209
    # HELP pgsocle_backup_test_last_success_timestamp_seconds When a test was last a good one.
    # TYPE pgsocle_backup_test_last_success_timestamp_seconds gauge
    pgsocle_backup_test_last_success_timestamp_seconds{instance="15/main",stanza="app"} 1795813209
    # HELP pgsocle_backup_test_restore_seconds How long it took to fetch the data.
    # TYPE pgsocle_backup_test_restore_seconds gauge
    pgsocle_backup_test_restore_seconds{instance="15/main",stanza="app"} 4
    # HELP pgsocle_backup_test_recovery_seconds How long the server took to recover.
    # TYPE pgsocle_backup_test_recovery_seconds gauge
    pgsocle_backup_test_recovery_seconds{instance="15/main",stanza="app"} 2.25
    # HELP pgsocle_backup_test_total_seconds How long it took with all checks.
    # TYPE pgsocle_backup_test_total_seconds gauge
    pgsocle_backup_test_total_seconds{instance="15/main",stanza="app"} 9
    # HELP pgsocle_backup_test_rpo_seconds How old the newest data were when it began.
    # TYPE pgsocle_backup_test_rpo_seconds gauge
    pgsocle_backup_test_rpo_seconds{instance="15/main",stanza="app"} 59.5
    "#);
}

#[test]
fn the_last_good_one_is_remembered_by_a_bad_one() {
    let mut facts = good();
    facts.last_proved = Some("2026-11-20T21:00:00Z".parse().unwrap());
    facts.restore.error = Some("ERROR: [047]: no room".into());
    let evidence = judge(&scene(), &facts, &meaning);
    assert_eq!(evidence.last_proved, facts.last_proved);
    assert_eq!(evidence.proved(), facts.last_proved);
}

#[test]
fn nothing_replayed_is_as_old_as_the_backup() {
    let mut facts = good();
    facts.log = GOOD.lines().last().unwrap().to_owned();
    facts.segment_size = None;
    let evidence = judge(&scene(), &facts, &meaning);
    assert_eq!(evidence.newest_data, Some(facts.chosen.date_stop));
    assert_eq!(evidence.rpo_seconds, Some(1586.0));
}

#[test]
fn on_the_way() {
    let log = |words: &str| format!("2026-11-27 21:00:05.000 UTC [9] FATAL:  {words}\n");
    let unready = |facts: &mut Facts, words: &str| {
        facts.log = log(words);
        facts.checks = vec![(None, None)];
        facts.amcheck = None;
    };
    let at = |lsn: &str| GOOD.replace("0/7000060", lsn);
    let missing = "WAL file `000000010000000000000006` of instance `15/main` is missing from the archive: \
                   backup `20261127-203328F` needs it on the way to the end of the archived WAL";
    for (found, wanted) in [
        (problem(|_, _| {}), None),
        // The record that switches files begins in the newest one.
        (problem(|_, facts| facts.log = at("0/70000A8")), None),
        (
            problem(|_, facts| facts.log = at("0/5FFFFF0")),
            Some(missing),
        ),
        (
            problem(|_, facts| {
                facts.log = at("0/5FFFFF0");
                facts.unread = true;
            }),
            Some(
                "archived WAL of instance `15/main` is damaged in the repository: the recovery does not get past WAL file \
                 `000000010000000000000006`; that one, or the one before it, is not as it was written",
            ),
        ),
        (
            problem(|scene, facts| {
                facts.log = at("0/5FFFFF0");
                scene.recovery.target = Target::Immediate;
            }),
            None,
        ),
        (
            problem(|_, facts| {
                facts.log = format!("ERROR: [026]: checksum\n{}", at("0/5000028"));
            }),
            Some(
                "archived WAL of instance `15/main` is damaged in the repository: ERROR: [026]: checksum",
            ),
        ),
        (
            problem(|_, facts| unready(facts, "could not locate required checkpoint record")),
            Some(
                "WAL file `000000010000000000000003` of instance `15/main` is missing from the archive: \
                 backup `20261127-203328F` needs it on the way to the end of the archived WAL",
            ),
        ),
        (
            problem(|scene, facts| {
                unready(
                    facts,
                    "recovery ended before configured recovery target was reached",
                );
                scene.recovery.target = Target::Name("x".into());
            }),
            Some("the archived WAL of instance `15/main` ends before restore point `x`"),
        ),
        (
            problem(|_, facts| unready(facts, "out of memory")),
            Some("backup `20261127-203328F` of instance `15/main` does not recover: out of memory"),
        ),
        (
            problem(|_, facts| facts.log = String::new()),
            Some(
                "backup `20261127-203328F` of instance `15/main` has not recovered within 60 seconds",
            ),
        ),
        (
            problem(|_, facts| {
                facts.restore.error =
                    Some("`pgbackrest` failed: ERROR: [026]: checksum\nmore".into());
            }),
            Some(
                "backup `20261127-203328F` of instance `15/main` is damaged in the repository: ERROR: [026]: checksum",
            ),
        ),
        (
            problem(|_, facts| facts.restore.error = Some("ERROR: [031]: x".into())),
            Some(
                "the repository of stanza `app` cannot be deciphered: the cipher key is not the one that it was encrypted with",
            ),
        ),
        (
            problem(|_, facts| facts.restore.error = Some("ERROR: [047]: no room".into())),
            Some(
                "backup `20261127-203328F` of instance `15/main` cannot be restored: ERROR: [047]: no room",
            ),
        ),
    ] {
        assert_eq!(found.as_deref(), wanted);
    }
}

#[test]
fn in_the_copy() {
    for (found, wanted) in [
        (
            problem(|_, facts| facts.amcheck.as_mut().unwrap().error = Some("heap is bad".into())),
            Some("the copy does not pass `pg_amcheck`: heap is bad"),
        ),
        (
            problem(|_, facts| facts.checks[0].1 = Some("2\n".into())),
            Some(
                "the copy is not as it should be: `SELECT 1` in database `shop`: expected `1`, found `2`",
            ),
        ),
        (
            problem(|_, facts| {
                facts.checks[0] = (
                    Some(recorded(
                        "08",
                        "09",
                        Some("`psql` failed: ERROR:  no table"),
                    )),
                    Some(String::new()),
                );
            }),
            Some(
                "the copy is not as it should be: `SELECT 1` in database `shop`: expected `1`, found ERROR:  no table",
            ),
        ),
        (
            problem(|scene, facts| {
                scene.checks[0].expected = None;
                facts.checks[0].1 = Some("anything".into());
            }),
            None,
        ),
        (
            problem(|_, facts| {
                facts.without_amcheck = Some("it is not installed".into());
                facts.amcheck = None;
            }),
            None,
        ),
    ] {
        assert_eq!(found.as_deref(), wanted);
    }
}
