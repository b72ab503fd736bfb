//! What the server reads, in its order: postgresql.conf with the files that it includes, then postgresql.auto.conf.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::bail_fault;
use crate::host::Look;
use crate::pg::conf::{Conf, Include, Statement};
use crate::settings::InstancePaths;

/// A value that a file gives to a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// In lower case.
    pub name: String,
    pub value: String,
    pub file: Utf8PathBuf,
    pub line: usize,
    /// The line of postgresql.conf at which the server comes to it; none: it is read after all of that.
    pub top: Option<usize>,
}

/// Every assignment, in the order in which they are read: of those of one parameter the last one counts.
#[derive(Debug, Default)]
pub struct Reading {
    pub assignments: Vec<Assignment>,
    /// `include` directives without their file: the server refuses such a configuration.
    pub missing: Vec<String>,
}

/// As deep as the server follows includes (guc-file.l, `CONF_FILE_MAX_DEPTH`).
const INCLUDE_DEPTH: usize = 10;

impl Reading {
    /// Follows the includes of postgresql.conf, as the server does (guc-file.l): paths are relative to the including file,
    /// of a directory the names count that end in `.conf` and do not begin with a dot.
    ///
    /// # Errors
    /// A file that cannot be parsed, or that includes itself, at whatever distance: file and line are named.
    pub fn of(look: &dyn Look, file: &Utf8Path, conf: &Conf) -> Result<Self> {
        let mut reading = Self::default();
        let mut chain = vec![file.to_owned()];
        reading.follow(look, &mut chain, conf, None)?;
        Ok(reading)
    }

    /// What the server reads of the files of an instance.
    ///
    /// # Errors
    /// As those of [`Reading::of`].
    pub fn on_disk(look: &dyn Look, paths: &InstancePaths) -> Result<Self> {
        let file = &paths.config_file;
        Self::of(look, file, &parse(look, file)?)?.with_auto(look, paths)
    }

    /// The same for whoever changes nothing. Where an include cannot be followed, which keeps a server from starting and is
    /// said where something is changed, postgresql.conf itself must do.
    pub fn in_view(look: &dyn Look, paths: &InstancePaths) -> Result<Self> {
        let file = &paths.config_file;
        let conf = parse(look, file)?;
        let reading = Self::of(look, file, &conf).unwrap_or_else(|_| {
            let mut reading = Self::default();
            reading.take(file, &conf, Some);
            reading
        });
        reading.with_auto(look, paths)
    }

    fn with_auto(mut self, look: &dyn Look, paths: &InstancePaths) -> Result<Self> {
        let file = paths.datadir.join("postgresql.auto.conf");
        self.and_auto(&file, &parse(look, &file)?);
        Ok(self)
    }

    /// The value that counts, of every parameter that has one.
    pub fn values(&self) -> BTreeMap<String, String> {
        let all = self.assignments.iter();
        all.map(|one| (one.name.clone(), one.value.clone()))
            .collect()
    }

    /// Adds what is read after everything else.
    pub fn and_auto(&mut self, file: &Utf8Path, auto: &Conf) {
        self.take(file, auto, |_| None);
    }

    /// Adds the assignments of one file.
    fn take(&mut self, file: &Utf8Path, conf: &Conf, top: fn(usize) -> Option<usize>) {
        for (line, statement) in conf.statements() {
            if let Statement::Setting { name, value } = statement {
                self.assignments.push(Assignment {
                    name,
                    value,
                    file: file.to_owned(),
                    line,
                    top: top(line),
                });
            }
        }
    }

    /// What is read of a parameter, the one that counts first.
    pub fn of_parameter(&self, name: &str) -> impl Iterator<Item = &Assignment> {
        let name = name.to_ascii_lowercase();
        let all = self.assignments.iter().rev();
        all.filter(move |assignment| assignment.name == name)
    }

    fn follow(
        &mut self,
        look: &dyn Look,
        chain: &mut Vec<Utf8PathBuf>,
        conf: &Conf,
        top: Option<usize>,
    ) -> Result<()> {
        let own = chain.last().cloned().unwrap_or_default();
        for (line, statement) in conf.statements() {
            let top = top.or(Some(line));
            let include = match statement {
                Statement::Setting { name, value } => {
                    self.assignments.push(Assignment {
                        name,
                        value,
                        file: own.clone(),
                        line,
                        top,
                    });
                    continue;
                }
                Statement::Include(include) => include,
            };
            for path in named(look, &own, &include)? {
                if chain.contains(&path) {
                    bail_fault!(
                        Conflict,
                        "`{own}` line {line} includes `{path}`, which includes it: the server refuses such a loop";
                        "take the line away: `pgsocle pgconf edit` opens postgresql.conf"
                    );
                }
                if chain.len() > INCLUDE_DEPTH {
                    bail_fault!(
                        Conflict,
                        "`{own}` line {line} includes `{path}` at a depth of {}: the server goes no deeper than {INCLUDE_DEPTH}",
                        chain.len()
                    );
                }
                let Some(content) = look.read(&path)? else {
                    if matches!(include, Include::File(_)) {
                        self.missing.push(format!(
                            "`{own}` line {line} includes `{path}`, which does not exist"
                        ));
                    }
                    continue;
                };
                let inner = Conf::parse(&content).with_context(|| format!("`{path}`"))?;
                chain.push(path);
                self.follow(look, chain, &inner, top)?;
                chain.pop();
            }
        }
        Ok(())
    }
}

fn parse(look: &dyn Look, path: &Utf8Path) -> Result<Conf> {
    Conf::parse(&look.read(path)?.unwrap_or_default()).with_context(|| format!("`{path}`"))
}

/// The files that an include directive of a file names.
fn named(look: &dyn Look, own: &Utf8Path, include: &Include) -> Result<Vec<Utf8PathBuf>> {
    let directory = own.parent().unwrap_or(Utf8Path::new("/"));
    Ok(match include {
        Include::File(path) | Include::IfExists(path) => vec![directory.join(path)],
        Include::Dir(path) => {
            let path = directory.join(path);
            let names = look.list(&path)?.unwrap_or_default();
            let counts = |name: &&String| {
                Utf8Path::new(name).extension() == Some("conf") && !name.starts_with('.')
            };
            names
                .iter()
                .filter(counts)
                .map(|name| path.join(name))
                .collect()
        }
    })
}
