//! What there is to say of an instance: whether it was chosen otherwise, and how it stands at the end of a run.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::bail_fault;
use crate::host::Look;
use crate::manifest::LocaleProvider;
use crate::plan::{Fact, Pending, Plan};
use crate::resource::instance::cluster::{Directory, directory, folded, folded_encoding};
use crate::resource::instance::lookup::{ClusterFacts, cluster_facts, describe};
use crate::resource::instance::target::Target;
use crate::stage::{Sight, Stage, World};

/// What was said of a cluster that only initdb can choose.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    pub locale: Option<String>,
    pub encoding: Option<String>,
    pub data_checksums: Option<bool>,
    pub locale_provider: Option<LocaleProvider>,
    pub icu_locale: Option<String>,
}

impl Choice {
    fn is_empty(&self) -> bool {
        self.locale.is_none()
            && self.encoding.is_none()
            && self.data_checksums.is_none()
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
        Ok(Chosen {
            facts: cluster_facts(look, &self.target)?,
        })
    }

    fn plan(&self, seen: &Chosen) -> Result<Plan> {
        let paths = &self.target.paths;
        let Some(facts) = &seen.facts else {
            return Ok(Plan::undetermined(format!(
                "instance {paths}: locale, encoding and checksums of a stopped server are not compared"
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
                "data_checksums",
                spec.data_checksums
                    .filter(|want| *want != facts.data_checksums)
                    .map(|want| want.to_string()),
                Some(facts.data_checksums.to_string()),
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
                bail_fault!(
                    Conflict,
                    "instance `{paths}`: `{option}` is `{}` and cannot become `{want}`: it is chosen at creation", have.unwrap_or_default();
                    "leave it out, or make another instance; nothing was changed"
                );
            }
        }
        Ok(Plan::default())
    }
}

/// The view of the instance and what waits for a restart, once everything is done.
pub struct Report {
    pub target: Target,
}

pub struct AtEnd {
    view: Map<String, Value>,
    pending: Vec<Pending>,
}

impl Stage for Report {
    type Seen = AtEnd;

    fn name(&self) -> String {
        format!("instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<AtEnd> {
        let paths = &self.target.paths;
        let exists = matches!(directory(look, &paths.datadir)?, Directory::Cluster(_));
        let mut view = if exists {
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
        view.extend(world.view.clone());
        let said = view
            .get("pending_restart_settings")
            .cloned()
            .and_then(|seen| serde_json::from_value(seen).ok())
            .unwrap_or_default();
        let pending = world.pending(said);
        Ok(AtEnd { view, pending })
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
        Ok(Plan {
            facts: vec![Fact::PendingRestart(pending)],
            view: Some(("instance", Value::Object(view))),
            ..Plan::default()
        })
    }
}
