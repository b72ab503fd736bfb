//! Who starts and stops a server: nobody but us (`pg_ctl`), or systemd. Later Patroni.
//!
//! Units run `postgres` itself: a running server never depends on pgsocle.

use std::fmt::Write as _;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::fault;
use crate::host::{
    Command, HOLD_FILE, HOLD_LINES, START_TIMEOUT, SYSTEM_UNITS, Server, Unit, Verb,
};
use crate::plan::{Content, Step};
use crate::settings::InstancePaths;
use crate::settings::Settings;

/// The service manager of an instance, with what it needs to know of it.
#[derive(Debug, Clone)]
pub enum Manager {
    /// `pg_ctl`, detached from the calling session.
    None,
    Systemd {
        unit: Unit,
        unit_path: Utf8PathBuf,
    },
    /// A system unit that others made (postgresql-common, Red Hat's packages): told to start and to stop, and nothing else.
    Foreign {
        unit: Unit,
        /// The caller may tell it so.
        allowed: bool,
    },
}

/// How a server is stopped (documentation, `pg_ctl`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Waits until every session has ended by itself.
    Smart,
    /// Cuts sessions; nothing that was committed is lost, and the next start is quick.
    Fast,
    /// Without a checkpoint: the next start recovers. For what is removed anyway.
    Immediate,
}

impl StopMode {
    fn name(self) -> &'static str {
        match self {
            Self::Smart => "smart",
            Self::Fast => "fast",
            Self::Immediate => "immediate",
        }
    }
}

/// How a run goes about a server: how long it waits for it to start and to stop, and how it stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    pub timeout: Duration,
    pub stop: StopMode,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            timeout: START_TIMEOUT,
            stop: StopMode::Fast,
        }
    }
}

impl Manner {
    /// The same within this many seconds, if that is said.
    #[must_use]
    pub fn within(self, seconds: Option<u32>) -> Self {
        let timeout = seconds.map_or(self.timeout, |seconds| Duration::from_secs(seconds.into()));
        Self { timeout, ..self }
    }

    /// Whether what goes on keeps the server from being stopped; who says `immediate` wants it gone whatever that is.
    pub fn spares(&self) -> bool {
        self.stop != StopMode::Immediate
    }

    /// The same, ending so.
    #[must_use]
    pub fn ending(self, stop: StopMode) -> Self {
        Self { stop, ..self }
    }
}

/// What a start needs to know.
pub struct Start<'a> {
    pub bindir: &'a Utf8Path,
    pub paths: &'a InstancePaths,
    pub server: &'a Server,
    pub timeout: Duration,
}

impl Manager {
    pub fn new(site: &Settings, paths: &InstancePaths) -> Self {
        match (&site.service_manager, &site.systemd) {
            (Some(_), Some(systemd)) => Self::Systemd {
                unit: Unit {
                    name: unit_name(&paths.qualified_name),
                    user: systemd.user,
                    sudo: systemd.sudo,
                },
                unit_path: systemd.unit_path.clone(),
            },
            _ => Self::None,
        }
    }

    /// What must be mended before a unit of others can be told anything.
    pub fn missing(&self) -> Option<anyhow::Error> {
        match self {
            Self::Foreign {
                unit,
                allowed: false,
            } => Some(fault!(
                Denied,
                "the server is run by the system unit `{unit}`, which only root starts and stops";
                "call pgsocle as root (`become: true`), or set `systemd.sudo` in the site settings"
            )),
            Self::None | Self::Systemd { .. } | Self::Foreign { .. } => None,
        }
    }

    /// The file that binds the unit to its instance.
    pub fn instance_file(&self) -> Option<Utf8PathBuf> {
        match self {
            Self::None | Self::Foreign { .. } => None,
            Self::Systemd { unit, unit_path } => {
                Some(unit_path.join(format!("{}.d/instance.conf", unit.name)))
            }
        }
    }

