-- Databases that accept connections, as `database list` shows them. $1: {"names": [] for all, "exclude": [...]}
SELECT d.datname AS name,
       pg_catalog.pg_get_userbyid(d.datdba) AS owner,
       pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
       d.datcollate AS collation,
       d.datctype AS ctype,
       coalesce(pg_catalog.to_json(d.datacl), '[]') AS acls,
       pg_catalog.pg_database_size(d.oid) AS size,
       pg_catalog.shobj_description(d.oid, 'pg_database') AS description,
       pg_catalog.json_build_object(
         'name', t.spcname,
         'location', pg_catalog.pg_tablespace_location(t.oid),
         'size', pg_catalog.pg_tablespace_size(t.oid)) AS tablespace
  FROM (SELECT $1::pg_catalog.text::pg_catalog.jsonb AS j) w,
       pg_catalog.pg_database d
  JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
 WHERE d.datallowconn
   AND (w.j -> 'names' = '[]' OR w.j -> 'names' ? d.datname)
   AND NOT w.j -> 'exclude' ? d.datname
 ORDER BY d.datname
