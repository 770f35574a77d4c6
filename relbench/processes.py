"""Processes of our own: deaf to Ctrl-C, gone with their parent, and how they ended."""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import NoReturn

from relbench.memory import ADVICE


def quick_start(module: str) -> ForkServerContext | SpawnContext:
    """How processes are started: by a fork server that has loaded a module, or anew where the system has none.

    A fork of this process itself would copy the threads of torch and CUDA in an unknown state. The fork server stays
    for as long as this process and what it has started; it loads the first module that is asked for.

    Args:
        module: that the processes need; what it imports takes seconds.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


@contextmanager
def children_deaf_to_ctrl_c() -> Iterator[None]:
    """Processes that start meanwhile inherit that SIGINT is blocked: Ctrl-C is their parent's business."""
    resource_tracker.ensure_running()  # else the first process starts it, and in Python 3.11 that unblocks SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def die_with_parent() -> None:
    """From now on, end this process when its parent is gone."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def end_at_once() -> NoReturn:
    """End this process without waiting for threads that a user's loss has left behind, as the parent waits for it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def how_ended(exit_code: int | None) -> str:
    """The reason why a process that was at work is gone."""
    if exit_code == -signal.SIGKILL:
        return f"its process was killed, perhaps for lack of memory: {ADVICE}"
    how = signal.Signals(-exit_code).name if exit_code and exit_code < 0 else f"exit code {exit_code}"
    return f"its process ended ({how})"


def picklable(error: Exception) -> Exception:
    """An error as it can be sent to another process: in words alone where its class can't be made anew there."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was pickled right here
    except Exception:  # noqa: BLE001 - whatever a class of errors does when it is made anew
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
