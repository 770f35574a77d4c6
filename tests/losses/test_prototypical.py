"""The loss of prototypical networks: its definition in loops, the authors' values, what must not matter, refusals."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from relbench.losses import find_loss, prototypical
from relbench.losses.prototypical import _squared_distances

REFERENCE = Path(__file__).parents[1] / "reference" / "tasks"
EPISODES = ["3way_2shot_4query_d5", "5way_1shot_15query_d64", "5way_5shot_15query_d64", "20way_1shot_5query_d32"]


def random_episode(way: int, shot: int, queries: int, dim: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randn(way, 1, dim, generator=generator, dtype=torch.float64)
    support, query = (
        classes + torch.randn(way, count, dim, generator=generator, dtype=torch.float64) for count in (shot, queries)
    )
    return support, query


def loss_and_gradients(support: Tensor, query: Tensor, **options: bool) -> tuple[Tensor, Tensor, Tensor]:
    leaves = [given.detach().clone().requires_grad_() for given in (support, query)]
    value = prototypical(*leaves, **options)
    return (value.detach(), *torch.autograd.grad(value, leaves))


def in_loops(support: Tensor, query: Tensor, *, squared: bool = True) -> float:
    """A query at a time, from the exponentials themselves."""
    prototypes = [sum(images) / len(images) for images in support]
    losses = []
    for number, images in enumerate(query):
        for image in images:
            lengths = [math.dist(image.tolist(), prototype.tolist()) for prototype in prototypes]
            powers = [math.exp(-(length**2 if squared else length)) for length in lengths]
            losses.append(-math.log(powers[number] / sum(powers)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize(("way", "shot", "queries", "dim"), [(2, 1, 1, 1), (3, 2, 4, 5), (5, 1, 2, 3)])
def test_definition(way: int, shot: int, queries: int, dim: int, squared: bool):  # noqa: FBT001
    episode = random_episode(way, shot, queries, dim)
    assert float(prototypical(*episode, squared=squared)) == pytest.approx(in_loops(*episode, squared=squared), 1e-12)


@pytest.mark.parametrize("name", EPISODES)
def test_values_of_the_authors_code(name: str):
    """Those of jakesnell/prototypical-networks@c9bb4d2, and the loss that easyfsl 1.5.0 has of plain distances."""
    with np.load(REFERENCE / f"prototypical_{name}.npz") as file:
        values = {key: torch.from_numpy(file[key]) for key in file}
    support, query = values["support"], values["query"]
    found, *gradients = loss_and_gradients(support, query)
    assert float(found) == pytest.approx(float(values["loss"]), rel=1e-10)
    for gradient, key in zip(gradients, ("grad_support", "grad_query"), strict=True):
        assert (gradient - values[key]).abs().max() <= 1e-8 * values[key].abs().max()
    plain = prototypical(support, query, squared=False)
    assert float(plain) == pytest.approx(float(values["loss_unsquared_distance"]), rel=1e-10)


@pytest.mark.parametrize("name", EPISODES)
def test_distances_and_probabilities_of_the_authors_code(name: str):
    with np.load(REFERENCE / f"prototypical_{name}.npz") as file:
        values = {key: torch.from_numpy(file[key]) for key in file}
    queries = values["query"].flatten(0, 1)
    distances = _squared_distances(queries, values["support"].mean(dim=1)).view_as(values["squared_distances"])
    torch.testing.assert_close(distances, values["squared_distances"], rtol=1e-10, atol=1e-10)
    found = functional.log_softmax(-distances, dim=2)
    torch.testing.assert_close(found, values["log_probabilities"], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("squared", [True, False])
def test_gradient_is_the_derivative(squared: bool):  # noqa: FBT001
    leaves = [given.requires_grad_() for given in random_episode(3, 2, 3, 4)]
    assert torch.autograd.gradcheck(lambda *given: prototypical(*given, squared=squared), leaves)


def rotation(dim: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64)).Q


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**20), st.floats(-50, 50), st.booleans())
def test_shift_and_rotation_leave_the_loss(seed: int, shift: float, squared: bool):  # noqa: FBT001
    episode = random_episode(4, 2, 3, 5, seed)
    moved = [rows @ rotation(5, seed) + shift for rows in episode]
    expected, *before = loss_and_gradients(*episode, squared=squared)
    found, *after = loss_and_gradients(*moved, squared=squared)
    assert float(found) == pytest.approx(float(expected), rel=1e-9, abs=1e-12)
    for gradient, other in zip(before, after, strict=True):
        torch.testing.assert_close(gradient @ rotation(5, seed), other, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("squared", "power"), [(True, 2), (False, 1)])
@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_scaling_scales_the_logits(squared: bool, power: int, scale: float):  # noqa: FBT001
    """By its square: a longer embedding is a surer one, as nothing brings embeddings to one length."""
    support, query = random_episode(3, 2, 4, 5)
    lengths = torch.cdist(query.flatten(0, 1), support.mean(dim=1))
    logits = -(lengths**2 if squared else lengths) * scale**power
    classes = torch.arange(3).repeat_interleave(4)
    expected = functional.cross_entropy(logits, classes)
    torch.testing.assert_close(prototypical(scale * support, scale * query, squared=squared), expected)


def test_order_within_a_class_and_of_classes_does_not_matter():
    support, query = random_episode(4, 3, 5, 6)
    order = torch.tensor([2, 0, 3, 1])
    expected = prototypical(support, query)
    torch.testing.assert_close(prototypical(support[order], query[order]), expected)
    torch.testing.assert_close(prototypical(support[:, [1, 2, 0]], query.flip(1)), expected)
    assert not torch.isclose(prototypical(support[order], query), expected)


def test_the_mean_of_support_embeddings_is_all_that_counts():
    support, query = random_episode(4, 3, 5, 6)
    torch.testing.assert_close(prototypical(support.mean(dim=1, keepdim=True), query), prototypical(support, query))


LARGE = [(1.0, 0.0), (30.0, 0.0), (1.0, 1000.0), (30.0, 3000.0)]


@pytest.mark.parametrize(("spread", "shift"), LARGE)
def test_large_distances_in_single_precision(spread: float, shift: float):
    """1,600 numbers, as at 84 pixels: squared distances of thousands, far from the origin; nothing cancels.

    The loss of the float32 numbers themselves, in float64, is what is expected.
    """
    support, query = (spread * given.float() + shift for given in random_episode(5, 1, 15, 1600))
    query = support + 0.02 * (query - support)  # near their own prototypes, and the others far away
    near = support[:1] + 0.01 * (query[:1, :1] - support[:1])  # a second class beside the first
    support = torch.cat([support, near])
    query = torch.cat([query, query[:1]])
    expected, *slopes = loss_and_gradients(support.double(), query.double())
    found, *gradients = loss_and_gradients(support, query)
    direct = (query.double()[:, :, None] - support.double().mean(dim=1)).square().sum(dim=3)
    classes = torch.arange(6).repeat_interleave(15)
    assert float(expected) == pytest.approx(float(functional.cross_entropy(-direct.flatten(0, 1), classes)), rel=1e-7)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(expected), rel=1e-6)
    for slope, gradient in zip(slopes, gradients, strict=True):
        assert float((gradient - slope).norm()) <= 1e-6 * float(slope.norm())


@pytest.mark.parametrize("squared", [True, False])
def test_what_all_embeddings_have_in_common_cancels_out(squared: bool):  # noqa: FBT001
    """Far from the origin, squares of the numbers as they are would leave two or three digits of a distance."""
    episode = random_episode(4, 2, 7, 5)  # of more than 25 rows torch makes products by itself
    expected = loss_and_gradients(*episode, squared=squared)
    found = loss_and_gradients(*(rows + 1e6 for rows in episode), squared=squared)
    for near, far in zip(expected, found, strict=True):
        torch.testing.assert_close(far, near, rtol=0, atol=1e-7)


def test_a_query_far_from_its_class_costs_its_distance():
    """Where the probability itself is 0 in any precision, its logarithm is not."""
    support = torch.tensor([[[0.0]], [[100.0]]])
    value, _, gradient = loss_and_gradients(support, support.flip(0))
    assert float(value) == 10_000.0
    assert gradient.flatten().tolist() == [100.0, -100.0]


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize(
    ("name", "collapse"),
    [
        ("each query lies on its prototype", lambda support, query: (support[:, :1], support[:, :1].expand_as(query))),
        ("all are equal", lambda support, query: (torch.ones_like(support), torch.ones_like(query))),
        ("all are zero", lambda support, query: (0 * support, 0 * query)),
        ("two classes are one", lambda support, query: (support[[0, 0, 1]], query[[0, 0, 1]])),
        ("all are very long", lambda support, query: (1e18 * support, 1e18 * query)),
        ("all are very short", lambda support, query: (1e-30 * support, 1e-30 * query)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_degenerate_episodes_are_finite(name, collapse, squared, dtype):
    episode = [rows.to(dtype) for rows in collapse(*random_episode(3, 2, 4, 5))]
    value, *gradients = loss_and_gradients(*episode, squared=squared)
    assert value.isfinite(), name
    assert all(gradient.isfinite().all() for gradient in gradients), name
    if name.startswith("all are") and "long" not in name:
        assert float(value) == pytest.approx(math.log(3))


@pytest.mark.parametrize(
    ("support", "query", "expected"),
    [
        (torch.float32, torch.float32, torch.float32),
        (torch.float16, torch.bfloat16, torch.float32),
        (torch.float64, torch.float32, torch.float64),
        (torch.int64, torch.float32, torch.float32),
    ],
)
def test_types(support, query, expected):
    first, second = ((8 * rows).round() for rows in random_episode(3, 2, 4, 5))
    assert prototypical(first.to(support), second.to(query)).dtype == expected


def test_autocast_changes_nothing():
    episode = [rows.float() for rows in random_episode(3, 2, 4, 50)]
    expected = loss_and_gradients(*episode)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss_and_gradients(*episode)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def refusal(support: object, query: object) -> str:
    with pytest.raises((TypeError, ValueError), match=r"\A.+\Z") as caught:  # the dot matches no line break
        prototypical(support, query)  # type: ignore[arg-type]
    return str(caught.value)


def zeros(*shape: int) -> Tensor:
    return torch.zeros(shape)


@pytest.mark.parametrize(
    ("support", "query", "message"),
    [
        (
            zeros(3, 2),
            zeros(3, 4, 2),
            "support must be floating, (way, images of a class, dim), none of them 0",
        ),
        (
            zeros(3, 1, 2),
            zeros(12, 2),
            "query must be floating, (way, images of a class, dim), none of them 0",
        ),
        (
            zeros(3, 0, 2),
            zeros(3, 4, 2),
            "support must be floating, (way, images of a class, dim), none of them 0, but",
        ),
        (
            zeros(3, 1, 0),
            zeros(3, 4, 0),
            "support must be floating, (way, images of a class, dim), none of them 0, but",
        ),
        (
            zeros(3, 1, 2),
            zeros(3, 4, 2).bool(),
            "query must be floating, (way, images of a class, dim), none of them 0, but is torch.bo",
        ),
        (zeros(3, 1, 2), zeros(4, 4, 2), "support (3, 1, 2) and query (4, 4, 2) must have the same classes, at least"),
        (zeros(3, 1, 2), zeros(3, 4, 5), "support (3, 1, 2) and query (3, 4, 5) must have the same classes, at least"),
        (zeros(1, 1, 2), zeros(1, 4, 2), "support (1, 1, 2) and query (1, 4, 2) must have the same classes, at least"),
        ([[[0.0]]], zeros(3, 4, 2), "support must be a torch tensor, but is a list"),
    ],
)
def test_wrong_episodes_are_refused(support: Tensor, query: Tensor, message: str):
    assert refusal(support, query).startswith(message)


def test_every_shape_of_an_episode_is_taken():
    for way, shot, queries, dim in product((2, 7), (1, 3), (1, 4), (1, 9)):
        assert prototypical(*random_episode(way, shot, queries, dim)).shape == ()


def test_the_entry_knows_the_unsquared_form_by_name():
    entry, episode = find_loss("prototypical"), random_episode(3, 2, 4, 5)
    assert entry.takes == ("support", "query")
    assert torch.equal(entry.build(squared=False)(*episode), prototypical(*episode, squared=False))
    with pytest.raises(ValueError, match="option 'squared' is 'no', but must be bool"):
        entry.check({"squared": "no"})
