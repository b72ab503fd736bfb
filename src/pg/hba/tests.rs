use super::*;
use crate::pg::auth_file::Entry as _;
use proptest::prelude::*;

const SAMPLE: &[u8] = include_bytes!("../../../tests/fixtures/pg/pg_hba.conf");

fn record(line: &str) -> Record {
    let hba = Hba::parse(line.as_bytes());
    let [record] = hba.records().try_into().unwrap();
    record
}

fn text(hba: &Hba) -> String {
    String::from_utf8(hba.render()).unwrap()
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

#[test]
fn fields_of_a_record() {
    let line = "hostssl \"my db\",\"all\", all,\"@x\" \\\n\tbob,+grp,+\"my grp\" 10.0.0.1 255.0.0.0 ldap \
        ldapurl=\"ldap://h/a b\" \"map=x # y\" # c";
    assert_eq!(
        record(line),
        Record {
            kind: ConnectionType::HostSsl,
            databases: strings(&["my db", "\"all\"", "all", "\"@x\""]),
            users: strings(&["bob", "+grp", "+my grp"]),
            address: Some("10.0.0.1".into()),
            netmask: Some("255.0.0.0".into()),
            method: "ldap".into(),
            options: vec![
                ("ldapurl".into(), "ldap://h/a b".into()),
                ("map".into(), "x # y".into()),
            ],
        }
    );
}

#[test]
fn the_sample_file() {
    let mut hba = Hba::parse(SAMPLE);
    assert_eq!(hba.render(), SAMPLE);
    assert_eq!(hba.errors(), []);
    let lines: Vec<&str> = std::str::from_utf8(SAMPLE)
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let rendered: Vec<String> = hba.records().iter().map(Record::render_line).collect();
    assert_eq!(rendered, lines);
    assert!(
        hba.place(&record("local all postgres peer"), &Position::First)
            .unwrap()
    );
    assert!(
        hba.place(&record("host all bob samenet md5"), &Position::default())
            .unwrap()
    );
    let text = text(&hba);
    let behind = text.split_once("# TYPE").unwrap().1;
    assert!(behind.starts_with("  DATABASE        USER            ADDRESS                 METHOD\n\nlocal   all             postgres                                peer\n# \"local\" is for"), "{behind}");
    assert!(
        behind.ends_with("\nhost    all             bob             samenet                 md5\n")
    );
}

#[test]
fn junk_is_kept_and_listed() {
    let file = "junk\nlocal\nlocal all\nlocal all all\nhost all all md5\nhost all all 10.0.0.1 md5\nhost all all 10.0.0.0/33 md5\n\
        local all all \\\npeer map\nhost,local all all all md5\nlocal all all trust\n";
    let hba = Hba::parse(file.as_bytes());
    assert_eq!(text(&hba), file);
    assert_eq!(hba.records(), [record("local all all trust")]);
    let errors: Vec<(usize, String)> = [
        (1, "unknown connection type `junk`"),
        (2, "no database"),
        (3, "no user"),
        (4, "no authentication method"),
        (5, "no authentication method"),
        (6, "invalid netmask behind the address `10.0.0.1`"),
        (7, "invalid address `10.0.0.0/33`"),
        (8, "an option is not of the form name=value"),
        (10, "more than one connection type"),
    ]
    .map(|(number, reason)| (number, reason.to_owned()))
    .into();
    assert_eq!(hba.errors(), errors);
}

#[test]
fn same_meaning() {
    for (left, right) in [
        (
            "local all all peer",
            "  \"local\"\tall   all \"peer\"  # why",
        ),
        ("host a,b all all md5", "host b, \"a\" all all md5"),
        (
            "host all all 10.0.0.0/8 md5",
            "host all all 10.0.0.0 255.0.0.0 md5",
        ),
        ("host all all 10.0.0.0/8 md5", "host all all 10.1.2.3/8 md5"),
        (
            "host all all ::1/128 md5",
            "host all all 0:0::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff md5",
        ),
        ("host all all 0.0.0.0/0 md5", "host all all 1.2.3.4/0 md5"),
        (
            "host all all fe80::/64 md5",
            "host all all fe80::1%lo/64 md5",
        ),
        (
            "host all all Db.Example.org md5",
            "host all all db.example.org md5",
        ),
        (
            "local all all ldap a=1 b=2",
            "local all all ldap \"b=2\" a=\"1\"",
        ),
        ("local all all \\\n peer", "local all all peer"),
        ("local all all peer", "local all all ident"),
        ("local samerole all peer", "local samegroup all peer"),
    ] {
        assert!(record(left).same(&record(right)), "{left} / {right}");
    }
    for (left, right) in [
        ("local all all peer", "local \"all\" all peer"),
        ("local all +a peer", "local all \"+a\" peer"),
        ("local a all peer", "local A all peer"),
        ("local all all peer", "local ALL all peer"),
        ("local samerole all peer", "local \"samerole\" all peer"),
        ("local all all peer", "local all all md5"),
        ("host all all all md5", "host all all 0.0.0.0/0 md5"),
        ("host all all 0.0.0.0/0 md5", "host all all ::/0 md5"),
        ("host all all 10.0.0.0/8 md5", "host all all 10.0.0.0/9 md5"),
        (
            "host all all 10.0.0.0/8 md5",
            "hostssl all all 10.0.0.0/8 md5",
        ),
        ("local all all peer", "local all all peer map=x"),
        ("local all a,b peer", "local all a peer"),
    ] {
        assert!(!record(left).same(&record(right)), "{left} / {right}");
    }
    let plain = Record {
        address: Some("10.0.0.1".into()),
        ..record("host all all all md5")
    };
    assert!(plain.same(&record("host all all 10.0.0.1/32 md5")));
    assert_eq!(
        plain.render_line(),
        "host    all             all             10.0.0.1/32             md5"
    );
}

#[test]
fn positions() {
    let file = "# head\n\n# one\nlocal a a peer # x\njunk\nlocal b b peer";
    let add = |position: &Position| {
        let mut hba = Hba::parse(file.as_bytes());
        assert!(hba.place(&record("local c c peer"), position).unwrap());
        assert!(!hba.place(&record("local \"c\" c  peer"), position).unwrap());
        text(&hba)
    };
    let new = "local   c               c                                       peer\n";
    let (one, two) = ("# one\nlocal a a peer # x\n", "junk\nlocal b b peer");
    assert_eq!(add(&Position::First), format!("# head\n\n{new}{one}{two}"));
    for position in [Position::Last, Position::Anywhere] {
        assert_eq!(add(&position), format!("# head\n\n{one}{two}\n{new}"));
    }
    assert_eq!(
        add(&Position::After(record("local a a peer"))),
        format!("# head\n\n{one}{new}{two}")
    );
    assert_eq!(
        add(&Position::Before(record("local b b peer"))),
        format!("# head\n\n{one}junk\n{new}local b b peer")
    );
}

#[test]
fn what_is_there_moves() {
    let file =
        "# 0\nlocal a a peer # a\nlocal b b peer # b\nlocal c c peer # c\nlocal b b peer # again";
    let a = "local a a peer # a\n";
    let b = "local b b peer # b\n";
    let c = "local c c peer # c\n";
    let place = |line: &str, position: Position| {
        let mut hba = Hba::parse(file.as_bytes());
        let changed = hba.place(&record(line), &position).unwrap();
        assert!(!hba.place(&record(line), &position).unwrap());
        let text = text(&hba);
        (
            changed,
            if text == file {
                "as it was".to_owned()
            } else {
                text
            },
        )
    };
    let at = record;
    let same = || (false, "as it was".to_owned());
    for (line, position, expected) in [
        ("local b b peer", Position::Anywhere, same()),
        (
            "local b b peer",
            Position::First,
            (true, format!("{b}# 0\n{a}{c}")),
        ),
        (
            "local b b peer",
            Position::Last,
            (true, format!("# 0\n{a}{c}{b}")),
        ),
        ("local a a peer", Position::First, same()),
        (
            "local b b peer",
            Position::Before(at("local c c peer")),
            same(),
        ),
        (
            "local c c peer",
            Position::Before(at("local a a peer")),
            (true, format!("# 0\n{c}{a}{b}local b b peer # again")),
        ),
        (
            "local a a peer",
            Position::After(at("local c c peer")),
            (true, format!("# 0\n{b}{c}{a}local b b peer # again")),
        ),
        (
            "local c c peer",
            Position::After(at("local a a peer")),
            same(),
        ),
    ] {
        assert_eq!(
            place(line, position.clone()),
            expected,
            "{line} {position:?}"
        );
    }
    let mut hba = Hba::parse(file.as_bytes());
    for (position, message) in [
        (
            Position::Before(at("local x x ldap ldapbindpasswd=canary ldapprefix=x")),
            "`pg_hba.conf` has no record `local x x ldap ldapbindpasswd=********`",
        ),
        (
            Position::After(at("local b \"b\" peer")),
            "a record of `pg_hba.conf` cannot be before or after itself",
        ),
    ] {
        let error = hba.place(&at("local b b peer"), &position).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(text(&hba), file);
}

#[test]
fn exactly_these_in_this_order() {
    let exact = |file: &str, wanted: &[&str]| {
        let wanted: Vec<Record> = wanted.iter().map(|line| record(line)).collect();
        let mut hba = Hba::parse(file.as_bytes());
        let changed = hba.make_exact(&wanted).unwrap();
        assert_eq!(changed, text(&hba) != file);
        assert!(!hba.make_exact(&wanted).unwrap(), "{file}");
        text(&hba)
    };
    let (a, b, c) = ("local a a peer", "local b b peer", "local c c peer");
    let written = |name: &str| {
        format!("local   {name}               {name}                                       peer\n")
    };
    // Comments, includes and what cannot be understood stay; so does the line of a record, as it was written.
    assert_eq!(
        exact(
            "# TYPE\n# of a\nlocal  a a peer # why\ninclude x.conf\njunk\nlocal b b peer\n",
            &[a, c]
        ),
        format!(
            "# TYPE\n# of a\nlocal  a a peer # why\n{}include x.conf\njunk\n",
            written("c")
        )
    );
    assert_eq!(
        exact("# TYPE\n\n", &[a, b]),
        format!("# TYPE\n\n{}{}", written("a"), written("b"))
    );
    assert_eq!(exact("", &[a, a]), written("a"));
    assert_eq!(
        exact(
            "local a a peer # 1\nlocal b b peer # 2\nlocal c c peer # 3",
            &[c, a, b]
        ),
        "local c c peer # 3\nlocal a a peer # 1\nlocal b b peer # 2\n"
    );
    // What says the same again goes.
    assert_eq!(
        exact("local a a peer\nlocal b b peer\nlocal a a peer", &[a, b]),
        "local a a peer\nlocal b b peer\n"
    );
    assert_eq!(
        exact("local a a peer\n  local b b peer", &[a, b]),
        "local a a peer\n  local b b peer"
    );
    assert_eq!(exact("# c\nlocal a a peer\n", &[]), "# c\n");
}

#[test]
fn removal() {
    let mut hba = Hba::parse(b"# c\nlocal all bob peer\nlocal all bob,eve peer\nlocal all \"all\" md5\nlocal all all md5\nlocal \\\n all \"bob\" md5\n");
    assert!(hba.remove_user("bob"));
    assert!(!hba.remove_user("bob"));
    assert!(hba.remove_user("all"));
    assert_eq!(
        text(&hba),
        "# c\nlocal all bob,eve peer\nlocal all all md5\n"
    );
    assert!(hba.remove(&record("local all eve,bob peer")));
    assert!(!hba.remove(&record("local all eve,bob peer")));
    assert_eq!(text(&hba), "# c\nlocal all all md5\n");
}

#[test]
fn nothing_slips_in_by_a_name() {
    let mut hba = Hba::default();
    let evil = Record {
        users: strings(&["bob\nhost all all all trust"]),
        ..record("local all all md5")
    };
    assert_eq!(
        hba.place(&evil, &Position::Last).unwrap_err().to_string(),
        "a name with a line break cannot be written to `pg_hba.conf`"
    );
    let quoted = Record {
        users: vec![name("a\" b"), name("all"), name("#"), "+x y".into()],
        ..record("local all all md5")
    };
    assert!(hba.place(&quoted, &Position::Last).unwrap());
    assert_eq!(
        text(&hba),
        "local   all             \"a\"\" b\",\"all\",\"#\",+\"x y\"                         md5\n"
    );
    assert_eq!(Hba::parse(&hba.render()).records(), [quoted]);
}

#[test]
fn records_are_checked() {
    let check = |record: Record| record.check().unwrap_err().to_string();
    let host = record("host all all all md5");
    let address = |address: Option<&str>| address.map(ToOwned::to_owned);
    assert!(host.check().is_ok());
    assert_eq!(
        check(Record {
            address: None,
            ..host.clone()
        }),
        "a `host` record of `pg_hba.conf` needs an address"
    );
    assert_eq!(
        check(Record {
            address: address(Some("1.2.3.4/40")),
            ..host.clone()
        }),
        "`1.2.3.4/40` is not a network"
    );
    assert_eq!(
        check(Record {
            kind: ConnectionType::Local,
            ..host.clone()
        }),
        "a `local` record of `pg_hba.conf` has no address"
    );
    assert_eq!(
        check(Record {
            users: vec![],
            ..host
        }),
        "a record of `pg_hba.conf` needs databases, users and a method"
    );
}

#[test]
fn methods_that_would_keep_the_server_from_reading_the_file() {
    let refused = |line: &str| {
        // What may not be written is wrong in a file too.
        assert!(
            record(line).check().is_err() || Hba::parse(line.as_bytes()).errors().is_empty(),
            "{line}"
        );
        record(line).check().is_err()
    };
    for line in [
        "host all all all bsd",
        "local all all scram-sha256",
        "local all all md5 map=x",
        "local all all peer a=1",
        "host all all all md5 clientcert=verify-full",
        "host all all all ldap ldapprefix=x ldapbasedn=y",
        "host all all all ldap ldapbasedn=y ldapsearchattribute=a ldapsearchfilter=b",
        "host all all all oauth issuer=x",
        "host all all all peer",
        "local all all gss",
        "local all all cert",
        "host all all all cert",
        "local all all sspi",
        "host all all all ldap",
        "host all all all radius",
        "host all all \"\" md5",
        "host all all \"a b\" md5",
        "local \"\" all md5",
    ] {
        assert!(refused(line), "{line}");
    }
    for line in [
        "local all all peer",
        "local all all ident",
        "host all all all gss",
        "hostssl all all all cert map=x clientname=DN",
        "hostssl all all all scram-sha-256 clientcert=verify-ca",
        "host all all all oauth issuer=x scope=y",
        "host all all all ldap ldapurl=ldap://h/dc=x",
        "host all all all radius radiusservers=h radiussecrets=s",
        "host all all .example.org md5",
    ] {
        assert!(!refused(line), "{line}");
    }
}

#[test]
fn lists_of_names() {
    for (list, expected) in [
        ("all", &["all"][..]),
        ("a, b ,c d", &["a", "b", "c d"]),
        (
            "\"c d\",\"all\",\"a,b\",\"q\"\"\"",
            &["c d", "\"all\"", "a,b", "q\""],
        ),
        ("", &[""]),
        ("a,", &["a", ""]),
    ] {
        assert_eq!(super::names(list), expected, "{list}");
    }
}

#[test]
fn secrets_are_masked() {
    let hba = Hba::parse(b"# c\n#host all all all ldap ldapbindpasswd=canary\nhost all all all ldap ldapbindpasswd=\"can ary\" a=b\nlocal all all radius radiussecrets=canary");
    assert!(!format!("{hba:?}{:?}", hba.records()).contains("can"));
    assert_eq!(
        hba.masked(),
        "# c\n#host all all all ldap ldapbindpasswd=********\nhost all all all ldap ldapbindpasswd=********\nlocal all all radius radiussecrets=********"
    );
}

fn names() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![
        Just("all".to_owned()),
        "[a-c]{1,2}",
        "[+@][ab ]{1,3}",
        "[ab \",#+@=\\\\]{0,4}".prop_map(|text| name(&text)),
    ];
    proptest::collection::vec(name, 1..3)
}

prop_compose! {
    fn records()(
        databases in names(),
        users in names(),
        address in prop_oneof![Just(None), "(all|10\\.[0-9]\\.0\\.0/[0-9]|::[0-9a-f]/6[0-9]|h)".prop_map(Some)],
        (method, options) in prop_oneof![
            "(md5|trust)".prop_map(|method| (method, Vec::new())),
            "[ab \",#=\\\\]{0,4}".prop_map(|value| ("ident".to_owned(), vec![("map".to_owned(), value)])),
        ],
    ) -> Record {
        let kind = if address.is_some() { ConnectionType::Host } else { ConnectionType::Local };
        Record { kind, databases, users, address, netmask: None, method, options }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes(bytes: Vec<u8>) {
        let hba = Hba::parse(&bytes);
        prop_assert_eq!(hba.render(), bytes);
        hba.masked();
        hba.errors();
    }

    #[test]
    fn any_line(text in "((local|host|include) ?([ab\"\\\\,# ]|1.2.3.4/8|\r?\n){0,8} all \\\\?\n?){0,4}") {
        prop_assert_eq!(Hba::parse(text.as_bytes()).render(), text.as_bytes());
    }

    #[test]
    fn records_return(record in records()) {
        let hba = Hba::parse(record.render_line().as_bytes());
        prop_assert_eq!(hba.records(), [record]);
    }

    #[test]
    fn place_is_idempotent(lines in proptest::collection::vec(records(), 0..4), new in records(), first: bool, tail in "(\\\\|#\\\\|\n|)") {
        prop_assume!(new.check().is_ok());
        let lines: Vec<String> = lines.iter().map(|record| record.render_line() + "\n").collect();
        let mut hba = Hba::parse((lines.concat() + &tail).as_bytes());
        let position = if first { Position::First } else { Position::Last };
        hba.place(&new, &position).unwrap();
        prop_assert!(!hba.place(&new, &position).unwrap());
        prop_assert_eq!(Hba::parse(&hba.render()).records(), hba.records());
        prop_assert!(hba.remove(&new));
        prop_assert!(!hba.contains(&new));
    }

    /// The records are those that are wanted, and everything else is there as it was.
    #[test]
    fn exact_is_exact(file in "((local (a|b|c) all (md5|peer|trust)|# [xy]|include z|junk|)( # w)?\n){0,8}(local a all md5)?", wanted in proptest::collection::vec("local (a|b|c|d) all (md5|peer|trust)", 0..6)) {
        let wanted: Vec<Record> = wanted.iter().map(|line| record(line)).collect();
        let mut distinct: Vec<Record> = Vec::new();
        for one in &wanted {
            if !distinct.contains(one) {
                distinct.push(one.clone());
            }
        }
        let mut hba = Hba::parse(file.as_bytes());
        hba.make_exact(&wanted).unwrap();
        prop_assert_eq!(hba.records(), distinct.clone());
        let again = Hba::parse(&hba.render());
        prop_assert_eq!(again.records(), distinct);
        let others = |text: &str| text.lines().filter(|line| !line.starts_with("local")).map(ToOwned::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(others(&text(&hba)), others(&file));
    }
}
