-- Tablespaces by name, with what is managed of them. $1: {"names": [...] or null for all but the two of initdb, "occupied": [names whose
-- content is asked for], "sized": true with their sizes}
SELECT t.spcname AS name,
       pg_catalog.pg_get_userbyid(t.spcowner) AS owner,
       pg_catalog.pg_tablespace_location(t.oid) AS location,
       pg_catalog.to_json(t.spcoptions) AS settings,
       pg_catalog.shobj_description(t.oid, 'pg_tablespace') AS comment,
       CASE WHEN w.occupied ? t.spcname THEN
         (SELECT pg_catalog.json_agg(d.datname ORDER BY d.datname)
            FROM pg_catalog.pg_tablespace_databases(t.oid) o
            JOIN pg_catalog.pg_database d ON d.oid = o)
       END AS databases,
       CASE WHEN w.sized THEN pg_catalog.pg_tablespace_size(t.oid) END AS size
  FROM (SELECT j.j -> 'names' AS names, j.j -> 'occupied' AS occupied, (j.j ->> 'sized')::pg_catalog.bool AS sized
          FROM (SELECT $1::pg_catalog.text::pg_catalog.jsonb AS j) j) w,
       pg_catalog.pg_tablespace t
 WHERE CASE WHEN w.names = 'null' THEN t.spcname NOT IN ('pg_default', 'pg_global') ELSE w.names ? t.spcname END
 ORDER BY t.spcname
