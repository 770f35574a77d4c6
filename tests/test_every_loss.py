"""Every loss of the table trains a student on Glyphs, through plan and grid; a new one is taken along by itself.

Those of episodes are in `tasks/test_few_shot_losses.py`.
"""

import math

import pytest
import torch
from planned import plan_runs, quickstart_with
from tiny import TINY
from tiny_photos import write_photos

import relbench.data.glyphs.glyphs
from relbench.data.datasets.added import add
from relbench.experiment import Term
from relbench.grid.executors import Inline
from relbench.grid.scheduler import prepare, run_grid
from relbench.losses import LOSSES
from relbench.results.run_folder import RunFolder
from relbench.studies.quickstart import TRIPLET

OPTIONS = {"hinton_kd": {"temperature": 4.0}, "refilled_classifier": {"weighted": True}}
OF_BATCHES = [name for name, entry in LOSSES.items() if "episodes" not in entry.requires]
ADDED = {name: Term(loss=name, options=OPTIONS.get(name, {})) for name in OF_BATCHES if name != "triplet"}
VARIANTS = {
    "fitnet, untrained": Term(loss="fitnet", options={"trained": False}),
    "similarity_preserving, embeddings": Term(loss="similarity_preserving", layers=("embedding",)),
    "attention_transfer, stage1": Term(loss="attention_transfer", layers=("stage1",)),
}
METHODS = {"triplet": (TRIPLET,)} | {label: (TRIPLET, term) for label, term in (ADDED | VARIANTS).items()}
STAGED = "REFILLED in two stages"
FEW = {
    "teacher.steps": 4,
    "teacher.validate_every": 4,
    "student.steps": 4,
    "student.validate_every": 4,
}
SMALL = {"steps": 1, "validate_every": 1, "batch_size": 10}
WIDE = {"student.width": 3, "student.dim": 5}  # no shape of the student's is one of the teacher's


class Log:
    """Nothing may fail."""

    def started(self, folders):
        pass

    def finished(self, fingerprint, row):
        pass

    def failed(self, fingerprint, error):
        raise AssertionError(error)


def trained(methods, folder, data, values, first_stages=None):
    """Rows, and weights of the networks, by label."""
    study = quickstart_with(methods, (TRIPLET, Term(loss="probe")), first_stages, control=None)
    cells = plan_runs(study, (0,), values=TINY | FEW | values, data=data)
    schedule = prepare([cell.experiment for cell in cells], folder, data, iter, print)
    run_grid(Inline(), schedule, folder, data, Log())
    rows = {cell.label: schedule.rows[cell.experiment.fingerprint] for cell in cells}
    return rows, {cell.label: RunFolder(folder, cell.experiment).state()["network"] for cell in cells}


def without_most_validation_classes(*counts, table=relbench.data.glyphs.glyphs.glyph_table):
    """Validating on all of them takes longer than the training."""
    whole = table(*counts)
    held = whole["split"] == "validation"
    return whole[~held | (held.cumsum() <= 60)].reset_index(drop=True)


@pytest.fixture(scope="module")
def everything(tmp_path_factory, data_folder):
    first = {STAGED: (ADDED["refilled_embedding"],)}
    methods = METHODS | {STAGED: (ADDED["refilled_classifier"],)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relbench.data.glyphs.glyphs, "glyph_table", without_most_validation_classes)
        return trained(methods, tmp_path_factory.mktemp("runs"), data_folder, WIDE, first)


def test_no_loss_is_left_out(everything):
    used = {term.loss for row in everything[0].values() for term in row.experiment.terms}
    assert used == set(OF_BATCHES)


def differ(first, second):
    return any(not torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("label", [label for label in METHODS if label != "triplet"])
def test_a_loss_is_finite_and_moves_the_student(everything, label):
    rows, weights = everything
    row, term = rows[label], METHODS[label][1].loss
    assert [entry["step"] for entry in row.history] == [1, 2, 3, 4]
    values = [entry[term] for entry in row.history]
    assert all(math.isfinite(value) and value > 0 for value in values)
    assert len(set(values)) == 4
    assert row.history[0]["triplet"] == rows["triplet"].history[0]["triplet"]  # the same network, images and triplets
    assert differ(weights[label], weights["triplet"]) == (term != "probe")


def test_methods_are_different_methods(everything):
    """No two of them end with the same weights, but the probe with the plain student."""
    weights = {label: one for label, one in everything[1].items() if label not in ("teacher", "probe")}
    labels = list(weights)
    pairs = [(a, b) for number, a in enumerate(labels) for b in labels[:number]]
    assert not [(a, b) for a, b in pairs if not differ(weights[a], weights[b])]


def test_two_stages(everything):
    rows = everything[0]
    first, second = rows[f"{STAGED}, first stage"], rows[STAGED]
    assert [entry["step"] for entry in first.history] == [entry["step"] for entry in second.history] == [1, 2]
    assert second.experiment.initialized_from == first.experiment
    assert math.isfinite(second.history[-1]["refilled_classifier"])


def test_maps_of_another_trunk(tmp_path):
    """A residual network learns the maps of a small conv net, on photos, as Glyphs are too small for it."""
    photos = tmp_path / "photos"
    write_photos(photos, classes=36).rename(columns={"name": "path"}).to_csv(photos / "table.csv", index=False)
    add("photos", photos / "table.csv", tmp_path / "data")
    values = {"data.name": "photos", "data.size": 32, "data.train_classes": None, "data.test_classes": None}
    values |= {f"{arm}.{key}": value for arm in ("student", "teacher") for key, value in SMALL.items()}
    values |= {"student.trunk": "resnet18", "student.width": None}
    maps = ("fitnet", "attention_transfer", "neuron_selectivity", "similarity_preserving")
    methods = {"all": (TRIPLET, *(ADDED[name] for name in maps))}
    rows, _ = trained(methods, tmp_path / "runs", tmp_path / "data", values)
    assert all(rows["all"].history[-1][name] > 0 for name in maps)
