"""What `relbench` offers in Python: the same numbers as everywhere else, from arrays, tensors and files."""

import csv
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV

import relbench
from relbench.evaluation import retrieval_metrics
from relbench.evaluation.recall import Recall
from relbench.evaluation.scores import mean_average_precision_at_r_score, r_precision_score, recall_at_k_score
from relbench.experiment import FewShot

REFERENCE = Path(__file__).parents[1] / "results/reference"
CLASSES, IMAGES = 10, 6
LABELS = np.repeat([f"class {at}" for at in range(CLASSES)], IMAGES)
NUMBERS = np.arange(len(LABELS)) // IMAGES
ROWS = np.random.default_rng(0).normal(size=(CLASSES, 4))[NUMBERS] + np.random.default_rng(1).normal(
    size=(len(LABELS), 4)
)
OTHER = ROWS + np.random.default_rng(2).normal(size=ROWS.shape)
MASKS = {"query": NUMBERS % 2 == 0, "gallery": np.arange(len(LABELS)) % 4 > 0}
IGNORE = np.arange(len(LABELS)) % 3


def test_names_are_seen_before_they_are_loaded():
    assert set(relbench.__all__) <= set(dir(relbench))
    assert relbench.Recall is Recall
    with pytest.raises(AttributeError, match="module 'relbench' has no attribute 'evaluat'"):
        _ = relbench.evaluat


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, np.ndarray.tolist, pd.DataFrame])
def test_embeddings_of_any_kind(kind):
    found = relbench.evaluate(kind(ROWS), list(LABELS), ks=(1, 3), **MASKS, ignore=IGNORE)
    assert dict(found.metrics) == retrieval_metrics(ROWS, LABELS, (1, 3), **MASKS, ignore=IGNORE)
    assert found.queries == MASKS["query"].sum()


def test_files(tmp_path):
    both, rows, labels = tmp_path / "both.npz", tmp_path / "rows.npy", tmp_path / "labels.npy"
    np.savez(both, embeddings=ROWS, labels=LABELS, camera=IGNORE, **MASKS)
    np.save(rows, ROWS)
    np.save(labels, LABELS)
    wanted = retrieval_metrics(ROWS, LABELS, **MASKS)
    assert dict(relbench.evaluate(both).metrics) == wanted
    assert dict(relbench.evaluate(str(both), ignore="camera").metrics) == retrieval_metrics(
        ROWS, LABELS, **MASKS, ignore=IGNORE
    )
    plain = retrieval_metrics(ROWS, LABELS)
    for embeddings, given in ((rows, labels), (rows, LABELS), (ROWS, labels), (rows, LABELS.tolist())):
        assert dict(relbench.evaluate(embeddings, given).metrics) == plain
    everything = np.ones(len(LABELS), dtype=bool)
    assert dict(relbench.evaluate(both, query=everything, gallery=everything).metrics) == plain
    for other in (rows, both):
        found = relbench.compare(both, other, query=everything, gallery=everything)
        assert found.means("recall@1") == (plain["recall@1"],) * 2


def test_comparisons_of_arrays_and_files(tmp_path):
    np.savez(tmp_path / "other.npz", embeddings=OTHER, labels=LABELS, query=MASKS["query"])
    found = relbench.compare(ROWS, tmp_path / "other.npz", LABELS, ks=(1,), query=MASKS["query"])
    assert found.means("map@r") == tuple(
        retrieval_metrics(each, LABELS, (1,), query=MASKS["query"])["map@r"] for each in (ROWS, OTHER)
    )
    assert str(found) == found.in_words()
    pairs = [ROWS, torch.from_numpy(ROWS) + 0.1], [OTHER, tmp_path / "other.npz"]
    several = relbench.compare(*pairs, LABELS, query=MASKS["query"])
    assert (len(several.ours), len(several.theirs)) == (2, 2)
    with_lists = relbench.compare(ROWS.tolist(), OTHER.tolist(), LABELS)
    assert len(with_lists.ours) == 1


