//! `pgsocle instance`.

mod logs;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::backup::{Backup, Backups, Upkeep};
use super::change::{Format, Run};
use super::given::{Altered, Created, Noun, Stated};
use super::manifest::Manifest;
use super::proof::Proof;
use super::restore::Restore;
use super::service::{Hold, Many, Start, Stop};
use super::{Call, Ended, develop, incomplete, prompt, show};
use crate::door::{Session, exit};
use crate::facts;
use crate::fault;
use crate::host::process;
use crate::manifest::InstanceRef;
use crate::pg::version::Major;
use crate::resource::Job;
use crate::resource::backup::health::Part;
use crate::resource::instance;
use crate::resource::instance::desired::InstanceSpec;
use crate::resource::instance::hold;
use crate::resource::instance::lookup::{self, Identity};
use crate::resource::instance::removal::How;
use crate::resource::instance::target::Target;

const KIND: &str = "instance";

/// Stands in help for an instance, and tells completion that one is meant.
pub const REFERENCE: &str = "[VERSION/]NAME";

struct Instance;

impl Noun for Instance {
    const KIND: &'static str = KIND;
}

#[derive(Args)]
pub struct Command {
    /// Print the JSON schema of an instance and nothing else.
    #[arg(long)]
    schema: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Make an instance, and start it.
    Create(Stated<Created<Instance>>),
    /// Change an existing instance: what is not given stays.
    Alter(Stated<Altered<Instance>>),
    /// Bring an instance, with its roles and databases, to what a manifest says.
    Apply {
        #[command(flatten)]
        manifest: Manifest,
        #[command(flatten)]
        run: Run,
    },
    /// Make an existing cluster that others made an instance: no file is moved, nothing is restarted.
    Adopt {
        /// What the instance is to be called.
        #[arg(value_name = "[VERSION/]NAME", value_parser = reference)]
        instance: InstanceRef,
        /// Its data directory; unless given, that of /etc/postgresql/VERSION/NAME, else /var/lib/pgsql/VERSION/data.
        #[arg(long, value_name = "DIRECTORY")]
        datadir: Option<String>,
        /// Its postgresql.conf, where it cannot be told by itself.
        #[arg(long, value_name = "FILE")]
        config_file: Option<String>,
        #[command(flatten)]
        run: Run,
    },
    /// Let go of adopted instances: servers and files stay as they are.
    Forget {
        #[arg(required = true, value_name = "[VERSION/]NAME", value_parser = reference)]
        instances: Vec<InstanceRef>,
        #[command(flatten)]
        run: Run,
    },
    /// Show an instance.
    Get {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        format: Format,
    },
    /// Show all instances.
    List {
        /// Only those of this major version.
        #[arg(long, value_name = "VERSION", value_parser = major)]
        version: Option<Major>,
        #[command(flatten)]
        format: Format,
    },
    /// Show what runs; exit code 3 when something does not.
    Status {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        format: Format,
    },
    /// Start instances.
    Start(Start),
    /// Stop instances (mode fast: sessions are cut, nothing is lost).
    Stop(Stop),
    /// Restart instances; one that is stopped is started, but stays so with `--all`.
    Restart(Stop),
    /// Have servers read their configuration again.
    Reload(Many),
    /// Keep instances from being started, by anybody: a run, a reboot.
    Hold(Hold),
    /// End a hold: the instances may be started again, and stay as they are.
    Release(Many),
    /// Drop instances with all their data.
    Drop(Dropped),
    /// Take a backup.
    Backup(Backup),
    /// List the backups, newest first.
    Backups(Backups),
    /// Prove that a backup can be restored: into a scratch place, recovered, started, checked, and removed again.
    BackupTest(Proof),
    /// Restore an instance from a backup, up to a point in time or another target.
    Restore(Restore),
    /// Delete the backups and the WAL that are beyond retention.
    BackupExpire(Upkeep),
    /// Check that WAL arrives in the repository.
    BackupCheck(Upkeep),
    /// Read all backups again, and compare them with their checksums.
    BackupVerify(Backups),
    /// Print how the backups of all instances stand, for the textfile collector of Prometheus.
    BackupMetrics,
    /// Print the environment for libpq clients.
    Env {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        format: Format,
    },
    /// Print the server's log: the file that it writes to now, or wrote to last.
    Logs(logs::Logs),
    /// Run a shell in the environment of an instance.
    Shell {
        #[command(flatten)]
        one: One,
        /// The shell; the one of the environment (`SHELL`) unless given.
        #[arg(long, value_name = "FILE")]
        shell: Option<String>,
    },
    /// Run a program in the environment of an instance: `exec main -- psql -l`.
    Exec {
        #[arg(value_name = REFERENCE, value_parser = reference)]
        instance: InstanceRef,
        /// The program, looked up among those of the instance's major first, and its arguments.
        #[arg(
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "COMMAND"
        )]
        command: Vec<String>,
    },
}

