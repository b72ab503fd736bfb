//! `pgsocle instance restore`.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::change::Run;
use super::instance::{REFERENCE, reference};
use super::{Call, Ended, prompt, show};
use crate::backup::recovery::Action;
use crate::door::exit;
use crate::manifest::InstanceRef;
use crate::resource::instance::lookup;
use crate::resource::restore::{RestoreSpec, job};

#[derive(Args)]
pub struct Restore {
    /// The instance; may be left out when there is only one. One that exists must be stopped, and its data are replaced; one
    /// that does not is made.
    #[arg(value_name = REFERENCE, value_parser = reference)]
    instance: Option<InstanceRef>,
    /// The stanza whose backups are restored; that of the instance unless given.
    #[arg(long, value_name = "STANZA")]
    stanza: Option<String>,
    /// Put the data into this directory instead, and start nothing.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<Utf8PathBuf>,
    /// The backup; the newest one that ends before the target unless given.
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Recover up to this time, with its zone: `2026-11-27 20:33:28+01:00`.
    #[arg(long, visible_alias = "date", value_name = "TIME", group = "target")]
    target_time: Option<String>,
    /// Recover up to this place in the WAL: `0/3000028`.
    #[arg(long, value_name = "LSN", group = "target")]
    target_lsn: Option<String>,
    /// Recover up to this transaction.
    #[arg(long, value_name = "XID", group = "target")]
    target_xid: Option<u64>,
    /// Recover up to this restore point.
    #[arg(long, value_name = "NAME", group = "target")]
    target_name: Option<String>,
    /// Recover no further than the backup needs to be consistent.
    #[arg(long, group = "target")]
    target_immediate: bool,
    /// Stop just before the target instead of just after it.
    #[arg(long)]
    target_exclusive: bool,
    /// The timeline to recover along: `latest`, `current` (the backup's own), or a number.
    #[arg(long, value_name = "TIMELINE")]
    target_timeline: Option<String>,
    /// What the server does at the target.
    #[arg(long, value_name = "ACTION", default_value = "promote")]
    target_action: AtTarget,
    /// TCP port of a new instance.
    #[arg(long, value_name = "PORT")]
    port: Option<i64>,
    /// Keep the files that are right, and fetch the others only: the old data cannot come back then.
    #[arg(long)]
    delta: bool,
    /// Keep the old data when all went well, beside their place.
    #[arg(long)]
    keep_old: bool,
    /// How long to wait for the recovery; a day unless given. One that needs longer goes on by itself.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,
    #[command(flatten)]
    run: Run,
}

/// The words of [`Action`].
#[derive(Clone, Copy, ValueEnum)]
enum AtTarget {
    Promote,
    Pause,
    Shutdown,
}

impl From<AtTarget> for Action {
    fn from(action: AtTarget) -> Self {
        match action {
            AtTarget::Promote => Self::Promote,
            AtTarget::Pause => Self::Pause,
            AtTarget::Shutdown => Self::Shutdown,
        }
    }
}

impl Restore {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        let session = self.run.open(call)?;
        let spec = RestoreSpec {
            instance: self.instance.clone(),
            stanza: self.stanza.clone(),
            directory: self.directory.clone(),
            label: self.label.clone(),
            target_time: self.target_time.clone(),
            target_lsn: self.target_lsn.clone(),
            target_xid: self.target_xid,
            target_name: self.target_name.clone(),
            target_immediate: self.target_immediate,
            target_exclusive: self.target_exclusive,
            target_timeline: self.target_timeline.clone(),
            target_action: self.target_action.into(),
            port: self.port,
            delta: self.delta,
            keep_old: self.keep_old,
            timeout: self.timeout,
            max_impact: None,
            lock_timeout: None,
        };
        let (site, look) = (&session.site, &session.local);
        let job = job(&spec, site, look)?;
        if !self.run.dry_run
            && self.directory.is_none()
            && let Ok(identity) = lookup::find(look, &site.settings, self.instance.as_ref())
        {
            let question = format!(
                "replace the data of instance `{}` by those of a backup?",
                lookup::shown(&identity)
            );
            prompt::confirm(&question, call.interactive)?;
        }
        let reply = self.run.one(&session, job)?;
        if self.run.format.is_json() {
            show::json(&reply)?;
        } else {
            show::print(&about(&reply))?;
        }
        Ok(exit::DONE)
    }
}

/// What is used, and where the recovery ended.
fn about(reply: &Value) -> String {
    let word = |part: &str, key: &str| match &reply[part][key] {
        Value::Null => "?".to_owned(),
        value if key.starts_with("space_") => {
            value.as_u64().map_or_else(String::new, show::human_size)
        }
        value => show::cell(key, value),
    };
    let mut lines = Vec::new();
    if reply["restore"].is_object() {
        let used = |key: &str| word("restore", key);
        lines.push(format!(
            "backup: {}, of {}",
            used("label"),
            used("date_stop")
        ));
        lines.push(format!(
            "WAL: {} to {}",
            used("wal_start"),
            used("wal_stop")
        ));
        lines.push(format!(
            "space: {} needed, {} free",
            used("space_needed"),
            used("space_free")
        ));
    }
    if reply["recovery"].is_object() {
        let ended = |key: &str| word("recovery", key);
        lines.push(format!(
            "recovered up to: WAL {} on timeline {}, {}",
            ended("lsn"),
            ended("timeline"),
            match &reply["recovery"]["last_transaction"] {
                Value::String(time) => format!("last transaction at {time}"),
                _ => "no transaction was replayed".to_owned(),
            }
        ));
    }
    show::lines(lines)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_told_of_a_restore() {
        let restore = json!({
            "label": "20261127-203328F", "date_stop": "2026-11-27T20:33:34Z", "wal_start": "000000010000000000000003",
            "wal_stop": null, "space_needed": 23_430_401, "space_free": 67_960_926_208_u64,
        });
        let recovery =
            json!({ "lsn": "0/5000198", "timeline": 2, "last_transaction": null, "paused": false });
        insta::assert_snapshot!(about(&json!({ "restore": restore, "recovery": recovery })), @r"
        backup: 20261127-203328F, of 2026-11-27T20:33:34Z
        WAL: 000000010000000000000003 to ?
        space: 22 MB needed, 63 GB free
        recovered up to: WAL 0/5000198 on timeline 2, no transaction was replayed
        ");
        assert_eq!(about(&json!({})), "");
    }
}
