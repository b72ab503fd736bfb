//! What is written from the input types: the modules of the collection and the reference pages.
//!
//! The files are committed, and a test fails when one is stale (`make shims` writes them). A kind gets all of it by its line in `resource::REGISTRY` or `facts::FACTS`, a line in
//! [`ABOUT`], and its two files below `templates/ansible/`.

mod markup;
mod module;
mod python;
mod reference;
mod yaml;

use anyhow::Result;
use serde_json::Value;

use crate::fault::{Fault, Kind as FaultKind};
use crate::schema::{Field, fields};
use crate::{facts, nearest, resource};

/// What is said of a kind beside its options.
struct About {
    name: &'static str,
    /// One sentence in the third person, without a full stop.
    summary: &'static str,
    description: &'static [&'static str],
    /// Version of the collection that first had it.
    since: &'static str,
    examples: &'static str,
    returns: &'static str,
}

macro_rules! about {
    ($name:literal, $since:literal, $summary:literal $(, $description:literal)* $(,)?) => {
        About {
            name: $name,
            summary: $summary,
            description: &[$($description),*],
            since: $since,
            examples: include_str!(concat!("templates/ansible/examples/", $name, ".yml")),
            returns: include_str!(concat!("templates/ansible/return/", $name, ".yml")),
        }
    };
}

const ABOUT: &[About] = &[
    about!(
        "instance",
        "0.1.0",
        "Manages a PostgreSQL instance with its roles and databases",
        "Creates, configures, starts, stops and removes an instance, and converges the roles and databases given with it in the same run.",
        "What is left out is left as it is.",
    ),
    about!(
        "instance_hold",
        "0.1.0",
        "Holds a PostgreSQL instance, so that nothing starts it",
        "While an instance is held it is started neither by a run, nor for the time of a run, nor by systemd after a reboot; whoever tries is told the reason.",
        "A server that runs is left alone, unless O(stop) says otherwise.",
    ),
    about!(
        "instance_backup",
        "0.1.0",
        "Takes a backup of a PostgreSQL instance",
        "Takes a backup by the tool that the instance is backed up with, unless the newest one is young enough.",
        "Roles, databases and settings may be changed meanwhile; a stop, a restart or a drop of the instance is refused and told of the backup.",
    ),
    about!(
        "instance_restore",
        "0.1.0",
        "Restores a PostgreSQL instance from a backup",
        "Replaces the data of a stopped instance by those of a backup, makes a new instance of them, or puts them into a directory; then recovers up to a target.",
        "The data that were there are set aside until the restored server has answered, and come back when it fails.",
        "Check mode tells which backup and which WAL would be used, and whether there is room for them. Each call restores: there is no condition under which nothing is done.",
    ),
    about!(
        "instance_backup_test",
        "0.1.0",
        "Proves that a backup of a PostgreSQL instance can be restored",
        "Restores a backup into a scratch place, recovers it, starts a server that nobody else reaches, looks at it with pg_amcheck and your own queries, and removes it again.",
        "Times, the age of the newest data and the verdict are written into a file of evidence, and on demand into one of metrics. A bad verdict is a failure of the task, which says what is wrong.",
        "The instance itself goes on, and may be changed meanwhile. Check mode tells which backup and which WAL would be used, and whether there is room for them.",
    ),
    about!(
        "role",
        "0.1.0",
        "Manages a role of a PostgreSQL instance",
        "Creates, alters and drops a role, with its memberships, settings, password and access.",
        "What is left out is left as it is.",
    ),
    about!(
        "database",
        "0.1.0",
        "Manages a database of a PostgreSQL instance",
        "Creates, alters and drops a database, with its schemas, extensions and settings.",
        "What is left out is left as it is.",
    ),
    about!(
        "tablespace",
        "0.1.0",
        "Manages a tablespace of a PostgreSQL instance",
        "Creates, alters and drops a tablespace, with its owner and its parameters of the planner.",
        "It is dropped only when nothing is in it. What is left out is left as it is.",
    ),
    about!(
        "pgconf",
        "0.1.0",
        "Manages parameters of a PostgreSQL instance",
        "Sets and removes parameters in the postgresql.conf of an existing instance, running or stopped; its order, comments and includes stay.",
        "Values are checked before they are written, and again by the running server before it is told to reload; what is refused changes nothing.",
        "What is left out is left as it is.",
    ),
    about!(
        "pghba",
        "0.1.0",
        "Manages records of pg_hba.conf of a PostgreSQL instance",
        "Adds, moves and removes single records, or makes the list of them exact; a running server is asked whether it takes the file, and reads it.",
        "Records are compared by what they mean. What is not concerned stays as it is, comments and include directives always.",
        "What would keep the superuser role out of the local socket is refused.",
    ),
    about!(
        "pgident",
        "0.1.0",
        "Manages user name maps of a PostgreSQL instance",
        "Adds, moves and removes single mappings of pg_ident.conf, or makes the list of them exact; a running server is asked whether it takes the file, and reads it.",
        "What is not concerned stays as it is, comments and include directives always.",
    ),
    about!(
        "site",
        "0.1.0",
        "Manages the files that pgsocle needs on a host",
        "Makes or removes the directories and units that all instances of the host share.",
    ),
    about!(
        "pgconf_info",
        "0.1.0",
        "Explains parameters of a PostgreSQL instance",
        "Tells the value, where it stands, what wins over what, and what waits for a restart; of a stopped instance as well.",
    ),
    about!(
        "pghba_info",
        "0.1.0",
        "Describes who may connect to a PostgreSQL instance",
        "Lists the records of pg_hba.conf, and tells which of them decides on a connection and why those above it do not.",
    ),
    about!(
        "dsn_info",
        "0.1.0",
        "Tells how to connect to a PostgreSQL instance"
    ),
    about!(
        "instance_backup_info",
        "0.1.0",
        "Lists the backups of a PostgreSQL instance",
        "Lists the backups with their times, sizes, databases and WAL, newest first, and tells how archiving stands.",
    ),
    about!(
        "instance_info",
        "0.1.0",
        "Describes the PostgreSQL instances of a host"
    ),
    about!(
        "role_info",
        "0.1.0",
        "Describes roles of a PostgreSQL instance"
    ),
    about!(
        "tablespace_info",
        "0.1.0",
        "Describes tablespaces of a PostgreSQL instance"
    ),
    about!(
        "database_info",
        "0.1.0",
        "Describes databases of a PostgreSQL instance"
    ),
];

