use clap::Command;
use clap::error::ErrorKind;
use serde_json::json;

use super::*;
use crate::fault::Fault;
use crate::resource;
use crate::schema::fields;

fn command(fields: &[Field], verb: Verb) -> Command {
    Command::new("test")
        .no_binary_name(true)
        .args(arguments(fields, verb))
}

fn kind(name: &str) -> Vec<Field> {
    fields(&(resource::kind(name).expect("a kind").schema)())
}

fn parsed(fields: &[Field], verb: Verb, line: &[&str]) -> Value {
    let matches = command(fields, verb)
        .try_get_matches_from(line)
        .unwrap_or_else(|error| panic!("{error}"));
    collect(&matches, fields, verb, &mut |_| Ok("typed".into())).expect("an object")
}

/// The first line of what clap has to say.
fn refused(fields: &[Field], verb: Verb, line: &[&str]) -> String {
    let error = command(fields, verb)
        .try_get_matches_from(line)
        .expect_err("refused")
        .to_string();
    error.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn every_command_is_sound() {
    for kind in resource::REGISTRY {
        let fields = fields(&(kind.schema)());
        for verb in [Verb::Create, Verb::Alter] {
            command(&fields, verb).debug_assert();
        }
    }
}

#[test]
fn what_was_given() {
    let (role, database, instance) = (kind("role"), kind("database"), kind("instance"));
    let (create, alter) = (Verb::Create, Verb::Alter);
    for (fields, verb, line, expected) in [
        (&role, create, "bob", json!({"name": "bob"})),
        (
            &role,
            create,
            "bob --login --no-inherit --connection-limit -1 --in-role readers --in-role writers",
            json!({"name": "bob", "inherit": false, "login": true, "connection_limit": -1, "memberships": ["readers", "writers"]}),
        ),
        (
            &role,
            create,
            "--login --no-login bob",
            json!({"name": "bob", "login": false}),
        ),
        (
            &role,
            create,
            "--no-login --login bob",
            json!({"name": "bob", "login": true}),
        ),
        (
            &role,
            create,
            "bob --password secret",
            json!({"name": "bob", "password": "secret"}),
        ),
        (
            &role,
            create,
            "bob --password",
            json!({"name": "bob", "password": "typed"}),
        ),
        (
            &role,
            create,
            "bob --password --login",
            json!({"name": "bob", "password": "typed", "login": true}),
        ),
        (
            &role,
            alter,
            "bob --grant a --revoke b --grant c --memberships-purge",
            json!({"name": "bob", "memberships": ["a", "c", {"role": "b", "state": "absent"}], "memberships_purge": true}),
        ),
        (
            &database,
            create,
            "shop --owner bob --schema app --extension pg_trgm --locale C",
            json!({"name": "shop", "owner": "bob", "locale": "C", "schemas": ["app"], "extensions": ["pg_trgm"]}),
        ),
        (
            &database,
            alter,
            "shop --remove-schema app --add-extension hstore --comment=",
            json!({
                "name": "shop",
                "comment": "",
                "schemas": [{"name": "app", "state": "absent"}],
                "extensions": ["hstore"],
            }),
        ),
        (&instance, create, "", json!({})),
        (
            &instance,
            create,
            "main --version 15 --port 5433 --auth-local peer --auth-host md5 --no-drop-on-error --state stopped",
            json!({
                "name": "main",
                "version": "15",
                "state": "stopped",
                "port": 5433,
                "auth": {"local": "peer", "host": "md5"},
                "drop_on_error": false,
            }),
        ),
        (&instance, alter, "", json!({})),
        (
            &instance,
            alter,
            "main --port 5434",
            json!({"name": "main", "port": 5434}),
        ),
        (
            &instance,
            alter,
            "main --pgbackrest-state absent",
            json!({"name": "main", "pgbackrest": {"state": "absent"}}),
        ),
        (
            &instance,
            alter,
            "15/main",
            json!({"version": "15", "name": "main"}),
        ),
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(parsed(fields, verb, &words), expected, "{line}");
    }
}

#[test]
fn what_is_refused() {
    let (role, instance) = (kind("role"), kind("instance"));
    let (create, alter) = (Verb::Create, Verb::Alter);
    for (fields, verb, line, expected) in [
        (
            &role,
            create,
            "",
            "error: the following required arguments were not provided:",
        ),
        (
            &role,
            create,
            "bob --connection-limit ten",
            "error: invalid value 'ten' for '--connection-limit <NUMBER>': `ten` is not a whole number",
        ),
        (
            &role,
            create,
            "bob --connection-limit -2",
            "error: invalid value '-2' for '--connection-limit <NUMBER>': -2 is not from -1 to 2147483647",
        ),
        (
            &instance,
            create,
            "--port 70000",
            "error: invalid value '70000' for '--port <NUMBER>': 70000 is not from 1 to 65535",
        ),
        (
            &instance,
            create,
            "--state absent",
            "error: invalid value 'absent' for '--state <STATE>'",
        ),
        (
            &instance,
            alter,
            "--auth-local peer",
            "error: unexpected argument '--auth-local' found",
        ),
        (
            &instance,
            alter,
            "--version 15",
            "error: unexpected argument '--version' found",
        ),
        (
            &instance,
            alter,
            "15/main/x",
            "error: invalid value '15/main/x' for '[[VERSION/]NAME]': `15/main/x` is no instance: give NAME or VERSION/NAME",
        ),
        (
            &role,
            create,
            "bob --settings x",
            "error: unexpected argument '--settings' found",
        ),
        (
            &role,
            create,
            "bob --hba-records x",
            "error: unexpected argument '--hba-records' found",
        ),
        (
            &role,
            alter,
            "bob --in-role x",
            "error: unexpected argument '--in-role' found",
        ),
        (
            &role,
            create,
            "bob --instance x",
            "error: unexpected argument '--instance' found",
        ),
        (
            &instance,
            create,
            "--standby x",
            "error: unexpected argument '--standby' found",
        ),
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(refused(fields, verb, &words), expected, "{line}");
    }
}

#[test]
fn secrets_are_asked_for_twice() {
    let role = kind("role");
    let given = |answers: &[&str]| {
        let matches = command(&role, Verb::Create)
            .try_get_matches_from(["bob", "--encrypted-password"])
            .expect("matches");
        let mut answers = answers.iter();
        let mut asked = Vec::new();
        let object = collect(&matches, &role, Verb::Create, &mut |what| {
            asked.push(what.to_owned());
            Ok((*answers.next().expect("an answer")).to_owned())
        });
        (
            object.map_err(|error| Fault::of(&error).map(|fault| fault.msg.clone())),
            asked,
        )
    };
    let both = ["encrypted password", "encrypted password, again"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(
        given(&["a", "a"]),
        (
            Ok(json!({"name": "bob", "encrypted_password": "a"})),
            both.clone()
        )
    );
    assert_eq!(
        given(&["a", "b"]),
        (
            Err(Some(
                "`--encrypted-password`: the two entries differ".into()
            )),
            both.clone()
        )
    );
    assert_eq!(
        given(&[""]),
        (
            Err(Some("`--encrypted-password`: nothing was entered".into())),
            both[..1].to_vec()
        )
    );
}

#[test]
fn fields_of_every_kind() {
    let all = fields(
        &json!({"type": "object", "required": ["ratio"], "properties": {
            "ratio": {"type": "number"},
            "ports": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            "inner": {"type": "object", "properties": {
                "name": {"type": "string"},
                "deep_one": {"type": "object", "properties": {"key_file": {"type": "string"}}},
            }},
            "map": {"type": "object"},
            "anything": {},
            "objects": {"type": "array", "items": {"type": "object", "properties": {}}},
        }}),
    );
    let ids: Vec<String> = arguments(&all, Verb::Create)
        .iter()
        .map(|argument| argument.get_id().to_string())
        .collect();
    assert_eq!(
        ids,
        ["ratio", "ports", "inner-name", "inner-deep-one-key-file"]
    );
    let line = [
        "--ratio",
        "0.5",
        "--ports",
        "1",
        "--ports",
        "2",
        "--inner-name",
        "a",
        "--inner-deep-one-key-file",
        "b",
    ];
    assert_eq!(
        parsed(&all, Verb::Create, &line),
        json!({"ratio": 0.5, "ports": [1, 2], "inner": {"name": "a", "deep_one": {"key_file": "b"}}})
    );
    assert_eq!(
        refused(&all, Verb::Create, &["--ratio", "NaN"]),
        "error: invalid value 'NaN' for '--ratio <NUMBER>': `NaN` is not a number"
    );
    assert_eq!(
        refused(&all, Verb::Alter, &["--ports", "0"]),
        "error: invalid value '0' for '--ports <NUMBER>': 0 is less than 1"
    );
    let missing = command(&all, Verb::Create)
        .try_get_matches_from::<_, &str>([])
        .expect_err("refused");
    assert_eq!(missing.kind(), ErrorKind::MissingRequiredArgument);
    assert_eq!(parsed(&all, Verb::Alter, &[]), json!({}));
}

#[test]
fn help_of_a_command() {
    let fields = fields(
        &json!({"type": "object", "required": ["name"], "properties": {
            "instance": {"type": "string", "description": "Where it is."},
            "name": {"type": "string", "description": "Name of it."},
            "color": {"enum": ["red", "blue"], "description": "Its color. It may change."},
            "login": {"type": "boolean", "description": "May log in."},
            "keep": {"type": "boolean", "default": true, "description": "Is kept."},
            "force": {"type": "boolean", "default": false, "description": "By force."},
            "limit": {"type": "integer", "minimum": -1, "description": "How many; -1 for no limit."},
            "password": {"type": "string", "writeOnly": true, "description": "Password."},
            "groups": {
                "type": "array",
                "items": {"type": "object", "properties": {"role": {"type": "string"}}},
                "description": "Groups it is in; those not listed are kept.",
                "x-short": "role", "x-create": "in-group", "x-alter": ["grant", "revoke"],
            },
        }}),
    );
    let help = |verb| command(&fields, verb).render_help().to_string();
    assert_eq!(
        help(Verb::Create),
        "\
Usage: test [OPTIONS] <NAME>

Arguments:
  <NAME>  Name of it

Options:
      --color <COLOR>       Its color [possible values: red, blue]
      --login               May log in
      --no-login            The contrary of `--login`
      --no-keep             The contrary of `--keep`
      --force               By force
      --limit <NUMBER>      How many; -1 for no limit
      --password [<VALUE>]  Password
      --in-group <NAME>     Groups it is in (repeatable)
  -h, --help                Print help
"
    );
    let alter = help(Verb::Alter);
    let lists: Vec<&str> = alter
        .lines()
        .filter(|line| line.contains("repeatable"))
        .map(str::trim)
        .collect();
    assert_eq!(
        lists,
        [
            "--grant <NAME>        Groups it is in: add one (repeatable)",
            "--revoke <NAME>       Groups it is in: take one away (repeatable)",
        ]
    );
}
