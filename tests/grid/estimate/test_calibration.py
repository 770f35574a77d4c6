"""What a step takes: which work is timed, not how fast this machine is."""

from itertools import count
from pathlib import Path

import pytest
import torch

from relbench.data.glyphs.views import Distortion
from relbench.experiment import Data, Experiment, FewShot, Net, Term, Training
from relbench.grid.estimate import calibration
from relbench.grid.estimate.calibration import (
    ENOUGH,
    PART,
    REPEATS,
    WHOLE,
    Stopwatch,
    calibrated,
    kind_of,
    untrained,
)
from relbench.grid.estimate.image_counts import ImageCounts
from relbench.losses import LOSSES, find_loss
from relbench.losses.inputs import required_by
from relbench.models import Embedder, imagenet
from relbench.settings import changed
from relbench.training import DivergedError, Learner, TrainingSetup
from relbench.training.assemble import shapes_of

COUNTS = ImageCounts(classes=10, train=100, validation=20, test=50, test_classes=5, channels=1, text=100)
TRIPLET, PROBE = Term(loss="triplet", options={"margin": 0.2}), Term(loss="probe")
SMALL = Training(steps=10, batch_size=24)
TEACHER = Experiment(data=Data(size=16), net=Net(width=2, dim=8), terms=(TRIPLET, PROBE), training=SMALL)
STUDENT = Experiment(
    data=Data(size=16), net=Net(width=1, dim=4), terms=(Term(loss="rkd_distance"),), training=SMALL, teacher=TEACHER
)


class FakeClock:
    """Work that takes a time for a number of images; what was not finished is not counted."""

    def __init__(self, fixed, each):
        self._fixed, self._each = fixed, each
        self._begun = self.now = 0.0

    def work(self, images):
        self._begun += self._fixed + self._each * images

    def finish(self):
        self.now += self._begun
        self._begun = 0.0

    def read(self):
        return self.now


def watched(first, most, fixed, each):
    clock = FakeClock(fixed, each)
    stopwatch, asked = Stopwatch(first, most, clock.finish, clock.read), []
    for images in stopwatch:
        asked.append(images)
        clock.work(images)
    return stopwatch, asked


def test_images_are_doubled_until_the_work_takes_long_enough():
    stopwatch, asked = watched(10, 128, fixed=0.0, each=0.01)
    assert asked == [10, 10, 20, 20, 40, 40]  # to warm up, and to be timed
    assert stopwatch.images == 40
    assert stopwatch.seconds == pytest.approx(0.4)
    assert stopwatch.rate == pytest.approx(0.01)


def test_slow_work_is_timed_once():
    stopwatch, asked = watched(10, 128, fixed=1.0, each=0.0)
    assert asked == [10, 10]
    assert stopwatch.seconds == pytest.approx(1.0)


def test_fast_work_ends_with_the_whole_batch_and_is_repeated():
    stopwatch, asked = watched(10, 25, fixed=0.0, each=0.001)
    assert asked == [10, 10, 20, 20, 25, 25, *[25] * (REPEATS - 1)]
    assert (stopwatch.images, stopwatch.seconds) == (25, pytest.approx(0.025))


def test_one_slow_repetition_does_not_count():
    ticks = iter([0.0, 0.1, 1.0, 1.1, 2.0, 2.29, 3.0, 3.1, 4.0, 4.1])
    stopwatch = Stopwatch(8, 8, lambda: None, lambda: next(ticks))
    assert len(list(stopwatch)) == 1 + REPEATS
    assert stopwatch.seconds == pytest.approx(0.1)


@pytest.mark.parametrize("first", [128, 500])
def test_a_whole_batch_at_once(first):
    _, asked = watched(first, 128, fixed=ENOUGH, each=0.0)
    assert asked == [128, 128]


