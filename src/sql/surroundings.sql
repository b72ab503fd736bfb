-- What databases and tablespaces refer to. $1: {"roles": [names asked for]}
SELECT (SELECT pg_catalog.json_agg(r.rolname ORDER BY r.rolname)
          FROM pg_catalog.pg_roles r
         WHERE r.rolname = ANY (ARRAY(SELECT pg_catalog.jsonb_array_elements_text($1::pg_catalog.text::pg_catalog.jsonb -> 'roles')))) AS roles,
       (SELECT pg_catalog.json_agg(t.spcname ORDER BY t.spcname) FROM pg_catalog.pg_tablespace t) AS tablespaces,
       (SELECT pg_catalog.json_agg(d.datname ORDER BY d.datname)
          FROM pg_catalog.pg_database d
         WHERE d.datname ~ '_dropped_[0-9]+$') AS kept,
       (SELECT pg_catalog.to_json(s.setconfig)
          FROM pg_catalog.pg_db_role_setting s
          JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
         WHERE d.datname = 'postgres' AND s.setrole = 0) AS notes
