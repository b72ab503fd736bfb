//! Read-only kinds: what modules ending in `_info` and the verbs `get`, `list` and `env` show.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::fault;
use crate::fault::{Fault, Kind as FaultKind};
use crate::host::{Look, Server};
use crate::journal;
use crate::manifest::InstanceRef;
use crate::pg::version::Major;
use crate::resource::authentication::info::PghbaInfo;
use crate::resource::backup::health::{Part, health, metrics};
use crate::resource::backup::{self, BackupInfo};
pub use crate::resource::existing as target;
use crate::resource::instance::explain::explain;
use crate::resource::instance::hold::Hold;
use crate::resource::instance::lookup::{self, describe};
use crate::resource::instance::target::Target;
use crate::resource::{Site, role, schema, tablespace, variables_of_components};

/// Facts about instances, with an empty list where there is none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceInfo {
    /// The instance, as `name` or `version/name`; all of them when it is left out.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// Whether it is told how their backups stand. Their repository is asked for that, and waited for some seconds.
    #[serde(default)]
    pub backup: bool,
}

/// Facts about the roles of an instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleInfo {
    /// The instance, as `name` or `version/name`; may be left out when there is only one.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// Name of the role; all but the predefined ones when it is left out.
    #[serde(default)]
    pub name: Option<String>,
}

/// Facts about the databases of an instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseInfo {
    /// The instance, as `name` or `version/name`; may be left out when there is only one.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// Name of the database; all that accept connections when it is left out.
    #[serde(default)]
    pub name: Option<String>,
}

/// Facts about the tablespaces of an instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TablespaceInfo {
    /// The instance, as `name` or `version/name`; may be left out when there is only one.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// Name of the tablespace; all but `pg_default` and `pg_global` when it is left out.
    #[serde(default)]
    pub name: Option<String>,
}

/// Facts about parameters of an instance: values, where they come from, what wins over what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PgconfInfo {
    /// The instance, as `name` or `version/name`; may be left out when there is only one.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// Names of parameters; all that a configuration file sets when they are left out.
    #[serde(default)]
    pub names: Option<Vec<String>>,
}

/// How libpq clients reach an instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DsnInfo {
    /// Name of the instance, or `version/name`.
    pub name: InstanceRef,
    /// Major version, where a name exists in several.
    #[serde(default)]
    pub version: Option<Major>,
}

/// Looks, and gives the reply's own part.
type Answer = fn(Value, &Site, &dyn Look) -> Result<Map<String, Value>>;

/// A read-only kind.
pub struct Fact {
    pub name: &'static str,
    pub schema: fn() -> Value,
    pub answer: Answer,
}

pub const FACTS: &[Fact] = &[
    Fact {
        name: "instance_info",
        schema: schema::<InstanceInfo>,
        answer: instance_info,
    },
    Fact {
        name: "instance_backup_info",
        schema: schema::<BackupInfo>,
        answer: instance_backup_info,
    },
    Fact {
        name: "role_info",
        schema: schema::<RoleInfo>,
        answer: role_info,
    },
    Fact {
        name: "database_info",
        schema: schema::<DatabaseInfo>,
        answer: database_info,
    },
    Fact {
        name: "tablespace_info",
        schema: schema::<TablespaceInfo>,
        answer: tablespace_info,
    },
    Fact {
        name: "pgconf_info",
        schema: schema::<PgconfInfo>,
        answer: pgconf_info,
    },
    Fact {
        name: "pghba_info",
        schema: schema::<PghbaInfo>,
        answer: pghba_info,
    },
    Fact {
        name: "dsn_info",
        schema: schema::<DsnInfo>,
        answer: dsn_info,
    },
];

/// The read-only kind of this name.
pub fn kind(name: &str) -> Option<&'static Fact> {
    FACTS.iter().find(|fact| fact.name == name)
}

fn reply(key: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(key.to_owned(), value)])
}

