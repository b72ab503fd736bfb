//! `pg_hba.conf` and `pg_ident.conf`: who may connect, and as whom. Both are lists of records in a file, and managed by the
//! same stage.

pub mod info;
mod own;
mod wanted;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::info::Facts;
use self::own::Own;
use self::wanted::Wanted;
use crate::component::Contribution;
use crate::host::{Look, Server};
use crate::manifest::{HbaRecord, IdentMapping, InFile, Place, Presence};
use crate::pg::auth_file::expand::{Listed, Source, expand};
use crate::pg::auth_file::{AuthFile, Entry, Position};
use crate::pg::hba::explain::{Known, pattern};
use crate::pg::hba::{self, Record};
use crate::pg::ident_map::Mapping;
use crate::pg::version::Major;
use crate::plan::{
    Action, Change, Content, Diff, Fact, Impact, Plan, Reach, Replaced, Scope, Step,
};
use crate::resource::instance::accepted::Accepted;
use crate::resource::instance::configuration::Text;
use crate::resource::instance::service::{self, Service};
use crate::resource::instance::target::Target;
use crate::resource::{Addressed, Job, Site, access, addressed};
use crate::settings::InstancePaths;
use crate::stage::{AnyStage, Sight, Stage, World};
use crate::{bail_fault, fault};

/// A kind of record: its file, and how it is declared.
pub trait Kind: Entry + 'static {
    /// Module name and noun of the command line.
    const NAME: &'static str;
    /// The option that a single record cannot do without.
    const KEY: &'static str;
    /// The first major that shows what it makes of the file.
    const VIEW: u16;
    type Spec: DeserializeOwned + JsonSchema;

    fn path(paths: &InstancePaths) -> &Utf8Path;
    /// The record that is declared, and whether it is to be there.
    fn declared(spec: &Self::Spec, major: Major) -> Result<(Self, Presence)>;
    /// As the reply shows it.
    fn view(&self) -> Value;
    /// Its regular expressions, which only a server can judge.
    fn patterns(&self, major: u32) -> Vec<String>;
}

impl Kind for Record {
    const NAME: &'static str = "pghba";
    const KEY: &'static str = "method";
    const VIEW: u16 = 10;
    type Spec = HbaRecord;

    fn path(paths: &InstancePaths) -> &Utf8Path {
        &paths.hba_file
    }

    fn declared(spec: &HbaRecord, major: Major) -> Result<(Self, Presence)> {
        let users = hba::names(&spec.user);
        let mut record =
            access::record(spec.connection.as_ref(), &spec.database, users, spec.method)?;
        for (name, value) in spec.options.iter().flatten() {
            if Self::SECRETS.contains(&name.as_str()) {
                bail_fault!(Input, "`{name}` does not belong in `options`, which may be shown"; "give it as the option `{name}`");
            }
            record.options.push((name.clone(), value.clone()));
        }
        let secrets = [&spec.ldapbindpasswd, &spec.radiussecrets];
        for (name, value) in Self::SECRETS.iter().zip(secrets) {
            if let Some(value) = value {
                record.secret_option(name, value);
            }
        }
        let (method, since) = hba::NEWEST_METHOD;
        if record.method == method && major < Major::new(since) {
            bail_fault!(
                Input,
                "PostgreSQL {major} has no authentication method `{method}`"; "it came with {since}"
            );
        }
        record.check()?;
        Ok((record, spec.state))
    }

    fn view(&self) -> Value {
        info::record(self)
    }

    fn patterns(&self, major: u32) -> Vec<String> {
        let names = self.databases.iter().chain(&self.users);
        let patterns = names.filter_map(|name| pattern(name, major));
        patterns.map(str::to_owned).collect()
    }
}

impl Kind for Mapping {
    const NAME: &'static str = "pgident";
    const KEY: &'static str = "map";
    const VIEW: u16 = 15;
    type Spec = IdentMapping;

    fn path(paths: &InstancePaths) -> &Utf8Path {
        &paths.ident_file
    }

    fn declared(spec: &IdentMapping, _: Major) -> Result<(Self, Presence)> {
        let mapping = Self::new(&spec.map, &spec.system_user, &spec.role);
        mapping.check()?;
        Ok((mapping, spec.state))
    }

    fn view(&self) -> Value {
        info::mapping(self)
    }