/// One instance.
#[derive(Args)]
pub struct One {
    /// The instance; may be left out when there is only one.
    #[arg(value_name = REFERENCE, value_parser = reference)]
    instance: Option<InstanceRef>,
}

/// Instances that are to go, and how.
#[derive(Args)]
struct Dropped {
    /// The instances; may be left out when there is only one.
    #[arg(value_name = REFERENCE, value_parser = reference)]
    instances: Vec<InstanceRef>,
    /// Set the data aside instead of deleting them, beside their place.
    #[arg(long)]
    keep_data: bool,
    /// Delete the dumps of its databases too.
    #[arg(long)]
    delete_dumps: bool,
    /// Delete its stanza with all backups too.
    #[arg(long)]
    delete_backups: bool,
    #[command(flatten)]
    run: Run,
}

impl Dropped {
    fn how(&self) -> How {
        How {
            asked: true,
            keep_data: self.keep_data,
            delete_dumps: self.delete_dumps,
            delete_backups: self.delete_backups,
        }
    }

    /// What becomes of what belongs to them.
    fn words(&self) -> String {
        let more = match (self.delete_dumps, self.delete_backups) {
            (false, false) => "",
            (true, false) => " and dumps",
            (false, true) => " and backups",
            (true, true) => ", dumps and backups",
        };
        match (self.keep_data, more) {
            (false, _) => format!("with all its data{more}"),
            (true, "") => "and set its data aside".to_owned(),
            (true, _) => {
                let more = more.trim_start_matches(" and").trim_start_matches(',');
                format!("and delete its{more}, with its data set aside")
            }
        }
    }
}

/// Reads `[version/]name`.
pub fn reference(text: &str) -> Result<InstanceRef, String> {
    serde_json::from_value(json!(text)).map_err(|error| error.to_string())
}

fn major(text: &str) -> Result<Major, String> {
    text.parse()
        .map_err(|error: anyhow::Error| error.to_string())
}

/// The instances that are meant; one that is not there is wrong usage, and none is touched.
pub fn identities(session: &Session, references: &[InstanceRef]) -> Result<Vec<Identity>, Ended> {
    let (look, settings) = (&session.local, &session.site.settings);
    let find = |reference| lookup::find(look, settings, reference).map_err(Ended::usage);
    let mut found = Vec::new();
    if references.is_empty() {
        found.push(find(None)?);
    }
    for reference in references {
        let identity = find(Some(reference))?;
        if !found.contains(&identity) {
            found.push(identity);
        }
    }
    Ok(found)
}

pub fn target(session: &Session, (version, name): &Identity) -> Result<Target> {
    Target::new(&session.site.settings, &session.local, *version, name)
}

impl One {
    pub fn target(&self, session: &Session) -> Result<Target, Ended> {
        one(session, self.instance.as_ref())
    }
}

fn one(session: &Session, reference: Option<&InstanceRef>) -> Result<Target, Ended> {
    facts::target(&session.site, &session.local, reference).map_err(Ended::usage)
}

impl Command {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        match &self.verb {
            _ if self.schema => develop::schema(KIND),
            None => Ok(incomplete(&["instance"])),
            Some(Verb::Create(stated)) => create(call, &stated.called.object, &stated.called.run),
            Some(Verb::Alter(stated)) => alter(call, &stated.called.object, &stated.called.run),
            Some(Verb::Apply { manifest, run }) => apply(call, manifest, run),
            Some(Verb::Adopt {
                instance,
                datadir,
                config_file,
                run,
            }) => {
                let object = json!({
                    "name": instance.name, "version": instance.version, "state": "present",
                    "adopt": true, "datadir": datadir, "config_file": config_file,
                });
                adopt(call, object, run)
            }
            Some(Verb::Forget { instances, run }) => forget(call, instances, run),
            Some(Verb::Get { one, format }) => get(call, one, *format),
            Some(Verb::List { version, format }) => list(call, *version, *format),
            Some(Verb::Status { one, format }) => status(call, one, *format),
            Some(Verb::Start(start)) => start.start(call),
            Some(Verb::Stop(stop)) => stop.stop(call),
            Some(Verb::Restart(stop)) => stop.restart(call),
            Some(Verb::Reload(many)) => many.reload(call),
            Some(Verb::Hold(hold)) => hold.hold(call),
            Some(Verb::Release(many)) => many.release(call),
            Some(Verb::Drop(dropped)) => drop(call, dropped),
            Some(Verb::Backup(backup)) => backup.run(call),
            Some(Verb::Backups(backups)) => backups.run(call),
            Some(Verb::BackupTest(proof)) => proof.run(call),
            Some(Verb::Restore(restore)) => restore.run(call),
            Some(Verb::BackupExpire(upkeep)) => upkeep.expire(call),
            Some(Verb::BackupCheck(upkeep)) => upkeep.check(call),
            Some(Verb::BackupVerify(backups)) => backups.verify(call),
            Some(Verb::BackupMetrics) => {
                let session = call.look()?;
                show::print(&facts::backup_metrics(&session.site, &session.local)?)?;
                Ok(exit::DONE)
            }
            Some(Verb::Env { one, format }) => env(call, one, *format),
            Some(Verb::Logs(logs)) => logs.run(call),
            Some(Verb::Shell { one, shell }) => self::shell(call, one, shell.as_deref()),
            Some(Verb::Exec { instance, command }) => exec(call, Some(instance), command),
        }
    }
}

