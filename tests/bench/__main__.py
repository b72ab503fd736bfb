"""make bench: what ours takes, as ratios against PostgreSQL's own programs in the same run (docs/performance.md).

Sides take turns, and each round begins with another one, so that what else the machine does meets all of them alike.
"""

import argparse
import json
import os
import signal
import sys
import time

from jobs import JOBS
from measure import Failed, median
from servers import Site, bindirs

SIDES = ("floor", "ours", "pglift", "community")
# How many rounds the other two take part in: what they take is seconds, and no limit hangs on it.
ROUNDS_OF_OTHERS = 2


def options():
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("executable", nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small sizes: whether it works, not how fast it is")
    parser.add_argument("--job", action="append", help="only jobs with this in their title")
    parser.add_argument("--pglift", help="a virtual environment with pglift")
    parser.add_argument("--ansible", help="a virtual environment with ansible-core and community.postgresql")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a limit is exceeded")
    parser.add_argument("--json", help="write what was measured to this file")
    parser.add_argument("--list", action="store_true", help="name the jobs and end")
    return parser.parse_args()


def measured(job, site, rounds):
    """What each side took, by the median of the rounds; a number for what is not run."""
    sides = job.sides(site)
    if sides is None or isinstance(sides, int):
        return sides
    present = [
        side for side in SIDES if getattr(sides, side) and (side != "pglift" or site.pglift) and (side != "community" or site.ansible)
    ]
    costs = {side: [] for side in present}
    for number in range(rounds):
        turn = number % len(present)
        for side in present[turn:] + present[:turn]:
            if side in SIDES[2:] and len(costs[side]) >= (1 if sides.pglift_once else ROUNDS_OF_OTHERS):
                continue
            costs[side].append(getattr(sides, side)())
    return {side: median(each) for side, each in costs.items()}


def seconds(value):
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def row(job, found):
    """The cells of the table, and whether the limit is kept."""
    if isinstance(found, int):
        return [job.title, job.floor, "-", f"{found:,} bytes", "-", f"{job.bytes:,} bytes", verdict(found <= job.bytes), "-", "-"], found <= job.bytes
    floor, ours = found["floor"], found["ours"]
    ratio = ours.wall / floor.wall
    limit = " or ".join(limit for limit in (job.ratio and f"{job.ratio:g} x", job.more and f"+ {seconds(job.more)}") if limit)
    kept = ratio <= (job.ratio or 0) or ours.wall - floor.wall <= (job.more or 0)
    more = f"+ {seconds(max(ours.wall - floor.wall, 0))}"
    shown = ", ".join(shown for shown in (job.ratio and f"{ratio:.2f} x", job.more and more) if shown)
    if job.resident:
        limit += f", {job.resident / 1000:.0f} MB"
        shown += f", {ours.resident / 1000:.1f} MB"
        kept = kept and ours.resident <= job.resident
    others = [f"{found[side].wall / floor.wall:.1f} x" if side in found else "-" for side in ("pglift", "community")]
    return [job.title, job.floor, seconds(floor.wall), seconds(ours.wall), shown, limit, verdict(kept), *others], kept


def verdict(kept):
    return "ok" if kept else "**exceeded**"


def main():
    given = options()
    if given.list:
        print("\n".join(job.title for job in JOBS))
        return 0
    if os.geteuid() != 0:
        sys.exit("make bench needs root: servers run as the user postgres, and pgsocle is called as root, as operators do")
    # Whatever ends it, what was made goes.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    wanted = [job for job in JOBS if not given.job or any(word in job.title for word in given.job)]
    titles = ["job", "floor", "floor takes", "ours takes", "ours", "at most", "", "pglift", "community.postgresql"]
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"PostgreSQL {bindirs()[0].parent.name}, {cores} cores, load {load:.1f}, median of {given.rounds} rounds, of the others at most {ROUNDS_OF_OTHERS}\n")
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|", flush=True)
    all_kept, failed, record = True, False, {}
    for job in wanted:
        start = time.monotonic()
        site = None
        try:
            # A site for each, so that none meets the servers of another.
            site = Site(given.executable, given.quick, given.pglift, given.ansible)
            site.prepare()
            found = measured(job, site, given.rounds)
        except Failed as error:
            print(f"{job.title}: {error}", file=sys.stderr)
            failed = True
            continue
        finally:
            if site:
                site.close()
        if found is None:
            continue
        cells, kept = row(job, found)
        all_kept = all_kept and kept
        record[job.title] = found if isinstance(found, int) else {side: vars(cost) for side, cost in found.items()}
        print("| " + " | ".join(cells) + " |", flush=True)
        print(f"{job.title}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=2)
    return 1 if failed or given.strict and not all_kept else 0


sys.exit(main())
