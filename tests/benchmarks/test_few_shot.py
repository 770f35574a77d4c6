"""The benchmark of few-shot episodes: its forms find the same, and each has its figure."""

import numpy as np
import torch

from relbench.benchmarks.few_shot import (
    RUNS,
    TARGET,
    by_network,
    drawn_and_scored,
    embedded,
    figures,
    one_after_the_other,
)
from relbench.evaluation import draw_episodes, right_queries
from relbench.experiment import Net
from relbench.models import build_embedder

LABELS = np.repeat(np.arange(7), 20)
NETWORK = build_embedder(Net(trunk="conv4-maxpool", width=4, dim=None, unit_length=False), 1, 0, 28).eval()


def test_the_network_on_each_episode_finds_what_the_matrix_does():
    pictures = torch.rand(140, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    pictures += torch.rand(7, 1, 28, 28, generator=torch.Generator().manual_seed(1))[LABELS]
    rows, episodes = embedded(NETWORK, pictures), draw_episodes(LABELS, 5, 1, 15, 12)
    assert not rows.requires_grad
    found = by_network(NETWORK, pictures, episodes)
    assert found == right_queries(rows, episodes).tolist() == drawn_and_scored(rows, LABELS, 12)
    assert 15 < np.mean(found) < 75


def test_the_plain_loop_is_right_as_often():
    """In episodes of its own: within four standard errors of the same mean."""
    rows = torch.randn(140, 3, generator=torch.Generator().manual_seed(0)) + 2 * torch.eye(7)[LABELS, :3]
    ours, plain = (np.array(form(rows, LABELS, 300)) for form in (drawn_and_scored, one_after_the_other))
    assert abs(ours.mean() - plain.mean()) < 4 * np.sqrt((ours.var() + plain.var()) / 300)


def test_a_small_measurement():
    first, *others = figures(classes=6, episodes=20, few=1, rounds=3, width=2)
    assert (first.target, first.bound) == (TARGET, "at least")
    assert len(others) == len(RUNS) + 2
    assert [figure.unit for figure in (first, *others)] == ["times"] * 3 + ["per s", "times"]
    assert all(figure.value > 0 and figure.spread for figure in (first, *others))
