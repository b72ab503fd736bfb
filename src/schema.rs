//! The options of a kind, read back from the JSON schema of its input type: the one description from which
//! module, command line and reference page are made.
//!
//! What the extensions (`x-…`) mean is told in `manifest`.

use serde_json::{Map, Value};

/// A definition that contains itself is not followed further than this.
const DEPTH: usize = 12;

/// One option.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// As in a document: `connection_limit`.
    pub name: String,
    /// The doc comment: paragraphs, an empty line between them, no other line ends.
    pub doc: String,
    pub kind: Kind,
    pub required: bool,
    /// The value that stands for the option when it is left out; none where that means "as it is".
    pub default: Option<Value>,
    pub create_only: bool,
    /// The doors that do not show it.
    pub hidden: Vec<String>,
    /// Names of the options that add to a list and take away from it.
    pub alter: Option<(String, String)>,
    /// Name of the command's option at creation, where it is not the field's own.
    pub create: Option<String>,
    /// The key of an item that a bare string stands for.
    pub short: Option<String>,
    /// Known from pglift, refused by name in this version.
    pub unsupported: bool,
    /// Base of a relative path.
    pub relative_to: Option<String>,
    /// Variables that the text may hold.
    pub variables: Vec<String>,
}

impl Field {
    pub fn hidden_from(&self, door: &str) -> bool {
        self.hidden.iter().any(|hidden| hidden == door)
    }

    /// The first sentence of the doc comment, without its full stop.
    pub fn summary(&self) -> &str {
        let first = self.doc.split("\n\n").next().unwrap_or_default();
        let end = first.find(". ").unwrap_or(first.len());
        first[..end].trim_end_matches('.')
    }
}

/// What an option takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Bool,
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Number,
    String,
    /// A string that is never shown.
    Secret,
    Choice(Vec<String>),
    /// Names that are not fixed.
    Map,
    List(Box<Kind>),
    /// Alternatives that are mappings are one: what only some of them need is not required.
    Object(Vec<Field>),
    /// One of several kinds.
    Either(Vec<Kind>),
    Any,
}

/// The options of a schema, in its order.
pub fn fields(schema: &Value) -> Vec<Field> {
    let reader = Reader {
        definitions: schema.get("$defs").and_then(Value::as_object),
    };
    match reader.kind(schema, 0) {
        Kind::Object(fields) => fields,
        _ => Vec::new(),
    }
}

struct Reader<'s> {
    definitions: Option<&'s Map<String, Value>>,
}

impl<'s> Reader<'s> {
    /// The definition that a reference names.
    fn target(&self, node: &Value) -> Option<&'s Value> {
        let name = node.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
        self.definitions?.get(name)
    }

    fn field(&self, name: &str, node: &Value, required: bool, depth: usize) -> Field {
        let own = |key: &str| node.get(key).or_else(|| self.target(only(node)?)?.get(key));
        let word = |key: &str| node.get(key).and_then(Value::as_str).map(str::to_owned);
        let flag = |key: &str| node.get(key).and_then(Value::as_bool).unwrap_or_default();
        Field {
            name: name.to_owned(),
            doc: paragraphs(
                own("description")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            ),
            kind: self.kind(node, depth),
            required,
            default: node
                .get("default")
                .filter(|value| !value.is_null())
                .cloned(),
            create_only: flag("x-create-only"),
            hidden: words(node, "x-hidden"),
            alter: match words(node, "x-alter").as_slice() {
                [add, remove] => Some((add.clone(), remove.clone())),
                _ => None,
            },
            create: word("x-create"),
            short: word("x-short"),
            unsupported: flag("x-unsupported"),
            relative_to: own("x-relative-to")
                .and_then(Value::as_str)
                .map(str::to_owned),
            variables: words(node, "x-variables"),
        }
    }

    fn kind(&self, node: &Value, depth: usize) -> Kind {
        if depth > DEPTH {
            return Kind::Any;
        }
        if node.get("writeOnly") == Some(&Value::Bool(true)) {
            return Kind::Secret;
        }
        if node.get("$ref").is_some() {
            return self
                .target(node)
                .map_or(Kind::Any, |target| self.kind(target, depth + 1));
        }
        if let Some(all) = alternatives(node) {
            return either(
                all.into_iter()
                    .map(|one| self.kind(one, depth + 1))
                    .collect(),
            );
        }
        if let Some(fixed) = node.get("const").and_then(Value::as_str) {
            return Kind::Choice(vec![fixed.to_owned()]);
        }
        if node.get("enum").is_some() {
            return Kind::Choice(words(node, "enum"));
        }
        match types(node).as_slice() {
            ["boolean"] => Kind::Bool,
            ["integer"] => {
                let bound = |key: &str| node.get(key).and_then(Value::as_i64);
                let (least, most) = match node.get("format").and_then(Value::as_str) {
                    Some("int32") => (Some(i32::MIN.into()), Some(i32::MAX.into())),
                    Some("uint32") => (Some(0), Some(u32::MAX.into())),
                    _ => (None, None),
                };
                Kind::Integer {
                    min: bound("minimum").or(least),
                    max: bound("maximum").or(most),
                }
            }
            ["number"] => Kind::Number,
            ["string"] | ["string", "integer"] | ["integer", "string"] => Kind::String,
            ["array"] => match (node.get("items"), node.get("prefixItems")) {
                (Some(item @ Value::Object(_)), _) => {
                    Kind::List(Box::new(self.kind(item, depth + 1)))
                }
                (_, Some(Value::Array(items))) => Kind::List(Box::new(either(
                    items
                        .iter()
                        .map(|item| self.kind(item, depth + 1))
                        .collect(),
                ))),
                _ => Kind::List(Box::new(Kind::Any)),
            },
            ["object"] => match node.get("properties").and_then(Value::as_object) {
                Some(properties) => {
                    let required = words(node, "required");
                    let field = |(name, node): (&String, &Value)| {
                        self.field(name, node, required.contains(name), depth + 1)
                    };
                    Kind::Object(properties.iter().map(field).collect())
                }
                None => Kind::Map,
            },
            _ => Kind::Any,
        }
    }
}

