//! `pgsocle instance restore`.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use super::change::Run;
use super::instance::{REFERENCE, reference};
use super::{Call, Ended, prompt};
use crate::backup::recovery::Action;
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
        self.run.carry_out(&session, job)
    }
}
