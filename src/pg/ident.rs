//! Names and strings as they stand in SQL, for statements that take no parameters (`CREATE ROLE …`).

use postgres_protocol::escape::{escape_identifier, escape_literal};

/// A quoted identifier: always quoted, so that no list of reserved words can be out of date.
/// PostgreSQL has no way to write a zero byte; the server refuses the statement.
pub fn ident(name: &str) -> String {
    escape_identifier(name)
}

/// A string constant that means the same under any setting of `standard_conforming_strings`.
pub fn literal(value: &str) -> String {
    // With a backslash inside, a space leads: it keeps a word just before from swallowing the `E`.
    escape_literal(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        for (name, expected) in [
            ("bob", r#""bob""#),
            ("Bob", r#""Bob""#),
            ("user", r#""user""#),
            (r#"a"b"#, r#""a""b""#),
            (r"a\b", r#""a\b""#),
            ("été", r#""été""#),
            ("", r#""""#),
        ] {
            assert_eq!(ident(name), expected);
        }
    }

    #[test]
    fn literals() {
        for (value, expected) in [
            ("", "''"),
            ("secret", "'secret'"),
            ("it's", "'it''s'"),
            (r"a\b", r" E'a\\b'"),
            (r"\' OR 1=1 --", r" E'\\'' OR 1=1 --'"),
            (r#"say "hi""#, r#"'say "hi"'"#),
        ] {
            assert_eq!(literal(value), expected);
        }
    }
}
