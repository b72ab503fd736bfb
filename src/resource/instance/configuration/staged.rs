//! What PostgreSQL itself makes of a configuration before it is written: `postgres -C` reads a private copy of it as a
//! start would, with the files that it includes and postgresql.auto.conf, and names what it does not take.

use std::fmt;

use anyhow::Result;
use camino::Utf8Path;

use crate::host::{Command, Look};
use crate::pg::conf::{self, Conf};
use crate::resource::instance::target::Target;

/// What the programs say of the configuration as it is to be.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What they do not take, and took before.
    pub refused: Vec<Refusal>,
    /// What they did not take before either.
    pub older: Vec<Refusal>,
}

/// Something that a start would stumble over.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The server's own words; the value of a parameter that may be a secret is not among them.
    said: String,
    /// The parameter that is meant, where the words name one.
    pub name: Option<String>,
    /// Its line in postgresql.conf, where the words do not name one.
    line: Option<usize>,
}

/// Between the words and the line that they name.
const LINE: &str = " line ";

/// The name of the copy. `{}` is the private directory, see [`Look::scratch`].
const COPY: &str = "postgresql.conf";

/// Asks. Of a `new` cluster nothing but the file itself is there yet.
pub fn ask(
    look: &dyn Look,
    target: &Target,
    before: Option<&Conf>,
    after: &Conf,
) -> Result<Verdict> {
    let refused = refusals(look, target, before.is_none(), after)?;
    if refused.is_empty() {
        return Ok(Verdict::default());
    }
    let before = match before {
        Some(before) => refusals(look, target, false, before)?,
        None => Vec::new(),
    };
    let (older, refused) = refused
        .into_iter()
        .partition(|refusal| before.iter().any(|known| known.fault() == refusal.fault()));
    Ok(Verdict { refused, older })
}

fn refusals(look: &dyn Look, target: &Target, new: bool, conf: &Conf) -> Result<Vec<Refusal>> {
    let file = &target.paths.config_file;
    let directory = file.parent().unwrap_or(Utf8Path::new("/"));
    let mut command = Command::new(target.bindir.join("postgres")).env("LC_ALL", "C");
    command = if new {
        command.args(["-D", "{}"])
    } else {
        let copy = format!("config_file={{}}/{COPY}");
        command.args(["-D", target.paths.datadir.as_str(), "-c", &copy])
    };
    let content = conf.anchored(directory.as_str()).render();
    let output = look.scratch(&[(COPY, content)], &command.args(["-C", "port"]))?;
    if output.success() {
        return Ok(Vec::new());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Ok(parse(
        &words.replace(&format!("{{}}/{COPY}"), file.as_str()),
        conf,
    ))
}

/// Reads what the server says: a line for each fault, and one at the end that only sums up. The prefix of a line depends
/// on the settings; what follows does not, but for the language.
fn parse(words: &str, conf: &Conf) -> Vec<Refusal> {
    let mut all: Vec<Refusal> = Vec::new();
    for line in words.lines().filter(|line| !line.trim().is_empty()) {
        let (severity, said) = line.split_once(":  ").unwrap_or(("", line));
        let word = |word: &str| severity.ends_with(word);
        if word("DETAIL") || word("HINT") || word("CONTEXT") {
            if let Some(last) = all.last_mut().filter(|last| !last.is_secret()) {
                last.said = format!("{} ({said})", last.said);
            }
        } else if !said.starts_with("skipping missing configuration file") {
            all.push(Refusal::new(said, conf));
        }
    }
    // "configuration file … contains errors"
    if all.len() > 1 {
        all.pop();
    }
    all
}

impl Refusal {
    fn new(said: &str, conf: &Conf) -> Self {
        let mut quoted = said.split('"').skip(1).step_by(2);
        let name = quoted
            .find(|word| conf::check_entry(word, "").is_ok())
            .map(str::to_ascii_lowercase);
        let line = name
            .as_deref()
            .and_then(|name| conf.line(name))
            .filter(|_| !said.contains(LINE));
        let mut refusal = Self {
            said: said.replace('"', "`"),
            name,
            line,
        };
        if refusal.is_secret() {
            let name = refusal.name.as_deref().unwrap_or_default();
            refusal.said = format!("invalid value for parameter `{name}`");
        }
        refusal
    }

    /// What it is about, wherever in the file it stands.
    fn fault(&self) -> &str {
        self.said.split(LINE).next().unwrap_or_default()
    }

    fn is_secret(&self) -> bool {
        self.name.as_deref().is_some_and(conf::is_secret)
    }

    /// It is about a parameter that there is not.
    pub fn unknown(&self) -> Option<&str> {
        let name = self.name.as_deref()?;
        self.said
            .starts_with("unrecognized configuration parameter")
            .then_some(name)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_server() {
        let conf = Conf::parse(
            b"a = 1\nsynchronous_standby_names = 'a b'\nprimary_conninfo = 'password=x'\nwrk_mem = 1\n",
        )
        .unwrap();
        let prefix = "2026-11-27 17:46:43.335 GMT [5385] ";
        let words = [
            "LOG:  skipping missing configuration file \"/c/postgresql.auto.conf\"",
            "LOG:  unrecognized configuration parameter \"wrk_mem\" in file \"/c/postgresql.conf\" line 4",
            "LOG:  invalid value for parameter \"synchronous_standby_names\": \"a b\"",
            "DETAIL:  syntax error at or near \"b\"",
            "LOG:  invalid value for parameter \"primary_conninfo\": \"password=x\"",
            "DETAIL:  password=x",
            "FATAL:  configuration file \"/c/postgresql.conf\" contains errors",
        ]
        .map(|line| format!("{prefix}{line}\n"))
        .concat();
        let said: Vec<(String, Option<String>)> = parse(&words, &conf)
            .into_iter()
            .map(|refusal| (refusal.to_string(), refusal.name))
            .collect();
        assert_eq!(
            said,
            [
                (
                    "unrecognized configuration parameter `wrk_mem` in file `/c/postgresql.conf` line 4".into(),
                    Some("wrk_mem".into())
                ),
                (
                    "line 2: invalid value for parameter `synchronous_standby_names`: `a b` (syntax error at or near \"b\")"
                        .into(),
                    Some("synchronous_standby_names".into())
                ),
                (
                    "line 3: invalid value for parameter `primary_conninfo`".into(),
                    Some("primary_conninfo".into())
                ),
            ]
        );
        // A program that cannot be run at all says one thing only.
        let only = parse("postgres: cannot be run\n", &conf);
        assert_eq!(only[0].to_string(), "postgres: cannot be run");
        assert!(only.len() == 1 && only[0].name.is_none());
        assert!(parse("", &conf).is_empty());
    }
}
