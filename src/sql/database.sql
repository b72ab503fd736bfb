-- Databases by name, with what is managed of them. $1: {"names": [...], "counted": [names whose sessions are counted]}
SELECT d.datname AS name,
       pg_catalog.pg_get_userbyid(d.datdba) AS owner,
       pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
       d.datcollate AS collate,
       d.datctype AS ctype,
       -- Columns that only some majors have.
       CASE pg_catalog.to_json(d) ->> 'datlocprovider' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END AS locale_provider,
       coalesce(pg_catalog.to_json(d) ->> 'datlocale', pg_catalog.to_json(d) ->> 'daticulocale') AS provider_locale,
       t.spcname AS tablespace,
       d.datconnlimit AS connection_limit,
       d.datistemplate AS is_template,
       d.datallowconn AS allows_connections,
       (SELECT pg_catalog.to_json(s.setconfig)
          FROM pg_catalog.pg_db_role_setting s
         WHERE s.setdatabase = d.oid AND s.setrole = 0) AS settings,
       pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
       CASE WHEN w.counted ? d.datname THEN
         -- Our own sessions are closed before the statement that they would block; autovacuum makes way by itself.
         (SELECT pg_catalog.count(*)
            FROM pg_catalog.pg_stat_activity a
           WHERE a.datid = d.oid AND a.application_name <> 'pgsocle' AND a.backend_type <> 'autovacuum worker')
       END AS sessions
  FROM (SELECT j.j -> 'names' AS names, j.j -> 'counted' AS counted
          FROM (SELECT $1::pg_catalog.text::pg_catalog.jsonb AS j) j) w,
       pg_catalog.pg_database d
  JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
 WHERE d.datname = ANY (ARRAY(SELECT pg_catalog.jsonb_array_elements_text(w.names)))
