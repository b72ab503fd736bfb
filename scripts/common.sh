# Sourced by the scripts beside it: where the checkout is, and how to become root when that is needed.
# shellcheck shell=bash
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$checkout/.cache
venv=$checkout/.venv
cd "$checkout" || exit

say() { printf '\n== %s\n' "$*"; }
fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    # -n: a run without a terminal must end with an error, not wait for a password.
    if [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
  else
    fail "this needs root: $*" "run it as root, or as a user with sudo"
  fi
}

# packages NAME...: installs the Debian packages that are missing.
packages() {
  local missing=() name
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} = 0 ] && return
  command -v apt-get >/dev/null || fail "missing: ${missing[*]}" "this script installs packages on Debian and Ubuntu only; install these by hand"
  say "apt-get install ${missing[*]}"
  as_root apt-get -q -y update >/dev/null
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}" >/dev/null
}

# The Rust version that the dependencies need is said once, in Cargo.toml.
need_cargo() {
  [ -x "$HOME/.cargo/bin/cargo" ] && PATH=$HOME/.cargo/bin:$PATH
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  found=$(cargo --version 2>/dev/null | cut -d' ' -f2) || true
  [ -n "$found" ] || fail "cargo not found; pgsocle is built with Rust $wanted or later" "install it from https://rustup.rs, then run this again"
  [ "$(printf '%s\n%s\n' "$wanted" "${found%%-*}" | sort -V | head -n1)" = "$wanted" ] ||
    fail "cargo $found is too old: Rust $wanted or later is needed" "run \`rustup update stable\`, or install it from https://rustup.rs"
  # A linker: what a bare machine lacks even when cargo is there.
  command -v cc >/dev/null || packages gcc libc6-dev
}

# server_programs: PostgreSQL's server programs of the distribution, and no cluster of theirs.
# Debian's packages make a cluster `main` at installation unless told otherwise. They are told so for the time of this
# installation only; clusters that exist are not touched, and later installations do as the administrator wishes.
server_programs() {
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && compgen -G '/usr/lib/postgresql/*/bin/pg_dump' >/dev/null && return
  local told=/etc/postgresql-common/createcluster.d/pgsocle.conf
  as_root mkdir -p "${told%/*}"
  echo 'create_main_cluster = false' | as_root tee "$told" >/dev/null
  packages postgresql-common
  packages postgresql
  as_root rm -f "$told"
}

# python_environment REQUIREMENT...: a virtual environment of the checkout with these in it, first on PATH.
python_environment() {
  local done_before
  command -v python3 >/dev/null || packages python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages python3-venv
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  done_before=$venv/.installed-$({ echo "$*"; [ "$1" != -r ] || cat "$2"; } | sha256sum | cut -c1-16)
  if [ ! -e "$done_before" ]; then
    say "pip install $*"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
    touch "$done_before"
  fi
  PATH=$venv/bin:$PATH
}

# servers_cache NAME: a place in the cache that the servers' user can enter, which it cannot below root's home.
servers_cache() {
  mkdir -p "$cache"
  if [ "$(id -u)" != 0 ] || setpriv --reuid=postgres --regid=postgres --init-groups test -x "$cache"; then
    echo "$cache/$1"
  else
    echo "/var/cache/pgsocle-test-$1"
  fi
}

# The checkout seen as the collection that it is, for ansible-playbook. (ansible-test wants a copy: tests/copy.sh.)
collection_path() {
  mkdir -p "$cache/collections/ansible_collections/socle"
  ln -sfn "$checkout" "$cache/collections/ansible_collections/socle/postgresql"
  export ANSIBLE_COLLECTIONS_PATH=$cache/collections
}

# The release executable, also as libexec/MACHINE/pgsocle, where the collection looks for the one that it brings to hosts.
release_executable() {
  need_cargo
  say "cargo build --release"
  # A profile alone cannot say what the linker gets (rust-lang/cargo#10271), and tests do unwind. GNU ld discards by file.
  cargo build --release --locked \
    --config "target.x86_64-unknown-linux-gnu.rustflags=['-Clink-arg=-fuse-ld=bfd', '-Clink-arg=-Wl,-T,$checkout/scripts/unwinding.ld']"
  executable=$checkout/target/x86_64-unknown-linux-gnu/release/pgsocle
  local carried
  carried=libexec/$(uname -m)
  mkdir -p "$carried"
  install -m 0755 "$executable" "$carried/pgsocle"
  (cd "$carried" && sha256sum pgsocle >pgsocle.sha256)
}
