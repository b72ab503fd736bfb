//! What runs on the host beside the instances: kept running, and told when what it reads has changed.

use anyhow::Result;
use camino::Utf8PathBuf;
use jiff::fmt::strtime;

use super::files::shown;
use super::systemd::Systemd;
use crate::component::item::Item;
use crate::component::service::Service;
use crate::component::{self, Lack};
use crate::host::{Look, Probe, Unit, Verb};
use crate::plan::{Action, Change, Diff, Impact, Plan, Step, attributes};
use crate::resource::Site;
use crate::settings::Settings;
use crate::stage::{Stage, World};

/// The unit of that name, where a service manager runs it.
pub fn unit(site: &Settings, name: &str) -> Option<Unit> {
    let systemd = site.systemd.as_ref()?;
    Some(Unit {
        name: name.to_owned(),
        user: systemd.user,
        sudo: systemd.sudo,
    })
}

/// Keeps the services of all components running.
pub struct Services {
    all: Vec<Service>,
    /// What a component lacks is an error, not only told.
    strict: bool,
    settings: Settings,
}

impl Services {
    pub fn new(site: &Site) -> Self {
        Self {
            all: component::REGISTRY
                .iter()
                .flat_map(|component| component.services(&site.settings))
                .collect(),
            strict: false,
            settings: site.settings.clone(),
        }
    }

    /// The same, refused while a component lacks something.
    #[must_use]
    pub fn strict(self) -> Self {
        Self {
            strict: true,
            ..self
        }
    }
}

impl Services {
    /// Units that are there for services which the settings want no more: looked for by runs on the site alone.
    fn retired(&self, look: &dyn Look) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let (Some(systemd), true) = (&self.settings.systemd, self.strict) else {
            return Ok(Vec::new());
        };
        let mut retired = Vec::new();
        let units = component::REGISTRY
            .iter()
            .flat_map(|component| component.units());
        for unit in units.filter(|unit| self.all.iter().all(|service| service.unit != **unit)) {
            if let Some(content) = look.read(&systemd.unit_path.join(unit))? {
                retired.push((*unit, content));
            }
        }
        Ok(retired)
    }

    /// Files that the settings want no more, as long as they are as they were written: what begins otherwise is somebody else's.
    fn former(&self, look: &dyn Look) -> Result<Vec<(Item, Vec<u8>)>> {
        let mut former = Vec::new();
        for item in component::REGISTRY
            .iter()
            .filter(|_| self.strict)
            .flat_map(|component| component.former(&self.settings))
        {
            let ours = item.what.content(look)?;
            let ours = ours.map(|text| text.to_string()).unwrap_or_default();
            if let Some(content) = look.read(&item.path)?
                && content.starts_with(ours.as_bytes())
            {
                former.push((item, content));
            }
        }
        Ok(former)
    }

    fn end(&self, (name, content): &(&'static str, Vec<u8>)) -> Option<Change> {
        let systemd = self.settings.systemd.as_ref()?;
        let unit = unit(&self.settings, name)?;
        let path = systemd.unit_path.join(name);
        let step = |verb| Step::Service {
            unit: unit.clone(),
            verb,
        };
        let remove = Step::Remove { path: path.clone() };
        Some(Change::new(
            Action::Drop,
            format!("site {path}"),
            format!("stop `{name}`, which the site settings want no more, and remove it"),
            Diff::new(path.as_str(), String::from_utf8_lossy(content), ""),
            Impact::None,
            vec![
                step(Verb::Stop),
                step(Verb::Disable),
                remove.as_root(!systemd.user),
                step(Verb::DaemonReload),
            ],
        ))
    }
}

/// What the components lack on this host.
pub fn lacks(look: &dyn Look, site: &Settings) -> Result<Vec<Lack>> {
    let mut lacks = Vec::new();
    for component in component::REGISTRY {
        lacks.extend(component.lacks(look, site)?);
    }
    Ok(lacks)
}

/// Services that do not run, by their units.
pub fn stopped(look: &dyn Look, site: &Site) -> Result<Vec<Utf8PathBuf>> {
    let Some(systemd) = site.settings.systemd.as_ref() else {
        return Ok(Vec::new());
    };
    let mut stopped = Vec::new();
    for service in Services::new(site).all {
        if !State::of(look, &site.settings, &service)?.runs {
            stopped.push(systemd.unit_path.join(service.unit));
        }
    }
    Ok(stopped)
}

/// How a service is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct State {
    runs: bool,
    /// It starts at boot.
    enabled: bool,
    /// It has not read these as they are now.
    changed: Vec<Utf8PathBuf>,
}

