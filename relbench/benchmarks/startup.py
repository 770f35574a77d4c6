"""Benchmark of what a user waits for before a command does anything: the time that a help text takes.

Each is a process of its own, whose processor time and peak memory the system tells when it ends.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import ratio, seconds
from relbench.machine import PEAK_UNIT

NOTHING, HELP = ("-c", "pass"), ("-m", "relbench", "--help")
COMMANDS = ("reproduce", "evaluate", "data")
HELP_TARGET = 0.5  # seconds

LAUNCHER = """\
import os, subprocess, sys
nothing = subprocess.DEVNULL
process = subprocess.Popen(sys.argv[1:], stdout=nothing, stderr=nothing)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""
"""Starts a process from a small one: Linux counts the memory of whoever starts a process to that process's peak."""


@dataclass(frozen=True)
class Spent:
    """What a process has taken: processor time in seconds, and its peak memory in bytes."""

    seconds: float
    peak: int


def spent(arguments: Sequence[str]) -> Spent:
    """Run Python on a single thread with these arguments.

    Raises:
        RuntimeError: the process failed.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, sys.executable, *arguments]
    told = subprocess.run(launch, env=os.environ | threads, stdout=subprocess.PIPE, check=True)  # noqa: S603 - Python
    code, taken, peak = told.stdout.split()
    if int(code):
        raise RuntimeError(f"python {' '.join(arguments)} ended with {int(code)}")
    return Spent(float(taken), int(peak) * PEAK_UNIT)


def figures(rounds: int = 9) -> Iterator[Figure]:
    """Times of help texts, beside a Python that does nothing.

    Args:
        rounds: how often each is timed, in turns.
    """
    forms = {"": HELP} | {f"{name} ": ("-m", "relbench", name, "--help") for name in COMMANDS}
    taken = [{form: spent(form).seconds for form in (NOTHING, *forms.values())} for _ in range(rounds)]
    nothing = [each[NOTHING] for each in taken]
    yield seconds("python -c pass", nothing)
    for name, form in forms.items():
        times = [each[form] for each in taken]
        yield seconds(f"relbench {name}--help", times).model_copy(update={"target": HELP_TARGET})
        yield ratio(f"relbench {name}--help / python -c pass", times, nothing)
