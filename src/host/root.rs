//! The few steps that only root can do, done by a child that has kept root's rights.
//!
//! Called as root, the program becomes the system user for good. Before that it starts this child, which
//! can do one thing only: make a base directory for that user (docs/decisions/0007-root-helper.md).

#![expect(clippy::disallowed_methods, reason = "host/ is where effects live")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::bail_fault;

/// The hidden argument that makes the program be the child.
pub const ARGUMENT: &str = "root-helper";

/// What the child is asked: a directory with its owner.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    path: Utf8PathBuf,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// The child, seen from the program that has become the system user.
pub struct Helper {
    child: Child,
    uid: u32,
    gid: u32,
}

impl Helper {
    /// To be called while still root. `bases`: the only directories that it will make.
    pub fn start(bases: &[&Utf8Path], uid: u32, gid: u32) -> Result<Self> {
        let program = std::env::current_exe().context("find the own executable")?;
        let child = Command::new(program)
            .arg(ARGUMENT)
            .args(bases)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the helper that keeps root's rights")?;
        Ok(Self { child, uid, gid })
    }

    /// Makes a directory that belongs to the system user.
    pub fn make_dir(&mut self, path: &Utf8Path, mode: u32) -> Result<()> {
        let request = Request {
            path: path.into(),
            mode,
            uid: self.uid,
            gid: self.gid,
        };
        let stdin = self
            .child
            .stdin
            .as_mut()
            .context("the helper has no input")?;
        writeln!(stdin, "{}", serde_json::to_string(&request)?).context("ask the helper")?;
        let stdout = self
            .child
            .stdout
            .as_mut()
            .context("the helper has no output")?;
        let mut answer = String::new();
        BufReader::new(stdout)
            .read_line(&mut answer)
            .context("hear from the helper")?;
        if answer.trim() != "done" {
            bail_fault!(
                Denied,
                "directory `{path}` cannot be made by root: {}",
                answer.trim()
            );
        }
        Ok(())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // Its input ends with us; it then ends by itself.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What the child does until its input ends.
pub fn serve(
    bases: &[String],
    input: impl std::io::BufRead,
    mut output: impl std::io::Write,
) -> Result<()> {
    for line in input.lines() {
        let answer = match serde_json::from_str::<Request>(&line?)
            .map_err(Into::into)
            .and_then(|request| make(bases, &request))
        {
            Ok(()) => "done".to_owned(),
            Err(error) => format!("{error:#}").replace('\n', " "),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn make(bases: &[String], request: &Request) -> Result<()> {
    if !bases.iter().any(|base| base == request.path.as_str()) {
        bail_fault!(
            Denied,
            "`{}` is not one of the base directories of the site settings",
            request.path
        );
    }
    if request.path.exists() {
        return Ok(());
    }
    if let Some(parent) = request.path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::create_dir(&request.path)?;
    std::os::unix::fs::lchown(&request.path, Some(request.uid), Some(request.gid))?;
    fs::set_permissions(
        &request.path,
        std::os::unix::fs::PermissionsExt::from_mode(request.mode),
    )?;
    Ok(())
}
