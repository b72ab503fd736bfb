//! Parameters that roles and databases set for their sessions, as the server knows them: a wrong one is refused
//! before anything is done, in check mode too.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::json;

use crate::bail_fault;
use crate::host::{Look, Query, Server};
use crate::manifest::Settings;
use crate::nearest;
use crate::pg::guc::{self, Context, Guc, VarType};
use crate::resource::catalog;

/// By name in lower case; empty where no server could be asked.
#[derive(Debug, Default)]
pub struct Parameters(BTreeMap<String, Row>);

/// A row of `parameters.sql`.
#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    present: bool,
    vartype: Option<String>,
    context: Option<String>,
    unit: Option<String>,
    min_val: Option<String>,
    max_val: Option<String>,
    enumvals: Option<Vec<String>>,
    /// The names that there are, of one that there is not.
    others: Option<Vec<String>>,
}

impl Parameters {
    /// Asks for those that are to be set; nothing is asked when there are none.
    pub fn observe<'a>(
        look: &dyn Look,
        server: &Server,
        wanted: impl Iterator<Item = &'a Settings>,
    ) -> Result<Self> {
        let names: BTreeSet<String> = wanted
            .flatten()
            .filter(|(_, setting)| setting.0.is_some())
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        if names.is_empty() {
            return Ok(Self::default());
        }
        let query = Query {
            server: server.clone(),
            database: catalog::MAINTENANCE.into(),
            sql: include_str!("../sql/parameters.sql"),
            parameter: json!(names),
        };
        let rows: Vec<Row> = look.rows(query)?;
        Ok(Self(
            rows.into_iter()
                .map(|row| (row.name.clone(), row))
                .collect(),
        ))
    }

    /// Refuses what the server would refuse of `ALTER ROLE` or `ALTER DATABASE … SET` (`validate_option_array_item`
    /// in guc.c). What only the server can judge (a time zone, a library) is left to it.
    pub fn check(&self, what: &str, changes: &[(String, Option<String>)]) -> Result<()> {
        for (name, value) in changes {
            if let Some(value) = value
                && let Some(row) = self.0.get(&name.to_ascii_lowercase())
            {
                row.check(what, name, value)?;
            }
        }
        Ok(())
    }
}

impl Row {
    fn check(&self, what: &str, name: &str, value: &str) -> Result<()> {
        if !self.present && self.context.is_none() {
            if name.contains('.') {
                if name.split('.').all(is_simple) {
                    return Ok(());
                }
                bail_fault!(
                    Input,
                    "{what}: `{name}` is not the name of a parameter";
                    "names of custom parameters are identifiers with dots between them, as `app.tenant`"
                );
            }
            let others = self.others.iter().flatten().map(String::as_str);
            match nearest::nearest(name, others) {
                Some(near) => {
                    bail_fault!(Input, "{what}: parameter `{name}` is not known to the server"; "did you mean `{near}`?")
                }
                None => bail_fault!(
                    Input,
                    "{what}: parameter `{name}` is not known to the server"
                ),
            }
        }
        // Some are shown in no list (`role`): the server judges them.
        let Some(guc) = self.guc() else {
            return Ok(());
        };
        match guc.context {
            Context::User | Context::Superuser => {}
            Context::Internal => {
                bail_fault!(Input, "{what}: parameter `{name}` cannot be changed")
            }
            _ => bail_fault!(
                Input,
                "{what}: parameter `{name}` cannot be set for sessions";
                "give it in the `settings` of the instance"
            ),
        }
        guc::check(&guc, value).with_context(|| what.to_owned())
    }

    fn guc(&self) -> Option<Guc> {
        let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
        Some(Guc {
            name: self.name.clone(),
            vartype: VarType::from_name(self.vartype.as_deref()?)?,
            unit: self.unit.clone(),
            context: Context::from_name(self.context.as_deref()?)?,
            enumvals: self.enumvals.clone().unwrap_or_default(),
            min: number(&self.min_val),
            max: number(&self.max_val),
            boot: None,
        })
    }
}

/// `valid_custom_variable_name` in guc.c.
fn is_simple(part: &str) -> bool {
    let mut chars = part.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_' || !first.is_ascii())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::samples::from;

    #[test]
    fn what_the_server_would_refuse() {
        let parameters: Vec<Row> = from(json!([
            { "name": "work_mem", "present": true, "vartype": "integer", "context": "user", "unit": "kB", "min_val": "64", "max_val": "2147483647" },
            { "name": "log_statement", "present": true, "vartype": "enum", "context": "superuser", "enumvals": ["none", "ddl", "mod", "all"] },
            { "name": "shared_buffers", "present": true, "vartype": "integer", "context": "postmaster", "unit": "8kB" },
            { "name": "log_connections", "present": true, "vartype": "bool", "context": "superuser-backend" },
            { "name": "server_version", "present": true, "vartype": "string", "context": "internal" },
            { "name": "wrk_mem", "present": false, "others": ["work_mem", "jit"] },
            { "name": "app.tenant", "present": false, "others": [] },
            { "name": "app.a b", "present": false, "others": [] },
            { "name": "role", "present": true },
        ]));
        let parameters = Parameters(
            parameters
                .into_iter()
                .map(|row| (row.name.clone(), row))
                .collect(),
        );
        for (name, value, refusal) in [
            ("work_mem", "64MB", ""),
            ("Work_Mem", "64", ""),
            (
                "work_mem",
                "much",
                "role `a`: invalid value `much` for parameter `work_mem`",
            ),
            (
                "work_mem",
                "1kB",
                "role `a`: value `1kB` is outside the valid range of parameter `work_mem`",
            ),
            ("log_statement", "DDL", ""),
            (
                "log_statement",
                "some",
                "role `a`: invalid value `some` for parameter `log_statement`",
            ),
            (
                "shared_buffers",
                "1GB",
                "role `a`: parameter `shared_buffers` cannot be set for sessions",
            ),
            (
                "log_connections",
                "on",
                "role `a`: parameter `log_connections` cannot be set for sessions",
            ),
            (
                "server_version",
                "19",
                "role `a`: parameter `server_version` cannot be changed",
            ),
            (
                "wrk_mem",
                "1GB",
                "role `a`: parameter `wrk_mem` is not known to the server",
            ),
            ("app.tenant", "x", ""),
            (
                "app.a b",
                "x",
                "role `a`: `app.a b` is not the name of a parameter",
            ),
            ("role", "x", ""),
            ("nobody_asked", "x", ""),
        ] {
            let changes = [(name.to_owned(), Some(value.to_owned()))];
            let said = parameters.check("role `a`", &changes);
            let said = said.err().map(|error| format!("{error:#}"));
            assert_eq!(said.unwrap_or_default(), refusal, "{name} {value}");
        }
        // Taking away is always right.
        assert!(parameters.check("x", &[("wrk_mem".into(), None)]).is_ok());
    }
}