    fn patterns(&self, major: u32) -> Vec<String> {
        let role = pattern(&self.role, major).map(str::to_owned);
        self.pattern().into_iter().chain(role).collect()
    }
}

/// The run on one of the files, from a request.
pub fn job<T: Kind>(value: Value, site: &Site, look: &dyn Look) -> Result<Job> {
    let (file, single) = InFile::<T::Spec>::from_value(value, T::NAME, T::KEY)?;
    let place = Place {
        instance: file.instance.clone(),
        start_temporarily: false,
        max_impact: file.max_impact,
        lock_timeout: file.lock_timeout,
    };
    run::<T>(&place, site, look, |major| {
        Wanted::declared(&file, single.as_ref(), major)
    })
}

/// The run that replaces what is in one of the files: for what somebody has edited.
pub fn edit_job<T: Kind>(place: &Place, text: Text, site: &Site, look: &dyn Look) -> Result<Job> {
    run::<T>(place, site, look, |_| Ok(Wanted::Content(text)))
}

/// Records that come with something else of the instance, at the head of the file; a new cluster gets them from its templates.
pub fn contributed<T: Kind>(target: &Target, records: &[T::Spec]) -> Result<Box<dyn AnyStage>> {
    let major = target.paths.version;
    let records = records.iter().map(|spec| T::declared(spec, major));
    Ok(Box::new(File {
        target: target.clone(),
        wanted: Wanted::<T>::Some(records.collect::<Result<_>>()?, Position::First),
        alone: false,
    }))
}

/// The same for the templates of a new cluster.
pub fn declared(components: &Contribution, major: Major) -> Result<(Vec<Record>, Vec<Mapping>)> {
    fn present<T: Kind>(specs: &[T::Spec], major: Major) -> Result<Vec<T>> {
        let all = specs.iter().map(|spec| T::declared(spec, major));
        let all = all.collect::<Result<Vec<_>>>()?.into_iter();
        Ok(all
            .filter_map(|(record, state)| (state == Presence::Present).then_some(record))
            .collect())
    }
    Ok((
        present(&components.hba, major)?,
        present(&components.ident, major)?,
    ))
}

/// The file as it is.
pub fn current<T: Kind>(target: &Target, look: &dyn Look) -> Result<Vec<u8>> {
    let mut target = target.clone();
    locate(&mut target, look)?;
    Ok(look.read(T::path(&target.paths))?.unwrap_or_default())
}

fn run<T: Kind>(
    place: &Place,
    site: &Site,
    look: &dyn Look,
    wanted: impl FnOnce(Major) -> Result<Wanted<T>>,
) -> Result<Job> {
    let Addressed {
        mut job,
        mut target,
        ..
    } = addressed(T::NAME, place, site, look)?;
    let wanted = wanted(target.paths.version)?;
    locate(&mut target, look)?;
    job.stages.push(Box::new(File {
        target: target.clone(),
        wanted,
        alone: true,
    }));
    job.stages.push(Box::new(Accepted {
        target: target.clone(),
        asked: false,
        renews: false,
    }));
    job.stages.push(Box::new(Service::leaving(target)));
    Ok(job)
}

/// Puts in place where the running server says that its files are.
fn locate(target: &mut Target, look: &dyn Look) -> Result<()> {
    if let Some(running) = target.running(look)? {
        let facts = Facts::observe(look, &running.server, &target.surole)?;
        target.paths.hba_file = facts.hba_file;
        target.paths.ident_file = facts.ident_file;
    }
    Ok(())
}

/// Brings one of the files to what is wanted.
struct File<T> {
    target: Target,
    wanted: Wanted<T>,
    /// The run is about nothing else.
    alone: bool,
}

/// What is there.
pub struct Seen {
    content: Vec<u8>,
    server: Option<Server>,
    /// The file was written after the server had read it: by a run that was killed before the reload, or by hand.
    unread: bool,
    /// Both files, and what they bring in with the old and the new content.
    files: Files,
    own: Own,
    /// A new regular expression that the server does not take, and why.
    misspelt: Option<(String, String)>,
}

