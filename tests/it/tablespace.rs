//! Tablespaces on real servers, alone and in their instance.

use serde_json::{Value, json};

use crate::support::pg::{Major, Site};

impl Site {
    /// What the catalogs say of tablespaces: name, owner, parameters, comment.
    fn tablespaces(&self) -> String {
        self.ask(
            "SELECT string_agg(concat_ws(' ', spcname, spcowner::regrole, spcoptions, shobj_description(oid, 'pg_tablespace')), '; ' ORDER BY spcname)
               FROM pg_tablespace WHERE spcname !~ '^pg_'",
        )
    }
}

fn main(site: &Site, more: Value) -> Value {
    let mut all = json!({ "name": "main", "port": site.port() });
    all.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    all
}

/// On every major; what is in them and around them comes and goes in the same calls.
#[test]
fn everything_comes_changes_and_goes() {
    for major in Major::all() {
        let site = Site::new(&major);
        let fast = site.path("srv/fast");
        let wanted = main(
            &site,
            json!({
                "roles": [{ "name": "ann" }],
                "tablespaces": [{
                    "name": "fast", "location": fast, "owner": "ann", "comment": "it's fast", "deletion_protection": true,
                    "settings": { "random_page_cost": 1.10, "effective_io_concurrency": 200 },
                }],
                "databases": [{ "name": "shop", "tablespace": "fast" }],
            }),
        );
        let reply = site.converges("instance", &wanted);
        let changes = reply["changes"].as_array().unwrap();
        assert_eq!(
            changes[changes.len() - 2..],
            [
                json!("create tablespace `fast`"),
                json!("create database `shop`")
            ]
        );
        assert_eq!(
            site.tablespaces(),
            "fast ann {effective_io_concurrency=200,random_page_cost=1.1} it's fast"
        );

        let fast = |own: Value| {
            let mut all = json!({ "instance": "main", "name": "fast" });
            all.as_object_mut()
                .unwrap()
                .extend(own.as_object().unwrap().clone());
            all
        };
        site.changes_nothing(
            "tablespace",
            &fast(
                json!({ "settings": { "random_page_cost": "1.1" }, "deletion_protection": true }),
            ),
        );
        let reply = site.converges(
            "tablespace",
            &fast(json!({ "owner": "postgres", "comment": "", "settings": { "random_page_cost": null } })),
        );
        assert_eq!(reply["tablespace"]["owner"], "postgres");
        assert_eq!(
            site.tablespaces(),
            "fast postgres {effective_io_concurrency=200}"
        );
        // The note is the server's, and no setting of the database that keeps it.
        site.converges(
            "database",
            &json!({ "instance": "main", "name": "postgres", "settings": { "work_mem": "9MB" }, "settings_purge": true }),
        );
        let seen = site.pgsocle(["tablespace", "list", "-o", "json"]).json();
        assert_eq!(seen[0]["deletion_protection"], json!(true));
        assert!(seen[0]["size"].as_i64().unwrap() > 1_000_000);

        let absent = fast(json!({ "state": "absent" }));
        assert_eq!(
            site.refusal("tablespace", &absent)[0],
            format!(
                "tablespaces of {}/main: tablespace `fast` is protected against deletion",
                major.number
            )
        );
        let both = fast(json!({ "state": "absent", "deletion_protection": false }));
        assert_eq!(site.refused("tablespace", &both)["error_kind"], "input");
        site.pgsocle(["tablespace", "alter", "fast", "--no-deletion-protection"])
            .go();
        assert_eq!(
            site.refusal("tablespace", &absent)[0],
            format!(
                "tablespaces of {}/main: tablespace `fast` is not dropped: there is something in it of database `shop`",
                major.number
            )
        );
        let gone = main(
            &site,
            json!({
                "tablespaces": [{ "name": "fast", "state": "absent" }],
                "databases": [{ "name": "shop", "state": "absent" }],
                "roles": [{ "name": "ann", "state": "absent" }],
            }),
        );
        let reply = site.converges("instance", &gone);
        assert_eq!(
            reply["changes"],
            json!([
                "drop database `shop`",
                "drop tablespace `fast`",
                "drop role `ann`"
            ])
        );
        assert_eq!(site.tablespaces(), "");
        assert_eq!(site.path("srv/fast").read_dir().unwrap().count(), 0);
    }
}

#[test]
fn places_and_what_stays_there() {
    let site = Site::new(&Major::usual());
    site.ansible("instance", false, &main(&site, json!({})));
    let at =
        |name: &str, place: &str| json!({ "instance": "main", "name": name, "location": place });
    let nowhere = at("new", "/there/is/no/such");
    assert_eq!(
        site.ansible("tablespace", true, &nowhere)["warnings"][0],
        "tablespace `new`: directory `/there/is/no/such` does not exist, and cannot be made by the user of the servers"
    );
    let reply = site
        .ansible_run("tablespace", false, &nowhere)
        .code(1)
        .json();
    assert_eq!(reply["error_kind"], "not_found");
    assert!(
        reply["hint"]
            .as_str()
            .unwrap()
            .starts_with("`install -d -o "),
        "{reply}"
    );
    let data = site.path("srv/fast");
    let data = data.to_str().unwrap();
    site.pgsocle(["tablespace", "create", "fast", "--location", data])
        .go();
    site.pgsocle(["tablespace", "create", "fast", "--location", data])
        .code(1)
        .go();
    assert_eq!(
        site.refused("tablespace", &at("other", data))["error_kind"],
        "conflict"
    );
    assert_eq!(
        site.refused("tablespace", &at("fast", "/elsewhere"))["error_kind"],
        "conflict"
    );

    // Their directories are not the instance's alone: a copy of it may use them.
    site.pgsocle(["instance", "alter", "main", "--no-deletion-protection"])
        .go();
    let absent = json!({ "name": "main", "state": "absent" });
    let reply = site.converges("instance", &absent);
    let warning = reply["warnings"][0].as_str().unwrap().to_owned();
    assert!(
        warning.contains(&format!("in tablespaces stays in `{data}`")),
        "{warning}"
    );
    assert_eq!(site.path("srv/fast").read_dir().unwrap().count(), 1);
    // One that is made anew is told of it.
    site.ansible("instance", false, &main(&site, json!({ "recreate": true })));
    let [msg, hint] = site.refusal("tablespace", &at("fast", data));
    assert!(
        msg.contains("which is what a cluster keeps in a tablespace"),
        "{msg}"
    );
    assert!(hint.contains("if the cluster is gone"), "{hint}");
}
