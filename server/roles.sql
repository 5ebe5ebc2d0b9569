-- The accounts of a tracking server's database on PostgreSQL 15 or newer, and their rights.
--
--   normgate_owner   owns the tables; used by hand, to migrate them
--   normgate_server  the tracking server: reads and writes rows, changes no table
--   normgate_reader  dashboards and queries by hand: reads
--
-- Run it as a superuser with psql, as often as you like: what is there stays. Passwords
-- are set apart from it, with \password or as initdb.sh does.

\set ON_ERROR_STOP on

SELECT 'CREATE ROLE ' || name || ' LOGIN'
FROM unnest(ARRAY['normgate_owner', 'normgate_server', 'normgate_reader']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

SELECT 'CREATE DATABASE mlflow OWNER normgate_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'mlflow') \gexec

-- MLflow keeps the users of its basic authentication apart, and makes that database's
-- tables itself when the server starts.
SELECT 'CREATE DATABASE mlflow_auth OWNER normgate_server'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'mlflow_auth') \gexec

REVOKE ALL ON DATABASE mlflow, mlflow_auth FROM PUBLIC;
GRANT CONNECT ON DATABASE mlflow TO normgate_owner, normgate_server, normgate_reader;
GRANT CONNECT ON DATABASE mlflow_auth TO normgate_server;

\connect mlflow

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO normgate_owner;
GRANT USAGE ON SCHEMA public TO normgate_server, normgate_reader;

-- Tables that are there, and those that the owner will make.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO normgate_server;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO normgate_server;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO normgate_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE normgate_owner IN SCHEMA public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO normgate_server;
ALTER DEFAULT PRIVILEGES FOR ROLE normgate_owner IN SCHEMA public
  GRANT USAGE, SELECT ON SEQUENCES TO normgate_server;
ALTER DEFAULT PRIVILEGES FOR ROLE normgate_owner IN SCHEMA public
  GRANT SELECT ON TABLES TO normgate_reader;

\connect mlflow_auth

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO normgate_server;
