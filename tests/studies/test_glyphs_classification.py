"""The studies of classification on Glyphs: planned as they say, and made from end to end with tiny networks."""

import json

import pytest

from relbench.counts import Counts
from relbench.resolve import resolve
from relbench.settings import changed
from relbench.studies import build_study

TINY = {
    "data.train_classes": 6,
    "data.test_classes": 6,
    "training.epochs": 2,
    "training.batch_size": 8,
    "teacher.width": 3,
    "student.width": 2,
}
LETTERS_OF_A_SPACE = 200


@pytest.fixture(scope="module")
def spaces():
    return build_study("glyphs-label-spaces")


def made(call, name, seeds, tmp_path, data_folder, *options):
    """The folder of a study that was made."""
    where = ("--results", tmp_path, "--data", data_folder, "--jobs", "1")
    result = call("reproduce", name, "--seeds", seeds, *where, *options)
    assert result.code == 0, result.error
    (folder,) = (path.parent for path in tmp_path.glob(f"{name}*/study.json"))
    return folder


def rows_of(folder):
    return [json.loads(path.read_text()) for path in folder.glob("runs/*/row.json")]


def test_every_method_from_training_to_the_report(call, tmp_path, data_folder):
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    folder = made(call, "glyphs-classification", "0,1", tmp_path, data_folder, *settings)
    rows, study = rows_of(folder), build_study("glyphs-classification")
    assert len(rows) == 2 * (len(study.runs) + 1)  # REFILLED has a first stage
    assert all(0 <= row["metrics"]["accuracy"] <= row["metrics"]["top5"] <= 1 for row in rows)
    counts = [Counts.model_validate_json(json.dumps(row["counts"])) for row in rows]
    assert {sum(counted.trials) for counted in counts} == {6 * 4}
    table = (folder / "table.md").read_text()
    assert all(f"| {label} |" in table for label in study.runs)
    assert (folder / "report.html").exists()


def test_every_label_space_from_training_to_the_report(call, tmp_path, data_folder, spaces):
    folder = made(call, "glyphs-label-spaces", "0", tmp_path, data_folder, "--scale", "toy")
    assert len(rows_of(folder)) == len(spaces.runs) + 3  # REFILLED has a first stage in each space
    assert all(method in (folder / "table.md").read_text() for method in ("hkd", "refilled", "other letters"))


def test_few_typefaces_of_each_letter_from_training_to_the_curve(call, tmp_path, data_folder):
    only = ("teacher", "k2/refilled", "k*/cross-entropy")
    options = [part for pattern in only for part in ("--only", pattern)]
    folder = made(call, "glyphs-middle-shot", "0", tmp_path, data_folder, "--scale", "toy", *options)
    rows = rows_of(folder)
    assert len(rows) == 1 + 2 + 4
    assert len({row["data_hash"] for row in rows}) == 5  # the teacher's letters, and four parts of the others'
    page = (folder / "report.html").read_text()
    assert "a curve for each of its rows, over training images of each letter" in page
    assert "training images of k4/refilled" in page  # which floors are by


def letters(run):
    assert run.data.train_classes == run.data.test_classes
    return set(run.data.train_classes)


@pytest.mark.parametrize(("space", "shared"), [("same", 200), ("half", 100), ("other", 0)])
def test_letters_that_teacher_and_student_share(spaces, space, shared):
    taught = letters(spaces.runs["teacher"])
    for path, run in spaces.items:
        if path.startswith(space):
            assert len(letters(run)) == len(taught) == LETTERS_OF_A_SPACE
            assert len(letters(run) & taught) == shared


def test_students_of_a_space_differ_in_their_loss_alone(spaces):
    for space in ("same", "half", "other"):
        own = [changed(run, {"stages": ()}) for path, run in spaces.items if path.startswith(space)]
        assert all(run == own[0] for run in own)


def test_hkd_is_refused_where_the_letters_are_others(spaces):
    """And REFILLED, which is made for it, is not."""
    teacher = spaces.trainings("teacher", 0, None, None)[0]
    terms = spaces.runs["same/hkd"].stages[0].terms
    for path in ("same/refilled", "half/refilled", "other/refilled"):
        second = spaces.trainings(path, 0, None, teacher)[1]
        resolve(second, path)
        kd = changed(second, {"terms": terms, "initialized_from": None})
        if path == "same/refilled":
            resolve(kd, path)
        else:
            with pytest.raises(ValueError, match=r"\A.*hinton_kd compares logits class by class.*\Z"):
                resolve(kd, path)


def test_methods_have_the_weights_that_were_chosen_for_equal_classes(spaces):
    given = build_study("glyphs-classification").runs
    for path, run in spaces.items:
        equal = given[path.split("/")[-1].removesuffix("-short")]
        assert [stage.terms for stage in run.stages] == [stage.terms for stage in equal.stages]


def test_cross_entropy_short_has_the_epochs_of_the_second_stage_of_refilled(spaces):
    teacher = spaces.trainings("teacher", 0, None, None)[0]
    ends = [spaces.trainings(f"other/{path}", 0, None, teacher)[-1] for path in ("cross-entropy-short", "refilled")]
    assert ends[0].training == ends[1].training


def test_stages_of_two_have_half_of_the_epochs_each():
    study = build_study("glyphs-classification")
    teacher = study.trainings("teacher", 0, None, None)[0]
    steps = [stage.training.steps for stage in study.trainings("refilled", 0, None, teacher)]
    assert 2 * steps[0] == 2 * steps[1] == teacher.training.steps
