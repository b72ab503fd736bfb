#!/usr/bin/env bash
# shellcheck disable=SC2154  # `executable` is said in common.sh
# bench.sh: what pgsocle takes, as ratios against PostgreSQL's own programs, pglift and community.postgresql beside it
# (docs/performance.md). From the environment: ROUNDS (5), QUICK=1 (small sizes), OTHERS=0 (without the other two),
# JOB (only jobs with this in their title), STRICT=1 (exit code 1 when a limit is exceeded), JSON (a file for the figures).
set -eu
. "$(dirname "$0")/common.sh"
need_cargo
server_programs
options=(--rounds "${ROUNDS:-5}")
[ "${QUICK:-0}" = 0 ] || options+=(--quick)
[ "${STRICT:-0}" = 0 ] || options+=(--strict)
[ -z "${JOB:-}" ] || options+=("--job=$JOB")
[ -z "${JSON:-}" ] || options+=(--json "$JSON")
if [ "${OTHERS:-1}" != 0 ]; then
  # Separately: a failure to bring one ends the run.
  pglift=$(scripts/pglift.sh)
  ansible=$(scripts/community.sh)
  options+=(--pglift "$pglift" --ansible "$ansible")
fi
release_executable
say "tests/bench, load $(cut -d' ' -f1-3 /proc/loadavg)"
as_root python3 tests/bench "${options[@]}" "$executable"
