//! What the caller hands to this process, and its replacement by another program.

#![expect(clippy::disallowed_methods, reason = "host/ is where effects live")]

use std::io::{Read as _, Write};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Result;
use camino::Utf8Path;

use crate::fault;

/// The text of a file that the caller names, `-` for standard input. To be called before root's rights are
/// given up: it is the caller who may read the file, not the system user.
pub fn read_document(path: &Utf8Path) -> Result<String> {
    let read = if path == "-" {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .read_to_string(&mut text)
            .map(|_| text)
    } else {
        fs_err::read_to_string(path)
    };
    read.map_err(|error| fault!(Input, "`{path}` cannot be read: {error}"))
}

/// When a process was started, in ticks of the kernel since the boot; none when there is no such process (proc(5), `stat`).
pub fn started(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// Opens a log file for appending.
pub fn append(path: &Utf8Path) -> Result<Box<dyn Write + Send>> {
    let opened = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    match opened {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(fault!(Input, "the log file cannot be written: {error}")),
    }
}

/// Becomes another program, looked up in the PATH of `environment`; returns only when that fails.
pub fn replace(
    program: &str,
    arguments: &[String],
    environment: &[(String, String)],
) -> anyhow::Error {
    let path = environment.iter().find(|(name, _)| name == "PATH");
    let path = path.map(|(_, value)| value);
    // Not left to exec, which says "permission denied" when a directory of PATH cannot be entered.
    let Ok(found) = which::which_in(program, path, ".") else {
        return fault!(NotFound, "program `{program}` is not installed"; "it is looked up among the programs of the instance's major, then in PATH");
    };
    let error = Command::new(found)
        .arg0(program)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().cloned())
        .exec();
    fault!(Command, "program `{program}` cannot be run: {error}")
}
