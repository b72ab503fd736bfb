//! From an untyped value to a type of ours, with an error that says where and what was meant.

mod strict;

use std::fmt::Write as _;

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::strict::Strict;

use crate::fault::{Fault, Kind};
use crate::nearest;

/// What a value has wrong: the place, in the form `params.roles[1].login`, and what to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The place, as one writes it: `roles[1].login`; empty for the value as a whole.
    pub path: String,
    /// What is wrong there, with the place in it.
    pub msg: String,
    /// The nearest valid name, or the list of them.
    pub hint: Option<String>,
}

impl Wrong {
    pub fn into_fault(self) -> Fault {
        Fault {
            hint: self.hint,
            ..Fault::new(Kind::Input, self.msg)
        }
    }
}

/// Reads a `T` from a JSON value. `what` names the value and begins every path: `params` gives
/// "unknown option `params.roles[1].logn`"; when it is empty, paths begin with the first key.
///
/// Errors are a [`Fault`] of kind `Input`, with the nearest valid name as the hint. A value of the wrong
/// type is never repeated in them, as it could be a secret.
pub fn from_json<T: DeserializeOwned>(value: Value, what: &str) -> Result<T> {
    read(value, what).map_err(|wrong| wrong.into_fault().into())
}

/// Like [`from_json`], for callers that have more to say about the place (a file and line, a variable).
pub fn read<T: DeserializeOwned>(value: Value, what: &str) -> Result<T, Wrong> {
    serde_path_to_error::deserialize(Strict(value)).map_err(|error| describe(&error, what))
}

/// Reads a part of a value inside a `Deserialize` written by hand, and keeps the place of an error: `at`
/// is the key of the part, empty for the value itself.
///
/// Where serde has to look at a value before it knows its type (an enum tagged inside), the place of an
/// error gets lost otherwise: "unknown option `repository`" for `repository.certificate.crt`.
pub fn relay<T: DeserializeOwned, E: serde::de::Error>(value: Value, at: &str) -> Result<T, E> {
    serde_path_to_error::deserialize(Strict(value)).map_err(
        |error: serde_path_to_error::Error<serde_json::Error>| {
            let (path, text, _) = locate(&error, at);
            E::custom(format!("{RELAYED}{path}{RELAYED}{text}"))
        },
    )
}

/// Stands around the path in the text of a relayed error.
const RELAYED: char = '\u{1}';

/// Where an error is, what it says, and the last key of the place.
fn locate<E: std::fmt::Display>(
    error: &serde_path_to_error::Error<E>,
    start: &str,
) -> (String, String, Option<String>) {
    let mut path = start.to_owned();
    for segment in error.path() {
        push(&mut path, segment);
    }
    let text = error.inner().to_string();
    let relayed = text
        .strip_prefix(RELAYED)
        .and_then(|rest| rest.split_once(RELAYED));
    if let Some((below, text)) = relayed {
        let key = below.rsplit('.').next().map(str::to_owned);
        if below.starts_with('[') {
            path.push_str(below);
        } else if !below.is_empty() {
            join(&mut path, below);
        }
        return (path, text.to_owned(), key);
    }
    (path, text, last_name(error.path()))
}

/// Rewrites an error of serde for people.
pub fn describe<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>, what: &str) -> Wrong {
    let (mut path, text, key) = locate(error, what);
    let quoted = |path: &str| {
        if path.is_empty() {
            "the input".to_owned()
        } else {
            format!("`{path}`")
        }
    };

    if let Some((name, names)) = unknown(&text, "unknown field `") {
        // Below a tagged variant serde buffers the value and the path ends at the variant.
        if key.as_deref() != Some(name) {
            join(&mut path, name);
        }
        let hint = nearest::hint(name, names.iter().map(String::as_str));
        return Wrong {
            msg: format!("unknown option `{path}`"),
            path,
            hint,
        };
    }
    if let Some((name, names)) = unknown(&text, "unknown variant `") {
        let msg = format!("invalid value `{name}` of {}", quoted(&path));
        let hint = match nearest::nearest(name, names.iter().map(String::as_str)) {
            Some(near) => Some(format!("did you mean `{near}`? valid: {}", list(&names))),
            None => Some(format!("valid: {}", list(&names))),
        };
        return Wrong { path, msg, hint };
    }
    if let Some(name) = between(&text, "missing field `") {
        join(&mut path, name);
        return Wrong {
            msg: format!("missing option `{path}`"),
            path,
            hint: None,
        };
    }
    let msg = format!("wrong value of {}: {}", quoted(&path), plain(&text));
    Wrong {
        path,
        msg,
        hint: None,
    }
}

