//! Parameters whose value is a list separated by commas (`src/backend/utils/adt/varlena.c`).

/// How the elements of a list are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Elements {
    /// Names in SQL: lower-cased unless quoted; order matters.
    Identifiers,
    /// Files, directories and hosts: taken as they stand; order matters.
    Verbatim,
    /// A set of words the server knows: neither case nor order matter.
    Words,
}

/// The parameters marked `GUC_LIST_INPUT` in `guc_tables.c` of PostgreSQL 13 to 19.
///
/// Three of these are left out: `synchronous_standby_names` has a grammar of its own, and
/// `log_connections` (a boolean before 18) and `log_min_messages` (an enum before 19) are lists in newer versions only.
const LISTS: &[(&str, Elements)] = &[
    ("createrole_self_grant", Elements::Words),
    ("DateStyle", Elements::Words),
    ("debug_io_direct", Elements::Words),
    ("listen_addresses", Elements::Verbatim),
    ("local_preload_libraries", Elements::Verbatim),
    ("log_destination", Elements::Words),
    ("oauth_validator_libraries", Elements::Verbatim),
    ("restrict_nonsystem_relation_kind", Elements::Words),
    ("search_path", Elements::Identifiers),
    ("session_preload_libraries", Elements::Verbatim),
    ("shared_preload_libraries", Elements::Verbatim),
    // The name of `synchronized_standby_slots` before the release of PostgreSQL 17.
    ("standby_slot_names", Elements::Identifiers),
    ("synchronized_standby_slots", Elements::Identifiers),
    ("temp_tablespaces", Elements::Identifiers),
    ("unix_socket_directories", Elements::Verbatim),
    ("wal_consistency_checking", Elements::Words),
];

fn kind(name: &str) -> Option<Elements> {
    LISTS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, kind)| *kind)
}

/// Whether the value of the parameter is a list that can be split at its commas.
pub fn is_list(name: &str) -> bool {
    kind(name).is_some()
}

/// The elements, without the quotes and blanks around them; empty ones are left out unless quoted.
pub fn split_list(value: &str) -> Vec<String> {
    elements(value)
        .into_iter()
        .map(|element| element.text)
        .collect()
}

/// The elements of `existing` and then those of `wanted` which are not among them, each once; quotes
/// are kept.
pub fn merge_list(existing: &str, wanted: &str) -> String {
    let mut merged: Vec<Element> = Vec::new();
    for element in elements(existing).into_iter().chain(elements(wanted)) {
        if !merged.iter().any(|known| known.text == element.text) {
            merged.push(element);
        }
    }
    let texts: Vec<&str> = merged.iter().map(|element| element.raw.as_str()).collect();
    texts.join(", ")
}

/// Whether two values of a parameter of type string mean the same; of another than a list, never.
pub(super) fn same(name: &str, one: &str, other: &str) -> bool {
    // Of type string, these two are lists.
    let kind = match name {
        "log_connections" | "log_min_messages" => Some(Elements::Words),
        _ => kind(name),
    };
    kind.is_some_and(|kind| comparable(kind, one) == comparable(kind, other))
}

fn comparable(kind: Elements, value: &str) -> Vec<String> {
    let mut texts: Vec<String> = elements(value)
        .into_iter()
        .map(|element| match kind {
            Elements::Identifiers if !element.quoted => element.text.to_lowercase(),
            Elements::Words => element.text.to_lowercase(),
            Elements::Identifiers | Elements::Verbatim => element.text,
        })
        .collect();
    if kind == Elements::Words {
        texts.sort();
        texts.dedup();
    }
    texts
}

#[derive(Debug)]
struct Element {
    /// As written, quotes included.
    raw: String,
    text: String,
    quoted: bool,
}

/// Splits as `SplitDirectoriesString` does: a quote counts at the beginning of an element only. What the
/// server refuses is read as something near: an open quote ends with the value, and text behind a
/// closed one is left out.
fn elements(value: &str) -> Vec<Element> {
    let mut elements = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        let behind;
        if let Some(inner) = rest.strip_prefix('"') {
            let (text, after) = quoted(inner);
            behind = after.split_once(',').map(|(_, rest)| rest);
            elements.push(Element {
                raw: format!("\"{}\"", text.replace('"', "\"\"")),
                text,
                quoted: true,
            });
        } else {
            let (text, after) = rest
                .split_once(',')
                .map_or((rest, None), |(text, rest)| (text, Some(rest)));
            behind = after;
            let text = text.trim_end();
            if !text.is_empty() {
                elements.push(Element {
                    raw: text.to_owned(),
                    text: text.to_owned(),
                    quoted: false,
                });
            }
        }
        rest = behind.unwrap_or_default().trim_start();
    }
    elements
}

/// The text up to the closing quote, doubled quotes made one, and what is behind that quote.
fn quoted(inner: &str) -> (String, &str) {
    let mut text = String::new();
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('"') {
        text.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                text.push('"');
                rest = after;
            }
            None => return (text, after),
        }
    }
    (text + rest, "")
}
