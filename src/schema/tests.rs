use serde_json::json;

use super::*;

fn only(property: &Value) -> Field {
    let schema = json!({
        "type": "object",
        "properties": {"it": property},
        "$defs": {
            "Word": {"description": "Of the type.", "type": "string", "enum": ["a", "b"]},
            "Loop": {"type": "object", "properties": {"inner": {"$ref": "#/$defs/Loop"}}},
        },
    });
    let mut all = fields(&schema);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn kinds() {
    let choice =
        |words: &[&str]| Kind::Choice(words.iter().map(|word| (*word).to_owned()).collect());
    for (property, kind) in [
        (json!({"type": "boolean"}), Kind::Bool),
        (json!({"type": ["boolean", "null"]}), Kind::Bool),
        (
            json!({"type": "integer"}),
            Kind::Integer {
                min: None,
                max: None,
            },
        ),
        (
            json!({"type": ["integer", "null"], "format": "int32", "minimum": -1}),
            Kind::Integer {
                min: Some(-1),
                max: Some(2_147_483_647),
            },
        ),
        (
            json!({"type": "integer", "format": "uint16", "minimum": 0, "maximum": 65535}),
            Kind::Integer {
                min: Some(0),
                max: Some(65535),
            },
        ),
        (json!({"type": "number"}), Kind::Number),
        (json!({"type": "string"}), Kind::String),
        (json!({"type": ["string", "integer"]}), Kind::String),
        (
            json!({"type": ["string", "null"], "writeOnly": true}),
            Kind::Secret,
        ),
        (
            json!({"type": ["string", "null"], "enum": ["a", "b", null]}),
            choice(&["a", "b"]),
        ),
        (
            json!({"oneOf": [{"type": "string", "enum": ["a"]}, {"const": "b", "description": "B."}]}),
            choice(&["a", "b"]),
        ),
        (
            json!({"anyOf": [{"oneOf": [{"const": "a"}, {"const": "b"}]}, {"type": "null"}]}),
            choice(&["a", "b"]),
        ),
        (
            json!({"anyOf": [{"$ref": "#/$defs/Word"}, {"type": "null"}]}),
            choice(&["a", "b"]),
        ),
        (json!({"$ref": "#/$defs/Unknown"}), Kind::Any),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            Kind::Map,
        ),
        (
            json!({"type": ["array", "null"], "items": {"type": "string"}}),
            Kind::List(Box::new(Kind::String)),
        ),
        (
            json!({"type": "array", "items": true}),
            Kind::List(Box::new(Kind::Any)),
        ),
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "string"}]}),
            Kind::List(Box::new(Kind::String)),
        ),
        (
            json!({"anyOf": [{"type": "boolean"}, {"type": "string"}]}),
            Kind::Either(vec![Kind::Bool, Kind::String]),
        ),
        (json!(true), Kind::Any),
        (json!({}), Kind::Any),
        (
            json!({"type": ["string", "number", "boolean", "array", "null"]}),
            Kind::Any,
        ),
    ] {
        assert_eq!(only(&property).kind, kind, "{property}");
    }
}

#[test]
fn what_is_said_of_a_field() {
    let field = only(&json!({
        "description": "First line\nand second. More.\n\nOther paragraph.",
        "type": ["array", "null"],
        "items": {"type": "string"},
        "default": null,
        "x-create-only": true,
        "x-hidden": ["cli"],
        "x-alter": ["grant", "revoke"],
        "x-create": "in-role",
        "x-short": "role",
        "x-unsupported": true,
        "x-relative-to": "{prefix}/etc",
        "x-variables": ["name"],
    }));
    assert_eq!(field.summary(), "First line and second");
    assert!(field.hidden_from("cli") && !field.hidden_from("ansible"));
    assert_eq!(
        field,
        Field {
            name: "it".into(),
            doc: "First line and second. More.\n\nOther paragraph.".into(),
            kind: Kind::List(Box::new(Kind::String)),
            required: false,
            default: None,
            create_only: true,
            hidden: vec!["cli".into()],
            alter: Some(("grant".into(), "revoke".into())),
            create: Some("in-role".into()),
            short: Some("role".into()),
            unsupported: true,
            relative_to: Some("{prefix}/etc".into()),
            variables: vec!["name".into()],
        }
    );
    assert_eq!(only(&json!({"default": false})).default, Some(json!(false)));
    assert_eq!(only(&json!({"$ref": "#/$defs/Word"})).doc, "Of the type.");
    assert_eq!(
        only(&json!({"$ref": "#/$defs/Word", "description": "Own."})).doc,
        "Own."
    );
}

#[test]
fn mappings_that_are_alternatives_are_one() {
    let field = only(&json!({"oneOf": [
        {
            "type": "object",
            "required": ["mode", "path"],
            "properties": {"mode": {"const": "path"}, "path": {"type": "string"}},
        },
        {
            "type": "object",
            "required": ["mode", "host"],
            "properties": {"mode": {"const": "host"}, "host": {"type": "string"}},
        },
    ]}));
    let Kind::Object(inner) = field.kind else {
        panic!("{:?}", field.kind)
    };
    let seen: Vec<_> = inner
        .iter()
        .map(|field| (field.name.as_str(), field.required, &field.kind))
        .collect();
    let modes = Kind::Choice(vec!["path".into(), "host".into()]);
    assert_eq!(
        seen,
        [
            ("mode", true, &modes),
            ("path", false, &Kind::String),
            ("host", false, &Kind::String)
        ]
    );
}

#[test]
fn a_definition_in_itself_ends() {
    assert!(matches!(
        only(&json!({"$ref": "#/$defs/Loop"})).kind,
        Kind::Object(_)
    ));
}

#[test]
fn no_options_without_a_mapping() {
    assert_eq!(fields(&json!({"type": "string"})), []);
    assert_eq!(fields(&json!(null)), []);
}

#[test]
fn the_order_is_that_of_the_type() {
    let role = crate::resource::kind("role")
        .map(|kind| fields(&(kind.schema)()))
        .unwrap_or_default();
    let names: Vec<&str> = role
        .iter()
        .take(7)
        .map(|field| field.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "instance",
            "start_temporarily",
            "max_impact",
            "lock_timeout",
            "name",
            "state",
            "password"
        ]
    );
}
