#!/usr/bin/env bash
# test.sh: the set-up, then every test. Ends with the first failure.
set -eu
. "$(dirname "$0")/common.sh"
need_cargo
server_programs
packages util-linux strace sudo zsh fish pgbackrest openssl

# Other majors than the distribution's, where its archive has them.
if PGSOCLE_TEST_MAJORS=$(scripts/majors.sh); then
  export PGSOCLE_TEST_MAJORS
else
  unset PGSOCLE_TEST_MAJORS
  echo "other majors cannot be had here: testing with $(cd /usr/lib/postgresql && echo [0-9]*)"
fi

# The instances that one of the tests takes over.
scripts/pglift.sh

say "cargo test"
# They wait for disks more than for processors.
cargo test --locked -- --test-threads=$(($(nproc) + 1))

python_environment -r tests/requirements.txt
collection_path
say "pytest tests/unit"
PYTHONPATH=$ANSIBLE_COLLECTIONS_PATH python3 -m pytest -q tests/unit

# This machine as the host: root's work, with a site of its own.
release_executable
say "tests/bench: whether it works"
as_root env PATH="$PATH" python3 tests/bench --rounds 1 --quick "$executable"
for script in tests/integration.sh tests/runner.sh; do
  say "$script"
  as_root env PATH="$PATH" "$script"
done

# From here on hosts of their own, in containers.
say "tests/transports.sh"
as_root tests/hosts/machine.sh
as_root env PATH="$PATH" tests/transports.sh
for scenario in molecule/*/molecule.yml; do
  scenario=$(basename "${scenario%/*}")
  say "tests/molecule.sh $scenario"
  as_root env PATH="$PATH" tests/molecule.sh "$scenario"
done
