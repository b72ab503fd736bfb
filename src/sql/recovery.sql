-- How far a recovery is. $1 is not used.
SELECT pg_catalog.pg_is_in_recovery() AS in_recovery,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END AS paused,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
            ELSE pg_catalog.pg_current_wal_lsn() END AS lsn,
       pg_catalog.pg_last_xact_replay_timestamp() AS last_transaction,
       c.timeline_id AS timeline
  FROM pg_catalog.pg_control_checkpoint() c
 WHERE $1::pg_catalog.text IS NOT NULL
