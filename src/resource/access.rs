//! What a role has outside the catalogs: entries of `pg_hba.conf`, and of the site's password file.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::host::{Look, Server};
use crate::manifest::{HbaMethod, HostConnection, Presence, RoleHba, RoleSpec, UpdatePassword};
use crate::pg::auth_file::Entry as _;
use crate::pg::hba::{self, ConnectionType, Hba, Position, Record};
use crate::pg::pgpass::Pgpass;
use crate::plan::{
    Action, Change, Content, Diff, Fact, Impact, Plan, Reach, Replaced, Scope, Step,
};
use crate::resource::catalog::{self, ServerFacts};
use crate::resource::instance::accepted::Accepted;
use crate::resource::instance::service;
use crate::resource::instance::target::Target;
use crate::secret::MASK;
use crate::settings::InstancePaths;
use crate::stage::{AnyStage, Sight, Stage, World};

/// The two files as they are.
pub struct Files {
    pub hba: Option<(Utf8PathBuf, Vec<u8>)>,
    pub passfile: Option<(Utf8PathBuf, Pgpass)>,
    /// The port of the instance at the end of the run.
    pub port: u16,
    /// The cluster is made by this run: when that fails, its passwords go with it.
    pub new: bool,
    /// A run that was interrupted has written `pg_hba.conf`, and the server has not read it yet.
    pub hba_unread: bool,
}

impl Files {
    pub fn observe(
        look: &dyn Look,
        paths: &InstancePaths,
        facts: &ServerFacts,
        world: &World,
        hba: bool,
    ) -> Result<Self> {
        let server = catalog::server(world)?;
        let hba_path = Utf8Path::new(&facts.hba_file);
        Ok(Self {
            hba: if hba {
                Some((hba_path.into(), look.read(hba_path)?.unwrap_or_default()))
            } else {
                None
            },
            passfile: match &paths.passfile {
                Some(path) => {
                    let mut passfile = Pgpass::parse(&look.read(path)?.unwrap_or_default())?;
                    if let Some((from, to)) = world.moved {
                        passfile.rename_port(&paths.own_hosts(), from, to);
                    }
                    Some((path.clone(), passfile))
                }
                None => None,
            },
            port: world.moved.map_or(server.port, |(_, to)| to),
            new: world.cluster_made,
            hba_unread: hba
                && world.begun.contains(HBA)
                // Whatever makes the server read its files in this run comes before.
                && !(world.cluster_made
                    || world.started
                    || world.restarted
                    || world.reloaded
                    || world.reload_needed.is_some())
                && match look.stat(hba_path)? {
                    Some(stat) => stat.modified > service::loaded(look, server)?,
                    None => false,
                },
        })
    }
}

impl Files {
    /// The password file is to have an entry for the role and has none: its first run may have been interrupted. The password
    /// goes there if it is still the role's.
    pub fn lacks(&self, spec: &RoleSpec) -> bool {
        spec.pgpass == Some(true)
            && self.passfile.as_ref().is_some_and(|(_, passfile)| {
                passfile
                    .lookup("localhost", self.port, catalog::MAINTENANCE, &spec.name)
                    .is_none()
            })
    }
}

/// What the plan calls the file.
const HBA: &str = "file pg_hba.conf";

/// Adds the changes of both files to the plan; `keeps` says which roles keep a password
/// that is not known to be the given one.
pub fn plan(
    specs: &[&RoleSpec],
    files: &Files,
    keeps: &dyn Fn(&str) -> bool,
    plan: &mut Plan,
) -> Result<()> {
    if let Some((path, content)) = &files.hba {
        hba(specs, path, content, files.hba_unread, plan)?;
    }
    if let Some((path, before)) = &files.passfile {
        plan.changes
            .extend(passfile(specs, path, before, files, keeps));
    }
    Ok(())
}

fn hba(
    specs: &[&RoleSpec],
    path: &Utf8Path,
    content: &[u8],
    unread: bool,
    plan: &mut Plan,
) -> Result<()> {
    let before = Hba::parse(content);
    let mut after = before.clone();
    for spec in specs {
        if spec.state == Presence::Absent {
            // A later role of that name is somebody else.
            after.remove_user(&spec.name);
            continue;
        }
        for record in spec.hba_records.iter().flatten() {
            let entry = entry(&spec.name, record)?;
            if record.state == Presence::Present {
                after.place(&entry, &Position::Anywhere)?;
            } else {
                after.remove(&entry);
            }
        }
    }
    let rendered = after.render();
    let changes = rendered != before.render();
    if changes {
        let write = |content: &[u8]| {
            let content = Content::Bytes(content.to_vec());
            vec![Step::write(path, content, 0o600)]
        };
        let change = Change::new(
            Action::Alter,
            HBA,
            "change pg_hba.conf",
            Diff::new(path.as_str(), before.masked(), after.masked()),
            Impact::Reload,
            write(&rendered),
        );
        plan.changes
            .push(change.undo(Scope::Configuration, write(content)));
        plan.facts.push(Fact::Replaces(Replaced {
            path: path.into(),
            before: content.to_vec(),
            after: rendered,
        }));
    }
    if changes || unread {
        plan.facts.push(Fact::ReloadNeeded(Reach::Sessions));
    }
    Ok(())
}

