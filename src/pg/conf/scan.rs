//! The tokens of `guc-file.l`: the longest match wins, of two as long the rule that comes first.

use std::ops::Range;

use crate::pg::text::decode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Id,
    QualifiedId,
    Quoted,
    /// An unquoted string that is no identifier.
    Word,
    /// An integer, with or without a unit, or a real without.
    Number,
    Equals,
}

/// A setting on its line.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// In lower case.
    pub(super) name: String,
    /// Decoded.
    pub(super) value: String,
    /// Where the name begins.
    pub(super) start: usize,
    /// Where the value is, with its quotes.
    pub(super) token: Range<usize>,
    pub(super) kind: Kind,
    /// Whether there is an equal sign.
    pub(super) equals: bool,
}

impl Entry {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// A line that PostgreSQL refuses.
pub(super) struct SyntaxError;

/// Reads one line without its end: an entry, or nothing (blank or comment).
pub(super) fn line(text: &[u8]) -> Result<Option<Entry>, SyntaxError> {
    let mut tokens = Tokens { text, at: 0 };
    let (name, start) = match tokens.next()? {
        None => return Ok(None),
        Some((Kind::Id | Kind::QualifiedId, range)) => (&text[range.clone()], range.start),
        Some(_) => return Err(SyntaxError),
    };
    let mut token = tokens.next()?;
    let equals = matches!(token, Some((Kind::Equals, _)));
    if equals {
        token = tokens.next()?;
    }
    // A qualified identifier is no value: `x = a.b` is refused.
    let (kind, token) = match token {
        None | Some((Kind::Equals | Kind::QualifiedId, _)) => return Err(SyntaxError),
        Some(token) => token,
    };
    if tokens.next()?.is_some() {
        return Err(SyntaxError);
    }
    let raw = &text[token.clone()];
    let value = if kind == Kind::Quoted {
        unescape(raw)
    } else {
        raw.to_vec()
    };
    // The server sees C strings.
    let value = value.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Some(Entry {
        name: decode(name).to_ascii_lowercase(),
        value: decode(value),
        start,
        token,
        kind,
        equals,
    }))
}

/// What kind of token the whole text is, if it is one.
pub(super) fn whole(text: &[u8]) -> Option<Kind> {
    token(text)
        .filter(|(_, length)| *length == text.len())
        .map(|(kind, _)| kind)
}

struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
}

impl Tokens<'_> {
    /// The next token, or nothing at the end of the line or before a comment.
    fn next(&mut self) -> Result<Option<(Kind, Range<usize>)>, SyntaxError> {
        let rest = &self.text[self.at..];
        let start = self.at + count(rest, |byte| matches!(byte, b' ' | b'\t' | b'\r'));
        let rest = &self.text[start..];
        if rest.first().is_none_or(|byte| *byte == b'#') {
            return Ok(None);
        }
        let (kind, length) = token(rest).ok_or(SyntaxError)?;
        self.at = start + length;
        Ok(Some((kind, start..self.at)))
    }
}

/// The token the text begins with, and its length.
fn token(text: &[u8]) -> Option<(Kind, usize)> {
    match text.first()? {
        b'=' => Some((Kind::Equals, 1)),
        b'\'' => quoted(text).map(|length| (Kind::Quoted, length)),
        byte if is_letter(*byte) => {
            let length = count(text, |byte| {
                is_letter_or_digit(byte) || matches!(byte, b'-' | b'.' | b':' | b'/')
            });
            Some((word(&text[..length]), length))
        }
        _ => number(text).map(|length| (Kind::Number, length)),
    }
}

fn word(word: &[u8]) -> Kind {
    let mut parts = word.split(|byte| *byte == b'.');
    let is_id = |part: &[u8]| {
        part.first().is_some_and(|byte| is_letter(*byte))
            && part.iter().all(|byte| is_letter_or_digit(*byte))
    };
    match (parts.next(), parts.next(), parts.next()) {
        (Some(id), None, None) if is_id(id) => Kind::Id,
        (Some(prefix), Some(id), None) if is_id(prefix) && is_id(id) => Kind::QualifiedId,
        _ => Kind::Word,
    }
}

fn quoted(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match (text.get(at)?, text.get(at + 1)) {
            (b'\'', Some(b'\'')) | (b'\\', Some(_)) => at += 2,
            (b'\\', None) => return None,
            (b'\'', _) => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// `INTEGER` or `REAL`, whichever is longer.
fn number(text: &[u8]) -> Option<usize> {
    let sign = count(&text[..text.len().min(1)], |byte| {
        matches!(byte, b'-' | b'+')
    });
    let body = &text[sign..];
    let digits = count(body, |byte| byte.is_ascii_digit());

    let unit_behind =
        |length: usize| length + count(&body[length..], |byte| byte.is_ascii_alphabetic());
    let decimal = (digits > 0).then(|| unit_behind(digits));
    let hex = body
        .strip_prefix(b"0x")
        .map(|hex| count(hex, |byte| byte.is_ascii_hexdigit()))
        .filter(|length| *length > 0)
        .map(|length| unit_behind(2 + length));
    let real = (body.get(digits) == Some(&b'.')).then(|| {
        let length = digits + 1 + count(&body[digits + 1..], |byte| byte.is_ascii_digit());
        length + exponent(&body[length..])
    });
    decimal.max(hex).max(real).map(|length| sign + length)
}

fn exponent(text: &[u8]) -> usize {
    let Some(b'e' | b'E') = text.first() else {
        return 0;
    };
    let sign = usize::from(matches!(text.get(1), Some(b'-' | b'+')));
    match count(&text[1 + sign..], |byte| byte.is_ascii_digit()) {
        0 => 0,
        digits => 1 + sign + digits,
    }
}

/// What `DeescapeQuotedString` makes of a quoted string.
fn unescape(quoted: &[u8]) -> Vec<u8> {
    let inner = quoted
        .get(1..quoted.len().saturating_sub(1))
        .unwrap_or_default();
    let mut value = Vec::with_capacity(inner.len());
    let mut at = 0;
    while let Some(&byte) = inner.get(at) {
        at += 1;
        match (byte, inner.get(at)) {
            (b'\'', Some(_)) => {
                value.push(b'\'');
                at += 1;
            }
            (b'\\', Some(b'0'..=b'7')) => {
                let mut octal = 0_u32;
                let digits = count(&inner[at..], |byte| matches!(byte, b'0'..=b'7')).min(3);
                for digit in &inner[at..at + digits] {
                    octal = octal * 8 + u32::from(digit - b'0');
                }
                value.push(octal.to_le_bytes()[0]);
                at += digits;
            }
            (b'\\', Some(&escaped)) => {
                value.push(match escaped {
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => other,
                });
                at += 1;
            }
            (byte, _) => value.push(byte),
        }
    }
    value
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_letter_or_digit(byte: u8) -> bool {
    is_letter(byte) || byte.is_ascii_digit()
}

fn count(text: &[u8], matches: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| matches(**byte)).count()
}
