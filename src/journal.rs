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

/// The runs that a journal tells of, in its order, each with its changes and how it ended. A line that is
/// not whole (the machine died while writing it) is passed over.
pub fn runs(text: &str) -> Vec<Value> {
    let mut runs: Vec<Value> = Vec::new();
    for line in text.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let (Some(event), Some(run)) = (line["event"].as_str(), line["run"].as_str()) else {
            continue;
        };
        let index = runs.iter().position(|known| known["run"] == run);
        let index = index.unwrap_or_else(|| {
            runs.push(json!({
                "run": run,
                "time": line["time"],
                "caller": line["caller"],
                "sudo_user": line["sudo_user"],
                "subject": line["subject"],
                "plan": [],
                "result": "interrupted",
            }));
            runs.len() - 1
        });
        match event {
            "begin" => {
                if let (Some(all), Some(more)) =
                    (runs[index]["plan"].as_array_mut(), line["plan"].as_array())
                {
                    all.extend(more.iter().cloned());
                }
            }
            "done" => runs[index]["result"] = json!("done"),
            "failed" => {
                runs[index]["result"] = json!("failed");
                runs[index]["failure"] = line["failure"].clone();
            }
            _ => {}
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runs_and_how_they_ended() {
        let text = concat!(
            r#"{"run":"1-1","time":"2026-11-01T10:00:00Z","caller":"root","sudo_user":"eve","subject":"instance 15/main","event":"begin","plan":[{"summary":"a"}]}"#,
            "\n",
            r#"{"run":"1-1","time":"2026-11-01T10:00:00Z","caller":"root","sudo_user":"eve","subject":"instance 15/main","event":"begin","plan":[{"summary":"b"}]}"#,
            "\n",
            r#"{"run":"1-1","event":"done"}"#,
            "\n",
            r#"{"run":"2-1","time":"t","caller":"postgres","sudo_user":null,"subject":"role bob of instance 15/main","event":"begin","plan":[{"summary":"c"}]}"#,
            "\n",
            r#"{"run":"3-1","time":"u","caller":"postgres","sudo_user":null,"subject":"s","event":"begin","plan":[]}"#,
            "\n",
            r#"{"run":"3-1","event":"failed","failure":{"error":"no","applied":[],"reverted":[]}}"#,
            "\n",
            r#"{"run":"4-1","time":"2026-"#,
        );
        let runs = runs(text);
        assert_eq!(
            runs,
            [
                json!({"run": "1-1", "time": "2026-11-01T10:00:00Z", "caller": "root", "sudo_user": "eve",
                    "subject": "instance 15/main", "plan": [{"summary": "a"}, {"summary": "b"}], "result": "done"}),
                json!({"run": "2-1", "time": "t", "caller": "postgres", "sudo_user": null,
                    "subject": "role bob of instance 15/main", "plan": [{"summary": "c"}], "result": "interrupted"}),
                json!({"run": "3-1", "time": "u", "caller": "postgres", "sudo_user": null,
                    "subject": "s", "plan": [], "result": "failed",
                    "failure": {"error": "no", "applied": [], "reverted": []}}),
            ]
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\{\"run\":\"[12]\",\"event\":\"(begin|done|failed)\"(,\"plan\":(3|\\[\\]))?\\}\n|.*\n){0,8}") {
            runs(&text);
        }
    }
}
