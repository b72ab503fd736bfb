DO $check$
DECLARE
    deadline timestamptz := pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => {seconds});
    wal text;
    failed record;
BEGIN
    IF pg_catalog.pg_is_in_recovery() THEN
        RAISE EXCEPTION 'the server is in recovery, and archives nothing'
            USING HINT = 'A restore that waits at its target must be ended first; a standby is archived by its primary.';
    END IF;
    PERFORM pg_catalog.pg_create_restore_point('pgsocle: check of the archive');
    wal := pg_catalog.pg_walfile_name(pg_catalog.pg_switch_wal());
    WHILE (pg_catalog.pg_stat_file({directory} || '/' || wal, true)).size IS NULL LOOP
        IF pg_catalog.clock_timestamp() > deadline THEN
            PERFORM pg_catalog.pg_stat_clear_snapshot();
            SELECT last_failed_wal AS file, last_failed_time AS at INTO failed FROM pg_catalog.pg_stat_archiver;
            RAISE EXCEPTION 'WAL file % has not arrived in % within {seconds} seconds', wal, {directory}
                USING DETAIL = CASE WHEN failed.file IS NULL THEN 'No attempt to archive has failed.'
                                    ELSE pg_catalog.format('The last attempt that failed was of %s, at %s.', failed.file, failed.at) END,
                      HINT = 'The log of the server says why; `pgsocle instance logs` shows it.';
        END IF;
        PERFORM pg_catalog.pg_sleep(0.05);
    END LOOP;
END
$check$
