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
       w.granted -> r.oid::pg_catalog.text -> 'roles' AS memberships,
       w.granted -> r.oid::pg_catalog.text -> 'grants' AS grants,
       w.settings -> r.oid::pg_catalog.text AS settings,
       w.comments ->> r.oid::pg_catalog.text AS comment,
       CASE WHEN w.absent ? r.rolname THEN
         (SELECT pg_catalog.json_agg(DISTINCT coalesce(d.datname, ''))
            FROM pg_catalog.pg_shdepend s
            LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid
           WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
             AND s.refobjid = r.oid AND s.deptype <> 'p'
             AND s.classid <> 'pg_catalog.pg_database'::pg_catalog.regclass
             -- Memberships of the role itself go with it, whoever granted them (DropRole in user.c).
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m
                              WHERE s.classid = 'pg_catalog.pg_auth_members'::pg_catalog.regclass
                                AND pg_catalog.to_json(m) ->> 'oid' = s.objid::pg_catalog.text
                                AND r.oid IN (m.roleid, m.member)))
       END AS dependents,
       CASE WHEN w.absent ? r.rolname THEN
         (SELECT pg_catalog.json_agg(DISTINCT d.datname)
            FROM pg_catalog.pg_shdepend s
            JOIN pg_catalog.pg_database d ON d.oid = s.objid
           WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
             AND s.refobjid = r.oid AND s.deptype <> 'p'
             AND s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass)
       END AS on_databases,
       CASE WHEN w.absent ? r.rolname THEN
         (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                   'name', d.datname,
                   'is_template', d.datistemplate,
                   -- Our own sessions are closed before; autovacuum makes way by itself.
                   'sessions', (SELECT pg_catalog.count(*)
                                  FROM pg_catalog.pg_stat_activity a
                                 WHERE a.datid = d.oid AND a.application_name <> 'pgsocle'
                                   AND a.backend_type <> 'autovacuum worker')) ORDER BY d.datname)
            FROM pg_catalog.pg_database d WHERE d.datdba = r.oid)
       END AS owned_databases,
       CASE WHEN w.absent ? r.rolname THEN
         (SELECT pg_catalog.json_agg(t.spcname ORDER BY t.spcname)
            FROM pg_catalog.pg_tablespace t WHERE t.spcowner = r.oid)
       END AS owned_tablespaces,
       CASE WHEN w.absent ? r.rolname THEN
         (SELECT pg_catalog.json_agg(d.datname ORDER BY d.datname)
            FROM pg_catalog.pg_database d WHERE NOT d.datallowconn)
       END AS closed_databases
  FROM (SELECT j.j -> 'names' AS names, j.j -> 'absent' AS absent, j.j -> 'valid_until' AS valid_until,
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
