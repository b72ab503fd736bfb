-- What the server would not take of pg_hba.conf as it is on the disk now, and how many records it would. Before 16 there
-- is no `file_name`. $1 is not used.
SELECT pg_catalog.count(*) FILTER (WHERE r.error IS NULL) AS records,
       pg_catalog.json_agg(pg_catalog.json_build_object(
         'file', pg_catalog.to_jsonb(r) ->> 'file_name', 'line', r.line_number, 'error', r.error) ORDER BY r.line_number)
         FILTER (WHERE r.error IS NOT NULL) AS errors
  FROM pg_catalog.pg_hba_file_rules r
 WHERE $1::pg_catalog.text IS NOT NULL
