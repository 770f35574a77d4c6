"""A hole or an impossible number is refused in one line that names the method; nothing is written."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from relbench.analysis.summary import Method, Summary
from relbench.evaluation.comparison import Comparison, Interval
from relbench.report import write_report
from relbench.report.checking import refuse_incomplete
from relbench.results.records import Row

Edit = Callable[[Method], Method]


def with_metric(interval: Interval) -> Edit:
    return lambda method: dataclasses.replace(method, metrics={**method.metrics, "recall@4": interval})


def without_metric(method: Method) -> Method:
    return dataclasses.replace(method, metrics={"recall@1": method.metrics["recall@1"]})


def with_rows(edit: Callable[[Row], Row]) -> Edit:
    return lambda method: dataclasses.replace(method, rows=tuple(map(edit, method.rows)))


def with_comparison(**values: object) -> Edit:
    def edit(method: Method) -> Method:
        assert method.against_teacher is not None
        comparison: Comparison = dataclasses.replace(method.against_teacher, **values)  # type: ignore[arg-type]
        return dataclasses.replace(method, against_teacher=comparison)

    return edit


NAN = math.nan
BAD = {
    "metric is nan": (with_metric(Interval(NAN)), "recall@4"),
    "bound is infinite": (with_metric(Interval(0.5, 0.4, math.inf)), "recall@4"),
    "metric is in percent": (with_metric(Interval(52.3)), "recall@4"),
    "metric is missing": (without_metric, "has the metrics recall@1, the teacher recall@1, recall@2"),
    "no runs": (lambda method: dataclasses.replace(method, rows=()), "has no runs"),
    "a run's metric is nan": (
        with_rows(lambda row: row.model_copy(update={"metrics": {**row.metrics, "map@r": NAN}})),
        "map@r is missing",
    ),
    "a run's metric is missing": (with_rows(lambda row: row.model_copy(update={"metrics": {}})), "recall@1 is missing"),
    "history is nan": (
        with_rows(lambda row: row.model_copy(update={"history": ({"step": 1.0, "triplet": NAN},)})),
        "training history",
    ),
    "no comparison": (lambda method: dataclasses.replace(method, against_teacher=None), "no comparison"),
    "difference is nan": (with_comparison(difference=NAN), "not finite"),
    "bound of the difference is nan": (with_comparison(over_queries=Interval(0.1, NAN, 0.2)), "not finite"),
    "p above one": (with_comparison(p_adjusted=1.2), "impossible p-values"),
    "p is nan": (with_comparison(p_over_queries=NAN), "impossible p-values"),
    "a correction that lowers p": (with_comparison(p_adjusted=0.0), "impossible p-values"),
    "a verdict from one seed": (with_comparison(seeds=1, verdict="beats"), "from a single seed"),
    "a corrected p of none": (with_comparison(p_over_seeds=None), "impossible p-values"),
    "unknown verdict": (with_comparison(verdict="wins"), "'wins'"),
    "verdict against its difference": (
        with_comparison(difference=-0.02, verdict="beats"),
        "with a difference of -0.02",
    ),
}


@pytest.mark.parametrize(("edit", "said"), BAD.values(), ids=BAD)
def test_a_bad_method_is_refused(study: Summary, edit: Edit, said: str, tmp_path: Path) -> None:
    methods = tuple(edit(method) if method.label == "rkd-d" else method for method in study.methods)
    with pytest.raises(ValueError, match=r"^no report of 'quickstart': method 'rkd-d' ") as error:
        write_report(dataclasses.replace(study, methods=methods), tmp_path / "report")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "report").exists()


def test_a_bad_pair_is_refused(study: Summary) -> None:
    broken = dataclasses.replace(study.pairs[1].comparison, over_queries=Interval(NAN))
    pairs = (study.pairs[0], dataclasses.replace(study.pairs[1], comparison=broken), study.pairs[2])
    with pytest.raises(ValueError, match=r"pair 'rkd-a' against 'triplet' has a comparison that is not finite"):
        refuse_incomplete(dataclasses.replace(study, pairs=pairs))


def test_the_first_method_is_the_teacher(study: Summary) -> None:
    for methods in ((), study.methods[1:]):
        with pytest.raises(ValueError, match="the first method must be the teacher"):
            refuse_incomplete(dataclasses.replace(study, methods=methods))


def test_recall_at_1_is_needed(study: Summary) -> None:
    teacher = dataclasses.replace(study.methods[0], metrics={"map@r": Interval(0.2)})
    with pytest.raises(ValueError, match="the teacher has no recall@1"):
        refuse_incomplete(dataclasses.replace(study, methods=(teacher,)))


def test_every_run_of_the_plan_is_needed(study: Summary) -> None:
    with pytest.raises(ValueError, match=r"the plan's run [0-9a-f]{16} has no row"):
        refuse_incomplete(dataclasses.replace(study, methods=study.methods[:-1]))


def test_whole_summaries_pass(any_summary: Summary) -> None:
    refuse_incomplete(any_summary)
