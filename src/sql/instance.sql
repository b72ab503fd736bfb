-- What a running cluster says of itself: the traits that only initdb can choose. $1 is not used.
SELECT pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
       d.datcollate AS collate,
       d.datctype AS ctype,
       pg_catalog.to_json(d) ->> 'datlocprovider' AS provider,
       coalesce(pg_catalog.to_json(d) ->> 'datlocale', pg_catalog.to_json(d) ->> 'daticulocale') AS provider_locale,
       pg_catalog.current_setting('data_checksums') = 'on' AS data_checksums,
       pg_catalog.pg_is_in_recovery() AS in_recovery
  FROM pg_catalog.pg_database d
 WHERE d.datname = 'template1' AND $1::pg_catalog.text IS NOT NULL
