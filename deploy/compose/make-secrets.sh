#!/bin/sh
# Generates the secrets of compose.yaml in ./secrets. Existing ones stay.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
# The folder excludes other users of this host. In containers, users with other ids read the files.
chmod 700 secrets
for name in jwt_secret key_hash_secret admin_token audit_key redis_password grafana_password; do
  [ -s "secrets/$name" ] || openssl rand -hex 32 > "secrets/$name"
  chmod 644 "secrets/$name"
done
# Only the user that Latchkey ships. `default` would need no password.
{
  echo "user default off"
  sed "s/REPLACE_WITH_A_PASSWORD/$(cat secrets/redis_password)/" ../redis/latchkey.acl
} > secrets/users.acl
chmod 644 secrets/users.acl
