"""From rows to a summary, by hand."""

import hashlib
import math

import numpy as np
import pytest
from summed import Lines, summed

from relbench.analysis.query_examples import with_examples
from relbench.analysis.results import read_results
from relbench.analysis.summarise import summarise
from relbench.counts import Counts
from relbench.evaluation import compare
from relbench.evaluation.comparison import Interval
from relbench.experiment import Experiment, Term, Training
from relbench.losses import LOSSES
from relbench.report import write_report
from relbench.results.records import Entry, Machine, Row, write_record
from relbench.settings import changed
from relbench.studies.distillation import Arm, distillation
from relbench.studies.record import FILE, StudyRecord, read_study

TEACHER = Experiment(terms=(Term(loss="triplet"),))
STUDENT = Experiment(terms=(Term(loss="rkd_angle"),), teacher=TEACHER)
OTHER = Experiment(terms=(Term(loss="rkd_distance"),), teacher=TEACHER)
CONTROL = changed(TEACHER, {"training": Training(steps=2000)})
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
        counts=Counts(groups=("a", "b", "c")[: len(queries)], trials=queries, correct=correct),
        history=({"step": 1000, "recall@1": 0.5},),
        train_seconds=1,
        evaluate_seconds=1,
        peak_memory=1,
        finished="2026-01-01T00:00:00+00:00",
        machine=MACHINE,
    )


def of_seed(experiment, seed):
    """The same, its teacher too, from another seed."""
    teacher = experiment.teacher and changed(experiment.teacher, {"seed": seed})
    return changed(experiment, {"seed": seed, "teacher": teacher})


def make_plan(*seeds):
    entries = []
    for seed in seeds:
        for label, role, experiment in (("teacher", "teacher", TEACHER), ("rkd", "student", STUDENT)):
            name = of_seed(experiment, seed).fingerprint
            entries.append(Entry(label=label, role=role, seed=seed, fingerprint=name))
    return Lines(entries=tuple(entries), notes=("a note",))


def rows_of(**correct):
    """teacher_0=(...), student_0=(...): rows by fingerprint."""
    rows = {}
    for name, counts in correct.items():
        kind, _, seed = name.partition("_")
        experiment = of_seed({"teacher": TEACHER, "student": STUDENT}[kind], int(seed))
        rows[experiment.fingerprint] = make_row(experiment, counts)
    return rows


def test_means_and_intervals_over_seeds():
    """Recalls 0.5 and 0.6: mean 0.55; t(0.975, 1) = 12.706, error = 0.1 / 2."""
    rows = rows_of(teacher_0=(5, 5, 10), student_0=(6, 6, 12), teacher_1=(6, 6, 12), student_1=(7, 7, 14))
    summary = summed(make_plan(0, 1), rows)
    assert [method.label for method in summary.methods] == ["teacher", "rkd"]
    recall = summary.methods[0].metrics["recall@1"]
    assert recall.mean == pytest.approx(0.55)
    assert recall.high - recall.mean == pytest.approx(12.7062 * 0.1 / 2, rel=1e-4)
    assert summary.methods[0].against_teacher is None
    assert summary.seeds == (0, 1)


def test_each_student_is_compared_with_the_teacher_of_its_seed():
    """Paired differences 0.1 and 0.1, although the recalls cross over the seeds: no spread over seeds at all."""
    rows = rows_of(teacher_0=(5, 5, 10), student_0=(6, 6, 12), teacher_1=(8, 8, 16), student_1=(9, 9, 18))
    comparison = summed(make_plan(0, 1), rows).methods[1].against_teacher
    assert comparison.difference == pytest.approx(0.1)
    assert comparison.over_seeds.low == pytest.approx(0.1)
    assert comparison.over_classes.low == pytest.approx(0.1)  # every class gains 10 %
    assert comparison.verdict == "no verdict"  # nothing varies, which says nothing of chance


