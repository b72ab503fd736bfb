//! The password file (documentation, 34.16): `host:port:database:user:password`, the first match wins.
//!
//! Reading follows `passwordFromFile` of libpq's `fe-connect.c`. Lines which are not changed, comments
//! included, are rendered as they were read, with what may be a password as a secret part.

use crate::bail_fault;
use crate::secret::{Secret, Text};

/// A password file.
///
/// Hosts, databases and users given to its methods stand for themselves, except `*` alone, which is the
/// wildcard. A connection through a Unix-domain socket in libpq's default directory looks for
/// `localhost`; that directory is compiled into libpq, so callers have to say `localhost` themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pgpass {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Entry(Entry),
    /// What stands before a password, or what looks like one; then that; then the line end.
    Other(String, Option<Secret>, String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Host, port, database and user as the file has them.
    fields: [String; 4],
    password: Secret,
    /// The rest of the line as the file has it: escaped, maybe with something behind the password.
    written: Secret,
    line_end: String,
}

/// What a field matches.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Any,
    Only(String),
}

impl Pgpass {
    /// Reads a file. Lines libpq would skip are kept.
    ///
    /// # Errors
    /// `Input`, with the line number, if a line is not UTF-8.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut lines = Vec::new();
        for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let Ok(line) = std::str::from_utf8(line) else {
                let number = index + 1;
                bail_fault!(Input, "line {number} of the password file is not UTF-8"; "rewrite or remove this line")
            };
            lines.push(Line::parse(line));
        }
        Ok(Self { lines })
    }

    /// The file, passwords as secret parts.
    pub fn render(&self) -> Text {
        let mut text = Text::default();
        for line in &self.lines {
            match line {
                Line::Entry(entry) => {
                    text.push(entry.fields.join(":"));
                    text.push(":");
                    text.push_secret(entry.written.clone());
                    text.push(entry.line_end.clone());
                }
                Line::Other(plain, secret, line_end) => {
                    text.push(plain.clone());
                    if let Some(secret) = secret {
                        text.push_secret(secret.clone());
                    }
                    text.push(line_end.clone());
                }
            }
        }
        text
    }

    /// The file as it may be shown.
    pub fn masked(&self) -> String {
        self.render().to_string()
    }

    /// Whether nothing would be lost with the file: no entry, no comment.
    pub fn is_empty(&self) -> bool {
        self.lines
            .iter()
            .all(|line| matches!(line, Line::Other(text, None, _) if text.trim_ascii().is_empty()))
    }

    /// The password libpq would use for a connection.
    pub fn lookup(&self, host: &str, port: u16, database: &str, user: &str) -> Option<Secret> {
        let port = port.to_string();
        let wanted = [host, &port, database, user].map(|value| Field::Only(value.to_owned()));
        self.entries()
            .find(|entry| entry.covers(&wanted))
            .map(|entry| entry.password.clone())
    }

    /// Gives the entry with exactly these fields a password, or makes one; tells whether the file changed.
    ///
    /// A new entry goes before the first one that would hide it. Nothing happens if a value holds a line
    /// end, which the format cannot express.
    pub fn set(
        &mut self,
        host: &str,
        port: u16,
        database: &str,
        user: &str,
        password: &Secret,
    ) -> bool {
        let fields = fields(host, port, database, user);
        let written = escape(password.expose());
        if [host, database, user, &written]
            .iter()
            .any(|value| value.contains(['\r', '\n', '\0']))
        {
            return false;
        }
        self.put(Entry {
            fields: fields.map(Field::into_written),
            password: password.clone(),
            written: Secret::new(written),
            line_end: "\n".to_owned(),
        })
    }

    fn put(&mut self, entry: Entry) -> bool {
        let fields = entry.decoded();
        if let Some(own) = self.entries_mut().find(|own| own.decoded() == fields) {
            let changed = own.password != entry.password;
            if changed {
                own.password = entry.password;
                own.written = entry.written;
            }
            return changed;
        }
        let place = self
            .lines
            .iter()
            .position(|line| matches!(line, Line::Entry(own) if own.covers(&fields)));
        if place.is_none() {
            self.end_last_line();
        }
        let place = place.unwrap_or(self.lines.len());
        self.lines.insert(place, Line::Entry(entry));
        true
    }

    /// The same change, from `before` to `after`, to a file that others may have changed meanwhile: their entries stay.
    #[must_use]
    pub fn merged(&self, before: &Self, after: &Self) -> Self {
        if self == before {
            return after.clone();
        }
        let password = |file: &Self, entry: &Entry| {
            let mut own = file.entries();
            own.find(|own| own.decoded() == entry.decoded())
                .map(|own| own.password.clone())
        };
        let mut merged = self.clone();
        for entry in before.entries() {
            if password(after, entry).is_none() {
                merged.remove_entries(|own| own.decoded() == entry.decoded());
            }
        }
        for entry in after.entries() {
            if password(before, entry).as_ref() != Some(&entry.password) {
                merged.put(entry.clone());
            }
        }
        merged
    }

    /// Removes the entries with exactly these fields; tells whether there were any.
    pub fn remove(&mut self, host: &str, port: u16, database: &str, user: &str) -> bool {
        let fields = fields(host, port, database, user);
        self.remove_entries(|entry| entry.decoded() == fields)
    }

    /// Whether there is an entry of one of these hosts, this very port and this very user.
    pub fn knows(&self, hosts: &[&str], port: u16, user: &str) -> bool {
        self.entries().any(|entry| {
            let [.., name] = entry.decoded();
            entry.is_at(hosts, port) && name == Field::of(user)
        })
    }

    /// The users of entries in pglift's form and ours, `*:port:*:user`, with this very port.
    pub fn users_at(&self, port: u16) -> Vec<String> {
        let users = self.entries().filter_map(|entry| {
            let [host, own, database, user] = entry.decoded();
            match (host, own, database, user) {
                (Field::Any, Field::Only(own), Field::Any, Field::Only(user))
                    if own == port.to_string() =>
                {
                    Some(user)
                }
                _ => None,
            }
        });
        users.collect()
    }

    /// Removes the entries of one of these hosts and this very port; tells whether there were any.
    pub fn remove_port(&mut self, hosts: &[&str], port: u16) -> bool {
        self.remove_entries(|entry| entry.is_at(hosts, port))
    }

    /// Moves the entries of one of these hosts from one port to another; tells whether there were any.
    pub fn rename_port(&mut self, hosts: &[&str], from: u16, to: u16) -> bool {
        let mut changed = false;
        for entry in self.entries_mut().filter(|entry| entry.is_at(hosts, from)) {
            let [_, port, ..] = &mut entry.fields;
            *port = to.to_string();
            changed = from != to;
        }
        changed
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lines.iter().filter_map(|line| match line {
            Line::Entry(entry) => Some(entry),
            Line::Other(..) => None,
        })
    }

    fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.lines.iter_mut().filter_map(|line| match line {
            Line::Entry(entry) => Some(entry),
            Line::Other(..) => None,
        })
    }

    fn remove_entries(&mut self, unwanted: impl Fn(&Entry) -> bool) -> bool {
        let before = self.lines.len();
        self.lines
            .retain(|line| !matches!(line, Line::Entry(entry) if unwanted(entry)));
        self.lines.len() != before
    }

    fn end_last_line(&mut self) {
        if let Some(Line::Entry(Entry { line_end, .. }) | Line::Other(_, _, line_end)) =
            self.lines.last_mut()
            && !line_end.ends_with('\n')
        {
            line_end.push('\n');
        }
    }
}