fn create(call: &Call, object: &Created<Instance>, run: &Run) -> Result<u8, Ended> {
    let mut object = object.object()?;
    let session = run.open(call)?;
    let default = &session.site.settings.instance_default_name;
    object
        .entry("name")
        .or_insert_with(|| default.as_str().into());
    let spec: InstanceSpec = crate::input::from_json(Value::Object(object), KIND)?;
    let job = instance::create_job(spec, &session.site, &session.local)?;
    run.carry_out(&session, job)
}

fn alter(call: &Call, object: &Altered<Instance>, run: &Run) -> Result<u8, Ended> {
    let mut object = object.object()?;
    let mut given = |key: &str| object.shift_remove(key)?.as_str().map(str::to_owned);
    let reference = InstanceRef {
        version: given("version"),
        name: given("name"),
    };
    let session = run.open(call)?;
    let (site, look) = (&session.site, &session.local);
    let reference = reference.name.is_some().then_some(&reference);
    let identity = lookup::find(look, &site.settings, reference).map_err(Ended::usage)?;
    let job = instance::alter_job(&identity, object, site, look)?;
    run.carry_out(&session, job)
}

fn apply(call: &Call, manifest: &Manifest, run: &Run) -> Result<u8, Ended> {
    let object = manifest.read()?;
    let session = run.open(call)?;
    let job = crate::input::from_json(object, KIND)
        .and_then(|spec| instance::job(spec, &session.site, &session.local));
    let job = job.map_err(|error| Ended::from(error).context(manifest.name()))?;
    run.carry_out(&session, job)
}

fn adopt(call: &Call, mut object: Value, run: &Run) -> Result<u8, Ended> {
    let session = run.open(call)?;
    if object["name"].is_null() {
        object["name"] = session.site.settings.instance_default_name.as_str().into();
    }
    let spec = crate::input::from_json(object, KIND)?;
    let job = instance::job(spec, &session.site, &session.local)?;
    run.carry_out(&session, job)
}

fn forget(call: &Call, references: &[InstanceRef], run: &Run) -> Result<u8, Ended> {
    let session = run.open(call)?;
    let meant = identities(&session, references)?;
    run.carry_out_all(
        &session,
        leaving(&session, &meant, "forgotten"),
        references.len() > 1,
    )
}

/// The runs after which these are no instances any more.
fn leaving(session: &Session, meant: &[Identity], state: &str) -> Vec<Result<Job>> {
    let job = |(version, name): &Identity| {
        let object = json!({ "name": name, "version": version, "state": state });
        let spec = crate::input::from_json(object, KIND)?;
        instance::job(spec, &session.site, &session.local)
    };
    meant.iter().map(job).collect()
}

fn get(call: &Call, one: &One, format: Format) -> Result<u8, Ended> {
    let session = call.look()?;
    let target = one.target(&session)?;
    let view = lookup::describe(&session.local, &target)?;
    if view.get("state") == Some(&json!("stopped")) {
        show::say([format!(
            "warning: instance `{}` is stopped: locale, encoding and pending restarts are not known",
            target.paths
        )]);
    }
    let text = show::object(&view);
    format.show(&Value::Object(view), || text)?;
    Ok(exit::DONE)
}

