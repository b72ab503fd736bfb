//! Values as Python literals.

use serde_json::Value;

const WIDTH: usize = 120;

/// The literal, broken over lines where it is too long or has options in it. `indent` is the column of
/// the line that it begins on, `before` what stands there already.
pub fn literal(value: &Value, indent: usize, before: usize) -> String {
    let flat = inline(value);
    let nested = value
        .as_object()
        .is_some_and(|object| object.values().any(Value::is_object));
    if !nested && indent + before + flat.chars().count() < WIDTH {
        return flat;
    }
    let inner = " ".repeat(indent + 4);
    let (open, close, items): (_, _, Vec<String>) = match value {
        Value::Object(object) => (
            '{',
            '}',
            object
                .iter()
                .map(|(key, value)| {
                    let key = quoted(key);
                    let value = literal(value, indent + 4, key.chars().count() + 3);
                    format!("{inner}{key}: {value},\n")
                })
                .collect(),
        ),
        Value::Array(array) => (
            '[',
            ']',
            array
                .iter()
                .map(|value| format!("{inner}{},\n", literal(value, indent + 4, 1)))
                .collect(),
        ),
        _ => return flat,
    };
    format!("{open}\n{}{}{close}", items.concat(), " ".repeat(indent))
}

fn inline(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(inline).collect::<Vec<_>>().join(", ")
        ),
        Value::Object(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|(key, value)| format!("{}: {}", quoted(key), inline(value)))
                .collect();
            format!("{{{}}}", items.join(", "))
        }
    }
}

/// A JSON string is a Python string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn literals() {
        let long = vec!["scram-sha-256"; 8];
        for (value, expected) in [
            (json!(null), "None".to_owned()),
            (json!(true), "True".into()),
            (json!(-1), "-1".into()),
            (json!("a \"b\" \\ é\n"), r#""a \"b\" \\ é\n""#.into()),
            (json!({}), "{}".into()),
            (
                json!({"type": "str", "no_log": false}),
                r#"{"type": "str", "no_log": False}"#.into(),
            ),
            (
                json!({"a": {"type": "str"}}),
                "{\n    \"a\": {\"type\": \"str\"},\n}".into(),
            ),
            (
                json!({"a": {"choices": long}}),
                format!(
                    "{{\n    \"a\": {{\n        \"choices\": [\n{}        ],\n    }},\n}}",
                    "            \"scram-sha-256\",\n".repeat(8)
                ),
            ),
        ] {
            assert_eq!(literal(&value, 0, 0), expected);
        }
    }
}
