//! What both doors (JSON and command line) do before and after a run: whose settings, which rights, what to tell.

#![expect(
    clippy::disallowed_methods,
    reason = "the door reads the environment and the settings file"
)]

use std::cell::RefCell;
use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::engine::{self, Failure, Options, Outcome};
use crate::fault;
use crate::fault::Fault;
use crate::host::local::{self, Local};
use crate::host::root::Helper;
use crate::host::{Host, Look as _, users};
use crate::journal::Stamp;
use crate::resource::{Job, Site, site};
use crate::settings::{DEFAULT_SYSTEM_USER, Settings, environment_of_site};

/// Exit codes of the program; pglift's, and one for our own faults.
pub mod exit {
    /// Done, whether something changed or not.
    pub const DONE: u8 = 0;
    /// A fault: see the message.
    pub const FAULT: u8 = 1;
    /// Usage, bad input, an ambiguous or unknown instance.
    pub const USAGE: u8 = 2;
    /// `instance status`: something does not run.
    pub const NOT_RUNNING: u8 = 3;
    /// A signal asked the run to end: 128 and its number, as shells have it.
    pub const INTERRUPTED: u8 = 128;
    /// An internal error: a bug of this program.
    pub const INTERNAL: u8 = 70;
}

/// Everything a run needs: the site, the machine, and who asked.
pub struct Session {
    pub site: Site,
    pub local: Local,
    pub stamp: Stamp,
    pub warnings: Vec<String>,
    /// The settings file and its text.
    pub source: Option<(Utf8PathBuf, String)>,
}

/// What the process was given.
pub struct Process {
    pub environment: Vec<(String, String)>,
}