fn list(call: &Call, version: Option<Major>, format: Format) -> Result<u8, Ended> {
    let session = call.look()?;
    let items = facts::instances(&session.site, &session.local, version)?;
    let problems = items.iter().filter_map(|item| {
        let problem = item.get("problem")?.as_str()?;
        let name = |key: &str| item[key].as_str().unwrap_or_default();
        Some(format!(
            "warning: instance `{}/{}`: {problem}",
            name("version"),
            name("name")
        ))
    });
    show::say(problems);
    let mut titles = vec!["name", "version", "port", "datadir", "status"];
    if items.iter().any(|item| !item["hold"].is_null()) {
        titles.push("hold");
    }
    let text = || {
        let row = |item: &Value| {
            titles
                .iter()
                .map(|title| show::cell(title, &item[title]))
                .collect()
        };
        show::table(&titles, &items.iter().map(row).collect::<Vec<_>>())
    };
    format.show(&Value::Array(items.clone()), text)?;
    Ok(exit::DONE)
}

fn status(call: &Call, one: &One, format: Format) -> Result<u8, Ended> {
    let session = call.look()?;
    let target = one.target(&session)?;
    let components = facts::components(&target, &session.site, &session.local)?;
    let items: Vec<Value> = components
        .iter()
        .map(|part| json!({ "component": part.name, "running": part.sound, "detail": part.detail }))
        .collect();
    if let Some(hold) = hold::Hold::read(&session.local, &target.paths)? {
        show::say([hold.told(&target.paths)]);
    }
    let text = || {
        let line = |part: &Part| format!("{}: {}", part.name, part.detail);
        show::lines(components.iter().map(line))
    };
    format.show(&Value::Array(items), text)?;
    Ok(if components.iter().all(|part| part.sound) {
        exit::DONE
    } else {
        exit::NOT_RUNNING
    })
}

fn drop(call: &Call, object: &Dropped) -> Result<u8, Ended> {
    let (references, run) = (&object.instances, &object.run);
    let session = run.open(call)?;
    let (look, settings) = (&session.local, &session.site.settings);
    let mut meant = Vec::new();
    if references.is_empty() {
        meant.extend(identities(&session, references)?);
    }
    for reference in references {
        let found = match identities(&session, std::slice::from_ref(reference)) {
            Ok(found) => found,
            // What a killed run left of it is dropped as well.
            Err(missing) => match lookup::remains(look, settings, reference)? {
                Some(left) => vec![left],
                None => return Err(missing),
            },
        };
        meant.extend(
            found
                .into_iter()
                .filter(|identity| !meant.contains(identity))
                .collect::<Vec<_>>(),
        );
    }
    if !run.dry_run {
        let names: Vec<String> = meant.iter().map(lookup::shown).collect();
        let question = format!("drop instance `{}` {}?", names.join("`, `"), object.words());
        prompt::confirm(&question, call.interactive)?;
    }
    let job = |identity: &Identity| {
        let target = target(&session, identity)?;
        instance::removal_job(target, &session.site, look, object.how())
    };
    let jobs = meant.iter().map(job).collect();
    run.carry_out_all(&session, jobs, references.len() > 1)
}

/// The instance's variables; its programs come first in the caller's PATH.
fn environment(call: &Call, session: &Session, target: &Target) -> Result<Vec<(String, String)>> {
    let mut variables = facts::environment(target, &session.site, &session.local)?;
    for (name, value) in &mut variables {
        if name == "PATH"
            && let Some(path) = call.process.get("PATH")
        {
            *value = format!("{value}:{path}");
        }
    }
    Ok(variables)
}

fn env(call: &Call, one: &One, format: Format) -> Result<u8, Ended> {
    let session = call.look()?;
    let variables = environment(call, &session, &one.target(&session)?)?;
    let text = || {
        let line = |(name, value): &(String, String)| format!("{name}={value}");
        show::lines(variables.iter().map(line))
    };
    let object = variables
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    format.show(&Value::Object(object), text)?;
    Ok(exit::DONE)
}

fn shell(call: &Call, one: &One, shell: Option<&str>) -> Result<u8, Ended> {
    let Some(shell) = shell.or_else(|| call.process.get("SHELL")) else {
        let error = fault!(Input, "which shell is to run is not known: `SHELL` is not set"; "give one with `--shell FILE`");
        return Err(error.into());
    };
    exec(call, one.instance.as_ref(), &[shell.to_owned()])
}

fn exec(call: &Call, reference: Option<&InstanceRef>, command: &[String]) -> Result<u8, Ended> {
    let session = call.look()?;
    let target = one(&session, reference)?;
    let own = environment(call, &session, &target)?;
    let (program, environment) = facts::execution(
        &target,
        &session.local,
        command,
        &own,
        &call.process.environment,
    )?;
    let arguments = command.get(1..).unwrap_or_default();
    // Nothing of ours may be open in the other program.
    std::mem::drop(session);
    Err(process::replace(&program, arguments, &environment).into())
}