impl State {
    fn of(look: &dyn Look, site: &Settings, service: &Service) -> Result<Self> {
        let Some(unit) = unit(site, service.unit).filter(|_| site.service_manager.is_some()) else {
            // Whoever started it: it listens.
            return Ok(Self {
                runs: look.port_taken(service.port)?,
                ..Self::default()
            });
        };
        let properties = "ActiveState,UnitFileState,StateChangeTimestamp";
        // Where systemctl is missing or its manager does not run, that is said by other means.
        let Ok(output) = look.probe(&Probe::unit(unit.user, &unit.name, properties)) else {
            return Ok(Self::default());
        };
        let text = output.text();
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_default()
        };
        let runs = value("ActiveState") == "active";
        let since = timestamp(value("StateChangeTimestamp")).filter(|_| runs);
        let mut changed = Vec::new();
        if let Some(since) = since {
            for path in &service.reads {
                // What systemd tells is in whole seconds.
                if look
                    .stat(path)?
                    .is_some_and(|stat| stat.modified.div_euclid(1_000_000) > since)
                {
                    changed.push(path.clone());
                }
            }
        }
        Ok(Self {
            runs,
            enabled: value("UnitFileState") == "enabled",
            changed,
        })
    }
}

/// `Fri 2026-11-27 20:38:20 UTC` in seconds since 1970.
fn timestamp(text: &str) -> Option<i64> {
    let time = strtime::parse("%a %Y-%m-%d %H:%M:%S UTC", text).ok()?;
    let civil = time.to_datetime().ok()?;
    Some(
        civil
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_second(),
    )
}

pub struct Seen {
    states: Vec<State>,
    /// Units of services that the settings want no more, with their content.
    retired: Vec<(&'static str, Vec<u8>)>,
    former: Vec<(Item, Vec<u8>)>,
    lacks: Vec<Lack>,
    systemd: Option<Systemd>,
}

impl Stage for Services {
    type Seen = Seen;

    fn name(&self) -> String {
        "site".to_owned()
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let retired = self.retired(look)?;
        Ok(Seen {
            states: self
                .all
                .iter()
                .map(|service| State::of(look, &self.settings, service))
                .collect::<Result<_>>()?,
            lacks: lacks(look, &self.settings)?,
            systemd: if self.all.is_empty() && retired.is_empty() {
                None
            } else {
                Systemd::observe(look, &self.settings)?
            },
            retired,
            former: self.former(look)?,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let mut plan = Plan::default();
        if !seen.lacks.is_empty() {
            for lack in &seen.lacks {
                if self.strict {
                    plan.missing.push(lack.fault.clone().into());
                } else {
                    plan.warnings.push(lack.fault.to_string());
                }
            }
            // Told to read what it cannot use, a service ends.
            return Ok(plan);
        }
        for (service, state) in self.all.iter().zip(&seen.states) {
            let unit = unit(&self.settings, service.unit);
            match unit.filter(|_| self.settings.service_manager.is_some()) {
                Some(unit) => plan.changes.extend(kept(service, state, &unit)),
                None if state.runs => {}
                None => plan.warnings.push(format!(
                    "{} does not run, and the site settings name no service manager that would start it: as user `{}`, \
                     run `{}`, now and at every boot",
                    service.title, self.settings.sysuser.user, service.command
                )),
            }
        }
        plan.changes
            .extend(seen.retired.iter().filter_map(|retired| self.end(retired)));
        if !plan.changes.is_empty() {
            plan.missing
                .extend(seen.systemd.as_ref().and_then(Systemd::missing));
        }
        plan.changes
            .extend(seen.former.iter().map(|(item, content)| {
                let path = &item.path;
                Change::new(
                    Action::Drop,
                    format!("site {path}"),
                    format!("remove `{path}`, which the site settings want no more"),
                    Diff::new(path.as_str(), shown(&item.what, content), ""),
                    Impact::None,
                    vec![Step::Remove { path: path.clone() }],
                )
            }));
        Ok(plan)
    }
}

/// What makes a service be as it should.
fn kept(service: &Service, state: &State, unit: &Unit) -> Option<Change> {
    let step = |verb| Step::Service {
        unit: unit.clone(),
        verb,
    };
    let shown = |enabled: bool, runs: bool| {
        attributes(&[
            ("enabled", Some(enabled.to_string())),
            ("running", Some(runs.to_string())),
        ])
    };
    let object = format!("site {unit}");
    let mut steps = Vec::new();
    if !state.enabled {
        steps.push(step(Verb::Enable));
    }
    if !state.runs {
        // Unlike a start, it is waited for: the unit is up when the service answers.
        steps.push(step(Verb::Restart));
    }
    if !steps.is_empty() {
        let verb = if state.runs { "enable" } else { "start" };
        return Some(Change::new(
            Action::Start,
            object,
            format!("{verb} {} (`{unit}`)", service.title),
            Diff::new(
                unit.name.as_str(),
                shown(state.enabled, state.runs),
                shown(true, true),
            ),
            Impact::None,
            steps,
        ));
    }
    if state.changed.is_empty() {
        return None;
    }
    let changed: Vec<String> = state
        .changed
        .iter()
        .map(|path| format!("`{path}`"))
        .collect();
    Some(Change::new(
        Action::Reload,
        object,
        format!(
            "have {} read {} again (`{unit}`)",
            service.title,
            changed.join(", ")
        ),
        Diff::new(
            unit.name.as_str(),
            "read: before it changed\n",
            "read: as it is\n",
        ),
        Impact::None,
        vec![step(Verb::Reload)],
    ))
}
