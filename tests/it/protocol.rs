//! The JSON door: one document in, one out, whatever comes in.

use serde_json::{Value, json};

use crate::support::bin::Output;
use crate::support::pg::{Major, Site};

fn reply(output: &Output) -> Value {
    assert_eq!(output.stderr, "");
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn what_cannot_be_understood_is_refused() {
    let site = Site::new(&Major::usual());
    let request = |params: Value| json!({ "protocol": 1, "params": params }).to_string();
    for (kind, stdin, msg, hint) in [
        (
            "instance",
            "{".to_owned(),
            "the request is not JSON: line 1, column 1",
            None,
        ),
        (
            "instance",
            String::new(),
            "the request is not JSON: line 1, column 0",
            None,
        ),
        (
            "instance",
            json!({ "protocol": 2, "params": {}, "more": 1 }).to_string(),
            "this pgsocle speaks protocol 1, the collection wants 2",
            Some("bring both to the same version: role socle.postgresql.install"),
        ),
        (
            "instances",
            request(json!({})),
            "there is no kind `instances`",
            Some("did you mean `instance`?"),
        ),
        (
            "instance",
            json!({ "protocol": 1, "parms": {} }).to_string(),
            "unknown option `request.parms`",
            Some("did you mean `params`?"),
        ),
        (
            "instance",
            request(json!({})),
            "missing option `instance.name`",
            None,
        ),
        (
            "instance",
            request(json!({ "name": "a", "settngs": {} })),
            "unknown option `instance.settngs`",
            Some("did you mean `settings`?"),
        ),
        (
            "instance",
            request(json!({ "name": "a", "roles": [{ "name": "r", "logn": true }] })),
            "unknown option `instance.roles[0].logn`",
            Some("did you mean `login`?"),
        ),
        (
            "role",
            request(json!({ "name": "a", "logn": true })),
            "unknown option `role.logn`",
            Some("did you mean `login`?"),
        ),
        (
            "role",
            request(json!({ "name": "a", "login": "perhaps" })),
            "wrong value of `role.login`: a string instead of a boolean",
            None,
        ),
        (
            "instance",
            request(json!({ "name": "a", "port": "many" })),
            "wrong value of `instance.port`: a string instead of an integer",
            None,
        ),
    ] {
        let output = site
            .pgsocle(["ansible", kind])
            .stdin(stdin.clone())
            .any_code()
            .go();
        let reply = reply(&output);
        assert_eq!(
            (reply["msg"].as_str().unwrap(), reply["hint"].as_str()),
            (msg, hint),
            "{kind} {stdin}"
        );
        assert_eq!(
            (&reply["failed"], &reply["changed"]),
            (&json!(true), &json!(false))
        );
    }
}

#[test]
fn options_of_later_versions_are_refused_by_name() {
    let site = Site::new(&Major::usual());
    for option in ["standby", "temboard", "powa", "prometheus", "patroni"] {
        assert_eq!(
            site.refusal(
                "instance",
                &json!({ "name": "main", option: { "stanza": "x" } })
            ),
            [
                format!(
                    "instance `main`: option `{option}` is not supported in this version of pgsocle"
                ),
                "leave it out".to_owned()
            ]
        );
    }
}
