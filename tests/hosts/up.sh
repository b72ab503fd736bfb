#!/usr/bin/env bash
# up.sh NAME: waits until a host is up.
set -eu
name=$1
for _ in $(seq 300); do
  state=$(podman exec "$name" systemctl is-system-running 2>/dev/null || true)
  case $state in running | degraded) exit 0 ;; esac
  sleep 0.1
done
echo "host \`$name\` did not come up: ${state:-no answer}" >&2
exit 1
