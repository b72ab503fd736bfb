//! Makes what is missing, overwrites what differs, and takes away what nobody needs any more.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::Problem;
use super::systemd::Systemd;
use crate::bail_fault;
use crate::component::item::{Item, Purpose, What};
use crate::component::{self, Objection};
use crate::fault::Fault;
use crate::host::{FileKind, Look, Verb};
use crate::plan::{Action, Change, Content, Diff, Impact, Plan, RunAs, Step};
use crate::resource::Site;
use crate::resource::instance::lookup::{self, Identity};
use crate::secret::{MASK, Text};
use crate::settings::Settings;
use crate::stage::{Stage, World};

/// Brings items about.
pub struct Files {
    pub items: Vec<Item>,
    /// Files that differ are overwritten, not only told of.
    pub overwrite: bool,
    /// The lock lies in what this makes.
    pub first: bool,
    /// The public view of the site, where that is asked for.
    pub view: Option<Value>,
    pub settings: Settings,
}

impl Files {
    pub fn new(items: Vec<Item>, site: &Site) -> Self {
        Self {
            items,
            overwrite: false,
            first: false,
            view: None,
            settings: site.settings.clone(),
        }
    }

    /// What must be there before anything else is.
    pub fn bases(items: Vec<Item>, site: &Site) -> Self {
        Self {
            first: true,
            ..Self::new(items, site)
        }
    }
}

/// What is wrong with an item.
pub fn problem(look: &dyn Look, item: &Item) -> Result<Option<Problem>> {
    let content = item.what.content(look)?;
    Ok(State::of(look, item)?.problem(&item.what, content.as_ref()))
}

/// What is at the path of an item; links are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Missing,
    Directory,
    File(Vec<u8>),
    Other,
}

impl State {
    fn of(look: &dyn Look, item: &Item) -> Result<Self> {
        let Some(stat) = look.stat(&item.path)? else {
            return Ok(Self::Missing);
        };
        if stat.kind == FileKind::Directory || look.stat(&item.path.join("."))?.is_some() {
            return Ok(Self::Directory);
        }
        Ok(match (&item.what, look.read(&item.path)?) {
            (What::Directory { .. }, _) => Self::Other,
            (_, Some(content)) => Self::File(content),
            // A link to nothing is replaced by what it should lead to.
            (_, None) => Self::Missing,
        })
    }

    /// The content is what a file is to hold, where that is known.
    fn problem(&self, what: &What, content: Option<&Text>) -> Option<Problem> {
        match (self, what) {
            (Self::Missing, _) => Some(Problem::Missing),
            (Self::Directory, What::Directory { .. }) => None,
            (Self::File(found), What::File { .. } | What::Private { .. }) => content
                .is_some_and(|content| !content.is(found))
                .then_some(Problem::Differs),
            _ => Some(Problem::WrongKind),
        }
    }
}

pub struct Seen {
    states: Vec<State>,
    /// An earlier run had begun to write it, and was interrupted: nobody may have been told.
    begun: Vec<bool>,
    /// What each is to hold, or why that cannot be said.
    contents: Vec<Result<Option<Text>, Fault>>,
    /// Directories of files that are not there yet.
    parents: Vec<Utf8PathBuf>,
    /// What speaks against overwriting files, where that is done.
    objections: Vec<Objection>,
    systemd: Option<Systemd>,
}

impl Stage for Files {
    type Seen = Seen;

    fn name(&self) -> String {
        "site".to_owned()
    }

