"""How much of the machine is ours."""

import os
from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP = Path("/proc/self/cgroup")  # which group this process is in, one line per hierarchy
MOUNTED = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Cores that this process may use: fewer than the machine has, under a batch system or in a container.

    Bound by the cores that the process is tied to and by the quotas of its control groups, the fractions of which are
    no core: a container that may use 2.5 of 64 cores has two.
    """
    tied = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([tied, *_quotas()])))


def _quotas() -> Iterator[float]:
    """In cores, of each control group (version 1 or 2) that the process is in, and of those that hold it."""
    for line in _read(MEMBERSHIP).splitlines():
        number, _, controllers_and_path = line.partition(":")
        controllers, _, path = controllers_and_path.partition(":")
        if number == "0":
            roots = [MOUNTED, MOUNTED / "unified"]
        elif "cpu" in controllers.split(","):
            roots = [MOUNTED / controllers, MOUNTED / "cpu"]
        else:
            continue
        for root in roots:
            group = root / path.strip("/")  # not there where a container sees its own group as the root
            yield from (quota for one in (group, *group.parents) if one.is_relative_to(root) and (quota := _quota(one)))


def _quota(group: Path) -> float | None:
    """Time on all cores per time that passes; None without a limit."""
    given = _read(group / "cpu.max") or f"{_read(group / 'cpu.cfs_quota_us')} {_read(group / 'cpu.cfs_period_us')}"
    try:
        quota, period = (float(number) for number in given.split())
    except ValueError:  # "max", or nothing at all
        return None
    return quota / period if quota > 0 and period > 0 else None  # without a limit, version 1 says -1


def _read(path: Path) -> str:
    """The text of a system file; empty where there is none, or none that may be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
