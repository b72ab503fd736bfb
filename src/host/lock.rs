//! Locks of an instance (docs/decisions/0010-two-locks.md): held by the outermost call, released with the guard, and by
//! the kernel when the process ends.

use std::io::{Read as _, Seek as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::fault;
use crate::host::Claim;
use crate::host::process;

/// Holds a lock until it is dropped (or the process ends: the kernel releases it).
#[derive(Debug)]
pub struct Guard {
    lock: Flock<std::fs::File>,
    shared: bool,
}

impl Guard {
    /// Another handle of the lock: who has it holds the lock too, until the guard is dropped.
    pub fn file(&self) -> Result<std::fs::File> {
        self.lock.try_clone().context("share the lock")
    }
}

impl Drop for Guard {
    /// The process may live on, but holds the lock no more. Those who share it write their lines at the same time: theirs
    /// are taken away by the next one who has the lock alone.
    fn drop(&mut self) {
        if !self.shared {
            let _ = self.lock.set_len(0);
        }
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
        Err((_, Errno::EWOULDBLOCK))
    ))
}

/// Waits for the lock, in a directory that is there. The file stays, and says who holds it.
pub fn take(claim: &Claim) -> Result<Guard> {
    let deadline = Instant::now() + claim.timeout;
    let mut pause = Duration::from_millis(2);
    loop {
        let file = fs::OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .open(claim.path)?;
        let how = if claim.shared {
            FlockArg::LockSharedNonblock
        } else {
            FlockArg::LockExclusiveNonblock
        };
        match Flock::lock(file.into_file(), how) {
            Ok(mut lock) => {
                // Who shares it leaves the lines of the others.
                if !claim.shared {
                    lock.set_len(0).context("write the lock")?;
                }
                let line = Holder::this(claim.subject).line();
                // Where there is no room for it, others are not told who holds the lock: it holds all the same.
                if let Err(error) = lock.write_all(line.as_bytes()) {
                    log::debug!("write the lock: {error}");
                }
                let shared = claim.shared;
                return Ok(Guard { lock, shared });
            }
            Err((mut file, Errno::EWOULDBLOCK)) => {
                if Instant::now() >= deadline {
                    let mut text = String::new();
                    let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
                    return Err(refusal(claim, &holders(&text)));
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err((_, error)) => return Err(error).with_context(|| format!("lock {}", claim.path)),
        }
    }
}

/// A run that holds a lock, as it has written it down.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Holder {
    pid: i32,
    /// When the process was started, in ticks of the kernel: another one of the same number has another.
    start: u64,
    /// RFC 3339, UTC.
    since: String,
    subject: String,
}

impl Holder {
    fn this(subject: &str) -> Self {
        let pid = std::process::id().cast_signed();
        Self {
            pid,
            start: process::started(pid).unwrap_or_default(),
            since: jiff::Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string(),
            subject: subject.to_owned(),
        }
    }

    fn line(&self) -> String {
        let subject = self.subject.replace(['\t', '\n'], " ");
        format!("{}\t{}\t{}\t{subject}\n", self.pid, self.start, self.since)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(4, '\t');
        Some(Self {
            pid: fields.next()?.parse().ok()?,
            start: fields.next()?.parse().ok()?,
            since: fields.next()?.to_owned(),
            subject: fields.next()?.to_owned(),
        })
    }

    fn lives(&self) -> bool {
        process::started(self.pid) == Some(self.start)
    }
}

fn holders(text: &str) -> Vec<Holder> {
    text.lines().filter_map(Holder::parse).collect()
}

/// What is told to who has waited long enough.
fn refusal(claim: &Claim, holders: &[Holder]) -> anyhow::Error {
    let told = |holder: &Holder| {
        format!(
            "{} (process {}, since {})",
            holder.subject, holder.pid, holder.since
        )
    };
    let living: Vec<String> = holders
        .iter()
        .filter(|holder| holder.lives())
        .map(told)
        .collect();
    let (wanted, path) = (claim.subject, claim.path);
    if living.is_empty() {
        let last = holders
            .last()
            .map_or_else(|| "a run that has ended".to_owned(), told);
        return fault!(
            Unavailable,
            "{wanted}: a program that was started by {last} still runs, though that process has ended";
            "try again when it has ended too; `fuser -v {path}` shows it"
        );
    }
    fault!(
        Unavailable,
        "{wanted}: another run is at work: {}", living.join(", ");
        "try again when it has ended, or wait longer (`lock_timeout`, `--lock-timeout`)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(error: &anyhow::Error) -> String {
        format!("{error:#}")
    }

    #[test]
    fn who_keeps_whom_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap().join("lock");
        let claim = |shared, subject| Claim {
            path: &path,
            shared,
            timeout: Duration::ZERO,
            subject,
        };
        assert!(!is_held(&path).unwrap());
        let change = take(&claim(false, "role ann of instance 15/main")).unwrap();
        assert!(is_held(&path).unwrap());
        let since = Holder::this("").since;
        let pid = std::process::id();
        for shared in [false, true] {
            let error = take(&claim(shared, "stop of instance 15/main")).unwrap_err();
            let said = message(&error);
            // The clock may have moved on between the two.
            let (before, after) = said.split_at(said.len() - since.len() - 1);
            assert_eq!(
                before,
                format!(
                    "stop of instance 15/main: another run is at work: \
                     role ann of instance 15/main (process {pid}, since "
                )
            );
            assert_eq!(
                (&after[..11], &after[after.len() - 2..]),
                (&since[..11], "Z)")
            );
        }
        drop(change);
        let readers = ["backup of instance 15/main", "dump of instance 15/main"]
            .map(|subject| take(&claim(true, subject)).unwrap());
        let said = message(&take(&claim(false, "drop")).unwrap_err());
        assert!(
            said.starts_with("drop: another run is at work: backup of instance 15/main (process "),
            "{said}"
        );
        assert!(
            said.contains("), dump of instance 15/main (process "),
            "{said}"
        );
        drop(readers);
        take(&claim(false, "drop")).unwrap();
    }

    #[test]
    fn a_holder_that_has_ended_is_not_named_as_working() {
        let mut ended = Holder::this("role ann of instance 15/main");
        ended.since = "2026-11-27T19:00:00Z".into();
        assert!(ended.lives());
        ended.start += 1;
        assert!(!ended.lives());
        assert_eq!(holders(&ended.line()), [ended.clone()]);
        assert_eq!(holders("4711 instance 15/main"), []);
        let claim = Claim {
            path: "/srv/lock".into(),
            shared: false,
            timeout: Duration::ZERO,
            subject: "instance 15/main",
        };
        let pid = ended.pid;
        assert_eq!(
            message(&refusal(&claim, &[ended])),
            format!(
                "instance 15/main: a program that was started by role ann of instance 15/main \
                 (process {pid}, since 2026-11-27T19:00:00Z) still runs, though that process has ended"
            )
        );
    }
}
