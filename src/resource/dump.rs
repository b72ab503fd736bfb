//! Dumps of databases: taken with the commands of the site settings, listed, and brought back with `pg_restore`
//! (PostgreSQL documentation, 25.1 "SQL Dump").

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::host::{Command, FileKind, LockMode, Look, Server};
use crate::manifest::{InstanceRef, Place, check_identifier};
use crate::nearest;
use crate::pg::conninfo::Conninfo;
use crate::pg::ident::ident;
use crate::plan::{Action, Change, Diff, Impact, Plan, Scope, Step, attributes};
use crate::resource::expect::{self, missing};
use crate::resource::instance::target::Target;
use crate::resource::{Addressed, Job, Site, addressed, catalog};
use crate::settings::expand;
use crate::stage::{Stage, World};
use crate::{bail_fault, fault};

/// A dump, as its file is called: `DATABASE_TIME.dump`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dump {
    /// The database and some digits, which are the same for the same database and time.
    pub id: String,
    pub dbname: String,
    pub date: String,
    pub path: Utf8PathBuf,
}

impl Dump {
    fn at(path: Utf8PathBuf) -> Option<Self> {
        let (dbname, date) = dated(path.file_name()?.strip_suffix(".dump")?)?;
        let (dbname, date) = (dbname.to_owned(), date.to_owned());
        Some(Self {
            id: format!("{dbname}_{}", digits(&format!("{dbname}{date}"))),
            dbname,
            date,
            path,
        })
    }
}

/// A database and a time.
fn dated(name: &str) -> Option<(&str, &str)> {
    let (dbname, date) = name.rsplit_once('_')?;
    date.parse::<Timestamp>().ok()?;
    (!dbname.is_empty()).then_some((dbname, date))
}

fn digits(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let number = digest
        .iter()
        .take(5)
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    format!("{number:010x}")
}

/// The dumps of an instance, the newest first; of these databases, or of all.
pub fn list(target: &Target, databases: &[String], look: &dyn Look) -> Result<Vec<Dump>> {
    let directory = &target.paths.dumps_directory;
    let names = look.list(directory)?.unwrap_or_default().into_iter();
    let mut dumps: Vec<Dump> = names
        .filter_map(|name| Dump::at(directory.join(name)))
        .filter(|dump| databases.is_empty() || databases.contains(&dump.dbname))
        .collect();
    dumps.sort_by_key(|dump| std::cmp::Reverse(dump.date.parse::<Timestamp>().ok()));
    Ok(dumps)
}

fn begun(
    what: &str,
    reference: &InstanceRef,
    site: &Site,
    look: &dyn Look,
) -> Result<(Job, Target)> {
    let place = Place {
        instance: Some(reference.clone()),
        ..Place::default()
    };
    let Addressed { job, target, .. } = addressed(what, &place, site, look)?;
    Ok((job, target))
}

/// The run that dumps a database, into a directory that is there, or into that of the instance's dumps.
pub fn dump(
    reference: &InstanceRef,
    database: &str,
    directory: Option<Utf8PathBuf>,
    site: &Site,
    look: &dyn Look,
) -> Result<Job> {
    check_identifier("database", database)?;
    if database.contains('/') {
        bail_fault!(
            Input,
            "database `{database}` cannot be dumped: its name is part of a file's, and holds a slash"
        );
    }
    let (mut job, target) = begun("dump", reference, site, look)?;
    // It only reads; whoever would stop the server is told of it.
    job.subject.mode = LockMode::Read;
    let alone = format!("dump-{}.lock", digits(database));
    job.subject.alone = Some(target.paths.state_directory.join(alone));
    let now: Timestamp = site.now.parse().context("the time of the run")?;
    job.stages.push(Box::new(Taking {
        commands: site.settings.postgresql.dump_commands.clone(),
        target,
        database: database.to_owned(),
        directory,
        date: now.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
    }));
    Ok(job)
}

/// The server, which must run.
fn server(target: &Target, look: &dyn Look) -> Result<Server> {
    let running = target.running(look)?.ok_or_else(|| {
        fault!(
            Unavailable,
            "instance `{}` is stopped: dumps are made by a server that runs, and brought back by one", target.paths;
            "start it with `pgsocle instance start {}`", target.paths
        )
    })?;
    Ok(running.server)
}

/// How libpq reaches a database.
fn conninfo(server: &Server, database: &str) -> String {
    let mut conninfo = Conninfo::default();
    let port = server.port.to_string();
    for (keyword, value) in [
        ("host", server.socket_directory.as_str()),
        ("port", &port),
        ("user", &server.user),
        ("dbname", database),
    ] {
        conninfo.set(keyword, Some(value));
    }
    conninfo.render().to_string()
}

fn with_password(command: Command, server: &Server) -> Command {
    match &server.passfile {
        Some(passfile) => command.env("PGPASSFILE", passfile.as_str()),
        None => command,
    }
}

