"""From tables to runs; no run is made here: rows are made up."""

from types import SimpleNamespace

import pytest

from relbench.experiment import EMBEDDING
from relbench.grid.tuning import Choice, PendingRun, Request, TuningPlan, selected
from relbench.results.records import read_record, write_record
from relbench.studies import TABLES, Cell, Setup

TABLE1, TABLE2 = TABLES["rkd-table1"], TABLES["rkd-table2"]


class Rows:
    """Rows of runs that somebody says are finished."""

    def __init__(self):
        self.by_name = {}

    def __call__(self, run):
        return self.by_name.get(run.fingerprint)

    def finish(self, run, recall):
        self.by_name[run.fingerprint] = SimpleNamespace(primary="recall@1", validation={"recall@1": recall})


def unfolding(table=TABLE1, setup=None, rows=None, **given):
    return TuningPlan(table, setup or Setup(), rows or Rows(), **given)


def labels(cells):
    return [cell.label if isinstance(cell, Cell) else f"?{cell.name}" for cell in cells]


def test_a_student_needs_its_teacher_and_fitnet_its_first_stage():
    cells = unfolding().cells(["cub200/rkd-da/64", "cub200/fitnet/64", "cub200/triplet/64"], (3,))
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
    for name, table in TABLES.items():
        done = set()
        for cell in unfolding(table).cells(selected(table, table.data_sets, ()), (0, 1)):
            assert {one.fingerprint for one in cell.experiment.dependencies.values()} <= done, name
            done.add(cell.name)


def test_every_network_of_table_1_is_one_run_a_seed_but_fitnets_two():
    cells = unfolding().cells(selected(TABLE1, TABLE1.data_sets, ()), (0, 1, 2))
    assert len(cells) == 3 * (82 + 8)
    assert len({cell.name for cell in cells}) == len(cells)


def test_conditions_that_change_a_result_change_every_fingerprint():
    setups = [
        Setup(),
        Setup(scale="toy"),
        Setup(changes={"data.resize": 240}),
        Setup(changes={"data.hold_out": True}),
        Setup(changes={"training.precision": "bf16-mixed"}),
        Setup(changes={"training.channels_last": True}),
        Setup(contents={"cub200": "another"}),
    ]
    names = [{cell.name for cell in unfolding(setup=setup).cells(["cub200/rkd-da/64"], (0,))} for setup in setups]
    assert sum(map(len, names)) == len(set().union(*names))


def test_teachers_of_teachers_are_made_in_order():
    generations = ["sop/teacher/512", "sop/gen1/512", "sop/gen2/512", "sop/gen3/512"]
    assert labels(unfolding(TABLE2).cells(["sop/gen3/512"], (0,))) == generations


def test_self_distillation_is_a_chain():
    gen3 = unfolding(TABLE2).run("sop/gen3/512", 0)
    assert gen3.training.steps == 60_000
    chain = [gen3]
    while chain[-1].teacher:
        chain.append(chain[-1].teacher)
    assert [one.net.unit_length for one in chain] == [False, False, False, True]
    assert chain[-1].training.steps == 40_000


FAIR = Setup(protocol="fair")
TEACHER, STUDENT, OTHER = "cub200/teacher/512", "cub200/rkd-da/64", "cub200/rkd-da/16"


def finish_candidates(rows, cells, best):
    """Give every candidate a row; the one with this rate the best recall."""
    for cell in cells:
        if isinstance(cell, Cell) and cell.role == "tuning":
            rows.finish(cell.experiment, 0.9 if cell.experiment.training.learning_rate == best else 0.5)


def test_rates_are_chosen_teacher_first():
    rows = Rows()
    first = unfolding(setup=FAIR, rows=rows).cells([OTHER], (0, 1))
    assert labels(first) == [f"{TEACHER} at {rate}" for rate in ("1e-05", "3e-05", "0.0001", "0.0003")] + [
        f"?{TEACHER} 0",
        *(f"?{STUDENT} at {rate} 0" for rate in ("1e-05", "3e-05", "0.0001", "0.0003")),
        f"?{OTHER} 0",
        f"?{TEACHER} 1",
        f"?{OTHER} 1",
    ]
    finish_candidates(rows, first, 3e-5)
    second = unfolding(setup=FAIR, rows=rows).cells([OTHER], (0, 1))
    candidates = [cell for cell in second if isinstance(cell, Cell) and cell.role == "tuning"]
    assert [cell.label for cell in candidates] == [
        f"{STUDENT} at {rate}" for rate in ("1e-05", "3e-05", "0.0001", "0.0003")
    ]
    assert {cell.experiment.teacher.training.learning_rate for cell in candidates} == {3e-5}
    finish_candidates(rows, second, 1e-4)
    last = unfolding(setup=FAIR, rows=rows)
    assert labels(last.cells([OTHER], (0, 1))) == [TEACHER, OTHER, TEACHER, OTHER]
    run = last.run(OTHER, 1)
    assert (run.training.learning_rate, run.teacher.training.learning_rate, run.seed) == (1e-4, 3e-5, 1)
    assert {path: choice.rate for path, choice in last.rates.items()} == {TEACHER: 3e-5, STUDENT: 1e-4}


