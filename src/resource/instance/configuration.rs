//! postgresql.conf, `pg_hba.conf`, `pg_ident.conf` and psqlrc: written from templates at creation, edited in place later.
//!
//! Values are checked before anything is written: each by what the server knows of its parameter, and all together by
//! `postgres -C` on a private copy, where that is not all that there is to know ([`guc::is_settled`]). What a running server
//! makes of the files once they are written is asked by [`super::accepted`].

mod effect;
mod first;
mod naming;
mod shadow;
mod staged;
pub mod tls;
mod wanted;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

pub use self::shadow::{settings_view, shown};
pub use self::wanted::PLACES;

use self::staged::{Refusal, Verdict};
use crate::bail_fault;
use crate::host::{Look, Probe};
use crate::manifest::Settings as Parameters;
use crate::pg::conf::{self, Conf};
use crate::pg::guc::{self, Context, Guc};
use crate::plan::{
    Action, Change, Content, Diff, Fact, Impact, Pending, Plan, Replaced, Scope, Step,
};
use crate::resource::instance::pending::{self, Parameter};
use crate::resource::instance::reading::Reading;
use crate::resource::instance::target::{Running, Target};
use crate::resource::instance::templates::Templates;
use crate::resource::pgconf;
use crate::settings::Settings;
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
    /// Parameters that `purge` leaves.
    pub keeps: Vec<&'static str>,
    /// Where other instances of the host are, if what names this one is to follow it.
    pub site: Option<Settings>,
    /// In place of everything else.
    pub text: Option<Text>,
    /// The run is about nothing else: its reply tells what changes.
    pub alone: bool,
    /// In check mode: the instance is not there, and an earlier task would have made it.
    pub assumed: bool,
}

/// A whole file: somebody has edited it.
pub struct Text {
    /// As it was when the editing began.
    pub base: Vec<u8>,
    pub content: Vec<u8>,
}

impl Text {
    /// Refuses to write over what somebody else has written since the editing began.
    pub fn check(&self, path: &Utf8Path, present: &[u8]) -> Result<()> {
        if present != self.base && present != self.content {
            bail_fault!(
                Conflict,
                "`{path}` was changed by somebody else in the meantime";
                "edit it as it is now; nothing was changed"
            );
        }
        Ok(())
    }
}

#[derive(Default)]
pub struct Seen {
    /// The cluster is made by this run, and this is where it lies until it is complete.
    new: Option<New>,
    /// postgresql.conf as it is.
    conf: Conf,
    before: Vec<u8>,
    auto: Conf,
    /// Parameters as the server or its programs describe them; asked for only when something differs.
    gucs: Vec<Guc>,
    /// Names of all parameters, in lower case; asked for only when one is unknown.
    names: Vec<String>,
    memory: u64,
    /// The server runs.
    up: bool,
    /// Values with which it runs, of the parameters that are to change.
    running: Vec<Parameter>,
    /// Parameters that the command line of the server gives another value than is wanted, with that.
    given: Vec<(String, String)>,
    /// What waits for a restart, where the server was asked.
    waiting: Option<Vec<Pending>>,
    /// postgresql.conf was written after the server had read it: by a run that was killed before the reload, or by hand.
    unread: bool,
    /// The wanted port is another one than now, and somebody else has it.
    port_taken: bool,
    /// What still names another instance, with the values that name this one.
    following: Vec<(String, String)>,
    /// What the server reads, in its order.
    pub reading: Reading,
    /// What PostgreSQL makes of the file as it is to be.
    verdict: Verdict,
    /// Files of TLS that the file as it is to be names, and that are not there.
    missing: Vec<String>,
    /// What a start would say of those that are there.
    unusable: Option<String>,
}

struct New {
    data: Utf8PathBuf,
}

