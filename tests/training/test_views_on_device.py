"""Runs whose views are made on the device: on the CPU equal to the last bit, whoever prepares them."""

import numpy as np
import pandas as pd
import pytest
from tasks.signs import signs  # noqa: F401 - a fixture
from training.small_runs import TRIPLET

import relbench.data.datasets.rendered
from relbench.data import DataSet, find_data_set
from relbench.data.images import augmentation
from relbench.data.images.decoded import decoded_images
from relbench.data.images.small import SmallImages
from relbench.data.table import checked, counts
from relbench.execution import USUAL, Execution
from relbench.experiment import Data, Experiment, FewShot, Net, Term, Training
from relbench.run import run
from relbench.trackers import Silent
from relbench.transforms import SmallTransform

SIDE = 16
EVERY = SmallTransform(pad=3, padding="reflect", rotation=20, jitter=0.4)
TRAINING = Training(batch_size=8, images_per_class=2, steps=6, validate_every=3, selection="last")
DEVICE = [Execution(workers=workers, views="device") for workers in (0, 1, 4)]


class Records:
    """Noise."""

    side, channels, decoding = SIDE, 3, None

    def read(self, names):
        return iter(np.random.default_rng(0).integers(256, size=(len(list(names)), 3, SIDE, SIDE), dtype=np.uint8))

    def state(self, names):
        return str(len(list(names))).encode()


@pytest.fixture
def noise(monkeypatch, tmp_path):
    """A data set of small images, and a run on it."""
    lines = [(f"{label}/{at}", str(label), "test" if label > 5 else "train") for label in range(9) for at in range(6)]
    table = checked(pd.DataFrame(lines, columns=["name", "label", "split"]), needs_validation=False)
    source = SmallImages(table, decoded_images(Records(), table["name"], tmp_path), SIDE, EVERY, "noise")
    entry = DataSet(
        title="Noise",
        summary="",
        transform=SmallTransform,
        channels=3,
        ks=(1,),
        content=lambda _: "noise",
        table=lambda *_: table,
        load=lambda *_: source,
        counts=counts(table),
    )
    monkeypatch.setitem(relbench.data.datasets.rendered.RENDERED, "noise", entry)
    data = Data(name="noise", size=SIDE, content="noise", transform=EVERY)
    return Experiment(data=data, net=Net(width=2, dim=8), training=TRAINING, terms=(TRIPLET,))


def finished(experiment, folder, execution=USUAL):
    row = run(experiment, folder / f"{execution.views}{execution.workers}", folder, Silent(), execution)
    return row.weights_hash, row.history, row.metrics


@pytest.mark.parametrize("execution", DEVICE)
def test_small_images(noise, tmp_path, monkeypatch, execution):
    """By the form of crops and flips that a GPU has."""
    expected = finished(noise, tmp_path)
    monkeypatch.setattr(augmentation, "ON_CPU", augmentation.ON_DEVICE)
    assert finished(noise, tmp_path, execution) == expected


@pytest.mark.parametrize(("kind", "execution"), [("glyphs", DEVICE[1]), ("glyphs-textured", DEVICE[2])])
def test_glyphs(tmp_path, kind, execution):
    content = find_data_set(kind, tmp_path).content(tmp_path)
    data = Data(name=kind, size=16, content=content, train_classes=8, test_classes=4, hold_out=False)
    experiment = Experiment(data=data, net=Net(width=2, dim=8), training=TRAINING, terms=(TRIPLET,))
    expected = finished(experiment, tmp_path)
    assert finished(experiment, tmp_path, execution) == expected


@pytest.mark.usefixtures("signs")
def test_a_data_set_whose_views_are_made_on_the_cpu_alone(tmp_path):
    experiment = Experiment(
        task=FewShot(way=(3,), shot=2, queries=4, episodes=4, validation_episodes=4),
        data=Data(name="signs", size=28, content="signs"),
        net=Net(width=2, dim=8),
        training=Training(steps=2, validate_every=2, batch_size=25, images_per_class=5),
        terms=(Term(loss="prototypical"),),
    )
    told = "--views-on device: signs makes its views on the CPU alone; leave the option out"
    with pytest.raises(ValueError, match=f"^{told}$"):
        finished(experiment, tmp_path, DEVICE[0])
    assert not (tmp_path / "device0" / experiment.fingerprint / "row.json").exists()