def test_one_seed_has_no_interval_over_seeds():
    comparison = summed(make_plan(0), rows_of(teacher_0=(5, 5, 10), student_0=(1, 9, 10))).methods[1].against_teacher
    assert comparison.over_seeds == Interval(comparison.difference)
    assert comparison.seeds == 1
    assert comparison.verdict == "no verdict"


def table_of(*lines):
    """(label, role, experiment, correct), the same for two seeds, so that seeds leave no doubt: plan and rows."""
    lines = (("teacher", "teacher", TEACHER, (4, 4, 8)), *lines)
    runs = [(label, role, staged_of_seed(one, seed), correct) for seed in (0, 1) for label, role, one, correct in lines]
    entries = tuple(
        Entry(label=label, role=role, seed=one.seed, fingerprint=one.fingerprint) for label, role, one, _ in runs
    )
    plan = Lines(entries=entries)
    return plan, {one.fingerprint: make_row(one, correct) for _, _, one, correct in runs}


def staged_of_seed(experiment, seed):
    start = experiment.initialized_from and of_seed(experiment.initialized_from, seed)
    return changed(of_seed(changed(experiment, {"initialized_from": None}), seed), {"initialized_from": start})


def compared(*lines):
    return {method.label: method.against_teacher for method in summed(*table_of(*lines)).methods[1:]}


GAINS = (6, 6, 11)  # 0.2, 0.2 and 0.15 better than the teacher
RKD, SAME = ("rkd", "student", STUDENT, GAINS), ("other", "student", OTHER, (4, 4, 8))
LONGER = ("longer", "control", CONTROL, GAINS)


def test_students_are_corrected_for_their_number_and_controls_are_not():
    """The second of two students doubles p, a control leaves it; the control's own is left too."""
    alone = compared(RKD)["rkd"]
    assert alone.p_adjusted == alone.p_value
    assert compared(RKD, LONGER) == {"rkd": alone, "longer": alone}
    both = compared(RKD, SAME, LONGER)
    assert both["rkd"].p_adjusted == pytest.approx(2 * alone.p_value)
    assert both["other"].p_adjusted == both["other"].p_value == 1
    assert both["longer"] == alone
    assert both["rkd"].over_classes == alone.over_classes


def test_the_correction_may_take_a_verdict_back():
    """Two students, one of them with p = 0.027: 0.054 after the correction."""
    line = ("rkd", "student", STUDENT, (5, 6, 12))
    alone, corrected = compared(line)["rkd"], compared(line, SAME)["rkd"]
    assert alone.p_value == pytest.approx(0.0271, abs=0.0001)
    assert (alone.verdict, corrected.verdict, corrected.taken_back) == ("beats", "not shown to differ", True)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "28 px (distortion 1)"),
        ({"name": "glyphs-textured", "size": 224, "distortion": 0}, "224 px (not distorted)"),
        ({"name": "emoji", "size": 28}, "28 px (centre crop of 32 px)"),
        ({"name": "signs", "size": 28, "mirror": False}, "28 px (centre crop of 32 px; never mirrored in training)"),
        ({"name": "cub200", "size": 224, "resize": 300}, "224 px (centre crop of 300 px)"),
    ],
)
def test_how_images_were_shown_is_told_of_the_data_that_were_run(data, words):
    """It said "crop: the data set's own" of Glyphs, which has none, and of photos, whose crop is known."""
    teacher = changed(TEACHER, {"data": changed(TEACHER.data, data)})
    entry = Entry(label="teacher", role="teacher", seed=0, fingerprint=teacher.fingerprint)
    plan = Lines(entries=(entry,))
    assert summed(plan, {teacher.fingerprint: make_row(teacher, (5, 5, 10))}).shown_at == words


def test_the_same_rows_give_the_same_summary():
    rows = rows_of(teacher_0=(5, 5, 10), student_0=(1, 9, 13))
    assert summed(make_plan(0), rows) == summed(make_plan(0), rows)


