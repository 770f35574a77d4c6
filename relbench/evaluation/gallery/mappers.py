"""Who searches the shards: this thread, or threads with a device each; for tasks of Ray see `grid.cluster.mapper`.

A mapper calls a function with each of many tasks, as `map` does, and returns the results in order. It takes tasks as
late as it can: the later a task is made, the more is known of what need not be sent.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

Work = Callable[[Task, str | None], Result]
"""From a task and the device that it is done on; None: a GPU if there is any, else the processor."""


class Mapper(Protocol):
    """Calls a function with tasks, and returns the results in their order."""

    def __call__(self, work: Work[Task, Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Results of all tasks; an error of a task is raised in its place."""


def inline(work: Work[Task, Result], tasks: Iterable[Task]) -> Iterator[Result]:
    """One task after another, in this thread."""
    return (work(task, None) for task in tasks)


@contextmanager
def over_devices(devices: Sequence[str]) -> Iterator[Mapper]:
    """Threads of this process, one for each device.

    Args:
        devices: such as "cuda:0" and "cuda:1"; "cpu" may occur repeatedly.
    """
    free: SimpleQueue[str] = SimpleQueue()
    for device in devices:
        free.put(device)

    def on_free_device(work: Work[Task, Result], task: Task) -> Result:
        device = free.get()
        try:
            return work(task, device)
        finally:
            free.put(device)

    with ThreadPoolExecutor(len(devices)) as pool:

        def mapper(work: Work[Task, Result], tasks: Iterable[Task]) -> Iterator[Result]:
            return in_order(lambda task: pool.submit(on_free_device, work, task).result, tasks, len(devices))

        yield mapper


def in_order(submit: Callable[[Task], Callable[[], Result]], tasks: Iterable[Task], at_once: int) -> Iterator[Result]:
    """Results in the order of the tasks, of which only a few are under way.

    Args:
        submit: begins a task, and returns what waits for its result.
        tasks: made one by one.
        at_once: how many are under way.
    """
    waiting: deque[Callable[[], Result]] = deque()
    for task in tasks:
        waiting.append(submit(task))
        if len(waiting) >= at_once:
            yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()
