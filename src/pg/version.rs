//! Versions of the server: the major version is what files, programs and statements depend on.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::fault;

/// A major version of PostgreSQL, such as `15`. Written as a string in documents, read as a string or
/// a number. There is none below 10: until then a major version had two parts.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Major(u16);

impl Major {
    /// The oldest major version this program works with.
    pub const OLDEST: Self = Self(13);
    /// The newest major version this program was tried with.
    pub const NEWEST_KNOWN: Self = Self(18);

    const FIRST: u16 = 10;

    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    pub const fn number(self) -> u16 {
        self.0
    }

    /// Those this program was tried with.
    pub fn known() -> impl Iterator<Item = Self> {
        (Self::OLDEST.0..=Self::NEWEST_KNOWN.0).map(Self)
    }

    /// Whether this program was tried with it.
    pub fn is_known(self) -> bool {
        (Self::OLDEST..=Self::NEWEST_KNOWN).contains(&self)
    }
}

impl fmt::Display for Major {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Major {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Some(text)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .filter(|number| *number >= Self::FIRST)
            .map(Self)
            .ok_or_else(|| {
                fault!(Input, "`{text}` is not a major version of PostgreSQL";
                    "give a whole number from {} to {}", Self::OLDEST, Self::NEWEST_KNOWN)
            })
    }
}

impl Serialize for Major {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Major {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Major;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a major version of PostgreSQL, such as \"15\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Major, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Major, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Major, E> {
                self.visit_str(&number.to_string())
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Major {
    fn schema_name() -> Cow<'static, str> {
        "Major".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// Reads what `postgres --version` and `SHOW server_version` print: the major version and the whole
/// version number, without what a packager added to it.
pub fn parse_server_version(text: &str) -> Result<(Major, String)> {
    let number = text
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    let major = number.and_then(|number| {
        let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    });
    number
        .zip(major)
        .map(|(number, major)| (major, number.to_owned()))
        .ok_or_else(|| {
            let text = text.trim();
            fault!(Unsupported, "no version of PostgreSQL 10 or later in `{text}`";
                "check that the program is the one of a PostgreSQL server")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, Kind};
    use proptest::prelude::*;

    #[test]
    fn from_text() {
        for (text, number) in [
            ("10", Some(10)),
            ("13", Some(13)),
            ("18", Some(18)),
            ("65535", Some(65535)),
            ("65536", None),
            ("9", None),
            ("0", None),
            ("", None),
            ("+15", None),
            ("-15", None),
            (" 15", None),
            ("15.4", None),
            ("9.6", None),
            ("fifteen", None),
        ] {
            let major = text.parse::<Major>();
            assert_eq!(major.as_ref().ok().map(|m| m.number()), number, "{text}");
        }
        let error = "9.6".parse::<Major>().unwrap_err();
        let fault = Fault::of(&error).unwrap();
        assert_eq!(fault.kind, Kind::Input);
        assert_eq!(fault.msg, "`9.6` is not a major version of PostgreSQL");
        assert_eq!(
            fault.hint.as_deref(),
            Some("give a whole number from 13 to 18")
        );
    }

    #[test]
    fn known() {
        let known: Vec<u16> = (10..25)
            .filter(|number| Major::new(*number).is_known())
            .collect();
        assert_eq!(known, [13, 14, 15, 16, 17, 18]);
    }

    #[test]
    fn in_documents() {
        for (json, expected) in [
            ("\"15\"", Ok(15)),
            ("15", Ok(15)),
            (
                "9",
                Err("`9` is not a major version of PostgreSQL at line 1 column 1"),
            ),
            (
                "-3",
                Err("`-3` is not a major version of PostgreSQL at line 1 column 2"),
            ),
            (
                "true",
                Err(
                    "invalid type: boolean `true`, expected a major version of PostgreSQL, such as \"15\" at line 1 column 4",
                ),
            ),
        ] {
            let major = serde_json::from_str::<Major>(json)
                .map(Major::number)
                .map_err(|error| error.to_string());
            assert_eq!(major, expected.map_err(str::to_owned), "{json}");
        }
        assert_eq!(
            serde_json::to_string(&Major::new(15)).unwrap(),
            "\"15\"".to_owned()
        );
        assert_eq!(
            schemars::SchemaGenerator::default().subschema_for::<Major>(),
            json_schema!({ "type": "string" })
        );
    }

    #[test]
    fn of_servers() {
        for (text, expected) in [
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
                Some((15, "15.18")),
            ),
            ("postgres (PostgreSQL) 13.0", Some((13, "13.0"))),
            ("postgres (PostgreSQL) 18beta1", Some((18, "18beta1"))),
            ("postgres (PostgreSQL) 17rc2", Some((17, "17rc2"))),
            ("postgres (PostgreSQL) 19devel", Some((19, "19devel"))),
            ("16.4 (Ubuntu 16.4-1.pgdg24.04+1)", Some((16, "16.4"))),
            ("postgres (PostgreSQL) 9.6.24", None),
            ("postgres (PostgreSQL) 99999.1", None),
            ("bash: postgres: not found", None),
            ("", None),
        ] {
            let version = parse_server_version(text).ok();
            assert_eq!(
                version,
                expected.map(|(major, number)| (Major::new(major), number.to_owned())),
                "{text}"
            );
        }
        assert_eq!(
            parse_server_version("postgres (PostgreSQL) 9.6.24\n")
                .unwrap_err()
                .to_string(),
            "no version of PostgreSQL 10 or later in `postgres (PostgreSQL) 9.6.24`"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn round_trip(number in 10u16..) {
            let major = Major::new(number);
            prop_assert_eq!(major.to_string().parse::<Major>().unwrap(), major);
        }

        #[test]
        fn nothing_panics(text in any::<String>()) {
            let _ = text.parse::<Major>();
            let _ = parse_server_version(&text);
        }
    }
}
