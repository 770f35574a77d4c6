"""Which runs may be trained side by side, and what that takes."""

from itertools import pairwise

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from relbench.experiment import CODE_VERSION, Data, Experiment, FewShot, Net, Term, Training
from relbench.models import build_embedder
from relbench.settings import changed
from relbench.training import cohorts
from relbench.training.cohorts import executes_users_code, key, memory

TRIPLET = Term(loss="triplet")
TRAINING = Training(steps=20, batch_size=8, images_per_class=2)
TEACHER = Experiment(net=Net(width=4, dim=16), training=TRAINING, terms=(TRIPLET,))
STUDENT = Experiment(net=Net(width=2, dim=8), training=TRAINING, terms=(TRIPLET,), teacher=TEACHER)
FIRST = changed(STUDENT, {"terms": (Term(loss="rkd_angle"),)})


def training(**values):
    return changed(STUDENT, {"training": changed(TRAINING, values)})


@pytest.mark.parametrize(
    "other",
    [
        changed(STUDENT, {"net": Net(trunk="resnet18")}),
        changed(STUDENT, {"terms": (Term(loss="rkd_distance"), Term(loss="fitnet", layers=("stage4",)))}),
        training(learning_rate=0.5, decay_at=(0.5,), decay=0.3, weight_decay=0.1, selection="validation"),
    ],
)
def test_networks_losses_and_rates_may_differ(other):
    assert other.fingerprint != STUDENT.fingerprint
    assert key(other) == key(STUDENT)


@pytest.mark.parametrize(
    "other",
    [
        changed(STUDENT, {"seed": 1, "teacher": TEACHER}),
        changed(STUDENT, {"data": Data(size=32)}),
        changed(STUDENT, {"task": FewShot()}),
        changed(STUDENT, {"data": Data(content="x")}),
        changed(STUDENT, {"teacher": None}),
        changed(STUDENT, {"teacher": changed(TEACHER, {"net": Net(width=8)})}),
        changed(STUDENT, {"scale": "toy"}),
        changed(STUDENT, {"code_version": CODE_VERSION + 1}),
        changed(STUDENT, {"initialized_from": FIRST}),  # it sees later batches
        *(
            training(**{name: value})
            for name, value in {
                "steps": 21,
                "batch_size": 9,
                "images_per_class": 3,
                "validate_every": 9,
                "precision": "tf32",
                "channels_last": True,
                "compile": True,
                "log_test_metrics": True,
                "device": "cuda",
                "threads": 2,
            }.items()
        ),
    ],
)
def test_all_else_must_be_equal(other):
    assert key(other) != key(STUDENT)


def test_episodes_must_be_equal_as_they_are_shown_and_validated_once_for_all():
    asked = [
        FewShot(),
        FewShot(batch_norm="apart"),
        FewShot(shot=2),
        FewShot(episode_seed=1),
        FewShot(scorer="nearest"),
    ]
    assert len({key(changed(STUDENT, {"task": task})) for task in asked}) == len(asked)


def test_the_first_stages_may_differ():
    stages = [changed(FIRST, {"terms": (Term(loss=loss),)}) for loss in ("rkd_angle", "rkd_distance")]
    assert len({key(changed(STUDENT, {"initialized_from": first})) for first in stages}) == 1


def test_a_users_code_is_alone():
    own = [changed(STUDENT, {"terms": (Term(loss="a:f", weight=weight, source="def f"),)}) for weight in (1, 2)]
    taught = changed(STUDENT, {"teacher": changed(TEACHER, {"terms": own[0].terms})})
    assert [executes_users_code(one) for one in (*own, taught)] == [True] * 3
    assert len({key(one) for one in (*own, taught, STUDENT)}) == 4


def test_memory_of_a_network_is_that_of_its_parts():
    """Of conv4 by hand: a block keeps the convolution's input, its output, and that of the batch normalisation."""
    alone = changed(STUDENT, {"teacher": None, "data": Data(size=16)})
    network = build_embedder(alone.net, 3, 0)
    weights = 4 * sum(weight.numel() for weight in network.parameters())
    buffers = sum(buffer.nbytes for buffer in network.buffers())
    image = 3 * 16 * 16
    maps = [2 * 8 * 8, 4 * 4 * 4, 8 * 2 * 2, 16]
    kept = image + 2 * sum(maps) + 16  # convolutions' outputs, blocks' outputs, pooled
    found = memory([alone], channels=3, classes=10)
    expected = 4 * weights + buffers + 4 * 8 * (image + kept)
    assert found == pytest.approx(expected, rel=0.03)


def test_memory_grows_by_weights_alone():
    """Students are trained one after the other; only the largest one's maps count."""
    small, large = STUDENT, changed(STUDENT, {"net": Net(width=16, dim=64)})
    both, one = (memory(runs, 1, 10) for runs in ([small, large], [large]))
    weights = sum(weight.nbytes for weight in build_embedder(small.net, 1, 0).parameters())
    assert 4 * weights < both - one < 4.5 * weights
    chosen = training(selection="validation")
    assert weights < memory([chosen], 1, 10) - memory([small], 1, 10) < 1.5 * weights
    assert memory([small], 1, 10) > memory([changed(small, {"teacher": None})], 1, 10)
    without, with_momentum = (training(optimizer="sgd", momentum=momentum) for momentum in (0.0, 0.9))
    frozen = training(optimizer="sgd", frozen=True)
    taken = [memory([run], 1, 10) for run in (frozen, without, with_momentum, small)]
    assert [0.9 * weights < more - less < 1.1 * weights for less, more in pairwise(taken)] == [True] * 3
    before = torch.get_rng_state()
    memory([changed(small, {"data": Data(size=36)})], 1, 10)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_memory_is_counted_without_being_kept(monkeypatch):
    shown = []

    def watched(net, channels, seed, size):
        network = build_embedder(net, channels, seed, size)
        for block in network.trunk.blocks:
            block.register_forward_hook(lambda _, __, output: shown.append(StorageWeakRef(output.untyped_storage())))
        return network

    monkeypatch.setattr(cohorts, "build_embedder", watched)
    memory([changed(STUDENT, {"net": Net(width=3, dim=8), "data": Data(size=20)})], 1, 10)
    assert len(shown) == 4
    assert all(activations.expired() for activations in shown)
