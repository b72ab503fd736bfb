//! What there is to say of an instance: whether it was chosen otherwise, and how it stands at the end of a run.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::fault;
use crate::host::Look;
use crate::manifest::LocaleProvider;
use crate::pg::auth_file::Entry as _;
use crate::pg::hba::{Hba, Record};
use crate::plan::{Fact, Pending, Plan};
use crate::resource::instance::cluster::{folded, folded_encoding};
use crate::resource::instance::directory::{Directory, directory};
use crate::resource::instance::hold;
use crate::resource::instance::lookup::{ClusterFacts, cluster_facts, describe, describe_stopped};
use crate::resource::instance::target::Target;
use crate::stage::{Catalogs, Sight, Stage, World};

/// What was said of a cluster that only initdb can choose.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    pub locale: Option<String>,
    pub encoding: Option<String>,
    pub locale_provider: Option<LocaleProvider>,
    pub icu_locale: Option<String>,
    /// What `auth` would have put into `pg_hba.conf`.
    pub auth: Vec<Record>,
}

impl Choice {
    fn is_empty(&self) -> bool {
        self.auth.is_empty() && self.only_auth()
    }

    /// Nothing that a server would have to be asked for.
    fn only_auth(&self) -> bool {
        self.locale.is_none()
            && self.encoding.is_none()
            && self.locale_provider.is_none()
            && self.icu_locale.is_none()
    }
}

/// Refuses what would change a create-only attribute of an existing cluster.
pub struct Traits {
    pub target: Target,
    pub spec: Choice,
}

pub struct Chosen {
    facts: Option<ClusterFacts>,
    hba: Vec<Record>,
}

impl Stage for Traits {
    type Seen = Chosen;

    fn name(&self) -> String {
        format!("traits of instance {}", self.target.paths)
    }

    fn sight(&self, world: &World) -> Sight {
        if world.cluster_made || self.spec.is_empty() {
            Sight::Skip
        } else {
            Sight::Look
        }
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Chosen> {
        let facts = if self.spec.only_auth() {
            None
        } else {
            cluster_facts(look, &self.target)?
        };
        let hba = look.read(&self.target.paths.hba_file)?;
        Ok(Chosen {
            facts,
            hba: Hba::parse(&hba.unwrap_or_default()).records(),
        })
    }

    fn plan(&self, seen: &Chosen) -> Result<Plan> {
        let paths = &self.target.paths;
        let refuse = |option: &str, have: Option<String>, want: String| {
            let have = have.map_or_else(|| "not set".to_owned(), |have| format!("`{have}`"));
            fault!(
                Conflict,
                "instance `{paths}`: `{option}` is {have} and cannot become `{want}`: it is chosen at creation";
                "leave it out, or make another instance; nothing was changed"
            )
        };
        if let Some((have, want)) = otherwise(&self.spec.auth, &seen.hba) {
            let option = format!("auth.{}", want.kind.as_str());
            return Err(refuse(
                &option,
                Some(have.method.clone()),
                want.method.clone(),
            ));
        }
        let Some(facts) = &seen.facts else {
            if self.spec.only_auth() {
                return Ok(Plan::default());
            }
            return Ok(Plan::undetermined(format!(
                "instance {paths}: locale and encoding of a stopped server are not compared"
            )));
        };
        let provider = |letter: &str| match letter {
            "i" => "icu",
            "b" => "builtin",
            _ => "libc",
        };
        let (have_provider, spec) = (
            facts.provider.as_deref().map_or("libc", provider),
            &self.spec,
        );
        let same_locale = |want: &String| {
            [&facts.collate, &facts.provider_locale]
                .into_iter()
                .flatten()
                .any(|have| folded(have) == folded(want))
        };
        let differences = [
            (
                "locale",
                spec.locale
                    .as_ref()
                    .filter(|want| !same_locale(want))
                    .cloned(),
                facts.collate.clone(),
            ),
            (
                "icu_locale",
                spec.icu_locale
                    .as_ref()
                    .filter(|want| !same_locale(want))
                    .cloned(),
                facts.provider_locale.clone(),
            ),
            (
                "encoding",
                spec.encoding
                    .as_ref()
                    .filter(|want| folded_encoding(want) != folded_encoding(&facts.encoding))
                    .cloned(),
                Some(facts.encoding.clone()),
            ),
            (
                "locale_provider",
                spec.locale_provider
                    .map(LocaleProvider::name)
                    .filter(|want| *want != have_provider)
                    .map(str::to_owned),
                Some(have_provider.to_owned()),
            ),
        ];
        for (option, want, have) in differences {
            if let Some(want) = want {
                return Err(refuse(option, have, want));
            }
        }
        Ok(Plan::default())
    }
}

/// A line of `pg_hba.conf` that says otherwise than wanted for the same connections.
fn otherwise<'a>(wanted: &'a [Record], found: &'a [Record]) -> Option<(&'a Record, &'a Record)> {
    wanted.iter().find_map(|want| {
        let same = |found: &&Record| {
            let method = want.method.clone();
            let options = want.options.clone();
            want.same(&Record {
                method,
                options,
                ..(*found).clone()
            })
        };
        let first = found.iter().find(same)?;
        (first.method != want.method).then_some((first, want))
    })
}

