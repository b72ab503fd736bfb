use insta::assert_snapshot;
use serde_json::{Value, json};

use super::*;
use crate::resource::samples::{facts, from, paths, server, shown, with};

fn row(own: Value) -> Row {
    let common = json!({
        "name": "shop", "owner": "postgres", "encoding": "UTF8", "collate": "de_DE.UTF-8", "ctype": "de_DE.UTF-8",
        "locale_provider": "libc", "provider_locale": null, "tablespace": "pg_default", "connection_limit": -1,
        "is_template": false, "allows_connections": true, "settings": null, "comment": null, "sessions": null,
    });
    with(common, own)
}

fn spec(own: Value) -> DatabaseSpec {
    with(json!({ "name": "shop" }), own)
}

/// What is planned for these databases beside template1, roles `ann` and `bob`, tablespace `fast`.
fn planned(version: u16, specs: Vec<DatabaseSpec>, rows: Vec<Row>) -> String {
    let template = row(json!({ "name": "template1", "is_template": true }));
    let mut databases = match Databases::new(specs, paths(version)) {
        Ok(databases) => databases,
        Err(error) => return shown(Err(error)),
    };
    databases.view = databases
        .specs
        .iter()
        .any(|spec| spec.comment.as_deref() == Some("viewed"));
    let around = from(
        json!({ "roles": ["ann", "bob"], "tablespaces": ["fast", "pg_default", "pg_global"] }),
    );
    let rows = rows.into_iter().chain([template]).collect();
    let seen = Seen {
        server: server(),
        survey: Survey::new(&World::default(), facts(), rows, around),
        locales: Some(vec!["de_de.utf8".into(), "fr_fr.utf8".into()]),
        parameters: Parameters::default(),
    };
    shown(databases.plan(&seen))
}

fn create(version: u16, own: Value) -> String {
    planned(version, vec![spec(own)], Vec::new())
}

fn alter(wanted: Value, present: Value) -> String {
    planned(17, vec![spec(wanted)], vec![row(present)])
}

#[test]
fn creation_with_nothing_said() {
    assert_snapshot!(create(17, json!({})));
}

#[test]
fn creation_with_everything() {
    assert_snapshot!(create(
        17,
        json!({
            "owner": "ann", "encoding": "utf-8", "locale": "fr_FR.UTF-8", "tablespace": "fast", "connection_limit": 5,
            "settings": { "work_mem": "64MB", "search_path": "app, public", "jit": false, "timezone": null },
            "comment": "it's", "schemas": ["app"],
        })
    ));
}

#[test]
fn creation_with_the_traits_of_template1() {
    assert_snapshot!(create(
        17,
        json!({ "encoding": "utf8", "locale": "de_DE.utf8", "locale_provider": "libc" })
    ));
}

/// The clauses of CREATE DATABASE for encoding and locale.
#[test]
fn locale_clauses() {
    for (template, wanted, expected) in [
        (
            json!({}),
            json!({ "encoding": "LATIN1", "locale": "C" }),
            "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
        ),
        (
            json!({}),
            json!({ "encoding": "UTF-8", "locale": "de_DE.utf8" }),
            "",
        ),
        (
            json!({ "ctype": "C" }),
            json!({ "locale": "de_DE.UTF-8" }),
            "LC_COLLATE 'de_DE.UTF-8' LC_CTYPE 'de_DE.UTF-8'",
        ),
        (
            json!({}),
            json!({ "locale_provider": "icu", "icu_locale": "fr-FR", "locale": "fr_FR.UTF-8" }),
            "LOCALE_PROVIDER icu LC_COLLATE 'fr_FR.UTF-8' LC_CTYPE 'fr_FR.UTF-8' ICU_LOCALE 'fr-FR'",
        ),
        (
            json!({ "locale_provider": "icu", "provider_locale": "de-DE" }),
            json!({ "locale_provider": "icu", "icu_locale": "fr-FR" }),
            "ICU_LOCALE 'fr-FR'",
        ),
        (
            json!({ "locale_provider": "icu", "provider_locale": "de-DE" }),
            json!({ "locale": "fr_FR.UTF-8" }),
            "LOCALE_PROVIDER libc LC_COLLATE 'fr_FR.UTF-8' LC_CTYPE 'fr_FR.UTF-8'",
        ),
        (
            json!({}),
            json!({ "locale_provider": "builtin", "locale": "C.UTF-8" }),
            "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'",
        ),
        (
            json!({ "locale_provider": "builtin", "provider_locale": "C.UTF-8" }),
            json!({ "locale_provider": "builtin", "locale": "C" }),
            "BUILTIN_LOCALE 'C'",
        ),
        (
            json!({ "locale_provider": "builtin", "provider_locale": "C.UTF-8" }),
            json!({ "locale_provider": "builtin" }),
            "",
        ),
        (
            json!({ "locale_provider": "builtin", "provider_locale": "C.UTF-8" }),
            json!({ "locale_provider": "libc" }),
            "LOCALE_PROVIDER libc",
        ),
    ] {
        let (template, spec) = (row(template), spec(wanted.clone()));
        let clauses = Wanted {
            spec: &spec,
            row: None,
            template: Some(&template),
            parameters: None,
        }
        .traits()
        .unwrap();
        assert_eq!(clauses.join(" "), expected, "{wanted}");
    }
}

