-- Whether a name matches a regular expression of pg_hba.conf, as the server asks (regcomp_auth_token in hba.c).
-- $1: [expression, name]
SELECT (p ->> 1) ~ ((p ->> 0) COLLATE "C") AS matches
  FROM (SELECT $1::pg_catalog.text::pg_catalog.jsonb AS p) w
