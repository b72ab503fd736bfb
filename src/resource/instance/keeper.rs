//! What else may run a cluster: Patroni, repmgr, Pacemaker, `pg_auto_failover`. Each moves the primary from host to host and
//! rewrites the configuration; two masters of one server would undo each other's work, and at worst its failover.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};

use crate::pg::conf::{Conf, Include, Statement};
use crate::pg::guc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    Patroni,
    Repmgr,
    Pacemaker,
    AutoFailover,
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Patroni => "Patroni",
            Self::Repmgr => "repmgr",
            Self::Pacemaker => "Pacemaker",
            Self::AutoFailover => "pg_auto_failover",
        })
    }
}

impl Keeper {
    /// The program by which it is worked with.
    pub fn tool(self) -> &'static str {
        match self {
            Self::Patroni => "patronictl",
            Self::Repmgr => "repmgr",
            Self::Pacemaker => "pcs or crm",
            Self::AutoFailover => "pg_autoctl",
        }
    }
}

/// What was seen of a cluster that tells who runs it.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    pub datadir: Utf8PathBuf,
    /// Names in the data directory and beside postgresql.conf.
    pub names: Vec<String>,
    pub conf: Option<Conf>,
    /// The libraries that the server loads at its start, as it says or as its files do.
    pub preloaded: String,
    /// The unit in which the server runs, and the command line of its parent process.
    pub unit: Option<String>,
    pub parent: Option<String>,
    /// Files of theirs on this host, with their content.
    pub files: Vec<(Utf8PathBuf, String)>,
}

/// Files that a keeper leaves in the data directory, or beside postgresql.conf.
const NAMES: &[(&str, Keeper)] = &[
    // `PATRONI_CONFIG`… in patroni/config.py, and `CONFIG_BASE_NAME` of patroni/postgresql/config.py.
    ("patroni.dynamic.json", Keeper::Patroni),
    ("patroni.yml", Keeper::Patroni),
    ("postgresql.base.conf", Keeper::Patroni),
    // PAF's default template of recovery settings (script/pgsqlms, `recovery_template`).
    ("recovery.conf.pcmk", Keeper::Pacemaker),
    // `AUTOCTL_DEFAULTS_CONF_FILENAME` and `AUTOCTL_STANDBY_CONF_FILENAME` in pg_auto_failover's pgsetup and defaults.
    ("postgresql-auto-failover.conf", Keeper::AutoFailover),
    (
        "postgresql-auto-failover-standby.conf",
        Keeper::AutoFailover,
    ),
];

/// Words in the name of a unit or the command line of a parent process.
const PROCESSES: &[(&str, Keeper)] = &[
    ("patroni", Keeper::Patroni),
    ("repmgrd", Keeper::Repmgr),
    ("pacemaker", Keeper::Pacemaker),
    ("corosync", Keeper::Pacemaker),
    ("pg_autoctl", Keeper::AutoFailover),
    ("pgautofailover", Keeper::AutoFailover),
];

const LIBRARIES: &[(&str, Keeper)] = &[
    ("repmgr", Keeper::Repmgr),
    ("pgautofailover", Keeper::AutoFailover),
];

/// Where their configuration lies, as their packages and documentation have it; a directory stands for the files in it.
pub const PLACES: &[&str] = &[
    "/etc/patroni",
    "/etc/patroni.yml",
    "/etc/repmgr.conf",
    "/etc/repmgr",
    "/etc/repmgr/VERSION",
    "/etc/postgresql/VERSION/NAME",
    "/var/lib/pacemaker/cib/cib.xml",
];

