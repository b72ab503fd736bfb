//! Where a tablespace is to lie: what is there already.

use anyhow::Result;
use camino::Utf8Path;

use crate::host::{FileKind, Look};
use crate::pg::tablespace::is_of;
use crate::settings::InstancePaths;

/// What is where a tablespace is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A directory of the system user's, without a tablespace of this major in it.
    Free,
    /// Nothing, in a directory where the system user may make one.
    ToMake,
    /// Nothing, where the system user may make none.
    Missing,
    /// A directory of another user's.
    Foreign,
    /// What a cluster of this major keeps in a tablespace.
    InUse(String),
    NoDirectory,
}

/// Looks at the place of a tablespace.
pub fn look_at(look: &dyn Look, path: &Utf8Path, paths: &InstancePaths) -> Result<Place> {
    let uid = look.caller().uid;
    let own = |path: &Utf8Path| -> Result<bool> {
        let stat = look.stat(path)?;
        Ok(stat.is_some_and(|stat| {
            stat.kind == FileKind::Directory
                && (uid == 0 || stat.uid == uid && stat.mode & 0o300 == 0o300)
        }))
    };
    Ok(match look.stat(path)? {
        None => match path.parent() {
            Some(parent) if own(parent)? => Place::ToMake,
            _ => Place::Missing,
        },
        Some(stat) if stat.kind != FileKind::Directory => Place::NoDirectory,
        Some(_) if !own(path)? => Place::Foreign,
        Some(_) => {
            let names = look.list(path)?.unwrap_or_default();
            match names.into_iter().find(|name| is_of(paths.version, name)) {
                Some(name) => Place::InUse(name),
                None => Place::Free,
            }
        }
    })
}
