//! The caller's editor on a private copy of a file.

#![expect(clippy::disallowed_methods, reason = "host/ is where effects live")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use fs_err as fs;
use tempfile::TempDir;

use crate::fault;
use crate::host::Look;

/// A copy that has been edited. It goes with this value, unless it is kept.
pub struct Copy {
    pub content: Vec<u8>,
    directory: TempDir,
    path: Utf8PathBuf,
}

impl Copy {
    /// Leaves the copy where it is, and says where.
    pub fn keep(self) -> Utf8PathBuf {
        _ = self.directory.keep();
        self.path
    }
}

/// Has the caller edit a copy, which nobody else can read. As with other programs the editor is a command of the shell:
/// it may have options.
///
/// # Errors
/// The editor cannot be run, or ends with a failure: the way to say that nothing is to be done.
pub fn edit(
    look: &dyn Look,
    editor: &str,
    environment: &[(String, String)],
    name: &str,
    content: &[u8],
) -> Result<Copy> {
    let directory = tempfile::Builder::new()
        .prefix("pgsocle-edit-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir()
        .context("make a private temporary directory")?;
    let path = Utf8PathBuf::from_path_buf(directory.path().join(name))
        .map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))?;
    fs::write(&path, content)?;
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{editor} \"$1\""), "sh", path.as_str()])
        .env_clear()
        .envs(environment.iter().cloned());
    let caller = look.caller();
    if caller.root {
        // We are the system user by now; the home of root is none of its business.
        command
            .env("HOME", &caller.home)
            .env("USER", &caller.user)
            .env("LOGNAME", &caller.user);
    }
    let status = command
        .status()
        .map_err(|error| fault!(Command, "the editor `{editor}` cannot be run: {error}"))?;
    if !status.success() {
        let what = format!("the editor `{editor}` ended with {status}: nothing was changed");
        // The shell cannot run it (POSIX, "Exit Status for Commands").
        return Err(match status.code() {
            Some(126 | 127) => {
                fault!(Command, "{what}"; "set VISUAL or EDITOR to an editor that is installed for the user who owns the instances")
            }
            _ => fault!(Command, "{what}"),
        });
    }
    let edited = look.read(&path)?.unwrap_or_default();
    // What an editor leaves that has failed to write, or was told to give up. Who means it leaves a comment.
    if edited.trim_ascii().is_empty() && !content.trim_ascii().is_empty() {
        return Err(fault!(
            Input,
            "the editor `{editor}` left nothing of the text: nothing was changed"
        ));
    }
    Ok(Copy {
        content: edited,
        directory,
        path,
    })
}
