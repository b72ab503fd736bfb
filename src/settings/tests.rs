use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fault::{Fault, Kind};
use crate::pg::version::Major;

const FILE: &str = "/etc/pgsocle/settings.yaml";
const COMPLETE: &str = include_str!("../../tests/fixtures/settings/pglift-complete.yaml");

fn caller() -> Caller {
    Caller {
        user: "ada".to_owned(),
        group: "staff".to_owned(),
        uid: 1000,
        gid: 50,
        home: "/home/ada".into(),
        config_home: None,
        data_home: None,
        runtime_dir: None,
        root: false,
    }
}

fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn load(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Settings> {
    Settings::load(
        Some((FILE.into(), text)),
        &environment(variables),
        &caller(),
    )
}

pub(in crate::settings) fn loaded(text: &str) -> Settings {
    load(text, &[]).unwrap()
}

pub(in crate::settings) fn error(text: &str, variables: &[(&str, &str)]) -> (String, String) {
    let error = load(text, variables).unwrap_err();
    let fault = Fault::of(&error).unwrap();
    assert_eq!(fault.kind, Kind::Input);
    (fault.msg.clone(), fault.hint.clone().unwrap_or_default())
}

fn major(number: &str) -> Major {
    number.parse().unwrap()
}

#[test]
fn defaults() {
    insta::assert_json_snapshot!(Settings::defaults(&caller()).unwrap().effective().unwrap());
}

#[test]
fn complete() {
    insta::assert_json_snapshot!(loaded(COMPLETE).effective().unwrap());
}

/// Every key of the fixture differs from its default, so that none of them can be lost unseen.
#[test]
fn complete_names_every_key() {
    fn compare(place: &str, schema: &Value, given: &Value, missing: &mut Vec<String>) {
        // Of several kinds of something, that of the fixture.
        let properties = schema::alternatives(schema)
            .into_iter()
            .filter(|schema| schema::fits(schema, given))
            .filter_map(|schema| schema.get("properties")?.as_object());
        for (key, property) in properties.flatten() {
            match given.get(key) {
                Some(given) if given.is_object() => {
                    compare(&format!("{place}{key}."), property, given, missing);
                }
                Some(_) => {}
                None => missing.push(format!("{place}{key}")),
            }
        }
    }
    let given = Settings::only_set(Some((FILE.into(), COMPLETE)), &[]).unwrap();
    let mut missing = Vec::new();
    compare("", &Settings::schema(), &given, &mut missing);
    assert_eq!(
        missing,
        [
            // Not of pglift.
            "pgbackrest.more_repositories",
            "pgbackrest.options",
            "pgbackrest.schedule",
            "basebackup",
            "require_mountpoint",
            "deletion_protection",
        ]
    );
}

/// YAML 1.1, which pglift reads, has more words for booleans.
#[test]
fn yaml_booleans() {
    for (word, expected) in [("on", true), ("Yes", true), ("off", false), ("NO", false)] {
        let settings = loaded(&format!("postgresql: {{surole: {{pgpass: {word}}}}}\n"));
        assert_eq!(settings.postgresql.surole.pgpass, expected, "{word}");
    }
}

#[test]
fn repositories() {
    let settings = loaded("pgbackrest: {repository: {mode: path, path: backups}}\nprefix: /p\n");
    assert_eq!(
        settings.pgbackrest.unwrap().repository,
        Repository::Path(PathRepository {
            path: "/p/srv/backups".into(),
            retention: Retention {
                archive: 2,
                diff: 3,
                full: 2,
                full_type: None,
            },
            cipher: None,
        })
    );
    let settings = loaded("pgbackrest: {repository: {mode: host-ssh, host: h, cmd_ssh: ssh}}\n");
    assert_eq!(
        settings.pgbackrest.unwrap().repository,
        Repository::HostSsh(HostSsh {
            host: "h".to_owned(),
            host_port: None,
            host_config: None,
            host_user: None,
            cmd_ssh: Some("ssh".into()),
        })
    );
}

/// What is printed as effective is a settings file that means the same, whatever the caller.
#[test]
fn effective_is_stable() {
    let stranger = Caller {
        user: "bob".to_owned(),
        group: "bob".to_owned(),
        home: "/home/bob".into(),
        ..caller()
    };
    for text in [
        "",
        COMPLETE,
        "systemd: {}",
        "systemd: {user: false}\nscheduler: null",
        "require_mountpoint: true",
        "require_mountpoint: /mnt/pg/",
        "postgresql: {auth: {passfile: null}, logpath: null}",
        "pgbackrest: {repository: {mode: path, path: x}}",
        "basebackup: {schedule: {full: daily}}",
        "pgbackrest: {repository: {mode: path, path: x, cipher: {pass_file: /k}}, options: {process-max: 4, repo2-bundle: true}, \
         more_repositories: [{mode: s3, bucket: b, endpoint: e, region: r, key_type: auto}]}",
    ] {
        let settings = loaded(text);
        let json = settings.effective().unwrap();
        let yaml = serde_saphyr::to_string(&json).unwrap();
        let again = Settings::load(Some((FILE.into(), &yaml)), &[], &stranger).unwrap();
        assert_eq!(again, settings, "{text}");
    }
}

#[test]
fn bases_depend_on_the_caller() {
    let bases = |caller: &Caller| {
        let settings = Settings::defaults(caller).unwrap();
        (
            settings.prefix.into_string(),
            settings.run_prefix.into_string(),
            settings.sysuser.user,
        )
    };
    let own = |values: [&str; 3]| {
        let [a, b, c] = values.map(str::to_owned);
        (a, b, c)
    };
    assert_eq!(
        bases(&caller()),
        own(["/home/ada/.local/share/pgsocle", "/tmp/pgsocle", "ada"])
    );
    let session = Caller {
        data_home: Some("/data".into()),
        runtime_dir: Some("/run/user/1000".into()),
        ..caller()
    };
    assert_eq!(
        bases(&session),
        own(["/data/pgsocle", "/run/user/1000/pgsocle", "ada"])
    );
    // The caller of root's call is the system user already: root and that user see the same.
    assert_eq!(
        bases(&Caller {
            root: true,
            ..session.clone()
        }),
        bases(&session)
    );
}

#[test]
fn systemd() {
    let units = |text: &str| {
        let settings = loaded(text);
        let systemd = settings.systemd.unwrap();
        (
            systemd.unit_path.into_string(),
            systemd.tmpfilesd_conf_path.into_string(),
            settings.service_manager,
            settings.tmpfiles_manager,
        )
    };
    let on = Some(Manager::Systemd);
    assert_eq!(
        units("systemd: {}"),
        (
            "/home/ada/.local/share/systemd/user".to_owned(),
            "/home/ada/.config/user-tmpfiles.d".to_owned(),
            on,
            on
        )
    );
    assert_eq!(
        units("systemd: {user: false}\ntmpfiles_manager: null"),
        (
            "/etc/systemd/system".to_owned(),
            "/etc/tmpfiles.d".to_owned(),
            on,
            None
        )
    );
    assert_eq!(loaded("systemd:\n").service_manager, None);
    assert_eq!(loaded("").systemd, None);
}

#[test]
fn paths_are_completed() {
    let settings = loaded(
        "prefix: ~/pg/\nrun_prefix: /run//pg\npostgresql: {datadir: '/d/{name}', waldir: 'w/{name}/', auth: {passfile: ~/x}}",
    );
    assert_eq!(settings.prefix, "/home/ada/pg");
    assert_eq!(settings.run_prefix, "/run/pg");
    assert_eq!(settings.postgresql.datadir, "/d/{name}");
    assert_eq!(settings.postgresql.waldir, "/home/ada/pg/srv/w/{name}");
    assert_eq!(
        settings.postgresql.logpath.as_deref(),
        Some(Utf8Path::new("/home/ada/pg/log/postgresql"))
    );
    assert_eq!(settings.postgresql.socket_directory, "/run/pg/postgresql");
    assert_eq!(
        settings.postgresql.auth.passfile.as_deref(),
        Some(Utf8Path::new("/home/ada/x"))
    );
    assert_eq!(settings.cli.lock_file, "/run/pg/.pgsocle.lock");
}

#[test]
fn variables_override_the_file() {
    let text = "postgresql:\n  surole: {name: root, pgpass: true}\n  replrole: r\nprefix: /file\nsystemd: {}\n";
    let settings = load(
        text,
        &[
            ("PATH", "/bin"),
            ("PGSOCLE_CONFIG_DIR", "/x"),
            ("PGSOCLE_SOMETHING_ELSE", "x"),
            ("pgsocle_Prefix", "/env"),
            ("PGSOCLE_POSTGRESQL__SUROLE__NAME", "null and void"),
            ("PGSOCLE_POSTGRESQL__REPLROLE", "null"),
            ("PGSOCLE_POSTGRESQL__DEFAULT_VERSION", "16"),
            ("PGSOCLE_POSTGRESQL__AUTH__HOST", "reject"),
            (
                "PGSOCLE_POSTGRESQL",
                r#"{"initdb": {"locale": "de"}, "auth": {"host": "md5"}}"#,
            ),
            (
                "PGSOCLE_POSTGRESQL__VERSIONS",
                r#"[{"version": 16, "bindir": "/16"}]"#,
            ),
            ("PGSOCLE_POSTGRESQL__INITDB__DATA_CHECKSUMS", "YES"),
            ("PGSOCLE_SYSTEMD", "null"),
            ("PGSOCLE_LOGROTATE", "{}"),
            ("PGSOCLE_SYSUSER", r#"["u", "g"]"#),
            ("PGSOCLE_REQUIRE_MOUNTPOINT", "/mnt"),
            ("PGSOCLE_PGBACKREST__REPOSITORY__MODE", "path"),
            ("PGSOCLE_PGBACKREST__REPOSITORY__PATH", "/b"),
            ("PGSOCLE_PGBACKREST__REPOSITORY__RETENTION__FULL", "7"),
        ],
    )
    .unwrap();
    assert_eq!(settings.prefix, "/env");
    assert_eq!(
        settings.postgresql.surole,
        SuRole {
            name: "null and void".to_owned(),
            pgpass: true
        }
    );
    assert_eq!(settings.postgresql.replrole, None);
    assert_eq!(settings.postgresql.default_version, Some(major("16")));
    assert_eq!(settings.postgresql.auth.host, HostMethod::Reject);
    assert_eq!(settings.postgresql.initdb.locale.as_deref(), Some("de"));
    assert_eq!(settings.postgresql.initdb.encoding.as_deref(), Some("UTF8"));
    assert_eq!(
        settings.postgresql.versions,
        [Version {
            version: major("16"),
            bindir: "/16".into()
        }]
    );
    assert_eq!(settings.postgresql.initdb.data_checksums, Some(true));
    assert_eq!(settings.systemd, None);
    assert_eq!(
        settings.logrotate.unwrap().configdir,
        "/env/etc/logrotate.d"
    );
    assert_eq!(
        settings.sysuser,
        SystemUser {
            user: "u".to_owned(),
            group: "g".to_owned()
        }
    );
    assert_eq!(
        settings.require_mountpoint,
        RequireMountpoint::Path("/mnt".into())
    );
    assert_eq!(
        settings.pgbackrest.unwrap().repository,
        Repository::Path(PathRepository {
            path: "/b".into(),
            retention: Retention {
                archive: 2,
                diff: 3,
                full: 7,
                full_type: None,
            },
            cipher: None,
        })
    );
}

#[test]
fn wrong_files() {
    let found: Vec<_> = [
        "postgresql:\n  auth:\n    locl: peer\n",
        "postgersql: {}\n",
        "postgresql:\n  auth:\n    local: pear\n",
        "postgresql:\n  auth:\n    local: gss\n",
        "postgresql:\n  surole:\n    pgpass: 3\n",
        "postgresql:\n  versions:\n    - version: 15\n",
        "postgresql:\n  versions:\n    - {version: x, bindir: /x}\n",
        "postgresql: yes\n",
        "api: null\n",
        "prefix: relative\n",
        "prefix: ''\n",
        "prometheus:\n  role: x\n",
        "prometheus:\n  execpath: x\n",
        "pgbackrest:\n  repository:\n    mode: tape\n",
        "pgbackrest:\n  repository:\n    mode: path\n    pth: /x\n",
        "pgbackrest:\n  repository: {path: /x}\n",
        "sysuser: postgres\n",
        "sysuser: [a]\n",
        "require_mountpoint: 3\n",
        "pgbackrest: {repository: {mode: host-ssh, host: h, host_port: 0}}\n",
        "pgbackrest: {repository: {mode: host-ssh, host: h, host_port: 65536}}\n",
        "pgbackrest: {repository: {mode: path, path: x, retention: {full: -1}}}\n",
        "postgresql: {surole: {name: 7}}\n",
        "postgresql:\n  surole: [admin, true]\n",
        "pgbackrest:\n  repository:\n    mode: host-tls\n    host: h\n    cn: c\n    certificate:\n      crt: /x\n",
        "pgbackrest: {repository: {mode: 3}}\n",
        "basebackup: {retention: {full: 0}}\n",
        "basebackup: {wal: receive}\n",
        "basebackup: {directory: a$b}\n",
        "pgbackrest: {repository: [path]}\n",
        "\n\na: [\n",
    ]
    .into_iter()
    .map(|text| error(text, &[]))
    .collect();
    insta::assert_json_snapshot!(found);
}

#[test]
fn wrong_templates() {
    let found: Vec<_> = [
        "postgresql: {datadir: 'x/{nmae}'}",
        "postgresql: {datadir: 'x'}",
        "postgresql: {datadir: 'x/{name}'}",
        "postgresql: {datadir: 'x/{name}', waldir: 'x/{name}'}",
        "postgresql: {datadir: 'x/{name'}",
        "postgresql: {bindir: /x}",
        "postgresql: {bindir: '/x/{name}'}",
        "postgresql: {logpath: 'x/{name}'}",
        "postgresql: {dump_commands: [['{bindir}/x', '{dbnam}']]}",
        "postgresql: {auth: {password_command: [x, '{user}']}}",
        "prometheus: {execpath: /x, pid_file: '{version}'}",
    ]
    .into_iter()
    .map(|text| error(text, &[]))
    .collect();
    insta::assert_json_snapshot!(found);
}

#[test]
fn impossible_combinations() {
    let long = format!("run_prefix: /{}", "x".repeat(100));
    let found: Vec<_> = [
        "systemd: {sudo: true}",
        "service_manager: systemd",
        "scheduler: systemd",
        "tmpfiles_manager: systemd",
        "postgresql:\n  auth: {passfile: null}\n  surole: {pgpass: true}",
        "postgresql:\n  auth: {passfile: null}\n  backuprole: {pgpass: true}",
        "postgresql:\n  versions: [{version: 15, bindir: /a}, {version: 15, bindir: /b}]",
        "postgresql:\n  dump_commands: [[pg_dump]]",
        "postgresql:\n  dump_commands: [[]]",
        "postgresql: {surole: {name: ''}}",
        "patroni: {}",
        "postgresql: {replrole: r}\npatroni:\n  etcd: {cacert: /x}",
        "postgresql: {replrole: r}\npatroni:\n  etcd: {hosts: []}",
        "postgresql: {replrole: r}\npatroni:\n  restapi: {verify_client: optional}",
        "postgresql: {replrole: r}\npatroni:\n  restapi: {verify_client: required, certfile: /x}",
        "temboard: {ui_url: x, signing_key: /x, certificate: {cert: /x, key: /x}}",
        "instance_default_name: a-b",
        "sysuser: ['', '']",
        &long,
    ]
    .into_iter()
    .map(|text| error(text, &[]))
    .collect();
    insta::assert_json_snapshot!(found);
}

#[test]
fn wrong_variables() {
    let found: Vec<_> = [
        ("PGSOCLE_POSTGRESQL__AUTH__LOCL", "x"),
        ("PGSOCLE_POSTGRES__AUTH__LOCAL", "x"),
        ("PGSOCLE_PREFX", "/x"),
        ("PGSOCLE_CONFDIR", "/x"),
        ("PGSOCLE_PGBACKREST__REPOSITORY__RETENTION__FULL", "many"),
        ("PGSOCLE_XYZ__ABC", "/x"),
        ("PGSOCLE_POSTGRESQL__VERSIONS__0", "{}"),
        ("PGSOCLE_PREFIX__X", "/x"),
        ("PGSOCLE_", "/x"),
        ("PGSOCLE_POSTGRESQL__", "/x"),
        ("PGSOCLE_POSTGRESQL__AUTH__LOCAL", "pear"),
        ("PGSOCLE_POSTGRESQL__SUROLE__PGPASS", "maybe"),
        ("PGSOCLE_POSTGRESQL__SUROLE__NAME", "null"),
        ("PGSOCLE_POSTGRESQL", "{'a': 1}"),
        ("PGSOCLE_POSTGRESQL", r#"{"auth": {"locl": 1}}"#),
        ("PGSOCLE_POSTGRESQL", "3"),
        ("PGSOCLE_SYSUSER", "postgres"),
        ("PGSOCLE_PROMETHEUS__ROLE", "x"),
        ("PGSOCLE_SERVICE_MANAGER", "systemd"),
        ("PGSOCLE_PREFIX", "x"),
    ]
    .into_iter()
    .map(|(name, value)| match load("systemd:\n", &[(name, value)]) {
        Err(_) => (name, error("systemd:\n", &[(name, value)])),
        Ok(_) => (name, ("taken".to_owned(), String::new())),
    })
    .collect();
    insta::assert_json_snapshot!(found);
}

#[test]
fn only_set() {
    let environment = environment(&[("PGSOCLE_POSTGRESQL__SUROLE__NAME", "x")]);
    assert_eq!(
        Settings::only_set(
            Some((FILE.into(), "prefix: ~/x\npostgresql: {replrole: null}\n")),
            &environment
        )
        .unwrap(),
        json!({"prefix": "~/x", "postgresql": {"replrole": null, "surole": {"name": "x"}}})
    );
    assert_eq!(Settings::only_set(None, &[]).unwrap(), json!({}));
}

#[test]
fn system_user_is_known_before_the_caller() {
    let file = |text| Settings::system_user(Some((Utf8Path::new(FILE), text)), &[]);
    // Everything else may be wrong as yet: it is checked when settings are loaded.
    assert_eq!(
        file("sysuser: [pg, dba]\nprefix: 3\n").unwrap(),
        Some(SystemUser {
            user: "pg".to_owned(),
            group: "dba".to_owned()
        })
    );
    assert_eq!(file("prefix: /x\n").unwrap(), None);
    assert_eq!(
        Fault::of(&file("prefix: /x\nsysuser: pg\n").unwrap_err())
            .unwrap()
            .msg,
        "wrong value of `sysuser`: a string instead of a list of 2 (`/etc/pgsocle/settings.yaml`, line 2)"
    );
}

#[test]
fn schema_describes_every_key() {
    fn walk(place: &str, schema: &Value, bare: &mut Vec<String>) {
        for key in schema::keys(schema) {
            let property = schema::property(schema, key).unwrap();
            let place = format!("{place}.{key}");
            let fixed = property.get("const").is_some();
            if !fixed && property.get("description").is_none() {
                bare.push(place.clone());
            }
            walk(&place, property, bare);
        }
    }
    let schema = Settings::schema();
    let mut bare = Vec::new();
    walk("", &schema, &mut bare);
    assert_eq!(bare, [] as [String; 0]);
    assert_eq!(schema.get("$defs"), None);
    // What loading fills in need not be written.
    assert_eq!(schema.get("required"), None);
    assert_eq!(schema.pointer("/properties/systemd/required"), None);
    assert_eq!(
        schema.pointer("/properties/postgresql/properties/datadir"),
        Some(&json!({
            "description": "Template of data directories; must hold `{name}`, may hold `{version}`.",
            "type": "string",
            "format": "path",
            "default": "pgsql/{version}/{name}/data",
            "x-relative-to": "{prefix}/srv",
            "x-variables": ["version", "name"],
        }))
    );
}

#[test]
fn required() {
    let settings = loaded(COMPLETE);
    let keys = |all: Vec<(String, Utf8PathBuf)>| {
        all.into_iter()
            .map(|(key, path)| format!("{key} {path}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(settings.required_programs()),
        [
            "patroni.execpath /opt/patroni/bin/patroni",
            "patroni.ctlpath /opt/patroni/bin/patronictl",
            "pgbackrest.execpath /opt/pgbackrest",
            "prometheus.execpath /opt/postgres_exporter",
            "temboard.execpath /opt/temboard-agent",
            "systemd systemctl",
            "systemd systemd-tmpfiles",
            "postgresql.dump_commands[1] /usr/local/bin/pg_back",
        ]
    );
    assert_eq!(settings.required_files().len(), 18);
    // Each key is one of the schema, and the path is what it is set to.
    let effective = settings.effective().unwrap();
    for (key, path) in settings.required_files() {
        let pointer = format!("/{}", key.replace('.', "/"));
        assert_eq!(effective.pointer(&pointer), Some(&json!(path)), "{key}");
    }
    assert_eq!(loaded("").required_programs(), []);
    assert_eq!(loaded("").required_files(), []);
}

proptest! {
    #[test]
    fn no_input_breaks_it(text in any::<String>(), name in "[A-Za-z_]{0,20}", value in any::<String>()) {
        let _ = load(&text, &[]);
        let variable = format!("PGSOCLE_{name}");
        let _ = load("", &[(variable.as_str(), value.as_str())]);
    }

    #[test]
    fn no_value_breaks_it(value in any::<String>()) {
        for variable in [
            "PGSOCLE_PREFIX",
            "PGSOCLE_POSTGRESQL",
            "PGSOCLE_POSTGRESQL__DATADIR",
            "PGSOCLE_POSTGRESQL__DEFAULT_VERSION",
            "PGSOCLE_REQUIRE_MOUNTPOINT",
        ] {
            // What is taken is stable.
            if let Ok(settings) = load("", &[(variable, value.as_str())]) {
                let json = serde_json::to_string(&settings.effective().unwrap()).unwrap();
                prop_assert_eq!(loaded(&json), settings);
            }
        }
    }
}
