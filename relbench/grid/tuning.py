"""Learning rates that are chosen on validation images, for any study whose runs have some to choose from.

A run's learning rate may not be known before others are finished, so a plan grows: `TuningPlan` knows the runs that can
be told from what is finished.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from relbench.experiment import Experiment
from relbench.resolve import resolve
from relbench.results.records import Row
from relbench.studies.study import Study

TUNING_SEED = 0

Finished = Callable[[Experiment], Row | None]  # the row of a run, if it is finished


@dataclass(frozen=True)
class Choice:
    """A learning rate that was chosen on validation images.

    Attributes:
        rate: the one that was chosen.
        scores: by rate, the primary metric on validation images after the last step.
        diverged: rates at which the training failed.
    """

    rate: float
    scores: Mapping[float, float]
    diverged: tuple[float, ...] = ()

    @property
    def at_an_end(self) -> bool:
        """Whether a rate beyond those tried might be better still; one where training fails would not."""
        return self.rate == min((*self.scores, *self.diverged)) or self.rate == max((*self.scores, *self.diverged))


class TuningPlan:
    """The runs of a study, as far as their learning rates are known.

    Args:
        study: with its data pinned.
        finished: returns the row of a finished run.
        diverged: fingerprints of runs whose training fails: no rate is chosen by them.

    Attributes:
        study: the same.
        choices: learning rates that were chosen, by the path of the run that they were chosen with.
    """

    def __init__(self, study: Study, finished: Finished, diverged: Collection[str] = ()) -> None:
        self.study, self._finished, self._diverged = study, finished, diverged
        self.choices: dict[str, Choice] = {}
        self._known: dict[tuple[str, int, float | None], Experiment] = {}

    def run(self, path: str, seed: int) -> Experiment | None:
        """The run of a path; None where it is not known yet, or nothing is trained."""
        if not self.study.runs[path].stages or not self.is_decided(path):
            return None
        choice = self.choices.get(self.study.rates_of(path)[0])
        return self.trained(path, seed, choice.rate if choice else None)

    def is_decided(self, path: str) -> bool:
        """Whether the learning rate is known; it is chosen now, if the runs to choose by are finished."""
        tuned, rates = self.study.rates_of(path)
        if not rates or tuned in self.choices:
            return True
        candidates = self.candidates(tuned)
        diverged = tuple(rate for rate, run in candidates.items() if run.fingerprint in self._diverged)
        rows = {rate: self._finished(run) for rate, run in candidates.items() if rate not in diverged}
        finished = {rate: row for rate, row in rows.items() if row}
        if not finished or len(finished) < len(rows):
            return False
        self.choices[tuned] = _chosen(finished, diverged)
        return True

    def candidates(self, tuned: str) -> dict[float, Experiment]:
        """By learning rate, the runs to choose from; none while the teacher's is not chosen."""
        runs = {rate: self.trained(tuned, TUNING_SEED, rate) for rate in self.study.runs[tuned].rates}
        return {rate: run for rate, run in runs.items() if run}

    def tuning_runs(self, paths: Sequence[str]) -> list[Experiment]:
        """The runs by which these runs' learning rates were chosen, or are to be."""
        tuned = dict.fromkeys(self.study.rates_of(path)[0] for path in paths)
        return [run for path in tuned for run in self.candidates(path).values()]

    def likely(self, path: str, seed: int, rate: float | None = None) -> Experiment:
        """A run as it may turn out to be, with the first learning rates of those there are."""
        run = self.run(path, seed)
        if run:
            return run
        first = next(iter(self.study.rates_of(path)[1]), None)
        grounds = [self.likely(ground, seed) if ground else None for ground in self.grounds(path)]
        return self._resolved(path, seed, rate or first, *grounds)

    def trained(self, path: str, seed: int, rate: float | None) -> Experiment | None:
        """A run with a learning rate; None while that of its teacher, or of what it starts from, is not chosen."""
        name = (path, seed, rate)
        if name not in self._known:
            grounds = [self.run(ground, seed) if ground else None for ground in self.grounds(path)]
            if any(ground and not run for ground, run in zip(self.grounds(path), grounds, strict=True)):
                return None
            self._known[name] = self._resolved(path, seed, rate, *grounds)
        return self._known[name]

    def grounds(self, path: str) -> tuple[str, str]:
        """Paths of a run's teacher and of what it starts from; "" for none."""
        return self.study.runs[path].teacher, self.study.runs[path].starts_from

    def _resolved(
        self, path: str, seed: int, rate: float | None, teacher: Experiment | None, start: Experiment | None
    ) -> Experiment:
        """As it is run: checked, and with what its losses look at filled in."""
        *earlier, last = self.study.trainings(path, seed, rate, teacher, start)
        for stage in earlier:
            resolve(stage, stage_label(path))
        return resolve(last, path)


def stage_label(label: str) -> str:
    """The label of the training that a run goes on from."""
    return f"{label}, first stage"


def _chosen(rows: Mapping[float, Row], diverged: tuple[float, ...]) -> Choice:
    """The rate with the best primary metric on validation images after the last step; of equal ones, the lowest."""
    scores = {rate: rows[rate].validation[rows[rate].primary] for rate in sorted(rows)}
    return Choice(max(scores, key=lambda rate: scores[rate]), scores, diverged)
