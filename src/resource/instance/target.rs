//! An instance that is addressed, with everything that follows from the site settings.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::host::{FileKind, Look, Server};
use crate::manager::Manager;
use crate::pg::conf::Conf;
use crate::pg::guc;
use crate::pg::postmaster_pid::PostmasterPid;
use crate::pg::version::Major;
use crate::plan::Step;
use crate::resource::instance::cluster::{is_mountpoint, staging};
use crate::settings::InstancePaths;
use crate::settings::Settings;

/// The port of a server whose configuration names none.
pub const DEFAULT_PORT: u16 = 5432;

#[derive(Debug, Clone)]
pub struct Target {
    pub paths: InstancePaths,
    pub bindir: Utf8PathBuf,
    pub manager: Manager,
    /// The superuser role.
    pub surole: String,
    /// The data or WAL directory where it is a mount point: it can be emptied, but neither renamed nor removed.
    pub mountpoints: Vec<Utf8PathBuf>,
    password_command: Vec<String>,
}

/// A server that runs, as its postmaster.pid says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub pid: i32,
    pub server: Server,
}

impl Target {
    pub fn new(site: &Settings, look: &dyn Look, version: Major, name: &str) -> Result<Self> {
        let paths = site.paths(version, name);
        let mut bindir = None;
        let candidates = site.bindirs(version);
        for candidate in &candidates {
            if look.stat(&candidate.join("postgres"))?.is_some() {
                bindir = Some(candidate.clone());
                break;
            }
        }
        let bindir = bindir
            .or_else(|| candidates.first().cloned())
            .unwrap_or_default();
        let surole = site.postgresql.surole.name.clone();
        let mut mountpoints: Vec<Utf8PathBuf> = Vec::new();
        for path in [&paths.datadir, &paths.waldir] {
            if is_mountpoint(look, path)? {
                mountpoints.push(path.clone());
            }
        }
        let fill = |word: &String| {
            word.replace("{instance}", &paths.to_string())
                .replace("{role}", &surole)
        };
        Ok(Self {
            password_command: site
                .postgresql
                .auth
                .password_command
                .iter()
                .map(fill)
                .collect(),
            manager: Manager::new(site, &paths),
            bindir,
            mountpoints,
            surole: surole.clone(),
            paths,
        })
    }

    /// How to talk to the server when it listens here.
    pub fn server(&self, socket_directory: &Utf8Path, port: u16) -> Server {
        Server {
            socket_directory: socket_directory.into(),
            port,
            user: self.surole.clone(),
            passfile: self.paths.passfile.clone(),
            password_command: self.password_command.clone(),
        }
    }

    /// The server, if it runs: where it really listens, whatever its configuration says by now.
    pub fn running(&self, look: &dyn Look) -> Result<Option<Running>> {
        let Some(content) = look.read(&self.paths.datadir.join("postmaster.pid"))? else {
            return Ok(None);
        };
        let file = PostmasterPid::parse(&content);
        let Some(pid) = file.pid else { return Ok(None) };
        // A stale file may name a process that is another one by now: a server works in its data directory.
        let directory = look.link(Utf8Path::new(&format!("/proc/{pid}/cwd")));
        let own = directory.is_ok_and(|found| {
            found
                .as_deref()
                .is_some_and(|found| self.is_datadir(look, found))
        });
        if !look.alive(pid) || !own {
            return Ok(None);
        }
        let port = file.port.unwrap_or(DEFAULT_PORT);
        let socket = file
            .socket_directory
            .filter(|directory| !directory.is_empty());
        let socket = socket.map_or_else(|| self.paths.socket_directory.clone(), Utf8PathBuf::from);
        Ok(Some(Running {
            pid,
            server: self.server(&socket, port),
        }))
    }

