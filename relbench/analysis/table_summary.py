"""From rows to a printed table with our numbers in it, and to answers to the paper's claims."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from relbench.analysis.cells import Answer, AnsweredClaim, FilledCell, Ours
from relbench.analysis.floors import FloorSettings, MeasuredFloor, finished_floor, floors_of, lines_of_floors
from relbench.analysis.summary import Summary
from relbench.data import data_title
from relbench.evaluation import claimed_sides, seed_interval
from relbench.grid.tuning import Choice, Request, TuningPlan, transfers_of
from relbench.results.records import Row, Selection
from relbench.results.run_folder import RunFolder
from relbench.studies import TUNING_SEED, Number, PrintedTable
from relbench.studies.printed import Claim
from relbench.transfer import Transfer, finished_transfer

Measured = tuple[int, Mapping[str, float]]  # step, metrics

MAIN = "recall@1"  # what claims are about
PROTOCOL_NOTES = {
    "paper": "Protocol paper: steps, rates and crops of the authors' code, trained on all training classes; rates drop "
    "when PyTorch 1.0, as far as is known, dropped them: an epoch later than in later versions.",
    "fair": "Protocol fair: the same number of steps for every network; for each method a learning rate, chosen with "
    "one of its networks on validation classes, which are a fifth of the training classes and not trained on.",
}
TOY_NOTE = "Scale toy: tiny images, networks and batches, and a few steps; only the order of runs is the protocol's."


@dataclass(frozen=True)
class Results:
    """What is finished of a table.

    Attributes:
        rows: by path and seed.
        transfers: by a number's key and seed, where it is measured on another data set than the network's.
        rates: that were chosen, by the path of the network that they were chosen with.
        floors: what is reached without training, by the data set that it was measured on.
        unrelated_runs: how many finished runs of the folder are not the table's.
    """

    rows: Mapping[tuple[str, int], Row]
    transfers: Mapping[tuple[str, int], Transfer]
    rates: Mapping[str, Choice]
    unrelated_runs: int
    floors: Mapping[str, tuple[MeasuredFloor, ...]] = field(default_factory=dict)

    def metrics_at(self, number: Number, seed: int, rule: Selection) -> Measured | None:
        """What answers to a number, under a rule of selection; None where nothing does."""
        if number.on:
            found = self.transfers.get((number.key, seed)) if rule == "last" else None
            trained = found.asked.experiment if found else None
            return (trained.training.steps if trained else 0, found.metrics) if found else None
        row = self.rows.get((number.path, seed))
        return row.metrics_at(rule) if row else None


def results_of(table: PrintedTable, request: Request, folder: Path) -> Results:
    """Look for the rows that the table asks for, by their names: so that no other row can get in.

    Raises:
        ValueError: a row is damaged, or rows are of different images.
    """
    runs = folder / "runs"
    unfolding = TuningPlan.of(table, request, runs)
    paths = [network.path for network in table.networks if network.data in request.contents]
    asked = {(path, seed): unfolding.run(path, seed) for path in paths for seed in request.seeds}
    found = {place: RunFolder(runs, run).finished() for place, run in asked.items() if run}
    rows = {place: row for place, row in found.items() if row}
    measured = transfers_of(table, request, unfolding, request.seeds).items()
    transfers = {place: one for place, asked in measured if (one := finished_transfer(asked, folder))}
    chose = [row for run in unfolding.tuning_runs(paths) if (row := RunFolder(runs, run).finished())]
    floors = _finished_floors(table, request, folder)
    _refuse_other_images([*rows.values(), *chose], list(transfers.values()), list(chain(*floors.values())))
    own = unfolding.names(paths, request.seeds)
    unrelated_runs = [path for path in runs.glob("*/row.json") if path.parent.name not in own]
    return Results(rows, transfers, unfolding.rates, len(unrelated_runs), floors)


def floors_asked(table: PrintedTable, request: Request) -> dict[str, tuple[FloorSettings, ...]]:
    """The floors of each data set that networks are measured on; untrained is the first student's network."""
    students = [network for network in table.networks if network.teacher] or table.networks
    own = {network.data: network for network in reversed(students)}
    return {
        name: floors_of(request.setup.data(name), request.setup.net(own.get(name, students[0]).net), request.seeds)
        for name in (*request.contents, *request.elsewhere)
    }


