//! Where a cluster that others made has its things, and who runs it.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use serde_json::Value;

use crate::fault::{Fault, Kind};
use crate::host::{FileKind, Look, Probe, Query};
use crate::pg::conf::Conf;
use crate::pg::guc;
use crate::pg::pgpass::Pgpass;
use crate::pg::postmaster_opts::PostmasterOpts;
use crate::pg::postmaster_pid::PostmasterPid;
use crate::pg::version::Major;
use crate::resource::catalog;
use crate::resource::instance::directory::{Directory, directory};
use crate::resource::instance::keeper::{self, Keeper, Traces};
use crate::resource::instance::reading::Reading;
use crate::resource::instance::record::{Adopted, system_identifier};
use crate::resource::instance::runner::{self, Runner};
use crate::resource::instance::target::{Running, Target};
use crate::settings::Settings;
use crate::{bail_fault, fault};

/// What is said of a cluster that is to be adopted.
#[derive(Debug, Clone)]
pub struct Wish {
    pub version: Option<Major>,
    pub name: String,
    /// Unless given, where the packages of the distributions have it.
    pub datadir: Option<Utf8PathBuf>,
    /// postgresql.conf, where it cannot be told by itself.
    pub config_file: Option<Utf8PathBuf>,
}

/// A cluster that could be adopted.
pub struct Found {
    pub adopted: Adopted,
    /// Who else runs it, and how we know.
    pub keeper: Option<(Keeper, String)>,
    /// Its server programs are installed.
    pub programs: bool,
    pub running: bool,
    pub warnings: Vec<String>,
}

/// A cluster of postgresql-common: `/etc/postgresql/VERSION/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packaged {
    pub version: String,
    pub name: String,
    pub datadir: Utf8PathBuf,
    pub config_file: Utf8PathBuf,
}

/// Where postgresql-common keeps the configuration of its clusters.
const CONFIGURATIONS: &str = "/etc/postgresql";

/// The clusters of postgresql-common (`pg_lsclusters` finds them so).
pub fn packaged(look: &dyn Look) -> Result<Vec<Packaged>> {
    let root = Utf8Path::new(CONFIGURATIONS);
    let mut found = Vec::new();
    for version in look.list(root)?.unwrap_or_default() {
        for name in look.list(&root.join(&version))?.unwrap_or_default() {
            let config_file = root.join(&version).join(&name).join("postgresql.conf");
            let Some(content) = look.read(&config_file)? else {
                continue;
            };
            let conf = Conf::parse(&content).with_context(|| config_file.to_string())?;
            if let Some(datadir) = conf.get("data_directory") {
                found.push(Packaged {
                    version: version.clone(),
                    name,
                    datadir: plain(Utf8Path::new(&datadir)),
                    config_file,
                });
            }
        }
    }
    Ok(found)
}

/// Without a slash at its end.
fn plain(path: &Utf8Path) -> Utf8PathBuf {
    path.components().collect()
}

/// The data directory that is meant.
pub fn place(look: &dyn Look, wish: &Wish, packaged: &[Packaged]) -> Result<Utf8PathBuf> {
    if let Some(path) = &wish.datadir {
        if !path.is_absolute() {
            bail_fault!(Input, "data directory `{path}` is not an absolute path");
        }
        return Ok(plain(path));
    }
    let mut places: Vec<Utf8PathBuf> = packaged
        .iter()
        .filter(|cluster| cluster.name == wish.name)
        .filter(|cluster| {
            wish.version
                .is_none_or(|version| version.to_string() == cluster.version)
        })
        .map(|cluster| cluster.datadir.clone())
        .collect();
    // Red Hat's and PGDG's packages know one cluster of a major, without a name.
    if places.is_empty() {
        let root = Utf8Path::new("/var/lib/pgsql");
        let majors = look.list(root)?.unwrap_or_default();
        let numbered = majors.iter().map(|major| root.join(major).join("data"));
        for path in numbered.chain([root.join("data")]) {
            if let Directory::Cluster(major) = directory(look, &path)?
                && wish
                    .version
                    .is_none_or(|version| version.to_string() == major)
            {
                places.push(path);
            }
        }
    }
    let shown = match wish.version {
        Some(version) => format!("{version}/{}", wish.name),
        None => wish.name.clone(),
    };
    match &places[..] {
        [only] => Ok(only.clone()),
        [] => {
            let known: Vec<String> = packaged
                .iter()
                .map(|cluster| format!("{}/{}", cluster.version, cluster.name))
                .collect();
            let known = if known.is_empty() {
                String::new()
            } else {
                format!("; postgresql-common has {}", known.join(", "))
            };
            bail_fault!(
                NotFound,
                "there is no cluster `{shown}` to adopt, neither below {CONFIGURATIONS} nor below /var/lib/pgsql";
                "say where it lies with `datadir`{known}"
            )
        }
        several => {
            let several: Vec<&str> = several.iter().map(|path| path.as_str()).collect();
            bail_fault!(
                Input,
                "several clusters could be `{shown}`: {}", several.join(", ");
                "say which one is meant with `datadir`"
            )
        }
    }
}

