//! The condition of an instance's directories, looked at before a run plans anything: what keeps a server from starting, or
//! us from working, is named with its remedy, and nothing is begun.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::fault;
use crate::host::{FileKind, Look, Probe, Stat};
use crate::journal;
use crate::manager::Manager;
use crate::pg::selinux;
use crate::plan::{Action, Change, Diff, Fact, Impact, Plan, Step, attributes};
use crate::resource::instance::directory::{Directory, directory};
use crate::resource::instance::mounts;
use crate::resource::instance::record::Record;
use crate::resource::instance::target::Target;
use crate::settings::Caller;
use crate::stage::{Stage, World};

/// What a run is about to do to the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Make it, change it, start it, or change what is in it.
    Use,
    /// Nothing but to stop it.
    Stop,
    Remove,
}

/// The first stage of every run on an instance.
pub struct Condition {
    pub target: Target,
    pub aim: Aim,
    /// The system identifier that the user says the cluster has.
    pub identifier: Option<u64>,
}

/// What was seen. Everything is a plain fact; [`findings`] says what it means.
#[derive(Debug, Clone)]
pub struct Seen {
    data: Option<Stat>,
    datadir: Directory,
    /// Who runs the servers, and thus must own the data.
    owner: Caller,
    /// Files that a server reads, as far as they exist.
    files: Vec<(Utf8PathBuf, Stat)>,
    /// A directory of the instance, and the mount point, mounted for reading only, that it lies below.
    read_only: Option<(Utf8PathBuf, Utf8PathBuf)>,
    /// The process of the server, if it runs; and the unit that it does not belong to, though it should.
    running: Option<i32>,
    outside_of: Option<String>,
    identifier: Option<u64>,
    /// What the identifier was, and since when that is known.
    known: Option<(u64, String)>,
    record: Record,
    /// The type of the data directory's SELinux context, where SELinux is enforced on the server that a unit would start.
    selinux: Option<String>,
}

/// A sentence about the condition, and whether it stands in the way.
enum Finding {
    Refuses(anyhow::Error),
    Warns(String),
}

impl Stage for Condition {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("instance {}", self.target.paths)
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let paths = &self.target.paths;
        let running = self.target.running(look)?;
        let mut files = Vec::new();
        for path in [
            &paths.config_file,
            &paths.hba_file,
            &paths.ident_file,
            &paths.datadir.join("postgresql.auto.conf"),
        ] {
            if let Some(stat) = look.stat(path)?.filter(|stat| stat.kind == FileKind::File) {
                files.push((path.clone(), stat));
            }
        }
        let record = Record::read(look, paths)?;
        let datadir = directory(look, &paths.datadir)?;
        let exists = matches!(datadir, Directory::Cluster(_));
        let known = match record.system_identifier {
            Some(identifier) => Some((identifier, "its record".to_owned())),
            None => look
                .read(&paths.history)?
                .filter(|_| exists)
                .and_then(|journal| remembered(&journal, &paths.to_string())),
        };
        let outside_of = match (&running, &self.target.manager) {
            (Some(running), Manager::Systemd { unit, .. }) if !running.temporary => look
                .read(format!("/proc/{}/cgroup", running.pid).as_str().into())
                .unwrap_or_default()
                .filter(|groups| !unit.holds(groups))
                .map(|_| unit.name.clone()),
            _ => None,
        };
        Ok(Seen {
            data: look.stat(&paths.datadir)?,
            datadir,
            owner: look.caller().clone(),
            files,
            read_only: read_only(look, &self.target)?,
            running: running.map(|running| running.pid),
            outside_of,
            identifier: look.system_identifier(&paths.datadir)?,
            known,
            record,
            selinux: if exists { self.confined(look)? } else { None },
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let mut plan = Plan::default();
        for finding in self.findings(seen) {
            match finding {
                Finding::Refuses(error) => return Err(error),
                Finding::Warns(sentence) => plan.warnings.push(sentence),
            }
        }
        if let Some(identifier) = seen.identifier {
            plan.facts.push(Fact::Cluster(identifier));
        }
        if self.aim == Aim::Use
            && let Some(Finding::Warns(sentence)) = self.wrong_mode(seen)
        {
            plan.facts.push(Fact::NoStart(vec![sentence]));
        }
        plan.changes.extend(self.acceptance(seen));
        Ok(plan)
    }
}

impl Condition {
    /// The type of the data directory, where SELinux confines the server that a unit starts. One that a user's manager or we
    /// start is not, nor is one whose executable has another type.
    fn confined(&self, look: &dyn Look) -> Result<Option<String>> {
        let (Manager::Systemd { unit, .. } | Manager::Foreign { unit, .. }) = &self.target.manager
        else {
            return Ok(None);
        };
        if unit.user || !look.enforces_selinux() {
            return Ok(None);
        }
        let executable = context(look, &self.target.bindir.join("postgres"))?;
        if !executable.as_deref().is_some_and(selinux::confines) {
            return Ok(None);
        }
        context(look, &self.target.paths.datadir)
    }

