//! Roles: what is wanted, what is there, what must change. Whole lists are seen and decided at once.

mod removal;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use self::removal::{Bonds, drop};
use self::wanted::Wanted;
use crate::bail_fault;
use crate::host::{Look, Query, Server};
use crate::manifest::{Presence, RoleSpec, UpdatePassword, check_identifier, check_unique};
use crate::pg::scram;
use crate::plan::{Fact, Plan};
use crate::resource::access::{self, Files};
use crate::resource::catalog::{self, ServerFacts};
use crate::resource::parameters::Parameters;
use crate::secret::Secret;
use crate::settings::InstancePaths;
use crate::stage::{Catalogs, Sight, Stage, World};

/// The roles of one instance.
pub struct Roles {
    pub specs: Vec<RoleSpec>,
    pub paths: InstancePaths,
    /// Key of the object's view in the reply, when there is exactly one and it was asked for by itself.
    pub view: bool,
    /// These come with the instance by themselves: on a stopped server they are left for later, on a standby to its primary.
    own_only: bool,
    /// Roles that a later stage of the run drops; their entries in files are taken away here, with one reload for all.
    gone: Vec<RoleSpec>,
    /// Whether entries in files are this stage's affair.
    files: bool,
}

/// A role as the server has it.
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    pub name: String,
    pub superuser: bool,
    pub inherit: bool,
    pub createrole: bool,
    pub createdb: bool,
    pub login: bool,
    pub replication: bool,
    pub bypassrls: bool,
    pub connection_limit: i32,
    /// The verifier.
    pub password: Option<Secret>,
    pub valid_until: Option<String>,
    /// Whether it equals the wanted one, as the server reads dates.
    pub valid_until_same: Option<bool>,
    pub memberships: Option<Vec<String>>,
    /// Each membership with each role that granted it.
    #[serde(default)]
    pub grants: Option<Vec<Grant>>,
    /// `name=value` items.
    pub settings: Option<Vec<String>>,
    pub comment: Option<String>,
    /// Asked for only where the role is to go.
    #[serde(skip)]
    pub bonds: Bonds,
}

/// A grant of a membership.
#[derive(Debug, Clone, Deserialize)]
pub struct Grant {
    role: String,
    grantor: String,
}

pub struct Seen {
    server: Server,
    facts: ServerFacts,
    rows: BTreeMap<String, Row>,
    /// Roles that may be referred to: those of the server and those that this run makes.
    known: BTreeSet<String>,
    files: Files,
    parameters: Parameters,
}

impl Roles {
    /// Checks what can be checked without looking.
    pub fn new(specs: Vec<RoleSpec>, paths: InstancePaths) -> Result<Self> {
        for spec in &specs {
            check(spec, &paths)?;
        }
        check_unique("role", specs.iter().map(|spec| spec.name.as_str()))?;
        Ok(Self {
            specs,
            paths,
            view: false,
            own_only: false,
            gone: Vec::new(),
            files: true,
        })
    }

    /// Those that are to be there, and those that are not: in an instance the second come after its databases, whose
    /// removal, or whose new owner, may be what lets a role go.
    #[must_use]
    pub fn split(self) -> [Self; 2] {
        let (there, gone): (Vec<_>, Vec<_>) = self
            .specs
            .into_iter()
            .partition(|spec| spec.state == Presence::Present);
        [(there, gone.clone(), true), (gone, Vec::new(), false)].map(|(specs, gone, files)| Self {
            specs,
            paths: self.paths.clone(),
            view: self.view,
            own_only: self.own_only,
            gone,
            files,
        })
    }

    /// Says whether the roles are only those that come with the instance by themselves.
    #[must_use]
    pub fn on_stopped(mut self, own_only: bool) -> Self {
        self.own_only = own_only;
        self
    }

    fn with_files(&self) -> impl Iterator<Item = &RoleSpec> {
        let own = if self.files {
            self.specs.as_slice()
        } else {
            &[]
        };
        own.iter().chain(&self.gone)
    }

    fn names(&self) -> BTreeSet<&str> {
        self.specs
            .iter()
            .flat_map(|spec| {
                std::iter::once(spec.name.as_str())
                    .chain(
                        spec.memberships
                            .iter()
                            .flatten()
                            .map(|membership| membership.role.as_str()),
                    )
                    .chain(spec.reassign_owned.as_deref())
            })
            .collect()
    }

