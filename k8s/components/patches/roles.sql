-- The database of patch models and its logins, made once by a superuser:
--
--   PATCHES_OWNER_PASSWORD=... PATCHES_WRITER_PASSWORD=... PATCHES_READER_PASSWORD=... \
--     psql --set ON_ERROR_STOP=1 --file roles.sql
--
-- None of the three is a superuser, as those bypass row-level security. After it, and after each
-- update: `candela patches upgrade` as patches_owner, which gives the groups their rights.
\getenv owner_password PATCHES_OWNER_PASSWORD
\getenv writer_password PATCHES_WRITER_PASSWORD
\getenv reader_password PATCHES_READER_PASSWORD

CREATE ROLE candela_readers NOLOGIN;  -- read for any user, and write annotations
CREATE ROLE candela_writers NOLOGIN;  -- write for any user
CREATE ROLE patches_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE patches_writer LOGIN PASSWORD :'writer_password' IN ROLE candela_writers;
CREATE ROLE patches_reader LOGIN PASSWORD :'reader_password' IN ROLE candela_readers;

CREATE DATABASE patches OWNER patches_owner;
REVOKE CONNECT, TEMPORARY ON DATABASE patches FROM PUBLIC;
GRANT CONNECT ON DATABASE patches TO candela_readers;
GRANT CONNECT, TEMPORARY ON DATABASE patches TO candela_writers;  -- COPY goes into temporary tables

\connect patches
CREATE EXTENSION postgis;
-- An operator that compares boxes tells nothing of rows that it was not asked for: only then may the
-- index of outlines be used where there is row-level security.
ALTER FUNCTION geometry_overlaps(geometry, geometry) LEAKPROOF;
