//! PostgreSQL's own programs, for one stanza.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::keep::Keep;
use super::repository::{Clusters, Intent, PARTIAL, Repository, tablespace};
use super::{INCREMENTAL, archive, member, restore, trouble, upkeep};
use crate::backup::recovery::{Recovery, Target, lsn};
use crate::backup::timeline::{Timelines, archived};
use crate::backup::{
    Backup, BackupTool, Catalogue, Expired, Kind, Method, Place, Source, Trouble, Verdict,
};
use crate::bail_fault;
use crate::component::backups::stanza::StanzaTool;
use crate::host::{Command, Look, Query, Server};
use crate::pg::version::Major;
use crate::pg::wal;
use crate::plan::{Content, Step};
use crate::settings::{self, InstancePaths, Settings};
use crate::stage::AnyStage;

/// How long WAL may take to arrive, in seconds: as long as pgBackRest waits (`archive-timeout`).
const ARRIVAL: u32 = 60;

/// The programs, and the directory of the stanza.
#[derive(Debug, Clone)]
pub struct BaseBackup {
    stanza: String,
    /// How many full backups are kept.
    pub keep: u32,
    pub repository: Repository,
    /// As the directory had it when this run began.
    clusters: Clusters,
    /// The number of the archive to which WAL goes.
    archive: u32,
    /// As whom backups are taken.
    role: String,
    /// Where the programs of each major are.
    programs: Vec<(Major, Utf8PathBuf)>,
    /// Below which there is a directory for each instance.
    states: Utf8PathBuf,
}

/// What a server tells of its summaries of WAL.
#[derive(serde::Deserialize)]
struct Summaries {
    since: Option<String>,
}

impl BaseBackup {
    pub fn new(
        own: &settings::BaseBackup,
        site: &Settings,
        stanza: String,
        look: &dyn Look,
    ) -> Result<Self> {
        let repository = Repository {
            root: own.directory.join(&stanza),
        };
        let mut programs = Vec::new();
        for major in Major::known() {
            for directory in site.bindirs(major) {
                if look.stat(&directory.join("pg_basebackup"))?.is_some() {
                    programs.push((major, directory));
                    break;
                }
            }
        }
        // What is wrong with it is told by the catalogue.
        let clusters = repository.clusters(look).unwrap_or_default();
        Ok(Self {
            stanza,
            keep: own.retention.full,
            archive: clusters.all.last().map_or(1, |own| own.archive),
            clusters,
            repository,
            role: site.postgresql.backuprole.name.clone(),
            programs,
            states: site.state_directory(),
        })
    }

    /// The directory of the programs of a major; a message of theirs tells what is wrong where they are not installed.
    pub fn programs(&self, version: Major) -> Utf8PathBuf {
        let found = self.programs.iter().find(|(major, _)| *major == version);
        found.map_or_else(
            || format!("/usr/lib/postgresql/{version}/bin").into(),
            |(_, directory)| directory.clone(),
        )
    }

    pub fn program(&self, version: Major, name: &str) -> Command {
        Command::new(self.programs(version).join(name)).env("LC_ALL", "C")
    }

    /// For a cluster that is to be that of the stanza; none: one that is yet to be made.
    #[must_use]
    pub fn for_cluster(self, identifier: Option<u64>) -> Self {
        let archive = self.clusters.archive(identifier);
        Self { archive, ..self }
    }

    /// `archive_command`.
    pub fn archive_command(&self) -> String {
        archive::push(&self.repository.archive(self.archive))
    }

    /// Where the WAL of a cluster is.
    pub fn archive(&self, identifier: u64) -> Utf8PathBuf {
        self.repository
            .archive(self.clusters.archive(Some(identifier)))
    }

    /// Reads a backup, and fails when it is not as it was written.
    pub fn verify_command(&self, version: Major, data: &Utf8Path) -> Step {
        let command = self.program(version, "pg_verifybackup");
        Step::Run(command.args(["--quiet", data.as_str()]))
    }
}

/// `--tablespace-mapping`, in which `=` is written with a backslash.
pub fn mapping(from: &Utf8Path, to: &Utf8Path) -> String {
    let [from, to] = [from, to].map(|path| path.as_str().replace('=', "\\="));
    format!("--tablespace-mapping={from}={to}")
}

