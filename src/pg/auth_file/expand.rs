//! A file with everything that it brings in, as the server reads it (`tokenize_auth_file` and `tokenize_expand_file` in
//! hba.c): lists of names from other files (`@file`) and, as of PostgreSQL 16, include directives.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Entry, Token, decode, directive, fields, logical, masked};
use crate::pg::conf::Include;

/// The first major with include directives and regular expressions.
pub const WITH_INCLUDES: u32 = 16;

/// As deep as the server follows includes (`CONF_FILE_MAX_DEPTH` in conffiles.h).
const DEPTH: usize = 10;

/// Where files come from.
pub trait Source {
    /// The content of a file; none when there is none.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>, String>;

    /// The names in a directory; none when there is none.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>, String>;
}

/// A record, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    pub file: Utf8PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// As it may be shown, continuation lines joined.
    pub text: String,
    /// The record, lists of names filled in; or why PostgreSQL refuses it.
    pub record: Result<T, String>,
}

/// The records of a file and of those it includes, in the order in which the server goes through them.
pub fn expand<T: Entry>(path: &Utf8Path, source: &dyn Source, major: u32) -> Vec<Listed<T>> {
    let reader = Reader { source, major };
    let mut all = Vec::new();
    if let Err(reason) = reader.file(path, false, 0, &mut all) {
        all.push(Listed {
            file: path.into(),
            line: 0,
            text: String::new(),
            record: Err(reason),
        });
    }
    all
}

struct Reader<'s> {
    source: &'s dyn Source,
    major: u32,
}

impl Reader<'_> {
    fn file<T: Entry>(
        &self,
        path: &Utf8Path,
        may_miss: bool,
        depth: usize,
        all: &mut Vec<Listed<T>>,
    ) -> Result<(), String> {
        let content = match self.open(path, depth) {
            Ok(Some(content)) => content,
            Ok(None) if may_miss => return Ok(()),
            Ok(None) => return Err(missing(path)),
            Err(reason) => return Err(reason),
        };
        for line in logical(&content) {
            let listed = |record| Listed {
                file: path.into(),
                line: line.number,
                text: masked::<T>(decode(&line.joined).trim_end()),
                record,
            };
            match self.fields(&line.joined, path, depth) {
                Err(reason) => all.push(listed(Err(reason))),
                Ok(fields) if fields.is_empty() => {}
                Ok(fields) => match directive(&fields) {
                    Some(include) if self.major >= WITH_INCLUDES => {
                        if let Err(reason) = self.include(&include, path, depth, all) {
                            all.push(listed(Err(reason)));
                        }
                    }
                    _ => {
                        let record = T::parse(&fields);
                        all.push(listed(record.and_then(|record| match record.refusal() {
                            Some(reason) => Err(reason),
                            None => Ok(record),
                        })));
                    }
                },
            }
        }
        Ok(())
    }

    fn open(&self, path: &Utf8Path, depth: usize) -> Result<Option<Vec<u8>>, String> {
        if depth > DEPTH {
            return Err(format!(
                "`{path}`: files are included more than {DEPTH} deep"
            ));
        }
        self.source.read(path)
    }

    fn include<T: Entry>(
        &self,
        include: &Include,
        from: &Utf8Path,
        depth: usize,
        all: &mut Vec<Listed<T>>,
    ) -> Result<(), String> {
        match include {
            Include::File(path) => self.file(&beside(from, path), false, depth + 1, all),
            Include::IfExists(path) => self.file(&beside(from, path), true, depth + 1, all),
            Include::Dir(path) => {
                let directory = beside(from, path);
                let Some(mut names) = self.source.list(&directory)? else {
                    return Err(missing(&directory));
                };
                // GetConfFilesInDir in conffiles.c.
                names.retain(|name| {
                    Utf8Path::new(name).extension() == Some("conf") && !name.starts_with('.')
                });
                names.sort();
                let mut reasons = Vec::new();
                for name in names {
                    reasons.extend(
                        self.file(&directory.join(name), false, depth + 1, all)
                            .err(),
                    );
                }
                if reasons.is_empty() {
                    Ok(())
                } else {
                    Err(reasons.join("; "))
                }
            }
        }
    }

    /// The fields of a line, with names from files in the place of `@file`. A field that holds nothing is none.
    fn fields(
        &self,
        line: &[u8],
        file: &Utf8Path,
        depth: usize,
    ) -> Result<Vec<Vec<Token>>, String> {
        let mut all = Vec::new();
        for field in fields(line) {
            let mut tokens = Vec::new();
            for token in field {
                match token.file() {
                    Some(path) => tokens.extend(self.names(&beside(file, path), depth + 1)?),
                    None => tokens.push(token),
                }
            }
            if !tokens.is_empty() {
                all.push(tokens);
            }
        }
        Ok(all)
    }

    /// All words of a file, whatever lines they stand on.
    fn names(&self, path: &Utf8Path, depth: usize) -> Result<Vec<Token>, String> {
        let content = self.open(path, depth)?.ok_or_else(|| missing(path))?;
        let mut tokens = Vec::new();
        for line in logical(&content) {
            let fields = self.fields(&line.joined, path, depth)?;
            tokens.extend(fields.into_iter().flatten());
        }
        Ok(tokens)
    }
}

