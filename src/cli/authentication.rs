//! `pgsocle pghba` and `pgsocle pgident`.

use std::marker::PhantomData;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::change::{Format, Run};
use super::given::{Created, Noun};
use super::object::{Column, Within};
use super::{Call, Ended, develop, incomplete, show};
use crate::door::exit;
use crate::fault;
use crate::manifest::Place;
use crate::pg::hba::Record;
use crate::pg::ident_map::Mapping;
use crate::resource::authentication::info::{Listing, PghbaInfo, shown};
use crate::resource::authentication::{self, Kind};
use crate::resource::expect::Wanted;
use crate::resource::instance::configuration::Text;

/// A record of one of the files, in options.
pub struct Of<T>(PhantomData<T>);

impl<T: Kind> Noun for Of<T> {
    const KIND: &'static str = T::NAME;
}

/// What is asked of either file.
trait Shown: Kind {
    const COLUMNS: &'static [Column];
}

impl Shown for Record {
    const COLUMNS: &'static [Column] = &[
        ("line", place),
        ("type", |record| show::cell("", &record["type"])),
        ("database", |record| show::cell("", &record["databases"])),
        ("user", |record| show::cell("", &record["users"])),
        ("address", |record| {
            let parts = [&record["address"], &record["netmask"]];
            let parts: Vec<&str> = parts.into_iter().filter_map(Value::as_str).collect();
            parts.join(" ")
        }),
        ("method", |record| show::cell("", &record["method"])),
        ("options", |record| {
            let options = record["options"].as_object().into_iter().flatten();
            let option = |(name, value): (&String, &Value)| {
                format!("{name}={}", value.as_str().unwrap_or_default())
            };
            options.map(option).collect::<Vec<_>>().join(" ")
        }),
    ];
}

impl Shown for Mapping {
    const COLUMNS: &'static [Column] = &[
        ("line", place),
        ("map", |mapping| show::cell("", &mapping["map"])),
        ("system user", |mapping| {
            show::cell("", &mapping["system_user"])
        }),
        ("role", |mapping| show::cell("", &mapping["role"])),
    ];
}

/// `pg_hba.conf:12`
fn place(listed: &Value) -> String {
    let file = listed["file"].as_str().unwrap_or_default();
    let name = file.rsplit('/').next().unwrap_or_default();
    format!("{name}:{}", listed["line"])
}

#[derive(Args)]
pub struct Pghba {
    #[command(flatten)]
    within: Within,
    /// Print the JSON schema of a record and nothing else.
    #[arg(long)]
    schema: bool,
    #[command(subcommand)]
    verb: Option<HbaVerb>,
}

#[derive(Subcommand)]
enum HbaVerb {
    /// Add a record, or move it to its place.
    Add(HbaOne),
    /// Remove a record.
    Remove(HbaOne),
    /// Edit the file.
    Edit {
        #[command(flatten)]
        run: Run,
    },
    /// Show the records, as the server tries them.
    Show {
        #[command(flatten)]
        format: Format,
    },
    /// Tell which record decides on a connection, and why those above it do not.
    Explain(Explain),
}

#[derive(Args)]
struct HbaOne {
    #[command(flatten)]
    record: Created<Of<Record>>,
    /// An option of the method (repeatable).
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,
    #[command(flatten)]
    run: Run,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("give NAME=VALUE".to_owned()),
    }
}

