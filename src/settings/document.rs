//! The settings file: its values, and the line of each.

use std::fmt;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use crate::fault;

/// A YAML file whose values know their lines.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) file: Utf8PathBuf,
    root: Node,
}

/// A value; the lines are those of the keys and of the items.
#[derive(Debug)]
enum Node {
    Scalar(Value),
    List(Vec<(u64, Node)>),
    Mapping(Vec<(u64, String, Node)>),
}

impl Document {
    pub(super) fn parse(file: &Utf8Path, text: &str) -> Result<Self> {
        let options = serde_saphyr::options! { with_snippet: false };
        let root: Node = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let place = error
                .location()
                .map(|location| format!(", line {}", location.line()))
                .unwrap_or_default();
            let text = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            // The place is said already, in the form of all our messages.
            let text = text.split(" at line ").next().unwrap_or_default();
            let text = text
                .strip_prefix("error: ")
                .unwrap_or(text)
                .trim_end_matches(':');
            fault!(Input, "invalid YAML in `{file}`{place}: {text}")
        })?;
        let document = Self {
            file: file.to_owned(),
            root,
        };
        match document.root {
            Node::Mapping(_) | Node::Scalar(Value::Null) => Ok(document),
            _ => Err(
                fault!(Input, "`{file}` is no mapping"; "the settings file is a YAML mapping of sections"),
            ),
        }
    }

    /// The whole as a mapping, empty for an empty file.
    pub(super) fn value(&self) -> Map<String, Value> {
        match self.root.value() {
            Value::Object(mapping) => mapping,
            _ => Map::new(),
        }
    }

    /// The line of a path such as `postgresql.versions[1].bindir`, or of what is nearest above it.
    pub(super) fn line(&self, path: &str) -> Option<u64> {
        self.root.line(path)
    }
}

impl Node {
    fn value(&self) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::List(items) => items.iter().map(|(_, item)| item.value()).collect(),
            Self::Mapping(entries) => entries
                .iter()
                .map(|(_, key, entry)| (key.clone(), entry.value()))
                .collect(),
        }
    }

    fn line(&self, path: &str) -> Option<u64> {
        let (line, node, rest) = match self {
            Self::Scalar(_) => return None,
            Self::List(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                let (line, item) = items.get(index.parse::<usize>().ok()?)?;
                (*line, item, rest)
            }
            // A key may itself hold a dot: the longest one that fits is meant.
            Self::Mapping(entries) => entries
                .iter()
                .filter_map(|(line, key, entry)| {
                    let rest = path.strip_prefix(key.as_str())?;
                    (rest.is_empty() || rest.starts_with(['.', '[']))
                        .then_some((*line, entry, rest))
                })
                .min_by_key(|(_, _, rest)| rest.len())?,
        };
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        node.line(rest).or(Some(line))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        Number::from_f64(value)
            .map(|number| Node::Scalar(number.into()))
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Node>>()? {
            items.push((item.referenced.line(), item.value));
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Node>()? {
            entries.push((key.referenced.line(), key.value, value));
        }
        Ok(Node::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use proptest::prelude::*;
    use serde_json::json;

    const TEXT: &str = "\
# comment
prefix: /srv/pg

postgresql:
  auth: {local: peer,
    host: md5}
  versions:
    - version: 15
      bindir: /opt/15
    - bindir: /opt/16
      version: '16'
  replrole: ~
systemd: &empty {}
cli:
a.b: yes
a: no
";

    #[test]
    fn values() {
        let document = Document::parse("x.yaml".into(), TEXT).unwrap();
        assert_eq!(
            Value::Object(document.value()),
            json!({
                "prefix": "/srv/pg",
                "postgresql": {
                    "auth": {"local": "peer", "host": "md5"},
                    "versions": [{"version": 15, "bindir": "/opt/15"}, {"bindir": "/opt/16", "version": "16"}],
                    "replrole": null,
                },
                "systemd": {},
                "cli": null,
                "a.b": true,
                "a": false,
            })
        );
    }

    #[test]
    fn lines() {
        let document = Document::parse("x.yaml".into(), TEXT).unwrap();
        for (path, line) in [
            ("prefix", Some(2)),
            ("postgresql", Some(4)),
            ("postgresql.auth.local", Some(5)),
            ("postgresql.auth.host", Some(6)),
            ("postgresql.auth.hostssl", Some(5)),
            ("postgresql.versions[0].bindir", Some(9)),
            ("postgresql.versions[1]", Some(10)),
            ("postgresql.versions[1].version", Some(11)),
            ("postgresql.versions[7]", Some(7)),
            ("postgresql.replrole", Some(12)),
            ("systemd.user", Some(13)),
            ("a.b", Some(15)),
            ("a", Some(16)),
            ("pre", None),
            ("", None),
        ] {
            assert_eq!(document.line(path), line, "{path}");
        }
    }

    #[test]
    fn empty() {
        for text in ["", "\n", "# only a comment\n", "---\n", "null\n", "{}\n"] {
            let document = Document::parse("x.yaml".into(), text).unwrap();
            assert_eq!(document.value(), Map::new(), "{text:?}");
        }
    }

    #[test]
    fn broken() {
        let found: Vec<String> = [
            "a: 1\na: 2\n",
            "a: [1\nb: 2\n",
            "a: 1\n  b: 2\n",
            "a:\n\t- 1\n",
            "- a\n",
            "a\n",
            "a: *x\n",
            "a: \"x\n",
            "a: 1\n---\nb: 2\n",
            "a: .inf\n",
            "? [a]\n: b\n",
        ]
        .into_iter()
        .map(|text| {
            let error = Document::parse("x.yaml".into(), text).unwrap_err();
            Fault::of(&error).unwrap().msg.clone()
        })
        .collect();
        assert_eq!(
            found,
            [
                "invalid YAML in `x.yaml`, line 2: duplicate mapping key: a not allowed here",
                "invalid YAML in `x.yaml`, line 2: illegal placement of ':' indicator",
                "invalid YAML in `x.yaml`, line 2: mapping values are not allowed in this context",
                "invalid YAML in `x.yaml`, line 2: tabs disallowed within this context (block indentation)",
                "`x.yaml` is no mapping",
                "`x.yaml` is no mapping",
                "invalid YAML in `x.yaml`, line 1: reference to unknown value",
                "invalid YAML in `x.yaml`, line 2: invalid indentation in multiline quoted scalar",
                "invalid YAML in `x.yaml`, line 3: only single YAML document expected but multiple found",
                "invalid YAML in `x.yaml`, line 1: value `.inf` is not a finite number",
                "invalid YAML in `x.yaml`, line 1: expected string scalar",
            ]
        );
        // Deep nesting and aliases of aliases end in an error too, not in a full stack or memory.
        let deep = format!("a: {}", "[".repeat(100_000));
        assert!(Document::parse("x.yaml".into(), &deep).is_err());
        let bomb: Vec<String> = (1..30)
            .map(|level| {
                format!(
                    "a{level}: &a{level} [*a{0}, *a{0}, *a{0}, *a{0}]",
                    level - 1
                )
            })
            .collect();
        let bomb = bomb.join("\n");
        assert!(Document::parse("x.yaml".into(), &format!("a0: &a0 x\n{bomb}")).is_err());
    }

    proptest! {
        #[test]
        fn no_panic(text in any::<String>()) {
            let _ = Document::parse("x.yaml".into(), &text);
        }
    }
}
