//! One lock per instance, held by the outermost call and released with its guard.

use std::io::{Read as _, Seek as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::fcntl::{Flock, FlockArg};

use crate::fault;

/// Holds a lock until it is dropped (or the process ends: the kernel releases it).
#[derive(Debug)]
pub struct Guard(Flock<std::fs::File>);

impl Guard {
    /// Another handle of the lock: who has it holds the lock too, until the guard is dropped.
    pub fn file(&self) -> Result<std::fs::File> {
        self.0.try_clone().context("share the lock")
    }
}

/// Whether somebody else holds the lock; a lock that nobody ever took has no file, and gets none.
pub fn is_held(path: &Utf8Path) -> Result<bool> {
    let file = match fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    Ok(matches!(
        Flock::lock(file.into_file(), FlockArg::LockExclusiveNonblock),
        Err((_, nix::errno::Errno::EWOULDBLOCK))
    ))
}

/// Waits for the lock, in a directory that is there. The file stays, and says who holds it.
pub fn take(path: &Utf8Path, timeout: Duration, subject: &str) -> Result<Guard> {
    let deadline = Instant::now() + timeout;
    loop {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(path)?;
        match Flock::lock(file.into_file(), FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                lock.set_len(0)
                    .and_then(|()| lock.rewind())
                    .context("write the lock")?;
                write!(lock, "{} {subject}", std::process::id()).context("write the lock")?;
                return Ok(Guard(lock));
            }
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                if Instant::now() >= deadline {
                    let mut holder = String::new();
                    let _ = file.read_to_string(&mut holder);
                    let pid = holder.split(' ').next().unwrap_or_default().to_owned();
                    return Err(fault!(
                        Unavailable,
                        "another operation is in progress on {subject} (process {pid})";
                        "try again when it has ended; nothing was changed"
                    ));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            Err((_, error)) => return Err(error).with_context(|| format!("lock {path}")),
        }
    }
}
