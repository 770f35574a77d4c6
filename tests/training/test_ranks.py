"""Several processes train as one does, with every loss: equal but for rounding. A new loss is taken along by itself."""

import shutil
from functools import cache
from itertools import cycle

import pytest
import torch
from ranked import gone_on, trained
from training.small_runs import TEACHER, run_of

from relbench.experiment import Classification, Data, FewShot, Net, Term, Training
from relbench.losses import LOSSES, find_loss, pml_names
from relbench.losses.pml import _classes
from relbench.models.trunks import TRUNKS, build_trunk
from relbench.ranks import ALONE, launched
from relbench.settings import changed
from relbench.tensors import read_tensors

STEPS = 5
TRAINING = Training(steps=STEPS, validate_every=STEPS, batch_size=25, images_per_class=5)
DATA = Data(size=16)
OPTIONS = {"hinton_kd": {"temperature": 4.0}, "refilled_classifier": {"weighted": True}}
NEEDED = {"margin": 0.4, "Tn": 1.0}
"""A value for whatever some loss of the library has no default for."""
OF_PAIRS = ("Angular", "Circle", "Contrastive", "Margin", "MultiSimilarity", "NTXent", "SupCon", "TripletMargin")
"""Losses of the library that take what a miner has found."""
MIXED = "bf16-mixed"
SIDE = 32  # pixels, which every trunk takes
ONE_STEP = {"steps": 1, "validate_every": 1, "optimizer": "sgd"}
OF_ALL_LAYERS = (
    *("conv4", "conv4-maxpool-uniform", "googlenet", "mobilenetv2-0.35", "mobilenetv2-0.5-repdistiller", "resnet8"),
    *("resnet110-refilled", "shufflenetv1-repdistiller", "shufflenetv2-0.5-cifar", "wrn-16-1-refilled"),
)
"""Trunks whose layers are all kinds of layers that there are in any."""
TOLERANCES = {MIXED: 0.1, "pml:SmoothAPLoss": 1e-4}  # the library computes that in float32, whatever it is given


def run(*terms, training=None, **changes):
    """Of batches of 25 images, which 2 and 4 ranks share unequally."""
    usual = {"teacher": changed(TEACHER, {"data": DATA}), "training": changed(TRAINING, training or {}), "data": DATA}
    return run_of(*terms, **usual | changes)


def few_shot(*terms, batch_norm):
    task = FewShot(way=(3,), shot=2, queries=4, batch_norm=batch_norm)
    return run(*terms, task=task)


def term(name):
    return Term(loss=name, options=OPTIONS.get(name, {}), layers=LOSSES[name].layers)


def library(name, **options):
    entry = find_loss(f"pml:{name}")
    required = {option for option, parameter in entry.options.items() if parameter.default is parameter.empty}
    needed = {option: NEEDED[option] for option in required - set(entry.needs)}
    return Term(loss=entry.name, options=needed | options)


def of_batches():
    names = [name for name, entry in LOSSES.items() if "episodes" not in entry.requires]
    return {name: run(term(name)) for name in names}


def of_episodes():
    names = [name for name, entry in LOSSES.items() if "episodes" in entry.requires]
    every = (*map(term, names), Term(loss="rkd_angle"), Term(loss="attention_transfer", layers=("stage1",)))
    return {f"{', '.join(names)}, {how}": few_shot(*every, batch_norm=how) for how in ("together", "apart")}


def of_the_library():
    """In sums, whose terms are compared one by one: each case takes some steps of all processes."""
    miners = sorted(_classes("miner"))
    losses = [library(name) for name in pml_names()]
    exact = [each for each in losses if each.loss not in TOLERANCES]
    alone = {each.loss: run(each) for each in losses if each.loss in TOLERANCES}
    mined = [library(f"{name}Loss", miner=miner) for name, miner in zip(cycle(OF_PAIRS), miners, strict=False)]
    half = len(OF_PAIRS)
    return {"pml": run(*exact), "miners": run(*mined[:half]), "more miners": run(*mined[half:])} | alone


def in_stages():
    second = run(term("refilled_classifier"), initialized_from=run(term("refilled_embedding")))
    return {"REFILLED in two stages": second}