def test_other_tasks():
    logits = np.eye(CLASSES)[NUMBERS] + np.random.default_rng(3).normal(size=(len(LABELS), CLASSES))
    found = relbench.evaluate(logits, NUMBERS, task="classification")
    assert found.metrics["accuracy"] == pytest.approx((logits.argmax(axis=1) == NUMBERS).mean())
    settings = FewShot(way=(3,), queries=2, episodes=10)
    episodes = relbench.evaluate(ROWS, LABELS, task=settings)
    assert (episodes.group, episodes.queries, list(episodes.counts)) == ("episode", 60, ["3way_1shot"])
    assert episodes.counts["3way_1shot"].share == pytest.approx(episodes.metrics["3way_1shot"])
    assert list(relbench.compare(ROWS, OTHER, LABELS, task=settings).comparisons) == ["3way_1shot"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((ROWS, None), "labels are missing: pass one for each row"),
        ((ROWS, LABELS[1:]), r"labels have the shape \(59,\), but there are 60 embeddings"),
        ((ROWS, [*LABELS[1:], float("nan")]), "row 59 holds nan"),
        (("none.npz",), "none.npz can't be read"),
    ],
)
def test_what_cannot_be_measured(given, message):
    with pytest.raises(ValueError, match=message):
        relbench.evaluate(*given)


def test_what_is_no_choice(tmp_path):
    with pytest.raises(ValueError, match="unknown task 'retrieve': did you mean retrieval"):
        relbench.evaluate(ROWS, LABELS, task="retrieve")
    with pytest.raises(ValueError, match="ignore = 'camera' names no array here"):
        relbench.evaluate(ROWS, LABELS, ignore="camera")
    np.savez(tmp_path / "damaged.npz", embeddings=ROWS * np.nan, labels=LABELS)
    with pytest.raises(ValueError, match=r"damaged.npz: embeddings hold NaN"):
        relbench.evaluate(tmp_path / "damaged.npz")


def test_scores_under_sklearns_names():
    wanted = retrieval_metrics(ROWS, LABELS, (1, 3))
    assert recall_at_k_score(ROWS, LABELS) == wanted["recall@1"]
    assert recall_at_k_score(ROWS.tolist(), LABELS, k=3) == wanted["recall@3"]
    assert r_precision_score(torch.from_numpy(ROWS), LABELS) == wanted["r_precision"]
    assert mean_average_precision_at_r_score(ROWS, LABELS) == wanted["map@r"]
    search = GridSearchCV(PCA(), {"n_components": [1, 3]}, scoring=_by_recall, cv=2, refit=False)
    assert search.fit(ROWS, NUMBERS).best_params_ == {"n_components": 3}


def _by_recall(estimator, images, labels):
    return recall_at_k_score(estimator.transform(images), labels)


def test_a_table_of_methods_as_frames():
    """The numbers of the report that was written beside the rows."""
    results = relbench.load_results(REFERENCE / "quickstart")
    written = pd.read_csv(REFERENCE / "quickstart/table.csv")
    pd.testing.assert_frame_equal(pd.read_csv(StringIO(results.table.to_csv(index=False))), written)
    assert len(results.runs) == results.table["seeds"][results.table["role"] != "floor"].sum()
    sums = results.by_class.groupby(["run", "seed"])[["correct", "trials"]].sum()
    recall = results.runs.set_index(["study_label", "seed"])["recall@1"].rename_axis(["run", "seed"])
    pd.testing.assert_series_equal((sums["correct"] / sums["trials"]), recall, check_names=False, check_like=True)
    assert len(results.cells) == len(results.claims) == 0
    assert str(results).startswith("Students against their teacher on Glyphs: runs (42), table (")


def test_a_table_of_cells_as_frames():
    results = relbench.load_results(str(REFERENCE / "glyphs-label-spaces"))
    for name in ("cells", "claims"):
        with (REFERENCE / "glyphs-label-spaces" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            assert len(getattr(results, name)) == len(list(csv.reader(file))) - 1
    assert len(results.table) == 0
    assert results.by_class["metric"].unique().tolist() == ["accuracy"]


def test_a_folder_without_results(tmp_path):
    with pytest.raises(ValueError, match=r"study\.json"):
        relbench.load_results(tmp_path)