    fn seen(
        &self,
        look: &dyn Look,
        world: &World,
        facts: ServerFacts,
        rows: Vec<Row>,
        parameters: Parameters,
    ) -> Result<Seen> {
        let server = catalog::server(world)?.clone();
        let mut rows: BTreeMap<String, Row> = rows
            .into_iter()
            .map(|row| (row.name.clone(), row))
            .collect();
        let dropped = |name: &String| world.databases.get(name) == Some(&false);
        for row in rows.values_mut() {
            row.bonds.leave_out(&dropped);
        }
        let mut known: BTreeSet<String> = rows.keys().cloned().collect();
        for (name, made) in &world.roles {
            if *made {
                known.insert(name.clone());
            } else {
                known.remove(name);
                rows.remove(name);
            }
        }
        let files = Files::observe(
            look,
            &self.paths,
            &facts,
            world,
            self.with_files()
                .any(|spec| spec.hba_records.is_some() || spec.state == Presence::Absent),
        )?;
        Ok(Seen {
            server,
            facts,
            rows,
            known,
            files,
            parameters,
        })
    }
}

/// `IsReservedName` in catalog.c.
fn is_predefined(name: &str) -> bool {
    name.starts_with("pg_")
}

fn check(spec: &RoleSpec, paths: &InstancePaths) -> Result<()> {
    let name = &spec.name;
    check_identifier("role", name)?;
    // IsReservedName and the grammar of role names.
    if ["public", "none"].contains(&name.as_str()) {
        bail_fault!(Input, "role `{name}`: PostgreSQL reserves this name");
    }
    if spec.password.is_some() && spec.encrypted_password.is_some() {
        bail_fault!(
            Input,
            "role `{name}`: `password` and `encrypted_password` exclude each other"
        );
    }
    if spec.drop_owned && spec.reassign_owned.is_some() {
        bail_fault!(
            Input,
            "role `{name}`: `drop_owned` and `reassign_owned` exclude each other"
        );
    }
    if spec.state == Presence::Present && (spec.drop_owned || spec.reassign_owned.is_some()) {
        bail_fault!(
            Input,
            "role `{name}`: `drop_owned` and `reassign_owned` need `state: absent`"
        );
    }
    if spec.password.as_ref().is_some_and(Secret::is_empty) {
        bail_fault!(Input, "role `{name}`: the password is empty"; "PostgreSQL refuses logins with an empty password; leave it out to keep the present one");
    }
    if let Some(hashed) = &spec.encrypted_password
        && !scram::is_verifier(hashed)
    {
        bail_fault!(Input, "role `{name}`: `encrypted_password` is neither a SCRAM-SHA-256 verifier nor an MD5 hash"; "give a clear password as `password`");
    }
    if spec.connection_limit.is_some_and(|limit| limit < -1) {
        bail_fault!(
            Input,
            "role `{name}`: `connection_limit` is -1 (no limit) or more"
        );
    }
    if spec.pgpass == Some(true) && paths.passfile.is_none() {
        bail_fault!(Input, "role `{name}`: `pgpass` needs a password file, and the site has none"; "set `postgresql.auth.passfile` in the site settings");
    }
    if spec.pgpass == Some(true)
        && spec.state == Presence::Present
        && spec.encrypted_password.is_some()
    {
        bail_fault!(
            Input,
            "role `{name}`: `pgpass` needs the password in clear, as `password`"
        );
    }
    check_lines(spec)?;
    catalog::check_settings(&format!("role `{name}`"), spec.settings.as_ref())?;
    if let Some(memberships) = &spec.memberships {
        check_unique(
            "membership in role",
            memberships
                .iter()
                .map(|membership| membership.role.as_str()),
        )?;
    }
    Ok(())
}

/// What cannot be written where it is to go: no text of PostgreSQL's holds a NUL character, and both files keep one entry a line.
fn check_lines(spec: &RoleSpec) -> Result<()> {
    let name = &spec.name;
    if spec
        .password
        .as_ref()
        .is_some_and(|text| text.holds(&['\0']))
    {
        bail_fault!(Input, "role `{name}`: the password holds a NUL character"; "no client could send it");
    }
    for (option, value) in [
        ("comment", &spec.comment),
        ("valid_until", &spec.valid_until),
    ] {
        if value.as_ref().is_some_and(|value| value.contains('\0')) {
            bail_fault!(Input, "role `{name}`: `{option}` holds a NUL character");
        }
    }
    if spec.state == Presence::Absent {
        return Ok(());
    }
    if spec.pgpass == Some(true) {
        let broken = name.contains(['\n', '\r']);
        if broken
            || spec
                .password
                .as_ref()
                .is_some_and(|text| text.holds(&['\n', '\r']))
        {
            let what = if broken { "name" } else { "password" };
            bail_fault!(Input, "role `{name}`: a {what} with a line break cannot be written to the password file"; "leave `pgpass` out");
        }
    }
    // From 16 on what begins with a slash is a regular expression, quoted or not (hba.c, regcomp_auth_token).
    if spec
        .hba_records
        .as_ref()
        .is_some_and(|list| !list.is_empty())
        && name.starts_with('/')
    {
        bail_fault!(Input, "role `{name}`: pg_hba.conf cannot name a role that begins with a slash"; "PostgreSQL takes it for a regular expression; leave `hba_records` out");
    }
    Ok(())
}

