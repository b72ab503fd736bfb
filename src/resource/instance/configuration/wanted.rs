//! What is wanted of the parameters, whoever wants it.

use std::collections::BTreeSet;

use super::{Configuration, Seen};
use crate::pg::conf::Conf;
use crate::pg::guc;
use crate::resource::instance::target::DEFAULT_PORT;

/// What initdb writes into postgresql.conf by itself (initdb.c, `setup_config)`: `settings_purge` leaves it.
const INITDB: &[&str] = &[
    "autovacuum_worker_slots",
    "datestyle",
    "default_text_search_config",
    "dynamic_shared_memory_type",
    "huge_pages",
    "io_method",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "log_file_mode",
    "log_timezone",
    "max_connections",
    "max_wal_size",
    "min_wal_size",
    "password_encryption",
    "shared_buffers",
    "timezone",
    "unix_socket_directories",
];

/// Where the files of an instance are: its paths say so, and a run never changes them.
pub const PLACES: &[&str] = &["data_directory", "config_file", "hba_file", "ident_file"];

/// Parameters by name, in lower case; none: to be taken away.
pub(super) type Wanted = Vec<(String, Option<String>)>;

impl Configuration {
    /// In the order in which they are written.
    pub(super) fn wanted(&self, seen: &Seen) -> Wanted {
        if let Some(text) = &self.text {
            return differing(&seen.conf, &Conf::parse(&text.content).unwrap_or_default());
        }
        let mut wanted = Wanted::new();
        let mut put = |name: &str, value: Option<String>| {
            let name = name.to_lowercase();
            let value = value.map(|value| Self::resolve(&name, value, seen));
            match wanted.iter_mut().find(|(known, _)| *known == name) {
                Some(slot) => slot.1 = value,
                None => wanted.push((name, value)),
            }
        };
        if seen.new.is_some() {
            for (name, value) in &self.templates.parameters {
                put(name, Some(value.clone()));
            }
            if self.first_port != DEFAULT_PORT {
                put("port", Some(self.first_port.to_string()));
            }
        } else if let Some(port) = self.port {
            let unsaid = port == DEFAULT_PORT && seen.conf.get("port").is_none();
            if !unsaid {
                put("port", Some(port.to_string()));
            }
        }
        for (name, value) in &seen.following {
            put(name, Some(value.clone()));
        }
        for (name, setting) in &self.settings {
            let value = setting.0.as_deref();
            put(name, value.map(|value| self.templates.fill_known(value)));
        }
        if self.purge && seen.new.is_none() {
            let template = self.templates.parameters.iter().map(|(name, _)| name);
            let keep: BTreeSet<String> = template
                .chain(self.settings.keys())
                .map(|name| name.to_lowercase())
                .chain(
                    INITDB
                        .iter()
                        .chain(PLACES)
                        .chain(&["port"])
                        .chain(&self.keeps)
                        // By this file a unit of others knows its server (`PIDFile=` of postgresql@.service).
                        .chain(self.target.adopted.as_ref().map(|_| &"external_pid_file"))
                        .map(|name| (*name).to_owned()),
                )
                .collect();
            for (name, _) in seen.conf.entries() {
                if !keep.contains(&name) {
                    put(&name, None);
                }
            }
        }
        wanted
    }

    /// `N%` of the memory.
    pub(super) fn resolve(name: &str, value: String, seen: &Seen) -> String {
        match name {
            "shared_buffers" | "effective_cache_size" => seen
                .conf
                .get(name)
                .filter(|have| guc::is_memory_percent(have, &value, seen.memory))
                .or_else(|| guc::memory_percent(&value, seen.memory))
                .unwrap_or(value),
            _ => value,
        }
    }
}

/// What one file says otherwise than another.
fn differing(before: &Conf, after: &Conf) -> Wanted {
    let gone = before
        .entries()
        .into_iter()
        .filter(|(name, _)| after.get(name).is_none())
        .map(|(name, _)| (name, None));
    let other = after
        .entries()
        .into_iter()
        .filter(|(name, value)| before.get(name).as_ref() != Some(value))
        .map(|(name, value)| (name, Some(value)));
    other.chain(gone).collect()
}
