"""From rows to a summary, by hand."""

import math

import pytest

from relbench.comparison import Interval
from relbench.experiment import Experiment, Term, changed
from relbench.ledger import ClassCounts, Entry, Machine, Plan, Row, write_record
from relbench.summarise import read_results, summarise

TEACHER = Experiment(terms=(Term(loss="triplet"),))
STUDENT = Experiment(terms=(Term(loss="rkd_angle"),), teacher=TEACHER)
MACHINE = Machine(device="d", cores=1, system="s", versions={}, git_commit=None)
QUERIES = (10, 10, 20)


def make_row(experiment, correct, *, data_hash="h", queries=QUERIES):
    return Row(
        fingerprint=experiment.fingerprint,
        experiment=experiment,
        data_hash=data_hash,
        parameters=1,
        selected_step=1000,
        metrics={"recall@1": sum(correct) / sum(queries), "map@r": 0.5},
        validation={"recall@1": 0.5},
        by_class=ClassCounts(classes=("a", "b", "c"), queries=queries, correct=correct),
        history=({"step": 1000, "recall@1": 0.5},),
        train_seconds=1,
        evaluate_seconds=1,
        peak_memory=1,
        finished="2026-01-01T00:00:00+00:00",
        machine=MACHINE,
    )


def make_plan(*seeds):
    entries = []
    for seed in seeds:
        for label, role, experiment in (("teacher", "teacher", TEACHER), ("rkd", "student", STUDENT)):
            name = changed(experiment, {"seed": seed}).fingerprint
            entries.append(Entry(label=label, role=role, seed=seed, fingerprint=name))
    return Plan(study="s", title="t", notes=("a note",), entries=tuple(entries))


def rows_of(**correct):
    """teacher_0=(...), student_0=(...): rows by fingerprint."""
    rows = {}
    for name, counts in correct.items():
        kind, _, seed = name.partition("_")
        experiment = changed({"teacher": TEACHER, "student": STUDENT}[kind], {"seed": int(seed)})
        rows[experiment.fingerprint] = make_row(experiment, counts)
    return rows


def test_means_and_intervals_over_seeds():
    """Recalls 0.5 and 0.6: mean 0.55; t(0.975, 1) = 12.706, error = 0.1 / 2."""
    rows = rows_of(teacher_0=(5, 5, 10), student_0=(6, 6, 12), teacher_1=(6, 6, 12), student_1=(7, 7, 14))
    summary = summarise(make_plan(0, 1), rows)
    assert [method.label for method in summary.methods] == ["teacher", "rkd"]
    recall = summary.methods[0].metrics["recall@1"]
    assert recall.mean == pytest.approx(0.55)
    assert recall.high - recall.mean == pytest.approx(12.7062 * 0.1 / 2, rel=1e-4)
    assert summary.methods[0].against_teacher is None
    assert summary.seeds == (0, 1)


def test_each_student_is_compared_with_the_teacher_of_its_seed():
    """Paired differences 0.1 and 0.1, although the recalls cross over the seeds: no spread over seeds at all."""
    rows = rows_of(teacher_0=(5, 5, 10), student_0=(6, 6, 12), teacher_1=(8, 8, 16), student_1=(9, 9, 18))
    comparison = summarise(make_plan(0, 1), rows).methods[1].against_teacher
    assert comparison.difference == pytest.approx(0.1)
    assert comparison.over_seeds.low == pytest.approx(0.1)
    assert comparison.over_queries.low == pytest.approx(0.1)  # every class gains 10 %
    assert comparison.verdict == "beats"


def test_one_seed_has_no_interval_over_seeds():
    comparison = summarise(make_plan(0), rows_of(teacher_0=(5, 5, 10), student_0=(1, 9, 10))).methods[1].against_teacher
    assert comparison.over_seeds == Interval(comparison.difference)
    assert comparison.seeds == 1
    assert comparison.verdict == "does not differ"


def test_the_same_rows_give_the_same_summary():
    rows = rows_of(teacher_0=(5, 5, 10), student_0=(1, 9, 13))
    assert summarise(make_plan(0), rows) == summarise(make_plan(0), rows)


def test_what_is_not_finished_is_left_out_and_said():
    rows = rows_of(teacher_0=(5, 5, 10), student_0=(6, 6, 12), student_1=(7, 7, 14))
    summary = summarise(make_plan(0, 1), rows)
    assert [len(method.rows) for method in summary.methods] == [1, 1]
    assert summary.plan.notes == ("a note", "Not finished, and left out: teacher (seed 1), rkd (seed 1).")


def test_no_teacher():
    with pytest.raises(ValueError, match="no teacher is finished"):
        summarise(make_plan(0), rows_of(student_0=(6, 6, 12)))


def test_rows_of_different_data():
    rows = rows_of(teacher_0=(5, 5, 10), student_0=(6, 6, 12))
    name = STUDENT.fingerprint
    rows[name] = make_row(STUDENT, (6, 6, 12), data_hash="other")
    with pytest.raises(ValueError, match="different data"):
        summarise(make_plan(0), rows)
    rows[name] = make_row(STUDENT, (6, 6, 12), queries=(10, 11, 20))
    with pytest.raises(ValueError, match="not the same queries"):
        summarise(make_plan(0), rows)


def test_read_results(tmp_path):
    plan, rows = make_plan(0, 1), rows_of(teacher_0=(5, 5, 10), student_0=(6, 6, 12))
    write_record(plan, tmp_path / "plan.json")
    for name, row in rows.items():
        write_record(row, tmp_path / "runs" / name / "row.json")
    assert read_results(tmp_path) == (plan, rows)
    assert math.isclose(summarise(*read_results(tmp_path)).methods[1].against_teacher.difference, 0.1)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(ValueError, match=r"plan\.json is not a readable plan"):
        read_results(tmp_path)
    with pytest.raises(ValueError, match="holds no results"):
        read_results(tmp_path / "nowhere")