/// postgresql.conf as it is to be.
struct Edited {
    conf: Conf,
    /// Names of the parameters that get another value, or lose theirs.
    changed: Vec<String>,
}

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
        let mut seen = Seen {
            before: look.read(&paths.config_file)?.unwrap_or_default(),
            memory: look.memory()?,
            ..Seen::default()
        };
        let auto_file = paths.datadir.join("postgresql.auto.conf");
        seen.auto = Self::parse(look, &auto_file)?;
        seen.conf = match (Conf::parse(&seen.before), &self.text) {
            (Err(_), Some(_)) => Conf::parse_leniently(&seen.before),
            (conf, _) => conf.with_context(|| format!("`{}`", paths.config_file))?,
        };
        if let Some(text) = &self.text {
            text.check(&paths.config_file, &seen.before)?;
        }
        let read = match &self.text {
            Some(text) => &Conf::parse(&text.content)?,
            None => &seen.conf,
        };
        seen.reading = Reading::of(look, &paths.config_file, read)?;
        seen.reading.and_auto(&auto_file, &seen.auto);
        if let Some(site) = &self.site {
            seen.following =
                naming::following(look, site, &self.target, &self.templates, &seen.conf)?;
        }
        let wanted = self.wanted(&seen);
        if wanted.is_empty() && !self.replaces(&seen) {
            return Ok(seen);
        }
        let running = self.target.running(look)?;
        let mut parameters = Vec::new();
        if let Some(running) = &running {
            let names: Vec<String> = wanted.iter().map(|(name, _)| name.clone()).collect();
            let file = look.stat(&paths.config_file)?;
            let loaded;
            (loaded, parameters) = pending::survey(look, &running.server, &names)?;
            seen.unread = file.is_some_and(|file| file.modified > loaded);
            seen.waiting = Some(pending::waiting(&parameters));
            // What a run starts for its own time has a command line of ours.
            if !running.temporary {
                seen.given = given(&wanted, &parameters);
            }
        }
        let is_idle = |(name, value): &(String, Option<String>)| {
            seen.conf.get(name) == *value && self.shadow(&seen, &seen.conf, name).is_none()
        };
        if !seen.unread && wanted.iter().all(is_idle) && !self.replaces(&seen) {
            return Ok(seen);
        }
        if running.is_some() {
            seen.up = true;
            let known = parameters.iter().map(|parameter| &parameter.guc);
            seen.gucs = known.cloned().collect();
            seen.running = parameters;
        } else {
            seen.gucs = self.programs_describe(look)?;
        }
        seen.port_taken = self.moves_to_taken(look, &seen, running.as_ref())?;
        self.judge(look, &mut seen)?;
        Ok(seen)
    }

    /// The cluster lies in its staging directory, or is about to.
    fn predict(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        if self.assumed {
            return self.assume(look);
        }
        let new = New {
            data: self.target.place(&self.target.paths.datadir),
        };
        let mut seen = Seen {
            conf: Self::parse(look, &new.data.join("postgresql.conf"))?,
            new: Some(new),
            gucs: self.programs_describe(look)?,
            memory: look.memory()?,
            ..Seen::default()
        };
        self.judge(look, &mut seen)?;
        Ok(seen)
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let Edited { conf, mut changed } = self.edited(seen)?;
        self.accept(seen)?;
        let mut plan = Plan::default();
        if let (true, Some(port)) = (seen.port_taken, conf.get("port")) {
            bail_fault!(
                Conflict,
                "port {port}, wanted for instance `{}`, is taken on this host", self.target.paths;
                "give another `port`; `ss -ltnp sport = :{port}` shows who listens"
            );
        }
        self.warn(seen, &conf, &mut plan);
        // Unless something else was said of it.
        let follows = |(name, value): &&(String, String)| conf.get(name).as_ref() == Some(value);
        plan.warnings.extend(seen.following.iter().filter(follows).map(|(name, _)| {
            let before = seen.conf.get(name).unwrap_or_default();
            format!(
                "setting `{name}` = `{before}` names another instance, as the site's template has it; now it names `{}`",
                self.target.paths
            )
        }));
        if !seen.up {
            let older = seen.verdict.older.iter();
            plan.warnings.extend(older.map(|refusal| {
                format!("{refusal} (it was so before this run: the server would not start)")
            }));
        }
        if let Some(new) = &seen.new {
            plan.changes.push(self.first(seen, new, &conf)?);
        } else {
            let reach = effect::reach(seen, &changed, self.is_plain(seen, &conf, &changed));
            if !changed.is_empty() || self.replaces(seen) {
                self.change(seen, &conf, &changed, &mut plan);
            }
            if seen.unread {
                changed.extend(self.wanted(seen).into_iter().map(|(name, _)| name));
            }
            if !changed.is_empty() || self.replaces(seen) {
                effect::takes_effect(seen, &conf, &changed, reach, &mut plan);
            }
        }
        if self.alone {
            let value = |conf: &Conf, name: &str| conf.get(name).map(|value| shown(name, &value));
            let wanted = self.wanted(seen).into_iter();
            plan.view = Some((
                "pgconf",
                pgconf::view(wanted.map(|(name, _)| {
                    let (before, after) = (value(&seen.conf, &name), value(&conf, &name));
                    (name, before, after)
                })),
            ));
        }
        plan.facts.extend(seen.waiting.clone().map(Fact::Waiting));
        let values = self.values(seen, &conf);
        plan.facts
            .push(Fact::Configured(self.target.configured(&values)));
        if !plan.changes.is_empty() {
            plan.facts.push(Fact::View(settings_view(values)));
        }
        Ok(plan)
    }
}

