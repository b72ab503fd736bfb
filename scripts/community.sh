#!/usr/bin/env bash
# shellcheck disable=SC2034  # `venv` is what python_environment of common.sh makes
# community.sh [DIR]: ansible-core and community.postgresql in a virtual environment, for `make bench`, which measures ours beside it.
# Prints DIR when it is there. Takes a minute and 700 MB, once; remove the directory to get it anew.
set -eu
. "$(dirname "$0")/common.sh"

# The distribution's Python: the servers' user runs it, and cannot run one below root's home.
PATH=/usr/bin:$PATH
venv=${1:-$(servers_cache community)}
python_environment -r tests/bench/requirements.txt >&2
echo "$venv"
