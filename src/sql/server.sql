-- What every catalog stage must know of the server. $1 is not used.
SELECT pg_catalog.pg_is_in_recovery() AS in_recovery,
       pg_catalog.current_setting('password_encryption') AS password_encryption,
       pg_catalog.current_setting('hba_file') AS hba_file,
       pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version
 WHERE $1::pg_catalog.text IS NOT NULL
