"""The GPUs of this machine, divided among processes that make runs."""

import os

import torch

VISIBLE = "CUDA_VISIBLE_DEVICES"  # is read when a process begins with CUDA, and numbers from 0 what it names


def gpu_groups(devices: int = 1) -> tuple[str | None, ...]:
    """The GPUs that processes are to see, as `VISIBLE` names them: as many groups as there are GPUs for.

    Args:
        devices: GPUs of a group, which share a run.

    Returns:
        Groups; or None alone where there are not GPUs for two of them: a process then sees what this one sees.
    """
    count = torch.cuda.device_count()
    named = os.environ.get(VISIBLE)
    names = named.split(",")[:count] if named else [str(number) for number in range(count)]
    groups = [",".join(names[first : first + devices]) for first in range(0, count - devices + 1, devices)]
    return tuple(groups) if len(groups) > 1 else (None,)


def see(group: str | None) -> None:
    """From now on this process, which has not begun with CUDA, sees these GPUs alone; None: all that it sees."""
    if group is not None:
        os.environ[VISIBLE] = group
