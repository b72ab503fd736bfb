//! Backups of an instance: an act that is asked for, or due when the newest one is too old; and what there is to know.

pub mod health;
pub mod schedule;
pub mod timer;
pub mod upkeep;

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::upkeep::Expiry;
use crate::backup::recovery::Recovery;
use crate::backup::timeline::Timelines;
use crate::backup::{
    Archiver, Backup, BackupTool, Catalogue, Kind, Source,
    age::{ahead, is_within},
};
use crate::component::{self, View, backups::archiving};
use crate::host::{LockMode, Look};
use crate::manifest::{InstanceRef, Place};
use crate::pg::wal;
use crate::plan::{Action, Change, Diff, Impact, Plan, attributes};
use crate::resource::instance::directory::tablespaces;
use crate::resource::instance::target::{Running, Target};
use crate::resource::{Addressed, Job, Site, addressed};
use crate::stage::{Sight, Stage, World};
use crate::{bail_fault, fault};

/// A backup of an instance.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupSpec {
    /// The instance, as `name` or `version/name`; may be left out when there is only one.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// How much is copied: everything, what has changed since the last full backup, or since the last one of any kind. Unless
    /// given, the latter, or everything where there is no other way.
    #[serde(default, rename = "type")]
    pub kind: Option<Kind>,
    /// Take none while the newest one of this type, or of one that copies more, is younger: `1d`, `12h 30m`, or a number of
    /// seconds. Without it each call takes one.
    #[serde(default)]
    pub max_age: Option<String>,
    /// How many seconds to wait for another backup, or for a run that stops or restarts the instance; 60 unless given,
    /// 0: not at all.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub lock_timeout: Option<u32>,
}

/// Reads an age: a number of seconds, or words such as `1d 12h`; a day has 24 hours.
pub fn age(text: &str) -> Result<SignedDuration> {
    let said = text.trim();
    let age = match said.parse::<u32>() {
        Ok(seconds) => Some(SignedDuration::from_secs(seconds.into())),
        Err(_) => said
            .parse::<Span>()
            .ok()
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()),
    };
    match age.filter(|age| !age.is_negative()) {
        Some(age) => Ok(age),
        None => {
            bail_fault!(Input, "`max_age`: `{text}` is no age"; "give it as `1d`, `12h 30m`, or a number of seconds")
        }
    }
}

/// The run that takes a backup.
pub fn job(spec: &BackupSpec, site: &Site, look: &dyn Look) -> Result<Job> {
    let max_age = spec.max_age.as_deref().map(age).transpose()?;
    let place = Place {
        instance: spec.instance.clone(),
        start_temporarily: false,
        max_impact: None,
        lock_timeout: spec.lock_timeout,
    };
    let Addressed {
        mut job,
        target,
        exists,
    } = addressed("backup", &place, site, look)?;
    // Others go on changing what is in the cluster; whoever would stop it is told of the backup.
    job.subject.mode = LockMode::Read;
    if !exists {
        job.warnings
            .push("its backups cannot be foreseen".to_owned());
        return Ok(job);
    }
    let now: Timestamp = site.now.parse().context("the time of the run")?;
    let tool: Rc<dyn BackupTool> = tool(&target, site, look)?.into();
    job.subject.alone = tool.lock();
    job.stages.push(Box::new(Take {
        tool: Rc::clone(&tool),
        target: target.clone(),
        kind: spec.kind,
        max_age,
        now,
        patience: if site.check {
            Duration::ZERO
        } else {
            job.subject.lock_timeout
        },
    }));
    let keep = tool.keep(&object(&target));
    let expires = keep.is_some();
    job.stages.extend(keep);
    let (newest, kept) = (Rc::clone(&tool), target.clone());
    job.stages.push(Box::new(Newest {
        tool: newest,
        target: kept,
    }));
    if expires {
        let after = Some(object(&target));
        job.stages.push(Box::new(Expiry {
            tool,
            target,
            after,
        }));
    }
    Ok(job)
}