struct Taking {
    commands: Vec<Vec<String>>,
    target: Target,
    database: String,
    directory: Option<Utf8PathBuf>,
    date: String,
}

struct Source {
    server: Server,
    /// The permissions of the directory, where it is there.
    mode: Option<u32>,
    /// What runs that were killed have left of dumps of this database.
    left: Vec<Utf8PathBuf>,
}

impl Taking {
    fn directory(&self) -> &Utf8Path {
        let own = &self.target.paths.dumps_directory;
        self.directory.as_ref().unwrap_or(own)
    }

    fn partial(&self, name: &str) -> bool {
        let name = name
            .strip_prefix('.')
            .and_then(|name| name.strip_suffix(".partial"));
        name.and_then(dated)
            .is_some_and(|(database, _)| database == self.database)
    }
}

impl Stage for Taking {
    type Seen = Source;

    fn name(&self) -> String {
        format!("dump of instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Source> {
        let server = server(&self.target, look)?;
        if expect::view("database", look, &server, &self.database)?.is_none() {
            let others = expect::names(&expect::views("database", look, &server)?);
            return Err(missing("database", &self.database, &others));
        }
        let directory = self.directory();
        let stat = look.stat(directory)?;
        if stat
            .as_ref()
            .is_some_and(|stat| stat.kind != FileKind::Directory)
            || stat.is_none() && self.directory.is_some()
        {
            bail_fault!(Input, "`{directory}` is no directory"; "make it first, or leave `--output` out");
        }
        let names = look.list(directory)?.unwrap_or_default().into_iter();
        let left = names.filter(|name| self.partial(name));
        Ok(Source {
            server,
            mode: stat.map(|stat| stat.mode),
            left: left.map(|name| directory.join(name)).collect(),
        })
    }

    fn plan(&self, seen: &Source) -> Result<Plan> {
        let (database, date, directory) = (&self.database, &self.date, self.directory());
        // Under another name until it is whole.
        let partial = directory.join(format!(".{database}_{date}.partial"));
        let values = [
            ("bindir", self.target.bindir.as_str()),
            ("path", partial.as_str()),
            ("conninfo", &conninfo(&seen.server, database)),
            ("dbname", database),
            ("date", date),
        ];
        let mut steps: Vec<Step> = Vec::new();
        if seen.mode.is_none() {
            steps.push(Step::make_dir(directory, 0o700));
        }
        let left = seen.left.iter().cloned();
        steps.extend(left.map(|path| Step::Remove { path }));
        steps.push(Step::make_dir(&partial, seen.mode.unwrap_or(0o700)));
        for words in &self.commands {
            let words = words.iter().map(|word| expand(word, &values));
            let mut words = words.collect::<Result<Vec<String>>>()?.into_iter();
            let program = words
                .next()
                .context("a command of `dump_commands` is empty")?;
            let command = Command::new(program).args(words);
            steps.push(Step::Run(with_password(command, &seen.server)));
        }
        steps.push(Step::MoveUp {
            from: partial.clone(),
            to: directory.to_owned(),
        });
        let object = format!("dump of database {database}");
        let path = directory.join(format!("{database}_{date}.dump"));
        let change = Change::new(
            Action::Create,
            &object,
            format!("dump database `{database}` into `{directory}`"),
            Diff::new(&object, "", attributes(&[("date", Some(date.clone()))])),
            Impact::None,
            steps,
        );
        Ok(Plan {
            changes: vec![
                change
                    .undo(Scope::Restore, vec![Step::Remove { path: partial }])
                    .settles(Scope::Restore),
            ],
            view: Some(("dump", json!(Dump::at(path)))),
            ..Plan::default()
        })
    }
}

/// The run that brings a dump back: into a database that is there, or as the database that it is of.
pub fn restore(
    reference: &InstanceRef,
    id: &str,
    into: Option<String>,
    site: &Site,
    look: &dyn Look,
) -> Result<Job> {
    let (mut job, target) = begun("restore of a dump", reference, site, look)?;
    let dumps = list(&target, &[], look)?;
    let Some(dump) = dumps.iter().find(|dump| dump.id == id) else {
        let known = dumps.iter().map(|dump| dump.id.as_str());
        let hint = nearest::hint(id, known)
            .unwrap_or_else(|| format!("`pgsocle database -i {} dumps` lists them", target.paths));
        bail_fault!(NotFound, "there is no dump `{id}` of instance `{}`", target.paths; "{hint}");
    };
    job.stages.push(Box::new(Returning {
        dump: dump.clone(),
        target,
        into,
    }));
    Ok(job)
}

struct Returning {
    target: Target,
    dump: Dump,
    into: Option<String>,
}

struct Destination {
    server: Server,
    exists: bool,
    /// An earlier run that was to make it has not come to its end.
    begun: bool,
    others: Vec<String>,
}

impl Returning {
    fn database(&self) -> &str {
        self.into.as_ref().unwrap_or(&self.dump.dbname)
    }
}

impl Stage for Returning {
    type Seen = Destination;

