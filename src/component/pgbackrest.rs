//! pgBackRest: continuous archiving, backups and restores (<https://pgbackrest.org/configuration.html>).
//!
//! An instance belongs to a stanza when its data directory is named in `conf.d/STANZA.conf`: nothing else is kept of it.

mod cipher;
mod info;
mod lacks;
mod member;
mod rights;
mod site;
mod stanza_file;
mod tool;
mod trouble;
mod upkeep;

use std::rc::Rc;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use self::member::Membership;
use self::rights::Rights;
use self::tool::PgBackRest as Tool;
use super::backups::archiving::{Archiving, PARAMETERS};
use super::backups::stanza::{Deletion, Stanza, StanzaTool};
use super::backups::{access, check_name, scheduling, timings};
use super::item::Item;
use super::service::Service;
use super::{Component, Contribution, Lack, Objection, Removed, View, Wishes};
use crate::backup::BackupTool;
use crate::backup::schedule::{Scheduling, Timing};
use crate::bail_fault;
use crate::host::Look;
use crate::manifest::{Presence, RoleSpec};
use crate::secret::Secret;
use crate::settings::{self, Settings};
use crate::stage::AnyStage;

/// The component.
pub struct PgBackRest;

/// What is said of the backups of an instance by pgBackRest.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Spec {
    /// Name of the stanza: of all backups of one cluster and its standbys.
    #[serde(default)]
    pub stanza: Option<String>,
    /// Password of the backup role (`postgresql.backuprole` of the site settings). Never required: pgBackRest comes in by peer
    /// authentication.
    #[serde(default)]
    pub password: Option<Secret>,
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

impl Component for PgBackRest {
    fn site(&self, site: &Settings) -> Vec<Item> {
        site.pgbackrest
            .as_ref()
            .map(|own| self::site::items(site, own))
            .unwrap_or_default()
    }

    fn services(&self, site: &Settings) -> Vec<Service> {
        site.pgbackrest
            .as_ref()
            .and_then(self::site::service)
            .into_iter()
            .collect()
    }

    fn units(&self) -> &'static [&'static str] {
        &[self::site::UNIT]
    }

    fn former(&self, site: &Settings) -> Vec<Item> {
        self::site::former(site)
    }

    fn lacks(&self, look: &dyn Look, site: &Settings) -> Result<Vec<Lack>> {
        site.pgbackrest
            .as_ref()
            .map_or(Ok(Vec::new()), |own| self::lacks::lacks(look, own))
    }

    fn objections(&self, look: &dyn Look, site: &Settings) -> Result<Vec<Objection>> {
        site.pgbackrest
            .as_ref()
            .map_or(Ok(Vec::new()), |own| self::cipher::objections(look, own))
    }

    fn contribute(&self, wishes: &Wishes, view: &View) -> Result<Contribution> {
        let paths = view.paths;
        let own = match (&view.site.pgbackrest, &wishes.pgbackrest) {
            (Some(own), _) => own,
            (None, None) => return Ok(Contribution::default()),
            (None, Some(_)) => bail_fault!(
                Input,
                "instance `{paths}`: `pgbackrest` is given, and the site settings have no section `pgbackrest`";
                "say there where backups go: `pgbackrest: {{repository: {{mode: path, path: …}}}}`"
            ),
        };
        let bound = Tool::of(own, view.look, &paths.datadir)?;
        let Some(spec) = &wishes.pgbackrest else {
            // Archiving does not end because nothing is said of it.
            return Ok(Contribution {
                keeps: bound.map(|_| PARAMETERS.to_vec()).unwrap_or_default(),
                ..Contribution::default()
            });
        };
        if spec.state == Presence::Absent {
            return Ok(retracted(own, view, bound.is_some()));
        }
        let stanza = match (&spec.stanza, bound) {
            (Some(stanza), _) => stanza.clone(),
            (None, Some(bound)) => bound.stanza,
            (None, None) => bail_fault!(
                Input,
                "instance `{paths}`: `pgbackrest` needs a `stanza`";
                "give the name under which its backups are kept, as `{}`", paths.qualified_name
            ),
        };
        check_name(&stanza).with_context(|| format!("instance `{paths}`"))?;
        let tool = Tool {
            own: own.clone(),
            stanza,
        };
        let scheduling = scheduled(spec, &tool, view)?;
        Ok(Contribution {
            scheduling,
            ..present(spec, tool, view)
        })
    }

    fn environment(&self, view: &View) -> Result<Vec<(&'static str, String)>> {
        let Some(own) = &view.site.pgbackrest else {
            return Ok(Vec::new());
        };
        let tool = Tool::of(own, view.look, &view.paths.datadir)?;
        // pgBackRest reads its options there as well (command reference, "Environment").
        Ok(tool.map_or_else(Vec::new, |tool| {
            vec![
                ("PGBACKREST_CONFIG_PATH", own.configpath.to_string()),
                ("PGBACKREST_STANZA", tool.stanza),
            ]
        }))
    }

    fn retract(&self, view: &View, removed: Removed) -> Result<Vec<Box<dyn AnyStage>>> {
        let Some(own) = &view.site.pgbackrest else {
            return Ok(Vec::new());
        };
        let mut stages: Vec<Box<dyn AnyStage>> = Vec::new();
        if let Some(tool) = Tool::of(own, view.look, &view.paths.datadir)? {
            if removed.delete_backups {
                stages.push(Box::new(Deletion {
                    tool: Rc::new(tool),
                    paths: view.paths.clone(),
                }));
            }
            stages.push(Box::new(membership(own, view, None)));
        }
        Ok(stages)
    }

    fn stanza_tool(
        &self,
        site: &Settings,
        stanza: &str,
        _: &dyn Look,
    ) -> Result<Option<Box<dyn BackupTool>>> {
        let Some(own) = &site.pgbackrest else {
            return Ok(None);
        };
        check_name(stanza)?;
        Ok(Some(Box::new(Tool {
            own: own.clone(),
            stanza: stanza.to_owned(),
        })))
    }

    fn backup_tool(&self, view: &View) -> Result<Option<Box<dyn BackupTool>>> {
        let Some(own) = &view.site.pgbackrest else {
            return Ok(None);
        };
        let tool = Tool::of(own, view.look, &view.paths.datadir)?;
        Ok(tool.map(|tool| Box::new(tool) as Box<dyn BackupTool>))
    }
}