    fn before_lock(&self) -> bool {
        self.first
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let mut parents = Vec::new();
        for item in &self.items {
            if let Some(parent) = item.path.parent()
                && !matches!(item.what, What::Directory { .. })
                && look.stat(parent)?.is_none()
            {
                parents.push(parent.to_owned());
            }
        }
        let mut objections = Vec::new();
        for component in component::REGISTRY.iter().filter(|_| self.overwrite) {
            objections.extend(component.objections(look, &self.settings)?);
        }
        Ok(Seen {
            objections,
            states: self
                .items
                .iter()
                .map(|item| State::of(look, item))
                .collect::<Result<_>>()?,
            begun: self
                .items
                .iter()
                .map(|item| world.begun.contains(&object(&item.path)))
                .collect(),
            contents: self
                .items
                .iter()
                .map(|item| item.what.content(look))
                .collect(),
            parents,
            systemd: Systemd::observe(look, &self.settings)?,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let mut plan = Plan::default();
        for objection in &seen.objections {
            match objection {
                Objection::Refused(fault) => plan.missing.push(fault.clone().into()),
                Objection::Doubtful(words) => plan.warnings.push(words.clone()),
            }
        }
        let items = self.items.iter().zip(&seen.states).zip(&seen.begun);
        for (((item, state), begun), content) in items.zip(&seen.contents) {
            let content = match content {
                Ok(content) => content.as_ref(),
                // What is there already may stay without it.
                Err(_) if !self.overwrite && *state != State::Missing => continue,
                Err(fault) => {
                    plan.missing.push(fault.clone().into());
                    continue;
                }
            };
            match state.problem(&item.what, content) {
                None if *begun => plan.changes.extend(self.taken_over(item)),
                None => {}
                Some(Problem::Differs) if !self.overwrite => plan.warnings.push(format!(
                    "`{}` differs from what the site settings give and is left as it is; \
                     `pgsocle site-configure install --force` or the module `site` overwrites it",
                    item.path
                )),
                Some(Problem::WrongKind) => bail_fault!(
                    Conflict,
                    "`{}` is in the way: it is not a {}", item.path, match item.what {
                        What::Directory { .. } => "directory",
                        What::File { .. } | What::Private { .. } => "file",
                    };
                    "move it away, or choose another place in the site settings; nothing was changed"
                ),
                Some(_) => {
                    plan.changes.push(self.change(item, content, state, seen));
                    if item.purpose == Purpose::Unit && plan.missing.is_empty() {
                        plan.missing
                            .extend(seen.systemd.as_ref().and_then(Systemd::missing));
                    }
                }
            }
        }
        plan.view = self.view.clone().map(|view| ("site", view));
        Ok(plan)
    }
}

impl Files {
    /// Makes a directory, or writes a file with this content.
    fn change(&self, item: &Item, content: Option<&Text>, state: &State, seen: &Seen) -> Change {
        let path = &item.path;
        let mode = item.what.mode();
        let Some(content) = content else {
            let kind = if item.purpose == Purpose::Base {
                "base directory"
            } else {
                "directory"
            };
            return Change::new(
                Action::Create,
                format!("directory {path}"),
                format!("make {kind} `{path}`"),
                Diff::new(path.as_str(), "", self.owned(mode)),
                Impact::None,
                vec![Step::MakeDir {
                    path: path.clone(),
                    mode,
                    run_as: if item.root {
                        RunAs::Root
                    } else {
                        RunAs::Sysuser
                    },
                }],
            );
        };
        let mut steps = Vec::new();
        if let Some(parent) = path.parent().filter(|parent| is_in(&seen.parents, parent)) {
            steps.push(Step::make_dir(parent, 0o755).as_root(item.root));
        }
        let bytes = if content.has_secret() {
            Content::Text(content.clone())
        } else {
            Content::Bytes(content.to_string().into_bytes())
        };
        steps.push(Step::write(path, bytes, mode).as_root(item.root));
        steps.extend(self.follow(item));
        let (action, verb, before) = match state {
            State::File(found) => (Action::Alter, "change", shown(&item.what, found)),
            _ => (Action::Create, "write", String::new()),
        };
        Change::new(
            action,
            object(path),
            format!("{verb} `{path}`"),
            Diff::new(path.as_str(), before, content.to_string()),
            Impact::None,
            steps,
        )
    }

    /// A file that is right already, and that its reader may not know yet.
    fn taken_over(&self, item: &Item) -> Option<Change> {
        let path = &item.path;
        Some(Change::new(
            Action::Alter,
            object(path),
            format!("bring `{path}` into effect"),
            Diff::new(path.as_str(), "", ""),
            Impact::None,
            vec![self.follow(item)?],
        ))
    }

    fn owned(&self, mode: u32) -> String {
        format!("owner: {}\nmode: {mode:04o}\n", self.settings.sysuser.user)
    }

    /// What makes systemd take a file over.
    fn follow(&self, item: &Item) -> Option<Step> {
        match item.purpose {
            Purpose::Rules => {
                let systemd = self.settings.systemd.as_ref()?;
                Some(Step::Tmpfiles {
                    file: item.path.clone(),
                    user: systemd.user,
                    sudo: systemd.sudo,
                })
            }
            Purpose::Unit => tell(&self.settings, item.path.file_name()?, Verb::DaemonReload),
            Purpose::Service(unit) if self.settings.service_manager.is_some() => {
                tell(&self.settings, unit, Verb::TryReload)
            }
            _ => None,
        }
    }
}

fn object(path: &Utf8Path) -> String {
    format!("site {path}")
}

fn is_in(paths: &[Utf8PathBuf], path: &Utf8Path) -> bool {
    paths.iter().any(|other| other == path)
}

/// Tells systemd something about a unit of the site.
fn tell(settings: &Settings, unit: &str, verb: Verb) -> Option<Step> {
    let unit = super::services::unit(settings, unit)?;
    Some(Step::Service { unit, verb })
}

/// A file as it is, without the secrets that it may hold.
pub fn shown(what: &What, found: &[u8]) -> String {
    let text = String::from_utf8_lossy(found);
    match what {
        What::Private { .. } => text
            .lines()
            .map(|line| match line.split_once('=') {
                Some((option, _)) => format!("{option}={MASK} (as it was)\n"),
                None => format!("{line}\n"),
            })
            .collect(),
        _ => text.into_owned(),
    }
}

/// What users are told of the site.
pub fn view(settings: &Settings, items: &[Item], state: &str) -> Value {
    let paths = |directory: bool| -> Vec<&Utf8PathBuf> {
        items
            .iter()
            .filter(|item| matches!(item.what, What::Directory { .. }) == directory)
            .map(|item| &item.path)
            .collect()
    };
    json!({
        "state": state,
        "prefix": settings.prefix,
        "run_prefix": settings.run_prefix,
        "directories": paths(true),
        "files": paths(false),
    })
}

/// Takes the items away again: files, and directories with nothing in them.
pub struct Removal {
    items: Vec<Item>,
    settings: Settings,
}

impl Removal {
    pub fn new(items: Vec<Item>, site: &Site) -> Self {
        Self {
            items,
            settings: site.settings.clone(),
        }
    }
}

pub struct Remains {
    instances: Vec<Identity>,
    /// In the order in which they go.
    files: Vec<(Item, Vec<u8>)>,
    directories: Vec<(Utf8PathBuf, bool)>,
    kept: Vec<(Utf8PathBuf, usize)>,
    systemd: Option<Systemd>,
}

impl Stage for Removal {
    type Seen = Remains;

    fn name(&self) -> String {
        "site".to_owned()
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Remains> {
        let mut remains = Remains {
            instances: lookup::list(look, &self.settings)?,
            files: Vec::new(),
            directories: Vec::new(),
            kept: Vec::new(),
            systemd: Systemd::observe(look, &self.settings)?,
        };
        let mut directories = vec![(self.settings.postgresql.socket_directory.clone(), false)];
        for item in self.items.iter().rev() {
            match (&item.what, item.purpose) {
                (What::File { .. } | What::Private { .. }, _) => {
                    if let Some(content) = look.read(&item.path)? {
                        remains.files.push((item.clone(), content));
                    }
                }
                // The journal of this very run stays in `prefix`; a home is nobody's to remove.
                (_, Purpose::Passwords | Purpose::Backups) => {}
                (_, Purpose::Base) if item.path == self.settings.prefix => {}
                // What lies directly below the other base is all that an ordinary user has made there.
                (_, Purpose::Base) if !look.caller().root => {}
                _ => directories.push((item.path.clone(), item.root)),
            }
        }
        for (path, root) in directories {
            let Some(names) = look.list(&path)? else {
                continue;
            };
            let left = names
                .iter()
                .filter(|name| {
                    let inside = path.join(name);
                    !remains.directories.iter().any(|(gone, _)| *gone == inside)
                        && !remains.files.iter().any(|(gone, _)| gone.path == inside)
                })
                .count();
            if left == 0 {
                remains.directories.push((path, root));
            } else {
                remains.kept.push((path, left));
            }
        }
        Ok(remains)
    }

    fn plan(&self, seen: &Remains) -> Result<Plan> {
        if !seen.instances.is_empty() {
            let names: Vec<String> = seen.instances.iter().map(lookup::shown).collect();
            bail_fault!(
                Conflict,
                "the site cannot be removed while instances exist: {}", names.join(", ");
                "drop them first; nothing was changed"
            );
        }
        let mut plan = Plan::default();
        for (item, content) in &seen.files {
            let path = &item.path;
            let mut steps = Vec::new();
            let unit = path
                .file_name()
                .filter(|_| item.purpose == Purpose::Unit)
                .unwrap_or_default();
            let tell = |verb| tell(&self.settings, unit, verb).filter(|_| !unit.is_empty());
            if !unit.contains('@') {
                steps.extend([Verb::Stop, Verb::Disable].into_iter().filter_map(tell));
            }
            steps.push(Step::Remove { path: path.clone() }.as_root(item.root));
            steps.extend(tell(Verb::DaemonReload));
            if !unit.is_empty() && plan.missing.is_empty() {
                plan.missing
                    .extend(seen.systemd.as_ref().and_then(Systemd::missing));
            }
            plan.changes.push(Change::new(
                Action::Drop,
                object(path),
                format!("remove `{path}`"),
                Diff::new(path.as_str(), shown(&item.what, content), ""),
                Impact::None,
                steps,
            ));
        }
        for (path, root) in &seen.directories {
            plan.changes.push(Change::new(
                Action::Drop,
                format!("directory {path}"),
                format!("remove the empty directory `{path}`"),
                Diff::new(path.as_str(), "state: present\n", "state: absent\n"),
                Impact::None,
                vec![Step::RemoveEmptyDir { path: path.clone() }.as_root(*root)],
            ));
        }
        plan.warnings.extend(
            seen.kept.iter().map(|(path, left)| {
                format!("directory `{path}` is kept: {left} entries are in it")
            }),
        );
        plan.view = Some(("site", view(&self.settings, &[], "absent")));
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::site::{items, tests::complete};

    /// Whoever reads a file is told of it, though it is right already; of what nobody reads there is nothing to tell.
    #[test]
    fn what_an_interrupted_run_has_written() {
        let settings = "prefix: /p\nrun_prefix: /r\nsystemd: {}\n";
        let machine = complete(settings);
        let site = machine.site(settings);
        let files = Files::new(items(&machine, &site).unwrap(), &site);
        let mut world = World::default();
        let plan = |world: &World| {
            files
                .plan(&files.observe(&machine, world).unwrap())
                .unwrap()
        };
        assert_eq!(plan(&world).to_string(), "");
        let paths = files.items.iter().map(|item| object(&item.path));
        world.begun.extend(paths);
        insta::assert_snapshot!(plan(&world), @r"
        bring `/var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-postgresql.conf` into effect [none]
          make the directories of /var/lib/postgresql/.config/user-tmpfiles.d/pgsocle-postgresql.conf
        bring `/var/lib/postgresql/.local/share/systemd/user/pgsocle-postgresql@.service` into effect [none]
          daemon-reload pgsocle-postgresql@.service
        ");
    }
}
