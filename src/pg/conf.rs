//! `postgresql.conf` and `postgresql.auto.conf`, line by line and without loss.
//!
//! The grammar is that of `guc-file.l` (PostgreSQL docs, 20.1.2). The file is kept as bytes: a comment
//! in Latin-1 is legal, and what is not edited is written back as it was.

mod scan;

use std::fmt;

use anyhow::Result;

use crate::bail_fault;
use crate::pg::text::{decode, end_like, split_lines};
use crate::secret::MASK;
use scan::{Entry, Kind};

/// A configuration file: `parse` then `render` gives the same bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Conf {
    lines: Vec<Line>,
}

#[derive(Clone, PartialEq, Eq)]
struct Line {
    /// The line without its end.
    text: Vec<u8>,
    end: &'static str,
    entry: Option<Entry>,
}

/// An include directive with the path as it is written; relative to the including file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Include {
    /// `include`: the file must exist.
    File(String),
    /// `include_if_exists`.
    IfExists(String),
    /// `include_dir`: the files of a directory that end in `.conf`, in the C locale's order.
    Dir(String),
}

/// What a line of a configuration file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// Name (lower case) and decoded value.
    Setting {
        name: String,
        value: String,
    },
    Include(Include),
}

impl Conf {
    /// Reads a file.
    ///
    /// # Errors
    /// A line PostgreSQL would refuse: names its number, never its content (it may hold a password).
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut lines = Vec::new();
        for (index, (text, end)) in split_lines(bytes).enumerate() {
            let Ok(entry) = scan::line(text) else {
                let number = index + 1;
                bail_fault!(Conflict, "syntax error in line {number} of the configuration file";
                    "correct the line: `name = 'value'`, quotes inside the value doubled");
            };
            lines.push(Line {
                text: text.to_vec(),
                end,
                entry,
            });
        }
        Ok(Self { lines })
    }

    /// The same of a file that is to be replaced: lines that PostgreSQL would refuse are taken for comments.
    pub fn parse_leniently(bytes: &[u8]) -> Self {
        let line = |(text, end): (&[u8], &'static str)| Line {
            text: text.to_vec(),
            end,
            entry: scan::line(text).ok().flatten(),
        };
        Self {
            lines: split_lines(bytes).map(line).collect(),
        }
    }

    pub fn render(&self) -> Vec<u8> {
        let parts = self.lines.iter();
        let parts = parts.flat_map(|line| [line.text.as_slice(), line.end.as_bytes()]);
        parts.collect::<Vec<_>>().concat()
    }

    /// The file as it may be shown: values that may hold passwords (see [`is_secret`]) are masked.
    pub fn masked(&self) -> String {
        let mut shown = String::new();
        for line in &self.lines {
            shown += &line.masked();
            shown += line.end;
        }
        shown
    }

    /// The decoded value of the last active entry of that name.
    pub fn get(&self, name: &str) -> Option<String> {
        let entry = self.lines[self.last(name)?].entry.as_ref()?;
        Some(entry.value.clone())
    }

    /// The line of the last active entry of that name, counted from 1.
    pub fn line(&self, name: &str) -> Option<usize> {
        self.last(name).map(|index| index + 1)
    }

    /// Name (lower case) and decoded value of what is in force, in the order of the file; of several
    /// entries of one name the last one. Include directives are not among them.
    pub fn entries(&self) -> Vec<(String, String)> {
        self.lines
            .iter()
            .enumerate()
            .filter_map(|(index, line)| Some((index, line.entry.as_ref()?)))
            .filter(|(index, entry)| {
                !is_include(&entry.name) && self.last(&entry.name) == Some(*index)
            })
            .map(|(_, entry)| (entry.name.clone(), entry.value.clone()))
            .collect()
    }

    /// Every line that says something, with its number, which counts from 1: of two that set one parameter the later counts.
    pub fn statements(&self) -> impl Iterator<Item = (usize, Statement)> {
        let entries = self
            .lines
            .iter()
            .enumerate()
            .filter_map(|(index, line)| Some((index + 1, line.entry.as_ref()?)));
        entries.map(|(number, entry)| (number, entry.statement()))
    }

    /// The same file as it would have to stand in another directory: includes name their files in full.
    #[must_use]
    pub fn anchored(&self, directory: &str) -> Self {
        let mut conf = self.clone();
        for line in &mut conf.lines {
            if let Some(entry) = line.entry.clone().filter(|entry| is_include(&entry.name))
                && !entry.value.starts_with('/')
            {
                line.write(&entry, &format!("{directory}/{}", entry.value));
            }
        }
        conf
    }

    /// Sets a value, and says whether the file changed.
    ///
    /// The line in force is edited in place: indentation, position and comment stay. If there is none, the
    /// last commented-out `#name = …` line is uncommented, else a line is appended. What cannot be written
    /// (see [`check_entry`]) is not: the file stays as it is.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        if check_entry(name, value).is_err() {
            return false;
        }
        if let Some(index) = self.last(name) {
            let line = &mut self.lines[index];
            let Some(entry) = line.entry.clone().filter(|entry| entry.value != value) else {
                return false;
            };
            line.write(&entry, value);
        } else if let Some((index, text, entry)) = self.last_commented(name) {
            let line = &mut self.lines[index];
            line.text = text;
            line.write(&entry, value);
        } else {
            self.append(format!("{name} = {}", written(value, None)));
        }
        true
    }

    /// Comments every active line of that name out, and says whether there was one.
    pub fn unset(&mut self, name: &str) -> bool {
        let mut changed = false;
        for line in &mut self.lines {
            if let Some(entry) = line.entry.take_if(|entry| entry.is(name)) {
                line.text.insert(entry.start, b'#');
                changed = true;
            }
        }
        changed
    }

    fn last(&self, name: &str) -> Option<usize> {
        self.lines
            .iter()
            .rposition(|line| line.entry.as_ref().is_some_and(|entry| entry.is(name)))
    }

    /// The last commented-out entry of that name: where, and its line without the `#`.
    fn last_commented(&self, name: &str) -> Option<(usize, Vec<u8>, Entry)> {
        self.lines
            .iter()
            .enumerate()
            .rev()
            .find_map(|(index, line)| {
                let (text, entry) = line.uncommented()?;
                entry.is(name).then_some((index, text, entry))
            })
    }

    fn append(&mut self, text: String) {
        let end = end_like(self.lines.first().map(|line| line.end));
        if let Some(last) = self.lines.last_mut() {
            last.end = end;
        }
        let text = text.into_bytes();
        let entry = scan::line(&text).ok().flatten();
        self.lines.push(Line { text, end, entry });
    }
}

