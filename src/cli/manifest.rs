//! What `apply -f` reads: a YAML or JSON document.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Args;
use serde_json::Value;

use crate::bail_fault;
use crate::fault;
use crate::host::process;

#[derive(Args)]
pub struct Manifest {
    /// YAML or JSON file that says what is wanted; `-` for standard input.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Utf8PathBuf,
}

impl Manifest {
    /// The object that the file describes. To be called before root's rights are given up.
    pub fn read(&self) -> Result<Value> {
        parse(self.name(), &process::read_document(&self.file)?)
    }

    /// What to call it in a message.
    pub fn name(&self) -> &str {
        match self.file.as_str() {
            "-" => "standard input",
            file => file,
        }
    }
}

/// The object that a text describes.
pub fn parse(name: &str, text: &str) -> Result<Value> {
    // JSON is YAML, but for tabs.
    if let Ok(value @ Value::Object(_)) = serde_json::from_str(text) {
        return Ok(value);
    }
    let options = serde_saphyr::options! { with_snippet: false };
    let parsed: Result<Value, _> = serde_saphyr::from_str_with_options(text, options);
    match parsed {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => {
            bail_fault!(Input, "`{name}` is no mapping"; "a manifest is a YAML mapping of options, as `name: main`")
        }
        Err(error) => {
            let line = error.location().map(|location| location.line());
            let line = line.map_or_else(String::new, |line| format!(", line {line}"));
            let said = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            let said = said.split(" at line ").next().unwrap_or_default();
            let said = said.strip_prefix("error: ").unwrap_or(said);
            Err(fault!(
                Input,
                "invalid YAML in `{name}`{line}: {}",
                said.trim_end_matches(':')
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn documents() {
        for (text, wanted) in [
            (
                "name: bob\nlogin: true\n",
                Ok(json!({"name": "bob", "login": true})),
            ),
            ("{\n\t\"name\": \"bob\"\n}", Ok(json!({"name": "bob"}))),
            (
                "name: bob\nlogin: [1\nx: y\n",
                Err("invalid YAML in `x.yaml`, line "),
            ),
            ("- a\n", Err("`x.yaml` is no mapping")),
            ("", Err("`x.yaml` is no mapping")),
        ] {
            match (parse("x.yaml", text), wanted) {
                (Ok(value), wanted) => assert_eq!(Ok(value), wanted),
                (Err(error), Err(start)) => {
                    assert!(error.to_string().starts_with(start), "{error}");
                }
                (Err(error), Ok(_)) => panic!("{text}: {error}"),
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = parse("x", &text);
        }
    }
}
