use serde_json::json;

use super::*;
use crate::resource::samples::{self, from};

const CONF: &str = "/srv/main/data/postgresql.conf";
const HBA: &str = "/srv/main/data/pg_hba.conf";

fn stage() -> Accepted {
    Accepted {
        target: samples::target(17),
        asked: false,
        renews: false,
    }
}

fn replaced(path: &str, before: &str, after: &str) -> Vec<Replaced> {
    vec![Replaced {
        path: path.into(),
        before: before.into(),
        after: after.into(),
    }]
}

/// What check mode says before the file is written, and what the run says after; `before` and `after` are what the
/// server says of the file as it was and as it is then.
fn said(replaced: &[Replaced], before: Seen, after: Seen) -> [String; 2] {
    [(before, false), (after, true)].map(|(seen, written)| {
        samples::shown(stage().plan(&Seen {
            replaced: replaced.to_vec(),
            written,
            ..seen
        }))
    })
}

fn setting(line: usize, name: &str, value: &str, context: Option<&str>) -> serde_json::Value {
    let parameter = context.map(|context| {
        json!({ "name": name, "vartype": "integer", "unit": null, "context": context, "enumvals": [],
                "min": 1, "max": 100, "boot": "1" })
    });
    json!({ "file": CONF, "line": line, "name": name, "setting": value, "parameter": parameter,
            "error": if context.is_some() { "setting could not be applied" } else { "unrecognized configuration parameter" } })
}

fn settings(rows: serde_json::Value) -> Seen {
    Seen {
        settings: from(rows),
        hba: Access {
            records: 1,
            errors: None,
        },
        ..Seen::default()
    }
}

#[test]
fn a_value_that_only_the_server_refuses() {
    let change = replaced(CONF, "a = 1\nb = 1\n", "a = 1\nb = 2\n");
    let refusal = "Input: the server of instance `17/main` refuses the new configuration: \
        `/srv/main/data/postgresql.conf` line 2: parameter `b` = `2`: setting could not be applied\n\
        hint: the previous files are back, and the server was told nothing: correct what is wanted, and try again\n";
    let nothing = || settings(json!([]));
    let wrong = || settings(json!([setting(2, "b", "2", Some("sighup"))]));
    assert_eq!(said(&change, nothing(), wrong()), ["", refusal]);
    // It was wrong, and is right now.
    let back = replaced(CONF, "a = 1\nb = 2\n", "a = 1\nb = 1\n");
    assert_eq!(said(&back, wrong(), nothing()), ["", ""]);
    // A value of another file comes into force, or goes out of it, with what this one says.
    let mut other = setting(7, "b", "2", Some("user"));
    other["file"] = json!("/etc/more.conf");
    let shown = said(&change, nothing(), settings(json!([other])));
    assert!(shown[1].contains("`/etc/more.conf` line 7"), "{}", shown[1]);
    assert_eq!(said(&change, settings(json!([other])), nothing()), ["", ""]);
}

#[test]
fn what_waits_for_a_restart_is_no_error() {
    let change = replaced(CONF, "a = 1\n", "a = 2\n");
    let row = |value: &str| settings(json!([setting(1, "a", value, Some("postmaster"))]));
    assert_eq!(said(&change, row("1"), row("2")), ["", ""]);
    let [_, refusal] = said(&change, row("1"), row("200"));
    assert_eq!(
        refusal.lines().next(),
        Some(
            "Input: the server of instance `17/main` refuses the new configuration: `/srv/main/data/postgresql.conf` \
             line 1: value `200` is outside the valid range of parameter `a`"
        )
    );
    let internal = settings(json!([setting(1, "a", "2", Some("internal"))]));
    let [_, refusal] = said(&change, settings(json!([])), internal);
    assert!(refusal.contains("line 1: parameter `a` cannot be changed"));
}

#[test]
fn a_secret_value_is_not_told() {
    let change = replaced(CONF, "", "primary_conninfo = 'password=x'\n");
    let row = setting(1, "primary_conninfo", "password=x", Some("sighup"));
    let [_, refusal] = said(&change, settings(json!([])), settings(json!([row])));
    assert!(
        refusal.contains("line 1: setting could not be applied `primary_conninfo`")
            && !refusal.contains("password=x"),
        "{refusal}"
    );
}

