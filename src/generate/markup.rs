//! From the words of a doc comment to those of Ansible.

use std::fmt::Write as _;

use crate::schema::{Field, Kind};

/// The sentences of a text, those of a paragraph and those of the next alike.
pub fn sentences(text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut rest = paragraph;
        let mut from = 0;
        while let Some(at) = rest[from..].find(". ").map(|at| from + at) {
            let (sentence, next) = (&rest[..=at], &rest[at + 2..]);
            if next.starts_with(|first: char| first.is_uppercase() || first == '`') {
                all.push(sentence);
                rest = next;
                from = 0;
            } else {
                from = at + 2;
            }
        }
        if !rest.is_empty() {
            all.push(rest);
        }
    }
    all
}

/// Code spans as Ansible's macros: options beside the one described become links (`path` is where they
/// are, as `roles[].`), their values too; what follows "as" is an example of a value, the rest is code.
pub fn ansible(text: &str, beside: &[Field], path: &str) -> String {
    let mut out = String::new();
    let mut example = false;
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 0 {
            example = part.ends_with("as ") || example && part == " or ";
            out.push_str(part);
        } else if example {
            _ = write!(out, "V({})", escaped(part));
        } else {
            out.push_str(&span(part, beside, path));
        }
    }
    out
}

fn span(code: &str, beside: &[Field], path: &str) -> String {
    let (name, value) = match code.split_once(": ") {
        Some((name, value)) => (name, Some(value)),
        None => (code, None),
    };
    let field = beside
        .iter()
        .find(|field| field.name == name && !field.hidden_from("ansible"));
    match (field, value) {
        (Some(_), None) => format!("O({path}{name})"),
        (Some(field), Some(value)) if takes(&field.kind, value) => {
            format!("O({path}{name}={})", escaped(value))
        }
        _ if code.contains(['(', ')']) => format!("V({})", escaped(code)),
        _ => format!("C({code})"),
    }
}

fn takes(kind: &Kind, value: &str) -> bool {
    match kind {
        Kind::Choice(choices) => choices.iter().any(|choice| choice == value),
        Kind::Bool => ["true", "false"].contains(&value),
        _ => false,
    }
}

/// Ansible's macros end at the first bare parenthesis.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(')', "\\)")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::fields;

    #[test]
    fn sentences_of_a_text() {
        for (text, expected) in [
            ("", vec![]),
            ("One.", vec!["One."]),
            (
                "One. Two, i.e. two. `three` too",
                vec!["One.", "Two, i.e. two.", "`three` too"],
            ),
            ("One.\n\nTwo. Three", vec!["One.", "Two.", "Three"]),
        ] {
            assert_eq!(sentences(text), expected);
        }
    }

    #[test]
    fn code_spans() {
        let beside = fields(&json!({"type": "object", "properties": {
            "name": {"type": "string"},
            "state": {"enum": ["present", "absent"]},
            "cascade": {"type": "boolean"},
            "secret": {"type": "string", "x-hidden": ["ansible"]},
        }}));
        for (text, expected) in [
            ("none", "none"),
            ("with `state`", "with O(roles[].state)"),
            ("with `state: absent`", "with O(roles[].state=absent)"),
            ("with `state: gone`", "with C(state: gone)"),
            (
                "with `cascade: true` and `cascade: 1`",
                "with O(roles[].cascade=true) and C(cascade: 1)",
            ),
            ("not `secret`", "not C(secret)"),
            ("calls `now()`", "calls V(now(\\))"),
            (
                "as `name` or `version/name`, not `name`",
                "as V(name) or V(version/name), not O(roles[].name)",
            ),
        ] {
            assert_eq!(ansible(text, &beside, "roles[]."), expected);
        }
    }
}
