//! Who may use whom. The tables here are the rule; ARCHITECTURE.md tells the reasons.

use super::support::source::{is_within, paths, sources, tokens};

/// A module, and the parts of the crate that it and the modules below it may name besides themselves.
/// Of `host`, three things are told apart: its plain types, the trait `host::Look`, and the rest (`host::effects`:
/// `Act`, `Host`, and the modules that implement them).
const LAYERS: &[(&str, &[&str])] = &[
    // Words and values.
    ("fault", &[]),
    ("secret", &[]),
    ("nearest", &[]),
    ("input", &["fault", "nearest", "secret"]),
    ("template", &["fault"]),
    ("pg", &["fault", "nearest", "secret"]),
    (
        "manifest",
        &["fault", "input", "nearest", "pg", "plan", "secret"],
    ),
    ("settings", &["fault", "input", "nearest", "pg", "secret"]),
    // What is to be done, as data.
    ("plan", &["fault", "host::types", "pg", "secret"]),
    ("journal", &["fault", "plan", "secret"]),
    (
        "manager",
        &[
            "fault",
            "host::types",
            "manifest",
            "pg",
            "plan",
            "secret",
            "settings",
            "template",
        ],
    ),
    // What may be seen and what follows from it.
    (
        "stage",
        &[
            "fault",
            "host::types",
            "host::Look",
            "manifest",
            "pg",
            "plan",
            "secret",
        ],
    ),
    (
        "backup",
        &[
            "fault",
            "host::types",
            "host::Look",
            "pg",
            "plan",
            "secret",
            "stage",
        ],
    ),
    (
        "resource",
        &[
            "backup",
            "component",
            "engine::Subject",
            "fault",
            "host::types",
            "host::Look",
            "input",
            "journal",
            "manager",
            "manifest",
            "nearest",
            "pg",
            "plan",
            "secret",
            "settings",
            "stage",
            "template",
        ],
    ),
    (
        "component",
        &[
            "backup",
            "fault",
            "host::types",
            "host::Look",
            "input",
            "manager",
            "manifest",
            "nearest",
            "pg",
            "plan",
            "secret",
            "settings",
            "stage",
            "template",
        ],
    ),
    (
        "facts",
        &[
            "fault",
            "host::types",
            "host::Look",
            "input",
            "journal",
            "manifest",
            "pg",
            "plan",
            "resource",
            "secret",
            "settings",
            "stage",
        ],
    ),
    // What is done.
    ("host", &["fault", "pg", "plan", "secret", "settings"]),
    (
        "engine",
        &[
            "fault",
            "host::types",
            "host::Look",
            "host::effects",
            "journal",
            "manifest",
            "plan",
            "secret",
            "settings",
            "stage",
        ],
    ),
    // What users see.
    (
        "schema",
        &[
            "fault", "input", "manifest", "resource", "secret", "settings",
        ],
    ),
    ("door", &["*"]),
    (
        "generate",
        &[
            "door", "facts", "fault", "nearest", "resource", "schema", "settings",
        ],
    ),
    ("cli", &["*"]),
    ("ansible", &["*"]),
    ("main", &["ansible", "cli"]),
];

/// The doors: they may print, read the environment and the clock.
const DOORS: &[&str] = &["main", "door", "cli", "ansible"];

/// What reaches out of the process. Only `host` may name it.
const EFFECTS: &[&str] = &[
    "fs_err",
    "nix",
    "postgres",
    "signal_hook",
    "std::env",
    "std::fs",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os::unix::fs",
    "std::os::unix::net",
    "std::process",
    "std::thread::sleep",
    "std::time::Instant",
    "std::time::SystemTime",
    "tempfile",
    "which",
];

/// Of these, what doors may name.
const EFFECTS_OF_DOORS: &[&str] = &[
    "fs_err::File",
    "fs_err::OpenOptions",
    "std::env",
    "std::process::ExitCode",
    "std::process::exit",
];

const PRINTING: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

#[test]
fn every_module_keeps_to_its_layer() {
    let broken: Vec<_> = sources()
        .iter()
        .flat_map(|source| {
            violations(&source.module, &source.code)
                .into_iter()
                .map(|violation| format!("{}: {violation}", source.path))
        })
        .collect();
    assert!(
        broken.is_empty(),
        "{}\n\nthe layers are the tables of tests/it/layers.rs, their reasons are in ARCHITECTURE.md",
        broken.join("\n")
    );
}

