//! pgBackRest: continuous archiving, backups and restores (<https://pgbackrest.org/configuration.html>).

mod site;

use schemars::JsonSchema;
use serde::Deserialize;

use super::item::Item;
use super::{Component, Contribution, View, Wishes};
use crate::manifest::Presence;
use crate::secret::Secret;
use crate::settings::Settings;
use anyhow::Result;

/// The component.
pub struct PgBackRest;

/// The stanza of an instance.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Spec {
    /// Name of the stanza: of all backups of one cluster and its standbys.
    #[serde(default)]
    pub stanza: Option<String>,
    /// Password of the backup role (`postgresql.backuprole` of the site settings). Never required: pgBackRest comes in by peer
    /// authentication.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Whether the instance is archived and backed up. With `absent` it is no longer; its backups stay.
    #[serde(default)]
    pub state: Presence,
}

impl Component for PgBackRest {
    fn site(&self, site: &Settings) -> Vec<Item> {
        site.pgbackrest
            .as_ref()
            .map(|own| self::site::items(site, own))
            .unwrap_or_default()
    }

    fn contribute(&self, _: &Wishes, _: &View) -> Result<Contribution> {
        Ok(Contribution::default())
    }
}
