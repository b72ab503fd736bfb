//! The data directory: whether it is there, and how a new one is made.
//!
//! A new cluster is made beside its place and renamed once it is complete (`configuration` does that),
//! so that what is at the path template is never half-made. A mount point cannot be renamed: there it is
//! made in a directory of its own, whose content is then moved up, `PG_VERSION` last.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::host::{Command, Look, Probe};
use crate::manifest::LocaleProvider;
use crate::pg::pgpass::Pgpass;
use crate::pg::version::Major;
use crate::plan::{Action, Change, Diff, Fact, Impact, Plan, Scope, Step, attributes};
use crate::resource::instance::directory::{
    Directory, NEW_INSIDE, directory, is_mountpoint, leftovers,
};
use crate::resource::instance::kept::{self, Stranded};
use crate::resource::instance::target::Target;
use crate::stage::{Stage, World};
use crate::{bail_fault, fault};

/// What initdb is told; all of it can be chosen at creation only.
#[derive(Debug, Clone, Default)]
pub struct Traits {
    pub locale: Option<String>,
    pub locale_provider: Option<LocaleProvider>,
    pub icu_locale: Option<String>,
    pub encoding: Option<String>,
    pub data_checksums: Option<bool>,
    pub allow_group_access: bool,
}

/// The cluster of an instance that is wanted.
pub struct Cluster {
    pub target: Target,
    pub traits: Traits,
    pub port: u16,
    /// A missing one may be made.
    pub create: bool,
    /// … even though traces say that there was one.
    pub recreate: bool,
    /// Names near the wanted one, for the error.
    pub near: Option<String>,
    /// A directory that must be a mount point before anything is made (site setting `require_mountpoint`).
    pub mountpoint: Option<Utf8PathBuf>,
}

#[derive(Debug, Clone)]
pub struct Seen {
    pub programs: bool,
    pub datadir: Directory,
    pub waldir: Directory,
    /// What an interrupted run left behind; of a cluster that is there, inside of it.
    pub leftovers: Vec<Utf8PathBuf>,
    /// The WAL directory of one that was set aside.
    pub stranded: Option<Stranded>,
    pub port_taken: bool,
    pub locale_known: bool,
    /// Why we think that the instance existed before.
    pub trace: Option<String>,
    pub mounted: bool,
}

