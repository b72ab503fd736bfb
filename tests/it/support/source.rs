//! Our own source as the rules about it see it: without comments, literals and tests.

use std::path::{Path, PathBuf};

/// A Rust file of `src/`.
#[derive(Debug)]
pub struct Source {
    /// From the checkout on: `src/pg/conf.rs`.
    pub path: String,
    /// `pg::conf`; empty for `lib.rs`.
    pub module: String,
    /// What the file says, comments and literals blanked, `#[cfg(test)]` items taken out.
    pub code: String,
    pub lines: usize,
}

pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `src/` that is not test code.
pub fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut tests = Vec::new();
    for path in files_below(&checkout().join("src"), "rs") {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(checkout()).unwrap().display().to_string();
        let module = module_of(&name);
        let (code, test_modules) = without_tests(&blanked(&text));
        tests.extend(test_modules.into_iter().map(|test| {
            if module.is_empty() {
                test
            } else {
                format!("{module}::{test}")
            }
        }));
        sources.push(Source {
            path: name,
            module,
            code,
            lines: text.lines().count(),
        });
    }
    sources.retain(|source| !tests.iter().any(|test| is_within(&source.module, test)));
    assert!(!sources.is_empty(), "no source found");
    sources
}

/// Whether a module is `ancestor` or lies below it.
pub fn is_within(module: &str, ancestor: &str) -> bool {
    module
        .strip_prefix(ancestor)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Every file below a directory with this ending, sorted.
pub fn files_below(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn module_of(path: &str) -> String {
    let module = path
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod")
        .replace('/', "::");
    if module == "lib" {
        String::new()
    } else {
        module
    }
}

/// The text with every comment and literal made of blanks; lines stay where they are.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("only whole characters are blanked")
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let find = |needle: &[u8], from: usize| {
        rest[from..]
            .windows(needle.len())
            .position(|window| window == needle)
            .map_or(bytes.len(), |found| at + from + found)
    };
    let within_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => find(b"\n", 0),
        [b'/', b'*', ..] => {
            let (mut depth, mut end) = (1, 2);
            while depth > 0 && end < rest.len() {
                match &rest[end..] {
                    [b'/', b'*', ..] => (depth, end) = (depth + 1, end + 2),
                    [b'*', b'/', ..] => (depth, end) = (depth - 1, end + 2),
                    _ => end += 1,
                }
            }
            at + end
        }
        [b'"', ..] => {
            let mut end = 1;
            while end < rest.len() && rest[end] != b'"' {
                end += if rest[end] == b'\\' { 2 } else { 1 };
            }
            (at + end + 1).min(bytes.len())
        }
        // r"…", r#"…"#, br#"…"#: the prefix letters before are harmless where they stand.
        [b'r', b'"' | b'#', ..] if !within_word || bytes[at - 1] == b'b' => {
            let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
            if rest.get(1 + hashes) != Some(&b'"') {
                return at;
            }
            let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            (find(&close, 2 + hashes) + close.len()).min(bytes.len())
        }
        [b'\'', b'\\', ..] => (find(b"'", 3) + 1).min(bytes.len()),
        // A character, not a lifetime: the closing quote comes after one character.
        [b'\'', first, ..] => {
            let width = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            if rest.get(1 + width) == Some(&b'\'') {
                at + width + 2
            } else {
                at
            }
        }
        _ => at,
    }
}

/// Takes out the items under `#[cfg(test)]`; tells the names of those that are modules with a file of their own.
fn without_tests(code: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::new();
    let mut modules = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        kept += &rest[..start];
        let item = &rest[start + MARK.len()..];
        let mut depth = 0_u32;
        let mut end = item.len();
        for (index, c) in item.char_indices() {
            match c {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 && (c == ';' || c == '}') {
                end = index + 1;
                break;
            }
        }
        let words: Vec<_> = item[..end]
            .trim_end_matches(';')
            .split_whitespace()
            .collect();
        if let [.., "mod", name] = words.as_slice() {
            modules.push((*name).to_owned());
        }
        rest = &item[end..];
    }
    (kept + rest, modules)
}