def test_the_kind_leaves_out_what_does_not_matter():
    same = {
        "seed": 3,
        "net": Net(width=1, dim=64, unit_length=False),
        "data": Data(size=16, train_classes=20),
        "training": changed(SMALL, {"steps": 99, "learning_rate": 0.1, "validate_every": 3, "selection": "validation"}),
        "teacher": changed(TEACHER, {"seed": 4, "net": Net(width=2, dim=16)}),
        "terms": (Term(loss="rkd_distance", weight=3.0),),
    }
    for name, value in same.items():
        assert kind_of(changed(STUDENT, {name: value}), 1) == kind_of(STUDENT, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": Data(size=28)},
        {"net": Net(width=2, dim=4)},
        {"net": Net(trunk="resnet18", dim=4)},
        {"teacher": None},
        {"teacher": changed(TEACHER, {"net": Net(width=3)})},
        {"terms": (Term(loss="rkd_angle"),)},
        *(
            {"training": changed(SMALL, {name: value})}
            for name, value in {
                "batch_size": 25,
                "images_per_class": 2,
                "precision": "bf16-mixed",
                "channels_last": True,
                "compile": True,
                "device": "cuda",
                "threads": 2,
            }.items()
        ),
    ],
    ids=str,
)
def test_the_kind_tells_what_matters(changes):
    assert kind_of(changed(STUDENT, changes), 1) != kind_of(STUDENT, 1)
    assert kind_of(STUDENT, 3) != kind_of(STUDENT, 1)


def no_weights(_network, _weights, name):
    raise AssertionError(f"the weights of {name} would be loaded")


def test_no_weights_are_loaded(monkeypatch):
    monkeypatch.setattr(imagenet, "load_weights", no_weights)
    pretrained = Net(trunk="resnet18", weights="imagenet", dim=4)
    photos = changed(STUDENT, {"data": Data(size=32), "net": pretrained})
    experiment = changed(photos, {"teacher": changed(TEACHER, {"net": pretrained}), "initialized_from": photos})
    assert untrained(experiment).initialized_from is None
    shapes = shapes_of(untrained(experiment), COUNTS.channels, COUNTS.classes)
    assert shapes.student["embedding"] == shapes.teacher["embedding"] == (4,)


def with_term(name):
    options = {"hinton_kd": {"temperature": 4.0}, "triplet": {"margin": 0.2}}
    loss = find_loss(name)
    of_episodes = {"task": FewShot(), "training": changed(SMALL, {"images_per_class": 3})}
    own = of_episodes if "episodes" in required_by(loss.takes) else {}
    return changed(STUDENT, {"terms": (Term(loss=name, options=options.get(name, {}), layers=loss.layers),), **own})


@pytest.mark.parametrize("name", [*LOSSES, "pml:MultiSimilarityLoss", "pml:ProxyAnchorLoss"])
def test_every_loss_can_be_measured(name, monkeypatch, tmp_path):
    """From a batch of two classes on; with the clock standing still it goes up to the whole batch."""
    monkeypatch.setattr("relbench.grid.estimate.calibration.SCORED", 20)
    monkeypatch.setattr("relbench.grid.estimate.calibration.EVALUATION_BATCH", 20)
    monkeypatch.chdir(tmp_path)
    rates = calibrated((with_term(name), COUNTS))
    assert min(rates.step, rates.image, rates.view, rates.scoring, rates.shared) > 0
    assert rates.measured == WHOLE
    assert not list(Path().iterdir())


