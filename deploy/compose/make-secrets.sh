#!/bin/sh
# Generates the secrets of compose.yaml, sentinel.yaml and cluster.yaml in ./secrets. Existing ones stay.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
# The folder excludes other users of this host. In containers, users with other ids read the files.
chmod 700 secrets
for name in jwt_secret key_hash_secret admin_token audit_key redis_password redis_sentinel_password redis_nodes_password grafana_password; do
  [ -s "secrets/$name" ] || openssl rand -hex 32 > "secrets/$name"
  chmod 644 "secrets/$name"
done

# fill FILE SECRET: the file with the password.
fill() { sed "s/REPLACE_WITH_A_PASSWORD/$(cat "secrets/$2")/" "$1"; }
# Only users with a password. `default` would need none.
{
  echo "user default off"
  fill ../redis/latchkey.acl redis_password
} > secrets/users.acl
{
  cat secrets/users.acl
  fill ../redis/nodes.acl redis_nodes_password
} > secrets/data-users.acl
{
  echo "user default off"
  fill ../redis/sentinel.acl redis_sentinel_password
  echo "user sentinels on >$(cat secrets/redis_nodes_password) allchannels -@all +ping +publish +client|setname +sentinel|is-master-down-by-addr"
} > secrets/sentinel-users.acl
{
  echo "user default off"
  fill ../redis/cluster.acl redis_password
  fill ../redis/nodes.acl redis_nodes_password | grep "^user replication "
  echo "user operator on >$(cat secrets/redis_nodes_password) -@all +cluster"
} > secrets/cluster-users.acl
for name in data sentinel cluster; do fill "redis/$name.conf" redis_nodes_password > "secrets/$name.conf"; done
chmod 644 secrets/*.acl secrets/*.conf
