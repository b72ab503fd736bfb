//! Runs external programs: no shell, a known environment, the end of what they said in the error.

#![expect(clippy::disallowed_methods, reason = "host/ is where effects live")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command as Process, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::host::{Command, Output};
use crate::settings::Caller;
use crate::{bail_fault, fault};

/// How much of a failed program's words goes into the error, in bytes.
const TAIL: usize = 2048;

/// Of what a program tells of its progress, no more than a line in this time is passed on.
const PACE: Duration = Duration::from_secs(1);

/// Where programs are looked for.
pub const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs a program to its end, whatever its exit status.
pub fn output(caller: &Caller, command: &Command) -> Result<Output> {
    output_under(caller, command, None, None)
}

/// The same, an error when it takes longer.
pub fn output_within(caller: &Caller, command: &Command, limit: Duration) -> Result<Output> {
    output_under(caller, command, None, Some(limit))
}

/// The same, with the lock as its standard input: when we are killed, the program works on, and nobody else must
/// come to the same instance before it has ended. (`pg_ctl` gives the server another standard input.)
fn output_under(
    caller: &Caller,
    command: &Command,
    lock: Option<&File>,
    limit: Option<Duration>,
) -> Result<Output> {
    let progress = command
        .progress
        .filter(|_| log::log_enabled!(log::Level::Info));
    let mut process = Process::new(command.program.as_std_path());
    process
        .args(progress)
        .args(&command.arguments)
        .env_clear()
        .envs(environment(caller))
        .current_dir("/");
    for (name, value) in &command.environment {
        process.env(name, value.expose());
    }
    // Kept until the program has ended; only its owner can read it.
    let secret_file = match &command.secret_file {
        Some((option, content)) => {
            let mut file =
                tempfile::NamedTempFile::new().context("make a private temporary file")?;
            file.write_all(content.expose().as_bytes())
                .context("write a private temporary file")?;
            process.arg(format!("{option}{}", file.path().display()));
            Some(file)
        }
        None => None,
    };
    process.stdin(match (&command.stdin, lock) {
        (Some(_), _) => Stdio::piped(),
        (None, Some(lock)) => lock
            .try_clone()
            .context("hand the lock to a program")?
            .into(),
        (None, None) => Stdio::null(),
    });
    process.stdout(Stdio::piped()).stderr(Stdio::piped());
    if lock.is_some() || limit.is_some() {
        // A terminal's Ctrl-C is for us: what is half-done (a stop, a start) is brought to its end. And what is not waited for
        // any more is ended with all that it has started.
        process.process_group(0);
    }
    let mut child = process.spawn().map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            fault!(Command, "program `{}` is not installed", command.program)
        } else {
            fault!(
                Command,
                "program `{}` cannot be run: {error}",
                command.program
            )
        }
    })?;
    if let (Some(text), Some(mut stdin)) = (&command.stdin, child.stdin.take()) {
        // A program that does not read to the end tells us so by its exit status.
        let _ = stdin.write_all(text.expose().as_bytes());
    }
    let result = if progress.is_some() {
        followed(child)
    } else if let Some(limit) = limit {
        waited_for(child, limit, command)?
    } else {
        child.wait_with_output()
    };
    let result = result.with_context(|| format!("wait for `{}`", command.program))?;
    drop(secret_file);
    let status = result
        .status
        .code()
        .or_else(|| result.status.signal().map(|signal| 128 + signal));
    Ok(Output {
        status,
        stdout: result.stdout,
        stderr: result.stderr,
    })
}

/// Waits for a program no longer than that. One that hangs in the kernel (a file system that does not answer) cannot be ended: it
/// is left.
fn waited_for(
    child: Child,
    limit: Duration,
    command: &Command,
) -> Result<std::io::Result<std::process::Output>> {
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    receiver.recv_timeout(limit).or_else(|_| {
        if let Ok(group) = group {
            let _ = killpg(group, Signal::SIGKILL);
        }
        bail_fault!(
            Unavailable,
            "`{}` has not answered within {} seconds",
            command.program,
            limit.as_secs()
        )
    })
}

/// Waits for a program, and passes on to the log what it tells meanwhile: pgBackRest to its standard output, PostgreSQL's own
/// programs to standard error.
fn followed(mut child: Child) -> std::io::Result<std::process::Output> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = std::thread::scope(|scope| {
        let stderr = scope.spawn(|| stderr.map(follow));
        (stdout.map(follow), stderr.join().ok().flatten())
    });
    Ok(std::process::Output {
        status: child.wait()?,
        stdout: stdout.unwrap_or_default(),
        stderr: stderr.unwrap_or_default(),
    })
}

/// All that is said but how far it is.
fn follow(stream: impl Read) -> Vec<u8> {
    let (mut words, mut told) = (Vec::new(), None::<Instant>);
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let text = String::from_utf8_lossy(&line);
        if told.is_none_or(|told| told.elapsed() >= PACE) {
            log::info!("{}", text.trim());
            told = Some(Instant::now());
        }
        if !is_progress(&text) {
            words.extend(line);
            words.push(b'\n');
        }
    }
    words
}

