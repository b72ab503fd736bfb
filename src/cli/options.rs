//! The options of `create` and `alter`, made from the fields of a resource.
//!
//! | Field | Option |
//! |---|---|
//! | `a.b` | `--a-b` |
//! | boolean | `--x` and `--no-x` |
//! | list | repeatable `--x` (`x-create` names it); on `alter` the two of `x-alter` |
//! | secret | `--x [VALUE]`; without a value it is asked for twice, unseen |
//! | `name` | the argument; on `alter`, `[VERSION/]NAME` where there is a field `version` beside it |
//!
//! There are no options for what `x-hidden` keeps from the command line, for what an option cannot say (maps, lists
//! of objects without a short form) and for `instance`, which belongs to the group of commands. `alter` has none for
//! what is chosen at creation.

use anyhow::Result;
use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Map, Value, json};

use crate::bail_fault;
use crate::manifest::InstanceRef;
use crate::schema::{Field, Kind};

/// What `x-hidden` calls this door.
const DOOR: &str = "cli";

/// The command that the options are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Create,
    Alter,
}

impl Verb {
    /// What `x-hidden` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Alter => "alter",
        }
    }
}

/// The arguments for the fields of a resource, the positional one first.
pub fn arguments(fields: &[Field], verb: Verb) -> Vec<Arg> {
    leaves(fields, verb)
        .iter()
        .flat_map(|leaf| leaf.arguments(verb))
        .collect()
}

/// The object that was asked for: what was not given is not in it. `ask` reads a secret from the terminal, given
/// what to ask for.
///
/// Fails with `Input` when the two entries of a secret differ or are empty, and as `ask` does.
pub fn collect(
    matches: &ArgMatches,
    fields: &[Field],
    verb: Verb,
    ask: &mut dyn FnMut(&str) -> Result<String>,
) -> Result<Value> {
    let mut object = Map::new();
    for leaf in leaves(fields, verb) {
        if leaf.is_reference(verb) {
            if let Some(text) = matches.get_one::<String>(&leaf.option) {
                let reference = InstanceRef::parse(text);
                put(
                    &mut object,
                    &["version"],
                    reference.version.map(Value::from),
                );
                put(&mut object, &["name"], reference.name.map(Value::from));
            }
        } else {
            let value = leaf.value(matches, verb, ask)?;
            put(&mut object, &leaf.path, value);
        }
    }
    Ok(Value::Object(object))
}

fn put(object: &mut Map<String, Value>, path: &[&str], value: Option<Value>) {
    let (Some(value), Some((last, parents))) = (value, path.split_last()) else {
        return;
    };
    let mut place = object;
    for key in parents {
        let inner = place
            .entry(*key)
            .or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(inner) = inner else { return };
        place = inner;
    }
    place.insert((*last).to_owned(), value);
}

/// A field that options can speak of.
struct Leaf<'f> {
    field: &'f Field,
    required: bool,
    path: Vec<&'f str>,
    /// Its option, which also identifies it.
    option: String,
    /// There is a field `version` beside a `name`: both together address the object.
    versioned: bool,
}

fn leaves(fields: &[Field], verb: Verb) -> Vec<Leaf<'_>> {
    let mut all = Vec::new();
    descend(fields, verb, &[], true, &mut all);
    all.sort_by_key(|leaf| !leaf.is_positional());
    all
}

/// `needed`: what is above is required too, so that what is required below it is.
fn descend<'f>(
    fields: &'f [Field],
    verb: Verb,
    above: &[&'f str],
    needed: bool,
    all: &mut Vec<Leaf<'f>>,
) {
    for field in fields {
        let positional = above.is_empty() && field.name == "name";
        let skipped = field.hidden_from(DOOR)
            || field.hidden_from(verb.name())
            || field.unsupported
            || above.is_empty() && field.name == "instance"
            || verb == Verb::Alter && field.create_only && !positional;
        if skipped {
            continue;
        }
        let path = [above, &[field.name.as_str()]].concat();
        match &field.kind {
            Kind::Object(inner) => descend(inner, verb, &path, needed && field.required, all),
            Kind::Map | Kind::Either(_) | Kind::Any => {}
            Kind::List(item) if field.short.is_none() && !is_scalar(item) => {}
            _ => {
                let option = match (&field.create, verb) {
                    (Some(create), Verb::Create) => create.clone(),
                    _ => path.join("-").replace('_', "-"),
                };
                let versioned = positional && fields.iter().any(|other| other.name == "version");
                all.push(Leaf {
                    field,
                    path,
                    option,
                    versioned,
                    required: needed && field.required,
                });
            }
        }
    }
}

