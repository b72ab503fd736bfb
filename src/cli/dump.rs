//! `pgsocle database dump`, `dumps` and `restore`.

use camino::Utf8PathBuf;
use clap::Args;
use serde_json::{Value, json};

use super::change::{Format, Run};
use super::object::Within;
use super::{Call, Ended, show};
use crate::door::exit;
use crate::resource::dump;

#[derive(Args)]
pub struct Take {
    #[arg(value_name = "DBNAME")]
    name: String,
    /// Existing directory for the dump, instead of that of the instance's dumps.
    #[arg(long = "output", value_name = "DIRECTORY")]
    directory: Option<Utf8PathBuf>,
    #[command(flatten)]
    run: Run,
}

#[derive(Args)]
pub struct List {
    /// Only dumps of these databases; all unless given.
    #[arg(value_name = "DBNAME")]
    names: Vec<String>,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
pub struct Restore {
    /// The dump, as `dumps` lists it.
    #[arg(value_name = "DUMP_ID")]
    id: String,
    /// Existing database into which it goes; the dump's own database is made unless given.
    #[arg(value_name = "TARGETDBNAME")]
    into: Option<String>,
    #[command(flatten)]
    run: Run,
}

const TITLES: [&str; 4] = ["id", "dbname", "date", "path"];

impl Take {
    pub fn run(&self, call: &Call, within: &Within) -> Result<u8, Ended> {
        let session = self.run.open(call)?;
        let reference = within.reference(&session)?;
        let (site, look) = (&session.site, &session.local);
        let job = dump::dump(&reference, &self.name, self.directory.clone(), site, look)?;
        self.run.carry_out(&session, job)
    }
}

impl List {
    pub fn run(&self, call: &Call, within: &Within) -> Result<u8, Ended> {
        let session = call.look()?;
        let target = within.target(&session)?;
        let dumps = json!(dump::list(&target, &self.names, &session.local)?);
        let row = |dump: &Value| TITLES.map(|title| show::cell(title, &dump[title])).to_vec();
        let text = || {
            let rows: Vec<Vec<String>> = dumps.as_array().into_iter().flatten().map(row).collect();
            show::table(&TITLES, &rows)
        };
        self.format.show(&dumps, text)?;
        Ok(exit::DONE)
    }
}

impl Restore {
    pub fn run(&self, call: &Call, within: &Within) -> Result<u8, Ended> {
        let session = self.run.open(call)?;
        let reference = within.reference(&session)?;
        let (site, look) = (&session.site, &session.local);
        let job = dump::restore(&reference, &self.id, self.into.clone(), site, look)?;
        self.run.carry_out(&session, job)
    }
}
