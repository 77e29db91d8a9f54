#!/bin/sh
# Starts Redis on a configuration file in its volume, because Redis and Sentinel write to it who is the primary. Only the first start
# makes the file: of a template and further lines.
#
#   node.sh TEMPLATE [LINE...]
#
# MODE is --sentinel for a Sentinel.
set -eu
cd /data
template=$1
shift
if [ ! -s node.conf ]; then
  cat "$template" > node.conf.new
  printf '%s\n' "$@" >> node.conf.new
  # A start that is interrupted leaves no part of a file.
  mv node.conf.new node.conf
fi
exec redis-server node.conf ${MODE:-}
