#!/usr/bin/env bash
# lint.sh: the linters of the collection, over a copy of the checkout at …/ansible_collections/socle/postgresql.
# A copy, because ansible-test resolves links. Needs the programs of tests/requirements.txt on PATH, or in .venv.
set -eu
checkout=$(cd "$(dirname "$0")/.." && pwd)
[ ! -d "$checkout/.venv/bin" ] || PATH=$checkout/.venv/bin:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
copy=$work/ansible_collections/socle/postgresql
"$checkout/tests/copy.sh" "$copy"
export ANSIBLE_COLLECTIONS_PATH=$work ANSIBLE_NOCOLOR=1

# ansible-test fetches pip's bootstrap script, of a version that it names, when it makes its virtual environments; where that
# is out of reach, the interpreter's own ensurepip does the same.
for version in 24_2 25_0 25_2 25_3 26_0; do
  kept=$HOME/.ansible/test/cache/get_pip_$version.py
  [ -e "$kept" ] || install -D -m 0644 "$checkout/tests/hosts/get_pip.py" "$kept"
done

cd "$copy"
step() { printf '\n== %s\n' "$*"; "$@"; }
step yamllint -s .
step ansible-lint -q --offline --strict --profile production
step antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck .
step ansible-test units --venv --python "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
step ansible-test sanity --venv --python "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
