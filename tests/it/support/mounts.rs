//! File systems of a test's own: mounted in a mount namespace that only its thread, and the programs that it runs, are in.
//! What is mounted below a site is unmounted with it.

use std::path::{Path, PathBuf};

use super::bin::Run;
use super::pg::Site;

/// Says that this process is the one that was started for it, in a namespace of its own.
const INSIDE: &str = "PGSOCLE_TEST_NAMESPACE";

/// Runs a test, of this name, where it may mount. Root's thread gets a namespace of its own; an ordinary user, who may not have that
/// for a thread, runs the test again in a process with a user namespace.
///
/// # Panics
/// When the kernel allows neither: such a test fails, it is never skipped.
pub fn apart(name: &str, test: impl FnOnce()) {
    if nix::unistd::geteuid().is_root() {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        Run::program("mount").args(["--make-rprivate", "/"]).go();
        test();
    } else if std::env::var_os(INSIDE).is_some() {
        test();
    } else {
        let variables = std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            name.starts_with("PGSOCLE_TEST_") || name == "HOME"
        });
        let run = Run::argv(["unshare", "--user", "--map-current-user", "--keep-caps"])
            .args(["--mount", "--propagation=private", "--"])
            .arg(std::env::current_exe().expect("this program"))
            .args(["--exact", name, "--nocapture"])
            .env(INSIDE, "1");
        let output = variables
            .fold(run, |run, (name, value)| run.env(name, value))
            .go();
        assert!(output.stdout.contains("1 passed"), "no test `{name}`");
    }
}

impl Site {
    /// Mounts an empty file system in memory, the servers' user's, at a directory, which is made.
    pub fn mount(&self, path: &Path, size: &str) {
        self.program("mkdir").arg("-p").arg(path).go();
        Run::program("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size},mode=0700"),
                "tmpfs",
            ])
            .arg(path)
            .go();
        self.give(path);
    }
}

/// Unmounts everything below a directory, the newest first.
pub fn unmount_below(directory: &Path) {
    let table = std::fs::read_to_string("/proc/thread-self/mounts").unwrap_or_default();
    let points = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1));
    let own: Vec<PathBuf> = points
        .map(PathBuf::from)
        .filter(|point| point.starts_with(directory))
        .collect();
    for point in own.iter().rev() {
        Run::program("umount")
            .arg("--lazy")
            .arg(point)
            .any_code()
            .go();
    }
}
