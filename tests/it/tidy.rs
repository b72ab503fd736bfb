//! What must be true of the files of the project, whatever they do.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::support::bin::executable;
use super::support::source::{checkout, files_below, is_within, sources, tokens};

/// The longest file of `src/`, in lines.
const LONGEST: usize = 700;

#[test]
fn one_version() {
    let cargo = read("Cargo.toml");
    let cargo = cargo
        .lines()
        .find_map(|line| line.strip_prefix("version = "))
        .map(|version| version.trim_matches('"'));
    assert_eq!(
        cargo,
        yaml("galaxy.yml")["version"].as_str(),
        "the versions of Cargo.toml and galaxy.yml"
    );
}

/// A session in a database of another encoding (LATIN1) could not send anything else.
#[test]
fn observations_are_ascii() {
    for path in files_below(&checkout().join("src/sql"), "sql") {
        let text = std::fs::read(&path).expect("a file that was just listed");
        assert!(text.is_ascii(), "{}", path.display());
    }
}

/// Every fragment has sections that `changelogs/config.yaml` knows, with entries that say something; and the present
/// version is described: by a release in `changelogs/changelog.yaml`, or by fragments that wait for it.
#[test]
fn changes_are_told() {
    let config = yaml("changelogs/config.yaml");
    let lists: Vec<&str> = config["sections"]
        .as_array()
        .expect("sections")
        .iter()
        .filter_map(|section| section[0].as_str())
        .chain(config["trivial_section_name"].as_str())
        .collect();
    let fragments = files_below(&checkout().join("changelogs/fragments"), "yml");
    let mut broken = Vec::new();
    for path in &fragments {
        let name = path.strip_prefix(checkout()).unwrap().display().to_string();
        broken.extend(
            fragment_faults(&yaml(&name), &lists)
                .into_iter()
                .map(|fault| format!("{name}: {fault}")),
        );
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let version = yaml("galaxy.yml")["version"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        !fragments.is_empty()
            || yaml("changelogs/changelog.yaml")["releases"][&version].is_object(),
        "nothing tells what version {version} changes: add a fragment to changelogs/fragments/"
    );
    assert!(checkout().join("CHANGELOG.md").exists());
}

fn fragment_faults(fragment: &Value, lists: &[&str]) -> Vec<String> {
    let says = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    let Some(sections) = fragment.as_object().filter(|object| !object.is_empty()) else {
        return vec!["not a mapping of sections".to_owned()];
    };
    let mut faults = Vec::new();
    for (section, entries) in sections {
        let fine = if section == "release_summary" {
            says(entries)
        } else if lists.contains(&section.as_str()) {
            entries
                .as_array()
                .is_some_and(|entries| !entries.is_empty() && entries.iter().all(says))
        } else {
            faults.push(format!("no section `{section}` in changelogs/config.yaml"));
            continue;
        };
        if !fine {
            faults.push(format!("`{section}` must be a list of sentences"));
        }
    }
    faults
}

#[test]
fn fragments_with_faults_are_seen() {
    let lists = ["bugfixes"];
    for (fragment, wanted) in [
        ("bugfixes: [role - something]", vec![]),
        ("release_summary: first", vec![]),
        (
            "bugfixes: something",
            vec!["`bugfixes` must be a list of sentences"],
        ),
        (
            "bugfixes: ['']",
            vec!["`bugfixes` must be a list of sentences"],
        ),
        (
            "bugfix: [a]",
            vec!["no section `bugfix` in changelogs/config.yaml"],
        ),
        ("[]", vec!["not a mapping of sections"]),
    ] {
        let value: Value = serde_saphyr::from_str(fragment).unwrap();
        assert_eq!(fragment_faults(&value, &lists), wanted, "{fragment}");
    }
}

#[test]
fn nothing_is_left_half_done() {
    // In two pieces, so that this file is not its own finding.
    let words = [
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("TO", "DO"),
    ];
    let code = [
        concat!("to", "do!"),
        concat!("db", "g!"),
        concat!("unimple", "mented!"),
        concat!("#[ig", "nore"),
    ];
    let mut found = Vec::new();
    for (path, text) in committed() {
        let rust = Path::new(&path)
            .extension()
            .is_some_and(|found| found == "rs");
        for (number, line) in text.lines().enumerate() {
            let spoken = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .find(|word| words.contains(word));
            let coded = code.iter().find(|mark| rust && line.contains(**mark));
            if let Some(mark) = spoken.or(coded.copied()) {
                found.push(format!("{path}:{}: {mark}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.lines > LONGEST)
        .map(|source| {
            format!(
                "{} has {} lines: split it by meaning, {LONGEST} are the most",
                source.path, source.lines
            )
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// The one way out of a `Secret` is taken where it must be, nowhere else.
#[test]
fn secrets_are_exposed_in_few_places() {
    let places = [
        "secret",
        "host",
        "pg::conninfo",
        "pg::scram",
        "pg::pgpass",
        "pg::hba",
    ];
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|source| !places.iter().any(|place| is_within(&source.module, place)))
        .filter(|source| tokens(&source.code).contains(&"expose"))
        .map(|source| source.path)
        .collect();
    assert!(
        found.is_empty(),
        "`expose()` is not allowed in {found:?}: hand a `Secret` or a `Text` on to `host`"
    );
}

/// Committed files speak of the project: of no machine that they were written on, of no server that packages come from.
#[test]
fn no_machine_is_named() {
    let words = [
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/wo", "rk/"),
        concat!("shared/", "design"),
        concat!("shared/", "spec"),
        concat!("py", "pi.org"),
        concat!("python", "hosted.org"),
        concat!("crates", ".io"),
        concat!("npm", "js."),
        concat!("galaxy.", "ansible.com"),
        concat!("deb.", "debian.org"),
        concat!("proxy.", "golang.org"),
    ];
    let home = words[1];
    let mut found = Vec::new();
    for (path, text) in committed() {
        // Users of test hosts have homes.
        let on_hosts = path.starts_with("tests/ansible/") || path.starts_with("molecule/");
        // Cargo writes where each package comes from.
        if path == "Cargo.lock" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            // The users of examples, and places that depend on the user.
            let line = ["ada", "bob", "{"]
                .iter()
                .fold(line.to_owned(), |line, user| {
                    line.replace(&format!("{home}{user}"), "")
                });
            for word in words
                .iter()
                .filter(|word| line.contains(**word) && !(on_hosts && **word == home))
            {
                found.push(format!("{path}:{}: {word}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Files that are made from the types or printed by the executable, each with the text that it should have.
fn generated() -> BTreeMap<String, String> {
    let printed = [
        ("man/man1/pgsocle.1", ["dev", "manual"]),
        (
            "bash-completion/completions/pgsocle",
            ["completion", "bash"],
        ),
        ("zsh/site-functions/_pgsocle", ["completion", "zsh"]),
        (
            "fish/vendor_completions.d/pgsocle.fish",
            ["completion", "fish"],
        ),
    ];
    let printed = printed.map(|(name, args)| {
        let output = std::process::Command::new(executable()).args(args).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        (format!("roles/install/files/share/{name}"), text)
    });
    pgsocle::generate::all_generated()
        .expect("generated files")
        .into_iter()
        .chain(printed)
        .collect()
}

/// `UPDATE=1` (`make shims`) writes them.
#[test]
fn generated_files_are_fresh() {
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    let stale = stale(checkout(), &generated(), update);
    assert!(
        stale.is_empty(),
        "not as the executable prints them: {stale:?}; run `make shims` and commit"
    );
}

/// Which of the files below `root` differ from what they should be; none are left when they are updated.
fn stale(root: &Path, generated: &BTreeMap<String, String>, update: bool) -> Vec<String> {
    let mut stale = Vec::new();
    for (name, text) in generated {
        let path = root.join(name);
        if std::fs::read_to_string(&path).ok().as_ref() == Some(text) {
            continue;
        }
        if update {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        } else {
            stale.push(name.clone());
        }
    }
    stale
}

#[test]
fn stale_files_are_seen_and_updated() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("fresh"), "new").unwrap();
    std::fs::write(dir.path().join("old"), "old").unwrap();
    let wanted = ["fresh", "inner/missing", "old"].map(|name| (name.to_owned(), "new".to_owned()));
    let wanted = BTreeMap::from(wanted);
    assert_eq!(stale(dir.path(), &wanted, false), ["inner/missing", "old"]);
    assert_eq!(stale(dir.path(), &wanted, true), [""; 0]);
    assert_eq!(stale(dir.path(), &wanted, false), [""; 0]);
}

/// What observation queries may call: functions of `pg_catalog` that only read. A read-only transaction does not stop those
/// with effects outside of tables (`pg_switch_wal`, `pg_reload_conf`, slots, `set_config`, advisory locks, large objects).
const READING_FUNCTIONS: &[&str] = &[
    "acldefault",
    "aclexplode",
    "array_agg",
    "array_length",
    "array_to_json",
    "array_to_string",
    "bool_and",
    "bool_or",
    "btrim",
    "cardinality",
    "concat",
    "concat_ws",
    "count",
    "current_database",
    "current_schemas",
    "current_setting",
    "date_part",
    "format",
    "format_type",
    "has_database_privilege",
    "has_function_privilege",
    "has_schema_privilege",
    "has_table_privilege",
    "host",
    "json_agg",
    "json_array_elements",
    "json_array_elements_text",
    "json_build_array",
    "json_build_object",
    "json_each",
    "json_each_text",
    "json_object",
    "json_object_agg",
    "json_to_recordset",
    "json_typeof",
    "jsonb_agg",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_object_agg",
    "jsonb_object_keys",
    "jsonb_to_recordset",
    "jsonb_typeof",
    "left",
    "length",
    "lower",
    "max",
    "min",
    "now",
    "obj_description",
    "pg_available_wal_summaries",
    "pg_backend_pid",
    "pg_conf_load_time",
    "pg_control_checkpoint",
    "pg_control_init",
    "pg_control_system",
    "pg_current_wal_lsn",
    "pg_database_size",
    "pg_encoding_to_char",
    "pg_get_expr",
    "pg_get_userbyid",
    "pg_has_role",
    "pg_identify_object",
    "pg_is_in_recovery",
    "pg_ls_archive_statusdir",
    "pg_is_wal_replay_paused",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_postmaster_start_time",
    "pg_size_bytes",
    "pg_size_pretty",
    "pg_table_is_visible",
    "pg_tablespace_databases",
    "pg_tablespace_location",
    "pg_tablespace_size",
    "pg_wal_lsn_diff",
    "quote_ident",
    "quote_literal",
    "regexp_replace",
    "replace",
    "right",
    "row_to_json",
    "rtrim",
    "shobj_description",
    "split_part",
    "starts_with",
    "string_agg",
    "string_to_array",
    "strpos",
    "substr",
    "sum",
    "to_char",
    "to_json",
    "to_jsonb",
    "translate",
    "unnest",
    "upper",
    "version",
];

/// What stands before a parenthesis and is part of the grammar.
const SQL_GRAMMAR: &[&str] = &[
    "all",
    "and",
    "any",
    "array",
    "as",
    "by",
    "case",
    "cast",
    "coalesce",
    "distinct",
    "else",
    "except",
    "exists",
    "extract",
    "filter",
    "from",
    "greatest",
    "group",
    "in",
    "intersect",
    "is",
    "join",
    "lateral",
    "least",
    "like",
    "materialized",
    "not",
    "nullif",
    "on",
    "or",
    "over",
    "row",
    "select",
    "some",
    "then",
    "union",
    "using",
    "values",
    "when",
    "where",
    "with",
    "within",
];

/// Words of statements that change something, or reach further than one query.
const SQL_CHANGING: &[&str] = &[
    "alter",
    "analyze",
    "call",
    "checkpoint",
    "cluster",
    "commit",
    "copy",
    "create",
    "deallocate",
    "delete",
    "discard",
    "do",
    "drop",
    "execute",
    "grant",
    "import",
    "insert",
    "into",
    "listen",
    "load",
    "lock",
    "merge",
    "notify",
    "prepare",
    "reassign",
    "refresh",
    "reindex",
    "reset",
    "revoke",
    "rollback",
    "security",
    "set",
    "share",
    "truncate",
    "unlisten",
    "update",
    "vacuum",
];

#[test]
fn observation_only_reads() {
    let mut found = Vec::new();
    for path in files_below(&checkout().join("src/sql"), "sql") {
        let name = path.strip_prefix(checkout()).unwrap().display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        found.extend(
            sql_faults(&text)
                .into_iter()
                .map(|fault| format!("{name}: {fault}")),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Why a query is none that may be sent in check mode.
fn sql_faults(text: &str) -> Vec<String> {
    let code = sql_code(text);
    let tokens = tokens(&code);
    let lower: Vec<String> = tokens.iter().map(|token| token.to_lowercase()).collect();
    let word = |at: Option<usize>| at.and_then(|at| lower.get(at)).map_or("", String::as_str);
    let mut faults = Vec::new();
    if !matches!(word(Some(0)), "select" | "with") {
        faults.push("must begin with SELECT or WITH".to_owned());
    }
    for (at, name) in lower.iter().enumerate() {
        let before = word(at.checked_sub(1));
        let name = name.as_str();
        if name == ";" && at + 1 < tokens.len() {
            faults.push("must be one statement".to_owned());
        }
        if SQL_CHANGING.contains(&name) && before != "." {
            faults.push(format!("says `{name}`"));
        }
        let callable = name.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '"');
        if word(Some(at + 1)) != "(" || !callable {
            continue;
        }
        let qualified = before == ".";
        let schema = if qualified {
            word(at.checked_sub(2))
        } else {
            ""
        };
        // `… AS alias (columns)`, `WITH name (columns)`, a cast to a type with a length.
        let before_name = if qualified {
            word(at.checked_sub(3))
        } else {
            before
        };
        if matches!(before_name, "as" | "with" | "recursive" | "::")
            || (!qualified && SQL_GRAMMAR.contains(&name))
        {
            continue;
        }
        if schema != "pg_catalog" {
            faults.push(format!("calls `{name}` without `pg_catalog.`"));
        } else if !READING_FUNCTIONS.contains(&name) {
            faults.push(format!(
                "calls `pg_catalog.{name}`, which is not in READING_FUNCTIONS of tests/it/tidy.rs"
            ));
        }
    }
    faults
}

/// A query without comments and strings. Quoted names keep their quotes as part of the name, so that they match no word.
fn sql_code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let until = |end: &str, from: usize| {
            rest[from..]
                .find(end)
                .map_or(rest.len(), |found| from + found + end.len())
        };
        let (taken, kept) = if rest.starts_with("--") {
            (until("\n", 0), "\n".to_owned())
        } else if rest.starts_with("/*") {
            (until("*/", 2), " ".to_owned())
        } else if first == '\'' {
            (until("'", 1), " 0 ".to_owned())
        } else if first == '"' {
            let end = until("\"", 1);
            let name: String = rest[..end]
                .chars()
                .filter(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            (end, format!("quoted_{name}"))
        } else {
            (first.len_utf8(), first.to_string())
        };
        code += &kept;
        rest = &rest[taken..];
    }
    code
}

#[test]
fn queries_that_could_change_something_are_seen() {
    for (query, wanted) in [
        (
            "-- it's fine\nSELECT pg_catalog.current_setting('set; x'), coalesce(a, 'b') FROM pg_catalog.pg_roles r WHERE r.x IN (1)",
            None,
        ),
        (
            "WITH w (a) AS (SELECT 1) SELECT x.a FROM pg_catalog.json_to_recordset($1) AS x(a text), w WHERE b::pg_catalog.numeric(1,2) = 1",
            None,
        ),
        ("SELECT s.update FROM t s", None),
        (
            "SELECT pg_catalog.pg_switch_wal()",
            Some(
                "calls `pg_catalog.pg_switch_wal`, which is not in READING_FUNCTIONS of tests/it/tidy.rs",
            ),
        ),
        (
            "SELECT lower(x)",
            Some("calls `lower` without `pg_catalog.`"),
        ),
        (
            "SELECT public.lower(x)",
            Some("calls `lower` without `pg_catalog.`"),
        ),
        (
            "SELECT \"f\"(x)",
            Some("calls `quoted_f` without `pg_catalog.`"),
        ),
        (
            "SELECT pg_catalog.\"set_config\"(x)",
            Some(
                "calls `pg_catalog.quoted_set_config`, which is not in READING_FUNCTIONS of tests/it/tidy.rs",
            ),
        ),
        ("SELECT 1; SELECT 2", Some("must be one statement")),
        ("SELECT 1 FROM t FOR UPDATE", Some("says `update`")),
        ("TABLE t", Some("must begin with SELECT or WITH")),
        (
            "WITH d AS (DELETE FROM t RETURNING 1) SELECT 1",
            Some("says `delete`"),
        ),
        ("SELECT 1 INTO t", Some("says `into`")),
    ] {
        let wanted: Vec<_> = wanted.into_iter().map(str::to_owned).collect();
        assert_eq!(sql_faults(query), wanted, "{query}");
    }
}

fn read(name: &str) -> String {
    std::fs::read_to_string(checkout().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The text files of the project: those that git tracks, and those that it would.
fn committed() -> Vec<(String, String)> {
    // The checkout may be another user's than the one who runs the tests.
    let output = Command::new("git")
        .args([
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(checkout())
        .output()
        .expect("git lists the files");
    assert!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = String::from_utf8(output.stdout).unwrap();
    let files: Vec<_> = names
        .split_terminator('\0')
        // Captured output of other programs is as it is.
        .filter(|name| !name.starts_with("tests/fixtures/"))
        .filter_map(|name| {
            let text = std::fs::read_to_string(checkout().join(name)).ok()?;
            Some((name.to_owned(), text))
        })
        .collect();
    assert!(files.iter().any(|(name, _)| name == "Cargo.toml"));
    files
}
