#!/bin/sh
# Makes a Cluster of six nodes: three primaries, each with a replica. It can run again at any time: it changes nothing that is done.
#
#   form-cluster.sh ADDRESS...   three primaries, then a replica for each
set -eu
REDISCLI_AUTH=$(cat /run/secrets/redis_nodes_password)
export REDISCLI_AUTH
on() {
  address=$1
  shift
  redis-cli -h "$address" --user operator "$@"
}
is_whole() {
  info=$(on "$1" CLUSTER INFO)
  echo "$info" | grep -q cluster_state:ok && echo "$info" | grep -q cluster_slots_ok:16384 &&
    [ "$(on "$1" CLUSTER NODES | grep -c slave)" -ge 3 ]
}

if is_whole "$1"; then exit; fi
for address in "$@"; do on "$1" CLUSTER MEET "$address" 6379; done
# Slots that have a node already stay there: the command then fails.
on "$1" CLUSTER ADDSLOTSRANGE 0 5460
on "$2" CLUSTER ADDSLOTSRANGE 5461 10922
on "$3" CLUSTER ADDSLOTSRANGE 10923 16383
for pair in "$1 $4" "$2 $5" "$3 $6"; do
  primary=${pair% *} replica=${pair#* }
  id=$(on "$primary" CLUSTER MYID)
  # The replica has to meet its primary first. A node with slots, after a failover, stays what it is.
  until on "$replica" CLUSTER NODES | grep -q "^$id .* connected"; do sleep 1; done
  on "$replica" CLUSTER REPLICATE "$id"
done
until is_whole "$1"; do sleep 1; done
