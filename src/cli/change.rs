//! Runs that change something: their options, and what is told of them.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Call, Ended, show};
use crate::ansible;
use crate::door::{Session, exit};
use crate::plan::Impact;
use crate::resource::Job;

/// Identifies the option of the format.
pub const OUTPUT: &str = "output";

/// How things are shown.
#[derive(Args, Clone, Copy)]
pub struct Format {
    /// JSON on stdout instead of text for people.
    #[arg(id = OUTPUT, short = 'o', long = "output-format", value_name = "FORMAT")]
    output: Option<OutputFormat>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Json,
}

impl Format {
    pub fn is_json(self) -> bool {
        self.output == Some(OutputFormat::Json)
    }

    /// Shows data, as they are or as text made of them.
    pub fn show(self, data: &Value, text: impl FnOnce() -> String) -> Result<()> {
        if self.is_json() {
            show::json(data)
        } else {
            show::print(&text())
        }
    }
}

/// The options of everything that changes something.
#[derive(Args, Clone, Copy)]
#[expect(
    clippy::struct_field_names,
    reason = "`--dry-run` is the option's name"
)]
pub struct Run {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Show what changes, as a unified diff.
    #[arg(long)]
    diff: bool,
    /// Refuse the whole plan when a change has a greater impact than this.
    #[arg(long, value_name = "IMPACT")]
    max_impact: Option<Limit>,
    /// How long to wait for another run on the same instance; 60 unless given, 0: not at all.
    #[arg(long, value_name = "SECONDS")]
    pub lock_timeout: Option<u32>,
    #[command(flatten)]
    pub format: Format,
}

/// The words of [`Impact`].
#[derive(Clone, Copy, ValueEnum)]
enum Limit {
    None,
    Reload,
    Restart,
    Rewrite,
    Destructive,
}

impl From<Limit> for Impact {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::None => Self::None,
            Limit::Reload => Self::Reload,
            Limit::Restart => Self::Restart,
            Limit::Rewrite => Self::Rewrite,
            Limit::Destructive => Self::Destructive,
        }
    }
}

impl Run {
    /// Opens the session of a run.
    pub fn open(&self, call: &Call) -> Result<Session> {
        call.open(self.dry_run)
    }

    /// Carries a run out and tells what came of it.
    pub fn carry_out(&self, session: &Session, job: Job) -> Result<u8, Ended> {
        let reply = self.one(session, job)?;
        if self.format.is_json() {
            show::json(&reply)?;
        }
        Ok(exit::DONE)
    }

    /// Carries several runs out, one after the other. One that fails does not keep the others from being tried.
    /// The JSON is a list where several objects could have been meant, and has each failure in its place.
    pub fn carry_out_all(
        &self,
        session: &Session,
        jobs: Vec<Result<Job>>,
        several: bool,
    ) -> Result<u8, Ended> {
        let mut code = exit::DONE;
        let mut replies = Vec::new();
        for job in jobs {
            match job
                .map_err(Ended::from)
                .and_then(|job| self.one(session, job))
            {
                Ok(reply) => replies.push(reply),
                Err(ended) if several => {
                    ended.tell();
                    replies.push(ended.json());
                    code = code.max(ended.code);
                }
                Err(ended) => return Err(ended),
            }
        }
        if self.format.is_json() {
            show::json(&match replies.pop() {
                Some(only) if !several => only,
                last => {
                    replies.extend(last);
                    json!(replies)
                }
            })?;
        }
        Ok(code)
    }

    /// One run; told at once to people, given back for JSON.
    pub fn one(&self, session: &Session, mut job: Job) -> Result<Value, Ended> {
        if let Some(limit) = self.max_impact {
            job.max_impact = Some(limit.into());
        }
        job.wait_for(self.lock_timeout);
        let outcome = session.run(job)?;
        if !self.format.is_json() {
            let warnings = outcome.plan.warnings.iter();
            show::say(warnings.map(|warning| format!("warning: {warning}")));
            show::print(&show::outcome(&outcome, self.dry_run, self.diff))?;
            let pending = outcome.pending_restart.iter().flatten();
            let pending: Vec<&str> = pending.map(|setting| setting.name.as_str()).collect();
            if !pending.is_empty() {
                show::say([format!(
                    "warning: a restart is needed for: {}",
                    pending.join(", ")
                )]);
            }
        }
        Ok(Value::Object(ansible::success(&outcome, self.diff)))
    }
}