/// The view of the instance and what waits for a restart, once everything is done.
pub struct Report {
    pub target: Target,
}

pub struct AtEnd {
    view: Map<String, Value>,
    pending: Vec<Pending>,
    identifier: Option<u64>,
}

impl Stage for Report {
    type Seen = AtEnd;

    fn name(&self) -> String {
        format!("instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<AtEnd> {
        let paths = &self.target.paths;
        let exists = matches!(directory(look, &paths.datadir)?, Directory::Cluster(_));
        let mut view = if exists && world.catalogs == Catalogs::Stopped {
            describe_stopped(look, &self.target)?
        } else if exists {
            describe(look, &self.target)?
        } else {
            // Check mode: what the run would make.
            Map::from_iter([
                ("name".to_owned(), json!(paths.name)),
                ("version".to_owned(), json!(paths.version)),
                ("state".to_owned(), json!("stopped")),
                ("data_directory".to_owned(), json!(paths.datadir)),
                ("wal_directory".to_owned(), json!(paths.waldir)),
                ("socket_directory".to_owned(), json!(paths.socket_directory)),
            ])
        };
        hold::promised(&mut view, &world.view);
        let said = view
            .get("pending_restart_settings")
            .cloned()
            .and_then(|seen| serde_json::from_value(seen).ok())
            .unwrap_or_default();
        let pending = world.pending(said);
        Ok(AtEnd {
            view,
            pending,
            identifier: look.system_identifier(&paths.datadir)?,
        })
    }

    fn plan(&self, seen: &AtEnd) -> Result<Plan> {
        let mut view = seen.view.clone();
        let stopped = view.get("state").and_then(Value::as_str) == Some("stopped");
        let pending = if stopped {
            Vec::new()
        } else {
            seen.pending.clone()
        };
        view.insert("pending_restart".to_owned(), json!(!pending.is_empty()));
        view.insert("pending_restart_settings".to_owned(), json!(pending));
        let known = seen.identifier.map(Fact::Cluster);
        Ok(Plan {
            facts: known
                .into_iter()
                .chain([Fact::PendingRestart(pending)])
                .collect(),
            view: Some(("instance", Value::Object(view))),
            ..Plan::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authentication_that_was_chosen_otherwise() {
        let records = |text: &str| Hba::parse(text.as_bytes()).records();
        let found = records(
            "local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\nlocal all all trust\n",
        );
        for (wanted, differs) in [
            ("local all all peer", None),
            ("local all all trust", Some("peer")),
            ("host all all 127.0.0.1/32 md5", Some("scram-sha-256")),
            // Not there: taken away, or of another template.
            ("host all all ::1/128 md5", None),
        ] {
            let wanted = records(wanted);
            let difference = otherwise(&wanted, &found);
            assert_eq!(
                difference.map(|(have, _)| have.method.as_str()),
                differs,
                "{wanted:?}"
            );
        }
    }
}
