"""The result of measuring embeddings: the metrics of retrieval, and their parts by class."""

import json

import numpy as np
import pytest
import torch

from relbench.evaluation import query_results, recall_by_class, retrieval_metrics
from relbench.evaluation.measured import Shares, measure


def drawn(rows=60, classes=7, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(rows, 5)).astype(np.float32), generator.integers(classes, size=rows)


def test_metrics_are_those_of_retrieval():
    embeddings, labels = drawn()
    query, gallery = labels % 2 == 0, np.arange(len(labels)) % 5 > 0
    masks = {"query": query, "gallery": gallery}
    found = measure(torch.from_numpy(embeddings), labels, (1, 3), **masks)
    assert dict(found.metrics) == retrieval_metrics(embeddings, labels, (1, 3), **masks)
    assert (found.queries, found.gallery, found.classes) == (query.sum(), gallery.sum(), 4)
    assert found.counts["recall@3"] == recall_by_class(query_results(embeddings, labels, (3,), **masks), 3)


def test_scores_by_class_are_the_metrics_of_each_class_alone():
    """Recomputed for each class as the only queries; a class of a single image has no R-precision."""
    embeddings, labels = drawn()
    embeddings, labels = np.vstack([embeddings, embeddings[:1] + 9]), np.append(labels, 99)
    frame = measure(embeddings, labels, (1, 2)).by_class().set_index("class")
    for each in np.unique(labels[:-1]):
        alone = retrieval_metrics(embeddings, labels, (1, 2), query=labels == each)
        line = frame.loc[str(each)]
        assert line["queries"] == (labels == each).sum()
        assert [line[metric] for metric in alone] == pytest.approx(list(alone.values()), abs=1e-12)
    assert frame.loc["99", "recall@1"] == 0
    assert frame.loc["99", ["r_precision", "map@r"]].isna().all()


def test_shares_make_up_the_metric_again():
    embeddings, labels = drawn()
    found = measure(embeddings, labels)
    for metric, scores in found.scores.items():
        assert scores.share == pytest.approx(found.metrics[metric], abs=1e-12)
    assert Shares.of([2, 1, 2, 1], [1.0, np.nan, 0.5, np.nan]) == Shares(("2",), (2,), (1.5,))


def test_json_holds_the_same_numbers():
    found = measure(np.array([[0.0], [1.0], [3.0], [3.5], [9.0]]), ["a", "a", "b", "b", "c"], (1,))
    content = json.loads(found.json(by_class=True))
    assert content.pop("by_class")[2] == {
        "class": "c",
        "queries": 1,
        "recall@1": 0.0,
        "r_precision": None,
        "map@r": None,
    }
    assert content == found.numbers() == found.frame().iloc[0].to_dict()
    assert content["recall@1"] == 0.8
