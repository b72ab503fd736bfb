"""Runs programs and says what they cost: seconds by the clock, seconds of processor time, kilobytes resident."""

import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time


@dataclasses.dataclass
class Cost:
    """What one run took."""

    wall: float = 0.0
    processor: float = 0.0
    resident: int = 0


# A program starts with the size of the one that started it: a launcher of its own keeps ours out of the figure.
LAUNCHER = (
    "import os, sys; pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ); "
    "usage = os.wait4(pid, 0); print(usage[2].ru_maxrss, file=sys.stderr); sys.exit(os.waitstatus_to_exitcode(usage[1]))"
)


class Failed(Exception):
    """A program that did not do what was measured."""


def run(argv, *, user=None, stdin=None, env=None, codes=(0,), resident=False):
    """One run. Its output goes nowhere, as a reader would cost time; what it said is told when its exit code is another one."""
    if resident:
        argv = [sys.executable, "-ISE", "-c", LAUNCHER, *argv]
    with tempfile.TemporaryFile() as said, open(stdin or os.devnull, "rb") as given, open(os.devnull, "wb") as nowhere:
        start = time.perf_counter()
        process = subprocess.Popen(
            argv,
            stdin=given,
            stdout=nowhere,
            stderr=said,
            cwd="/",
            env=env,
            **({"user": user, "group": user, "extra_groups": []} if user and os.geteuid() == 0 else {}),
        )
        dummy, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = code = os.waitstatus_to_exitcode(status)
        said.seek(0)
        words = said.read().decode(errors="replace")
    if code not in codes:
        raise Failed(f"exit code {code}: {' '.join(argv)[:2000]}\n{words[-4000:]}")
    peak = int(words.rsplit("\n", 2)[-2]) if resident else 0
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak)


def output(argv, *, user=None, env=None, stdin=""):
    """What a program prints; for preparing, not for measuring."""
    done = subprocess.run(
        argv,
        input=stdin,
        capture_output=True,
        text=True,
        cwd="/",
        env=env,
        check=False,
        **({"user": user, "group": user, "extra_groups": []} if user and os.geteuid() == 0 else {}),
    )
    if done.returncode != 0:
        raise Failed(f"exit code {done.returncode}: {' '.join(argv)[:2000]}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def total(costs):
    """One after the other."""
    costs = list(costs)
    return Cost(
        sum(cost.wall for cost in costs),
        sum(cost.processor for cost in costs),
        max(cost.resident for cost in costs),
    )


def median(costs):
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.processor for cost in costs),
        max(cost.resident for cost in costs),
    )
