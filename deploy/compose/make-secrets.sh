#!/bin/sh
# Makes the secrets of compose.yaml in ./secrets, once: those that are there stay.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
# The folder keeps others on this host out; the files are read in containers, by users of another number.
chmod 700 secrets
for name in jwt_secret key_hash_secret admin_token audit_key redis_password grafana_password; do
  [ -s "secrets/$name" ] || openssl rand -hex 32 > "secrets/$name"
  chmod 644 "secrets/$name"
done
# The user that we ship, and no other: `default` would need no password.
{
  echo "user default off"
  sed "s/REPLACE_WITH_A_PASSWORD/$(cat secrets/redis_password)/" ../redis/latchkey.acl
} > secrets/users.acl
chmod 644 secrets/users.acl