/// The node itself, or the only alternative it has besides `null`.
fn only(node: &Value) -> Option<&Value> {
    match alternatives(node) {
        None => Some(node),
        Some(all) => match all.as_slice() {
            [one] => Some(one),
            _ => None,
        },
    }
}

/// The alternatives of a node without `null`, if it has any.
fn alternatives(node: &Value) -> Option<Vec<&Value>> {
    let all = ["anyOf", "oneOf"]
        .iter()
        .find_map(|key| node.get(*key))?
        .as_array()?;
    Some(
        all.iter()
            .filter(|one| one.get("type") != Some(&Value::String("null".into())))
            .collect(),
    )
}

/// One kind out of several: choices are united, mappings merged.
fn either(kinds: Vec<Kind>) -> Kind {
    let mut merged: Vec<Kind> = Vec::new();
    for kind in kinds {
        if merged.contains(&kind) {
            continue;
        }
        match (merged.last_mut(), kind) {
            (Some(Kind::Choice(all)), Kind::Choice(more)) => {
                all.extend(
                    more.into_iter()
                        .filter(|one| !all.contains(one))
                        .collect::<Vec<_>>(),
                );
            }
            (Some(Kind::Object(all)), Kind::Object(more)) => merge(all, more),
            (_, kind) => merged.push(kind),
        }
    }
    match merged.len() {
        0 => Kind::Any,
        1 => merged.remove(0),
        _ => Kind::Either(merged),
    }
}

fn merge(all: &mut Vec<Field>, more: Vec<Field>) {
    for field in &mut *all {
        if !more.iter().any(|other| other.name == field.name) {
            field.required = false;
        }
    }
    for mut field in more {
        if let Some(same) = all.iter_mut().find(|other| other.name == field.name) {
            same.required &= field.required;
            if same.kind != field.kind {
                same.kind = either(vec![same.kind.clone(), field.kind]);
            }
        } else {
            field.required = false;
            all.push(field);
        }
    }
}

/// The JSON types of a node, without `null`.
fn types(node: &Value) -> Vec<&str> {
    match node.get("type") {
        Some(Value::String(only)) => vec![only.as_str()],
        Some(Value::Array(all)) => all
            .iter()
            .filter_map(Value::as_str)
            .filter(|one| *one != "null")
            .collect(),
        _ => Vec::new(),
    }
}

fn words(node: &Value, key: &str) -> Vec<String> {
    let all = node
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    all.iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Lines joined to paragraphs.
fn paragraphs(text: &str) -> String {
    text.split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|paragraph| !paragraph.is_empty())
        .collect::<Vec<_>>()
        .join("\n\n")
}

#[cfg(test)]
mod tests;