/// The paths that code names (`a::b::c`), `use` trees spread out, with `crate::`, `self::` and `super::` made whole:
/// they begin with `crate`. A name that stands alone is none.
pub fn paths(module: &str, code: &str) -> Vec<String> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let before = at.checked_sub(1).map(|index| tokens[index]);
        if is_name(tokens[at]) && before != Some("::") {
            let end = spread(&tokens, at, &[], &mut found);
            at = end.max(at + 1);
        } else {
            at += 1;
        }
    }
    found
        .into_iter()
        .filter(|path| path.len() > 1)
        .map(|path| absolute(module, &path))
        .collect()
}

fn absolute(module: &str, path: &[&str]) -> String {
    let mut base: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    let relative = path
        .iter()
        .take_while(|part| matches!(**part, "self" | "super"))
        .inspect(|part| {
            if **part == "super" {
                base.pop();
            }
        })
        .count();
    match path[0] {
        _ if relative > 0 => [&["crate"], base.as_slice(), &path[relative..]]
            .concat()
            .join("::"),
        "pgsocle" => [&["crate"], &path[1..]].concat().join("::"),
        _ => path.join("::"),
    }
}

/// Reads a path at `at` and adds it, or each one of its tree, below `prefix`; tells where it ends.
fn spread<'a>(
    tokens: &[&'a str],
    at: usize,
    prefix: &[&'a str],
    found: &mut Vec<Vec<&'a str>>,
) -> usize {
    let mut path = prefix.to_vec();
    let mut at = at;
    loop {
        match tokens.get(at) {
            Some(&"{") if path.len() > prefix.len() || !prefix.is_empty() => {
                at += 1;
                while at < tokens.len() && tokens[at] != "}" {
                    if is_name(tokens[at]) {
                        at = spread(tokens, at, &path, found);
                    } else {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some(name) if is_name(name) || *name == "*" => {
                // `use a::{self}` is `use a`.
                if *name != "self" || path.is_empty() {
                    path.push(name);
                }
                at += 1;
            }
            _ => break,
        }
        if tokens.get(at) == Some(&"::")
            && tokens
                .get(at + 1)
                .is_some_and(|next| is_name(next) || matches!(*next, "{" | "*"))
        {
            at += 1;
        } else {
            break;
        }
    }
    // `use a::b as c`: the new name is no path.
    if !prefix.is_empty() && tokens.get(at) == Some(&"as") {
        at += 2;
    }
    found.push(path);
    at
}

/// Names, `::`, and single signs.
pub fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_name(&rest[..first.len_utf8()]) {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

fn is_name(token: &str) -> bool {
    token
        .chars()
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_')
}

#[test]
fn code_is_seen_without_comments_literals_and_tests() {
    let text = r##"
//! a "comment" /* of
use a::b; /* one /* in */ another */ fn f<'a>(x: &'a str) -> char { '"' }
const S: &str = "text \" // no comment"; const R: &str = r#"raw " text"#; const C: char = '\'';
#[cfg(test)]
mod tests { use crate::host::local; fn g() {} }
#[cfg(test)]
mod fake;
fn last() {}
"##;
    let (code, modules) = without_tests(&blanked(text));
    assert_eq!(
        code.split_whitespace().collect::<Vec<_>>().join(" "),
        "use a::b; fn f<'a>(x: &'a str) -> char { } const S: &str = ; const R: &str = ; const C: char = ; fn last() {}"
    );
    assert_eq!(modules, ["fake"]);
}

#[test]
fn paths_are_spread_out_and_made_whole() {
    for (code, wanted) in [
        ("use crate::plan::Plan;", &["crate::plan::Plan"][..]),
        (
            "use crate::{fault, host::{self, Look as _, local::*}};",
            &[
                "crate::fault",
                "crate::host",
                "crate::host::Look",
                "crate::host::local::*",
            ],
        ),
        ("use std::{fs, io};", &["std::fs", "std::io"]),
        ("use super::ident;", &["crate::pg::ident"]),
        ("use super::super::host::Act;", &["crate::host::Act"]),
        ("use self::scan::Scan;", &["crate::pg::conf::scan::Scan"]),
        (
            "let x = $crate::fault::Kind::Sql; y.method(z)",
            &["crate::fault::Kind::Sql"],
        ),
        (
            "a.collect::<Vec<_>>(); pgsocle::cli::run()",
            &["crate::cli::run"],
        ),
    ] {
        assert_eq!(paths("pg::conf", code), wanted, "{code}");
    }
}
