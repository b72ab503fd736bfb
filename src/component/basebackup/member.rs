//! Whether an instance is in a stanza, and in which: a note in its state directory.

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::bail_fault;
use crate::host::Look;
use crate::plan::{Action, Change, Content, Diff, Impact, Plan, Step, attributes};
use crate::settings::InstancePaths;
use crate::stage::{Stage, World};

/// The name of the note.
pub const FILE: &str = "basebackup.json";

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub stanza: String,
}

/// The stanza that an instance is in.
pub fn stanza(look: &dyn Look, paths: &InstancePaths) -> Result<Option<String>> {
    let content = look.read(&file(paths))?;
    let note = content.and_then(|content| serde_json::from_slice::<Note>(&content).ok());
    Ok(note.map(|note| note.stanza))
}

fn file(paths: &InstancePaths) -> Utf8PathBuf {
    paths.state_directory.join(FILE)
}

/// The place of an instance in a stanza.
pub struct Membership {
    pub paths: InstancePaths,
    /// None: in no stanza.
    pub stanza: Option<String>,
}

impl Stage for Membership {
    type Seen = Option<String>;

    fn name(&self) -> String {
        format!("pg_basebackup of instance {}", self.paths)
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Option<String>> {
        stanza(look, &self.paths)
    }

    fn plan(&self, seen: &Option<String>) -> Result<Plan> {
        let paths = &self.paths;
        let mut plan = Plan::default();
        let file = file(paths);
        let (action, summary, steps) = match (seen, &self.stanza) {
            (Some(present), Some(wanted)) if present != wanted => bail_fault!(
                Conflict,
                "instance `{paths}` is in stanza `{present}`, not in `{wanted}`: a live instance does not change its stanza by the way";
                "take it out first, with `basebackup: {{state: absent}}` in a run of its own; its backups stay. Nothing was changed"
            ),
            (None, Some(wanted)) => {
                let note = Note {
                    stanza: wanted.clone(),
                };
                let content = Content::Bytes(serde_json::to_vec(&note)?);
                (
                    Action::Create,
                    format!("put instance `{paths}` into stanza `{wanted}`"),
                    vec![
                        Step::make_dir(&paths.state_directory, 0o750),
                        Step::write(&file, content, 0o640),
                    ],
                )
            }
            (Some(present), None) => (
                Action::Drop,
                format!("take instance `{paths}` out of stanza `{present}`"),
                vec![Step::Remove { path: file.clone() }],
            ),
            (Some(_), Some(_)) | (None, None) => return Ok(plan),
        };
        let line = |stanza: &Option<String>| attributes(&[("stanza", stanza.clone())]);
        plan.changes.push(Change::new(
            action,
            format!("basebackup {paths}"),
            summary,
            Diff::new(file.as_str(), line(seen), line(&self.stanza)),
            Impact::None,
            steps,
        ));
        Ok(plan)
    }
}