fn is_scalar(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::Map | Kind::List(_) | Kind::Object(_) | Kind::Either(_) | Kind::Any
    )
}

impl Leaf<'_> {
    fn is_positional(&self) -> bool {
        self.path == ["name"]
    }

    fn is_reference(&self, verb: Verb) -> bool {
        self.versioned && verb == Verb::Alter
    }

    fn negative(&self) -> String {
        format!("no-{}", self.option)
    }

    fn arguments(&self, verb: Verb) -> Vec<Arg> {
        let help = self.field.summary().to_owned();
        if self.is_positional() {
            let argument = Arg::new(self.option.clone());
            let argument = if self.is_reference(verb) {
                let help = "The instance; may be left out when there is only one";
                argument
                    .value_name("[VERSION/]NAME")
                    .value_parser(reference)
                    .help(help)
            } else {
                argument.value_name("NAME").help(help)
            };
            // What has a major version has a default name too (`instance_default_name`).
            return vec![argument.required(self.required && !self.versioned)];
        }
        match &self.field.kind {
            Kind::Bool => self.flags(help),
            Kind::List(item) => self.lists(item, &help, verb),
            kind => {
                let argument = typed(option(&self.option).help(help), kind, &self.field.name);
                vec![if self.required && verb == Verb::Create {
                    argument.required(true)
                } else {
                    argument
                }]
            }
        }
    }

    /// The one that is the default is accepted, but not shown.
    fn flags(&self, help: String) -> Vec<Arg> {
        let (yes, no) = (self.option.clone(), self.negative());
        let default = self.field.default.as_ref().and_then(Value::as_bool);
        let contrary = format!("The contrary of `--{yes}`");
        vec![
            option(&yes)
                .action(ArgAction::SetTrue)
                .overrides_with(no.clone())
                .hide(default == Some(true))
                .help(help),
            option(&no)
                .action(ArgAction::SetTrue)
                .overrides_with(yes)
                .hide(default == Some(false))
                .help(contrary),
        ]
    }

    fn lists(&self, item: &Kind, help: &str, verb: Verb) -> Vec<Arg> {
        // What becomes of those not listed is said after a semicolon, and is no matter here.
        let help = help.split(';').next().unwrap_or_default();
        let one = |name: &str, help: String| {
            let argument = option(name).help(help).value_name("NAME");
            let argument = if is_scalar(item) {
                typed(argument, item, &self.field.name)
            } else {
                argument
            };
            argument.action(ArgAction::Append)
        };
        match (&self.field.alter, verb) {
            (Some((add, remove)), Verb::Alter) => vec![
                one(add, format!("{help}: add one (repeatable)")),
                one(remove, format!("{help}: take one away (repeatable)")),
            ],
            _ => vec![one(&self.option, format!("{help} (repeatable)"))],
        }
    }

    fn value(
        &self,
        matches: &ArgMatches,
        verb: Verb,
        ask: &mut dyn FnMut(&str) -> Result<String>,
    ) -> Result<Option<Value>> {
        let id = self.option.as_str();
        Ok(match &self.field.kind {
            Kind::Bool if matches.get_flag(id) => Some(true.into()),
            Kind::Bool => matches.get_flag(&self.negative()).then(|| false.into()),
            Kind::Integer { .. } => matches.get_one::<i64>(id).map(|&number| number.into()),
            Kind::Number => matches.get_one::<f64>(id).map(|&number| number.into()),
            Kind::Secret => match matches.get_one::<String>(id) {
                Some(given) => Some(given.as_str().into()),
                None if matches.contains_id(id) => Some(asked(&self.option, ask)?),
                None => None,
            },
            Kind::List(item) => self.items(matches, item, verb),
            _ => matches
                .get_one::<String>(id)
                .map(|text| text.as_str().into()),
        })
    }

    fn items(&self, matches: &ArgMatches, item: &Kind, verb: Verb) -> Option<Value> {
        let (mut all, key) = (Vec::new(), self.field.short.as_deref());
        match (&self.field.alter, verb) {
            (Some((add, remove)), Verb::Alter) => {
                all.extend(given(matches, add, item));
                let gone = given(matches, remove, item);
                all.extend(
                    gone.into_iter()
                        .map(|name| json!({ key.unwrap_or("name"): name, "state": "absent" })),
                );
            }
            _ => all.extend(given(matches, &self.option, item)),
        }
        (!all.is_empty()).then_some(Value::Array(all))
    }
}

