-- Roles by name, with what is managed of them. $1: {"names": [...], "valid_until": {role: text}}
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
       w.granted -> r.oid::pg_catalog.text -> 'roles' AS memberships,
       w.granted -> r.oid::pg_catalog.text -> 'grants' AS grants,
       w.settings -> r.oid::pg_catalog.text AS settings,
       w.comments ->> r.oid::pg_catalog.text AS comment
  FROM (SELECT j.j -> 'names' AS names, j.j -> 'valid_until' AS valid_until,
               -- Maps, each made once: there may be thousands of roles, and a look into a table for each takes longer.
               (SELECT pg_catalog.jsonb_object_agg(m.member, pg_catalog.jsonb_build_object('roles', m.roles, 'grants', m.grants))
                  FROM (SELECT m.member,
                               -- From 16 on a membership may have been granted by several roles.
                               pg_catalog.jsonb_agg(DISTINCT g.rolname) AS roles,
                               pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('role', g.rolname, 'grantor', b.rolname) ORDER BY b.rolname)
                                 FILTER (WHERE b.oid IS NOT NULL) AS grants
                          FROM pg_catalog.pg_auth_members m
                          JOIN pg_catalog.pg_authid g ON g.oid = m.roleid
                          LEFT JOIN pg_catalog.pg_authid b ON b.oid = m.grantor
                         GROUP BY m.member) m) AS granted,
               (SELECT pg_catalog.jsonb_object_agg(s.setrole, pg_catalog.to_jsonb(s.setconfig))
                  FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase = 0) AS settings,
               (SELECT pg_catalog.jsonb_object_agg(c.objoid, c.description)
                  FROM pg_catalog.pg_shdescription c
                 WHERE c.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass) AS comments
          FROM (SELECT $1::pg_catalog.text::pg_catalog.jsonb AS j) j) w,
       pg_catalog.pg_authid r
 WHERE r.rolname = ANY (ARRAY(SELECT pg_catalog.jsonb_array_elements_text(w.names)))
