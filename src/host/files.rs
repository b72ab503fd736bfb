//! Files and directories, changed so that whoever looks in between, or dies in between, finds the old or the new, whole.

#![expect(clippy::disallowed_methods, reason = "host/ is where effects live")]

use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use crate::fault;
use crate::host::local;
use crate::pg::pgpass::Pgpass;
use crate::plan::Content;

/// Replaces a file at once. A link is followed; an existing file keeps its mode unless the new content is secret.
pub fn write(path: &Utf8Path, content: &Content, mode: u32) -> Result<()> {
    let path = path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned());
    let (bytes, secret) = match content {
        Content::Bytes(bytes) => (bytes.clone(), false),
        Content::Text(text) => (text.expose().into_bytes(), text.has_secret()),
    };
    let present = fs::metadata(&path);
    let mode = match &present {
        Ok(metadata) if !secret => metadata.mode() & 0o7777,
        _ => mode,
    };
    // What is taken back twice has been read by a server in between, for which a new file would be one to be read again.
    let same_mode = present.is_ok_and(|metadata| metadata.mode() & 0o7777 == mode);
    if same_mode && std::fs::read(&path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    replace(&path, &bytes, mode)
}

/// A temporary file beside it, fsync, rename, fsync of the directory. An existing file keeps its owner and group.
pub fn replace(path: &Utf8Path, bytes: &[u8], mode: u32) -> Result<()> {
    let temporary = temporary_name(path);
    let mut file = temporary_file(&temporary).with_context(|| format!("write {path}"))?;
    if let Ok(present) = fs::metadata(path)
        && let Err(error) = keep_owner(&file, &present, path)
    {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    let write = |file: &mut std::fs::File| -> std::io::Result<()> {
        file.set_len(0)?;
        // Before anything is in it.
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.write_all(bytes)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    if let Err(error) = write(&mut file) {
        let _ = fs::remove_file(&temporary);
        return Err(unwritten(path, error, bytes.len()));
    }
    sync_parent(path)
}

/// Gives a new file the owner and group of the one that it is to replace. Whoever chose them is not overruled.
fn keep_owner(new: &std::fs::File, present: &std::fs::Metadata, path: &Utf8Path) -> Result<()> {
    let own = new.metadata()?;
    let (uid, gid) = (present.uid(), present.gid());
    if (own.uid(), own.gid()) == (uid, gid) {
        return Ok(());
    }
    let other = |own: u32, wanted: u32| (own != wanted).then_some(wanted);
    std::os::unix::fs::fchown(new, other(own.uid(), uid), other(own.gid(), gid)).map_err(|error| {
        fault!(
            Denied,
            "`{path}` belongs to user {uid} and group {gid}, and would not any more when it is replaced: {error}";
            "give it to the user who owns the instances: `chown`"
        )
    })
}

/// What a file is called while it is not complete. Always the same: what a killed run leaves is the next one's to use.
pub fn temporary_name(path: &Utf8Path) -> Utf8PathBuf {
    let name = path.file_name().unwrap_or_default();
    path.with_file_name(format!(".pgsocle-{name}.new"))
}

/// Opens it, locked: runs that write the same file (the password file of several instances) do so in turn.
fn temporary_file(path: &Utf8Path) -> Result<Flock<std::fs::File>> {
    loop {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)?;
        let file = Flock::lock(file.into_file(), FlockArg::LockExclusive)
            .map_err(|(_, error)| error)
            .with_context(|| format!("lock {path}"))?;
        let own = file.metadata()?;
        if own.uid() != nix::unistd::geteuid().as_raw() {
            return Err(
                fault!(Denied, "`{path}` is another user's"; "look into it, and remove it"),
            );
        }
        // Whoever had it before us has renamed it.
        match fs::symlink_metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => return Ok(file),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
}

/// Changes the password file as it is by now ([`Pgpass::merged`]): runs on several instances do so in turn. Their lock is the
/// directory's, since the file itself is replaced, or goes when nothing is in it any more.
pub fn change_passwords(path: &Utf8Path, before: &Pgpass, after: &Pgpass) -> Result<()> {
    let place = path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned());
    let directory = fs::File::open(place.parent().unwrap_or(Utf8Path::new(".")))
        .with_context(|| format!("write {path}"))?;
    let _turn = match Flock::lock(directory.into_file(), FlockArg::LockExclusive) {
        Ok(lock) => Some(lock),
        // NFS locks only what is open for writing, which no directory ever is.
        Err((_, Errno::EBADF)) => None,
        Err((_, error)) => return Err(error).with_context(|| format!("lock {path}")),
    };
    let present = local::read(path)?.unwrap_or_default();
    let merged = Pgpass::parse(&present)?.merged(before, after);
    if !merged.is_empty() {
        return write(path, &Content::Text(merged.render()), 0o600);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => sync_parent(path),
    }
}

/// A file that could not be written; on a full file system, which one that is, and what it takes.
fn unwritten(path: &Utf8Path, error: std::io::Error, needed: usize) -> anyhow::Error {
    let full = matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    );
    let directory = path.parent().unwrap_or(Utf8Path::new("/"));
    match (full, nix::sys::statvfs::statvfs(directory.as_std_path())) {
        (true, Ok(system)) => fault!(
            Unavailable,
            "`{path}` cannot be written: the file system at `{}` is full ({needed} bytes are needed, {} are free): {error}",
            mount_point(directory),
            system.blocks_available() * system.fragment_size();
            "make room on it, and try again; the file is as it was"
        ),
        _ => anyhow::Error::new(error).context(format!("write {path}")),
    }
}