#[derive(Args)]
struct Explain {
    /// Role that connects.
    #[arg(long)]
    user: String,
    /// Database that it connects to; that of the role's name unless given.
    #[arg(long)]
    database: Option<String>,
    /// IP address of the client, or `local` for the Unix-domain socket.
    #[arg(long, default_value = "local")]
    address: String,
    /// The connection is encrypted by SSL.
    #[arg(long, conflicts_with = "gss")]
    ssl: bool,
    /// The connection is encrypted by GSSAPI.
    #[arg(long)]
    gss: bool,
    /// The connection is for physical replication, to no database.
    #[arg(long)]
    replication: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
pub struct Pgident {
    #[command(flatten)]
    within: Within,
    /// Print the JSON schema of a mapping and nothing else.
    #[arg(long)]
    schema: bool,
    #[command(subcommand)]
    verb: Option<IdentVerb>,
}

#[derive(Subcommand)]
enum IdentVerb {
    /// Add a mapping, or move it to its place.
    Add {
        #[command(flatten)]
        mapping: Created<Of<Mapping>>,
        #[command(flatten)]
        run: Run,
    },
    /// Remove a mapping.
    Remove {
        #[command(flatten)]
        mapping: Created<Of<Mapping>>,
        #[command(flatten)]
        run: Run,
    },
    /// Edit the file.
    Edit {
        #[command(flatten)]
        run: Run,
    },
    /// Show the mappings, as the server tries them.
    Show {
        #[command(flatten)]
        format: Format,
    },
}

impl Pghba {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        let within = &self.within;
        match &self.verb {
            _ if self.schema => develop::schema(Record::NAME),
            None => Ok(incomplete(&[Record::NAME])),
            Some(HbaVerb::Add(one)) => {
                within.converge(call, Record::NAME, Wanted::Either, one.object()?, &one.run)
            }
            Some(HbaVerb::Remove(one)) => {
                let object = absent(one.object()?);
                within.converge(call, Record::NAME, Wanted::Either, object, &one.run)
            }
            Some(HbaVerb::Edit { run }) => edit::<Record>(within, call, run),
            Some(HbaVerb::Show { format }) => list::<Record>(within, call, *format),
            Some(HbaVerb::Explain(explain)) => explain.run(within, call),
        }
    }
}

impl HbaOne {
    fn object(&self) -> Result<Map<String, Value>> {
        let mut object = self.record.object()?;
        if !self.options.is_empty() {
            let options = self.options.iter();
            let options = options.map(|(name, value)| (name.clone(), value.as_str().into()));
            object.insert("options".into(), Value::Object(options.collect()));
        }
        Ok(object)
    }
}

impl Pgident {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        let within = &self.within;
        match &self.verb {
            _ if self.schema => develop::schema(Mapping::NAME),
            None => Ok(incomplete(&[Mapping::NAME])),
            Some(IdentVerb::Add { mapping, run }) => {
                within.converge(call, Mapping::NAME, Wanted::Either, mapping.object()?, run)
            }
            Some(IdentVerb::Remove { mapping, run }) => {
                let object = absent(mapping.object()?);
                within.converge(call, Mapping::NAME, Wanted::Either, object, run)
            }
            Some(IdentVerb::Edit { run }) => edit::<Mapping>(within, call, run),
            Some(IdentVerb::Show { format }) => list::<Mapping>(within, call, *format),
        }
    }
}

fn absent(mut object: Map<String, Value>) -> Map<String, Value> {
    object.insert("state".into(), "absent".into());
    object
}

/// The file in the caller's editor; what comes back goes the way of every other change.
fn edit<T: Kind>(within: &Within, call: &Call, run: &Run) -> Result<u8, Ended> {
    let session = run.open(call)?;
    let target = within.target(&session)?;
    let base = authentication::current::<T>(&target, &session.local)?;
    let copy = call.edit(&session, T::FILE, &base)?;
    let place = Place {
        instance: Some(within.reference(&session)?),
        ..Place::default()
    };
    let (site, look) = (&session.site, &session.local);
    let content = copy.content.clone();
    let done = authentication::edit_job::<T>(&place, Text { base, content }, site, look)
        .map_err(Ended::from)
        .and_then(|job| run.carry_out(&session, job));
    if done.is_err() || run.dry_run {
        show::say([format!("your text is kept in `{}`", copy.keep())]);
    }
    done
}

