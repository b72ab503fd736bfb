#!/usr/bin/env bash
# molecule.sh SCENARIO [COMMAND]: runs a scenario of molecule/ (default: all of `test`) over a copy of the checkout.
# Needs root and the programs of tests/requirements.txt; the collection's executable must be in libexec/ (`make dist` puts it there).
# Hosts and directories are of this run alone, unless PGSOCLE_RUN names them: what was left by `PGSOCLE_RUN=-x molecule.sh default converge`
# is found again by `PGSOCLE_RUN=-x molecule.sh default verify`.
set -eu
scenario=${1:-default} command=${2:-test}
checkout=$(cd "$(dirname "$0")/.." && pwd)
[ ! -d "$checkout/.venv/bin" ] || PATH=$checkout/.venv/bin:$PATH
if [ -n "${PGSOCLE_RUN:-}" ]; then
  work=${TMPDIR:-/tmp}/pgsocle-molecule$PGSOCLE_RUN
  rm -rf "$work/ansible_collections"
  mkdir -p "$work"
else
  export PGSOCLE_RUN=-$$
  work=$(mktemp -d "${TMPDIR:-/tmp}/pgsocle-molecule.XXXXXX")
  finish() {
    # Nothing is left of a run that was cut short either.
    podman ps --all --quiet --filter "name=^pgsocle-.*$PGSOCLE_RUN\$" | xargs -r podman rm --force --time=0 >/dev/null
    rm -rf "$work"
  }
  trap finish EXIT
fi
"$checkout/tests/copy.sh" "$work/ansible_collections/socle/postgresql"
export ANSIBLE_COLLECTIONS_PATH=$work MOLECULE_EPHEMERAL_DIRECTORY=$work/$scenario ANSIBLE_HOME=$work/.ansible
cd "$work/ansible_collections/socle/postgresql"
molecule "$command" --scenario-name "$scenario"