#[test]
fn what_was_wrong_before() {
    let change = replaced(CONF, "junk = 1\nb = 1\n", "# more\njunk = 1\nb = 2\n");
    // The value of one parameter: the others are taken over.
    let row = |line| settings(json!([setting(line, "junk", "1", Some("user"))]));
    let warning = |line| {
        format!(
            "warning: `{CONF}` line {line}: parameter `junk` = `1`: setting could not be applied (the server goes on with \
             the value that it has, and would not start again)\n"
        )
    };
    assert_eq!(said(&change, row(1), row(2)), [warning(1), warning(2)]);
    // A name that is unknown: nothing is taken over.
    let row = |line| settings(json!([setting(line, "junk", "1", None)]));
    let refusal = |line| {
        format!(
            "Conflict: the server of instance `17/main` takes over no change as its files are: `{CONF}` line {line}: \
             unrecognized configuration parameter `junk`\nhint: this was so before this run: correct it first, the server \
             would not start again either\n"
        )
    };
    assert_eq!(said(&change, row(1), row(2)), [refusal(1), refusal(2)]);
    // The line that cannot be read goes away with the change.
    let mended = replaced(CONF, "junk\nb = 1\n", "b = 1\n");
    let mut row = setting(1, "junk", "", None);
    row["name"] = json!(null);
    let (before, after) = (settings(json!([row])), settings(json!([])));
    assert_eq!(said(&mended, before, after), ["", ""]);
}

#[test]
fn records_of_pg_hba_conf() {
    let access = |records: usize, errors: serde_json::Value| Seen {
        hba: Access {
            records,
            errors: from(errors),
        },
        ..Seen::default()
    };
    let wrong = |line: usize| json!([{ "file": null, "line": line, "error": "invalid" }]);
    let refused = "Input: the server of instance `17/main` refuses the new configuration: `/srv/main/data/pg_hba.conf` line 2: invalid";
    let older = |line: usize| {
        format!(
            "Conflict: the server of instance `17/main` takes over no change as its files are: `{HBA}` line {line}: invalid"
        )
    };
    let first = |texts: [String; 2]| texts.map(|text| text.lines().next().map(str::to_owned));
    let change = replaced(HBA, "a\nb\n", "a\nc\n");
    let fine = || access(2, json!(null));
    assert_eq!(
        first(said(&change, fine(), access(1, wrong(2)))),
        [None, Some(refused.to_owned())]
    );
    // An older error keeps the server from reading the file that this run writes, but not from reading another.
    assert_eq!(
        first(said(&change, access(1, wrong(1)), access(1, wrong(1)))),
        [Some(older(1)), Some(older(1))]
    );
    let warning = format!(
        "warning: `{HBA}` line 1: invalid (the server goes on with the records that it has)"
    );
    let other = replaced(CONF, "a = 1\n", "a = 2\n");
    assert_eq!(
        first(said(&other, access(1, wrong(1)), access(1, wrong(1)))),
        [Some(warning.clone()), Some(warning)]
    );
    // Nor do parameters that cannot be read keep it from reading records.
    let junk = || Seen {
        settings: from(json!([setting(1, "junk", "1", None)])),
        ..access(2, json!(null))
    };
    let warning = format!(
        "warning: `{CONF}` line 1: unrecognized configuration parameter `junk` (the server goes on with the value that it has, \
         and would not start again)"
    );
    assert_eq!(
        first(said(&change, junk(), junk())),
        [Some(warning.clone()), Some(warning)]
    );
    let emptied = replaced(HBA, "a\n", "# a\n");
    assert_eq!(
        first(said(&emptied, access(1, json!(null)), access(0, json!(null)))),
        [
            None,
            Some(
                "Input: the server of instance `17/main` refuses the new configuration: `/srv/main/data/pg_hba.conf` has \
                 no record: nobody could connect"
                    .to_owned()
            )
        ]
    );
}

#[test]
fn what_would_not_start_again() {
    let wrong = || from(json!([{ "file": null, "line": 3, "error": "invalid" }]));
    let seen = || Seen {
        hba: Access {
            records: 1,
            errors: wrong(),
        },
        ident: Access {
            records: 0,
            errors: wrong(),
        },
        ..settings(json!([setting(2, "junk", "1", None)]))
    };
    let facts = |renews: bool, seen: &Seen| {
        let stage = Accepted { renews, ..stage() };
        stage.plan(seen).unwrap().facts
    };
    assert!(facts(false, &seen()).is_empty());
    let [Fact::NoStart(why)] = &facts(true, &seen())[..] else {
        panic!("one fact")
    };
    assert_eq!(
        *why,
        [
            format!("`{CONF}` line 2: unrecognized configuration parameter `junk`"),
            format!("`{HBA}` line 3: invalid"),
            "`/srv/main/data/pg_ident.conf` line 3: invalid".to_owned(),
        ]
    );
    let unusable = Seen {
        unusable: Some("no start line".to_owned()),
        ..Seen::default()
    };
    let [Fact::NoStart(why)] = &facts(true, &unusable)[..] else {
        panic!("one fact")
    };
    assert_eq!(*why, ["TLS is on, and no start line"]);
    // What this run writes anew was wrong: it is not by then.
    let change = replaced(HBA, "a\nb\nc\n", "a\nb\n");
    let mended = Seen {
        replaced: change,
        settings: Vec::new(),
        ident: Access::default(),
        ..seen()
    };
    assert!(facts(true, &mended).is_empty());
}
