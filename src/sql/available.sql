-- Extensions that the server could install, with all their versions. $1 is not used.
SELECT e.name,
       e.default_version,
       (SELECT pg_catalog.json_object_agg(v.version, pg_catalog.json_build_object('schema', v.schema, 'requires', v.requires))
          FROM pg_catalog.pg_available_extension_versions v WHERE v.name = e.name) AS versions
  FROM pg_catalog.pg_available_extensions e
 WHERE $1::pg_catalog.text IS NOT NULL
