#!/usr/bin/env bash
# reboot.sh NAME: shuts a host down as its own `poweroff` would, and boots it again. Returns when it is up. Its address may be another.
set -eu
podman stop --time=120 "$1" >/dev/null
podman start "$1" >/dev/null
exec "$(dirname "$0")/up.sh" "$1"
