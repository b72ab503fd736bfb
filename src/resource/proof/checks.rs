//! The copy is looked at once its recovery has ended: by `pg_amcheck`, and by the queries of the user.

use anyhow::Result;
use camino::Utf8PathBuf;

use super::copy::PORT;
use super::server::sight;
use super::{CheckSpec, Scene, kept};
use crate::host::{Command, Look, Recorded};
use crate::pg::postmaster_pid::PostmasterPid;
use crate::pg::version::Major;
use crate::plan::{Action, Change, Diff, Impact, Plan, Step};
use crate::stage::{Sight, Stage, World};

/// The major that brought `pg_amcheck`.
const FIRST_WITH_AMCHECK: Major = Major::new(14);

/// Runs them.
pub struct Checks {
    pub scene: Scene,
}

pub struct Seen {
    /// The server is an ordinary one by now.
    recovered: bool,
    /// Why there is no `pg_amcheck`.
    without: Option<String>,
}

/// Why `pg_amcheck` is not run although it was asked for.
pub fn without_amcheck(scene: &Scene, look: &dyn Look) -> Result<Option<String>> {
    let version = scene.paths.version;
    if !scene.amcheck {
        return Ok(None);
    }
    if version < FIRST_WITH_AMCHECK {
        return Ok(Some(format!(
            "PostgreSQL {version} has no `pg_amcheck`: it comes with {FIRST_WITH_AMCHECK}"
        )));
    }
    let program = scene.copy.bindir.join("pg_amcheck");
    let missing = look.stat(&program)?.is_none();
    Ok(missing.then(|| format!("program `{program}` is not installed")))
}

/// Where what a check gives is kept, and how it went.
pub fn files(scene: &Scene, number: usize) -> (Utf8PathBuf, Utf8PathBuf) {
    let name = |ending: &str| scene.file(&format!("check-{}.{ending}", number + 1));
    (name("out"), name("json"))
}

/// Waits until the recovery has ended, in one way or another: whether the server accepts sessions.
fn await_end(scene: &Scene, look: &dyn Look) -> Result<bool> {
    let mut recovered = false;
    look.patiently(scene.copy.manner.timeout, &mut || {
        let file = look.read(&scene.copy.paths.datadir.join("postmaster.pid"))?;
        let file = file.map(|content| PostmasterPid::parse(&content));
        let status = file.as_ref().and_then(|file| file.status.as_deref());
        // `standby` is what it says while it recovers.
        recovered = status == Some("ready");
        let lives = file
            .as_ref()
            .and_then(|file| file.pid)
            .is_some_and(|pid| look.alive(pid));
        Ok(recovered || !lives)
    })?;
    Ok(recovered)
}

impl Stage for Checks {
    type Seen = Seen;

    fn name(&self) -> String {
        self.scene.object()
    }

    fn sight(&self, world: &World) -> Sight {
        sight(&self.scene, world)
    }

    fn predict(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        Ok(Seen {
            recovered: true,
            without: without_amcheck(&self.scene, look)?,
        })
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let started = kept::<Recorded>(look, &self.scene.file("recovery.json"))?
            .is_some_and(|recovery| recovery.error.is_none());
        Ok(Seen {
            recovered: started && await_end(&self.scene, look)?,
            without: without_amcheck(&self.scene, look)?,
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let scene = &self.scene;
        let mut plan = Plan::default();
        if let Some(why) = &seen.without {
            plan.warnings
                .push(format!("the pages of the copy are not checked: {why}"));
        }
        if !seen.recovered {
            return Ok(plan);
        }
        let mut steps = Vec::new();
        let mut what = Vec::new();
        if scene.amcheck && seen.without.is_none() {
            steps.push(Step::Record {
                steps: vec![Step::Run(amcheck(scene))],
                into: scene.file("amcheck.json"),
            });
            what.push("`pg_amcheck`".to_owned());
        }
        for (number, check) in scene.checks.iter().enumerate() {
            let (output, into) = files(scene, number);
            steps.push(Step::Record {
                steps: vec![Step::Run(query(scene, check, &output))],
                into,
            });
        }
        match scene.checks.len() {
            0 => {}
            1 => what.push("1 query".to_owned()),
            many => what.push(format!("{many} queries")),
        }
        if !steps.is_empty() {
            let object = format!("checks of the {}", scene.object());
            plan.changes.push(Change::new(
                Action::Create,
                &object,
                format!("check the copy by {}", what.join(" and ")),
                Diff::new(&object, "", format!("checked by: {}\n", what.join(", "))),
                Impact::None,
                steps,
            ));
        }
        Ok(plan)
    }
}

/// A client of the copy's server.
fn client(scene: &Scene, program: &str) -> Command {
    let server = scene.copy.server(&scene.directory, PORT);
    Command::new(scene.copy.bindir.join(program))
        .args(["-h", server.socket_directory.as_str()])
        .args(["-p", &PORT.to_string(), "-U", &server.user, "-w"])
}

/// It makes what it needs in the databases: they are the copy's.
fn amcheck(scene: &Scene) -> Command {
    client(scene, "pg_amcheck").args(["--all", "--install-missing"])
}

/// Exactly one string, which the server reads: nothing in it is a command of psql (documentation, psql, `-c`).
fn query(scene: &Scene, check: &CheckSpec, output: &Utf8PathBuf) -> Command {
    client(scene, "psql")
        .env("PGOPTIONS", "-c default_transaction_read_only=on")
        .env("PGCLIENTENCODING", "UTF8")
        .args(["-X", "-q", "-A", "-t", "-F", "|", "-v", "ON_ERROR_STOP=1"])
        .args(["-o", output.as_str(), "-d", &check.database])
        .args(["-c", &check.sql])
}
