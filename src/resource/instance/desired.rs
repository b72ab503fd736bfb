//! What may be said of an instance.

use anyhow::Result;
use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backup::Method;
use crate::bail_fault;
use crate::component::{basebackup, pgbackrest};
use crate::manifest::{
    DatabaseSpec, HbaMethod, LocaleProvider, RoleSpec, Settings, TablespaceSpec,
};
use crate::pg::version::Major;
use crate::plan::Impact;
use crate::resource::Job;
use crate::secret::Secret;

/// The wanted run state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum State {
    /// Exists; whether it runs is left as it is (a new one is left stopped).
    Present,
    #[default]
    Started,
    Stopped,
    /// Restarted by this very run.
    Restarted,
    /// Running, and told to read its configuration again by this very run.
    Reloaded,
    Absent,
    /// No instance any more, of one that was adopted: its server and its files stay as they are.
    Forgotten,
}

/// What is done about settings that only a restart brings into effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum RestartPolicy {
    /// They stay pending, and are reported on every run.
    #[default]
    Never,
    /// The server is restarted when, and only when, one is pending.
    WhenRequired,
}

/// Authentication methods written to `pg_hba.conf` at creation; what is left out is taken from the site settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Auth {
    /// Method for local sockets.
    #[serde(default)]
    #[schemars(extend("x-create-only" = true))]
    pub local: Option<HbaMethod>,
    /// Method for TCP from this host.
    #[serde(default)]
    #[schemars(extend("x-create-only" = true))]
    pub host: Option<HbaMethod>,
    /// Method for TLS connections, where the site's template has a line for them.
    #[serde(default)]
    #[schemars(extend("x-create-only" = true))]
    pub hostssl: Option<HbaMethod>,
}

