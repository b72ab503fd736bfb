//! What is kept of a proof: the evidence, the metrics; and the end of the run.

use std::rc::Rc;

use anyhow::Result;
use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::checks::{files, without_amcheck};
use super::copy::{Chosen, MARK};
use super::log::Log;
use super::server::{control_data, sight};
use super::verdict::{Facts, Verdict, judge, not_come_to};
use super::{CheckSpec, Scene, kept, metrics};
use crate::backup::{BackupTool, Kind};
use crate::fault;
use crate::host::{Look, Probe};
use crate::plan::{Action, Change, Content, Diff, Impact, Plan, Scope, Step};
use crate::stage::{Sight, Stage, World};

/// What came of a proof: the file of the evidence, in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub verdict: Verdict,
    /// Why it failed, and what to do.
    pub problem: Option<String>,
    pub remedy: Option<String>,
    pub instance: String,
    pub stanza: String,
    pub tool: Option<String>,
    /// The backup, once it was chosen.
    pub label: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<Kind>,
    /// When the backup was complete.
    pub date_stop: Option<Timestamp>,
    pub target: Option<String>,
    /// The WAL that there was.
    pub wal_start: Option<String>,
    pub wal_stop: Option<String>,
    pub begun: Timestamp,
    pub ended: Timestamp,
    /// When a proof was last a good one.
    #[serde(default)]
    pub last_proved: Option<Timestamp>,
    /// To fetch the data; to recover them; and everything, with the checks.
    pub restore_seconds: Option<f64>,
    pub recovery_seconds: Option<f64>,
    pub total_seconds: Option<f64>,
    /// Where the last record of the WAL begins that was replayed.
    pub recovered_to: Option<String>,
    /// Up to when there are data: the end of the last transaction that was replayed, or else of the backup.
    pub newest_data: Option<Timestamp>,
    /// How old that was when the proof began; none where a target was given.
    pub rpo_seconds: Option<f64>,
    /// None where it was not asked for, or not come to.
    pub amcheck: Option<Amcheck>,
    pub checks: Vec<Checked>,
    pub versions: Versions,
    /// The copy, where it was kept.
    pub directory: Option<Utf8PathBuf>,
}

/// What `pg_amcheck` said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amcheck {
    /// None: it could not be run.
    pub passed: Option<bool>,
    pub said: Option<String>,
}

/// What came of a check of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    #[serde(flatten)]
    pub check: CheckSpec,
    pub found: Option<String>,
    pub error: Option<String>,
    pub passed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Versions {
    pub pgsocle: String,
    pub postgresql: String,
    pub tool: Option<String>,
}

impl Evidence {
    /// When there was last a good proof, this one counted.
    pub fn proved(self) -> Option<Timestamp> {
        match self.verdict {
            Verdict::Proved => Some(self.ended),
            Verdict::Failed | Verdict::Refused => self.last_proved,
        }
    }

    /// Writes it down, and what Prometheus is to know of it.
    pub fn keep(
        &self,
        evidence: Option<&Utf8PathBuf>,
        metrics: Option<&Utf8PathBuf>,
    ) -> Result<Vec<Step>> {
        let write = |path: &Utf8PathBuf, text: String, mode| {
            Step::write(path, Content::Bytes(text.into_bytes()), mode)
        };
        let text = serde_json::to_string_pretty(self)? + "\n";
        let evidence = evidence.map(|path| write(path, text, 0o640));
        // The exporter is another user.
        let metrics = metrics.map(|path| write(path, metrics::text(self), 0o644));
        Ok(evidence.into_iter().chain(metrics).collect())
    }
}

/// The change that does so, in words.
pub fn written(evidence: &Utf8PathBuf, metrics: Option<&Utf8PathBuf>) -> String {
    let metrics = metrics.map_or_else(String::new, |path| format!(", and metrics into `{path}`"));
    format!("write what came of it into `{evidence}`{metrics}")
}

/// Takes the copy away, and writes what came of it.
pub struct Judge {
    pub tool: Rc<dyn BackupTool>,
    pub scene: Scene,
    pub evidence: Utf8PathBuf,
    pub metrics: Option<Utf8PathBuf>,
}

impl Stage for Judge {
    /// None before the run.
    type Seen = Option<Facts>;

    fn name(&self) -> String {
        self.scene.object()
    }

    fn sight(&self, world: &World) -> Sight {
        sight(&self.scene, world)
    }

