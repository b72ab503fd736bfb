//! A command that did not end well: what is said of it, and the exit code.

use std::panic::set_hook;

use serde_json::Value;

use super::show;
use crate::ansible;
use crate::door::{self, exit};
use crate::engine::Failure;

pub struct Ended {
    failure: Failure,
    pub code: u8,
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        let code = door::exit_code(&failure.error);
        Self { failure, code }
    }
}

impl From<anyhow::Error> for Ended {
    fn from(error: anyhow::Error) -> Self {
        Failure::from(error).into()
    }
}

impl Ended {
    /// The caller addressed something that is not there.
    pub fn usage(error: anyhow::Error) -> Self {
        let ended = Self::from(error);
        let code = if ended.code == exit::FAULT {
            exit::USAGE
        } else {
            ended.code
        };
        Self { code, ..ended }
    }

    /// Says where the request came from.
    pub fn context(mut self, place: &str) -> Self {
        self.failure.error = self.failure.error.context(format!("`{place}`"));
        self
    }

    /// The same as the JSON door says.
    pub fn json(&self) -> Value {
        ansible::failed(&self.failure)
    }

    /// Tells people.
    pub fn tell(&self) {
        show::say(self.lines());
    }

    fn lines(&self) -> Vec<String> {
        let Failure {
            error,
            applied,
            reverted,
        } = &self.failure;
        let mut lines = vec![format!("error: {error:#}")];
        lines.extend(reverted.iter().map(|what| format!("taken back: {what}")));
        lines.extend(
            applied
                .iter()
                .map(|what| format!("was done and stays: {what}")),
        );
        lines.extend(door::hint(error).map(|hint| format!("hint: {hint}")));
        lines
    }
}

/// Has a panic, which is a bug, end the program in a message like any other error, as JSON where that is what the caller
/// reads. Its own message could hold anything, even a secret: only its place is told. Nothing is unwound, which makes the
/// executable an eighth smaller (`panic` in Cargo.toml).
pub fn tell_panics(json: bool) {
    set_hook(Box::new(move |panic| {
        let place = panic
            .location()
            .map_or_else(String::new, ToString::to_string);
        std::process::exit(told(json, &place).into());
    }));
}

fn told(json: bool, place: &str) -> u8 {
    let ended = Ended::from(anyhow::anyhow!("internal error at {place}"));
    ended.tell();
    if json {
        let _ = show::print(&format!("{}\n", ended.json()));
    }
    ended.code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault;

    #[test]
    fn what_is_said() {
        let ended = Ended::from(Failure {
            error: fault!(Sql, "role `eve` does not exist"; "make it first")
                .context("create database `a`"),
            applied: vec!["create role `bob`".into()],
            reverted: vec!["create database `a`".into()],
        });
        assert_eq!(
            ended.lines(),
            [
                "error: create database `a`: role `eve` does not exist",
                "taken back: create database `a`",
                "was done and stays: create role `bob`",
                "hint: make it first",
            ]
        );
        assert_eq!(ended.code, exit::FAULT);
        assert_eq!(
            Ended::usage(fault!(NotFound, "no instance")).code,
            exit::USAGE
        );
        assert_eq!(Ended::usage(anyhow::anyhow!("a bug")).code, exit::INTERNAL);
    }

    #[test]
    fn a_panic_is_an_internal_error() {
        assert_eq!(told(false, "src/x.rs:1:2"), exit::INTERNAL);
    }
}
