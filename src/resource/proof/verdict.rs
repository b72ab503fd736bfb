//! What a proof comes to: pure, of what its steps have kept.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Scene;
use super::copy::Chosen;
use super::evidence::{Amcheck, Checked, Evidence, Versions};
use super::log::Log;
use crate::backup::Trouble;
use crate::backup::recovery::{Target, shown};
use crate::host::Recorded;
use crate::pg::wal;
use crate::resource::restore::fetch::key;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Proved,
    Failed,
    /// It was not begun.
    Refused,
}

/// What the steps have kept.
#[derive(Debug, Clone)]
pub struct Facts {
    pub chosen: Chosen,
    pub restore: Recorded,
    pub recovery: Option<Recorded>,
    pub log: String,
    /// Bytes of a WAL file.
    pub segment_size: Option<u32>,
    /// The WAL file to which the recovery did not come is in the archive.
    pub unread: bool,
    pub without_amcheck: Option<String>,
    pub amcheck: Option<Recorded>,
    /// How each check went, and what it gave.
    pub checks: Vec<(Option<Recorded>, Option<String>)>,
    pub last_proved: Option<Timestamp>,
    pub versions: Versions,
}

/// What is wrong, and what to do.
type Problem = (String, String);

/// What the words of the backup tool, or of a server that calls it, mean.
type Meaning<'a> = &'a dyn Fn(&str) -> Option<Trouble>;

/// What is to be said of it all.
pub fn judge(scene: &Scene, facts: &Facts, meaning: Meaning) -> Evidence {
    let log = Log::read(&facts.log);
    let checks = checked(scene, facts);
    let amcheck = amcheck(facts);
    let recovered = log.ready.is_some();
    let problem = restoring(scene, facts, meaning)
        .or_else(|| recovering(scene, facts, &log, meaning))
        .or_else(|| corrupt(amcheck.as_ref()))
        .or_else(|| unexpected(&checks));
    let ended = facts
        .checks
        .iter()
        .filter_map(|(record, _)| record.as_ref())
        .chain(&facts.amcheck)
        .chain(&facts.recovery)
        .map(|record| record.ended)
        .chain(log.ready)
        .chain([facts.restore.ended])
        .max()
        .unwrap_or(facts.restore.ended);
    let begun = facts.restore.begun;
    let newest = recovered.then(|| log.last_transaction.unwrap_or(facts.chosen.date_stop));
    let to_the_end = scene.recovery.target == Target::Latest;
    Evidence {
        verdict: if problem.is_some() {
            Verdict::Failed
        } else {
            Verdict::Proved
        },
        instance: scene.paths.to_string(),
        stanza: scene.stanza.clone(),
        tool: Some(scene.tool.to_owned()),
        label: Some(facts.chosen.label.clone()),
        kind: Some(facts.chosen.kind),
        date_stop: Some(facts.chosen.date_stop),
        target: Some(scene.recovery.target.to_string()),
        wal_start: facts.chosen.wal_start.clone(),
        wal_stop: facts.chosen.wal_stop.clone(),
        begun,
        ended,
        last_proved: if problem.is_some() {
            facts.last_proved
        } else {
            Some(ended)
        },
        restore_seconds: Some(seconds(begun, facts.restore.ended)),
        recovery_seconds: facts
            .recovery
            .as_ref()
            .and_then(|recovery| Some(seconds(recovery.begun, log.ready?))),
        total_seconds: Some(seconds(begun, ended)),
        recovered_to: log.redo_done.map(shown),
        newest_data: newest,
        rpo_seconds: newest
            .filter(|_| to_the_end)
            .map(|newest| seconds(newest, begun)),
        amcheck,
        checks,
        versions: facts.versions.clone(),
        directory: scene.keep.then(|| scene.directory.clone()),
        remedy: problem.as_ref().map(|(_, remedy)| remedy.clone()),
        problem: problem.map(|(problem, _)| problem),
    }
}

/// To the millisecond; not below zero, since the log of a server has no more.
fn seconds(from: Timestamp, until: Timestamp) -> f64 {
    let milliseconds = until.duration_since(from).as_millis().max(0);
    i32::try_from(milliseconds).map_or_else(
        |_| until.duration_since(from).as_secs_f64().round(),
        |milliseconds| f64::from(milliseconds) / 1000.0,
    )
}

/// The lines of a tool's words that say what happened.
fn said(words: &str) -> &str {
    let at = words.find("ERROR:").unwrap_or(0);
    words[at..].lines().next().unwrap_or_default().trim()
}

fn restoring(scene: &Scene, facts: &Facts, meaning: Meaning) -> Option<Problem> {
    let error = facts.restore.error.as_ref()?;
    let (label, instance) = (&facts.chosen.label, &scene.paths);
    let words = said(error);
    Some(match meaning(error) {
        Some(Trouble::Key) => key(&scene.stanza),
        Some(Trouble::Damaged) => (
            format!(
                "backup `{label}` of instance `{instance}` is damaged in the repository: {words}"
            ),
            format!(
                "take a new full backup, `pgsocle instance backup {instance} --type full`, and look after the storage of the repository"
            ),
        ),
        None => (
            format!("backup `{label}` of instance `{instance}` cannot be restored: {words}"),
            "mend what it names, and prove it again".to_owned(),
        ),
    })
}

