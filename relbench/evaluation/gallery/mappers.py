"""Who searches the shards: this thread, threads with a device each, processes, or tasks of Ray.

A mapper calls a function with each of many tasks, as `map` does, and returns the results in order. It takes tasks as
late as it can: the later a task is made, the more is known of what need not be sent.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from queue import SimpleQueue
from types import ModuleType
from typing import Any, Protocol, TypeVar

from relbench.processes import children_deaf_to_ctrl_c, die_with_parent

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


@contextmanager
def over_processes(number: int) -> Iterator[Mapper]:
    """Processes of this machine, each of which uses what memory the search is allowed.

    Args:
        number: of processes.
    """
    pool = ProcessPoolExecutor(number, mp_context=get_context("spawn"), initializer=die_with_parent)
    with pool:

        def submit(work: Work[Task, Result], task: Task) -> Callable[[], Result]:
            with children_deaf_to_ctrl_c():  # the first tasks start the processes
                return pool.submit(work, task, None).result

        def mapper(work: Work[Task, Result], tasks: Iterable[Task]) -> Iterator[Result]:
            return in_order(partial(submit, work), tasks, number)

        yield mapper


def over_ray(ray: ModuleType, at_once: int, **needs: float) -> Mapper:
    """Tasks of Ray, wherever in the cluster there is room for them; Ray repeats those whose node is lost.

    Args:
        ray: the package, connected to a cluster.
        at_once: tasks at a time.
        needs: what a task needs, in Ray's words: `num_cpus`, `num_gpus`, `memory`.
    """

    def mapper(work: Work[Task, Result], tasks: Iterable[Task]) -> Iterator[Result]:
        remote = ray.remote(**needs)(work)
        return in_order(lambda task: partial(_fetched, ray, remote.remote(task, None)), tasks, at_once)

    return mapper


def _fetched(ray: ModuleType, reference: Any) -> Any:
    """A task's result; its error as it was raised, without the many lines that Ray puts around it."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None


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
