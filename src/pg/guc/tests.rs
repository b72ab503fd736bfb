use super::*;
use crate::fault::{Fault, Kind};
use proptest::prelude::*;

/// Lines of PostgreSQL 15.
const DESCRIBED: &str = "\
autovacuum\tsighup\tAutovacuum\tBOOLEAN\tFALSE\t\t\tStarts the autovacuum subprocess.\t
autovacuum_vacuum_cost_delay\tsighup\tAutovacuum\tREAL\t0\t-1\t100\tVacuum cost delay in milliseconds, for autovacuum.\t
checkpoint_timeout\tsighup\tWrite-Ahead Log / Checkpoints\tINTEGER\t0\t30\t86400\tSets the maximum time between automatic WAL checkpoints.\t
client_min_messages\tuser\tClient Connection Defaults / Statement Behavior\tENUM\tnotice\t\t\tSets the message levels that are sent to the client.\tEach level includes all the levels that follow it. The later the level, the fewer messages are sent.
DateStyle\tuser\tClient Connection Defaults / Locale and Formatting\tSTRING\tISO, MDY\t\t\tSets the display format for date and time values.\tAlso controls interpretation of ambiguous date inputs.
log_connections\tsuperuser-backend\tReporting and Logging / What to Log\tBOOLEAN\tFALSE\t\t\tLogs each successful connection.\t
log_destination\tsighup\tReporting and Logging / Where to Log\tSTRING\tstderr\t\t\tSets the destination for server log output.\tValid values are combinations of \"stderr\", \"syslog\", \"csvlog\", \"jsonlog\", and \"eventlog\", depending on the platform.
log_rotation_age\tsighup\tReporting and Logging / Where to Log\tINTEGER\t0\t0\t35791394\tSets the amount of time to wait before forcing log file rotation.\t
max_connections\tpostmaster\tConnections and Authentication / Connection Settings\tINTEGER\t0\t1\t262143\tSets the maximum number of concurrent connections.\t
max_wal_size\tsighup\tWrite-Ahead Log / Checkpoints\tINTEGER\t0\t2\t2147483647\tSets the WAL size that triggers a checkpoint.\t
search_path\tuser\tClient Connection Defaults / Statement Behavior\tSTRING\t\"$user\", public\t\t\tSets the schema search order for names that are not schema-qualified.\t
seq_page_cost\tuser\tQuery Tuning / Planner Cost Constants\tREAL\t0\t0\t1.79769e+308\tSets the planner's estimate of the cost of a sequentially fetched disk page.\t
shared_buffers\tpostmaster\tResource Usage / Memory\tINTEGER\t0\t16\t1073741823\tSets the number of shared memory buffers used by the server.\t
shared_preload_libraries\tpostmaster\tClient Connection Defaults / Shared Library Preloading\tSTRING\t\t\t\tLists shared libraries to preload into server.\t
ssl_min_protocol_version\tsighup\tConnections and Authentication / SSL\tENUM\tTLSv1.2\t\t\tSets the minimum SSL/TLS protocol version to use.\t
statement_timeout\tuser\tClient Connection Defaults / Statement Behavior\tINTEGER\t0\t0\t2147483647\tSets the maximum allowed duration of any statement.\tA value of 0 turns off the timeout.
unix_socket_permissions\tpostmaster\tConnections and Authentication / Connection Settings\tINTEGER\t0\t0\t511\tSets the access permissions of the Unix-domain socket.\t
wal_compression\tsuperuser\tWrite-Ahead Log / Settings\tENUM\toff\t\t\tCompresses full-page writes written in WAL file with specified method.\t
wal_level\tpostmaster\tWrite-Ahead Log / Settings\tENUM\treplica\t\t\tSets the level of information written to the WAL.\t
work_mem\tuser\tResource Usage / Memory\tINTEGER\t0\t64\t2147483647\tSets the maximum memory to be used for query workspaces.\t
";

fn guc(name: &str) -> Guc {
    parse_describe_config(DESCRIBED)
        .into_iter()
        .find(|guc| guc.name == name)
        .unwrap()
}

#[test]
fn described() {
    assert_eq!(
        parse_describe_config(DESCRIBED).len(),
        DESCRIBED.lines().count()
    );
    assert_eq!(
        guc("shared_buffers"),
        Guc {
            name: "shared_buffers".to_owned(),
            vartype: VarType::Integer,
            unit: Some("8kB".to_owned()),
            context: Context::Postmaster,
            enumvals: Vec::new(),
            min: Some(16.0),
            max: Some(1_073_741_823.0),
            boot: None,
        }
    );
    assert_eq!(
        guc("wal_level"),
        Guc {
            name: "wal_level".to_owned(),
            vartype: VarType::Enum,
            unit: None,
            context: Context::Postmaster,
            enumvals: ["minimal", "replica", "logical"].map(str::to_owned).into(),
            min: None,
            max: None,
            boot: Some("replica".to_owned()),
        }
    );
    assert_eq!(guc("log_connections").context, Context::SuperuserBackend);
    assert_eq!(guc("autovacuum").boot, None);
    assert_eq!(
        guc("search_path").boot.as_deref(),
        Some("\"$user\", public")
    );
    assert_eq!(parse_describe_config("postgres: error\n\na\tb\tc\n"), []);
}