@pytest.mark.parametrize("batch_norm", ["together", "apart"])
@pytest.mark.parametrize("shot", [1, 2])
def test_parts_of_an_episode_are_of_whole_classes(batch_norm, shot, monkeypatch):
    """Of eight classes of three images: nine images, the fewest from eight on, and then twice as many; no time goes."""
    monkeypatch.setattr(Stopwatch.__init__, "__defaults__", (lambda: 0.0,))
    shown, see = [], TrainingSetup.see
    monkeypatch.setattr(TrainingSetup, "see", lambda setup, *given: shown.append(see(setup, *given)) or shown[-1])
    monkeypatch.setattr("relbench.grid.estimate.calibration.EVALUATION_BATCH", 20)
    changes = {
        "task": FewShot(shot=shot, batch_norm=batch_norm),
        "terms": (Term(loss="prototypical"), Term(loss="rkd_distance")),
        "training": changed(SMALL, {"images_per_class": 3}),
    }
    assert calibrated((changed(STUDENT, changes), COUNTS)).measured == WHOLE
    assert [len(batch.embeddings) for batch in shown[::2]][:3] == [9, 18, 24]
    assert all(part.shape[0] == len(batch.embeddings) // 3 for batch in shown for part in batch.parts)


def test_the_generators_of_others_are_left_alone(monkeypatch):
    monkeypatch.setattr("relbench.grid.estimate.calibration.EVALUATION_BATCH", 20)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    calibrated((changed(STUDENT, {"training": changed(SMALL, {"threads": threads + 1})}), COUNTS))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_a_part_of_a_batch_says_so(monkeypatch):
    """Work that takes long is not done in full: a clock that jumps ends it with the smallest batch."""
    seconds = count(0.0, 1.0)
    monkeypatch.setattr(Stopwatch.__init__, "__defaults__", (lambda: next(seconds),))
    monkeypatch.setattr("relbench.grid.estimate.calibration.EVALUATION_BATCH", 20)
    rates = calibrated((STUDENT, COUNTS))
    assert rates.measured == PART
    assert rates.step == pytest.approx(1.0 * 24 / 10)
    assert rates.image == pytest.approx(1.0 / 2)


@pytest.mark.parametrize("channels_last", [False, True])
def test_networks_are_laid_out_as_in_the_run(monkeypatch, channels_last):
    given, turned = [], Embedder.with_channels_last
    monkeypatch.setattr(Embedder, "with_channels_last", lambda network: given.append(network) or turned(network))
    training = changed(SMALL, {"channels_last": channels_last})
    calibrated((changed(STUDENT, {"training": training}), COUNTS))
    assert sorted(network.linear.out_features for network in given) == ([4, 8] if channels_last else [])


def test_photos_are_not_made_to_be_tested_with(monkeypatch):
    monkeypatch.setattr("relbench.grid.estimate.calibration.EVALUATION_BATCH", 20)
    photos = changed(STUDENT, {"data": changed(STUDENT.data, {"name": "cub200"})})
    assert calibrated((photos, changed_counts(channels=3))).view == 0


def changed_counts(**values):
    return ImageCounts(**{**vars(COUNTS), **values})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_measured_with_whole_batches():
    training = changed(SMALL, {"device": "cuda"})
    teacher = changed(TEACHER, {"training": training})
    rates = calibrated((changed(STUDENT, {"training": training, "teacher": teacher}), COUNTS))
    assert rates.measured == WHOLE
    assert min(rates.step, rates.image) > 0


FAILING = """
import torch


class Fails(torch.autograd.Function):
    @staticmethod
    def forward(context, value):
        return value.clone()

    @staticmethod
    def backward(context, gradient):
        raise KeyError("nothing is remembered")


def mine(student, teacher):
    return Fails.apply((student - teacher.detach()[:, : student.shape[1]]).square().mean())
"""


@pytest.mark.usefixtures("in_a_worker")
def test_a_loss_of_the_users_that_fails_is_one_line():
    """As it is where runs are made: its backward pass is first seen here."""
    experiment = changed(STUDENT, {"terms": (Term(loss="mine:mine", source=FAILING),)})
    with pytest.raises(ValueError, match=r"training with mine:mine failed: KeyError: .nothing is remembered."):
        calibrated((experiment, COUNTS))


def test_a_training_that_diverges_at_once_is_one_line(monkeypatch):
    def run(*_):
        raise DivergedError("step 2: a weight is not finite")

    monkeypatch.setattr(Learner, "advance", run)
    with pytest.raises(ValueError, match="can't be measured: step 2: a weight is not finite"):
        calibrated((STUDENT, COUNTS))


def test_views_of_worker_processes_are_not_waited_for(monkeypatch):
    """Each step then takes its own time, or that of the workers, if they are slower."""
    made, views = [], Distortion.draw
    monkeypatch.setattr(Distortion, "draw", lambda *given: made.append(given[1]) or views(*given))
    monkeypatch.setattr(calibration, "_viewing", lambda _: 1000.0)
    alone = calibrated((STUDENT, COUNTS))
    assert len(made) > 4
    assert alone.step < 1000
    made.clear()
    monkeypatch.setattr(calibration, "workers_beside", lambda _: 8)
    assert calibrated((STUDENT, COUNTS)).step == 24 * 1000 / 8
    assert len(made) == 2  # those that all steps see; and those that are embedded
