use insta::assert_snapshot;

use super::*;
use crate::resource::samples::{facts, from, paths, server, shown, with};

fn row(own: Value) -> Row {
    let common = json!({
        "name": "fast", "owner": "postgres", "location": "/srv/fast", "settings": null, "comment": null, "databases": null, "size": null,
    });
    with(common, own)
}

/// What is planned for these tablespaces where roles `ann` and `bob` are, and these are protected.
fn planned(specs: &[Value], rows: Vec<Row>, place: Place, protected: &str) -> String {
    let specs = specs.iter().cloned().map(from).collect();
    let stages = match Tablespaces::new(specs, &paths(17)) {
        Ok(stages) => stages,
        Err(error) => return shown(Err(error)),
    };
    let around: Surroundings = from(json!({
        "roles": ["ann", "bob"], "notes": [format!("{PROTECTED}={protected}"), "work_mem=9MB"],
    }));
    let rows = rows.into_iter().map(|row| (row.name.clone(), row));
    let seen = Seen {
        server: server(),
        user: "postgres".into(),
        facts: facts(),
        rows: rows.collect(),
        protected: super::protected(&around),
        around,
        dropped: vec!["gone".into()],
        places: [("/srv/fast".into(), place)].into(),
    };
    let parts = stages.map(|mut stage| {
        stage.view = stage.specs.len() == 1;
        shown(stage.plan(&seen))
    });
    parts.concat()
}

fn create(own: Value, place: Place) -> String {
    let spec = with(json!({ "name": "fast", "location": "/srv/fast/" }), own);
    planned(&[spec], Vec::new(), place, "")
}

fn alter(wanted: Value, present: Value) -> String {
    let spec = with(json!({ "name": "fast" }), wanted);
    planned(&[spec], vec![row(present)], Place::Free, "other, \"Fa,st\"")
}

#[test]
fn creation() {
    assert_snapshot!(create(json!({}), Place::Free));
}

#[test]
fn creation_with_everything() {
    let all = json!({
        "owner": "ann", "comment": "it's fast", "deletion_protection": true,
        "settings": { "Random_Page_Cost": 1.1, "effective_io_concurrency": 200 },
    });
    assert_snapshot!(create(all, Place::ToMake));
}

#[test]
fn places_that_do_not_do() {
    let places = [
        Place::Missing,
        Place::Foreign,
        Place::InUse("PG_17_202406281".into()),
        Place::NoDirectory,
    ];
    assert_snapshot!(places.map(|place| create(json!({}), place)).join("\n"));
}

#[test]
fn nothing_to_do() {
    for (wanted, present) in [
        (json!({}), json!({ "owner": "ann", "comment": "x" })),
        (
            json!({ "owner": "ann", "location": "/srv/fast/", "comment": "x", "deletion_protection": false,
                    "settings": { "seq_page_cost": 1.50, "random_page_cost": null } }),
            json!({ "owner": "ann", "comment": "x", "settings": ["seq_page_cost=1.5"] }),
        ),
    ] {
        let text = alter(wanted, present);
        assert!(text.starts_with("{\"tablespace\":"), "{text}");
    }
}

#[test]
fn alteration() {
    assert_snapshot!(alter(
        json!({ "owner": "bob", "comment": "", "deletion_protection": true, "settings": { "seq_page_cost": "2", "random_page_cost": null } }),
        json!({ "comment": "old", "settings": ["seq_page_cost=1.5", "random_page_cost=3"] }),
    ));
}

#[test]
fn removal() {
    let absent = [json!({ "name": "fast", "state": "absent" })];
    let held = |databases: Value| {
        let row = row(json!({ "databases": databases }));
        planned(&absent, vec![row], Place::Free, "other")
    };
    assert_snapshot!([held(json!(["gone"])), held(json!(["gone", "shop", "app"]))].join("\n"));
    assert_snapshot!(planned(
        &absent,
        vec![row(json!({}))],
        Place::Free,
        "other, fast"
    ));
    assert_eq!(planned(&absent, Vec::new(), Place::Free, "fast"), "");
}

#[test]
fn refusals() {
    let mut all = String::new();
    for spec in [
        json!({ "name": "pg_fast", "location": "/srv/x" }),
        json!({ "name": "pg_default", "state": "absent" }),
        json!({ "name": "new" }),
        json!({ "name": "new", "location": "srv/x" }),
        json!({ "name": "new", "location": "/srv/it's" }),
        json!({ "name": "new", "location": "/srv/main/data/x" }),
        json!({ "name": "new", "location": "/srv/main" }),
        json!({ "name": "new", "location": "/srv/x", "owner": "eve" }),
        json!({ "name": "fast", "location": "/srv/other" }),
        json!({ "name": "fast", "settings": { "random_cost": 1 } }),
        json!({ "name": "fast", "settings": { "random_page_cost": "1); DROP TABLE x" } }),
        json!({ "name": "fast", "settings": { "effective_io_concurrency": 1001 } }),
        json!({ "name": "fast", "state": "absent", "deletion_protection": false }),
    ] {
        all.push_str(&planned(&[spec], vec![row(json!({}))], Place::Free, ""));
        all.push('\n');
    }
    assert_snapshot!(all);
}
