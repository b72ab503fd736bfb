//! postgresql.conf, `pg_hba.conf`, `pg_ident.conf` and psqlrc: written from templates at creation, edited in place later.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use serde_json::{Map, Value};

use crate::bail_fault;
use crate::host::{Look, Probe};
use crate::manifest::Settings as Parameters;
use crate::pg::conf::{self, Conf};
use crate::pg::guc::{self, Context, Guc};
use crate::plan::{Action, Change, Content, Diff, Fact, Impact, Pending, Plan, Scope, Step};
use crate::resource::instance::included::{Included, included};
use crate::resource::instance::pending::{Parameter, parameters};
use crate::resource::instance::service;
use crate::resource::instance::target::{Running, Target};
use crate::resource::instance::templates::Templates;
use crate::secret::MASK;
use crate::stage::{Sight, Stage, World};

/// The configuration that is wanted of an instance.
pub struct Configuration {
    pub target: Target,
    pub templates: Templates,
    /// Given explicitly, or none: leave it.
    pub port: Option<u16>,
    /// For a new cluster.
    pub first_port: u16,
    pub settings: Parameters,
    pub purge: bool,
}

pub struct Seen {
    /// The cluster is made by this run, and this is where it lies until it is complete.
    new: Option<New>,
    conf: Conf,
    auto: Conf,
    /// Parameters as the server programs describe them; asked for only when something differs.
    gucs: Vec<Guc>,
    memory: u64,
    /// The server runs.
    up: bool,
    /// Values with which it runs, of the parameters that are to change.
    running: Vec<Parameter>,
    /// postgresql.conf was written after the server had read it: by a run that was killed before the reload, or by hand.
    unread: bool,
    /// The wanted port is another one than now, and somebody else has it.
    port_taken: bool,
    /// Files that postgresql.conf includes, in its order.
    included: Vec<Included>,
}

struct New {
    data: Utf8PathBuf,
}

/// What initdb writes into postgresql.conf by itself (initdb.c, `setup_config)`: `settings_purge` leaves it.
const INITDB: &[&str] = &[
    "autovacuum_worker_slots",
    "datestyle",
    "default_text_search_config",
    "dynamic_shared_memory_type",
    "huge_pages",
    "io_method",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "log_file_mode",
    "log_timezone",
    "max_connections",
    "max_wal_size",
    "min_wal_size",
    "password_encryption",
    "shared_buffers",
    "timezone",
    "unix_socket_directories",
];

