//! What a run writes down: who changed what, when, and how it ended. No secret is in it.
//!
//! The journal is a file of JSON lines that stays (`pgsocle history`). A line is written and fsynced
//! before the first step of a stage; a run with a `begin` and no `end` was interrupted. What the next run cannot
//! see by looking at the machine it learns here ([`unfinished`]).

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::plan::{Fact, Plan};

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
        if let Some(Fact::Moves(from, to)) = plan
            .facts
            .iter()
            .find(|fact| matches!(fact, Fact::Moves(..)))
        {
            line["moves"] = json!([from, to]);
        }
        line
    }

    /// When the run is over; `failure` says how it failed, with what stays, what was taken back, and (`undone`) which
    /// changes were taken back before they were complete.
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

/// The text of a journal. Of a line that is not whole the last character may be half of one.
pub fn text(content: &[u8]) -> Cow<'_, str> {
    // As a rule there is none, which is seen much faster than it is replaced.
    str::from_utf8(content).map_or_else(|_| String::from_utf8_lossy(content), Cow::Borrowed)
}

/// What runs have begun and not brought to a good end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    pub facts: Vec<Fact>,
    /// Runs of this very subject are among them: when the next one ends well, all is well.
    pub own: bool,
}

/// What a run of `subject` must know of earlier ones: of its own subject, and of the instance in which that lies.
pub fn unfinished(text: &str, subject: &str) -> Unfinished {
    told(from_the_first_open_run(text), subject)
}

fn told(text: &str, subject: &str) -> Unfinished {
    let object = subject.rsplit(" of ").next().unwrap_or(subject);
    // The stages that runs have begun, in the journal's order. All but a run's last one were completed.
    let mut begun: Vec<Value> = Vec::new();
    for line in text.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        match line["event"].as_str() {
            Some("begin") => begun.push(line),
            Some("done") => {
                supersede(&mut begun, &line["run"]);
                begun.retain(|known| known["subject"] != line["subject"]);
            }
            Some("failed") => settle(&mut begun, &line),
            _ => {}
        }
    }
    let mut found = Unfinished::default();
    let mut restart = false;
    for (index, stage) in begun.iter().enumerate() {
        if stage["subject"] != subject && stage["subject"] != object {
            continue;
        }
        found.own |= stage["subject"] == subject;
        if let (Some(from), Some(to)) = (port(&stage["moves"][0]), port(&stage["moves"][1])) {
            found.facts.push(Fact::MoveBegun(from, to));
        }
        let complete = begun[index + 1..]
            .iter()
            .any(|later| later["run"] == stage["run"]);
        for change in stage["plan"].as_array().into_iter().flatten() {
            let (action, on) = (change["action"].as_str(), change["object"].as_str());
            if on == Some(object) {
                // What came after it has decided anew whether the server runs.
                restart = action == Some("restart") && !complete;
            }
            if let Some(on) = on.filter(|_| !complete) {
                found.facts.push(Fact::Begun(on.to_owned()));
            }
        }
    }
    found.facts.extend(restart.then_some(Fact::RestartBegun));
    found
}

/// The journal from where a run begins that neither it nor a later one of its subject has ended well: nothing, as a rule.
/// A journal grows for as long as its instance lives, hence only the outer parts of its lines are looked at.
fn from_the_first_open_run(text: &str) -> &str {
    let mut open: Vec<(&str, usize)> = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        // In the order in which they are written; a quote in a name would be escaped.
        let parts = line
            .split_once("\"subject\":")
            .and_then(|(_, rest)| rest.split_once(",\"event\":\""));
        match parts {
            Some((subject, event)) if event.starts_with("begin") => open.push((subject, start)),
            Some((subject, event)) if event.starts_with("done") => {
                open.retain(|(known, _)| *known != subject);
            }
            _ => {}
        }
        start += line.len();
    }
    open.first().map_or("", |(_, first)| &text[*first..])
}

/// Who started or stopped a server, and ended well, has decided anew whether it runs.
fn supersede(begun: &mut [Value], run: &Value) {
    let objects: Vec<Value> = begun
        .iter()
        .filter(|stage| stage["run"] == *run)
        .flat_map(|stage| stage["plan"].as_array().into_iter().flatten())
        .map(|change| change["object"].clone())
        .collect();
    for stage in begun.iter_mut().filter(|stage| stage["run"] != *run) {
        if let Some(plan) = stage["plan"].as_array_mut() {
            plan.retain(|change| {
                change["action"] != "restart" || !objects.contains(&change["object"])
            });
        }
    }
}

