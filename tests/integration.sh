#!/usr/bin/env bash
# integration.sh [TARGET]...: tests/integration/targets on this machine (default: all of them), with the executable in libexec/ and PostgreSQL
# of the distribution, as `ansible-test integration` would run them there. They have a site of their own, which goes with the run.
# Needs root and the programs of tests/requirements.txt.
set -eu
checkout=$(cd "$(dirname "$0")/.." && pwd)
[ ! -d "$checkout/.venv/bin" ] || PATH=$checkout/.venv/bin:$PATH
work=$(mktemp -d "${TMPDIR:-/tmp}/pgsocle-integration.XXXXXX")
executable=$work/pgsocle
finish() {
  export PGSOCLE_CONFIG_DIR=$work/conf
  for name in integration pglift broken; do "$executable" instance drop "$name" --non-interactive >/dev/null 2>&1 || true; done
  rm -rf "$work"
}
trap finish EXIT
chmod 0755 "$work"
install -m 0755 "$checkout/libexec/$(uname -m)/pgsocle" "$executable"
mkdir "$work/conf"
cat >"$work/conf/settings.yaml" <<YAML
prefix: $work/prefix
run_prefix: $work/run
postgresql:
  auth: {passfile: $work/prefix/pgpass}
pgbackrest:
  repository: {mode: path, path: $work/prefix/backups}
YAML
mkdir -p "$work/ansible_collections/socle"
ln -s "$checkout" "$work/ansible_collections/socle/postgresql"
# Three ports beside each other that nobody listens on, below those that the system gives to clients.
port=$(python3 - <<'PYTHON'
import os, socket
def free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
start = 20000 + os.getpid() % 10000
print(next(port for port in range(start, start + 2000, 3) if all(map(free, range(port, port + 3)))))
PYTHON
)
targets=("$@")
[ $# -gt 0 ] || targets=(site instance role tablespace database pghba pgident info pgconf backup pglift)
{
  cat <<YAML
- hosts: localhost
  connection: local
  gather_facts: false
  environment:
    PGSOCLE_CONFIG_DIR: $work/conf
    # Errors look for where they come from then, in an executable without tables for that (scripts/unwinding.ld).
    RUST_BACKTRACE: "1"
  module_defaults:
    group/socle.postgresql.all:
      executable: $executable
  vars:
    ansible_python_interpreter: /usr/bin/python3
    integration_port: $port
  roles:
YAML
  printf '    - %s\n' "${targets[@]}"
} >"$work/targets.yml"
export ANSIBLE_COLLECTIONS_PATH=$work ANSIBLE_ROLES_PATH=$checkout/tests/integration/targets ANSIBLE_LOCALHOST_WARNING=false
export ANSIBLE_INVENTORY_UNPARSED_WARNING=false
ansible-playbook "$work/targets.yml" -v
