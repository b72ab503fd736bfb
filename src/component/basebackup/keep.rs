//! What makes a backup of what `pg_basebackup` has brought and `pg_verifybackup` found to be whole: what there is to know of it is
//! written down, and it gets its label.

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};

use super::manifest::{self, Manifest};
use super::repository::{Entry, Intent, PARTIAL, label, root, tablespace, wal_size};
use super::tool::BaseBackup;
use crate::backup::BackupTool as _;
use crate::backup::recovery::shown;
use crate::fault;
use crate::host::{Look, Probe};
use crate::pg::controldata::ControlData;
use crate::pg::tablespace::link;
use crate::pg::wal;
use crate::plan::{Action, Change, Content, Diff, Impact, Plan, Step, attributes};
use crate::stage::{Sight, Stage, World};

/// Keeps a backup.
pub struct Keep {
    pub tool: BaseBackup,
    /// What is changed by taking it.
    pub object: String,
}

pub struct Seen {
    intent: Intent,
    begun: Timestamp,
    ended: Timestamp,
    /// Of the backups that it builds upon, and its own.
    manifests: Vec<Manifest>,
    segment_size: u32,
    /// What is among the backups.
    names: Vec<String>,
}

impl Stage for Keep {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("stanza `{}`", self.tool.stanza())
    }

    fn sight(&self, world: &World) -> Sight {
        match world.changed.get(&self.object) {
            Some(true) => Sight::Look,
            Some(false) => Sight::Hidden("the backup gets its label when it is complete".into()),
            None => Sight::Skip,
        }
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let repository = &self.tool.repository;
        let data = repository.data(PARTIAL);
        let gone = || fault!(NotFound, "the backup in `{data}` is gone");
        let intent = look
            .read(&repository.backup(PARTIAL).join("intent.json"))?
            .ok_or_else(gone)?;
        let intent: Intent = serde_json::from_slice(&intent).context("what was to be taken")?;
        // The first file that the server sends, and the last one.
        let time = |name: &str| -> Result<Timestamp> {
            let stat = look.stat(&data.join(name))?.ok_or_else(gone)?;
            Ok(Timestamp::from_microsecond(stat.modified)?)
        };
        let (begun, ended) = (time("backup_label")?, time("backup_manifest")?);
        let mut places = vec![data.clone()];
        if let Some(prior) = &intent.prior {
            let known = repository.catalogue(look)?;
            let prior = known.backups.iter().find(|backup| backup.label == *prior);
            let chain = known.chain(prior.ok_or_else(gone)?).into_iter();
            let data = chain.map(|backup| repository.data(&backup.label));
            places.splice(0..0, data);
        }
        let manifests = places.iter().map(|place| {
            let content = look.read(&place.join("backup_manifest"))?;
            Manifest::parse(&content.ok_or_else(gone)?)
        });
        let manifests = manifests.collect::<Result<_>>()?;
        let control = Probe::controldata(&self.tool.programs(intent.version), &data);
        Ok(Seen {
            manifests,
            segment_size: ControlData::parse(&look.probe(&control)?.stdout)?.wal_segment_size,
            names: look.list(&repository.backups())?.unwrap_or_default(),
            intent,
            begun,
            ended,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let (repository, stanza) = (&self.tool.repository, self.tool.stanza());
        let own = seen.manifests.last().context("a backup has a manifest")?;
        let (start, stop, size) = (own.start, own.stop, seen.segment_size);
        let entry = Entry {
            date_start: seen.begun,
            date_stop: seen.ended,
            size: manifest::restored(&seen.manifests),
            repo_size: own.size() + wal_size(start.lsn, stop.lsn, size),
            wal_start: wal::name(start.timeline, start.lsn, size),
            // The place is the one behind the last byte.
            wal_stop: wal::name(stop.timeline, stop.lsn.saturating_sub(1), size),
            lsn_start: shown(start.lsn),
            lsn_stop: shown(stop.lsn),
            wal_segment_size: size,
            intent: seen.intent.clone(),
        };
        let label = free_label(seen)?;
        let (partial, kept) = (repository.backup(PARTIAL), repository.backup(&label));
        let links = seen.intent.tablespaces.iter().map(|own| Step::Symlink {
            path: link(&partial.join("data"), own.oid),
            target: tablespace(&kept, own),
        });
        let mut steps: Vec<Step> = links.collect();
        let content = Content::Bytes(serde_json::to_vec_pretty(&entry)?);
        steps.extend([
            Step::write(&partial.join("backup.json"), content, 0o600),
            Step::Rename {
                from: partial,
                to: kept,
            },
        ]);
        let object = format!("backup {label}");
        let about = attributes(&[
            ("type", Some(entry.intent.kind.name().to_owned())),
            ("prior", entry.intent.prior),
            ("wal_start", Some(entry.wal_start)),
            ("wal_stop", Some(entry.wal_stop)),
        ]);
        let mut plan = Plan::default();
        plan.changes.push(Change::new(
            Action::Create,
            &object,
            format!("keep it as `{label}` in stanza `{stanza}`"),
            Diff::new(&object, "", about),
            Impact::None,
            steps,
        ));
        Ok(plan)
    }
}

/// One that no backup has yet: two may be begun within a second.
fn free_label(seen: &Seen) -> Result<String> {
    let root = seen.intent.prior.as_deref().map(root);
    let mut begun = seen.begun;
    loop {
        let label = label(seen.intent.kind, begun, root);
        if !seen.names.contains(&label) {
            return Ok(label);
        }
        begun = begun.checked_add(SignedDuration::from_secs(1))?;
    }
}