impl Configuration {
    /// What an earlier task would have written.
    fn assume(&self, look: &dyn Look) -> Result<Seen> {
        let mut seen = Seen {
            gucs: self.programs_describe(look)?,
            memory: look.memory()?,
            ..Seen::default()
        };
        for (name, value) in &self.templates.parameters {
            let value = Self::resolve(name, value.clone(), &seen);
            seen.conf.set(name, &value);
        }
        seen.before = seen.conf.render();
        self.judge(look, &mut seen)?;
        Ok(seen)
    }

    fn parse(look: &dyn Look, path: &Utf8Path) -> Result<Conf> {
        Conf::parse(&look.read(path)?.unwrap_or_default()).with_context(|| format!("`{path}`"))
    }

    /// The file as a whole is another one.
    fn replaces(&self, seen: &Seen) -> bool {
        self.text
            .as_ref()
            .is_some_and(|text| text.content != seen.before)
    }

    /// What the programs know: all parameters but those of libraries and those for developers.
    fn programs_describe(&self, look: &dyn Look) -> Result<Vec<Guc>> {
        if !self.has_programs(look)? {
            return Ok(Vec::new());
        }
        let output = look.probe(&Probe::describe_config(&self.target.bindir))?;
        Ok(guc::parse_describe_config(&output.text()))
    }

    fn has_programs(&self, look: &dyn Look) -> Result<bool> {
        Ok(look.stat(&self.target.bindir.join("postgres"))?.is_some())
    }

    /// Has PostgreSQL judge the file as it is to be. What is refused without it needs no judgement, nor do values of which
    /// the running server has told all that it asks for.
    fn judge(&self, look: &dyn Look, seen: &mut Seen) -> Result<()> {
        let Ok(Edited { conf, changed }) = self.edited(seen) else {
            return Ok(());
        };
        let idle = changed.is_empty() && !self.replaces(seen) && seen.new.is_none();
        if idle || self.is_plain(seen, &conf, &changed) || !self.has_programs(look)? {
            return Ok(());
        }
        let stands = seen.new.is_none() && !self.assumed;
        let before = stands.then_some(&seen.conf);
        if stands && changed.iter().any(|name| name.starts_with("ssl")) {
            let all = conf.entries().into_iter().chain(seen.auto.entries());
            let all = all.map(|(name, value)| (name.to_lowercase(), value));
            let values = all.collect();
            seen.missing = tls::missing(look, &self.target, &values)?;
            if seen.missing.is_empty() {
                seen.unusable = tls::refused(look, &self.target, &values)?;
            }
        }
        let judged = match seen.new {
            Some(_) if self.text.is_none() => self.own(seen, &conf),
            _ => conf,
        };
        seen.verdict = staged::ask(look, &self.target, before, &judged)?;
        if !seen.verdict.refused.is_empty() {
            let all = self.programs_describe(look)?;
            let names = all.iter().chain(&seen.gucs);
            seen.names = names.map(|guc| guc.name.to_lowercase()).collect();
        }
        Ok(())
    }

