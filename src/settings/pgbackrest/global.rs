//! The settings in pgBackRest's own words: its options of all stanzas, in the order in which they are written
//! (<https://pgbackrest.org/configuration.html>).

use camino::Utf8PathBuf;
use serde::Serialize;

use super::repository::{AzureKey, CipherType, GcsKey, RetentionType, S3Key, Store, UriStyle};
use super::{PgBackRest, Repository, Word, place};

/// An option with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub option: String,
    pub value: EntryValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryValue {
    Plain(String),
    /// What the file holds that this setting names.
    ContentOf {
        setting: String,
        file: Utf8PathBuf,
    },
}

impl PgBackRest {
    /// The options of all stanzas. Values are one line each, as long as [`Self::check`] has found nothing.
    pub fn global(&self) -> Vec<Entry> {
        let mut entries = self.own();
        for (name, word) in &self.options {
            let values = match word {
                Word::Bool(yes) => vec![flag(*yes).to_owned()],
                Word::Integer(number) => vec![number.to_string()],
                Word::Text(text) => vec![text.clone()],
                Word::List(list) => list.clone(),
            };
            entries.extend(values.into_iter().map(|value| Entry {
                option: name.clone(),
                value: EntryValue::Plain(value),
            }));
        }
        entries
    }

    /// Those of them that follow from settings of ours.
    pub(super) fn own(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = [
            ("lock-path", &self.lockpath),
            ("log-path", &self.logpath),
            ("spool-path", &self.spoolpath),
        ]
        .map(|(option, path)| Entry {
            option: option.to_owned(),
            value: EntryValue::Plain(path.to_string()),
        })
        .into();
        for (number, repository) in self.repositories() {
            Lines {
                number,
                entries: &mut entries,
            }
            .repository(repository);
        }
        // One for all of them: the check has seen to that.
        let ssh = self
            .repositories()
            .find_map(|(_, repository)| match repository {
                Repository::HostSsh(host) => host.cmd_ssh.as_ref(),
                _ => None,
            });
        entries.extend(ssh.map(|program| Entry {
            option: "cmd-ssh".to_owned(),
            value: EntryValue::Plain(program.to_string()),
        }));
        entries
    }
}

/// The options of one repository.
struct Lines<'e> {
    number: usize,
    entries: &'e mut Vec<Entry>,
}

impl Lines<'_> {
    fn put(&mut self, name: &str, value: impl ToString) {
        self.entries.push(Entry {
            option: format!("repo{}-{name}", self.number),
            value: EntryValue::Plain(value.to_string()),
        });
    }

    fn put_some(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn put_secret(&mut self, name: &str, setting: &str, file: Option<&Utf8PathBuf>) {
        if let Some(file) = file {
            self.entries.push(Entry {
                option: format!("repo{}-{name}", self.number),
                value: EntryValue::ContentOf {
                    setting: format!("{}.{setting}", place(self.number)),
                    file: file.clone(),
                },
            });
        }
    }

    fn repository(&mut self, repository: &Repository) {
        match repository {
            Repository::Path(path) => self.put("path", &path.path),
            Repository::HostTls(host) => {
                self.put("host", &host.host);
                self.put("host-type", "tls");
                self.put_some("host-port", host.host_port);
                self.put_some("host-config", host.host_config.as_ref());
                self.put("host-ca-file", &host.certificate.ca_cert);
                self.put("host-cert-file", &host.certificate.cert);
                self.put("host-key-file", &host.certificate.key);
            }
            Repository::HostSsh(host) => {
                self.put("host", &host.host);
                self.put_some("host-port", host.host_port);
                self.put_some("host-config", host.host_config.as_ref());
                self.put_some("host-user", host.host_user.as_ref());
            }
            Repository::S3(store) => {
                self.put("type", "s3");
                self.put("path", &store.path);
                self.put("s3-bucket", &store.bucket);
                self.put("s3-endpoint", &store.endpoint);
                self.put("s3-region", &store.region);
                self.put_some("s3-uri-style", store.uri_style.map(UriStyle::word));
                self.put("s3-key-type", store.key_type.word());
                self.put_some("s3-role", store.role.as_ref());
                self.put_secret("s3-key", "key_file", store.key_file.as_ref());
                let secret = store.key_secret_file.as_ref();
                self.put_secret("s3-key-secret", "key_secret_file", secret);
                self.put_secret("s3-token", "token_file", store.token_file.as_ref());
                let key = store.sse_customer_key_file.as_ref();
                self.put_secret("s3-sse-customer-key", "sse_customer_key_file", key);
                self.store(&store.storage);
            }
            Repository::Azure(store) => {
                self.put("type", "azure");
                self.put("path", &store.path);
                self.put("azure-account", &store.account);
                self.put("azure-container", &store.container);
                self.put_some("azure-endpoint", store.endpoint.as_ref());
                self.put_some("azure-uri-style", store.uri_style.map(UriStyle::word));
                self.put("azure-key-type", store.key_type.word());
                self.put_secret("azure-key", "key_file", store.key_file.as_ref());
                self.store(&store.storage);
            }
            Repository::Gcs(store) => {
                self.put("type", "gcs");
                self.put("path", &store.path);
                self.put("gcs-bucket", &store.bucket);
                self.put_some("gcs-endpoint", store.endpoint.as_ref());
                self.put("gcs-key-type", store.key_type.word());
                match store.key_type {
                    GcsKey::Token => {
                        self.put_secret("gcs-key", "key_file", store.key_file.as_ref());
                    }
                    GcsKey::Service | GcsKey::WebId | GcsKey::Auto => {
                        self.put_some("gcs-key", store.key_file.as_ref());
                    }
                }
                self.store(&store.storage);
            }
        }
        if let Some(cipher) = repository.cipher() {
            self.put("cipher-type", cipher.r#type.word());
            self.put_secret("cipher-pass", "cipher.pass_file", Some(&cipher.pass_file));
        }
        if let Some(retention) = repository.retention() {
            if retention.full_type != Some(RetentionType::Time) {
                self.put("retention-archive", retention.archive);
            }
            self.put("retention-diff", retention.diff);
            self.put("retention-full", retention.full);
            self.put_some(
                "retention-full-type",
                retention.full_type.map(RetentionType::word),
            );
        }
    }

    fn store(&mut self, store: &Store) {
        self.put_some("storage-host", store.host.as_ref());
        self.put_some("storage-port", store.port);
        self.put_some("storage-verify-tls", store.verify_tls.map(flag));
        self.put_some("storage-ca-file", store.ca_file.as_ref());
    }
}

fn flag(yes: bool) -> &'static str {
    if yes { "y" } else { "n" }
}

/// Words that the settings and pgBackRest have in common.
macro_rules! words {
    ($($kind:ident)*) => {$(
        impl $kind {
            pub(super) fn word(self) -> String {
                word(&self)
            }
        }
    )*};
}

words! { AzureKey CipherType GcsKey RetentionType S3Key UriStyle }

fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
