//! Between the writing of configuration files and the reload: what a running server says of the files as they are on the
//! disk. `pg_file_settings`, `pg_hba_file_rules` and `pg_ident_file_mappings` read them anew at every query, so that what
//! the server would refuse is known while it still runs with what it read before. A refusal fails the run here, and the
//! previous files come back (`Scope::Configuration`).
//!
//! What was wrong before this run, in a part that it does not touch, is told as a warning; it is a refusal only where it
//! keeps the server from taking over what this run writes (docs/decisions/0011-errors-that-were-there.md).

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use serde_json::Value;

use crate::bail_fault;
use crate::host::{Look, Query};
use crate::pg::conf::{self, Conf};
use crate::pg::guc::{self, Context, Guc};
use crate::pg::version::Major;
use crate::plan::{Fact, Plan, Replaced};
use crate::resource::catalog;
use crate::resource::instance::configuration::tls;
use crate::resource::instance::desired::State;
use crate::resource::instance::reading::Reading;
use crate::resource::instance::target::Target;
use crate::stage::{Catalogs, Sight, Stage, World};

/// From this version on the server shows what it makes of `pg_ident.conf`.
const IDENT_VIEW: Major = Major::new(15);

/// Asks the server whether it takes the files that earlier stages of the run have written.
pub struct Accepted {
    pub target: Target,
    /// The server will be told to read its files even when this run writes none.
    pub asked: bool,
    /// The server may be restarted, be it for what an earlier run has written.
    pub renews: bool,
}

impl Accepted {
    /// `restarts`: what waits for a restart may get it.
    pub fn new(target: &Target, state: State, restarts: bool) -> Self {
        Self {
            target: target.clone(),
            asked: state == State::Reloaded,
            renews: state == State::Restarted || restarts && state != State::Stopped,
        }
    }
}

#[derive(Debug, Default)]
pub struct Seen {
    /// What it would not take of postgresql.conf and the files that it includes.
    settings: Vec<Row>,
    hba: Access,
    ident: Access,
    replaced: Vec<Replaced>,
    /// They are on the disk; if not, what is seen is how it was before.
    written: bool,
    /// What a start would say of the files of TLS, which nobody changes by this run.
    unusable: Option<String>,
}

/// A row of `file_settings.sql`.
#[derive(Debug, Deserialize)]
struct Row {
    file: Option<Utf8PathBuf>,
    line: Option<usize>,
    /// None: the line, or the file that it includes, cannot be read.
    name: Option<String>,
    setting: Option<String>,
    error: String,
    /// None: there is no such parameter.
    parameter: Option<Guc>,
}

/// The row of `hba_errors.sql` and `ident_errors.sql`.
#[derive(Debug, Default, Deserialize)]
struct Access {
    records: usize,
    errors: Option<Vec<Rule>>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    file: Option<Utf8PathBuf>,
    line: Option<usize>,
    error: String,
}

