//! Which instances there are, which one is meant, and what there is to say of one.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::fault::{Fault, Kind};
use crate::host::{Look, Query};
use crate::manifest::InstanceRef;
use crate::pg::version::Major;
use crate::resource::catalog;
use crate::resource::instance::checksums::control_data;
use crate::resource::instance::configuration::settings_view;
use crate::resource::instance::directory::{Directory, directory, leftovers};
use crate::resource::instance::hold::{self, Hold};
use crate::resource::instance::pending::pending;
use crate::resource::instance::reading::Reading;
use crate::resource::instance::record::{self, Record};
use crate::resource::instance::target::{Running, Target};
use crate::settings::{Level, Settings};
use crate::{bail_fault, fault};

/// An instance that exists: its major and its name.
pub type Identity = (Major, String);

/// Every instance of the site, by major and name.
pub fn list(look: &dyn Look, site: &Settings) -> Result<Vec<Identity>> {
    let places = site.datadir_pattern();
    let mut paths = vec![places.base.clone()];
    for level in &places.levels {
        let mut below = Vec::new();
        for path in paths {
            match level {
                Level::Fixed(name) => below.push(path.join(name)),
                Level::Any => {
                    below.extend(
                        look.list(&path)?
                            .unwrap_or_default()
                            .into_iter()
                            .map(|name| path.join(name)),
                    );
                }
            }
        }
        paths = below;
    }
    let mut found = Vec::new();
    for path in paths {
        let Some((version, name)) = site.instance_of(&path) else {
            continue;
        };
        // Where the template has no version, or a directory is not what its path says, its own word counts.
        let own = match (directory(look, &path), version) {
            (Ok(Directory::Cluster(own)), _) => own,
            (Ok(_), _) => continue,
            // What may not be looked into hides none of the others; who asks for it is told why.
            (Err(error), Some(version)) if Fault::is(&error, Kind::Denied) => version.to_string(),
            (Err(error), _) => return Err(error),
        };
        let Ok(own) = own.parse::<Major>() else {
            continue;
        };
        if version.is_none_or(|version| version == own) {
            found.push((own, name));
        }
    }
    let adopted = record::adopted(look, site)?.into_iter();
    found.extend(adopted.map(|adopted| (adopted.version, adopted.name)));
    found.sort();
    found.dedup();
    Ok(found)
}

/// Majors whose server programs are installed, highest first.
pub fn installed(look: &dyn Look, site: &Settings) -> Result<Vec<Major>> {
    let mut installed = Vec::new();
    for major in majors() {
        for bindir in site.bindirs(major) {
            if look.stat(&bindir.join("postgres"))?.is_some() && !installed.contains(&major) {
                installed.push(major);
            }
        }
    }
    Ok(installed)
}

/// The major that a new instance gets when none is said.
pub fn default_version(look: &dyn Look, site: &Settings) -> Result<Option<Major>> {
    match site.postgresql.default_version {
        Some(version) => Ok(Some(version)),
        None => Ok(installed(look, site)?.into_iter().next()),
    }
}

/// The existing instance that a reference means.
pub fn find(look: &dyn Look, site: &Settings, reference: Option<&InstanceRef>) -> Result<Identity> {
    let version = match reference.and_then(|reference| reference.version.as_deref()) {
        Some(version) => Some(version.parse::<Major>()?),
        None => None,
    };
    let name = reference.and_then(|reference| reference.name.as_deref());
    // Addressed in full: no need to look at the others.
    if let (Some(version), Some(name)) = (version, name)
        && valid_name(name)
        && matches!(
            directory(look, &record::paths(look, site, version, name)?.0.datadir)?,
            Directory::Cluster(_)
        )
    {
        return Ok((version, name.to_owned()));
    }
    let all = list(look, site)?;
    let mut found = all.iter().filter(|(major, own)| {
        version.is_none_or(|version| version == *major) && name.is_none_or(|name| name == own)
    });
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => Err(missing(&all, reference)),
        (Some(first), Some(second)) => {
            let names: Vec<String> = [first, second]
                .into_iter()
                .chain(found)
                .map(shown)
                .collect();
            match reference {
                None => {
                    bail_fault!(Input, "several instances exist: {}", names.join(", "); "say which one is meant (`-i`, or `instance`)")
                }
                Some(reference) => {
                    bail_fault!(Input, "instance `{reference}` is ambiguous: {}", names.join(", "); "give the version, as `{}`", shown(first))
                }
            }
        }
    }
}

/// The instance of which an interrupted creation or removal has left something, and nothing else.
pub fn remains(
    look: &dyn Look,
    site: &Settings,
    reference: &InstanceRef,
) -> Result<Option<Identity>> {
    let Some(name) = reference.name.as_deref().filter(|name| valid_name(name)) else {
        return Ok(None);
    };
    let majors = match &reference.version {
        Some(version) => vec![version.parse::<Major>()?],
        None => majors(),
    };
    for major in majors {
        if !leftovers(look, &record::paths(look, site, major, name)?.0)?.is_empty() {
            return Ok(Some((major, name.to_owned())));
        }
    }
    Ok(None)
}

/// Every major that there may be, highest first: the known ones and a few beyond them, since a newer one is a
/// warning, not a refusal.
fn majors() -> Vec<Major> {
    (Major::OLDEST.number()..=Major::NEWEST_KNOWN.number() + 3)
        .rev()
        .map(Major::new)
        .collect()
}

/// `15/main`
pub fn shown((version, name): &Identity) -> String {
    format!("{version}/{name}")
}