/// What is not there is an empty list, not an error.
fn or_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if Fault::is(&error, FaultKind::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn instance_info(params: Value, site: &Site, look: &dyn Look) -> Result<Map<String, Value>> {
    let params: InstanceInfo = crate::input::from_json(params, "instance_info")?;
    let found = match &params.instance {
        Some(reference) => or_none(lookup::find(look, &site.settings, Some(reference)))?
            .into_iter()
            .collect(),
        None => lookup::list(look, &site.settings)?,
    };
    let mut views = Vec::new();
    for (version, name) in found {
        let target = Target::recorded(&site.settings, look, version, &name)?;
        views.push(match &target.adopted {
            // Beside others one that is not mounted is told of, and hides none of them.
            Some(adopted) if params.instance.is_none() && adopted.verify(look).is_err() => json!({
                "name": name,
                "version": version,
                "state": "missing",
                "data_directory": target.paths.datadir,
            }),
            Some(adopted) => {
                adopted.verify(look)?;
                in_full(&target, params.backup, site, look)?
            }
            None => match in_full(&target, params.backup, site, look) {
                // Nor does one that may not be looked into.
                Err(problem)
                    if params.instance.is_none() && Fault::is(&problem, FaultKind::Denied) =>
                {
                    json!({
                        "name": name,
                        "version": version,
                        "state": "unreadable",
                        "data_directory": target.paths.datadir,
                        "problem": format!("{problem:#}"),
                    })
                }
                view => view?,
            },
        });
    }
    Ok(reply("instances", Value::Array(views)))
}

/// An instance, with how its backups stand where that is asked for.
fn in_full(target: &Target, backup: bool, site: &Site, look: &dyn Look) -> Result<Value> {
    let mut view = describe(look, target)?;
    if backup {
        view.insert("backup".to_owned(), json!(health(target, site, look)?));
    }
    Ok(Value::Object(view))
}

fn instance_backup_info(params: Value, site: &Site, look: &dyn Look) -> Result<Map<String, Value>> {
    let params: BackupInfo = crate::input::from_json(params, "instance_backup_info")?;
    match or_none(target(site, look, params.instance.as_ref()))? {
        Some(target) => backup::info(&target, site, look),
        None => Ok(reply("backups", json!([]))),
    }
}

/// The server of an existing, running instance.
pub fn server(site: &Site, look: &dyn Look, reference: Option<&InstanceRef>) -> Result<Server> {
    let target = target(site, look, reference)?;
    match target.running(look)? {
        Some(running) => Ok(running.server),
        None => Err(fault!(
            Unavailable,
            "instance `{}` is stopped: its roles and databases cannot be seen", target.paths;
            "start it with `pgsocle instance start {}`", target.paths
        )),
    }
}

fn role_info(params: Value, site: &Site, look: &dyn Look) -> Result<Map<String, Value>> {
    let params: RoleInfo = crate::input::from_json(params, "role_info")?;
    let Some(server) = or_none(server(site, look, params.instance.as_ref()))? else {
        return Ok(reply("roles", json!([])));
    };
    Ok(reply(
        "roles",
        Value::Array(role::list(look, &server, params.name.as_deref())?),
    ))
}

fn database_info(params: Value, site: &Site, look: &dyn Look) -> Result<Map<String, Value>> {
    let params: DatabaseInfo = crate::input::from_json(params, "database_info")?;
    let Some(server) = or_none(server(site, look, params.instance.as_ref()))? else {
        return Ok(reply("databases", json!([])));
    };
    let names: Vec<String> = params.name.into_iter().collect();
    let databases = crate::resource::database::facts::list(look, &server, &names, &[])?;
    Ok(reply("databases", Value::Array(databases)))
}

fn tablespace_info(params: Value, site: &Site, look: &dyn Look) -> Result<Map<String, Value>> {
    let params: TablespaceInfo = crate::input::from_json(params, "tablespace_info")?;
    let Some(server) = or_none(server(site, look, params.instance.as_ref()))? else {
        return Ok(reply("tablespaces", json!([])));
    };
    let tablespaces = tablespace::list(look, &server, params.name.as_deref())?;
    Ok(reply("tablespaces", Value::Array(tablespaces)))
}

fn pgconf_info(params: Value, site: &Site, look: &dyn Look) -> Result<Map<String, Value>> {
    let params: PgconfInfo = crate::input::from_json(params, "pgconf_info")?;
    let Some(target) = or_none(target(site, look, params.instance.as_ref()))? else {
        return Ok(reply("settings", json!([])));
    };
    let names = params.names.unwrap_or_default();
    Ok(reply("settings", json!(explain(look, &target, &names)?)))
}

fn pghba_info(params: Value, site: &Site, look: &dyn Look) -> Result<Map<String, Value>> {
    let params: PghbaInfo = crate::input::from_json(params, "pghba_info")?;
    params.answer(&target(site, look, params.instance.as_ref())?, look)
}

/// Where programs are, for a task that has no search path of its own.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn dsn_info(params: Value, site: &Site, look: &dyn Look) -> Result<Map<String, Value>> {
    let params: DsnInfo = crate::input::from_json(params, "dsn_info")?;
    let reference = InstanceRef {
        version: params
            .version
            .map(|version| version.to_string())
            .or(params.name.version),
        ..params.name
    };
    let target = target(site, look, Some(&reference))?;
    let mut variables: Map<String, Value> = environment(&target, site, look)?
        .into_iter()
        .map(|(name, value)| match name.as_str() {
            // As the PATH of a task it must find more than PostgreSQL's programs.
            "PATH" => (name, Value::String(format!("{value}:{USUAL_PATH}"))),
            _ => (name, Value::String(value)),
        })
        .collect();
    // As a whole too, for `environment:`; beside it, by their names, as pglift's module has them.
    variables.insert("dsn".to_owned(), Value::Object(variables.clone()));
    Ok(variables)
}

