use super::*;
use proptest::prelude::*;

const SAMPLE: &[u8] = include_bytes!("../../../tests/fixtures/pg/postgresql.conf");

fn conf(text: &str) -> Conf {
    Conf::parse(text.as_bytes()).unwrap()
}

fn set(text: &str, name: &str, value: &str) -> String {
    let mut conf = conf(text);
    conf.set(name, value);
    String::from_utf8(conf.render()).unwrap()
}

#[test]
fn values_as_the_server_reads_them() {
    // Each line was given to `postgres -C` of PostgreSQL 15; refused lines are in the next test.
    for (line, value) in [
        ("x = 1", "1"),
        ("x 1", "1"),
        ("x=1#2", "1"),
        ("  X\t=\t1\r", "1"),
        ("x = 128MB # a comment", "128MB"),
        ("x = -1.5e-3", "-1.5e-3"),
        ("x = 0x1Fkb", "0x1Fkb"),
        ("x = .", "."),
        ("x = on", "on"),
        ("x = a-b.c:d/e", "a-b.c:d/e"),
        ("x = 'it''s'", "it's"),
        (r"x = 'it\'s'", "it's"),
        (r"x = 'C:\\dir\tb\101\7a'", "C:\\dir\tbA\u{7}a"),
        (r"x = '\e'", "e"),
        ("x = '# no comment'", "# no comment"),
        ("x = ''", ""),
        (r"x = 'cut\000off'", "cut"),
    ] {
        assert_eq!(conf(line).get("x").as_deref(), Some(value), "{line}");
    }
}

#[test]
fn refused_lines_name_their_number_and_nothing_else() {
    for line in [
        "x",
        "x =",
        "x = =",
        "x == 1",
        "= 1",
        "1 = x",
        "'x' = 1",
        "a.b.c = 1",
        "x = a.b",
        "x = 1 2",
        "x = 1.5GB",
        "x = 1e5",
        "x = 25%",
        "x = 'open",
        r"x = 'open\'",
        "x = 'a'b'",
        "x = a,b",
        "x = /path",
        "x = -",
        "x-y = 1",
        "x = secret!",
    ] {
        let error = Conf::parse(format!("a = 1\r\n{line}\n").as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "syntax error in line 2 of the configuration file",
            "{line}"
        );
    }
}

#[test]
fn latin_1_survives() {
    let text = b"# r\xe9glage\nx = '\xe9t\xe9' # \xe9\r\n\n  y = 1";
    let mut conf = Conf::parse(text).unwrap();
    assert_eq!(conf.get("x").unwrap(), "été");
    assert!(!conf.set("x", "été"));
    assert_eq!(conf.render(), text);
    assert!(conf.set("y", "2"));
    assert_eq!(
        conf.render(),
        b"# r\xe9glage\nx = '\xe9t\xe9' # \xe9\r\n\n  y = 2"
    );
}

#[test]
fn the_last_entry_wins() {
    let text = "a = 1\ninclude 'x.conf'\nWork_Mem = 4MB\nb = 2\nwork_mem = 8MB\n#b = 3\n";
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        conf(text).entries(),
        [pair("a", "1"), pair("b", "2"), pair("work_mem", "8MB")]
    );
    assert_eq!(conf(text).get("WORK_MEM").as_deref(), Some("8MB"));
    assert_eq!(
        set(text, "work_mem", "1GB"),
        "a = 1\ninclude 'x.conf'\nWork_Mem = 4MB\nb = 2\nwork_mem = 1GB\n#b = 3\n"
    );
}

#[test]
fn statements_with_their_lines() {
    let conf =
        conf("A = 1\ninclude 'x y.conf'\nInclude_If_Exists = b\n\ninclude_dir 'conf.d'\na 2 # b\n");
    let setting = |value: &str| Statement::Setting {
        name: "a".into(),
        value: value.into(),
    };
    assert_eq!(
        conf.statements().collect::<Vec<_>>(),
        [
            (1, setting("1")),
            (2, Statement::Include(Include::File("x y.conf".into()))),
            (3, Statement::Include(Include::IfExists("b".into()))),
            (5, Statement::Include(Include::Dir("conf.d".into()))),
            (6, setting("2")),
        ]
    );
}

