//! The few steps that only root can do, done by a child that has kept root's rights.
//!
//! Called as root, the program becomes the system user for good. Before that it starts this child, which
//! does what its [`Privileges`] name and nothing else (docs/decisions/0007-root-helper.md): it makes
//! directories for that user, writes and removes the files of ours that are root's, and tells the
//! system's service manager about units of ours.

#![expect(clippy::disallowed_methods, reason = "host/ is where effects live")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::bail_fault;
use crate::host::exec::{SEARCH_PATH, tail};
use crate::host::files;
use crate::host::users::find;
use crate::host::{HOLD_FILE, HOLD_LINES, Privileges, SYSTEM_UNITS, UNIT_PREFIX, Unit, Verb};

/// The hidden argument that makes the program be the child.
pub const ARGUMENT: &str = "root-helper";

/// What the child is asked.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// A directory for the system user.
    MakeDir {
        path: Utf8PathBuf,
        mode: u32,
    },
    /// A directory of root's, for files of ours.
    MakeRootDir {
        path: Utf8PathBuf,
    },
    Write {
        path: Utf8PathBuf,
        content: String,
        mode: u32,
    },
    /// A file, or a directory with what is in it.
    Remove {
        path: Utf8PathBuf,
    },
    /// One of the directories, when nothing is in it.
    RemoveEmptyDir {
        path: Utf8PathBuf,
    },
    Service {
        name: String,
        verb: Verb,
    },
    /// The last lines that a unit of ours wrote.
    Journal {
        name: String,
        /// Seconds since 1970.
        since: u64,
    },
    /// `systemd-tmpfiles --create`
    Tmpfiles {
        file: Utf8PathBuf,
    },
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Done(String),
    Refused(String),
}

/// What the child starts with.
#[derive(Debug, Serialize, Deserialize)]
struct Charter {
    privileges: Privileges,
    uid: u32,
    gid: u32,
}

/// The child, seen from the program that has become the system user.
pub struct Helper {
    child: Child,
}

impl Helper {
    /// To be called while still root. The ids are those of the system user.
    pub fn start(privileges: Privileges, uid: u32, gid: u32) -> Result<Self> {
        let program = std::env::current_exe().context("find the own executable")?;
        let charter = Charter {
            privileges,
            uid,
            gid,
        };
        let child = Command::new(program)
            .arg(ARGUMENT)
            .arg(serde_json::to_string(&charter)?)
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A terminal's Ctrl-C is not for the child: it ends with us.
            .process_group(0)
            .spawn()
            .context("start the helper that keeps root's rights")?;
        Ok(Self { child })
    }

    /// Has root do something; gives what there is to say of it.
    pub fn ask(&mut self, request: &Request) -> Result<String> {
        let stdin = self
            .child
            .stdin
            .as_mut()
            .context("the helper has no input")?;
        writeln!(stdin, "{}", serde_json::to_string(request)?).context("ask the helper")?;
        let stdout = self
            .child
            .stdout
            .as_mut()
            .context("the helper has no output")?;
        let mut answer = String::new();
        BufReader::new(stdout)
            .read_line(&mut answer)
            .context("hear from the helper")?;
        match serde_json::from_str(&answer).context("understand the helper")? {
            Answer::Done(words) => Ok(words),
            Answer::Refused(why) => bail_fault!(Denied, "root could not do it: {why}"),
        }
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
    arguments: &[String],
    input: impl std::io::BufRead,
    mut output: impl std::io::Write,
) -> Result<()> {
    let charter: Charter = serde_json::from_str(arguments.first().map_or("", String::as_str))
        .context("what root may do")?;
    // Whatever the caller's: nobody else writes to what root makes.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    for line in input.lines() {
        let answer = serde_json::from_str::<Request>(&line?)
            .map_err(Into::into)
            .and_then(|request| charter.fulfil(&request));
        let answer = match answer {
            Ok(words) => Answer::Done(words),
            Err(error) => Answer::Refused(format!("{error:#}")),
        };
        writeln!(output, "{}", serde_json::to_string(&answer)?)?;
        output.flush()?;
    }
    Ok(())
}

