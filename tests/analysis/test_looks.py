"""Tables whose seeds are added until every verdict is decided: what they say, and what they must not."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from summaries import STUDY, build
from summed import Lines

from relbench.analysis.looks import decisions_of
from relbench.analysis.power import family_plans
from relbench.analysis.results import Results
from relbench.analysis.summarise import summarise
from relbench.counts import Counts
from relbench.evaluation.comparison import Decision, Interval
from relbench.evaluation.sequential import levels_of
from relbench.experiment import Data, Experiment, Net, Term
from relbench.report import console_report
from relbench.report.documents import latex_text, markdown_text
from relbench.report.figures.forest import forest_figure
from relbench.report.grids import claim_detail
from relbench.report.headline import headline
from relbench.report.looks import looks_notes
from relbench.report.numbers import claim_numbers, method_numbers
from relbench.report.power import power_lines
from relbench.report.wording import verdict
from relbench.results.records import Entry
from relbench.settings import changed
from relbench.studies.record import StudyRecord, UntilDecided
from relbench.studies.study import Cell, Claim, RunSpec, Stage, Study

TEACHER = Experiment(terms=(Term(loss="triplet"),))
STUDENT = Experiment(terms=(Term(loss="rkd_angle"),), teacher=TEACHER)
LOOKS, SEEDS = (5, 8, 10), tuple(range(10))


def rule(made, **given):
    return UntilDecided(**({"seeds": SEEDS, "looks": LOOKS, "margin": 0.005, "made": made} | given))


def of_seed(experiment, seed):
    teacher = experiment.teacher and changed(experiment.teacher, {"seed": seed})
    return changed(experiment, {"seed": seed, "teacher": teacher})


def make_row(experiment, correct):
    given = build(STUDY[:2], (0,)).methods[0].row
    counts = Counts(groups=("a", "b", "c"), trials=(20,) * 3, correct=correct)
    told = {"experiment": experiment, "fingerprint": experiment.fingerprint, "counts": counts}
    return given.model_copy(update=told)


def summed_at(made, gains, **given):
    """A student that has so many more correct queries a class than its teacher, by seed."""
    entries, rows = [], {}
    for seed, gain in enumerate(gains):
        for label, role, experiment in (("teacher", "teacher", TEACHER), ("rkd", "student", STUDENT)):
            one = of_seed(experiment, seed)
            entries.append(Entry(label=label, role=role, seed=seed, fingerprint=one.fingerprint))
            more = (gain - 1, gain, gain + 1) if role == "student" else (0, 0, 0)
            rows[label, seed] = make_row(one, tuple(10 + each for each in more))
    record = Lines(entries=tuple(entries)).record.model_copy(update={"until_decided": rule(made, **given)})
    return summarise(record, Results(rows))


@dataclass
class MadeUp:
    """A row of a cell."""

    recall: float

    def metrics_at(self, selection):
        return (40, {"recall@1": self.recall}) if selection == "last" else None

    def counts_at(self, selection, metric):
        return None


def claimed(values, seeds, made):
    """A claim that a is better than b."""
    run = RunSpec(data=Data(name="cub200", hold_out=False), net=Net(), stages=(Stage(terms=(Term(loss="triplet"),)),))
    cells = tuple(Cell(part="p", row=name, column="c", run=name) for name in values)
    claim = Claim(text="a claim", better=(("a", "b"),))
    study = Study(name="s", title="t", runs=dict.fromkeys(values, run), cells=cells, claims=(claim,))
    until = None if made is None else rule(made)
    record = StudyRecord(study=study, changes={}, contents={"cub200": "x"}, seeds=seeds, until_decided=until)
    rows = {(name, seed): MadeUp(one) for name in values for seed, one in zip(seeds, values[name], strict=False)}
    (found,) = summarise(record, Results(rows)).claims
    return found


CLEAR = (4, 5, 5, 4, 5, 5, 4, 5, 5, 4)
MIXED = (1, -1, 2, -2, 1, -1, 2, -2, 1, -1)


def test_before_the_first_look_nothing_is_said():
    comparison = summed_at(0, CLEAR[:3]).methods[1].against_teacher
    assert (comparison.verdict, comparison.p_value, comparison.decision) == ("no verdict", None, Decision())
    assert comparison.interval == Interval(comparison.difference)
    assert "no look yet" in markdown_text(summed_at(0, CLEAR[:3]))


def test_a_look_sees_its_own_seeds_and_has_its_own_level():
    """More runs may be finished than the last look has seen: they wait for the next."""
    comparison = summed_at(1, CLEAR).methods[1].against_teacher
    assert (comparison.seeds, comparison.verdict) == (5, "beats")
    level = levels_of(LOOKS, 0.05)[0]
    assert comparison.level == pytest.approx(level)
    assert comparison.p_adjusted >= comparison.p_value > 0
    fixed = summed_at(1, CLEAR, looks=(5,)).methods[1].against_teacher
    assert comparison.p_value == pytest.approx(min(1, fixed.p_value * 0.05 / level))
    assert comparison.interval.high - comparison.interval.low > fixed.interval.high - fixed.interval.low
    assert comparison.detectable > fixed.detectable
    assert "differences of the 5 seeds of the last look" in markdown_text(summed_at(1, CLEAR))


def test_what_a_look_decided_stays_and_says_with_how_many_seeds():
    summary = summed_at(2, CLEAR)
    comparison = summary.methods[1].against_teacher
    assert (comparison.seeds, comparison.decision.seeds, comparison.decision.outcome) == (8, 5, "shown")
    assert "decided with 5 seeds" in markdown_text(summary)


@pytest.mark.parametrize(
    ("made", "words"), [(1, "not decided yet (p = 1.000, after 5 seeds)"), (3, "after all 10 seeds")]
)
def test_open_and_undecided_to_the_end(made, words):
    summary = summed_at(made, MIXED)
    assert words in markdown_text(summary)
    assert ("not decided yet)" in headline(summary)) == (made == 1)
    assert decisions_of(summary)[0].outcome == ("open" if made == 1 else "not shown")


def test_every_format_says_that_verdicts_are_sequential():
    summary = summed_at(2, CLEAR[:8], after=(0, 1, 2))
    (first, second, before) = looks_notes(summary)
    levels = [100 * level for level in levels_of(LOOKS, 0.05)]
    assert f"Looks made, by number of seeds: 5 (level {levels[0]:.2f} %) and 8 (level {levels[1]:.2f} %)" in first
    assert f"not made: 10 (level {levels[2]:.2f} %)" in first
    assert "margin of ±0.5 points" in second
    assert "3 seeds (0, 1, 2)" in before
    assert "at more with fewer than four seeds" in before
    assert len(looks_notes(summed_at(2, CLEAR[:8], after=(0,)))) == 2  # a single seed had no verdict
    for text in (markdown_text(summary), latex_text(summary)):
        assert "Verdicts are sequential" in text
    assert looks_notes(build()) == []
    assert console_report(summary)


def test_a_row_of_a_look_that_is_gone_is_missed():
    with pytest.raises(ValueError, match="with 8 seeds, and not all of their runs are there"):
        summed_at(2, CLEAR[:7])


def test_power_is_at_the_level_of_the_last_look():
    summary = summed_at(2, MIXED)
    (plan,) = family_plans(summary)[0].plans
    assert plan.detectable == summary.methods[1].against_teacher.detectable


def test_claims_are_decided_at_looks_too():
    values = {"a": [0.5 + gain / 100 for gain in (5, 6, 5, 6, 5, 9)], "b": [0.5] * 6}
    for made, answer, seeds in ((0, "not shown", 6), (1, "holds", 5)):
        claim = claimed(values, tuple(range(6)), made)
        assert (claim.answer, claim.difference.seeds) == (answer, seeds)
        assert claim_detail(claim).endswith("no look yet" if made == 0 else "over training runs alone")
    level = levels_of(LOOKS, 0.05)[0]
    assert "decided with 5 seeds" in claim_detail(claim)
    assert claim.difference.interval.mean == pytest.approx(np.mean(values["a"][:5]) - 0.5)
    assert claim.difference.level == pytest.approx(level)
    ordinary = claimed(values, tuple(range(5)), None).difference
    assert claim.difference.p_value == pytest.approx(min(1, ordinary.p_value * 0.05 / level))


def test_no_format_has_an_ordinary_verdict_for_what_is_open():
    summary = summed_at(1, MIXED)
    (_, student) = method_numbers(summary).to_dict("records")
    assert (student["verdict"], student["decision"], student["decision_seeds"]) == ("not decided yet", "open", 5)
    assert "decision" not in method_numbers(build())
    figure = forest_figure(summary, "svg").decode()
    assert "not decided yet" in figure
    assert "not shown to differ" not in figure
    claim = claimed({"a": [0.5 + gain / 100 for gain in MIXED], "b": [0.5] * 10}, SEEDS, 1)
    table = build().model_copy(update={"claims": (claim,), "until_decided": rule(1)})
    assert claim_numbers(table).loc[0, "decision"] == "open"


def test_what_has_no_variance_is_not_called_open():
    """No number of seeds changes that, so none are added for it; and it is not for want of classes."""
    method = summed_at(1, MIXED).methods[1]
    same = replace(method.against_teacher, p_value=None, p_adjusted=None, verdict="no verdict")
    assert verdict(replace(method, against_teacher=same)) == "no verdict (no variance)"
    assert verdict(replace(method, against_teacher=replace(same, parts=()))) == "no verdict (1 class)"


def test_before_the_first_look_nothing_is_planned():
    (line,) = power_lines(summed_at(0, CLEAR[:3]))
    assert line == "How many seeds? Not known before the first look, at 5 seeds."
    claim = claimed({"a": [0.6, 0.7, 0.6], "b": [0.5] * 3}, (0, 1, 2), 0)
    assert (claim.detail, claim.difference.decision) == ("1 comparison: 1 before the first look", Decision())


def test_a_look_without_all_of_its_seeds_says_nothing_of_a_claim():
    """What is measured later, as on another machine, would be looked at twice."""
    values = {"a": [0.55, 0.56, 0.55, 0.56], "b": [0.5] * 10}
    claim = claimed(values, SEEDS, 1)
    assert (claim.answer, claim.difference) == ("not shown", None)
