//! Backups by PostgreSQL's own programs: `pg_basebackup`, `pg_verifybackup`, `pg_combinebackup` (docs/decisions/0021-basebackup.md).
//!
//! An instance belongs to a stanza when a note in its state directory says so ([`member`]). What lies where is said in
//! [`repository`].

mod archive;
mod keep;
mod manifest;
mod member;
mod repository;
mod restore;
mod retention;
mod tool;
mod trouble;
mod upkeep;

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use self::member::Membership;
use self::tool::BaseBackup as Tool;
use super::backups::archiving::{Archiving, PARAMETERS};
use super::backups::stanza::{Deletion, Stanza, StanzaTool};
use super::backups::{access, check_name, scheduling, timings};
use super::item::{Item, Purpose};
use super::{Component, Contribution, Removed, View, Wishes};
use crate::backup::schedule::{Scheduling, Timing};
use crate::backup::{BackupTool, Kind};
use crate::bail_fault;
use crate::host::Look;
use crate::manifest::{Presence, RoleSpec};
use crate::pg::version::Major;
use crate::settings::{self, Settings};
use crate::stage::AnyStage;

/// The first major with incremental backups.
const INCREMENTAL: Major = Major::new(17);

/// What incremental backups are made of (PostgreSQL documentation, 19.5.7).
const SUMMARIES: &str = "summarize_wal";

/// The component.
pub struct BaseBackup;

/// What is said of the backups of an instance by PostgreSQL's own programs.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Spec {
    /// Name of the stanza: of all backups of one cluster. At first that of the instance with its major: `17-main`.
    #[serde(default)]
    pub stanza: Option<String>,
    /// Go on in a stanza that holds backups of another cluster, which stay in it. To be given once.
    #[serde(default)]
    pub take_over: bool,
    /// When backups are taken by themselves, by type; `never` takes one away. At first as the site settings say.
    #[serde(default)]
    pub schedule: Option<settings::Schedule>,
    /// Whether the instance is archived and backed up. With `absent` it is no longer; its backups stay.
    #[serde(default)]
    pub state: Presence,
}

impl Component for BaseBackup {
    fn site(&self, site: &Settings) -> Vec<Item> {
        let own = site.basebackup.iter();
        own.map(|own| Item::directory(site, &own.directory, 0o700, Purpose::Backups))
            .collect()
    }

    fn contribute(&self, wishes: &Wishes, view: &View) -> Result<Contribution> {
        let paths = view.paths;
        let own = match (&view.site.basebackup, &wishes.basebackup) {
            (Some(own), _) => own,
            (None, None) => return Ok(Contribution::default()),
            (None, Some(_)) => bail_fault!(
                Input,
                "instance `{paths}`: `basebackup` is given, and the site settings have no section `basebackup`";
                "say there where backups go: `basebackup: {{directory: …}}`"
            ),
        };
        let bound = member::stanza(view.look, paths)?;
        let Some(spec) = &wishes.basebackup else {
            // Archiving does not end because nothing is said of it.
            let keeps = PARAMETERS.into_iter().chain([SUMMARIES]);
            return Ok(Contribution {
                keeps: bound.map(|_| keeps.collect()).unwrap_or_default(),
                ..Contribution::default()
            });
        };
        if spec.state == Presence::Absent {
            return Ok(retracted(view, bound.is_some()));
        }
        let known = bound.is_some();
        let stanza = spec
            .stanza
            .clone()
            .or(bound)
            .unwrap_or_else(|| paths.qualified_name.clone());
        check_name(&stanza).with_context(|| format!("instance `{paths}`"))?;
        let tool = Tool::new(own, view.site, stanza, view.look)?;
        if !known {
            // Later that is a warning: it must not keep from other changes.
            tool.repository
                .clusters(view.look)
                .with_context(|| format!("instance `{paths}`"))?;
        }
        Ok(Contribution {
            scheduling: scheduled(spec, own, view)?,
            ..present(spec, tool, view)?
        })
    }

    fn retract(&self, view: &View, removed: Removed) -> Result<Vec<Box<dyn AnyStage>>> {
        let mut stages: Vec<Box<dyn AnyStage>> = Vec::new();
        let Some(stanza) = member::stanza(view.look, view.paths)? else {
            return Ok(stages);
        };
        if let Some(own) = &view.site.basebackup
            && removed.delete_backups
        {
            stages.push(Box::new(Deletion {
                tool: Rc::new(Tool::new(own, view.site, stanza, view.look)?),
                paths: view.paths.clone(),
            }));
        }
        stages.push(Box::new(membership(view, None)));
        Ok(stages)
    }

    fn stanza_tool(
        &self,
        site: &Settings,
        stanza: &str,
        look: &dyn Look,
    ) -> Result<Option<Box<dyn BackupTool>>> {
        let Some(own) = &site.basebackup else {
            return Ok(None);
        };
        check_name(stanza)?;
        let tool = Tool::new(own, site, stanza.to_owned(), look)?;
        Ok(Some(Box::new(tool)))
    }

