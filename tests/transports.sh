#!/usr/bin/env bash
# transports.sh [option of pytest]...: tests/ansible on hosts of its own. Needs root and the programs of tests/requirements.txt.
set -eu
checkout=$(cd "$(dirname "$0")/.." && pwd)
[ ! -d "$checkout/.venv/bin" ] || PATH=$checkout/.venv/bin:$PATH
cd "$checkout"
exec python3 -m pytest -q tests/ansible "$@"
