//! Configuration parameters (GUC: Grand Unified Configuration) and what their values mean, so that
//! `1GB` and `1048576kB` are no difference and a wrong value is refused before the server sees it.
//!
//! After `src/backend/utils/misc/guc.c`; documentation, section 20.1.1.

mod known;
mod list;
mod number;

use anyhow::Result;
use serde::Deserialize;

use super::version::Major;
use crate::{bail_fault, fault};

pub use list::{is_list, merge_list, split_list};
pub use number::{is_memory_percent, memory_percent, with_unit};

/// What is known of a parameter, from `pg_settings` or `postgres --describe-config`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Guc {
    pub name: String,
    pub vartype: VarType,
    /// The unit of a number given without one, as in `pg_settings`: `B`, `kB`, `8kB`, `MB`, `ms`, `s`, `min`.
    pub unit: Option<String>,
    pub context: Context,
    /// The values of an enum; empty when they are not known.
    pub enumvals: Vec<String>,
    /// Smallest allowed value, in `unit`.
    #[serde(default)]
    pub min: Option<f64>,
    /// Largest allowed value, in `unit`.
    #[serde(default)]
    pub max: Option<f64>,
    /// The built-in default; none when it is not known.
    pub boot: Option<String>,
}

/// Type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VarType {
    Bool,
    Integer,
    Real,
    String,
    Enum,
}

impl VarType {
    /// From `pg_settings.vartype` or the same in capitals, as `--describe-config` has it.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "bool" | "boolean" => Self::Bool,
            "integer" => Self::Integer,
            "real" => Self::Real,
            "string" => Self::String,
            "enum" => Self::Enum,
            _ => return None,
        })
    }
}

impl VarType {
    /// As in `pg_settings.vartype`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Integer => "integer",
            Self::Real => "real",
            Self::String => "string",
            Self::Enum => "enum",
        }
    }
}

/// When a parameter can be changed (documentation of the view `pg_settings`), the most restricted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Context {
    /// Never.
    Internal,
    /// When the server starts.
    Postmaster,
    /// By a reload.
    Sighup,
    /// When a session of a superuser starts.
    SuperuserBackend,
    /// When a session starts.
    Backend,
    /// Any time, by a superuser.
    Superuser,
    /// Any time, by anyone.
    User,
}

impl Context {
    /// From `pg_settings.context`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "internal" => Self::Internal,
            "postmaster" => Self::Postmaster,
            "sighup" => Self::Sighup,
            "superuser-backend" => Self::SuperuserBackend,
            "backend" => Self::Backend,
            "superuser" => Self::Superuser,
            "user" => Self::User,
            _ => return None,
        })
    }
}

/// Whether two texts mean the same value of the parameter. Texts that are no values of it are the same
/// only when they are equal.
pub fn same_value(guc: &Guc, one: &str, other: &str) -> bool {
    one == other
        || match guc.vartype {
            VarType::Bool => both(parse_bool(one), parse_bool(other)),
            VarType::Integer | VarType::Real => {
                let value = |text| number::parse(guc, text).ok();
                both(value(one), value(other))
            }
            VarType::Enum => canonical_enum(guc, one) == canonical_enum(guc, other),
            VarType::String => list::same(&guc.name, one, other),
        }
}

/// The value as SHOW gives it: numbers in the largest unit that leaves them whole, words in their usual spelling. What is
/// no value of the parameter stays as it is.
pub fn shown(guc: &Guc, value: &str) -> String {
    match guc.vartype {
        VarType::Bool => match parse_bool(value) {
            Some(true) => "on".to_owned(),
            Some(false) => "off".to_owned(),
            None => value.to_owned(),
        },
        VarType::Integer | VarType::Real => number::parse(guc, value)
            .map_or_else(|_| value.to_owned(), |value| number::shown(guc, value)),
        VarType::Enum => canonical_enum(guc, value),
        VarType::String => value.to_owned(),
    }
}

fn both<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one == other)
}

/// Whether the server would take the value; what only the server can judge (a library that is not
/// there, two parameters that contradict each other) is not looked at.
pub fn check(guc: &Guc, value: &str) -> Result<()> {
    let name = &guc.name;
    match guc.vartype {
        VarType::Bool => {
            if parse_bool(value).is_none() {
                bail_fault!(Input, "invalid value `{value}` for parameter `{name}`"; "give `on` or `off`");
            }
        }
        VarType::Integer | VarType::Real => {
            let number = number::parse(guc, value).map_err(|problem| {
                let hint = number::hint(guc, problem);
                fault!(Input, "invalid value `{value}` for parameter `{name}`"; "{hint}")
            })?;
            let (min, max) = (
                guc.min.unwrap_or(f64::NEG_INFINITY),
                guc.max.unwrap_or(f64::INFINITY),
            );
            if !(min..=max).contains(&number) {
                let unit = guc
                    .unit
                    .as_deref()
                    .map(|unit| format!(", in units of {unit}"))
                    .unwrap_or_default();
                bail_fault!(Input, "value `{value}` is outside the valid range of parameter `{name}`";
                    "give a number from {min} to {max}{unit}");
            }
        }
        VarType::Enum => {
            let wanted = canonical_enum(guc, value);
            let known = |known: &String| known.eq_ignore_ascii_case(&wanted);
            if !guc.enumvals.is_empty()
                && !guc.enumvals.iter().any(known)
                && !known::is_hidden_value(&guc.name, &wanted)
            {
                let hint = enum_hint(&guc.enumvals, &wanted);
                bail_fault!(Input, "invalid value `{value}` for parameter `{name}`"; "{hint}");
            }
        }
        VarType::String => {}
    }
    Ok(())
}