#[test]
fn alteration_of_everything() {
    assert_snapshot!(alter(
        json!({
            "owner": "bob", "tablespace": "fast", "connection_limit": 7, "comment": "",
            "settings": { "work_mem": "1GB", "jit": null, "timezone": "UTC" }, "settings_purge": true,
        }),
        json!({
            "owner": "ann", "connection_limit": 3, "comment": "old", "sessions": 0,
            "settings": ["work_mem=64MB", "jit=off", "TimeZone=UTC", "myapp.Level=3"],
        }),
    ));
}

#[test]
fn unchanged() {
    let present = json!({
        "owner": "ann", "connection_limit": 3, "comment": "old", "tablespace": "fast", "sessions": 9,
        "settings": ["search_path=app, public", "TimeZone=UTC", "other=1"],
    });
    for wanted in [
        json!({}),
        json!({ "owner": "ann", "connection_limit": 3, "comment": "old", "tablespace": "fast" }),
        json!({ "encoding": "utf-8", "locale": "de_DE.utf8", "locale_provider": "libc" }),
        json!({ "settings": { "search_path": "\"app\",public", "timezone": "UTC", "jit": null } }),
        json!({ "settings": {} }),
    ] {
        assert_eq!(alter(wanted.clone(), present.clone()), "", "{wanted}");
    }
}

#[test]
fn one_attribute_at_a_time() {
    let all: Vec<String> = [
        json!({ "owner": "bob" }),
        json!({ "connection_limit": 3 }),
        json!({ "comment": "a\\b" }),
        json!({ "settings": { "myapp.Level": 3, "log_statement": "all" } }),
    ]
    .into_iter()
    .map(|wanted| alter(wanted, json!({})))
    .collect();
    assert_snapshot!(all.join("\n"));
}

#[test]
fn names_are_quoted() {
    let specs = vec![from(
        json!({ "name": "My \"Shop\"", "owner": "ann", "tablespace": "fast" }),
    )];
    assert_snapshot!(planned(17, specs, Vec::new()));
}

#[test]
fn the_maintenance_database_is_moved_from_another_one() {
    let specs = vec![from(json!({ "name": "postgres", "tablespace": "fast" }))];
    assert_snapshot!(planned(17, specs, vec![row(json!({ "name": "postgres" }))]));
}

#[test]
fn removal() {
    let gone = json!({ "state": "absent" });
    let forced = json!({ "state": "absent", "force_drop": true });
    assert_eq!(create(17, gone.clone()), "");
    let all = [
        alter(gone.clone(), json!({ "owner": "ann", "sessions": 0 })),
        alter(gone.clone(), json!({ "sessions": 2 })),
        alter(forced.clone(), json!({ "sessions": 1 })),
        alter(
            gone.clone(),
            json!({ "connection_limit": -2, "sessions": 0 }),
        ),
        alter(forced, json!({ "is_template": true })),
        planned(
            17,
            vec![from(json!({ "name": "postgres", "state": "absent" }))],
            vec![row(json!({ "name": "postgres" }))],
        ),
    ];
    assert_snapshot!(all.join("\n"));
}

#[test]
fn several_in_one_run_keep_their_order() {
    let specs = vec![
        from(json!({ "name": "b", "owner": "ann" })),
        from(json!({ "name": "shop", "state": "absent" })),
        from(json!({ "name": "a" })),
    ];
    assert_snapshot!(planned(17, specs, vec![row(json!({ "sessions": 0 }))]));
}

#[test]
fn what_only_a_creation_can_choose() {
    let icu = json!({ "locale_provider": "icu", "provider_locale": "en-US" });
    let all = [
        alter(json!({ "encoding": "LATIN1" }), json!({})),
        alter(json!({ "locale": "C" }), json!({})),
        alter(json!({ "locale": "de_DE.UTF-8" }), json!({ "ctype": "C" })),
        alter(
            json!({ "locale_provider": "icu", "icu_locale": "en-US" }),
            json!({}),
        ),
        alter(
            json!({ "locale_provider": "icu", "icu_locale": "fr-FR" }),
            icu,
        ),
        alter(json!({ "owner": "ann" }), json!({ "connection_limit": -2 })),
    ];
    assert_snapshot!(all.join("\n"));
}

