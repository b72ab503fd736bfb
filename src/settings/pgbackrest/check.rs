//! What must hold between the settings of pgBackRest.

use camino::Utf8PathBuf;
use serde_json::Value as Json;

use super::repository::{AzureKey, Gcs, GcsKey, HostTls, S3Key};
use super::{EntryValue, PgBackRest, Repository, place};
use crate::input::Wrong;
use crate::settings::check::wrong;

/// Options that name what is ours to say, beside those that follow from the settings: as they are, or what they begin with.
const RESERVED: [&str; 4] = ["stanza", "config*", "pg*", "tls-server-*"];
/// Options of a repository whose values are secrets; what is written otherwise anybody may read.
const SECRETS: [&str; 7] = [
    "cipher-pass",
    "s3-key",
    "s3-key-secret",
    "s3-sse-customer-key",
    "s3-token",
    "azure-key",
    "sftp-private-key-passphrase",
];

impl PgBackRest {
    pub(in crate::settings) fn check(&self) -> Result<(), Wrong> {
        for (number, repository) in self.repositories() {
            let place = place(number);
            let value = serde_json::to_value(repository).unwrap_or_default();
            one_line(&place, &value)?;
            repository.check(&place)?;
        }
        self.check_hosts()?;
        self.check_options()
    }

    /// Files that must be there, each with the key that names it.
    pub(in crate::settings) fn required_files(&self) -> Vec<(String, Utf8PathBuf)> {
        let mut files = Vec::new();
        for (number, repository) in self.repositories() {
            let mut add = |key: &str, path: &Utf8PathBuf| {
                files.push((format!("{}.{key}", place(number)), path.clone()));
            };
            match repository {
                Repository::HostTls(HostTls { certificate, .. }) => {
                    add("certificate.ca_cert", &certificate.ca_cert);
                    add("certificate.cert", &certificate.cert);
                    add("certificate.key", &certificate.key);
                }
                Repository::Gcs(Gcs {
                    key_file: Some(key_file),
                    key_type: GcsKey::Service | GcsKey::WebId,
                    ..
                }) => add("key_file", key_file),
                _ => {}
            }
            if let Some(ca_file) = repository
                .storage()
                .and_then(|store| store.ca_file.as_ref())
            {
                add("storage.ca_file", ca_file);
            }
        }
        files.extend(
            self.own()
                .into_iter()
                .filter_map(|entry| match entry.value {
                    EntryValue::ContentOf { setting, file } => Some((setting, file)),
                    EntryValue::Plain(_) => None,
                }),
        );
        files
    }

    /// One server and one `ssh` are for all repositories.
    fn check_hosts(&self) -> Result<(), Wrong> {
        let (mut tls, mut ssh) = (None, None);
        for (number, repository) in self.repositories() {
            let same = match repository {
                Repository::HostTls(host) => {
                    let own = (&host.certificate, host.port);
                    *tls.get_or_insert(own) == own
                }
                Repository::HostSsh(host) => *ssh.get_or_insert(&host.cmd_ssh) == &host.cmd_ssh,
                _ => true,
            };
            if !same {
                return wrong(
                    &place(number),
                    "says another `certificate`, `port` or `cmd_ssh` than the repositories before it",
                    "this host has one TLS server and one program `ssh` for all repositories: say the same in all of them",
                );
            }
        }
        Ok(())
    }

    fn check_options(&self) -> Result<(), Wrong> {
        let own = self.own();
        let count = self.repositories().count();
        for (name, word) in &self.options {
            let path = format!("pgbackrest.options.{name}");
            if !is_option(name) {
                return wrong(
                    &path,
                    "is no name of an option",
                    "options are written as pgBackRest does, in lower case: `process-max`, `repo1-bundle`",
                );
            }
            one_line(&path, &serde_json::to_value(word).unwrap_or_default())?;
            let reserved = RESERVED
                .iter()
                .any(|reserved| match reserved.strip_suffix('*') {
                    Some(start) => name.starts_with(start),
                    None => name == reserved,
                });
            if reserved || own.iter().any(|entry| entry.option == *name) {
                return wrong(
                    &path,
                    "is said by other settings",
                    "leave it out here: it follows from the other keys of `pgbackrest` and from the instances",
                );
            }
            let Some(rest) = name.strip_prefix("repo") else {
                continue;
            };
            let (number, option) = rest.split_once('-').unwrap_or((rest, ""));
            if !number
                .parse()
                .is_ok_and(|number: usize| (1..=count).contains(&number))
            {
                return wrong(
                    &path,
                    "is of no repository",
                    "`repo1` is `pgbackrest.repository`, `repo2` the first of `pgbackrest.more_repositories`",
                );
            }
            if SECRETS.contains(&option) {
                return wrong(
                    &path,
                    "is a secret",
                    "write it to a file for the system user alone, and name that by `cipher.pass_file`, `key_file`, \
                     `key_secret_file`, `token_file` or `sse_customer_key_file` of the repository",
                );
            }
        }
        Ok(())
    }
}

