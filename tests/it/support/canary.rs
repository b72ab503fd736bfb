//! A password that cannot be there by chance: where it is found, it leaked.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use base64::Engine as _;

use super::bin::Output;

#[derive(Debug)]
pub struct Canary(String);

impl Canary {
    pub fn new() -> Self {
        // RandomState is seeded by the system; two draws make 128 bits.
        let draw = |salt: u8| RandomState::new().hash_one(salt);
        Self(format!("canary-{:016x}{:016x}", draw(0), draw(1)))
    }

    pub fn password(&self) -> &str {
        &self.0
    }

    /// The forms in which a password could be written down by accident.
    fn found_in(&self, bytes: &[u8]) -> bool {
        let forms = [
            self.0.clone(),
            base64::engine::general_purpose::STANDARD_NO_PAD.encode(&self.0),
            self.0.bytes().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            }),
        ];
        forms.iter().any(|form| {
            bytes
                .windows(form.len())
                .any(|window| window == form.as_bytes())
        })
    }

    /// # Panics
    /// When the password is in what a program printed.
    pub fn assert_not_printed(&self, output: &Output) {
        assert!(
            !self.found_in(output.stdout.as_bytes()) && !self.found_in(output.stderr.as_bytes()),
            "a password was printed: {output:?}"
        );
    }

    /// Looks into every file below `dir`, except those whose file name is in `except` (passfiles).
    ///
    /// # Panics
    /// When the password is in a file, a file's name or a link, or when a file cannot be read.
    pub fn assert_absent_below(&self, dir: &Path, except: &[&str]) {
        let found = self.found_below(dir, except);
        assert!(found.is_empty(), "a password was left in {found:?}");
    }

    fn found_below(&self, dir: &Path, except: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        let mut directories = vec![dir.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(&directory)
                .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
            {
                let entry = entry.expect("directory entry");
                let path = entry.path();
                let name = entry.file_name().into_encoded_bytes();
                let kind = match entry.file_type() {
                    Ok(kind) => kind,
                    // Servers come and go with their temporary files.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(error) => panic!("{}: {error}", path.display()),
                };
                if kind.is_dir() {
                    directories.push(path.clone());
                }
                let content = if kind.is_file() {
                    match std::fs::read(&path) {
                        Ok(content) => content,
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                        Err(error) => panic!("{}: {error}", path.display()),
                    }
                } else if kind.is_symlink() {
                    std::fs::read_link(&path)
                        .unwrap_or_default()
                        .into_os_string()
                        .into_encoded_bytes()
                } else {
                    assert!(kind.is_dir() || kind.is_socket() || kind.is_fifo());
                    Vec::new()
                };
                let excepted = except
                    .iter()
                    .any(|excepted_name| excepted_name.as_bytes() == name);
                if self.found_in(&name) || (!excepted && self.found_in(&content)) {
                    found.push(path.display().to_string());
                }
            }
        }
        found.sort();
        found
    }
}

#[test]
fn a_canary_is_found_where_it_leaked() {
    let dir = tempfile::tempdir().unwrap();
    let canary = Canary::new();
    let base64 = base64::engine::general_purpose::STANDARD.encode(canary.password());
    std::fs::create_dir(dir.path().join("inner")).unwrap();
    for (name, content) in [
        ("pgpass", format!("*:*:*:*:{}\n", canary.password())),
        ("inner/log", format!("ALTER ROLE {}\n", canary.password())),
        ("inner/basic", base64),
        ("clean", Canary::new().password().to_owned()),
    ] {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    std::os::unix::fs::symlink(canary.password(), dir.path().join("link")).unwrap();
    let below = |except: &[&str]| {
        let prefix = format!("{}/", dir.path().display());
        let found = canary.found_below(dir.path(), except);
        found
            .iter()
            .map(|path| path.replace(&prefix, ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        below(&["pgpass"]),
        ["inner/basic", "inner/log", "link"].map(str::to_owned)
    );
    assert_eq!(below(&[]).last().map(String::as_str), Some("pgpass"));
}
