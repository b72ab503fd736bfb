//! Completion of command lines by shells.
//!
//! The scripts know nothing: they ask `pgsocle dev complete` what may come next, so that they are right whatever the
//! version of the program, and instances are those of the moment.

use clap::{Arg, Args, ValueEnum};

use super::{Call, Ended, show};
use crate::door::exit;
use crate::facts;

/// A shell that can complete.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Args)]
pub struct Completion {
    /// The shell.
    shell: Shell,
}

impl Completion {
    pub fn run(&self) -> Result<u8, Ended> {
        script(self.shell)
    }
}

/// Prints the script of a shell.
pub fn script(shell: Shell) -> Result<u8, Ended> {
    show::print(match shell {
        Shell::Bash => include_str!("../templates/completion/pgsocle.bash"),
        Shell::Zsh => include_str!("../templates/completion/_pgsocle"),
        Shell::Fish => include_str!("../templates/completion/pgsocle.fish"),
    })?;
    Ok(exit::DONE)
}

/// What may stand in a place, with a word on it.
type Candidate = (String, String);

/// Prints what may come in place of the last word, a line each: the candidate, a tab, and a word on it. A command line that
/// is wrong already has no candidates, and neither has a site that cannot be read.
pub fn complete(call: &Call, command: &clap::Command, words: &[String]) -> Result<u8, Ended> {
    let found = candidates(command, words, &|| instances(call).unwrap_or_default());
    show::print(&show::lines(
        found.iter().map(|(word, help)| format!("{word}\t{help}")),
    ))?;
    Ok(exit::DONE)
}

/// Names and versions of the instances, with their ports.
fn instances(call: &Call) -> Result<Vec<[String; 3]>, Ended> {
    let session = call.open(false)?;
    let all = facts::instances(&session.site, &session.local, None)?;
    let text = |value: &serde_json::Value| show::cell("", value);
    Ok(all
        .iter()
        .map(|item| ["name", "version", "port"].map(|key| text(&item[key])))
        .collect())
}

fn candidates(
    root: &clap::Command,
    words: &[String],
    instances: &dyn Fn() -> Vec<[String; 3]>,
) -> Vec<Candidate> {
    let Some((current, before)) = words.split_last() else {
        return Vec::new();
    };
    let mut command = root;
    let mut given: Vec<&str> = Vec::new();
    let mut waiting: Option<&Arg> = None;
    for word in before {
        if waiting.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            waiting = option(command, word).filter(|option| takes_value(option));
        } else if let Some(below) = command.find_subcommand(word).filter(|_| given.is_empty()) {
            command = below;
        } else {
            given.push(word);
        }
    }
    let mut found = if let Some(option) = waiting {
        values(option, current, &given, instances)
    } else if current.starts_with('-') {
        options(command)
    } else {
        let mut found: Vec<Candidate> = command
            .get_subcommands()
            .filter(|below| !below.is_hide_set() && given.is_empty())
            .map(|below| (below.get_name().to_owned(), help(below.get_about())))
            .collect();
        // The last one may take all that come.
        let mut places = command.get_positionals();
        let place = places.nth(given.len()).or_else(|| {
            let last = command.get_positionals().last();
            last.filter(|last| {
                last.get_num_args()
                    .is_some_and(|range| range.max_values() > 1)
            })
        });
        found
            .extend(place.map_or_else(Vec::new, |place| values(place, current, &given, instances)));
        found
    };
    found.retain(|(word, _)| word.starts_with(current.as_str()));
    found
}

/// The option that a word is, unless it brings its value along.
fn option<'c>(command: &'c clap::Command, word: &str) -> Option<&'c Arg> {
    let named = |option: &&Arg| match word.strip_prefix("--") {
        Some(long) => option.get_long() == Some(long),
        None => option
            .get_short()
            .is_some_and(|short| word == format!("-{short}")),
    };
    command.get_arguments().find(named)
}

/// An option without a value, or one that may go without (a password that is asked for), ends here.
fn takes_value(option: &Arg) -> bool {
    option.get_action().takes_values()
        && option
            .get_num_args()
            .is_none_or(|range| range.min_values() > 0)
}

fn options(command: &clap::Command) -> Vec<Candidate> {
    command
        .get_arguments()
        .filter(|option| !option.is_hide_set())
        .filter_map(|option| Some((format!("--{}", option.get_long()?), help(option.get_help()))))
        .collect()
}

fn values(
    argument: &Arg,
    current: &str,
    given: &[&str],
    instances: &dyn Fn() -> Vec<[String; 3]>,
) -> Vec<Candidate> {
    let names = argument.get_value_names().unwrap_or_default();
    if !names
        .iter()
        .any(|name| name.as_str() == super::instance::REFERENCE)
    {
        return argument
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| (value.get_name().to_owned(), help(value.get_help())))
            .collect();
    }
    let all = instances();
    let mut found = Vec::new();
    for [name, version, port] in &all {
        let full = format!("{version}/{name}");
        let alone = all.iter().filter(|[other, ..]| other == name).count() == 1;
        // In full where the name alone does not say it, or who types wants it so.
        let word = if alone && (current.is_empty() || !full.starts_with(current)) {
            name.clone()
        } else {
            full
        };
        if !given.contains(&word.as_str()) {
            found.push((word, format!("port {port}")));
        }
    }
    found
}

/// The first line, for a place beside the candidate.
fn help(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let root = super::super::built();
        let line: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let instances = || {
            [
                ("main", "15", "5432"),
                ("main", "17", "5433"),
                ("shop", "17", "5434"),
            ]
            .map(|(name, version, port)| [name, version, port].map(str::to_owned))
            .to_vec()
        };
        let found = candidates(&root, &line, &instances);
        found.into_iter().map(|(word, _)| word).collect()
    }

    #[test]
    fn what_may_come_next() {
        for (line, expected) in [
            ("inst", vec!["instance"]),
            ("instance st", vec!["status", "start", "stop"]),
            ("instance start ", vec!["15/main", "17/main", "shop"]),
            ("instance start 1", vec!["15/main", "17/main", "17/shop"]),
            ("instance start s", vec!["shop"]),
            ("instance start shop ", vec!["15/main", "17/main"]),
            ("instance start --dry-run 17/m", vec!["17/main"]),
            ("instance start --di", vec!["--diff"]),
            ("instance get shop ", vec![]),
            ("instance exec shop p", vec![]),
            (
                "instance alter --state ",
                vec!["started", "stopped", "present"],
            ),
            ("instance alter --no-da", vec!["--no-data-checksums"]),
            (
                "instance stop --max-impact re",
                vec!["reload", "restart", "rewrite"],
            ),
            ("role -i ", vec!["15/main", "17/main", "shop"]),
            ("role --instance 17/", vec!["17/main", "17/shop"]),
            ("role -i shop cr", vec!["create"]),
            ("role -i shop alter bob --no-lo", vec!["--no-login"]),
            (
                "role create bob --password --conn",
                vec!["--connection-limit"],
            ),
            ("-L de", vec!["debug"]),
            ("completion ", vec!["bash", "zsh", "fish"]),
            ("no such ", vec![]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
        assert_eq!(candidates(&super::super::built(), &[], &Vec::new), []);
    }
}