impl Stage for Roles {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("roles of {}", self.paths)
    }

    fn sight(&self, world: &World) -> Sight {
        match &world.catalogs {
            _ if self.specs.is_empty() && self.gone.is_empty() => Sight::Skip,
            Catalogs::Stopped if self.own_only => Sight::Skip,
            _ => world.catalog_sight(),
        }
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let server = catalog::server(world)?;
        let valid_until: serde_json::Map<String, Value> = self
            .specs
            .iter()
            .filter_map(|spec| {
                spec.valid_until
                    .as_ref()
                    .map(|until| (spec.name.clone(), json!(until)))
            })
            .collect();
        if !valid_until.is_empty() {
            // Also of a role that is yet to be made: a wrong one is refused before anything is done.
            look.query(&[Query {
                server: server.clone(),
                database: catalog::MAINTENANCE.into(),
                sql: include_str!("../sql/valid_until.sql"),
                parameter: valid_until.clone().into(),
            }])?;
        }
        let absent: Vec<&str> = self
            .specs
            .iter()
            .filter(|spec| spec.state == Presence::Absent)
            .map(|spec| spec.name.as_str())
            .collect();
        let (facts, mut rows) = catalog::observe::<Row>(
            look,
            Query {
                server: server.clone(),
                database: catalog::MAINTENANCE.into(),
                sql: include_str!("../sql/role.sql"),
                parameter: json!({ "names": self.names(), "valid_until": valid_until }),
            },
        )?;
        if !absent.is_empty() {
            let mut bonds = Bonds::observe(look, server, &absent)?;
            for row in &mut rows {
                row.bonds = bonds.remove(&row.name).unwrap_or_default();
            }
        }
        let settings = self.specs.iter().filter_map(|spec| spec.settings.as_ref());
        let parameters = Parameters::observe(look, server, settings)?;
        self.seen(look, world, facts, rows, parameters)
    }

    /// A new cluster holds the superuser and the predefined roles only.
    fn predict(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let server = catalog::server(world)?;
        let facts = ServerFacts::new_cluster(&self.paths);
        let mut rows = vec![Row::superuser(&server.user)];
        rows.extend(
            self.names()
                .into_iter()
                .filter(|name| name.starts_with("pg_"))
                .map(Row::predefined),
        );
        self.seen(look, world, facts, rows, Parameters::default())
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        if self.own_only && seen.facts.in_recovery {
            // A standby has them from its primary.
            return Ok(Plan::default());
        }
        catalog::refuse_standby(&seen.facts, &self.paths)?;
        let mut plan = Plan::default();
        let mut known = seen.known.clone();
        known.retain(|name| self.gone.iter().all(|gone| gone.name != *name));
        for spec in &self.specs {
            match spec.state {
                Presence::Present => _ = known.insert(spec.name.clone()),
                Presence::Absent => _ = known.remove(&spec.name),
            }
        }
        let matches = compare_passwords(&self.specs, &seen.rows, &seen.files);
        // Roles first, then memberships in them: a role may be a member of one that comes later in the list.
        // Removals come last: a role may be told to leave one that is dropped, or inherit from it.
        let (mut grants, mut drops) = (Vec::new(), Vec::new());
        for spec in &self.specs {
            let row = seen.rows.get(&spec.name);
            match (spec.state, row) {
                (Presence::Present, row) => {
                    let want = Wanted {
                        spec,
                        row,
                        known: &known,
                        parameters: seen.facts.parameters.as_deref(),
                        password_matches: matches.get(spec.name.as_str()).copied(),
                    };
                    let (change, later) = want.change(seen)?;
                    plan.changes.extend(change);
                    grants.extend(later);
                    plan.facts.push(Fact::Role(spec.name.clone()));
                    if self.view {
                        plan.view = Some(("role", want.view()));
                    }
                }
                (Presence::Absent, Some(row)) => {
                    drops.push(drop(spec, row, seen, &known)?);
                    plan.facts.push(Fact::NoRole(spec.name.clone()));
                    let databases = row.bonds.owned_databases.iter();
                    plan.facts.extend(
                        databases
                            .filter(|_| spec.drop_owned)
                            .map(|database| Fact::NoDatabase(database.name.clone())),
                    );
                }
                (Presence::Absent, None) => {}
            }
        }
        check_cycles(&self.specs, &seen.rows)?;
        plan.changes.extend(grants);
        plan.changes.extend(drops);
        let with_files: Vec<&RoleSpec> = self.with_files().collect();
        access::plan(
            &with_files,
            &seen.files,
            &|name| seen.rows.contains_key(name) && matches.get(name) != Some(&true),
            &mut plan,
        )?;
        Ok(plan)
    }
}

