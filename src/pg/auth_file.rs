//! What `pg_hba.conf` and `pg_ident.conf` have in common: lines of fields of tokens (`tokenize_auth_file`
//! in `hba.c`, as of PostgreSQL 14; 13 knows no continuation lines).

mod edit;
pub mod expand;

use anyhow::Result;

use crate::pg::conf::Include;
use crate::pg::text::{decode, end_like, split_lines};
use crate::secret::MASK;
use crate::{bail_fault, fault};

/// A record of one of the two files.
pub trait Entry: Clone + PartialEq {
    /// What the file is called in messages.
    const FILE: &'static str;
    /// How the heading of the columns begins that `initdb` writes.
    const HEADING: &'static str;
    /// Options whose values are never shown.
    const SECRETS: &'static [&'static str] = &[];

    /// Reads the fields of a line; the error never names an option's value, which may be a password.
    ///
    /// # Errors
    /// Why PostgreSQL would not understand it.
    fn parse(fields: &[Vec<Token>]) -> Result<Self, String>;

    /// Why PostgreSQL would refuse a record that it understands.
    fn refusal(&self) -> Option<String> {
        None
    }

    /// Whether it can be written, and PostgreSQL would take it.
    ///
    /// # Errors
    /// `Input`, with the reason.
    fn check(&self) -> Result<()>;

    /// The record as a line without its end, in the columns of the file `initdb` writes.
    fn render_line(&self) -> String;

    /// Whether both mean the same.
    fn same(&self, other: &Self) -> bool;
}

/// A file whose lines hold records of type `T`; `parse` then `render` gives the same bytes. The first record
/// that fits decides, so order matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthFile<T> {
    lines: Vec<Line<T>>,
}

/// Where a record is to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Position<T> {
    /// Wherever it is; a new one goes to the end.
    #[default]
    Anywhere,
    /// Before all others and before includes; a new one goes before the comment right above the first one.
    First,
    /// Behind all others and behind includes.
    Last,
    /// Somewhere before that record.
    Before(T),
    /// Somewhere behind that record.
    After(T),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line<T> {
    /// With the line breaks of continuation lines, without the last one.
    raw: Vec<u8>,
    end: &'static str,
    item: Item<T>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item<T> {
    /// Blank or comment.
    Nothing,
    Record(T),
    /// As of PostgreSQL 16.
    Include(Include),
    /// What PostgreSQL would refuse, and why.
    Junk(String),
}

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub(super) text: String,
    quoted: bool,
}

/// A line with those that continue it.
pub(super) struct Logical {
    /// Of its first line, counted from 1.
    pub(super) number: usize,
    /// As it stands in the file, without its end.
    pub(super) raw: Vec<u8>,
    end: &'static str,
    /// What PostgreSQL reads.
    pub(super) joined: Vec<u8>,
}

impl<T> Default for AuthFile<T> {
    fn default() -> Self {
        Self { lines: Vec::new() }
    }
}

impl<T: Entry> AuthFile<T> {
    /// Reads a file. Lines that PostgreSQL would refuse are kept, see [`errors`](Self::errors).
    pub fn parse(bytes: &[u8]) -> Self {
        let line = |line: Logical| Line {
            item: item(&fields(&line.joined)),
            raw: line.raw,
            end: line.end,
        };
        Self {
            lines: logical(bytes).into_iter().map(line).collect(),
        }
    }

    pub fn render(&self) -> Vec<u8> {
        self.lines
            .iter()
            .flat_map(|line| [line.raw.as_slice(), line.end.as_bytes()])
            .flatten()
            .copied()
            .collect()
    }

    /// The file as it may be shown: without passwords and shared secrets.
    pub fn masked(&self) -> String {
        let text = decode(&self.render());
        text.split_inclusive('\n').map(masked::<T>).collect()
    }

    pub fn records(&self) -> Vec<T> {
        self.entries().cloned().collect()
    }

    /// Number and reason of the lines that PostgreSQL would refuse: with one of them it reads nothing of the file.
    pub fn errors(&self) -> Vec<(usize, String)> {
        self.numbered()
            .filter_map(|(number, line)| match &line.item {
                Item::Junk(reason) => Some((number, reason.clone())),
                Item::Record(record) => record.refusal().map(|reason| (number, reason)),
                _ => None,
            })
            .collect()
    }

    /// The include directives (PostgreSQL 16) with their line numbers.
    pub fn includes(&self) -> Vec<(usize, Include)> {
        self.numbered()
            .filter_map(|(number, line)| match &line.item {
                Item::Include(include) => Some((number, include.clone())),
                _ => None,
            })
            .collect()
    }

    /// Whether a record means the same.
    pub fn contains(&self, record: &T) -> bool {
        self.entries().any(|own| own.same(record))
    }

