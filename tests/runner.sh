#!/usr/bin/env bash
# runner.sh: playbooks/instances.yml on this machine under ansible-runner, which is what AWX runs: check, run, and run again.
# The job events, which AWX keeps and shows, must hold no password. Needs root, PostgreSQL, the executable in libexec/ and the
# programs of tests/requirements.txt. The site is one of its own, and goes with the run.
set -eu
checkout=$(cd "$(dirname "$0")/.." && pwd)
[ ! -d "$checkout/.venv/bin" ] || PATH=$checkout/.venv/bin:$PATH
work=$(mktemp -d "${TMPDIR:-/tmp}/pgsocle-runner.XXXXXX")
executable=$work/pgsocle
finish() {
  PGSOCLE_CONFIG_DIR=$work/conf "$executable" instance drop runner --non-interactive >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT
chmod 0755 "$work"
install -m 0755 "$checkout/libexec/$(uname -m)/pgsocle" "$executable"
mkdir -p "$work/conf" "$work/ansible_collections/socle" "$work/job/inventory" "$work/job/env" "$work/job/project"
ln -s "$checkout" "$work/ansible_collections/socle/postgresql"
cat >"$work/conf/settings.yaml" <<YAML
prefix: $work/prefix
run_prefix: $work/run
postgresql:
  auth: {passfile: $work/prefix/pgpass}
YAML
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
canary=runner-canary-$$
cat >"$work/job/inventory/hosts.yml" <<YAML
all:
  hosts:
    localhost:
      ansible_connection: local
      ansible_python_interpreter: /usr/bin/python3
YAML
cat >"$work/job/env/extravars" <<YAML
clerk_password: $canary
instances_defaults: {port: $port}
instances_list:
  - name: runner
    settings: {work_mem: 16MB}
    roles: [{name: clerk, login: true, password: "{{ clerk_password }}", pgpass: true}]
    databases: [{name: shop, owner: clerk}]
YAML
# The one playbook of the project, as a job template would name it; where the site and the executable are is the job's business.
cat >"$work/job/project/job.yml" <<YAML
- ansible.builtin.import_playbook: socle.postgresql.instances
YAML
cat >"$work/job/env/envvars" <<YAML
ANSIBLE_COLLECTIONS_PATH: $work
PGSOCLE_CONFIG_DIR: $work/conf
ANSIBLE_LOCALHOST_WARNING: "false"
YAML

# job IDENT CHANGED [option]: runs it and compares how many tasks changed something.
job() {
  local ident=$1 wanted=$2 changed
  shift 2
  ansible-runner run "$work/job" --ident "$ident" -p job.yml --cmdline="-vvvv --diff $*" >"$work/said" || {
    cat "$work/said" >&2
    exit 1
  }
  ! grep -rlF "$canary" "$work/said" "$work/job/artifacts/$ident/job_events" "$work/job/artifacts/$ident/stdout" ||
    { echo "the password is in what ansible-runner keeps of the job \`$ident\`" >&2; exit 1; }
  changed=$(sed -n 's/\x1b\[[0-9;]*m//g; s/^localhost .*changed=\([0-9]*\).*/\1/p' "$work/job/artifacts/$ident/stdout")
  [ "$changed" = "$wanted" ] || { cat "$work/said" >&2; echo "job \`$ident\`: $changed tasks changed something, not $wanted" >&2; exit 1; }
  echo "$ident: changed=$changed, $(find "$work/job/artifacts/$ident/job_events" -name '*.json' | wc -l) events"
}
job predicted 1 --check
[ ! -e "$work/prefix/srv" ] || { echo "check mode made something" >&2; exit 1; }
job made 1
job again 0