/// A role cannot be a member of its own members. Of roles that are not named in this run nothing is known here: the
/// server refuses what is left.
fn check_cycles(specs: &[RoleSpec], rows: &BTreeMap<String, Row>) -> Result<()> {
    let mut above: BTreeMap<&str, BTreeSet<&str>> = rows
        .values()
        .map(|row| {
            let roles = row.memberships.iter().flatten().map(String::as_str);
            (row.name.as_str(), roles.collect())
        })
        .collect();
    let memberships = || {
        specs
            .iter()
            .filter(|spec| spec.state == Presence::Present)
            .flat_map(|spec| {
                let list = spec.memberships.iter().flatten();
                list.map(|membership| (spec.name.as_str(), membership))
            })
    };
    for (member, membership) in memberships() {
        let roles = above.entry(member).or_default();
        match membership.state {
            Presence::Present => roles.insert(&membership.role),
            Presence::Absent => roles.remove(membership.role.as_str()),
        };
    }
    for (member, membership) in memberships().filter(|(_, one)| one.state == Presence::Present) {
        let (mut open, mut reached) = (vec![membership.role.as_str()], BTreeSet::new());
        while let Some(role) = open.pop() {
            if role == member {
                bail_fault!(
                    Conflict,
                    "role `{member}` cannot be a member of role `{}`, which is `{member}` itself or a member of it", membership.role;
                    "leave one of the memberships out"
                );
            }
            if reached.insert(role) {
                open.extend(above.get(role).into_iter().flatten());
            }
        }
    }
    Ok(())
}

/// One SCRAM verification costs 4,096 rounds, about a millisecond: they are spread over the cores.
fn compare_passwords<'a>(
    specs: &'a [RoleSpec],
    rows: &BTreeMap<String, Row>,
    files: &Files,
) -> BTreeMap<&'a str, bool> {
    let pairs: Vec<(&str, &Secret, &Secret)> = specs
        .iter()
        .filter(|spec| spec.update_password == UpdatePassword::Always || files.lacks(spec))
        .filter_map(|spec| {
            let verifier = rows.get(&spec.name)?.password.as_ref()?;
            Some((spec.name.as_str(), spec.password.as_ref()?, verifier))
        })
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = pairs.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = pairs
            .chunks(share)
            .map(|chunk| {
                scope.spawn(move || {
                    chunk
                        .iter()
                        .map(|(name, password, verifier)| {
                            (
                                *name,
                                scram::verify_stored(password, verifier, name) == Some(true),
                            )
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_default())
            .collect()
    })
}

impl Row {
    fn predefined(name: &str) -> Self {
        Self {
            name: name.into(),
            superuser: false,
            inherit: true,
            createrole: false,
            createdb: false,
            login: false,
            replication: false,
            bypassrls: false,
            connection_limit: -1,
            password: None,
            valid_until: None,
            valid_until_same: None,
            memberships: None,
            grants: None,
            settings: None,
            comment: None,
            bonds: Bonds::default(),
        }
    }

    fn superuser(name: &str) -> Self {
        Self {
            superuser: true,
            createrole: true,
            createdb: true,
            login: true,
            replication: true,
            bypassrls: true,
            ..Self::predefined(name)
        }
    }

    fn settings(&self) -> BTreeMap<String, String> {
        catalog::settings_map(self.settings.as_deref().unwrap_or_default())
    }

    /// What `get` and `list` show; no secret is in it.
    pub fn view(&self) -> Value {
        json!({
            "name": self.name,
            "has_password": self.password.is_some(),
            "inherit": self.inherit,
            "login": self.login,
            "superuser": self.superuser,
            "createdb": self.createdb,
            "createrole": self.createrole,
            "replication": self.replication,
            "bypassrls": self.bypassrls,
            "connection_limit": self.connection_limit,
            "valid_until": self.valid_until,
            "memberships": self.memberships.clone().unwrap_or_default(),
            "settings": self.settings(),
            "comment": self.comment,
        })
    }
}

/// The views of one role, or of all that are not predefined.
pub fn list(look: &dyn Look, server: &Server, name: Option<&str>) -> Result<Vec<Value>> {
    let query = Query {
        server: server.clone(),
        database: catalog::MAINTENANCE.into(),
        sql: include_str!("../sql/role_list.sql"),
        parameter: json!({ "name": name }),
    };
    let rows: Vec<Row> = look.rows(query)?;
    Ok(rows.iter().map(Row::view).collect())
}

#[cfg(test)]
mod tests;
