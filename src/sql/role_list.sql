-- Every role that is not predefined, or the one of a name. $1: {"name": ... or null}
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
       (SELECT pg_catalog.json_agg(DISTINCT g.rolname)
          FROM pg_catalog.pg_auth_members m
          JOIN pg_catalog.pg_authid g ON g.oid = m.roleid
         WHERE m.member = r.oid) AS memberships,
       (SELECT pg_catalog.to_json(s.setconfig)
          FROM pg_catalog.pg_db_role_setting s
         WHERE s.setrole = r.oid AND s.setdatabase = 0) AS settings,
       pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment
  FROM (SELECT $1::pg_catalog.text::pg_catalog.jsonb ->> 'name' AS name) w,
       pg_catalog.pg_authid r
 WHERE CASE WHEN w.name IS NULL THEN r.rolname !~ '^pg_' ELSE r.rolname = w.name END
 ORDER BY r.rolname
