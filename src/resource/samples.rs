//! Ingredients of the tests of plans, and how they show a plan: everything that it would do and say.

use std::fmt::Write as _;

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::host::Server;
use crate::manager::{Manager, Manner};
use crate::pg::version::Major;
use crate::plan::Plan;
use crate::resource::catalog::ServerFacts;
use crate::resource::instance::target::Target;
use crate::settings::InstancePaths;

pub fn paths(version: u16) -> InstancePaths {
    InstancePaths {
        version: Major::new(version),
        name: "main".into(),
        qualified_name: format!("{version}-main"),
        datadir: "/srv/main/data".into(),
        waldir: "/srv/main/wal".into(),
        logdir: None,
        start_log: "/srv/state/start.log".into(),
        socket_directory: "/run/pg".into(),
        dumps_directory: "/srv/dumps".into(),
        passfile: Some("/srv/pgpass".into()),
        psqlrc: "/srv/main/data/.psqlrc".into(),
        psql_history: "/srv/main/data/.psql_history".into(),
        config_file: "/srv/main/data/postgresql.conf".into(),
        hba_file: "/srv/main/data/pg_hba.conf".into(),
        ident_file: "/srv/main/data/pg_ident.conf".into(),
        state_directory: "/srv/state".into(),
        journal_dir: "/srv/state/journal".into(),
        history: "/srv/state/history".into(),
        lock: "/srv/state/lock".into(),
        record: "/srv/state/instance.json".into(),
    }
}

pub fn target(version: u16) -> Target {
    Target {
        paths: paths(version),
        bindir: "/bin".into(),
        manager: Manager::None,
        surole: "postgres".into(),
        adopted: None,
        mountpoints: Vec::new(),
        protected_by_default: true,
        manner: Manner::default(),
        boot: None,
        patience: std::time::Duration::ZERO,
        password_command: Vec::new(),
    }
}

pub fn server() -> Server {
    Server {
        socket_directory: "/run/pg".into(),
        port: 5432,
        user: "postgres".into(),
        passfile: None,
        password_command: Vec::new(),
    }
}

pub fn facts() -> ServerFacts {
    ServerFacts::new_cluster(&paths(17))
}

/// A value from its JSON.
pub fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A value from what it has in common with others, and its own.
pub fn with<T: DeserializeOwned>(mut common: Value, own: Value) -> T {
    let (Value::Object(all), Value::Object(own)) = (&mut common, own) else {
        panic!("no objects")
    };
    all.extend(own);
    from(common)
}

/// A plan with the diffs, undo lists and scopes of its changes, or why there is none.
pub fn shown(plan: Result<Plan>) -> String {
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => {
            let fault = Fault::of(&error).unwrap();
            let hint = fault.hint.clone().unwrap_or_default();
            return format!(
                "{:?}: {}\n{}\n",
                fault.kind,
                fault.msg,
                format!("hint: {hint}").trim_end()
            );
        }
    };
    let mut text = String::new();
    for change in &plan.changes {
        let transient = if change.transient { " transient" } else { "" };
        writeln!(text, "{} [{}]{transient}", change.summary, change.impact).unwrap();
        for step in &change.steps {
            writeln!(text, "  {step}").unwrap();
        }
        let diff = similar::TextDiff::from_lines(&change.diff.before, &change.diff.after);
        for line in diff.iter_all_changes() {
            writeln!(
                text,
                "  {}{}",
                line.tag(),
                line.to_string_lossy().trim_end()
            )
            .unwrap();
        }
        if let Some((scope, steps)) = &change.undo {
            let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
            writeln!(text, "  undo {scope:?}: {}", steps.join("; ")).unwrap();
        }
        if let Some(scope) = &change.settles {
            writeln!(text, "  settles {scope:?}").unwrap();
        }
    }
    for error in &plan.missing {
        writeln!(text, "missing: {error:#}").unwrap();
    }
    for warning in &plan.warnings {
        writeln!(text, "warning: {warning}").unwrap();
    }
    for fact in &plan.facts {
        writeln!(text, "fact {fact:?}").unwrap();
    }
    if let Some((key, view)) = &plan.view {
        writeln!(text, "{}", json!({ *key: view })).unwrap();
    }
    text
}
