#!/usr/bin/env bash
# pglift.sh [DIR]: pglift in a virtual environment, for the test that takes over instances which pglift made (tests/it/pglift.rs
# calls this). Prints DIR when it is there. Takes 20 seconds, once.
set -eu
. "$(dirname "$0")/common.sh"

# The distribution's Python: the servers' user runs it, and cannot run one below root's home.
PATH=/usr/bin:$PATH
venv=${1:-$(servers_cache pglift)}
python_environment -r tests/pglift.txt >&2
echo "$venv"
