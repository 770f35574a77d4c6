"""Work in a process of its own, which is ended when its time is up."""

import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

from relbench.losses.worker import silence, work_here
from relbench.processes import children_deaf_to_ctrl_c, die_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_time(work: Callable[[Item], Result], items: Sequence[Item], seconds: float) -> Iterator[Result | None]:
    """Yield the result for each item, in order; None for each that was not ready in time.

    Args:
        work: called in another process, so it must be found by its name.
        items: what it is called with.
        seconds: for all items together, the start of the process included.

    Raises:
        ValueError: the work refused an item, or failed; its message.
    """
    if not items:
        return
    ends, context = time.monotonic() + seconds, get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_results, args=(work, items, sender), daemon=True)
    with children_deaf_to_ctrl_c():
        process.start()
    sender.close()
    try:
        for _ in items:
            yield _received(receiver, ends)
    finally:
        process.kill()
        process.join()
        process.close()
        receiver.close()


def _send_results(work: Callable[[Item], Result], items: Sequence[Item], sender: Connection) -> None:
    die_with_parent()
    silence()
    work_here()
    for item in items:
        try:
            sender.send(work(item))
        except (ValueError, RuntimeError) as error:  # torch has no memory, say
            sender.send(ValueError(str(error)))
            return


def _received(receiver: Connection, ends: float) -> Result | None:
    if not receiver.poll(max(0.0, ends - time.monotonic())):
        return None
    try:
        result: Result | ValueError = receiver.recv()
    except EOFError:  # the process was killed
        return None
    if isinstance(result, ValueError):
        raise result
    return result
