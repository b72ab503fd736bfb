//! The reference pages: the same options, for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::Described;
use super::module::content;
use crate::door::exit;
use crate::schema::{Field, Kind, fields};
use crate::settings::{Settings, VARIABLE_PREFIX};

const NOTE: &str =
    "<!-- Generated from the executable's own types: change these, then run `make shims`. -->\n";

/// The page of a kind.
pub fn kind(kind: &Described, all: &[Described]) -> String {
    let about = kind.about;
    let mut page = format!("{NOTE}\n# {}\n\n{}.\n", about.name, about.summary);
    for text in about.description {
        page.push('\n');
        page.push_str(text);
        page.push('\n');
    }
    page.push_str("\n## Options\n\n");
    page.push_str(&table(&kind.fields, &|inner| {
        let like = all.iter().find(|other| {
            other.about.name != about.name
                && !other.reads
                && inner.iter().all(|field| other.fields.contains(field))
        });
        like.map(|like| like.about.name)
    }));
    let unsupported: Vec<String> = kind
        .fields
        .iter()
        .filter(|field| field.unsupported)
        .map(|field| format!("`{}`", field.name))
        .collect();
    if !unsupported.is_empty() {
        let _ = write!(
            page,
            "\nKnown from pglift, and refused by name in this version: {}.\n",
            unsupported.join(", ")
        );
    }
    let _ = write!(
        page,
        "\n## Example\n\n```yaml\n{}```\n",
        content(about.examples)
    );
    page
}

/// The page of the site settings, a section each.
pub fn settings() -> String {
    let all = fields(&Settings::schema());
    let mut page = format!(
        "{NOTE}\n# Site settings\n\n\
        `settings.yaml` is looked up in `PGSOCLE_CONFIG_DIR`, else in `$XDG_CONFIG_HOME/pgsocle`, else in `/etc/pgsocle`; for root in\n\
        `/etc/pgsocle` only. A variable `{VARIABLE_PREFIX}SECTION__KEY` overrides a value: words as they are, lists and mappings as\n\
        JSON, `null` for none.\n\n## Top level\n\n"
    );
    let (sections, top): (Vec<&Field>, Vec<&Field>) = all
        .iter()
        .partition(|field| matches!(field.kind, Kind::Object(_)));
    let top: Vec<Field> = top.into_iter().cloned().collect();
    page.push_str(&table(&top, &|_| None));
    for section in sections {
        let Kind::Object(inner) = &section.kind else {
            continue;
        };
        let _ = write!(page, "\n## {}\n\n{}\n\n", section.name, section.doc);
        page.push_str(&table(inner, &|_| None));
    }
    page
}

/// The page of the exit codes.
pub fn exit_codes() -> String {
    let rows = [
        (exit::DONE, "Done, whether something changed or not."),
        (
            exit::FAULT,
            "It failed: the message says what, and the hint what to do next.",
        ),
        (
            exit::USAGE,
            "Wrong usage, bad input, an unknown or ambiguous instance.",
        ),
        (
            exit::NOT_RUNNING,
            "`instance status`: something does not run.",
        ),
        (
            exit::INTERNAL,
            "An internal error, which is a bug of pgsocle.",
        ),
    ];
    let mut page = format!("{NOTE}\n# Exit codes\n\n| Code | Meaning |\n|---|---|\n");
    for (code, meaning) in rows {
        let _ = writeln!(page, "| {code} | {meaning} |");
    }
    page.push_str("\n`instance exec` ends with the exit code of the program that it runs.\n");
    page
}

/// The list of all pages.
pub fn index(all: &[Described]) -> String {
    let mut page = format!("{NOTE}\n# Reference\n\n| Page | What it is about |\n|---|---|\n");
    for kind in all {
        let _ = writeln!(
            page,
            "| [{0}]({0}.md) | {1} |",
            kind.about.name, kind.about.summary
        );
    }
    page.push_str("| [settings](settings.md) | What holds for every instance of a host |\n");
    page.push_str("| [exit codes](exit-codes.md) | What the program's exit codes mean |\n");
    page
}

/// `like` names the page that has the options of a nested object already.
fn table(fields: &[Field], like: &dyn Fn(&[Field]) -> Option<&'static str>) -> String {
    let mut out = "| Name | Type | Default | Meaning |\n|---|---|---|---|\n".to_owned();
    rows(fields, "", like, &mut out);
    out
}

