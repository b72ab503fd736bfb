#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2016  # `cache` is said in common.sh; $(REPO_URI) and $1 are for the programs called
# majors.sh [DIR]: one tree with PostgreSQL 13, 15, 17 and 18 and pgBackRest in it, Debian's own builds, to be run by an ordinary
# user through bubblewrap (tests/it/support/pg.rs does). Prints DIR when it is there; fails where it cannot be had (not Debian, no
# sandbox). Takes a minute and 900 MB, once; remove the directory to get it anew.
set -eu
. "$(dirname "$0")/common.sh"

dir=${1:-$(servers_cache majors)}

if [ ! -e "$dir/usr/lib/postgresql/18/bin/initdb" ] || [ ! -e "$dir/usr/bin/pgbackrest" ]; then
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -m1 '/debian/*$') || {
    echo "no Debian archive among the apt sources" >&2
    exit 1
  }
  packages mmdebstrap bubblewrap >&2
  say "mmdebstrap: PostgreSQL 13, 15, 17 and 18 into $dir" >&2
  # A newer suite is the base and the older ones are pinned low: each major then comes from the one suite that has it.
  # The reverse, a newer PostgreSQL on an older base, would pull half of the newer suite in.
  list=$(mktemp)
  for suite in forky trixie bookworm bullseye; do echo "deb $mirror $suite main"; done >"$list"
  pins='Package: *\nPin: release n=trixie\nPin-Priority: 60\n\nPackage: *\nPin: release n=bookworm\nPin-Priority: 50\n\nPackage: *\nPin: release n=bullseye\nPin-Priority: 40\n'
  as_root rm -rf "$dir.new"
  as_root mmdebstrap --quiet --mode=root --variant=minbase \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' --aptopt='Acquire::Languages "none"' \
    --setup-hook="mkdir -p \$1/etc/apt/preferences.d \$1/etc/postgresql-common; printf '$pins' >\$1/etc/apt/preferences.d/older; echo create_main_cluster=false >\$1/etc/postgresql-common/createcluster.conf" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include=postgresql-13,postgresql-15,postgresql-17,postgresql-18,pgbackrest forky "$dir.new" "$list" >&2 || {
    rm -f "$list"
    as_root rm -rf "$dir.new"
    exit 1
  }
  rm -f "$list"
  as_root chmod 0755 "$dir.new"
  as_root rm -rf "$dir"
  as_root mv "$dir.new" "$dir"
fi
packages bubblewrap >&2
echo "$dir"
