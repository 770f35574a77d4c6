"""Tasks of Ray that search the shards of a gallery."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from relbench.evaluation.gallery.mappers import Mapper, Result, Task, Work, in_order
from relbench.grid.cluster import environment
from relbench.grid.cluster.environment import Environment
from relbench.grid.cluster.fitness import of_another_environment
from relbench.grid.cluster.ray_package import ray

LONGEST = 200  # characters of what Ray says


def over_ray(at_once: int, **needs: float) -> Mapper:
    """Tasks of Ray, wherever in the cluster there is room for them; Ray repeats those whose node is lost.

    Args:
        at_once: tasks at a time.
        needs: what a task needs, in Ray's words: `num_cpus`, `num_gpus`, `memory`.
    """
    driver, remote = environment.environment(), ray().remote(**needs)(environment.call)

    def submit(work: Work[Task, Result], task: Task) -> Callable[[], Result]:
        return partial(_result, remote.remote(driver, ray().cloudpickle.dumps((work, task))), driver)

    def mapper(work: Work[Task, Result], tasks: Iterable[Task]) -> Iterator[Result]:
        return in_order(partial(submit, work), tasks, at_once)

    return mapper


def _result(reference: Any, driver: Environment) -> Any:
    """A task's result; its error as it was raised, without the many lines that Ray puts around it.

    Raises:
        ValueError: a node would compute other numbers, or the task was lost again and again.
    """
    known = ray().exceptions
    try:
        node, result = ray().get(reference)
    except known.RayTaskError as error:
        raise error.cause from None
    except known.RayError as error:
        said = " ".join(str(error).split())[:LONGEST]
        raise ValueError(
            f"a task was lost on the cluster ({type(error).__name__}: {said}): look at its nodes, or give a smaller "
            "--memory"
        ) from None
    if node is not None:
        raise ValueError(str(of_another_environment(node, result, driver, environment.environment())))
    return result
