-- What the server would not take of pg_ident.conf as it is on the disk now, and how many maps it would (from 15 on; before
-- 16 there is no `file_name`). $1 is not used.
SELECT pg_catalog.count(*) FILTER (WHERE m.error IS NULL) AS records,
       pg_catalog.json_agg(pg_catalog.json_build_object(
         'file', pg_catalog.to_jsonb(m) ->> 'file_name', 'line', m.line_number, 'error', m.error) ORDER BY m.line_number)
         FILTER (WHERE m.error IS NOT NULL) AS errors
  FROM pg_catalog.pg_ident_file_mappings m
 WHERE $1::pg_catalog.text IS NOT NULL
