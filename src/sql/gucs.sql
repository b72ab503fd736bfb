-- What the server knows of these parameters, those of loaded libraries included. $1: [names]
SELECT s.name, s.vartype, s.unit, s.context, coalesce(s.enumvals, '{}') AS enumvals,
       s.min_val::pg_catalog.float8 AS min, s.max_val::pg_catalog.float8 AS max, s.boot_val AS boot
  FROM pg_catalog.pg_settings s
 WHERE pg_catalog.lower(s.name) IN (SELECT pg_catalog.jsonb_array_elements_text($1::pg_catalog.text::pg_catalog.jsonb))