impl Process {
    /// Reads the environment, once.
    pub fn read() -> Self {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self {
            environment: environment.collect(),
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.environment
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Session {
    /// Finds the settings, and becomes the system user when called as root.
    pub fn open(process: &Process, check: bool) -> Result<Self> {
        let root = users::is_root();
        let own = users::own()?;
        let config_dir = config_dir(process, root, &own.home)?;
        let file = config_dir
            .as_ref()
            .map(|directory| directory.join("settings.yaml"));
        let text = match &file {
            Some(path) => read_settings(path)?,
            None => None,
        };
        let source = file.as_deref().zip(text.as_deref());
        let mut warnings = Vec::new();
        let mut predicted = false;
        let user = if root {
            let wanted = Settings::system_user(source, &process.environment)?;
            let name = wanted.map_or_else(|| DEFAULT_SYSTEM_USER.to_owned(), |wanted| wanted.user);
            match users::find(&name)? {
                Some(user) if user.uid == 0 => {
                    return Err(
                        fault!(Denied, "`sysuser` is root: PostgreSQL refuses to run as root"; "name an ordinary user as `sysuser` in the site settings"),
                    );
                }
                Some(user) => user,
                None if check => {
                    warnings.push(format!("system user `{name}` does not exist yet"));
                    predicted = true;
                    users::User {
                        home: predicted_home(&name),
                        name,
                        ..own.clone()
                    }
                }
                None => {
                    return Err(fault!(
                        NotFound,
                        "system user `{name}` does not exist";
                        "make it (role socle.postgresql.install does, and so do PostgreSQL's packages), or name another one as `sysuser` in the site settings"
                    ));
                }
            }
        } else {
            own.clone()
        };
        let mut caller = users::caller(&user, root, &process.environment)?;
        if predicted {
            // The number that it will have is anybody's guess, and its group is named after it.
            caller.group.clone_from(&caller.user);
            caller.runtime_dir = local::is_directory(Utf8Path::new("/run/systemd/system"))
                .then(|| "/run/user/UID".into());
        }
        let settings = Settings::load(source, &process.environment, &caller)?;
        let mut helper = None;
        if root && user.uid != 0 {
            if !check {
                let privileges = site::privileges(&settings)?;
                helper = Some(RefCell::new(Helper::start(privileges, user.uid, user.gid)?));
            }
            users::drop_to(&user)?;
        }
        let by_sudo = settings
            .systemd
            .as_ref()
            .is_some_and(|systemd| systemd.sudo);
        let stamp = Stamp {
            time: jiff::Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string(),
            caller: own.name,
            sudo_user: process.get("SUDO_USER").map(str::to_owned),
            run: format!(
                "{}-{}",
                jiff::Timestamp::now().as_microsecond(),
                local::process_id()
            ),
        };
        let local = Local::new(caller, helper, by_sudo);
        safe_run_prefix(&local, &settings)?;
        let site = Site {
            settings,
            config_dir,
            environment: environment_of_site(&process.environment, root),
            check,
            lock_timeout: Duration::from_secs(60),
            by: stamp
                .sudo_user
                .clone()
                .unwrap_or_else(|| stamp.caller.clone()),
            now: stamp.time.clone(),
        };
        Ok(Self {
            site,
            local,
            stamp,
            warnings,
            source: file.zip(text),
        })
    }

    /// Runs a job, or says what it would do.
    pub fn run(&self, job: Job) -> Result<Outcome, Failure> {
        let host = if self.site.check {
            Host::Check(&self.local)
        } else {
            Host::Apply(&self.local)
        };
        let options = Options {
            max_impact: job.max_impact,
            keep_failed: job.keep_failed,
            stamp: self.stamp.clone(),
        };
        let mut outcome = engine::converge(&job.stages, host, &job.subject, &options)
            .inspect_err(|failure| {
                if let (Some(aftermath), Host::Apply(act)) = (&job.aftermath, host) {
                    engine::follow_up(aftermath, failure, act);
                }
            })
            .map_err(|failure| match &job.explain {
                Some(explain) => Failure {
                    error: explain(failure.error),
                    ..failure
                },
                None => failure,
            })?;
        let said = self.warnings.iter().cloned().chain(job.warnings);
        outcome.plan.warnings.splice(0..0, said);
        let mut seen = std::collections::HashSet::new();
        outcome
            .plan
            .warnings
            .retain(|warning| seen.insert(warning.clone()));
        Ok(outcome)
    }
}

/// Where a system user will be at home: PostgreSQL's packages make theirs in the place of their family.
fn predicted_home(name: &str) -> Utf8PathBuf {
    match name {
        "postgres" if local::is_directory(Utf8Path::new("/var/lib/rpm")) => "/var/lib/pgsql".into(),
        "postgres" => "/var/lib/postgresql".into(),
        _ => Utf8Path::new("/home").join(name),
    }
}

fn read_settings(path: &Utf8Path) -> Result<Option<String>> {
    let bytes = match local::read(path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(error) => {
            return Err(fault!(
                Denied,
                "the site settings cannot be read: {error:#}";
                "every user of pgsocle must be able to read them"
            ));
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(fault!(Input, "the site settings `{path}` are not UTF-8")),
    }
}

/// Root reads only what root alone can write; others their own first.
fn config_dir(process: &Process, root: bool, home: &Utf8Path) -> Result<Option<Utf8PathBuf>> {
    if let Some(directory) = process.get("PGSOCLE_CONFIG_DIR") {
        let directory = Utf8PathBuf::from(directory);
        if !local::is_directory(&directory) {
            return Err(fault!(
                Input,
                "PGSOCLE_CONFIG_DIR names `{directory}`, which is no directory"
            ));
        }
        return Ok(Some(directory));
    }
    let system = Utf8PathBuf::from("/etc/pgsocle");
    if root {
        return Ok(local::is_directory(&system).then_some(system));
    }
    let home = process
        .get("HOME")
        .map_or_else(|| home.to_owned(), Utf8PathBuf::from);
    let user = process
        .get("XDG_CONFIG_HOME")
        .filter(|path| path.starts_with('/'));
    let user = user
        .map_or_else(|| home.join(".config"), Utf8PathBuf::from)
        .join("pgsocle");
    for directory in [user, system] {
        if local::read(&directory.join("settings.yaml"))?.is_some() {
            return Ok(Some(directory));
        }
    }
    Ok(None)
}

/// Anybody can make `/tmp/pgsocle` first: it is used only when it is ours and nobody else can write to it.
fn safe_run_prefix(local: &Local, settings: &Settings) -> Result<()> {
    if !settings.run_prefix.starts_with("/tmp") {
        return Ok(());
    }
    if let Some(stat) = local.stat(&settings.run_prefix)?
        && (stat.uid != local.caller().uid || stat.mode & 0o022 != 0)
    {
        return Err(fault!(
            Denied,
            "run_prefix `{}` belongs to another user, or others can write to it", settings.run_prefix;
            "remove it if it is not in use, or set `run_prefix` in the site settings"
        ));
    }
    Ok(())
}

/// The exit code for an error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match Fault::told(error) {
        Some(Fault {
            signal: Some(number),
            ..
        }) => exit::INTERRUPTED + number,
        Some(fault) => fault.kind.exit_code(),
        None => exit::INTERNAL,
    }
}

/// The remedy for an error, if there is one.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    match Fault::told(error) {
        Some(fault) => fault.hint,
        None => Some("this is a bug in pgsocle: please report it".to_owned()),
    }
}