def _finished_floors(table: PrintedTable, request: Request, folder: Path) -> dict[str, tuple[MeasuredFloor, ...]]:
    """Those of which all seeds are measured."""
    asked = floors_asked(table, request)
    found = {name: [finished_floor(one, folder) for one in floors] for name, floors in asked.items()}
    return {name: tuple(one for one in floors if one) for name, floors in found.items() if all(floors)}


def _refuse_other_images(rows: Sequence[Row], transfers: Sequence[Transfer], floors: Sequence[MeasuredFloor]) -> None:
    """What is of one data set must be of the same images; fingerprints know the lists, not the files."""
    first: dict[str, tuple[str, str]] = {}
    told = [(f"the run {row.fingerprint}", row.experiment.data.name, row.data_hash) for row in rows]
    told += [(f"the transfer {one.fingerprint}", one.asked.data.name, one.data_hash) for one in transfers]
    told += [(f"the floor {one.fingerprint}", one.settings.data.name, one.data_hash) for one in floors]
    for here, data, images in told:
        there, expected = first.setdefault(data, (here, images))
        if images != expected:
            raise ValueError(f"{here} was made with other images of {data} than {there}: delete the wrong one")


def summarise_table(table: PrintedTable, request: Request, results: Results, shown: Sequence[Selection]) -> Summary:
    """The table of the data sets that were asked for, with what is finished; the rest is empty.

    Raises:
        ValueError: a rule of selection needs validation classes, and there are none.
    """
    check_rule(request, shown)
    cells = tuple(_cell(number, table, request, results, shown) for number in _kept(table, request))
    claims = (claim for claim in table.claims if _data_sets(claim, table) <= request.contents.keys())
    return Summary(
        name=table.name,
        title=table.title,
        primary=MAIN,
        source=table.source,
        variant={"protocol": request.protocol},
        scale=request.scale,
        shown=tuple(shown),
        cells=cells,
        claims=tuple(_answered(claim, table, request, results, shown[0]) for claim in claims),
        notes=tuple(_notes(table, request, results)),
        floors={data_title(name): lines_of_floors(found) for name, found in results.floors.items()},
        changes=_changes(request),
    )


def check_rule(request: Request, shown: Sequence[Selection]) -> None:
    """Refuse to show what no row can tell.

    Raises:
        ValueError: a rule needs validation classes, or that test classes are watched, and they are not there or not.
    """
    if shown[0] != "last" and request.changes.get("training.log_test_metrics") is False:
        raise ValueError(
            "training.log_test_metrics = false: runs then record only the last step: leave --selection out"
        )
    held_out = any(request.setup.data(name).hold_out for name in request.contents)
    if list(shown) == ["validation"] and not held_out:
        raise ValueError(
            f"--selection val: protocol {request.protocol} trains on all training classes, and leaves none to validate "
            "on: use --protocol fair, or --set data.hold_out=true"
        )


def _kept(table: PrintedTable, request: Request) -> list[Number]:
    """Numbers of the data sets that were asked for, and other papers' beside them."""
    asked = {network.path for network in table.networks if network.data in request.contents}
    parts = {number.part for number in table.numbers if number.path in asked}
    return [number for number in table.numbers if number.path in asked or (not number.path and number.part in parts)]


def _cell(
    number: Number, table: PrintedTable, request: Request, results: Results, shown: Sequence[Selection]
) -> FilledCell:
    seeds = _seeds(number, table, request)
    ours = {rule: one for rule in shown if (one := _ours(number, seeds, results, rule))}
    return FilledCell(
        part=number.part,
        row=number.row,
        column=number.column,
        metric=number.metric,
        path=number.path,
        on=number.on,
        published=number.printed,
        ours=ours,
        note=table.network(number.path).note if number.path else "",
    )