/// What follows where roles have changed `pg_hba.conf`: the server is asked whether it takes the file, and told to read it.
pub fn taken_over(target: &Target) -> [Box<dyn AnyStage>; 2] {
    [
        Box::new(Accepted {
            target: target.clone(),
            asked: false,
            renews: false,
        }),
        Box::new(Reload {
            paths: target.paths.clone(),
        }),
    ]
}

/// Has the server read `pg_hba.conf`, which it has accepted.
struct Reload {
    paths: InstancePaths,
}

impl Stage for Reload {
    type Seen = (Server, Vec<Replaced>);

    fn name(&self) -> String {
        format!("pg_hba.conf of instance {}", self.paths)
    }

    fn sight(&self, world: &World) -> Sight {
        if world.reload_needed.is_some() && world.server().is_some() {
            Sight::Look
        } else {
            Sight::Skip
        }
    }

    fn observe(&self, _: &dyn Look, world: &World) -> Result<Self::Seen> {
        Ok((catalog::server(world)?.clone(), world.replaced.clone()))
    }

    fn plan(&self, (server, replaced): &Self::Seen) -> Result<Plan> {
        let reload = Step::Reload {
            server: server.clone(),
            reach: Reach::Sessions,
        };
        let mut back: Vec<Step> = replaced
            .iter()
            .map(|file| Step::write(&file.path, Content::Bytes(file.before.clone()), 0o600))
            .collect();
        back.push(reload.clone());
        // The object is the file's: a run that is killed here has not had it read.
        let change = Change::new(
            Action::Reload,
            HBA,
            format!("reload instance `{}`", self.paths),
            Diff::new(HBA, "", ""),
            Impact::Reload,
            vec![reload],
        );
        Ok(Plan {
            changes: vec![
                change
                    .undo(Scope::Configuration, back)
                    .settles(Scope::Configuration),
            ],
            facts: vec![Fact::Reloads],
            ..Plan::default()
        })
    }
}

fn entry(role: &str, spec: &RoleHba) -> Result<Record> {
    let users = vec![hba::name(role)];
    let record = record(spec.connection.as_ref(), &spec.database, users, spec.method)?;
    record
        .check()
        .with_context(|| format!("role `{role}`: entry of pg_hba.conf"))?;
    Ok(record)
}

/// A record without options, as it is declared.
pub fn record(
    connection: Option<&HostConnection>,
    databases: &str,
    users: Vec<String>,
    method: HbaMethod,
) -> Result<Record> {
    Ok(Record {
        kind: match connection {
            None => ConnectionType::Local,
            Some(connection) => connection.kind.name().parse()?,
        },
        databases: hba::names(databases),
        users,
        address: connection.map(|connection| connection.address.clone()),
        netmask: connection.and_then(|connection| connection.netmask.clone()),
        method: method.name().to_owned(),
        options: Vec::new(),
    })
}

/// The entry of a role as a diff shows it.
fn masked_entry(port: u16, role: &str) -> String {
    let role = role.replace('\\', r"\\").replace(':', r"\:");
    format!("*:{port}:*:{role}:{MASK}")
}

/// pglift's form of an entry: `*:port:*:role:password`.
fn passfile(
    specs: &[&RoleSpec],
    path: &Utf8Path,
    before: &Pgpass,
    files: &Files,
    keeps: &dyn Fn(&str) -> bool,
) -> Option<Change> {
    let port = files.port;
    let mut after = before.clone();
    let mut replaced = Vec::new();
    for spec in specs {
        // A password that the server is not given would be a wrong one here.
        let kept = spec.update_password == UpdatePassword::OnCreate && keeps(&spec.name);
        match (spec.state, spec.pgpass, &spec.password) {
            (Presence::Present, Some(true), _) if kept => {}
            (Presence::Present, Some(true), Some(password)) => {
                if after.set("*", port, "*", &spec.name, password) {
                    replaced.push(masked_entry(port, &spec.name));
                }
            }
            (Presence::Present, Some(false), _) | (Presence::Absent, ..) => {
                after.remove("*", port, "*", &spec.name);
            }
            (Presence::Present, ..) => {}
        }
    }
    (*before != after).then(|| {
        // An entry of which only the password differs would look unchanged.
        let marked = after
            .masked()
            .split_inclusive('\n')
            .fold(String::new(), |text, line| {
                let bare = line.trim_end();
                let same = before.masked().lines().any(|old| old == bare);
                let mark = same && replaced.iter().any(|entry| entry == bare);
                text + bare + if mark { " (changed)\n" } else { "\n" }
            });
        let change = Change::new(
            Action::Alter,
            "file pgpass",
            format!("change the password file {path}"),
            Diff::new(path.as_str(), before.masked(), marked),
            Impact::None,
            vec![Step::passwords(path, before, &after)],
        );
        if files.new {
            change.undo(Scope::Creation, vec![Step::passwords(path, &after, before)])
        } else {
            change
        }
    })
}