impl Charter {
    fn fulfil(&self, request: &Request) -> Result<String> {
        match request {
            Request::MakeDir { path, mode } => self.make_dir(path, *mode)?,
            Request::MakeRootDir { path } => self.make_root_dir(path)?,
            Request::Write {
                path,
                content,
                mode,
            } => self.write(path, content, *mode)?,
            Request::Remove { path } => self.remove(path)?,
            Request::RemoveEmptyDir { path } => {
                if held_unit(&path.join(HOLD_FILE)).is_some() {
                    only_roots(Utf8Path::new(SYSTEM_UNITS))?;
                } else {
                    self.is_directory(path)?;
                }
                remove_empty_dir(path)?;
            }
            Request::Service { name, verb } => {
                let allowed = match verb {
                    Verb::Start | Verb::Stop | Verb::ResetFailed => self.is_sysusers(name)?,
                    Verb::DaemonReload => is_service(name),
                    _ => false,
                };
                if !allowed {
                    self.is_unit(name)?;
                }
                let unit = Unit {
                    name: name.clone(),
                    user: false,
                    sudo: false,
                };
                let command = unit.tell(*verb);
                let arguments: Vec<&str> = command.arguments.iter().map(String::as_str).collect();
                return run(command.program.as_str(), &arguments);
            }
            Request::Journal { name, since } => {
                if !self.is_sysusers(name)? {
                    self.is_unit(name)?;
                }
                let command = journal(name, *since);
                let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
                return run("journalctl", &arguments);
            }
            Request::Tmpfiles { file } => {
                self.is_ours(file)?;
                return run("systemd-tmpfiles", &["--create", file.as_str()]);
            }
        }
        Ok(String::new())
    }