/// serde's "invalid type: integer `1`, expected a string" as "integer instead of a string".
///
/// A value of the wrong type is not repeated: a password that someone wrote without quotes is an integer.
fn plain(text: &str) -> String {
    if let Some(range) = out_of_range(text) {
        return range;
    }
    let Some((found, expected)) = text
        .strip_prefix("invalid type: ")
        .and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return text.replacen("a tuple of size", "a list of", 1);
    };
    let found = found
        .split(['`', '"'])
        .next()
        .unwrap_or_default()
        .trim_end();
    let found = match found {
        "map" => "a mapping",
        "sequence" => "a list",
        "integer" => "an integer",
        "floating point" => "a number with a fraction",
        "boolean" => "a boolean",
        "string" => "a string",
        other => other,
    };
    let expected = match expected {
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        "string or map" => "a string".to_owned(),
        other if range(other).is_some() => "an integer".to_owned(),
        other if other.starts_with("a tuple of size ") => {
            other.replacen("a tuple of size", "a list of", 1)
        }
        other if other.starts_with("struct ") || other.contains("tagged enum") => {
            "a mapping".to_owned()
        }
        other => other.to_owned(),
    };
    format!("{found} instead of {expected}")
}

/// serde's "invalid value: integer `70000`, expected u16" as "70000 is not from 0 to 65535".
fn out_of_range(text: &str) -> Option<String> {
    let (number, expected) = text
        .strip_prefix("invalid value: integer `")?
        .split_once("`, expected ")?;
    let (least, most) = range(expected)?;
    Some(format!("{number} is not from {least} to {most}"))
}

/// The range of an integer type, by serde's name of it.
fn range(name: &str) -> Option<(i128, i128)> {
    Some(match name {
        "u8" => (0, u8::MAX.into()),
        "u16" => (0, u16::MAX.into()),
        "a nonzero u16" => (1, u16::MAX.into()),
        "u32" => (0, u32::MAX.into()),
        "a nonzero u32" => (1, u32::MAX.into()),
        "u64" => (0, u64::MAX.into()),
        "i8" => (i8::MIN.into(), i8::MAX.into()),
        "i16" => (i16::MIN.into(), i16::MAX.into()),
        "i32" => (i32::MIN.into(), i32::MAX.into()),
        "i64" => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    })
}

/// The wrong name and the valid ones of serde's "unknown field `x`, expected one of `a`, `b`".
fn unknown<'t>(text: &'t str, start: &str) -> Option<(&'t str, Vec<String>)> {
    let rest = text.strip_prefix(start)?;
    // The name is the user's and may hold backticks; what follows it is serde's, hence the last match.
    let end = [
        "`, expected one of `",
        "`, expected `",
        "`, there are no fields",
        "`, there are no variants",
    ]
    .iter()
    .filter_map(|mark| rest.rfind(mark))
    .max()?;
    let (name, tail) = rest.split_at(end);
    let names = tail
        .split('`')
        .skip(2)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    Some((name, names))
}

fn between<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    text.strip_prefix(start)?.strip_suffix('`')
}

fn list(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn last_name(path: &serde_path_to_error::Path) -> Option<String> {
    match path.iter().next_back() {
        Some(serde_path_to_error::Segment::Map { key }) => Some(key.clone()),
        _ => None,
    }
}

fn push(path: &mut String, segment: &serde_path_to_error::Segment) {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Seq { index } => {
            let _ = write!(path, "[{index}]");
        }
        Segment::Map { key } => join(path, key),
        // A variant is no key of the input; an unknown place has no name.
        Segment::Enum { .. } | Segment::Unknown => {}
    }
}