def test_what_is_not_finished_is_left_out_and_said():
    rows = rows_of(teacher_0=(5, 5, 10), student_0=(6, 6, 12), student_1=(7, 7, 14))
    summary = summed(make_plan(0, 1), rows)
    assert [len(method.rows) for method in summary.methods] == [1, 1]
    assert summary.notes == ("a note", "Not finished, and left out: teacher (seed 1), rkd (seed 1).")


def test_no_teacher():
    with pytest.raises(ValueError, match="no teacher is finished"):
        summed(make_plan(0), rows_of(student_0=(6, 6, 12)))


def test_rows_of_different_data():
    rows = rows_of(teacher_0=(5, 5, 10), student_0=(6, 6, 12))
    name = STUDENT.fingerprint
    rows[name] = make_row(STUDENT, (6, 6, 12), data_hash="other")
    with pytest.raises(ValueError, match="different data"):
        summed(make_plan(0), rows)
    rows[name] = make_row(STUDENT, (6, 6, 12), queries=(10, 11, 20))
    with pytest.raises(ValueError, match="not the same trials"):
        summed(make_plan(0), rows)


def record_of(seeds, teacher=TEACHER, terms=STUDENT.terms, first=None):
    """A study whose runs are those above."""
    arm = Arm(net=teacher.net, training=teacher.training)
    study = distillation(
        name="s",
        title="t",
        data=teacher.data,
        teacher=arm,
        teacher_terms=teacher.terms,
        student=arm,
        methods={"rkd": terms},
        first_stages={"rkd": first} if first else None,
    )
    return StudyRecord(study=study, changes={}, contents={"glyphs": ""}, seeds=seeds)


def test_read_results(tmp_path):
    record, rows = record_of((0, 1)), rows_of(teacher_0=(5, 5, 10), student_0=(6, 6, 12))
    write_record(record, tmp_path / FILE)
    for name, row in rows.items():
        write_record(row, tmp_path / "runs" / name / "row.json")
    assert read_study(tmp_path) == record
    found = read_results(record, tmp_path)
    assert found.rows == {((row.experiment.teacher and "rkd") or "teacher", 0): row for row in rows.values()}
    assert math.isclose(summarise(record, found).methods[1].against_teacher.difference, 0.1)
    (tmp_path / FILE).write_text("{")
    with pytest.raises(ValueError, match=r"study\.json is not a readable study record"):
        read_study(tmp_path)
    with pytest.raises(ValueError, match="holds no results"):
        read_study(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["plan.json", "request.json"])
def test_a_folder_of_an_earlier_version_says_what_to_do(tmp_path, name):
    (tmp_path / name).write_text("{}")
    message = (
        rf"was written by an earlier version \({name}\): run the command that made it again; finished runs are reused"
    )
    with pytest.raises(ValueError, match=message):
        read_study(tmp_path)


def test_a_student_of_another_teacher_is_not_reported(tmp_path):
    """Its teacher was made anew since: the difference of the two would be that of nothing that was run."""
    rows = rows_of(teacher_0=(5, 5, 10), student_0=(6, 6, 12))
    teacher, student = rows
    assert rows[student].experiment.teacher.fingerprint == teacher
    for name, change in ((teacher, {"weights_hash": "new"}), (student, {"dependencies": {"teacher": "old"}})):
        write_record(rows[name].model_copy(update=change), tmp_path / "runs" / name / "row.json")
    with pytest.raises(ValueError, match=rf"\Abuilt on other weights .+: {student} \(its teacher\); .+\Z"):
        read_results(record_of((0,)), tmp_path)


def test_each_loss_comes_with_its_source():
    rows = rows_of(teacher_0=(5, 5, 10), student_0=(6, 6, 12))
    assert summed(make_plan(0), rows).sources == {name: LOSSES[name].source for name in ("triplet", "rkd_angle")}