/// What libpq clients (documentation, 34.15) and the programs of components want to know; no password is in it.
pub fn environment(target: &Target, site: &Site, look: &dyn Look) -> Result<Vec<(String, String)>> {
    let paths = &target.paths;
    let server = match target.running(look)? {
        Some(running) => running.server,
        None => target.configured_on_disk(look)?,
    };
    let mut variables = vec![
        ("PATH".to_owned(), target.bindir.to_string()),
        ("PGDATA".to_owned(), paths.datadir.to_string()),
        ("PGHOST".to_owned(), server.socket_directory.to_string()),
        ("PGPORT".to_owned(), server.port.to_string()),
        ("PGUSER".to_owned(), server.user.clone()),
        ("PSQLRC".to_owned(), paths.psqlrc.to_string()),
        ("PSQL_HISTORY".to_owned(), paths.psql_history.to_string()),
    ];
    if let Some(passfile) = &paths.passfile {
        variables.push(("PGPASSFILE".to_owned(), passfile.to_string()));
    }
    variables.extend(variables_of_components(target, site, look)?);
    Ok(variables)
}

/// Every instance, or those of one major, in short: what `instance list` shows.
pub fn instances(site: &Site, look: &dyn Look, version: Option<Major>) -> Result<Vec<Value>> {
    let mut items = Vec::new();
    for (major, name) in lookup::list(look, &site.settings)? {
        if version.is_some_and(|version| version != major) {
            continue;
        }
        let target = Target::recorded(&site.settings, look, major, &name)?;
        let there = match &target.adopted {
            Some(adopted) => adopted.verify(look),
            None => Ok(()),
        };
        let running = target.running(look);
        let status = match (there, &running) {
            // Not mounted, or another cluster by now: `get` says it in full.
            (Err(_), _) => "missing",
            (Ok(()), Err(_)) => "unreadable",
            (Ok(()), Ok(running)) => status(running.is_some()),
        };
        let server = match running {
            Ok(Some(running)) => Ok(running.server),
            Ok(None) => target.configured_on_disk(look),
            Err(error) => Err(error),
        };
        let mut item = json!({
            "name": name,
            "version": major,
            "port": server.as_ref().ok().map(|server| server.port),
            "datadir": target.paths.datadir,
            "status": status,
            "hold": Hold::read(look, &target.paths)?.map(|hold| hold.reason),
        });
        // A file that cannot be read hides none of the others.
        if let Err(problem) = server {
            item["problem"] = format!("{problem:#}").into();
        }
        items.push(item);
    }
    Ok(items)
}

