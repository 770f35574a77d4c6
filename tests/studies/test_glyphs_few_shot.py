"""The few-shot study on Glyphs: planned as it says, and made from end to end with tiny networks."""

import pandas as pd
import pytest

from relbench.data import find_data_set
from relbench.data.glyphs.glyphs import FACES
from relbench.resolve import resolve
from relbench.results.records import read_row
from relbench.settings import changed
from relbench.studies import build_study
from relbench.tasks import find_task

SCALES = ("full", "toy")
COLUMNS = ["5-way 1-shot", "20-way 1-shot", "5-way 5-shot", "20-way 5-shot"]
MINE = """
from torch.nn.functional import mse_loss


def distances(support, query, teacher):
    '''Support images and queries of a class come to lie together, wherever the teacher has them.'''
    return mse_loss(support.mean(dim=1), query.mean(dim=1)) + 0 * teacher.mean()
"""


@pytest.fixture(scope="module", params=SCALES)
def study(request):
    return build_study("glyphs-few-shot", {"scale": request.param})


def made(call, tmp_path, data_folder, *command):
    where = ("--seeds", "0", "--scale", "toy", "--results", tmp_path, "--data", data_folder, "--jobs", "1")
    result = call(*command, *where)
    assert result.code == 0, result.error
    (folder,) = (path.parent for path in tmp_path.glob("*/study.json"))
    return folder


def rows_of(folder):
    return [read_row(path, path.parent.name) for path in folder.glob("runs/*/row.json")]


def test_every_method_from_training_to_the_report(call, tmp_path, data_folder):
    folder, study = made(call, tmp_path, data_folder, "reproduce", "glyphs-few-shot"), build_study("glyphs-few-shot")
    rows = rows_of(folder)
    two_stages = sum(len(run.stages) == 2 for run in study.runs.values())
    assert len(rows) == len(study.runs) + two_stages
    for row in rows:
        shot = row.experiment.task.shot
        assert {*row.metrics} == {f"{way}way_{shot}shot{end}" for way in (5, 20) for end in ("", "_ci95")}
        assert row.counts.trials == (5 * 7,) * 10
        assert row.other_counts[f"20way_{shot}shot"].trials == (20 * 7,) * 10
    cells = pd.read_csv(folder / "cells.csv")
    assert cells["last_mean"].between(0, 1).all()
    assert list(cells["column"].unique()) == COLUMNS
    assert (folder / "report.html").exists()


def test_a_loss_beside_those_of_the_study(call, tmp_path, data_folder):
    """It may take the parts of an episode, and gets the students' networks: one for each number of support images."""
    (tmp_path / "mine.py").write_text(MINE)
    only = ("--only", "*/half/prototypical", "--only", "*/distances")
    command = ("compare", f"{tmp_path}/mine.py:distances", "--study", "glyphs-few-shot", *only)
    cells = pd.read_csv(made(call, tmp_path, data_folder, *command) / "cells.csv")
    mine = cells[cells["row"] == "distances"]
    assert list(mine["column"]) == COLUMNS
    assert mine["last_mean"].between(0, 1).all()


def test_students_of_a_teacher_differ_in_their_loss_alone(study):
    for shot in (1, 5):
        own = [changed(run, {"stages": ()}) for path, run in study.items if path.startswith(f"{shot}-shot/half")]
        assert all(run == own[0] for run in own)
        teacher = study.runs[f"{shot}-shot/teacher"]
        anew = [run for path, run in study.items if path.startswith(f"{shot}-shot/self")]
        assert all((run.net, run.training, run.data) == (teacher.net, teacher.training, teacher.data) for run in anew)
        assert all(run.teacher == own[0].teacher == f"{shot}-shot/teacher" for run in anew)


def test_an_episode_has_all_images_of_its_classes_or_fewer(study):
    for run in study.runs.values():
        assert run.task.shot + run.task.queries <= len(FACES)
        assert find_task(run.task).episode(run.training).shot == run.task.shot


def test_characters_of_training_validation_and_test_are_disjoint(study, tmp_path):
    data = study.runs["1-shot/teacher"].data
    table = find_data_set("glyphs", tmp_path).table(data, tmp_path)
    assert (table.groupby("label")["split"].nunique() == 1).all()
    assert set(table["split"]) == {"train", "validation", "test"}


def test_every_training_has_the_steps_of_the_teacher(study):
    """But for the controls of half as many, and of twice as many."""
    lengths = {"prototypical-short": 1 / 2, "prototypical-long": 2}
    for path, run in study.items:
        teacher = study.trainings(run.teacher, 0, None, None)[-1] if run.teacher else None
        planned = resolve(study.trainings(path, 0, None, teacher)[-1], path)
        length = lengths.get(path.rpartition("/")[2], 1)
        assert planned.total_steps == length * study.runs["1-shot/teacher"].training.steps


def test_claims_are_about_every_column_and_corrected_by_part(study):
    by_family = {}
    for claim in study.claims:
        by_family.setdefault(claim.family, []).append(claim.text)
    assert list(by_family.pop("")) == [
        f"{column}: the teacher's own network taught by rkd-da beats prototypical-long" for column in COLUMNS
    ]
    own, half = by_family.values()
    assert len(own) == 4 * 4
    assert len(half) == 4 * (11 + 1)
    assert "5-way 1-shot: rkd-da beats the teacher" in own
    assert "20-way 5-shot: refilled beats prototypical-short" in half
