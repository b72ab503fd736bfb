//! Work that a stop, a restart or a start would ruin: base backups, and programs at work on the data directory.

use std::fmt;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use serde_json::Value;

use crate::fault;
use crate::host::{Look, Query, Server};
use crate::resource::catalog;
use crate::resource::instance::target::Target;

/// A work, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Work {
    /// A session through which a base backup is taken.
    BaseBackup {
        pid: i32,
        application: String,
        client: Option<String>,
    },
    /// Begun by `pg_start_backup` in its exclusive form: up to PostgreSQL 14 it outlives its session.
    Exclusive,
    /// A program that reads or writes the data directory as a whole.
    Program { name: String, process: i32 },
}

/// Programs that work on a data directory themselves, without its server or beside it.
const PROGRAMS: &[&str] = &[
    "pg_basebackup",
    "pg_checksums",
    "pg_combinebackup",
    "pg_resetwal",
    "pg_rewind",
    "pg_upgrade",
];

impl Work {
    /// What is going on; `server` where it runs.
    pub fn observe(look: &dyn Look, target: &Target, server: Option<&Server>) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        if let Some(server) = server {
            let query = Query {
                server: server.clone(),
                database: catalog::MAINTENANCE.into(),
                sql: include_str!("../../sql/base_backups.sql"),
                parameter: Value::Null,
            };
            found.extend(look.rows::<Self>(query)?);
            let label = target.paths.datadir.join("backup_label");
            if found.is_empty() && look.stat(&label)?.is_some() {
                found.push(Self::Exclusive);
            }
        }
        found.extend(programs(look, &target.paths.datadir)?);
        Ok(found)
    }

    fn remedy(&self) -> String {
        match self {
            Self::BaseBackup { pid, .. } => {
                format!(
                    "wait until it has ended, or end it with `SELECT pg_terminate_backend({pid})`"
                )
            }
            Self::Exclusive => "end it with `SELECT pg_stop_backup()`".to_owned(),
            Self::Program { .. } => "wait until it has ended".to_owned(),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BaseBackup {
                pid,
                application,
                client,
            } => {
                write!(f, "a base backup is being taken (process {pid}")?;
                if !application.is_empty() {
                    write!(f, " of `{application}`")?;
                }
                match client {
                    Some(client) => write!(f, " at {client})"),
                    None => f.write_str(")"),
                }
            }
            Self::Exclusive => f.write_str("a base backup is being taken (file `backup_label`)"),
            Self::Program { name, process } => {
                write!(
                    f,
                    "`{name}` works on its data directory (process {process})"
                )
            }
        }
    }
}

/// Refuses an act because of what is going on. `act` as in "cannot be restarted".
pub fn check(target: &Target, act: &str, works: &[Work]) -> Result<()> {
    let Some(first) = works.first() else {
        return Ok(());
    };
    let all: Vec<String> = works.iter().map(ToString::to_string).collect();
    Err(fault!(
        Conflict,
        "instance `{}` cannot be {act} now: {}", target.paths, all.join("; ");
        "{}; nothing was changed", first.remedy()
    ))
}

fn programs(look: &dyn Look, datadir: &Utf8Path) -> Result<Vec<Work>> {
    let mut found = Vec::new();
    for entry in look.list("/proc".into())?.unwrap_or_default() {
        let Ok(process) = entry.parse::<i32>() else {
            continue;
        };
        let directory = Utf8PathBuf::from(format!("/proc/{entry}"));
        // A process that has ended by now is at work no more; what others' have in their environment is not for us to read.
        let read = |name: &str| {
            let content = look.read(&directory.join(name)).ok().flatten();
            String::from_utf8_lossy(&content.unwrap_or_default()).into_owned()
        };
        let name = read("comm").trim_end().to_owned();
        if PROGRAMS.contains(&name.as_str())
            && (names(&read("cmdline"), datadir) || names(&read("environ"), datadir))
        {
            found.push(Work::Program { name, process });
        }
    }
    Ok(found)
}

/// Whether a word is the directory, perhaps behind an option or a variable: `-D/x`, `--old-datadir=/x`, `PGDATAOLD=/x`.
fn names(words: &str, datadir: &Utf8Path) -> bool {
    words.split('\0').any(|word| {
        word.trim_end_matches('/')
            .strip_suffix(datadir.as_str())
            .is_some_and(|before| {
                before.is_empty()
                    || before.ends_with('=')
                    || before.len() == 2 && before.starts_with('-')
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::site::tests::Machine;

    #[test]
    fn words_that_name_a_directory() {
        for (words, named) in [
            ("pg_checksums\0--enable\0-D\0/srv/data\0", true),
            ("pg_checksums\0-D/srv/data/\0", true),
            ("pg_upgrade\0--old-datadir=/srv/data\0", true),
            ("PGDATAOLD=/srv/data\0HOME=/\0", true),
            ("pg_checksums\0-D\0/mnt/srv/data\0", false),
            ("pg_checksums\0-D\0/srv/data2\0", false),
            ("", false),
        ] {
            assert_eq!(names(words, "/srv/data".into()), named, "{words}");
        }
    }

    #[test]
    fn what_is_said() {
        let machine = Machine::with_systemd(false);
        let site = machine.site("prefix: /p\nrun_prefix: /r\n");
        let target = Target::new(&site.settings, &machine, "15".parse().unwrap(), "main").unwrap();
        let backup = |client: Option<&str>| Work::BaseBackup {
            pid: 7,
            application: "pg_basebackup".into(),
            client: client.map(str::to_owned),
        };
        let program = Work::Program {
            name: "pg_upgrade".into(),
            process: 9,
        };
        let said = |works: &[Work]| match check(&target, "restarted", works) {
            Ok(()) => String::new(),
            Err(error) => {
                let hint = crate::fault::Fault::of(&error).and_then(|fault| fault.hint.clone());
                format!("{error}\n{}", hint.unwrap_or_default())
            }
        };
        assert_eq!(said(&[]), "");
        insta::assert_snapshot!(said(&[backup(Some("10.0.0.1")), program]), @r"
        instance `15/main` cannot be restarted now: a base backup is being taken (process 7 of `pg_basebackup` at 10.0.0.1); `pg_upgrade` works on its data directory (process 9)
        wait until it has ended, or end it with `SELECT pg_terminate_backend(7)`; nothing was changed
        ");
        insta::assert_snapshot!(said(&[backup(None)]), @r"
        instance `15/main` cannot be restarted now: a base backup is being taken (process 7 of `pg_basebackup`)
        wait until it has ended, or end it with `SELECT pg_terminate_backend(7)`; nothing was changed
        ");
        insta::assert_snapshot!(said(&[Work::Exclusive]), @r"
        instance `15/main` cannot be restarted now: a base backup is being taken (file `backup_label`)
        end it with `SELECT pg_stop_backup()`; nothing was changed
        ");
    }
}
