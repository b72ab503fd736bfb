//! Data that are set aside when their instance goes: `data.dropped-1` beside `data`, `wal.dropped-1` beside `wal`.
//!
//! Numbered, not dated: check mode cannot know the time of the run whose plan it tells. When it was is told by the history,
//! and by the directory itself, which nobody changes any more.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::host::Look;
use crate::plan::Step;
use crate::settings::InstancePaths;

/// What a directory that is set aside is called.
pub fn name(path: &Utf8Path, number: u32) -> Utf8PathBuf {
    format!("{path}.dropped-{number}").into()
}

/// The first number that neither directory has yet. The WAL directory of a removal that was cut short keeps its own.
pub fn free(look: &dyn Look, paths: &InstancePaths) -> Result<u32> {
    let mut number = 1;
    while look.stat(&name(&paths.datadir, number))?.is_some()
        || look.stat(&name(&paths.waldir, number))?.is_some()
    {
        number += 1;
    }
    Ok(number)
}

/// The data directory first: from then on the instance is gone.
pub fn set_aside(paths: &InstancePaths, number: u32) -> Vec<Step> {
    let rename = |path: &Utf8PathBuf| Step::Rename {
        from: path.clone(),
        to: name(path, number),
    };
    let mut steps = vec![rename(&paths.datadir)];
    // It may be a plain directory of the data directory.
    if !paths.waldir.starts_with(&paths.datadir) {
        steps.push(rename(&paths.waldir));
    }
    steps
}

/// A WAL directory whose data directory has been set aside, by a run that was killed before it came to this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranded {
    from: Utf8PathBuf,
    to: Utf8PathBuf,
}

impl Stranded {
    /// Sets it aside too.
    pub fn follow(&self) -> Step {
        Step::Rename {
            from: self.from.clone(),
            to: self.to.clone(),
        }
    }
}

pub fn stranded(look: &dyn Look, paths: &InstancePaths) -> Result<Option<Stranded>> {
    if look.stat(&paths.datadir)?.is_some() || look.stat(&paths.waldir)?.is_none() {
        return Ok(None);
    }
    let mut number = 1;
    while look.stat(&name(&paths.datadir, number))?.is_some() {
        let kept = name(&paths.datadir, number);
        if look.link(&kept.join("pg_wal"))?.as_ref() == Some(&paths.waldir)
            && look.stat(&name(&paths.waldir, number))?.is_none()
        {
            return Ok(Some(Stranded {
                from: paths.waldir.clone(),
                to: name(&paths.waldir, number),
            }));
        }
        number += 1;
    }
    Ok(None)
}
