//! The JSON door: `pgsocle ansible KIND` reads one JSON document and writes one.

use std::io::{Read, Write};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::bail_fault;
use crate::door::{self, Process, Session};
use crate::engine::{Failure, Outcome};
use crate::fault::Fault;
use crate::journal::changes;
use crate::plan::{Action, Plan};
use crate::resource;

/// The protocol that this program speaks.
pub const PROTOCOL: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    protocol: u32,
    #[serde(default)]
    check_mode: bool,
    #[serde(default)]
    diff_mode: bool,
    #[serde(default)]
    verbosity: u8,
    params: Value,
}

/// Answers one request; the exit code tells whether it was fulfilled.
pub fn serve(kind: &str, process: &Process, mut input: impl Read, mut output: impl Write) -> u8 {
    let (reply, code) = match answer(kind, process, &mut input) {
        Ok(reply) => (reply, door::exit::DONE),
        Err(failure) => (failed(&failure), door::exit_code(&failure.error)),
    };
    // At once; and a reader that has gone away is no concern of ours.
    let _ = output.write_all(format!("{reply}\n").as_bytes());
    code
}

fn answer(kind: &str, process: &Process, input: &mut impl Read) -> Result<Value, Failure> {
    let request = read(input)?;
    let session = Session::open(process, request.check_mode)?;
    let _ = request.verbosity;
    if let Some(fact) = crate::facts::kind(kind) {
        let mut reply = Map::from_iter([
            ("protocol".to_owned(), json!(PROTOCOL)),
            ("changed".to_owned(), json!(false)),
        ]);
        reply.extend((fact.answer)(
            request.params,
            &session.site,
            &session.local,
        )?);
        return Ok(Value::Object(reply));
    }
    let Some(kind) = resource::kind(kind) else {
        return Err(unknown(kind).into());
    };
    let job = (kind.job)(request.params, &session.site, &session.local)?;
    let outcome = session.run(job)?;
    Ok(Value::Object(success(&outcome, request.diff_mode)))
}

fn unknown(kind: &str) -> anyhow::Error {
    let known = resource::REGISTRY.iter().map(|kind| kind.name);
    match crate::nearest::nearest(kind, known) {
        Some(near) => crate::fault!(Input, "there is no kind `{kind}`"; "did you mean `{near}`?"),
        None => crate::fault!(Input, "there is no kind `{kind}`"),
    }
}

fn read(input: &mut impl Read) -> Result<Request> {
    let mut text = String::new();
    input
        .read_to_string(&mut text)
        .context("read the request")?;
    let value: Value = match serde_json::from_str(&text) {
        Ok(value) => value,
        Err(error) => bail_fault!(
            Input,
            "the request is not JSON: line {}, column {}",
            error.line(),
            error.column()
        ),
    };
    if let Some(other) = value.get("protocol").and_then(Value::as_u64)
        && other != u64::from(PROTOCOL)
    {
        bail_fault!(
            Unsupported,
            "this pgsocle speaks protocol {PROTOCOL}, the collection wants {other}";
            "bring both to the same version: role socle.postgresql.install"
        );
    }
    let request: Request = crate::input::from_json(value, "request")?;
    debug_assert_eq!(request.protocol, PROTOCOL);
    Ok(request)
}

/// What Ansible is told of a run: all of it read off the plan.
pub fn success(outcome: &Outcome, diff: bool) -> Map<String, Value> {
    let plan = &outcome.plan;
    let mut reply = Map::new();
    reply.insert("protocol".into(), json!(PROTOCOL));
    reply.insert("changed".into(), json!(plan.changed()));
    reply.insert("change_state".into(), json!(change_state(plan)));
    reply.insert(
        "changes".into(),
        plan.changes
            .iter()
            .map(|change| change.summary.clone())
            .collect(),
    );
    reply.insert("plan".into(), changes(plan));
    if diff {
        reply.insert(
            "diff".into(),
            plan.changes
                .iter()
                .map(|change| json!(change.diff))
                .collect(),
        );
    }
    reply.insert("warnings".into(), json!(plan.warnings));
    reply.insert("undetermined".into(), json!(plan.undetermined));
    let pending = outcome.pending_restart.as_deref().unwrap_or_default();
    reply.insert("pending_restart".into(), json!(!pending.is_empty()));
    reply.insert("pending_restart_settings".into(), json!(pending));
    reply.extend(outcome.views.clone());
    reply
}

/// pglift's word for what happened to the object itself.
pub fn change_state(plan: &Plan) -> Option<&'static str> {
    if !plan.changed() {
        return None;
    }
    // What only lays the ground for the object, or follows from it, says something where there is nothing else.
    let ground = |object: &str| {
        ["directory ", "file ", "site "]
            .iter()
            .any(|kind| object.starts_with(kind))
    };
    let own = plan
        .changes
        .iter()
        .find(|change| !change.transient && !ground(&change.object))
        .or(plan.changes.first());
    Some(match own?.action {
        Action::Create => "created",
        Action::Drop => "dropped",
        _ => "changed",
    })
}

/// What Ansible is told of a run that failed: never nothing.
pub fn failed(failure: &Failure) -> Value {
    let fault = Fault::told(&failure.error);
    let kind = fault
        .as_ref()
        .map_or(json!("internal"), |fault| json!(fault.kind));
    json!({
        "protocol": PROTOCOL,
        "failed": true,
        "msg": format!("{:#}", failure.error),
        "hint": door::hint(&failure.error),
        "error_kind": kind,
        "sqlstate": fault.and_then(|fault| fault.sqlstate.clone()),
        "changed": !failure.applied.is_empty(),
        "applied": failure.applied,
        "reverted": failure.reverted,
    })
}
