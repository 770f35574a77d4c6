import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from relbench.evaluation import means, query_results, recall_by_class, retrieval_metrics

REFERENCE = Path(__file__).parents[1] / "reference"
BACKENDS = ("faiss", "torch")
COUNT = 150
KS = (1, 2, 7, 50)


@pytest.fixture
def clustered(labels):
    generator = np.random.default_rng(2)
    return generator.standard_normal((COUNT, 12)) + 1.5 * generator.standard_normal((35, 12))[labels]


def test_hand_worked_case():
    # On a line: a=0, b=1, a=2.5, b=5, a=5.4, c=9; neighbours of each, nearest first, and what they are:
    #   a 0   : 1 2.5 5 5.4 9      b a b a c   R=2: first hit at 2; R-precision 1/2; AP (0 + 1/2)/2 = 1/4
    #   b 1   : 0 2.5 5 5.4 9      a a b a c   R=1: first hit at 3; 0; 0
    #   a 2.5 : 1 0 5 5.4 9        b a b a c   (1.5, 2.5, 2.5, 2.9: the tie goes to row 0) first at 2; 1/2; 1/4
    #   b 5   : 5.4 2.5 1 9 0      a a b c a   (4 and 4 for 1 and 9: row 1 first) first at 3; 0; 0
    #   a 5.4 : 5 2.5 9 1 0        b a c b a   first at 2; 1/2; 1/4
    #   c 9   : nothing to find    a miss at every K, left out of R-precision and MAP@R
    # Recall@1 = 0/6, Recall@2 = 3/6, Recall@3 = 5/6; R-precision = (3 * 1/2)/5 = 0.3; MAP@R = (3 * 1/4)/5 = 0.15
    embeddings = np.array([[0.0], [1.0], [2.5], [5.0], [5.4], [9.0]])
    labels = ["a", "b", "a", "b", "a", "c"]
    for backend in BACKENDS:
        found = retrieval_metrics(embeddings, labels, (1, 2, 3), backend=backend)
        assert found == {
            "recall@1": 0.0,
            "recall@2": 0.5,
            "recall@3": pytest.approx(5 / 6),
            "r_precision": pytest.approx(0.3),
            "map@r": pytest.approx(0.15),
        }
    answers = query_results(embeddings, labels, (1, 2))
    assert answers.rank.tolist() == [2, 0, 2, 0, 2, 0]
    assert answers.positives.tolist() == [2, 1, 2, 1, 2, 0]
    np.testing.assert_array_equal(answers.r_precision, [0.5, 0, 0.5, 0, 0.5, np.nan])
    np.testing.assert_array_equal(answers.average_precision, [0.25, 0, 0.25, 0, 0.25, np.nan])


@pytest.mark.parametrize("masked", [False, True])
def test_metrics_are_those_of_plain_loops_on_every_backend(embeddings, labels, masked, by_definition):
    generator = np.random.default_rng(3)
    query, gallery = generator.random(COUNT) < 0.4, generator.random(COUNT) < 0.7
    if not masked:
        query[:], gallery[:] = True, True
    wanted = by_definition(embeddings, labels, KS, query, gallery)
    for backend in BACKENDS:
        found = retrieval_metrics(embeddings, labels, KS, query=query, gallery=gallery, backend=backend)
        assert found == pytest.approx(wanted, rel=1e-12)


