//! What is kept on the host about an instance itself: its protection, and where an adopted one lies.
//!
//! An instance needs no record: it is a cluster at the place that the settings say. The record holds only what
//! cannot be read off the cluster, in the state directory, which outlives the data directory.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::bail_fault;
use crate::host::Look;
use crate::pg::version::Major;
use crate::plan::{Content, Step};
use crate::resource::instance::lookup::Identity;
use crate::settings::{InstancePaths, Settings};

/// The layout of the file that this program writes; a greater one is a newer program's.
const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    format: u32,
    /// As said for this very instance; none: as the site settings have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_protection: Option<bool>,
    /// The cluster that is meant, where it is another one than the journal tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
}

/// An instance that others made, and where its things are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    pub version: Major,
    pub name: String,
    pub data_directory: Utf8PathBuf,
    pub wal_directory: Utf8PathBuf,
    pub config_file: Utf8PathBuf,
    pub hba_file: Utf8PathBuf,
    pub ident_file: Utf8PathBuf,
    /// Where its socket is while it runs.
    pub socket_directory: Utf8PathBuf,
    /// The system unit that runs it; none: nobody, or a unit of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            format: FORMAT,
            deletion_protection: None,
            system_identifier: None,
            adopted: None,
        }
    }
}

impl Record {
    /// The record of an instance; an empty one where there is none.
    pub fn read(look: &dyn Look, paths: &InstancePaths) -> Result<Self> {
        let Some(content) = look.read(&paths.record)? else {
            return Ok(Self::default());
        };
        let record: Self = serde_json::from_slice(&content)
            .with_context(|| format!("`{}` is not what pgsocle wrote", paths.record))?;
        if record.format > FORMAT {
            bail_fault!(
                Unsupported,
                "`{}` was written by a newer pgsocle (format {}, this one knows {FORMAT})", paths.record, record.format;
                "use the newer one on this host: role socle.postgresql.install puts it there"
            );
        }
        Ok(record)
    }

    /// Whether the instance is protected against deletion.
    pub fn is_protected(&self, by_default: bool) -> bool {
        self.deletion_protection.unwrap_or(by_default)
    }

    /// The step that keeps it.
    pub fn step(&self, path: &Utf8Path) -> Step {
        match self.render() {
            Some(text) => Step::write(path, Content::Bytes(text), 0o640),
            None => Step::Remove { path: path.into() },
        }
    }

    /// The content of its file; none when there is nothing to keep.
    pub fn render(&self) -> Option<Vec<u8>> {
        if *self == Self::default() {
            return None;
        }
        let mut text = serde_json::to_vec_pretty(self).ok()?;
        text.push(b'\n');
        Some(text)
    }
}

/// Where the things of an instance are: as the settings say, or where an adopted one has them.
pub fn paths(
    look: &dyn Look,
    site: &Settings,
    version: Major,
    name: &str,
) -> Result<InstancePaths> {
    let mut paths = site.paths(version, name);
    if let Some(adopted) = Record::read(look, &paths)?.adopted {
        paths.psqlrc = adopted.data_directory.join(".psqlrc");
        paths.psql_history = adopted.data_directory.join(".psql_history");
        paths.datadir = adopted.data_directory;
        paths.waldir = adopted.wal_directory;
        paths.config_file = adopted.config_file;
        paths.hba_file = adopted.hba_file;
        paths.ident_file = adopted.ident_file;
        paths.socket_directory = adopted.socket_directory;
    }
    Ok(paths)
}

/// Instances that lie elsewhere than the settings say.
pub fn adopted(look: &dyn Look, site: &Settings) -> Result<Vec<Identity>> {
    let directory = site.state_directory();
    let mut found = Vec::new();
    for name in look.list(&directory)?.unwrap_or_default() {
        let Some(content) = look.read(&directory.join(name).join("instance.json"))? else {
            continue;
        };
        // One that cannot be read is said when its instance is addressed.
        if let Ok(Record {
            adopted: Some(adopted),
            ..
        }) = serde_json::from_slice(&content)
        {
            found.push((adopted.version, adopted.name));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let adopted = Adopted {
            version: Major::new(15),
            name: "main".into(),
            data_directory: "/var/lib/postgresql/15/main".into(),
            wal_directory: "/var/lib/postgresql/15/main/pg_wal".into(),
            config_file: "/etc/postgresql/15/main/postgresql.conf".into(),
            hba_file: "/etc/postgresql/15/main/pg_hba.conf".into(),
            ident_file: "/etc/postgresql/15/main/pg_ident.conf".into(),
            socket_directory: "/var/run/postgresql".into(),
            unit: Some("postgresql@15-main.service".into()),
        };
        for record in [
            Record {
                deletion_protection: Some(false),
                ..Record::default()
            },
            Record {
                adopted: Some(adopted),
                ..Record::default()
            },
        ] {
            let text = record.render().unwrap();
            assert_eq!(serde_json::from_slice::<Record>(&text).unwrap(), record);
        }
        assert_eq!(Record::default().render(), None);
    }
}
