"""Few-shot classification of embeddings: episodes, their pinned numbers, scorers beside their definitions in loops."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluation.conftest import HARD_INPUTS
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

import relbench.evaluation.few_shot
from relbench.data.samplers import EpisodeSampler
from relbench.episodes import ClassMembers, Episode
from relbench.evaluation import Episodes, draw_episodes, few_shot_accuracy, few_shot_interval, right_queries
from relbench.evaluation.episode_scorers import SCORERS

REFERENCE = Path(__file__).parents[1] / "reference/tasks"
Matrix = NDArray[Any]
Classifier = Callable[[Matrix], int]  # from a query (dim,) to its class

UNEQUAL = np.repeat(np.arange(9), [6, 7, 30, 6, 9, 12, 6, 15, 8])  # classes of unequal size
SPREAD = np.repeat(np.arange(12), 10)


def spread(noise: float = 1.0, dim: int = 6, seed: int = 0) -> Matrix:
    """Embeddings of the images of SPREAD, about a centre for each class."""
    generator = np.random.default_rng(seed)
    return generator.standard_normal((12, dim))[SPREAD] + noise * generator.standard_normal((len(SPREAD), dim))


# ---------------------------------------------------------------------------------------------- definitions in loops


def first_nearest(points: Matrix, query: Matrix) -> int:
    distances = [float(((point - query) ** 2).sum()) for point in points]
    return distances.index(min(distances))


def prototypes_in_loops(support: Matrix) -> Classifier:
    prototypes = np.stack([images.sum(axis=0) / len(images) for images in support])
    return lambda query: first_nearest(prototypes, query)


def nearest_in_loops(support: Matrix) -> Classifier:
    return lambda query: first_nearest(support.reshape(-1, support.shape[2]), query) // support.shape[1]


def unit(row: Matrix) -> Matrix:
    length = float(np.sqrt((row**2).sum()))
    return row / length if length else row


def centred_in_loops(support: Matrix) -> Classifier:
    rows = support.reshape(-1, support.shape[2])
    centre = sum(rows) / len(rows)
    moved = np.stack([unit(row - centre) for row in rows]).reshape(support.shape)
    return lambda query: prototypes_in_loops(moved)(unit(query - centre))


def logistic_in_loops(support: Matrix) -> Classifier:
    """Newton's steps on the loss as it is defined, from zero, until its gradient is gone."""
    way, shot, dim = support.shape
    rows = np.stack(
        [[*unit(row), 1.0] for row in support.reshape(-1, dim)]
    )  # the last weight of a class: its intercept
    held = np.diag([1.0] * dim + [0.0])
    free = np.arange(1 if way == 2 else 0, way)  # of two classes the logistic function: the first has no weights
    picked = (free[:, None] * (dim + 1) + np.arange(dim + 1)).ravel()
    weights = np.zeros((way, dim + 1))
    for _ in range(9):
        gradient, hessian = weights @ held, np.kron(np.eye(way), held)
        for place, row in enumerate(rows):
            p = np.exp(weights @ row)
            p /= p.sum()
            gradient += np.outer(p - np.eye(way)[place // shot], row)
            hessian += np.kron(np.diag(p) - np.outer(p, p), np.outer(row, row))
        step = np.linalg.lstsq(hessian[np.ix_(picked, picked)], gradient.ravel()[picked])[0]  # intercepts: free sum
        weights[free] -= step.reshape(-1, dim + 1)
    assert abs(gradient[free]).max() < 1e-12
    return lambda query: int((weights @ [*unit(query), 1.0]).argmax())


IN_LOOPS: dict[str, Callable[[Matrix], Classifier]] = {
    "prototypes": prototypes_in_loops,
    "centred": centred_in_loops,
    "nearest": nearest_in_loops,
    "logistic": logistic_in_loops,
}
"""From support embeddings (way, shot, dim)."""


def right_in_loops(scorer: str, embeddings: Matrix, episodes: Episodes) -> list[int]:
    rows, right = np.asarray(embeddings, dtype=np.float64), []
    for support, query in zip(episodes.support, episodes.query, strict=True):
        classify = IN_LOOPS[scorer](rows[support])
        right.append(sum(classify(rows[at]) == label for label, own in enumerate(query) for at in own))
    return right


def test_every_scorer_has_a_definition():
    assert IN_LOOPS.keys() == SCORERS.keys()


# ------------------------------------------------------------------------------------------------------ the episodes


def drawn(
    labels: Any = UNEQUAL, way: int = 4, shot: int = 2, queries: int = 4, count: int | range = 50, **more: Any
) -> Matrix:
    """Images of episodes, (episodes, way, shot + queries)."""
    episodes = draw_episodes(labels, way, shot, queries, count, **more)
    asked = len(count) if isinstance(count, range) else count
    assert episodes.support.shape == (asked, way, shot)
    assert episodes.query.shape == (asked, way, queries)
    return np.concatenate([episodes.support, episodes.query], axis=2)


def test_episodes_are_pinned():
    """Whoever changes them makes the rows of all few-shot runs incomparable: count CODE_VERSION up if that is meant."""
    digest = hashlib.sha256()
    for labels, way in ((UNEQUAL, 4), (np.repeat(np.arange(1692), 20), 20)):
        for stream in ("test episodes", "validation episodes"):
            for seed in (0, 7):
                images = drawn(labels, way, 1, 5, 20, seed=seed, stream=stream)
                digest.update(images.astype("<i8").tobytes())
    sampler = EpisodeSampler(torch.from_numpy(UNEQUAL), Episode(way=5, shot=1, queries=4), seed=3)
    for step in (0, 1, 10**6):
        digest.update(sampler(step).numpy().astype("<i8").tobytes())
    assert digest.hexdigest() == "e1e0a9188db55598336f33799e54776775cc5c52060d3a1653980e0e627ce22c"


def test_classes_and_images_are_drawn_without_replacement():
    images = drawn(way=9, count=200)  # all classes, and all images of the smallest
    classes = UNEQUAL[images]
    assert (classes == classes[:, :, :1]).all()
    assert all(len(set(row)) == 9 for row in classes[:, :, 0].tolist())
    assert all(len(set(row.ravel().tolist())) == row.size for row in images)  # so support images are no queries


def test_two_classes_of_just_enough_images():
    images = drawn([0, 1] * 6, way=2)
    assert (np.sort(images.reshape(50, -1), axis=1) == np.arange(12)).all()


def test_the_nth_episode_is_the_same_however_many_there_are_and_from_where_on():
    np.testing.assert_array_equal(drawn(count=50)[:7], drawn(count=7))
    np.testing.assert_array_equal(drawn(count=50)[7:], drawn(count=range(7, 50)))


def test_a_large_class_takes_no_memory_for_the_small_ones():
    """Of classes of unequal size, as in the wild: 2,000 of 20 images and one of as many images as all of these."""
    members = ClassMembers(torch.tensor([*np.repeat(np.arange(2000), 20), *[2000] * 40_000]))
    assert sum(held.numel() for held in vars(members).values() if isinstance(held, torch.Tensor)) < 2 * 80_000
    assert members.draw(2001, 20, torch.Generator().manual_seed(0)).unique().numel() == 2001 * 20


def test_seeds_streams_and_training_have_episodes_of_their_own():
    sampler = EpisodeSampler(torch.from_numpy(UNEQUAL), Episode(way=4, shot=2, queries=4), seed=0)
    training = np.stack([sampler(step).numpy().reshape(4, 6) for step in range(50)])
    streams = [drawn(), drawn(stream="validation episodes"), drawn(seed=1), training]
    episodes = [tuple(images.ravel().tolist()) for stream in streams for images in stream]
    assert len(set(episodes)) == 4 * 50


def test_all_classes_and_images_are_as_likely_in_every_place():
    """Chi-squared tests, of a fixed seed: classes; images of a class; images of the smallest and the largest class."""
    images = drawn(count=3000)
    for place in range(4):
        assert stats.chisquare(np.bincount(UNEQUAL[images[:, place, 0]], minlength=9)).pvalue > 0.01
    for label in (0, 2):
        own, first = np.flatnonzero(label == UNEQUAL), int(np.argmax(label == UNEQUAL))
        shown = images[UNEQUAL[images[:, :, 0]] == label]
        for place in range(6):
            assert stats.chisquare(np.bincount(shown[:, place] - first, minlength=len(own))).pvalue > 0.01


def test_pairs_of_images_are_as_likely_as_any():
    """An episode's support image and its first query, in order: 6 x 5 pairs of the smallest class."""
    images = drawn(shot=1, queries=1, count=3000)
    own = images[UNEQUAL[images[:, :, 0]] == 0]
    pairs = np.bincount(own[:, 0] * 6 + own[:, 1], minlength=36)
    assert (pairs.reshape(6, 6).diagonal() == 0).all()
    assert stats.chisquare(pairs[pairs > 0], np.full(30, len(own) / 30)).pvalue > 0.01


@pytest.mark.parametrize("name", ["lists", "strings", "floats", "tensors", "other numbers", "objects"])
def test_kinds_of_labels_do_not_matter(name):
    """Episodes follow from the order of the classes and of the images, whatever the classes are called."""
    kinds = {
        "lists": UNEQUAL.tolist(),
        "strings": [f"class {label}" for label in UNEQUAL],
        "floats": UNEQUAL.astype(float),
        "tensors": torch.from_numpy(UNEQUAL),
        "other numbers": 10 * UNEQUAL - 7,
        "objects": np.array([f"class {label}" for label in UNEQUAL], dtype=object),
    }
    np.testing.assert_array_equal(drawn(kinds[name]), drawn())


@pytest.mark.parametrize(
    ("labels", "asked", "message"),
    [
        (UNEQUAL, {"way": 10}, "a test episode has 10 classes, but there are 9: ask for fewer, or use more"),
        (UNEQUAL, {"queries": 5}, "a test episode has 7 images of each class, .* but there is a class of 6"),
        (UNEQUAL, {"way": 10, "stream": "validation episodes"}, "a validation episode has 10 classes"),
        (UNEQUAL, {"way": 1}, "way = 1, but must be 2 or more"),
        (UNEQUAL, {"shot": 0}, "shot = 0, but must be 1 or more"),
        (UNEQUAL, {"queries": 0}, "queries = 0, but must be 1 or more"),
        (UNEQUAL, {"count": 0}, "episodes = 0, but must be 1 or more"),
        (UNEQUAL, {"count": -1}, "episodes = -1, but must be 1 or more"),
        (UNEQUAL, {"count": range(3, 3)}, r"episodes = range\(3, 3\), but must be 1 or more"),
        (UNEQUAL, {"count": range(-1, 3)}, r"episodes = range\(-1, 3\), but .* with numbers from 0"),
        (UNEQUAL, {"count": 3.0}, "episodes = 3.0 must be a whole number"),
        (UNEQUAL, {"way": 4.0}, "way = 4.0 must be a whole number"),
        (UNEQUAL, {"shot": "2"}, "shot = '2' must be a whole number"),
        (UNEQUAL, {"queries": np.nan}, "queries = nan must be a whole number"),
        (UNEQUAL, {"seed": None}, "seed = None must be a whole number"),
        (UNEQUAL, {"stream": "batches"}, "unknown stream 'batches': known are test episodes, validation episodes"),
        ([], {}, "a test episode has 4 classes, but there are 0"),
        (3, {}, r"labels have the shape \(\)"),
        ([*UNEQUAL, 9], {}, "there is a class of 1"),
        ([0.5, 1], {}, "labels must be whole numbers"),
        ([[0], [1]], {}, r"labels have the shape \(2, 1\)"),
        (["a", None], {}, "labels"),
    ],
)
def test_impossible_episodes_are_refused(labels, asked, message):
    with pytest.raises(ValueError, match=message):
        drawn(labels, **asked)


# ------------------------------------------------------------------------------------------------------- the scorers


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize(("way", "shot", "dim"), [(2, 1, 1), (3, 4, 6), (5, 1, 6), (4, 3, 12)])
def test_scorers_are_what_they_are_defined_to_be(scorer, way, shot, dim):
    embeddings = spread(dim=dim)
    episodes = draw_episodes(SPREAD, way, shot, 3, 4)
    found = right_queries(embeddings, episodes, scorer)
    assert found.tolist() == right_in_loops(scorer, embeddings, episodes)
    assert 0 < found.sum() < 4 * way * 3 or dim == 12


@pytest.mark.parametrize("name", HARD_INPUTS)
@pytest.mark.parametrize("scorer", ["prototypes", "nearest"])
@pytest.mark.parametrize("shot", [1, 2])
def test_distances_are_exact_on_hard_inputs(name, scorer, shot):
    """Ties, duplicates, cancellation, an outlier, and scales whose squares leave float32 or float64's normal range."""
    embeddings = HARD_INPUTS[name]
    episodes = draw_episodes(np.arange(150) % 15, 5, shot, 4, 20)
    assert right_queries(embeddings, episodes, scorer).tolist() == right_in_loops(scorer, embeddings, episodes)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("value", [0.0, 0.3, -1e30, 1e-300])
def test_collapsed_embeddings_are_right_by_chance_alone(scorer, value):
    """Every query is taken for one of the first class of its episode."""
    right = right_queries(np.full((120, 7), value), draw_episodes(SPREAD, 4, 3, 6, 20), scorer)
    assert set(right.tolist()) == {6}


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("dim", [5, 8, 33])
def test_of_equal_classes_the_first_is_chosen(scorer, dim):
    """The last two of three classes have equal support images: all their queries are taken for the former's."""
    generator = np.random.default_rng(0)
    support = generator.standard_normal((3, 2, dim))
    support[2] = support[1]
    query = support[:, :1] + 1e-3 * generator.standard_normal((3, 4, dim))
    rows = np.concatenate([support.reshape(-1, dim), query.reshape(-1, dim)])
    episode = Episodes(np.arange(6).reshape(1, 3, 2), np.arange(6, 18).reshape(1, 3, 4))
    assert right_queries(rows, episode, scorer).tolist() == [4 + 4 + 0]


@pytest.mark.parametrize("scorer", ["prototypes", "nearest"])
@pytest.mark.parametrize(("place", "right"), [(np.nextafter(3, 2), (0, 1)), (3, (1, 1)), (np.nextafter(3, 4), (1, 0))])
def test_what_rounding_could_decide_is_decided_exactly(scorer, place, right):
    """A query at 2 between support images at 1 and at 3, or the next number to 3: of equally near ones, the first."""
    rows = np.array([[1, 7], [place, 7], [2, 7], [-9, 7], [9, 7]])
    of_the_first = [Episodes(np.array([[[0], [1]]]), np.array([[[2], [4]]])),
                    Episodes(np.array([[[1], [0]]]), np.array([[[2], [3]]]))]  # fmt: skip
    assert tuple(right_queries(rows, each, scorer)[0] - 1 for each in of_the_first) == right


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("exponent", [-900, -130, -30, 3, 120, 900])
def test_the_scale_does_not_matter(scorer, exponent):
    """Powers of two, so that nothing is rounded."""
    embeddings, episodes = spread(), draw_episodes(SPREAD, 5, 2, 4, 8)
    scaled = np.ldexp(embeddings, exponent)
    assert right_queries(scaled, episodes, scorer).tolist() == right_queries(embeddings, episodes, scorer).tolist()


@pytest.mark.parametrize("scorer", SCORERS)
def test_rotations_and_shifts_do_not_matter(scorer):
    """A shift moves unit length, which logistic regression begins with."""
    generator = np.random.default_rng(0)
    embeddings, episodes = spread(), draw_episodes(SPREAD, 5, 2, 4, 40)
    rotation = np.linalg.qr(generator.standard_normal((6, 6)))[0]
    moved = embeddings @ rotation + (0 if scorer == "logistic" else generator.standard_normal(6))
    assert right_queries(moved, episodes, scorer).tolist() == right_queries(embeddings, episodes, scorer).tolist()


@pytest.mark.parametrize("kind", ["float16", "float32", "bfloat16", "int8", "list of a tensor's rows"])
@pytest.mark.parametrize("scorer", ["prototypes", "centred"])
def test_narrower_numbers_are_taken_for_what_they_are(scorer, kind):
    episodes, rows = draw_episodes(SPREAD, 5, 2, 4, 40), torch.from_numpy(spread())
    given = {
        "float16": rows.half().numpy(),
        "float32": rows.float(),
        "bfloat16": rows.bfloat16(),
        "int8": (20 * rows).to(torch.int8).numpy(),
        "list of a tensor's rows": torch.stack(list(rows.requires_grad_())),
    }[kind]
    wide = torch.as_tensor(given).detach().double().numpy()
    assert right_queries(given, episodes, scorer).tolist() == right_queries(wide, episodes, scorer).tolist()


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("embeddings", [spread(), np.round(2 * spread()), np.zeros((120, 3))], ids=lambda x: "")
def test_an_answer_depends_on_nothing_but_its_episodes_support_images(scorer, embeddings, monkeypatch):
    """Not on other queries, other images, other episodes, or how many of them are answered at once."""
    episodes = draw_episodes(SPREAD, 4, 2, 5, 6)
    together = right_queries(embeddings, episodes, scorer)
    monkeypatch.setattr(relbench.evaluation.few_shot, "CHUNK", 1)
    calls: list[int] = []
    assert right_queries(embeddings, episodes, scorer, calls.append).tolist() == together.tolist()
    assert calls == [1] * 6
    single = [
        right_queries(embeddings, Episodes(episodes.support, episodes.query[:, :, at : at + 1]), scorer)
        for at in range(5)
    ]
    assert sum(single).tolist() == together.tolist()
    shown = np.zeros(len(embeddings), dtype=bool)
    shown[[*episodes.support[0].flat, *episodes.query[0].flat]] = True
    others = np.where(shown[:, None], embeddings, np.random.default_rng(1).standard_normal(embeddings.shape))
    assert right_queries(others, episodes, scorer)[0] == together[0]


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("lattice", [False, True])
def test_the_number_of_threads_changes_nothing(scorer, lattice):
    """Enough numbers at once for threads to share them; on a lattice, with thousands of ties."""
    rows = spread(dim=64)[:, : 2 if scorer == "logistic" else 64]
    rows = np.round(rows) if lattice else rows
    episodes, threads = draw_episodes(SPREAD, 12, 3, 7, 4 if scorer == "logistic" else 30), torch.get_num_threads()
    found = []
    try:
        for count in (1, 4):
            torch.set_num_threads(count)
            found.append(right_queries(rows, episodes, scorer).tolist())
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1]


def test_of_a_single_support_image_the_nearest_image_is_the_nearest_prototype():
    episodes = draw_episodes(SPREAD, 5, 1, 5, 50)
    found = [right_queries(spread(), episodes, scorer).tolist() for scorer in ("prototypes", "nearest")]
    assert found[0] == found[1]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 6), st.integers(1, 4), st.integers(1, 9), st.integers(0, 2**32), st.sampled_from([0.0, 1e-9, 1, 9])
)
def test_logistic_regression_ends_without_a_warning(way, shot, dim, seed, noise):
    """Warnings are errors in tests: it converges on well and badly separated, lattice and nearly collapsed rows."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(-1, 2, (12, dim))[SPREAD] + noise * generator.standard_normal((120, dim))
    right_queries(rows, draw_episodes(SPREAD, way, shot, 3, 3, seed), "logistic")


@pytest.mark.parametrize(
    ("embeddings", "scorer", "error", "message"),
    [
        (np.full((120, 2), np.nan), "prototypes", ValueError, "NaN or infinity, first in row 0"),
        (np.zeros(120), "prototypes", ValueError, "shape"),
        (np.zeros((120, 2), dtype=bool), "prototypes", TypeError, "float16, float32 or float64"),
        (
            np.zeros((100, 2)),
            "nearest",
            ValueError,
            r"images from row \d+ to row 1\d\d, but there are 100 ",
        ),
        (np.zeros((120, 2)), "centered", ValueError, "unknown scorer 'centered': did you mean centred?"),
    ],
)
def test_embeddings_that_cannot_be_scored_are_refused(embeddings, scorer, error, message):
    with pytest.raises(error, match=message):
        right_queries(embeddings, draw_episodes(SPREAD, 5, 2, 4, 40), scorer)


@pytest.mark.parametrize(
    ("support", "query"),
    [
        ([[[0], [1]]], [[[2], [1]]]),
        ([[[0, 4], [1, 5]]], [[[2], [5]]]),
        ([[[0, 4], [1, 5]]], [[[3, 2], [6, 1]]]),
    ],
)
def test_a_query_that_is_a_support_image_is_refused(support, query):
    with pytest.raises(ValueError, match="a support image among the queries of its class"):
        Episodes(np.array(support), np.array(query))


@pytest.mark.parametrize(
    ("support", "query"), [((2, 5), (2, 5, 1)), ((2, 5, 1), (2, 4, 1)), ((2, 5, 1), (3, 5, 1)), ((2, 5, 1), (2, 5, 0)),
                           ((0, 5, 1), (0, 5, 1)), ((2, 1, 1), (2, 1, 1))]
)  # fmt: skip
def test_episodes_of_another_shape_are_refused(support, query):
    with pytest.raises(ValueError, match=r"of the same episodes and classes, at least two\Z"):
        Episodes(np.zeros(support, dtype=int), np.ones(query, dtype=int))


@pytest.mark.parametrize("kind", [lambda rows: rows.tolist(), torch.from_numpy, lambda rows: rows / 1])
def test_episodes_are_arrays_of_rows(kind):
    support, query = np.zeros((2, 5, 1), dtype=int), np.ones((2, 5, 1), dtype=int)
    for rows in ((kind(support), query), (support, kind(query))):
        with pytest.raises(ValueError, match=r"must be an array of whole numbers, the rows of images, not \S+\Z"):
            Episodes(*rows)


def test_rows_below_0_are_refused():
    with pytest.raises(ValueError, match="images from row -1 to row 0, but there are 120 embeddings"):
        right_queries(spread(), Episodes(np.zeros((2, 5, 1), dtype=int), -np.ones((2, 5, 1), dtype=int)))


# ------------------------------------------------------------------------------------------- accuracy and its interval


def reference(name: str) -> dict[str, Matrix]:
    with np.load(REFERENCE / f"{name}.npz") as file:
        return dict(file)


@pytest.mark.parametrize("episodes", [600, 1000])
def test_the_interval_is_that_of_published_code(episodes):
    known = reference(f"few_shot_interval_{episodes}")
    mean, half_width = few_shot_interval(known["accuracies"])
    assert mean == pytest.approx(float(known["mean"]), rel=1e-10)
    assert half_width == pytest.approx(float(known["half_width"]), rel=1e-10)


@pytest.mark.parametrize(
    "name", ["3way_2shot_4query_d5", "5way_1shot_15query_d64", "5way_5shot_15query_d64", "20way_1shot_5query_d32"]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_accuracy_is_that_of_published_code(name, dtype):
    known = reference(f"prototypical_{name}")
    found = few_shot_accuracy(known["support"].astype(dtype), known["query"].astype(dtype))
    assert found == pytest.approx(float(known["accuracy"]), rel=1e-10)


def test_an_accuracy_by_hand():
    support = [[[0.0, 0.0], [2.0, 0.0]], [[10.0, 0.0], [10.0, 4.0]]]  # prototypes (1, 0) and (10, 2)
    query = [[[5.0, 0.0], [6.0, 0.0], [5.0, 9.0]], [[6.0, 0.0], [5.5, 2.0], [5.0, 3.0]]]
    # squared distances 16:29, 25:20, 97:74 of the first class, and 25:20, 24.25:20.25, 25:26 of the second
    assert few_shot_accuracy(support, query) == 3 / 6


def test_an_accuracy_of_one_query_of_each_class():
    """Where published code says 1 / way."""
    support = 10 * np.eye(5)[:, None]
    assert few_shot_accuracy(support, support + 1) == 1.0
    assert few_shot_accuracy(np.zeros((5, 1, 3)), np.zeros((5, 1, 3))) == 0.2


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 5), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32))
def test_the_accuracy_is_that_of_the_episode_among_others(way, shot, queries, dim, seed):
    rows = np.random.default_rng(seed).integers(-3, 4, (120, dim)) / 2
    episodes = draw_episodes(SPREAD, way, shot, queries, 2, seed)
    found = [few_shot_accuracy(rows[support], rows[query])
             for support, query in zip(episodes.support, episodes.query, strict=True)]  # fmt: skip
    assert found == (right_queries(rows, episodes) / (way * queries)).tolist()


@pytest.mark.parametrize(
    ("support", "query", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 1, 3)), "must be"),
        (np.zeros((2, 0, 3)), np.zeros((2, 1, 3)), "none of them 0"),
        (np.zeros((2, 1, 3)), np.zeros((3, 1, 3)), "the same classes"),
        (np.zeros((2, 1, 3)), np.zeros((2, 1, 4)), "the same dimension"),
        (np.zeros((1, 1, 3)), np.zeros((1, 1, 3)), "at least two"),
        (np.full((2, 1, 3), np.inf), np.zeros((2, 1, 3)), "not finite"),
        (np.zeros((2, 1, 3)), np.full((2, 1, 3), np.nan), "not finite"),
        (np.zeros((2, 1, 3)), np.full((2, 1, 3), 1j), "query must hold numbers, .* not complex128"),
        ([[["a"]], [["b"]]], np.zeros((2, 1, 1)), "support must hold numbers"),
    ],
)
def test_other_shapes_are_refused(support, query, message):
    with pytest.raises(ValueError, match=message):
        few_shot_accuracy(support, query)


@pytest.mark.parametrize("accuracies", [[], [0.5], [[0.5, 0.5]], [0.5, np.nan]])
def test_an_interval_needs_two_numbers(accuracies):
    with pytest.raises(ValueError, match="a list of two finite numbers or more"):
        few_shot_interval(accuracies)
