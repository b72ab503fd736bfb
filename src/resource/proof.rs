//! Proof of backups: one is restored into a scratch place, recovered, started and looked at, and what came of it is kept as
//! evidence.
//!
//! A proof is several stages. The first looks into the repository, chooses the backup and fetches it ([`copy`]); the second
//! starts a server on the copy ([`server`]), which recovers; when it is through, it is looked at ([`checks`]). None of these
//! fails when the backup is bad: each keeps what came of it beside the copy ([`Step::Record`](crate::plan::Step::Record)). The
//! last ones judge that ([`verdict`]), take the copy away, write the evidence, and fail where the verdict is bad ([`evidence`]).

mod checks;
mod copy;
mod evidence;
mod log;
mod metrics;
mod refused;
mod server;
mod verdict;

use std::rc::Rc;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::checks::Checks;
use self::copy::Copy;
use self::evidence::{Conclusion, Judge};
use self::refused::{Refusal, Unproved};
use self::server::Recover;
use crate::backup::BackupTool;
use crate::backup::recovery::{Action, Recovery};
use crate::bail_fault;
use crate::host::{LockMode, Look};
use crate::manager::{Manager, StopMode};
use crate::manifest::InstanceRef;
use crate::plan::Step;
use crate::resource::backup::age;
use crate::resource::instance::target::Target;
use crate::resource::restore::{self, RestoreSpec};
use crate::resource::{Job, Site, subject};
use crate::settings::InstancePaths;

/// A proof that a backup can be restored.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofSpec {
    /// The instance, as `name` or `version/name`; may be left out when there is only one. With `stanza` it need not be there:
    /// backups can be proved on another host.
    #[serde(default)]
    pub instance: Option<InstanceRef>,
    /// The stanza whose backup is proved. Default: that of the instance.
    #[serde(default)]
    pub stanza: Option<String>,
    /// The backup. Default: the newest one that ends before the target.
    #[serde(default)]
    pub label: Option<String>,
    /// Recover up to this time, with its zone: `2026-11-27 20:33:28+01:00`. Without any target: to the end of the archived WAL.
    #[serde(default)]
    pub target_time: Option<String>,
    /// Recover up to this place in the WAL: `0/3000028`.
    #[serde(default)]
    pub target_lsn: Option<String>,
    /// Recover up to this transaction.
    #[serde(default)]
    pub target_xid: Option<u64>,
    /// Recover up to this restore point (`pg_create_restore_point`).
    #[serde(default)]
    pub target_name: Option<String>,
    /// Recover no further than the backup needs to be consistent.
    #[serde(default)]
    pub target_immediate: bool,
    /// The scratch place: a directory that is empty or not there; afterwards it is empty. Default: one below `srv/backup-test` of
    /// the site's prefix, which goes.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub directory: Option<Utf8PathBuf>,
    /// Run `pg_amcheck` on all databases of the copy (from PostgreSQL 14 on). Default: yes.
    #[serde(default)]
    pub amcheck: Option<bool>,
    /// Queries that tell whether the data are the right ones.
    #[serde(default)]
    pub checks: Vec<CheckSpec>,
    /// Do nothing while the last proof, if it was a good one of the same kind, is younger: `7d`, `12h 30m`, or a number of
    /// seconds. Without it each call proves.
    #[serde(default)]
    pub max_age: Option<String>,
    /// The file of the evidence, in JSON. Default: `backup-test.json` in the state directory of the instance.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub evidence: Option<Utf8PathBuf>,
    /// A file of metrics for the textfile collector of Prometheus' node exporter; its name ends in `.prom`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub metrics_file: Option<Utf8PathBuf>,
    /// Leave the copy as it is, its server running, until the next proof at the same place.
    #[serde(default)]
    pub keep: bool,
    /// How long to wait for the recovery, in seconds. Default: a day.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub timeout: Option<u32>,
    /// How many seconds to wait for another proof, or for a run that stops or restarts the instance; 60 unless given, 0: not at
    /// all.
    #[serde(default)]
    #[schemars(extend("x-hidden" = ["cli"]))]
    pub lock_timeout: Option<u32>,
}

/// A query on the copy, in a session that only reads, and what it is to give.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckSpec {
    /// The database.
    pub database: String,
    /// The query.
    pub sql: String,
    /// Its rows as text, one a line, with `|` between the columns. When it is left out the query must only succeed.
    #[serde(default)]
    pub expected: Option<String>,
}

impl ProofSpec {
    fn recovery(&self) -> Result<Recovery> {
        RestoreSpec {
            target_time: self.target_time.clone(),
            target_lsn: self.target_lsn.clone(),
            target_xid: self.target_xid,
            target_name: self.target_name.clone(),
            target_immediate: self.target_immediate,
            target_action: Action::Promote,
            ..RestoreSpec::default()
        }
        .recovery()
    }

    fn check(&self) -> Result<()> {
        for (option, path) in [
            ("directory", &self.directory),
            ("evidence", &self.evidence),
            ("metrics_file", &self.metrics_file),
        ] {
            if let Some(path) = path.as_ref().filter(|path| !path.is_absolute()) {
                bail_fault!(Input, "`{option}`: `{path}` is not absolute");
            }
        }
        for check in &self.checks {
            // psql takes it for a command of its own, as `\!`.
            if check.sql.starts_with('\\') || check.sql.trim().is_empty() {
                bail_fault!(Input, "`checks`: `{}` is no query", check.sql);
            }
        }
        Ok(())
    }
}

