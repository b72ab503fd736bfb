//! "It is not possible to change encryption settings on an existing repository" (user guide, "Repository Encryption"): with
//! another key nothing in it can be read any more.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::Utf8Path;

use super::info;
use super::site::{CONFIGURATION, SECRETS};
use super::tool::PATIENCE;
use crate::component::Objection;
use crate::component::item::secret;
use crate::fault::{Fault, Kind};
use crate::host::{Command, Look, Probe};
use crate::secret::Secret;
use crate::settings::{EntryValue, PgBackRest, Repository};

/// What makes two repositories one.
const PLACE: [&str; 7] = [
    "type",
    "path",
    "s3-bucket",
    "s3-endpoint",
    "azure-account",
    "azure-container",
    "gcs-bucket",
];

/// What is to be said of keys that are not those that were configured before.
pub fn objections(look: &dyn Look, own: &PgBackRest) -> Result<Vec<Objection>> {
    let read = |name: &str| -> Result<Option<String>> {
        let content = look.read(&own.configpath.join(name))?;
        Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
    };
    let Some(configuration) = read(CONFIGURATION)? else {
        return Ok(Vec::new());
    };
    let secrets = read(SECRETS)?.unwrap_or_default();
    let (before, keys) = (options(&configuration), options(&secrets));
    let entries = own.global();
    let after = |option: &str| {
        let mut entries = entries.iter();
        Some(&entries.find(|entry| entry.option == option)?.value)
    };
    let mut objections = Vec::new();
    for (number, repository) in own.repositories() {
        let option = |name: &str| format!("repo{number}-{name}");
        let elsewhere = |name: &&str| {
            let after = match after(&option(name)) {
                Some(EntryValue::Plain(value)) => Some(value.as_str()),
                _ => None,
            };
            before.get(&*option(name)).copied() != after
        };
        if repository.host().is_some() || PLACE.iter().any(elsewhere) {
            continue;
        }
        let key = option("cipher-pass");
        let wanted = match after(&key) {
            Some(EntryValue::ContentOf { setting, file }) => match secret(look, setting, file) {
                Ok(key) => Some((key, &**file)),
                // That is told where it is to be written.
                Err(_) => continue,
            },
            _ => None,
        };
        let encrypted = before.contains_key(&*option("cipher-type"));
        let known = keys.get(&*key).map(|key| Secret::new(*key));
        let same = match (encrypted, known, &wanted) {
            (false, _, wanted) => wanted.is_none(),
            // Nobody knows with which.
            (true, None, Some(_)) => true,
            (true, known, wanted) => known.as_ref() == wanted.as_ref().map(|(key, _)| key),
        };
        if !same {
            let found = stanzas(look, own, number, repository);
            objections.extend(objection(number, found, wanted.map(|(_, file)| file)));
        }
    }
    Ok(objections)
}

fn objection(
    number: usize,
    stanzas: Result<Vec<String>>,
    file: Option<&Utf8Path>,
) -> Option<Objection> {
    let mend = match file {
        Some(file) => format!("write the former key into `{file}`"),
        None => "give `cipher` with the former key".to_owned(),
    };
    let mend = format!("{mend}; for other encryption give the repository another place");
    match stanzas {
        Ok(found) if found.is_empty() => None,
        Ok(found) => Some(Objection::Refused(
            Fault::new(
                Kind::Conflict,
                format!(
                    "the encryption of repository {number} is not the one that it was made with, and cannot be changed: stanza `{}` is in it",
                    found.join("`, `")
                ),
            )
            .hint(mend),
        )),
        Err(error) => Some(Objection::Doubtful(format!(
            "the encryption of repository {number} is not the one that was configured before, and whether there are stanzas in it is not \
             known ({error:#}): with another key they cannot be read any more; {mend}"
        ))),
    }
}

/// `option=value`, a line each.
fn options(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .collect()
}

/// The names of the stanzas in a repository.
fn stanzas(
    look: &dyn Look,
    own: &PgBackRest,
    number: usize,
    repository: &Repository,
) -> Result<Vec<String>> {
    if let Repository::Path(repository) = repository {
        let list = |name: &str| look.list(&repository.path.join(name));
        let mut all = list("archive")?.unwrap_or_default();
        all.extend(list("backup")?.unwrap_or_default());
        all.sort();
        all.dedup();
        return Ok(all);
    }
    let command = Command::new(&own.execpath).args([
        format!("--config-path={}", own.configpath),
        format!("--repo={number}"),
    ]);
    let probe = Probe::pgbackrest_info(command, None).within(PATIENCE);
    info::names(&super::tool::answer(look, &probe, "look into it")?.stdout)
}
