#!/usr/bin/env bash
# copy.sh DIR: what belongs to the checkout (tracked or to be), and the executables in libexec/ if any, without its history.
set -eu
checkout=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
cd "$checkout"
git ls-files -co --exclude-standard -z |
  while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
  tar --null -cf - -T - | tar -xf - -C "$1"
[ ! -d libexec ] || cp -a libexec "$1/"
