//! A site in a temporary directory, with real PostgreSQL: its own settings, sockets, home and executable.
//!
//! PostgreSQL refuses root. When root runs the tests, programs run as the user `postgres` by way of `setpriv`; else as the
//! user who runs them. Majors that the machine does not have come from the tree named by `PGSOCLE_TEST_MAJORS`
//! (`scripts/majors.sh` makes it), which bubblewrap puts in place of `/`; `/tmp` stays the machine's own.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::bin::{Run, executable};

/// The user whom servers run as.
#[derive(Debug, Clone)]
struct Account {
    name: String,
    group: String,
    uid: u32,
    gid: u32,
    /// Whether a program must be told to become this user.
    drop: bool,
}

impl Account {
    fn find() -> Self {
        let id = |args: &[&str]| {
            let output = Run::program("id").args(args).go();
            output.stdout.trim().to_owned()
        };
        let drop = nix::unistd::geteuid().is_root();
        let who: &[&str] = if drop { &["postgres"] } else { &[] };
        let ask = |option: &str| id(&[&[option], who].concat());
        Self {
            name: ask("-un"),
            group: ask("-gn"),
            uid: ask("-u").parse().expect("user number"),
            gid: ask("-g").parse().expect("group number"),
            drop,
        }
    }
}

/// A major version, and where its server programs are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Major {
    pub number: u32,
    /// The tree to be run in; none: the machine itself.
    tree: Option<PathBuf>,
}

impl Major {
    /// Every major that can be run here, the oldest first.
    ///
    /// # Panics
    /// When there is none: a test that needs a server fails without one, it is never skipped.
    pub fn all() -> Vec<Self> {
        let mut majors = Self::below(None);
        if let Some(tree) = std::env::var_os("PGSOCLE_TEST_MAJORS") {
            for major in Self::below(Some(Path::new(&tree))) {
                if majors.iter().all(|native| native.number != major.number) {
                    majors.push(major);
                }
            }
        }
        majors.sort();
        assert!(
            !majors.is_empty(),
            "no PostgreSQL server programs below /usr/lib/postgresql; install them with `make test`, or with \
             `apt-get install postgresql` after `create_main_cluster = false` in /etc/postgresql-common/createcluster.conf"
        );
        majors
    }

    /// Every major of the tree of majors, all to be run together in it (what an upgrade needs); the machine's own without one.
    pub fn side_by_side() -> Vec<Self> {
        match std::env::var_os("PGSOCLE_TEST_MAJORS") {
            Some(tree) => Self::below(Some(Path::new(&tree))),
            None => Self::all(),
        }
    }

    /// The newest that the machine itself has, or else that can be run.
    pub fn usual() -> Self {
        let majors = Self::all();
        let native = majors.iter().rfind(|major| major.tree.is_none());
        native
            .or(majors.last())
            .cloned()
            .expect("all() is not empty")
    }

    pub fn bindir(&self) -> PathBuf {
        PathBuf::from(format!("/usr/lib/postgresql/{}/bin", self.number))
    }

    fn below(tree: Option<&Path>) -> Vec<Self> {
        let root = tree.unwrap_or(Path::new("/"));
        let Ok(entries) = std::fs::read_dir(root.join("usr/lib/postgresql")) else {
            return Vec::new();
        };
        let mut majors: Vec<_> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let number = path.file_name()?.to_str()?.parse().ok()?;
                path.join("bin/initdb").exists().then(|| Self {
                    number,
                    tree: tree.map(Path::to_owned),
                })
            })
            .collect();
        majors.sort();
        majors
    }
}

/// A site: `etc/settings.yaml`, `srv` (prefix), `run` (`run_prefix`), `home` and the executable, all below one directory.
/// Servers that are still running below it are stopped when it goes.
#[derive(Debug)]
pub struct Site {
    // Before `dir`: what is stopped must be stopped while its files are there.
    account: Account,
    major: Major,
    port: u16,
    dir: tempfile::TempDir,
    /// Of every program that is run, beside those that every site has.
    variables: Vec<(&'static str, OsString)>,
}

impl Site {
    pub fn new(major: &Major) -> Self {
        Self::with_settings(major, &json!({}))
    }