impl Line {
    fn parse(line: &str) -> Self {
        let text = line.trim_end_matches(['\r', '\n']);
        let line_end = line.strip_prefix(text).unwrap_or_default().to_owned();
        let split = split_fields(text);
        if text.starts_with('#') || text.trim_ascii().is_empty() {
            // An entry somebody commented out still has its password.
            return match split {
                Some((fields, rest)) => {
                    let plain = format!("{}:", fields.join(":"));
                    Self::Other(plain, Some(Secret::new(rest)), line_end)
                }
                None => Self::Other(text.to_owned(), None, line_end),
            };
        }
        match split {
            Some((fields, rest)) => Self::Entry(Entry {
                fields: fields.map(str::to_owned),
                password: Secret::new(unescape(until_colon(rest).0)),
                written: Secret::new(rest),
                line_end,
            }),
            // With a field missing nobody knows which part is the password.
            None => Self::Other(String::new(), Some(Secret::new(text)), line_end),
        }
    }
}

impl Entry {
    fn decoded(&self) -> [Field; 4] {
        self.fields.each_ref().map(|field| Field::of_written(field))
    }

    /// Whether libpq takes this entry for all that `wanted` stands for.
    fn covers(&self, wanted: &[Field; 4]) -> bool {
        self.decoded()
            .iter()
            .zip(wanted)
            .all(|(field, wanted)| *field == Field::Any || field == wanted)
    }

    fn is_at(&self, hosts: &[&str], wanted: u16) -> bool {
        let [host, port, ..] = self.decoded();
        port == Field::Only(wanted.to_string()) && hosts.iter().any(|name| Field::of(name) == host)
    }
}

impl Field {
    fn of(value: &str) -> Self {
        match value {
            "*" => Self::Any,
            other => Self::Only(other.to_owned()),
        }
    }

