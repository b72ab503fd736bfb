use insta::assert_snapshot;
use serde_json::json;

use super::*;
use crate::resource::samples::{facts, from, paths, server, shown, with};

fn spec(own: Value) -> DatabaseSpec {
    with(json!({ "name": "shop", "owner": "ann" }), own)
}

/// A database with schemas `public` (with a table), `old` (empty, of bob), `ext` (with hstore in it) and `made` (of an
/// extension), and extensions plpgsql, hstore, cube, earthdistance (which requires cube) and topology.
fn inside() -> Inside {
    let observed: Observed = from(json!({
        "schemas": [
            { "name": "ext", "owner": "postgres", "extension": null, "contents": [
                { "kind": "extension", "extension": "hstore", "count": 1 },
                { "kind": "function", "extension": "hstore", "count": 60 },
            ] },
            { "name": "made", "owner": "postgres", "extension": "topology", "contents": null },
            { "name": "old", "owner": "bob", "extension": null, "contents": null },
            { "name": "public", "owner": "pg_database_owner", "extension": null, "contents": [
                { "kind": "index", "extension": null, "count": 2 },
                { "kind": "table", "extension": null, "count": 1 },
            ] },
        ],
        "extensions": [
            { "name": "cube", "version": "1.4", "schema": "public", "relocatable": true, "requires": null, "dependents": [
                { "kind": "extension", "extension": "earthdistance", "count": 1 },
                { "kind": "function", "extension": "earthdistance", "count": 1 },
            ] },
            { "name": "earthdistance", "version": "1.1", "schema": "public", "relocatable": true, "requires": ["cube"], "dependents": null },
            { "name": "hstore", "version": "1.8", "schema": "ext", "relocatable": true, "requires": null, "dependents": [
                { "kind": "table", "extension": null, "count": 3 },
            ] },
            { "name": "plpgsql", "version": "1.0", "schema": "pg_catalog", "relocatable": false, "requires": null, "dependents": null },
            { "name": "topology", "version": "3", "schema": "made", "relocatable": false, "requires": null, "dependents": null },
        ],
    }));
    observed.into()
}

fn available() -> BTreeMap<String, Available> {
    let version =
        |schema: Option<&str>, requires: &[&str]| json!({ "schema": schema, "requires": requires });
    let rows: Vec<Available> = from(json!([
        { "name": "cube", "default_version": "1.5", "versions": { "1.4": version(None, &[]), "1.5": version(None, &[]) } },
        { "name": "earthdistance", "default_version": "1.1", "versions": { "1.1": version(None, &["cube"]) } },
        { "name": "adminpack", "default_version": "2.1", "versions": { "2.1": version(Some("pg_catalog"), &[]) } },
        { "name": "hstore", "default_version": "1.8", "versions": { "1.7": version(None, &[]), "1.8": version(None, &[]) } },
        { "name": "uuid-ossp", "default_version": "1.1", "versions": { "1.1": version(None, &[]) } },
        { "name": "broken", "default_version": "1", "versions": { "1": version(None, &["nowhere"]) } },
    ]));
    rows.into_iter()
        .map(|row| (row.name.clone(), row))
        .collect()
}

struct Case {
    inside: Option<Inside>,
    made: bool,
    view: bool,
}

fn planned(case: Case, own: Value) -> String {
    let spec = spec(own);
    if let Err(error) = check(&spec) {
        return shown(Err(error));
    }
    let around = from(json!({ "roles": ["ann", "bob"] }));
    let seen = Seen {
        server: server(),
        survey: Survey::new(&World::default(), facts(), Vec::new(), around),
        insides: case
            .inside
            .into_iter()
            .map(|inside| (spec.name.clone(), inside))
            .collect(),
        available: Some(available()),
        made: case.made.then(|| spec.name.clone()).into_iter().collect(),
        view: Map::from_iter([("name".to_owned(), json!("shop"))]),
    };
    shown(
        Inner {
            specs: vec![spec],
            paths: paths(17),
            view: case.view,
        }
        .plan(&seen),
    )
}

/// In the database described above.
fn there(own: Value) -> String {
    planned(
        Case {
            inside: Some(inside()),
            made: false,
            view: false,
        },
        own,
    )
}

/// In one that this run has made.
fn new(own: Value) -> String {
    planned(
        Case {
            inside: Some(Inside::initial(Major::new(17), "postgres")),
            made: true,
            view: false,
        },
        own,
    )
}

#[test]
fn a_new_database_stands_with_the_last_change() {
    assert_snapshot!(new(json!({
        "schemas": ["app", { "name": "Log", "owner": "bob" }, { "name": "public", "state": "absent" }],
        "extensions": [{ "name": "hstore", "schema": "app", "version": "1.7" }],
    })));
}

#[test]
fn a_new_database_stands_when_the_template_has_it_all() {
    assert_snapshot!(new(
        json!({ "schemas": ["public"], "extensions": ["plpgsql"] })
    ));
}

#[test]
fn unchanged() {
    for own in [
        json!({ "schemas": ["public", "old"], "extensions": ["hstore", "cube"] }),
        json!({ "schemas": [{ "name": "old", "owner": "bob" }, { "name": "none", "state": "absent" }] }),
        json!({ "extensions": [{ "name": "hstore", "schema": "ext", "version": "1.8" }, { "name": "none", "state": "absent" }] }),
        json!({ "schemas": [], "extensions": [] }),
        json!({}),
    ] {
        assert_eq!(there(own.clone()), "", "{own}");
    }
}

