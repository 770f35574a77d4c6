"""Each claim of a table, broken once: refused in one line, or named."""

from collections.abc import Sequence
from typing import Literal

import pytest

from relbench.analysis.comparable import is_self_distilled, refuse_unfair, settings, unequal_settings
from relbench.counts import Counts
from relbench.experiment import Experiment, Net, TaskSettings, Term
from relbench.results.records import Entry, Machine, Role, Row
from relbench.settings import changed

TRIPLET = (Term(loss="triplet"),)
ANGLE = (*TRIPLET, Term(loss="rkd_angle"))
SMALL = Net(dim=16)
Cell = tuple[str, Role, Row]


def with_setting(experiment: Experiment, name: str, value: object) -> Experiment:
    """A copy with another setting, by its dotted name."""
    group, _, key = name.partition(".")
    return changed(experiment, {group: changed(getattr(experiment, group), {key: value})})


def as_row(experiment: Experiment, data_hash: str = "h") -> Row:
    return Row(
        fingerprint=experiment.fingerprint,
        experiment=experiment,
        data_hash=data_hash,
        parameters=1,
        selected_step=1,
        metrics={"recall@1": 0.5},
        validation={},
        counts=Counts(groups=("a",), trials=(2,), correct=(1,)),
        history=({"step": 1},),
        train_seconds=1,
        evaluate_seconds=1,
        peak_memory=1,
        finished="2026-01-01T00:00:00+00:00",
        machine=Machine(device="d", cores=1, system="s", versions={}, git_commit=None),
    )


def teacher(seed: int) -> Experiment:
    return with_setting(Experiment(terms=TRIPLET, seed=seed), "training.steps", 500)


def student(seed: int) -> Experiment:
    return Experiment(net=SMALL, terms=ANGLE, seed=seed, teacher=teacher(seed))


def fair_cells() -> list[Cell]:
    """Two seeds of a teacher, a distilled student, one without a teacher, and a control."""
    return [
        cell
        for seed in (0, 1)
        for cell in (
            ("teacher", "teacher", as_row(teacher(seed))),
            ("rkd-a", "student", as_row(student(seed))),
            ("triplet", "student", as_row(Experiment(net=SMALL, terms=TRIPLET, seed=seed))),
            ("longer", "control", as_row(with_setting(teacher(seed), "training.steps", 1000))),
        )
    ]


def check(cells: Sequence[Cell], seeds: Sequence[int] | None = None) -> None:
    given = seeds or [row.experiment.seed for _, _, row in cells]
    entries = [
        Entry(label=label, role=role, seed=seed, fingerprint=row.fingerprint)
        for (label, role, row), seed in zip(cells, given, strict=True)
    ]
    refuse_unfair(entries, {row.fingerprint: row for _, _, row in cells})


def test_a_fair_table_passes() -> None:
    """Though the teacher has fewer steps, and one student no teacher."""
    check(fair_cells())


def refused(cells: Sequence[Cell], seeds: Sequence[int] | None = None) -> str:
    with pytest.raises(ValueError, match=r": run the study again, or delete the folders of such runs$") as error:
        check(cells, seeds)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("data.size", 56, "data.size is 28 for teacher (seed 0), 56 for rkd-a (seed 0)"),
        ("data.resize", 64, "data.resize is null for teacher (seed 0), 64 for rkd-a (seed 0)"),
        ("data.name", "cub200", "data.name is glyphs for teacher (seed 0), cub200 for rkd-a (seed 0)"),
        ("data.content", "feed", "data.content is  for teacher (seed 0), feed for rkd-a (seed 0)"),
    ],
)
def test_rows_of_other_images_are_refused(name: str, value: object, said: str) -> None:
    cells = fair_cells()
    cells[1] = ("rkd-a", "student", as_row(with_setting(student(0), name, value)))
    assert f"rows of different data can't be compared: {said}" in refused(cells)


def test_rows_of_another_task_are_refused() -> None:
    class Guessing(TaskSettings):
        kind: Literal["guessing"] = "guessing"
        tries: int = 1

    cells = fair_cells()
    cells[1] = ("rkd-a", "student", as_row(changed(student(0), {"task": Guessing(tries=2)})))
    both = '{"kind": "retrieval"} for teacher (seed 0), {"kind": "guessing", "tries": 2} for rkd-a (seed 0)'
    assert f"rows of different tasks can't be compared: task is {both}" in refused(cells)


def test_rows_of_another_split_are_refused() -> None:
    cells = fair_cells()
    cells[2] = ("triplet", "student", as_row(cells[2][2].experiment, data_hash="other"))
    assert "the hash of images, labels and split is h for teacher (seed 0), other for triplet (seed 0)" in refused(
        cells
    )


@pytest.mark.parametrize(
    ("name", "value"), [("net.dim", 32), ("training.batch_size", 64), ("data.distortion", 0.5), ("code_version", 3)]
)
def test_rows_of_a_method_that_differ_in_more_than_the_seed_are_refused(name: str, value: object) -> None:
    cells = fair_cells()
    other = changed(student(1), {name: value}) if name == "code_version" else with_setting(student(1), name, value)
    cells[5] = ("rkd-a", "student", as_row(other))
    assert f"rows of a method may differ only in their seed, but {name} is " in refused(cells)


