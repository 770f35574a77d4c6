"""Triplet loss and distance-weighted sampling: definitions in loops, the authors' values, bad batches."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from relbench.losses import (
    DistanceWeightedTriplet,
    distance_weighted_probabilities,
    positive_pairs,
    triplet_margin,
)
from relbench.losses.triplet import draw_elsewhere

REFERENCE = Path(__file__).parents[1] / "reference"


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_rows(count: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(count, dim, generator=seeded(seed), dtype=torch.float64)


LABELS = torch.tensor([0, 0, 0, 1, 1, 2])  # the last class has no pair


def test_triplet_margin_equals_its_definition_in_loops():
    rows = random_rows(6, 4)
    triplets = [(0, 1, 3), (1, 2, 5), (3, 4, 0)]
    expected = 0.0
    for anchor, positive, negative in triplets:
        near = math.dist(rows[anchor].tolist(), rows[positive].tolist())
        far = math.dist(rows[anchor].tolist(), rows[negative].tolist())
        expected += max(0.0, near - far + 0.7) / len(triplets)
    assert float(triplet_margin(rows, torch.tensor(triplets), margin=0.7)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
def test_triplet_margin_agrees_with_the_authors_code(dtype: torch.dtype, tolerance: float):
    reference = np.load(REFERENCE / "triplet_margin02.npz")
    embeddings = torch.from_numpy(reference["embeddings"]).to(dtype).requires_grad_()
    value = triplet_margin(embeddings, torch.from_numpy(reference["triplets"]), margin=0.2)
    value.backward()
    assert value.item() == pytest.approx(float(reference["loss"]), rel=tolerance)
    assert embeddings.grad is not None
    error = np.linalg.norm(embeddings.grad.numpy() - reference["embeddings_grad"])
    assert error < tolerance * np.linalg.norm(reference["embeddings_grad"])


def test_triplet_margin_of_equal_rows_is_the_margin_and_finite():
    rows = torch.ones(3, 4, requires_grad=True)
    value = triplet_margin(rows, torch.tensor([[0, 1, 2]]), margin=0.2)
    value.backward()
    assert value.item() == pytest.approx(0.2)
    assert rows.grad is not None
    assert rows.grad.isfinite().all()


def test_triplet_margin_gradient():
    triplets = torch.tensor([[0, 1, 3], [1, 2, 5]])
    rows = random_rows(6, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda embeddings: triplet_margin(embeddings, triplets, margin=9.0), rows)


@pytest.mark.parametrize("name", ["spread", "tight"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_probabilities_agree_with_the_authors_code(name: str, dtype: torch.dtype, tolerance: float):
    reference = np.load(REFERENCE / f"distance_weighted_{name}.npz")
    labels = torch.from_numpy(reference["labels"])
    anchors, positives = positive_pairs(labels)
    assert anchors.tolist() == reference["anchor"].tolist()
    assert positives.tolist() == reference["positive"].tolist()
    probabilities = distance_weighted_probabilities(torch.from_numpy(reference["embeddings"]).to(dtype), labels)
    expected = torch.from_numpy(reference["negative_probability"])
    torch.testing.assert_close(probabilities.double(), expected, rtol=tolerance, atol=tolerance)


def probabilities_in_loops(rows: Tensor, labels: Tensor, anchor: int) -> list[float]:
    dim = rows.shape[1]
    unit = [[x / math.hypot(*row) for x in row] for row in rows.tolist()]
    weights = []
    for row, label in zip(unit, labels.tolist(), strict=True):
        distance = max(0.5, math.dist(unit[anchor], row))
        drawn = label != int(labels[anchor]) and distance < 1.4
        density = distance ** (dim - 2) * (1 - distance**2 / 4) ** ((dim - 3) / 2) if drawn else 1.0
        weights.append(1 / density if drawn else 0.0)
    return [weight / sum(weights) for weight in weights]


def test_probabilities_equal_their_definition_in_loops():
    rows = random_rows(6, 4, seed=3) + 1
    probabilities = distance_weighted_probabilities(rows, LABELS)
    for pair, anchor in enumerate(positive_pairs(LABELS)[0].tolist()):
        assert probabilities[pair].tolist() == pytest.approx(probabilities_in_loops(rows, LABELS, anchor))


def test_length_of_rows_does_not_matter_to_the_draw():
    rows, lengths = random_rows(6, 4), torch.linspace(0.1, 9.0, 6, dtype=torch.float64)[:, None]
    torch.testing.assert_close(
        distance_weighted_probabilities(rows, LABELS), distance_weighted_probabilities(lengths * rows, LABELS)
    )


def test_length_of_rows_matters_to_the_margin():
    rows, loss = random_rows(6, 4), DistanceWeightedTriplet(margin=0.2)
    assert loss(10 * rows, LABELS, seeded()) > 2 * loss(rows, LABELS, seeded())


def test_an_anchor_far_from_all_negatives_draws_from_them_alike():
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [-1.0, 0.1], [-1.0, 0.2]])
    probabilities = distance_weighted_probabilities(rows, torch.tensor([0, 0, 1, 1, 2]))
    torch.testing.assert_close(probabilities[0], torch.tensor([0, 0, 1, 1, 1]) / 3)


def test_near_positives_do_not_make_the_draw_uniform_in_single_precision():
    anchor = torch.zeros(512).index_fill(0, torch.tensor([0]), 1.0)
    side = torch.zeros(512).index_fill(0, torch.tensor([1]), 1.0)
    rows = torch.stack([anchor, anchor + 0.01 * side, anchor + side, anchor + 1.5 * side])
    probabilities = distance_weighted_probabilities(rows, torch.tensor([0, 0, 1, 2]))
    assert probabilities[0, 2] > 0.999  # the nearer negative; relative to the positive's, both weights are below 1e-38


def test_opposite_equal_and_zero_rows_stay_finite():
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    probabilities = distance_weighted_probabilities(rows, torch.tensor([0, 0, 1, 1, 2, 2]))
    assert probabilities.isfinite().all()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(6))


def drawn_triplets(rows: Tensor, labels: Tensor, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    seen: list[Tensor] = []

    def remember(embeddings: Tensor, triplets: Tensor, *, margin: float) -> Tensor:
        seen.append(triplets)
        return embeddings.sum()

    monkeypatch.setattr("relbench.losses.triplet.triplet_margin", remember)
    DistanceWeightedTriplet()(rows, labels, generator)
    return seen[0]


def test_draws_one_negative_for_each_ordered_pair(monkeypatch: pytest.MonkeyPatch):
    triplets = drawn_triplets(random_rows(6, 4), LABELS, seeded(), monkeypatch)
    anchors, positives = positive_pairs(LABELS)
    assert torch.equal(triplets[:, 0], anchors)
    assert torch.equal(triplets[:, 1], positives)
    assert LABELS[triplets[:, 2]].ne(LABELS[anchors]).all()


def test_draws_as_often_as_the_probabilities_say(monkeypatch: pytest.MonkeyPatch):
    rows, generator, draws = random_rows(6, 4, seed=3) + 1, seeded(), 2000
    counts = torch.zeros(8, 6, dtype=torch.float64)
    for _ in range(draws):
        negatives = drawn_triplets(rows, LABELS, generator, monkeypatch)[:, 2]
        counts[torch.arange(8), negatives] += 1
    expected = distance_weighted_probabilities(rows, LABELS)
    deviation = (expected * (1 - expected) / draws).sqrt()
    assert ((counts / draws - expected).abs() <= 4 * deviation).all()


def test_the_generator_alone_decides_the_draw():
    rows, loss = random_rows(128, 32), DistanceWeightedTriplet()
    labels = torch.arange(128) // 5
    state = torch.get_rng_state()
    assert loss(rows, labels, seeded(1)) == loss(rows, labels, seeded(1))
    assert loss(rows, labels, seeded(1)) != loss(rows, labels, seeded(2))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_draw_on_another_device_is_multinomials(count: int, dtype: torch.dtype):
    """In float32 the border between two columns lies elsewhere by rounding, which a draw seldom meets."""
    probabilities = distance_weighted_probabilities(random_rows(40, 6).to(dtype), torch.arange(40) // 5)
    expected = torch.multinomial(probabilities, count, replacement=True, generator=seeded(4))
    generator = seeded(4)
    assert torch.equal(draw_elsewhere(probabilities, count, generator), expected)
    again = seeded(4)
    torch.multinomial(probabilities, count, replacement=True, generator=again)
    assert torch.equal(generator.get_state(), again.get_state())


def test_the_margin_adds_to_the_loss_while_all_triplets_violate_it():
    rows = random_rows(6, 4)
    small, large = (DistanceWeightedTriplet(margin=margin)(rows, LABELS, seeded()) for margin in (20.0, 21.5))
    assert large - small == pytest.approx(1.5)


def test_a_batch_gives_the_embeddings_a_gradient():
    rows = normalize(random_rows(6, 4)).requires_grad_()
    DistanceWeightedTriplet(margin=3.0)(rows, LABELS, seeded()).backward()
    assert rows.grad is not None
    assert rows.grad.ne(0).any(dim=1).tolist()[:5] == [True] * 5


@pytest.mark.parametrize(
    ("embeddings", "labels", "message"),
    [
        (torch.zeros(4), torch.zeros(4), r"floating matrix .* shape \(4,\)"),
        (torch.zeros(4, 2, dtype=torch.bool), torch.zeros(4), "floating matrix .* torch.bool"),
        (torch.zeros(4, 2), torch.tensor([0, 0, 1]), r"shape \(4,\), one per row, not \(3,\)"),
        (torch.zeros(4, 2), torch.tensor([0, 1, 2, 3]), "needs a positive"),
        (torch.zeros(4, 2), torch.tensor([7, 7, 7, 7]), "needs a negative"),
    ],
)
def test_batches_without_triplets_are_refused(embeddings: Tensor, labels: Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        DistanceWeightedTriplet()(embeddings, labels, seeded())
    with pytest.raises(ValueError, match=message):
        distance_weighted_probabilities(embeddings, labels)


@pytest.mark.parametrize("triplets", [torch.zeros(0, 3), torch.zeros(3), torch.zeros(2, 4)])
def test_what_is_no_list_of_triplets_is_refused(triplets: Tensor):
    with pytest.raises(ValueError, match=r"\(count, 3\)"):
        triplet_margin(torch.zeros(4, 2), triplets.long())


@pytest.mark.parametrize("margin", [0.0, -0.1, float("nan"), float("inf")])
def test_a_margin_is_above_zero(margin: float):
    with pytest.raises(ValueError, match="margin must be a finite number above 0"):
        DistanceWeightedTriplet(margin=margin)
    with pytest.raises(ValueError, match="margin must be a finite number above 0"):
        triplet_margin(torch.zeros(4, 2), torch.tensor([[0, 1, 2]]), margin=margin)
