-- What every catalog stage must know of the server. $1 is not used.
SELECT pg_catalog.pg_is_in_recovery() AS in_recovery,
       -- Unless somebody chose otherwise: the built-in default of PostgreSQL 13 is md5, with which its holder cannot pass a
       -- line of pg_hba.conf that says scram-sha-256, while SCRAM passes lines of either method.
       (SELECT CASE WHEN s.source = 'default' THEN 'scram-sha-256' ELSE s.setting END
          FROM pg_catalog.pg_settings s WHERE s.name = 'password_encryption') AS password_encryption,
       pg_catalog.current_setting('hba_file') AS hba_file,
       pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version,
       -- What the values of those parameters mean that some role or database has its own of.
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                 'name', s.name, 'vartype', s.vartype, 'unit', s.unit, 'context', s.context,
                 'enumvals', coalesce(s.enumvals, '{}'), 'min', s.min_val::pg_catalog.float8, 'max', s.max_val::pg_catalog.float8, 'boot', s.boot_val))
          FROM pg_catalog.pg_settings s
         WHERE s.name = ANY (ARRAY(SELECT pg_catalog.split_part(pg_catalog.unnest(o.setconfig), '=', 1) FROM pg_catalog.pg_db_role_setting o))) AS parameters
 WHERE $1::pg_catalog.text IS NOT NULL
