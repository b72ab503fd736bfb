//! What `pg_hba.conf` and `pg_ident.conf` have in common: lines of fields of tokens (`tokenize_auth_file`
//! in `hba.c`, as of PostgreSQL 14; 13 knows no continuation lines).

use crate::pg::conf::Include;
use crate::pg::text::{decode, end_like, split_lines};

/// A file whose lines hold records of type `T`; `parse` then `render` gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File<T> {
    pub(super) lines: Vec<Line<T>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<T> {
    /// With the line breaks of continuation lines, without the last one.
    pub(super) raw: Vec<u8>,
    end: &'static str,
    pub(super) item: Item<T>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item<T> {
    /// Blank or comment.
    Nothing,
    Record(T),
    /// As of PostgreSQL 16.
    Include(Include),
    /// What PostgreSQL would refuse, and why.
    Junk(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    quoted: bool,
}

impl<T> Default for File<T> {
    fn default() -> Self {
        Self { lines: Vec::new() }
    }
}

impl<T> File<T> {
    pub(super) fn parse(bytes: &[u8], record: impl Fn(&[Vec<Token>]) -> Result<T, String>) -> Self {
        let mut lines = Vec::new();
        let mut raw = Vec::new();
        let mut joined = Vec::new();
        let mut physical = split_lines(bytes).peekable();
        while let Some((text, end)) = physical.next() {
            raw.extend(text);
            if let Some(text) = text.strip_suffix(b"\\") {
                joined.extend(text);
                if physical.peek().is_some() {
                    raw.extend(end.as_bytes());
                    continue;
                }
            } else {
                joined.extend(text);
            }
            lines.push(Line {
                raw: std::mem::take(&mut raw),
                end,
                item: item(&fields(&std::mem::take(&mut joined)), &record),
            });
        }
        Self { lines }
    }

    pub(super) fn render(&self) -> Vec<u8> {
        self.lines
            .iter()
            .flat_map(|line| [line.raw.as_slice(), line.end.as_bytes()])
            .flatten()
            .copied()
            .collect()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &T> {
        self.lines.iter().filter_map(Line::record)
    }

    /// Line numbers count from 1.
    pub(super) fn errors(&self) -> Vec<(usize, String)> {
        self.numbered()
            .filter_map(|(number, line)| match &line.item {
                Item::Junk(reason) => Some((number, reason.clone())),
                _ => None,
            })
            .collect()
    }

    pub(super) fn includes(&self) -> Vec<(usize, Include)> {
        self.numbered()
            .filter_map(|(number, line)| match &line.item {
                Item::Include(include) => Some((number, include.clone())),
                _ => None,
            })
            .collect()
    }

    /// Puts a record before the line of that index, or at the end.
    pub(super) fn insert(&mut self, at: usize, text: String, record: T) {
        let end = end_like(self.lines.first().map(|line| line.end));
        let at = at.min(self.lines.len());
        if at == self.lines.len()
            && let Some(last) = self.lines.last_mut()
        {
            last.end = end;
            // A continuation that leads nowhere would swallow the new line.
            while last.raw.ends_with(b"\\") {
                last.raw.pop();
            }
        }
        self.lines.insert(
            at,
            Line {
                raw: text.into_bytes(),
                end,
                item: Item::Record(record),
            },
        );
    }

    /// Removes records, and says whether there was one.
    pub(super) fn remove_if(&mut self, predicate: impl Fn(&T) -> bool) -> bool {
        let before = self.lines.len();
        self.lines
            .retain(|line| !line.record().is_some_and(&predicate));
        self.lines.len() != before
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &Line<T>)> {
        self.lines.iter().scan(1, |next, line| {
            let number = *next;
            *next += line.raw.split(|byte| *byte == b'\n').count();
            Some((number, line))
        })
    }
}

impl<T> Line<T> {
    pub(super) fn record(&self) -> Option<&T> {
        match &self.item {
            Item::Record(record) => Some(record),
            _ => None,
        }
    }

    pub(super) fn is_comment(&self) -> bool {
        matches!(self.item, Item::Nothing) && self.raw.trim_ascii().starts_with(b"#")
    }
}

fn item<T>(fields: &[Vec<Token>], record: impl Fn(&[Vec<Token>]) -> Result<T, String>) -> Item<T> {
    let Some(first) = fields.first().and_then(|field| field.first()) else {
        return Item::Nothing;
    };
    let include = match first.text.as_str() {
        "include" => Include::File,
        "include_if_exists" => Include::IfExists,
        "include_dir" => Include::Dir,
        _ => return record(fields).map_or_else(Item::Junk, Item::Record),
    };
    match fields.get(1).and_then(|field| field.first()) {
        Some(path) => Item::Include(include(path.text.clone())),
        None => Item::Junk(format!("`{}` without a path", first.text)),
    }
}

impl Token {
    /// The token as records hold it: bare, unless its quotes carry a meaning (`"all"` is not `all`).
    pub(super) fn normal(&self) -> String {
        if self.quoted {
            literal(&self.text)
        } else {
            self.text.clone()
        }
    }
}

/// The one token of a field.
pub(super) fn single<'a>(field: Option<&'a Vec<Token>>, what: &str) -> Result<&'a Token, String> {
    match field.map(Vec::as_slice) {
        Some([token]) => Ok(token),
        Some(_) => Err(format!("more than one {what}")),
        None => Err(format!("no {what}")),
    }
}

/// A name that is meant literally, as records hold it.
pub(super) fn literal(name: &str) -> String {
    let special = matches!(
        name,
        "all" | "sameuser" | "samerole" | "samegroup" | "samehost" | "samenet" | "replication"
    );
    if special || name.starts_with(['+', '@', '"']) {
        quote(name)
    } else {
        name.to_owned()
    }
}

/// A token of a record as it is written in the file.
pub(super) fn written(token: &str) -> String {
    let quoted = token
        .strip_prefix('"')
        .and_then(|token| token.strip_suffix('"'))
        .is_some_and(|inner| !inner.replace("\"\"", "").contains('"'));
    let plain = !token.is_empty()
        && !token.ends_with('\\')
        && !token.contains([' ', '\t', '\r', ',', '#', '"']);
    if quoted || plain {
        return token.to_owned();
    }
    // `+"my group"`: behind the sign, quotes leave it its meaning.
    match token.strip_prefix(['+', '@']) {
        Some(rest) => format!("{}{}", &token[..1], quote(rest)),
        None => quote(token),
    }
}

/// Whether a token fits on a line.
pub(super) fn is_writable(token: &str) -> bool {
    !token.contains(['\n', '\r', '\0'])
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Fields are separated by blanks, the tokens of a field by commas.
fn fields(line: &[u8]) -> Vec<Vec<Token>> {
    // The server sees C strings.
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut fields = Vec::new();
    let mut field = Vec::new();
    let mut rest = line;
    while let Some((token, comma, behind)) = next_token(rest) {
        field.push(token);
        rest = behind;
        if !comma {
            fields.push(std::mem::take(&mut field));
        }
    }
    if !field.is_empty() {
        fields.push(field);
    }
    fields
}

/// `next_token` of `hba.c`: the token, whether a comma ended it, and what is behind.
fn next_token(line: &[u8]) -> Option<(Token, bool, &[u8])> {
    let is_blank = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r');
    let start = line
        .iter()
        .position(|byte| !is_blank(*byte) && *byte != b',')?;
    let line = &line[start..];
    let mut text = Vec::new();
    let (mut in_quote, mut was_quote, mut saw_quote, mut quoted) = (false, false, false, false);
    let mut at = 0;
    let mut comma = false;
    while let Some(&byte) = line.get(at) {
        if !in_quote {
            if is_blank(byte) {
                break;
            }
            if byte == b'#' {
                at = line.len();
                break;
            }
            if byte == b',' {
                comma = true;
                at += 1;
                break;
            }
        }
        if byte != b'"' || was_quote {
            text.push(byte);
        }
        // Two double quotes inside quotes are one.
        was_quote = in_quote && byte == b'"' && !was_quote;
        if byte == b'"' {
            in_quote = !in_quote;
            saw_quote = true;
            quoted |= text.is_empty();
        }
        at += 1;
    }
    (saw_quote || !text.is_empty()).then(|| {
        let token = Token {
            text: decode(&text),
            quoted,
        };
        (token, comma, &line[at..])
    })
}