def test_another_loss_or_none_of_a_teacher_at_another_seed_is_refused() -> None:
    cells = fair_cells()
    cells[5] = ("rkd-a", "student", as_row(changed(student(1), {"terms": (*TRIPLET, Term(loss="rkd_distance"))})))
    assert "but terms is " in refused(cells)
    cells[5] = ("rkd-a", "student", as_row(changed(student(1), {"teacher": None})))
    assert "but teacher is given for rkd-a (seed 0), none for rkd-a (seed 1)" in refused(cells)


def test_a_teacher_trained_otherwise_at_another_seed_is_refused() -> None:
    cells = fair_cells()
    cells[4] = ("teacher", "teacher", as_row(with_setting(teacher(1), "training.steps", 501)))
    said = "training.steps is 500 for teacher (seed 0), 501 for teacher (seed 1)"
    assert said in refused(cells)


@pytest.mark.parametrize(
    "other", [teacher(1), with_setting(teacher(0), "net.dim", 64)], ids=["of another seed", "of another width"]
)
def test_a_student_of_another_teacher_is_refused(other: Experiment) -> None:
    cells = fair_cells()[:4]
    cells[1] = ("rkd-a", "student", as_row(changed(student(0), {"teacher": other})))
    said = f"{other.fingerprint} taught rkd-a (seed 0), but the table's is {teacher(0).fingerprint}"
    assert f"a student is compared with its own teacher, and {said}" in refused(cells)


def test_a_run_counts_once_and_for_its_own_seed() -> None:
    cells = fair_cells()
    twice = [*cells, cells[1]]
    assert "rkd-a (seed 0) has a run of seed 0: a method needs one run per seed, of that seed" in refused(twice)
    seeds = [0, 1, 0, 0, 1, 0, 1, 1]
    assert "rkd-a (seed 1) has a run of seed 0" in refused(cells, seeds)


def test_a_label_for_two_roles_is_refused() -> None:
    cells = fair_cells()
    cells[6] = ("triplet", "control", cells[6][2])
    assert "'triplet' is both student and control" in refused(cells)


def test_settings_leave_out_seeds_alone() -> None:
    assert settings(student(0)) == settings(student(1))
    assert settings(student(0))["teacher.training.steps"] == "500"
    assert settings(teacher(0))["teacher"] == "none"


def test_unequal_settings_leave_out_loss_teacher_and_seed() -> None:
    students = [student(0), student(1), Experiment(net=SMALL, terms=TRIPLET)]
    assert unequal_settings(students) == []
    assert unequal_settings([]) == []
    unequal = with_setting(with_setting(student(2), "net.dim", 32), "training.steps", 7)
    assert unequal_settings([*students, unequal]) == ["net.dim", "training.steps"]


def test_self_distilled_is_who_differs_from_its_teacher_in_its_loss_alone() -> None:
    itself = changed(teacher(0), {"terms": ANGLE, "teacher": teacher(0)})
    assert is_self_distilled(itself)
    assert not is_self_distilled(teacher(0))
    assert not is_self_distilled(student(0))
    assert not is_self_distilled(with_setting(itself, "training.steps", 7))


def staged(first: Experiment, steps: int, seed: int = 0) -> Experiment:
    """A number of steps by the triplet loss, after a first stage."""
    one = Experiment(net=SMALL, terms=TRIPLET, seed=seed, start=first)
    return with_setting(one, "training.steps", steps)


def stage(seed: int = 0, steps: int = 600) -> Experiment:
    """A first stage with a teacher; with 400 steps after it, as long as any other student."""
    return with_setting(student(seed), "training.steps", steps)


def test_unequal_settings_count_the_steps_of_all_stages() -> None:
    assert unequal_settings([student(0), staged(stage(), 400)]) == []
    assert unequal_settings([staged(stage(), 400), student(0)]) == []
    assert unequal_settings([student(0), staged(stage(), 500)]) == ["training.steps"]
    assert settings(staged(stage(), 500))["training.steps"] == "1100"


def test_a_fair_table_with_a_method_in_two_stages_passes() -> None:
    check(staged_cells())


def staged_cells() -> list[Cell]:
    return [*fair_cells(), *(("staged", "student", as_row(staged(stage(seed), 400, seed))) for seed in (0, 1))]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("initialized_from.terms", changed(stage(1), {"terms": (*TRIPLET, Term(loss="rkd_distance"))})),
        ("initialized_from.training.batch_size", with_setting(stage(1), "training.batch_size", 64)),
        ("initialized_from.teacher", changed(stage(1), {"teacher": None})),
        ("initialized_from.teacher.net.dim", changed(stage(1), {"teacher": with_setting(teacher(1), "net.dim", 64)})),
    ],
)
def test_another_first_stage_at_another_seed_is_refused(name: str, other: Experiment) -> None:
    cells = staged_cells()
    cells[-1] = ("staged", "student", as_row(staged(other, 400, 1)))
    assert f"rows of a method may differ only in their seed, but {name} is " in refused(cells)


def test_no_first_stage_at_another_seed_is_refused() -> None:
    """Though the steps add up to as many."""
    cells = staged_cells()
    cells[-1] = ("staged", "student", as_row(Experiment(net=SMALL, terms=TRIPLET, seed=1)))
    assert "for staged (seed 0), None for staged (seed 1)" in refused(cells)


def test_a_first_stage_taught_by_another_teacher_is_refused() -> None:
    cells = staged_cells()[:-1]
    other = with_setting(teacher(0), "net.dim", 64)
    cells[-1] = ("staged", "student", as_row(staged(changed(stage(), {"teacher": other}), 400)))
    assert f"{other.fingerprint} taught staged (seed 0), but the table's is " in refused(cells)