/// Where the file system of a directory is mounted.
fn mount_point(directory: &Utf8Path) -> &Utf8Path {
    let device = |path: &Utf8Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let own = device(directory);
    directory
        .ancestors()
        .take_while(|above| device(above) == own)
        .last()
        .unwrap_or(directory)
}

/// Adds a line to a file and makes sure that it is on the disk. A line that a killed run has begun is ended first.
pub fn append_line(path: &Utf8Path, line: &str) -> Result<()> {
    let mut file = fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)?;
    let length = file.metadata()?.len();
    let mut text = format!("{line}\n");
    if length > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.insert(0, '\n');
        }
    }
    // At once: what is half-written is taken back, as far as that is possible.
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_data());
    if let Err(error) = written {
        let _ = file.set_len(length);
        return Err(unwritten(path, error, text.len()));
    }
    if length == 0 {
        sync_parent(path)?;
    }
    Ok(())
}

/// Makes a directory and its missing parents; one that is there stays as it is.
pub fn make_dir(path: &Utf8Path, mode: u32) -> Result<()> {
    if let Some(parent) = path.parent()
        && !parent.exists()
    {
        make_dir(parent, 0o755)?;
    }
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            // The mode given at creation is cut by the umask.
            fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
            sync_parent(path)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(fault!(
            Denied,
            "directory `{path}` cannot be made: {error}";
            "make its parent writable for the user who owns the instances, or set `prefix` and `run_prefix`"
        )),
        Err(error) => Err(error).with_context(|| format!("make directory {path}")),
    }
}

/// Makes a link, or replaces one at once.
pub fn symlink(path: &Utf8Path, target: &Utf8Path) -> Result<()> {
    let temporary = temporary_name(path);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs_err::os::unix::fs::symlink(target, &temporary)?;
    rename(&temporary, path)
}

pub fn rename(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    fs::rename(from, to)?;
    sync_parent(to)
}

/// Gives what was set aside its name again, where something was; what has the name by now is removed.
pub fn put_back(path: &Utf8Path, aside: &Utf8Path, gone: &Utf8Path) -> Result<()> {
    if !aside.exists() {
        return Ok(());
    }
    remove(gone)?;
    if path.exists() {
        rename(path, gone)?;
    }
    rename(aside, path)?;
    remove(gone)
}

/// Moves what is in a directory up into its parent, `PG_VERSION` last.
pub fn move_up(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        names.push(entry?.file_name());
    }
    names.sort_by_key(|name| name == "PG_VERSION");
    for name in names {
        // What comes last must not be on the disk first.
        if name == "PG_VERSION" {
            fs::File::open(to)?.sync_all()?;
        }
        fs::rename(from.as_std_path().join(&name), to.as_std_path().join(&name))?;
    }
    fs::remove_dir(from)?;
    fs::File::open(to)?.sync_all()?;
    Ok(())
}

