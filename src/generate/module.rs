//! The Python of the collection that a kind needs: module, action plugin, line in the action group.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use tera::{Context, Tera};

use super::{ABOUT, Described, markup, python, yaml};
use crate::schema::{Field, Kind};

const MODULE: &str = include_str!("../templates/ansible/module.py.tera");
const ACTION: &str = include_str!("../templates/ansible/action.py.tera");
const RUNTIME: &str = include_str!("../templates/ansible/runtime.yml.tera");
const RETURN_CHANGES: &str = include_str!("../templates/ansible/return/changes.yml");
const RETURN_EXECUTABLE: &str = include_str!("../templates/ansible/return/executable.yml");

/// The module.
pub fn module(kind: &Described) -> Result<String> {
    let about = kind.about;
    let shown: Vec<Field> = kind
        .fields
        .iter()
        .filter(|field| !field.hidden_from("ansible"))
        .cloned()
        .collect();
    let does = if kind.reads {
        "which only reads."
    } else {
        "which plans, reports and applies."
    };
    let description: Vec<String> = std::iter::once(format!("{}.", about.summary))
        .chain(about.description.iter().map(|&text| text.to_owned()))
        .chain([format!(
            "Runs the C(pgsocle) executable on the target, {does}"
        )])
        .map(|text| format!("  - {}\n", yaml::sentence(&text, 4, 0)))
        .collect();
    let returns = [
        if kind.reads { "" } else { RETURN_CHANGES },
        about.returns,
        RETURN_EXECUTABLE,
    ]
    .map(content)
    .concat();
    render(
        MODULE,
        &[
            ("kind", about.name),
            ("summary", about.summary),
            ("description", &description.concat()),
            ("since", about.since),
            ("fragment", if kind.reads { "info" } else { "changes" }),
            ("options", &options(&shown, 2, "")),
            ("examples", content(about.examples)),
            ("returns", &returns),
            ("argument_spec", &python::literal(&spec(&shown), 0, 0)),
        ],
    )
}

/// The action plugin, which hands the module's arguments to the executable without Python on the target.
pub fn action(kind: &Described) -> Result<String> {
    render(ACTION, &[("kind", kind.about.name)])
}

/// What ansible-core reads of the collection: its versions, and the group of all modules.
pub fn runtime() -> Result<String> {
    let names: Vec<String> = ABOUT
        .iter()
        .map(|about| format!("    - {}\n", about.name))
        .collect();
    render(RUNTIME, &[("modules", &names.concat())])
}

fn render(template: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut context = Context::new();
    for (name, value) in values {
        context.insert((*name).to_owned(), value);
    }
    Tera::one_off(template, &context, false).context("template of the collection")
}

/// A YAML document without the mark of its start.
pub fn content(document: &str) -> &str {
    document.trim_start_matches("---\n")
}

/// `options:` or `suboptions:` of the documentation.
fn options(fields: &[Field], indent: usize, path: &str) -> String {
    let at = " ".repeat(indent);
    let mut out = String::new();
    for field in fields.iter().filter(|field| !field.hidden_from("ansible")) {
        let mut line = |text: String| {
            out.push_str(&at);
            out.push_str(&text);
            out.push('\n');
        };
        line(format!("{}:", field.name));
        line("  description:".into());
        for sentence in markup::sentences(&field.doc) {
            let mut text = markup::ansible(sentence, fields, path);
            if !text.ends_with('.') {
                text.push('.');
            }
            line(format!("    - {}", yaml::sentence(&text, indent + 6, 1)));
        }
        if field.create_only && field.name != "name" {
            line("    - 'Chosen at creation; refused when it would change.'".into());
        }
        let (kind, elements) = types(&field.kind);
        line(format!("  type: {kind}"));
        if let Some(elements) = elements {
            line(format!("  elements: {elements}"));
        }
        if field.required {
            line("  required: true".into());
        }
        if let Kind::Choice(choices) = &field.kind {
            line(format!("  choices: {}", yaml::inline(&json!(choices))));
        }
        if let Some(default) = &field.default {
            line(format!("  default: {}", yaml::inline(default)));
        }
        let (inner, mark) = match &field.kind {
            Kind::Object(inner) => (Some(inner), ""),
            Kind::List(item) => match item.as_ref() {
                Kind::Object(inner) => (Some(inner), "[]"),
                _ => (None, ""),
            },
            _ => (None, ""),
        };
        if let Some(inner) = inner {
            line("  suboptions:".into());
            out.push_str(&options(
                inner,
                indent + 4,
                &format!("{path}{}{mark}.", field.name),
            ));
        }
    }
    out
}

/// The argument spec.
fn spec(fields: &[Field]) -> Value {
    let shown = fields.iter().filter(|field| !field.hidden_from("ansible"));
    Value::Object(
        shown
            .map(|field| (field.name.clone(), argument(field)))
            .collect(),
    )
}

fn argument(field: &Field) -> Value {
    let (kind, elements) = types(&field.kind);
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| _ = out.insert(key.to_owned(), value);
    put("type", kind.into());
    if let Some(elements) = elements {
        put("elements", elements.into());
    }
    if field.required {
        put("required", true.into());
    }
    if let Kind::Choice(choices) = &field.kind {
        put("choices", json!(choices));
    }
    if let Some(default) = &field.default {
        put("default", default.clone());
    }
    if let Some(no_log) = no_log(field) {
        put("no_log", no_log.into());
    }
    match &field.kind {
        Kind::Object(inner) => put("options", spec(inner)),
        Kind::List(item) => {
            if let Kind::Object(inner) = item.as_ref() {
                put("options", spec(inner));
            }
        }
        _ => {}
    }
    Value::Object(out)
}

/// Whether the value is kept out of logs; said too of what only sounds secret, as Ansible warns otherwise.
/// Of an option that is not supported yet nobody knows what it holds.
fn no_log(field: &Field) -> Option<bool> {
    let sounds = ["pass", "secret", "token", "key"]
        .iter()
        .any(|word| field.name.contains(word));
    match field.kind {
        Kind::Secret => Some(true),
        _ if field.unsupported => Some(true),
        Kind::Bool | Kind::Object(_) => None,
        _ => sounds.then_some(false),
    }
}

/// Ansible's type, and that of the items of a list.
fn types(kind: &Kind) -> (&'static str, Option<&'static str>) {
    match kind {
        Kind::Bool => ("bool", None),
        Kind::Integer { .. } => ("int", None),
        Kind::Number => ("float", None),
        Kind::String | Kind::Secret | Kind::Choice(_) => ("str", None),
        Kind::Map | Kind::Object(_) => ("dict", None),
        Kind::List(item) => (
            "list",
            Some(match item.as_ref() {
                Kind::List(_) => "list",
                item => types(item).0,
            }),
        ),
        Kind::Either(_) | Kind::Any => ("raw", None),
    }
}

#[cfg(test)]
mod tests;
