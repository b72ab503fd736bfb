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
use crate::resource::instance::directory::{Directory, directory};
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
    /// Of the cluster that was adopted: another one at its place is not the instance.
    pub system_identifier: u64,
    /// The file that postgresql-common has its server write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_file: Option<Utf8PathBuf>,
    /// The system unit that runs it; none: nobody, or a unit of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Users whose entry of our form the password file had at its port before: they are not ours to take away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passwords: Vec<String>,
}

impl Adopted {
    /// postgresql-common made it.
    pub fn is_packaged(&self) -> bool {
        self.log_file.is_some()
    }

    /// The paths of the instance that the settings would give it, with what lies elsewhere.
    pub fn place(&self, mut paths: InstancePaths) -> InstancePaths {
        paths.psqlrc = self.data_directory.join(".psqlrc");
        paths.psql_history = self.data_directory.join(".psql_history");
        paths.datadir.clone_from(&self.data_directory);
        paths.waldir.clone_from(&self.wal_directory);
        paths.config_file.clone_from(&self.config_file);
        paths.hba_file.clone_from(&self.hba_file);
        paths.ident_file.clone_from(&self.ident_file);
        paths.socket_directory.clone_from(&self.socket_directory);
        // It logs as it did; what we start of it does so where postgresql-common would, or into our own state.
        paths.logdir = None;
        paths.start_log = match &self.log_file {
            Some(file) => file.clone(),
            None => paths
                .state_directory
                .join(format!("{}-start.log", paths.qualified_name)),
        };
        paths
    }

    /// Refuses when its cluster is not there any more, or another one is in its place.
    pub fn verify(&self, look: &dyn Look) -> Result<()> {
        let instance = format!("{}/{}", self.version, self.name);
        let path = &self.data_directory;
        let found = match directory(look, path)? {
            Directory::Cluster(major) if major == self.version.to_string() => {
                system_identifier(look, path)?
            }
            Directory::Cluster(major) => bail_fault!(
                Conflict,
                "data directory `{path}` of the adopted instance `{instance}` belongs to PostgreSQL {major} by now";
                "`pgsocle instance forget {instance}` lets go of it; then adopt it as what it is"
            ),
            Directory::Missing | Directory::Empty | Directory::Remains | Directory::Other => {
                bail_fault!(
                    NotFound,
                    "the adopted instance `{instance}` has no cluster at `{path}`: not mounted, moved, or removed?";
                    "mount it; or let go of the instance with `pgsocle instance forget {instance}`"
                )
            }
        };
        if found != self.system_identifier {
            bail_fault!(
                Conflict,
                "data directory `{path}` holds another cluster than the one that was adopted as instance `{instance}` (system identifier {found}, not {})",
                self.system_identifier;
                "put the right one there; or, if it was replaced on purpose, `pgsocle instance forget {instance}` and adopt it anew"
            );
        }
        Ok(())
    }
}

/// What initdb has given the cluster, which must be there.
pub fn system_identifier(look: &dyn Look, datadir: &Utf8Path) -> Result<u64> {
    let path = datadir.join("global/pg_control");
    match look.system_identifier(datadir)? {
        Some(identifier) => Ok(identifier),
        None => bail_fault!(
            Conflict,
            "`{path}` is too short: the cluster is damaged";
            "restore it from a backup"
        ),
    }
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
) -> Result<(InstancePaths, Option<Adopted>)> {
    let paths = site.paths(version, name);
    let adopted = Record::read(look, &paths)?.adopted;
    Ok(match &adopted {
        Some(own) => (own.place(paths), adopted),
        None => (paths, None),
    })
}

/// Instances that lie elsewhere than the settings say.
pub fn adopted(look: &dyn Look, site: &Settings) -> Result<Vec<Adopted>> {
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
            found.push(adopted);
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
            system_identifier: u64::MAX,
            log_file: None,
            unit: Some("postgresql@15-main.service".into()),
            passwords: vec!["bob".into()],
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
