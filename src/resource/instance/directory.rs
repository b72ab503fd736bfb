//! The directories of an instance: what is in them, what they are called while they are made or removed, and what
//! interrupted runs leave of them.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::backup::Tablespace;
use crate::host::{FileKind, Look};
use crate::pg::tablespace;
use crate::pg::version::Major;
use crate::resource::instance::condition;
use crate::settings::InstancePaths;

/// What a directory that may hold a cluster holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directory {
    Missing,
    /// Exists with nothing in it.
    Empty,
    /// Holds a cluster of this major, as its `PG_VERSION` says.
    Cluster(String),
    /// A mount point with what an interrupted creation or removal left. One that is being removed is no cluster any more,
    /// whatever is still in it.
    Remains,
    /// Holds something else.
    Other,
}

impl Directory {
    /// Nothing that anybody would miss.
    pub fn is_free(&self) -> bool {
        matches!(self, Self::Missing | Self::Empty | Self::Remains)
    }
}

/// Where a cluster is made on a mount point, and what marks one that is being removed.
pub const NEW_INSIDE: &str = "pgsocle-new";
pub const DROP_INSIDE: &str = "pgsocle-drop";

/// Where a new data directory is made before it gets its name.
pub fn staging(path: &Utf8Path) -> Utf8PathBuf {
    format!("{path}.pgsocle-new").into()
}

/// What a directory is called while it is being removed.
pub fn dropping(path: &Utf8Path) -> Utf8PathBuf {
    format!("{path}.pgsocle-drop").into()
}

/// Below which a restored copy has its tablespaces: nobody else's.
pub fn own_tablespaces(datadir: &Utf8Path) -> Utf8PathBuf {
    format!("{datadir}.tablespaces").into()
}

/// Looks into a directory that may hold a cluster.
pub fn directory(look: &dyn Look, path: &Utf8Path) -> Result<Directory> {
    let names = look
        .list(path)
        .map_err(|error| condition::unreadable(look, path, error))?;
    let Some(names) = names else {
        return Ok(if look.stat(path)?.is_some() {
            Directory::Other
        } else {
            Directory::Missing
        });
    };
    if names.is_empty() {
        return Ok(Directory::Empty);
    }
    if names.iter().any(|name| name == DROP_INSIDE) {
        return Ok(Directory::Remains);
    }
    // global/pg_control is the last thing initdb's bootstrap needs: without it there is no cluster.
    let control = look.stat(&path.join("global/pg_control"))?;
    match look.read(&path.join("PG_VERSION"))? {
        Some(version) if control.is_some_and(|stat| stat.kind == FileKind::File) => Ok(
            Directory::Cluster(String::from_utf8_lossy(&version).trim().to_owned()),
        ),
        None if names.iter().any(|name| name == NEW_INSIDE) => Ok(Directory::Remains),
        _ => Ok(Directory::Other),
    }
}

/// What interrupted runs left of an instance that is not there (any more, or yet). What tells of the WAL directory goes last.
pub fn leftovers(look: &dyn Look, paths: &InstancePaths) -> Result<Vec<Utf8PathBuf>> {
    let mut found = Vec::new();
    for path in [&paths.datadir, &paths.waldir] {
        for leftover in [staging(path), dropping(path)] {
            if look.stat(&leftover)?.is_some() {
                found.push(leftover);
            }
        }
        if directory(look, path)? == Directory::Remains {
            found.push(path.clone());
        }
    }
    // Killed between the two renames of a creation or a removal: the WAL directory has its name, the data directory has not.
    let mut tells = vec![staging(&paths.datadir), dropping(&paths.datadir)];
    if found.contains(&paths.datadir) {
        tells.extend([paths.datadir.join(NEW_INSIDE), paths.datadir.clone()]);
    }
    for data in tells {
        if look.link(&data.join("pg_wal"))?.as_deref() == Some(&*paths.waldir)
            && look.stat(&paths.waldir)?.is_some()
            && !found.contains(&paths.waldir)
        {
            found.push(paths.waldir.clone());
        }
    }
    found.reverse();
    Ok(found)
}

/// What clusters of a major keep in the location of a tablespace.
pub fn versions(look: &dyn Look, location: &Utf8Path, major: Major) -> Result<Vec<String>> {
    let mut names = look.list(location)?.unwrap_or_default();
    names.retain(|name| tablespace::is_of(major, name));
    Ok(names)
}

/// The tablespaces of a cluster that lie outside of it.
pub fn tablespaces(look: &dyn Look, datadir: &Utf8Path) -> Result<Vec<Tablespace>> {
    let mut found = Vec::new();
    for name in look.list(&tablespace::links(datadir))?.unwrap_or_default() {
        if let (Ok(oid), Some(location)) =
            (name.parse(), look.link(&tablespace::link(datadir, &name))?)
        {
            found.push(Tablespace {
                oid,
                name,
                location,
            });
        }
    }
    Ok(found)
}

/// A mount point lies on another file system than its parent.
pub fn is_mountpoint(look: &dyn Look, path: &Utf8Path) -> Result<bool> {
    let Some(parent) = path.parent() else {
        return Ok(true);
    };
    Ok(match (look.stat(path)?, look.stat(parent)?) {
        (Some(own), Some(above)) => own.device != above.device,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::site::tests::Machine;

    #[test]
    fn what_a_directory_holds() {
        let cluster = ["PG_VERSION", "global/pg_control"];
        let with = |more: &'static str| [&cluster[..], &[more]].concat();
        for (files, expected) in [
            (vec![], Directory::Missing),
            (vec![""], Directory::Empty),
            (cluster.to_vec(), Directory::Cluster("17".into())),
            (vec!["PG_VERSION"], Directory::Other),
            (vec!["notes"], Directory::Other),
            // On its way up: the last file is not there yet, or has just come.
            (vec!["base/1", "pgsocle-new/PG_VERSION"], Directory::Remains),
            (with("pgsocle-new/"), Directory::Cluster("17".into())),
            // On its way out, whatever is still in it.
            (with("pgsocle-drop/"), Directory::Remains),
            (vec!["pgsocle-drop/"], Directory::Remains),
        ] {
            let files: Vec<String> = files.iter().map(|name| format!("/d/{name}")).collect();
            let files: Vec<(&str, &str)> =
                files.iter().map(|path| (path.as_str(), "17\n")).collect();
            let machine = Machine::new(false, &files);
            assert_eq!(
                directory(&machine, "/d".into()).unwrap(),
                expected,
                "{files:?}"
            );
        }
    }
}