fn beside(file: &Utf8Path, path: &str) -> Utf8PathBuf {
    file.parent().unwrap_or(Utf8Path::new("/")).join(path)
}

fn missing(path: &Utf8Path) -> String {
    format!("`{path}` does not exist")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::pg::hba::Record;

    struct Files(BTreeMap<&'static str, &'static str>);

    impl Source for Files {
        fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>, String> {
            Ok(self
                .0
                .get(path.as_str())
                .map(|text| text.as_bytes().to_vec()))
        }

        fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>, String> {
            let names = self.0.keys().filter_map(|path| {
                let path = Utf8Path::new(path);
                (path.parent() == Some(directory))
                    .then(|| path.file_name().map(ToOwned::to_owned))?
            });
            let names: Vec<String> = names.rev().collect();
            Ok((!names.is_empty()).then_some(names))
        }
    }

    fn lines(files: &[(&'static str, &'static str)], major: u32) -> Vec<String> {
        let files = Files(files.iter().copied().collect());
        let show = |listed: Listed<Record>| match listed.record {
            Ok(record) => {
                let line = record.render_line();
                let words: Vec<&str> = line.split_whitespace().collect();
                format!("{}:{} {}", listed.file, listed.line, words.join(" "))
            }
            Err(reason) => format!("{}:{} ! {reason}", listed.file, listed.line),
        };
        expand::<Record>("/d/hba".into(), &files, major)
            .into_iter()
            .map(show)
            .collect()
    }

    #[test]
    fn includes_and_lists() {
        let files = [
            (
                "/d/hba",
                "# c\ninclude sub/one\ninclude_if_exists none\ninclude none\ninclude_dir /d/sub\\\n\nlocal @db @us peer\n",
            ),
            ("/d/sub/one", "local \\\na a peer\nlocal @two b peer\n"),
            ("/d/sub/two", "x, y\n\"@z\"\n"),
            ("/d/sub/b.conf", "local b b peer"),
            ("/d/sub/a.conf", "junk"),
            ("/d/sub/.c.conf", "junk"),
            ("/d/db", "@sub/two # c\nq"),
            ("/d/us", "\n# nothing\n"),
        ];
        assert_eq!(
            lines(&files, 16),
            [
                "/d/sub/one:1 local a a peer",
                "/d/sub/one:3 local x,y,\"@z\" b peer",
                "/d/hba:4 ! `/d/none` does not exist",
                "/d/sub/a.conf:1 ! unknown connection type `junk`",
                "/d/sub/b.conf:1 local b b peer",
                // A list of nothing is no field, so that `peer` is the user.
                "/d/hba:7 ! no authentication method",
            ]
        );
        assert_eq!(
            lines(&files, 15)[0],
            "/d/hba:2 ! unknown connection type `include`"
        );
    }

    #[test]
    fn loops() {
        let deep = "`/d/hba`: files are included more than 10 deep";
        let all = lines(&[("/d/hba", "include hba\n")], 18);
        assert_eq!(all, [format!("/d/hba:1 ! {deep}")]);
        let all = lines(&[("/d/hba", "local @hba all peer\n")], 13);
        assert_eq!(all, [format!("/d/hba:1 ! {deep}")]);
        assert_eq!(lines(&[], 13), ["/d/hba:0 ! `/d/hba` does not exist"]);
    }
}