/// The backup that one of this kind builds upon: the newest of those that the cluster comes from, and since which the server has
/// summaries of its WAL. A restore begins with none.
fn prior<'a>(kind: Kind, source: &Source, known: &'a Catalogue) -> Option<&'a Backup> {
    let is_known = |backup: &Backup| {
        let start = backup.lsn_start.as_deref().and_then(lsn);
        source
            .known_since
            .zip(start)
            .is_none_or(|(since, start)| start >= since)
    };
    let fits = |backup: &&Backup| {
        source.comes_from(backup)
            && is_known(backup)
            && backup.version == source.version.to_string()
            && (kind == Kind::Incr || backup.kind == Kind::Full)
    };
    let possible = kind != Kind::Full && source.version >= INCREMENTAL;
    known.backups.iter().find(fits).filter(|_| possible)
}

impl StanzaTool for BaseBackup {
    fn make(&self, _: &Catalogue, identifier: Option<u64>, paths: &InstancePaths) -> Vec<Step> {
        let repository = &self.repository;
        let clusters = self
            .clusters
            .with(identifier.unwrap_or_default(), paths.version);
        let content = serde_json::to_vec(&clusters).unwrap_or_default();
        vec![
            Step::make_dir(&repository.root, 0o700),
            Step::make_dir(&repository.backups(), 0o700),
            Step::make_dir(&repository.root.join("wal"), 0o700),
            Step::make_dir(&repository.archive(self.archive), 0o700),
            Step::write(&repository.stanza(), Content::Bytes(content), 0o600),
        ]
    }

    fn delete(&self, _: &InstancePaths) -> Vec<Step> {
        let remove = |path: Utf8PathBuf| Step::Remove { path };
        vec![
            remove(self.repository.backups()),
            remove(self.repository.root.join("wal")),
            remove(self.repository.root.clone()),
        ]
    }

    /// Archiving fails for as long as its directory is not there. Without `stanza.json` the disk may just not be mounted.
    fn lost(&self, look: &dyn Look) -> Result<Vec<Utf8PathBuf>> {
        let archive = self.repository.archive(self.archive);
        let known = look.stat(&self.repository.stanza())?.is_some();
        let lost = known && look.stat(&archive)?.is_none();
        Ok(lost.then_some(archive).into_iter().collect())
    }