/// Who runs the cluster, and how we know.
pub fn recognise(traces: &Traces) -> Option<(Keeper, String)> {
    let Traces { names, .. } = traces;
    let by_name = NAMES.iter().find_map(|(name, keeper)| {
        let found = names.iter().any(|own| own == name);
        found.then(|| (*keeper, format!("there is a file `{name}`")))
    });
    let process = |what: &str, text: &Option<String>| {
        let text = text.as_ref()?;
        let (_, keeper) = PROCESSES.iter().find(|(word, _)| text.contains(word))?;
        Some((*keeper, format!("{what} `{text}`")))
    };
    let by_library = || {
        let libraries = guc::split_list(&traces.preloaded);
        LIBRARIES.iter().find_map(|(library, keeper)| {
            let found = libraries.iter().any(|own| own == library);
            found.then(|| (*keeper, format!("shared_preload_libraries has `{library}`")))
        })
    };
    process("its server runs in the unit", &traces.unit)
        .or_else(|| process("the parent of its server is", &traces.parent))
        .or(by_name)
        .or_else(by_library)
        .or_else(|| by_include(traces))
        .or_else(|| {
            traces
                .files
                .iter()
                .find_map(|(path, text)| by_file(path, text, &traces.datadir))
        })
}

/// The resource agent `pgsql` includes its `rep_mode.conf` (`ocf:heartbeat:pgsql`, `make_recovery_conf` and `user_recovery`).
fn by_include(traces: &Traces) -> Option<(Keeper, String)> {
    let statements = traces.conf.as_ref()?.statements();
    statements.into_iter().find_map(|(line, statement)| {
        let Statement::Include(Include::File(path) | Include::IfExists(path)) = statement else {
            return None;
        };
        path.ends_with("rep_mode.conf").then(|| {
            (
                Keeper::Pacemaker,
                format!("line {line} of postgresql.conf includes `{path}`"),
            )
        })
    })
}