def test_a_loss_that_relbench_does_not_know_is_said_to_have_no_known_source():
    own = Experiment(terms=(Term(loss="mine"),))
    entry = Entry(label="teacher", role="teacher", seed=0, fingerprint=own.fingerprint)
    plan = Lines(entries=(entry,))
    (words,) = summed(plan, {own.fingerprint: make_row(own, (5, 5, 10))}).sources.values()
    assert words == "not one of relbench's losses: its source is not known here"


def test_losses_of_a_first_stage_are_credited():
    first = changed(STUDENT, {"terms": (Term(loss="fitnet", layers=("stage2",)),)})
    staged = changed(STUDENT, {"initialized_from": first})
    sources = summed(*table_of(("rkd", "student", staged, GAINS))).sources
    assert sources == {name: LOSSES[name].source for name in ("triplet", "fitnet", "rkd_angle")}


BASE = Experiment(terms=(Term(loss="triplet"), Term(loss="pkt")), teacher=TEACHER)
COUNTS = {
    ("teacher", 0): (4, 4, 8),
    ("teacher", 1): (4, 5, 8),
    ("teacher", 2): (5, 4, 8),
    ("base", 0): (5, 5, 10),
    ("base", 1): (5, 6, 9),
    ("rkd", 0): (7, 7, 13),
    ("rkd", 1): (7, 7, 12),
    ("rkd", 2): (8, 6, 14),
    ("other", 0): (5, 6, 11),
    ("other", 1): (6, 6, 9),
    ("other", 2): (9, 9, 18),
}
KINDS = {"teacher": TEACHER, "base": BASE, "rkd": STUDENT, "other": OTHER}
ASKED = (("rkd", "base"), ("other", "base"), ("other", "rkd"))


def paired(counts, pairs=ASKED):
    """The summary of such a study where these runs are finished."""
    runs = {(label, seed): of_seed(KINDS[label], seed) for label, seed in COUNTS}
    entries = tuple(
        Entry(label=label, role="teacher" if label == "teacher" else "student", seed=seed, fingerprint=run.fingerprint)
        for (label, seed), run in runs.items()
    )
    plan = Lines(entries=entries, pairs=pairs)
    return summed(plan, {runs[key].fingerprint: make_row(runs[key], correct) for key, correct in counts.items()})


def by_hand(label, other, seeds):
    own, others = (
        [Counts(groups=("a", "b", "c"), trials=tuple(QUERIES), correct=tuple(COUNTS[name, seed])) for seed in seeds]
        for name in (label, other)
    )
    return compare(own, others)


def test_pairs_are_compared_over_the_seeds_that_both_have():
    """The base lacks seed 2, at which its rivals are at their best."""
    found = {(pair.label, pair.other): pair.comparison for pair in paired(COUNTS).pairs}
    assert tuple(found) == ASKED
    for pair, seeds in zip(ASKED, ((0, 1), (0, 1), (0, 1, 2)), strict=True):
        alone = by_hand(*pair, seeds)
        assert found[pair].seeds == len(seeds)
        assert found[pair].difference == pytest.approx(
            np.mean([sum(COUNTS[pair[0], seed]) - sum(COUNTS[pair[1], seed]) for seed in seeds]) / sum(QUERIES)
        )
        for name in (
            "difference",
            "interval",
            "p_value",
            "over_classes",
            "over_seeds",
            "p_over_classes",
            "p_over_seeds",
        ):
            assert getattr(found[pair], name) == getattr(alone, name), name


def test_pairs_are_corrected_for_all_of_them_together():
    """Holm by hand: the smallest of three p times 3, the next times 2, the last as it is; none below one before it."""
    pairs = paired(COUNTS).pairs
    least = 0.0
    for rank, pair in enumerate(sorted(pairs, key=lambda pair: pair.comparison.p_value)):
        least = max(least, min(1.0, (3 - rank) * pair.comparison.p_value))
        assert pair.comparison.p_adjusted == pytest.approx(least)
        assert (pair.comparison.verdict == "not shown to differ") == (least >= 0.05)
    (alone,) = paired(COUNTS, ASKED[:1]).pairs
    assert alone.comparison.p_adjusted == alone.comparison.p_value