fn list<T: Shown>(within: &Within, call: &Call, format: Format) -> Result<u8, Ended> {
    let session = call.look()?;
    let listing = Listing::<T>::observe(&within.target(&session)?, &session.local)?;
    let records = shown(&listing);
    show::say(warnings(listing.warnings()));
    let text = || {
        let titles: Vec<&str> = T::COLUMNS.iter().map(|(title, _)| *title).collect();
        let rows = records.as_array().into_iter().flatten();
        let rows = rows.filter(|record| record["error"].is_null());
        let rows: Vec<Vec<String>> = rows
            .map(|record| T::COLUMNS.iter().map(|(_, cell)| cell(record)).collect())
            .collect();
        show::table(&titles, &rows)
    };
    format.show(&records, text)?;
    Ok(exit::DONE)
}

fn warnings(warnings: Vec<String>) -> impl Iterator<Item = String> {
    warnings
        .into_iter()
        .map(|warning| format!("warning: {warning}"))
}

impl Explain {
    fn run(&self, within: &Within, call: &Call) -> Result<u8, Ended> {
        let session = call.look()?;
        let question = PghbaInfo {
            instance: None,
            user: Some(self.user.clone()),
            database: self.database.clone(),
            address: self.address.clone(),
            ssl: self.ssl,
            gss: self.gss,
            replication: self.replication,
        };
        let answer = question.answer(&within.target(&session)?, &session.local)?;
        let said = answer["warnings"].as_array().into_iter().flatten();
        let said = said.filter_map(|warning| warning.as_str().map(str::to_owned));
        show::say(warnings(said.collect()));
        let explanation = answer
            .get("explanation")
            .ok_or_else(|| fault!(Input, "no connection to explain"))?;
        self.format.show(explanation, || told(explanation))?;
        Ok(exit::DONE)
    }
}

/// The explanation for people: each record that was tried, and what came of it.
fn told(explanation: &Value) -> String {
    let mut lines = Vec::new();
    for record in explanation["tried"].as_array().into_iter().flatten() {
        let words = record["text"].as_str().unwrap_or_default();
        let words: Vec<&str> = words.split_whitespace().collect();
        lines.push(format!("{}: {}", place(record), words.join(" ")));
        let why = record["why"].as_str().unwrap_or_default();
        lines.push(match record["matches"].as_bool() {
            Some(true) => "    decides".to_owned(),
            Some(false) => format!("    no: {why}"),
            None => format!("    perhaps: not known {why}"),
        });
    }
    let method = explanation["method"].as_str().unwrap_or_default();
    let sure = explanation["certain"] == Value::Bool(true);
    let method = if explanation["decides"].is_null() {
        format!("{method}: no record is for this connection")
    } else {
        method.to_owned()
    };
    lines.push(if sure {
        method
    } else {
        format!("{method}, unless a record that is not known about decides before")
    });
    show::lines(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_explanation() {
        let tried = json!([
            { "file": "/d/pg_hba.conf", "line": 4, "text": "local   all  all\tpeer", "matches": false, "why": "it is for local connections" },
            { "file": "/d/x", "line": 5, "text": "host all all h md5", "matches": null, "why": "whether the name fits" },
            { "file": "/d/x", "line": 6, "text": "host all all all md5", "matches": true, "why": null },
        ]);
        let explanation =
            json!({ "method": "md5", "certain": false, "decides": {}, "tried": tried });
        assert_eq!(
            told(&explanation),
            "pg_hba.conf:4: local all all peer\n    no: it is for local connections\nx:5: host all all h md5\n    \
             perhaps: not known whether the name fits\nx:6: host all all all md5\n    decides\nmd5, unless a record that is not \
             known about decides before\n"
        );
        let none =
            json!({ "method": "implicit reject", "certain": true, "decides": null, "tried": [] });
        assert_eq!(
            told(&none),
            "implicit reject: no record is for this connection\n"
        );
    }
}
