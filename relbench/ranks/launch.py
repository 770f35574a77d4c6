"""The processes of a run that several share: started together, and ended together."""

import datetime as dt
import math
import os
import pickle
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from relbench.processes import children_deaf_to_ctrl_c, die_with_parent, end_at_once, how_ended, picklable, quick_start
from relbench.ranks.ranks import Ranks

Result = TypeVar("Result")

PATIENCE = dt.timedelta(hours=2)  # of ranks that wait for each other: one may read a data set anew from a slow disk
LOOK_EVERY = 60.0  # seconds
GRACE = 5.0  # seconds in which ranks that all meet the same error say so


def launched(function: Callable[..., Result], count: int, device: str, *arguments: Any) -> Result:
    """Call a function in several processes at once, which exchange what they compute.

    Args:
        function: gets a `Ranks`, then the arguments; is found by its name in the processes.
        count: of processes.
        device: "cpu", or "cuda": a GPU each.
        arguments: are pickled, as results are.

    Returns:
        The first rank's result.

    Raises:
        ValueError: there are not so many GPUs.
        ChildProcessError: a process has ended abruptly.
        Exception: what the function raises: on the first rank if it does there, too.
    """
    refuse_too_many(count, device)
    with tempfile.TemporaryDirectory(prefix="relbench-") as meeting, _started(function, count, device, meeting) as all_:
        for rank in all_:
            _send(rank.connection, arguments)
        result: Result = _first_result(all_)
        return result


def refuse_too_many(count: int, device: str) -> None:
    """Refuse more ranks than there are GPUs.

    Raises:
        ValueError: one line.
    """
    there = torch.cuda.device_count()
    if device == "cuda" and count > there:
        asked = f"--devices {count}" if count > 1 else "--device cuda"
        raise ValueError(f"{asked}: torch sees {there} GPUs here; ask for no more than there are")


@dataclass(frozen=True)
class _Rank:
    process: BaseProcess
    connection: Connection


@contextmanager
def _started(function: Callable[..., Any], count: int, device: str, meeting: str) -> Iterator[list[_Rank]]:
    """Processes that wait for arguments; none is left behind."""
    context, ranks = quick_start(function.__module__), list[_Rank]()
    try:
        with children_deaf_to_ctrl_c():
            for number in range(count):
                ours, theirs = context.Pipe()
                about = (function, Ranks(number, count), device, meeting, theirs)
                process = context.Process(target=_serve, args=about, name=f"rank {number}")
                process.start()
                theirs.close()  # so that the end of the process is the end of the connection
                ranks.append(_Rank(process, ours))
        yield ranks
    finally:
        for rank in ranks:
            rank.process.kill()  # whatever a user's loss has done to signals
        for rank in ranks:
            rank.process.join()
            rank.connection.close()


def _first_result(ranks: Sequence[_Rank]) -> Any:
    """The first rank's result; or an error: the first rank's, but for one that says that another can't be reached."""
    ends, deadline = dict[int, _Returned | _Raised](), math.inf
    while len(ends) < len(ranks) and not isinstance(ends.get(0), _Returned):
        waiting = {rank.connection: number for number, rank in enumerate(ranks) if number not in ends}
        ready = wait(list(waiting), max(0.0, min(deadline - time.monotonic(), LOOK_EVERY)))
        for number in (waiting[connection] for connection in ready if isinstance(connection, Connection)):
            ends[number] = _end(ranks[number])
            if isinstance(ends[number], _Raised):
                deadline = min(deadline, time.monotonic() + GRACE)
        if time.monotonic() > deadline:
            break
    first = ends.get(0)
    if isinstance(first, _Returned):
        return first.result
    errors = [end.error for _, end in sorted(ends.items()) if isinstance(end, _Raised)]
    raise next((error for error in errors if not _is_of_another(error)), errors[0])


@dataclass(frozen=True)
class _Returned:
    result: Any


@dataclass(frozen=True)
class _Raised:
    error: Exception


def _end(rank: _Rank) -> _Returned | _Raised:
    try:
        end: _Returned | _Raised = pickle.loads(rank.connection.recv_bytes())  # noqa: S301 - from a process of ours
    except (EOFError, OSError):
        rank.process.join()
        how = how_ended(rank.process.exitcode)
        return _Raised(ChildProcessError(f"of the processes that share the run, {rank.process.name}: {how}"))
    return end


def _is_of_another(error: Exception) -> bool:
    """Whether an error says no more than that another rank can't be reached."""
    return isinstance(error, dist.DistError) or "gloo/transport" in str(error)


def _serve(function: Callable[..., Any], ranks: Ranks, device: str, meeting: str, connection: Connection) -> None:
    """Call the function, and say how it ended; does not outlive the parent."""
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a fork server may not have inherited that
    try:
        arguments = pickle.loads(connection.recv_bytes())  # noqa: S301 - from the process that has started this one
        with _joined(ranks, device, Path(meeting)):
            end: _Returned | _Raised = _Returned(function(ranks, *arguments))
    except Exception as error:  # noqa: BLE001 - it is raised again where the ranks were launched
        end = _Raised(picklable(error))
    with suppress(OSError):  # nobody waits any more
        _send(connection, end)
    end_at_once()


@contextmanager
def _joined(ranks: Ranks, device: str, meeting: Path) -> Iterator[None]:
    if device == "cuda":
        torch.cuda.set_device(ranks.rank)
    if loopback := _loopback():  # all are on this machine, whatever its name resolves to
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo",
        init_method=f"file://{meeting / 'ranks'}",
        world_size=ranks.count,
        rank=ranks.rank,
        timeout=PATIENCE,
    )
    try:
        yield
    finally:
        dist.destroy_process_group()


def _loopback() -> str | None:
    """The network interface of a machine with itself: lo on Linux, lo0 on macOS."""
    names = (name for _, name in socket.if_nameindex())
    return next((name for name in names if name in {"lo", "lo0"}), None)


def _send(connection: Connection, value: object) -> None:
    """Send copies of tensors: torch would have a connection send memory that is gone when this process ends."""
    connection.send_bytes(pickle.dumps(value))
