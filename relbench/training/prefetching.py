"""Images of later steps, made by worker processes while a GPU trains.

What a step's images are follows from its number, so that who makes them changes nothing.
"""

import os
import pickle
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.context import BaseContext
from pathlib import Path
from types import TracebackType
from typing import Protocol

import torch
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, Dataset

from relbench.cores import usable_cores
from relbench.data.random_views import PendingViews
from relbench.processes import die_with_parent, picklable, quick_start

Step = tuple[torch.Tensor, torch.Tensor | PendingViews]  # indices of images, and the images, perhaps to be made

SHARED = Path("/dev/shm")  # noqa: S108 - where Linux keeps memory that processes share; containers often have little
AHEAD = 2  # steps of each worker that may be waiting
MOST = 8  # workers: an H100 takes views of 224 px no faster
NICE = 5  # workers give way to the process that feeds the GPU


class Steps(Protocol):
    """Indices and images by step. Workers get a pickled copy."""

    def __getitem__(self, step: int) -> Step:
        """Those of a step."""
        ...


def workers_beside(device: torch.device, ranks: int = 1) -> int:
    """The number of worker processes for a training on a device: none on the CPU, whose cores are at work.

    Args:
        device: of the training.
        ranks: that share the machine's cores, each with workers of its own.
    """
    return max(0, min(MOST, usable_cores() // ranks - 1)) if device.type == "cuda" else 0


def prefetched(steps: Steps, numbers: Sequence[int], workers: int, ranks: int = 1) -> Iterator[Step]:
    """The steps of these numbers, in order.

    Args:
        steps: picklable.
        numbers: of the steps.
        workers: processes at most; fewer where shared memory has no room for what they make ahead, and none for the
            first step, which shows how much that is.
        ranks: that share this memory, each with workers of its own.

    Raises:
        Exception: what making a step raises, when its turn has come.
        RuntimeError: a worker has ended.
    """
    first, rest = steps[numbers[0]], numbers[1:]
    workers = min(workers, len(rest), _room(first) // ranks)
    later = _from_workers(steps, rest, workers) if workers else map(steps.__getitem__, rest)
    yield first
    yield from later


def _room(step: Step) -> int:
    """The number of workers whose steps fit into half of the shared memory that is free."""
    if not SHARED.is_dir():
        return MOST
    return shutil.disk_usage(SHARED).free // 2 // (AHEAD * sum(tensor.nbytes for tensor in step))


def _from_workers(steps: Steps, numbers: Sequence[int], workers: int) -> Iterator[Step]:
    """Workers are started at once, not when the first step is asked for."""
    with warnings.catch_warnings():
        # torch's words on more workers than cores: who wants so many has said so
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        loader: DataLoader[Step | Exception] = DataLoader(
            _Guarded(pickle.dumps(steps), numbers),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=AHEAD,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_begin,
            multiprocessing_context=worker_context(),
            generator=torch.Generator(),  # else a number is drawn from the global one
        )
        return _raised(iter(loader))


def worker_context() -> BaseContext:
    """How worker processes are started: quickly, with what they need."""
    return quick_start(__name__)


def _begin(_worker: int) -> None:
    """Leave Ctrl-C to the process that trains, which ends its workers; and leave it the cores that it needs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = _said
    die_with_parent()  # torch looks after the fork server, which stays
    threadpool_limits(1)
    with suppress(AttributeError, OSError):  # not on Windows; not allowed
        os.nice(NICE)


def _said(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show an error of a thread, but for one that says that the training has left in the middle of taking a step."""
    if not issubclass(kind, ConnectionError):
        sys.__excepthook__(kind, error, trace)


@dataclass(frozen=True)
class _Guarded(Dataset["Step | Exception"]):
    """Steps by their place, or the error that making one raises: torch would wrap it in a traceback's text.

    Attributes:
        pickled: the steps. As an object, each of its tensors would take an open file in every process, and there may
            be one for each class.
        numbers: of the steps.
    """

    pickled: bytes
    numbers: Sequence[int]

    @cached_property
    def steps(self) -> Steps:
        """Those of this process."""
        steps: Steps = pickle.loads(self.pickled)  # noqa: S301 - from the process that has started this one
        return steps

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> "Step | Exception":
        try:
            return self.steps[self.numbers[place]]
        except Exception as error:  # noqa: BLE001 - it is raised again where the step is asked for
            return picklable(error)


def _raised(found: Iterator["Step | Exception"]) -> Iterator[Step]:
    while (step := _next(found)) is not None:
        if isinstance(step, Exception):
            raise step
        indices, images = step
        yield indices, images


def _next(found: Iterator["Step | Exception"]) -> "Step | Exception | None":
    try:
        return next(found, None)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise RuntimeError(f"{error}, perhaps for lack of memory: fewer --workers need less") from None
