//! The JSON schema of the settings, which also guides loading: what is a path, what takes variables,
//! what a word in the environment means.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Settings;

impl Settings {
    /// The JSON schema of `settings.yaml`. Keys of our own: `x-relative-to` (the base of a relative
    /// path) and `x-variables` (what a template may hold).
    pub fn schema() -> Value {
        let generator = SchemaSettings::draft2020_12()
            .with(|settings| settings.inline_subschemas = true)
            .into_generator();
        generator.into_root_schema_for::<Self>().to_value()
    }
}

/// For a mapping whose missing keys are filled in at loading: to the writer of a file, all are optional.
pub(super) fn none_required(schema: &mut Schema) {
    schema.remove("required");
}

/// A schema and its alternatives.
pub(super) fn alternatives(schema: &Value) -> Vec<&Value> {
    let mut all = vec![schema];
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(choices)) = schema.get(key) {
            all.extend(choices.iter().flat_map(alternatives));
        }
    }
    all
}

/// The schema of a key, in whichever alternative has it.
pub(super) fn property<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    alternatives(schema)
        .into_iter()
        .find_map(|schema| schema.get("properties")?.get(key))
}

/// The keys of a mapping, those of all alternatives.
pub(super) fn keys(schema: &Value) -> Vec<&str> {
    alternatives(schema)
        .into_iter()
        .filter_map(|schema| schema.get("properties")?.as_object())
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect()
}

/// Does it take values of this JSON type?
pub(super) fn takes(schema: &Value, kind: &str) -> bool {
    alternatives(schema)
        .into_iter()
        .any(|schema| match schema.get("type") {
            Some(Value::String(only)) => only == kind,
            Some(Value::Array(kinds)) => kinds.iter().any(|other| other == kind),
            _ => false,
        })
}

/// Is this alternative the one that the value is of? Decided by type, and by keys with a fixed value.
pub(super) fn fits(schema: &Value, value: &Value) -> bool {
    let Value::Object(mapping) = value else {
        return true;
    };
    let Some(Value::Object(properties)) = schema.get("properties") else {
        return true;
    };
    properties.iter().all(|(key, property)| {
        property
            .get("const")
            .is_none_or(|fixed| mapping.get(key) == Some(fixed))
    })
}
