"""Comparison of embeddings of the same images by two networks, or by two methods of several training runs each.

What can be said follows from the number of training runs:

- One on each side: whether the one network is better than the other on new classes of the same kind, by the estimate
  over classes alone (`significance`, of which all statistics are). Nothing about the methods that made them: another
  training run of the worse method might have been the better network. So there is no verdict.
- Two or more, against as many, paired in their order, or against a single one for all: the test over new training runs
  and new classes at once, and its verdict. Against a single one, nothing is said about other training runs of that.

A verdict is about one metric, the first: Recall@K of the first K, or what the task compares by. The differences of the
others stand beside it with intervals that are right one by one, and decide nothing: who picks among them must correct
for their number (`significance.holm`).
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from relbench.evaluation.alignment import aligned
from relbench.evaluation.beside import Beside
from relbench.evaluation.comparison import Comparison, Interval
from relbench.evaluation.measured import Measurement
from relbench.evaluation.metric_names import metric_name
from relbench.evaluation.significance import compare
from relbench.evaluation.stored import Stored
from relbench.plain_text import counted, many, p_value, signed

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05
Side = Literal["better", "worse", "not shown to differ", "unknown"]


@dataclass(frozen=True)
class Source:
    """Embeddings that are read when it is their turn, so that those of one network at a time are in memory.

    Attributes:
        name: What messages call them.
        read: Reads them; is told what belongs to the first embeddings, unless they are the first.
    """

    name: str
    read: Callable[[Beside | None], Stored]


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """Two sides, measured on the same images, and what their differences say.

    Attributes:
        ours: Measurement of each training run.
        theirs: Likewise: as many, in pairs, or a single one for all.
        comparisons: By metric, ours minus theirs; the first decides.
    """

    ours: tuple[Measurement, ...]
    theirs: tuple[Measurement, ...]
    comparisons: Mapping[str, Comparison]

    def __str__(self) -> str:
        return self.in_words()

    @property
    def metric(self) -> str:
        """The metric that decides."""
        return next(iter(self.comparisons))

    @property
    def decisive(self) -> Comparison:
        """The comparison by that metric."""
        return self.comparisons[self.metric]

    @property
    def is_of_methods(self) -> bool:
        """Whether there are training runs enough to say something about new ones."""
        return len(self.ours) > 1

    def interval(self, metric: str) -> Interval:
        """The difference with its 95 % interval: over new training runs and classes, or over new classes alone."""
        found = self.comparisons[metric]
        return found.interval if self.is_of_methods else found.over_classes

    @property
    def p_value(self) -> float | None:
        """Of no difference, by the metric that decides; None where chance is unknown."""
        return self.decisive.p_value if self.is_of_methods else self.decisive.p_over_classes

    @property
    def on_new_classes(self) -> Side:
        """Whether our one network is better than theirs on new classes, beyond chance.

        "unknown" where there are several training runs, for which there is a verdict, or a single class.
        """
        if self.is_of_methods or self.p_value is None:
            return "unknown"
        if self.p_value >= LEVEL:
            return "not shown to differ"
        return "better" if self.decisive.difference > 0 else "worse"

    def means(self, metric: str) -> tuple[float, float]:
        """The metric of both sides, mean over their training runs."""
        ours, theirs = (float(np.mean([each.metrics[metric] for each in side])) for side in (self.ours, self.theirs))
        return ours, theirs

    def frame(self) -> "pd.DataFrame":
        """One line per metric: both sides, the difference with its interval, and for the first one its p."""
        import pandas as pd  # noqa: PLC0415 - takes longer to load than to compare

        return pd.DataFrame(self._lines())

    def by_class(self) -> "pd.DataFrame":
        """One line per group of the metric that decides: its trials, both sides, and the difference, the worst first.

        Both are means over training runs, and a single class has too few queries to tell anything for sure.
        """
        import pandas as pd  # noqa: PLC0415 - takes longer to load than to compare

        first = self.ours[0].scores[self.metric]
        ours, theirs = (
            np.mean([np.divide(each.scores[self.metric].correct, first.trials) for each in side], axis=0)
            for side in (self.ours, self.theirs)
        )
        columns = {self.ours[0].group: first.groups, "queries": first.trials, "ours": ours, "theirs": theirs}
        return pd.DataFrame({**columns, "difference": ours - theirs}).sort_values("difference", kind="stable")

    def _lines(self) -> Iterator[dict[str, Any]]:
        for metric in self.comparisons:
            ours, theirs = self.means(metric)
            interval = self.interval(metric)
            yield {
                "metric": metric,
                "ours": ours,
                "theirs": theirs,
                "difference": interval.mean,
                "difference_95_low": interval.low,
                "difference_95_high": interval.high,
                "p_value": self.p_value if metric == self.metric else None,
            }

    def json(self, *, by_class: bool = False) -> str:
        """All numbers and the verdict as a JSON object, on one line.

        Args:
            by_class: Whether `by_class` stands in it, too.
        """
        content: dict[str, Any] = {
            "metrics": {line.pop("metric"): line for line in self._lines()},
            "decides": self.metric,
            "runs": [len(self.ours), len(self.theirs)],
            "over": ["training runs", self._groups] if self.is_of_methods else [self._groups],
            "groups": len(self.ours[0].scores[self.metric].groups),
            "verdict": self.decisive.verdict,
            "on_new_classes": self.on_new_classes,
            "words": self.in_words(),
        }
        if by_class:
            content["by_class"] = self.by_class().to_dict("records")
        return json.dumps(content, allow_nan=False)

    @property
    def _groups(self) -> str:
        return many(self.ours[0].group)

    def in_words(self, ours: str = "ours", theirs: str = "theirs") -> str:
        """The verdict in words, with the numbers that it rests on, and what it does not cover.

        Args:
            ours: Name of our side.
            theirs: Name of theirs.
        """
        sentences = self._verdict_on_methods if self.is_of_methods else self._of_two_networks
        return " ".join(sentences(ours, theirs))

    def _of_two_networks(self, ours: str, theirs: str) -> Iterator[str]:
        said = {
            "better": f"{ours} is better than {theirs} on {self._new_groups}",
            "worse": f"{ours} is worse than {theirs} on {self._new_groups}",
            "not shown to differ": f"{ours} and {theirs} are not shown to differ on {self._new_groups}",
            "unknown": f"{ours} against {theirs}: nothing can be said about {self._new_groups}",
        }
        yield f"{said[self.on_new_classes]}: {self._numbers()}."
        yield "No verdict on the methods: one training run each says nothing about new training runs."

    def _verdict_on_methods(self, ours: str, theirs: str) -> Iterator[str]:
        said = {
            "beats": f"{ours} beats {theirs}",
            "loses": f"{ours} loses to {theirs}",
            "not shown to differ": f"{ours} and {theirs} are not shown to differ",
            "no verdict": f"{ours} against {theirs}: no verdict",
        }
        yield f"{said[self.decisive.verdict]}, over new training runs and {self._new_groups}: {self._numbers()}."
        if self.decisive.verdict == "not shown to differ" and self.decisive.detectable:
            yield f"A difference of {signed(self.decisive.detectable)[1:]} points would be shown four times in five."
        if len(self.theirs) == 1:
            yield f"Nothing is said about other training runs of {theirs}: there is one for all."

    @property
    def _new_groups(self) -> str:
        group = self.ours[0].group
        return "new classes of this kind" if group == "class" else f"new {many(group)} of these classes and images"

    def _numbers(self) -> str:
        """Recall@1 +2.3 points [+0.8, +3.9], p = 0.003, 3 training runs, 100 classes."""
        interval = self.interval(self.metric)
        ends = () if interval.low is None or interval.high is None else (interval.low, interval.high)
        bounds = f" [{', '.join(map(signed, ends))}]" if ends else ""
        parts = [f"{metric_name(self.metric)} {signed(interval.mean)} points{bounds}"]
        parts += [p_value(self.p_value)] if self.p_value is not None else []
        parts += [counted(len(self.ours), "training run")] if self.is_of_methods else []
        return ", ".join([*parts, counted(len(self.ours[0].scores[self.metric].groups), self.ours[0].group)])


def compare_embeddings(
    ours: Sequence[Source], theirs: Sequence[Source], measured: Callable[[Stored], Measurement]
) -> PairedComparison:
    """Comparison of embeddings of the same images.

    Args:
        ours: One per training run.
        theirs: As many, in the order of their pairs; or a single one for all.
        measured: Measures embeddings.

    Raises:
        ValueError: Numbers of training runs that don't pair up, other images than those of the first, or what
            `measured` refuses; the message says of which embeddings.
    """
    _refuse_numbers(len(ours), len(theirs))
    first = ours[0].read(None)
    found, images = [_measured(ours[0].name, first, measured)], first.beside
    del first
    for source in (*ours[1:], *theirs):
        stored = aligned(source.read(images), images, (source.name, ours[0].name))
        found.append(_measured(source.name, stored, measured))
    return compare_measurements(found[: len(ours)], found[len(ours) :])


def compare_measurements(ours: Sequence[Measurement], theirs: Sequence[Measurement]) -> PairedComparison:
    """Comparison of what was measured on the same images.

    Args:
        ours: One per training run.
        theirs: As many, in the order of their pairs; or a single one for all.

    Raises:
        ValueError: Numbers of training runs that don't pair up, or classes or their numbers of queries that differ.

    Example:
        >>> from relbench.evaluation.measured import measure
        >>> noise, labels = np.random.default_rng(0).normal(size=(2, 200, 8)), np.repeat(np.arange(20), 10)
        >>> centres = np.random.default_rng(1).normal(size=(20, 8))[labels]
        >>> ours, theirs = (measure(centres + blur * noise[0], labels, ks=(1,)) for blur in (0.5, 0.8))
        >>> said, _, numbers = compare_measurements([ours], [theirs]).in_words("sharp", "blurred").partition(": ")
        >>> print(said)
        sharp is better than blurred on new classes of this kind
        >>> print(numbers.partition(". ")[0])
        Recall@1 +42.5 points [+31.4, +53.6], p < 0.001, 20 classes
    """
    _refuse_numbers(len(ours), len(theirs))
    metrics = [metric for metric in ours[0].scores if all(metric in each.scores for each in (*ours, *theirs))]
    if not metrics:
        raise ValueError("no metric was measured on both sides: measure both alike")
    comparisons = {
        metric: compare([each.scores[metric] for each in ours], [each.scores[metric] for each in theirs])
        for metric in metrics
    }
    return PairedComparison(ours=tuple(ours), theirs=tuple(theirs), comparisons=comparisons)


def _refuse_numbers(ours: int, theirs: int) -> None:
    if ours == 0 or theirs not in (1, ours):
        advice = "; name the side of several training runs first" if theirs > ours == 1 else ""
        raise ValueError(
            f"{ours} training run(s) against {theirs} don't pair up: give as many on each side, in the order of their "
            f"pairs, or a single one to compare all with{advice}"
        )


def _measured(name: str, stored: Stored, measured: Callable[[Stored], Measurement]) -> Measurement:
    try:
        return measured(stored)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {error}") from None