    /// Of a new cluster, what is not from `initdb`: the same before it is made and after, and so judged once.
    fn own(&self, seen: &Seen, conf: &Conf) -> Conf {
        let mut own = Conf::default();
        for (name, _) in self.wanted(seen) {
            if let Some(value) = conf.get(&name) {
                own.set(&name, &value);
            }
        }
        own
    }

    /// Whether nothing is left to be said of any of the new values.
    fn is_plain(&self, seen: &Seen, conf: &Conf, changed: &[String]) -> bool {
        seen.up
            && self.text.is_none()
            && changed.iter().all(|name| self.is_settled(seen, conf, name))
    }

    /// Whether nothing is left to be said of a new value that has been checked. One that is taken away may uncover another
    /// in a file that is included; of what needs a restart, the programs on the disk will be the judges.
    fn is_settled(&self, seen: &Seen, conf: &Conf, name: &str) -> bool {
        let major = self.target.paths.version;
        conf.get(name)
            .zip(find(&seen.gucs, name))
            .is_some_and(|(value, guc)| {
                guc.context > Context::Postmaster && guc::is_settled(guc, &value, major)
            })
    }

    /// The file with everything that is wanted, each value checked by what is known of its parameter.
    fn edited(&self, seen: &Seen) -> Result<Edited> {
        let mut conf = match &self.text {
            Some(text) => Conf::parse(&text.content)?,
            None => seen.conf.clone(),
        };
        let mut changed = Vec::new();
        for (name, value) in self.wanted(seen) {
            let value = match (&value, name.as_str()) {
                (Some(value), "shared_preload_libraries") if !self.purge && self.text.is_none() => {
                    let have = seen.conf.get(&name).unwrap_or_default();
                    Some(guc::merge_list(&have, value))
                }
                _ => value,
            };
            if Self::same(seen, &name, value.as_deref()) {
                continue;
            }
            if PLACES.contains(&name.as_str()) {
                bail_fault!(
                    Input,
                    "`{name}` of instance `{}` cannot be changed: it says where the instance is",
                    self.target.paths
                );
            }
            if let Some(value) = &value {
                conf::check_entry(&name, value)?;
                check_sockets(&name, value)?;
                check(seen, &name, value)?;
                conf.set(&name, value);
            } else {
                conf.unset(&name);
            }
            changed.push(name);
        }
        Ok(Edited { conf, changed })
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

    /// Refuses what PostgreSQL refused; what it refused before too is left to the server, if one runs.
    fn accept(&self, seen: &Seen) -> Result<()> {
        let version = self.target.paths.version;
        let mut refused = seen.verdict.refused.iter();
        if let Some(name) = refused.find_map(Refusal::unknown) {
            let what = format!("setting `{name}` is not known to PostgreSQL {version}");
            match crate::nearest::nearest(name, seen.names.iter().map(String::as_str)) {
                Some(near) => bail_fault!(Input, "{what}"; "did you mean `{near}`?"),
                None => bail_fault!(Input, "{what}"),
            }
        }
        if !seen.missing.is_empty() {
            bail_fault!(
                Input,
                "TLS is on, and {}", seen.missing.join("; ");
                "put the files there first: nothing was changed"
            );
        }
        if !seen.verdict.refused.is_empty() {
            let refused = seen.verdict.refused.iter();
            let said: Vec<String> = refused.map(ToString::to_string).collect();
            bail_fault!(
                Input,
                "PostgreSQL {version} would not start with this configuration: {}", said.join("; ");
                "correct what is wanted: nothing was changed"
            );
        }
        if let Some(said) = &seen.unusable {
            bail_fault!(
                Input,
                "TLS is on, and PostgreSQL {version} would not start with that: {said}";
                "correct the files, or what is wanted: nothing was changed"
            );
        }
        Ok(())
    }

    fn change(&self, seen: &Seen, conf: &Conf, changed: &[String], plan: &mut Plan) {
        let path = self.target.paths.config_file.clone();
        let (before, after) = (seen.conf.render(), conf.render());
        let change = Change::new(
            Action::Alter,
            format!("configuration {}", self.target.paths),
            if changed.is_empty() {
                "replace postgresql.conf".to_owned()
            } else {
                summary(conf, changed)
            },
            Diff::new(path.as_str(), seen.conf.masked(), conf.masked()),
            if !changed.is_empty() && changed.iter().all(|name| effect::needs_restart(seen, name)) {
                Impact::None
            } else {
                Impact::Reload
            },
            vec![Step::write(&path, Content::Bytes(after.clone()), 0o600)],
        )
        .undo(
            Scope::Configuration,
            vec![Step::write(&path, Content::Bytes(before.clone()), 0o600)],
        );
        plan.changes.push(change);
        plan.facts.push(Fact::Replaces(Replaced {
            path,
            before,
            after,
        }));
        // A running one moves when it is restarted.
        let [from, to] = [&seen.conf, conf].map(|conf| self.port_in(seen, conf));
        if from != to && !seen.up {
            plan.facts.push(Fact::Moves(from, to));
        }
    }

    fn port_in(&self, seen: &Seen, conf: &Conf) -> u16 {
        self.target.configured(&self.values(seen, conf)).port
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
        if own == Some(port) || self.port_in(seen, &seen.conf) == port {
            return Ok(false);
        }
        look.port_taken(port)
    }
}

/// What is done to the file, in a sentence.
fn summary(conf: &Conf, changed: &[String]) -> String {
    let named = |verb: &str, names: Vec<&String>| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        (!names.is_empty()).then(|| format!("{verb} {}", names.join(", ")))
    };
    let (set, removed) = changed.iter().partition(|name| conf.get(name).is_some());
    match (named("set", set), named("remove", removed)) {
        (set, None) => format!("{} in postgresql.conf", set.unwrap_or_default()),
        (None, Some(removed)) => format!("{removed} from postgresql.conf"),
        (Some(set), Some(removed)) => format!("{set}, {removed} in postgresql.conf"),
    }
}

