"""Losses and miners of pytorch-metric-learning, by name."""

import subprocess
import sys

import pytest
import torch
from pytorch_metric_learning.losses import MultiSimilarityLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner
from torch import Tensor

from relbench.losses import MetricLearningLoss, find_loss, pml_loss, pml_names

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


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # the library, with NumPy 2
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence:UserWarning")  # the library, with recent torch
@pytest.mark.parametrize("name", pml_names())
def test_every_loss_can_be_called_by_name(name: str):
    loss = find_loss(f"pml:{name}")
    required = {option for option, parameter in loss.options.items() if parameter.default is parameter.empty}
    built = loss.build(**{option: FACTS[option] for option in required})
    embeddings, labels = batch()
    value = built(embeddings, labels, seeded())
    assert value.ndim == 0
    assert value.isfinite()


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
        ("TripletMarginLos", {}, "no loss 'TripletMarginLos'; did you mean 'TripletMarginLoss'"),
        ("TripletMarginLoss", {"margn": 1.0}, "'pml:TripletMarginLoss' has no option 'margn'; did you mean 'margin'"),
        ("TripletMarginLoss", {"margin": "1"}, "option 'margin' is '1', but must be float"),
        ("TripletMarginLoss", {"miner": "HardMiner"}, "no miner 'HardMiner'; did you mean 'BatchHardMiner'"),
        ("TripletMarginLoss", {"miner": "TripletMarginMiner", "miner_options": {"m": 1}}, "miner 'TripletMarginMiner'"),
        ("TripletMarginLoss", {"miner_options": {"margin": 1}}, "but no miner"),
        ("ArcFaceLoss", {"num_classes": 3}, "needs a value for embedding_size"),
        ("PNPLoss", {"variant": "Q"}, "PNPLoss of pytorch-metric-learning refuses {'variant': 'Q'}"),
        ("RankedListLoss", {"margin": 0.4}, "needs a value for Tn"),
    ],
)
def test_unknown_names_and_wrong_options_are_refused(name: str, options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        pml_loss(name, **options)


def test_options_are_those_of_the_loss_before_those_of_its_bases():
    options = find_loss("pml:ArcFaceLoss").options
    assert options["margin"].default == 28.6
    assert "weight_reg_weight" in options


def test_what_the_run_knows_may_be_missing_from_a_check():
    find_loss("pml:ArcFaceLoss").check({"margin": 20})


def test_the_library_is_not_imported_before_it_is_asked_for():
    program = "import sys, relbench.losses; sys.exit('pytorch_metric_learning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