/// The values of a repeatable option.
fn given(matches: &ArgMatches, id: &str, item: &Kind) -> Vec<Value> {
    match item {
        Kind::Integer { .. } => matches
            .get_many::<i64>(id)
            .into_iter()
            .flatten()
            .map(|&value| value.into())
            .collect(),
        Kind::Number => matches
            .get_many::<f64>(id)
            .into_iter()
            .flatten()
            .map(|&value| value.into())
            .collect(),
        _ => matches
            .get_many::<String>(id)
            .into_iter()
            .flatten()
            .map(|value| value.as_str().into())
            .collect(),
    }
}

fn option(name: &str) -> Arg {
    Arg::new(name.to_owned()).long(name.to_owned())
}

/// What an option takes, by kind. `name` is the field's; `--state` has commands of its own for some of its values.
fn typed(argument: Arg, kind: &Kind, name: &str) -> Arg {
    match kind {
        Kind::Integer { min, max } => argument
            .value_name("NUMBER")
            .allow_negative_numbers(true)
            .value_parser(integer(*min, *max)),
        Kind::Number => argument
            .value_name("NUMBER")
            .allow_negative_numbers(true)
            .value_parser(number),
        Kind::Choice(choices) => {
            let elsewhere = ["absent", "forgotten", "restarted", "reloaded"];
            let own = argument.get_id() == "state";
            let shown = choices
                .iter()
                .filter(|choice| !own || !elsewhere.contains(&choice.as_str()));
            argument
                .value_name(name.to_uppercase())
                .value_parser(PossibleValuesParser::new(shown.cloned()))
        }
        Kind::Secret => argument.value_name("VALUE").num_args(0..=1),
        _ => argument.value_name(name.to_uppercase()),
    }
}

fn integer(min: Option<i64>, max: Option<i64>) -> ValueParser {
    ValueParser::from(move |text: &str| -> Result<i64, String> {
        let number: i64 = text
            .parse()
            .map_err(|_| format!("`{text}` is not a whole number"))?;
        match (min, max) {
            (Some(min), Some(max)) if !(min..=max).contains(&number) => {
                Err(format!("{number} is not from {min} to {max}"))
            }
            (Some(min), _) if number < min => Err(format!("{number} is less than {min}")),
            (_, Some(max)) if number > max => Err(format!("{number} is more than {max}")),
            _ => Ok(number),
        }
    })
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| format!("`{text}` is not a number"))
}

fn reference(text: &str) -> Result<String, String> {
    if text.is_empty() || text.matches('/').count() > 1 || text.split('/').any(str::is_empty) {
        return Err(format!(
            "`{text}` is no instance: give NAME or VERSION/NAME"
        ));
    }
    Ok(text.to_owned())
}

/// A secret from the terminal, typed twice.
fn asked(option: &str, ask: &mut dyn FnMut(&str) -> Result<String>) -> Result<Value> {
    let what = option.replace('-', " ");
    let first = ask(&what)?;
    if first.is_empty() {
        bail_fault!(Input, "`--{option}`: nothing was entered");
    }
    if first != ask(&format!("{what}, again"))? {
        bail_fault!(Input, "`--{option}`: the two entries differ");
    }
    Ok(first.into())
}

#[cfg(test)]
mod tests;
