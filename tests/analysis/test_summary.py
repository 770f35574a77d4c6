"""A hole or an impossible number is refused in one line that names its place, when the summary is made."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from printed_tables import ours, table1
from pydantic import ValidationError
from summaries import LONG, MANY, SPECIAL, STUDY, TEACHER, build

from relbench.analysis.cells import Answer, AnsweredClaim, FilledCell, Ours, PairedDifference
from relbench.analysis.methods import Floor, Method
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison, Interval
from relbench.results.records import Row

Edit = Callable[[Method], Method]
NAN = math.nan


def refusal(summary: Summary, **fields: Any) -> str:
    """The only line of the refusal of a summary with other fields."""
    with pytest.raises(ValidationError) as caught:
        summary.replaced(**fields)
    (problem,) = caught.value.errors()
    message = problem["msg"].removeprefix("Value error, ")
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def study() -> Summary:
    return build()


def with_metric(interval: Interval) -> Edit:
    return lambda method: replace(method, metrics={**method.metrics, "recall@4": interval})


def without_metric(method: Method) -> Method:
    return replace(method, metrics={"recall@1": method.metrics["recall@1"]})


def with_rows(edit: Callable[[Row], Row]) -> Edit:
    return lambda method: replace(method, rows=tuple(map(edit, method.rows)))


def with_comparison(**values: object) -> Edit:
    def edit(method: Method) -> Method:
        assert method.against_teacher is not None
        comparison: Comparison = replace(method.against_teacher, **values)  # type: ignore[arg-type]
        return replace(method, against_teacher=comparison)

    return edit


BAD_METHODS = {
    "metric is nan": (with_metric(Interval(NAN)), "recall@4"),
    "bound is infinite": (with_metric(Interval(0.5, 0.4, math.inf)), "recall@4"),
    "metric is in percent": (with_metric(Interval(52.3)), "recall@4"),
    "metric is missing": (without_metric, "has the metrics recall@1, the teacher recall@1, recall@2"),
    "no runs": (lambda method: replace(method, rows=()), "has no runs"),
    "a run's metric is nan": (
        with_rows(lambda row: row.model_copy(update={"metrics": {**row.metrics, "map@r": NAN}})),
        "map@r is missing",
    ),
    "a run's metric is missing": (with_rows(lambda row: row.model_copy(update={"metrics": {}})), "recall@1 is missing"),
    "history is nan": (
        with_rows(lambda row: row.model_copy(update={"history": ({"step": 1.0, "triplet": NAN},)})),
        "training history",
    ),
    "no comparison": (lambda method: replace(method, against_teacher=None), "no comparison"),
    "difference is nan": (with_comparison(difference=NAN), "not finite"),
    "bound of the difference over both is nan": (with_comparison(interval=Interval(0.1, NAN, 0.2)), "not finite"),
    "bound of the difference is nan": (with_comparison(over_classes=Interval(0.1, NAN, 0.2)), "not finite"),
    "p above one": (with_comparison(p_adjusted=1.2), "impossible p-values"),
    "p is nan": (with_comparison(p_value=NAN), "impossible p-values"),
    "a correction that lowers p": (with_comparison(p_adjusted=0.0), "impossible p-values"),
    "a verdict from one seed": (with_comparison(seeds=1, verdict="beats"), "from a single seed"),
    "a corrected p of none": (with_comparison(p_value=None), "impossible p-values"),
    "unknown verdict": (with_comparison(verdict="wins"), "'wins'"),
    "verdict against its difference": (
        with_comparison(difference=-0.02, verdict="beats"),
        "with a difference of -0.02",
    ),
}


@pytest.mark.parametrize(("edit", "said"), BAD_METHODS.values(), ids=BAD_METHODS)
def test_a_bad_method_is_refused(study: Summary, edit: Edit, said: str) -> None:
    methods = tuple(edit(method) if method.label == "rkd-d" else method for method in study.methods)
    message = refusal(study, methods=methods)
    assert message.startswith("no report of 'quickstart': method 'rkd-d' ")
    assert said in message


def test_a_bad_pair_is_refused(study: Summary) -> None:
    broken = replace(study.pairs[1].comparison, over_classes=Interval(NAN))
    pairs = (study.pairs[0], replace(study.pairs[1], comparison=broken), study.pairs[2])
    assert "pair 'rkd-a' against 'triplet' has a comparison that is not finite" in refusal(study, pairs=pairs)


FLOOR = Floor("raw pixels", "", 0, 1, {"recall@1": Interval(0.2)}, "As they are.")


def test_a_floor_has_the_methods_metrics(study: Summary) -> None:
    said = "floor 'raw pixels' has the metrics recall@1, the teacher recall@1, recall@2"
    assert said in refusal(study, floors={"Glyphs": (FLOOR,)})


def test_a_floor_is_a_share() -> None:
    percent = replace(FLOOR, metrics={"recall@1": Interval(20.0)})
    said = "floor 'raw pixels' has a metric that is not in [0, 1]"
    assert said in refusal(table1(), floors={"CUB-200-2011": (FLOOR, percent)})


def test_the_first_method_is_the_teacher(study: Summary) -> None:
    assert "the first method must be the teacher" in refusal(study, methods=study.methods[1:])


def test_there_are_methods_or_cells(study: Summary) -> None:
    assert "neither methods nor cells" in refusal(study, methods=())
    assert "neither methods nor cells" in refusal(table1(), cells=())


@pytest.mark.parametrize("primary", ["recall@1", "accuracy"])
def test_the_primary_metric_is_needed(study: Summary, primary: str) -> None:
    teacher = replace(study.methods[0], metrics={"map@r": Interval(0.2)})
    assert f"the teacher has no {primary}" in refusal(study, methods=(teacher,), primary=primary)


def test_every_run_of_the_plan_is_needed(study: Summary) -> None:
    last, others = study.methods[-1], study.methods[:-1]
    said = refusal(study, methods=others, entries=tuple(one for one in study.entries if one.label == last.label))
    assert re.search(r"the plan's run [0-9a-f]{16} has no row", said)
    assert min(row.fingerprint for row in last.rows) in said


@pytest.mark.parametrize(
    "made",
    [
        *((STUDY, (0, 1, 2)), (STUDY, (7,)), ((TEACHER,), (0, 1, 2)), (MANY, (0, 1, 2))),
        *((LONG, (0,)), (SPECIAL, (0, 1, 2))),
    ],
)
def test_whole_summaries_pass(made: tuple[Any, tuple[int, ...]]) -> None:
    sketches, seeds = made
    assert [method.label for method in build(sketches, seeds).methods] == [sketch.label for sketch in sketches]


GOOD = ours(0.5, 1, 3)
SINGLE = ours(0.5, 1, 1)


def with_cell(**values: object) -> Callable[[Summary], dict[str, Any]]:
    """An edit of the second cell, whose place is named."""

    def edit(summary: Summary) -> dict[str, Any]:
        first, second, *others = summary.cells
        changed: FilledCell = replace(second, **values)  # type: ignore[arg-type]
        return {"cells": (first, changed, *others)}

    return edit


def with_ours(runs: Ours) -> Callable[[Summary], dict[str, Any]]:
    return with_cell(ours={"last": runs})


def with_difference(answer: Answer, **values: Any) -> dict[str, Any]:
    """A claim of a single comparison."""
    interval = Interval(0.1, 0.05, 0.15)
    given: dict[str, Any] = {"seeds": 3, "over_groups": True, "p_value": 0.02, "p_adjusted": 0.04} | values
    return {"claims": (AnsweredClaim("It is so.", answer, "", PairedDifference(interval, **given)),)}


PLACE = "CUB-200-2011 / ResNet18-16 / Baseline"
BAD_CELLS = {
    "published in percent": (with_cell(published=37.71), f"{PLACE}.*published as 37.71"),
    "published is nan": (with_cell(published=math.nan), f"{PLACE}.*published as nan"),
    "value in percent": (
        with_ours(replace(GOOD, values=(0.5, 0.5, 50.0))),
        r"the value 50.0, .* in \[0, 1\]",
    ),
    "value is nan": (with_ours(replace(GOOD, values=(math.nan, 0.5, 0.5))), "the value nan"),
    "fewer seeds": (with_ours(replace(GOOD, seeds=(0, 1))), "3 values, 2 seeds, 3 steps"),
    "fewer steps": (with_ours(replace(GOOD, steps=(1, 2))), "3 values, 3 seeds, 2 steps"),
    "no seeds": (with_ours(Ours((), (), Interval(0.5), ())), "0 values, 0 seeds, 0 steps"),
    "a seed twice": (with_ours(replace(GOOD, seeds=(0, 1, 1))), "a seed twice: 0, 1, 1"),
    "another's mean": (with_ours(replace(GOOD, interval=Interval(0.6, 0.5, 0.7))), "has the mean 0.6"),
    "nan's mean": (with_ours(replace(GOOD, interval=Interval(math.nan, 0.4, 0.6))), "has the mean nan"),
    "ends upside down": (
        with_ours(replace(GOOD, interval=replace(GOOD.interval, low=0.9, high=0.1))),
        r"has the interval \[0.9, 0.1\]",
    ),
    "end is infinite": (
        with_ours(replace(GOOD, interval=replace(GOOD.interval, high=math.inf))),
        "has the interval",
    ),
    "no ends": (
        with_ours(replace(GOOD, interval=Interval(GOOD.interval.mean))),
        "an interval without bounds",
    ),
    "one seed with ends": (
        with_ours(replace(SINGLE, interval=replace(SINGLE.interval, low=0.0, high=1.0))),
        "has an interval from one seed",
    ),
    "no network": (with_cell(path="", ours={"last": GOOD}), "has no network to train"),
    "a note without network": (with_cell(path="", note="?"), "has no network to train"),
    "an interval in percent": (with_cell(published_interval=0.82 * 100), "published with an interval of 82"),
    "an interval of no number": (
        with_cell(published=None, published_interval=0.01),
        "an interval of 0.01, which must be in .*, and of a number",
    ),
    "our interval in percent": (with_ours(replace(GOOD, over_groups=1.2)), "the interval ± 1.2 over groups of trials"),
    "a doubt of no number": (with_cell(published=None, doubt="?"), "has a doubtful published number, but no such"),
    "a place twice": (
        lambda summary: {"cells": (*summary.cells, summary.cells[1])},
        f"there are 2 numbers at {PLACE}",
    ),
    "no rule": ({"shown": ()}, "rules of selection"),
    "a rule twice": ({"shown": ("last", "last")}, "rules of selection"),
    "an answer against its difference": (with_difference("does not"), r"'does not' with a difference of 0\.1"),
    "an answer by chance unknown": (
        with_difference("holds", p_value=None, p_adjusted=None),
        "the answer 'holds' from a difference of unknown chance",
    ),
    "a correction that helps": (with_difference("holds", p_adjusted=0.01), "impossible p-values: 0.02, corrected 0.01"),
    "unknown answer": ({"claims": (AnsweredClaim("It is so.", "yes", ""),)}, "the answer 'yes'"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("edit", "message"), BAD_CELLS.values(), ids=BAD_CELLS)
def test_a_bad_cell_is_refused(edit: dict[str, Any] | Callable[[Summary], dict[str, Any]], message: str) -> None:
    made = table1()
    said = refusal(made, **(edit(made) if callable(edit) else edit))
    assert re.search(message, said)
    assert said.startswith("no report of 'rkd-table1': ")


BAD_SETTINGS = {
    "unknown scale": ({"scale": "Toy"}, "'full' or 'toy'"),
    "unknown rule": ({"shown": ("best",)}, "'last', 'validation' or 'test'"),
    "unknown field": ({"cell": ()}, "not permitted"),
}


@pytest.mark.parametrize(("fields", "message"), BAD_SETTINGS.values(), ids=BAD_SETTINGS)
def test_a_bad_setting_is_refused(fields: dict[str, Any], message: str) -> None:
    assert message in refusal(table1(), **fields)


@pytest.mark.parametrize(("published", "values"), [(0.0, (0.0, 0.0)), (1.0, (1.0, 1.0)), (None, (0.0, 1.0))])
def test_the_ends_of_what_can_be_are_possible(published: float | None, values: tuple[float, float]) -> None:
    mean = sum(values) / 2
    runs = Ours(values, (0, 1), Interval(mean, mean, mean), (1, 1))
    made = table1()
    changed = made.replaced(**with_cell(published=published, ours={"last": runs})(made))
    assert changed.cells[1].ours["last"].values == values
