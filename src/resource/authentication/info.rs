//! What can be asked of `pg_hba.conf`: its records as the server reads them, and which of them decides on a connection.

use std::cell::RefCell;
use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Files, Kind, Reading};
use crate::host::{Look, Query, Server};
use crate::manifest::InstanceRef;
use crate::pg::auth_file::Entry;
use crate::pg::auth_file::expand::{Listed, expand};
use crate::pg::hba::Record;
use crate::pg::hba::explain::{
    Connection, Encryption, Explanation, Known, Verdict, explain, expressions,
};
use crate::pg::ident_map::Mapping;
use crate::resource::catalog;
use crate::resource::instance::service;
use crate::resource::instance::target::Target;
use crate::secret::MASK;
use crate::{bail_fault, fault};

/// The records of an instance's `pg_hba.conf`, and which of them decides on a connection.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PghbaInfo {
    /// The instance, as `name` or `version/name`; may be left out when there is only one.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// Role of a connection to be explained.
    #[serde(default)]
    pub user: Option<String>,
    /// Database of that connection; that of the role's name when it is left out.
    #[serde(default)]
    pub database: Option<String>,
    /// IP address of the client, or `local` for the Unix-domain socket.
    #[serde(default = "local")]
    pub address: String,
    /// The connection is encrypted by SSL.
    #[serde(default)]
    pub ssl: bool,
    /// The connection is encrypted by GSSAPI.
    #[serde(default)]
    pub gss: bool,
    /// The connection is for physical replication, to no database.
    #[serde(default)]
    pub replication: bool,
}

fn local() -> String {
    LOCAL.to_owned()
}

const LOCAL: &str = "local";

/// What the server says beside the file.
#[derive(Debug, Deserialize)]
pub struct Facts {
    pub hba_file: Utf8PathBuf,
    pub ident_file: Utf8PathBuf,
    /// The roles that the user is a member of, itself included; none for a user who is no role.
    pub groups: BTreeSet<String>,
}

impl Facts {
    pub fn observe(look: &dyn Look, server: &Server, user: &str) -> Result<Self> {
        let sql = include_str!("../../sql/authentication.sql");
        let mut rows: Vec<Self> = ask(look, server, sql, json!({ "user": user }))?;
        rows.pop().context("the server said nothing of its files")
    }
}

/// Whether a name matches a regular expression, as the server says.
pub(super) fn matches(look: &dyn Look, server: &Server, pattern: &str, name: &str) -> Result<bool> {
    #[derive(Deserialize)]
    struct Row {
        matches: bool,
    }
    let sql = include_str!("../../sql/expression.sql");
    let rows = ask::<Row>(look, server, sql, json!([pattern, name]))?;
    Ok(rows.first().is_some_and(|row| row.matches))
}

fn ask<T: serde::de::DeserializeOwned>(
    look: &dyn Look,
    server: &Server,
    sql: &'static str,
    parameter: Value,
) -> Result<Vec<T>> {
    let query = Query {
        server: server.clone(),
        database: catalog::MAINTENANCE.into(),
        sql,
        parameter,
    };
    look.rows(query)
}

impl PghbaInfo {
    /// The connection that is asked about, if one is.
    fn connection(&self) -> Result<Option<Connection>> {
        let Some(user) = &self.user else {
            let other = [
                ("database", self.database.is_some()),
                ("address", self.address != LOCAL),
                ("ssl", self.ssl),
                ("gss", self.gss),
                ("replication", self.replication),
            ];
            if let Some((name, _)) = other.iter().find(|(_, given)| *given) {
                bail_fault!(Input, "`{name}` says nothing without `user`"; "give the role that connects");
            }
            return Ok(None);
        };
        let address = match self.address.as_str() {
            LOCAL => None,
            text => Some(text.parse().map_err(|_| {
                fault!(Input, "`{text}` is not an IP address"; "give the client's address, or `{LOCAL}` for the Unix-domain socket")
            })?),
        };
        let encryption = match (self.ssl, self.gss) {
            (true, true) => bail_fault!(
                Input,
                "`ssl` and `gss` exclude each other: a connection is encrypted once"
            ),
            (true, false) => Encryption::Ssl,
            (false, true) => Encryption::Gss,
            (false, false) => Encryption::None,
        };
        if address.is_none() && encryption != Encryption::None {
            bail_fault!(Input, "connections through the Unix-domain socket are not encrypted"; "give an `address`, or neither `ssl` nor `gss`");
        }
        Ok(Some(Connection {
            user: user.clone(),
            database: self.database.clone().unwrap_or_else(|| user.clone()),
            address,
            encryption,
            replication: self.replication,
        }))
    }

    /// The reply.
    pub fn answer(&self, target: &Target, look: &dyn Look) -> Result<Map<String, Value>> {
        let connection = self.connection()?;
        let listing = Listing::<Record>::observe(target, look)?;
        let mut reply = Map::new();
        reply.insert("file".into(), listing.file.as_str().into());
        reply.insert("records".into(), listing.list.iter().map(listed).collect());
        reply.insert("loaded".into(), listing.loaded.into());
        if let Some(connection) = connection {
            let known = listing.known(look, &connection)?;
            let explanation = explain(&listing.list, &connection, &known);
            reply.insert(
                "explanation".into(),
                self::explanation(&listing, &explanation),
            );
        }
        reply.insert("warnings".into(), listing.warnings().into());
        Ok(reply)
    }
}