    fn backup_tool(&self, view: &View) -> Result<Option<Box<dyn BackupTool>>> {
        let Some(own) = &view.site.basebackup else {
            return Ok(None);
        };
        let Some(stanza) = member::stanza(view.look, view.paths)? else {
            return Ok(None);
        };
        let tool = Tool::new(own, view.site, stanza, view.look)?;
        Ok(Some(Box::new(tool)))
    }
}

fn membership(view: &View, stanza: Option<&str>) -> Membership {
    Membership {
        paths: view.paths.clone(),
        stanza: stanza.map(str::to_owned),
    }
}

/// When backups are taken by themselves.
fn scheduled(spec: &Spec, own: &settings::BaseBackup, view: &View) -> Result<Scheduling> {
    let version = view.paths.version;
    let said = timings(spec.schedule.as_ref(), "basebackup.schedule")?;
    if let Some((kind, _)) = said.iter().find(|(kind, timing)| {
        version < INCREMENTAL && **kind != Kind::Full && **timing != Timing::Never
    }) {
        bail_fault!(
            Input,
            "instance `{}`: `basebackup.schedule.{}` is given, and PostgreSQL {version} has full backups only", view.paths, kind.name();
            "give `full`"
        );
    }
    let default = settings::Schedule {
        incr: Some("daily".to_owned()),
        ..settings::Schedule::default()
    };
    let site = own.schedule.as_ref().unwrap_or(&default);
    let site = timings(Some(site), "basebackup.schedule of the site settings")?;
    Ok(scheduling(
        said,
        possible(site, version),
        own.schedule.is_some(),
    ))
}

/// Of the times of a site those that a major can have: where there are full backups only, they are taken at the time of the
/// others, unless they have their own.
fn possible(mut site: BTreeMap<Kind, Timing>, version: Major) -> BTreeMap<Kind, Timing> {
    if version >= INCREMENTAL {
        return site;
    }
    let others = [site.remove(&Kind::Incr), site.remove(&Kind::Diff)];
    if let Some(timing) = others.into_iter().flatten().next() {
        site.entry(Kind::Full).or_insert(timing);
    }
    site
}

fn present(spec: &Spec, tool: Tool, view: &View) -> Result<Contribution> {
    let paths = view.paths.clone();
    let tool = tool.for_cluster(view.look.system_identifier(&paths.datadir)?);
    let mut parameters = vec![
        ("archive_command", Some(tool.archive_command())),
        ("archive_mode", Some("on".to_owned())),
    ];
    if paths.version >= INCREMENTAL {
        parameters.push((SUMMARIES, Some("on".to_owned())));
    }
    let (record, mapping) = access(view, "replication", Presence::Present);
    let membership = membership(view, Some(tool.stanza()));
    let tool: Rc<dyn StanzaTool> = Rc::new(tool);
    Ok(Contribution {
        parameters,
        roles: vec![RoleSpec {
            login: Some(true),
            replication: Some(true),
            ..RoleSpec::named(&view.site.postgresql.backuprole.name)
        }],
        hba: vec![record],
        ident: vec![mapping],
        before_start: vec![Box::new(Stanza {
            tool: Rc::clone(&tool),
            paths: paths.clone(),
            take_over: spec.take_over,
        })],
        after_roles: vec![Box::new(membership), Box::new(Archiving { tool, paths })],
        ..Contribution::default()
    })
}

/// Archiving ends. With `archive_mode` still on until the next restart, an empty command would keep all WAL (PostgreSQL
/// documentation, 26.3.1).
fn retracted(view: &View, bound: bool) -> Contribution {
    if !bound {
        return Contribution {
            scheduling: Scheduling::Ended,
            ..Contribution::default()
        };
    }
    let (record, mapping) = access(view, "replication", Presence::Absent);
    let mut parameters = vec![
        ("archive_command", Some("/bin/true".to_owned())),
        ("archive_mode", None),
    ];
    if view.paths.version >= INCREMENTAL {
        parameters.push((SUMMARIES, None));
    }
    Contribution {
        parameters,
        hba: vec![record],
        ident: vec![mapping],
        after_roles: vec![Box::new(membership(view, None))],
        scheduling: Scheduling::Ended,
        ..Contribution::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_full_backups_only() {
        let at = |text: &str| Timing::At(text.to_owned());
        for (site, full) in [
            (vec![(Kind::Incr, "daily")], Some("daily")),
            (
                vec![(Kind::Incr, "daily"), (Kind::Full, "Sun")],
                Some("Sun"),
            ),
            (vec![(Kind::Diff, "weekly")], Some("weekly")),
            (vec![], None),
        ] {
            let site: BTreeMap<Kind, Timing> = site
                .into_iter()
                .map(|(kind, text)| (kind, at(text)))
                .collect();
            assert_eq!(possible(site.clone(), Major::new(17)), site);
            let wanted = full.map(|text| (Kind::Full, at(text)));
            assert_eq!(possible(site, Major::new(16)), wanted.into_iter().collect());
        }
    }
}