    fn make_dir(&self, path: &Utf8Path, mode: u32) -> Result<()> {
        self.is_directory(path)?;
        if path.exists() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        // Under another name until it is whole: where it has its own, nobody looks at its owner again.
        let new = files::temporary_name(path);
        match fs::create_dir(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error.into());
            }
            _ => {}
        }
        let found = fs::symlink_metadata(&new)?;
        if !found.is_dir() || ![0, self.uid].contains(&found.uid()) {
            bail_fault!(Denied, "`{new}` is another user's"; "look into it, and remove it");
        }
        fs::set_permissions(&new, std::fs::Permissions::from_mode(mode))?;
        std::os::unix::fs::lchown(&new, Some(self.uid), Some(self.gid))?;
        fs::rename(&new, path)?;
        Ok(())
    }

    fn make_root_dir(&self, path: &Utf8Path) -> Result<()> {
        let above = |file: &Utf8PathBuf| file.parent() == Some(path);
        if !self.privileges.files.iter().any(above)
            && self.privileges.unit_path.as_deref() != Some(path)
            && !self.is_hold(&path.join(HOLD_FILE))?
        {
            self.is_ours(path)?;
        }
        let mut existing = path;
        while !existing.exists() {
            let Some(parent) = existing.parent() else {
                break;
            };
            existing = parent;
        }
        only_roots(existing)?;
        fs::create_dir_all(path)?;
        Ok(())
    }

    fn write(&self, path: &Utf8Path, content: &str, mode: u32) -> Result<()> {
        if !(is_hold_text(content) && self.is_hold(path)?) {
            self.is_ours(path)?;
        }
        let parent = path.parent().unwrap_or(Utf8Path::new("/"));
        only_roots(parent)?;
        files::replace(path, content.as_bytes(), mode)?;
        Ok(())
    }

    fn remove(&self, path: &Utf8Path) -> Result<()> {
        let of_others = match held_unit(path) {
            // What is left of a unit that is gone is nobody else's.
            Some(unit) => owner(unit)?.is_some_and(|uid| uid != self.uid),
            None => true,
        };
        if of_others {
            self.is_ours(path)?;
        }
        let Ok(metadata) = fs::symlink_metadata(path) else {
            return Ok(());
        };
        only_roots(path.parent().unwrap_or(Utf8Path::new("/")))?;
        if metadata.is_dir() {
            fs::remove_dir_all(path)?;
        } else {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    fn is_directory(&self, path: &Utf8Path) -> Result<()> {
        if self.privileges.directories.iter().any(|own| own == path) {
            return Ok(());
        }
        bail_fault!(
            Denied,
            "`{path}` is not one of the directories of the site settings"
        )
    }

    /// A file that is named, or a unit of ours, or what lies in the directory of one.
    fn is_ours(&self, path: &Utf8Path) -> Result<()> {
        let plain = path
            .components()
            .all(|part| matches!(part, Utf8Component::RootDir | Utf8Component::Normal(_)));
        let below = |units: &Utf8PathBuf| {
            path.strip_prefix(units).is_ok_and(|rest| {
                rest.components()
                    .next()
                    .is_some_and(|first| first.as_str().starts_with(UNIT_PREFIX))
            })
        };
        let privileges = &self.privileges;
        if plain
            && (privileges.files.iter().any(|file| file == path)
                || privileges.unit_path.as_ref().is_some_and(below))
        {
            return Ok(());
        }
        bail_fault!(
            Denied,
            "`{path}` is not one of the files of the site settings"
        )
    }

    /// Whether the server of a unit of others is the system user's, who could end these processes anyway.
    fn is_sysusers(&self, name: &str) -> Result<bool> {
        Ok(owner(name)? == Some(self.uid))
    }

    /// What lets a unit of others heed a hold, which the system user could stop anyway.
    fn is_hold(&self, path: &Utf8Path) -> Result<bool> {
        match held_unit(path) {
            Some(unit) => self.is_sysusers(unit),
            None => Ok(false),
        }
    }

    fn is_unit(&self, name: &str) -> Result<()> {
        if self.privileges.unit_path.is_some() && name.starts_with(UNIT_PREFIX) {
            return Ok(());
        }
        bail_fault!(Denied, "`{name}` is not one of our units")
    }
}

/// A name of a service, and neither an option nor a pattern (systemctl(1) takes both).
fn is_service(name: &str) -> bool {
    name.strip_suffix(".service").is_some_and(|stem| {
        stem.starts_with(|c: char| c.is_ascii_alphanumeric())
            && stem
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ":-_.@".contains(c))
    })
}

/// The user whose server a unit of others runs: postgresql-common's runs a cluster's, others say `User=`. What the system user says
/// of itself is not believed.
fn owner(name: &str) -> Result<Option<u32>> {
    if !is_service(name) || name.starts_with(UNIT_PREFIX) {
        return Ok(None);
    }
    if let Some(conf) = packaged_conf(name) {
        return Ok(fs::metadata(&conf).ok().map(|metadata| metadata.uid()));
    }
    let user = run(
        "systemctl",
        &["--system", "show", "--value", "-p", "User", name],
    )?;
    Ok(if user.is_empty() {
        None
    } else {
        find(&user)?.map(|user| user.uid)
    })
}

/// The unit to which our drop-in belongs; none: it is another file.
fn held_unit(path: &Utf8Path) -> Option<&str> {
    let below = path
        .as_str()
        .strip_prefix(SYSTEM_UNITS)?
        .strip_prefix('/')?;
    let (directory, HOLD_FILE) = below.split_once('/')? else {
        return None;
    };
    directory.strip_suffix(".d").filter(|unit| is_service(unit))
}

/// Nothing but which file keeps a unit from starting.
fn is_hold_text(content: &str) -> bool {
    content
        .strip_prefix("[Unit]\n")
        .and_then(|lines| lines.strip_prefix(HOLD_LINES)?.strip_suffix('\n'))
        .is_some_and(|path| {
            path.starts_with(['/', '"'])
                && path.trim_end_matches('"').ends_with("/hold")
                && !path.contains(char::is_control)
        })
}

