-- Schemas and extensions of a database.
-- $1: {"schemas": [names] or null for all, "absent_schemas": [...], "absent_extensions": [...]}
SELECT (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                 'name', n.nspname,
                 'owner', pg_catalog.pg_get_userbyid(n.nspowner),
                 'extension', (SELECT x.extname
                                 FROM pg_catalog.pg_depend p
                                 JOIN pg_catalog.pg_extension x ON x.oid = p.refobjid
                                WHERE p.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND p.objid = n.oid
                                  AND p.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND p.deptype = 'e'),
                 'contents', CASE WHEN w.j -> 'absent_schemas' ? n.nspname THEN
                   (SELECT pg_catalog.json_agg(c)
                      FROM (SELECT (pg_catalog.pg_identify_object(p.classid, p.objid, 0)).type AS kind,
                                   x.extname AS extension,
                                   pg_catalog.count(DISTINCT (p.classid, p.objid)) AS count
                              FROM pg_catalog.pg_depend p
                              LEFT JOIN pg_catalog.pg_depend m
                                ON m.classid = p.classid AND m.objid = p.objid AND m.deptype = 'e'
                              LEFT JOIN pg_catalog.pg_extension x
                                ON x.oid = m.refobjid
                                OR p.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND x.oid = p.objid
                             WHERE p.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
                               AND p.refobjid = n.oid AND p.deptype = 'n'
                             GROUP BY 1, 2 ORDER BY 1, 2) c)
                 END) ORDER BY n.nspname)
          FROM pg_catalog.pg_namespace n
         WHERE CASE WHEN w.j -> 'schemas' = 'null' THEN n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                    ELSE w.j -> 'schemas' ? n.nspname END) AS schemas,
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                 'name', e.extname,
                 'version', e.extversion,
                 'schema', n.nspname,
                 'relocatable', e.extrelocatable,
                 'requires', (SELECT pg_catalog.json_agg(x.extname ORDER BY x.extname)
                                FROM pg_catalog.pg_depend p
                                JOIN pg_catalog.pg_extension x ON x.oid = p.refobjid
                               WHERE p.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND p.objid = e.oid
                                 AND p.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND p.deptype = 'n'),
                 'dependents', CASE WHEN w.j -> 'absent_extensions' ? e.extname THEN
                   -- What the extension is made of (its members, and what goes with them by itself), and what else depends on that.
                   (WITH RECURSIVE own AS (
                      SELECT 'pg_catalog.pg_extension'::pg_catalog.regclass::pg_catalog.oid AS classid, e.oid AS objid
                      UNION
                      SELECT p.classid, p.objid
                        FROM own
                        JOIN pg_catalog.pg_depend p ON p.refclassid = own.classid AND p.refobjid = own.objid
                       WHERE p.deptype IN ('e', 'i', 'a'))
                    SELECT pg_catalog.json_agg(c)
                      FROM (SELECT (pg_catalog.pg_identify_object(p.classid, p.objid, 0)).type AS kind,
                                   x.extname AS extension,
                                   pg_catalog.count(DISTINCT (p.classid, p.objid)) AS count
                              FROM own
                              JOIN pg_catalog.pg_depend p ON p.refclassid = own.classid AND p.refobjid = own.objid
                              -- A constraint of a domain is a member through its domain only.
                              LEFT JOIN pg_catalog.pg_depend s
                                ON s.classid = p.classid AND s.objid = p.objid AND s.deptype IN ('a', 'i')
                              LEFT JOIN pg_catalog.pg_depend m
                                ON m.classid = coalesce(s.refclassid, p.classid) AND m.objid = coalesce(s.refobjid, p.objid)
                               AND m.deptype = 'e'
                              LEFT JOIN pg_catalog.pg_extension x
                                ON x.oid = m.refobjid
                                OR p.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND x.oid = p.objid
                             WHERE p.deptype = 'n' AND (p.classid, p.objid) NOT IN (SELECT own.classid, own.objid FROM own)
                             GROUP BY 1, 2 ORDER BY 1, 2) c)
                 END) ORDER BY e.extname)
          FROM pg_catalog.pg_extension e
          JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace) AS extensions
  FROM (SELECT $1::pg_catalog.text::pg_catalog.jsonb AS j) w