    /// What stands in the way comes in the order in which it would be mended.
    fn findings(&self, seen: &Seen) -> Vec<Finding> {
        let mut found = Vec::new();
        found.extend(self.wrong_owner(seen));
        found.extend(self.read_only(seen));
        found.extend(self.other_cluster(seen));
        if self.aim == Aim::Use {
            found.extend(self.wrong_mode(seen));
            found.extend(Self::unreadable_files(seen));
            found.extend(self.selinux(seen));
            found.extend(self.started_by_hand(seen));
        }
        found
    }

    fn wrong_owner(&self, seen: &Seen) -> Option<Finding> {
        let data = seen.data.as_ref()?;
        // The place where a file system is to be mounted, or a directory that a creation replaces.
        if seen.datadir == Directory::Empty
            && !self.target.mountpoints.contains(&self.target.paths.datadir)
        {
            return None;
        }
        (data.kind == FileKind::Directory && data.uid != seen.owner.uid).then(|| {
            Finding::Refuses(belongs_to_another(
                &self.target.paths.datadir,
                data,
                &seen.owner,
            ))
        })
    }

    /// The server's own rule (`checkDataDir` in miscinit.c).
    fn wrong_mode(&self, seen: &Seen) -> Option<Finding> {
        let data = seen.data.as_ref()?;
        let path = &self.target.paths.datadir;
        if data.kind != FileKind::Directory || data.mode & 0o027 == 0 || !seen.exists() {
            return None;
        }
        let what = format!(
            "data directory `{path}` has mode {:04o}: a server starts only with 0700 or 0750",
            data.mode
        );
        let remedy = format!("`chmod 0700 {path}` makes it so");
        Some(match seen.running {
            Some(_) => Finding::Warns(format!(
                "{what}, and the one that runs will not start again; {remedy}"
            )),
            None => Finding::Refuses(fault!(Denied, "{what}"; "{remedy}; nothing was changed")),
        })
    }

    fn unreadable_files(seen: &Seen) -> Option<Finding> {
        let (path, stat) = seen
            .files
            .iter()
            .find(|(_, stat)| !may_read(stat, &seen.owner))?;
        let Caller { user, group, .. } = &seen.owner;
        Some(Finding::Refuses(fault!(
            Denied,
            "`{path}` cannot be read by `{user}`, who runs the servers: it belongs to user {} and group {}, with mode {:04o}", stat.uid, stat.gid, stat.mode;
            "`chown {user}:{group} {path}` gives it back; nothing was changed"
        )))
    }

    fn read_only(&self, seen: &Seen) -> Option<Finding> {
        let (path, point) = seen.read_only.as_ref()?;
        (self.aim != Aim::Stop).then(|| {
            Finding::Refuses(fault!(
                Unavailable,
                "`{path}` lies on a file system that is mounted read-only at `{point}`";
                "see why (`dmesg`, /etc/fstab), and mount it for writing: `mount -o remount,rw {point}`; nothing was changed"
            ))
        })
    }

