//! `pgsocle pgconf`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::change::{Format, Run};
use super::object::Within;
use super::{Call, Ended, incomplete, show};
use crate::door::{Session, exit};
use crate::manifest::{InstanceRef, Setting};
use crate::resource::instance::explain::{self, Explained};
use crate::resource::pgconf::{self, PgconfSpec};

#[derive(Args)]
pub struct Command {
    #[command(flatten)]
    within: Within,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Show parameters as the files have them, what ALTER SYSTEM and included files say above postgresql.conf.
    Show {
        /// Those of which nothing is said are shown with their defaults, as comments.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Set parameters.
    Set {
        /// As in `work_mem=16MB`; a value with blanks in it wants the quotes of your shell around the whole.
        #[arg(value_name = "NAME=VALUE", required = true, value_parser = assignment)]
        settings: Vec<(String, String)>,
        #[command(flatten)]
        how: How,
    },
    /// Take parameters away: their defaults come back.
    Remove {
        /// Those of postgresql.conf.
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Open postgresql.conf in an editor ($VISUAL, $EDITOR); what comes out of it is checked before it is taken over.
    Edit {
        #[command(flatten)]
        how: How,
    },
    /// Tell why a parameter has its value: where it stands, what wins over what, and what waits for a restart.
    Explain {
        /// Any parameter that the server knows.
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Args)]
struct How {
    /// Restart the server when, and only when, a setting needs it.
    #[arg(long)]
    restart_on_changes: bool,
    #[command(flatten)]
    run: Run,
}

/// `name=value` or `name = value`; a blank at the end is the value's own (`log_line_prefix = %m `).
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            let spaced = name.ends_with(char::is_whitespace);
            let value = if spaced { value.trim_start() } else { value };
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err(format!("`{text}` is no setting: give NAME=VALUE")),
    }
}

impl Command {
    pub fn run(&self, call: &Call) -> Result<u8, Ended> {
        match &self.verb {
            None => Ok(incomplete(&["pgconf"])),
            Some(Verb::Show { names, format }) => self.show(call, names, *format),
            Some(Verb::Explain { names, format }) => self.explain(call, names, *format),
            Some(Verb::Set { settings, how }) => {
                let session = how.run.open(call)?;
                let mut spec = self.spec(&session, how)?;
                for (name, value) in settings {
                    let value = Setting(Some(value.clone()));
                    if spec.settings.insert(name.to_lowercase(), value).is_some() {
                        return Err(twice(name).into());
                    }
                }
                how.run
                    .carry_out(&session, pgconf::job(spec, &session.site, &session.local)?)
            }
            Some(Verb::Remove { names, how }) => {
                let session = how.run.open(call)?;
                let spec = self.spec(&session, how)?;
                let job = pgconf::removal(spec, names, &session.site, &session.local)?;
                how.run.carry_out(&session, job)
            }
            Some(Verb::Edit { how }) => self.edit(call, how),
        }
    }

    fn spec(&self, session: &Session, how: &How) -> Result<PgconfSpec, Ended> {
        Ok(PgconfSpec {
            instance: Some(InstanceRef::parse(&self.within.resolve(session, None)?)),
            restart_on_changes: how.restart_on_changes.then_some(true),
            ..PgconfSpec::default()
        })
    }

    fn edit(&self, call: &Call, how: &How) -> Result<u8, Ended> {
        let session = how.run.open(call)?;
        let spec = self.spec(&session, how)?;
        let target = pgconf::existing(&spec, &session.site, &session.local)?;
        let base = pgconf::text(&target, &session.local)?;
        let copy = call.edit(&session, "postgresql.conf", &base)?;
        let done = pgconf::edited(
            spec,
            base,
            copy.content.clone(),
            &session.site,
            &session.local,
        )
        .map_err(Ended::from)
        .and_then(|job| how.run.carry_out(&session, job));
        // Nobody types an hour's work twice.
        if done.is_err() || how.run.dry_run {
            show::say([format!("your text is kept in `{}`", copy.keep())]);
        }
        done
    }