    /// A site with more settings: objects are merged, anything else replaces.
    pub fn with_settings(major: &Major, more: &Value) -> Self {
        let account = Account::find();
        // A socket's path has room for 107 bytes: no longer name than needed.
        let dir = tempfile::Builder::new()
            .prefix("pgsocle-")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir_in("/tmp")
            .expect("a temporary directory");
        let site = Self {
            account,
            major: major.clone(),
            port: free_port(),
            dir,
            variables: Vec::new(),
        };
        for (name, owned) in [
            ("bin", false),
            ("etc", false),
            ("srv", true),
            ("run", true),
            ("home", true),
        ] {
            let path = site.path(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            if owned && site.account.drop {
                chown(&path, Some(site.account.uid), Some(site.account.gid)).unwrap();
            }
        }
        // A copy: the checkout may lie where the servers' user cannot go. By a process of its own: what another thread starts
        // meanwhile would have a file of ours open to be written, and nobody can run that ("text file busy").
        Run::program("cp")
            .arg(executable())
            .arg(site.path("bin/pgsocle"))
            .go();
        site.write_settings(more);
        site
    }

    /// Gives every program that is run from now on an environment variable.
    pub fn set_variable(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.variables.push((name, value.into()));
    }

    /// Writes the settings anew; null takes away what tests have by default.
    pub fn write_settings(&self, more: &Value) {
        let mut settings = json!({
            "prefix": self.path("srv"),
            "run_prefix": self.path("run"),
            "sysuser": [self.account.name, self.account.group],
            "postgresql": { "default_version": self.major.number.to_string() },
            // Most tests make instances to drop them; the protection has tests of its own.
            "deletion_protection": false,
        });
        merge(&mut settings, more);
        if let Some(settings) = settings.as_object_mut() {
            settings.retain(|_, value| !value.is_null());
        }
        // JSON is YAML.
        std::fs::write(
            self.path("etc/settings.yaml"),
            format!("{settings:#}\n").into_bytes(),
        )
        .unwrap();
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.dir().join(below)
    }

    pub fn major(&self) -> &Major {
        &self.major
    }

    /// Writes a file that belongs to the servers' user.
    pub fn write_owned(&self, path: &Path, content: &[u8], mode: u32) {
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        if self.account.drop {
            chown(path, Some(self.account.uid), Some(self.account.gid)).unwrap();
        }
    }

    /// Gives a file or directory to the servers' user.
    pub fn give(&self, path: &Path) {
        if self.account.drop {
            chown(path, Some(self.account.uid), Some(self.account.gid)).unwrap();
        }
    }

    /// A port of this site's own, free when the site was made.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user whom servers run as.
    pub fn sysuser(&self) -> &str {
        &self.account.name
    }

    /// The executable, run by the servers' user.
    pub fn pgsocle<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        self.program(self.path("bin/pgsocle")).args(args)
    }

    /// The executable, run by whoever runs the tests: by root, where root runs them.
    pub fn pgsocle_undropped<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Run {
        self.undropped(self.path("bin/pgsocle")).args(args)
    }

    /// Any program, run by whoever runs the tests.
    pub fn undropped(&self, program: impl Into<OsString>) -> Run {
        self.run(&[], program)
    }

    /// The JSON door: the reply to `params` of `kind`.
    pub fn ansible(&self, kind: &str, check_mode: bool, params: &Value) -> Value {
        self.ansible_run(kind, check_mode, params).json()
    }

    /// The same, to be run with other expectations.
    pub fn ansible_run(&self, kind: &str, check_mode: bool, params: &Value) -> Run {
        let request = json!({
            "protocol": 1, "check_mode": check_mode, "diff_mode": true, "verbosity": 0, "params": params,
        });
        self.pgsocle(["ansible", kind]).stdin(request.to_string())
    }

    /// A server or client program of the site's major, such as `psql`, run by the servers' user.
    pub fn postgresql(&self, program: &str) -> Run {
        self.program(self.major.bindir().join(program))
    }

    /// What a query returns, unaligned and without a header, over the site's socket directory.
    pub fn sql(&self, port: u16, database: &str, query: &str) -> String {
        let output = self
            .postgresql("psql")
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h"])
            .arg(self.path("run/postgresql"))
            .args(["-p", &port.to_string(), "-d", database, "-c", query])
            .go();
        output.stdout.trim_end().to_owned()
    }

    /// Any program, run by the servers' user where the site's major is.
    pub fn program(&self, program: impl Into<OsString>) -> Run {
        let drop = [
            "setpriv".into(),
            format!("--reuid={}", self.account.uid),
            format!("--regid={}", self.account.gid),
            "--init-groups".into(),
            "--".into(),
        ];
        self.run(if self.account.drop { &drop } else { &[] }, program)
    }

    /// Gives the instance a certificate that it has signed itself.
    pub fn certify(&self) {
        let data = self.datadir();
        let (certificate, key) = (data.join("server.crt"), data.join("server.key"));
        self.program("openssl")
            .args(
                "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout".split(' '),
            )
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .go();
        self.write_owned(&key, &std::fs::read(&key).unwrap(), 0o600);
    }