impl Entry {
    fn statement(&self) -> Statement {
        let value = self.value.clone();
        match self.name.as_str() {
            "include" => Statement::Include(Include::File(value)),
            "include_if_exists" => Statement::Include(Include::IfExists(value)),
            "include_dir" => Statement::Include(Include::Dir(value)),
            name => Statement::Setting {
                name: name.to_owned(),
                value,
            },
        }
    }
}

impl Line {
    /// A commented-out entry, and the line without the `#`.
    fn uncommented(&self) -> Option<(Vec<u8>, Entry)> {
        let hash = self
            .text
            .iter()
            .position(|byte| !byte.is_ascii_whitespace())?;
        let behind = self.text.get(hash..)?.strip_prefix(b"#")?;
        let mut text = self.text[..hash].to_vec();
        text.extend(behind.trim_ascii_start());
        // Prose may look like `name value`; only the equal sign makes it a setting.
        let entry = scan::line(&text).ok()??;
        entry.equals.then_some((text, entry))
    }

    fn masked(&self) -> String {
        if !mentions_secret(&self.text) {
            return decode(&self.text);
        }
        let entry = match (&self.entry, self.uncommented()) {
            (Some(entry), _) => entry.clone(),
            (None, Some((text, mut entry))) => {
                let removed = self.text.len() - text.len();
                entry.token = entry.token.start + removed..entry.token.end + removed;
                entry
            }
            (None, None) => return masked_comment(&decode(&self.text)),
        };
        if !is_secret(&entry.name) || entry.value.is_empty() {
            return masked_comment(&decode(&self.text));
        }
        let before = decode(&self.text[..entry.token.start]);
        let behind = masked_comment(&decode(&self.text[entry.token.end..]));
        format!("{before}'{MASK}'{behind}")
    }

