"""Bytes that a run keeps, against what lies in the folders of real ones."""

import pytest
import torch
from models.families import FAMILIES
from planned import plan_runs, quickstart_with
from tiny import TINY

from relbench.experiment import Data, Experiment, Net, Term, Training
from relbench.grid.estimate import image_counts
from relbench.grid.estimate.disk import folder_size, trained_parts
from relbench.grid.estimate.image_counts import ImageCounts
from relbench.models import TRUNKS, build_embedder, imagenet
from relbench.results.run_folder import RunFolder
from relbench.run import run
from relbench.settings import changed
from relbench.studies.quickstart import TRIPLET
from relbench.trackers import Silent

WITH_WEIGHTS = (TRIPLET, Term(loss="fitnet"), Term(loss="correlation_congruence"), Term(loss="cross_entropy"))
METHODS = {"rkd-d": (TRIPLET, Term(loss="rkd_distance")), "weights": WITH_WEIGHTS}
STUDY = quickstart_with(METHODS)
COUNTS = ImageCounts(classes=80, train=4691, validation=1173, test=5924, test_classes=100, channels=3, text=400)


def planned(**values):
    cells = plan_runs(STUDY, (0,), values=TINY | values)
    return {cell.label: cell.experiment for cell in cells}


@pytest.mark.parametrize(
    ("selection", "steps", "optimizer", "momentum"),
    [("last", 40, "adam", 0.0), ("validation", 9, "adam", 0.0), ("last", 9, "sgd", 0.9), ("last", 9, "sgd", 0.0)],
)
def test_what_lies_in_the_folder(tmp_path, data_folder, selection, steps, optimizer, momentum):
    values = {"selection": selection, "steps": steps, "validate_every": steps, "optimizer": optimizer}
    cells = planned(**{f"student.{name}": value for name, value in (values | {"momentum": momentum}).items()})
    for label in ("teacher", "rkd-d", "weights"):
        one, folder = cells[label], RunFolder(tmp_path, cells[label])
        run(one, tmp_path, data_folder, Silent())
        size = sum(path.stat().st_size for path in folder.path.iterdir())
        assert folder_size(one, image_counts(one.data, data_folder)) == pytest.approx(size, rel=0.25), label


def test_parts_have_the_weights_of_a_real_run(tmp_path, data_folder):
    cells = planned()
    run(cells["teacher"], tmp_path, data_folder, Silent())
    run(cells["weights"], tmp_path, data_folder, Silent())
    state = RunFolder(tmp_path, cells["weights"]).state()
    network, objective = trained_parts(cells["weights"], image_counts(cells["weights"].data, data_folder))
    for kept, ours in ((state["network"], network), (state["losses"], objective)):
        assert {name: value.shape for name, value in kept.items()} == {
            name: value.shape for name, value in ours.state_dict().items()
        }


@pytest.mark.parametrize("trunk", FAMILIES)
def test_counts_of_a_network_that_is_not_made(monkeypatch, trunk):
    """Also of one whose weights would have to be loaded."""
    monkeypatch.setattr(imagenet, "load_weights", None)
    weights = "imagenet" if TRUNKS[trunk].weights else "random"
    experiment = Experiment(data=Data(size=48), net=Net(trunk=trunk, dim=8, weights=weights), terms=(TRIPLET,))
    network, _ = trained_parts(experiment, COUNTS)
    real = build_embedder(Net(trunk=trunk, dim=8), channels=3, seed=0, size=48)
    assert all(parameter.device.type == "meta" for parameter in network.parameters())
    assert [value.shape for value in network.state_dict().values()] == [
        value.shape for value in real.state_dict().values()
    ]
    assert [value.dtype for value in network.parameters()] == [torch.float32] * len([*real.parameters()])


def test_adam_and_the_best_step_take_their_room():
    """ResNet-50 of 24.6 million parameters: weights and two moments, and the weights again where the best is sought."""
    net = Net(trunk="resnet50", dim=512, weights="imagenet")
    last = Experiment(data=Data(size=224), net=net, terms=(TRIPLET,))
    best = changed(last, {"training": Training(selection="validation")})
    weights, embeddings = 4 * 24_557_120, 5924 * (4 * 512 + 400)
    assert folder_size(last, COUNTS) == pytest.approx(3 * weights + embeddings, rel=0.01)
    assert folder_size(best, COUNTS) == pytest.approx(4 * weights + embeddings, rel=0.01)