fn join(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Params {
        name: String,
        #[serde(default)]
        port: Option<u16>,
        #[serde(default)]
        roles: Vec<Role>,
        #[serde(default)]
        repository: Option<Repository>,
        #[serde(default)]
        password: Option<Secret>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Role {
        name: String,
        #[serde(default)]
        login: bool,
        #[serde(default)]
        state: State,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum State {
        #[default]
        Present,
        Absent,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "mode", rename_all = "lowercase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    enum Repository {
        Path { path: String },
        Host { host: String },
    }

    /// As one writes it to keep the place.
    #[derive(Debug)]
    #[expect(dead_code, reason = "only read")]
    struct Relayed(Params);

    impl<'de> Deserialize<'de> for Relayed {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let mut value = Value::deserialize(deserializer)?;
            if let Some(inner) = value.get_mut("inner").map(Value::take) {
                return relay(inner, "inner");
            }
            relay(value, "").map(Self)
        }
    }

    fn error(value: Value) -> (String, Option<String>) {
        let error = from_json::<Params>(value, "params").unwrap_err();
        let fault = Fault::of(&error).unwrap();
        assert_eq!(fault.kind, Kind::Input);
        (fault.msg.clone(), fault.hint.clone())
    }

    #[test]
    fn table() {
        for (value, msg, hint) in [
            (
                json!({"name": "a", "roles": [{"name": "x"}, {"name": "y", "logn": true}]}),
                "unknown option `params.roles[1].logn`",
                Some("did you mean `login`?"),
            ),
            (
                json!({"name": "a", "zzzzz": 1}),
                "unknown option `params.zzzzz`",
                Some("valid here: `name`, `port`, `roles`, `repository`, `password`"),
            ),
            (
                json!({"name": "a", "a`, expected `b": 1}),
                "unknown option `params.a`, expected `b`",
                Some("valid here: `name`, `port`, `roles`, `repository`, `password`"),
            ),
            (
                json!({"name": "a", "port": "x"}),
                "wrong value of `params.port`: a string instead of an integer",
                None,
            ),
            (
                json!({"name": "a", "port": 70000}),
                "wrong value of `params.port`: 70000 is not from 0 to 65535",
                None,
            ),
            (
                json!({"name": "a", "password": 4711}),
                "wrong value of `params.password`: an integer instead of a string",
                None,
            ),
            (
                json!({"name": "a", "roles": [["x", true, "absent"]]}),
                "wrong value of `params.roles[0]`: a list instead of a mapping",
                None,
            ),
            (
                json!({"name": "a", "roles": {"name": "x"}}),
                "wrong value of `params.roles`: a mapping instead of a list",
                None,
            ),
            (
                json!({"name": "a", "roles": ["swordfish, expected `x`"]}),
                "wrong value of `params.roles[0]`: a string instead of a mapping",
                None,
            ),
            (
                json!({"name": "a", "roles": [{"name": "x", "state": "absnt"}]}),
                "invalid value `absnt` of `params.roles[0].state`",
                Some("did you mean `absent`? valid: `present`, `absent`"),
            ),
            (
                json!({"roles": [{}]}),
                "missing option `params.roles[0].name`",
                None,
            ),
            (json!({}), "missing option `params.name`", None),
            (
                json!([1]),
                "wrong value of `params`: a list instead of a mapping",
                None,
            ),
            (
                json!({"name": "a", "repository": {"mode": "path", "path": "/x", "hots": 1}}),
                "unknown option `params.repository.hots`",
                Some("valid here: `path`"),
            ),
            (
                json!({"name": "a", "repository": {"path": "/x"}}),
                "missing option `params.repository.mode`",
                None,
            ),
        ] {
            let got = error(value);
            assert_eq!((got.0.as_str(), got.1.as_deref()), (msg, hint));
        }
    }

    #[test]
    fn without_a_name() {
        let wrong = read::<Params>(json!({"name": "a", "prot": 1}), "").unwrap_err();
        assert_eq!(wrong.path, "prot");
        assert_eq!(wrong.msg, "unknown option `prot`");
        assert_eq!(wrong.hint.as_deref(), Some("did you mean `port`?"));
        let wrong = read::<Params>(json!(3), "").unwrap_err();
        assert_eq!(
            wrong.msg,
            "wrong value of the input: an integer instead of a mapping"
        );
    }

    #[test]
    fn relayed() {
        for (value, msg) in [
            (json!({"prot": 1}), "unknown option `x.prot`"),
            (json!([]), "wrong value of `x`: a list instead of a mapping"),
            (
                json!(3),
                "wrong value of `x`: an integer instead of a mapping",
            ),
            (
                json!({"name": "a", "port": 70000}),
                "wrong value of `x.port`: 70000 is not from 0 to 65535",
            ),
            (
                json!({"name": "a", "roles": [{"nam": 1}]}),
                "unknown option `x.roles[0].nam`",
            ),
            (
                json!({"inner": {"name": "a", "roles": [3]}}),
                "wrong value of `x.inner.roles[0]`: an integer instead of a mapping",
            ),
            (
                json!({"inner": {"inner": {"name": 3}}}),
                "wrong value of `x.inner.inner.name`: an integer instead of a string",
            ),
        ] {
            assert_eq!(read::<Relayed>(value, "x").unwrap_err().msg, msg);
        }
    }

    proptest! {
        #[test]
        fn no_name_breaks_it(key in any::<String>(), value in any::<String>()) {
            prop_assume!(!["name", "port", "roles", "repository", "password"].contains(&key.as_str()));
            let wrong = read::<Params>(json!({"name": "a", key.clone(): value}), "params").unwrap_err();
            prop_assert_eq!(wrong.path, format!("params.{key}"));
        }
    }
}
