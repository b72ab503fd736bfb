//! Where the things of an instance are, and which instance a data directory belongs to.

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::template::{Part, parts};
use super::{RequireMountpoint, Settings};
use crate::pg::version::Major;

/// Where the things of an instance are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstancePaths {
    pub version: Major,
    pub name: String,
    /// `version-name`: the name of its services, and `{name}` in the paths of components.
    pub qualified_name: String,
    pub datadir: Utf8PathBuf,
    pub waldir: Utf8PathBuf,
    /// Directory of its logs, shared with other instances; none where logging is left to the instance.
    pub logdir: Option<Utf8PathBuf>,
    /// What a server says before its own log is open, and that of one started for the time of a run.
    pub start_log: Utf8PathBuf,
    /// Directory of its socket, shared with other instances.
    pub socket_directory: Utf8PathBuf,
    pub dumps_directory: Utf8PathBuf,
    /// The system user's password file, shared with other instances.
    pub passfile: Option<Utf8PathBuf>,
    pub psqlrc: Utf8PathBuf,
    pub psql_history: Utf8PathBuf,
    /// postgresql.conf: in the data directory, unless the instance was adopted with it elsewhere.
    pub config_file: Utf8PathBuf,
    /// `pg_hba.conf`, likewise.
    pub hba_file: Utf8PathBuf,
    /// `pg_ident.conf`, likewise.
    pub ident_file: Utf8PathBuf,
    /// The state that we keep about it, `{prefix}/var/pgsocle/{version}-{name}`; stays when the instance
    /// is dropped, as its history does.
    pub state_directory: Utf8PathBuf,
    /// Journals of runs that change something, while they run (`journal` in the state directory).
    pub journal_dir: Utf8PathBuf,
    /// Records of the runs that changed something (`history` in the state directory).
    pub history: Utf8PathBuf,
    /// The lock that a run which changes something holds (`lock` in the state directory).
    pub lock: Utf8PathBuf,
    /// What is kept about the instance itself: its protection, and where an adopted one lies (`instance.json` in the
    /// state directory; `resource::instance::record` reads it).
    pub record: Utf8PathBuf,
}

/// As people address it: `15/main`.
impl std::fmt::Display for InstancePaths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.version, self.name)
    }
}

/// The directories that may be data directories: start at `base` and go down level by level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatadirPattern {
    /// The part of the template without variables.
    pub base: Utf8PathBuf,
    pub levels: Vec<Level>,
}

/// A directory below another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// The one of this name.
    Fixed(String),
    /// Any; what it says is found by [`Settings::instance_of`].
    Any,
}

impl InstancePaths {
    /// While this file is there nothing starts the server (`resource::instance::hold` reads and writes it).
    pub fn hold(&self) -> Utf8PathBuf {
        self.state_directory.join("hold")
    }

    /// The hosts by which entries of the password file mean this one.
    pub fn own_hosts(&self) -> [&str; 5] {
        [
            "*",
            "localhost",
            "127.0.0.1",
            "::1",
            self.socket_directory.as_str(),
        ]
    }
}

impl Settings {
    /// Where the things of an instance are. The name must be a valid one: it becomes part of paths.
    pub fn paths(&self, version: Major, name: &str) -> InstancePaths {
        let postgresql = &self.postgresql;
        let qualified_name = format!("{version}-{name}");
        let number = version.to_string();
        let values = [("version", number.as_str()), ("name", name)];
        let datadir = fill(&postgresql.datadir, &values);
        let state_directory = self.state_directory().join(&qualified_name);
        InstancePaths {
            version,
            name: name.to_owned(),
            waldir: fill(&postgresql.waldir, &values),
            start_log: postgresql
                .logpath
                .as_ref()
                .unwrap_or(&state_directory)
                .join(format!("{qualified_name}-start.log")),
            logdir: postgresql.logpath.clone(),
            socket_directory: postgresql.socket_directory.clone(),
            dumps_directory: fill(&postgresql.dumps_directory, &values),
            passfile: postgresql.auth.passfile.clone(),
            psqlrc: datadir.join(".psqlrc"),
            psql_history: datadir.join(".psql_history"),
            config_file: datadir.join("postgresql.conf"),
            hba_file: datadir.join("pg_hba.conf"),
            ident_file: datadir.join("pg_ident.conf"),
            record: state_directory.join("instance.json"),
            journal_dir: state_directory.join("journal"),
            history: state_directory.join("history"),
            lock: state_directory.join("lock"),
            state_directory,
            datadir,
            qualified_name,
        }
    }