/// Refuses to take away the socket by which we talk to the server; one in the abstract namespace (`@…`) is of no use for that.
/// The first counts, as `postmaster.pid` names no other (`PostmasterMain` in postmaster.c).
fn check_sockets(name: &str, value: &str) -> Result<()> {
    let sockets = guc::split_list(value);
    if name == "unix_socket_directories"
        && !sockets.first().is_some_and(|first| first.starts_with('/'))
    {
        bail_fault!(
            Input,
            "`unix_socket_directories` = `{value}` leaves no socket by which the server can be reached";
            "let it begin with a directory, as an absolute path"
        );
    }
    Ok(())
}

/// Refuses a value that is none by the type, range and words of its parameter. A name that is unknown here may be a
/// library's, or one for developers: PostgreSQL judges it.
fn check(seen: &Seen, name: &str, value: &str) -> Result<()> {
    let Some(guc) = find(&seen.gucs, name) else {
        return Ok(());
    };
    if guc.context == Context::Internal {
        bail_fault!(
            Input,
            "setting `{name}` cannot be changed: it tells how the cluster or the server was made"
        );
    }
    guc::check(guc, value).with_context(|| format!("setting `{name}`"))
}

fn given(wanted: &[(String, Option<String>)], parameters: &[Parameter]) -> Vec<(String, String)> {
    let given = |(name, value): &(String, Option<String>)| {
        let parameter = parameters.iter().find(|parameter| parameter.is(name))?;
        let given = parameter.overridden(value.as_deref())?;
        Some((name.clone(), given.to_owned()))
    };
    wanted.iter().filter_map(given).collect()
}

fn find<'a>(gucs: &'a [Guc], name: &str) -> Option<&'a Guc> {
    gucs.iter().find(|guc| guc.name.eq_ignore_ascii_case(name))
}
