-- What the server would not take of pg_hba.conf as it is on the disk now, and how many records it would. A record that it
-- understands has a type: "hostssl record cannot match because SSL is disabled" is said of one that it takes all the same
-- (parse_hba_line in hba.c), and of some wrong values nothing is said at all. Before 16 there is no `file_name`. $1 is not used.
SELECT pg_catalog.count(*) FILTER (WHERE r.type IS NOT NULL) AS records,
       pg_catalog.json_agg(pg_catalog.json_build_object(
         'file', pg_catalog.to_jsonb(r) ->> 'file_name', 'line', r.line_number, 'error', coalesce(r.error, 'invalid record')) ORDER BY r.line_number)
         FILTER (WHERE r.type IS NULL) AS errors
  FROM pg_catalog.pg_hba_file_rules r
 WHERE $1::pg_catalog.text IS NOT NULL
