"""One run, from images to a row."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY

from relbench.data import GLYPHS
from relbench.evaluation import retrieval_metrics
from relbench.experiment import changed
from relbench.models import build_embedder
from relbench.plan import find_study, plan_cells
from relbench.run import RunFolder, run
from relbench.training import load_checkpoint

CELLS = {
    cell.label: cell.experiment for cell in plan_cells(find_study("quickstart"), (0,), "cpu", TINY, Path("nowhere"))
}


class Stop(Exception):  # noqa: N818 - stands for a kill
    pass


def ignore(step):
    pass


@pytest.fixture(scope="module")
def done(tmp_path_factory, data_folder):
    """A finished teacher and student."""
    runs = tmp_path_factory.mktemp("runs")
    rows = {label: run(CELLS[label], runs, data_folder, ignore) for label in ("teacher", "rkd-da")}
    return runs, rows


def test_the_row_says_what_was_run(done):
    runs, rows = done
    row = rows["rkd-da"]
    assert row.experiment == CELLS["rkd-da"]
    assert row.fingerprint == CELLS["rkd-da"].fingerprint
    assert RunFolder(runs, CELLS["rkd-da"]).finished() == row
    assert row.selected_step == 9
    assert [entry["step"] for entry in row.history if "recall@1" in entry] == [3, 6, 9]
    assert set(row.history[-1]) == {"step", "triplet", "rkd_distance", "rkd_angle", "recall@1"}
    assert row.validation == {"recall@1": row.history[-1]["recall@1"]}
    assert row.train_seconds > 0
    assert 10**8 < row.peak_memory < 10**11
    assert row.machine.versions["torch"] == torch.__version__.partition("+")[0]


def test_metrics_are_those_of_the_kept_embeddings(done):
    runs, rows = done
    with np.load(RunFolder(runs, CELLS["rkd-da"]).embeddings) as kept:
        assert kept["embeddings"].shape == (12 * 12, 8)
        ks = GLYPHS.ks
        assert retrieval_metrics(kept["embeddings"], kept["labels"], ks, backend="torch") == rows["rkd-da"].metrics
        nearest = [
            kept["labels"][min((sum((a - b) ** 2), j) for j, b in enumerate(kept["embeddings"]) if j != i)[1]]
            for i, a in enumerate(kept["embeddings"].astype(float))
        ]
        assert rows["rkd-da"].metrics["recall@1"] == np.mean(np.array(nearest) == kept["labels"])


def test_class_counts_add_up_to_recall(done):
    row = done[1]["rkd-da"]
    assert sum(row.by_class.correct) / sum(row.by_class.queries) == row.metrics["recall@1"]
    assert len(row.by_class.classes) == 12
    assert set(row.by_class.queries) == {12}


def test_parameters_are_the_networks(done):
    network = build_embedder(CELLS["rkd-da"].net, channels=1, seed=0)
    assert done[1]["rkd-da"].parameters == sum(parameter.numel() for parameter in network.parameters())


def test_killed_and_resumed_equals_uninterrupted(done, tmp_path, data_folder):
    """The student is stopped between two checkpoints; its weights, embeddings and metrics come out bit for bit."""
    runs, rows = done
    teacher = RunFolder(runs, CELLS["teacher"]).path
    (tmp_path / teacher.name).symlink_to(teacher)

    def stop(step):
        if step == 5:
            raise Stop

    with pytest.raises(Stop):
        run(CELLS["rkd-da"], tmp_path, data_folder, stop)
    seen = []
    again = run(CELLS["rkd-da"], tmp_path, data_folder, seen.append)
    assert seen == [3, 4, 5, 6, 7, 8, 9]
    first, second = (RunFolder(place, CELLS["rkd-da"]) for place in (runs, tmp_path))
    assert np.array_equal(np.load(first.embeddings)["embeddings"], np.load(second.embeddings)["embeddings"])
    weights = [load_checkpoint(one.checkpoint, again.fingerprint, 9)["network"] for one in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    same = ("metrics", "history", "by_class", "validation", "data_hash", "selected_step")
    assert all(getattr(again, name) == getattr(rows["rkd-da"], name) for name in same)


def test_the_students_gradient_depends_on_the_teacher(done, data_folder, tmp_path):
    """Another teacher, another student: the distillation is not idle."""
    runs, rows = done
    other = changed(CELLS["rkd-da"], {"teacher": changed(CELLS["teacher"], {"seed": 7})})
    run(other.teacher, runs, data_folder, ignore)
    assert run(other, runs, data_folder, ignore).history[-1] != rows["rkd-da"].history[-1]


def test_missing_teacher(tmp_path, data_folder):
    with pytest.raises(ValueError, match=r"teacher's checkpoint .* is gone"):
        run(CELLS["rkd-da"], tmp_path, data_folder, ignore)


def test_selection_by_validation(tmp_path, data_folder):
    protocol = changed(CELLS["teacher"].protocol, {"selection": "validation"})
    row = run(changed(CELLS["teacher"], {"protocol": protocol}), tmp_path, data_folder, ignore)
    best = max(entry["recall@1"] for entry in row.history if "recall@1" in entry)
    assert row.validation["recall@1"] == best


@pytest.mark.parametrize("loss", ["pml:ProxyAnchorLoss", "pml:MultiSimilarityLoss"])
def test_losses_of_pytorch_metric_learning(tmp_path, data_folder, loss):
    term = changed(CELLS["teacher"].terms[0], {"loss": loss, "options": {}})
    row = run(changed(CELLS["teacher"], {"terms": (term,)}), tmp_path, data_folder, ignore)
    assert row.history[-1][loss] > 0


def test_a_torchvision_trunk(tmp_path, data_folder):
    net = changed(CELLS["teacher"].net, {"trunk": "resnet18", "width": None})
    protocol = changed(CELLS["teacher"].protocol, {"steps": 1, "batch_size": 10})
    small = changed(CELLS["teacher"], {"net": net, "protocol": protocol})
    assert run(small, tmp_path, data_folder, ignore).parameters > 11_000_000
