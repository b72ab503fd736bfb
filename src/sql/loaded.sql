-- When the server last read its configuration files, in microseconds since 1970. $1 is not used.
SELECT (pg_catalog.date_part('epoch', pg_catalog.pg_conf_load_time()) * 1000000)::pg_catalog.int8 AS loaded
 WHERE $1::pg_catalog.text IS NOT NULL