    /// Its content: which programs and which data directory. Nothing of it depends on the caller or on us.
    pub fn instance_file_content(&self, bindir: &Utf8Path, paths: &InstancePaths) -> String {
        let Self::Systemd { unit, .. } = self else {
            return String::new();
        };
        let (datadir, waldir) = (quoted(&paths.datadir), quoted(&paths.waldir));
        let mut content = format!(
            "# Written by pgsocle for instance {paths}.\n[Unit]\nRequiresMountsFor={datadir} {waldir}\n{}\n\
             [Service]\nExecStart=\nExecStart={} -D {}{}\n",
            Self::hold_condition(paths),
            word(&bindir.join("postgres")),
            word(&paths.datadir),
            config_elsewhere(paths).map_or_else(String::new, |file| {
                format!(" -c config_file={}", word(file))
            }),
        );
        // What `ProtectSystem=full` of the unit takes away, where the instance lies there.
        let own = [
            Some(&paths.datadir),
            Some(&paths.waldir),
            paths.logdir.as_ref(),
        ];
        for path in own.into_iter().flatten() {
            if !unit.user && PROTECTED.iter().any(|system| path.starts_with(system)) {
                let _ = writeln!(content, "ReadWritePaths=-{}", quoted(path));
            }
        }
        // What a server says before its own log is open. The journal of a system user's manager is readable for
        // root only; the system's manager would make the file root's.
        if unit.user && paths.logdir.is_some() {
            let log = paths.start_log.as_str().replace('%', "%%");
            content.push_str("StandardOutput=append:");
            content.push_str(&log);
            content.push_str("\nStandardError=inherit\n");
        }
        content
    }

    /// The lines of a unit that keep whoever starts it from starting a held instance: an assertion, since a
    /// condition would let `systemctl start` end as if it had started something (systemd.unit).
    pub fn hold_condition(paths: &InstancePaths) -> String {
        format!("{HOLD_LINES}{}\n", quoted(paths.hold()))
    }

    /// The drop-in by which a unit of others heeds a hold.
    pub fn hold_file(&self) -> Option<Utf8PathBuf> {
        match self {
            Self::None | Self::Systemd { .. } => None,
            Self::Foreign { unit, .. } => Some(Utf8PathBuf::from(format!(
                "{SYSTEM_UNITS}/{unit}.d/{HOLD_FILE}"
            ))),
        }
    }

    /// Its content.
    pub fn hold_file_content(paths: &InstancePaths) -> String {
        format!("[Unit]\n{}", Self::hold_condition(paths))
    }

    /// Makes a unit of others heed a hold.
    pub fn heed_hold(&self, content: &str) -> Vec<Step> {
        self.on_hold_file(|directory, file| {
            vec![
                Step::make_dir(directory, 0o755).as_root(true),
                Step::write(file, Content::Bytes(content.into()), 0o644).as_root(true),
            ]
        })
    }

    /// Takes that back; `alone`: nothing else is in the directory of the drop-in.
    pub fn ignore_hold(&self, alone: bool) -> Vec<Step> {
        self.on_hold_file(|directory, file| {
            let mut steps = vec![Step::Remove { path: file.into() }.as_root(true)];
            if alone {
                let path = directory.into();
                steps.push(Step::RemoveEmptyDir { path }.as_root(true));
            }
            steps
        })
    }

    fn on_hold_file(&self, steps: impl Fn(&Utf8Path, &Utf8Path) -> Vec<Step>) -> Vec<Step> {
        let (Self::Foreign { unit, .. }, Some(file)) = (self, self.hold_file()) else {
            return Vec::new();
        };
        let mut steps = file
            .parent()
            .map_or_else(Vec::new, |directory| steps(directory, &file));
        steps.push(Step::Service {
            unit: unit.clone(),
            verb: Verb::DaemonReload,
        });
        steps
    }

    /// Makes the manager know the instance, and start it at boot if that is wanted.
    pub fn register(&self, bindir: &Utf8Path, paths: &InstancePaths, boot: bool) -> Vec<Step> {
        let mut steps = self.write_instance_file(bindir, paths);
        if boot {
            steps.extend(self.at_boot(true));
        }
        steps
    }

    /// Has the manager start the instance at boot, or not.
    pub fn at_boot(&self, starts: bool) -> Option<Step> {
        let Self::Systemd { unit, .. } = self else {
            return None;
        };
        Some(Step::Service {
            unit: unit.clone(),
            verb: if starts { Verb::Enable } else { Verb::Disable },
        })
    }

