-- Functions that a role may not call. $1: {"role": name, "functions": [signatures]}
SELECT f.signature
  FROM pg_catalog.json_array_elements_text(($1::pg_catalog.json) -> 'functions') WITH ORDINALITY AS f (signature, place)
 WHERE NOT coalesce((SELECT pg_catalog.has_function_privilege(r.oid, f.signature, 'EXECUTE')
                       FROM pg_catalog.pg_roles r
                      WHERE r.rolname = ($1::pg_catalog.json) ->> 'role'), false)
 ORDER BY f.place