/// A kind with everything that is known of it.
struct Described {
    about: &'static About,
    /// It only reads.
    reads: bool,
    schema: Value,
    fields: Vec<Field>,
}

impl Described {
    /// Fails for a kind that does not exist (`Input`), and for one that [`ABOUT`] has forgotten.
    fn of(name: &str) -> Result<Self> {
        let (reads, schema) = if let Some(kind) = resource::kind(name) {
            (false, (kind.schema)())
        } else if let Some(fact) = facts::kind(name) {
            (true, (fact.schema)())
        } else {
            let fault = Fault::new(FaultKind::Input, format!("unknown kind `{name}`"));
            return Err(match nearest::hint(name, kinds()) {
                Some(hint) => fault.hint(hint),
                None => fault,
            }
            .into());
        };
        let about = ABOUT
            .iter()
            .find(|about| about.name == name)
            .ok_or_else(|| anyhow::anyhow!("kind `{name}` has no description"))?;
        Ok(Self {
            about,
            reads,
            fields: fields(&schema),
            schema,
        })
    }
}

/// The names of all kinds, those that converge first.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    resource::REGISTRY
        .iter()
        .map(|kind| kind.name)
        .chain(facts::FACTS.iter().map(|fact| fact.name))
}

/// The JSON schema of a kind. A kind that does not exist is a fault of kind `Input`.
pub fn schema(kind: &str) -> Result<Value> {
    Ok(Described::of(kind)?.schema)
}

/// All generated files: paths below the root of the repository, and contents.
pub fn all_generated() -> Result<Vec<(String, String)>> {
    let all = kinds().map(Described::of).collect::<Result<Vec<_>>>()?;
    let mut files = Vec::new();
    for kind in &all {
        let name = kind.about.name;
        files.push((format!("plugins/modules/{name}.py"), module::module(kind)?));
        files.push((format!("plugins/action/{name}.py"), module::action(kind)?));
        files.push((
            format!("docs/reference/{name}.md"),
            reference::kind(kind, &all),
        ));
    }
    files.push(("meta/runtime.yml".into(), module::runtime()?));
    files.push(("docs/reference/settings.md".into(), reference::settings()));
    files.push((
        "docs/reference/exit-codes.md".into(),
        reference::exit_codes(),
    ));
    files.push(("docs/reference/README.md".into(), reference::index(&all)));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shim(kind: &str) -> Result<String> {
        module::module(&Described::of(kind)?)
    }

    #[test]
    fn every_kind_is_described() {
        for name in kinds() {
            assert!(
                shim(name).is_ok_and(|text| text.contains(&format!("\nmodule: {name}\n"))),
                "{name}"
            );
            assert_eq!(
                schema(name).map(|schema| schema["type"].clone()).ok(),
                Some("object".into()),
                "{name}"
            );
        }
        let paths: Vec<String> = all_generated()
            .map(|all| all.into_iter().map(|(path, _)| path).collect())
            .unwrap_or_default();
        let mut unique = paths.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), paths.len());
        assert_eq!(paths.len(), 3 * kinds().count() + 4);
    }

    #[test]
    fn unknown_kinds_are_refused() {
        for error in [shim("rol").unwrap_err(), schema("rol").unwrap_err()] {
            let fault = Fault::of(&error).cloned();
            assert_eq!(
                fault,
                Some(
                    Fault::new(FaultKind::Input, "unknown kind `rol`").hint("did you mean `role`?")
                )
            );
        }
    }
}
