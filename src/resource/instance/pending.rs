//! Settings that wait for a restart.

use anyhow::Result;
use serde::Deserialize;

use crate::host::{Look, Query, Server};
use crate::pg::guc::{self, Guc};
use crate::plan::Pending;
use crate::resource::catalog;
use crate::resource::instance::service::Loaded;

/// A parameter with which a server runs.
#[derive(Debug, Clone, Deserialize)]
pub struct Parameter {
    #[serde(flatten)]
    pub guc: Guc,
    waits: bool,
    /// The value that runs is from a file.
    from_file: bool,
    /// … or was given when the server was started: no file changes it.
    #[serde(default)]
    by_command_line: bool,
    /// As SHOW gives it, with a unit.
    running: Option<String>,
    /// Of one that waits: as the files have it, in any spelling; none: it is in none of them.
    configured: Option<String>,
}

impl Parameter {
    pub fn is(&self, name: &str) -> bool {
        self.guc.name.eq_ignore_ascii_case(name)
    }

    /// The value of the server's command line, where that is another one: none of a file comes into effect while it runs.
    pub fn overridden(&self, value: Option<&str>) -> Option<&str> {
        let running = self.running.as_deref().filter(|_| self.by_command_line)?;
        let same = |value| guc::same_value(&self.guc, running, value);
        (!value.is_some_and(same)).then_some(running)
    }

    /// How it will wait once the files say this of it. The server compares values, and waits for a restart whenever a
    /// parameter is taken out of the files, be its default the same; one that waits already goes on waiting then
    /// (`ProcessConfigFileInternal` in guc.c).
    pub fn configured_as(&self, value: Option<&str>) -> Option<Pending> {
        let waits = match value {
            Some(value) => self.running.as_deref() != Some(&guc::shown(&self.guc, value)),
            None => self.from_file || self.waits,
        };
        waits.then(|| self.pending(value))
    }

    /// Both values in the spelling of SHOW, so that they can be compared.
    fn pending(&self, configured: Option<&str>) -> Pending {
        let configured = configured.or(self.guc.boot.as_deref());
        Pending {
            name: self.guc.name.clone(),
            running: self.running.clone(),
            configured: configured.map(|value| guc::shown(&self.guc, value)),
        }
    }
}

/// Settings that wait for a restart, for as long as the server says so.
pub fn pending(look: &dyn Look, server: &Server) -> Result<Vec<Pending>> {
    Ok(waiting(&look.rows::<Parameter>(query(server, &[]))?))
}

/// Those of them that wait for a restart.
pub fn waiting(parameters: &[Parameter]) -> Vec<Pending> {
    parameters
        .iter()
        .filter(|parameter| parameter.waits)
        .map(|parameter| parameter.pending(parameter.configured.as_deref()))
        .collect()
}

/// When the server last read its files ([`loaded`](super::service::loaded)), and what is asked for by [`query`].
pub fn survey(look: &dyn Look, server: &Server, also: &[String]) -> Result<(i64, Vec<Parameter>)> {
    let queries = [Loaded::query(server), query(server, also)];
    let mut answers = look.query(&queries)?.into_iter();
    let mut next = || answers.next().unwrap_or_default();
    let loaded = Loaded::time(&next().read()?);
    Ok((loaded, next().read()?))
}

/// Asks for the parameters that wait, and for these whether they wait or not.
fn query(server: &Server, also: &[String]) -> Query {
    Query {
        server: server.clone(),
        database: catalog::MAINTENANCE.into(),
        sql: include_str!("../../sql/pending_restart.sql"),
        parameter: also.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parameter(name: &str, running: &str, from_file: bool) -> Parameter {
        let (vartype, unit, boot) = match name {
            "shared_buffers" => ("integer", Some("8kB"), "16384"),
            "max_connections" => ("integer", None, "100"),
            "hot_standby" => ("bool", None, "on"),
            "wal_level" => ("enum", None, "replica"),
            _ => ("string", None, ""),
        };
        serde_json::from_value(json!({
            "name": name, "vartype": vartype, "unit": unit, "context": "postmaster", "enumvals": [],
            "boot": boot, "waits": false, "from_file": from_file, "running": running, "configured": null,
        }))
        .unwrap()
    }

    #[test]
    fn what_the_command_line_says() {
        let given = |name: &str, running: &str| Parameter {
            by_command_line: true,
            ..parameter(name, running, false)
        };
        let buffers = given("shared_buffers", "128MB");
        assert_eq!(buffers.overridden(Some("131072kB")), None);
        assert_eq!(buffers.overridden(Some("64MB")), Some("128MB"));
        assert_eq!(buffers.overridden(None), Some("128MB"));
        let from_file = parameter("shared_buffers", "128MB", true);
        assert_eq!(from_file.overridden(Some("64MB")), None);
    }

    #[test]
    fn what_will_wait() {
        for (name, running, from_file, value, waits) in [
            ("shared_buffers", "128MB", true, Some("131072kB"), None),
            ("shared_buffers", "128MB", true, Some("16384"), None),
            (
                "shared_buffers",
                "128MB",
                true,
                Some("1048576kB"),
                Some("1GB"),
            ),
            (
                "shared_buffers",
                "128MB",
                true,
                Some("1000"),
                Some("8000kB"),
            ),
            // Taken out of the files: the server says so whatever the default is.
            ("shared_buffers", "128MB", true, None, Some("128MB")),
            ("shared_buffers", "64MB", true, None, Some("128MB")),
            // … and it never was in one.
            ("shared_buffers", "128MB", false, None, None),
            ("max_connections", "100", false, Some("100"), None),
            ("max_connections", "100", false, Some("0x64"), None),
            ("max_connections", "100", true, Some("101"), Some("101")),
            ("hot_standby", "on", true, Some("YES"), None),
            ("hot_standby", "on", true, Some("f"), Some("off")),
            ("wal_level", "replica", true, Some("Hot_Standby"), None),
            (
                "wal_level",
                "replica",
                true,
                Some("logical"),
                Some("logical"),
            ),
            // The server knows no lists here, only texts.
            (
                "shared_preload_libraries",
                "a,b",
                true,
                Some("a, b"),
                Some("a, b"),
            ),
        ] {
            let pending = parameter(name, running, from_file).configured_as(value);
            let pending = pending.map(|pending| (pending.running, pending.configured));
            let expected = waits.map(|waits| (Some(running.to_owned()), Some(waits.to_owned())));
            assert_eq!(pending, expected, "{name} {value:?}");
        }
    }
}