    /// The state that we keep, one directory in it for each instance: `{prefix}/var/pgsocle`.
    pub fn state_directory(&self) -> Utf8PathBuf {
        self.prefix.join("var/pgsocle")
    }

    /// A path of a component for an instance: `{name}` in the template is the qualified name.
    pub fn satellite(&self, template: &Utf8Path, instance: &InstancePaths) -> Utf8PathBuf {
        fill(template, &[("name", instance.qualified_name.as_str())])
    }

    /// Whether the directory of an instance's dumps may hold those of others, by its template.
    pub fn dumps_are_shared(&self) -> bool {
        let template = self.postgresql.dumps_directory.as_str();
        super::variables(template).is_ok_and(|names| {
            !["version", "name"]
                .iter()
                .all(|wanted| names.contains(wanted))
        })
    }

    /// The directory that must be a mount point before an instance is created or changed.
    pub fn mountpoint(&self, instance: &InstancePaths) -> Option<Utf8PathBuf> {
        match &self.require_mountpoint {
            RequireMountpoint::Parent(false) => None,
            RequireMountpoint::Parent(true) => instance.datadir.parent().map(Utf8Path::to_owned),
            RequireMountpoint::Path(path) => Some(path.clone()),
        }
    }

    /// Where the programs of a major may be, the first that holds them counts: the listed directory
    /// alone, or the template `bindir`, or the usual places of the distributions.
    pub fn bindirs(&self, version: Major) -> Vec<Utf8PathBuf> {
        let postgresql = &self.postgresql;
        if let Some(listed) = postgresql
            .versions
            .iter()
            .find(|listed| listed.version == version)
        {
            return vec![listed.bindir.clone()];
        }
        let number = version.to_string();
        let values = [("version", number.as_str())];
        match &postgresql.bindir {
            Some(template) => vec![fill(template, &values)],
            None => [
                "/usr/lib/postgresql/{version}/bin",
                "/usr/pgsql-{version}/bin",
            ]
            .map(|template| fill(template.into(), &values))
            .to_vec(),
        }
    }

    /// Where to look for data directories.
    pub fn datadir_pattern(&self) -> DatadirPattern {
        let mut base = Utf8PathBuf::new();
        let mut levels = Vec::new();
        for component in self.postgresql.datadir.components() {
            let variable = parts(component.as_str())
                .is_ok_and(|parts| parts.iter().any(|part| matches!(part, Part::Variable(_))));
            let plain = || fill(component.as_str().into(), &[]).into_string();
            match (variable, levels.is_empty()) {
                (true, _) => levels.push(Level::Any),
                (false, true) => base.push(plain()),
                (false, false) => levels.push(Level::Fixed(plain())),
            }
        }
        DatadirPattern { base, levels }
    }

    /// The instance whose data directory a path is, by the template alone. The major is unknown where the
    /// template has no `{version}`: the data directory's own `PG_VERSION` says it.
    pub fn instance_of(&self, path: &Utf8Path) -> Option<(Option<Major>, String)> {
        let mut found = Found::default();
        let mut templates = self.postgresql.datadir.components();
        let mut components = path.components();
        loop {
            match (templates.next(), components.next()) {
                (None, None) => break,
                (Some(template), Some(component)) => {
                    // Dots are no names: `a/../b` is not below `a`.
                    if component == Utf8Component::ParentDir {
                        return None;
                    }
                    let parts = parts(template.as_str()).ok()?;
                    found = found.with(&parts, component.as_str())?;
                }
                _ => return None,
            }
        }
        Some((found.version, found.name?))
    }
}

