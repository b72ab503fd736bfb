//! A directory tree as a value: what "check mode leaves all as it was" is compared by. Times are part of it where it says so.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// Path below the root → mode, owner, group, and what is there.
pub type Tree = BTreeMap<String, String>;

/// Everything below `dir`, links not followed.
pub fn snapshot_tree(dir: &Path) -> Tree {
    snapshot(dir, false, &|_| true)
}

/// The same of what is kept only: nothing else is read or entered.
pub fn snapshot_of(dir: &Path, kept: &dyn Fn(&Path) -> bool) -> Tree {
    snapshot(dir, false, kept)
}

/// The same with the time of the last change: a file written again with the same content differs.
pub fn snapshot_with_times(dir: &Path) -> Tree {
    snapshot(dir, true, &|_| true)
}

fn snapshot(dir: &Path, times: bool, kept: &dyn Fn(&Path) -> bool) -> Tree {
    let mut tree = Tree::new();
    let mut paths = vec![dir.to_owned()];
    while let Some(path) = paths.pop() {
        if !kept(&path) {
            continue;
        }
        let meta = match path.symlink_metadata() {
            Ok(meta) => meta,
            // Gone since its directory was listed: a server's temporary file.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => panic!("{}: {error}", path.display()),
        };
        let what = if meta.is_dir() {
            let entries =
                std::fs::read_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            paths.extend(entries.map(|entry| entry.expect("directory entry").path()));
            "directory".to_owned()
        } else if meta.is_symlink() {
            format!("-> {}", std::fs::read_link(&path).unwrap().display())
        } else if meta.is_file() {
            // Where times tell, the large files of a server need not be read.
            let content = if times && meta.len() > 65_536 {
                Vec::new()
            } else {
                std::fs::read(&path).unwrap_or_default()
            };
            let hash = u64::from_be_bytes(*Sha256::digest(&content).first_chunk().unwrap());
            format!("{} bytes {hash:016x}", meta.len())
        } else {
            "socket or pipe".to_owned()
        };
        let name = path
            .strip_prefix(dir)
            .expect("below the root")
            .display()
            .to_string();
        let time = if times {
            format!(" {}.{:09}", meta.mtime(), meta.mtime_nsec())
        } else {
            String::new()
        };
        tree.insert(
            name,
            format!(
                "{:04o} {}:{} {what}{time}",
                meta.mode() & 0o7777,
                meta.uid(),
                meta.gid()
            ),
        );
    }
    tree
}

/// The differences, one line each: `- path: was`, `+ path: is`.
pub fn differences(before: &Tree, after: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    let paths: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for path in paths {
        let (was, is) = (before.get(path), after.get(path));
        if was != is {
            lines.extend(was.map(|was| format!("- {path}: {was}")));
            lines.extend(is.map(|is| format!("+ {path}: {is}")));
        }
    }
    lines
}

/// # Panics
/// When anything below `dir` differs from `before`, except paths that contain one of `except`: what a running server
/// writes by itself (`pg_wal/`, `pg_stat`, …).
pub fn assert_unchanged(dir: &Path, before: &Tree, except: &[&str]) {
    let mut lines = differences(before, &snapshot_tree(dir));
    lines.retain(|line| !except.iter().any(|part| line.contains(part)));
    assert!(
        lines.is_empty(),
        "{} changed:\n{}",
        dir.display(),
        lines.join("\n")
    );
}

#[test]
fn a_snapshot_sees_content_mode_and_links() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["same", "content", "mode", "removed"] {
        std::fs::write(path(name), "a").unwrap();
    }
    std::os::unix::fs::symlink("same", path("link")).unwrap();
    let before = snapshot_tree(dir.path());
    assert_unchanged(dir.path(), &before, &[]);
    std::fs::write(path("content"), "b").unwrap();
    std::fs::set_permissions(path("mode"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::remove_file(path("removed")).unwrap();
    std::fs::remove_file(path("link")).unwrap();
    std::os::unix::fs::symlink("content", path("link")).unwrap();
    std::fs::create_dir(path("made")).unwrap();
    let changed: Vec<_> = differences(&before, &snapshot_tree(dir.path()))
        .iter()
        .map(|line| line.split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        changed,
        [
            "- content",
            "+ content",
            "- link",
            "+ link",
            "+ made",
            "- mode",
            "+ mode",
            "- removed"
        ]
    );
}