def test_backends_agree_to_the_last_bit(embeddings, labels):
    first, second = (query_results(embeddings, labels, KS, backend=backend) for backend in BACKENDS)
    for name in ("rank", "r_precision", "average_precision"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_large_gallery_is_folded(by_definition):
    generator = np.random.default_rng(4)
    labels = generator.integers(0, 900, 5000)
    rows = (generator.standard_normal((5000, 8)) + generator.standard_normal((900, 8))[labels]).astype(np.float32)
    query = np.arange(5000) % 250 == 0
    wanted = by_definition(rows, labels, (1, 10, 1000), query, np.ones(5000, bool))
    for backend in BACKENDS:
        found = retrieval_metrics(rows, labels, (1, 10, 1000), query=query, backend=backend)
        assert found == pytest.approx(wanted, rel=1e-12)


CAMERAS = np.random.default_rng(6).integers(0, 3, COUNT)


@pytest.mark.parametrize("masked", [False, True])
def test_what_is_ignored_is_neither_right_nor_wrong(embeddings, labels, masked, by_definition):
    """The many ties and duplicates of the hard inputs among what is ignored, and beside it."""
    generator = np.random.default_rng(3)
    query, gallery = generator.random(COUNT) < 0.4, generator.random(COUNT) < 0.7
    if not masked:
        query[:], gallery[:] = True, True
    wanted = by_definition(embeddings, labels, KS, query, gallery, CAMERAS)
    for backend in BACKENDS:
        found = retrieval_metrics(embeddings, labels, KS, query=query, gallery=gallery, ignore=CAMERAS, backend=backend)
        assert found == pytest.approx(wanted, rel=1e-12)


def test_a_hand_worked_case_of_cameras():
    # On a line: a/1=0, a/1=1, b/1=1.5, b/2=2, a/2=3, c/1=9, c/1=9.5 (class/camera); neighbours, but for those of the
    # query's own class and camera, and what they are:
    #   a/1 0   : 1.5 2 3 9 9.5     b b a c c    R=1: first hit at 3
    #   a/1 1   : 1.5 2 3 9 9.5     b b a c c    R=1: first hit at 3
    #   b/1 1.5 : 1 2 0 3 9 9.5     a b a a c c  (0.5 and 0.5 for 1 and 2: row 1 first) R=1: first hit at 2
    #   b/2 2   : 1.5 1 3 0 9 9.5   b a a a c c  R=1: first hit at 1; R-precision and AP 1
    #   a/2 3   : 2 1.5 1 0 9 9.5   b b a a c c  R=2: first hit at 3
    #   c/1     : all others of the class are ignored: misses, left out of R-precision and MAP@R
    rows, labels = np.array([[0.0], [1.0], [1.5], [2.0], [3.0], [9.0], [9.5]]), list("aabbacc")
    found = query_results(rows, labels, (1, 2, 3), ignore=["1", "1", "1", "2", "2", "1", "1"])
    assert found.rank.tolist() == [3, 3, 2, 1, 3, 0, 0]
    assert found.positives.tolist() == [1, 1, 1, 1, 2, 0, 0]
    assert means(found, (1, 2)) == {"recall@1": 1 / 7, "recall@2": 2 / 7, "r_precision": 1 / 5, "map@r": 1 / 5}


def test_to_ignore_what_differs_everywhere_is_to_ignore_nothing(clustered, labels):
    wanted = retrieval_metrics(clustered, labels, KS)
    assert retrieval_metrics(clustered, labels, KS, ignore=np.arange(COUNT)) == wanted
    with pytest.raises(ValueError, match="no query has another gallery item of its class"):
        retrieval_metrics(clustered, labels, KS, ignore=np.zeros(COUNT, int))


def test_recall_is_that_of_the_authors():
    with np.load(REFERENCE / "recall_at_k_300.npz") as file:
        ks = tuple(file["k"].tolist())
        found = retrieval_metrics(file["embeddings"], file["labels"], ks)
        np.testing.assert_allclose([found[f"recall@{k}"] for k in ks], file["recall"], atol=1e-6)  # float32 there


def test_values_are_those_of_pytorch_metric_learning():
    with np.load(REFERENCE / "pml_metrics_300.npz") as file:
        found = retrieval_metrics(file["embeddings"], file["labels"], (1,))
        assert found["r_precision"] == pytest.approx(float(file["r_precision"]), rel=1e-9)
        assert found["map@r"] == pytest.approx(float(file["mean_average_precision_at_r"]), rel=1e-9)
        answers = query_results(file["embeddings"], file["labels"], (1,))
        with_partner = answers.positives > 0
        assert answers.correct_at(1)[with_partner].mean() == pytest.approx(float(file["precision_at_1"]), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_pytorch_metric_learning_agrees(seed):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 30, 200)
    rows = generator.standard_normal((200, 10)) + generator.standard_normal((30, 10))[labels]
    # duplicates within a class: ties, but none that its order of ties could decide
    rows[::9], labels[::9] = rows[1::9][: len(rows[::9])], labels[1::9][: len(labels[::9])]
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    calculator = AccuracyCalculator(include=names, k="max_bin_count", device=torch.device("cpu"))
    oracle = calculator.get_accuracy(torch.from_numpy(rows), torch.from_numpy(labels))
    answers = query_results(rows, labels, (1,))
    found = means(answers, (1,))
    assert found["r_precision"] == pytest.approx(oracle["r_precision"], rel=1e-9)
    assert found["map@r"] == pytest.approx(oracle["mean_average_precision_at_r"], rel=1e-9)
    assert answers.correct_at(1)[answers.positives > 0].mean() == pytest.approx(oracle["precision_at_1"], rel=1e-9)


def test_order_of_rows_scale_shift_and_rotation_change_nothing(clustered, labels):
    generator = np.random.default_rng(5)
    wanted = retrieval_metrics(clustered, labels, KS)
    order = generator.permutation(COUNT)
    rotation = np.linalg.qr(generator.standard_normal((12, 12)))[0]
    assert retrieval_metrics(clustered[order], labels[order], KS) == pytest.approx(wanted, rel=1e-12)
    assert retrieval_metrics(1e-3 * clustered @ rotation + 5.0, labels, KS) == pytest.approx(wanted, rel=1e-12)


def test_names_of_the_classes_change_nothing(clustered, labels):
    wanted = retrieval_metrics(clustered, labels)
    assert retrieval_metrics(clustered, [f"class {label}" for label in labels]) == wanted
    assert retrieval_metrics(torch.from_numpy(clustered), torch.from_numpy(labels)) == wanted
    assert retrieval_metrics(clustered, (1000 - labels).astype(np.int16)) == wanted


@pytest.mark.parametrize(
    "convert",
    [
        np.array,
        lambda texts: np.array(texts, dtype=object),
        pd.Series,
        lambda texts: pd.Series(texts, index=range(len(texts), 0, -1), dtype="string"),
        lambda texts: pd.Series(texts, dtype=object),
        lambda texts: pd.Series(texts, dtype="category"),
        lambda texts: [text.encode() for text in texts],
    ],
)
def test_texts_of_every_kind_are_labels(clustered, labels, convert):
    wanted = retrieval_metrics(clustered, labels)
    assert retrieval_metrics(clustered, convert([f"class {label}" for label in labels])) == wanted


@pytest.mark.parametrize("dtype", ["int64", "uint8", "Int64"])
def test_integers_of_pandas_are_labels(clustered, labels, dtype):
    assert retrieval_metrics(clustered, pd.Series(labels, dtype=dtype)) == retrieval_metrics(clustered, labels)


def test_masks_of_pandas_and_torch(clustered, labels):
    query, gallery = np.arange(COUNT) % 3 == 0, np.arange(COUNT) % 5 > 0
    wanted = retrieval_metrics(clustered, labels, query=query, gallery=gallery)
    # by place, whatever the index says
    index = np.arange(COUNT)[::-1]
    masks = {"query": pd.Series(query, index=index), "gallery": pd.Series(gallery, index=index)}
    assert retrieval_metrics(clustered, labels, **masks) == wanted
    masks = {"query": torch.from_numpy(query), "gallery": gallery.tolist()}
    assert retrieval_metrics(clustered, labels, **masks) == wanted


def test_floats_that_are_whole_numbers_are_labels(clustered, labels):
    wanted = retrieval_metrics(clustered, labels)
    assert retrieval_metrics(clustered, labels.astype(np.float32)) == wanted
    assert retrieval_metrics(clustered, torch.from_numpy(labels).double()) == wanted


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64])
def test_integers_are_embeddings(labels, dtype):
    codes = np.random.default_rng(0).integers(0, 100, (len(labels), 6)).astype(dtype)
    assert retrieval_metrics(codes, labels) == retrieval_metrics(codes.astype(np.float64), labels)
    large = codes.astype(np.int64) + 2**40  # float32 would lose the differences
    assert retrieval_metrics(torch.from_numpy(large), labels) == retrieval_metrics(codes.astype(np.float64), labels)