/// A PostgreSQL instance with its roles and databases: what is left out is left as it is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceSpec {
    /// Name, unique within one major version: letters, digits and underscores.
    #[schemars(extend("x-create-only" = true))]
    pub name: String,
    /// Major version; the site's `postgresql.default_version` or the highest one installed unless given.
    #[serde(default)]
    #[schemars(extend("x-create-only" = true))]
    pub version: Option<Major>,
    /// Wanted run state. Where servers are systemd's units, one that is to run starts at boot as well, and one that is to be `stopped`
    /// does not.
    #[serde(default)]
    pub state: State,
    /// Whether a missing instance is made; if not, it must exist.
    #[serde(default = "yes")]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub create: bool,
    /// Make the instance anew although traces say that it existed (its data directory may just not be mounted).
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["alter"]))]
    pub recreate: bool,
    /// Make an existing cluster that others made (`pg_createcluster`, Red Hat's packages, `initdb`) the instance, as it lies and runs:
    /// no file is moved, nothing is restarted. What is an instance already stays one; nothing is ever created.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub adopt: bool,
    /// Data directory of the cluster to adopt; unless given, that of `/etc/postgresql/VERSION/NAME`, else `/var/lib/pgsql/VERSION/data`.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("x-hidden" = ["cli"]))]
    pub datadir: Option<Utf8PathBuf>,
    /// postgresql.conf of the cluster to adopt, where it is neither beside the data nor known to the server or to postgresql-common.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("x-hidden" = ["cli"]))]
    pub config_file: Option<Utf8PathBuf>,
    /// TCP port; at creation the one of the site's template, else 5432.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i64>,
    /// Parameters of postgresql.conf; null takes one away, those not listed are kept.
    /// `shared_buffers` and `effective_cache_size` may be a share of the memory, as `25%`.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub settings: Option<Settings>,
    /// Makes `settings` exact: what is neither listed, nor from initdb, the site's template or a component, is taken away.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub settings_purge: bool,
    /// Page checksums; at creation as in the site settings unless given. They are switched while the server is down:
    /// a running one is stopped and started for it where `restart_policy` or `state` allow that, and refused otherwise.
    #[serde(default)]
    pub data_checksums: Option<bool>,
    /// Locale of the cluster; at creation that of the site settings unless given.
    #[serde(default)]
    #[schemars(extend("x-create-only" = true))]
    pub locale: Option<String>,
    /// Provider of the locale (`icu` from PostgreSQL 15 on, `builtin` from 17 on).
    #[serde(default)]
    #[schemars(extend("x-create-only" = true))]
    pub locale_provider: Option<LocaleProvider>,
    /// Locale of the ICU provider, as `en-US`.
    #[serde(default)]
    #[schemars(extend("x-create-only" = true))]
    pub icu_locale: Option<String>,
    /// Encoding of the cluster; at creation that of the site settings unless given.
    #[serde(default)]
    #[schemars(extend("x-create-only" = true))]
    pub encoding: Option<String>,
    /// Authentication methods written to `pg_hba.conf` at creation.
    #[serde(default)]
    #[schemars(extend("x-create-only" = true))]
    pub auth: Option<Auth>,
    /// Password of the superuser role. Never required: the tool comes in by peer authentication.
    #[serde(default)]
    pub surole_password: Option<Secret>,
    /// Password of the replication role (`postgresql.replrole` of the site settings).
    #[serde(default)]
    pub replrole_password: Option<Secret>,
    /// What is done about changes that only a restart brings into effect: settings, page checksums.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["create"]))]
    pub restart_policy: Option<RestartPolicy>,
    /// Restart when settings need it: true is `restart_policy: when_required`.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub restart_on_changes: Option<bool>,
    /// Roles to converge with the instance; those not listed are kept.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub roles: Option<Vec<RoleSpec>>,
    /// Tablespaces to converge with the instance; those not listed are kept.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub tablespaces: Option<Vec<TablespaceSpec>>,
    /// Databases to converge with the instance; those not listed are kept.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub databases: Option<Vec<DatabaseSpec>>,
    /// Start a stopped instance for the time of this run (without TCP listener) when roles, tablespaces or databases are given, and stop it again.
    #[serde(default)]
    pub start_temporarily: bool,
    /// How long to wait for the server to start or to stop, in seconds. Default: 60. A server that needs longer, for a
    /// recovery or its last checkpoint, goes on by itself; the run fails and says so.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub timeout: Option<u32>,
    /// Undo a creation that fails.
    #[serde(default = "yes")]
    #[schemars(extend("x-hidden" = ["alter"]))]
    pub drop_on_error: bool,
    /// Whether a declared `state: absent` is refused; as the site settings have it unless it was ever given. It cannot be
    /// lifted in the call that drops.
    #[serde(default)]
    pub deletion_protection: Option<bool>,
    /// The system identifier of the cluster that is meant, as `pg_controldata` tells it. To be given once when another cluster than
    /// before has been put in its place, which is refused otherwise.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub system_identifier: Option<String>,
    /// With `state: absent`: set the data aside instead of deleting them, beside their place, as `data.dropped-1`.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub keep_data: bool,
    /// With `state: absent`: delete the dumps of its databases too.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub delete_dumps: bool,
    /// With `state: absent`: delete its stanza with all backups too, where no other instance is in it.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub delete_backups: bool,
    /// Refuse the whole plan when a change has a greater impact than this.
    #[serde(default)]
    pub max_impact: Option<Impact>,
    /// How many seconds to wait for another run on the same instance; 60 unless given, 0: not at all.
    #[serde(default)]
    pub lock_timeout: Option<u32>,
    /// Streaming standby; not supported in this version.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"], "x-unsupported" = true))]
    pub standby: Option<Value>,
    /// Physical replication slots; not supported in this version.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"], "x-unsupported" = true))]
    pub replication_slots: Option<Vec<Value>>,
    /// temBoard agent; not supported in this version.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"], "x-unsupported" = true))]
    pub temboard: Option<Value>,
    /// PoWA; not supported in this version.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"], "x-unsupported" = true))]
    pub powa: Option<Value>,
    /// `postgres_exporter`; not supported in this version.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"], "x-unsupported" = true))]
    pub prometheus: Option<Value>,
    /// Membership in a Patroni cluster; not supported in this version.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"], "x-unsupported" = true))]
    pub patroni: Option<Value>,
    /// What archives the instance and takes its backups; `pgbackrest` or `basebackup` say how. Left out, that stays as it is.
    #[serde(default)]
    pub backup_method: Option<Method>,
    /// Archiving and backups by pgBackRest; left out, they stay as they are.
    #[serde(default)]
    pub pgbackrest: Option<pgbackrest::Spec>,
    /// Archiving and backups by PostgreSQL's own programs; left out, they stay as they are.
    #[serde(default)]
    pub basebackup: Option<basebackup::Spec>,
}

fn yes() -> bool {
    true
}

impl InstanceSpec {
    /// Of roles that come with every instance.
    pub fn gives_passwords(&self) -> bool {
        self.surole_password.is_some() || self.replrole_password.is_some()
    }

    /// What is said of the run, not of the instance.
    pub fn shape(&self, job: &mut Job) {
        job.max_impact = self.max_impact;
        job.wait_for(self.lock_timeout);
        job.keep_failed = !self.drop_on_error;
    }

    /// Whether the server is restarted where settings need it.
    pub fn restarts(&self) -> Result<bool> {
        let what = format!("instance `{}`", self.name);
        restarts(self.restart_policy, self.restart_on_changes, &what)
    }
}

/// The policy by either of its names (`restart_on_changes` is pglift's).
pub fn restarts(
    policy: Option<RestartPolicy>,
    on_changes: Option<bool>,
    what: &str,
) -> Result<bool> {
    let policy = policy.map(|policy| policy == RestartPolicy::WhenRequired);
    if let (Some(policy), Some(on_changes)) = (policy, on_changes)
        && policy != on_changes
    {
        bail_fault!(
            Input,
            "{what}: `restart_policy` and `restart_on_changes` contradict each other"
        );
    }
    Ok(policy.or(on_changes).unwrap_or_default())
}
