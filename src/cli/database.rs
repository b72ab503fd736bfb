//! `pgsocle database`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::change::{Format, Run};
use super::given::{Altered, Created, Noun, Stated, WithRun};
use super::manifest::Manifest;
use super::object::{Column, Within};
use super::{Call, Ended, develop, dump, incomplete, prompt, show};
use crate::resource::expect::Wanted;

const KIND: &str = "database";

struct Database;

impl Noun for Database {
    const KIND: &'static str = KIND;
}

#[derive(Args)]
pub struct Command {
    #[command(flatten)]
    within: Within,
    /// Print the JSON schema of a database and nothing else.
    #[arg(long)]
    schema: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a database.
    Create(Stated<Created<Database>>),
    /// Change an existing database: what is not given stays.
    Alter(Stated<Altered<Database>>),
    /// Bring a database to what a manifest says.
    Apply {
        #[command(flatten)]
        manifest: Manifest,
        #[command(flatten)]
        run: Run,
    },
    /// Show a database.
    Get {
        name: String,
        #[command(flatten)]
        format: Format,
    },
    /// Show the databases that accept connections.
    List {
        /// Only these databases; all unless given.
        #[arg(value_name = "DBNAME")]
        names: Vec<String>,
        /// Leave this database out (repeatable).
        #[arg(short = 'x', long, value_name = "DBNAME")]
        exclude_database: Vec<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Drop databases.
    Drop(Drop),
    /// Dump a database with the commands of the site settings.
    Dump(dump::Take),
    /// List the dumps, the newest first.
    Dumps(dump::List),
    /// Bring a dump back.
    Restore(dump::Restore),
}

#[derive(Args)]
struct Drop {
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// End the sessions that use the database.
    #[arg(long, overrides_with = "no_force")]
    force: bool,
    /// The contrary of `--force`.
    #[arg(long, overrides_with = "force", hide = true)]
    no_force: bool,
    /// Set the database aside under another name instead of dropping it.
    #[arg(long)]
    keep_data: bool,
    /// Start a stopped instance for the time of this run, and stop it again.
    #[arg(long)]
    start_temporarily: bool,
    #[command(flatten)]
    run: Run,
}

impl Command {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        let within = &self.within;
        match &self.verb {
            _ if self.schema => develop::schema(KIND),
            None => Ok(incomplete(&["database"])),
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
            Some(Verb::List {
                names,
                exclude_database,
                format,
            }) => within.list(call, KIND, *format, COLUMNS, |name| {
                (names.is_empty() || names.iter().any(|other| other == name))
                    && !exclude_database.iter().any(|other| other == name)
            }),
            Some(Verb::Dump(dump)) => dump.run(call, within),
            Some(Verb::Dumps(dumps)) => dumps.run(call, within),
            Some(Verb::Restore(restore)) => restore.run(call, within),
            Some(Verb::Drop(drop)) => {
                let names = drop.names.join("`, `");
                if !drop.run.dry_run {
                    let data = if drop.keep_data {
                        "and set its data aside"
                    } else {
                        "with all data in it"
                    };
                    let question = format!("drop database `{names}` {data}?");
                    prompt::confirm(&question, call.interactive)?;
                }
                within.drop(call, KIND, &drop.names, &drop.options(), &drop.run)
            }
        }
    }
}

impl Drop {
    fn options(&self) -> Map<String, Value> {
        Map::from_iter([
            ("force_drop".to_owned(), self.force.into()),
            ("keep_data".to_owned(), self.keep_data.into()),
            (
                "start_temporarily".to_owned(),
                self.start_temporarily.into(),
            ),
        ])
    }
}

const COLUMNS: &[Column] = &[
    ("name", |database| show::cell("", &database["name"])),
    ("owner", |database| show::cell("", &database["owner"])),
    ("encoding", |database| show::cell("", &database["encoding"])),
    ("collation", |database| {
        show::cell("", &database["collation"])
    }),
    ("ctype", |database| show::cell("", &database["ctype"])),
    ("size", |database| show::cell("size", &database["size"])),
    ("tablespace", |database| {
        show::cell("", &database["tablespace"]["name"])
    }),
    ("acls", |database| show::cell("", &database["acls"])),
    ("description", |database| {
        show::cell("", &database["description"])
    }),
];