/// A template with its values. Templates are checked at loading: what cannot be filled in is not there.
fn fill(template: &Utf8Path, values: &[(&str, &str)]) -> Utf8PathBuf {
    super::expand(template.as_str(), values).map_or_else(|_| template.to_owned(), Utf8PathBuf::from)
}

/// What the variables of a template are in a path.
#[derive(Debug, Default, Clone)]
struct Found {
    version: Option<Major>,
    name: Option<String>,
}

impl Found {
    /// Matches one component of a path. A variable that is there again has the same value again; where
    /// several ways lead through, the earlier variable is the longest.
    fn with(&self, parts: &[Part<'_>], text: &str) -> Option<Self> {
        let Some((part, parts)) = parts.split_first() else {
            return text.is_empty().then(|| self.clone());
        };
        let variable = match part {
            Part::Text(part) => return self.with(parts, text.strip_prefix(part)?),
            Part::Variable(variable) => *variable,
        };
        let ends = text
            .char_indices()
            .map(|(at, letter)| at + letter.len_utf8());
        ends.rev().find_map(|end| {
            let (value, rest) = text.split_at_checked(end)?;
            let mut found = self.clone();
            if variable == "version" {
                if !value.bytes().all(|byte| byte.is_ascii_digit()) || value.starts_with('0') {
                    return None;
                }
                let version: Major = value.parse().ok()?;
                if found
                    .version
                    .replace(version)
                    .is_some_and(|earlier| earlier != version)
                {
                    return None;
                }
            } else {
                // As in `{version}-{name}`: names have no hyphen.
                if value.contains('-')
                    || found.name.as_ref().is_some_and(|earlier| earlier != value)
                {
                    return None;
                }
                found.name = Some(value.to_owned());
            }
            found.with(parts, rest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Caller;
    use proptest::prelude::*;

    fn settings(text: &str) -> Settings {
        let caller = Caller {
            user: "postgres".to_owned(),
            group: "postgres".to_owned(),
            uid: 26,
            gid: 26,
            home: "/var/lib/pgsql".into(),
            config_home: None,
            data_home: None,
            runtime_dir: None,
            root: true,
        };
        Settings::load(Some(("x.yaml".into(), text)), &[], &caller).unwrap()
    }

    fn major(number: &str) -> Major {
        number.parse().unwrap()
    }

    #[test]
    fn of_an_instance() {
        let settings = settings(
            "prefix: /p\nrun_prefix: /r\nprometheus: {execpath: /x}\nrequire_mountpoint: true",
        );
        let paths = settings.paths(major("17"), "main");
        assert_eq!(
            paths,
            InstancePaths {
                version: major("17"),
                name: "main".to_owned(),
                qualified_name: "17-main".to_owned(),
                datadir: "/p/srv/pgsql/17/main/data".into(),
                waldir: "/p/srv/pgsql/17/main/wal".into(),
                logdir: Some("/p/log/postgresql".into()),
                start_log: "/p/log/postgresql/17-main-start.log".into(),
                socket_directory: "/r/postgresql".into(),
                dumps_directory: "/p/srv/dumps/17-main".into(),
                passfile: Some("/var/lib/pgsql/.pgpass".into()),
                psqlrc: "/p/srv/pgsql/17/main/data/.psqlrc".into(),
                psql_history: "/p/srv/pgsql/17/main/data/.psql_history".into(),
                config_file: "/p/srv/pgsql/17/main/data/postgresql.conf".into(),
                hba_file: "/p/srv/pgsql/17/main/data/pg_hba.conf".into(),
                ident_file: "/p/srv/pgsql/17/main/data/pg_ident.conf".into(),
                record: "/p/var/pgsocle/17-main/instance.json".into(),
                state_directory: "/p/var/pgsocle/17-main".into(),
                journal_dir: "/p/var/pgsocle/17-main/journal".into(),
                history: "/p/var/pgsocle/17-main/history".into(),
                lock: "/p/var/pgsocle/17-main/lock".into(),
            }
        );
        assert_eq!(settings.mountpoint(&paths).unwrap(), "/p/srv/pgsql/17/main");
        assert_eq!(
            settings.satellite(&settings.prometheus.as_ref().unwrap().configpath, &paths),
            "/p/etc/prometheus/postgres_exporter-17-main.conf"
        );
    }

    #[test]
    fn programs() {
        for (text, expected) in [
            ("", vec!["/usr/lib/postgresql/15/bin", "/usr/pgsql-15/bin"]),
            ("postgresql: {bindir: '/o/{version}/b'}", vec!["/o/15/b"]),
            (
                "postgresql: {bindir: '/o/{version}/b', versions: [{version: 15, bindir: /fifteen}]}",
                vec!["/fifteen"],
            ),
        ] {
            assert_eq!(settings(text).bindirs(major("15")), expected, "{text}");
        }
    }

    #[test]
    fn where_instances_are() {
        for (datadir, base, levels) in [
            (
                "/p/{version}/{name}/data",
                "/p",
                vec![Level::Any, Level::Any, Level::Fixed("data".to_owned())],
            ),
            ("/p/q/x-{version}-{name}", "/p/q", vec![Level::Any]),
            ("/p/{{q}}/{name}", "/p/{q}", vec![Level::Any]),
        ] {
            let text = format!("postgresql: {{datadir: '{datadir}', waldir: '{datadir}/wal'}}");
            assert_eq!(
                settings(&text).datadir_pattern(),
                DatadirPattern {
                    base: base.into(),
                    levels
                },
                "{datadir}"
            );
        }
    }

    #[test]
    fn which_instance() {
        let found = |datadir: &str, path: &str| {
            let text = format!("postgresql: {{datadir: '{datadir}', waldir: '{datadir}/wal'}}");
            settings(&text)
                .instance_of(path.into())
                .map(|(version, name)| match version {
                    Some(version) => format!("{version}/{name}"),
                    None => name,
                })
        };
        for (datadir, path, expected) in [
            (
                "/p/{version}/{name}/data",
                "/p/17/main/data",
                Some("17/main"),
            ),
            (
                "/p/{version}/{name}/data",
                "/p/17/main/data/",
                Some("17/main"),
            ),
            ("/p/{version}/{name}/data", "/p/17/main", None),
            ("/p/{version}/{name}/data", "/p/17/main/data/base", None),
            ("/p/{version}/{name}/data", "/q/17/main/data", None),
            ("/p/{version}/{name}/data", "/p/x/main/data", None),
            ("/p/{version}/{name}/data", "/p/017/main/data", None),
            ("/p/{version}/{name}/data", "/p/99999999/main/data", None),
            ("/p/{version}/{name}/data", "/p/17/a-b/data", None),
            ("/p/{version}/{name}/data", "/p/17/../data", None),
            ("/p/{version}-{name}", "/p/17-main", Some("17/main")),
            ("/p/{version}{name}", "/p/17main", Some("17/main")),
            ("/p/{version}{name}", "/p/17", None),
            ("/p/{name}-{version}", "/p/main-17", Some("17/main")),
            ("/p/{name}/{name}", "/p/a/a", Some("a")),
            ("/p/{name}/{name}", "/p/a/b", None),
            ("/p/{version}/{name}/{version}", "/p/15/a/15", Some("15/a")),
            ("/p/{version}/{name}/{version}", "/p/15/a/16", None),
            ("/p/{name}", "/p/é", Some("é")),
        ] {
            assert_eq!(
                found(datadir, path).as_deref(),
                expected,
                "{datadir} {path}"
            );
        }
    }

    proptest! {
        #[test]
        fn an_instance_is_found_at_its_path(name in "[a-z_][a-z0-9_]{0,9}", version in 10_u16..99) {
            let settings = settings("");
            let version = Major::new(version);
            let datadir = settings.paths(version, &name).datadir;
            prop_assert_eq!(settings.instance_of(&datadir), Some((Some(version), name)));
        }

        #[test]
        fn no_panic(path in any::<String>()) {
            let _ = settings("").instance_of(path.as_str().into());
        }
    }
}
