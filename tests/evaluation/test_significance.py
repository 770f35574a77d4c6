from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from relbench.evaluation import Counts, claimed_sides, compare, holm, over_seeds, seed_interval
from relbench.evaluation.comparison import Comparison, Interval
from relbench.report.wording import rests_on

QUERIES = np.full(40, 12)


def generator(seed=0):
    return np.random.default_rng(seed)


def counts(correct, queries=QUERIES):
    groups = tuple(f"c{at}" for at in range(len(queries)))
    return Counts(groups=groups, trials=_tuple(queries), correct=_tuple(correct))


def _tuple(numbers):
    return tuple(np.asarray(numbers).tolist())


def draw(rng, recall, queries=QUERIES):
    return rng.binomial(queries, recall)


def test_seed_interval_by_hand():
    # values 1 2 3: mean 2, s = 1, standard error 1/sqrt(3) = 0.57735, t(0.975, 2) = 4.30265: 2 +- 2.48414
    found = seed_interval([1.0, 2.0, 3.0])
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, -0.48414, 4.48414), abs=1e-5)
    wanted = stats.ttest_1samp([1.0, 2.0, 3.0], 0).confidence_interval(0.9)
    found = seed_interval([1.0, 2.0, 3.0], 0.9)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_one_seed_has_no_interval():
    assert seed_interval([0.4]) == Interval(0.4, None, None)
    assert seed_interval([0.4]).side is None


def test_sides():
    assert [Interval(0, *ends).side for ends in ((0.1, 0.2), (-0.1, 0.2), (-0.2, -0.1), (0.0, 0.1))] == [1, 0, -1, 0]


def test_verdicts():
    rng = generator(6)
    weak, strong = ([counts(draw(rng, recall)) for _ in range(3)] for recall in (0.4, 0.7))
    found = compare(strong, weak)
    assert (found.verdict, found.seeds) == ("beats", 3)
    assert found.difference == pytest.approx(0.3, abs=0.06)
    assert found.over_classes.side == found.over_seeds.side == 1
    assert compare(weak, strong).verdict == "loses"
    assert compare(weak, weak).verdict == "not shown to differ"
    single = compare(strong[:1], weak[:1])
    assert (single.verdict, single.over_seeds.low, single.over_seeds.high) == ("no verdict", None, None)
    assert compare(strong, weak[:1]).verdict == "beats"


def test_seeds_that_disagree_forbid_a_verdict():
    # over the classes a clear gain on average, but one seed of three loses
    teacher = counts(np.full(40, 6))
    students = [counts(np.full(40, correct)) for correct in (12, 11, 4)]
    found = compare(students, [teacher])
    assert found.over_classes.side == 1
    assert found.over_seeds.side == 0
    assert found.verdict == "not shown to differ"


def test_classes_that_disagree_forbid_a_verdict():
    # every seed gains the same, but all of the gain comes from one class
    teacher, student = np.full(40, 6), np.full(40, 6)
    student[0] = 12
    found = compare([counts(student)] * 3, [counts(teacher)] * 3)
    assert found.over_seeds.side == 1
    assert found.verdict == "not shown to differ"


def test_p_over_seeds_is_that_of_the_t_test():
    rng = generator(10)
    students, teachers = (np.stack([draw(rng, recall) for _ in range(4)]) for recall in (0.55, 0.5))
    found = compare([counts(one) for one in students], [counts(one) for one in teachers])
    assert found.p_over_seeds == pytest.approx(stats.ttest_1samp((students - teachers).sum(axis=1), 0).pvalue)
    assert found.p_value == found.p_adjusted


