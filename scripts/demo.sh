#!/usr/bin/env bash
# shellcheck disable=SC2154  # `cache` and `venv` are said in common.sh
# demo.sh [clean]: an instance on this machine by one playbook, from nothing; `clean` takes it away.
set -eu
. "$(dirname "$0")/common.sh"
made=$cache/demo-made

play() {
  # As root without a password prompt; a user with a sudo password is asked for it by ansible.
  local ask=()
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || ask=(--ask-become-pass)
  ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_INVENTORY_UNPARSED_WARNING=false \
    ansible-playbook "${ask[@]}" playbooks/demo.yml "$@"
}

if [ "${1:-}" = clean ]; then
  [ -d "$made" ] || fail "there is no demonstration to take away (no $made)" "\`make demo\` makes one"
  python_environment 'ansible-core>=2.19,<2.22'
  collection_path
  play -e demo_state=absent
  # What the first run found absent goes, unless it serves other instances by now: then it is somebody's.
  others=$(as_root "libexec/$(uname -m)/pgsocle" instance list -o json | tr -d '[:space:]')
  if [ "$others" = '[]' ]; then
    while read -r path; do as_root rm -rf "$path"; done <"$made/paths"
  else
    printf 'There are other instances: left as they are, with\n%s\n' "$(cat "$made/paths")"
  fi
  rm -r "$made"
  printf '\nThe demonstration is gone. The PostgreSQL packages, .venv and target stay.\n'
  exit 0
fi

need_cargo
server_programs
python_environment 'ansible-core>=2.19,<2.22'
collection_path
release_executable

if [ ! -d "$made" ]; then
  mkdir -p "$made.new"
  home=$(getent passwd postgres | cut -d: -f6)
  shared=/usr/local/share
  for path in /usr/local/bin/pgsocle /etc/pgsocle /var/lib/pgsocle "$home/.local/share/pgsocle" /tmp/pgsocle \
    $shared/man/man1/pgsocle.1 $shared/bash-completion/completions/pgsocle $shared/zsh/site-functions/_pgsocle \
    $shared/fish/vendor_completions.d/pgsocle.fish; do
    as_root test -e "$path" || echo "$path"
  done >"$made.new/paths"
  mv "$made.new" "$made"
fi
say "ansible-playbook playbooks/demo.yml"
play

cat <<'NEXT'

What to try next:
  see it say nothing is to do   .venv/bin/ansible-playbook playbooks/demo.yml --check --diff      (ANSIBLE_COLLECTIONS_PATH=.cache/collections)
  change a setting              edit `work_mem` in playbooks/demo.yml, run the line above, then again without --check
  look at the instance          sudo pgsocle instance list
  see what was done             sudo pgsocle history
  take it away                  make demo-clean
NEXT