    /// Makes the manager know what has changed of the instance.
    pub fn write_instance_file(&self, bindir: &Utf8Path, paths: &InstancePaths) -> Vec<Step> {
        let (Self::Systemd { unit, .. }, Some(file)) = (self, self.instance_file()) else {
            return Vec::new();
        };
        let root = !unit.user;
        let mut steps: Vec<Step> = file
            .parent()
            .map(|parent| Step::make_dir(parent, 0o755).as_root(root))
            .into_iter()
            .collect();
        let content = self.instance_file_content(bindir, paths);
        steps.push(Step::write(&file, Content::Bytes(content.into_bytes()), 0o644).as_root(root));
        steps.push(Step::Service {
            unit: unit.clone(),
            verb: Verb::DaemonReload,
        });
        steps
    }

    /// Takes that back.
    pub fn unregister(&self) -> Vec<Step> {
        let (Self::Systemd { unit, .. }, Some(file)) = (self, self.instance_file()) else {
            return Vec::new();
        };
        let mut steps = vec![Step::Service {
            unit: unit.clone(),
            verb: Verb::Disable,
        }];
        steps.extend(file.parent().map(|parent| {
            Step::Remove {
                path: parent.into(),
            }
            .as_root(!unit.user)
        }));
        steps.push(Step::Service {
            unit: unit.clone(),
            verb: Verb::DaemonReload,
        });
        steps
    }

    pub fn start(&self, start: &Start) -> Vec<Step> {
        // Whoever made the unit takes care of its directories.
        let mut steps = match self {
            Self::Foreign { .. } => Vec::new(),
            Self::None | Self::Systemd { .. } => directories(start.paths),
        };
        match self {
            Self::None => steps.push(pg_ctl_start(start, "")),
            Self::Systemd { unit, .. } | Self::Foreign { unit, .. } => {
                steps.push(Step::StartUnit {
                    unit: unit.clone(),
                    datadir: start.paths.datadir.clone(),
                    timeout: start.timeout,
                    logs: logs(start.paths),
                    port: start.server.port,
                });
            }
        }
        steps
    }

    /// For the time of a run: never through the service manager, and without TCP listener.
    pub fn start_temporarily(start: &Start) -> Vec<Step> {
        let mut steps = directories(start.paths);
        steps.push(pg_ctl_start(start, TEMPORARY));
        steps
    }

    pub fn stop(&self, bindir: &Utf8Path, paths: &InstancePaths, manner: Manner) -> Vec<Step> {
        let (Self::Systemd { unit, .. } | Self::Foreign { unit, .. }) = self else {
            return Self::pg_ctl_stop(bindir, paths, manner);
        };
        let stop_unit = Step::StopUnit {
            unit: unit.clone(),
            datadir: paths.datadir.clone(),
            timeout: manner.timeout,
            logs: logs(paths),
        };
        let mut steps = vec![Step::Disconnect];
        if manner.stop == StopMode::Fast {
            steps.push(stop_unit);
            // A server that its unit does not know (started by pg_ctl) is still there.
            steps.extend(Self::pg_ctl_stop(bindir, paths, manner));
        } else {
            // systemd's signal is the one for fast. It sees its main process end by itself, and calls the unit
            // stopped; one that it would start again it is told to leave.
            steps.extend(Self::pg_ctl_stop(bindir, paths, manner));
            steps.push(stop_unit);
        }
        steps
    }

    /// What stops a server that the manager does not know, or that need not end well.
    pub fn pg_ctl_stop(bindir: &Utf8Path, paths: &InstancePaths, manner: Manner) -> Vec<Step> {
        let timeout = manner.timeout.as_secs().to_string();
        let mut command = Command::new(bindir.join("pg_ctl")).args([
            "stop",
            "-s",
            "-w",
            "-t",
            &timeout,
            "-m",
            manner.stop.name(),
            "-D",
            paths.datadir.as_str(),
        ]);
        command.logs = logs(paths);
        vec![
            Step::Disconnect,
            Step::StopServer {
                command,
                datadir: paths.datadir.clone(),
            },
        ]
    }
}