/// Whether a running server of this major is sure to take a value that has passed [`check`] with what the server itself says
/// of the parameter: its type, its range and its words are all that is asked for. In doubt it is not: of strings, of
/// parameters with a check of their own in the server's code, of libraries and of majors that are not known here, and of
/// unusual spellings.
pub fn is_settled(guc: &Guc, value: &str, major: Major) -> bool {
    let plain_number = || {
        let digits = value.strip_prefix('-').unwrap_or(value);
        let unit = digits.trim_start_matches(|c: char| c.is_ascii_digit());
        let length = digits.len() - unit.len();
        (1..=9).contains(&length)
            && (length == 1 || !digits.starts_with('0'))
            && unit.chars().all(|c| c.is_ascii_alphabetic())
    };
    major <= Major::NEWEST_KNOWN
        && !guc.name.contains('.')
        && !known::has_own_check(&guc.name)
        && match guc.vartype {
            VarType::Bool => parse_bool(value).is_some(),
            VarType::Integer | VarType::Real => plain_number(),
            VarType::Enum => guc
                .enumvals
                .iter()
                .any(|word| word.eq_ignore_ascii_case(value)),
            VarType::String => false,
        }
}

fn enum_hint(values: &[String], wanted: &str) -> String {
    let near = values
        .iter()
        .map(|value| {
            (
                strsim::damerau_levenshtein(&value.to_ascii_lowercase(), wanted),
                value,
            )
        })
        .min()
        .filter(|(distance, value)| *distance <= 2 && *distance < value.len());
    if let Some((_, near)) = near {
        format!("did you mean `{near}`?")
    } else {
        let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        format!("give one of {}", values.join(", "))
    }
}

/// Whether a value of a boolean parameter means yes.
pub fn is_true(text: &str) -> bool {
    parse_bool(text) == Some(true)
}

/// Any unambiguous beginning of the words will do (`parse_bool_with_len` in `src/backend/utils/adt/bool.c`).
fn parse_bool(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    match text.as_str() {
        "" | "o" => None,
        "1" | "on" => Some(true),
        "0" | "of" | "off" => Some(false),
        text if "true".starts_with(text) || "yes".starts_with(text) => Some(true),
        text if "false".starts_with(text) || "no".starts_with(text) => Some(false),
        _ => None,
    }
}

/// Lower case, and the synonyms which the tables of `guc_tables.c` mark as hidden replaced.
fn canonical_enum(guc: &Guc, value: &str) -> String {
    let has = |wanted: &str| guc.enumvals.iter().any(|value| value == wanted);
    let value = value.to_ascii_lowercase();
    let value = match value.as_str() {
        "true" | "yes" | "1" if has("on") && has("off") => "on",
        "false" | "no" | "0" if has("on") && has("off") => "off",
        "debug" if has("debug2") => "debug2",
        "archive" | "hot_standby" if guc.name == "wal_level" => "replica",
        _ => value.as_str(),
    };
    match value {
        "on" if guc.name == "wal_compression" => "pglz",
        _ => value,
    }
    .to_owned()
}

/// Reads what `postgres --describe-config` prints (`src/backend/utils/misc/help_config.c`): one parameter
/// a line, its fields separated by tabs. Parameters that have no place in `postgresql.conf.sample` are
/// not among them. Lines of another form are passed over.
///
/// Units and values of enums are not printed: they are those of the standard parameters of PostgreSQL 13
/// to 19 with 8 kB blocks. Of the defaults only those of strings and enums are right, as the program
/// prints them before it gave the others their value.
pub fn parse_describe_config(text: &str) -> Vec<Guc> {
    text.lines().filter_map(describe_line).collect()
}

fn describe_line(line: &str) -> Option<Guc> {
    let mut fields = line.split('\t');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let context = Context::from_name(fields.next()?)?;
    let _group = fields.next()?;
    let vartype = VarType::from_name(fields.next()?)?;
    let boot = fields.next()?;
    let mut bound = || fields.next()?.parse().ok();
    let numeric = matches!(vartype, VarType::Integer | VarType::Real);
    Some(Guc {
        name: name.to_owned(),
        vartype,
        unit: numeric
            .then(|| known::unit(name))
            .flatten()
            .map(str::to_owned),
        context,
        enumvals: match vartype {
            VarType::Enum => known::enum_values(name)
                .iter()
                .map(|value| (*value).to_owned())
                .collect(),
            _ => Vec::new(),
        },
        min: bound(),
        max: bound(),
        boot: matches!(vartype, VarType::String | VarType::Enum).then(|| boot.to_owned()),
    })
}

#[cfg(test)]
mod tests;
