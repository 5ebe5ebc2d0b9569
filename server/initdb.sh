#!/bin/sh
# Runs once in the database's container, when its volume is empty: roles and passwords.
set -eu
psql --dbname postgres --file /etc/normgate/roles.sql
psql --dbname postgres --set ON_ERROR_STOP=1 <<'SQL'
\set owner `cat /run/secrets/owner_password`
\set server `cat /run/secrets/server_password`
ALTER ROLE normgate_owner PASSWORD :'owner';
ALTER ROLE normgate_server PASSWORD :'server';
SQL
