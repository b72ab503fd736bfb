//! Settings from the environment: `PGSOCLE_SECTION__KEY`.

use std::cell::LazyCell;

use anyhow::Result;
use serde_json::{Map, Value};

use super::{Settings, schema};
use crate::fault::{Fault, Kind};
use crate::{fault, nearest};

/// Every setting's variable begins so.
pub const PREFIX: &str = "PGSOCLE_";

/// Variables of the program that are no settings, without the prefix.
const NO_SETTINGS: [&str; 1] = ["CONFIG_DIR"];

/// A setting from the environment.
#[derive(Debug, PartialEq)]
pub(super) struct Override {
    pub(super) variable: String,
    /// The keys on the way to it; never empty.
    keys: Vec<String>,
    value: Value,
}

/// The settings in the environment, outer ones first. A variable that looks like a setting but is none
/// is refused; others that begin with the prefix are left alone.
pub(super) fn read(
    environment: &[(String, String)],
    schema: &LazyCell<Value>,
) -> Result<Vec<Override>> {
    let mut overrides = Vec::new();
    for (variable, text) in environment {
        let Some(name) = candidate(variable) else {
            continue;
        };
        if let Some((keys, schema)) = find(variable, name, schema)? {
            let value = value(variable, text, schema)?;
            overrides.push(Override {
                variable: variable.clone(),
                keys,
                value,
            });
        }
    }
    overrides.sort_by(|a, b| (a.keys.len(), &a.variable).cmp(&(b.keys.len(), &b.variable)));
    Ok(overrides)
}

/// What may be the name of a setting: a variable without the prefix.
fn candidate(variable: &str) -> Option<&str> {
    let (start, name) = variable.split_at_checked(PREFIX.len())?;
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    (start.eq_ignore_ascii_case(PREFIX) && !NO_SETTINGS.iter().any(is)).then_some(name)
}

/// The variables by which another process sees the same site, beside the file: settings, none of which is a secret, and where
/// the base directory of an ordinary user is unless they say so. Sorted.
pub fn of_site(environment: &[(String, String)], root: bool) -> Vec<(String, String)> {
    let schema = LazyCell::new(Settings::schema as fn() -> Value);
    let is_setting = |variable: &str| {
        candidate(variable).is_some_and(|name| matches!(find(variable, name, &schema), Ok(Some(_))))
    };
    let mut found: Vec<_> = environment
        .iter()
        .filter(|(variable, _)| !root && variable == "XDG_DATA_HOME" || is_setting(variable))
        .cloned()
        .collect();
    found.sort();
    found
}

/// The keys that a variable's name stands for, and the schema of the value.
fn find<'s>(
    variable: &str,
    name: &str,
    root: &'s Value,
) -> Result<Option<(Vec<String>, &'s Value)>> {
    let mut keys: Vec<String> = Vec::new();
    let mut schema = root;
    let mut words = name.split("__");
    while let Some(word) = words.next() {
        let known = schema::keys(schema);
        let Some(key) = known.iter().find(|key| key.eq_ignore_ascii_case(word)) else {
            let others = NO_SETTINGS.iter().filter(|_| keys.is_empty());
            let near = nearest::nearest(word, known.iter().chain(others).copied());
            if keys.is_empty() && near.is_none() && !name.contains("__") {
                return Ok(None);
            }
            let mut fault = Fault::new(
                Kind::Input,
                format!("environment variable `{variable}` is no setting"),
            );
            fault.hint = match near {
                Some(near) => {
                    let keys = keys.iter().map(String::as_str).chain([near]).chain(words);
                    Some(format!("did you mean `{}`?", name_of(keys)))
                }
                None if known.is_empty() => Some(format!(
                    "`{}` has no keys: give it as a whole in `{}`",
                    keys.join("."),
                    name_of(keys.iter().map(String::as_str))
                )),
                None => nearest::hint(word, known.iter().copied()),
            };
            return Err(fault.into());
        };
        keys.push((*key).to_owned());
        schema = schema::property(schema, key).unwrap_or(&Value::Null);
    }
    Ok(Some((keys, schema)))
}

/// The variable of a setting.
fn name_of<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let name = keys.collect::<Vec<_>>().join("__");
    format!("{PREFIX}{}", name.to_uppercase())
}

/// The text of a variable as the type that the setting has.
fn value(variable: &str, text: &str, schema: &Value) -> Result<Value> {
    if text == "null" {
        return Ok(Value::Null);
    }
    let takes = |kind| schema::takes(schema, kind);
    if takes("boolean") {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => return Ok(true.into()),
            "false" | "no" | "off" | "0" => return Ok(false.into()),
            _ => {}
        }
    }
    if takes("integer")
        && let Ok(number) = text.parse::<i64>()
    {
        return Ok(number.into());
    }
    if takes("object") || takes("array") {
        return serde_json::from_str(text).map_err(|error| {
            fault!(
                Input,
                "environment variable `{variable}` is not valid JSON: {error}";
                "lists and mappings are given as JSON, for example `{}`",
                if takes("array") { r#"["a", "b"]"# } else { r#"{"key": "value"}"# }
            )
        });
    }
    Ok(text.into())
}

impl Override {
    /// Puts the value in its place.
    pub(super) fn apply(&self, settings: &mut Map<String, Value>) {
        let mut value = self.value.clone();
        for key in self.keys.iter().rev() {
            value = Value::Object(Map::from_iter([(key.clone(), value)]));
        }
        if let Value::Object(value) = value {
            merge(settings, value);
        }
    }

    /// How much of a path is this variable's: the length of its own path, if the other is there or below.
    pub(super) fn covers(&self, path: &str) -> Option<usize> {
        let own = self.keys.join(".");
        let rest = path.strip_prefix(&own)?;
        (rest.is_empty() || rest.starts_with(['.', '['])).then_some(own.len())
    }

    /// Does it stand below the parent of a path?
    pub(super) fn beside(&self, path: &str) -> bool {
        path.rsplit_once('.')
            .is_some_and(|(parent, _)| self.keys.join(".").starts_with(&format!("{parent}.")))
    }
}

/// Merges mappings, key by key; other values are replaced.
fn merge(below: &mut Map<String, Value>, above: Map<String, Value>) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}