    fn other_cluster(&self, seen: &Seen) -> Option<Finding> {
        let paths = &self.target.paths;
        if let Directory::Cluster(major) = &seen.datadir
            && *major != paths.version.to_string()
            && self.aim != Aim::Remove
        {
            return Some(Finding::Refuses(fault!(
                Conflict,
                "data directory `{}` belongs to PostgreSQL {major}, not {}", paths.datadir, paths.version;
                "give the version that it has, or another name"
            )));
        }
        let own = seen.identifier?;
        if let Some(said) = self.identifier {
            return (said != own).then(|| {
                Finding::Refuses(fault!(
                    Conflict,
                    "the cluster of instance `{paths}` has the system identifier {own}, not {said}";
                    "mount or restore the one that is meant, or correct `system_identifier`; nothing was changed"
                ))
            });
        }
        let (known, since) = seen.known.as_ref()?;
        (*known != own && self.aim != Aim::Stop).then(|| {
            Finding::Refuses(fault!(
                Conflict,
                "data directory `{}` holds another cluster (system identifier {own}) than the one that instance `{paths}` had ({known}, says {since})", paths.datadir;
                "mount or restore the right one; if this one is meant to be there, say so once: `system_identifier: \"{own}\"` for the instance; nothing was changed"
            ))
        })
    }

    fn selinux(&self, seen: &Seen) -> Option<Finding> {
        let context = seen.selinux.as_deref()?;
        let path = &self.target.paths.datadir;
        (seen.running.is_none() && !selinux::admits(context)).then(|| {
            Finding::Warns(format!(
                "SELinux is enforced, and data directory `{path}` has the type `{context}`, which a server of a system unit may not \
                 read; {}", selinux::relabel(path)
            ))
        })
    }

    fn started_by_hand(&self, seen: &Seen) -> Option<Finding> {
        let (pid, unit) = (seen.running?, seen.outside_of.as_ref()?);
        let paths = &self.target.paths;
        Some(Finding::Warns(format!(
            "the server of instance `{paths}` (process {pid}) was not started by its unit `{unit}`, which neither watches nor stops \
             it: `pgsocle instance restart {paths}` puts that right"
        )))
    }

    /// Another cluster than before that is meant to be there.
    fn acceptance(&self, seen: &Seen) -> Option<Change> {
        let paths = &self.target.paths;
        let (said, known) = (
            self.identifier?,
            seen.known.as_ref().map(|(known, _)| *known),
        );
        if seen.identifier != Some(said) || known.is_none_or(|known| known == said) {
            return None;
        }
        let mut record = seen.record.clone();
        record.system_identifier = Some(said);
        let line = |identifier: Option<u64>| {
            let identifier = identifier.map(|identifier| identifier.to_string());
            attributes(&[("system_identifier", identifier)])
        };
        let object = format!("instance {paths}");
        Some(Change::new(
            Action::Alter,
            &object,
            format!("accept the cluster with system identifier {said} as instance `{paths}`"),
            Diff::new(&object, line(known), line(Some(said))),
            Impact::None,
            vec![
                Step::make_dir(&paths.state_directory, 0o750),
                record.step(&paths.record),
            ],
        ))
    }
}

impl Seen {
    fn exists(&self) -> bool {
        matches!(self.datadir, Directory::Cluster(_))
    }
}

/// The system identifier that a journal last told of, and when; none since a creation or a removal, an adoption or its end.
fn remembered(journal: &[u8], instance: &str) -> Option<(u64, String)> {
    let (itself, adoption) = (
        format!("instance {instance}"),
        format!("adoption {instance}"),
    );
    for line in journal::text(journal).lines().rev() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if let Some(identifier) = line["system_identifier"].as_str() {
            let time = line["time"].as_str().unwrap_or_default();
            return Some((identifier.parse().ok()?, format!("its journal at {time}")));
        }
        let another = line["plan"].as_array().is_some_and(|plan| {
            plan.iter().any(|change| {
                change["object"] == adoption
                    || change["object"] == itself
                        && [json!("create"), json!("drop")].contains(&change["action"])
            })
        });
        if another {
            return None;
        }
    }
    None
}