impl Stage for Configuration {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("configuration of instance {}", self.target.paths)
    }

    fn sight(&self, world: &World) -> Sight {
        if world.cluster_made {
            Sight::Predict
        } else {
            Sight::Look
        }
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let paths = &self.target.paths;
        let conf = Self::parse(look, &paths.config_file)?;
        let auto = Self::parse(look, &paths.datadir.join("postgresql.auto.conf"))?;
        let mut seen = Seen {
            new: None,
            conf,
            auto,
            gucs: Vec::new(),
            memory: look.memory()?,
            up: false,
            running: Vec::new(),
            unread: false,
            port_taken: false,
            included: Vec::new(),
        };
        let directory = paths.config_file.parent().unwrap_or(&paths.datadir);
        seen.included = included(look, directory, &seen.conf)?;
        let wanted = self.wanted(&seen);
        if wanted.is_empty() {
            return Ok(seen);
        }
        let running = self.target.running(look)?;
        if let Some(running) = &running
            && let Some(stat) = look.stat(&paths.config_file)?
        {
            seen.unread = stat.modified > service::loaded(look, &running.server)?;
        }
        let differing: Vec<String> = wanted
            .into_iter()
            .filter(|(name, value)| seen.unread || seen.conf.get(name) != *value)
            .map(|(name, _)| name)
            .collect();
        if !differing.is_empty() {
            seen.gucs = self.gucs(look)?;
            seen.port_taken = self.moves_to_taken(look, &seen, running.as_ref())?;
            if let Some(running) = running {
                seen.up = true;
                seen.running = parameters(look, &running.server, &differing)?;
            }
        }
        Ok(seen)
    }

    /// The cluster lies in its staging directory, or is about to.
    fn predict(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let paths = &self.target.paths;
        let new = New {
            data: self.target.place(&paths.datadir),
        };
        let conf = Self::parse(look, &new.data.join("postgresql.conf"))?;
        Ok(Seen {
            new: Some(new),
            conf,
            auto: Conf::parse(b"")?,
            gucs: self.gucs(look)?,
            memory: look.memory()?,
            up: false,
            running: Vec::new(),
            unread: false,
            port_taken: false,
            included: Vec::new(),
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let mut conf = seen.conf.clone();
        let mut plan = Plan::default();
        let mut changed = Vec::new();
        for (name, value) in self.wanted(seen) {
            let value = match (&value, name.as_str()) {
                (Some(value), "shared_preload_libraries") if !self.purge => Some(guc::merge_list(
                    &seen.conf.get(&name).unwrap_or_default(),
                    value,
                )),
                _ => value,
            };
            if Self::same(seen, &name, value.as_deref()) {
                continue;
            }
            if let Some(value) = &value {
                self.check(seen, &name, value)?;
                conf.set(&name, value);
            } else {
                conf.unset(&name);
            }
            changed.push(name);
        }
        if let (true, Some(port)) = (seen.port_taken, conf.get("port")) {
            bail_fault!(
                Conflict,
                "port {port}, wanted for instance `{}`, is taken on this host", self.target.paths;
                "give another `port`; `ss -ltnp sport = :{port}` shows who listens"
            );
        }
        self.warn(seen, &conf, &mut plan);
        if let Some(new) = &seen.new {
            plan.changes.push(self.first(seen, new, &conf)?);
        } else {
            if !changed.is_empty() {
                self.change(seen, &conf, &changed, &mut plan);
            }
            if seen.unread {
                changed.extend(self.wanted(seen).into_iter().map(|(name, _)| name));
            }
            if !changed.is_empty() {
                takes_effect(seen, &conf, &changed, &mut plan);
            }
        }
        plan.facts
            .push(Fact::Configured(self.target.configured(&conf)));
        if !plan.changes.is_empty() {
            plan.facts
                .push(Fact::View(settings_view(&conf, &seen.auto)));
        }
        Ok(plan)
    }
}

impl Configuration {
    fn parse(look: &dyn Look, path: &Utf8Path) -> Result<Conf> {
        Conf::parse(&look.read(path)?.unwrap_or_default()).with_context(|| path.to_string())
    }

    fn gucs(&self, look: &dyn Look) -> Result<Vec<Guc>> {
        if look.stat(&self.target.bindir.join("postgres"))?.is_none() {
            return Ok(Vec::new());
        }
        let output = look.probe(&Probe::describe_config(&self.target.bindir))?;
        Ok(guc::parse_describe_config(&output.text()))
    }

    /// Parameters and their wanted values, in the order in which they are written; none: to be taken away.
    fn wanted(&self, seen: &Seen) -> Vec<(String, Option<String>)> {
        let mut wanted: Vec<(String, Option<String>)> = Vec::new();
        let mut put = |name: &str, value: Option<String>| {
            let name = name.to_lowercase();
            let value = value.map(|value| Self::resolve(&name, value, seen));
            match wanted.iter_mut().find(|(known, _)| *known == name) {
                Some(slot) => slot.1 = value,
                None => wanted.push((name, value)),
            }
        };
        if seen.new.is_some() {
            for (name, value) in &self.templates.parameters {
                put(name, Some(value.clone()));
            }
            if self.first_port != super::target::DEFAULT_PORT {
                put("port", Some(self.first_port.to_string()));
            }
        } else if let Some(port) = self.port {
            let unsaid = port == super::target::DEFAULT_PORT && seen.conf.get("port").is_none();
            if !unsaid {
                put("port", Some(port.to_string()));
            }
        }
        for (name, setting) in &self.settings {
            put(
                name,
                setting
                    .0
                    .as_deref()
                    .map(|value| self.templates.fill_known(value)),
            );
        }
        if self.purge && seen.new.is_none() {
            let keep: BTreeSet<String> = self
                .templates
                .parameters
                .iter()
                .map(|(name, _)| name.to_lowercase())
                .chain(INITDB.iter().map(|name| (*name).to_owned()))
                .chain(self.settings.keys().map(|name| name.to_lowercase()))
                .chain(["port".to_owned()])
                .collect();
            for (name, _) in seen.conf.entries() {
                if !keep.contains(&name) {
                    put(&name, None);
                }
            }
        }
        wanted
    }

    /// `N%` of the memory.
    fn resolve(name: &str, value: String, seen: &Seen) -> String {
        match name {
            "shared_buffers" | "effective_cache_size" => seen
                .conf
                .get(name)
                .filter(|have| guc::is_memory_percent(have, &value, seen.memory))
                .or_else(|| guc::memory_percent(&value, seen.memory))
                .unwrap_or(value),
            _ => value,
        }
    }

    fn same(seen: &Seen, name: &str, value: Option<&str>) -> bool {
        match (seen.conf.get(name), value) {
            (None, None) => true,
            (Some(have), Some(want)) => {
                have == want
                    || find(&seen.gucs, name).is_some_and(|guc| guc::same_value(guc, &have, want))
            }
            _ => false,
        }
    }

    fn check(&self, seen: &Seen, name: &str, value: &str) -> Result<()> {
        if seen.gucs.is_empty() || name.contains('.') {
            return Ok(());
        }
        if let Some(guc) = find(&seen.gucs, name) {
            guc::check(guc, value).with_context(|| format!("setting `{name}`"))
        } else {
            let what = format!(
                "setting `{name}` is not known to PostgreSQL {}",
                self.target.paths.version
            );
            match crate::nearest::nearest(name, seen.gucs.iter().map(|guc| guc.name.as_str())) {
                Some(near) => bail_fault!(Input, "{what}"; "did you mean `{near}`?"),
                None => bail_fault!(Input, "{what}"),
            }
        }
    }

    /// ALTER SYSTEM wins over postgresql.conf, and so does a file that is included further down: said on every run,
    /// for as long as it is so.
    fn warn(&self, seen: &Seen, conf: &Conf, plan: &mut Plan) {
        for (name, value) in self.wanted(seen) {
            let line = conf.line(&name).unwrap_or_default();
            let below = seen.included.iter().rev().find_map(|file| {
                let other = file.conf.get(&name).filter(|_| file.line > line)?;
                Some((&file.path, other))
            });
            if let Some((path, other)) = below
                && seen.auto.get(&name).is_none()
                && value.as_ref().is_none_or(|value| {
                    other != *value
                        && !find(&seen.gucs, &name)
                            .is_some_and(|guc| guc::same_value(guc, &other, value))
                })
            {
                plan.warnings.push(format!(
                    "setting `{name}` is not as wanted: `{path}`, which postgresql.conf includes, says `{}`",
                    if conf::is_secret(&name) { MASK } else { &other }
                ));
            }
            let (Some(value), Some(shadow)) = (value, seen.auto.get(&name)) else {
                continue;
            };
            let same = shadow == value
                || find(&seen.gucs, &name).is_some_and(|guc| guc::same_value(guc, &shadow, &value));
            if !same {
                let shown = |value: &str| {
                    if conf::is_secret(&name) {
                        MASK.to_owned()
                    } else {
                        value.to_owned()
                    }
                };
                plan.warnings.push(format!(
                    "setting `{name}` = `{}` has no effect: postgresql.auto.conf says `{}` (ALTER SYSTEM RESET {name} takes that away)",
                    shown(&value),
                    shown(&shadow)
                ));
            }
        }
    }

    /// A new cluster gets its files, and then its name.
    fn first(&self, seen: &Seen, new: &New, conf: &Conf) -> Result<Change> {
        let paths = &self.target.paths;
        let mode = if self.templates.group_access {
            0o640
        } else {
            0o600
        };
        let hba = self.templates.hba(paths)?;
        let ident = self.templates.ident()?;
        let parameters: String = self
            .wanted(seen)
            .iter()
            .filter_map(|(name, value)| {
                let shown = value
                    .as_ref()
                    .map(|value| if conf::is_secret(name) { MASK } else { value });
                shown.map(|value| format!("{name} = {value}\n"))
            })
            .collect();
        let after = format!("# postgresql.conf\n{parameters}# pg_hba.conf\n{hba}");
        let file = |name: &str, content: Vec<u8>| {
            Step::write(&new.data.join(name), Content::Bytes(content), mode)
        };
        let mut steps = vec![
            file("postgresql.conf", conf.render()),
            file("pg_hba.conf", hba.into_bytes()),
            file("pg_ident.conf", ident.into_bytes()),
        ];
        if let Some(psqlrc) = self.templates.psqlrc(paths)? {
            let name = paths
                .psqlrc
                .strip_prefix(&paths.datadir)
                .map_or(paths.psqlrc.clone(), |name| new.data.join(name));
            steps.push(Step::write(
                &name,
                Content::Bytes(psqlrc.into_bytes()),
                0o600,
            ));
        }
        if let Some(passfile) = &paths.passfile
            && let Some(parent) = passfile.parent()
        {
            steps.push(Step::make_dir(parent, 0o700));
        }
        if let Some(logdir) = &paths.logdir {
            steps.push(Step::make_dir(logdir, 0o740));
        }
        if !self.target.wal_inside() {
            steps.push(Step::Symlink {
                path: new.data.join("pg_wal"),
                target: paths.waldir.clone(),
            });
            steps.push(self.target.settle(&paths.waldir));
        }
        steps.push(self.target.settle(&paths.datadir));
        steps.extend(self.target.manager.register(&self.target.bindir, paths));
        let mut undo = self.target.manager.unregister();
        undo.push(self.target.clear(&paths.datadir));
        if !self.target.wal_inside() {
            undo.push(self.target.clear(&paths.waldir));
        }
        undo.extend(self.target.empty_parents());
        Ok(Change::new(
            Action::Create,
            format!("configuration {paths}"),
            format!("write the configuration of instance `{paths}`"),
            Diff::new(paths.datadir.as_str(), "", after),
            Impact::None,
            steps,
        )
        .undo(Scope::Creation, undo))
    }

    fn change(&self, seen: &Seen, conf: &Conf, changed: &[String], plan: &mut Plan) {
        let path = self.target.paths.config_file.clone();
        let before = seen.conf.render();
        let change = Change::new(
            Action::Alter,
            format!("configuration {}", self.target.paths),
            format!("set `{}` in postgresql.conf", changed.join("`, `")),
            Diff::new(path.as_str(), seen.conf.masked(), conf.masked()),
            if changed.iter().all(|name| needs_restart(seen, name)) {
                Impact::None
            } else {
                Impact::Reload
            },
            vec![Step::write(&path, Content::Bytes(conf.render()), 0o600)],
        )
        .undo(
            Scope::Configuration,
            vec![Step::write(&path, Content::Bytes(before), 0o600)],
        );
        plan.changes.push(change);
        plan.facts.push(Fact::Previous(path, seen.conf.render()));
        // A running one moves when it is restarted.
        let [from, to] = [&seen.conf, conf].map(|conf| self.target.configured(conf).port);
        if from != to && !seen.up {
            plan.facts.push(Fact::Moves(from, to));
        }
    }

    /// Whether somebody else has the port to which the instance is to go.
    fn moves_to_taken(
        &self,
        look: &dyn Look,
        seen: &Seen,
        running: Option<&Running>,
    ) -> Result<bool> {
        let port = self
            .wanted(seen)
            .into_iter()
            .find(|(name, _)| name == "port");
        let Some(port) = port.and_then(|(_, value)| value?.parse::<u16>().ok()) else {
            return Ok(false);
        };
        let own = running.map(|running| running.server.port);
        if own == Some(port) || self.target.configured(&seen.conf).port == port {
            return Ok(false);
        }
        look.port_taken(port)
    }
}

/// What the server must be told so that these are in force.
fn takes_effect(seen: &Seen, conf: &Conf, changed: &[String], plan: &mut Plan) {
    plan.facts.push(Fact::ReloadNeeded);
    let restart: BTreeSet<&String> = changed
        .iter()
        .filter(|name| needs_restart(seen, name))
        .collect();
    if !restart.is_empty() {
        let pending = restart
            .iter()
            .filter_map(|name| waits(seen, conf, name))
            .collect();
        plan.facts.push(Fact::RestartNeeded {
            changed: restart.into_iter().cloned().collect(),
            pending,
        });
    }
}

/// The parameter, if the server runs with another value than it will after a restart.
fn waits(seen: &Seen, conf: &Conf, name: &str) -> Option<Pending> {
    let configured = seen.auto.get(name).or_else(|| conf.get(name));
    let running = seen.running.iter().find(|running| running.is(name))?;
    running.configured_as(configured.as_deref())
}

fn needs_restart(seen: &Seen, name: &str) -> bool {
    find(&seen.gucs, name).is_some_and(|guc| guc.context == Context::Postmaster)
}

fn find<'a>(gucs: &'a [Guc], name: &str) -> Option<&'a Guc> {
    gucs.iter().find(|guc| guc.name.eq_ignore_ascii_case(name))
}

/// What is active, postgresql.auto.conf above postgresql.conf, for the public view.
pub fn settings_view(conf: &Conf, auto: &Conf) -> Map<String, Value> {
    let mut settings = Map::new();
    let mut port = super::target::DEFAULT_PORT.to_string();
    for (name, value) in conf.entries().into_iter().chain(auto.entries()) {
        if name == "port" {
            port = value;
        } else {
            let shown = if conf::is_secret(&name) {
                MASK.to_owned()
            } else {
                value
            };
            settings.insert(name, shown.into());
        }
    }
    settings.sort_keys();
    let port = port.parse::<u16>().map_or(Value::String(port), Value::from);
    Map::from_iter([
        ("port".to_owned(), port),
        ("settings".to_owned(), Value::Object(settings)),
    ])
}
