"""Losses and miners of pytorch-metric-learning, by name."""

import subprocess
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.losses import ContrastiveLoss, MultiSimilarityLoss, TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner, MultiSimilarityMiner
from pytorch_metric_learning.reducers import PerAnchorReducer, ThresholdReducer
from pytorch_metric_learning.regularizers import LpRegularizer
from torch import Tensor

from relbench.losses import MetricLearningLoss, find_loss, pml_loss, pml_names, validate_term
from relbench.losses.pml import _classes

FACTS = {"num_classes": 4, "embedding_size": 8, "descriptors_dim": 8, "margin": 0.4, "Tn": 1.0}
"""A value for whatever some loss has no default for."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch() -> tuple[Tensor, Tensor]:
    return torch.randn(20, 8, generator=seeded()).requires_grad_(), torch.arange(20) // 5


def test_equals_the_library_called_by_hand():
    embeddings, labels = batch()
    expected = MultiSimilarityLoss(beta=40)(embeddings, labels, MultiSimilarityMiner(epsilon=0.2)(embeddings, labels))
    ours = pml_loss("MultiSimilarityLoss", miner="MultiSimilarityMiner", miner_options={"epsilon": 0.2}, beta=40)
    assert torch.equal(ours(embeddings, labels, seeded()), expected)


@pytest.mark.parametrize("name", pml_names())
def test_every_loss_can_be_trained_with_by_name(name: str):
    """Step after step, without a warning."""
    entry = find_loss(f"pml:{name}")
    required = {option for option, parameter in entry.options.items() if parameter.default is parameter.empty}
    validate_term(entry.name, {option: FACTS[option] for option in required - set(entry.needs)})
    loss = entry.build(**{option: FACTS[option] for option in required})
    for _ in range(2):
        gradient = trained(loss)
        assert gradient.isfinite().all()
        assert gradient.any()


def test_what_a_loss_keeps_from_batch_to_batch_is_saved():
    first, second = pml_loss("DynamicSoftMarginLoss"), pml_loss("DynamicSoftMarginLoss")
    trained(first)
    second.load_state_dict(first.state_dict())
    assert trained(second).equal(trained(first))
    assert not trained(pml_loss("DynamicSoftMarginLoss")).equal(trained(second))


@pytest.mark.parametrize("name", sorted(_classes("miner")))
def test_every_miner_can_be_trained_with_by_name(name: str):
    validate_term("pml:TripletMarginLoss", {"miner": name})
    assert trained(pml_loss("TripletMarginLoss", miner=name)).isfinite().all()


def trained(loss: Callable[..., Tensor]) -> Tensor:
    """Gradient of the embeddings."""
    embeddings, labels = batch()
    value = loss(embeddings, labels, seeded())
    assert value.ndim == 0
    assert value.isfinite()
    value.backward()
    assert embeddings.grad is not None
    return embeddings.grad


LP = LpDistance(p=1, normalize_embeddings=False)
LP_BY_NAME = {"name": "LpDistance", "p": 1, "normalize_embeddings": False}


@pytest.mark.parametrize(
    ("options", "by_hand"),
    [
        ({"distance": "CosineSimilarity"}, {"distance": CosineSimilarity()}),
        ({"distance": LP_BY_NAME}, {"distance": LP}),
        ({"distance": LP}, {"distance": LP}),
        ({"reducer": {"name": "ThresholdReducer", "low": 0.5}}, {"reducer": ThresholdReducer(low=0.5)}),
        (
            {"reducer": {"name": "PerAnchorReducer", "reducer": {"name": "ThresholdReducer", "low": 0.1}}},
            {"reducer": PerAnchorReducer(reducer=ThresholdReducer(low=0.1))},
        ),
        (
            {"embedding_regularizer": {"name": "LpRegularizer", "p": 1}, "embedding_reg_weight": 0.1},
            {"embedding_regularizer": LpRegularizer(p=1), "embedding_reg_weight": 0.1},
        ),
    ],
)
def test_distances_reducers_and_regularizers_are_asked_for_by_name(options: dict[str, Any], by_hand: dict[str, Any]):
    validate_term("pml:ContrastiveLoss", {"neg_margin": 1.5, **options})
    embeddings, labels = batch()
    value = pml_loss("ContrastiveLoss", neg_margin=1.5, **options)(embeddings, labels, seeded())
    assert torch.equal(value, ContrastiveLoss(neg_margin=1.5, **by_hand)(embeddings, labels))
    assert not torch.equal(value, ContrastiveLoss(neg_margin=1.5)(embeddings, labels))


def test_a_miner_has_a_distance_by_name():
    embeddings, labels = batch()
    expected = TripletMarginLoss()(embeddings, labels, BatchHardMiner(distance=LP)(embeddings, labels))
    ours = pml_loss("TripletMarginLoss", miner="BatchHardMiner", miner_options={"distance": LP_BY_NAME})
    assert torch.equal(ours(embeddings, labels, seeded()), expected)


def test_what_follows_from_the_run_reaches_a_regularizer():
    regularizer = {"name": "SparseCentersRegularizer", "centers_per_class": 10}
    validate_term("pml:SoftTripleLoss", {"weight_regularizer": regularizer})
    loss = pml_loss("SoftTripleLoss", num_classes=5, embedding_size=8, weight_regularizer=regularizer)
    assert trained(loss).isfinite().all()


def test_the_generator_alone_decides_what_a_miner_draws():
    loss = pml_loss("TripletMarginLoss", miner="DistanceWeightedMiner", margin=0.5)
    embeddings, labels = batch()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = (float(loss(embeddings, labels, seeded(seed)).detach()) for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), state)


def test_parameters_are_there_to_be_trained_and_start_from_the_seed():
    entry = find_loss("pml:ProxyAnchorLoss")
    assert entry.needs == ("num_classes", "embedding_size", "seed")
    state = torch.get_rng_state()
    first, again, other = (entry.build(num_classes=4, embedding_size=8, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(first, MetricLearningLoss)
    proxies = [next(loss.parameters()) for loss in (first, again, other) if isinstance(loss, MetricLearningLoss)]
    assert proxies[0].shape == (4, 8)
    assert torch.equal(proxies[0], proxies[1])
    assert not torch.equal(proxies[0], proxies[2])
    embeddings, labels = batch()
    first(embeddings, labels, seeded()).backward()
    assert proxies[0].grad is not None


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("TripletMarginLos", {}, "loss 'TripletMarginLos': did you mean TripletMarginLoss"),
        ("TripletMarginLoss", {"margn": 1.0}, "'pml:TripletMarginLoss' has no option 'margn': did you mean margin"),
        ("TripletMarginLoss", {"margin": "1"}, "option 'margin' is '1', but must be float"),
        ("TripletMarginLoss", {"miner": "HardMiner"}, "miner 'HardMiner': did you mean BatchHardMiner"),
        (
            "TripletMarginLoss",
            {"miner": "TripletMarginMiner", "miner_options": {"m": 1}},
            "option of TripletMarginMiner 'm': known are",
        ),
        ("TripletMarginLoss", {"miner_options": {"margin": 1}}, "but no miner"),
        ("ArcFaceLoss", {"num_classes": 3}, "needs a value for embedding_size"),
        ("PNPLoss", {"variant": "Q"}, "PNPLoss of pytorch-metric-learning refuses {'variant': 'Q'}"),
        ("RankedListLoss", {"margin": 0.4}, "needs a value for Tn"),
        ("TripletMarginLoss", {"distance": "LpDistanc"}, "distance 'LpDistanc': did you mean LpDistance"),
        ("TripletMarginLoss", {"distance": {"name": "LpDistance", "q": 1}}, "option of LpDistance 'q': known are"),
        ("TripletMarginLoss", {"distance": {"p": 1}}, "distance '': known are CosineSimilarity"),
        ("TripletMarginLoss", {"distance": {"name": 3}}, "TripletMarginLoss of pytorch-metric-learning refuses"),
        ("TripletMarginLoss", {"distance": 3}, "TripletMarginLoss of pytorch-metric-learning refuses {'distance': 3}"),
        ("TripletMarginLoss", {"reducer": "DoNothingReducer"}, "for a batch it returns more than a number"),
        ("TripletMarginLoss", {"reducer": "ClassWeightedReducer"}, "weights"),
        ("TripletMarginLoss", {"triplets_per_anchor": "some"}, "refuses {'triplets_per_anchor': 'some'}"),
        ("TripletMarginLoss", {"miner": "EmbeddingsAlreadyPackagedAsTriplets"}, "miner 'EmbeddingsAlready"),
        ("TripletMarginLoss", {"miner": "BatchHardMiner", "miner_options": {"pos_strategy": "x"}}, "refuses"),
        ("SmoothAPLoss", {"temperature": 0.0}, "for a random batch it returns nan"),
        ("PNPLoss", {"miner": "BatchHardMiner"}, "refuses {'miner': 'BatchHardMiner'}"),
        ("ArcFaceLoss", {"weight_regularizer": {"name": "SparseCentersRegularizer", "num_classes": 3}}, "num_classes"),
        ("ArcFaceLoss", {"weight_init_func": "normal_"}, "refuses {'weight_init_func': 'normal_'}"),
        ("ArcFaceLoss", {"num_classes": "3"}, "'num_classes' is '3', but must be int"),
    ],
)
def test_unknown_names_and_wrong_options_are_refused(name: str, options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message) as refusal:
        pml_loss(name, **options)
    assert "\n" not in str(refusal.value)


def test_checking_a_term_is_quick_and_draws_from_no_global_generator():
    find_loss("pml:SoftTripleLoss")  # imports the library
    state, start = torch.get_rng_state(), perf_counter()
    validate_term("pml:SoftTripleLoss", {"miner": "DistanceWeightedMiner", "num_classes": 10**12})
    assert perf_counter() - start < 1  # one class of a trillion would take a while
    assert torch.equal(torch.get_rng_state(), state)


def test_options_are_those_of_the_loss_before_those_of_its_bases():
    options = find_loss("pml:ArcFaceLoss").options
    assert options["margin"].default == 28.6
    assert "weight_reg_weight" in options


def test_what_the_run_knows_may_be_missing_from_a_check():
    find_loss("pml:ArcFaceLoss").check({"margin": 20})


def test_the_library_is_not_imported_before_it_is_asked_for():
    program = "import sys, relbench.losses; sys.exit('pytorch_metric_learning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