    fn name(&self) -> String {
        format!("restore of a dump of instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Destination> {
        let server = server(&self.target, look)?;
        Ok(Destination {
            exists: expect::view("database", look, &server, self.database())?.is_some(),
            begun: world
                .begun
                .contains(&format!("database {}", self.database())),
            others: expect::names(&expect::views("database", look, &server)?),
            server,
        })
    }

    fn plan(&self, seen: &Destination) -> Result<Plan> {
        let (dump, database) = (&self.dump, self.database());
        match (&self.into, seen.exists) {
            (Some(into), false) => return Err(missing("database", into, &seen.others)),
            // Whose work it has become since is not ours to judge.
            (None, true) if seen.begun => bail_fault!(
                Conflict,
                "database `{database}` exists, and an earlier restore of a dump as it was interrupted: there may be only a part of it";
                "where nobody has put anything of his own into it, drop it (`pgsocle database -i {} drop {database}`), and restore the dump again; \
                 nothing was changed", self.target.paths
            ),
            (None, true) => bail_fault!(
                Conflict,
                "database `{database}` exists: the dump is not put into it";
                "drop it first, or name the database that the dump is to go into; nothing was changed"
            ),
            _ => {}
        }
        let session = match &self.into {
            Some(into) => into,
            None => catalog::MAINTENANCE,
        };
        let mut command = Command::new(self.target.bindir.join("pg_restore"))
            .args(["--exit-on-error", "-d"])
            .arg(conninfo(&seen.server, session));
        command = match &self.into {
            // In one transaction: all of it, or nothing.
            Some(_) => command.arg("--single-transaction"),
            None => command.arg("--create"),
        };
        let run = Step::Run(with_password(command.arg(dump.path.as_str()), &seen.server));
        let object = format!("database {database}");
        let line = attributes(&[("restored from", Some(dump.path.to_string()))]);
        let mut change = Change::new(
            if seen.exists {
                Action::Alter
            } else {
                Action::Create
            },
            &object,
            format!("restore dump `{}` into database `{database}`", dump.id),
            Diff::new(&object, "", line),
            if seen.exists {
                Impact::Rewrite
            } else {
                Impact::None
            },
            vec![Step::Disconnect, run],
        );
        if !seen.exists {
            let drop = format!("DROP DATABASE IF EXISTS {}", ident(database));
            let scope = Scope::Database(database.to_owned());
            let drop = Step::sql_alone(&seen.server, catalog::MAINTENANCE, drop);
            change = change
                .undo(scope.clone(), vec![Step::Disconnect, drop])
                .settles(scope);
        }
        Ok(Plan {
            changes: vec![change],
            ..Plan::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::samples::{self, shown};

    #[test]
    fn names_of_dumps() {
        let at = |name: &str| Dump::at(format!("/srv/dumps/{name}").into());
        let dump = at("my_shop_2026-11-27T20:33:28+00:00.dump").unwrap();
        assert_eq!(dump.dbname, "my_shop");
        assert_eq!(dump.date, "2026-11-27T20:33:28+00:00");
        assert_eq!(dump.id, "my_shop_cfef652f9a");
        for other in [
            "shop.dump",
            "shop_x.dump",
            "_2026-11-27T20:33:28+00:00.dump",
            "shop_2026-11-27T20:33:28+00:00.sql",
        ] {
            assert_eq!(at(other), None, "{other}");
        }
    }

    fn taking() -> Taking {
        Taking {
            commands: crate::settings::PostgreSql::default().dump_commands,
            target: samples::target(17),
            database: "my shop".into(),
            directory: None,
            date: "2026-11-27T20:33:28+00:00".into(),
        }
    }

    #[test]
    fn what_is_done_for_a_dump() {
        let taking = taking();
        assert!(taking.partial(".my shop_2026-11-27T20:33:28+00:00.partial"));
        assert!(!taking.partial(".your_my shop_2026-11-27T20:33:28+00:00.partial"));
        let seen = Source {
            server: samples::server(),
            mode: None,
            left: vec!["/srv/dumps/.my shop_2026-11-27T19:33:28+00:00.partial".into()],
        };
        insta::assert_snapshot!(shown(taking.plan(&seen)));
    }

    #[test]
    fn what_is_done_with_one() {
        let dump = Dump::at("/srv/dumps/shop_2026-11-27T20:33:28+00:00.dump".into()).unwrap();
        let mut all = String::new();
        for (into, exists, begun) in [
            (None, false, false),
            (None, true, false),
            (None, true, true),
            (Some("new"), true, true),
            (Some("new"), false, false),
        ] {
            let returning = Returning {
                target: samples::target(17),
                dump: dump.clone(),
                into: into.map(str::to_owned),
            };
            let seen = Destination {
                server: samples::server(),
                exists,
                begun,
                others: vec!["news".into()],
            };
            all.push_str(&shown(returning.plan(&seen)));
            all.push('\n');
        }
        insta::assert_snapshot!(all);
    }
}