def _seeds(number: Number, table: PrintedTable, request: Request) -> tuple[int, ...]:
    return (TUNING_SEED,) if _is_untrained(number, table) else request.seeds


def _is_untrained(number: Number, table: PrintedTable) -> bool:
    """Whether the number is of a network that is the same for every seed."""
    return bool(number.path) and table.network(number.path).recipe is None


def _ours(number: Number, seeds: Sequence[int], results: Results, rule: Selection) -> Ours | None:
    found = {seed: results.metrics_at(number, seed, rule) for seed in seeds}
    finished = {seed: one for seed, one in found.items() if one and number.metric in one[1]}
    if not finished:
        return None
    values = tuple(metrics[number.metric] for _, metrics in finished.values())
    return Ours(values, tuple(finished), seed_interval(values), tuple(step for step, _ in finished.values()))


def _data_sets(claim: Claim, table: PrintedTable) -> set[str]:
    """That the claim's networks are trained on."""
    return {table.network(key.partition("@")[0]).data for pair in claim.better for key in pair}


def _answered(claim: Claim, table: PrintedTable, request: Request, results: Results, rule: Selection) -> AnsweredClaim:
    """A claim holds where every comparison is as claimed; one the other way round refutes it."""
    numbers = {number.key: number for number in table.numbers if number.metric == MAIN}

    def values(key: str) -> dict[int, float]:
        ours = _ours(numbers[key], _seeds(numbers[key], table, request), results, rule)
        if not ours:
            return {}
        if _is_untrained(numbers[key], table):
            return dict.fromkeys(request.seeds, ours.values[0])
        return dict(zip(ours.seeds, ours.values, strict=True))

    sides = claimed_sides([_differences(values(better), values(worse)) for better, worse in claim.better])
    counts = {side: sides.count(side) for side in (1, -1, 0, None)}
    return AnsweredClaim(claim.text, _answer(counts, len(sides)), _detail(counts, len(sides)))


def _differences(better: Mapping[int, float], worse: Mapping[int, float]) -> list[float]:
    """By seed that both have."""
    return [value - worse[seed] for seed, value in better.items() if seed in worse]


def _answer(counts: Mapping[int | None, int], comparisons: int) -> Answer:
    if counts[-1]:
        return "does not"
    return "holds" if counts[1] == comparisons else "not enough runs"


def _detail(counts: Mapping[int | None, int], comparisons: int) -> str:
    words = {1: "as claimed", -1: "the other way round", 0: "not yet told apart", None: "with too few runs"}
    told = [f"{count} {words[side]}" for side, count in counts.items() if count]
    return f"{comparisons} comparison{'s' if comparisons > 1 else ''}: {', '.join(told)}"


def _notes(table: PrintedTable, request: Request, results: Results) -> Iterator[str]:
    if request.changes:
        yield f"Changed from the protocol, so its notes do not apply to: {_changes(request)}."
    if request.scale == "toy":
        yield TOY_NOTE
    else:
        yield PROTOCOL_NOTES[request.protocol]
        yield from table.paper_notes if request.protocol == "paper" else ()
    yield from table.notes
    for path, choice in results.rates.items():
        if table.network(path).data in request.contents:
            yield _rate_note(path, choice)
    if results.unrelated_runs:
        one = results.unrelated_runs == 1
        here = (
            "1 finished run of this folder has"
            if one
            else f"{results.unrelated_runs} finished runs of this folder have"
        )
        yield f"{here} other settings, seeds or protocols, and {'is' if one else 'are'} not in this table."


def _changes(request: Request) -> str:
    return ", ".join(f"{key} = {value}" for key, value in request.changes.items())


def _rate_note(path: str, choice: Choice) -> str:
    tried = ", ".join(f"{100 * recall:.1f} at {rate:g}" for rate, recall in choice.recalls.items())
    tried += "".join(f", training failed at {rate:g}" for rate in choice.diverged)
    end = ", at the end of the range tried" if choice.at_an_end else ""
    return f"Learning rate of {path}: {choice.rate:g}{end} (Recall@1 on validation classes, %: {tried})."
