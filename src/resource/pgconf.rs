//! Parameters of an existing instance, and nothing else of it: the configuration stages of its own run
//! ([`crate::resource::instance`]), reload or restart included.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bail_fault;
use crate::host::Look;
use crate::manifest::{InstanceRef, Place, Setting, Settings};
use crate::pg::conf::Conf;
use crate::plan::Impact;
use crate::resource::instance::accepted::Accepted;
use crate::resource::instance::configuration::{Configuration, PLACES, Text};
use crate::resource::instance::desired::{RestartPolicy, State, restarts};
use crate::resource::instance::service::Service;
use crate::resource::instance::target::{DEFAULT_PORT, Target};
use crate::resource::instance::templates::Templates;
use crate::resource::{Addressed, Job, Site, addressed};

/// Parameters of the postgresql.conf of an instance: those not listed are left as they are.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PgconfSpec {
    /// The instance, as `name` or `version/name`; may be left out when there is only one.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// Parameters with their values; null takes one away, those not listed are kept.
    /// `shared_buffers` and `effective_cache_size` may be a share of the memory, as `25%`.
    #[serde(default)]
    pub settings: Settings,
    /// Makes `settings` exact: what is neither listed, nor from initdb or the site's template, is taken away.
    #[serde(default)]
    pub settings_purge: bool,
    /// What is done about settings that only a restart brings into effect.
    #[serde(default)]
    pub restart_policy: Option<RestartPolicy>,
    /// Restart when settings need it: true is `restart_policy: when_required`.
    #[serde(default)]
    pub restart_on_changes: Option<bool>,
    /// Refuse the whole plan when a change has a greater impact than this.
    #[serde(default)]
    pub max_impact: Option<Impact>,
    /// How many seconds to wait for another run on the same instance; 60 unless given, 0: not at all.
    #[serde(default)]
    pub lock_timeout: Option<u32>,
}

/// The run that brings the parameters to what is wanted.
pub fn job(spec: PgconfSpec, site: &Site, look: &dyn Look) -> Result<Job> {
    for place in PLACES {
        if spec
            .settings
            .keys()
            .any(|name| name.eq_ignore_ascii_case(place))
        {
            bail_fault!(
                Input,
                "`{place}` cannot be changed: it says where the instance is"
            );
        }
    }
    run(spec, None, site, look)
}

/// The same for a postgresql.conf that somebody has edited, who began with `base`.
pub fn edited(
    spec: PgconfSpec,
    base: Vec<u8>,
    content: Vec<u8>,
    site: &Site,
    look: &dyn Look,
) -> Result<Job> {
    run(spec, Some(Text { base, content }), site, look)
}

/// The run that takes these away. One that is not there is an error, as somebody has mistyped it.
pub fn removal(spec: PgconfSpec, names: &[String], site: &Site, look: &dyn Look) -> Result<Job> {
    let target = existing(&spec, site, look)?;
    let conf = Conf::parse(&text(&target, look)?)?;
    for name in names {
        if conf.get(name).is_none() {
            let entries = conf.entries();
            let set = entries.iter().map(|(name, _)| name.as_str());
            let what = format!(
                "setting `{name}` is not set in postgresql.conf of instance `{}`",
                target.paths
            );
            match crate::nearest::nearest(name, set) {
                Some(near) => bail_fault!(NotFound, "{what}"; "did you mean `{near}`?"),
                None => {
                    bail_fault!(NotFound, "{what}"; "`pgsocle pgconf show` lists those that are")
                }
            }
        }
    }
    let settings = names.iter().map(|name| (name.clone(), Setting(None)));
    let settings = settings.collect();
    job(PgconfSpec { settings, ..spec }, site, look)
}

/// The instance, which must be there.
pub fn existing(spec: &PgconfSpec, site: &Site, look: &dyn Look) -> Result<Target> {
    crate::resource::existing(site, look, spec.instance.as_ref())
}

/// postgresql.conf as it is.
pub fn text(target: &Target, look: &dyn Look) -> Result<Vec<u8>> {
    Ok(look.read(&target.paths.config_file)?.unwrap_or_default())
}

fn run(spec: PgconfSpec, text: Option<Text>, site: &Site, look: &dyn Look) -> Result<Job> {
    let restarts = restarts(spec.restart_policy, spec.restart_on_changes, "pgconf")?;
    let place = Place {
        instance: spec.instance,
        max_impact: spec.max_impact,
        lock_timeout: spec.lock_timeout,
        ..Place::default()
    };
    let Addressed {
        mut job,
        target,
        exists,
    } = addressed("configuration", &place, site, look)?;
    let templates = Templates::observe(
        look,
        &site.settings,
        site.config_dir.as_ref(),
        &target.paths,
        None,
    )?;
    let first_port = templates.port().unwrap_or(DEFAULT_PORT);
    job.stages.push(Box::new(Configuration {
        target: target.clone(),
        templates,
        port: None,
        first_port,
        settings: spec.settings,
        purge: spec.settings_purge,
        keeps: Vec::new(),
        site: None,
        text,
        alone: true,
        assumed: !exists,
    }));
    if exists {
        job.stages
            .push(Box::new(Accepted::new(&target, State::Present, restarts)));
        job.stages.push(Box::new(Service {
            target,
            state: State::Present,
            restarts,
            checksums: None,
            catalogs: false,
            own_roles_only: false,
            start_temporarily: false,
        }));
    }
    Ok(job)
}

/// What a run changes: value before and after, by name; for the reply.
pub fn view(values: impl IntoIterator<Item = (String, Option<String>, Option<String>)>) -> Value {
    let values = values
        .into_iter()
        .map(|(name, before, after)| (name, json!({ "before": before, "after": after })));
    Value::Object(values.collect())
}