/// What belongs to an instance and should be in order, with whether it is.
pub fn components(target: &Target, site: &Site, look: &dyn Look) -> Result<Vec<Part>> {
    let runs = target.running(look)?.is_some();
    let mut parts = vec![Part {
        name: "PostgreSQL".to_owned(),
        sound: runs,
        detail: if runs { "running" } else { "not running" }.to_owned(),
    }];
    if let Some(health) = health(target, site, look)? {
        parts.extend(health.parts());
    }
    Ok(parts)
}

/// How the backups of all instances that are backed up stand, as Prometheus reads it.
pub fn backup_metrics(site: &Site, look: &dyn Look) -> Result<String> {
    let mut all = Vec::new();
    for (version, name) in lookup::list(look, &site.settings)? {
        let target = Target::recorded(&site.settings, look, version, &name)?;
        if let Some(health) = health(&target, site, look)? {
            all.push((target.paths.to_string(), health));
        }
    }
    Ok(metrics(&all))
}

/// pglift's word for it.
fn status(running: bool) -> &'static str {
    if running { "running" } else { "not_running" }
}

/// The runs that changed something, oldest first: of one instance (which may be dropped by now), or of all
/// and of the site.
pub fn history(
    site: &Site,
    look: &dyn Look,
    reference: Option<&InstanceRef>,
) -> Result<Vec<Value>> {
    let directory = site.settings.state_directory();
    let mut runs = Vec::new();
    for qualified in look.list(&directory)?.unwrap_or_default() {
        let meant = match (reference, qualified.split_once('-')) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(reference), Some((version, name))) => {
                reference.name.as_deref().is_none_or(|own| own == name)
                    && reference
                        .version
                        .as_deref()
                        .is_none_or(|own| own == version)
            }
        };
        let Some(text) = look.read(&directory.join(&qualified).join("history"))? else {
            continue;
        };
        if meant {
            runs.extend(journal::runs(&journal::text(&text)));
        }
    }
    if let Some(reference) = reference
        && runs.is_empty()
    {
        lookup::find(look, &site.settings, Some(reference))?;
    }
    runs.sort_by(|a, b| a["time"].as_str().cmp(&b["time"].as_str()));
    Ok(runs)
}

/// What `exec` runs, and in which environment: a bare program name is looked up among the programs of the
/// instance's major first; variables of the caller win over the instance's, but for PATH. Called as root,
/// the program runs as the system user, and finds that user's home.
pub fn execution(
    target: &Target,
    look: &dyn Look,
    command: &[String],
    own: &[(String, String)],
    callers: &[(String, String)],
) -> Result<(String, Vec<(String, String)>)> {
    let name = command.first().map(String::as_str).unwrap_or_default();
    let own_program = target.bindir.join(name);
    let program = if !name.contains('/') && look.stat(&own_program)?.is_some() {
        own_program.into_string()
    } else {
        name.to_owned()
    };
    let caller = look.caller();
    let who = [
        ("HOME", caller.home.as_str()),
        ("USER", caller.user.as_str()),
        ("LOGNAME", caller.user.as_str()),
    ];
    let mut environment: Vec<(String, String)> = callers.to_vec();
    let mut set = |name: &str, value: &str, wins: bool| match environment
        .iter_mut()
        .find(|(known, _)| known == name)
    {
        Some((_, present)) if wins => value.clone_into(present),
        Some(_) => {}
        None => environment.push((name.to_owned(), value.to_owned())),
    };
    for (name, value) in own {
        set(name, value, name == "PATH");
    }
    if caller.root {
        for (name, value) in who {
            set(name, value, true);
        }
    }
    Ok((program, environment))
}
