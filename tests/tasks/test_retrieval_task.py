"""Metrics of a network on test classes: by its definition in loops, with roles, in batches."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import relbench.data.cached_views
import relbench.evaluation.retrieval
from relbench.data.table import Shape
from relbench.tasks import Model
from relbench.tasks.retrieval import RetrievalTask

CPU = torch.device("cpu")


@dataclass
class Points:
    """An image of a line is its number."""

    table: pd.DataFrame
    shape: Shape
    asked: list[int]

    def test_batch(self, lines):
        self.asked.append(len(lines))
        return lines.float().view(-1, 1, 1, 1)


class Scattered(nn.Module):
    """From a line's number to a place in the plane."""

    def forward(self, images):
        number = images.flatten(1)
        return torch.cat([torch.sin(7 * number), torch.cos(3 * number)], dim=1)


def points(**roles):
    """Twelve test images of three classes between training images that are none of a measure's business."""
    lines = [(f"{at}", f"c{at % 5}", "test" if at % 5 < 3 else "train") for at in range(20)]
    table = pd.DataFrame(lines, columns=["name", "label", "split"]).assign(**roles)
    return Points(table, Shape(channels=1, size=1), [])


def evaluate(source, split="test"):
    return RetrievalTask(ks=(1, 3)).evaluate(Model(Scattered(), CPU), source, split)


HALVES = {"query": np.arange(20) % 2 == 0, "gallery": np.arange(20) % 2 == 1}


@pytest.mark.parametrize("roles", [{}, HALVES], ids=["all", "query and gallery"])
def test_recall_in_loops(roles):
    source = points(**roles)
    found = evaluate(source)
    test = [at for at in range(20) if at % 5 < 3]
    places = dict(zip(test, found.embeddings.astype(float), strict=True))
    assert found.embeddings.shape == (12, 2)
    hits = {k: {f"c{label}": [] for label in range(3)} for k in (1, 3)}
    for at in test:
        if roles and not roles["query"][at]:
            continue
        others = [one for one in test if one != at and (not roles or roles["gallery"][one])]
        near = sorted(others, key=lambda one: (((places[one] - places[at]) ** 2).sum(), one))
        for k, by_label in hits.items():
            by_label[f"c{at % 5}"].append(any(one % 5 == at % 5 for one in near[:k]))
    for k, by_label in hits.items():
        assert found.metrics[f"recall@{k}"] == pytest.approx(
            np.mean([one for all_ in by_label.values() for one in all_])
        )
    assert set(found.metrics) == {"recall@1", "recall@3", "r_precision", "map@r"}
    assert dict(zip(found.counts.groups, found.counts.correct, strict=True)) == {
        label: sum(one) for label, one in hits[1].items()
    }
    assert list(found.counts.trials) == [len(one) for one in hits[1].values()]


def test_embeddings_of_the_cpu_are_searched_there(monkeypatch):
    """Though there is a GPU."""
    chosen, choose = [], relbench.evaluation.retrieval.choose_backend
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        relbench.evaluation.retrieval, "choose_backend", lambda *given: chosen.append(choose(*given)) or chosen[-1]
    )
    evaluate(points())
    assert [device for _, device in chosen] == [CPU]


def test_images_come_in_batches(monkeypatch):
    whole, parts = points(), points()
    expected = evaluate(whole)
    monkeypatch.setattr(relbench.data.cached_views, "EVALUATION_BATCH", 5)
    assert evaluate(parts).metrics == expected.metrics
    assert (whole.asked, parts.asked) == ([12], [5, 5, 2])
