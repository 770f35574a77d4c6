"""The classifier on embeddings: a linear map, with coordinates of order one, from a seed."""

import pytest
import torch

from relbench.experiment import Net
from relbench.models import Classifier, build_classifier

NET = Net(dim=6)


def rows(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("unit_length", [True, False])
def test_logits_in_loops(unit_length):
    """Embeddings of unit length are brought to coordinates of order one first; others are taken as they are."""
    classifier = build_classifier(NET.model_copy(update={"unit_length": unit_length}), 28, 4, seed=0)
    embeddings = rows(3, 6)
    found = classifier(embeddings)
    assert found.shape == (3, 4)
    scale = 6**0.5 if unit_length else 1
    for image in range(3):
        for number in range(4):
            products = (classifier.weight[number] * embeddings[image]).tolist()
            expected = scale * sum(products) + classifier.bias[number].item()
            assert found[image, number].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_unit_vectors_get_logits_that_tell_classes_apart():
    """Without the factor they would differ by a hundredth at first."""
    embeddings = torch.nn.functional.normalize(rows(50, 128), dim=1)
    assert build_classifier(Net(dim=128), 28, 10, seed=0)(embeddings).std() > 0.3


def test_the_seed_decides_the_weights_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    first, again, other = (build_classifier(NET, 28, 4, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first["weight"], again["weight"])
    assert torch.equal(first["bias"], again["bias"])
    assert not torch.equal(first["weight"], other["weight"])


def test_only_weight_and_bias_are_saved():
    assert {name: tuple(value.shape) for name, value in Classifier(6, 4, 2.0).state_dict().items()} == {
        "weight": (4, 6),
        "bias": (4,),
    }


def test_gradient_flows_to_the_embeddings():
    embeddings = rows(3, 6).requires_grad_()
    classifier = Classifier(6, 4, 2.0)
    classifier(embeddings).sum().backward()
    torch.testing.assert_close(embeddings.grad, (2 * classifier.weight.sum(dim=0)).expand(3, 6))
