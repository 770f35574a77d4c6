"""From a printed table to the runs that answer to its numbers.

Under some protocols a run's learning rate is not known before others are finished, so a plan grows: `TuningPlan` tells
the runs that can be told from what is finished, and what must still be decided.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, ValidationError

from relbench.experiment import Experiment, one_line
from relbench.resolve import resolve
from relbench.results.records import Record, Row
from relbench.results.run_folder import RunFolder
from relbench.studies import TUNING_SEED, Cell, Network, Number, PrintedTable, ProtocolName, Scale, Setup
from relbench.transfer import TransferSpec

Finished = Callable[[Experiment], Row | None]  # the row of a run, if it is finished


@dataclass(frozen=True)
class Choice:
    """A learning rate that was chosen on validation classes.

    Attributes:
        rate: the one that was chosen.
        recalls: by rate, Recall@1 on validation classes after the last step.
        diverged: rates at which the training failed.
    """

    rate: float
    recalls: Mapping[float, float]
    diverged: tuple[float, ...] = ()

    @property
    def at_an_end(self) -> bool:
        """Whether a rate beyond those tried might be better still; one where training fails would not."""
        return self.rate == min((*self.recalls, *self.diverged)) or self.rate == max((*self.recalls, *self.diverged))


class Request(Record):
    """What was asked of a table so far: enough to find its rows again."""

    study: str
    protocol: ProtocolName
    scale: Scale
    device: Literal["cpu", "cuda"]
    changes: dict[str, JsonValue]
    contents: dict[str, str]  # of the data sets that runs were asked for: which images, which split
    elsewhere: dict[str, str] = Field(default_factory=dict)  # likewise, of those that networks are only measured on
    seeds: tuple[int, ...]
    diverged: tuple[str, ...] = ()  # fingerprints of runs by which rates should have been chosen, but that diverged

    @property
    def setup(self) -> Setup:
        """The conditions that all runs share."""
        changes = {key: tuple(value) if isinstance(value, list) else value for key, value in self.changes.items()}
        return Setup(self.protocol, self.scale, self.device, changes, self.elsewhere | self.contents)

    def merged(self, earlier: "Request") -> "Request | None":
        """Both requests as one; None where they are not of one table."""
        same = ("study", "protocol", "scale", "device", "changes")
        if any(getattr(self, name) != getattr(earlier, name) for name in same):
            return None
        contents = _joined_contents(self.contents, earlier.contents)
        elsewhere = _joined_contents(self.elsewhere, earlier.elsewhere)
        if contents is None or elsewhere is None:
            return None
        together = {
            "contents": contents,
            "elsewhere": elsewhere,
            "seeds": tuple(sorted({*earlier.seeds, *self.seeds})),
            "diverged": tuple(sorted({*earlier.diverged, *self.diverged})),
        }
        return self.model_copy(update=together)


def _joined_contents(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str] | None:
    """What either says of the data sets; None where they contradict each other. Nothing is said by ""."""
    known = {name: content for name, content in one.items() if content}
    if any(content not in ("", known.get(name, content)) for name, content in other.items()):
        return None
    return {**one, **other, **known}


def selected(table: PrintedTable, data: Collection[str], only: Sequence[str]) -> tuple[str, ...]:
    """Paths of the networks that answer to the numbers asked for.

    Args:
        table: where they stand.
        data: names of data sets that are trained on.
        only: patterns such as "cub200/*/64"; without any, all.

    Raises:
        ValueError: a pattern matches nothing; one line.
    """
    paths = dict.fromkeys(number.path for number in table.numbers if number.path)
    here = [path for path in paths if table.network(path).data in data]
    for pattern in only:
        if not any(fnmatchcase(path, pattern) for path in here):
            near = get_close_matches(pattern, here, n=3)
            advice = f"did you mean {' or '.join(near)}?" if near else f"write {here[0]}, or a pattern such as */64"
            raise ValueError(f"--only {pattern!r} matches no cell of {table.name}: {advice}")
    return tuple(path for path in here if not only or any(fnmatchcase(path, pattern) for pattern in only))


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


class TuningPlan:
    """What is known of a table's runs.

    Args:
        table: the table.
        setup: the conditions.
        finished: gives the row of a finished run.
        diverged: fingerprints of runs whose training fails: no rate is chosen by them.

    Attributes:
        rates: learning rates that were chosen, by the path of the network that they were chosen with.
    """

    def __init__(
        self,
        table: PrintedTable,
        setup: Setup,
        finished: Finished,
        diverged: Collection[str] = (),
    ) -> None:
        self._table, self._setup, self._finished, self._diverged = table, setup, finished, diverged
        self.rates: dict[str, Choice] = {}
        self._known: dict[tuple[str, int, float | None], Experiment] = {}

    @classmethod
    def of(cls, table: PrintedTable, request: Request, runs: Path) -> "TuningPlan":
        """What is known of the runs by what is finished in a folder of runs."""

        def finished(run: Experiment) -> Row | None:
            return RunFolder(runs, run).finished()

        return cls(table, request.setup, finished, request.diverged)

    def run(self, path: str, seed: int) -> Experiment | None:
        """The run that answers for a network; None where it is not known yet, or nothing is trained."""
        network = self._table.network(path)
        if network.recipe is None or not self._decided(network):
            return None
        choice = self.rates.get(_tuned(network))
        return self._trained(network, seed, choice.rate if choice else None)

    def cells(self, paths: Sequence[str], seeds: Sequence[int]) -> list[Cell | PendingRun]:
        """These networks' runs and all that they need, each once, what others build on before them."""
        found: dict[str, Cell | PendingRun] = {}
        for seed in seeds:
            for path in paths:
                for cell in self._needed(self._table.network(path), seed):
                    found.setdefault(cell.name, cell)
        return list(found.values())

    def names(self, paths: Sequence[str], seeds: Sequence[int]) -> set[str]:
        """Of all runs that these networks ever needed: those that learning rates were chosen by among them."""
        needed = {cell.name for cell in self.cells(paths, seeds)}
        return needed | {stage.fingerprint for run in self.tuning_runs(paths) for stage in run.stages}

    def tuning_runs(self, paths: Sequence[str]) -> list[Experiment]:
        """The runs by which these networks' learning rates were chosen, or are to be."""
        tuned = dict.fromkeys(_tuned(self._table.network(path)) for path in paths)
        return [run for path in tuned for run in self._candidates(self._table.network(path)).values()]

    def _needed(self, network: Network, seed: int) -> Iterator[Cell | PendingRun]:
        if network.recipe is None:
            return
        yield from self._tuning(self._table.network(_tuned(network)))
        if network.teacher:
            yield from self._needed(self._table.network(network.teacher), seed)
        run = self.run(network.path, seed)
        if run:
            teaches = any(one.teacher == network.path for one in self._table.networks)
            yield from _stages(network.path, "teacher" if teaches else "student", run)
        else:
            yield PendingRun(network.path, self._like(network, seed))

    def _tuning(self, tuned: Network) -> Iterator[Cell | PendingRun]:
        """The runs that a learning rate is still to be chosen by, with what they need."""
        if self._decided(tuned):
            return
        if tuned.teacher:
            yield from self._needed(self._table.network(tuned.teacher), TUNING_SEED)
        known = self._candidates(tuned)
        for rate in self._setup.rates(tuned):
            label = f"{tuned.path} at {rate:g}"
            if rate in known:
                yield from _stages(label, "tuning", known[rate])
            else:
                yield PendingRun(label, self._like(tuned, TUNING_SEED, rate))

    def _decided(self, network: Network) -> bool:
        """Whether the learning rate is known; it is chosen now, if the runs to choose by are finished."""
        tuned = self._table.network(_tuned(network))
        if not self._setup.rates(tuned) or tuned.path in self.rates:
            return True
        candidates = self._candidates(tuned)
        diverged = tuple(rate for rate, run in candidates.items() if run.fingerprint in self._diverged)
        rows = {rate: self._finished(run) for rate, run in candidates.items() if rate not in diverged}
        finished = {rate: row for rate, row in rows.items() if row}
        if not finished or len(finished) < len(rows):
            return False
        self.rates[tuned.path] = _chosen(finished, diverged)
        return True

    def _candidates(self, tuned: Network) -> dict[float, Experiment]:
        """By learning rate, the runs to choose from; none while the teacher's is not chosen."""
        runs = {rate: self._trained(tuned, TUNING_SEED, rate) for rate in self._setup.rates(tuned)}
        return {rate: run for rate, run in runs.items() if run}

    def _like(self, network: Network, seed: int, rate: float | None = None) -> Experiment:
        """A run as it may turn out to be, with the first learning rates of those there are."""
        run = self.run(network.path, seed)
        if run:
            return run
        teacher = self._like(self._table.network(network.teacher), seed) if network.teacher else None
        rates = self._setup.rates(self._table.network(_tuned(network)))
        return _experiment(network, self._setup, seed, rate or next(iter(rates), None), teacher)

    def _trained(self, network: Network, seed: int, rate: float | None) -> Experiment | None:
        """A network's run with a learning rate; None while its teacher's is not chosen."""
        name = (network.path, seed, rate)
        if name not in self._known:
            teacher = self.run(network.teacher, seed) if network.teacher else None
            if network.teacher and not teacher:
                return None
            self._known[name] = _experiment(network, self._setup, seed, rate, teacher)
        return self._known[name]


