//! Verbs that are not `apply`: `create` refuses what exists, `alter` and `drop` refuse what does not.

use anyhow::Result;
use serde_json::Value;

use crate::bail_fault;
use crate::fault::{Fault, Kind as FaultKind};
use crate::host::{Look, Server};
use crate::nearest;
use crate::plan::Plan;
use crate::resource::instance::directory::{Directory, directory};
use crate::resource::instance::target::Target;
use crate::resource::{Job, Kind, Site, database, is_missing, role, tablespace};
use crate::stage::{Catalogs, Sight, Stage, World};

/// What must be true of an object before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing: it is made or changed.
    Either,
    New,
    Existing,
}

/// The run of a kind that lives in an instance, for an object that must (or must not) exist.
pub fn job(
    kind: &'static Kind,
    wanted: Wanted,
    value: Value,
    site: &Site,
    look: &dyn Look,
) -> Result<Job> {
    let name = value["name"].as_str().unwrap_or_default().to_owned();
    let mut job = (kind.job)(value, site, look)?;
    if wanted != Wanted::Either {
        let place = job.subject.name.rsplit(" of ").next().unwrap_or_default();
        let stage = Expectation {
            kind: kind.name,
            name,
            place: place.to_owned(),
            wanted,
        };
        // After the stage that finds the server, before the one that changes anything.
        job.stages.insert(2, Box::new(stage));
    }
    Ok(job)
}

struct Expectation {
    kind: &'static str,
    name: String,
    /// "instance 15/main"
    place: String,
    wanted: Wanted,
}

struct Seen {
    exists: bool,
    /// The others, where there is no such object.
    others: Vec<String>,
}

impl Stage for Expectation {
    type Seen = Seen;

    fn name(&self) -> String {
        self.place.clone()
    }

    fn sight(&self, world: &World) -> Sight {
        match world.catalogs {
            Catalogs::Readable(_) => Sight::Look,
            // Before the server is started for this run nothing is known; afterwards this stage looks again.
            _ => Sight::Skip,
        }
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        let Catalogs::Readable(server) = &world.catalogs else {
            return Ok(Seen {
                exists: false,
                others: Vec::new(),
            });
        };
        let exists = view(self.kind, look, server, &self.name)?.is_some();
        Ok(Seen {
            exists,
            others: if exists {
                Vec::new()
            } else {
                names(&views(self.kind, look, server)?)
            },
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let (kind, name) = (self.kind, &self.name);
        match (self.wanted, seen.exists) {
            (Wanted::New, true) => bail_fault!(
                Conflict,
                "{kind} `{name}` exists already";
                "change it with `pgsocle {kind} alter {name}`"
            ),
            (Wanted::Existing, false) => Err(missing(kind, name, &seen.others)),
            _ => Ok(Plan::default()),
        }
    }
}

/// The public view of an object in an instance; none when there is no such object.
pub fn view(kind: &str, look: &dyn Look, server: &Server, name: &str) -> Result<Option<Value>> {
    match kind {
        "role" => return Ok(role::list(look, server, Some(name))?.pop()),
        "tablespace" => return Ok(tablespace::list(look, server, Some(name))?.pop()),
        _ => {}
    }
    match database::facts::get(look, server, name) {
        Ok(view) => Ok(Some(view)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The views of all objects of a kind in an instance, as lists show them.
pub fn views(kind: &str, look: &dyn Look, server: &Server) -> Result<Vec<Value>> {
    match kind {
        "role" => role::list(look, server, None),
        "tablespace" => tablespace::list(look, server, None),
        _ => database::facts::list(look, server, &[], &[]),
    }
}

/// The names of objects.
pub fn names(views: &[Value]) -> Vec<String> {
    views
        .iter()
        .filter_map(|view| view["name"].as_str().map(str::to_owned))
        .collect()
}

/// There is no such object, but perhaps one of a similar name.
pub fn missing(kind: &str, name: &str, others: &[String]) -> anyhow::Error {
    let mut fault = Fault::new(
        FaultKind::NotFound,
        format!("{kind} `{name}` does not exist"),
    );
    if let Some(near) = nearest::nearest(name, others.iter().map(String::as_str)) {
        fault = fault.hint(format!("did you mean `{near}`?"));
    }
    fault.into()
}

/// Refuses an instance that exists.
pub struct NewInstance {
    pub target: Target,
}

impl Stage for NewInstance {
    type Seen = Directory;

    fn name(&self) -> String {
        "create".to_owned()
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Directory> {
        directory(look, &self.target.paths.datadir)
    }

    fn plan(&self, seen: &Directory) -> Result<Plan> {
        if let Directory::Cluster(_) = seen {
            bail_fault!(
                Conflict,
                "instance `{}` exists already", self.target.paths;
                "change it with `pgsocle instance apply`, or choose another name"
            );
        }
        Ok(Plan::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(wanted: Wanted, exists: bool) -> Option<(String, Option<String>)> {
        let stage = Expectation {
            kind: "role",
            name: "bbo".into(),
            place: "instance 15/main".into(),
            wanted,
        };
        let seen = Seen {
            exists,
            others: vec!["alice".into(), "bob".into()],
        };
        let error = stage.plan(&seen).err()?;
        let fault = Fault::of(&error)?;
        Some((fault.msg.clone(), fault.hint.clone()))
    }

    #[test]
    fn what_each_verb_refuses() {
        for (wanted, exists, refusal) in [
            (Wanted::New, false, None),
            (
                Wanted::New,
                true,
                Some((
                    "role `bbo` exists already",
                    "change it with `pgsocle role alter bbo`",
                )),
            ),
            (Wanted::Existing, true, None),
            (
                Wanted::Existing,
                false,
                Some(("role `bbo` does not exist", "did you mean `bob`?")),
            ),
            (Wanted::Either, true, None),
            (Wanted::Either, false, None),
        ] {
            let refusal = refusal.map(|(msg, hint)| (msg.to_owned(), Some(hint.to_owned())));
            assert_eq!(said(wanted, exists), refusal, "{wanted:?} {exists}");
        }
    }
}