#[test]
fn schemas() {
    let all = [
        there(json!({ "schemas": [{ "name": "old", "owner": "ann" }] })),
        there(json!({ "schemas": [{ "name": "old", "state": "absent" }] })),
        there(json!({ "schemas": [{ "name": "public", "state": "absent" }] })),
        there(json!({ "schemas": [{ "name": "public", "state": "absent", "cascade": true }] })),
        there(json!({ "schemas": [{ "name": "made", "state": "absent" }] })),
        there(json!({ "schemas": [{ "name": "x", "owner": "eve" }] })),
    ];
    assert_snapshot!(all.join("\n"));
}

/// What leaves a schema in the same run is not in the way of its removal, nor is that of its own extension.
#[test]
fn a_schema_that_is_emptied_by_this_run() {
    let gone = json!([{ "name": "ext", "state": "absent" }]);
    let all = [
        there(json!({ "schemas": gone })),
        there(json!({ "schemas": gone, "extensions": [{ "name": "hstore", "schema": "public" }] })),
        there(
            json!({ "schemas": gone, "extensions": [{ "name": "hstore", "state": "absent", "cascade": true }] }),
        ),
        there(
            json!({ "schemas": [{ "name": "ext", "state": "absent", "cascade": true }], "extensions": ["hstore"] }),
        ),
        there(json!({
            "schemas": [{ "name": "made", "state": "absent" }],
            "extensions": [{ "name": "topology", "state": "absent" }],
        })),
    ];
    assert_snapshot!(all.join("\n"));
}

#[test]
fn extensions() {
    let one = |extension: Value| there(json!({ "extensions": [extension] }));
    let all = [
        one(json!("uuid-ossp")),
        one(json!("adminpack")),
        one(json!({ "name": "cube", "version": "1.5", "schema": "old" })),
        one(json!({ "name": "hstore", "state": "absent", "cascade": true })),
        one(json!({ "name": "earthdistance", "state": "absent" })),
    ];
    assert_snapshot!(all.join("\n"));
}

#[test]
fn extensions_refused() {
    let one = |extension: Value| there(json!({ "extensions": [extension] }));
    let all = [
        one(json!({ "name": "hstore", "state": "absent" })),
        one(json!({ "name": "cube", "state": "absent" })),
        one(json!("uuid_ossp")),
        one(json!("broken")),
        one(json!({ "name": "hstore", "version": "2.0" })),
        one(json!({ "name": "adminpack", "schema": "old" })),
        one(json!({ "name": "topology", "schema": "old" })),
        one(json!({ "name": "hstore", "schema": "nowhere" })),
        one(json!({ "name": "uuid-ossp", "schema": "nowhere" })),
    ];
    assert_snapshot!(all.join(""));
}

/// Made after, and dropped before, those that they require; what is required and not listed comes along.
#[test]
fn extensions_in_order() {
    let all = [
        new(json!({ "extensions": ["earthdistance", "cube"] })),
        new(json!({ "extensions": ["earthdistance"] })),
        there(
            json!({ "extensions": [{ "name": "cube", "state": "absent" }, { "name": "earthdistance", "state": "absent" }] }),
        ),
    ];
    assert_snapshot!(all.join("\n"));
}

#[test]
fn requirements_in_a_circle_end() {
    let list: Vec<ExtensionSpec> = vec![from(json!({ "name": "a" })), from(json!({ "name": "b" }))];
    let list: Vec<&ExtensionSpec> = list.iter().collect();
    let requires = |name: &str| {
        vec![if name == "a" {
            "b".to_owned()
        } else {
            "a".to_owned()
        }]
    };
    let names: Vec<&str> = wanted::in_order(&list, &requires)
        .iter()
        .map(|extension| extension.name.as_str())
        .collect();
    assert_eq!(names, ["b", "a"]);
}

#[test]
fn no_sessions_allowed() {
    let closed = |view| Case {
        inside: None,
        made: false,
        view,
    };
    assert_snapshot!(
        planned(closed(false), json!({ "schemas": ["a"] })) + &planned(closed(true), json!({}))
    );
}

#[test]
fn the_view_is_that_after_the_run() {
    let case = Case {
        inside: Some(inside()),
        made: false,
        view: true,
    };
    assert_snapshot!(planned(
        case,
        json!({
            "schemas": ["app", { "name": "old", "state": "absent" }, { "name": "ext", "owner": "bob" }],
            "extensions": [
                "uuid-ossp", { "name": "hstore", "schema": "app" }, { "name": "cube", "version": "1.5" },
                { "name": "topology", "state": "absent" }, "adminpack",
            ],
        })
    ));
}

#[test]
fn the_public_schema_of_a_new_database() {
    for (version, owner) in [(14, "dba"), (15, "pg_database_owner")] {
        assert_eq!(
            Inside::initial(Major::new(version), "dba").schemas["public"].owner,
            owner
        );
    }
}

#[test]
fn what_is_asked_of_a_database() {
    let spec = spec(json!({
        "schemas": ["a", { "name": "b", "state": "absent" }],
        "extensions": [{ "name": "x", "schema": "c" }, { "name": "y", "state": "absent" }],
    }));
    let mut inner = Inner {
        specs: vec![spec.clone()],
        paths: paths(17),
        view: false,
    };
    assert_eq!(
        inner.parameter(&spec),
        json!({ "schemas": ["a", "b", "c", "public"], "absent_schemas": ["b"], "absent_extensions": ["y"] })
    );
    inner.view = true;
    assert_eq!(inner.parameter(&spec)["schemas"], Value::Null);
}
