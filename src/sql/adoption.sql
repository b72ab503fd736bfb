-- Where a running server has its files, and what it loads at its start. $1 is not used.
SELECT pg_catalog.current_setting('config_file') AS config_file,
       pg_catalog.current_setting('hba_file') AS hba_file,
       pg_catalog.current_setting('ident_file') AS ident_file,
       pg_catalog.current_setting('shared_preload_libraries') AS preloaded
 WHERE $1::pg_catalog.text IS NOT NULL