def of_trunks():
    """A trunk for each kind of layers, for a step."""
    training, data = ONE_STEP | {"batch_size": 11}, Data(size=SIDE)
    nets = {name: Net(trunk=name, dim=8) for name in OF_ALL_LAYERS}
    return {name: run(term("triplet"), net=net, data=data, training=training) for name, net in nets.items()}


def of_settings():
    """Of a network that draws random numbers, too; the third batch of classification has four images."""
    net, task = Net(trunk="wrn-16-1-refilled", dim=8), Classification()
    training = {"steps": 3, "validate_every": 3, "batch_size": 48, "optimizer": "sgd"}
    terms = (term("cross_entropy"), Term(loss="rkd_distance"))
    settings = {f"batch_norm_parts = {parts}": {"batch_norm_parts": parts} for parts in (1, 2, 3, 4)}
    settings |= {"frozen": {"frozen": True}, "channels last": {"channels_last": True}}
    settings |= {MIXED: ONE_STEP | {"precision": "bf16-mixed"}}
    return {name: run(*terms, net=net, task=task, training=training | values) for name, values in settings.items()}


BY_FOUR = of_batches() | of_episodes() | of_the_library() | in_stages() | of_settings()
CASES = {2: BY_FOUR | of_trunks(), 4: BY_FOUR}
"""By the number of ranks; processes take long to start, and do all cases at once."""


@pytest.fixture(scope="module")
def alone():
    return trained(ALONE, CASES[2])


@cache
def among(count):
    """No fixture with a parameter: pytest would launch the processes anew for each test."""
    return launched(trained, count, "cpu", CASES[count])


def differences(found, expected):
    """The largest of each pair of tensors, in units of the expected one's largest number where that is above 1."""
    for own, other in zip(found, expected, strict=True):
        if own is None or other is None:
            assert own is other
        elif own.numel():
            yield float((own - other).abs().max() / max(1.0, float(other.abs().max())))


def assert_equal(found, expected, tolerance=1e-9):
    (history, *tensors, _), (wanted, *others, _) = found, expected
    for own, other in zip(history, wanted, strict=True):
        assert own == pytest.approx(other, rel=tolerance, abs=tolerance)
    for own, other in zip(tensors, others, strict=True):
        assert max(differences(own, other)) < tolerance


@pytest.mark.parametrize(("count", "name"), [(count, name) for count, cases in CASES.items() for name in cases])
def test_ranks_equal_one(count, name, alone):
    found = among(count)[name]
    assert_equal(found, alone[name], TOLERANCES.get(name, 1e-9))
    narrow = found[-1]  # losses that compute in less than float64
    assert name == MIXED or narrow == {name} & TOLERANCES.keys()


def layers_of(trunk):
    """Kinds of layers: what they see of a batch, and what they draw, is their own affair."""
    with torch.device("meta"):
        return {type(layer) for layer in build_trunk(Net(trunk=trunk), 3, SIDE).modules() if not list(layer.children())}


def test_no_kind_of_layer_is_left_out():
    """A trunk with another: name it among those that ranks are tried with."""
    tried = set().union(*map(layers_of, OF_ALL_LAYERS))
    assert {name: layers_of(name) - tried for name in TRUNKS if not layers_of(name) <= tried} == {}


def shape_of(content):
    """A checkpoint's names, types and shapes."""
    if isinstance(content, dict):
        return {name: shape_of(value) for name, value in content.items()}
    if isinstance(content, list):
        return [shape_of(value) for value in content]
    return getattr(content, "shape", type(content))


def test_checkpoints_carry_over_between_numbers_of_ranks(tmp_path):
    """Trained to the fifth step by two and by one; gone on with by one, and both by three."""
    experiment = run(*map(term, ("triplet", "fitnet_regressor", "cross_entropy")), training={"steps": 10})
    by_two, by_one, copy = (tmp_path / name for name in ("two.pt", "one.pt", "copy.pt"))
    assert launched(gone_on, 2, "cpu", experiment, [by_two], 5) is None
    assert gone_on(ALONE, experiment, [by_one], 5) is None
    assert shape_of(read_tensors(by_two)) == shape_of(read_tensors(by_one))
    shutil.copy(by_two, copy)
    expected = trained(ALONE, {"": experiment})[""]
    for found in (*gone_on(ALONE, experiment, [copy]), *launched(gone_on, 3, "cpu", experiment, [by_two, by_one])):
        assert_equal(found, expected)
