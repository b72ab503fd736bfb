//! The terminal of whoever called: whether there is one, and what is typed there.

#![expect(clippy::disallowed_methods, reason = "host/ is where effects live")]

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use std::process::Command;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use crate::fault;

/// Somebody can be asked.
pub fn attended() -> bool {
    std::io::stdin().is_terminal()
}

/// Somebody reads what is said while it is done.
pub fn watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Asks for one line; none when the input ends. The question goes to stderr, as stdout is for data.
pub fn ask(question: &str) -> Result<Option<String>> {
    put(question);
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    let length = read.context("read the answer")?;
    Ok((length > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned()))
}

/// Asks for a line that nobody sees; none when it is broken off (end of input, Ctrl-C).
pub fn ask_hidden(question: &str) -> Result<Option<String>> {
    put(question);
    let silence = Silence::begin()?;
    let mut typed = Vec::new();
    let mut given = None;
    for byte in std::io::stdin().lock().bytes() {
        match byte.context("read the answer")? {
            b'\n' | b'\r' => {
                given = Some(String::from_utf8_lossy(&typed).into_owned());
                break;
            }
            CTRL_C | CTRL_D => break,
            CTRL_U => typed.clear(),
            BACKSPACE | DELETE => {
                // A whole character, not its last byte.
                while typed.pop().is_some_and(|byte| byte & 0xC0 == 0x80) {}
            }
            byte => typed.push(byte),
        }
    }
    drop(silence);
    put("\n");
    Ok(given)
}

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const DELETE: u8 = 127;

/// What came back from an editor.
pub struct Edited {
    pub content: Vec<u8>,
    file: tempfile::NamedTempFile,
}

impl Edited {
    /// Leaves what was written where it is, and says where that is.
    pub fn keep(self) -> Option<Utf8PathBuf> {
        let (_, path) = self.file.keep().ok()?;
        Utf8PathBuf::from_path_buf(path).ok()
    }
}

/// Hands a file to the editor that the caller's environment names, and waits for its end. `name` is the end of the
/// file's name, by which editors know what it is.
pub fn edit(name: &str, content: &[u8], environment: &[(String, String)]) -> Result<Edited> {
    let named = |variable: &str| {
        let found = environment.iter().find(|(known, _)| known == variable);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or("vi");
    // For the caller's eyes only, by the default of such files (0600).
    let mut file = tempfile::Builder::new()
        .prefix("pgsocle-")
        .suffix(&format!("-{name}"))
        .tempfile()
        .context("make a file for the editor")?;
    file.write_all(content)
        .context("write the file for the editor")?;
    // Editors may have arguments of their own: `code --wait`.
    let status = Command::new("sh")
        .args(["-c", &format!("exec {editor} \"$1\""), "sh"])
        .arg(file.path())
        .status()
        .context("run the editor")?;
    if !status.success() {
        return Err(fault!(
            Command,
            "the editor `{editor}` failed ({status}): nothing was changed";
            "name another one by the variable EDITOR"
        ));
    }
    // Many editors put a new file in the place of the old one.
    let content = fs_err::read(file.path())?;
    Ok(Edited { content, file })
}

fn put(text: &str) {
    let mut stderr = std::io::stderr();
    let _ = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

/// A terminal that shows nothing and hands over each key, until this is dropped. Signals of the keyboard
/// are off, as an end by Ctrl-C would leave the terminal mute.
struct Silence {
    before: Termios,
}

impl Silence {
    fn begin() -> Result<Self> {
        let before = tcgetattr(std::io::stdin()).context("read the state of the terminal")?;
        let mut silent = before.clone();
        silent
            .local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        tcsetattr(std::io::stdin(), SetArg::TCSAFLUSH, &silent).context("silence the terminal")?;
        Ok(Self { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSAFLUSH, &self.before);
    }
}