impl Repository {
    fn check(&self, place: &str) -> Result<(), Wrong> {
        if let Some(retention) = self.retention() {
            for (key, number) in [
                ("archive", retention.archive),
                ("diff", retention.diff),
                ("full", retention.full),
            ] {
                if number == 0 {
                    return wrong(
                        &format!("{place}.retention.{key}"),
                        "is 0",
                        "pgBackRest keeps at least one",
                    );
                }
            }
        }
        // Which files a way to authorize needs (true), and which it has no use for (false).
        let (path, mode, files) = match self {
            Self::HostTls(_) | Self::HostSsh(_) | Self::Path(_) => return Ok(()),
            Self::S3(store) => {
                let shared = store.key_type == S3Key::Shared;
                let files = vec![
                    ("key_file", store.key_file.is_some(), Some(shared)),
                    (
                        "key_secret_file",
                        store.key_secret_file.is_some(),
                        Some(shared),
                    ),
                    (
                        "token_file",
                        store.token_file.is_some(),
                        (!shared).then_some(false),
                    ),
                    (
                        "role",
                        store.role.is_some(),
                        (store.key_type != S3Key::Auto).then_some(false),
                    ),
                ];
                (&store.path, store.key_type.word(), files)
            }
            Self::Azure(store) => {
                let needed = store.key_type != AzureKey::Auto;
                let files = vec![("key_file", store.key_file.is_some(), Some(needed))];
                (&store.path, store.key_type.word(), files)
            }
            Self::Gcs(store) => {
                let reached = &store.storage;
                for (key, given) in [
                    ("host", reached.host.is_some()),
                    ("port", reached.port.is_some()),
                ] {
                    if given {
                        return wrong(
                            &format!("{place}.storage.{key}"),
                            "is not used with `mode: gcs`",
                            "give host and port as the `endpoint`: `localhost:4443`",
                        );
                    }
                }
                let needed = store.key_type != GcsKey::Auto;
                let files = vec![("key_file", store.key_file.is_some(), Some(needed))];
                (&store.path, store.key_type.word(), files)
            }
        };
        if !path.starts_with('/') {
            return wrong(
                &format!("{place}.path"),
                "does not begin with `/`",
                "give it as `/pgbackrest`",
            );
        }
        for (key, given, needed) in files {
            let place = format!("{place}.{key}");
            match (given, needed) {
                (false, Some(true)) => {
                    return wrong(
                        &place,
                        &format!("is missing: `key_type: {mode}` needs it"),
                        "name a file for the system user alone that holds it, or choose another `key_type`",
                    );
                }
                (true, Some(false)) => {
                    return wrong(
                        &place,
                        &format!("is not used with `key_type: {mode}`"),
                        "leave it out, or choose another `key_type`",
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_option(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.split('-').all(|part| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        })
}

/// The file is one of lines: nothing in a value may begin another one, and an empty value is none.
fn one_line(place: &str, value: &Json) -> Result<(), Wrong> {
    match value {
        Json::String(text) if text.trim().is_empty() => {
            wrong(place, "is empty", "give a value, or leave it out")
        }
        Json::String(text) if text.contains(char::is_control) => wrong(
            place,
            "holds a line break or another control character",
            "a value of pgBackRest is one line of text",
        ),
        Json::Array(items) => items.iter().try_for_each(|item| one_line(place, item)),
        Json::Object(mapping) => mapping
            .iter()
            .try_for_each(|(key, value)| one_line(&format!("{place}.{key}"), value)),
        _ => Ok(()),
    }
}