def test_a_run_that_chose_a_rate_is_the_tables_own_where_nothing_else_differs():
    rows = Rows()
    cells = unfolding(setup=FAIR, rows=rows).cells([TEACHER], (0,))
    finish_candidates(rows, cells, 1e-4)
    run = unfolding(setup=FAIR, rows=rows).run(TEACHER, 0)
    assert run.fingerprint in rows.by_name


def test_nothing_is_chosen_while_a_candidate_is_missing():
    rows = Rows()
    cells = unfolding(setup=FAIR, rows=rows).cells([TEACHER], (0,))
    finish_candidates(rows, cells[1:], 1e-4)
    assert unfolding(setup=FAIR, rows=rows).run(TEACHER, 0) is None
    failed = unfolding(setup=FAIR, rows=rows, diverged={cells[0].name})
    assert failed.run(TEACHER, 0).training.learning_rate == 1e-4
    assert list(failed.rates[TEACHER].recalls) == [3e-5, 1e-4, 3e-4]
    assert failed.rates[TEACHER].diverged == (1e-5,)


def test_where_every_candidate_failed_nothing_is_chosen():
    cells = unfolding(setup=FAIR).cells([TEACHER], (0,))
    failed = unfolding(setup=FAIR, diverged={cell.name for cell in cells})
    assert failed.run(TEACHER, 0) is None


def test_of_equal_recalls_the_lowest_rate_wins():
    rows = Rows()
    finish_candidates(rows, unfolding(setup=FAIR, rows=rows).cells([TEACHER], (0,)), best=None)
    assert unfolding(setup=FAIR, rows=rows).run(TEACHER, 0).training.learning_rate == 1e-5


def test_names_know_those_that_chose():
    rows = Rows()
    cells = unfolding(setup=FAIR, rows=rows).cells([TEACHER], (0,))
    finish_candidates(rows, cells, 1e-4)
    names = unfolding(setup=FAIR, rows=rows).names([TEACHER], (0,))
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
        ("cub200/rdk-da/64", r"--only 'cub200/rdk-da/64' matches no cell of rkd-table1: did you mean cub200/rkd-da/64"),
        ("CARS196/*", r"matches no cell of rkd-table1: write cub200/teacher/512, or a pattern such as \*/64"),
        ("cars196/*/64", "matches no cell"),  # of another data set than those asked for
        ("", "matches no cell"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused(pattern, told):
    with pytest.raises(ValueError, match=told):
        selected(TABLE1, ["cub200"], ("cub200/teacher/512", pattern))


def request(**given):
    settings = {
        "study": "rkd-table1",
        "protocol": "paper",
        "scale": "full",
        "device": "cpu",
        "changes": {},
        "contents": {"cub200": "a"},
        "seeds": (0,),
    }
    return Request(**(settings | given))


def test_requests_of_one_table_are_joined():
    earlier = request(contents={"cars196": "b"}, seeds=(2, 1), diverged=("x",))
    joined = {"contents": {"cars196": "b", "cub200": "a"}, "seeds": (0, 1, 2), "diverged": ("x", "y")}
    assert request(diverged=("y",)).merged(earlier) == request(**joined)


@pytest.mark.parametrize(
    "given",
    [{"device": "cuda"}, {"changes": {"data.size": 128}}, {"contents": {"cub200": "b"}}, {"scale": "toy"}],
)
def test_requests_of_other_conditions_are_not(given):
    assert request().merged(request(**given)) is None


def test_a_request_is_kept(tmp_path):
    kept = request(changes={"training.steps": 5, "training.decay_at": [0.5]}, diverged=("x",))
    write_record(kept, tmp_path / "request.json")
    assert read_record(Request, tmp_path / "request.json") == kept


def test_what_is_not_decided_yet_looks_like_what_it_will_be():
    undecided = [cell for cell in unfolding(setup=FAIR).cells([OTHER], (0, 1)) if isinstance(cell, PendingRun)]
    assert len({cell.name for cell in undecided}) == len(undecided) == 8
    student = undecided[-1].experiment
    assert (student.net.dim, student.seed, student.teacher.net.trunk) == (16, 1, "resnet50")
    assert [cell.experiment.training.learning_rate for cell in undecided[1:5]] == [1e-5, 3e-5, 1e-4, 3e-4]


def test_a_seed_that_cannot_be_is_told():
    with pytest.raises(ValueError, match=r"^seed = -1: Input should be greater than or equal to 0$"):
        unfolding().cells([TEACHER], (-1,))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"data.hold_out": False},
            "data.hold_out = false: protocol fair chooses rates on the classes that it holds out",
        ),
        ({"training.learning_rate": 1e-3}, "training.learning_rate: protocol fair chooses it"),
    ],
)
def test_what_fair_cannot_be_with_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        Setup(protocol="fair", changes=changes)


def test_two_stages_of_an_odd_number_of_steps_are_refused_under_fair():
    with pytest.raises(ValueError, match=r"training\.steps = 5: a method in two stages needs an even number"):
        unfolding(setup=Setup(protocol="fair", changes={"training.steps": 5})).cells(["cub200/fitnet/64"], (0,))
