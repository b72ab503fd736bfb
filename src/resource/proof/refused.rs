//! A proof that comes to no verdict, whatever kept it from one: evidence and metrics say so, lest one that runs by itself end
//! unseen.

use std::time::Duration;

use anyhow::Result;
use camino::Utf8PathBuf;
use jiff::Timestamp;

use super::evidence::{Evidence, Versions, written};
use super::verdict::Verdict;
use super::{ProofSpec, kept};
use crate::engine::{Failure, Subject};
use crate::fault::Fault;
use crate::host::{LockMode, Look};
use crate::plan::{Plan, Step};
use crate::resource::Job;
use crate::settings::InstancePaths;
use crate::stage::{Stage, World};

/// What is known of a proof from the beginning.
#[derive(Debug, Clone)]
pub struct Unproved {
    /// The instance, as far as it is known.
    instance: String,
    /// The stanza; empty while it is not known.
    pub stanza: String,
    evidence: Option<Utf8PathBuf>,
    metrics: Option<Utf8PathBuf>,
    now: Timestamp,
}

impl Unproved {
    pub fn of(spec: &ProofSpec, now: Timestamp) -> Self {
        // A relative path is what the proof is refused for.
        let absolute = |path: &Option<Utf8PathBuf>| path.clone().filter(|path| path.is_absolute());
        Self {
            instance: spec
                .instance
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
            stanza: spec.stanza.clone().unwrap_or_default(),
            evidence: absolute(&spec.evidence),
            metrics: absolute(&spec.metrics_file),
            now,
        }
    }

    /// The instance is known by now: where the evidence goes.
    pub fn is_of(&mut self, paths: &InstancePaths) -> &Utf8PathBuf {
        self.instance = paths.to_string();
        self.evidence
            .get_or_insert_with(|| paths.state_directory.join("backup-test.json"))
    }

    /// What is kept of a failure, unless a verdict has been written.
    pub fn steps(&self, failure: &Failure, look: &dyn Look) -> Result<Vec<Step>> {
        let metrics = self.metrics.as_ref();
        let judged = |path| failure.applied.contains(&written(path, metrics));
        if self.evidence.as_ref().is_some_and(judged) {
            return Ok(Vec::new());
        }
        let last = match &self.evidence {
            Some(path) => kept::<Evidence>(look, path)?,
            None => None,
        };
        self.told(failure, last)
            .keep(self.evidence.as_ref(), metrics)
    }

    fn told(&self, failure: &Failure, last: Option<Evidence>) -> Evidence {
        let begun = !failure.applied.is_empty() || !failure.reverted.is_empty();
        // The series of the metrics goes on under the same labels.
        let or_last = |known: &str, of_last: fn(&Evidence) -> &str| {
            let last = last.as_ref().filter(|_| known.is_empty());
            last.map_or(known, of_last).to_owned()
        };
        Evidence {
            verdict: if begun {
                Verdict::Failed
            } else {
                Verdict::Refused
            },
            problem: Some(format!("{:#}", failure.error)),
            remedy: Fault::told(&failure.error).and_then(|fault| fault.hint),
            instance: or_last(&self.instance, |last| &last.instance),
            stanza: or_last(&self.stanza, |last| &last.stanza),
            begun: self.now,
            ended: self.now,
            last_proved: last.and_then(Evidence::proved),
            tool: None,
            label: None,
            kind: None,
            date_stop: None,
            target: None,
            wal_start: None,
            wal_stop: None,
            restore_seconds: None,
            recovery_seconds: None,
            total_seconds: None,
            recovered_to: None,
            newest_data: None,
            rpo_seconds: None,
            amcheck: None,
            checks: Vec::new(),
            versions: Versions {
                pgsocle: env!("CARGO_PKG_VERSION").to_owned(),
                ..Versions::default()
            },
            directory: None,
        }
    }
}

/// What cannot even be begun.
pub struct Refusal {
    fault: Fault,
}

impl Refusal {
    /// The run that says so.
    pub fn job(error: anyhow::Error) -> Result<Job> {
        let Some(fault) = Fault::told(&error) else {
            return Err(error);
        };
        // Nothing is waited for.
        let mut job = Job::new(Subject {
            name: "proof of backups".to_owned(),
            lock: None,
            mode: LockMode::Read,
            alone: None,
            lock_timeout: Duration::ZERO,
            journal: None,
        });
        job.stages.push(Box::new(Self { fault }));
        Ok(job)
    }
}

impl Stage for Refusal {
    type Seen = ();

    fn name(&self) -> String {
        "proof of backups".to_owned()
    }

    fn observe(&self, _: &dyn Look, _: &World) -> Result<()> {
        Ok(())
    }

    fn plan(&self, (): &()) -> Result<Plan> {
        Err(self.fault.clone().into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics;
    use super::*;
    use crate::fault;
    use crate::manifest::InstanceRef;
    use crate::resource::samples;

    fn unproved() -> Unproved {
        let spec = ProofSpec {
            instance: Some(InstanceRef {
                name: Some("main".to_owned()),
                version: None,
            }),
            ..ProofSpec::default()
        };
        Unproved::of(&spec, "2026-11-27T21:00:00Z".parse().unwrap())
    }

    fn failure(applied: &[&str]) -> Failure {
        Failure {
            applied: applied.iter().map(|&done| done.to_owned()).collect(),
            ..fault!(Unavailable, "the repository is gone"; "mount it").into()
        }
    }

    #[test]
    fn the_last_success_stays() {
        let mut unproved = unproved();
        unproved.is_of(&samples::target(15).paths);
        let proved = Evidence {
            verdict: Verdict::Proved,
            stanza: "app".to_owned(),
            restore_seconds: Some(4.0),
            ended: "2026-11-20T21:00:09.5Z".parse().unwrap(),
            ..unproved.told(&failure(&[]), None)
        };
        let refused = unproved.told(&failure(&[]), Some(proved));
        let metrics_of = |evidence: &Evidence| -> Vec<String> {
            let text = metrics::text(evidence);
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.map(str::to_owned).collect()
        };
        let expected = [
            r#"pgsocle_backup_test_success{instance="15/main",stanza="app"} 0"#,
            r#"pgsocle_backup_test_timestamp_seconds{instance="15/main",stanza="app"} 1795813200"#,
            r#"pgsocle_backup_test_last_success_timestamp_seconds{instance="15/main",stanza="app"} 1795208409"#,
        ];
        assert_eq!(metrics_of(&refused), expected);
        assert_eq!(refused.verdict, Verdict::Refused);
        assert_eq!(refused.problem.as_deref(), Some("the repository is gone"));
        assert_eq!(refused.remedy.as_deref(), Some("mount it"));
        // Nor is it lost by what fails after that.
        let failed = unproved.told(&failure(&["make it"]), Some(refused));
        assert_eq!(failed.verdict, Verdict::Failed);
        assert_eq!(metrics_of(&failed), expected);
    }

    #[test]
    fn as_far_as_it_is_known() {
        let told = unproved().told(&failure(&[]), None);
        assert_eq!((&*told.instance, &*told.stanza), ("main", ""));
        assert_eq!(told.last_proved, None);
    }
}
