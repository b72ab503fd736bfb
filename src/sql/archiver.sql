-- How archiving stands. $1 is not used.
SELECT pg_catalog.pg_is_in_recovery() AS in_recovery,
       pg_catalog.current_setting('archive_mode') AS archive_mode,
       a.archived_count, a.last_archived_wal, a.last_archived_time,
       a.failed_count, a.last_failed_wal, a.last_failed_time,
       coalesce(a.last_failed_time > coalesce(a.last_archived_time, '-infinity'), false) AS failing,
       -- WAL files that wait to be archived.
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_ls_archive_statusdir() f WHERE f.name LIKE '%.ready') AS queue
  FROM pg_catalog.pg_stat_archiver a
 WHERE $1::pg_catalog.text IS NOT NULL