/// A file with everything that it brings in.
pub struct Listing<T> {
    pub file: Utf8PathBuf,
    pub list: Vec<Listed<T>>,
    major: u32,
    server: Option<Server>,
    /// Whether the running server has read the files as they are; none: it does not run.
    loaded: Option<bool>,
}

impl<T: Kind> Listing<T> {
    pub fn observe(target: &Target, look: &dyn Look) -> Result<Self> {
        let mut target = target.clone();
        super::locate(&mut target, look)?;
        let file = T::path(&target.paths).to_owned();
        let reading = Reading {
            look,
            files: RefCell::new(Files::default()),
        };
        let major = target.paths.version.number().into();
        let list = expand(&file, &reading, major);
        let server = target.running(look)?.map(|running| running.server);
        let loaded = match &server {
            Some(server) => {
                let mut newest = i64::MIN;
                for path in reading.files.into_inner().files.keys() {
                    if let Some(stat) = look.stat(path)? {
                        newest = newest.max(stat.modified);
                    }
                }
                Some(newest <= service::loaded(look, server)?)
            }
            None => None,
        };
        Ok(Self {
            file,
            list,
            major,
            server,
            loaded,
        })
    }

    /// What is to be known before anything is built on the list.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self
            .list
            .iter()
            .filter_map(|listed| {
                let reason = listed.record.as_ref().err()?;
                Some(format!("{}:{}: {reason}", listed.file, listed.line))
            })
            .collect();
        if !warnings.is_empty() {
            warnings.push(format!(
                "with errors in it the server takes over nothing of {}, and does not start",
                T::FILE
            ));
        }
        match self.loaded {
            Some(false) => warnings.push(format!(
                "{} was written after the server had read its files: what it goes by may be older (`pgsocle instance reload` lets it read them)",
                T::FILE
            )),
            Some(true) => {}
            None => warnings.push(
                "the server is stopped: of groups and regular expressions nothing is known".to_owned(),
            ),
        }
        warnings
    }
}

impl Listing<Record> {
    fn known(&self, look: &dyn Look, connection: &Connection) -> Result<Known> {
        let mut known = Known {
            major: self.major,
            interfaces: look.networks()?,
            ..Known::default()
        };
        let Some(server) = &self.server else {
            return Ok(known);
        };
        known.groups = Some(Facts::observe(look, server, &connection.user)?.groups);
        for (pattern, name) in expressions(&self.list, connection) {
            // One that the server cannot compile stays unknown; it does not read a file with it either.
            if let Ok(matches) = self::matches(look, server, &pattern, &name) {
                known.expressions.insert((pattern, name), matches);
            }
        }
        Ok(known)
    }
}

fn explanation(listing: &Listing<Record>, explanation: &Explanation) -> Value {
    let verdicts = explanation.verdicts.iter().map(|(at, verdict)| {
        let mut view = listed(&listing.list[*at]);
        let (matches, why) = match verdict {
            Verdict::Matches => (Some(true), None),
            Verdict::Differs(why) => (Some(false), Some(why)),
            Verdict::Unknown(what) => (None, Some(what)),
        };
        view["matches"] = matches.into();
        view["why"] = why.map_or(Value::Null, |why| why.as_str().into());
        view
    });
    let decides = explanation.decides.map(|at| &listing.list[at]);
    let method = match decides.map(|listed| &listed.record) {
        Some(Ok(record)) => record.method.as_str(),
        // As PostgreSQL calls it.
        _ => "implicit reject",
    };
    json!({
        "method": method,
        "certain": explanation.uncertain().next().is_none(),
        "decides": decides.map(listed),
        "tried": verdicts.collect::<Vec<_>>(),
    })
}

/// A line of a file as replies show it.
fn listed<T: Kind>(listed: &Listed<T>) -> Value {
    let mut view = match &listed.record {
        Ok(record) => record.view(),
        Err(_) => json!({}),
    };
    view["file"] = listed.file.as_str().into();
    view["line"] = listed.line.into();
    view["text"] = listed.text.as_str().into();
    view["error"] = listed.record.as_ref().err().cloned().into();
    view
}

/// The records of a file as `show` prints them.
pub fn shown<T: Kind>(listing: &Listing<T>) -> Value {
    listing.list.iter().map(listed).collect()
}

/// A record as replies show it.
pub(super) fn record(record: &Record) -> Value {
    let options: Map<String, Value> = record
        .options
        .iter()
        .map(|(name, value)| {
            let secret = Record::SECRETS.contains(&name.as_str());
            let value = if secret { MASK } else { value };
            (name.clone(), value.into())
        })
        .collect();
    json!({
        "type": record.kind.as_str(),
        "databases": record.databases,
        "users": record.users,
        "address": record.address,
        "netmask": record.netmask,
        "method": record.method,
        "options": options,
    })
}

/// A mapping as replies show it.
pub(super) fn mapping(mapping: &Mapping) -> Value {
    json!({ "map": mapping.map, "system_user": mapping.system_user, "role": mapping.role })
}
