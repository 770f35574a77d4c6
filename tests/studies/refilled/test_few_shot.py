"""REFILLED for few-shot learning: what its table is made of, and the whole way at toy scale on tiny photos of birds."""

import pandas as pd
import pytest
from data.archives import make_cub200
from data.tiny_cards import tiny_card

from relbench.resolve import resolve
from relbench.results.records import Row, read_record
from relbench.settings import changed
from relbench.studies import build_study

FULL, TOY = build_study("refilled-few-shot"), build_study("refilled-few-shot", {"scale": "toy"})
LOSSES = {
    "alone": {"prototypical": 1.0},
    "rkd-d": {"prototypical": 1.0, "rkd_distance": 60.0},
    "rkd-da": {"prototypical": 1.0, "rkd_distance": 30.0, "rkd_angle": 30.0},
    "refilled": {"refilled_embedding": 1.0, "prototypical": 1.0},
}


def trainings(study, path):
    teacher = f"{path.partition('/')[0]}/teacher"
    taught = study.trainings(teacher, 0, None, None)[-1] if study.runs[path].teacher else None
    return study.trainings(path, 0, None, taught)


@pytest.mark.parametrize(("study", "way"), [(FULL, 5), (TOY, 2)], ids=["full", "toy"])
def test_a_row_for_each_method_and_a_column_for_each_number_of_support_images(study, way):
    found = {(cell.row, cell.column): (cell.run, cell.metric) for cell in study.cells}
    assert found == {
        (row, f"{way}-way {shot}-shot"): (f"{shot}-shot/{row}", f"{way}way_{shot}shot")
        for row in ("teacher", *LOSSES)
        for shot in (1, 5)
    }
    assert [run for run, _ in found.values()] == [cell.run for cell in study.cells]
    assert {*study.runs} == {run for run, _ in found.values()}
    assert all(cell.published is None for cell in study.cells)
    assert "The protocol is relbench's own" in " ".join(study.notes)


@pytest.mark.parametrize("shot", [1, 5])
@pytest.mark.parametrize("method", LOSSES)
def test_students_differ_in_their_loss_alone(shot, method):
    run, alone = (FULL.runs[f"{shot}-shot/{name}"] for name in (method, "alone"))
    assert {term.loss: term.weight for stage in run.stages for term in stage.terms} == LOSSES[method]
    assert run.teacher == ("" if method == "alone" else f"{shot}-shot/teacher")
    assert changed(alone, {"stages": run.stages, "teacher": run.teacher}) == run
    assert sum(stage.share for stage in run.stages) == 1
    for training in trainings(FULL, f"{shot}-shot/{method}"):
        assert resolve(training, method)
    assert training.total_steps == 20_000


@pytest.mark.parametrize(("shot", "way"), [(1, 30), (5, 20)])
def test_training_episodes(shot, way):
    run = FULL.runs[f"{shot}-shot/teacher"]
    assert (run.task.shot, run.task.way, run.task.queries, run.task.episodes) == (shot, (5,), 15, 10_000)
    assert run.training.images_per_class == shot + 15
    assert run.training.batch_size == way * (shot + 15)
    assert run.task.batch_norm == "apart"
    assert (run.training.learning_rate, run.training.decay) == (1e-3, 0.5)
    assert run.training.decay_at == pytest.approx([tenth / 10 for tenth in range(1, 10)])
    assert run.training.selection == "validation"
    assert run.data.hold_out
    assert run.data.split == "classes"


def test_claims_are_about_both_numbers_of_support_images():
    pairs = [("refilled", "alone"), ("refilled", "rkd-d"), ("refilled", "rkd-da"), ("rkd-da", "alone")]
    assert [claim.better for claim in FULL.claims] == [
        ((f"{shot}-shot/{better}", f"{shot}-shot/{worse}"),) for better, worse in pairs for shot in (1, 5)
    ]


@pytest.mark.slow
def test_from_the_archive_to_the_table(call, cards, tmp_path):
    """Ten species on each side, of which two are validated on; seven images of each, all that an episode needs."""
    root = tmp_path / "datasets"
    (root / "cub200").mkdir(parents=True)
    cards(tiny_card("cub200", make_cub200(root / "cub200", classes=10, images=7), {}))
    where = ("--data", root, "--results", tmp_path / "results", "--jobs", "1", "--device", "cpu")
    made = call("reproduce", "refilled-few-shot", "--scale", "toy", *where, "--seeds", "0")
    assert made.code == 0, made.error
    (folder,) = (tmp_path / "results").iterdir()
    frame = pd.read_csv(folder / "cells.csv")
    assert len(frame) == len(TOY.cells)
    assert frame["validation_mean"].between(0, 1).all()
    assert len(pd.read_csv(folder / "claims.csv")) == len(TOY.claims)
    rows = [read_record(Row, path) for path in folder.glob("runs/*/row.json")]
    assert {row.primary for row in rows} == {"2way_1shot", "2way_5shot"}
    assert {row.counts.trials for row in rows} == {(4,) * 20}