def test_p_over_classes_is_that_of_the_t_test_of_class_means():
    # for classes of one size
    rng = generator(11)
    student, teacher = draw(rng, 0.55), draw(rng, 0.5)
    found = compare([counts(student)], [counts(teacher)])
    assert found.p_over_classes == pytest.approx(stats.ttest_1samp(student - teacher, 0).pvalue)
    assert found.p_over_seeds is None
    assert found.p_value is found.p_adjusted is None


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_p_is_below_the_level_where_the_interval_leaves_zero_out(confidence):
    rng = generator(12)
    for recall in np.linspace(0.4, 0.6, 40):
        students, teachers = ([counts(draw(rng, mean)) for _ in range(3)] for mean in (recall, 0.5))
        found = compare(students, teachers, confidence=confidence)
        assert (found.p_over_classes < 1 - confidence) == bool(found.over_classes.side)
        assert (found.p_over_seeds < 1 - confidence) == bool(found.over_seeds.side)
        assert (found.p_value < 1 - confidence) == bool(found.interval.side)
        assert found.verdict == {1: "beats", -1: "loses", 0: "not shown to differ"}[found.interval.side]


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 30))
def test_the_interval_over_both_is_never_shorter_than_that_of_the_same_chance_alone(seed, seeds, classes):
    """Its variance is at least either one; Cochran's value lies between those of the two kinds of chance."""
    rng = generator(seed)
    queries = rng.integers(1, 9, classes)
    first, second = ([counts(draw(rng, 0.5, queries), queries) for _ in range(seeds)] for _ in range(2))
    found = compare(first, second)
    assert found.error >= max(
        (interval.high - interval.mean) / stats.t.ppf(0.975, freedom)
        for interval, freedom in ((found.over_seeds, seeds - 1), (found.over_classes, classes - 1))
    ) * (1 - 1e-9)
    reach = found.interval.high - found.interval.mean
    low, high = sorted(stats.t.ppf(0.975, freedom) for freedom in (seeds - 1, classes - 1))
    assert low * found.error * (1 - 1e-9) <= reach <= high * found.error * (1 + 1e-9)


def test_no_spread_at_all_says_nothing_of_a_difference():
    same, better = counts(np.full(40, 6)), counts(np.full(40, 7))
    assert compare([same] * 2, [same]).p_value == 1
    found = compare([better] * 2, [same])
    assert {found.p_value, found.p_over_seeds, found.p_over_classes} == {None}
    assert found.verdict == holm([found])[0].verdict == "no verdict"
    assert rests_on(found) == "no variance"


def with_p(p, difference=0.1):
    interval = Interval(difference, difference - 0.05, difference + 0.05)
    alone = dict.fromkeys(("interval", "over_classes", "over_seeds"), interval)
    p_values = dict.fromkeys(("p_value", "p_over_classes", "p_over_seeds", "p_adjusted"), p)
    return Comparison(difference=difference, seeds=3, verdict="beats", **alone, **p_values)


def test_holm_by_hand():
    # Smallest first: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1; none below the one before it
    found = holm([with_p(0.03), with_p(0.01, -0.1), with_p(0.04), with_p(0.02)])
    assert [one.p_adjusted for one in found] == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert [one.verdict for one in found] == [
        "not shown to differ",
        "loses",
        "not shown to differ",
        "not shown to differ",
    ]
    assert [one.taken_back for one in found] == [True, False, True, True]
    assert [one.p_value for one in found] == [0.03, 0.01, 0.04, 0.02]
    assert [one.p_adjusted for one in holm([with_p(0.6), with_p(0.7)])] == [1, 1]


def test_one_alone_is_not_corrected():
    assert holm([with_p(0.03)]) == [with_p(0.03)]
    assert holm([]) == []


def test_the_family_is_counted():
    assert [one.family for one in holm([with_p(0.03), with_p(0.01)])] == [2, 2]


def test_fewer_seeds_never_give_a_stronger_verdict():
    """The issue's case: three seeds that disagree decide nothing, so one of them alone must not either."""
    teacher = counts(np.full(40, 6))
    students = [counts(np.full(40, correct)) for correct in (12, 11, 4)]
    for student in students:
        alone = compare([student], [teacher])
        assert alone.over_classes.side != 0
        assert alone.verdict == "no verdict"
        assert [one.verdict for one in holm([alone])] == ["no verdict"]


def test_a_single_seed_counts_among_the_comparisons_of_a_table():
    """Else a run that is missing would make the others' verdicts easier: 0.03 x 2 is above 0.05."""
    single = replace(with_p(0.001), p_value=None, p_over_seeds=None, seeds=1)
    found = holm([with_p(0.03), single])
    assert [one.verdict for one in found] == ["not shown to differ", "no verdict"]
    assert [one.p_adjusted for one in found] == [0.06, None]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.randoms())