/// A file that names the data directory as what its program runs.
fn by_file(path: &Utf8Path, text: &str, datadir: &Utf8Path) -> Option<(Keeper, String)> {
    let named = |value: &str| {
        let value = value.trim().trim_matches(['\'', '"']);
        Utf8Path::new(value.trim_end_matches('/')) == datadir
    };
    let setting = |name: &str, separator: char| {
        text.lines()
            .filter_map(|line| {
                let line = line.split(" #").next().unwrap_or_default().trim();
                let (own, value) = line.split_once(separator)?;
                (own.trim() == name).then_some(value)
            })
            .any(named)
    };
    let keeper = match path.extension() {
        Some("yml" | "yaml") if setting("data_dir", ':') => Keeper::Patroni,
        // Not just any: postgresql-common's postgresql.conf has the same setting.
        Some("conf")
            if path.file_name() == Some("repmgr.conf") && setting("data_directory", '=') =>
        {
            Keeper::Repmgr
        }
        // `<primitive … type="pgsqlms">` with `<nvpair name="pgdata" value="…">`, in one line or many.
        Some("xml")
            if ["\"pgsqlms\"", "\"pgsql\""]
                .iter()
                .any(|agent| text.contains(agent))
                && text
                    .split("value=")
                    .skip(1)
                    .filter_map(|rest| rest.get(1..)?.split(['"', '\'']).next())
                    .any(named) =>
        {
            Keeper::Pacemaker
        }
        _ => return None,
    };
    Some((keeper, format!("`{path}` names it")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(traces: Traces) -> Option<String> {
        let traces = Traces {
            datadir: "/srv/15/main".into(),
            ..traces
        };
        recognise(&traces).map(|(keeper, how)| format!("{keeper}: {how}"))
    }

    #[test]
    fn by_what_lies_in_the_data_directory() {
        for (name, expected) in [
            (
                "patroni.dynamic.json",
                Some("Patroni: there is a file `patroni.dynamic.json`"),
            ),
            (
                "postgresql.base.conf",
                Some("Patroni: there is a file `postgresql.base.conf`"),
            ),
            (
                "recovery.conf.pcmk",
                Some("Pacemaker: there is a file `recovery.conf.pcmk`"),
            ),
            (
                "postgresql-auto-failover.conf",
                Some("pg_auto_failover: there is a file `postgresql-auto-failover.conf`"),
            ),
            ("standby.signal", None),
            ("postgresql.conf", None),
        ] {
            let names = vec!["PG_VERSION".to_owned(), name.to_owned()];
            let traces = Traces {
                names,
                ..Traces::default()
            };
            assert_eq!(said(traces).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn by_unit_and_parent() {
        for (unit, parent, expected) in [
            (
                Some("patroni.service"),
                None,
                Some("Patroni: its server runs in the unit `patroni.service`"),
            ),
            (
                Some("pacemaker.service"),
                None,
                Some("Pacemaker: its server runs in the unit `pacemaker.service`"),
            ),
            (
                None,
                Some("/usr/bin/python3 /usr/bin/patroni /etc/patroni/15-main.yml"),
                Some(
                    "Patroni: the parent of its server is `/usr/bin/python3 /usr/bin/patroni /etc/patroni/15-main.yml`",
                ),
            ),
            (
                None,
                Some("/usr/bin/pg_autoctl node-active"),
                Some(
                    "pg_auto_failover: the parent of its server is `/usr/bin/pg_autoctl node-active`",
                ),
            ),
            (Some("postgresql@15-main.service"), Some("/sbin/init"), None),
        ] {
            let traces = Traces {
                unit: unit.map(str::to_owned),
                parent: parent.map(str::to_owned),
                ..Traces::default()
            };
            assert_eq!(said(traces).as_deref(), expected, "{unit:?} {parent:?}");
        }
    }

    #[test]
    fn by_the_configuration_of_the_server() {
        for (preloaded, text, expected) in [
            (
                "pg_stat_statements, repmgr",
                "",
                Some("repmgr: shared_preload_libraries has `repmgr`"),
            ),
            ("pg_stat_statements,repmgr_funcs", "", None),
            (
                "",
                "port = 5432\ninclude '/var/lib/pgsql/tmp/rep_mode.conf' # added by pgsql RA\n",
                Some(
                    "Pacemaker: line 2 of postgresql.conf includes `/var/lib/pgsql/tmp/rep_mode.conf`",
                ),
            ),
            ("", "include_dir 'conf.d'\n", None),
        ] {
            let traces = Traces {
                preloaded: preloaded.to_owned(),
                conf: Some(Conf::parse(text.as_bytes()).unwrap()),
                ..Traces::default()
            };
            assert_eq!(said(traces).as_deref(), expected, "{preloaded} {text}");
        }
    }

    #[test]
    fn by_files_of_theirs() {
        for (path, text, expected) in [
            (
                "/etc/patroni/15-main.yml",
                "scope: a\npostgresql:\n  data_dir: \"/srv/15/main\"  # here\n",
                Some("Patroni: `/etc/patroni/15-main.yml` names it"),
            ),
            (
                "/etc/patroni/16-main.yml",
                "postgresql:\n  data_dir: /srv/16/main\n",
                None,
            ),
            (
                "/etc/repmgr.conf",
                "node_id=1\ndata_directory='/srv/15/main/'\n",
                Some("repmgr: `/etc/repmgr.conf` names it"),
            ),
            ("/etc/repmgr.conf", "#data_directory='/srv/15/main'\n", None),
            (
                "/etc/postgresql/15/main/postgresql.conf",
                "data_directory = '/srv/15/main'\n",
                None,
            ),
            (
                "/var/lib/pacemaker/cib/cib.xml",
                "<primitive id=\"pgsqld\" class=\"ocf\" provider=\"heartbeat\" type=\"pgsqlms\">\n<nvpair name=\"pgdata\" value=\"/srv/15/main\"/>",
                Some("Pacemaker: `/var/lib/pacemaker/cib/cib.xml` names it"),
            ),
            (
                "/var/lib/pacemaker/cib/cib.xml",
                "<primitive type=\"Filesystem\"><nvpair name=\"directory\" value=\"/srv/15/main\"/>",
                None,
            ),
        ] {
            let traces = Traces {
                files: vec![(path.into(), text.to_owned())],
                ..Traces::default()
            };
            assert_eq!(said(traces).as_deref(), expected, "{path} {text}");
        }
    }
}
