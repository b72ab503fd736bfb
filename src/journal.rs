//! What a run writes down: who changed what, when, and how it ended. No secret is in it.
//!
//! The journal is a file of JSON lines that stays (`pgsocle history`). A line is written and fsynced
//! before the first step of a stage; a run with a `begin` and no `end` was interrupted.

use serde_json::{Value, json};

use crate::plan::Plan;

/// When and by whom: read by the doors, since nothing below them reads the clock or the environment.
#[derive(Debug, Clone, Default)]
pub struct Stamp {
    /// RFC 3339, UTC.
    pub time: String,
    pub caller: String,
    /// Who called sudo, if anybody did.
    pub sudo_user: Option<String>,
    /// Unique per run: the process and its start.
    pub run: String,
}

/// One run's lines.
pub struct Entry {
    head: Value,
}

impl Entry {
    pub fn new(stamp: &Stamp, subject: &str) -> Self {
        Self {
            head: json!({
                "run": stamp.run,
                "time": stamp.time,
                "caller": stamp.caller,
                "sudo_user": stamp.sudo_user,
                "subject": subject,
            }),
        }
    }

    /// Before the first step of a stage.
    pub fn begin(&self, plan: &Plan) -> Value {
        let mut line = self.head.clone();
        line["event"] = json!("begin");
        line["plan"] = changes(plan);
        line
    }

    /// When the run is over; `failure` says how it failed.
    pub fn end(&self, failure: Option<Value>) -> Value {
        let mut line = self.head.clone();
        line["event"] = json!(if failure.is_some() { "failed" } else { "done" });
        if let Some(failure) = failure {
            line["failure"] = failure;
        }
        line
    }
}

/// A plan as it is reported: what is done to which object, with which impact.
pub fn changes(plan: &Plan) -> Value {
    plan.changes
        .iter()
        .map(|change| {
            json!({
                "action": change.action,
                "object": change.object,
                "impact": change.impact,
                "summary": change.summary,
            })
        })
        .collect()
}
