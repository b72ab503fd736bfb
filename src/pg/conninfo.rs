//! Connection strings of libpq in keyword/value form (PostgreSQL docs, 34.1.1.1), such as `primary_conninfo`.

use anyhow::Result;

use crate::fault;
use crate::secret::{Secret, Text};

/// A connection string. Of a keyword given twice, the last value counts. It may hold passwords: there is no
/// `Debug` and no `Display`, see [`render`](Self::render).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Conninfo {
    pairs: Vec<(String, String)>,
}

impl Conninfo {
    /// Reads a connection string.
    ///
    /// # Errors
    /// Not of the form `keyword = value`, or a URI; never shows the text.
    pub fn parse(text: &str) -> Result<Self> {
        if text.starts_with("postgresql://") || text.starts_with("postgres://") {
            return Err(
                fault!(Unsupported, "a connection URI is not read here"; "write it as `host=… port=… user=…`"),
            );
        }
        let broken = || {
            fault!(
                Input,
                "the connection string is not of the form `keyword=value keyword='value'`"
            )
        };
        let mut pairs = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (keyword, behind) = rest.split_once('=').ok_or_else(broken)?;
            let keyword = keyword.trim_end();
            if keyword.is_empty() || keyword.contains(char::is_whitespace) {
                return Err(broken());
            }
            let (value, behind) = value(behind.trim_start()).ok_or_else(broken)?;
            pairs.push((keyword.to_owned(), value));
            rest = behind.trim_start();
        }
        Ok(Self { pairs })
    }

    pub fn get(&self, keyword: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().rev().find(|(own, _)| own == keyword)?;
        Some(value)
    }

    /// Sets a value, in its place if the keyword is there; nothing removes it.
    pub fn set(&mut self, keyword: &str, value: Option<&str>) {
        let at = self.pairs.iter().position(|(own, _)| own == keyword);
        self.pairs.retain(|(own, _)| own != keyword);
        if let Some(value) = value {
            let at = at.unwrap_or(self.pairs.len()).min(self.pairs.len());
            self.pairs
                .insert(at, (keyword.to_owned(), value.to_owned()));
        }
    }

    pub fn has_password(&self) -> bool {
        self.pairs.iter().any(|(keyword, _)| is_secret(keyword))
    }

    /// The connection string, its passwords as secrets.
    pub fn render(&self) -> Text {
        let mut text = Text::default();
        for (index, (keyword, value)) in self.pairs.iter().enumerate() {
            if index > 0 {
                text.push(" ");
            }
            text.push(format!("{keyword}="));
            let written = written(value);
            if is_secret(keyword) {
                text.push_secret(Secret::new(written));
            } else {
                text.push(written);
            }
        }
        text
    }
}

/// The keywords whose values must not be shown.
fn is_secret(keyword: &str) -> bool {
    matches!(
        keyword,
        "password"
            | "sslpassword"
            | "oauth_client_secret"
            | "scram_client_key"
            | "scram_server_key"
    )
}

fn written(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('\'', "\\'");
    if value.is_empty() || value.contains(char::is_whitespace) {
        format!("'{escaped}'")
    } else {
        escaped
    }
}

/// The decoded value, and what is behind.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => value.extend(chars.next().map(|(_, char)| char)),
            '\'' if quoted => return Some((value, &text[at + 1..])),
            char if char.is_whitespace() && !quoted => return Some((value, &text[at..])),
            char => value.push(char),
        }
    }
    (!quoted).then_some((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn masked_and_whole() {
        let text = "host = /run/pg  user='a b' password=can\\'ary port=5432 application_name=''";
        let mut conninfo = Conninfo::parse(text).unwrap();
        assert_eq!(conninfo.get("user"), Some("a b"));
        assert_eq!(conninfo.get("password"), Some("can'ary"));
        assert_eq!(conninfo.get("application_name"), Some(""));
        assert_eq!(conninfo.get("dbname"), None);
        assert!(conninfo.has_password());
        assert_eq!(
            conninfo.render().to_string(),
            "host=/run/pg user='a b' password=******** port=5432 application_name=''"
        );
        conninfo.set("host", Some("db\\1"));
        conninfo.set("password", None);
        conninfo.set("sslmode", Some("require"));
        assert_eq!(
            conninfo.render().expose(),
            "host=db\\\\1 user='a b' port=5432 application_name='' sslmode=require"
        );
        assert!(!conninfo.has_password());
    }

    #[test]
    fn refused() {
        for text in [
            "canary",
            "a b=canary",
            "=canary",
            "a='canary",
            "a='canary\\'",
        ] {
            let error = Conninfo::parse(text).err().unwrap().to_string();
            assert_eq!(
                error,
                "the connection string is not of the form `keyword=value keyword='value'`"
            );
        }
        assert!(Conninfo::parse("postgresql://bob:canary@h/db").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn values_return(text in "([a-c] ?= ?('[a ]*'|\\\\?[a-c']) ?){0,3}|.*", value: String) {
            let mut conninfo = Conninfo::parse(&text).unwrap_or_default();
            conninfo.set("b", Some(&value));
            let back = Conninfo::parse(&conninfo.render().expose()).unwrap();
            prop_assert_eq!(back.get("b"), Some(&*value));
            prop_assert!(back == conninfo);
        }
    }
}
