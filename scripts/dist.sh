#!/usr/bin/env bash
# dist.sh: dist/socle-postgresql-VERSION.tar.gz, the collection with the executable inside, and SHA256SUMS.
set -eu
. "$(dirname "$0")/common.sh"
python_environment 'ansible-core>=2.19,<2.22'
release_executable
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tests/copy.sh "$work/postgresql"
rm -rf dist
mkdir dist
ansible-galaxy collection build --output-path dist "$work/postgresql"
tarball=$(echo dist/*.tar.gz)
# Galaxy refuses larger ones.
[ "$(stat -c %s "$tarball")" -lt 20000000 ] || fail "$tarball is larger than 20 MB"
tar -tzf "$tarball" | grep -q "^libexec/$(uname -m)/pgsocle$" || fail "$tarball holds no executable"
(cd dist && sha256sum ./*.tar.gz | sed 's|\./||' >SHA256SUMS && cat SHA256SUMS)
