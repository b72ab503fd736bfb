-- Settings that wait for a restart, with the value that runs and the one that is configured. $1: [...], names of others
-- that are asked for.
SELECT s.name,
       pg_catalog.current_setting(s.name) AS running,
       coalesce((SELECT f.setting FROM pg_catalog.pg_file_settings f
                  WHERE f.name = s.name ORDER BY f.seqno DESC LIMIT 1), s.boot_val) AS configured
  FROM pg_catalog.pg_settings s
 WHERE s.pending_restart
    OR pg_catalog.lower(s.name) IN (SELECT pg_catalog.jsonb_array_elements_text($1::pg_catalog.text::pg_catalog.jsonb))
 ORDER BY s.name
