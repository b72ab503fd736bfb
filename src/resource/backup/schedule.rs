//! Backups that are taken by themselves: timers come with the schedule of an instance, and go with it
//! (docs/decisions/0019-scheduled-backups.md).

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::timer::{Program, State, Timer, executable};
use crate::backup::Kind;
use crate::backup::schedule::{Schedule, Scheduling, Timing, crontab};
use crate::host::{Look, Probe, Unit, Verb};
use crate::plan::{Action, Change, Content, Diff, Impact, Plan, Scope, Step};
use crate::resource::Site;
use crate::resource::site::systemd::Systemd;
use crate::settings::{self, InstancePaths, Settings};
use crate::stage::{Stage, World};
use crate::{bail_fault, fault};

/// Brings the timers of an instance about, or takes them away.
pub struct Timers {
    paths: InstancePaths,
    settings: Settings,
    /// What the site is seen by.
    environment: Vec<(String, String)>,
    scheduling: Scheduling,
}

/// The files of one timer.
struct Found {
    timer: Timer,
    file: Option<Vec<u8>>,
    service: Option<Vec<u8>>,
    /// An earlier run had begun to change it, and was interrupted.
    begun: bool,
}

pub struct Seen {
    systemd: Option<Systemd>,
    found: Vec<Found>,
    /// That will still be there when the timers elapse.
    executable: Option<Utf8PathBuf>,
    /// Times that systemd does not understand, with what it says of them.
    wrong: Vec<(String, String)>,
    /// The creation of the cluster can still be taken back.
    new: bool,
}

impl Timers {
    pub fn new(paths: &InstancePaths, site: &Site, scheduling: Scheduling) -> Self {
        let directory = site.config_dir.as_ref();
        let directory = directory.map(|path| ("PGSOCLE_CONFIG_DIR".to_owned(), path.to_string()));
        Self {
            paths: paths.clone(),
            settings: site.settings.clone(),
            environment: directory
                .into_iter()
                .chain(site.environment.clone())
                .collect(),
            scheduling,
        }
    }

    fn state(&self, found: &Found) -> State {
        let present = State::read(found.file.as_deref());
        match &self.scheduling {
            Scheduling::Unmanaged => present,
            Scheduling::Ended => State::Absent,
            Scheduling::As(schedule) => wanted(schedule, found.timer.kind, present),
        }
    }

    /// Where there is systemd, and it runs things at their times.
    fn systemd(&self) -> Option<&settings::Systemd> {
        self.settings.systemd.as_ref()
    }
}

/// What is said of the instance stays said; else the site's schedule counts.
fn wanted(schedule: &Schedule, kind: Kind, present: State) -> State {
    match (schedule.own.get(&kind), present) {
        (Some(Timing::At(calendar)), _) => State::Own(calendar.clone()),
        (Some(Timing::Never), _) => State::Never,
        (None, present @ (State::Own(_) | State::Never)) => present,
        (None, State::Absent | State::Site(_)) => match schedule.site.get(&kind) {
            Some(calendar) => State::Site(calendar.clone()),
            None => State::Absent,
        },
    }
}

/// Where the role `install`, and packages, put it.
const PLACES: [&str; 2] = ["/usr/local/bin/pgsocle", "/usr/bin/pgsocle"];

