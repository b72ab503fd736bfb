//! What `postgres --describe-config` does not tell of the standard parameters: taken from
//! `src/backend/utils/misc/guc_tables.c` of PostgreSQL 13 to 19.

/// The unit of a standard parameter, as in `pg_settings.unit`; blocks are of 8 kB.
pub(super) fn unit(name: &str) -> Option<&'static str> {
    UNITS
        .iter()
        .find(|(_, names)| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
        .map(|(unit, _)| *unit)
}

/// The values of a standard enum; empty when it is not known.
pub(super) fn enum_values(name: &str) -> &'static [&'static str] {
    ENUMS
        .iter()
        .find(|(names, _)| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
        .map_or(&[], |(_, values)| *values)
}

/// Whether a value is allowed without being listed anywhere, and is no synonym of a listed one.
pub(super) fn is_hidden_value(name: &str, value: &str) -> bool {
    matches!(
        (name, value),
        ("client_min_messages" | "trace_recovery_messages", "info")
        // PostgreSQL 13 only.
        | ("password_encryption", "on" | "true" | "yes" | "1")
    )
}

/// Whether the server's code has a function that judges values of this parameter beyond its type, range and words: those that
/// are no strings and need no restart (the `check_…` functions of `src/include/utils/guc_hooks.h`, before 16 of `guc.c`,
/// in PostgreSQL 13 to 18), be it that they refuse nothing on some platforms.
pub(super) fn has_own_check(name: &str) -> bool {
    OWN_CHECKS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

const OWN_CHECKS: &[&str] = &[
    "autovacuum_work_mem",
    "client_connection_check_interval",
    "default_with_oids",
    "effective_io_concurrency",
    "idle_replication_slot_timeout",
    "log_executor_stats",
    "log_parser_stats",
    "log_planner_stats",
    "log_statement_stats",
    "maintenance_io_concurrency",
    "max_slot_wal_keep_size",
    "max_stack_depth",
    "recovery_prefetch",
    "seed",
    "ssl",
    "temp_buffers",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
    "vacuum_buffer_usage_limit",
];

const UNITS: &[(&str, &[&str])] = &[
    (
        "B",
        &[
            "log_parameter_max_length",
            "log_parameter_max_length_on_error",
            "track_activity_query_size",
            "wal_decode_buffer_size",
            "wal_segment_size",
        ],
    ),
    (
        "kB",
        &[
            "autovacuum_work_mem",
            "gin_pending_list_limit",
            "huge_page_size",
            "log_rotation_size",
            "log_temp_files",
            "logical_decoding_work_mem",
            "maintenance_work_mem",
            "max_stack_depth",
            "temp_file_limit",
            "vacuum_buffer_usage_limit",
            "wal_skip_threshold",
            "work_mem",
        ],
    ),
    (
        "8kB",
        &[
            "backend_flush_after",
            "bgwriter_flush_after",
            "checkpoint_flush_after",
            "commit_timestamp_buffers",
            "effective_cache_size",
            "io_combine_limit",
            "io_max_combine_limit",
            "min_parallel_index_scan_size",
            "min_parallel_table_scan_size",
            "multixact_member_buffers",
            "multixact_offset_buffers",
            "notify_buffers",
            "segment_size",
            "serializable_buffers",
            "shared_buffers",
            "subtransaction_buffers",
            "temp_buffers",
            "transaction_buffers",
            "wal_buffers",
            "wal_writer_flush_after",
        ],
    ),
    (
        "MB",
        &[
            "max_slot_wal_keep_size",
            "max_wal_size",
            "min_dynamic_shared_memory",
            "min_wal_size",
            "shared_memory_size",
            "wal_keep_size",
        ],
    ),
    (
        "ms",
        &[
            "autovacuum_vacuum_cost_delay",
            "bgwriter_delay",
            "client_connection_check_interval",
            "deadlock_timeout",
            "idle_in_transaction_session_timeout",
            "idle_session_timeout",
            "io_worker_idle_timeout",
            "io_worker_launch_interval",
            "lock_timeout",
            "log_autoanalyze_min_duration",
            "log_autovacuum_min_duration",
            "log_min_duration_sample",
            "log_min_duration_statement",
            "log_startup_progress_interval",
            "max_standby_archive_delay",
            "max_standby_streaming_delay",
            "recovery_min_apply_delay",
            "statement_timeout",
            "tcp_user_timeout",
            "transaction_timeout",
            "vacuum_cost_delay",
            "wal_receiver_timeout",
            "wal_retrieve_retry_interval",
            "wal_sender_shutdown_timeout",
            "wal_sender_timeout",
            "wal_writer_delay",
        ],
    ),
    (
        "s",
        &[
            "archive_timeout",
            "authentication_timeout",
            "autovacuum_naptime",
            "checkpoint_timeout",
            "checkpoint_warning",
            "idle_replication_slot_timeout",
            "password_expiration_warning_threshold",
            "post_auth_delay",
            "pre_auth_delay",
            "tcp_keepalives_idle",
            "tcp_keepalives_interval",
            "wal_receiver_status_interval",
        ],
    ),
    (
        "min",
        &[
            "log_rotation_age",
            "old_snapshot_threshold",
            "wal_summary_keep_time",
        ],
    ),
];

const CLIENT_LEVELS: &[&str] = &[
    "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error",
];
const SERVER_LEVELS: &[&str] = &[
    "debug5", "debug4", "debug3", "debug2", "debug1", "info", "notice", "warning", "error", "log",
    "fatal", "panic",
];
const ISOLATION_LEVELS: &[&str] = &[
    "serializable",
    "repeatable read",
    "read committed",
    "read uncommitted",
];
const TLS_VERSIONS: &[&str] = &["", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/// Names, and the values they share. What depends on how the server was built (`lz4`, `io_uring`) is
/// listed: the server knows best.
const ENUMS: &[(&[&str], &[&str])] = &[
    (&["archive_mode"], &["always", "on", "off"]),
    (&["backslash_quote"], &["safe_encoding", "on", "off"]),
    (&["bytea_output"], &["escape", "hex"]),
    (
        &["client_min_messages", "trace_recovery_messages"],
        CLIENT_LEVELS,
    ),
    (&["compute_query_id"], &["auto", "regress", "on", "off"]),
    (&["constraint_exclusion"], &["partition", "on", "off"]),
    (
        &[
            "debug_logical_replication_streaming",
            "logical_replication_mode",
        ],
        &["buffered", "immediate"],
    ),
    (
        &["debug_parallel_query", "force_parallel_mode"],
        &["off", "on", "regress"],
    ),
    (&["default_toast_compression"], &["pglz", "lz4"]),
    (
        &["default_transaction_isolation", "transaction_isolation"],
        ISOLATION_LEVELS,
    ),
    (
        &["dynamic_shared_memory_type"],
        &["posix", "sysv", "windows", "mmap"],
    ),
    (&["file_copy_method"], &["copy", "clone"]),
    (&["huge_pages", "recovery_prefetch"], &["off", "on", "try"]),
    (
        &["IntervalStyle"],
        &["postgres", "postgres_verbose", "sql_standard", "iso_8601"],
    ),
    (&["io_method"], &["sync", "worker", "io_uring"]),
    (&["log_error_verbosity"], &["terse", "default", "verbose"]),
    (
        &["log_min_error_statement", "log_min_messages"],
        SERVER_LEVELS,
    ),
    (&["log_statement"], &["none", "ddl", "mod", "all"]),
    (&["password_encryption"], &["md5", "scram-sha-256"]),
    (
        &["plan_cache_mode"],
        &["auto", "force_generic_plan", "force_custom_plan"],
    ),
    (&["recovery_init_sync_method"], &["fsync", "syncfs"]),
    (
        &["recovery_target_action"],
        &["pause", "promote", "shutdown"],
    ),
    (
        &["session_replication_role"],
        &["origin", "replica", "local"],
    ),
    (&["shared_memory_type"], &["sysv", "mmap", "windows"]),
    (
        &["ssl_max_protocol_version", "ssl_min_protocol_version"],
        TLS_VERSIONS,
    ),
    (&["stats_fetch_consistency"], &["none", "cache", "snapshot"]),
    (
        &["synchronous_commit"],
        &["local", "remote_write", "remote_apply", "on", "off"],
    ),
    (
        &["syslog_facility"],
        &[
            "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7", "none",
        ],
    ),
    (&["track_functions"], &["none", "pl", "all"]),
    (&["wal_compression"], &["pglz", "lz4", "zstd", "on", "off"]),
    (&["wal_level"], &["minimal", "replica", "logical"]),
    (
        &["wal_sync_method"],
        &[
            "fsync",
            "fsync_writethrough",
            "fdatasync",
            "open_sync",
            "open_datasync",
        ],
    ),
    (&["xmlbinary"], &["base64", "hex"]),
    (&["xmloption"], &["content", "document"]),
];
