//! The server on the copy: it recovers, and nobody but this run reaches it.

use anyhow::Result;

use super::copy::PORT;
use super::{Scene, kept};
use crate::host::{Command, Look, Probe, Recorded};
use crate::pg::controldata::ControlData;
use crate::plan::{Action, Change, Diff, Impact, Plan, Step};
use crate::stage::{Sight, Stage, World};

/// How the stages after the first one see.
pub fn sight(scene: &Scene, world: &World) -> Sight {
    match world.changed.get(&scene.object()) {
        Some(true) => Sight::Look,
        Some(false) => Sight::Predict,
        None => Sight::Skip,
    }
}

/// What the cluster says of itself; none where it cannot be read.
pub fn control_data(scene: &Scene, look: &dyn Look) -> Result<Option<ControlData>> {
    let probe = Probe::controldata(&scene.copy.bindir, &scene.copy.paths.datadir);
    let output = look.probe(&probe)?;
    Ok(ControlData::parse(&output.stdout)
        .ok()
        .filter(|_| output.success()))
}

/// Starts it.
pub struct Recover {
    pub scene: Scene,
}

pub struct Seen {
    restored: bool,
    /// Prepared transactions that the cluster may hold: fewer would stop the recovery.
    prepared: u32,
}

impl Stage for Recover {
    type Seen = Seen;

    fn name(&self) -> String {
        self.scene.object()
    }

    fn sight(&self, world: &World) -> Sight {
        sight(&self.scene, world)
    }

    fn predict(&self, _: &dyn Look, _: &World) -> Result<Seen> {
        Ok(Seen {
            restored: true,
            prepared: 0,
        })
    }

    fn observe(&self, look: &dyn Look, _: &World) -> Result<Seen> {
        let restore = kept::<Recorded>(look, &self.scene.file("restore.json"))?;
        let restored = restore.is_some_and(|restore| restore.error.is_none());
        let control = if restored {
            control_data(&self.scene, look)?
        } else {
            None
        };
        Ok(Seen {
            restored,
            prepared: control.map_or(0, |control| control.max_prepared_transactions),
        })
    }

    fn plan(&self, seen: &Seen) -> Result<Plan> {
        let mut plan = Plan::default();
        if !seen.restored {
            return Ok(plan);
        }
        let scene = &self.scene;
        let object = format!("server of the {}", scene.object());
        plan.changes.push(Change::new(
            Action::Create,
            &object,
            format!(
                "start a server in `{}`, which recovers up to {}",
                scene.directory, scene.recovery.target
            ),
            Diff::new(&object, "", "state: recovered\n"),
            Impact::None,
            vec![Step::Record {
                steps: vec![start(scene, seen.prepared)],
                into: scene.file("recovery.json"),
            }],
        ));
        Ok(plan)
    }
}

/// `pg_ctl start`. It comes back when the server begins to replay WAL: without `hot_standby` that counts as started (postmaster.c).
fn start(scene: &Scene, prepared: u32) -> Step {
    let own = &scene.copy.paths;
    let timeout = scene.copy.manner.timeout.as_secs().to_string();
    let mut command = Command::new(scene.copy.bindir.join("pg_ctl"))
        .args(["start", "-s", "-w", "-t", &timeout])
        .args(["-D", own.datadir.as_str(), "-l", own.start_log.as_str()]);
    // For a shell (`start_postmaster` in pg_ctl.c).
    let options: Vec<String> = parameters(scene, prepared)
        .iter()
        .map(|(name, value)| format!("-c {name}='{}'", value.replace('\'', r"'\''")))
        .collect();
    command = command.args(["-o", &options.join(" ")]);
    command.logs = vec![own.start_log.clone()];
    Step::StartServer {
        command,
        datadir: own.datadir.clone(),
    }
}

/// What holds for the copy, whatever its own files say: postgresql.auto.conf, which the recovery needs, comes with it from the
/// backup.
fn parameters(scene: &Scene, prepared: u32) -> Vec<(&'static str, String)> {
    let own = &scene.copy.paths;
    let text = |value: &str| value.to_owned();
    vec![
        ("config_file", own.config_file.to_string()),
        ("hba_file", own.hba_file.to_string()),
        ("ident_file", own.ident_file.to_string()),
        // Reached through its own directory only.
        ("listen_addresses", text("")),
        ("port", PORT.to_string()),
        (
            "unix_socket_directories",
            format!("\"{}\"", own.socket_directory),
        ),
        ("unix_socket_permissions", text("0700")),
        ("ssl", text("off")),
        // It neither adds to an archive, nor waits for anybody, nor runs what others have set up.
        ("archive_mode", text("off")),
        ("archive_cleanup_command", text("")),
        ("recovery_end_command", text("")),
        ("synchronous_standby_names", text("")),
        ("shared_preload_libraries", text("")),
        ("session_preload_libraries", text("")),
        ("local_preload_libraries", text("")),
        ("autovacuum", text("off")),
        // Little memory. Queries are answered when the recovery has ended: before, as many sessions as on the
        // original would have to be allowed (documentation, 27.4.3).
        ("hot_standby", text("off")),
        ("shared_buffers", text("64MB")),
        ("huge_pages", text("off")),
        ("max_connections", text("20")),
        ("superuser_reserved_connections", text("3")),
        ("max_prepared_transactions", prepared.to_string()),
        // Its log is read: in these words, with these times.
        ("logging_collector", text("off")),
        ("log_destination", text("stderr")),
        ("log_min_messages", text("warning")),
        ("log_line_prefix", text("%m [%p] ")),
        ("log_timezone", text("UTC")),
        ("timezone", text("UTC")),
        ("datestyle", text("ISO")),
        ("lc_messages", text("C")),
        ("cluster_name", text("backup-test")),
    ]
}