/// Looks at a cluster with everything that its adoption has to know.
pub fn find(look: &dyn Look, site: &Settings, wish: &Wish) -> Result<Found> {
    let packaged = packaged(look)?;
    let datadir = place(look, wish, &packaged)?;
    let version = version(look, wish, &datadir)?;
    let opts = PostmasterOpts::parse(
        &look
            .read(&datadir.join("postmaster.opts"))?
            .unwrap_or_default(),
    );
    let packaged = packaged
        .into_iter()
        .find(|cluster| cluster.datadir == datadir);
    let config_file = config_file(look, wish, &datadir, &opts, packaged.as_ref())?;
    let conf = Conf::parse(&look.read(&config_file)?.unwrap_or_default())
        .with_context(|| config_file.to_string())?;
    let beside = |name: &str, setting: &str, told: &Option<Utf8PathBuf>| -> Result<Utf8PathBuf> {
        let said = told.clone().or_else(|| conf.get(setting).map(Into::into));
        if let Some(path) = said {
            return Ok(datadir.join(path));
        }
        // Without a word of it, in the directory of `-D` (SelectConfigFiles in guc.c).
        let directory = opts.directory.as_deref().unwrap_or(&datadir);
        let usual = plain(directory).join(name);
        Ok(match look.stat(&usual)? {
            Some(_) => usual,
            None => config_file.with_file_name(name),
        })
    };
    let mut adopted = Adopted {
        version,
        name: wish.name.clone(),
        wal_directory: match look.link(&datadir.join("pg_wal"))? {
            Some(elsewhere) => elsewhere,
            None => datadir.join("pg_wal"),
        },
        hba_file: beside("pg_hba.conf", "hba_file", &opts.hba_file)?,
        ident_file: beside("pg_ident.conf", "ident_file", &opts.ident_file)?,
        socket_directory: "/var/run/postgresql".into(),
        system_identifier: system_identifier(look, &datadir)?,
        log_file: packaged.as_ref().map(|cluster| {
            format!(
                "/var/log/postgresql/postgresql-{}-{}.log",
                cluster.version, cluster.name
            )
            .into()
        }),
        unit: None,
        passwords: Vec::new(),
        data_directory: datadir,
        config_file,
    };
    let target = |adopted: &Adopted| {
        let paths = adopted.place(site.paths(version, &wish.name));
        Target::at(site, look, paths, Some(adopted.clone()))
    };
    let first = target(&adopted)?;
    let running = first.running(look)?;
    let mut preloaded = preloaded(look, &adopted, &conf)?;
    if let Some(running) = &running {
        let told = ask(look, running, &adopted)?;
        adopted.config_file = told.config_file;
        adopted.hba_file = told.hba_file;
        adopted.ident_file = told.ident_file;
        adopted
            .socket_directory
            .clone_from(&running.server.socket_directory);
        preloaded = told.preloaded;
    } else {
        adopted.socket_directory = socket_directory(look, &first, &conf)?;
    }
    let runner = runner::observe(
        look,
        &adopted,
        running.as_ref().map(|running| running.pid),
        packaged.as_ref(),
    )?;
    let (traces, mut warnings) = traces(look, &adopted, conf, preloaded, &runner, wish)?;
    let keeper = keeper::recognise(&traces);
    // What a keeper runs, it runs in whatever unit it likes.
    if keeper.is_none() {
        adopted.unit = runner.unit(&look.caller().user, &mut warnings)?;
    }
    let last = target(&adopted)?;
    if let Some(passfile) = &last.paths.passfile {
        let port = match &running {
            Some(running) => running.server.port,
            None => last.configured_on_disk(look)?.port,
        };
        let content = look.read(passfile)?.unwrap_or_default();
        adopted.passwords = Pgpass::parse(&content)?.users_at(port);
    }
    warnings.extend(locked(look, &adopted)?);
    Ok(Found {
        programs: look.stat(&last.bindir.join("postgres"))?.is_some(),
        running: running.is_some(),
        adopted,
        keeper,
        warnings,
    })
}

