-- The server from which a standby receives WAL now; no row where it receives none. $1 is not used.
SELECT r.sender_host AS host,
       r.sender_port AS port
  FROM pg_catalog.pg_stat_wal_receiver r
 WHERE $1::pg_catalog.text IS NOT NULL AND r.sender_port IS NOT NULL
