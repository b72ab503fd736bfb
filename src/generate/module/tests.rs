use serde_json::json;

use super::*;
use crate::schema::fields;

fn sample() -> Vec<Field> {
    fields(
        &json!({"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string", "description": "Name, which isn't changed.", "x-create-only": true},
            "state": {"enum": ["present", "absent"], "default": "present", "description": "Wanted state.\n\nWith `state: absent`, it goes."},
            "encoding": {"type": ["string", "null"], "default": null, "description": "Encoding, as `UTF8`.", "x-create-only": true},
            "password": {"type": "string", "writeOnly": true, "description": "Password."},
            "update_password": {"enum": ["always", "on_create"], "description": "When `password` is set"},
            "standby": {"x-unsupported": true, "description": "Standby; not supported in this version."},
            "limit": {"type": "integer", "default": -1, "description": "Limit."},
            "unseen": {"type": "string", "x-hidden": ["ansible"], "description": "Unseen."},
            "settings": {"type": "object", "description": "Parameters."},
            "words": {"type": "array", "items": {"type": "string"}, "description": "Words."},
            "roles": {"type": "array", "description": "Roles.", "items": {"type": "object", "required": ["role"], "properties": {
                "role": {"type": "string", "description": "The role."},
                "purge": {"type": "boolean", "default": false, "description": "Not with `role`."},
            }}},
        }}),
    )
}

#[test]
fn documentation() {
    assert_eq!(
        options(&sample(), 2, ""),
        "  name:
    description:
      - 'Name, which isn''t changed.'
    type: str
    required: true
  state:
    description:
      - 'Wanted state.'
      - 'With O(state=absent), it goes.'
    type: str
    choices: [present, absent]
    default: present
  encoding:
    description:
      - 'Encoding, as V(UTF8).'
      - 'Chosen at creation; refused when it would change.'
    type: str
  password:
    description:
      - 'Password.'
    type: str
  update_password:
    description:
      - 'When O(password) is set.'
    type: str
    choices: [always, on_create]
  standby:
    description:
      - 'Standby; not supported in this version.'
    type: raw
  limit:
    description:
      - 'Limit.'
    type: int
    default: -1
  settings:
    description:
      - 'Parameters.'
    type: dict
  words:
    description:
      - 'Words.'
    type: list
    elements: str
  roles:
    description:
      - 'Roles.'
    type: list
    elements: dict
    suboptions:
      role:
        description:
          - 'The role.'
        type: str
        required: true
      purge:
        description:
          - 'Not with O(roles[].role).'
        type: bool
        default: false
"
    );
}

#[test]
fn argument_spec() {
    assert_eq!(
        python::literal(&spec(&sample()), 0, 0),
        r#"{
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "encoding": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "update_password": {"type": "str", "choices": ["always", "on_create"], "no_log": False},
    "standby": {"type": "raw", "no_log": True},
    "limit": {"type": "int", "default": -1},
    "settings": {"type": "dict"},
    "words": {"type": "list", "elements": "str"},
    "roles": {
        "type": "list",
        "elements": "dict",
        "options": {
            "role": {"type": "str", "required": True},
            "purge": {"type": "bool", "default": False},
        },
    },
}"#
    );
}

/// Secrets are so by type: what is write-only in the schema of a kind is hidden from logs in its module.
#[test]
fn no_secret_is_logged() {
    fn secrets(fields: &[Field], spec: &Value, found: &mut usize) {
        for field in fields {
            let argument = &spec[&field.name];
            match &field.kind {
                Kind::Secret => {
                    *found += 1;
                    assert_eq!(argument["no_log"], json!(true), "{}", field.name);
                }
                Kind::Object(inner) => secrets(inner, &argument["options"], found),
                Kind::List(item) => {
                    if let Kind::Object(inner) = item.as_ref() {
                        secrets(inner, &argument["options"], found);
                    }
                }
                _ => {}
            }
        }
    }
    let instance = crate::resource::kind("instance")
        .map(|kind| fields(&(kind.schema)()))
        .unwrap_or_default();
    let mut found = 0;
    secrets(&instance, &spec(&instance), &mut found);
    assert!(found >= 4, "{found}");
}