    fn is_shared(&self, look: &dyn Look, paths: &InstancePaths) -> Result<bool> {
        for name in look.list(&self.states)?.unwrap_or_default() {
            if name == paths.qualified_name {
                continue;
            }
            let note = look.read(&self.states.join(name).join(member::FILE))?;
            let note = note.and_then(|note| serde_json::from_slice::<member::Note>(&note).ok());
            if note.is_some_and(|note| note.stanza == self.stanza) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl BackupTool for BaseBackup {
    fn method(&self) -> Method {
        Method::BaseBackup
    }

    fn stanza(&self) -> &str {
        &self.stanza
    }

    fn catalogue(&self, look: &dyn Look) -> Result<Catalogue> {
        self.repository.catalogue(look)
    }

    fn has_wal(&self, look: &dyn Look, name: &str) -> Result<bool> {
        let directory = self.repository.archive(self.archive);
        Ok(look.stat(&directory.join(name))?.is_some())
    }

    fn timelines(
        &self,
        look: &dyn Look,
        cluster: u64,
        wanted: Option<u32>,
    ) -> Result<Option<Timelines>> {
        let directory = self.archive(cluster);
        let names = look.list(&directory)?.unwrap_or_default();
        archived(&names, &self.stanza, wanted, |file| {
            look.read(&directory.join(file))
        })
    }

    fn gap(&self, look: &dyn Look, backup: &Backup, recovery: &Recovery) -> Result<Option<String>> {
        let entries = self.repository.entries(look, &mut BTreeMap::new())?;
        let own = entries
            .into_iter()
            .find(|(label, _)| *label == backup.label);
        let (Some((_, entry)), false) = (own, recovery.target == Target::Immediate) else {
            return Ok(None);
        };
        let timeline = if recovery.is_along_the_backups() {
            wal::timeline(&entry.wal_stop)
        } else {
            recovery.numbered()
        };
        let cluster = entry.intent.system_identifier;
        let timelines = self.timelines(look, cluster, timeline)?.unwrap_or_default();
        let names = look.list(&self.archive(cluster))?.unwrap_or_default();
        let size = entry.wal_segment_size;
        Ok(wal::gap(
            &names,
            &entry.wal_stop,
            size,
            |timeline, place| timelines.hold(timeline, place),
        ))
    }

    fn trouble(&self, said: &str) -> Option<Trouble> {
        trouble::of(said)
    }

    fn kind(&self, asked: Option<Kind>, source: &Source, known: &Catalogue) -> Result<Kind> {
        let version = source.version;
        if let Some(kind) = asked.filter(|kind| *kind != Kind::Full)
            && version < INCREMENTAL
        {
            bail_fault!(
                Unsupported,
                "PostgreSQL {version} has full backups only: one of type `{}` needs {INCREMENTAL} or newer", kind.name();
                "ask for `--type full`, or leave the type out"
            );
        }
        let kind = asked.unwrap_or_default();
        let prior = prior(kind, source, known);
        Ok(prior.map_or(Kind::Full, |_| kind))
    }

    fn known_since(&self, look: &dyn Look, version: Major, server: &Server) -> Result<Option<u64>> {
        if version < INCREMENTAL {
            return Ok(None);
        }
        let rows: Vec<Summaries> = look.rows(Query {
            server: server.clone(),
            database: "postgres".into(),
            sql: include_str!("../../sql/summaries.sql"),
            parameter: serde_json::Value::Null,
        })?;
        let since = rows.into_iter().next().and_then(|row| row.since);
        Ok(since.as_deref().and_then(lsn))
    }

    fn take(&self, kind: Kind, server: &Server, source: &Source, known: &Catalogue) -> Vec<Step> {
        let prior = prior(kind, source, known);
        let (partial, data) = (
            self.repository.backup(PARTIAL),
            self.repository.data(PARTIAL),
        );
        let intent = Intent {
            kind,
            version: source.version,
            system_identifier: source.cluster.unwrap_or_default(),
            prior: prior.map(|prior| prior.label.clone()),
            tablespaces: source.tablespaces.clone(),
        };
        let content = Content::Bytes(serde_json::to_vec(&intent).unwrap_or_default());
        let mut command = self
            .program(source.version, "pg_basebackup")
            .args(["-h", server.socket_directory.as_str()])
            .args(["-p", &server.port.to_string()])
            .args(["-U", &self.role, "--no-password"])
            .args(["-D", data.as_str(), "--format=plain"])
            .args(["--wal-method=stream", "--checkpoint=fast"])
            .args(["--manifest-checksums=SHA256", "--label=pgsocle"]);
        for own in &source.tablespaces {
            command = command.arg(mapping(&own.location, &tablespace(&partial, own)));
        }
        if let Some(prior) = prior {
            let manifest = self.repository.data(&prior.label).join("backup_manifest");
            command = command.arg(format!("--incremental={manifest}"));
        }
        command.progress = Some("--progress");
        vec![
            // What a run that was cut short has left.
            Step::Remove {
                path: partial.clone(),
            },
            Step::make_dir(&partial, 0o700),
            Step::write(&partial.join("intent.json"), content, 0o600),
            Step::Run(command),
            self.verify_command(source.version, &data),
        ]
    }

    fn keep(&self, object: &str) -> Option<Box<dyn AnyStage>> {
        Some(Box::new(Keep {
            tool: self.clone(),
            object: object.to_owned(),
        }))
    }

    fn restore(
        &self,
        backup: &Backup,
        known: &Catalogue,
        place: &Place,
        recovery: &Recovery,
    ) -> Result<Vec<Step>> {
        restore::steps(self, backup, known, place, recovery)
    }

    fn overwrites(&self) -> bool {
        false
    }

    fn is_taking(&self, look: &dyn Look) -> Result<bool> {
        look.is_locked(&self.repository.lock())
    }

    fn lock(&self) -> Option<Utf8PathBuf> {
        Some(self.repository.lock())
    }

    fn expired(&self, look: &dyn Look) -> Result<Expired> {
        upkeep::expired(self, look)
    }

    fn expire(&self, expired: &Expired) -> Vec<Step> {
        let files = expired.files.iter().cloned();
        files.map(|path| Step::Remove { path }).collect()
    }

    fn check(&self, server: &Server) -> Vec<Step> {
        let directory = self.repository.archive(self.archive);
        let statement = include_str!("../../templates/basebackup/check.sql")
            .replace(
                "{directory}",
                &crate::pg::ident::literal(directory.as_str()),
            )
            .replace("{seconds}", &ARRIVAL.to_string());
        vec![Step::sql(server, "postgres", vec![statement.into()])]
    }

    fn verify(&self, look: &dyn Look) -> Result<Verdict> {
        upkeep::verify(self, look)
    }
}
