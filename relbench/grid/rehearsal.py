"""Rehearsals of a grid: what would be trained together, and how long it would take, without making any run."""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType

from relbench.experiment import Experiment
from relbench.grid.order import Cohort, Limits, Order


@dataclass(frozen=True)
class Rehearsal:
    """The course that a grid would take.

    Attributes:
        cohorts: the runs that begin together, in this order, by name.
        seconds: until all have ended.
    """

    cohorts: tuple[Cohort, ...]
    seconds: float


NOTHING: Mapping[str, str] = MappingProxyType({})


def rehearsed(
    runs: Mapping[str, Experiment],
    limits: Limits,
    duration: Callable[[Cohort], float],
    gone_on_with: Mapping[str, str] = NOTHING,
) -> Rehearsal:
    """Go through the grid as `relbench.grid.scheduler.run_grid` would, with a clock that jumps from end to end.

    Args:
        runs: that are to be made, by name. What they build on is finished, unless it is among them.
        limits: of what is trained together.
        duration: seconds that a cohort takes.
        gone_on_with: fingerprints of shorter runs, by that of the longer run that goes on with it.
    """
    planned: dict[str, list[str]] = {}  # a run whose settings are not known yet may look like another
    for name, run in runs.items():
        planned.setdefault(run.fingerprint, []).append(name)
    order = Order(runs, {name: _needed(run, planned, gone_on_with) for name, run in runs.items()})
    under_way: list[tuple[float, int, float, Cohort]] = []  # when it ends, its number, when it has begun
    cohorts, numbers, now = list[Cohort](), count(), 0.0
    while order or under_way:
        while len(under_way) < limits.slots and (cohort := order.take(limits, _left(under_way, now))):
            cohorts.append(cohort)
            heapq.heappush(under_way, (now + duration(cohort), next(numbers), now, cohort))
        now, _, _, ended = heapq.heappop(under_way)
        for name in ended:
            order.finish(name)
    return Rehearsal(tuple(cohorts), now)


def _needed(run: Experiment, planned: Mapping[str, list[str]], gone_on_with: Mapping[str, str]) -> set[str]:
    """The first of those that look like what it builds on, or goes on with."""
    grounds = [needed.fingerprint for needed in run.dependencies.values()]
    grounds += [gone_on_with[run.fingerprint]] if run.fingerprint in gone_on_with else []
    return {planned[ground][0] for ground in grounds if ground in planned}


def _left(under_way: list[tuple[float, int, float, Cohort]], now: float) -> list[float]:
    """The work that is left of cohorts that have begun, in runs."""
    return [len(cohort) * (end - now) / ((end - begun) or 1.0) for end, _, begun, cohort in under_way]