impl Stage for Accepted {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("files of instance {}", self.target.paths)
    }

    fn sight(&self, world: &World) -> Sight {
        // A cluster that this run makes can be asked once it runs.
        let answers = !world.cluster_made || matches!(world.catalogs, Catalogs::Readable(_));
        // Where it is known that nothing waits, nothing is renewed either, unless this run changes something.
        let waits = world.waiting.as_ref().is_none_or(|all| !all.is_empty());
        if answers && (self.asked || self.renews && waits || !world.replaced.is_empty()) {
            Sight::Look
        } else {
            Sight::Skip
        }
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let Some(running) = self.target.running(look)? else {
            return Ok(Seen::default());
        };
        let mut views = vec![
            include_str!("../../sql/file_settings.sql"),
            include_str!("../../sql/hba_errors.sql"),
        ];
        if self.target.paths.version >= IDENT_VIEW {
            views.push(include_str!("../../sql/ident_errors.sql"));
        }
        let queries = views.into_iter().map(|sql| Query {
            server: running.server.clone(),
            database: catalog::MAINTENANCE.into(),
            sql,
            parameter: Value::Null,
        });
        let mut answers = look.query(&queries.collect::<Vec<_>>())?.into_iter();
        let mut next = || answers.next().unwrap_or_default();
        let mut seen = Seen {
            settings: next().read()?,
            hba: one(next().read()?),
            ident: one(next().read()?),
            replaced: world.replaced.clone(),
            written: world.written,
            unusable: None,
        };
        if self.renews && !seen.touches(|name| name.starts_with("ssl")) {
            let values = Reading::in_view(look, &self.target.paths)?.values();
            seen.unusable = tls::refused(look, &self.target, &values)?;
        }
        Ok(seen)
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let mut found = Found::default();
        let paths = &self.target.paths;
        let records = [&paths.hba_file, &paths.ident_file].map(|path| path.file_name());
        let of_parameters = |file: &Replaced| !records.contains(&file.path.file_name());
        let parameters = self.asked || seen.replaced.iter().any(of_parameters);
        for row in &seen.settings {
            found.setting(seen, row, parameters);
        }
        for (access, file) in [
            (&seen.hba, &paths.hba_file),
            (&seen.ident, &paths.ident_file),
        ] {
            found.access(seen, access, file);
        }
        found.tls(seen.unusable.as_deref());
        let emptied = seen.hba.records == 0 && seen.replaced(&paths.hba_file).is_some();
        if seen.written && emptied {
            found.ours.push(format!(
                "`{}` has no record: nobody could connect",
                paths.hba_file
            ));
        }
        if !found.ours.is_empty() {
            bail_fault!(
                Input,
                "the server of instance `{paths}` refuses the new configuration: {}", found.ours.join("; ");
                "the previous files are back, and the server was told nothing: correct what is wanted, and try again"
            );
        }
        if !found.older.is_empty() {
            bail_fault!(
                Conflict,
                "the server of instance `{paths}` takes over no change as its files are: {}", found.older.join("; ");
                "this was so before this run: correct it first, the server would not start again either"
            );
        }
        let no_start =
            (self.renews && !found.fatal.is_empty()).then_some(Fact::NoStart(found.fatal));
        Ok(Plan {
            warnings: found.warnings,
            facts: no_start.into_iter().collect(),
            ..Plan::default()
        })
    }
}

/// What is wrong: by what this run writes; by something older that keeps the server from taking that over; by
/// something older that does not concern it.
#[derive(Debug, Default)]
struct Found {
    ours: Vec<String>,
    older: Vec<String>,
    warnings: Vec<String>,
    /// Those of the warnings with which no server starts; with a wrong `pg_ident.conf` one does, without any mapping, and the
    /// superuser role is kept out (`PostmasterMain` in postmaster.c).
    fatal: Vec<String>,
}

/// How an error stands to what this run writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Ours,
    Older,
    /// It goes away with what is to be written.
    Mended,
}

impl Found {
    /// `parameters`: the server is to take over parameters. Records it takes over whatever becomes of these
    /// (`process_pm_reload_request` in postmaster.c).
    fn setting(&mut self, seen: &Seen, row: &Row, parameters: bool) {
        let origin = match &row.name {
            Some(name) if seen.touches(|own| own.eq_ignore_ascii_case(name)) => seen.own(),
            _ => seen.origin(row.file.as_deref(), row.line),
        };
        let secret = row.name.as_deref().is_some_and(conf::is_secret);
        let name = row.name.as_deref().unwrap_or_default();
        let refused = match (&row.parameter, &row.setting) {
            // Every parameter of this kind that differs from the running value is "not applied": it waits for a restart.
            (Some(guc), Some(value)) if guc.context == Context::Postmaster => {
                match guc::check(guc, value) {
                    Ok(()) => return,
                    Err(_) if secret => "invalid value".to_owned(),
                    Err(error) => error.to_string(),
                }
            }
            (Some(guc), _) if guc.context == Context::Internal => {
                format!("parameter `{name}` cannot be changed")
            }
            (Some(_), Some(value)) if !secret => {
                format!("parameter `{name}` = `{value}`: {}", row.error)
            }
            _ if name.is_empty() => row.error.clone(),
            _ => format!("{} `{name}`", row.error),
        };
        let said = place(row.file.as_deref(), row.line, &refused);
        match (origin, &row.parameter) {
            (Origin::Mended, _) => {}
            (Origin::Ours, _) => self.ours.push(said),
            // A line that cannot be read and an unknown parameter stop the reading as a whole (guc-file.l).
            (Origin::Older, None) if parameters => self.older.push(said),
            (Origin::Older, _) => {
                self.warnings.push(format!(
                    "{said} (the server goes on with the value that it has, and would not start again)"
                ));
                self.fatal.push(said);
            }
        }
    }

