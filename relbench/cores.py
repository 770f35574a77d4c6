"""The cores that this process may use."""

import os
from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP = Path("/proc/self/cgroup")  # the control groups of this process, one line per hierarchy
MOUNTED = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Number of cores that this process may use: under a batch system or in a container fewer than the machine has.

    Limited by the process's affinity and by the quotas of its control groups, rounded down: a container that may use
    2.5 of 64 cores has two.
    """
    tied = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([tied, *_quotas()])))


def _quotas() -> Iterator[float]:
    return (quota for group in control_groups("cpu") if (quota := _quota(group)))


def control_groups(controller: str) -> Iterator[Path]:
    """Folders of the control groups (version 1 or 2) that limit this process, and of the groups above them.

    Args:
        controller: of what is limited, such as "cpu" or "memory".
    """
    for line in read_system_file(MEMBERSHIP).splitlines():
        number, _, controllers_and_path = line.partition(":")
        controllers, _, path = controllers_and_path.partition(":")
        if number == "0":
            roots = [MOUNTED, MOUNTED / "unified"]
        elif controller in controllers.split(","):
            roots = [MOUNTED / controllers, MOUNTED / controller]
        else:
            continue
        for root in roots:
            group = root / path.strip("/")  # missing where a container sees its own group as the root
            yield from (each for each in (group, *group.parents) if each.is_relative_to(root))


def _quota(group: Path) -> float | None:
    """CPU time per wall-clock time; None without a limit."""
    given = read_system_file(group / "cpu.max") or " ".join(
        read_system_file(group / f"cpu.cfs_{what}_us") for what in ("quota", "period")
    )
    try:
        quota, period = (float(number) for number in given.split())
    except ValueError:  # "max", or nothing at all
        return None
    return quota / period if quota > 0 and period > 0 else None  # without a limit, version 1 says -1


def read_system_file(path: Path) -> str:
    """The text of a system file; empty where it is missing or unreadable."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
