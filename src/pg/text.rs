//! Bytes of a file as text.

/// UTF-8 where it is, else Latin-1: PostgreSQL itself takes the bytes of its files as they are.
pub(super) fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// Lines and their ends. The last one may have none, or half of one: a carriage return alone.
pub(super) fn split_lines(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &'static str)> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
        ["\r\n", "\n", "\r"]
            .into_iter()
            .find_map(|end| Some((line.strip_suffix(end.as_bytes())?, end)))
            .unwrap_or((line, ""))
    })
}

/// The end of a new line in a file whose first line has that end.
pub(super) fn end_like(first: Option<&str>) -> &'static str {
    if first == Some("\r\n") { "\r\n" } else { "\n" }
}