    fn run(&self, launcher: &[String], program: impl Into<OsString>) -> Run {
        let mut argv: Vec<OsString> = launcher.iter().map(Into::into).collect();
        if let Some(tree) = &self.major.tree {
            argv.extend(["bwrap", "--ro-bind"].map(Into::into));
            argv.push(tree.into());
            argv.extend(
                [
                    "/",
                    "--dev-bind",
                    "/dev",
                    "/dev",
                    "--proc",
                    "/proc",
                    "--bind",
                    "/tmp",
                    "/tmp",
                    "--ro-bind",
                    "/etc/passwd",
                    "/etc/passwd",
                    "--ro-bind",
                    "/etc/group",
                    "/etc/group",
                    "--tmpfs",
                    "/run",
                    "--chdir",
                    "/tmp",
                    "--",
                ]
                .map(Into::into),
            );
        }
        argv.push(program.into());
        let variables = self.variables.iter();
        variables
            .fold(Run::argv(argv), |run, (name, value)| run.env(name, value))
            .env("HOME", self.path("home"))
            .env("USER", &self.account.name)
            .env("PGSOCLE_CONFIG_DIR", self.path("etc"))
            .current_dir(self.path("home"))
    }

    /// The servers that run below this site's directory: process and data directory.
    pub fn servers(&self) -> Vec<(i32, PathBuf)> {
        let mut servers = Vec::new();
        let mut directories = vec![self.dir().to_owned()];
        while let Some(directory) = directories.pop() {
            let Ok(entries) = std::fs::read_dir(&directory) else {
                continue;
            };
            for entry in entries.flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    directories.push(entry.path());
                } else if entry.file_name() == "postmaster.pid" {
                    let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
                    let pid = text
                        .lines()
                        .next()
                        .and_then(|line| line.trim().parse().ok());
                    servers.extend(
                        pid.filter(|pid| is_server(*pid))
                            .map(|pid| (pid, directory.clone())),
                    );
                }
            }
        }
        servers
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for (pid, _) in self.servers() {
            // SIGQUIT: an immediate shutdown, nothing of it is needed any more.
            let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
            let patience = Instant::now() + Duration::from_secs(20);
            while is_server(pid) && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        super::mounts::unmount_below(self.dir());
    }
}

/// Whether a process is a living `postgres`: a number in an old file may be another's by now, or a zombie's.
fn is_server(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.contains(" (postgres) ") && !stat.contains(") Z ")
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

/// A port that nobody listens on, given once in a run of the tests. Below the range from which the kernel takes the ports
/// of outgoing connections, so that none of these comes in between.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().expect("no test panics while it holds this");
    // Runs at the same time begin at different places.
    let start = 20_000 + u16::try_from(std::process::id() % 10_000).expect("below 10000");
    let port = (start..32_000)
        .chain(20_000..start)
        .find(|port| {
            !given.contains(port)
                && ["0.0.0.0", "::"]
                    .iter()
                    .any(|address| TcpListener::bind((*address, *port)).is_ok())
                && TcpListener::bind(("127.0.0.1", *port)).is_ok()
        })
        .expect("a free port");
    given.insert(port);
    port
}

/// Listens at an address that nobody uses. A program that another test is just starting holds, until its `exec`, a copy of
/// every descriptor of this process: a listener that was closed a moment ago may still be there.
pub fn listener(address: &str, port: u16) -> std::io::Result<TcpListener> {
    let mut bound = TcpListener::bind((address, port));
    for _ in 0..100 {
        match &bound {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                std::thread::sleep(Duration::from_millis(50));
                bound = TcpListener::bind((address, port));
            }
            _ => break,
        }
    }
    bound
}

#[test]
fn a_server_of_every_major_runs_as_an_ordinary_user_and_goes_with_its_site() {
    for major in Major::all() {
        let site = Site::new(&major);
        let (data, socket) = (site.path("srv/data"), site.path("run/postgresql"));
        std::fs::create_dir(&socket).unwrap();
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777)).unwrap();
        site.postgresql("initdb")
            .args(["--auth=trust", "--no-sync", "-U", "postgres", "-D"])
            .arg(&data)
            .go();
        site.postgresql("pg_ctl")
            .args(["-w", "-s", "-l"])
            .arg(site.path("home/log"))
            .arg("-D")
            .arg(&data)
            .arg("-o")
            .arg(format!("-p {} -k {} -h ''", site.port(), socket.display()))
            .arg("start")
            .go();
        let version = site
            .postgresql("psql")
            .args(["-XAtq", "-U", "postgres", "-h"])
            .arg(&socket)
            .args(["-p", &site.port().to_string()])
            .args(["-c", "show server_version_num", "postgres"])
            .go();
        assert_eq!(
            version.stdout.trim().parse::<u32>().unwrap() / 10_000,
            major.number
        );
        let servers = site.servers();
        assert_eq!(
            servers.iter().map(|(_, dir)| dir).collect::<Vec<_>>(),
            [&data]
        );
        let dir = site.dir().to_owned();
        drop(site);
        assert!(!is_server(servers[0].0), "the server of {major:?} is left");
        assert!(!dir.exists(), "{} is left", dir.display());
    }
}