impl Stage for Cluster {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let paths = &self.target.paths;
        let datadir = directory(look, &paths.datadir)?;
        let exists = matches!(datadir, Directory::Cluster(_));
        let moved_up = paths.datadir.join(NEW_INSIDE);
        let leftovers = if !exists {
            leftovers(look, paths)?
        } else if look.list(&moved_up)?.is_some_and(|names| names.is_empty()) {
            vec![moved_up]
        } else {
            Vec::new()
        };
        let stranded = kept::stranded(look, paths)?;
        let waldir = if leftovers.contains(&paths.waldir) || stranded.is_some() {
            Directory::Missing
        } else {
            directory(look, &paths.waldir)?
        };
        let programs = look.stat(&self.target.bindir.join("initdb"))?.is_some();
        Ok(Seen {
            programs,
            waldir,
            port_taken: !exists && look.port_taken(self.port)?,
            locale_known: exists || !programs || self.locale_known(look)?,
            trace: if exists {
                None
            } else {
                match self.target.trace(look)? {
                    // A journal knows better: of a creation that failed, of a drop.
                    None if leftovers.is_empty() && look.stat(&paths.history)?.is_none() => {
                        self.password_trace(look)?
                    }
                    trace => trace,
                }
            },
            mounted: match &self.mountpoint {
                Some(path) => is_mountpoint(look, path)?,
                None => true,
            },
            datadir,
            leftovers,
            stranded,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let paths = &self.target.paths;
        match &seen.datadir {
            Directory::Cluster(major) if *major == paths.version.to_string() => {
                return Ok(Plan {
                    changes: seen
                        .leftovers
                        .iter()
                        .map(|path| self.tidied(path))
                        .collect(),
                    ..Plan::default()
                });
            }
            Directory::Cluster(major) => bail_fault!(
                Conflict,
                "data directory `{}` belongs to PostgreSQL {major}, not {}", paths.datadir, paths.version;
                "give the version that it has, or another name"
            ),
            Directory::Other => bail_fault!(
                Conflict,
                "data directory `{}` exists, is not empty and holds no cluster", paths.datadir;
                "empty it, or change `postgresql.datadir` in the site settings; nothing was changed"
            ),
            Directory::Missing | Directory::Empty | Directory::Remains => {}
        }
        if self.target.adopted.is_some() {
            bail_fault!(
                NotFound,
                "the adopted instance `{paths}` has no cluster at `{}`: it is never made anew there", paths.datadir;
                "mount it; or let go of the instance with `pgsocle instance forget {paths}`"
            );
        }
        if !self.create {
            let near = self
                .near
                .as_ref()
                .map(|near| format!(" (is `{near}` meant?)"))
                .unwrap_or_default();
            bail_fault!(
                NotFound,
                "instance `{paths}` does not exist{near}";
                "it is not made because of `create: false`; list instances with `pgsocle instance list`"
            );
        }
        if let Some(trace) = &seen.trace
            && !self.recreate
        {
            bail_fault!(
                Conflict,
                "instance `{paths}` {trace}, but its data directory `{}` is missing or empty: not mounted?", paths.datadir;
                "mount it; or set `recreate: true` to make a new, empty instance in its place"
            );
        }
        if let Some(path) = self.mountpoint.as_ref().filter(|_| !seen.mounted) {
            bail_fault!(
                Conflict,
                "`{path}` is no mount point, and the site settings require one for instance `{paths}`";
                "mount the file system, or change `require_mountpoint` in the site settings; nothing was changed"
            );
        }
        if !seen.waldir.is_free() && !self.target.wal_inside() {
            bail_fault!(Conflict, "WAL directory `{}` exists and is not empty", paths.waldir; "empty it; nothing was changed");
        }
        if seen.port_taken {
            bail_fault!(
                Conflict,
                "port {} of instance `{paths}` is taken on this host", self.port;
                "give another `port`; `ss -ltnp sport = :{}` shows who listens", self.port
            );
        }
        self.check_traits(seen)?;
        let mut plan = Plan {
            changes: vec![self.creation(seen)],
            facts: vec![Fact::ClusterMade],
            ..Plan::default()
        };
        if !seen.programs {
            plan.missing.push(fault!(
                NotFound,
                "server programs of PostgreSQL {} are not installed: no initdb in `{}`", paths.version, self.target.bindir;
                "install them (Debian: postgresql-{}), or set `postgresql.bindir` or `postgresql.versions` in the site settings", paths.version
            ));
        }
        Ok(plan)
    }
}

impl Cluster {
    /// The password file has an entry for the superuser role of an instance at this port.
    fn password_trace(&self, look: &dyn Look) -> Result<Option<String>> {
        let paths = &self.target.paths;
        let Some(passfile) = &paths.passfile else {
            return Ok(None);
        };
        let Some(content) = look.read(passfile)? else {
            return Ok(None);
        };
        let known =
            Pgpass::parse(&content)?.knows(&paths.own_hosts(), self.port, &self.target.surole);
        Ok(known.then(|| {
            format!(
                "existed (the password file `{passfile}` has an entry for role `{}` at port {})",
                self.target.surole, self.port
            )
        }))
    }

    fn locale_known(&self, look: &dyn Look) -> Result<bool> {
        let Some(locale) = &self.traits.locale else {
            return Ok(true);
        };
        let provider = self.traits.locale_provider.unwrap_or(LocaleProvider::Libc);
        if provider != LocaleProvider::Libc || ["c", "posix"].contains(&folded(locale).as_str()) {
            return Ok(true);
        }
        let output = look.probe(&Probe::locales())?;
        Ok(!output.success()
            || output
                .text()
                .lines()
                .any(|known| folded(known) == folded(locale)))
    }

