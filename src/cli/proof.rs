//! `pgsocle instance backup-test`.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Args;

use super::change::Run;
use super::instance::{REFERENCE, reference};
use super::{Call, Ended, manifest};
use crate::host::process;
use crate::input;
use crate::manifest::InstanceRef;
use crate::resource::proof::{CheckSpec, ProofSpec, job};

#[derive(Args)]
pub struct Proof {
    /// The instance; may be left out when there is only one.
    #[arg(value_name = REFERENCE, value_parser = reference)]
    instance: Option<InstanceRef>,
    /// The stanza whose backup is proved; that of the instance unless given.
    #[arg(long, value_name = "STANZA")]
    stanza: Option<String>,
    /// The backup; the newest one that ends before the target unless given.
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Recover up to this time, with its zone: `2026-11-27 20:33:28+01:00`.
    #[arg(long, value_name = "TIME", group = "target")]
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
    /// The scratch place: a directory that is empty or not there, and is empty afterwards.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<Utf8PathBuf>,
    /// Do not run `pg_amcheck` on the copy.
    #[arg(long)]
    no_amcheck: bool,
    /// YAML or JSON file with queries and what they are to give: a list `checks` of `database`, `sql` and `expected`; `-` for
    /// standard input.
    #[arg(long, value_name = "FILE")]
    checks: Option<Utf8PathBuf>,
    /// Do nothing while the last proof, if it was a good one of the same kind, is younger: `7d`, `12h 30m`.
    #[arg(long, value_name = "AGE")]
    max_age: Option<String>,
    /// The file of the evidence, in JSON.
    #[arg(long, value_name = "FILE")]
    evidence: Option<Utf8PathBuf>,
    /// A file of metrics for the textfile collector of Prometheus' node exporter.
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<Utf8PathBuf>,
    /// Leave the copy as it is, its server running.
    #[arg(long)]
    keep: bool,
    /// How long to wait for the recovery; a day unless given.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,
    #[command(flatten)]
    run: Run,
}

impl Proof {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        // Before root's rights are given up.
        let checks = self.checks.as_ref().map_or(Ok(Vec::new()), read)?;
        let session = self.run.open(call)?;
        let spec = ProofSpec {
            instance: self.instance.clone(),
            stanza: self.stanza.clone(),
            label: self.label.clone(),
            target_time: self.target_time.clone(),
            target_lsn: self.target_lsn.clone(),
            target_xid: self.target_xid,
            target_name: self.target_name.clone(),
            target_immediate: self.target_immediate,
            directory: self.directory.clone(),
            amcheck: Some(!self.no_amcheck),
            checks,
            max_age: self.max_age.clone(),
            evidence: self.evidence.clone(),
            metrics_file: self.metrics_file.clone(),
            keep: self.keep,
            timeout: self.timeout,
            lock_timeout: None,
        };
        self.run
            .carry_out(&session, job(&spec, &session.site, &session.local)?)
    }
}

fn read(file: &Utf8PathBuf) -> Result<Vec<CheckSpec>> {
    let mut given = manifest::parse(file.as_str(), &process::read_document(file)?)?;
    input::from_json(given["checks"].take(), "checks")
}
