//! `pgsocle history`: who changed what.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use super::change::Format;
use super::{Call, Ended};
use crate::door::exit;
use crate::facts;
use crate::manifest::InstanceRef;

#[derive(Args)]
pub struct Command {
    /// The instance, also one that was dropped; all of them unless given.
    #[arg(value_name = "[VERSION/]NAME", value_parser = super::instance::reference)]
    instance: Option<InstanceRef>,
    #[command(flatten)]
    format: Format,
}

impl Command {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        let session = call.look()?;
        let runs = facts::history(&session.site, &session.local, self.instance.as_ref())
            .map_err(Ended::usage)?;
        let text = || runs.iter().map(told).collect::<String>();
        self.format.show(&Value::Array(runs.clone()), text)?;
        Ok(exit::DONE)
    }
}

/// A run in a few lines: when, by whom, about what, and how it ended; then what it did.
fn told(run: &Value) -> String {
    let word = |key: &str| run[key].as_str().unwrap_or_default();
    let caller = match run["sudo_user"].as_str() {
        Some(sudo) => format!("{} ({sudo})", word("caller")),
        None => word("caller").to_owned(),
    };
    let mut text = format!(
        "{}  {caller}  {}: {}\n",
        word("time"),
        word("subject"),
        word("result")
    );
    let changes = run["plan"].as_array();
    for change in changes.into_iter().flatten() {
        let summary = change["summary"].as_str().unwrap_or_default();
        let _ = writeln!(text, "  {summary}");
    }
    if let Some(error) = run["failure"]["error"].as_str() {
        let _ = writeln!(text, "  error: {error}");
    }
    let reverted = run["failure"]["reverted"].as_array();
    for summary in reverted.into_iter().flatten().filter_map(Value::as_str) {
        let _ = writeln!(text, "  taken back: {summary}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn runs_as_text() {
        let run = json!({
            "run": "1-1", "time": "2026-11-01T10:00:00Z", "caller": "root", "sudo_user": "eve",
            "subject": "instance 15/main", "result": "failed", "plan": [{"summary": "create instance `15/main`"}],
            "failure": {"error": "initdb failed", "applied": [], "reverted": ["create instance `15/main`"]},
        });
        assert_eq!(
            told(&run),
            "\
2026-11-01T10:00:00Z  root (eve)  instance 15/main: failed
  create instance `15/main`
  error: initdb failed
  taken back: create instance `15/main`
"
        );
        let run = json!({
            "time": "t", "caller": "postgres", "sudo_user": null, "subject": "s", "result": "interrupted", "plan": [],
        });
        assert_eq!(told(&run), "t  postgres  s: interrupted\n");
    }
}