    fn of_written(field: &str) -> Self {
        match field {
            "*" => Self::Any,
            other => Self::Only(unescape(other)),
        }
    }

    fn into_written(self) -> String {
        match self {
            Self::Any => "*".to_owned(),
            Self::Only(value) => match escape(&value) {
                // A line that begins with `#` is a comment.
                escaped if escaped.starts_with('#') => format!("\\{escaped}"),
                escaped => escaped,
            },
        }
    }
}

fn fields(host: &str, port: u16, database: &str, user: &str) -> [Field; 4] {
    [
        Field::of(host),
        Field::Only(port.to_string()),
        Field::of(database),
        Field::of(user),
    ]
}

/// Four fields and what is behind them, all as written.
fn split_fields(line: &str) -> Option<([&str; 4], &str)> {
    let (host, rest) = until_colon(line);
    let (port, rest) = until_colon(rest?);
    let (database, rest) = until_colon(rest?);
    let (user, rest) = until_colon(rest?);
    Some(([host, port, database, user], rest?))
}

/// Up to the next colon without a backslash before it, and what is behind that colon.
fn until_colon(text: &str) -> (&str, Option<&str>) {
    let mut escaped = false;
    let colon = text.bytes().position(|byte| {
        let is_end = byte == b':' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    });
    colon
        .and_then(|at| Some((text.get(..at)?, text.get(at + 1..))))
        .unwrap_or((text, None))
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(':', "\\:")
}

