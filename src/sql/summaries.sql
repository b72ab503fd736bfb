-- The place in the WAL from which on the server has summaries of it. $1 is not used.
SELECT pg_catalog.min(s.start_lsn) AS since
  FROM pg_catalog.pg_available_wal_summaries() s
 WHERE $1::pg_catalog.text IS NOT NULL
