//! A role as the server has it, and as `get` and `list` show it.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::host::{Look, Query, Server};
use crate::resource::catalog;
use crate::secret::Secret;

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
    /// `name=value` items.
    pub settings: Option<Vec<String>>,
    pub comment: Option<String>,
    /// Databases in which objects depend on it (empty string: objects that belong to no database).
    pub dependents: Option<Vec<String>>,
    pub owned_databases: Option<Vec<String>>,
}

impl Row {
    pub(super) fn predefined(name: &str) -> Self {
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
            settings: None,
            comment: None,
            dependents: None,
            owned_databases: None,
        }
    }

    pub(super) fn superuser(name: &str) -> Self {
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

    pub(super) fn settings(&self) -> BTreeMap<String, String> {
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
        sql: include_str!("../../sql/role_list.sql"),
        parameter: json!({ "name": name }),
    };
    let rows: Vec<Row> =
        catalog::rows(look.query(&[query])?.into_iter().next().unwrap_or_default())?;
    Ok(rows.iter().map(Row::view).collect())
}