#[test]
fn refused_before_looking() {
    let all: Vec<String> = [
        json!({ "publications": [{ "name": "p" }] }),
        json!({ "subscriptions": [{ "name": "s" }] }),
        json!({ "clone": { "dsn": "postgres://x" } }),
        json!({ "force_drop": true }),
        json!({ "connection_limit": -2 }),
        json!({ "tablespace": "Default" }),
        json!({ "tablespace": "pg_global" }),
        json!({ "encoding": "UTF9" }),
        json!({ "locale_provider": "icu" }),
        json!({ "icu_locale": "en-US" }),
        json!({ "locale_provider": "builtin", "locale": "de_DE.UTF-8" }),
        json!({ "settings": { "work_mem": 1, "Work_Mem": 2 } }),
        json!({ "name": "" }),
        json!({ "name": "n".repeat(64) }),
        json!({ "schemas": ["a", "a"] }),
        json!({ "schemas": ["pg_toast"] }),
        json!({ "schemas": [{ "name": "a", "cascade": true }] }),
        json!({ "schemas": [{ "name": "a", "state": "absent" }], "extensions": [{ "name": "x", "schema": "a" }] }),
        json!({ "extensions": ["x", { "name": "x", "state": "absent" }] }),
        json!({ "extensions": [{ "name": "x", "version": "" }] }),
    ]
    .into_iter()
    .map(|wanted| create(17, wanted))
    .collect();
    assert_snapshot!(all.join(""));
    assert_snapshot!(
        "majors",
        create(
            14,
            json!({ "locale_provider": "icu", "icu_locale": "en-US" })
        ) + &create(16, json!({ "locale_provider": "builtin", "locale": "C" }))
    );
    assert_snapshot!(
        "twice",
        planned(17, vec![spec(json!({})), spec(json!({}))], Vec::new())
    );
}

#[test]
fn refused_after_looking() {
    let all: Vec<String> = [
        json!({ "owner": "eve" }),
        json!({ "tablespace": "fats" }),
        json!({ "locale": "xx_XX.UTF-8" }),
        json!({ "locale_provider": "builtin" }),
    ]
    .into_iter()
    .map(|wanted| create(17, wanted))
    .collect();
    assert_snapshot!(all.join(""));
}

#[test]
fn empty_lists_of_what_is_not_supported_are_fine() {
    let wanted = json!({ "publications": [], "subscriptions": [], "clone": null });
    assert_eq!(alter(wanted, json!({})), "");
}

#[test]
fn the_view_is_that_after_the_run() {
    assert_snapshot!(alter(
        json!({ "comment": "viewed", "owner": "ann", "connection_limit": 2, "settings": { "jit": true } }),
        json!({ "settings": ["work_mem=1MB"] }),
    ));
    assert_snapshot!(
        "created",
        create(17, json!({ "comment": "viewed", "locale": "fr_FR.UTF-8" }))
    );
}

#[test]
fn roles_and_databases_of_earlier_stages_count() {
    let mut world = World::default();
    let told = [
        Fact::Role("new".into()),
        Fact::NoRole("ann".into()),
        Fact::NoDatabase("shop".into()),
    ];
    world.learn(&told, false);
    let around = from(json!({ "roles": ["ann"], "tablespaces": [] }));
    let survey = Survey::new(&world, facts(), vec![row(json!({}))], around);
    assert_eq!(survey.around.roles, ["new".to_owned()].into());
    assert!(survey.rows.is_empty());
}

#[test]
fn a_standby_is_not_written_to() {
    let databases = Databases::new(vec![spec(json!({}))], paths(17)).unwrap();
    let standby = ServerFacts {
        in_recovery: true,
        ..facts()
    };
    let survey = Survey::new(
        &World::default(),
        standby,
        Vec::new(),
        Surroundings::default(),
    );
    assert_snapshot!(shown(databases.plan(&Seen {
        server: server(),
        survey,
        locales: None,
        parameters: Parameters::default(),
    })));
}

#[test]
fn in_a_new_cluster() {
    let mut world = World::default();
    world.learn(&[Fact::ClusterMade, Fact::Starts(server())], false);
    let specs = vec![
        from(json!({ "name": "postgres", "encoding": "UTF8", "owner": "postgres" })),
        spec(json!({ "encoding": "UTF8" })),
    ];
    let databases = Databases::new(specs, paths(17)).unwrap();
    let survey = Survey::predict(&world, &databases.paths).unwrap();
    assert_snapshot!(shown(databases.plan(&Seen {
        server: server(),
        survey,
        locales: None,
        parameters: Parameters::default(),
    })));
}
