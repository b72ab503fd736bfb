#!/usr/bin/env bash
# check.sh: formatting, lints, and the linters of the collection.
set -eu
. "$(dirname "$0")/common.sh"
need_cargo
for component in rustfmt clippy; do
  cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 || rustup component add "$component"
done
say "cargo fmt --check"
cargo fmt --check
say "cargo clippy"
cargo clippy --locked --all-targets -- -D warnings
python_environment -r tests/requirements.txt
say "tests/lint.sh"
tests/lint.sh
