"""Two sets of embeddings of the same images: what their difference says, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from relbench.evaluation import compare as compared_by_counts
from relbench.evaluation import over_seeds_and_classes
from relbench.evaluation.alignment import aligned
from relbench.evaluation.crossed import crossed_estimates
from relbench.evaluation.measured import Shares, measure
from relbench.evaluation.paired import Source, compare_embeddings, compare_measurements
from relbench.evaluation.stored import Stored

CLASSES, IMAGES = 12, 6
LABELS = np.repeat(np.arange(CLASSES), IMAGES)
CALLED = ("b", "a")


def rows(blur, seed=0, dim=4):
    centres = np.random.default_rng(99).normal(size=(CLASSES, dim))[LABELS]
    return centres + blur * np.random.default_rng(seed).normal(size=(len(LABELS), dim))


def stored(blur, seed=0, **others):
    return Stored(rows(blur, seed), LABELS, {}, **others)


def sources(blur, *seeds):
    return [Source(f"{blur} {seed}", lambda _first, seed=seed: stored(blur, seed)) for seed in seeds]


def measured(each):
    return measure(each.embeddings, each.labels, (1, 2), **each.masks)


def test_two_networks_are_compared_over_classes_alone():
    """With classes of one size: Student's paired test of the classes' shares, by scipy."""
    found = compare_embeddings(sources(0.5, 0), sources(3.0, 1), measured)
    assert list(found.comparisons) == ["recall@1", "recall@2", "r_precision", "map@r"]
    frames = [side[0].by_class() for side in (found.ours, found.theirs)]
    for metric, line in zip(found.comparisons, found.frame().itertuples(), strict=True):
        test = stats.ttest_rel(frames[0][metric], frames[1][metric])
        interval = test.confidence_interval()
        wanted = (frames[0][metric].mean() - frames[1][metric].mean(), interval.low, interval.high)
        assert (line.difference, line.difference_95_low, line.difference_95_high) == pytest.approx(wanted)
        assert found.comparisons[metric].p_over_classes == pytest.approx(test.pvalue)
    assert found.p_value == pytest.approx(stats.ttest_rel(frames[0]["recall@1"], frames[1]["recall@1"]).pvalue)
    assert found.frame()["p_value"].notna().tolist() == [True, False, False, False]


def test_words_of_two_networks():
    better = compare_embeddings(sources(0.5, 0), sources(3.0, 1), measured)
    assert better.on_new_classes == "better"
    assert better.decisive.verdict == "no verdict"
    words = better.in_words("A", "B")
    assert words.startswith("A is better than B on new classes of this kind: Recall@1 +")
    assert words.endswith(
        "12 classes. No verdict on the methods: one training run each says nothing about new training runs."
    )
    worse = compare_embeddings(sources(3.0, 1), sources(0.5, 0), measured)
    assert worse.in_words("A", "B").startswith("A is worse than B on new classes")
    same = compare_embeddings(sources(3.0, 1), sources(3.0, 1), measured)
    assert (same.on_new_classes, same.p_value) == ("not shown to differ", 1)
    assert (
        "not shown to differ on new classes of this kind: Recall@1 +0.0 points [+0.0, +0.0], p = 1.000"
        in same.in_words()
    )


def test_where_nothing_varies_nothing_is_said():
    """A network that is right everywhere, against one that is wrong everywhere; and a single class beside others."""
    labels = np.repeat(np.arange(3), 2)
    right, wrong = (
        measure(np.array([row], float).T, labels, (1,)) for row in ([0, 1, 9, 10, 20, 21], [0, 9, 1, 20, 10, 19])
    )
    assert (right.metrics["recall@1"], wrong.metrics["recall@1"]) == (1, 0)
    found = compare_measurements([right], [wrong])
    assert (found.p_value, found.on_new_classes) == (None, "unknown")
    assert "nothing can be said about new classes of this kind: Recall@1 +100.0 points" in found.in_words()
    one_class = compare_measurements(*([measure(rows(blur), LABELS, (1,), query=LABELS == 3)] for blur in (0.5, 2)))
    assert (one_class.p_value, one_class.on_new_classes) == (None, "unknown")
    assert one_class.in_words().count("1 class.") == 1
    assert "null" in one_class.json()


@pytest.mark.parametrize("theirs", [(3, 4, 5), (3,)])
def test_several_training_runs_get_the_crossed_test_and_a_verdict(theirs):
    found = compare_embeddings(sources(0.5, 0, 1, 2), sources(3.0, *theirs), measured)
    counts = [
        [measured(stored(blur, seed)).counts["recall@1"] for seed in seeds]
        for blur, seeds in ((0.5, (0, 1, 2)), (3.0, theirs))
    ]
    assert found.decisive == compared_by_counts(*counts)
    assert found.decisive.verdict == "beats"
    assert found.interval("recall@1") == found.decisive.interval
    words = found.in_words("ours", "theirs")
    assert words.startswith("ours beats theirs, over new training runs and new classes of this kind: Recall@1 +")
    assert ("Nothing is said about other training runs of theirs" in words) == (len(theirs) == 1)
    content = json.loads(found.json())
    assert (content["verdict"], content["runs"], content["over"]) == (
        "beats",
        [3, len(theirs)],
        ["training runs", "classes"],
    )
    assert content["metrics"]["map@r"]["difference"] == pytest.approx(np.subtract(*found.means("map@r")))


def test_shares_of_trials_that_are_right_or_wrong_are_counts():
    """The same estimates; and without names, the definition of the influence values in plain loops."""
    rng = np.random.default_rng(4)
    ours, theirs = rng.integers(2, size=(2, 3, len(LABELS))).astype(bool)
    as_shares, as_counts = (
        [[kind.of(LABELS, each) for each in side] for side in (ours, theirs)]
        for kind in (Shares, type(measured(stored(0.5)).counts["recall@1"]))
    )
    assert over_seeds_and_classes(*as_shares) == over_seeds_and_classes(*as_counts)
    gain = rng.normal(size=(2, 5))
    size = np.array([3, 9, 4, 4, 7])
    total, difference = size.sum(), gain.sum() / (2 * size.sum())
    influence = [[(gain[s, c] - difference * size[c]) * 4 / (total - size[c]) for c in range(5)] for s in range(2)]
    over_classes = np.var(np.mean(influence, axis=0), ddof=1) / 5
    assert crossed_estimates(gain, size).over_classes.parts[0].variance == pytest.approx(over_classes)


def test_rows_are_brought_into_the_order_of_names():
    names = np.array([f"image {at}" for at in range(len(LABELS))])
    shuffled = np.random.default_rng(5).permutation(len(LABELS))
    query = LABELS % 3 == 0
    first = replace(stored(0.5, names=names), masks={"query": query})
    other = Stored(rows(3.0)[shuffled], LABELS[shuffled].astype(str), {"query": query[shuffled]}, names[shuffled])
    found = aligned(other, first.beside, CALLED)
    assert np.array_equal(found.embeddings, rows(3.0))
    assert np.array_equal(found.names, names)
    assert np.array_equal(found.masks["query"], query)


SHUFFLED = np.roll(LABELS, 1)
NAMES = np.arange(len(LABELS)).astype(str)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Stored(rows(1)[:-1], LABELS[:-1], {}), "b holds 71 images, a 72"),
        (Stored(rows(1), SHUFFLED, {}), "b holds other images than a.* the label of row 0 is '11', but '0' there"),
        (Stored(rows(1), LABELS, {"query": LABELS > 0}), "'query' of row 0 is 'False', but 'True' there"),
        (Stored(rows(1), LABELS, {}, np.char.add(NAMES, "x")), "72 of the second are not in the first, such as '0'"),
        (Stored(rows(1), LABELS, {}, np.full(len(LABELS), "same")), "b names 'same' twice"),
        (Stored(rows(1), LABELS[:-1], {}), r"b: labels have the shape \(71,\), but there are 72 embeddings"),
    ],
)
def test_other_images_are_refused(other, message):
    with pytest.raises(ValueError, match=message):
        compare_embeddings(
            [Source("a", lambda _first: stored(0.5, names=NAMES))], [Source("b", lambda _first: other)], measured
        )


def test_numbers_of_runs_that_do_not_pair_up():
    with pytest.raises(ValueError, match=r"1 training run.* against 2 don't pair up.*; name the side of several"):
        compare_embeddings(sources(0.5, 0), sources(3.0, 1, 2), measured)
    with pytest.raises(ValueError, match=r"3 training run.* against 2 don't pair up"):
        compare_embeddings(sources(0.5, 0, 1, 2), sources(3.0, 1, 2), measured)


def test_what_cannot_be_measured_is_named():
    damaged = Source("their file", lambda _first: Stored(np.full((len(LABELS), 2), np.nan), LABELS, {}))
    with pytest.raises(ValueError, match="their file: embeddings hold NaN"):
        compare_embeddings(sources(0.5, 0), [damaged], measured)
