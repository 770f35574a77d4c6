"""From tables to runs; no run is made here: rows are made up."""

from types import SimpleNamespace

import pytest

from relbench.experiment import EMBEDDING
from relbench.grid.plan import PendingRun, names_of, planned_runs, selected
from relbench.grid.tuning import Choice, TuningPlan
from relbench.results.records import read_record, write_record
from relbench.studies import STUDIES, build_study
from relbench.studies.changes import with_values
from relbench.studies.record import StudyRecord
from relbench.studies.study import PlannedRun

TABLE1, TABLE2 = build_study("rkd-table1"), build_study("rkd-table2")


class Rows:
    """Rows of runs that somebody says are finished."""

    def __init__(self):
        self.by_name = {}

    def __call__(self, run):
        return self.by_name.get(run.fingerprint)

    def finish(self, run, recall):
        self.by_name[run.fingerprint] = SimpleNamespace(primary="recall@1", validation={"recall@1": recall})


def tuning(study=TABLE1, rows=None, **given):
    return TuningPlan(study, rows or Rows(), **given)


def planned(paths, seeds, study=TABLE1, rows=None):
    return planned_runs(tuning(study, rows), paths, seeds)


def labels(cells):
    return [cell.label if isinstance(cell, PlannedRun) else f"?{cell.name}" for cell in cells]


def test_a_student_needs_its_teacher_and_fitnet_its_first_stage():
    cells = planned(["cub200/rkd-da/64", "cub200/fitnet/64", "cub200/triplet/64"], (3,))
    assert labels(cells) == [
        "cub200/teacher/512",
        "cub200/rkd-da/64",
        "cub200/fitnet/64, first stage",
        "cub200/fitnet/64",
        "cub200/triplet/64",
    ]
    teacher, student, first, last, triplet = (cell.experiment for cell in cells)
    assert student.teacher == first.teacher == teacher
    assert last.initialized_from == first
    assert last.teacher is None  # the triplet loss looks at none
    assert triplet.teacher is None
    assert {cell.experiment.seed for cell in cells} == {3}
    assert first.terms[0].layers == ("stage2", "stage3", "stage4", EMBEDDING)


def test_what_others_build_on_comes_first():
    for name in STUDIES:
        study, done = build_study(name), set()
        for run in planned(selected(study, study.data_sets, ()), (0, 1), study):
            assert {one.fingerprint for one in run.experiment.dependencies.values()} <= done, name
            done.add(run.name)


def test_every_network_of_table_1_is_one_run_a_seed_but_fitnets_two():
    cells = planned(selected(TABLE1, TABLE1.data_sets, ()), (0, 1, 2))
    assert len(cells) == 3 * (82 + 8)
    assert len({cell.name for cell in cells}) == len(cells)


def test_conditions_that_change_a_result_change_every_fingerprint():
    changes = (
        {"data.resize": 240},
        {"data.hold_out": True},
        {"training.precision": "bf16-mixed"},
        {"training.channels_last": True},
    )
    studies = [
        TABLE1,
        build_study("rkd-table1", {"scale": "toy"}),
        *(with_values(TABLE1, values) for values in changes),
        TABLE1.with_contents({"cub200": "another"}),
    ]
    names = [{cell.name for cell in planned(["cub200/rkd-da/64"], (0,), study)} for study in studies]
    assert sum(map(len, names)) == len(set().union(*names))


def test_teachers_of_teachers_are_made_in_order():
    generations = ["sop/teacher/512", "sop/gen1/512", "sop/gen2/512", "sop/gen3/512"]
    assert labels(planned(["sop/gen3/512"], (0,), TABLE2)) == generations


def test_self_distillation_is_a_chain():
    gen3 = tuning(TABLE2).run("sop/gen3/512", 0)
    assert gen3.training.steps == 60_000
    chain = [gen3]
    while chain[-1].teacher:
        chain.append(chain[-1].teacher)
    assert [one.net.unit_length for one in chain] == [False, False, False, True]
    assert chain[-1].training.steps == 40_000


FAIR = build_study("rkd-table1", {"protocol": "fair"})
TEACHER, STUDENT, OTHER = "cub200/teacher/512", "cub200/rkd-da/64", "cub200/rkd-da/16"


