-- Roles by name, with what is managed of them. $1: {"names": [...], "absent": [...], "valid_until": {role: text}}
SELECT r.rolname AS name,
       r.rolsuper AS superuser,
       r.rolinherit AS inherit,
       r.rolcreaterole AS createrole,
       r.rolcreatedb AS createdb,
       r.rolcanlogin AS login,
       r.rolreplication AS replication,
       r.rolbypassrls AS bypassrls,
       r.rolconnlimit AS connection_limit,
       r.rolpassword AS password,
       r.rolvaliduntil AS valid_until,
       coalesce(r.rolvaliduntil, 'infinity') = (w.valid_until ->> r.rolname)::pg_catalog.timestamptz AS valid_until_same,
       (SELECT pg_catalog.json_agg(g.rolname ORDER BY g.rolname)
          FROM pg_catalog.pg_auth_members m
          JOIN pg_catalog.pg_authid g ON g.oid = m.roleid
         WHERE m.member = r.oid) AS memberships,
       (SELECT pg_catalog.to_json(s.setconfig)
          FROM pg_catalog.pg_db_role_setting s
         WHERE s.setrole = r.oid AND s.setdatabase = 0) AS settings,
       pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment,
       CASE WHEN w.absent ? r.rolname THEN
         (SELECT pg_catalog.json_agg(DISTINCT coalesce(d.datname, ''))
            FROM pg_catalog.pg_shdepend s
            LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid
           WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
             AND s.refobjid = r.oid AND s.deptype <> 'p')
       END AS dependents,
       CASE WHEN w.absent ? r.rolname THEN
         (SELECT pg_catalog.json_agg(d.datname ORDER BY d.datname)
            FROM pg_catalog.pg_database d WHERE d.datdba = r.oid)
       END AS owned_databases
  FROM (SELECT j.j -> 'names' AS names, j.j -> 'absent' AS absent, j.j -> 'valid_until' AS valid_until
          FROM (SELECT $1::pg_catalog.text::pg_catalog.jsonb AS j) j) w,
       pg_catalog.pg_authid r
 WHERE r.rolname = ANY (ARRAY(SELECT pg_catalog.jsonb_array_elements_text(w.names)))
