//! Secrets by type: a value that cannot be printed, and text that masks its secret parts.
//!
//! [`Secret`] has no `Display` and no `Serialize`; [`Text`] is what files, statements and standard
//! input are made of, and its `Display` masks. `expose` is the one way out, used in `host/` and by
//! the password arithmetic of `pg/scram.rs` only (a tidy test keeps it so).

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// What a secret looks like wherever it could be seen.
pub const MASK: &str = "********";

/// A password or another value that must never be shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether one of these characters is in it.
    pub fn holds(&self, characters: &[char]) -> bool {
        self.0.contains(characters)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }
}

/// A part of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Plain(String),
    Secret(Secret),
}

/// Text with secret parts: what it says is known to `host/`, everybody else sees it masked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(Vec<Part>);

impl Text {
    pub fn plain(text: impl Into<String>) -> Self {
        Self(vec![Part::Plain(text.into())])
    }

    pub fn secret(secret: Secret) -> Self {
        Self(vec![Part::Secret(secret)])
    }

    #[must_use]
    pub fn and(mut self, text: impl Into<String>) -> Self {
        self.push(text);
        self
    }

    #[must_use]
    pub fn and_secret(mut self, secret: Secret) -> Self {
        self.push_secret(secret);
        self
    }

    pub fn push(&mut self, text: impl Into<String>) {
        let text = text.into();
        if let Some(Part::Plain(last)) = self.0.last_mut() {
            last.push_str(&text);
        } else {
            self.0.push(Part::Plain(text));
        }
    }

    pub fn push_secret(&mut self, secret: Secret) {
        self.0.push(Part::Secret(secret));
    }

    pub fn append(&mut self, other: Self) {
        for part in other.0 {
            match part {
                Part::Plain(text) => self.push(text),
                Part::Secret(secret) => self.push_secret(secret),
            }
        }
    }

    pub fn has_secret(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Secret(_)))
    }

    /// Whether these bytes are what it says.
    pub fn is(&self, bytes: &[u8]) -> bool {
        self.expose().as_bytes() == bytes
    }

    /// The whole text, secrets included.
    pub fn expose(&self) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Plain(text) => text.as_str(),
                Part::Secret(secret) => secret.expose(),
            })
            .collect()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::plain(text)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::plain(text)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Plain(text) => f.write_str(text)?,
                Part::Secret(_) => f.write_str(MASK)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_unless_exposed() {
        let text = Text::plain("ALTER ROLE bob PASSWORD '")
            .and_secret(Secret::new("canary"))
            .and("'");
        assert_eq!(text.to_string(), "ALTER ROLE bob PASSWORD '********'");
        assert!(!format!("{text:?}").contains("canary"));
        assert_eq!(text.expose(), "ALTER ROLE bob PASSWORD 'canary'");
        assert!(text.has_secret());
    }
}