/// Takes away what a run that failed has told the end of.
fn settle(begun: &mut Vec<Value>, end: &Value) {
    let named = |key: &str, summary: &Value| {
        end["failure"][key]
            .as_array()
            .is_some_and(|list| list.contains(summary))
    };
    for stage in begun.iter_mut().filter(|stage| stage["run"] == end["run"]) {
        let Some(plan) = stage["plan"].as_array_mut() else {
            continue;
        };
        // What was done and stays has moved the instance; what was taken back has not.
        let moved = plan
            .iter()
            .any(|change| named("applied", &change["summary"]));
        plan.retain(|change| {
            ["applied", "reverted", "undone"]
                .iter()
                .all(|key| !named(key, &change["summary"]))
        });
        if plan.is_empty() && !moved {
            stage["moves"] = Value::Null;
        }
    }
    begun.retain(|stage| !stage["moves"].is_null() || stage["plan"] != json!([]));
}

fn port(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|port| u16::try_from(port).ok())
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

    #[test]
    fn what_is_over_is_not_read() {
        let entry = |subject: &str| {
            Entry::new(
                &Stamp {
                    run: "1-1".into(),
                    ..Stamp::default()
                },
                subject,
            )
        };
        let [begin, done] = [true, false].map(|begin| {
            let entry = entry("role a\",\"event\":\"begin\" of instance 15/main");
            let line = if begin {
                entry.begin(&Plan::default())
            } else {
                entry.end(None)
            };
            format!("{line}\n")
        });
        let other = format!("{}\n", entry("instance 15/main").begin(&Plan::default()));
        for (lines, read) in [
            (vec![], ""),
            (vec![&begin], &*begin),
            (vec![&begin, &done], ""),
            (vec![&begin, &done, &other], &*other),
        ] {
            let text: String = lines.iter().map(|line| line.as_str()).collect();
            assert_eq!(from_the_first_open_run(&text), read);
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn what_was_begun_and_not_ended() {
        let begin = |run: &str, subject: &str, action: &str, object: &str| {
            json!({"run": run, "subject": subject, "event": "begin",
                "plan": [{"action": action, "object": object, "summary": format!("{action} {object}")}]})
            .to_string()
        };
        let end = |run: &str, subject: &str, event: &str, failure: Value| {
            json!({"run": run, "subject": subject, "event": event, "failure": failure}).to_string()
        };
        let instance = "instance 15/main";
        let role = "role a of instance 15/main";
        let restart = || begin("1", instance, "restart", instance);
        let moving = || {
            let mut line: Value = serde_json::from_str(&restart()).unwrap();
            line["moves"] = json!([5432, 5433]);
            line.to_string()
        };
        let none = || json!({"applied": [], "reverted": []});
        let stopped = || vec![Fact::Begun(instance.into()), Fact::RestartBegun];
        for (lines, subject, facts, own) in [
            (vec![], instance, vec![], false),
            (vec![restart()], instance, stopped(), true),
            (vec![restart()], role, stopped(), false),
            (vec![restart()], "instance 15/other", vec![], false),
            // The next stage has begun: the server runs again.
            (
                vec![restart(), begin("1", instance, "create", "role b")],
                instance,
                vec![Fact::Begun("role b".into())],
                true,
            ),
            (
                vec![restart(), end("1", instance, "done", Value::Null)],
                instance,
                vec![],
                false,
            ),
            // Somebody else was at work there since, or has ended well.
            (
                vec![restart(), end("2", instance, "done", Value::Null)],
                instance,
                vec![],
                false,
            ),
            (
                vec![restart(), end("2", role, "done", Value::Null)],
                instance,
                stopped(),
                true,
            ),
            (
                vec![
                    restart(),
                    begin("2", role, "start", instance),
                    end("2", role, "done", Value::Null),
                ],
                role,
                vec![],
                false,
            ),
            // A failure that was taken back, and one that could not be.
            (
                vec![
                    restart(),
                    end(
                        "1",
                        instance,
                        "failed",
                        json!({"undone": ["restart instance 15/main"]}),
                    ),
                ],
                instance,
                vec![],
                false,
            ),
            (
                vec![restart(), end("1", instance, "failed", none())],
                instance,
                stopped(),
                true,
            ),
            (
                vec![
                    moving(),
                    end(
                        "1",
                        instance,
                        "failed",
                        json!({"applied": ["restart instance 15/main"]}),
                    ),
                ],
                instance,
                vec![Fact::MoveBegun(5432, 5433)],
                true,
            ),
            (
                vec![
                    moving(),
                    end(
                        "1",
                        instance,
                        "failed",
                        json!({"reverted": ["restart instance 15/main"]}),
                    ),
                ],
                instance,
                vec![],
                false,
            ),
        ] {
            let text = lines.join("\n");
            let found = Unfinished { facts, own };
            assert_eq!(unfinished(&text, subject), found, "{lines:?}");
            assert_eq!(told(&text, subject), found, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\{\"run\":\"[12]\",\"event\":\"(begin|done|failed)\"(,\"plan\":(3|\\[\\]))?\\}\n|.*\n){0,8}") {
            runs(&text);
            prop_assert_eq!(unfinished(&text, "instance 15/main"), told(&text, "instance 15/main"));
        }
    }
}