#[test]
fn a_broken_file_is_read_as_far_as_it_goes() {
    let text = "a = 1\nprimary_conninfo = 'password=x\nb\nc = 2\n";
    assert!(Conf::parse(text.as_bytes()).is_err());
    let conf = Conf::parse_leniently(text.as_bytes());
    assert_eq!(conf.render(), text.as_bytes());
    assert_eq!(conf.entries().len(), 2);
    assert_eq!(
        conf.masked(),
        format!("a = 1\nprimary_conninfo = {MASK}\nb\nc = 2\n")
    );
}

#[test]
fn includes_in_full() {
    for (before, after) in [
        (
            "a = 1\ninclude 'x y.conf' # why\n",
            "a = 1\ninclude '/etc/x y.conf' # why\n",
        ),
        (
            "include_dir = b\ninclude '/c.conf'\n",
            "include_dir = '/etc/b'\ninclude '/c.conf'\n",
        ),
        ("#include 'a'\n", "#include 'a'\n"),
    ] {
        assert_eq!(conf(before).anchored("/etc").render(), after.as_bytes());
    }
}

#[test]
fn set_edits_in_place() {
    for (before, name, value, after) in [
        ("", "a", "1", "a = 1\n"),
        ("b = 2", "a", "x y", "b = 2\na = 'x y'\n"),
        ("b = 2\r\n", "a", "on", "b = 2\r\na = on\r\n"),
        ("  a  1  # why\n", "A", "2", "  a  2  # why\n"),
        ("a = '1'\n", "a", "1", "a = '1'\n"),
        ("a = 0\n#a = 5\n", "a", "1", "a = 1\n#a = 5\n"),
        (
            "#a = 1\t\t# why\nb = 1\n",
            "a",
            "2",
            "a = 2\t\t# why\nb = 1\n",
        ),
        (" # a = 1\n", "a", "1", " a = 1\n"),
        // Prose and other settings are no commented-out entries.
        (
            "# a 1\n#ab = 1\n#a = 1 or 2\n",
            "a",
            "2",
            "# a 1\n#ab = 1\n#a = 1 or 2\na = 2\n",
        ),
        // A word takes the place of a word; everything else that is not a number is quoted.
        ("a = replica\n", "a", "logical", "a = logical\n"),
        ("a = replica\n", "a", "a.b", "a = 'a.b'\n"),
        ("a = 'x'\n", "a", "y", "a = 'y'\n"),
        ("a = 1GB\n", "a", "1.5GB", "a = '1.5GB'\n"),
        ("a = x\n", "a", "", "a = ''\n"),
        ("a = x\n", "a", "it's \\ \n", "a = 'it''s \\\\ \\n'\n"),
        // What cannot be written is not.
        ("a = x\n", "a", "\0", "a = x\n"),
        ("a = x\n", "b c", "1", "a = x\n"),
        ("a = x\n", "include", "1", "a = x\n"),
    ] {
        assert_eq!(
            set(before, name, value),
            after,
            "{before:?} {name} {value:?}"
        );
    }
}

#[test]
fn unset_comments_out() {
    let mut conf = conf("a = 1\n  A = 2 # two\nb = 3\n");
    assert!(conf.unset("a"));
    assert!(!conf.unset("a"));
    assert_eq!(conf.get("a"), None);
    assert_eq!(conf.render(), b"#a = 1\n  #A = 2 # two\nb = 3\n");
    assert!(conf.set("a", "4"));
    assert_eq!(conf.render(), b"#a = 1\n  A = 4 # two\nb = 3\n");
}

#[test]
fn the_sample_file() {
    let mut conf = Conf::parse(SAMPLE).unwrap();
    assert_eq!(conf.render(), SAMPLE);
    assert_eq!(conf.entries(), []);
    assert_eq!(conf.statements().count(), 0);
    for (name, value) in [
        ("port", "5433"),
        ("shared_buffers", "1GB"),
        ("wal_level", "logical"),
        ("shared_preload_libraries", "pg_stat_statements"),
        ("auto_explain.log_nested", "on"),
    ] {
        assert!(conf.set(name, value));
    }
    let text = String::from_utf8(conf.render()).unwrap();
    let changed: Vec<&str> = {
        let old = std::str::from_utf8(SAMPLE).unwrap();
        let old: std::collections::HashSet<&str> = old.lines().collect();
        text.lines().filter(|line| !old.contains(line)).collect()
    };
    assert_eq!(
        changed,
        [
            "port = 5433\t\t\t\t# (change requires restart)",
            "shared_buffers = 1GB\t\t\t# min 128kB",
            "wal_level = logical\t\t\t# minimal, replica, or logical",
            "shared_preload_libraries = 'pg_stat_statements'\t# (change requires restart)",
            "auto_explain.log_nested = on",
        ]
    );
}