def test_ks_of_numpy(clustered, labels):
    wanted = retrieval_metrics(clustered, labels, KS)
    for ks in (np.array(KS), tuple(np.array(KS, np.uint8)), list(KS)):
        found = retrieval_metrics(clustered, labels, ks)
        assert found == wanted
        assert list(found) == list(wanted)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(4, 12), st.integers(1, 3)), elements=st.floats(-3, 3, width=16)),
    st.lists(st.integers(0, 2), min_size=12, max_size=12),
)
def test_any_input(by_definition, rows, labels):
    labels = np.array([0, 0, *labels])[: len(rows)]  # at least one query has a partner
    everything = np.ones(len(rows), bool)
    found = retrieval_metrics(rows, labels, (3, 1))
    assert found == pytest.approx(by_definition(rows, labels, (3, 1), everything, everything), rel=1e-12)
    assert list(found) == ["recall@3", "recall@1", "r_precision", "map@r"]
    assert all(type(value) is float and 0 <= value <= 1 for value in found.values())
    assert found["recall@1"] <= found["recall@3"]
    assert found["map@r"] <= found["r_precision"]


def test_perfect_and_hopeless_embeddings():
    labels = np.repeat([0, 1, 2], 4)
    assert set(retrieval_metrics(np.eye(3)[labels], labels, (1, 3)).values()) == {1.0}
    # two of each class at opposite ends, everything else between
    ends = np.array([[-9.0], [9.0], [-1.0], [1.0]])
    assert set(retrieval_metrics(ends, [0, 0, 1, 1], (1,)).values()) == {0.5}