fn unescape(written: &str) -> String {
    let mut value = String::with_capacity(written.len());
    let mut characters = written.chars();
    while let Some(character) = characters.next() {
        value.push(match character {
            '\\' => characters.next().unwrap_or('\\'),
            other => other,
        });
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use proptest::prelude::*;

    fn file(text: &str) -> Pgpass {
        Pgpass::parse(text.as_bytes()).unwrap()
    }

    fn secret(value: &str) -> Secret {
        Secret::new(value)
    }

    #[test]
    fn looks_up() {
        let pgpass = file(concat!(
            "# localhost:5432:*:bob:commented\n",
            "localhost:5432:a\\:b:bob:colon\n",
            "nonsense\n",
            "localhost:5432:db:b\\\\ob:p\\:w\\\\d:rest\r\n",
            "/run/pg:*:*:bob:socket\n",
            "localhost:\\*:*:star:never\n",
            "*:5433:*:bob:\n",
            "*:*:*:bob:any",
        ));
        for (host, port, database, user, password) in [
            ("localhost", 5432, "a:b", "bob", Some("colon")),
            ("localhost", 5432, "db", "b\\ob", Some("p:w\\d")),
            ("/run/pg", 1, "x", "bob", Some("socket")),
            ("else", 5433, "x", "bob", Some("")),
            ("else", 5434, "x", "bob", Some("any")),
            ("localhost", 5432, "db", "alice", None),
            ("localhost", 5432, "db", "star", None),
        ] {
            assert_eq!(
                pgpass
                    .lookup(host, port, database, user)
                    .as_ref()
                    .map(Secret::expose),
                password,
                "{host}:{port}:{database}:{user}"
            );
        }
    }

    #[test]
    fn what_others_have_written_meanwhile_stays() {
        let before = "# mine\n*:1:*:ann:a\n*:1:*:bob:b\n";
        let after = "# mine\n*:1:*:ann:new\n*:2:*:bob:b\n";
        for (present, merged) in [
            (before, after),
            (after, after),
            ("", "*:1:*:ann:new\n*:2:*:bob:b\n"),
            (
                "*:3:*:eve:e\n*:1:*:bob:b\n*:1:*:ann:a\n# hers\n",
                "*:3:*:eve:e\n*:1:*:ann:new\n# hers\n*:2:*:bob:b\n",
            ),
            ("*:1:*:cleo:c", "*:1:*:cleo:c\n*:1:*:ann:new\n*:2:*:bob:b\n"),
        ] {
            let found = file(present).merged(&file(before), &file(after));
            assert_eq!(found.render().expose(), merged, "{present}");
            // And taken back.
            let found = found.merged(&file(after), &file(before));
            assert!(found.knows(&["*"], 1, "bob") && !found.knows(&["*"], 2, "bob"));
        }
    }

    #[test]
    fn sets() {
        for (before, fields, password, after) in [
            ("", ("*", 5432, "*", "bob"), "x", "*:5432:*:bob:x\n"),
            (
                "# mine\nhost:1:a:b:c",
                ("*", 5432, "*", "bob"),
                "p:\\",
                "# mine\nhost:1:a:b:c\n*:5432:*:bob:p\\:\\\\\n",
            ),
            (
                "*:5432:*:bob:old\r\n*:5432:*:bob:older\n",
                ("*", 5432, "*", "bob"),
                "new",
                "*:5432:*:bob:new\r\n*:5432:*:bob:older\n",
            ),
            (
                "*:5432:*:bob:x:remark\n",
                ("*", 5432, "*", "bob"),
                "x",
                "*:5432:*:bob:x:remark\n",
            ),
            (
                "a:1:b:c:d\n*:*:*:bob:wide\n",
                ("*", 5432, "*", "bob"),
                "x",
                "a:1:b:c:d\n*:5432:*:bob:x\n*:*:*:bob:wide\n",
            ),
            (
                "h:5432:*:bob:narrow\n",
                ("*", 5432, "*", "bob"),
                "x",
                "h:5432:*:bob:narrow\n*:5432:*:bob:x\n",
            ),
            ("", ("#h", 1, "a:b", "c\\d"), "x", "\\#h:1:a\\:b:c\\\\d:x\n"),
            ("", ("h", 1, "a", "b"), "two\nlines", ""),
        ] {
            let (host, port, database, user) = fields;
            let mut pgpass = file(before);
            let changed = pgpass.set(host, port, database, user, &secret(password));
            assert_eq!(changed, before != after, "{before:?}");
            assert_eq!(pgpass.render().expose(), after);
            assert!(!pgpass.set(host, port, database, user, &secret(password)));
        }
    }

    #[test]
    fn removes_and_renames() {
        let before = "# c\n*:5432:*:bob:x\nlocalhost:5432:*:al:y\nother:5432:*:al:z\n*:*:*:bob:w\n";
        let mut pgpass = file(before);
        assert!(!pgpass.remove("localhost", 5432, "*", "bob"));
        assert!(pgpass.remove("*", 5432, "*", "bob"));
        assert_eq!(
            pgpass.render().expose(),
            "# c\nlocalhost:5432:*:al:y\nother:5432:*:al:z\n*:*:*:bob:w\n"
        );

        let mut pgpass = file(before);
        assert!(pgpass.remove_port(&["*", "localhost"], 5432));
        assert_eq!(
            pgpass.render().expose(),
            "# c\nother:5432:*:al:z\n*:*:*:bob:w\n"
        );
        assert!(!pgpass.remove_port(&["*", "localhost"], 5432));

        let mut pgpass = file(before);
        assert!(!pgpass.rename_port(&["*"], 5432, 5432));
        assert!(pgpass.rename_port(&["*", "localhost"], 5432, 5433));
        assert_eq!(
            pgpass.render().expose(),
            "# c\n*:5433:*:bob:x\nlocalhost:5433:*:al:y\nother:5432:*:al:z\n*:*:*:bob:w\n"
        );
    }

    #[test]
    fn shows_no_password() {
        let pgpass = file("# remark\n#*:1:*:b:canary\n*:1:*:b:canary:canary\n*:1:canary\n\n");
        assert_eq!(
            pgpass.masked(),
            "# remark\n#*:1:*:b:********\n*:1:*:b:********\n********\n\n"
        );
        assert!(!format!("{pgpass:?}").contains("canary"));
    }

    #[test]
    fn knows_when_it_is_empty() {
        for (text, empty) in [
            ("", true),
            ("\n \n", true),
            ("# c\n", false),
            ("a:1:b:c:d", false),
        ] {
            assert_eq!(file(text).is_empty(), empty, "{text:?}");
        }
    }

    #[test]
    fn names_the_line_that_is_not_utf8() {
        let error = Pgpass::parse(b"# c\n*:1:*:b:\xff\n").unwrap_err();
        assert_eq!(
            Fault::of(&error).unwrap().msg,
            "line 2 of the password file is not UTF-8"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(pgpass) = Pgpass::parse(&bytes) {
                prop_assert_eq!(pgpass.render().expose().into_bytes(), bytes);
            }
        }

        #[test]
        fn set_is_found(
            text in "([a*:\\\\#1]{0,12}\r?\n?){0,5}",
            host in "[a*:\\\\#é]{1,4}",
            password in "[a*:\\\\#é]{1,6}",
        ) {
            let mut pgpass = file(&text);
            prop_assert_eq!(pgpass.render().expose(), text);
            pgpass.set(&host, 1, "a", "*", &secret(&password));
            let mut again = file(&pgpass.render().expose());
            prop_assert_eq!(&again, &pgpass);
            prop_assert!(!again.set(&host, 1, "a", "*", &secret(&password)));
            prop_assert!(again.remove(&host, 1, "a", "*"));
            prop_assert!(!again.remove(&host, 1, "a", "*"));
        }
    }
}