#[test]
fn secrets_are_masked() {
    let mut names = SECRETS.iter().chain(&["x.PassWord"]);
    assert!(names.all(|name| mentions_secret(name.as_bytes())));
    let masked = |text: &str| conf(text).masked();
    assert_eq!(
        masked(
            "port = 1\nPrimary_Conninfo = 'host=h password=canary' # was: restore_command='canary'\r\n\
             #primary_conninfo = 'password=canary'\t# old\n # archive_command = 'canary' or archive_command = ''\n\
             x.password canary\nrestore_command = ''\n# set restore_command"
        ),
        "port = 1\nPrimary_Conninfo = '********' # was: restore_command= ********\r\n\
         #primary_conninfo = '********'\t# old\n # archive_command = ********\n\
         x.password '********'\nrestore_command = ''\n# set restore_command"
    );
    assert_eq!(masked("x = 'a' # b\n"), "x = 'a' # b\n");
    let masked = Conf::parse(SAMPLE).unwrap().masked();
    let sample = std::str::from_utf8(SAMPLE).unwrap();
    for (masked, line) in masked.lines().zip(sample.lines()) {
        assert_eq!(masked, line);
    }
}

#[test]
fn debug_shows_no_value() {
    let conf = conf("primary_conninfo = 'password=canary'\n");
    assert_eq!(format!("{conf:?}"), "Conf { lines: 1, .. }");
}

#[test]
fn names_and_values_are_checked() {
    assert!(check_entry("auto_explain.log_nested", "on").is_ok());
    assert_eq!(
        check_entry("a b", "on").unwrap_err().to_string(),
        "`a b` is not the name of a setting"
    );
    assert_eq!(
        check_entry("Include_Dir", "conf.d")
            .unwrap_err()
            .to_string(),
        "`Include_Dir` is a directive, not a setting"
    );
    assert_eq!(
        check_entry("a", "\0").unwrap_err().to_string(),
        "the value of `a` has a zero byte"
    );
}

/// Lines that are mostly legal.
fn text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[ \t]?[abAB](\\.[xy])? ?=? ?([a-b0-9]{1,3}|[0-9]{1,2}[kM]B|'([a-z ]|''|\\\\[n'0-7])*') ?(#.*)?",
        "#[ ]?[ab] ?= ?[0-9]( # why)?",
        "",
    ];
    (
        proptest::collection::vec(line, 0..6),
        prop_oneof!["\n", "\r\n"],
        any::<bool>(),
    )
        .prop_map(|(lines, end, ended)| lines.join(&end) + if ended { &end } else { "" })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes(bytes: Vec<u8>) {
        if let Ok(conf) = Conf::parse(&bytes) {
            conf.masked();
            prop_assert_eq!(conf.render(), bytes.clone());
        }
        let conf = Conf::parse_leniently(&bytes);
        conf.masked();
        conf.statements().count();
        prop_assert!(Conf::parse_leniently(&conf.anchored("/a").render()).statements().count() == conf.statements().count());
        prop_assert_eq!(conf.render(), bytes);
    }

    #[test]
    fn any_value(mut text in text(), name in "[abAB](\\.[xy])?", value in "[^\0]*") {
        if Conf::parse(text.as_bytes()).is_err() {
            text.clear();
        }
        let mut conf = conf(&text);
        prop_assert_eq!(conf.render(), text.as_bytes());
        let others: Vec<_> = conf.entries().into_iter().filter(|(other, _)| !name.eq_ignore_ascii_case(other)).collect();
        conf.set(&name, &value);
        prop_assert!(!conf.set(&name, &value));
        prop_assert!(Conf::parse(&conf.render()).unwrap() == conf);
        prop_assert_eq!(conf.get(&name), Some(value));
        prop_assert!(conf.unset(&name));
        prop_assert!(Conf::parse(&conf.render()).unwrap() == conf);
        prop_assert_eq!(conf.entries(), others);
    }
}
