"""The order of runs: which may begin, as they have what they build on, and which of these are trained together.

Runs that share data, seed, batches and teacher are trained side by side in one process, which takes less time than one
after another: a cohort. The more of them at once the better, but towards the end of a grid, where no slot should be
idle while another has several.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from relbench.experiment import Experiment
from relbench.training.cohorts import key

Cohort = Mapping[str, Experiment]
"""Runs that begin together, by name."""


@dataclass(frozen=True)
class Limits:
    """The limits of a cohort.

    Attributes:
        slots: how many cohorts are under way at once.
        most: runs in a cohort; None: as many as can be trained together.
        fits: whether runs have room side by side in a slot's share of the memory; where they have, fewer have too.
    """

    slots: int
    most: int | None = None
    fits: Callable[[Sequence[Experiment]], bool] = lambda _: True

    def size(self, alike: Sequence[Experiment], share: float) -> int:
        """The number of runs that begin together now; what is left of them is divided evenly.

        Args:
            alike: runs that may begin, and be trained together.
            share: the number of runs that falls to a slot.
        """
        allowed = min(len(alike), self.most or len(alike))
        room = 1 + bisect_left(range(2, allowed + 1), 1, key=lambda size: not self.fits(alike[:size]))
        even = math.ceil(len(alike) / math.ceil(len(alike) / room))
        return min(even, max(1, math.ceil(share)))


class Order:
    """The runs that have not begun: a student waits for its teacher, a second stage for the first.

    Args:
        runs: by name.
        needed: by name of a run, names of what it waits for. A name that is never `finish`ed is waited for in vain.

    Attributes:
        waiting: the runs that lack something.
    """

    def __init__(self, runs: Mapping[str, Experiment], needed: Mapping[str, Collection[str]]) -> None:
        self.waiting = dict(runs)
        self._lacking = {name: set(needed[name]) for name in runs}
        self._followers: dict[str, list[str]] = {}  # found once, as there may be thousands
        for name, lacking in self._lacking.items():
            for each in lacking:
                self._followers.setdefault(each, []).append(name)
        self._alone: dict[str, Experiment] = {}
        self._alike: dict[str, dict[str, Experiment]] = {}  # ready, by what they share
        for name in runs:
            self._look(name)

    def __len__(self) -> int:
        """The number of runs that have not begun."""
        return len(self.waiting) + len(self._alone) + sum(map(len, self._alike.values()))

    def take(self, limits: Limits, under_way: Sequence[float]) -> Cohort:
        """Runs that begin together now; none where all that are left must wait.

        No more than fall to a slot if all are to end at about the same time, nor so many that another slot is idle now.

        Args:
            limits: of a cohort.
            under_way: the work, in runs, that is left of each cohort that has begun.
        """
        if self._alone:
            name = next(iter(self._alone))
            return {name: self._alone.pop(name)}
        if not self._alike:
            return {}
        shared, alike = next(iter(self._alike.items()))
        ready = len(self) - len(self.waiting)
        share = min((len(self) + sum(under_way)) / limits.slots, ready / (limits.slots - len(under_way)))
        size = limits.size(list(alike.values()), share)
        taken = {name: alike.pop(name) for name in list(alike)[:size]}
        if not alike:
            del self._alike[shared]
        return taken

    def finish(self, name: str) -> None:
        """A run has ended: those that lack nothing else may begin."""
        for follower in self._followers.pop(name, ()):
            self._lacking[follower].discard(name)
            self._look(follower)

    def followers(self, name: str) -> list[str]:
        """Those that wait for a run."""
        return [follower for follower in self._followers.get(name, ()) if follower in self.waiting]

    def drop(self, name: str) -> None:
        """A run that waits will never begin."""
        del self.waiting[name]

    def again_apart(self, runs: Mapping[str, Experiment]) -> None:
        """Runs that have begun together begin once more, each alone, before all others."""
        self._alone |= runs

    def _look(self, name: str) -> None:
        """A run that lacks nothing is ready, together with those that share what is computed once."""
        if name not in self.waiting or self._lacking[name]:
            return
        run = self.waiting.pop(name)
        self._alike.setdefault(key(run), {})[name] = run
