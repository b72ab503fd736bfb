//! `pgsocle instance backup`, `backups` and `backup-…`.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::change::{Format, Run};
use super::instance::One;
use super::{Call, Ended, show};
use crate::backup;
use crate::door::{Session, exit};
use crate::host::Look;
use crate::manifest::InstanceRef;
use crate::resource::backup::{BackupSpec, info, job, upkeep};
use crate::resource::{Job, Site};

#[derive(Args)]
pub struct Backup {
    #[command(flatten)]
    one: One,
    /// Everything (`full`), what has changed since the last full backup (`diff`), or since the last one of any kind (`incr`).
    /// Unless given `incr`, or `full` where there is no other way.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<Kind>,
    /// Take none while the newest one of this type, or of one that copies more, is younger: `1d`, `12h 30m`.
    #[arg(long, value_name = "AGE")]
    max_age: Option<String>,
    #[command(flatten)]
    run: Run,
}

/// The words of [`backup::Kind`].
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Full,
    Diff,
    Incr,
}

impl From<Kind> for backup::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Full => Self::Full,
            Kind::Diff => Self::Diff,
            Kind::Incr => Self::Incr,
        }
    }
}

impl Backup {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        let session = self.run.open(call)?;
        if !self.run.format.is_json() {
            call.show_progress();
        }
        let spec = BackupSpec {
            instance: Some(Self::reference(&self.one, &session)?),
            kind: self.kind.map(Into::into),
            max_age: self.max_age.clone(),
            lock_timeout: self.run.lock_timeout,
        };
        self.run
            .carry_out(&session, job(&spec, &session.site, &session.local)?)
    }
}

impl Backup {
    /// The instance that is meant, for certain.
    fn reference(one: &One, session: &Session) -> Result<InstanceRef, Ended> {
        let paths = one.target(session)?.paths;
        Ok(InstanceRef {
            version: Some(paths.version.to_string()),
            name: Some(paths.name),
        })
    }
}

/// A run on the backups of an instance.
#[derive(Args)]
pub struct Upkeep {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    run: Run,
}

impl Upkeep {
    pub fn expire(&self, call: &Call) -> Result<u8, Ended> {
        self.carry_out(call, upkeep::expire)
    }

    pub fn check(&self, call: &Call) -> Result<u8, Ended> {
        self.carry_out(call, upkeep::check)
    }

    fn carry_out(
        &self,
        call: &Call,
        job: fn(&InstanceRef, &Site, &dyn Look) -> anyhow::Result<Job>,
    ) -> Result<u8, Ended> {
        let session = self.run.open(call)?;
        let reference = Backup::reference(&self.one, &session)?;
        let job = job(&reference, &session.site, &session.local)?;
        self.run.carry_out(&session, job)
    }
}

/// The backups of an instance, as they are.
#[derive(Args)]
pub struct Backups {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    format: Format,
}

/// The columns, as pglift has them.
const TITLES: [&str; 6] = [
    "label",
    "size",
    "repo_size",
    "date_start",
    "type",
    "databases",
];

impl Backups {
    pub fn verify(&self, call: &Call) -> Result<u8, Ended> {
        let session = call.look()?;
        let target = self.one.target(&session)?;
        let verdict = upkeep::verify(&target, &session.site, &session.local)?;
        let data = json!({ "sound": verdict.sound, "report": verdict.report });
        self.format.show(&data, || verdict.report + "\n")?;
        Ok(exit::DONE)
    }

    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        let session = call.look()?;
        let target = self.one.target(&session)?;
        let found = info(&target, &session.site, &session.local)?;
        if found["stanza"].is_null() {
            show::say([format!(
                "warning: instance `{}` is not backed up: it is in no stanza",
                target.paths
            )]);
        }
        let problems = found.get("problems").and_then(Value::as_array);
        show::say(
            problems
                .into_iter()
                .flatten()
                .map(|problem| format!("warning: {}", show::cell("", problem))),
        );
        let backups = found["backups"].clone();
        let useless = backups.as_array().into_iter().flatten();
        let useless = useless.filter(|backup| backup["error"] == true);
        show::say(useless.map(|backup| {
            format!(
                "warning: backup `{}` is of no use: what it builds upon is gone, or pages in it are damaged",
                show::cell("label", &backup["label"])
            )
        }));
        let row = |backup: &Value| {
            let cells = TITLES.iter();
            cells
                .map(|title| show::cell(title, &backup[title]))
                .collect()
        };
        let text = || {
            let rows: Vec<Vec<String>> =
                backups.as_array().into_iter().flatten().map(row).collect();
            show::table(&TITLES, &rows)
        };
        self.format.show(&backups, text)?;
        Ok(exit::DONE)
    }
}
