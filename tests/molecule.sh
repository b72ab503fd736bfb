#!/usr/bin/env bash
# molecule.sh SCENARIO [COMMAND]: runs a scenario of molecule/ (default: all of `test`) over a copy of the checkout.
# Needs root and the programs of tests/requirements.txt; the collection's executable must be in libexec/ (`make dist` puts it there).
set -eu
scenario=${1:-default} command=${2:-test}
checkout=$(cd "$(dirname "$0")/.." && pwd)
[ ! -d "$checkout/.venv/bin" ] || PATH=$checkout/.venv/bin:$PATH
work=${TMPDIR:-/tmp}/pgsocle-molecule
rm -rf "$work"
"$checkout/tests/copy.sh" "$work/ansible_collections/socle/postgresql"
export ANSIBLE_COLLECTIONS_PATH=$work
cd "$work/ansible_collections/socle/postgresql"
molecule "$command" --scenario-name "$scenario"