/// What takes the backups of an instance, where something does.
pub fn tool_of(
    target: &Target,
    site: &Site,
    look: &dyn Look,
) -> Result<Option<Box<dyn BackupTool>>> {
    component::backup_tool(&View {
        look,
        site: &site.settings,
        paths: &target.paths,
    })
}

/// … which something must.
pub fn tool(target: &Target, site: &Site, look: &dyn Look) -> Result<Box<dyn BackupTool>> {
    tool_of(target, site, look)?.ok_or_else(|| not_backed_up(target))
}

pub fn not_backed_up(target: &Target) -> anyhow::Error {
    fault!(
        Conflict,
        "instance `{}` is not backed up: it is in no stanza", target.paths;
        "give it one: `pgsocle instance alter {0} --pgbackrest-stanza NAME`, or `--backup-method basebackup`; in its manifest, \
         `pgbackrest: {{stanza: NAME}}` or `backup_method: basebackup`", target.paths
    )
}

/// How archiving stands; none where the server does not run.
fn archiver(target: &Target, look: &dyn Look) -> Result<Option<Archiver>> {
    match target.running(look)? {
        Some(running) if running.ready => archiving::archiver(look, &running.server).map(Some),
        _ => Ok(None),
    }
}

fn object(target: &Target) -> String {
    format!("backup of instance {}", target.paths)
}

/// Takes a backup, where one is due.
struct Take {
    tool: Rc<dyn BackupTool>,
    target: Target,
    kind: Option<Kind>,
    max_age: Option<SignedDuration>,
    now: Timestamp,
    /// How long another backup into the stanza is waited for.
    patience: Duration,
}

struct Seen {
    catalogue: Catalogue,
    running: Option<Running>,
    source: Source,
}

impl Stage for Take {
    type Seen = Seen;