    fn check_traits(&self, seen: &Seen) -> Result<()> {
        let (paths, traits) = (&self.target.paths, &self.traits);
        if !seen.locale_known {
            let locale = traits.locale.as_deref().unwrap_or_default();
            bail_fault!(
                Input,
                "locale `{locale}` of instance `{paths}` is not known on this host";
                "`locale -a` lists the known ones; Debian makes it with `localedef -i {} -f UTF-8 {locale}`",
                locale.split('.').next().unwrap_or(locale)
            );
        }
        check_provider(
            paths.version,
            traits.locale_provider,
            traits.icu_locale.as_deref(),
            &format!("instance `{paths}`"),
        )?;
        if let Some(encoding) = &traits.encoding {
            check_encoding(encoding, &format!("instance `{paths}`"))?;
        }
        Ok(())
    }

    /// The directory in which the cluster was made, on a mount point: everything has been moved out of it.
    fn tidied(&self, path: &Utf8PathBuf) -> Change {
        let paths = &self.target.paths;
        Change::new(
            Action::Alter,
            format!("data directory {paths}"),
            format!("remove `{path}`, which an interrupted creation left"),
            Diff::new(path.as_str(), "directory\n", ""),
            Impact::None,
            vec![Step::RemoveEmptyDir { path: path.clone() }],
        )
    }

