"""How much memory is free; errors: how to recognise that it ran out, advice, and how to free what they hold on to."""

import errno
import traceback
from pathlib import Path

import psutil

from relbench.cores import control_groups, read_system_file

ADVICE = "a smaller batch_size or fewer --jobs need less memory"
SAID = ("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc", "ALLOC_FAILED")


def free_for_this_process() -> int:
    """Bytes of the machine's memory that are free: in a container fewer than the machine has."""
    rooms = (room for group in control_groups("memory") if (room := _room_in(group)) is not None)
    return min([psutil.virtual_memory().available, *rooms])


def _room_in(group: Path) -> int | None:
    """Bytes left in a control group, where files that are only cached count as free; None without a limit."""
    limit, used, statistics = (
        read_system_file(group / new) or read_system_file(group / old)
        for new, old in (
            ("memory.max", "memory.limit_in_bytes"),
            ("memory.current", "memory.usage_in_bytes"),
            ("memory.stat", "memory.stat"),
        )
    )
    cached = dict(line.split()[:2] for line in statistics.splitlines() if len(line.split()) > 1)
    try:
        taken = int(used) - int(cached.get("file", cached.get("total_cache", 0)))
        return max(0, int(limit) - taken)
    except ValueError:  # "max", or nothing at all
        return None


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory of the machine or its GPU ran out, in this error or in a cause of it."""
    if error is None:
        return False
    return _says_so(error) or is_out_of_memory(error.__cause__ or error.__context__)


def let_go(error: BaseException | None) -> None:
    """Free what the functions had computed that an error has ended, and those of its causes; its traceback stays.

    An error that is kept keeps all their variables: the activations of a step, say, and the GPU's memory with them.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _says_so(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in SAID)  # torch's, on CPU and GPU
