"""RepDistiller's methods on its pairs of networks: layers by position, maps of other sizes, and the regressor.

A term compares each layer of the student with the teacher's of that name. Names go by position (`stem`, `stage1` and so
on), which is how RepDistiller zips its lists of maps, and all 13 pairs have equally many stages.
"""

import pytest

from relbench.experiment import EMBEDDING, Classification, Data, Experiment, Net, Term, Training
from relbench.losses import FitNetRegressor
from relbench.models import layers_of
from relbench.resolve import check_experiment
from relbench.training.assemble import shapes_of, weighted_losses
from relbench.training.trial import try_terms

MOBILE, SHUFFLE_1, SHUFFLE_2 = (f"{name}-repdistiller" for name in ("mobilenetv2-0.5", "shufflenetv1", "shufflenetv2"))
PAIRS = [
    ("wrn-40-2", "wrn-16-2"),
    ("wrn-40-2", "wrn-40-1"),
    ("resnet56", "resnet20"),
    ("resnet110", "resnet20"),
    ("resnet110", "resnet32"),
    ("resnet32x4", "resnet8x4"),
    ("vgg13", "vgg8"),
    ("vgg13", MOBILE),
    ("resnet50-cifar", MOBILE),
    ("resnet50-cifar", "vgg8"),
    ("resnet32x4", SHUFFLE_1),
    ("resnet32x4", SHUFFLE_2),
    ("wrn-40-2", SHUFFLE_1),
]
CROSS_ENTROPY = Term(loss="cross_entropy")


def stages_of(net):
    return tuple(layer for layer in layers_of(net) if layer.startswith("stage"))


def pair(teacher, student):
    """A run with every method of RepDistiller at once that is here, each over its own maps; weights as there."""
    nets = [Net(trunk=trunk, dim=None, unit_length=False) for trunk in (teacher, student)]
    stages = stages_of(nets[1])
    terms = (
        CROSS_ENTROPY,
        Term(loss="hinton_kd", options={"temperature": 4.0}),
        Term(loss="fitnet_regressor", weight=100.0, layers=("stage2",)),
        Term(loss="attention_transfer", weight=1000.0, layers=stages),
        Term(loss="neuron_selectivity", weight=50.0, layers=stages),
        Term(loss="similarity_preserving", weight=3000.0, layers=stages[-1:]),
        Term(loss="rkd_distance", weight=25.0),
        Term(loss="rkd_angle", weight=50.0),
        Term(loss="pkt", weight=30000.0),
        Term(loss="correlation_congruence", weight=0.02),
    )
    given = {
        "task": Classification(),
        "data": Data(size=32, split="images"),
        "training": Training(optimizer="sgd", batch_size=64),
    }
    first, second = (dict(given, net=net) for net in nets)
    return Experiment(**second, terms=terms, teacher=Experiment(**first, terms=(CROSS_ENTROPY,)))


@pytest.mark.parametrize(("teacher", "student"), PAIRS)
def test_both_networks_of_a_pair_have_the_same_layers(teacher, student):
    experiment = pair(teacher, student)
    check_experiment(experiment)
    assert layers_of(experiment.net) == layers_of(experiment.teacher.net)
    assert len(stages_of(experiment.net)) in (3, 4)


@pytest.mark.parametrize(
    ("teacher", "student", "sides"),
    [("resnet32x4", SHUFFLE_1, (8, 16)), ("vgg13", MOBILE, (8, 8)), ("wrn-40-2", "wrn-16-2", (16, 16))],
)
def test_every_method_takes_the_maps_of_a_pair(teacher, student, sides):
    """Of other channels and sizes: half as large, as large at the second stage and half at the last, equal."""
    experiment = pair(teacher, student)
    shapes = shapes_of(experiment, 3, 100)
    assert (shapes.student["stage2"][1], shapes.teacher["stage2"][1]) == sides
    (regressor,) = (part.loss for part in weighted_losses(experiment, shapes) if part.term == "fitnet_regressor")
    assert isinstance(regressor, FitNetRegressor)
    assert regressor.shapes == ((shapes.student["stage2"][0], sides[0]), (shapes.teacher["stage2"][0], sides[1]))
    try_terms(experiment, 3, 100)


def test_the_regressor_refuses_other_layers_in_a_line():
    experiment = pair("wrn-40-2", "wrn-16-2")
    embedding = Term(loss="fitnet_regressor", layers=(EMBEDDING,))
    with pytest.raises(ValueError, match=r"\Aterms fitnet_regressor: student must be a floating map \(batch, .*\Z"):
        try_terms(experiment.model_copy(update={"terms": (embedding,)}), 3, 100)