    fn creation(&self, seen: &Seen) -> Change {
        let (paths, traits) = (&self.target.paths, &self.traits);
        let data = self.target.place(&paths.datadir);
        let mut command = Command::new(self.target.bindir.join("initdb"))
            .args(["-D", data.as_str()])
            .arg(format!("--username={}", self.target.surole))
            // pg_hba.conf is replaced before the first start; until then nobody comes in.
            .args(["--auth-local=peer", "--auth-host=reject"]);
        if paths.version >= Major::new(14) {
            command = command.arg("--no-instructions");
        }
        if let Some(encoding) = &traits.encoding {
            command = command.arg(format!("--encoding={encoding}"));
        }
        if let Some(provider) = traits.locale_provider {
            command = command.arg(format!("--locale-provider={}", provider.name()));
        }
        if let Some(locale) = &traits.locale {
            command = command.arg(format!("--locale={locale}"));
            if traits.locale_provider == Some(LocaleProvider::Builtin) {
                command = command.arg(format!("--builtin-locale={locale}"));
            }
        }
        if let Some(locale) = &traits.icu_locale {
            command = command.arg(format!("--icu-locale={locale}"));
        }
        match traits.data_checksums {
            Some(true) => command = command.arg("--data-checksums"),
            // From 18 on they are the default.
            Some(false) if paths.version >= Major::new(18) => {
                command = command.arg("--no-data-checksums");
            }
            _ => {}
        }
        if traits.allow_group_access {
            command = command.arg("--allow-group-access");
        }
        let mut steps: Vec<Step> = seen
            .leftovers
            .iter()
            .map(|path| self.target.clear(path))
            .chain(seen.stranded.as_ref().map(Stranded::follow))
            .collect();
        steps.extend(
            paths
                .datadir
                .parent()
                .map(|parent| Step::make_dir(parent, 0o755)),
        );
        let mut undo = vec![self.target.clear_new(&paths.datadir)];
        if !self.target.wal_inside() {
            let wal = self.target.place(&paths.waldir);
            steps.extend(
                paths
                    .waldir
                    .parent()
                    .map(|parent| Step::make_dir(parent, 0o755)),
            );
            command = command.arg(format!("--waldir={wal}"));
            undo.push(self.target.clear_new(&paths.waldir));
        }
        undo.extend(self.target.empty_parents());
        steps.push(Step::Run(command));
        let lines = [
            ("name", Some(paths.name.clone())),
            ("version", Some(paths.version.to_string())),
            ("data_directory", Some(paths.datadir.to_string())),
            ("wal_directory", Some(paths.waldir.to_string())),
            ("encoding", traits.encoding.clone()),
            ("locale", traits.locale.clone()),
            (
                "locale_provider",
                traits
                    .locale_provider
                    .map(|provider| provider.name().to_owned()),
            ),
            ("icu_locale", traits.icu_locale.clone()),
            (
                "data_checksums",
                traits.data_checksums.map(|on| on.to_string()),
            ),
        ];
        let object = format!("instance {paths}");
        let diff = Diff::new(&object, "", attributes(&lines));
        Change::new(
            Action::Create,
            object,
            format!("create instance `{paths}`"),
            diff,
            Impact::None,
            steps,
        )
        .undo(Scope::Creation, undo)
    }
}

/// `de_DE.UTF-8` and `de_DE.utf8` are the same locale.
pub fn folded(locale: &str) -> String {
    locale.to_lowercase().replace("utf-8", "utf8")
}

/// Which providers a major has (initdb's and CREATE DATABASE's options).
pub fn check_provider(
    version: Major,
    provider: Option<LocaleProvider>,
    icu_locale: Option<&str>,
    what: &str,
) -> Result<()> {
    let since = match provider {
        Some(LocaleProvider::Icu) => 15,
        Some(LocaleProvider::Builtin) => 17,
        Some(LocaleProvider::Libc) if version < Major::new(15) => {
            bail_fault!(Unsupported, "{what}: `locale_provider` can be chosen from PostgreSQL 15 on, this is {version}"; "leave it out: libc is the only one")
        }
        Some(LocaleProvider::Libc) | None => 0,
    };
    if version < Major::new(since) {
        let name = provider.map_or("", LocaleProvider::name);
        bail_fault!(
            Unsupported,
            "{what}: locale provider `{name}` comes with PostgreSQL {since}, this is {version}"
        );
    }
    if icu_locale.is_some() && provider != Some(LocaleProvider::Icu) {
        bail_fault!(Input, "{what}: `icu_locale` needs `locale_provider: icu`");
    }
    if provider == Some(LocaleProvider::Icu) && icu_locale.is_none() {
        bail_fault!(
            Input,
            "{what}: `locale_provider: icu` needs `icu_locale`, as `en-US` or `und`"
        );
    }
    Ok(())
}

/// Server-side encodings (documentation, 24.3.1), folded as the server folds them.
const ENCODINGS: &[&str] = &[
    "eucjp",
    "euccn",
    "euckr",
    "euctw",
    "eucjis2004",
    "iso88595",
    "iso88596",
    "iso88597",
    "iso88598",
    "koi8",
    "koi8r",
    "koi8u",
    "latin1",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "latin9",
    "latin10",
    "iso88591",
    "iso88592",
    "iso88593",
    "iso88594",
    "iso88599",
    "iso885910",
    "iso885913",
    "iso885914",
    "iso885915",
    "iso885916",
    "muleinternal",
    "sqlascii",
    "unicode",
    "utf8",
    "win",
    "win866",
    "win874",
    "win1250",
    "win1251",
    "win1252",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
    "windows1250",
    "windows1251",
    "windows1252",
    "windows1253",
    "windows1254",
    "windows1255",
    "windows1256",
    "windows1257",
    "windows1258",
    "windows866",
    "windows874",
    "tcvn",
    "tcvn5712",
    "vscii",
    "abc",
    "alt",
];

/// Refuses an encoding that the server does not know, before anything is made.
pub fn check_encoding(encoding: &str, what: &str) -> Result<()> {
    if ENCODINGS.contains(&folded_encoding(encoding).as_str()) {
        return Ok(());
    }
    match crate::nearest::nearest(&folded_encoding(encoding), ENCODINGS.iter().copied()) {
        Some(near) => Err(
            fault!(Input, "{what}: encoding `{encoding}` is not known to PostgreSQL"; "did you mean `{}`?", near.to_uppercase()),
        ),
        None => Err(
            fault!(Input, "{what}: encoding `{encoding}` is not known to PostgreSQL"; "`UTF8` is what most want"),
        ),
    }
}

/// `utf-8`, `UTF8` and `Utf_8` are the same encoding (`clean_encoding_name` in encnames.c).
pub fn folded_encoding(encoding: &str) -> String {
    encoding
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}
