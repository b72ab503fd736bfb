-- What the server would not take of postgresql.conf and the files that it includes, as they are on the disk now, each
-- with what the server knows of the parameter. Rows without a file tell of parameters that are not in the files any more
-- and wait for a restart (ProcessConfigFileInternal in guc.c): these are no errors. $1 is not used.
SELECT f.sourcefile AS file,
       f.sourceline AS line,
       f.name,
       f.setting,
       f.error,
       CASE WHEN s.name IS NOT NULL THEN pg_catalog.json_build_object(
         'name', s.name, 'vartype', s.vartype, 'unit', s.unit, 'context', s.context, 'enumvals', coalesce(s.enumvals, '{}'),
         'min', s.min_val::pg_catalog.float8, 'max', s.max_val::pg_catalog.float8, 'boot', s.boot_val) END AS parameter
  FROM pg_catalog.pg_file_settings f
  LEFT JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) = pg_catalog.lower(f.name)
 WHERE f.error IS NOT NULL AND f.sourcefile IS NOT NULL AND $1::pg_catalog.text IS NOT NULL
 ORDER BY f.seqno
