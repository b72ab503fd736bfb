//! `pgsocle tablespace`.

use clap::{Args, Subcommand};
use serde_json::Map;

use super::change::{Format, Run};
use super::given::{Altered, Created, Noun, Stated, WithRun};
use super::manifest::Manifest;
use super::object::{Column, Within};
use super::{Call, Ended, develop, incomplete, prompt, show};
use crate::resource::expect::Wanted;

const KIND: &str = "tablespace";

struct Tablespace;

impl Noun for Tablespace {
    const KIND: &'static str = KIND;
}

#[derive(Args)]
pub struct Command {
    #[command(flatten)]
    within: Within,
    /// Print the JSON schema of a tablespace and nothing else.
    #[arg(long)]
    schema: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a tablespace.
    Create(Stated<Created<Tablespace>>),
    /// Change an existing tablespace: what is not given stays.
    Alter(Stated<Altered<Tablespace>>),
    /// Bring a tablespace to what a manifest says.
    Apply {
        #[command(flatten)]
        manifest: Manifest,
        #[command(flatten)]
        run: Run,
    },
    /// Show a tablespace.
    Get {
        name: String,
        #[command(flatten)]
        format: Format,
    },
    /// Show the tablespaces beside `pg_default` and `pg_global`.
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Drop tablespaces with nothing in them; their directories stay.
    Drop {
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        #[command(flatten)]
        run: Run,
    },
}

impl Command {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        let within = &self.within;
        match &self.verb {
            _ if self.schema => develop::schema(KIND),
            None => Ok(incomplete(&["tablespace"])),
            Some(Verb::Create(stated)) => {
                let WithRun { object, run } = &stated.called;
                within.converge(call, KIND, Wanted::New, object.object()?, run)
            }
            Some(Verb::Alter(stated)) => {
                let WithRun { object, run } = &stated.called;
                within.converge(call, KIND, Wanted::Existing, object.object()?, run)
            }
            Some(Verb::Apply { manifest, run }) => within.apply(call, KIND, manifest, run),
            Some(Verb::Get { name, format }) => within.get(call, KIND, name, *format),
            Some(Verb::List { format }) => within.list(call, KIND, *format, COLUMNS, |_| true),
            Some(Verb::Drop { names, run }) => {
                if !run.dry_run {
                    let question = format!("drop tablespace `{}`?", names.join("`, `"));
                    prompt::confirm(&question, call.interactive)?;
                }
                within.drop(call, KIND, names, &Map::new(), run)
            }
        }
    }
}

const COLUMNS: &[Column] = &[
    ("name", |tablespace| show::cell("", &tablespace["name"])),
    ("owner", |tablespace| show::cell("", &tablespace["owner"])),
    ("location", |tablespace| {
        show::cell("", &tablespace["location"])
    }),
    ("size", |tablespace| show::cell("size", &tablespace["size"])),
    ("settings", |tablespace| {
        show::cell("", &tablespace["settings"])
    }),
    ("comment", |tablespace| {
        show::cell("", &tablespace["comment"])
    }),
];
