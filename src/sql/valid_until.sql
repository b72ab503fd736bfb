-- Dates and times as the server reads them; it refuses what is none. $1: {role: text}
SELECT v.key AS name, v.value::pg_catalog.timestamptz AS valid_until
  FROM pg_catalog.jsonb_each_text($1::pg_catalog.text::pg_catalog.jsonb) v