/// An executable that stays: the one that is named already, an installed one, or the present one unless it was delivered for
/// a task (docs/decisions/0014-checked-at-delivery.md), to a directory named after its checksum.
fn permanent(look: &dyn Look, known: Option<String>) -> Result<Option<Utf8PathBuf>> {
    let own = look.link(Utf8Path::new("/proc/self/exe"))?.filter(|own| {
        let directory = own.parent().and_then(Utf8Path::file_name).unwrap_or("");
        !(directory.len() == 64 && directory.chars().all(|c| c.is_ascii_hexdigit()))
    });
    let places = PLACES.iter().map(Utf8PathBuf::from);
    for path in known.map(Into::into).into_iter().chain(places).chain(own) {
        if look.stat(&path)?.is_some() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

impl Stage for Timers {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("schedule of backups of instance {}", self.paths)
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let mut seen = Seen {
            systemd: Systemd::scheduler(look, &self.settings)?,
            found: Vec::new(),
            executable: None,
            wrong: Vec::new(),
            new: world.cluster_made,
        };
        let Some(systemd) = self.systemd() else {
            return Ok(seen);
        };
        for kind in Kind::ALL {
            let timer = Timer {
                kind,
                paths: self.paths.clone(),
            };
            let read = |name: String| look.read(&systemd.unit_path.join(name));
            let found = Found {
                file: read(timer.name())?,
                service: read(timer.service_name())?,
                begun: world.begun.contains(&object(&timer)),
                timer,
            };
            let state = self.state(&found);
            if let Some(calendar) = state.calendar()
                && state != State::read(found.file.as_deref())
                // Where it is not installed, systemd itself says so when it reads the unit.
                && let Ok(said) = look.probe(&Probe::calendar(calendar))
                && !said.success()
            {
                let words = String::from_utf8_lossy(&said.stderr).trim().to_owned();
                seen.wrong.push((calendar.to_owned(), words));
            }
            seen.found.push(found);
        }
        let known = seen
            .found
            .iter()
            .find_map(|found| executable(found.service.as_deref()?));
        seen.executable = permanent(look, known)?;
        Ok(seen)
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let mut plan = Plan::default();
        let paths = &self.paths;
        let ended = self.scheduling == Scheduling::Ended;
        if seen.systemd.is_none() && !ended {
            plan.warnings.extend(self.by_cron(seen));
            return Ok(plan);
        }
        if let Some((calendar, words)) = seen.wrong.first() {
            bail_fault!(
                Input,
                "instance `{paths}`: `{calendar}` is no time that systemd understands: {words}";
                "`systemd-analyze calendar` tells what it makes of one"
            );
        }
        for found in &seen.found {
            let state = self.state(found);
            let Some(executable) = &seen.executable else {
                if state.calendar().is_some() {
                    self.homeless(&mut plan);
                    break;
                }
                plan.changes.extend(self.change(found, &state, None));
                continue;
            };
            let program = Program {
                executable,
                environment: &self.environment,
                site: &self.settings,
            };
            let change = self.change(found, &state, Some(&program));
            plan.changes.extend(change.map(|change| {
                if seen.new {
                    change.undo(Scope::Creation, self.retract(&found.timer))
                } else {
                    change
                }
            }));
        }
        if !plan.is_empty() {
            plan.missing
                .extend(seen.systemd.as_ref().and_then(Systemd::missing));
        }
        Ok(plan)
    }
}

fn object(timer: &Timer) -> String {
    format!("timer {}", timer.name())
}

impl Timers {
    /// What is to be said where nothing runs things at their times.
    fn by_cron(&self, seen: &Seen) -> Option<String> {
        let Scheduling::As(schedule) = &self.scheduling else {
            return None;
        };
        let said = schedule
            .own
            .values()
            .any(|timing| matches!(timing, Timing::At(_)));
        if !said && !schedule.site_says {
            return None;
        }
        let executable = seen.executable.as_ref();
        let (mut lines, mut unchecked) = (Vec::new(), "");
        for kind in Kind::ALL {
            let state = wanted(schedule, kind, State::Absent);
            let Some(calendar) = state.calendar() else {
                continue;
            };
            let timer = Timer {
                kind,
                paths: self.paths.clone(),
            };
            let when = crontab(calendar).unwrap_or_else(|| {
                unchecked = "; a time in brackets is for you to put into cron's words, and was not checked: only systemd knows \
                     whether it is one";
                format!("({calendar})")
            });
            let command = timer.command(executable.map_or("pgsocle", |path| path.as_str()));
            lines.push(format!("`{when} {}{command}`", self.for_a_shell()));
        }
        Some(format!(
            "backups of instance `{}` are not taken by themselves: the site settings have no `scheduler`; \
             for the crontab of user `{}`: {}{unchecked}",
            self.paths,
            self.settings.sysuser.user,
            lines.join(", ")
        ))
    }

    /// The variables before a command in a crontab, where `%` ends a line (crontab(5)).
    fn for_a_shell(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@+".contains(c);
        let assignment = |(name, value): &(String, String)| {
            if value.chars().all(plain) {
                return format!("{name}={value} ");
            }
            let quoted = value.replace('\'', r"'\''").replace('%', r"\%");
            format!("{name}='{quoted}' ")
        };
        self.environment.iter().map(assignment).collect()
    }

    /// There is no executable that a unit could name.
    fn homeless(&self, plan: &mut Plan) {
        let said = matches!(&self.scheduling, Scheduling::As(schedule)
            if schedule.site_says || !schedule.own.is_empty());
        let error = fault!(
            NotFound,
            "backups of instance `{}` cannot be scheduled: `pgsocle` is not installed on the host, and the present executable was \
             delivered for this task", self.paths;
            "role socle.postgresql.install puts it to `{}`", PLACES[0]
        );
        if said {
            plan.missing.push(error);
        } else {
            plan.warnings.push(format!(
                "{error}; role socle.postgresql.install puts it to `{}`",
                PLACES[0]
            ));
        }
    }

    fn unit(&self, name: String) -> Unit {
        let systemd = self.systemd();
        Unit {
            name,
            user: systemd.is_none_or(|systemd| systemd.user),
            sudo: systemd.is_some_and(|systemd| systemd.sudo),
        }
    }

    fn tell(&self, timer: &Timer, verb: Verb) -> Step {
        Step::Service {
            unit: self.unit(timer.name()),
            verb,
        }
    }

    /// Its files: timer and service.
    fn files(&self, timer: &Timer) -> Option<[Utf8PathBuf; 2]> {
        let directory = &self.systemd()?.unit_path;
        Some([timer.name(), timer.service_name()].map(|name| directory.join(name)))
    }

    fn root(&self) -> bool {
        self.systemd().is_some_and(|systemd| !systemd.user)
    }

    fn remove(&self, path: Utf8PathBuf) -> Step {
        Step::Remove { path }.as_root(self.root())
    }

    fn write(&self, path: &Utf8Path, content: &str) -> Step {
        Step::write(path, Content::Bytes(content.into()), 0o644).as_root(self.root())
    }

    fn retract(&self, timer: &Timer) -> Vec<Step> {
        let mut steps = vec![
            self.tell(timer, Verb::Disable),
            self.tell(timer, Verb::Stop),
        ];
        let files = self.files(timer).into_iter().flatten();
        steps.extend(files.map(|path| self.remove(path)));
        steps.push(self.tell(timer, Verb::DaemonReload));
        steps
    }

    fn change(&self, found: &Found, state: &State, program: Option<&Program>) -> Option<Change> {
        let timer = &found.timer;
        let [file, service_file] = self.files(timer)?;
        let content = timer.content(state);
        let service = match (state.calendar(), program) {
            (Some(_), Some(program)) => Some(timer.service(program)),
            _ => None,
        };
        let same = |found: &Option<Vec<u8>>, wanted: &Option<String>| {
            found.as_deref() == wanted.as_deref().map(str::as_bytes)
        };
        if same(&found.file, &content) && same(&found.service, &service) && !found.begun {
            return None;
        }
        let known = State::read(found.file.as_deref()).calendar().is_some();
        let mut steps = Vec::new();
        if let (Some(content), Some(service)) = (&content, &service) {
            steps.extend(
                file.parent()
                    .map(|path| Step::make_dir(path, 0o755).as_root(self.root())),
            );
            steps.push(self.write(&service_file, service));
            steps.push(self.write(&file, content));
            steps.push(self.tell(timer, Verb::DaemonReload));
            if known && !found.begun {
                steps.push(self.tell(timer, Verb::Restart));
            } else {
                steps.push(self.tell(timer, Verb::Enable));
                steps.push(self.tell(timer, Verb::Start));
            }
        } else {
            if known {
                steps.push(self.tell(timer, Verb::Disable));
                steps.push(self.tell(timer, Verb::Stop));
            }
            match &content {
                Some(nothing) => {
                    steps.extend(
                        file.parent()
                            .map(|path| Step::make_dir(path, 0o755).as_root(self.root())),
                    );
                    steps.push(self.write(&file, nothing));
                }
                None => steps.push(self.remove(file.clone())),
            }
            steps.push(self.remove(service_file));
            steps.push(self.tell(timer, Verb::DaemonReload));
        }
        let (kind, paths) = (timer.kind.name(), &self.paths);
        let summary = match state.calendar() {
            Some(calendar) => {
                format!("take backups of instance `{paths}` ({kind}) by themselves: {calendar}")
            }
            None => format!("take no backups of instance `{paths}` ({kind}) by themselves"),
        };
        let action = match (known, state.calendar()) {
            (true, Some(_)) => Action::Alter,
            (false, Some(_)) => Action::Create,
            (_, None) => Action::Drop,
        };
        let text = |content: &Option<Vec<u8>>| {
            let content = content.as_deref().unwrap_or_default();
            String::from_utf8_lossy(content).into_owned()
        };
        Some(Change::new(
            action,
            object(timer),
            summary,
            Diff::new(
                file.as_str(),
                text(&found.file) + &text(&found.service),
                content.unwrap_or_default() + &service.unwrap_or_default(),
            ),
            Impact::None,
            steps,
        ))
    }
}

#[cfg(test)]
mod tests;
