#!/bin/bash
# test.sh: the set-up, then every test. Ends with the first failure.
set -eu
. "$(dirname "$0")/common.sh"
need_cargo
server_programs
packages util-linux

# Other majors than the distribution's, where its archive has them.
if PGSOCLE_TEST_MAJORS=$(scripts/majors.sh); then
  export PGSOCLE_TEST_MAJORS
else
  unset PGSOCLE_TEST_MAJORS
  echo "other majors cannot be had here: testing with $(cd /usr/lib/postgresql && echo [0-9]*)"
fi

say "cargo test"
cargo test --locked

if [ -e tests/requirements.txt ]; then
  python_environment -r tests/requirements.txt
  if [ -d tests/unit ]; then
    say "pytest"
    pytest -q tests/unit
  fi
  if [ -x tests/ansible/run.sh ]; then
    say "tests/ansible/run.sh"
    tests/ansible/run.sh
  fi
  if [ -d molecule/default ]; then
    say "molecule test"
    release_executable
    tests/hosts/machine.sh
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    tests/copy.sh "$work/ansible_collections/socle/postgresql"
    (cd "$work/ansible_collections/socle/postgresql" && ANSIBLE_COLLECTIONS_PATH=$work molecule test --all)
  fi
fi