    /// Puts `value` where `entry`, which belongs to the text, has its value.
    fn write(&mut self, entry: &Entry, value: &str) {
        let written = written(value, Some(entry.kind));
        self.text.splice(entry.token.clone(), written.into_bytes());
        self.entry = scan::line(&self.text).ok().flatten();
    }
}

/// Shows nothing of the content, which may hold passwords (`primary_conninfo`).
impl fmt::Debug for Conf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conf")
            .field("lines", &self.lines.len())
            .finish_non_exhaustive()
    }
}

/// The settings whose values are connection strings and commands, or may be passwords.
const SECRETS: [&str; 6] = [
    "primary_conninfo",
    "archive_command",
    "archive_cleanup_command",
    "recovery_end_command",
    "restore_command",
    "ssl_passphrase_command",
];

/// Whether the value of a setting may hold a password: a connection string, a command, or a name that says so.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.contains(&name.as_str()) || name.ends_with("password")
}

/// Whether a text can hold the name of a secret: each has one of these in it, and few lines of a file do.
fn mentions_secret(text: &[u8]) -> bool {
    text.windows(4).any(|window| match window[0] {
        b'_' => window[1..3].eq_ignore_ascii_case(b"co"),
        b'w' | b'W' => window.eq_ignore_ascii_case(b"word"),
        _ => false,
    })
}

/// A comment that mentions such a setting with a value, without what is behind the equal sign.
fn masked_comment(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let value = |name: &str, at: usize| {
        let behind = lower.get(at + name.len()..)?;
        let value = behind.get(behind.find('=')? + 1..)?;
        let is_name = !behind.starts_with(|char: char| char == '_' || char.is_alphanumeric());
        // `#archive_command = ''` of the sample file hides nothing.
        let is_empty = value.trim_start().starts_with("''");
        (is_name && !is_empty).then(|| lower.len() - value.len())
    };
    let secret = SECRETS
        .iter()
        .flat_map(|name| {
            lower
                .match_indices(name)
                .filter_map(|(at, name)| value(name, at))
        })
        .min();
    match secret.and_then(|at| text.get(..at)) {
        Some(before) => format!("{before} {MASK}"),
        None => text.to_owned(),
    }
}

/// Whether an entry can be written to a configuration file.
///
/// # Errors
/// The name is no identifier, with or without a prefix (`work_mem`, `auto_explain.log_nested`), or is an
/// include directive, or the value has a zero byte.
pub fn check_entry(name: &str, value: &str) -> Result<()> {
    if is_include(&name.to_ascii_lowercase()) {
        bail_fault!(Input, "`{name}` is a directive, not a setting"; "write it into the file with `pgsocle pgconf edit`");
    }
    let kind = scan::whole(name.as_bytes());
    if !matches!(kind, Some(Kind::Id | Kind::QualifiedId)) {
        bail_fault!(Input, "`{name}` is not the name of a setting"; "give letters, digits and underscores, and one dot at most");
    }
    if value.contains('\0') {
        bail_fault!(Input, "the value of `{name}` has a zero byte");
    }
    Ok(())
}

/// A value in single quotes as configuration files have them: quotes and backslashes doubled.
///
/// Not the quoting of SQL: there is no `E''` here, and a backslash always escapes.
pub fn quote(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('\'');
    for char in value.chars() {
        match char {
            '\'' => quoted.push_str("''"),
            '\\' => quoted.push_str("\\\\"),
            // A string ends with its line at the latest.
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            char => quoted.push(char),
        }
    }
    quoted.push('\'');
    quoted
}

/// The value as it is written: bare for numbers, amounts and booleans, and for a word in the place of a
/// word (`wal_level = replica`); in quotes otherwise.
fn written(value: &str, before: Option<Kind>) -> String {
    let bare = match scan::whole(value.as_bytes()) {
        Some(Kind::Number) => true,
        Some(Kind::Id) => {
            before == Some(Kind::Id) || ["on", "off", "true", "false", "yes", "no"].contains(&value)
        }
        _ => false,
    };
    if bare { value.to_owned() } else { quote(value) }
}

fn is_include(name: &str) -> bool {
    matches!(name, "include" | "include_if_exists" | "include_dir")
}

#[cfg(test)]
mod tests;