    fn name(&self) -> String {
        object(&self.target)
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let datadir = &self.target.paths.datadir;
        let missing = self.tool.missing(look)?;
        if let Some(missing) = missing.or_else(|| self.tool.elsewhere("backup")) {
            return Err(missing);
        }
        let (running, version) = (self.target.running(look)?, self.target.paths.version);
        let known_since = match running.as_ref().filter(|running| running.ready) {
            Some(running) => self.tool.known_since(look, version, &running.server)?,
            None => None,
        };
        Ok(Seen {
            catalogue: self.when_free(look)?,
            running,
            source: Source {
                known_since,
                version,
                cluster: look.system_identifier(datadir)?,
                timelines: timelines(look, datadir)?.unwrap_or_default(),
                standby: look.stat(&datadir.join("standby.signal"))?.is_some(),
                tablespaces: tablespaces(look, datadir)?,
            },
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let (paths, tool) = (&self.target.paths, &self.tool);
        let stanza = tool.stanza();
        let (source, known) = (&seen.source, &seen.catalogue);
        let mut plan = Plan::default();
        plan.warnings.extend(known.unreadable.values().cloned());
        let kind = tool.kind(self.kind, source, known)?;
        // A full one is taken where no other can be; one of the kind that was asked for is none the worse.
        let enough = self.kind.unwrap_or_default();
        let own = || {
            let all = known.backups.iter();
            all.filter(|backup| source.comes_from(backup) && backup.kind >= enough)
        };
        let newest = own().next();
        plan.warnings
            .extend(newest.and_then(|newest| ahead(newest, self.now)));
        if self
            .max_age
            .is_some_and(|limit| own().any(|backup| is_within(backup.date_stop, self.now, limit)))
        {
            return Ok(plan);
        }
        if seen.source.standby
            && let Some(refused) = tool.not_from_a_standby(paths.version)
        {
            return Err(refused);
        }
        let Some(running) = &seen.running else {
            bail_fault!(
                Unavailable,
                "instance `{paths}` is stopped: {} takes backups of a server that runs", tool.name();
                "start it with `pgsocle instance start {paths}`"
            );
        };
        if let Some(problem) = seen.catalogue.problems.first() {
            bail_fault!(
                Unavailable,
                "the repository of stanza `{stanza}` of instance `{paths}` is not in order: {problem}";
                "mend it first; `pgsocle instance backup-check {paths}` tells when it is"
            );
        }
        if seen.catalogue.clusters.is_empty() {
            bail_fault!(
                NotFound,
                "stanza `{stanza}` of instance `{paths}` is not in its repository";
                "mount the repository if it is not; where it was lost, apply the instance with its `{}` again to make it anew", tool.method().name()
            );
        }
        if seen.catalogue.busy {
            bail_fault!(
                Conflict,
                "a backup is being taken into stanza `{stanza}` of instance `{paths}` already";
                "wait until it is through, longer with `lock_timeout`; `max_age` then finds it"
            );
        }
        let object = object(&self.target);
        let line = |label: Option<String>| attributes(&[("newest", label)]);
        let taken = tool.take(kind, &running.server, source, known);
        let kind = kind.name();
        plan.changes.push(Change::new(
            Action::Create,
            &object,
            format!("take a backup of instance `{paths}` into stanza `{stanza}` ({kind})"),
            Diff::new(
                &object,
                line(newest.map(|backup| backup.label.clone())),
                line(Some(format!("a new one ({kind})"))),
            ),
            Impact::None,
            taken,
        ));
        Ok(plan)
    }
}

impl Take {
    /// What there is once no other backup is being taken, or the patience is over.
    fn when_free(&self, look: &dyn Look) -> Result<Catalogue> {
        let catalogue = self.tool.catalogue(look)?;
        if !catalogue.busy {
            return Ok(catalogue);
        }
        look.patiently(self.patience, &mut || Ok(!self.tool.is_taking(look)?))?;
        self.tool.catalogue(look)
    }
}

/// The timelines of a cluster: a file tells of each new one, and is kept. None where there is no such file: the cluster is on its
/// first timeline, or has lost its WAL.
fn timelines(look: &dyn Look, datadir: &Utf8Path) -> Result<Option<Timelines>> {
    let directory = datadir.join("pg_wal");
    let names = look.list(&directory)?.unwrap_or_default();
    let mut histories = names.iter().filter(|name| name.ends_with(".history"));
    let Some(newest) = histories.next_back() else {
        return Ok(None);
    };
    let content = look.read(&directory.join(newest))?.unwrap_or_default();
    Ok(Timelines::parse(newest, &content))
}

/// The backups among which one is chosen for a recovery: those from which the WAL leads along the timeline that is recovered.
/// `home` is the data directory of the cluster whose backups they are; a copy has none.
pub fn choice(
    tool: &dyn BackupTool,
    label: Option<&str>,
    recovery: &Recovery,
    look: &dyn Look,
    home: Option<&Utf8Path>,
) -> Result<Catalogue> {
    let mut catalogue = tool.catalogue(look)?;
    let wanted = recovery.numbered();
    let (Some(cluster), false) = (catalogue.cluster(), recovery.is_along_the_backups()) else {
        return Ok(catalogue);
    };
    let own = home.map(|datadir| timelines(look, datadir)).transpose()?;
    let own = own.flatten().and_then(|own| match wanted {
        Some(timeline) => own.of(timeline),
        None => Some(own),
    });
    // An archive need not have the files that tell of all timelines.
    let may_be_untold = own.is_none() && wanted.is_none();
    let timelines = match own {
        Some(own) => Some(own),
        None => tool.timelines(look, cluster, wanted)?,
    };
    let Some(timelines) = timelines else {
        return Ok(catalogue);
    };
    let untold = |backup: &Backup| {
        let timeline = backup.wal_stop.as_deref().and_then(wal::timeline);
        may_be_untold && timeline > Some(timelines.present)
    };
    let leads = |backup: &Backup| {
        backup.system_identifier != cluster || timelines.lead_from(backup) || untold(backup)
    };
    let mut undone = catalogue.backups.iter().filter(|backup| !leads(backup));
    if let Some(named) = undone.find(|backup| label == Some(&*backup.label)) {
        bail_fault!(
            Conflict,
            "backup `{}` is of a time that a restore has undone: no recovery along timeline {} begins with it", named.label, timelines.present;
            "choose another one; a restore brings this one along its own timeline, with `target_timeline: current`"
        );
    }
    catalogue.backups.retain(leads);
    Ok(catalogue)
}

/// Without the backups of a time that a restore has undone: no recovery leads from them to where the cluster in a data directory is.
fn of_its_past(mut catalogue: Catalogue, look: &dyn Look, datadir: &Utf8Path) -> Result<Catalogue> {
    if let Some(timelines) = timelines(look, datadir)? {
        catalogue
            .backups
            .retain(|backup| timelines.lead_from(backup));
    }
    Ok(catalogue)
}

/// Shows the newest backup.
struct Newest {
    tool: Rc<dyn BackupTool>,
    target: Target,
}

impl Stage for Newest {
    type Seen = Option<Backup>;

    fn name(&self) -> String {
        object(&self.target)
    }

    fn sight(&self, world: &World) -> Sight {
        match world.changed.get(&object(&self.target)) {
            Some(false) => {
                Sight::Hidden("its label, time and size are known once it is there".into())
            }
            _ => Sight::Look,
        }
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Option<Backup>> {
        let catalogue = of_its_past(self.tool.catalogue(look)?, look, &self.target.paths.datadir)?;
        Ok(catalogue.backups.into_iter().next())
    }

    fn plan(&self, seen: &Option<Backup>) -> Result<Plan> {
        Ok(Plan {
            view: Some(("backup", json!(seen))),
            ..Plan::default()
        })
    }
}

/// What there is to know of the backups of an instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupInfo {
    /// The instance, as `name` or `version/name`; may be left out when there is only one.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
}

/// The reply's own part: the backups, newest first, the archived WAL, and how archiving stands.
pub fn info(target: &Target, site: &Site, look: &dyn Look) -> Result<Map<String, Value>> {
    let Some(tool) = tool_of(target, site, look)? else {
        return Ok(Map::from_iter([
            ("backups".to_owned(), json!([])),
            ("stanza".to_owned(), Value::Null),
        ]));
    };
    if let Some(missing) = tool.missing(look)? {
        return Err(missing);
    }
    let catalogue = tool.in_full(look)?;
    let archiver = archiver(target, look)?;
    let identifier = look.system_identifier(&target.paths.datadir)?;
    Ok(Map::from_iter([
        ("backups".to_owned(), json!(catalogue.backups)),
        ("stanza".to_owned(), json!(tool.stanza())),
        ("tool".to_owned(), json!(tool.name())),
        (
            "system_identifier".to_owned(),
            json!(identifier.map(|own| own.to_string())),
        ),
        ("archives".to_owned(), json!(catalogue.archives)),
        ("backup_in_progress".to_owned(), json!(catalogue.busy)),
        (
            "problems".to_owned(),
            json!(catalogue.complaints().collect::<Vec<_>>()),
        ),
        ("archiver".to_owned(), json!(archiver)),
        (
            "timers".to_owned(),
            json!(health::timers(&target.paths, &site.settings, look)?),
        ),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("90", Some(90)),
            ("1d", Some(86_400)),
            ("12h 30m", Some(45_000)),
            ("2 weeks", Some(1_209_600)),
            ("PT1H", Some(3600)),
            ("", None),
            ("-1d", None),
            ("soon", None),
        ] {
            let found = age(text).ok().map(|age| age.as_secs());
            assert_eq!(found, seconds, "{text}");
        }
    }
}
