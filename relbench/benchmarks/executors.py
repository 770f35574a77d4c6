"""What executors of a grid cost: the same short runs by processes and by a Ray cluster of this machine, two at once.

By the time on the clock, as it is what a grid saves; both take turns. The first runs of each are not among those that
are compared: they wait for processes that start and load torch, and are told apart.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from relbench.benchmarks.figure import Figure
from relbench.benchmarks.timing import ratio, seconds
from relbench.data import find_data_set
from relbench.experiment import Experiment
from relbench.grid.cluster.connection import LOCAL, connected
from relbench.grid.cluster.executor import Cluster
from relbench.grid.cluster.share import Share
from relbench.grid.executors import Executor, Processes
from relbench.grid.scheduler import Schedule, run_grid
from relbench.resolve import resolve
from relbench.results.records import Row
from relbench.studies import build_study
from relbench.studies.changes import with_values

AT_ONCE = 2
"""Runs at once, each on a core of its own."""

TOY: Mapping[str, Any] = {
    "data.train_classes": 40,
    "data.test_classes": 12,
    "student.steps": 40,
    "student.validate_every": 20,
}
"""Changes of the quick start: a run takes a second or two."""

WITHOUT_RAY = "Ray is not installed (pip install 'relbench-kd[cluster]'), so that a cluster was not measured"


def figures(rounds: int = 3, runs: int = 4, values: Mapping[str, Any] = TOY) -> Iterator[Figure]:
    """Start-up of each executor, and their times of a grid as a ratio.

    Args:
        rounds: grids of each executor.
        runs: of a grid.
        values: of the quick start, as `--set` takes them.
    """
    with TemporaryDirectory(prefix="relbench-executors-") as name, ExitStack() as stack:
        grids = Grids(Path(name), Path(name), values)
        executors = dict[str, Executor]()
        for kind, begin in _kinds(Path(name)).items():
            start = time.perf_counter()
            executors[kind] = stack.enter_context(begin)
            grids.made(executors[kind], kind, range(AT_ONCE))
            began = time.perf_counter() - start
            yield Figure(name=f"{kind}: start, and the first {AT_ONCE} runs", value=began, unit="s")
        seeds = [range(first, first + runs) for first in range(AT_ONCE, AT_ONCE + rounds * runs, runs)]
        taken = [{kind: grids.made(each, kind, part) for kind, each in executors.items()} for part in seeds]
    yield from _compared({kind: [each[kind] for each in taken] for kind in executors}, runs)


def _kinds(folder: Path) -> dict[str, AbstractContextManager[Executor]]:
    kinds: dict[str, AbstractContextManager[Executor]] = {"processes": Processes(AT_ONCE)}
    if find_spec("ray"):
        kinds["Ray cluster"] = _cluster(folder / "Ray cluster")
    return kinds


@contextmanager
def _cluster(runs: Path) -> Iterator[Executor]:
    with connected(LOCAL), Cluster(Share(cpus=1, gpus=0), runs, AT_ONCE) as executor:
        yield executor


def _compared(times: Mapping[str, Sequence[float]], runs: int) -> Iterator[Figure]:
    said = f"{runs} toy runs, {AT_ONCE} at once"
    for kind, taken in times.items():
        yield seconds(f"{said}, {kind}", taken, "" if len(times) > 1 else WITHOUT_RAY)
    if "Ray cluster" in times:
        pairs = zip(times["Ray cluster"], times["processes"], strict=True)
        yield ratio(f"{said}: a Ray cluster's time, times that of processes", times["Ray cluster"], times["processes"])
        yield seconds(
            "what a run costs more on a Ray cluster", [(above - below) * AT_ONCE / runs for above, below in pairs]
        )


class Grids:
    """Grids of short runs without teachers, which differ in their seed alone.

    Args:
        folder: holds a folder of runs for each executor.
        data: holds data sets; what is rendered for the quick start is made now, if it is not there.
        values: of the quick start.
    """

    def __init__(self, folder: Path, data: Path, values: Mapping[str, Any]) -> None:
        self._folder, self._data, study = folder, data, with_values(build_study("quickstart"), values)
        (name,) = study.data_sets
        found = find_data_set(name, data)
        self._study = study.with_contents({name: found.content(data)})
        found.load(self._run(0).data, data, iter)

    def _run(self, seed: int) -> Experiment:
        return resolve(self._study.trainings("triplet", seed, None, None)[-1], "triplet")

    def made(self, executor: Executor, kind: str, seeds: Sequence[int]) -> float:
        """Seconds on the clock that an executor takes for the runs of these seeds.

        Raises:
            RuntimeError: a run has failed.
        """
        runs = self._folder / kind
        schedule = Schedule.of([self._run(seed) for seed in seeds], runs)
        start = time.perf_counter()
        run_grid(executor, schedule, runs, self._data, _Nobody())
        taken = time.perf_counter() - start
        if schedule.failures:
            raise RuntimeError(f"{kind}: {next(iter(schedule.failures.values()))}")
        return taken


class _Nobody:
    """Watches a grid and says nothing."""

    def started(self, folders: Mapping[str, Path]) -> None:
        """Runs are under way."""

    def finished(self, fingerprint: str, row: Row) -> None:
        """A run has its row."""

    def failed(self, fingerprint: str, error: str) -> None:
        """A run has failed, which is noted."""

    def tried_again(self, fingerprints: Sequence[str], why: str) -> None:
        """Runs are tried again."""
