-- What decides about connections beside pg_hba.conf itself: where the files are, and the roles that a user is a member of by
-- whatever way, itself included. $1: {"user": ...}
WITH RECURSIVE asked AS (SELECT $1::pg_catalog.text::pg_catalog.jsonb ->> 'user' AS name),
member AS (
  SELECT r.oid FROM pg_catalog.pg_roles r JOIN asked ON asked.name = r.rolname
  UNION
  SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN member ON member.oid = m.member
)
SELECT pg_catalog.current_setting('hba_file') AS hba_file,
       pg_catalog.current_setting('ident_file') AS ident_file,
       (SELECT coalesce(pg_catalog.json_agg(r.rolname), '[]')
          FROM pg_catalog.pg_roles r JOIN member ON member.oid = r.oid) AS groups
