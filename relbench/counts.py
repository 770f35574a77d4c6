"""Counts of trials and of those that came out right, by group: all that a paired test of two models needs."""

from functools import lru_cache
from operator import le
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationInfo, field_serializer, model_validator

from relbench.settings import Settings, renamed


@lru_cache(maxsize=16)
def _numbered(count: int) -> tuple[str, ...]:
    """Names of groups that have none of their own; the same texts for all counts of a table."""
    return tuple(map(str, range(count)))


class Counts(Settings):
    """Trials by group, where the trials of a group come out right or wrong together.

    The groups of retrieval are its test classes, and its trials the queries; those of few-shot learning are episodes,
    drawn once for all seeds: tests take seeds and groups for crossed.

    In JSON, names that are 0 to n - 1 are the number n, and trials that are as many in each group are that number, so
    that a thousand episodes are a list rather than three; lists are read as well.

    Attributes:
        groups: their names, each once, always in the same order.
        trials: how many each group has.
        correct: how many of them came out right.
    """

    groups: Annotated[tuple[str, ...], renamed("groups")]
    trials: Annotated[tuple[int, ...], renamed("trials")]
    correct: tuple[int, ...]

    @model_validator(mode="before")
    @classmethod
    def _of_json(cls, given: Any, info: ValidationInfo) -> Any:
        """Numbers in JSON stand for lists; pydantic does not see that lists come from there."""
        if info.mode != "json" or not isinstance(given, dict):
            return given
        read = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        groups, trials, correct = (read.get(name) for name in ("groups", "trials", "correct"))
        length = len(correct) if isinstance(correct, tuple) else 0
        named = {"groups": _numbered(length)} if type(groups) is int and groups == length else {}
        return read | named | ({"trials": (trials,) * length} if type(trials) is int else {})

    @field_serializer("groups", when_used="json")
    def _groups(self, groups: tuple[str, ...]) -> int | tuple[str, ...]:
        return len(groups) if groups == _numbered(len(groups)) else groups

    @field_serializer("trials", when_used="json")
    def _trials(self, trials: tuple[int, ...]) -> int | tuple[int, ...]:
        return trials[0] if len(set(trials)) == 1 else trials

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if not len(self.groups) == len(self.trials) == len(self.correct) > 0:
            raise ValueError("groups, trials and correct must be of one length, above 0")
        if min(self.correct) < 0 or min(self.trials) < 1 or not all(map(le, self.correct, self.trials)):
            raise ValueError("a group has more correct trials than trials, or none at all")
        return self

    @classmethod
    def of(cls, groups: ArrayLike, correct: ArrayLike) -> Self:
        """Counts of single trials.

        Args:
            groups: (trials,) group of each trial; groups come back sorted.
            correct: (trials,) whether it came out right.

        Example:
            >>> Counts.of(["b", "a", "b"], [True, False, False])
            Counts(groups=('a', 'b'), trials=(1, 2), correct=(0, 1))
        """
        names: NDArray[Any]
        names, code, trials = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
        right = np.bincount(code.reshape(-1)[np.asarray(correct, dtype=bool)], minlength=len(names))
        return cls(
            groups=tuple(str(name) for name in names.tolist()),
            trials=tuple(trials.tolist()),
            correct=tuple(right.tolist()),
        )

    @property
    def share(self) -> float:
        """Share of all trials that came out right."""
        return sum(self.correct) / sum(self.trials)