    fn show(&self, call: &Call, names: &[String], format: Format) -> Result<u8, Ended> {
        let session = call.look()?;
        let target = self.within.target(&session)?;
        let all = explain::explain(&session.local, &target, names)?;
        show::say(all.iter().filter_map(shadowing));
        let text = || {
            show::lines(all.iter().map(|one| {
                let mark = if one.source.is_none() { "# " } else { "" };
                let value = one.configured.as_deref().unwrap_or_default();
                format!("{mark}{} = {value}", one.name)
            }))
        };
        let values = all
            .iter()
            .map(|one| (one.name.clone(), json!(one.configured)));
        format.show(&Value::Object(values.collect()), text)?;
        Ok(exit::DONE)
    }

    fn explain(&self, call: &Call, names: &[String], format: Format) -> Result<u8, Ended> {
        let session = call.look()?;
        let target = self.within.target(&session)?;
        let all = explain::explain(&session.local, &target, names)?;
        let text = || {
            let told: Vec<String> = all.iter().map(told).collect();
            told.join("\n")
        };
        format.show(&json!(all), text)?;
        Ok(exit::DONE)
    }
}

fn twice(name: &str) -> anyhow::Error {
    crate::fault!(Input, "parameter `{name}` is given twice")
}

/// A value that wins over another one.
fn shadowing(one: &Explained) -> Option<String> {
    let (winner, loser) = (one.source.as_ref()?, one.shadowed.first()?);
    (winner.file != loser.file).then(|| {
        format!(
            "warning: `{}` = `{}` (`{}` line {}) has no effect: `{}` line {} says `{}`",
            one.name, loser.value, loser.file, loser.line, winner.file, winner.line, winner.value
        )
    })
}

/// A parameter, an attribute a line; what there is nothing to say of is left out.
fn told(one: &Explained) -> String {
    let place =
        |place: &explain::Place| format!("`{}` ({} line {})", place.value, place.file, place.line);
    let mut view = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            view.insert(key.to_owned(), value);
        }
    };
    put("name", Some(json!(one.name)));
    put("description", one.description.clone().map(Value::from));
    put(
        "running",
        one.running.as_ref().map(|value| {
            let source = one
                .running_source
                .as_deref()
                .map(|from| format!(" ({from})"));
            json!(format!("`{value}`{}", source.unwrap_or_default()))
        }),
    );
    put(
        "configured",
        Some(json!(match (&one.source, &one.configured) {
            (Some(source), _) => place(source),
            (None, Some(value)) => format!("`{value}` (the default)"),
            (None, None) => "nothing (the default)".to_owned(),
        })),
    );
    let lines = |lines: Vec<String>| {
        (!lines.is_empty()).then(|| Value::Array(lines.into_iter().map(Value::from).collect()))
    };
    put(
        "without effect",
        lines(one.shadowed.iter().map(place).collect()),
    );
    put(
        "sessions",
        lines(one.overrides.iter().map(override_told).collect()),
    );
    put(
        "waits for a restart",
        one.pending_restart.filter(|waits| *waits).map(Value::from),
    );
    put("takes effect by", Some(json!(one.takes_effect)));
    put("type", Some(json!(one.kind)));
    put("unit", one.unit.clone().map(Value::from));
    put(
        "default",
        one.default
            .as_ref()
            .map(|value| json!(format!("`{value}`"))),
    );
    show::object(&view)
}

fn override_told(one: &explain::Override) -> String {
    let who = match (&one.role, &one.database) {
        (Some(role), Some(database)) => format!("role `{role}` in database `{database}`"),
        (Some(role), None) => format!("role `{role}`"),
        (None, Some(database)) => format!("database `{database}`"),
        (None, None) => "all".to_owned(),
    };
    format!("`{}` ({who})", one.value)
}

#[cfg(test)]
mod tests {
    use super::assignment;

    #[test]
    fn blanks_of_an_assignment() {
        for (text, expected) in [
            ("work_mem=8MB", Some(("work_mem", "8MB"))),
            ("work_mem = 8MB", Some(("work_mem", "8MB"))),
            (
                "log_line_prefix=%m [%p] ",
                Some(("log_line_prefix", "%m [%p] ")),
            ),
            ("log_line_prefix = %m ", Some(("log_line_prefix", "%m "))),
            ("x= a", Some(("x", " a"))),
            ("x=", Some(("x", ""))),
            ("x=a=b", Some(("x", "a=b"))),
            (" =1", None),
            ("x", None),
        ] {
            let pair = assignment(text).ok();
            let pair = pair
                .as_ref()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            assert_eq!(pair, expected, "{text}");
        }
    }
}
