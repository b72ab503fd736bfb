//! What wins over postgresql.conf, and what is active in the end.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Configuration, Seen, find};
use crate::pg::conf::{self, Conf};
use crate::pg::guc;
use crate::plan::Plan;
use crate::resource::instance::reading::Assignment;
use crate::resource::instance::target::DEFAULT_PORT;
use crate::secret::MASK;

impl Configuration {
    /// ALTER SYSTEM wins over postgresql.conf, and so does a file that is included further down: said on every run,
    /// for as long as it is so.
    pub(super) fn warn(&self, seen: &Seen, conf: &Conf, plan: &mut Plan) {
        plan.warnings.extend(seen.given.iter().map(|(name, given)| {
            format!(
                "setting `{name}` has no effect while this server runs: its command line says `{}`; `pgsocle instance restart {}` \
                 starts it without that",
                shown(name, given),
                self.target.paths
            )
        }));
        for (name, value) in self.wanted(seen) {
            let Some(shadow) = self.shadow(seen, conf, &name) else {
                continue;
            };
            let same = value.as_ref().is_some_and(|value| {
                shadow.value == *value
                    || find(&seen.gucs, &name)
                        .is_some_and(|guc| guc::same_value(guc, &shadow.value, value))
            });
            if same {
                continue;
            }
            let (file, line) = (&shadow.file, shadow.line);
            let says = shown(&name, &shadow.value);
            plan.warnings.push(match (value, shadow.top) {
                (Some(value), None) => format!(
                    "setting `{name}` = `{}` has no effect: postgresql.auto.conf says `{says}` (ALTER SYSTEM RESET {name} takes \
                     that away)",
                    shown(&name, &value)
                ),
                (None, None) => format!(
                    "setting `{name}` is not gone: postgresql.auto.conf says `{says}` (ALTER SYSTEM RESET {name} takes that away)"
                ),
                (_, Some(_)) => format!(
                    "setting `{name}` is not as wanted: `{file}` line {line}, which postgresql.conf includes, says `{says}`"
                ),
            });
        }
    }

    /// The assignment that wins over that of postgresql.conf.
    pub(super) fn shadow<'a>(
        &self,
        seen: &'a Seen,
        conf: &Conf,
        name: &str,
    ) -> Option<&'a Assignment> {
        let own = conf.line(name).unwrap_or_default();
        seen.reading.of_parameter(name).find(|assignment| {
            assignment.file != self.target.paths.config_file
                && assignment.top.is_none_or(|top| top > own)
        })
    }

    /// The value that will count, of every parameter that has one, when this is postgresql.conf.
    pub(super) fn values(&self, seen: &Seen, conf: &Conf) -> BTreeMap<String, String> {
        let mut values = BTreeMap::from_iter(conf.entries());
        for Assignment { name, .. } in &seen.reading.assignments {
            if let Some(shadow) = self.shadow(seen, conf, name) {
                values.insert(name.clone(), shadow.value.clone());
            }
        }
        values
    }
}

/// A value as it may be shown.
pub fn shown(name: &str, value: &str) -> String {
    if conf::is_secret(name) && !value.is_empty() {
        MASK.to_owned()
    } else {
        value.to_owned()
    }
}

/// What is active, for the public view.
pub fn settings_view(values: BTreeMap<String, String>) -> Map<String, Value> {
    let mut settings = Map::new();
    let mut port = DEFAULT_PORT.to_string();
    for (name, value) in values {
        if name == "port" {
            port = value;
        } else {
            let value = shown(&name, &value);
            settings.insert(name, value.into());
        }
    }
    let port = port.parse::<u16>().map_or(Value::String(port), Value::from);
    Map::from_iter([
        ("port".to_owned(), port),
        ("settings".to_owned(), Value::Object(settings)),
    ])
}