    fn entries(&self) -> impl Iterator<Item = &T> {
        self.lines.iter().filter_map(Line::record)
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &Line<T>)> {
        self.lines.iter().scan(1, |next, line| {
            let number = *next;
            *next += physical_lines(&line.raw);
            Some((number, line))
        })
    }
}

impl<T> Line<T> {
    fn record(&self) -> Option<&T> {
        match &self.item {
            Item::Record(record) => Some(record),
            _ => None,
        }
    }

    fn is_comment(&self) -> bool {
        matches!(self.item, Item::Nothing) && self.raw.trim_ascii().starts_with(b"#")
    }

    /// It brings in records, its own or those of other files.
    fn is_active(&self) -> bool {
        matches!(self.item, Item::Record(_) | Item::Include(_))
    }
}

/// One record, as a line of the file says it.
///
/// # Errors
/// `Input`, when it is none, or one that PostgreSQL would refuse.
pub fn parse_line<T: Entry>(text: &str) -> Result<T> {
    let mut lines = AuthFile::<T>::parse(text.as_bytes()).lines;
    match (lines.pop().map(|line| line.item), lines.is_empty()) {
        (Some(Item::Record(record)), true) => {
            record.check()?;
            Ok(record)
        }
        (Some(Item::Junk(reason)), true) => {
            Err(fault!(Input, "not a record of `{}`: {reason}", T::FILE))
        }
        _ => {
            bail_fault!(Input, "not a record of `{}`", T::FILE; "give one line, as it stands in the file")
        }
    }
}

/// A record in one line as it may be shown, without its columns.
pub fn shown<T: Entry>(record: &T) -> String {
    let line = masked::<T>(&record.render_line());
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines of a file, continuation lines joined (`tokenize_auth_file`).
pub(super) fn logical(bytes: &[u8]) -> Vec<Logical> {
    let mut lines = Vec::new();
    let (mut raw, mut joined): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    let mut number = 1;
    let mut physical = split_lines(bytes).peekable();
    while let Some((text, end)) = physical.next() {
        raw.extend(text);
        // All carriage returns at the end of a line go (`pg_strip_crlf`).
        let returns = text.iter().rev().take_while(|byte| **byte == b'\r').count();
        let text = &text[..text.len() - returns];
        if let Some(text) = text.strip_suffix(b"\\") {
            joined.extend(text);
            if physical.peek().is_some() {
                raw.extend(end.as_bytes());
                continue;
            }
        } else {
            joined.extend(text);
        }
        let line = Logical {
            number,
            raw: std::mem::take(&mut raw),
            end,
            joined: std::mem::take(&mut joined),
        };
        number += physical_lines(&line.raw);
        lines.push(line);
    }
    lines
}

fn physical_lines(raw: &[u8]) -> usize {
    raw.split(|byte| *byte == b'\n').count()
}

fn item<T: Entry>(fields: &[Vec<Token>]) -> Item<T> {
    if fields.is_empty() {
        return Item::Nothing;
    }
    match directive(fields) {
        Some(include) => Item::Include(include),
        None => T::parse(fields).map_or_else(Item::Junk, Item::Record),
    }
}

/// The include directive that a line of these fields is.
pub(super) fn directive(fields: &[Vec<Token>]) -> Option<Include> {
    let [first, path] = fields else { return None };
    let path = path.first()?.text.clone();
    match first.first()?.text.as_str() {
        "include" => Some(Include::File(path)),
        "include_if_exists" => Some(Include::IfExists(path)),
        "include_dir" => Some(Include::Dir(path)),
        _ => None,
    }
}

/// A line as it may be shown.
pub(super) fn masked<T: Entry>(line: &str) -> String {
    let secret = T::SECRETS
        .iter()
        .filter_map(|option| line.find(option).map(|at| at + option.len()))
        .min();
    match secret.and_then(|at| line.split_at_checked(at)) {
        // Quotes and continuation lines make the end of the value hard to tell: nothing behind it is shown.
        Some((before, behind)) => {
            let end = if behind.ends_with('\n') { "\n" } else { "" };
            format!("{before}={MASK}{end}")
        }
        None => line.to_owned(),
    }
}

impl Token {
    /// The file whose content it stands for.
    pub(super) fn file(&self) -> Option<&str> {
        let path = self.text.strip_prefix('@')?;
        (!self.quoted && !path.is_empty()).then_some(path)
    }

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

/// A word as somebody writes it, as records hold it: in double quotes a name is meant literally.
pub(super) fn word(text: &str) -> String {
    let text = text.trim();
    match text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
    {
        Some(inner) => literal(&inner.replace("\"\"", "\"")),
        None => text.to_owned(),
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
pub(super) fn fields(line: &[u8]) -> Vec<Vec<Token>> {
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
