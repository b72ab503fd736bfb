//! The little YAML that the documentation of a module needs: words, flow lists, folded text.

use serde_json::Value;

const WIDTH: usize = 140;

/// A scalar or list on one line.
pub fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(inline).collect::<Vec<_>>().join(", ")
        ),
        other => other.to_string(),
    }
}

/// Plain where no reader could take it for something else, quoted otherwise.
fn word(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || "_-".contains(each));
    // Words that YAML 1.1 takes for booleans and null.
    if plain && !["y", "n", "yes", "no", "on", "off", "true", "false", "null"].contains(&text) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

/// A sentence in single quotes, folded; `indent` is the column of the lines that follow the first.
pub fn sentence(text: &str, indent: usize, before: usize) -> String {
    let mut lines = vec![String::new()];
    let mut column = indent + before;
    for word in text.replace('\'', "''").split(' ') {
        let length = word.chars().count();
        if let Some(line) = lines.last_mut() {
            if line.is_empty() {
                line.push_str(word);
                column += length;
                continue;
            }
            if column + 1 + length < WIDTH {
                line.push(' ');
                line.push_str(word);
                column += 1 + length;
                continue;
            }
        }
        lines.push(word.to_owned());
        column = indent + length;
    }
    format!("'{}'", lines.join(&format!("\n{}", " ".repeat(indent))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars() {
        for (value, expected) in [
            (json!(["present", "absent"]), "[present, absent]"),
            (
                json!(["scram-sha-256", "no", "15", "-x", ""]),
                r#"[scram-sha-256, "no", "15", "-x", ""]"#,
            ),
            (json!(true), "true"),
            (json!(5432), "5432"),
        ] {
            assert_eq!(inline(&value), expected);
        }
    }

    #[test]
    fn sentences() {
        assert_eq!(sentence("it's", 0, 0), "'it''s'");
        let long = format!("{} {}", "a".repeat(100), "b".repeat(60));
        assert_eq!(
            sentence(&long, 2, 0),
            format!("'{}\n  {}'", "a".repeat(100), "b".repeat(60))
        );
    }
}
