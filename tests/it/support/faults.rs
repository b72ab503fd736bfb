//! Faults from outside: a run under strace, which kills it at a chosen system call, or has the call fail.
//!
//! Only the process itself is followed, not the programs that it runs: what is killed is what holds the plan. A run is
//! recorded once; every call of the recording that writes, makes, renames, starts or sends something is a point.

use std::path::Path;

use super::bin::Run;
use super::pg::Site;

/// What changes something, or has somebody else change it.
const CALLS: &str = "write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,\
    unlinkat,rmdir,mkdir,mkdirat,symlink,symlinkat,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,ftruncate,open,\
    openat,creat,clone,clone3,fork,vfork,wait4,waitid,kill,flock";

/// One system call of a run: its name, which of that name it is, and how it looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub call: String,
    pub nth: usize,
    pub line: String,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line: String = self.line.chars().take(150).collect();
        write!(f, "{} number {}: {line}", self.call, self.nth)
    }
}

/// What happens at a point instead of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Signal(&'static str),
    Error(&'static str),
}

impl Site {
    /// Runs the executable under strace as the servers' user.
    fn traced(&self, options: &[String], args: &[&str]) -> Run {
        // Temporary files where it can be seen that none is left.
        let temporary = self.path("home/tmp");
        if std::fs::create_dir(&temporary).is_ok() {
            self.give(&temporary);
        }
        self.program("strace")
            .args(["-qqq", "-y", "-s", "60", "-e", "signal=none"])
            .args(options)
            .arg("--")
            .arg(self.path("bin/pgsocle"))
            .args(args)
            .env("TMPDIR", temporary)
    }

    /// Runs it undisturbed; gives its points in their order, and what it said.
    pub fn recorded(&self, args: &[&str], stdin: &str) -> Vec<Point> {
        let trace = self.path("home/trace");
        let _ = std::fs::remove_file(&trace);
        let options = ["-o", trace.to_str().unwrap(), "-e"].map(str::to_owned);
        let options = [&options[..], &[format!("trace={CALLS}")]].concat();
        self.traced(&options, args).stdin(stdin).go();
        points(&trace)
    }

    /// Runs it with a fault at a point.
    pub fn disturbed(&self, args: &[&str], stdin: &str, point: &Point, fault: Fault) -> Run {
        let (call, nth) = (&point.call, point.nth);
        let fault = match fault {
            Fault::Signal(signal) => format!("signal={signal}"),
            Fault::Error(error) => format!("error={error}"),
        };
        let options = [
            "-o".to_owned(),
            "/dev/null".to_owned(),
            "-e".to_owned(),
            format!("trace={call}"),
            "-e".to_owned(),
            format!("inject={call}:{fault}:when={nth}"),
        ];
        self.traced(&options, args).stdin(stdin).any_code()
    }
}

fn points(trace: &Path) -> Vec<Point> {
    let text = std::fs::read_to_string(trace).expect("the recording");
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    let mut points = Vec::new();
    for line in text.lines() {
        let Some((call, rest)) = line.split_once('(') else {
            continue;
        };
        let nth = counts.entry(call.to_owned()).or_default();
        *nth += 1;
        // Opening what is there changes nothing.
        if call == "openat" && !rest.contains("O_CREAT") {
            continue;
        }
        // Of the thousand files of a cluster that is being removed, some are enough.
        let removed = [".pgsocle-drop", ".before-restore", "/base/", "/global/"];
        if call.starts_with("unlink")
            && *nth % 50 != 7
            && removed.iter().any(|name| line.contains(name))
        {
            continue;
        }
        points.push(Point {
            call: call.to_owned(),
            nth: *nth,
            line: line.to_owned(),
        });
    }
    points
}

#[test]
fn a_recording_counts_calls_of_each_name() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    std::fs::write(
        &trace,
        "openat(AT_FDCWD</>, \"a\", O_RDONLY) = 3</a>\nwrite(4</b>, \"x\", 1) = 1\nopenat(AT_FDCWD</>, \"c\", O_RDWR|O_CREAT, 0600) = 3</c>\n\
         write(4</b>, \"y\", 1) = 1\n+++ exited with 0 +++\n",
    )
    .unwrap();
    let found: Vec<_> = points(&trace)
        .into_iter()
        .map(|point| (point.call, point.nth))
        .collect();
    assert_eq!(
        found,
        [("write", 1), ("openat", 2), ("write", 2)].map(|(call, nth)| (call.to_owned(), nth))
    );
}
