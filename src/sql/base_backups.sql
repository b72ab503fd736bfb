-- Base backups that are being taken from the server. $1 is not used.
SELECT a.pid,
       a.application_name AS application,
       pg_catalog.host(a.client_addr) AS client
  FROM pg_catalog.pg_stat_activity a
  LEFT JOIN pg_catalog.pg_stat_progress_basebackup b ON b.pid = a.pid
  LEFT JOIN pg_catalog.pg_stat_replication r ON r.pid = a.pid
 WHERE $1::pg_catalog.text IS NOT NULL
   AND (b.pid IS NOT NULL
        OR r.state = 'backup'
        -- What other tools do: the session that began the backup waits, while files are copied, to end it.
        OR a.backend_type = 'client backend'
           AND a.application_name <> 'pgsocle'
           AND a.query ~ '\mpg_(backup_start|start_backup)\s*\(')
 ORDER BY a.pid
