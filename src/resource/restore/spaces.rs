//! Tablespaces of a restore in place. They change places inside of their locations, which may be mount points in directories of
//! others: the version's own directory (PostgreSQL documentation, 73.1: `PG_15_202209061`) comes from `LOCATION/restoring`, and
//! the old one waits in `LOCATION/before-restore`.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::replace::aside as data_aside;
use crate::host::Look;
use crate::pg::tablespace::link;
use crate::pg::version::Major;
use crate::plan::Step;
use crate::resource::instance::directory::{tablespaces, versions};
use crate::resource::instance::kept;
use crate::resource::restore::fetch::staging as data_staging;

/// Where the data of a tablespace lie until they take their place.
pub fn staging(location: &Utf8Path) -> Utf8PathBuf {
    location.join("restoring")
}

/// Where the old ones are meanwhile.
pub fn aside(location: &Utf8Path) -> Utf8PathBuf {
    location.join("before-restore")
}

/// Where old ones are kept.
pub fn kept(location: &Utf8Path, number: u32) -> Utf8PathBuf {
    location.join(format!("dropped-{number}"))
}

/// The locations of the tablespaces of a data directory, with their numbers.
pub fn linked(look: &dyn Look, datadir: &Utf8Path) -> Result<BTreeMap<Utf8PathBuf, String>> {
    let found = tablespaces(look, datadir)?.into_iter();
    Ok(found.map(|own| (own.location, own.name)).collect())
}

/// A directory of a tablespace that changes places.
#[derive(Debug, Clone)]
pub struct Exchange {
    location: Utf8PathBuf,
    name: String,
    oid: String,
    /// It is of the data that are replaced.
    old: bool,
    /// … and has been set aside by a run that was cut short.
    aside: bool,
    /// Something is in the place.
    there: bool,
    /// Another one has been fetched.
    new: bool,
}

/// Everything that changes places.
pub fn exchanges(look: &dyn Look, datadir: &Utf8Path, major: Major) -> Result<Vec<Exchange>> {
    let set_aside = data_aside(datadir);
    let old = if look.stat(&set_aside)?.is_some() {
        linked(look, &set_aside)?
    } else {
        linked(look, datadir)?
    };
    let mut all = linked(look, &data_staging(datadir))?;
    all.extend(linked(look, datadir)?);
    all.extend(old.clone());
    let mut exchanges = Vec::new();
    for (location, oid) in all {
        let [staged, waiting] = [staging(&location), aside(&location)];
        let mut names = Vec::new();
        for place in [&location, &staged, &waiting] {
            names.extend(versions(look, place, major)?);
        }
        names.sort();
        names.dedup();
        for name in names {
            let is_there =
                |place: &Utf8Path| Ok::<_, anyhow::Error>(look.stat(&place.join(&name))?.is_some());
            exchanges.push(Exchange {
                old: old.contains_key(&location),
                aside: is_there(&waiting)?,
                there: is_there(&location)?,
                new: is_there(&staged)?,
                location: location.clone(),
                oid: oid.clone(),
                name,
            });
        }
    }
    Ok(exchanges)
}

impl Exchange {
    fn place(&self) -> Utf8PathBuf {
        self.location.join(&self.name)
    }

    /// What is in the place makes way; `worked_with`: somebody may have, since a killed run brought it.
    pub fn away(&self, datadir: &Utf8Path, worked_with: bool, free: u32) -> Vec<Step> {
        let from = self.place();
        let into = |directory: Utf8PathBuf| {
            let to = directory.join(&self.name);
            let from = from.clone();
            vec![
                Step::make_dir(&directory, 0o700),
                Step::RenameIfExists { from, to },
            ]
        };
        match (self.old && !self.aside, self.there) {
            (true, _) => into(aside(&self.location)),
            (false, false) => Vec::new(),
            (false, true) if !worked_with => vec![Step::Remove { path: from }],
            (false, true) => {
                let target = kept(&self.location, free);
                let mut steps = into(target.clone());
                // They stay a whole with the data that are kept.
                let path = link(&kept::name(datadir, free), &self.oid);
                steps.push(Step::Symlink { path, target });
                steps
            }
        }
    }

    /// The new one takes its place.
    pub fn come(&self) -> Vec<Step> {
        let from = staging(&self.location);
        if !self.new {
            return Vec::new();
        }
        vec![
            Step::Rename {
                from: from.join(&self.name),
                to: self.place(),
            },
            Step::RemoveEmptyDir { path: from },
        ]
    }

    /// … and is taken back.
    pub fn back(&self) -> Vec<Step> {
        let path = self.place();
        if !self.old {
            return vec![Step::Remove { path }];
        }
        let waiting = aside(&self.location);
        vec![
            Step::PutBack {
                aside: waiting.join(&self.name),
                gone: format!("{path}.restoring").into(),
                path,
            },
            Step::RemoveEmptyDir { path: waiting },
        ]
    }
}