/// What a module names and may not.
fn violations(module: &str, code: &str) -> Vec<String> {
    let top = module.split("::").next().unwrap_or_default();
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == top) else {
        // The crate's root declares modules and says nothing else.
        return if module.is_empty() {
            Vec::new()
        } else {
            vec![format!("`{top}` is not in the table of layers")]
        };
    };
    let mut broken = Vec::new();
    for path in paths(module, code) {
        let fine = if let Some(own) = path.strip_prefix("crate::") {
            let target = part(own);
            within_itself(module, own, target)
                || allowed
                    .iter()
                    .any(|entry| *entry == "*" || *entry == target)
        } else {
            may_reach_out(top, &path)
        };
        if !fine {
            broken.push(format!("`{module}` may not use `{path}`"));
        }
    }
    if !DOORS.contains(&top) {
        for pair in tokens(code).windows(2) {
            if pair[1] == "!" && PRINTING.contains(&pair[0]) {
                broken.push(format!("`{module}` may not print: only doors do"));
            }
        }
    }
    broken
}

/// Whether a part of the crate may name something outside of it.
fn may_reach_out(top: &str, path: &str) -> bool {
    let is_one_of = |list: &[&str]| list.iter().any(|effect| is_within(path, effect));
    let effect = path.ends_with("::now") || is_one_of(EFFECTS);
    match top {
        "host" => true,
        _ if DOORS.contains(&top) => {
            !effect || path.ends_with("::now") || is_one_of(EFFECTS_OF_DOORS)
        }
        _ => !effect,
    }
}

/// What a path of the crate belongs to, in the words of the table.
fn part(own: &str) -> &str {
    let mut names = own.split("::");
    let top = names.next().unwrap_or_default();
    let lower = |name: &str| name.starts_with(|c: char| c.is_lowercase());
    match (top, names.next()) {
        // What a run is about, and what is left of its failure: said by the resource, used by the engine.
        ("engine", Some("Subject" | "Aftermath" | "Failure")) => "engine::Subject",
        // The macros stand at the crate's root.
        ("bail_fault", _) => "fault",
        ("host", Some("Look")) => "host::Look",
        ("host", Some("Act" | "Host" | "*")) => "host::effects",
        ("host", Some(name)) if lower(name) => "host::effects",
        ("host", _) => "host::types",
        _ => top,
    }
}

/// A module may name what lies in its own part of the crate; a component may not name another component.
fn within_itself(module: &str, own: &str, target: &str) -> bool {
    let top = module.split("::").next().unwrap_or_default();
    if top == "component"
        && let Some(component) = module.split("::").nth(1)
        && let Some(other) = own.split("::").nth(1)
        && other.starts_with(|c: char| c.is_lowercase())
    {
        return component == other || ["backups", "item", "service"].contains(&other);
    }
    target == top || target.split("::").next() == Some(top)
}

#[test]
fn what_breaks_a_layer_is_seen() {
    for (module, code, wanted) in [
        (
            "pg::conf",
            "use crate::fault::Kind; use super::ident::ident;",
            None,
        ),
        (
            "pg::conf",
            "use crate::host::Look;",
            Some("crate::host::Look"),
        ),
        ("pg::conf", "use std::{fmt, fs};", Some("std::fs")),
        (
            "pg::conf",
            "fn f() { std::env::var(x) }",
            Some("std::env::var"),
        ),
        ("resource::role", "use crate::host::{Look, Command};", None),
        (
            "resource::role",
            "use crate::host::{Look, Act};",
            Some("crate::host::Act"),
        ),
        (
            "resource::role",
            "fn f() { crate::host::local::Local::new() }",
            Some("crate::host::local::Local::new"),
        ),
        (
            "resource::role",
            "use postgres::Client;",
            Some("postgres::Client"),
        ),
        ("resource::role", "use postgres_protocol::escape;", None),
        (
            "resource::role",
            "let t = Timestamp::now();",
            Some("Timestamp::now"),
        ),
        ("plan", "use crate::host::{Command, Server};", None),
        ("plan", "use crate::host::Look;", Some("crate::host::Look")),
        (
            "host::local",
            "use std::fs; use crate::host::exec; use nix::unistd;",
            None,
        ),
        (
            "host::local",
            "use crate::resource::role;",
            Some("crate::resource::role"),
        ),
        (
            "component::powa",
            "use crate::component::{Component, Contribution};",
            None,
        ),
        (
            "component::powa",
            "use crate::component::pgbackrest::Spec;",
            Some("crate::component::pgbackrest::Spec"),
        ),
        (
            "component::powa",
            "use crate::resource::role::Desired;",
            Some("crate::resource::role::Desired"),
        ),
        (
            "cli::show",
            "use std::env; use crate::host::local::Local;",
            None,
        ),
        ("cli::show", "use std::fs::read;", Some("std::fs::read")),
    ] {
        let wanted: Vec<_> = wanted
            .map(|path| format!("`{module}` may not use `{path}`"))
            .into_iter()
            .collect();
        assert_eq!(violations(module, code), wanted, "{code}");
    }
    assert_eq!(
        violations("engine", "println!()"),
        ["`engine` may not print: only doors do"]
    );
    assert_eq!(violations("cli", "println!()"), [""; 0]);
    assert_eq!(
        violations("helpers", ""),
        ["`helpers` is not in the table of layers"]
    );
}