fn rows(
    fields: &[Field],
    path: &str,
    like: &dyn Fn(&[Field]) -> Option<&'static str>,
    out: &mut String,
) {
    for field in fields.iter().filter(|field| !field.unsupported) {
        let (inner, mark) = nested(&field.kind);
        let page = inner.and_then(like);
        let mut meaning = field.doc.replace("\n\n", " ");
        if let Some(base) = &field.relative_to {
            let _ = write!(meaning, " Relative to `{base}`.");
        }
        if !field.variables.is_empty() {
            let variables: Vec<String> = field
                .variables
                .iter()
                .map(|name| format!("`{{{name}}}`"))
                .collect();
            let _ = write!(meaning, " Variables: {}.", variables.join(", "));
        }
        if field.create_only {
            meaning.push_str(" *Chosen at creation.*");
        }
        if let Some(short) = &field.short {
            let _ = write!(
                meaning,
                " A bare string stands for an item with this `{short}`."
            );
        }
        if let Some(page) = page {
            let _ = write!(
                meaning,
                " Items as in [{page}]({page}.md), without the options that say where."
            );
        }
        let default = match &field.default {
            _ if field.required => "**required**".into(),
            Some(Value::String(default)) if !default.is_empty() => {
                format!("`{default}`").replace('|', "\\|")
            }
            Some(default) if inner.is_none() => format!("`{default}`").replace('|', "\\|"),
            _ => String::new(),
        };
        let _ = writeln!(
            out,
            "| `{path}{}` | {} | {default} | {} |",
            field.name,
            name(&field.kind),
            meaning.trim().replace('|', "\\|")
        );
        if let (Some(inner), None) = (inner, page) {
            rows(inner, &format!("{path}{}{mark}.", field.name), like, out);
        }
    }
}

/// The options of a nested object or of the items of a list, and what a path has between.
fn nested(kind: &Kind) -> (Option<&[Field]>, &'static str) {
    match kind {
        Kind::Object(inner) => (Some(inner), ""),
        Kind::List(item) => match item.as_ref() {
            Kind::Object(inner) => (Some(inner), "[]"),
            _ => (None, ""),
        },
        _ => (None, ""),
    }
}

fn name(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "boolean".into(),
        Kind::Integer {
            min: Some(min),
            max: Some(max),
        } if *max < i64::from(i32::MAX) => format!("integer from {min} to {max}"),
        Kind::Integer { min: Some(min), .. } if *min > i64::from(i32::MIN) => {
            format!("integer from {min}")
        }
        Kind::Integer { .. } => "integer".into(),
        Kind::Number => "number".into(),
        Kind::String => "string".into(),
        Kind::Secret => "secret string".into(),
        Kind::Choice(choices) => choices
            .iter()
            .map(|choice| format!("`{choice}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Kind::Map | Kind::Object(_) => "mapping".into(),
        Kind::List(item) => match item.as_ref() {
            Kind::Object(_) => "list of mappings".into(),
            Kind::Any => "list".into(),
            item => format!("list of {}", plural(item)),
        },
        Kind::Either(kinds) => kinds.iter().map(name).collect::<Vec<_>>().join(" or "),
        Kind::Any => "any value".into(),
    }
}

fn plural(kind: &Kind) -> String {
    match kind {
        Kind::Choice(_) => name(kind),
        Kind::List(_) => format!("lists{}", name(kind).trim_start_matches("list")),
        Kind::Any => "any values".into(),
        kind => format!("{}s", name(kind)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::fields;

    #[test]
    fn tables() {
        let schema = json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "Name.", "x-create-only": true},
                "port": {"type": ["integer", "null"], "minimum": 1, "maximum": 65535, "default": null, "description": "Port | socket."},
                "state": {"type": "string", "enum": ["present", "absent"], "default": "present"},
                "standby": {"x-unsupported": true},
                "tags": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}, "default": []},
                "roles": {"type": "array", "x-short": "role", "items": {"type": "object", "properties": {
                    "role": {"type": "string", "writeOnly": true},
                }}},
            },
        });
        assert_eq!(
            table(&fields(&schema), &|_| None),
            "\
| Name | Type | Default | Meaning |
|---|---|---|---|
| `name` | string | **required** | Name. *Chosen at creation.* |
| `port` | integer from 1 to 65535 |  | Port \\| socket. |
| `state` | `present`, `absent` | `present` |  |
| `tags` | list of lists of strings | `[]` |  |
| `roles` | list of mappings |  | A bare string stands for an item with this `role`. |
| `roles[].role` | secret string |  |  |
"
        );
    }
}