/// The postgresql.conf of the cluster that `postgresql@VERSION-NAME.service` runs as its owner (`pg_ctlcluster(1)`).
fn packaged_conf(name: &str) -> Option<Utf8PathBuf> {
    let cluster = name.strip_prefix("postgresql@")?.strip_suffix(".service")?;
    let (version, name) = cluster.split_once('-')?;
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    (plain(version) && plain(name)).then(|| {
        Utf8Path::new("/etc/postgresql")
            .join(version)
            .join(name)
            .join("postgresql.conf")
    })
}

/// Arguments of journalctl: what a unit has said since then, its last lines.
pub fn journal(name: &str, since: u64) -> Vec<String> {
    let since = format!("--since=@{since}");
    ["-u", name, &since, "-n", "20", "--no-pager", "-o", "cat"]
        .map(str::to_owned)
        .into()
}

/// Removes a directory if it is empty.
pub fn remove_empty_dir(path: &Utf8Path) -> Result<()> {
    match fs::remove_dir(path) {
        Err(error)
            if !matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(error.into())
        }
        _ => Ok(()),
    }
}

/// Where another user can put links, root writes nothing.
fn only_roots(directory: &Utf8Path) -> Result<()> {
    let real = directory
        .canonicalize_utf8()
        .with_context(|| format!("look at {directory}"))?;
    for part in real.ancestors() {
        let metadata = fs::metadata(part)?;
        if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            bail_fault!(
                Denied,
                "directory `{part}` is not root's alone, so root writes nothing in it";
                "let root own it, or choose another place in the site settings"
            );
        }
    }
    Ok(())
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run `{program}`"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(said(&output.stdout));
    }
    let words = said(&output.stderr);
    bail_fault!(
        Command,
        "`{program} {}` failed: {}",
        arguments.join(" "),
        tail(&words, 2048)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charter() -> Charter {
        Charter {
            privileges: Privileges {
                directories: vec!["/p".into()],
                files: vec!["/etc/logrotate.d/logrotate.conf".into()],
                unit_path: Some("/etc/systemd/system".into()),
            },
            uid: 26,
            gid: 26,
        }
    }

    #[test]
    fn only_what_is_named() {
        for (path, allowed) in [
            ("/etc/logrotate.d/logrotate.conf", true),
            ("/etc/logrotate.d/other.conf", false),
            ("/etc/systemd/system/pgsocle-postgresql@.service", true),
            (
                "/etc/systemd/system/pgsocle-postgresql@15-main.service.d/instance.conf",
                true,
            ),
            ("/etc/systemd/system/ssh.service", false),
            ("/etc/systemd/system/pgsocle-x/../../../cron.d/evil", false),
            ("/etc/systemd/system", false),
            ("/etc/cron.d/evil", false),
            ("etc/systemd/system/pgsocle-x", false),
        ] {
            assert_eq!(charter().is_ours(path.into()).is_ok(), allowed, "{path}");
        }
        for (name, allowed) in [
            ("pgsocle-postgresql@15-main.service", true),
            ("ssh.service", false),
            ("--now", false),
        ] {
            assert_eq!(charter().is_unit(name).is_ok(), allowed, "{name}");
        }
        assert_eq!(
            charter()
                .make_dir("/etc/p".into(), 0o755)
                .unwrap_err()
                .to_string(),
            "`/etc/p` is not one of the directories of the site settings"
        );
    }

    #[test]
    fn units_of_others() {
        for (name, conf) in [
            (
                "postgresql@15-main.service",
                Some("/etc/postgresql/15/main/postgresql.conf"),
            ),
            (
                "postgresql@15-my-app.service",
                Some("/etc/postgresql/15/my-app/postgresql.conf"),
            ),
            ("postgresql@15-.service", None),
            ("postgresql@..-...service", None),
            ("postgresql-15.service", None),
        ] {
            let found = packaged_conf(name);
            assert_eq!(found.as_deref(), conf.map(Utf8Path::new), "{name}");
        }
        for (name, service) in [
            ("postgresql@15-main.service", true),
            ("postgresql-15.service", true),
            ("postgresql*.service", false),
            ("--all.service", false),
            ("../x.service", false),
            ("ssh.socket", false),
            ("multi-user.target", false),
        ] {
            assert_eq!(is_service(name), service, "{name}");
        }
        // Not of a cluster of the system user's, and not to be enabled or disabled whosever it is.
        let ask = |name: &str, verb| {
            let name = name.to_owned();
            charter().fulfil(&Request::Service { name, verb })
        };
        for (name, verb) in [
            ("postgresql@99-nothing.service", Verb::Stop),
            ("postgresql@15-main.service", Verb::Disable),
            ("ssh.target", Verb::Stop),
            ("--all.service", Verb::DaemonReload),
        ] {
            assert_eq!(
                ask(name, verb).unwrap_err().to_string(),
                format!("`{name}` is not one of our units")
            );
        }
    }

    #[test]
    fn holds_of_units_of_others() {
        for (path, unit) in [
            (
                "/etc/systemd/system/postgresql@15-main.service.d/pgsocle-hold.conf",
                Some("postgresql@15-main.service"),
            ),
            (
                "/etc/systemd/system/postgresql-15.service.d/pgsocle-hold.conf",
                Some("postgresql-15.service"),
            ),
            (
                "/etc/systemd/system/postgresql-15.service.d/other.conf",
                None,
            ),
            ("/etc/systemd/system/postgresql-15.service.d", None),
            ("/etc/systemd/system/../x.service.d/pgsocle-hold.conf", None),
            ("/etc/systemd/system/a/x.service.d/pgsocle-hold.conf", None),
            ("/etc/systemd/systemx.service.d/pgsocle-hold.conf", None),
            ("/etc/systemd/system/ssh.socket.d/pgsocle-hold.conf", None),
        ] {
            assert_eq!(held_unit(path.into()), unit, "{path}");
        }
        let own = |path: &str| format!("[Unit]\n{HOLD_LINES}{path}\n");
        for (content, allowed) in [
            (own("/p/var/pgsocle/15-main/hold"), true),
            (own("\"/my data/hold\""), true),
            (own("/etc/passwd"), false),
            (own("/p/hold\n[Service]\nExecStart=/p/hold"), false),
            (own("p/hold"), false),
            (format!("{}User=root\n", own("/p/hold")), false),
            ("[Service]\nExecStart=/p/hold\n".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(is_hold_text(&content), allowed, "{content}");
        }
        // Not of a cluster of the system user's.
        let path = Utf8PathBuf::from(
            "/etc/systemd/system/postgresql@99-nothing.service.d/pgsocle-hold.conf",
        );
        for request in [
            Request::Write {
                path: path.clone(),
                content: own("/p/hold"),
                mode: 0o644,
            },
            Request::MakeRootDir {
                path: path.parent().unwrap().into(),
            },
        ] {
            assert!(charter().fulfil(&request).is_err(), "{request:?}");
        }
    }

    #[test]
    fn nothing_without_a_charter() {
        assert!(serve(&[], &b""[..], Vec::new()).is_err());
        assert!(serve(&["/prefix".to_owned()], &b""[..], Vec::new()).is_err());
    }

    #[test]
    fn answers_line_by_line() {
        let mut output = Vec::new();
        let charter = serde_json::to_string(&charter()).unwrap();
        let input = b"{\"Remove\":{\"path\":\"/etc/passwd\"}}\nnonsense\n";
        serve(&[charter], &input[..], &mut output).unwrap();
        assert_eq!(
            String::from_utf8(output).unwrap(),
            "{\"Refused\":\"`/etc/passwd` is not one of the files of the site settings\"}\n\
             {\"Refused\":\"expected value at line 1 column 1\"}\n"
        );
    }
}