    fn predict(&self, _: &dyn Look, _: &World) -> Result<Option<Facts>> {
        Ok(None)
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Option<Facts>> {
        let scene = &self.scene;
        let file = |name: &str| kept(look, &scene.file(name));
        let text = |path: &Utf8PathBuf| -> Result<Option<String>> {
            let content = look.read(path)?;
            Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
        };
        let chosen: Option<Chosen> = kept(look, &scene.file(MARK))?;
        let (Some(chosen), Some(restore)) = (chosen, file("restore.json")?) else {
            // Somebody has been at it.
            return Err(fault!(
                Conflict,
                "`{}` has gone while the backup was proved in it", scene.directory;
                "prove it again"
            ));
        };
        let mut checks = Vec::new();
        for number in 0..scene.checks.len() {
            let (output, record) = files(scene, number);
            checks.push((kept(look, &record)?, text(&output)?));
        }
        let version = Probe::version(&scene.copy.bindir.join("postgres"), "--version");
        let mut facts = Facts {
            unread: false,
            chosen,
            restore,
            recovery: file("recovery.json")?,
            log: text(&scene.copy.paths.start_log)?.unwrap_or_default(),
            segment_size: control_data(scene, look)?.map(|control| control.wal_segment_size),
            without_amcheck: without_amcheck(scene, look)?,
            amcheck: file("amcheck.json")?,
            checks,
            last_proved: kept::<Evidence>(look, &self.evidence)?.and_then(Evidence::proved),
            versions: Versions {
                pgsocle: env!("CARGO_PKG_VERSION").to_owned(),
                postgresql: look.probe(&version)?.text().trim().to_owned(),
                tool: self.tool.version(look)?,
            },
        };
        if let Some(wal) = not_come_to(&facts, &Log::read(&facts.log)) {
            facts.unread = self.tool.has_wal(look, &wal)?;
        }
        Ok(Some(facts))
    }

    fn plan(&self, seen: &Option<Facts>) -> Result<Plan> {
        let scene = &self.scene;
        let mut plan = Plan::default();
        if !scene.keep {
            plan.changes.push(self.cleaning());
        }
        let mut steps = Vec::new();
        if let Some(facts) = seen {
            let evidence = judge(scene, facts, &|said| self.tool.trouble(said));
            steps = evidence.keep(Some(&self.evidence), self.metrics.as_ref())?;
            plan.view = Some(("backup_test", json!(evidence)));
        }
        let object = format!("evidence of the {}", scene.object());
        plan.changes.push(Change::new(
            Action::Create,
            &object,
            written(&self.evidence, self.metrics.as_ref()),
            Diff::new(&object, "", format!("evidence: {}\n", self.evidence)),
            Impact::None,
            steps,
        ));
        Ok(plan)
    }
}

impl Judge {
    /// Before the evidence is written: a run that is killed in between proves again, and takes it away then.
    fn cleaning(&self) -> Change {
        let scene = &self.scene;
        let object = format!("copy of the {}", scene.object());
        let directory = &scene.directory;
        Change::new(
            Action::Drop,
            &object,
            format!("stop the server in `{directory}`, and remove the copy"),
            Diff::new(&object, format!("directory: {directory}\n"), ""),
            Impact::None,
            scene.gone(),
        )
        .settles(Scope::Restore)
    }
}

/// Fails where the verdict is bad.
pub struct Conclusion {
    pub scene: Scene,
    pub evidence: Utf8PathBuf,
}

impl Stage for Conclusion {
    type Seen = Option<Evidence>;

    fn name(&self) -> String {
        self.scene.object()
    }

    fn sight(&self, world: &World) -> Sight {
        match sight(&self.scene, world) {
            Sight::Look => Sight::Look,
            _ => Sight::Skip,
        }
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Option<Evidence>> {
        kept(look, &self.evidence)
    }

    fn plan(&self, seen: &Option<Evidence>) -> Result<Plan> {
        let problem = |evidence: &Evidence| {
            let remedy = evidence.remedy.clone().unwrap_or_default();
            let problem = evidence.problem.clone()?;
            Some(fault!(Command, "{problem}"; "{remedy}; the evidence is in `{}`", self.evidence))
        };
        match seen.as_ref().and_then(problem) {
            Some(error) => Err(error),
            None => Ok(Plan::default()),
        }
    }
}