    /// A running server has its certificate in memory.
    fn tls(&mut self, unusable: Option<&str>) {
        if let Some(said) = unusable {
            let said = format!("TLS is on, and {said}");
            self.warnings
                .push(format!("{said} (the server would not start again)"));
            self.fatal.push(said);
        }
    }

    /// One wrong record, and the server goes on with all that it has (hba.c, `load_hba`).
    fn access(&mut self, seen: &Seen, access: &Access, file: &Utf8Path) {
        let errors = access.errors.iter().flatten();
        let is_written = |path: &Utf8Path| seen.replaced(path).is_some();
        for rule in errors {
            let path = rule.file.as_deref().unwrap_or(file);
            let said = place(Some(path), rule.line, &rule.error);
            match seen.origin(Some(path), rule.line) {
                Origin::Mended => {}
                Origin::Ours => self.ours.push(said),
                Origin::Older if is_written(file) || is_written(path) => self.older.push(said),
                Origin::Older => {
                    self.warnings.push(format!(
                        "{said} (the server goes on with the records that it has)"
                    ));
                    self.fatal.push(said);
                }
            }
        }
    }
}

impl Seen {
    /// What becomes of a file by this run. The server's path may lead through links.
    fn replaced(&self, file: &Utf8Path) -> Option<&Replaced> {
        let name = |replaced: &&Replaced| replaced.path.file_name() == file.file_name();
        let mut all = self.replaced.iter();
        all.find(|replaced| replaced.path == file)
            .or_else(|| self.replaced.iter().find(name))
    }

    /// What concerns only the content that this run writes.
    fn own(&self) -> Origin {
        if self.written {
            Origin::Ours
        } else {
            Origin::Mended
        }
    }

    /// Whether this run writes the line. A line that stands in the file as it was and as it is to be is no change of ours.
    fn origin(&self, file: Option<&Utf8Path>, line: Option<usize>) -> Origin {
        let (Some(file), Some(line)) = (file, line) else {
            return Origin::Older;
        };
        let Some(Replaced { before, after, .. }) = self.replaced(file) else {
            return Origin::Older;
        };
        let (seen, other) = if self.written {
            (after, before)
        } else {
            (before, after)
        };
        let Some(text) = lines(seen).nth(line.saturating_sub(1)) else {
            return Origin::Older;
        };
        if lines(other).any(|other| other == text) {
            Origin::Older
        } else {
            self.own()
        }
    }

    /// Whether one of these parameters gets another value by this run, or loses its own.
    fn touches(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        self.replaced.iter().any(|file| {
            let values = |content: &[u8]| -> Option<BTreeMap<String, String>> {
                let entries = Conf::parse(content).ok()?.entries();
                Some(
                    entries
                        .into_iter()
                        .filter(|(name, _)| is_meant(name))
                        .collect(),
                )
            };
            let [before, after] = [&file.before, &file.after].map(|content| values(content));
            before.is_some() && after.is_some() && before != after
        })
    }
}

fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii)
}

/// "`FILE` line 3: what is wrong"
fn place(file: Option<&Utf8Path>, line: Option<usize>, what: &str) -> String {
    match (file, line) {
        (Some(file), Some(line)) => format!("`{file}` line {line}: {what}"),
        (Some(file), None) => format!("`{file}`: {what}"),
        (None, _) => what.to_owned(),
    }
}

fn one<T: Default>(rows: Vec<T>) -> T {
    rows.into_iter().next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
