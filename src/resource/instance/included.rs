//! The files that postgresql.conf includes: what they say may win over it.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::host::Look;
use crate::pg::conf::{Conf, Include};

/// A file that postgresql.conf includes.
pub struct Included {
    /// The line of postgresql.conf that brings it in.
    pub line: usize,
    pub path: Utf8PathBuf,
    pub conf: Conf,
}

/// As deep as the server follows includes (guc-file.l, `CONF_FILE_MAX_DEPTH`).
const INCLUDE_DEPTH: usize = 10;

/// The files that postgresql.conf includes, as the server finds them (guc-file.l): paths are relative to the
/// including file, of a directory the names count that end in `.conf` and do not begin with a dot.
pub fn included(look: &dyn Look, directory: &Utf8Path, conf: &Conf) -> Result<Vec<Included>> {
    let mut found = Vec::new();
    for (line, include) in conf.includes() {
        follow(look, line, directory, &include, INCLUDE_DEPTH, &mut found)?;
    }
    Ok(found)
}

fn follow(
    look: &dyn Look,
    line: usize,
    directory: &Utf8Path,
    include: &Include,
    depth: usize,
    found: &mut Vec<Included>,
) -> Result<()> {
    let paths = match include {
        Include::File(path) | Include::IfExists(path) => vec![directory.join(path)],
        Include::Dir(path) => {
            let path = directory.join(path);
            let names = look.list(&path)?.unwrap_or_default();
            names
                .iter()
                .filter(|name| {
                    Utf8Path::new(name).extension() == Some("conf") && !name.starts_with('.')
                })
                .map(|name| path.join(name))
                .collect()
        }
    };
    for path in paths {
        let Some(content) = look.read(&path)? else {
            continue;
        };
        let conf = Conf::parse(&content).with_context(|| path.to_string())?;
        let below = path.parent().unwrap_or(directory).to_owned();
        let inner = conf.includes();
        found.push(Included { line, path, conf });
        for (_, include) in inner {
            if depth > 0 {
                follow(look, line, &below, &include, depth - 1, found)?;
            }
        }
    }
    Ok(())
}