def _tuned(network: Network) -> str:
    """Path of the network that its learning rate is chosen with."""
    return network.tuned_at or network.path


def _stages(label: str, role: Literal["teacher", "student", "tuning"], run: Experiment) -> Iterator[Cell]:
    """A run, after the training that it goes on from."""
    if run.initialized_from:
        yield Cell(f"{label}, first stage", "stage", run.initialized_from)
    yield Cell(label, role, run)


def _chosen(rows: Mapping[float, Row], diverged: tuple[float, ...]) -> Choice:
    """The rate with the best Recall@1 on validation classes after the last step; of equal ones, the lowest."""
    recalls = {rate: rows[rate].validation[rows[rate].primary] for rate in sorted(rows)}
    return Choice(max(recalls, key=lambda rate: recalls[rate]), recalls, diverged)


def _experiment(
    network: Network, setup: Setup, seed: int, rate: float | None, teacher: Experiment | None
) -> Experiment:
    """As it is run: checked, and with what its losses look at filled in."""
    assert network.recipe is not None
    terms = [some for some in (network.recipe.first, network.recipe.terms) if some]
    run: Experiment | None = None
    shared: dict[str, Any] = {"data": setup.data(network.data), "net": setup.net(network.net), "scale": setup.scale}
    for own, protocol in zip(terms, setup.stages(network, rate), strict=True):
        try:
            run = Experiment(terms=own, training=protocol, seed=seed, teacher=teacher, initialized_from=run, **shared)
        except ValidationError as error:
            raise ValueError(one_line(error)) from None
    assert run is not None
    return resolve(Cell(network.path, "student", run)).experiment


def transfers_of(
    table: PrintedTable, request: Request, unfolding: TuningPlan, seeds: Sequence[int]
) -> dict[tuple[str, int], TransferSpec]:
    """What is to be measured on other data sets than its own, by the number's key and the seed.

    Networks that are not trained are the same for all seeds, and are measured once.
    """
    asked: dict[tuple[str, int], TransferSpec] = {}
    for number in table.numbers:
        network = table.network(number.path) if number.on in request.elsewhere else None
        if network and network.data in request.contents:
            for seed in seeds if network.recipe else (TUNING_SEED,):
                one = _asked(number, network, request.setup, unfolding, seed)
                if one:
                    asked[number.key, seed] = one
    return asked


def _asked(number: Number, network: Network, setup: Setup, unfolding: TuningPlan, seed: int) -> TransferSpec | None:
    data, run = setup.data(number.on), unfolding.run(network.path, seed)
    if network.recipe:
        return TransferSpec.of(run, data) if run else None
    net, device = setup.net(network.net), setup.device
    return TransferSpec(experiment=None, net=net, seed=seed, data=data, device=device, scale=setup.scale)