/// What the stages of a proof share.
#[derive(Debug, Clone)]
struct Scene {
    /// The instance whose backups are proved.
    paths: InstancePaths,
    /// The copy, as an instance of its own: in [`Self::directory`], run by nobody but this run.
    copy: Target,
    directory: Utf8PathBuf,
    /// The user has named it.
    given: bool,
    stanza: String,
    tool: &'static str,
    recovery: Recovery,
    amcheck: bool,
    checks: Vec<CheckSpec>,
    keep: bool,
}

impl Scene {
    fn object(&self) -> String {
        format!("proof of the backups of instance {}", self.paths)
    }

    fn file(&self, name: &str) -> Utf8PathBuf {
        self.directory.join(name)
    }

    /// The server is ended, and everything removed that was made.
    fn gone(&self) -> Vec<Step> {
        let manner = self.copy.manner.ending(StopMode::Immediate);
        let mut steps = Manager::pg_ctl_stop(&self.copy.bindir, &self.copy.paths, manner);
        let path = &self.directory;
        // What marks it as ours goes last. A place that others have made (a mount point) stays.
        steps.push(Step::EmptyDir { path: path.clone() });
        if !self.given {
            steps.push(Step::Remove { path: path.clone() });
        }
        steps
    }
}

/// The run that proves. Whatever keeps it from a verdict is left as evidence too.
pub fn job(spec: &ProofSpec, site: &Site, look: &dyn Look) -> Result<Job> {
    let now: Timestamp = site.now.parse().context("the time of the run")?;
    let mut unproved = Unproved::of(spec, now);
    let mut job = match begun(spec, site, look, now, &mut unproved) {
        Ok(job) => job,
        Err(error) => Refusal::job(error)?,
    };
    job.aftermath = Some(Box::new(move |failure, look| unproved.steps(failure, look)));
    Ok(job)
}

fn begun(
    spec: &ProofSpec,
    site: &Site,
    look: &dyn Look,
    now: Timestamp,
    unproved: &mut Unproved,
) -> Result<Job> {
    let target = restore::target(spec.instance.as_ref(), &site.settings, look)?;
    let paths = target.paths.clone();
    let evidence = unproved.is_of(&paths).clone();
    spec.check()?;
    let recovery = spec.recovery()?;
    let max_age = spec.max_age.as_deref().map(age).transpose()?;
    let tool: Rc<dyn BackupTool> =
        restore::source(spec.stanza.as_deref(), Some(&target), site, look)?.into();
    tool.stanza().clone_into(&mut unproved.stanza);
    let mut job = Job::new(subject("instance", &paths, site));
    job.subject.name = format!("backup test of instance {paths}");
    // Long, and nothing of the instance is changed.
    job.subject.mode = LockMode::Read;
    job.subject.alone = Some(paths.state_directory.join("backup-test.lock"));
    job.wait_for(spec.lock_timeout);
    let directory = match &spec.directory {
        Some(directory) => directory.clone(),
        None => site
            .settings
            .prefix
            .join("srv/backup-test")
            .join(&paths.qualified_name),
    };
    let scene = Scene {
        copy: copy::of(
            &target,
            &directory,
            spec.timeout.unwrap_or(restore::TIMEOUT),
        ),
        directory,
        given: spec.directory.is_some(),
        stanza: tool.stanza().to_owned(),
        tool: tool.name(),
        recovery,
        amcheck: spec.amcheck.unwrap_or(true),
        checks: spec.checks.clone(),
        keep: spec.keep,
        paths: paths.clone(),
    };
    job.stages.push(Box::new(Copy {
        tool: Rc::clone(&tool),
        scene: scene.clone(),
        label: spec.label.clone(),
        any_cluster: spec.stanza.is_some(),
        evidence: evidence.clone(),
        now,
        max_age,
    }));
    job.stages.push(Box::new(Recover {
        scene: scene.clone(),
    }));
    job.stages.push(Box::new(Checks {
        scene: scene.clone(),
    }));
    job.stages.push(Box::new(Judge {
        tool,
        scene: scene.clone(),
        evidence: evidence.clone(),
        metrics: spec.metrics_file.clone(),
    }));
    job.stages.push(Box::new(Conclusion { scene, evidence }));
    Ok(job)
}

/// What an earlier stage has kept.
fn kept<T: serde::de::DeserializeOwned>(look: &dyn Look, path: &Utf8Path) -> Result<Option<T>> {
    let Some(content) = look.read(path)? else {
        return Ok(None);
    };
    Ok(serde_json::from_slice(&content).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    #[test]
    fn what_is_no_query() {
        let spec = |sql: &str| ProofSpec {
            checks: vec![CheckSpec {
                database: "shop".into(),
                sql: sql.into(),
                expected: None,
            }],
            ..ProofSpec::default()
        };
        assert!(spec("SELECT 1").check().is_ok());
        for sql in [r"\! rm", "", " \n"] {
            let error = spec(sql).check().unwrap_err();
            assert_eq!(
                Fault::of(&error).unwrap().msg,
                format!("`checks`: `{sql}` is no query")
            );
        }
    }

    #[test]
    fn paths_are_absolute() {
        let spec = ProofSpec {
            evidence: Some("x.json".into()),
            ..ProofSpec::default()
        };
        assert_eq!(
            spec.check().unwrap_err().to_string(),
            "`evidence`: `x.json` is not absolute"
        );
    }
}
