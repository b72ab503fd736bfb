-- Parameters by name, as this server knows them. $1: [names]
SELECT w.name,
       pg_catalog.current_setting(w.name, true) IS NOT NULL AS present,
       s.vartype,
       s.context,
       s.unit,
       s.min_val,
       s.max_val,
       pg_catalog.to_json(s.enumvals) AS enumvals,
       CASE WHEN s.name IS NULL THEN
         (SELECT pg_catalog.json_agg(o.name ORDER BY o.name)
            FROM pg_catalog.pg_settings o WHERE o.context IN ('user', 'superuser'))
       END AS others
  FROM (SELECT pg_catalog.jsonb_array_elements_text($1::pg_catalog.text::pg_catalog.jsonb) AS name) w
  LEFT JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) = w.name