fn missing(all: &[Identity], reference: Option<&InstanceRef>) -> anyhow::Error {
    let names: Vec<String> = all.iter().map(shown).collect();
    let Some(reference) = reference else {
        return fault!(NotFound, "there is no instance"; "make one with `pgsocle instance create`");
    };
    match near(all, &reference.to_string()) {
        Some(near) => {
            fault!(NotFound, "instance `{reference}` does not exist"; "did you mean `{near}`?")
        }
        None if names.is_empty() => fault!(
            NotFound,
            "instance `{reference}` does not exist: there is none at all"
        ),
        None => {
            fault!(NotFound, "instance `{reference}` does not exist"; "there are {}", names.join(", "))
        }
    }
}

/// The existing instance whose name is nearest to a wrong one.
pub fn near(all: &[Identity], wrong: &str) -> Option<String> {
    let own = wrong.rsplit('/').next().unwrap_or(wrong);
    let names: Vec<&str> = all.iter().map(|(_, name)| name.as_str()).collect();
    let name = crate::nearest::nearest(own, names.iter().copied())?;
    all.iter().find(|(_, known)| known == name).map(shown)
}

/// Letters, digits and underscores: what is safe in paths, units, sockets and log file names alike.
pub fn valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What a running cluster says of itself.
#[derive(Debug, Clone, Deserialize)]
pub struct ClusterFacts {
    pub encoding: String,
    pub collate: Option<String>,
    pub ctype: Option<String>,
    pub provider: Option<String>,
    pub provider_locale: Option<String>,
    pub data_checksums: bool,
    pub in_recovery: bool,
}

/// Asks a running server for what only initdb can choose.
pub fn cluster_facts(look: &dyn Look, target: &Target) -> Result<Option<ClusterFacts>> {
    match target.running(look)? {
        Some(running) => facts(look, &running),
        None => Ok(None),
    }
}

fn facts(look: &dyn Look, running: &Running) -> Result<Option<ClusterFacts>> {
    if !running.ready {
        return Ok(None);
    }
    let query = Query {
        server: running.server.clone(),
        database: catalog::MAINTENANCE.into(),
        sql: include_str!("../../sql/instance.sql"),
        parameter: Value::Null,
    };
    Ok(look.rows(query)?.into_iter().next())
}

/// The public view of an instance: what `get` shows and modules return.
pub fn describe(look: &dyn Look, target: &Target) -> Result<Map<String, Value>> {
    view(look, target, target.running(look)?.as_ref())
}

/// The same of one that is stopped, or is about to be: its server is not asked.
pub fn describe_stopped(look: &dyn Look, target: &Target) -> Result<Map<String, Value>> {
    view(look, target, None)
}

fn view(look: &dyn Look, target: &Target, running: Option<&Running>) -> Result<Map<String, Value>> {
    let paths = &target.paths;
    let reading = Reading::in_view(look, paths)?;
    let mut view = Map::new();
    view.insert("name".into(), json!(paths.name));
    view.insert("version".into(), json!(paths.version));
    view.insert(
        "state".into(),
        json!(if running.is_some() {
            "started"
        } else {
            "stopped"
        }),
    );
    let hold = Hold::read(look, paths)?;
    view.insert("hold".into(), hold::view(hold.as_ref()));
    view.extend(settings_view(reading.values()));
    let facts = running
        .map(|running| facts(look, running))
        .transpose()?
        .flatten();
    let checksums = match &facts {
        Some(facts) => Some(facts.data_checksums),
        None => checksums(look, target)?,
    };
    view.insert("data_checksums".into(), json!(checksums));
    view.insert(
        "locale".into(),
        json!(facts.as_ref().and_then(|facts| facts.collate.clone())),
    );
    view.insert(
        "locale_provider".into(),
        json!(
            facts
                .as_ref()
                .map(|facts| provider_name(facts.provider.as_deref()))
        ),
    );
    view.insert(
        "encoding".into(),
        json!(facts.as_ref().map(|facts| facts.encoding.clone())),
    );
    let pending = match running {
        Some(running) if running.ready => pending(look, &running.server)?,
        _ => Vec::new(),
    };
    view.insert("pending_restart".into(), json!(!pending.is_empty()));
    view.insert("pending_restart_settings".into(), json!(pending));
    let socket = running.map_or(&paths.socket_directory, |running| {
        &running.server.socket_directory
    });
    view.insert("socket_directory".into(), json!(socket));
    view.insert(
        "deletion_protection".into(),
        json!(Record::read(look, paths)?.is_protected(target.protected_by_default)),
    );
    view.insert("data_directory".into(), json!(paths.datadir));
    view.insert(
        "wal_directory".into(),
        json!(wal_directory(look, &paths.datadir, &paths.waldir)?),
    );
    Ok(view)
}

fn provider_name(letter: Option<&str>) -> &'static str {
    match letter {
        Some("i") => "icu",
        Some("b") => "builtin",
        _ => "libc",
    }
}

/// Whether the cluster has page checksums, as `pg_controldata` says.
fn checksums(look: &dyn Look, target: &Target) -> Result<Option<bool>> {
    Ok(control_data(look, target)?.map(|control| control.checksums))
}

fn wal_directory(look: &dyn Look, datadir: &Utf8Path, waldir: &Utf8Path) -> Result<Utf8PathBuf> {
    let inside = datadir.join("pg_wal");
    Ok(match look.link(&inside)? {
        Some(target) => target,
        None if waldir == inside || look.stat(&inside)?.is_some() => inside,
        None => waldir.into(),
    })
}
