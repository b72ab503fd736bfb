//! The protection of an instance against deletion: a property that is kept on the host.

use anyhow::Result;
use serde_json::{Map, json};

use crate::host::Look;
use crate::plan::{Action, Change, Diff, Fact, Impact, Plan, Scope, Step, attributes};
use crate::resource::instance::record::Record;
use crate::resource::instance::target::Target;
use crate::stage::{Sight, Stage, World};

/// What is said of the protection of an instance; none: it stays as it is.
pub struct Protection {
    pub target: Target,
    pub wanted: Option<bool>,
}

pub struct Seen {
    record: Record,
    new: bool,
}

impl Stage for Protection {
    type Seen = Seen;

    fn name(&self) -> String {
        format!("protection of instance {}", self.target.paths)
    }

    fn sight(&self, _: &World) -> Sight {
        match self.wanted {
            Some(_) => Sight::Look,
            None => Sight::Skip,
        }
    }

    fn observe(&self, look: &dyn Look, world: &World) -> Result<Seen> {
        Ok(Seen {
            record: Record::read(look, &self.target.paths)?,
            new: world.cluster_made,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let paths = &self.target.paths;
        let mut plan = Plan::default();
        let Some(wanted) = self
            .wanted
            .filter(|wanted| seen.record.deletion_protection != Some(*wanted))
        else {
            return Ok(plan);
        };
        let by_default = self.target.protected_by_default;
        let mut record = seen.record.clone();
        record.deletion_protection = Some(wanted);
        let line = |record: &Record| {
            let own = record.deletion_protection.map(|on| on.to_string());
            let value = own.unwrap_or_else(|| format!("{by_default} (site settings)"));
            attributes(&[("deletion_protection", Some(value))])
        };
        let object = format!("instance {paths}");
        let change = Change::new(
            Action::Alter,
            &object,
            if wanted {
                format!("protect instance `{paths}` against deletion")
            } else {
                format!("lift the deletion protection of instance `{paths}`")
            },
            Diff::new(&object, line(&seen.record), line(&record)),
            Impact::None,
            vec![
                Step::make_dir(&paths.state_directory, 0o750),
                record.step(&paths.record),
            ],
        );
        plan.changes.push(if seen.new {
            change.undo(Scope::Creation, vec![seen.record.step(&paths.record)])
        } else {
            change
        });
        plan.facts.push(Fact::View(Map::from_iter([(
            "deletion_protection".to_owned(),
            json!(wanted),
        )])));
        Ok(plan)
    }
}