fn recovering(scene: &Scene, facts: &Facts, log: &Log, meaning: Meaning) -> Option<Problem> {
    let (label, instance) = (&facts.chosen.label, &scene.paths);
    let (target, timeout) = (&scene.recovery.target, scene.copy.manner.timeout.as_secs());
    let gap = gap(facts, log);
    let complete = log.ready.is_some() && (gap.is_none() || *target != Target::Latest);
    if complete {
        return None;
    }
    // What is wrong with WAL that cannot be fetched the tool says in the server's log.
    match meaning(&facts.log) {
        Some(Trouble::Key) => return Some(key(&scene.stanza)),
        Some(Trouble::Damaged) => {
            return Some((
                format!(
                    "archived WAL of instance `{instance}` is damaged in the repository: {}",
                    said(&facts.log)
                ),
                format!(
                    "no recovery gets past it: take a new backup, `pgsocle instance backup {instance} --type full`, and look after the storage of the repository"
                ),
            ));
        }
        None => {}
    }
    if let Some(file) = not_come_to(facts, log) {
        if facts.unread {
            return Some((
                format!(
                    "archived WAL of instance `{instance}` is damaged in the repository: the recovery does not get past WAL file `{file}`; that one, or the one before it, is not as it was written"
                ),
                format!(
                    "no recovery gets past it: take a new backup, `pgsocle instance backup {instance} --type full`, and look after the storage of the repository"
                ),
            ));
        }
        return Some((
            format!(
                "WAL file `{file}` of instance `{instance}` is missing from the archive: backup `{label}` needs it on the way to {target}"
            ),
            format!(
                "no recovery gets past it: take a new backup, `pgsocle instance backup {instance} --type full`, and find out why the file is not there"
            ),
        ));
    }
    if log.too_short {
        return Some((
            format!("the archived WAL of instance `{instance}` ends before {target}"),
            "choose a target that it reaches".to_owned(),
        ));
    }
    let failed = facts
        .recovery
        .as_ref()
        .and_then(|recovery| recovery.error.as_deref());
    let words = log.fatal.as_deref().or(failed.map(said));
    Some((
        match words {
            Some(words) => format!("backup `{label}` of instance `{instance}` does not recover: {words}"),
            None => format!(
                "backup `{label}` of instance `{instance}` has not recovered within {timeout} seconds"
            ),
        },
        "with `keep: true` the copy and its log stay, to be looked into; a longer `timeout` waits longer".to_owned(),
    ))
}

/// The WAL file to which the recovery should have come.
pub fn not_come_to(facts: &Facts, log: &Log) -> Option<String> {
    let gap = gap(facts, log);
    if log.incomplete {
        gap.or_else(|| facts.chosen.wal_start.clone())
    } else {
        gap
    }
}

/// The WAL file after the one in which the recovery ended, where the archive goes on behind it.
fn gap(facts: &Facts, log: &Log) -> Option<String> {
    let newest = facts.chosen.wal_stop.as_deref()?;
    let size = u64::from(facts.segment_size.filter(|size| *size > 0)?);
    let newest_number = wal::number(newest, size)?;
    let number = log.redo_done? / size;
    let timeline = wal::timeline(newest)?;
    (number < newest_number).then(|| wal::numbered(timeline, number + 1, size))
}

fn amcheck(facts: &Facts) -> Option<Amcheck> {
    if let Some(why) = &facts.without_amcheck {
        return Some(Amcheck {
            passed: None,
            said: Some(why.clone()),
        });
    }
    facts.amcheck.as_ref().map(|record| Amcheck {
        passed: Some(record.error.is_none()),
        said: record.error.clone(),
    })
}

fn corrupt(amcheck: Option<&Amcheck>) -> Option<Problem> {
    let found = amcheck.filter(|amcheck| amcheck.passed == Some(false))?;
    Some((
        format!(
            "the copy does not pass `pg_amcheck`: {}",
            found.said.as_deref().unwrap_or_default()
        ),
        "look at the original with `pg_amcheck` too: a backup copies what is damaged there"
            .to_owned(),
    ))
}

fn checked(scene: &Scene, facts: &Facts) -> Vec<Checked> {
    let all = scene.checks.iter().zip(&facts.checks);
    all.map(|(check, (record, output))| {
        let error = match record {
            Some(record) => record.error.clone(),
            None => Some("not come to".to_owned()),
        };
        let rows = |text: &String| text.trim_end_matches('\n').to_owned();
        let found = output.as_ref().map(rows).filter(|_| error.is_none());
        let fits = |expected: &String| found.as_ref() == Some(&rows(expected));
        Checked {
            passed: error.is_none() && check.expected.as_ref().is_none_or(fits),
            check: check.clone(),
            found,
            error,
        }
    })
    .collect()
}

fn unexpected(checks: &[Checked]) -> Option<Problem> {
    let failed: Vec<String> = checks
        .iter()
        .filter(|checked| !checked.passed)
        .map(|checked| {
            let (query, found) = words(checked);
            match &checked.check.expected {
                Some(expected) => {
                    format!("{query}: expected `{}`, found {found}", expected.trim_end())
                }
                None => format!("{query}: {found}"),
            }
        })
        .collect();
    (!failed.is_empty()).then(|| {
        (
            format!("the copy is not as it should be: {}", failed.join("; ")),
            "compare with the original: the backup is of another time, or not of what it should be"
                .to_owned(),
        )
    })
}

/// The query, and what it gave.
fn words(checked: &Checked) -> (String, String) {
    let check = &checked.check;
    let query = format!("`{}` in database `{}`", check.sql.trim(), check.database);
    let found = match (&checked.found, &checked.error) {
        (Some(found), _) => format!("`{found}`"),
        (None, error) => error.as_deref().map(said).unwrap_or_default().to_owned(),
    };
    (query, found)
}

#[cfg(test)]
#[path = "verdict/tests.rs"]
mod tests;
