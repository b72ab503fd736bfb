-- What stands in the way of the removal of roles, and what goes with them. $1: [names]
SELECT r.rolname AS name,
       coalesce((SELECT pg_catalog.json_agg(DISTINCT coalesce(d.datname, ''))
                   FROM pg_catalog.pg_shdepend s
                   LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid
                  WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
                    AND s.refobjid = r.oid AND s.deptype <> 'p'
                    AND s.classid <> 'pg_catalog.pg_database'::pg_catalog.regclass
                    -- Memberships of the role itself go with it, whoever granted them (DropRole in user.c).
                    AND NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m
                                     WHERE s.classid = 'pg_catalog.pg_auth_members'::pg_catalog.regclass
                                       AND pg_catalog.to_json(m) ->> 'oid' = s.objid::pg_catalog.text
                                       AND r.oid IN (m.roleid, m.member))), '[]') AS dependents,
       coalesce((SELECT pg_catalog.json_agg(DISTINCT d.datname)
                   FROM pg_catalog.pg_shdepend s
                   JOIN pg_catalog.pg_database d ON d.oid = s.objid
                  WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
                    AND s.refobjid = r.oid AND s.deptype <> 'p'
                    AND s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass), '[]') AS on_databases,
       coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                          'name', d.datname,
                          'is_template', d.datistemplate,
                          -- Our own sessions are closed before; autovacuum makes way by itself.
                          'sessions', (SELECT pg_catalog.count(*)
                                         FROM pg_catalog.pg_stat_activity a
                                        WHERE a.datid = d.oid AND a.application_name <> 'pgsocle'
                                          AND a.backend_type <> 'autovacuum worker')) ORDER BY d.datname)
                   FROM pg_catalog.pg_database d WHERE d.datdba = r.oid), '[]') AS owned_databases,
       coalesce((SELECT pg_catalog.json_agg(t.spcname ORDER BY t.spcname)
                   FROM pg_catalog.pg_tablespace t WHERE t.spcowner = r.oid), '[]') AS owned_tablespaces,
       coalesce((SELECT pg_catalog.json_agg(d.datname ORDER BY d.datname)
                   FROM pg_catalog.pg_database d WHERE NOT d.datallowconn), '[]') AS closed_databases
  FROM pg_catalog.pg_authid r
 WHERE r.rolname = ANY (ARRAY(SELECT pg_catalog.jsonb_array_elements_text($1::pg_catalog.text::pg_catalog.jsonb)))