def test_a_query_that_is_in_the_gallery_and_one_that_is_not():
    rows = np.array([[0.0], [0.1], [5.0], [5.1]])
    query, gallery = np.array([True, False, True, False]), np.array([True, True, False, True])
    # row 0 must not find itself; row 2 finds row 3, which is of its class
    answers = query_results(rows, [0, 1, 2, 2], (1,), query=query, gallery=gallery)
    assert answers.positives.tolist() == [0, 1]
    assert answers.rank.tolist() == [0, 1]
    assert answers.labels.tolist() == [0, 2]


def test_counts_by_class_add_up_to_the_recall(clustered, labels):
    answers = query_results(clustered, labels, KS)
    for k in KS:
        counts = recall_by_class(answers, k)
        names = sorted(set(labels.tolist()))
        assert counts.groups == tuple(map(str, names))
        assert list(counts.trials) == [int((labels == label).sum()) for label in names]
        for label, correct in zip(names, counts.correct, strict=True):
            assert correct == answers.correct_at(k)[labels == label].sum()
        assert sum(counts.correct) / sum(counts.trials) == counts.share == means(answers, KS)[f"recall@{k}"]


def test_progress_counts_every_query(clustered, labels):
    done = []
    query_results(clustered, labels, progress=done.append)
    assert sum(done) == COUNT


