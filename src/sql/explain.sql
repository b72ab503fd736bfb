-- What the server says of these parameters: the value that sessions begin with, where it comes from, and which roles and
-- databases have their own. What our own session has set is not meant. $1: [names]
SELECT pg_catalog.lower(s.name) AS name,
       s.short_desc AS description,
       s.vartype, s.unit, s.context, coalesce(s.enumvals, '{}') AS enumvals,
       s.min_val::pg_catalog.float8 AS min, s.max_val::pg_catalog.float8 AS max, s.boot_val AS boot,
       CASE WHEN o.own THEN
              coalesce((SELECT f.setting FROM pg_catalog.pg_file_settings f
                         WHERE pg_catalog.lower(f.name) = pg_catalog.lower(s.name) AND f.applied ORDER BY f.seqno DESC LIMIT 1), s.boot_val)
            ELSE pg_catalog.current_setting(s.name) END AS running,
       CASE WHEN o.own THEN NULL ELSE s.source END AS source,
       s.pending_restart,
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                 'role', r.rolname, 'database', d.datname,
                 'value', pg_catalog.substr(c.item, pg_catalog.strpos(c.item, '=') + 1)) ORDER BY r.rolname, d.datname)
          FROM pg_catalog.pg_db_role_setting x
          CROSS JOIN LATERAL pg_catalog.unnest(x.setconfig) AS c (item)
          LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.setrole
          LEFT JOIN pg_catalog.pg_database d ON d.oid = x.setdatabase
         WHERE pg_catalog.lower(pg_catalog.split_part(c.item, '=', 1)) = pg_catalog.lower(s.name)) AS overrides
  FROM pg_catalog.pg_settings s
  CROSS JOIN LATERAL (SELECT s.source IN ('client', 'session', 'interactive', 'database', 'user', 'database user') AS own) o
 WHERE pg_catalog.lower(s.name) IN (SELECT pg_catalog.jsonb_array_elements_text($1::pg_catalog.text::pg_catalog.jsonb))
 ORDER BY pg_catalog.lower(s.name)