/// Whether server programs are installed that the cluster could have.
pub fn has_programs(look: &dyn Look, site: &Settings, version: Option<Major>) -> Result<bool> {
    let majors = version.map_or_else(|| Major::known().collect(), |version| vec![version]);
    for bindir in majors.into_iter().flat_map(|major| site.bindirs(major)) {
        if look.stat(&bindir.join("postgres"))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The major of the cluster; refuses what is none, or not ours to have.
fn version(look: &dyn Look, wish: &Wish, datadir: &Utf8Path) -> Result<Major> {
    // A link to a directory is followed. Of a directory that only its owner may enter, it is the directory that tells the owner.
    let stat = match look.stat(&datadir.join(".")) {
        Err(error) if Fault::is(&error, Kind::Denied) => look
            .stat(datadir)?
            .filter(|stat| stat.kind == FileKind::Directory)
            .ok_or(error)
            .map(Some)?,
        found => found?,
    };
    let Some(stat) = stat else {
        bail_fault!(
            NotFound,
            "data directory `{datadir}` does not exist";
            "say where the cluster lies with `datadir`; is its file system mounted?"
        );
    };
    let caller = look.caller();
    if stat.kind == FileKind::Directory && stat.uid != caller.uid {
        let owner = user(look, stat.uid)?;
        bail_fault!(
            Denied,
            "data directory `{datadir}` belongs to user `{owner}`, and instances of this site belong to `{}`", caller.user;
            "adopt it with a site of its own, whose settings have `sysuser: [{owner}, …]` (PGSOCLE_CONFIG_DIR names its directory)"
        );
    }
    let found = match directory(look, datadir)? {
        Directory::Cluster(major) => major,
        Directory::Missing | Directory::Empty | Directory::Remains | Directory::Other => {
            bail_fault!(
                Conflict,
                "`{datadir}` holds no cluster (or one that is still being made)";
                "say where the cluster lies with `datadir`"
            )
        }
    };
    if let Some(content) = look.read(&datadir.join("postmaster.pid"))?
        && let Some(pid) = PostmasterPid::parse(&content).pid
        && pid < 0
        && look.alive(-pid)
    {
        bail_fault!(
            Conflict,
            "a stand-alone backend (process {}) works in `{datadir}`: the cluster is being made, upgraded or repaired", -pid;
            "wait until it has ended"
        );
    }
    let Ok(major) = found.parse::<Major>() else {
        bail_fault!(
            Unsupported,
            "`{datadir}` is of PostgreSQL {found}, which is older than what is supported"
        );
    };
    if wish.version.is_some_and(|version| version != major) {
        bail_fault!(
            Conflict,
            "data directory `{datadir}` belongs to PostgreSQL {major}, not {}", wish.version.map(|version| version.to_string()).unwrap_or_default();
            "adopt it as `{major}/{}`", wish.name
        );
    }
    Ok(major)
}

/// The name of a user, or its number.
fn user(look: &dyn Look, uid: u32) -> Result<String> {
    let users = look.read(Utf8Path::new("/etc/passwd"))?.unwrap_or_default();
    let users = String::from_utf8_lossy(&users).into_owned();
    let number = uid.to_string();
    let line = users
        .lines()
        .find(|line| line.split(':').nth(2) == Some(&number));
    let name = line.and_then(|line| line.split(':').next());
    Ok(name.map_or(number.clone(), str::to_owned))
}

/// postgresql.conf: said, or with which the server was last started, or postgresql-common's, or in the data directory.
fn config_file(
    look: &dyn Look,
    wish: &Wish,
    datadir: &Utf8Path,
    opts: &PostmasterOpts,
    packaged: Option<&Packaged>,
) -> Result<Utf8PathBuf> {
    let started = opts.config_file.clone().or_else(|| {
        let directory = opts.directory.as_ref();
        directory.map(|directory| plain(directory).join("postgresql.conf"))
    });
    let candidates = [
        packaged.map(|cluster| cluster.config_file.clone()),
        started,
        Some(datadir.join("postgresql.conf")),
    ];
    if let Some(said) = &wish.config_file {
        if look.stat(said)?.is_none() {
            bail_fault!(NotFound, "configuration file `{said}` does not exist"; "give the postgresql.conf of `{datadir}`");
        }
        return Ok(said.clone());
    }
    for candidate in candidates.into_iter().flatten() {
        if candidate.is_absolute() && look.stat(&candidate)?.is_some() {
            return Ok(candidate);
        }
    }
    bail_fault!(
        NotFound,
        "the postgresql.conf of `{datadir}` is not to be found";
        "say where it is with `config_file`"
    )
}

#[derive(Deserialize)]
struct Told {
    config_file: Utf8PathBuf,
    hba_file: Utf8PathBuf,
    ident_file: Utf8PathBuf,
    preloaded: String,
}

/// What the server says of itself; it must let us in.
fn ask(look: &dyn Look, running: &Running, adopted: &Adopted) -> Result<Told> {
    let query = Query {
        server: running.server.clone(),
        database: catalog::MAINTENANCE.into(),
        sql: include_str!("../../sql/adoption.sql"),
        parameter: Value::Null,
    };
    let rows = look.rows(query).map_err(|error| {
        let why = Fault::of(&error).map_or_else(|| format!("{error:#}"), |fault| fault.msg.clone());
        let (user, server) = (&look.caller().user, &running.server);
        fault!(
            Denied,
            "the server of `{}` does not let `{user}` in as role `{}`: {why}", adopted.data_directory, server.user;
            "let it in by the socket in {}: a line `local all {} peer` at the top of {}, then reload",
            server.socket_directory, server.user, adopted.hba_file
        )
    })?;
    let told = rows.into_iter().next();
    told.context("the server said nothing of itself")
}

/// Where a stopped server will have its socket.
fn socket_directory(look: &dyn Look, target: &Target, conf: &Conf) -> Result<Utf8PathBuf> {
    if let Some(said) = conf.get("unix_socket_directories") {
        let said = guc::split_list(&said);
        if let Some(first) = said.into_iter().find(|path| path.starts_with('/')) {
            return Ok(first.into());
        }
    }
    let usual = target.paths.socket_directory.clone();
    if look.stat(&target.bindir.join("postgres"))?.is_none() {
        return Ok(usual);
    }
    let output = look.probe(&Probe::describe_config(&target.bindir))?;
    let built_in = guc::parse_describe_config(&output.text())
        .into_iter()
        .find(|guc| guc.name == "unix_socket_directories")
        .and_then(|guc| guc::split_list(&guc.boot?).into_iter().next());
    Ok(built_in.map_or(usual, Utf8PathBuf::from))
}

/// What a stopped server will load at its start.
fn preloaded(look: &dyn Look, adopted: &Adopted, conf: &Conf) -> Result<String> {
    let file = adopted.data_directory.join("postgresql.auto.conf");
    let auto =
        Conf::parse(&look.read(&file)?.unwrap_or_default()).with_context(|| file.to_string())?;
    let mut reading = Reading::of(look, &adopted.config_file, conf)?;
    reading.and_auto(&file, &auto);
    let said = reading.of_parameter("shared_preload_libraries").next();
    Ok(said.map_or_else(String::new, |assignment| assignment.value.clone()))
}

/// What tells of others that run it, and what could not be seen of them.
fn traces(
    look: &dyn Look,
    adopted: &Adopted,
    conf: Conf,
    preloaded: String,
    runner: &Runner,
    wish: &Wish,
) -> Result<(Traces, Vec<String>)> {
    let directory = adopted
        .config_file
        .parent()
        .unwrap_or(&adopted.data_directory);
    let mut names = look.list(&adopted.data_directory)?.unwrap_or_default();
    names.extend(look.list(directory)?.unwrap_or_default());
    let (mut files, mut warnings) = (Vec::new(), Vec::new());
    for place in keeper::PLACES {
        let place = place
            .replace("VERSION", &adopted.version.to_string())
            .replace("NAME", &wish.name);
        let place = Utf8PathBuf::from(place);
        let below: Vec<Utf8PathBuf> = match look.list(&place) {
            Ok(Some(names)) => names.iter().map(|name| place.join(name)).collect(),
            _ => vec![place],
        };
        for path in below {
            if !matches!(path.extension(), Some("yml" | "yaml" | "conf" | "xml")) {
                continue;
            }
            match look.read(&path) {
                Ok(Some(content)) => {
                    files.push((path, String::from_utf8_lossy(&content).into_owned()));
                }
                Ok(None) => {}
                Err(_) => warnings.push(format!(
                    "`{path}` cannot be read by `{}`: whether its program runs the cluster is not known",
                    look.caller().user
                )),
            }
        }
    }
    let traces = Traces {
        datadir: adopted.data_directory.clone(),
        names,
        conf: Some(conf),
        preloaded,
        unit: runner.within.clone(),
        parent: runner.parent.clone(),
        files,
    };
    Ok((traces, warnings))
}

/// Files are replaced, so that their directory must be ours to write.
fn locked(look: &dyn Look, adopted: &Adopted) -> Result<Option<String>> {
    let caller = look.caller();
    for file in [&adopted.config_file, &adopted.hba_file] {
        let Some(directory) = file.parent() else {
            continue;
        };
        if let Some(stat) = look.stat(&directory.join("."))?
            && stat.uid != caller.uid
            && stat.mode & 0o002 == 0
            && !(stat.gid == caller.gid && stat.mode & 0o020 != 0)
        {
            return Ok(Some(format!(
                "`{}` can be changed by its owner `{}` only: `{}` cannot change what is in it",
                directory,
                user(look, stat.uid)?,
                caller.user
            )));
        }
    }
    Ok(None)
}