fn membership(own: &settings::PgBackRest, view: &View, stanza: Option<&str>) -> Membership {
    Membership {
        own: own.clone(),
        paths: view.paths.clone(),
        role: view.site.postgresql.backuprole.name.clone(),
        stanza: stanza.map(str::to_owned),
    }
}

/// When backups are taken by themselves: here, or nowhere.
fn scheduled(spec: &Spec, tool: &Tool, view: &View) -> Result<Scheduling> {
    let own = timings(spec.schedule.as_ref(), "pgbackrest.schedule")?;
    if !tool.is_local() {
        if own.values().any(|timing| *timing != Timing::Never) {
            bail_fault!(
                Input,
                "instance `{}`: `pgbackrest.schedule` is given, and its backups are taken by the repository host", view.paths;
                "schedule them there"
            );
        }
        return Ok(Scheduling::Ended);
    }
    let default = settings::Schedule {
        incr: Some("daily".to_owned()),
        ..settings::Schedule::default()
    };
    let site = tool.own.schedule.as_ref().unwrap_or(&default);
    let site = timings(Some(site), "pgbackrest.schedule of the site settings")?;
    Ok(scheduling(own, site, tool.own.schedule.is_some()))
}

fn present(spec: &Spec, tool: Tool, view: &View) -> Contribution {
    let role = &view.site.postgresql.backuprole;
    let (record, mapping) = access(view, "postgres", Presence::Present);
    let command = tool.archive_command(&view.paths.datadir);
    let paths = view.paths.clone();
    let membership = membership(&tool.own, view, Some(&tool.stanza));
    let tool: Rc<dyn StanzaTool> = Rc::new(tool);
    Contribution {
        parameters: vec![
            ("archive_command", Some(command)),
            ("archive_mode", Some("on".to_owned())),
        ],
        roles: vec![RoleSpec {
            login: Some(true),
            password: spec.password.clone(),
            pgpass: (role.pgpass && spec.password.is_some()).then_some(true),
            memberships: Some(rights::memberships(paths.version)),
            ..RoleSpec::named(&role.name)
        }],
        hba: vec![record],
        ident: vec![mapping],
        before_start: vec![Box::new(Stanza {
            tool: Rc::clone(&tool),
            paths: paths.clone(),
            take_over: spec.take_over,
        })],
        after_roles: vec![
            Box::new(membership),
            Box::new(Rights {
                paths: paths.clone(),
                role: role.name.clone(),
            }),
            Box::new(Archiving { tool, paths }),
        ],
        ..Contribution::default()
    }
}

/// Archiving ends. With `archive_mode` still on until the next restart, an empty command would keep all WAL (PostgreSQL
/// documentation, 26.3.1).
fn retracted(own: &settings::PgBackRest, view: &View, bound: bool) -> Contribution {
    if !bound {
        return Contribution {
            scheduling: Scheduling::Ended,
            ..Contribution::default()
        };
    }
    let (record, mapping) = access(view, "postgres", Presence::Absent);
    Contribution {
        parameters: vec![
            ("archive_command", Some("/bin/true".to_owned())),
            ("archive_mode", None),
        ],
        hba: vec![record],
        ident: vec![mapping],
        after_roles: vec![Box::new(membership(own, view, None))],
        scheduling: Scheduling::Ended,
        ..Contribution::default()
    }
}
