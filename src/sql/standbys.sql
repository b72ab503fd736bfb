-- Standbys that receive WAL from the server now, by their names. $1 is not used.
SELECT r.application_name AS name
  FROM pg_catalog.pg_stat_replication r
  LEFT JOIN pg_catalog.pg_replication_slots s ON s.active_pid = r.pid
 WHERE $1::pg_catalog.text IS NOT NULL
   AND r.state <> 'backup'
   -- It keeps WAL, and no data.
   AND r.application_name <> 'pg_receivewal'
   -- A subscriber has data of its own.
   AND s.slot_type IS DISTINCT FROM 'logical'
 ORDER BY r.application_name