/// `pgsocle-postgresql@15-main.service`
pub fn unit_name(qualified_name: &str) -> String {
    format!("pgsocle-postgresql@{qualified_name}.service")
}

/// A word of a command line, in which `$` begins a variable (systemd.service, "Command lines").
pub fn word(path: &Utf8Path) -> String {
    quoted(path).replace('$', "$$")
}

/// A word of a unit file, in which `%` begins a specifier (systemd.syntax, "Quoting").
pub fn quoted(word: impl AsRef<str>) -> String {
    let escaped = word.as_ref().replace('%', "%%");
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+$".contains(c);
    if escaped.chars().all(plain) {
        escaped
    } else {
        let escaped = escaped.replace('\\', r"\\").replace('"', "\\\"");
        format!("\"{}\"", escaped.replace('\n', r"\n"))
    }
}

/// What `ProtectSystem=full` mounts read-only (systemd.exec).
const PROTECTED: [&str; 4] = ["/usr", "/boot", "/efi", "/etc"];

/// Where people look for what a server says.
pub fn log_place(paths: &InstancePaths) -> String {
    paths
        .logdir
        .clone()
        .unwrap_or_else(|| paths.start_log.clone())
        .into_string()
}

/// Where a server says why it does not start.
pub fn logs(paths: &InstancePaths) -> Vec<Utf8PathBuf> {
    let mut logs = vec![paths.start_log.clone()];
    logs.extend(paths.logdir.clone());
    logs
}

/// What a server is told that is started for the time of a run only.
const TEMPORARY: &str = "-c listen_addresses= -c logging_collector=off";

/// Whether a server was started for the time of a run, as its `postmaster.opts` says (`CreateOptsFile` in postmaster.c).
pub fn is_temporary(opts: &str) -> bool {
    let words: String = opts.chars().filter(|c| *c != '"').collect();
    words.contains(TEMPORARY)
}

/// postgresql.conf where it does not lie in the data directory: the server must be told.
fn config_elsewhere(paths: &InstancePaths) -> Option<&Utf8Path> {
    let usual = paths.datadir.join("postgresql.conf");
    (paths.config_file != usual).then_some(&paths.config_file)
}

/// Directories below `run_prefix` do not outlive a reboot.
fn directories(paths: &InstancePaths) -> Vec<Step> {
    let mut steps = vec![Step::make_dir(&paths.socket_directory, 0o755)];
    steps.extend(
        paths
            .start_log
            .parent()
            .map(|parent| Step::make_dir(parent, 0o750)),
    );
    steps
}

/// `pg_ctl` makes the server the leader of a session of its own, so that it outlives the caller's.
fn pg_ctl_start(start: &Start, options: &str) -> Step {
    let timeout = start.timeout.as_secs().to_string();
    let mut command = Command::new(start.bindir.join("pg_ctl"))
        .args([
            "start",
            "-s",
            "-w",
            "-t",
            &timeout,
            "-D",
            start.paths.datadir.as_str(),
        ])
        .args(["-l", start.paths.start_log.as_str()]);
    let file = config_elsewhere(start.paths).map(|file| {
        let quoted = file.as_str().replace('\'', r"'\''");
        format!("-c config_file='{quoted}'")
    });
    let options: Vec<&str> = file
        .as_deref()
        .into_iter()
        .chain(Some(options).filter(|options| !options.is_empty()))
        .collect();
    // For a shell (`start_postmaster` in pg_ctl.c).
    if !options.is_empty() {
        command = command.args(["-o", &options.join(" ")]);
    }
    command.logs = logs(start.paths);
    Step::StartServer {
        command,
        datadir: start.paths.datadir.clone(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_of_a_unit_file() {
        for (path, word) in [
            ("/srv/pgsql/15/main/data", "/srv/pgsql/15/main/data"),
            ("/srv/my data", "\"/srv/my data\""),
            ("/srv/100%/$x", "/srv/100%%/$$x"),
            ("/srv/a\"b\\c", "\"/srv/a\\\"b\\\\c\""),
        ] {
            assert_eq!(super::word(path.into()), word);
        }
    }
}