    fn is_datadir(&self, look: &dyn Look, found: &Utf8Path) -> bool {
        let same = |a: &Utf8Path, b: &Utf8Path| match (
            look.stat(&a.join("PG_VERSION")),
            look.stat(&b.join("PG_VERSION")),
        ) {
            (Ok(Some(a)), Ok(Some(b))) => a == b,
            _ => false,
        };
        found == self.paths.datadir || same(found, &self.paths.datadir)
    }

    /// Where the server will listen, as its configuration says.
    pub fn configured(&self, conf: &Conf) -> Server {
        let port = conf
            .get("port")
            .and_then(|port| port.parse().ok())
            .unwrap_or(DEFAULT_PORT);
        let sockets = conf.get("unix_socket_directories").unwrap_or_default();
        let socket = guc::split_list(&sockets)
            .into_iter()
            .find(|directory| directory.starts_with('/'));
        let socket = socket.map_or_else(|| self.paths.socket_directory.clone(), Utf8PathBuf::from);
        self.server(&socket, port)
    }

    /// The same for the configuration on disk, with what ALTER SYSTEM has put above it.
    pub fn configured_on_disk(&self, look: &dyn Look) -> Result<Server> {
        let mut text = look
            .read(&self.paths.datadir.join("postgresql.conf"))?
            .unwrap_or_default();
        text.push(b'\n');
        text.extend(
            look.read(&self.paths.datadir.join("postgresql.auto.conf"))?
                .unwrap_or_default(),
        );
        Ok(self.configured(&Conf::parse(&text)?))
    }

    /// Where a new directory is made: beside its place, or in it when it is a mount point.
    pub fn place(&self, path: &Utf8PathBuf) -> Utf8PathBuf {
        if self.mountpoints.contains(path) {
            path.clone()
        } else {
            staging(path)
        }
    }

    /// `pg_wal` is a plain directory of the data directory.
    pub fn wal_inside(&self) -> bool {
        self.paths.waldir == self.paths.datadir.join("pg_wal")
    }

    /// The directories above the data and WAL directories that hold nothing else: `…/15/main`, `…/15`.
    pub fn empty_parents(&self) -> Vec<Step> {
        let own = [
            self.paths.name.clone(),
            self.paths.version.to_string(),
            format!("{}-{}", self.paths.version, self.paths.name),
        ];
        let mut steps: Vec<Step> = Vec::new();
        for directory in [&self.paths.datadir, &self.paths.waldir] {
            for parent in directory.ancestors().skip(1) {
                if !parent
                    .file_name()
                    .is_some_and(|name| own.iter().any(|own| own == name))
                {
                    break;
                }
                let step = Step::RemoveEmptyDir {
                    path: parent.into(),
                };
                if !steps.contains(&step) {
                    steps.push(step);
                }
            }
        }
        steps
    }

    /// A trace that the instance existed: its unit, or a journal that tells of its creation and of no drop.
    pub fn trace(&self, look: &dyn Look) -> Result<Option<String>> {
        if let Some(file) = self.manager.instance_file()
            && look
                .stat(&file)?
                .is_some_and(|stat| stat.kind == FileKind::File)
        {
            return Ok(Some(format!("its unit has a file `{file}`")));
        }
        let Some(journal) = look.read(&self.paths.history)? else {
            return Ok(None);
        };
        let object = format!("instance {}", self.paths);
        let mut created: Option<String> = None;
        let mut begun: Option<(Value, bool)> = None;
        for line in String::from_utf8_lossy(&journal).lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            match line["event"].as_str() {
                Some("begin") => {
                    for change in line["plan"].as_array().into_iter().flatten() {
                        if change["object"] == object.as_str() {
                            match change["action"].as_str() {
                                Some("create") => begun = Some((line["run"].clone(), true)),
                                Some("drop") => begun = Some((line["run"].clone(), false)),
                                _ => {}
                            }
                        }
                    }
                }
                Some("done") => {
                    if let Some((run, made)) = begun.take()
                        && run == line["run"]
                    {
                        created =
                            made.then(|| line["time"].as_str().unwrap_or_default().to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(created.map(|time| format!("created at {time}, says its journal")))
    }
}
