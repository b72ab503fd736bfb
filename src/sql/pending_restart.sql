-- Settings that wait for a restart, and what else is asked for, those of loaded libraries included: the value that runs, as SHOW gives it, and, of
-- those that wait, the one that the files say by now, the last of them all (postgresql.auto.conf is read last; it is null where none says anything).
-- $1: [...], names of others that are asked for.
SELECT s.name,
       s.vartype,
       s.unit,
       s.context,
       coalesce(s.enumvals, '{}') AS enumvals,
       s.min_val::pg_catalog.float8 AS min,
       s.max_val::pg_catalog.float8 AS max,
       s.boot_val AS boot,
       s.pending_restart AS waits,
       s.source = 'configuration file' AS from_file,
       s.source = 'command line' AS by_command_line,
       pg_catalog.current_setting(s.name) AS running,
       CASE WHEN s.pending_restart THEN (
         SELECT f.setting FROM pg_catalog.pg_file_settings f
          WHERE pg_catalog.lower(f.name) = pg_catalog.lower(s.name) ORDER BY f.seqno DESC LIMIT 1) END AS configured
  FROM pg_catalog.pg_settings s
 WHERE s.pending_restart
    OR pg_catalog.lower(s.name) IN (SELECT pg_catalog.jsonb_array_elements_text($1::pg_catalog.text::pg_catalog.jsonb))
 ORDER BY s.name
