//! A backup brought to a place, ready for a recovery.

use std::fmt::Write as _;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::archive;
use super::repository::tablespace;
use super::tool::{BaseBackup, mapping};
use crate::backup::recovery::{Recovery, TARGETS};
use crate::backup::{Backup, Catalogue, Place, Tablespace};
use crate::bail_fault;
use crate::host::Command;
use crate::pg::conf::quote;
use crate::pg::tablespace::link;
use crate::pg::version::Major;
use crate::plan::{Content, Step};

/// Every backup of the chain is read first: what is damaged is not restored.
pub fn steps(
    tool: &BaseBackup,
    backup: &Backup,
    known: &Catalogue,
    place: &Place,
    recovery: &Recovery,
) -> Result<Vec<Step>> {
    let version: Major = backup.version.parse()?;
    let chain = known.chain(backup);
    let root = chain[0];
    if !known.is_whole(backup) {
        let prior = root.prior.as_deref().unwrap_or_default();
        if let Some(told) = known.unreadable.get(prior) {
            bail_fault!(
                Unavailable,
                "backup `{}` builds upon another one: {told}",
                backup.label
            );
        }
        bail_fault!(
            NotFound,
            "backup `{}` builds upon `{}`, which is not there", backup.label, prior;
            "choose another one: `pgsocle instance backups` lists what there is"
        );
    }
    let directory = place.directory;
    let data = chain.iter().map(|own| tool.repository.data(&own.label));
    let mut steps: Vec<Step> = data
        .map(|data| tool.verify_command(version, &data))
        .collect();
    steps.extend(match chain.as_slice() {
        [_] => copy(tool, backup, place),
        _ => combine(tool, version, &chain, place),
    });
    let wal = directory.join("pg_wal");
    if let Some(waldir) = place.waldir {
        let copy = Command::new("cp").args(["-a", "--reflink=auto"]);
        steps.extend([
            Step::Run(copy.args([format!("{wal}/."), waldir.to_string()])),
            Step::Remove { path: wal.clone() },
            Step::Symlink {
                path: wal,
                target: waldir.to_owned(),
            },
        ]);
    }
    let settings = directory.join("postgresql.auto.conf");
    let mut append = Command::new("sh").args(["-c", "cat >> \"$1\"", "sh", settings.as_str()]);
    append.stdin = Some(settings_of(tool, backup, place, recovery).into());
    steps.extend([
        Step::Run(append),
        // Of a standby: that is not what is made of it.
        Step::Remove {
            path: directory.join("standby.signal"),
        },
        Step::write(
            &directory.join("recovery.signal"),
            Content::Bytes(Vec::new()),
            0o600,
        ),
    ]);
    Ok(steps)
}

/// What `postgresql.auto.conf` gets: what is said there last holds. Targets of an earlier recovery are taken away first: none
/// may be said behind another one (`assign_recovery_target` in xlogrecovery.c).
fn settings_of(tool: &BaseBackup, backup: &Backup, place: &Place, recovery: &Recovery) -> String {
    let target = recovery.target.parameter();
    let fetch = archive::fetch(&tool.archive(backup.system_identifier));
    let timeline = recovery.timeline.as_deref().unwrap_or("latest");
    let inclusive = if recovery.exclusive { "off" } else { "on" };
    let mut lines = vec![
        ("restore_command", fetch.as_str()),
        ("recovery_end_command", ""),
        ("archive_cleanup_command", ""),
        ("recovery_target_action", recovery.action.name()),
        ("recovery_target_inclusive", inclusive),
        ("recovery_target_timeline", timeline),
    ];
    let others = TARGETS
        .iter()
        .filter(|name| target.as_ref().is_none_or(|(own, _)| own != *name));
    lines.extend(others.map(|name| (*name, "")));
    lines.extend(target.iter().map(|(name, value)| (*name, &**value)));
    if place.silent {
        lines.push(("archive_mode", "off"));
    }
    let mut text = format!("# For the recovery from backup {}.\n", backup.label);
    for (name, value) in lines {
        let _ = writeln!(text, "{name} = {}", quote(value));
    }
    text
}

/// Brings a full backup to its place.
fn copy(tool: &BaseBackup, backup: &Backup, place: &Place) -> Vec<Step> {
    let copy = |from: &Utf8Path, to: &Utf8Path| {
        let copy = Command::new("cp").args(["-a", "--reflink=auto"]);
        Step::Run(copy.args([format!("{from}/."), to.to_string()]))
    };
    let from = tool.repository.backup(&backup.label);
    let mut steps = vec![copy(&from.join("data"), place.directory)];
    for own in &backup.tablespaces {
        let to = located(own, place);
        // One that holds something is not filled: `mkdir` fails then.
        steps.push(Step::RemoveEmptyDir { path: to.clone() });
        steps.extend(to.parent().map(|parent| Step::make_dir(parent, 0o700)));
        let make = Command::new("mkdir").args(["-m", "700", to.as_str()]);
        steps.extend([
            Step::Run(make),
            copy(&tablespace(&from, own), &to),
            Step::Symlink {
                path: link(place.directory, own.oid),
                target: to,
            },
        ]);
    }
    steps
}

/// Makes one of a chain of backups, at its place.
fn combine(tool: &BaseBackup, version: Major, chain: &[&Backup], place: &Place) -> Vec<Step> {
    let mut command = tool.program(version, "pg_combinebackup");
    for backup in chain {
        command = command.arg(tool.repository.data(&backup.label).as_str());
    }
    if let Some(newest) = chain.last() {
        let from = tool.repository.backup(&newest.label);
        for own in &newest.tablespaces {
            let (from, to) = (tablespace(&from, own), located(own, place));
            command = command.arg(mapping(&from, &to));
        }
    }
    vec![Step::Run(command.args(["-o", place.directory.as_str()]))]
}

/// Where a tablespace is put.
fn located(own: &Tablespace, place: &Place) -> Utf8PathBuf {
    let mapped = place.mapped.iter().find(|(oid, _)| *oid == own.oid);
    match (mapped, &place.tablespaces) {
        (Some((_, to)), _) => to.clone(),
        (None, Some(below)) => below.join(&own.name),
        (None, None) => own.location.clone(),
    }
}