def test_collapsed_embeddings_are_measured_in_seconds():
    labels = np.arange(5000) // 5
    # every distance ties, so neighbours are the rows 0, 1, 2 ...: only the first class is found among five
    found = retrieval_metrics(np.ones((5000, 32), np.float32), labels, (1, 4))
    assert found["recall@4"] == 5 / 5000
    assert found["r_precision"] == pytest.approx(5 / 5000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 0, 1]}, "labels have the shape \\(3,\\), but there are 4 embeddings"),
        ({"labels": [[0], [0], [1], [1]]}, "labels have the shape \\(4, 1\\)"),
        ({"labels": [0.0, 0.5, 1.0, 1.5]}, "labels must be whole numbers, but row 1 holds 0.5"),
        ({"labels": ["a", None, "b", "b"]}, "all strings: row 1 holds None \\(NoneType\\)"),
        ({"labels": ["a", "a", math.nan, "b"]}, "all strings: row 2 holds nan \\(float\\)"),
        ({"labels": ["a", "a", "b", 7]}, "neither an array of integers nor all strings: row 3 holds 7 \\(int\\)"),
        ({"labels": np.array([0, 0, 1, 1], object)}, "row 0 holds 0 \\(int\\)"),
        ({"labels": [0, 0, 1, None]}, "row 3 holds None"),
        ({"labels": pd.Series(["a", "a", None, "b"])}, "row 2 holds (nan|None)"),
        ({"labels": pd.Series(["a", "a", None, "b"], dtype="string")}, "row 2 holds <NA>"),
        ({"labels": pd.Series([0, 0, 1, None])}, "row 3 holds nan"),
        ({"labels": pd.Series([0, 0, 1, None], dtype="Int64")}, "row 3 holds (<NA>|nan)"),
        ({"labels": [0.0, 0.0, 1e300, 1e300]}, "row 2 holds 1e\\+300"),
        ({"labels": [0, 1, 2, 3]}, "no query has another gallery item of its class"),
        ({"ks": ()}, "at least one K"),
        ({"ks": (1, 2, 1)}, "each K once"),
        ({"ks": 1}, "ks = 1 must be a list"),
        ({"ks": np.array([1, 1])}, "each K once"),
        ({"ks": (1.0, 2)}, "K = 1.0 must be a whole number, not of type float"),
        ({"ks": (True, 2)}, "K = True must be a whole number, not of type bool"),
        ({"ks": np.array([1.0])}, "must be a whole number, not of type float64"),
        ({"ks": np.array([True])}, "must be a whole number, not of type bool"),
        ({"ks": "12"}, "K = '1' must be a whole number, not of type str"),
        ({"ks": (1, 0)}, "K = 0 is outside 1..3"),
        ({"ks": (1, 4)}, "K = 4 is outside 1..3"),
        ({"ks": (3,), "gallery": np.array([1, 1, 1, 0], bool)}, "K = 3 is outside 1..2"),
        ({"embeddings": np.array([[0.0], [1.0], [2.0], [np.nan]])}, "first in row 3"),
        ({"embeddings": np.zeros(4)}, "shape \\(rows, dim\\)"),
        ({"embeddings": np.zeros((1, 2)), "labels": [0]}, "at least two"),
        ({"query": np.zeros(4, bool)}, "query selects no row"),
        ({"gallery": np.ones(5, bool)}, "gallery must be a boolean mask"),
        ({"ignore": [0, 0, 1]}, "values to ignore have the shape \\(3,\\), but there are 4 embeddings"),
        ({"ignore": ["a", None, "b", "b"]}, "values to ignore are .* all strings: row 1 holds None"),
        ({"ignore": [0, 0, 1, 1], "labels": [0, 0, 0, 1], "ks": (3,)}, "K = 3 is outside 1..2"),
        ({"backend": "scann"}, "'scann' is unknown"),
    ],
)
def test_refusals(change, message):
    arguments = {"embeddings": np.array([[0.0], [1.0], [2.0], [3.0]]), "labels": [0, 0, 1, 1], "ks": (1,)} | change
    with pytest.raises(ValueError, match=message) as refusal:
        retrieval_metrics(**arguments)
    assert "\n" not in str(refusal.value)


def test_a_rank_is_not_asked_beyond_the_depth(clustered, labels):
    answers = query_results(clustered, labels, (1, 5))
    for k in (0, 6):
        with pytest.raises(ValueError, match=f"k = {k} is outside 1..5"):
            answers.correct_at(k)
    for k in (1.0, True):
        with pytest.raises(ValueError, match=f"k = {k} must be a whole number"):
            means(answers, (k,))