/// The first directory of an instance on a file system that cannot be written.
fn read_only(look: &dyn Look, target: &Target) -> Result<Option<(Utf8PathBuf, Utf8PathBuf)>> {
    let mounts = look.read("/proc/self/mounts".into())?.unwrap_or_default();
    let mounts = String::from_utf8_lossy(&mounts);
    let paths = &target.paths;
    let directories = [
        Some(&paths.datadir),
        Some(&paths.waldir),
        paths.logdir.as_ref(),
        Some(&paths.state_directory),
        Some(&paths.socket_directory),
    ];
    for path in directories.into_iter().flatten() {
        if mounts::read_only(&mounts, path).is_some() {
            // The path may lead elsewhere.
            let real = real(look, path)?;
            if let Some(point) = mounts::read_only(&mounts, &real) {
                return Ok(Some((path.clone(), point)));
            }
        }
    }
    Ok(None)
}

/// A path with its links followed, as far as it exists.
fn real(look: &dyn Look, path: &Utf8Path) -> Result<Utf8PathBuf> {
    let mut real = Utf8PathBuf::from("/");
    for component in path.components().skip(1) {
        let next = real.join(component);
        real = match look.link(&next)? {
            Some(target) => real.join(target),
            None => next,
        };
    }
    Ok(real)
}

/// The type in the SELinux context of a path.
fn context(look: &dyn Look, path: &Utf8Path) -> Result<Option<String>> {
    let output = look.probe(&Probe::selinux_context(path))?;
    Ok(selinux::type_of(&output.text())
        .filter(|_| output.success())
        .map(str::to_owned))
}

fn belongs_to_another(path: &Utf8Path, stat: &Stat, owner: &Caller) -> anyhow::Error {
    let Caller { user, group, .. } = owner;
    fault!(
        Denied,
        "data directory `{path}` belongs to user {}, not to `{user}`, who runs the servers", stat.uid;
        "if it is an instance's, `chown -R {user}:{group} {path}` gives it back; else correct `sysuser` in the site settings; nothing was changed"
    )
}

/// Whether the mode bits let somebody read.
fn may_read(stat: &Stat, reader: &Caller) -> bool {
    let bit = if stat.uid == reader.uid {
        0o400
    } else if stat.gid == reader.gid {
        0o040
    } else {
        0o004
    };
    stat.mode & bit != 0
}

/// Why a data directory cannot be looked into: what its owner, its mode or SELinux say; else the error as it came.
pub fn unreadable(look: &dyn Look, path: &Utf8Path, error: anyhow::Error) -> anyhow::Error {
    let Ok(Some(stat)) = look.stat(path) else {
        return error;
    };
    why_unreadable(path, &stat, look.caller(), look.enforces_selinux()).unwrap_or(error)
}

fn why_unreadable(
    path: &Utf8Path,
    stat: &Stat,
    reader: &Caller,
    enforcing: bool,
) -> Option<anyhow::Error> {
    if stat.kind != FileKind::Directory {
        return None;
    }
    if stat.uid != reader.uid {
        return Some(belongs_to_another(path, stat, reader));
    }
    if stat.mode & 0o700 != 0o700 {
        return Some(fault!(
            Denied,
            "data directory `{path}` has mode {:04o}: its owner cannot use it", stat.mode;
            "`chmod 0700 {path}` makes it usable; nothing was changed"
        ));
    }
    enforcing.then(|| {
        fault!(
            Denied,
            "data directory `{path}` cannot be read, though owner and mode allow it: SELinux is enforced on this host";
            "`ausearch -m AVC -ts recent` shows what was denied; {}", selinux::relabel(path)
        )
    })
}

#[cfg(test)]
mod tests;