impl<T: Kind> Stage for File<T> {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("{} of instance {}", T::FILE, self.target.paths)
    }

    fn sight(&self, world: &World) -> Sight {
        if world.cluster_made && self.alone {
            Sight::Hidden(format!("{} is made with the instance", T::FILE))
        } else if world.cluster_made {
            Sight::Skip
        } else {
            Sight::Look
        }
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let paths = &self.target.paths;
        let path = T::path(paths);
        let content = look.read(path)?.unwrap_or_default();
        let running = self.target.running(look)?;
        let server = running.map(|running| running.server);
        let mut known = Known {
            major: paths.version.number().into(),
            ..Known::default()
        };
        let mut unread = false;
        if let Some(server) = &server {
            known.groups = Some(Facts::observe(look, server, &self.target.surole)?.groups);
            if let Some(stat) = look.stat(path)? {
                unread = stat.modified > service::loaded(look, server)?;
            }
        }
        let own = match &server {
            Some(server) => Own::observe(look, server, known)?,
            None => Own::observe(look, &self.target.configured_on_disk(look)?, known)?,
        };
        let reading = Reading {
            look,
            files: RefCell::default(),
        };
        let elsewhere = self.elsewhere(&reading, own.major());
        // What is wrong with what is wanted is said by `plan`.
        let new = self.wanted.applied(&content, &elsewhere);
        let misspelt = match (&server, &new) {
            (Some(server), Ok(new)) => Self::misspelt(look, server, &content, new, own.major()),
            _ => None,
        };
        let new = new.map(|file| file.render());
        for content in [Some(&content), new.as_ref().ok()].into_iter().flatten() {
            let source = Edited {
                files: &reading,
                path,
                content,
            };
            expand::<Record>(&paths.hba_file, &source, own.major());
            expand::<Mapping>(&paths.ident_file, &source, own.major());
        }
        Ok(Seen {
            content,
            server,
            unread,
            files: reading.files.into_inner(),
            own,
            misspelt,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        if let Wanted::Content(text) = &self.wanted {
            text.check(T::path(&self.target.paths), &seen.content)?;
        }
        let before = AuthFile::<T>::parse(&seen.content);
        let elsewhere = self.elsewhere(&seen.files, seen.own.major());
        let after = self.wanted.applied(&seen.content, &elsewhere)?;
        if let Some((pattern, why)) = &seen.misspelt {
            bail_fault!(
                Input,
                "the server of instance `{}` does not take the regular expression `{pattern}`: {why}", self.target.paths;
                "correct it; nothing was changed"
            );
        }
        let content = after.render();
        let path = T::path(&self.target.paths);
        let view = || {
            let records: Vec<Value> = after.records().iter().map(T::view).collect();
            serde_json::json!({ "file": path, "records": records })
        };
        let mut plan = Plan {
            view: self.alone.then(|| (T::NAME, view())),
            warnings: self.wanted.remains(&elsewhere),
            ..Plan::default()
        };
        // A running server is asked itself, where it can be.
        if seen.server.is_none() || self.target.paths.version < Major::new(T::VIEW) {
            self.judge(seen, &content, &mut plan)?;
        }
        let running = seen.server.is_some();
        if content == seen.content {
            if running && seen.unread {
                plan.facts.push(Fact::ReloadNeeded(Reach::Sessions));
            }
            return Ok(plan);
        }
        self.guard(seen, &content)?;
        let (shown, mut changed) = (before.masked(), after.masked());
        if shown == changed {
            changed.push_str("# (only a secret changed)\n");
        }
        let write =
            |content: &[u8]| vec![Step::write(path, Content::Bytes(content.to_vec()), 0o600)];
        plan.changes.push(
            Change::new(
                Action::Alter,
                format!("file {}", T::FILE),
                self.wanted.summary(&before),
                Diff::new(path.as_str(), shown, changed),
                if running {
                    Impact::Reload
                } else {
                    Impact::None
                },
                write(&content),
            )
            .undo(Scope::Configuration, write(&seen.content)),
        );
        plan.facts.push(Fact::Replaces(Replaced {
            path: path.to_owned(),
            before: seen.content.clone(),
            after: content,
        }));
        if running {
            plan.facts.push(Fact::ReloadNeeded(Reach::Sessions));
        }
        Ok(plan)
    }
}

impl<T: Kind> File<T> {
    /// What the file brings in from others.
    fn elsewhere(&self, files: &dyn Source, major: u32) -> Vec<Listed<T>> {
        let path = T::path(&self.target.paths);
        let mut listed = expand(path, files, major);
        listed.retain(|listed| listed.file != path);
        listed
    }

    /// Of the regular expressions that are new the first that the server cannot compile.
    fn misspelt(
        look: &dyn Look,
        server: &Server,
        before: &[u8],
        after: &AuthFile<T>,
        major: u32,
    ) -> Option<(String, String)> {
        let patterns = |file: &AuthFile<T>| -> BTreeSet<String> {
            let all = file.records().into_iter();
            all.flat_map(|record| record.patterns(major)).collect()
        };
        let known = patterns(&AuthFile::parse(before));
        let all = patterns(after).into_iter();
        let mut new = all.filter(|pattern| !known.contains(pattern));
        new.find_map(|pattern| {
            let error = info::matches(look, server, &pattern, "").err()?;
            Some((pattern, format!("{error:#}")))
        })
    }

    /// Without a server to ask: refuses what this run makes wrong, and tells what was wrong before.
    fn judge(&self, seen: &Seen, content: &[u8], plan: &mut Plan) -> Result<()> {
        let paths = &self.target.paths;
        let errors = |content| {
            let mut list = self.list::<T>(seen, content);
            list.retain(|listed| listed.record.is_err());
            list
        };
        let before = errors(&seen.content);
        for listed in errors(content) {
            let reason = listed.record.err().unwrap_or_default();
            let what = format!("line {} of {} is wrong: {reason}", listed.line, listed.file);
            if !before.iter().any(|other| other.text == listed.text) {
                bail_fault!(
                    Input,
                    "{what}";
                    "correct it: with it the server of instance `{paths}` would not take the file; nothing was changed"
                );
            }
            plan.warnings.push(format!(
                "{what} (with it the server does not take the file)"
            ));
        }
        Ok(())
    }

    /// Refuses what would keep our own sessions out. What keeps them out already is not made worse.
    fn guard(&self, seen: &Seen, content: &[u8]) -> Result<()> {
        let barred = |content| {
            let hba = self.list::<Record>(seen, content);
            seen.own.barred(&hba, &self.list::<Mapping>(seen, content))
        };
        let Some(why) = barred(content) else {
            return Ok(());
        };
        if barred(&seen.content).is_some() {
            return Ok(());
        }
        let (user, file) = (seen.own.user(), T::FILE);
        Err(fault!(
            Conflict,
            "with this {file} the superuser role `{user}` could not connect through the local socket any more ({why}), and nothing could manage the instance";
            "keep what lets it in: its record, above all that would keep it out, and its mapping where the record names a map"
        ))
    }

    /// What one of the files brings in, with this content of the one that is to change.
    fn list<F: Kind>(&self, seen: &Seen, content: &[u8]) -> Vec<Listed<F>> {
        let source = Edited {
            files: &seen.files,
            path: T::path(&self.target.paths),
            content,
        };
        expand(F::path(&self.target.paths), &source, seen.own.major())
    }
}

/// Files that were read, and directories.
#[derive(Debug, Default)]
struct Files {
    files: BTreeMap<Utf8PathBuf, Result<Option<Vec<u8>>, String>>,
    directories: BTreeMap<Utf8PathBuf, Result<Option<Vec<String>>, String>>,
}

impl Source for Files {
    fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>, String> {
        self.files.get(path).cloned().unwrap_or(Ok(None))
    }

    fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>, String> {
        self.directories.get(directory).cloned().unwrap_or(Ok(None))
    }
}

/// The machine's files, each read once.
struct Reading<'a> {
    look: &'a dyn Look,
    files: RefCell<Files>,
}

impl Source for Reading<'_> {
    fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>, String> {
        let mut seen = self.files.borrow_mut();
        let read = || self.look.read(path).map_err(|error| format!("{error:#}"));
        seen.files.entry(path.into()).or_insert_with(read).clone()
    }

    fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>, String> {
        let mut seen = self.files.borrow_mut();
        let list = || {
            self.look
                .list(directory)
                .map_err(|error| format!("{error:#}"))
        };
        seen.directories
            .entry(directory.into())
            .or_insert_with(list)
            .clone()
    }
}

/// The same with other content of one file.
struct Edited<'a, S> {
    files: &'a S,
    path: &'a Utf8Path,
    content: &'a [u8],
}

impl<S: Source> Source for Edited<'_, S> {
    fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>, String> {
        if path == self.path {
            Ok(Some(self.content.to_vec()))
        } else {
            self.files.read(path)
        }
    }

    fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>, String> {
        self.files.list(directory)
    }
}

#[cfg(test)]
mod tests;