#[test]
fn same_values() {
    for (name, one, other, same) in [
        ("shared_buffers", "1GB", "1024MB", true),
        ("shared_buffers", "1GB", "131072", true),
        ("shared_buffers", "1GB", "1048576kB", true),
        ("shared_buffers", "1GB", "1 GB", true),
        ("shared_buffers", "1GB", "1023MB", false),
        ("shared_buffers", "1GB", "1", false),
        ("shared_buffers", "1gb", "1GB", false),
        ("shared_buffers", "0.5GB", "512MB", true),
        ("work_mem", "4MB", "4096", true),
        ("work_mem", "1e3kB", "1000", true),
        // Rounded to whole megabytes: 30.1 GB is 30822.4 MB.
        ("work_mem", "30.1GB", "30822MB", true),
        ("max_wal_size", "1TB", "1048576", true),
        ("max_wal_size", "1GB", "1024", true),
        ("checkpoint_timeout", "15min", "900", true),
        ("checkpoint_timeout", "900s", "900000ms", true),
        ("checkpoint_timeout", "1d", "24h", true),
        ("checkpoint_timeout", "15", "15min", false),
        ("statement_timeout", "1s", "1000", true),
        ("statement_timeout", "1500us", "2", true),
        ("log_rotation_age", "1d", "1440", true),
        ("autovacuum_vacuum_cost_delay", "2ms", "2000us", true),
        ("autovacuum_vacuum_cost_delay", "0.5", "500us", true),
        ("unix_socket_permissions", "0777", "511", true),
        ("unix_socket_permissions", "0x1ff", "511", true),
        ("unix_socket_permissions", "777", "0777", false),
        ("unix_socket_permissions", "010.5", "10", true),
        ("unix_socket_permissions", "08", "8", false),
        ("unix_socket_permissions", "0", "0.0", true),
        ("statement_timeout", "2500us", "2", true),
        ("statement_timeout", " 5 s ", "5000", true),
        ("statement_timeout", ".5s", "500", true),
        ("statement_timeout", "+5", "5.", true),
        ("statement_timeout", "1e", "1", false),
        ("max_connections", "100", "100.0", true),
        ("max_connections", "100", "100kB", false),
        ("max_connections", "many", "many", true),
        ("seq_page_cost", "1", "1.0", true),
        ("seq_page_cost", "1", "1.1", false),
        ("autovacuum", "on", "true", true),
        ("autovacuum", "on", "1", true),
        ("autovacuum", "YES", "t", true),
        ("autovacuum", "off", "fal", true),
        ("autovacuum", "off", "of", true),
        ("autovacuum", "off", "on", false),
        ("autovacuum", "o", "on", false),
        ("wal_level", "Replica", "replica", true),
        ("wal_level", "hot_standby", "replica", true),
        ("wal_level", "logical", "replica", false),
        ("wal_compression", "on", "true", true),
        ("wal_compression", "on", "pglz", true),
        ("wal_compression", "on", "off", false),
        ("client_min_messages", "debug", "DEBUG2", true),
        ("search_path", "\"$user\",public", "\"$user\", public", true),
        ("search_path", "Public", "public", true),
        ("search_path", "\"Public\"", "public", false),
        ("search_path", "a, b", "b, a", false),
        ("log_destination", "stderr,csvlog", "CSVLOG, stderr", true),
        ("log_destination", "stderr", "stderr,csvlog", false),
        ("DateStyle", "iso, dmy", "ISO, DMY", true),
        ("shared_preload_libraries", "a,b", "a, b", true),
        ("shared_preload_libraries", "\"a\"", "a", true),
        ("shared_preload_libraries", "A", "a", false),
    ] {
        let guc = guc(name);
        assert_eq!(same_value(&guc, one, other), same, "{name}: {one} {other}");
        assert_eq!(same_value(&guc, other, one), same, "{name}: {other} {one}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn checked() {
    const MEMORY: &str =
        "give a whole number, with a unit out of `B`, `kB`, `MB`, `GB`, `TB` (case matters)";
    for (name, value, expected) in [
        ("shared_buffers", "1GB", Ok(())),
        ("shared_buffers", "128kB", Ok(())),
        (
            "shared_buffers",
            "120kB",
            Err((
                "value `120kB` is outside the valid range of parameter `shared_buffers`",
                "give a number from 16 to 1073741823, in units of 8kB",
            )),
        ),
        (
            "max_connections",
            "0",
            Err((
                "value `0` is outside the valid range of parameter `max_connections`",
                "give a number from 1 to 262143",
            )),
        ),
        (
            "work_mem",
            "10mb",
            Err(("invalid value `10mb` for parameter `work_mem`", MEMORY)),
        ),
        (
            "work_mem",
            "lots",
            Err(("invalid value `lots` for parameter `work_mem`", MEMORY)),
        ),
        (
            "work_mem",
            "",
            Err(("invalid value `` for parameter `work_mem`", MEMORY)),
        ),
        (
            "checkpoint_timeout",
            "5MB",
            Err((
                "invalid value `5MB` for parameter `checkpoint_timeout`",
                "give a whole number, with a unit out of `us`, `ms`, `s`, `min`, `h`, `d` (case matters)",
            )),
        ),
        (
            "max_connections",
            "100kB",
            Err((
                "invalid value `100kB` for parameter `max_connections`",
                "give a whole number alone: this parameter has no unit",
            )),
        ),
        (
            "seq_page_cost",
            "nan",
            Err((
                "invalid value `nan` for parameter `seq_page_cost`",
                "give a number",
            )),
        ),
        ("autovacuum", "yes", Ok(())),
        (
            "autovacuum",
            "maybe",
            Err((
                "invalid value `maybe` for parameter `autovacuum`",
                "give `on` or `off`",
            )),
        ),
        ("wal_level", "Logical", Ok(())),
        ("wal_level", "hot_standby", Ok(())),
        ("wal_compression", "lz4", Ok(())),
        ("wal_compression", "yes", Ok(())),
        ("wal_compression", "on", Ok(())),
        ("client_min_messages", "info", Ok(())),
        ("ssl_min_protocol_version", "tlsv1.3", Ok(())),
        (
            "wal_level",
            "replcia",
            Err((
                "invalid value `replcia` for parameter `wal_level`",
                "did you mean `replica`?",
            )),
        ),
        (
            "ssl_min_protocol_version",
            "TLS1.3",
            Err((
                "invalid value `TLS1.3` for parameter `ssl_min_protocol_version`",
                "did you mean `TLSv1.3`?",
            )),
        ),
        (
            "wal_level",
            "all",
            Err((
                "invalid value `all` for parameter `wal_level`",
                "give one of `minimal`, `replica`, `logical`",
            )),
        ),
        ("search_path", "anything", Ok(())),
    ] {
        let result = check(&guc(name), value).map_err(|error| Fault::of(&error).unwrap().clone());
        let expected = expected.map_err(|(msg, hint)| Fault::new(Kind::Input, msg).hint(hint));
        assert_eq!(result, expected, "{name} {value}");
    }
}

#[test]
fn settled() {
    let has = |name: &str, word: &str| Guc {
        enumvals: vec![word.to_owned()],
        ..guc(name)
    };
    for (guc, value, expected) in [
        (guc("work_mem"), "8MB", true),
        (guc("work_mem"), "8192", true),
        (guc("log_rotation_age"), "0", true),
        (guc("autovacuum_vacuum_cost_delay"), "-1", true),
        (guc("autovacuum"), "of", true),
        (has("client_min_messages", "log"), "LOG", true),
        // Not told by the server.
        (has("client_min_messages", "log"), "info", false),
        // Spellings that nobody uses.
        (guc("work_mem"), "8 MB", false),
        (guc("work_mem"), "0x2000", false),
        (guc("work_mem"), "08", false),
        (guc("work_mem"), "8.5MB", false),
        (guc("work_mem"), "1e4", false),
        (guc("work_mem"), "", false),
        (guc("work_mem"), "MB", false),
        (guc("work_mem"), "8192000000", false),
        (guc("search_path"), "public", false),
        (
            Guc {
                name: "Max_Stack_Depth".to_owned(),
                ..guc("work_mem")
            },
            "2MB",
            false,
        ),
        (
            Guc {
                name: "auto_explain.log_min_duration".to_owned(),
                ..guc("statement_timeout")
            },
            "1s",
            false,
        ),
    ] {
        let name = &guc.name;
        assert_eq!(
            is_settled(&guc, value, Major::NEWEST_KNOWN),
            expected,
            "{name} {value}"
        );
        assert!(!is_settled(&guc, value, Major::new(19)), "{name} {value}");
    }
}

#[test]
fn other_block_sizes() {
    let mut guc = guc("shared_buffers");
    guc.unit = Some("32kB".to_owned());
    assert!(same_value(&guc, "1GB", "32768"));
}

#[test]
fn lists() {
    for (value, expected) in [
        ("", &[][..]),
        ("a", &["a"]),
        (" a ,b,, c ", &["a", "b", "c"]),
        ("\"$user\", public", &["$user", "public"]),
        ("\"a, b\",c", &["a, b", "c"]),
        ("\"a\"\"b\"", &["a\"b"]),
        ("\"\"", &[""]),
        ("\"a, b", &["a, b"]),
        ("/run/my sockets, /tmp", &["/run/my sockets", "/tmp"]),
    ] {
        assert_eq!(split_list(value), expected, "{value}");
    }
    for (existing, wanted, merged) in [
        ("", "", ""),
        ("", "pg_stat_statements", "pg_stat_statements"),
        ("a,b", "c", "a, b, c"),
        ("a, b", "b", "a, b"),
        ("a, b", "\"b\",c", "a, b, c"),
        ("\"$user\", public", "public", "\"$user\", public"),
        ("\"x, y", "z", "\"x, y\", z"),
    ] {
        assert_eq!(
            merge_list(existing, wanted),
            merged,
            "{existing} + {wanted}"
        );
    }
    for (name, expected) in [
        ("search_path", true),
        ("datestyle", true),
        ("shared_preload_libraries", true),
        ("log_connections", false),
        ("synchronous_standby_names", false),
        ("archive_command", false),
    ] {
        assert_eq!(is_list(name), expected, "{name}");
    }
}

#[test]
fn shares_of_memory() {
    const GIB: u64 = 1024 * 1024 * 1024;
    for (value, total, expected) in [
        ("25%", 16 * GIB, Some("4096MB")),
        ("25%", 25_112_346_624, Some("5987MB")),
        ("12.5 %", 16 * GIB, Some("2048MB")),
        ("100%", GIB, Some("1024MB")),
        ("0%", GIB, None),
        ("-5%", GIB, None),
        ("101%", GIB, None),
        ("25", GIB, None),
        ("%", GIB, None),
        ("25%%", GIB, None),
        ("x%", GIB, None),
        ("4GB", GIB, None),
    ] {
        assert_eq!(memory_percent(value, total).as_deref(), expected, "{value}");
    }
}

#[test]
fn shares_of_memory_as_pglift_writes_them() {
    for (text, value, total, expected) in [
        ("16 GB", "66%", 25_276_502_016, true),
        ("17 GB", "66%", 25_276_502_016, false),
        ("16GB", "66%", 25_276_502_016, false),
        ("6 GB", "25%", 25_276_502_016, true),
        ("999 MB", "50%", 1_999_999_999, true),
        ("1 GB", "50%", 2_000_000_000, true),
        ("2 TB", "50%", 5_900_000_000_000, true),
        ("16 GB", "16 GB", 25_276_502_016, false),
        ("6026MB", "25%", 25_276_502_016, true),
        ("6000MB", "25%", 25_276_502_016, true),
        ("5900MB", "25%", 25_276_502_016, false),
        ("6026 MB", "25%", 25_276_502_016, false),
        ("0 kB", "1%", 1, false),
    ] {
        assert_eq!(
            is_memory_percent(text, value, total),
            expected,
            "{text} of {value}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn memory_in_any_unit(megabytes in 1u32..100_000) {
        let guc = guc("shared_buffers");
        let text = format!("{megabytes}MB");
        prop_assert!(check(&guc, &text).is_ok());
        let [blocks, kilobytes] = [128, 1024].map(|factor| u64::from(megabytes) * factor);
        let (blocks, kilobytes, more) =
            (blocks.to_string(), format!("{kilobytes}kB"), format!("{megabytes}1MB"));
        prop_assert!(same_value(&guc, &text, &blocks));
        prop_assert!(same_value(&guc, &text, &kilobytes));
        prop_assert!(!same_value(&guc, &text, &more));
    }

    #[test]
    fn merging_is_idempotent(existing in "[a-c\", ]{0,12}", wanted in "[a-c\", ]{0,12}") {
        let merged = merge_list(&existing, &wanted);
        prop_assert_eq!(merge_list(&merged, &wanted), merged.clone());
        for element in split_list(&wanted) {
            prop_assert!(split_list(&merged).contains(&element));
        }
    }

    #[test]
    fn nothing_panics(text in any::<String>(), number in "[-+0-9.eExX]{0,6}\\PC{0,3}", line in "\\PC{0,4}(\t\\PC{0,4}){0,9}") {
        parse_describe_config(&line);
        memory_percent(&number, u64::MAX);
        is_memory_percent(&text, &number, u64::MAX);
        merge_list(&text, &number);
        for name in ["work_mem", "seq_page_cost", "wal_level", "search_path", "autovacuum"] {
            let guc = guc(name);
            let _ = check(&guc, &text);
            let _ = check(&guc, &number);
            same_value(&guc, &text, &number);
        }
    }
}