def test_pairs_leave_what_is_said_against_the_teacher_as_it_is():
    assert paired(COUNTS).methods == paired(COUNTS, ()).methods
    assert paired(COUNTS, ()).pairs == ()


def test_a_pair_whose_method_is_not_finished_is_left_out():
    without = {key: counts for key, counts in COUNTS.items() if key[0] != "base"}
    summary = paired(without)
    assert [(pair.label, pair.other) for pair in summary.pairs] == [("other", "rkd")]
    (pair,) = summary.pairs
    assert pair.comparison.p_adjusted == pair.comparison.p_value
    assert "base (seed 0), base (seed 1)" in summary.notes[-1]


def test_a_pair_without_a_seed_that_both_have_is_left_out():
    gone = {("base", 1), ("rkd", 0), ("rkd", 1)}
    assert paired({key: counts for key, counts in COUNTS.items() if key not in gone}, ASKED[:1]).pairs == ()


def test_a_pair_with_one_seed_in_common_has_no_interval_over_seeds():
    gone = {("base", 1)}
    (pair,) = paired({key: counts for key, counts in COUNTS.items() if key not in gone}, ASKED[:1]).pairs
    assert (pair.comparison.seeds, pair.comparison.over_seeds.low, pair.comparison.p_over_seeds) == (1, None, None)


def test_a_loss_from_a_file_is_never_executed_for_a_report(tmp_path):
    """Not from a student, nor from a first stage, nor from the teacher: reading, summing up and writing all go well."""
    trace = tmp_path / "trace"
    source = f"open({str(trace)!r}, 'w').write('run')\nraise RuntimeError('run')\n"
    own = Term(loss="mine:f", source=source)
    teacher = changed(TEACHER, {"terms": (*TEACHER.terms, own)})
    training = changed(TEACHER.training, {"steps": TEACHER.training.steps // 2})
    first = changed(STUDENT, {"teacher": teacher, "terms": (own,), "training": training})
    staged = changed(first, {"terms": (*STUDENT.terms, own), "initialized_from": first})
    record = StudyRecord(
        study=record_of((0,), teacher, (*STUDENT.terms, own), (own,)).study,
        changes={},
        contents={"glyphs": ""},
        seeds=(0,),
    )
    lines = Lines(
        entries=(
            Entry(label="teacher", role="teacher", seed=0, fingerprint=teacher.fingerprint),
            Entry(label="rkd", role="student", seed=0, fingerprint=staged.fingerprint),
        )
    )
    write_record(record, tmp_path / FILE)
    for one, correct in ((teacher, (4, 4, 8)), (staged, GAINS)):
        write_record(make_row(one, correct), tmp_path / "runs" / one.fingerprint / "row.json")
    rows = {one.fingerprint: make_row(one, correct) for one, correct in ((teacher, (4, 4, 8)), (staged, GAINS))}
    read_study(tmp_path)
    summary = with_examples(summed(lines, rows), tmp_path, tmp_path / "datasets")
    write_report(summary, tmp_path)
    assert not trace.exists()
    assert "sha256 " + hashlib.sha256(source.encode()).hexdigest()[:12] in summary.sources["mine:f"]
    assert "raise RuntimeError(&#39;run&#39;)" in (tmp_path / "report.html").read_text()


def test_one_class_of_queries_has_its_table(tmp_path):
    """A test set of one class, or a single class that asks: all runs are trained by then."""
    rows, seeds = {}, (0, 1, 2)
    for seed in seeds:
        for experiment, correct in ((TEACHER, 4), (STUDENT, 5 + seed)):
            row = make_row(of_seed(experiment, seed), (correct,), queries=(10,))
            rows[row.fingerprint] = row
    summary = summed(make_plan(*seeds), rows)
    write_report(summary, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "no verdict" in page
    assert "All query images are of one test class" in page