/// Removes a file or a whole directory; what is not there is no error.
pub fn remove(path: &Utf8Path) -> Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => sync_parent(path),
    }
}

/// A rename is durable only once its directory is.
fn sync_parent(path: &Utf8Path) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn directory() -> (tempfile::TempDir, Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
        (directory, path)
    }

    #[test]
    fn what_a_killed_run_left_is_used() {
        let (_directory, below) = directory();
        let path = below.join("pgpass");
        // Longer than what comes, and readable for all.
        std::fs::write(below.join(".pgsocle-pgpass.new"), "x".repeat(100)).unwrap();
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 1);
        std::fs::create_dir(below.join("sub")).unwrap();
        std::os::unix::fs::symlink("elsewhere", below.join(".pgsocle-link.new")).unwrap();
        symlink(&below.join("link"), "sub".into()).unwrap();
        symlink(&below.join("link"), "pgpass".into()).unwrap();
        assert_eq!(
            std::fs::read_link(below.join("link")).unwrap().to_str(),
            Some("pgpass")
        );
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 3);
    }

    #[test]
    fn no_link_of_somebody_is_followed() {
        let (_directory, below) = directory();
        std::fs::write(below.join("victim"), "v").unwrap();
        std::os::unix::fs::symlink("victim", below.join(".pgsocle-f.new")).unwrap();
        replace(&below.join("f"), b"new", 0o600).unwrap_err();
        assert_eq!(std::fs::read(below.join("victim")).unwrap(), b"v");
    }

    #[test]
    fn writers_take_turns() {
        let (_directory, below) = directory();
        let path = below.join("f");
        std::thread::scope(|scope| {
            for number in 0..8_u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..20 {
                        replace(path, &[number; 5000], 0o600).unwrap();
                        let found = std::fs::read(path).unwrap();
                        assert!(found.len() == 5000 && found.iter().all(|byte| *byte == found[0]));
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 1);
    }

    /// Each as the run on another instance: it has looked at the file, and changes it when others may have changed it.
    #[test]
    fn no_password_of_another_instance_is_lost() {
        let (_directory, below) = directory();
        let path = below.join("pgpass");
        let read = || Pgpass::parse(&std::fs::read(&path).unwrap_or_default()).unwrap();
        let entries = 10;
        std::thread::scope(|scope| {
            for port in 1..=10 {
                let (path, read) = (&path, &read);
                scope.spawn(move || {
                    for entry in 0..entries {
                        let before = read();
                        let mut after = before.clone();
                        after.set("*", port, "*", &format!("r{entry}"), &Secret::new("p"));
                        change_passwords(path, &before, &after).unwrap();
                        // What is taken away again, whose file may go.
                        change_passwords(path, &after, &before).unwrap();
                        change_passwords(path, &before, &after).unwrap();
                    }
                });
            }
        });
        let found = read();
        for port in 1..=10 {
            assert_eq!(found.users_at(port).len(), entries, "{port}");
        }
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 1);
        for port in 1..=10 {
            let before = read();
            let mut after = before.clone();
            after.remove_port(&["*"], port);
            change_passwords(&path, &before, &after).unwrap();
        }
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 0);
    }

    #[test]
    fn a_line_that_was_cut_short_spoils_no_other() {
        let (_directory, below) = directory();
        let path = below.join("history");
        append_line(&path, "a").unwrap();
        std::fs::write(&path, "a\nb").unwrap();
        append_line(&path, "c").unwrap();
        append_line(&path, "d").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\nb\nc\nd\n");
    }

    #[test]
    fn a_full_disk_is_named() {
        let full = || std::io::Error::from_raw_os_error(nix::libc::ENOSPC);
        let error = unwritten("/proc/version".into(), full(), 30);
        assert_eq!(
            error.to_string(),
            "`/proc/version` cannot be written: the file system at `/proc` is full (30 bytes are needed, 0 are free): \
             No space left on device (os error 28)"
        );
        let denied = std::io::Error::from_raw_os_error(nix::libc::EACCES);
        assert_eq!(
            unwritten("/proc/version".into(), denied, 30).to_string(),
            "write /proc/version"
        );
    }
}
