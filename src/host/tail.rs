//! A file that grows while it is read.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;

/// As much as is read at once.
const PIECE: u64 = 1 << 20;

/// How often a file that does not grow is looked at.
const PAUSE: Duration = Duration::from_millis(200);

/// A file, and how far it has been read.
pub struct Tail {
    pub path: Utf8PathBuf,
    offset: u64,
}

impl Tail {
    pub fn new(path: Utf8PathBuf) -> Self {
        Self { path, offset: 0 }
    }

    /// What comes next; empty when there is no more for now. A file that has become shorter (`log_truncate_on_rotation`)
    /// is read from its beginning.
    pub fn more(&mut self) -> Result<Vec<u8>> {
        let mut file = match fs_err::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        if file.metadata()?.len() < self.offset {
            self.offset = 0;
        }
        file.seek(SeekFrom::Start(self.offset))
            .with_context(|| self.path.to_string())?;
        let mut bytes = Vec::new();
        let read = file
            .take(PIECE)
            .read_to_end(&mut bytes)
            .with_context(|| self.path.to_string())?;
        self.offset += read as u64;
        Ok(bytes)
    }
}

/// Waits until there may be more.
pub fn pause() {
    std::thread::sleep(PAUSE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test writes the file")]
    fn what_comes_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().join("log")).unwrap();
        let mut tail = Tail::new(path.clone());
        assert_eq!(tail.more().unwrap(), b"");
        for (content, more) in [
            ("a\n", "a\n"),
            ("a\n", ""),
            ("a\nb\n", "b\n"),
            ("c\n", "c\n"),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(tail.more().unwrap(), more.as_bytes());
        }
    }
}