def finish_candidates(rows, cells, best):
    """Give every candidate a row; the one with this rate the best recall."""
    for cell in cells:
        if isinstance(cell, PlannedRun) and cell.role == "tuning":
            rows.finish(cell.experiment, 0.9 if cell.experiment.training.learning_rate == best else 0.5)


def test_rates_are_chosen_teacher_first():
    rows = Rows()
    first = planned([OTHER], (0, 1), FAIR, rows)
    assert labels(first) == [f"{TEACHER} at {rate}" for rate in ("1e-05", "3e-05", "0.0001", "0.0003")] + [
        f"?{TEACHER} 0",
        *(f"?{STUDENT} at {rate} 0" for rate in ("1e-05", "3e-05", "0.0001", "0.0003")),
        f"?{OTHER} 0",
        f"?{TEACHER} 1",
        f"?{OTHER} 1",
    ]
    finish_candidates(rows, first, 3e-5)
    second = planned([OTHER], (0, 1), FAIR, rows)
    candidates = [cell for cell in second if isinstance(cell, PlannedRun) and cell.role == "tuning"]
    assert [cell.label for cell in candidates] == [
        f"{STUDENT} at {rate}" for rate in ("1e-05", "3e-05", "0.0001", "0.0003")
    ]
    assert {cell.experiment.teacher.training.learning_rate for cell in candidates} == {3e-5}
    finish_candidates(rows, second, 1e-4)
    last = tuning(FAIR, rows)
    assert labels(planned_runs(last, [OTHER], (0, 1))) == [TEACHER, OTHER, TEACHER, OTHER]
    run = last.run(OTHER, 1)
    assert (run.training.learning_rate, run.teacher.training.learning_rate, run.seed) == (1e-4, 3e-5, 1)
    assert {path: choice.rate for path, choice in last.choices.items()} == {TEACHER: 3e-5, STUDENT: 1e-4}


def test_a_run_that_chose_a_rate_is_the_tables_own_where_nothing_else_differs():
    rows = Rows()
    cells = planned([TEACHER], (0,), FAIR, rows)
    finish_candidates(rows, cells, 1e-4)
    run = tuning(FAIR, rows).run(TEACHER, 0)
    assert run.fingerprint in rows.by_name


def test_nothing_is_chosen_while_a_candidate_is_missing():
    rows = Rows()
    cells = planned([TEACHER], (0,), FAIR, rows)
    finish_candidates(rows, cells[1:], 1e-4)
    assert tuning(FAIR, rows).run(TEACHER, 0) is None
    failed = tuning(FAIR, rows, diverged={cells[0].name})
    assert failed.run(TEACHER, 0).training.learning_rate == 1e-4
    assert list(failed.choices[TEACHER].scores) == [3e-5, 1e-4, 3e-4]
    assert failed.choices[TEACHER].diverged == (1e-5,)


def test_where_every_candidate_failed_nothing_is_chosen():
    cells = planned([TEACHER], (0,), FAIR)
    failed = tuning(FAIR, diverged={cell.name for cell in cells})
    assert failed.run(TEACHER, 0) is None


def test_of_equal_recalls_the_lowest_rate_wins():
    rows = Rows()
    finish_candidates(rows, planned([TEACHER], (0,), FAIR, rows), best=None)
    assert tuning(FAIR, rows).run(TEACHER, 0).training.learning_rate == 1e-5


def test_names_know_those_that_chose():
    rows = Rows()
    cells = planned([TEACHER], (0,), FAIR, rows)
    finish_candidates(rows, cells, 1e-4)
    names = names_of(tuning(FAIR, rows), [TEACHER], (0,))
    assert set(rows.by_name) <= names


@pytest.mark.parametrize(
    ("rate", "diverged", "at_an_end"),
    [(1e-5, (), True), (3e-5, (), False), (1e-4, (), True), (1e-4, (3e-4,), False), (1e-5, (3e-4,), True)],
)
def test_a_rate_at_an_end_is_told(rate, diverged, at_an_end):
    assert Choice(rate, {1e-5: 0.1, 3e-5: 0.2, 1e-4: 0.3}, diverged).at_an_end is at_an_end