def test_holm_rejects_as_its_steps_say(values, random):
    """By the definition: from the smallest on, reject while p times how many are left is below the level."""
    rejected, left = set(), sorted(range(len(values)), key=values.__getitem__)
    while left and values[left[0]] * len(left) < 1 - 0.95:
        rejected.add(left.pop(0))
    found = holm([with_p(value) for value in values])
    assert {number for number, one in enumerate(found) if one.verdict == "beats"} == rejected
    order = random.sample(range(len(values)), len(values))
    assert holm([with_p(values[number]) for number in order]) == [found[number] for number in order]


def test_holm_refuses_an_impossible_confidence():
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([with_p(0.03)], confidence=95)


@pytest.mark.parametrize("values", [[], [0.1, np.nan], [[0.1], [0.2]]])
def test_values_that_are_refused(values):
    with pytest.raises(ValueError, match="finite numbers, one per seed"):
        seed_interval(values)


def test_one_class_has_a_difference_but_no_interval_and_no_verdict():
    """Half of ten queries against three tenths and four tenths: 0.15 on the mean; nothing is known of other classes."""
    comparison = compare([counts([5], [10])] * 2, [counts([3], [10]), counts([4], [10])])
    assert comparison.difference == pytest.approx(0.15)
    assert comparison.over_classes.side is comparison.interval.side is None
    assert (comparison.p_over_classes, comparison.p_value, comparison.verdict) == (None, None, "no verdict")
    assert (comparison.error, comparison.freedom, comparison.detectable) == (None, None, None)
    assert comparison.over_seeds.side is not None
    assert [one.verdict for one in holm([comparison] * 2)] == ["no verdict"] * 2


def test_what_is_detectable_grows_with_the_family():
    rng = generator(13)
    students, teachers = ([counts(draw(rng, 0.5)) for _ in range(5)] for _ in range(2))
    alone = compare(students, teachers)
    assert alone.detectable > alone.interval.high - alone.interval.mean
    first, second = holm([alone, alone])
    assert first.detectable == second.detectable > alone.detectable
    assert holm([alone])[0] == alone


PAIRED = ([counts([1, 1], [2, 2])], [counts([1, 1], [2, 3])])


@pytest.mark.parametrize(
    ("student", "teacher", "message"),
    [
        ([], [], "don't pair up"),
        ([counts(QUERIES)] * 3, [counts(QUERIES)] * 2, "don't pair up"),
        (*PAIRED, "classes or their numbers of trials differ"),
        ([counts([1, 1], [2, 2])], [counts([1, 1, 1], [2, 2, 2])], "classes or their numbers"),
        ([counts([1, 1], [2, 2])], [Counts(groups=("c0", "c5"), trials=(2, 2), correct=(1, 1))], "classes or their"),
        ([*PAIRED[0], *PAIRED[1]], [*PAIRED[0], *PAIRED[1]], "those of one seed are not those of another"),
    ],
)
def test_comparisons_that_are_refused(student, teacher, message):
    with pytest.raises(ValueError, match=message):
        compare(student, teacher)


def test_an_impossible_confidence_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        compare([counts(QUERIES)], [counts(QUERIES)], confidence=95)


def test_sides_of_claims():
    """Above by its own p, below by Holm's, and nothing where chance is unknown."""
    above, below, open_ = over_seeds([0.1, 0.11, 0.12]), over_seeds([-0.1, -0.13, -0.16]), over_seeds([-1.0, 1.0, 0.5])
    assert claimed_sides([above, below, open_]) == [1, -1, 0]
    assert 0.025 < over_seeds([-0.1, -0.15, -0.2]).p_value < 0.05
    assert claimed_sides([over_seeds([-0.1, -0.15, -0.2])]) == [-1]
    assert claimed_sides([over_seeds([-0.1, -0.15, -0.2]), open_]) == [0, 0]
    assert claimed_sides([None, over_seeds([0.3]), over_seeds([0.25, 0.25])]) == [None, None, None]
