"""From a study, and what is finished of it, to the runs that answer to its table."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Literal

from relbench.experiment import Experiment
from relbench.grid.tuning import TUNING_SEED, TuningPlan, stage_label
from relbench.models import planned
from relbench.results.records import Role
from relbench.studies.study import Cell, PlannedRun, Study
from relbench.transfer import TransferSpec


@dataclass(frozen=True)
class PendingRun:
    """A run whose learning rate, or whose teacher's, is not chosen yet.

    Attributes:
        label: what it is called.
        experiment: one of those that it may turn out to be.
    """

    label: str
    experiment: Experiment

    @property
    def name(self) -> str:
        """Of this run alone; no fingerprint has a space."""
        return f"{self.label} {self.experiment.seed}"


def selected(study: Study, data: Collection[str], only: Sequence[str]) -> tuple[str, ...]:
    """Paths of the runs that are asked for.

    Args:
        study: where they stand.
        data: names of data sets that are trained on.
        only: patterns such as "cub200/*/64"; without any, all.

    Raises:
        ValueError: a pattern matches nothing; one line.
    """
    paths = dict.fromkeys(cell.run for cell in study.cells if cell.run) or study.runs
    here = [path for path in paths if study.runs[path].data.name in data]
    for pattern in only:
        if not any(fnmatchcase(path, pattern) for path in here):
            near = get_close_matches(pattern, here, n=3)
            advice = (
                f"did you mean {' or '.join(near)}?" if near else f"write {here[0]}, or a pattern such as {here[-1]!r}"
            )
            raise ValueError(f"--only {pattern!r} matches no run of {study.name}: {advice}")
    found = tuple(path for path in here if not only or any(fnmatchcase(path, pattern) for pattern in only))
    return found if study.cells else (*_compared_with(study, found), *found)


def _compared_with(study: Study, paths: Collection[str]) -> list[str]:
    """Teachers that these runs are judged against: without cells, the table's lines are comparisons with them."""
    pairs = [pair for claim in study.claims for pair in claim.better]
    others = dict.fromkeys(other for own, other in pairs if own in paths and study.runs[other].role == "teacher")
    return [other for other in others if other not in paths]


def planned_runs(tuning: TuningPlan, paths: Sequence[str], seeds: Sequence[int]) -> list[PlannedRun | PendingRun]:
    """These paths' runs and all that they need, each once, what others build on before them.

    Raises:
        ValueError: a seed or setting is impossible; one line that names the run.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds = {', '.join(map(str, seeds)) or 'none'}: name at least one, each once")
    found: dict[str, PlannedRun | PendingRun] = {}
    for seed in seeds:
        for path in paths:
            for run in _needed(tuning, path, seed):
                found.setdefault(run.name, run)
    return list(found.values())


def names_of(tuning: TuningPlan, paths: Sequence[str], seeds: Sequence[int]) -> set[str]:
    """Names of all runs that these paths ever needed: those that learning rates were chosen by among them."""
    needed = {run.name for run in planned_runs(tuning, paths, seeds)}
    return needed | {stage.fingerprint for run in tuning.tuning_runs(paths) for stage in run.stages}


def _needed(tuning: TuningPlan, path: str, seed: int) -> Iterator[PlannedRun | PendingRun]:
    spec = tuning.study.runs[path]
    if not spec.stages:
        return
    yield from _tuning(tuning, tuning.study.rates_of(path)[0])
    yield from _grounds(tuning, path, seed)
    run = tuning.run(path, seed)
    if run:
        yield from _stages(path, spec.role, run)
    else:
        yield PendingRun(path, tuning.likely(path, seed))


def _grounds(tuning: TuningPlan, path: str, seed: int) -> Iterator[PlannedRun | PendingRun]:
    """A run's teacher, and what it starts from, with what these need."""
    for ground in dict.fromkeys(tuning.grounds(path)):
        if ground:
            yield from _needed(tuning, ground, seed)


def _tuning(tuning: TuningPlan, tuned: str) -> Iterator[PlannedRun | PendingRun]:
    """The runs that a learning rate is still to be chosen by, with what they need."""
    if tuning.is_decided(tuned):
        return
    spec = tuning.study.runs[tuned]
    yield from _grounds(tuning, tuned, TUNING_SEED)
    known = tuning.candidates(tuned)
    for rate in spec.rates:
        label = f"{tuned} at {rate:g}"
        if rate in known:
            yield from _stages(label, "tuning", known[rate])
        else:
            yield PendingRun(label, tuning.likely(tuned, TUNING_SEED, rate))


def _stages(label: str, role: Role | Literal["tuning"], run: Experiment) -> Iterator[PlannedRun]:
    """A run, after the training that it goes on from."""
    if run.initialized_from:
        yield PlannedRun(stage_label(label), "stage", run.initialized_from)
    yield PlannedRun(label, role, run)


def planned_transfers(
    tuning: TuningPlan, trained_on: Collection[str], measured_on: Collection[str], seeds: Sequence[int]
) -> dict[tuple[str, int], TransferSpec]:
    """Measurements on other data sets than a run's own, by the cell's key and the seed.

    Networks that are not trained are the same for all seeds, and are measured once.

    Args:
        tuning: of the study whose cells ask for them.
        trained_on: names of the data sets there are to train on.
        measured_on: names of the data sets there are to measure on.
        seeds: of the runs.
    """
    asked: dict[tuple[str, int], TransferSpec] = {}
    for cell in tuning.study.cells:
        spec = tuning.study.runs[cell.run] if cell.on in measured_on else None
        if spec and spec.data.name in trained_on:
            for seed in seeds if spec.stages else (TUNING_SEED,):
                if transfer := _transfer(tuning, cell, seed):
                    asked[cell.key, seed] = transfer
    return asked


def _transfer(tuning: TuningPlan, cell: Cell, seed: int) -> TransferSpec | None:
    study, data = tuning.study, tuning.study.other_data[cell.on]
    spec = study.runs[cell.run]
    if spec.stages:
        run = tuning.run(cell.run, seed)
        return TransferSpec.of(run, data) if run else None
    return TransferSpec(
        experiment=None,
        task=spec.task,
        net=planned(spec.net),
        seed=seed,
        data=data,
        device=spec.training.device,
        scale=study.scale,
        code_version=study.code_version,
    )