def test_cells_are_selected_by_pattern():
    assert selected(TABLE1, ["cub200"], ("cub200/*/64",)) == tuple(
        f"cub200/{method}/64"
        for method in (
            *("triplet", "fitnet", "attention", "darkrank"),
            *("rkd-d+l2", "rkd-d", "rkd-a+l2", "rkd-a", "rkd-da+l2", "rkd-da"),
        )
    )
    assert selected(TABLE1, ["cars196"], ("*/teacher/*",)) == ("cars196/teacher/512",)
    assert len(selected(TABLE1, TABLE1.data_sets, ())) == 82


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("cub200/rdk-da/64", r"--only 'cub200/rdk-da/64' matches no run of rkd-table1: did you mean cub200/rkd-da/64"),
        (
            "CARS196/*",
            "matches no run of rkd-table1: write cub200/teacher/512, or a pattern such as 'cub200/rkd-da/128'",
        ),
        ("cars196/*/64", "matches no run"),  # of another data set than those asked for
        ("", "matches no run"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused(pattern, told):
    with pytest.raises(ValueError, match=told):
        selected(TABLE1, ["cub200"], ("cub200/teacher/512", pattern))


SMALL = build_study("glyphs-table1", {"scale": "toy"})


def record(study=SMALL, **given):
    return StudyRecord(**({"study": study, "changes": {}, "contents": {"cub200": "a"}, "seeds": (0,)} | given))


def test_records_of_one_study_are_joined():
    earlier = record(contents={"cars196": "b"}, seeds=(2, 1), diverged=("x",))
    joined = {"contents": {"cars196": "b", "cub200": "a"}, "seeds": (0, 1, 2), "diverged": ("x", "y")}
    assert record(diverged=("y",)).merged(earlier) == record(**joined)


@pytest.mark.parametrize(
    "given",
    [
        {"study": SMALL.with_device("cuda")},
        {"study": with_values(SMALL, {"data.size": 128})},
        {"study": build_study("glyphs-table1", {"scale": "toy", "protocol": "fair"})},
        {"contents": {"cub200": "b"}},
        {"study": build_study("glyphs-table1")},
    ],
)
def test_records_of_other_conditions_are_not(given):
    assert record().merged(record(**given)) is None


def test_other_words_about_the_same_runs_are_no_other_study():
    reworded = SMALL.model_copy(update={"title": "Another title", "notes": ()})
    assert record(reworded).merged(record()) == record(reworded)


@pytest.mark.parametrize("name", STUDIES)
def test_a_record_is_kept(tmp_path, name):
    changes = {"training.steps": 5, "training.decay_at": [0.5]}
    kept = record(
        with_values(build_study(name), {"training.schedule": "steps", "training.decay_at": (0.5,)}),
        changes=changes,
        diverged=("x",),
    )
    write_record(kept, tmp_path / "study.json")
    assert read_record(StudyRecord, tmp_path / "study.json") == kept


def test_what_is_not_decided_yet_looks_like_what_it_will_be():
    undecided = [cell for cell in planned([OTHER], (0, 1), FAIR) if isinstance(cell, PendingRun)]
    assert len({cell.name for cell in undecided}) == len(undecided) == 8
    student = undecided[-1].experiment
    assert (student.net.dim, student.seed, student.teacher.net.trunk) == (16, 1, "resnet50")
    assert [cell.experiment.training.learning_rate for cell in undecided[1:5]] == [1e-5, 3e-5, 1e-4, 3e-4]


def test_a_seed_that_cannot_be_is_told():
    with pytest.raises(ValueError, match=r"^seed = -1: Input should be greater than or equal to 0$"):
        planned([TEACHER], (-1,))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"data.hold_out": False},
            r"data.hold_out = false: rkd-table1 \(protocol fair\) chooses rates on what it holds out",
        ),
        ({"training.learning_rate": 1e-3}, r"training.learning_rate: rkd-table1 \(protocol fair\) chooses it"),
        ({"student.learning_rate": 1e-3}, r"student.learning_rate: rkd-table1 \(protocol fair\) chooses it"),
    ],
)
def test_what_fair_cannot_be_with_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        with_values(FAIR, changes)


def test_two_stages_of_an_odd_number_of_steps_are_refused_under_fair():
    with pytest.raises(ValueError, match=r"student\.steps = 5: a method in two stages needs an even number"):
        planned(["cub200/fitnet/64"], (0,), with_values(FAIR, {"training.steps": 5}))