/// ` 2345/67890 kB (3%), 0/1 tablespace` (`progress_report` in `pg_basebackup.c`)
fn is_progress(line: &str) -> bool {
    let counted = line
        .trim_start()
        .split_once(" kB (")
        .map(|(counted, _)| counted);
    counted.is_some_and(|counted| {
        counted
            .bytes()
            .all(|byte| byte == b'/' || byte.is_ascii_digit())
    })
}

/// Runs a program that must succeed; the error holds what it said and what its logs gained.
pub fn run(caller: &Caller, command: &Command, lock: Option<&File>) -> Result<()> {
    let before = sizes(&command.logs);
    let result = output_under(caller, command, lock, None)?;
    if result.success() {
        return Ok(());
    }
    let mut words = String::from_utf8_lossy(&result.stderr).trim().to_owned();
    if words.is_empty() {
        String::from_utf8_lossy(&result.stdout)
            .trim()
            .clone_into(&mut words);
    }
    let gained = gained(&command.logs, &before);
    if !gained.is_empty() {
        words = format!("{words}\nserver log:\n{gained}");
    }
    let name = command
        .program
        .file_name()
        .unwrap_or(command.program.as_str());
    let status = result
        .status
        .map_or_else(|| "a signal".to_owned(), |status| status.to_string());
    let words = tail(&words, TAIL);
    Err(fault!(
        Command,
        "`{name}` failed with exit status {status}: {words}"
    ))
}

/// What programs may know of the caller: never our own environment as it comes. Where an ordinary user keeps
/// programs of its own is its business; root's search path is ours.
fn environment(caller: &Caller) -> Vec<(String, String)> {
    let own = std::env::var("PATH").ok().filter(|_| !caller.root);
    let path = own.map_or_else(
        || SEARCH_PATH.to_owned(),
        |own| format!("{own}:{SEARCH_PATH}"),
    );
    let mut variables = vec![
        ("PATH".to_owned(), path),
        ("HOME".to_owned(), caller.home.to_string()),
        ("USER".to_owned(), caller.user.clone()),
        ("LOGNAME".to_owned(), caller.user.clone()),
    ];
    if let Some(runtime) = &caller.runtime_dir {
        variables.push(("XDG_RUNTIME_DIR".to_owned(), runtime.to_string()));
        variables.push((
            "DBUS_SESSION_BUS_ADDRESS".to_owned(),
            format!("unix:path={runtime}/bus"),
        ));
    }
    variables
}

/// The last `limit` bytes, from the beginning of a line.
pub fn tail(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut start = text.len() - limit;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let rest = &text[start..];
    rest.split_once('\n').map_or(rest, |(_, lines)| lines)
}

/// The files themselves, each once: a file may be named beside its directory.
fn files(logs: &[Utf8PathBuf]) -> Vec<Utf8PathBuf> {
    let mut files: Vec<Utf8PathBuf> = Vec::new();
    for path in logs {
        let mut found = match path.read_dir_utf8() {
            Ok(entries) => entries
                .flatten()
                .map(|entry| entry.path().to_owned())
                .collect(),
            Err(_) => vec![path.clone()],
        };
        found.sort();
        found.retain(|path| !files.contains(path));
        files.extend(found);
    }
    files
}

fn size(path: &Utf8Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

pub fn sizes(logs: &[Utf8PathBuf]) -> Vec<(Utf8PathBuf, u64)> {
    files(logs)
        .into_iter()
        .map(|path| {
            let size = size(&path);
            (path, size)
        })
        .collect()
}

/// What the files hold beyond their former sizes.
pub fn gained(logs: &[Utf8PathBuf], before: &[(Utf8PathBuf, u64)]) -> String {
    let mut text = String::new();
    for path in files(logs) {
        let known = before
            .iter()
            .find(|(known, _)| *known == path)
            .map_or(0, |(_, size)| *size);
        let Ok(content) = fs_err::read(&path) else {
            continue;
        };
        let start = usize::try_from(known).unwrap_or(0).min(content.len());
        text.push_str(&String::from_utf8_lossy(&content[start..]));
    }
    tail(text.trim(), TAIL).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller {
            user: "postgres".to_owned(),
            group: "postgres".to_owned(),
            uid: 0,
            gid: 0,
            home: "/".into(),
            config_home: None,
            data_home: None,
            runtime_dir: None,
            root: false,
        }
    }

    #[test]
    fn nobody_is_waited_for_without_end() {
        let slow = Command::new("sh").args(["-c", "sleep 3600 & sleep 3600; true"]);
        let error = output_within(&caller(), &slow, Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "`sh` has not answered within 0 seconds");
        let quick = Command::new("echo").arg("here");
        let limit = Duration::from_secs(3600);
        let output = output_within(&caller(), &quick, limit).unwrap();
        assert_eq!(output.text(), "here\n");
    }

    #[test]
    fn what_is_followed() {
        let script = "echo done; printf '%s\n' '  5/10 kB (50%), 0/1 tablespace' 'no room for 5 kB (5%)' >&2; exit 3";
        let child = Process::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let output = followed(child.unwrap()).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stdout, b"done\n");
        assert_eq!(output.stderr, b"no room for 5 kB (5%)\n");
    }

    #[test]
    fn tail_starts_at_a_line() {
        assert_eq!(tail("short", 10), "short");
        assert_eq!(tail("first line\nsecond\nthird", 14), "second\nthird");
        assert_eq!(tail("ééééé", 3), "é");
    }
}
