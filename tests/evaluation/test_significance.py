import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from relbench.evaluation import Counts, compare, holm, paired_class_bootstrap, seed_interval
from relbench.evaluation.comparison import Comparison, Interval

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


def test_the_difference_is_that_of_the_recalls():
    rng = generator(2)
    queries = rng.integers(2, 13, 30)
    student, teacher = draw(rng, 0.6, queries), draw(rng, 0.5, queries)
    found = paired_class_bootstrap(student, teacher, queries, generator=rng)
    assert found.mean == pytest.approx(student.sum() / queries.sum() - teacher.sum() / queries.sum())
    assert found.mean == pytest.approx((found.low + found.high) / 2)


def test_the_error_is_that_of_plain_resampling():
    rng = generator(3)
    queries = rng.integers(2, 13, 25)
    student, teacher = draw(rng, 0.6, queries), draw(rng, 0.5, queries)
    drawn = []
    for _ in range(4000):
        chosen = [int(rng.integers(25)) for _ in range(25)]
        drawn.append(sum(int(student[c]) - int(teacher[c]) for c in chosen) / sum(int(queries[c]) for c in chosen))
    reach = stats.t.ppf(0.975, 24) * np.std(drawn, ddof=1) * np.sqrt(25 / 24)
    found = paired_class_bootstrap(student, teacher, queries, generator=rng, resamples=20_000)
    assert (found.high - found.low) / 2 == pytest.approx(reach, rel=0.05)


def test_verdicts():
    rng = generator(6)
    weak, strong = ([counts(draw(rng, recall)) for _ in range(3)] for recall in (0.4, 0.7))
    found = compare(strong, weak, generator=rng)
    assert (found.verdict, found.seeds) == ("beats", 3)
    assert found.difference == pytest.approx(0.3, abs=0.06)
    assert found.over_queries.side == found.over_seeds.side == 1
    assert compare(weak, strong, generator=rng).verdict == "loses"
    assert compare(weak, weak, generator=rng).verdict == "not shown to differ"
    single = compare(strong[:1], weak[:1], generator=rng)
    assert (single.verdict, single.over_seeds.low, single.over_seeds.high) == ("no verdict", None, None)
    assert compare(strong, weak[:1], generator=rng).verdict == "beats"


def test_seeds_that_disagree_forbid_a_verdict():
    # over the classes a clear gain on average, but one seed of three loses
    teacher = counts(np.full(40, 6))
    students = [counts(np.full(40, correct)) for correct in (12, 11, 4)]
    found = compare(students, [teacher], generator=generator())
    assert found.over_queries.side == 1
    assert found.over_seeds.side == 0
    assert found.verdict == "not shown to differ"


def test_classes_that_disagree_forbid_a_verdict():
    # every seed gains the same, but all of the gain comes from one class
    teacher, student = np.full(40, 6), np.full(40, 6)
    student[0] = 12
    found = compare([counts(student)] * 3, [counts(teacher)] * 3, generator=generator())
    assert found.over_seeds.side == 1
    assert found.verdict == "not shown to differ"


def test_p_over_seeds_is_that_of_the_t_test():
    rng = generator(10)
    students, teachers = (np.stack([draw(rng, recall) for _ in range(4)]) for recall in (0.55, 0.5))
    found = compare([counts(one) for one in students], [counts(one) for one in teachers], generator=rng)
    assert found.p_over_seeds == pytest.approx(stats.ttest_1samp((students - teachers).sum(axis=1), 0).pvalue)
    assert found.p_value == found.p_adjusted == max(found.p_over_queries, found.p_over_seeds)


def test_p_over_queries_is_that_of_the_t_test_of_class_means():
    # classes of one size: the bootstrap's error is the plain one of the mean over classes, but for its own chance
    rng = generator(11)
    student, teacher = draw(rng, 0.55), draw(rng, 0.5)
    found = compare([counts(student)], [counts(teacher)], generator=rng, resamples=100_000)
    assert found.p_over_queries == pytest.approx(stats.ttest_1samp(student - teacher, 0).pvalue, rel=0.05)
    assert found.p_over_seeds is None
    assert found.p_value is found.p_adjusted is None


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_p_is_below_the_level_where_the_interval_leaves_zero_out(confidence):
    rng = generator(12)
    for recall in np.linspace(0.4, 0.6, 40):
        students, teachers = ([counts(draw(rng, mean)) for _ in range(3)] for mean in (recall, 0.5))
        found = compare(students, teachers, generator=rng, resamples=200, confidence=confidence)
        assert (found.p_over_queries < 1 - confidence) == bool(found.over_queries.side)
        assert (found.p_over_seeds < 1 - confidence) == bool(found.over_seeds.side)
        sides = {found.over_queries.side, found.over_seeds.side}
        assert found.verdict == {1: "beats", -1: "loses"}.get(
            sides.pop() if len(sides) == 1 else 0, "not shown to differ"
        )


def test_no_spread_at_all_decides():
    same, better = counts(np.full(40, 6)), counts(np.full(40, 7))
    assert compare([same] * 2, [same], generator=generator()).p_value == 1
    assert compare([better] * 2, [same], generator=generator()).p_over_seeds == 0


def with_p(p, difference=0.1):
    interval = Interval(difference, difference - 0.05, difference + 0.05)
    return Comparison(difference, interval, interval, 3, "beats", p / 2, p, p)


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
        alone = compare([student], [teacher], generator=generator())
        assert alone.over_queries.side != 0
        assert alone.verdict == "no verdict"
        assert [one.verdict for one in holm([alone])] == ["no verdict"]


def test_a_single_seed_counts_among_the_comparisons_of_a_table():
    """Else a run that is missing would make the others' verdicts easier: 0.03 x 2 is above 0.05."""
    single = replace(with_p(0.001), p_over_seeds=None, seeds=1)
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


def test_seeds_are_averaged_first():
    rng = generator(7)
    students = np.stack([draw(rng, 0.6) for _ in range(3)])
    teacher = draw(rng, 0.5)
    stacked = paired_class_bootstrap(students, teacher, QUERIES, generator=generator())
    averaged = paired_class_bootstrap(students.mean(axis=0), teacher, QUERIES, generator=generator())
    assert stacked == averaged


def test_the_generator_decides():
    rng = generator(8)
    student, teacher = draw(rng, 0.6), draw(rng, 0.5)
    first, again, other = (
        paired_class_bootstrap(student, teacher, QUERIES, generator=generator(seed)) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_a_thousand_classes_take_a_fraction_of_a_second():
    rng = generator(9)
    queries = np.full(1000, 12)
    student, teacher = draw(rng, 0.6, queries), draw(rng, 0.5, queries)
    start = time.process_time()
    paired_class_bootstrap(student, teacher, queries, generator=rng)
    assert time.process_time() - start < 1.0  # 0.2 s on a quiet machine


@pytest.mark.parametrize(
    ("student", "teacher", "message"),
    [
        ([], [], "don't pair up"),
        ([counts(QUERIES)] * 3, [counts(QUERIES)] * 2, "don't pair up"),
        ([counts([1, 1], [2, 2])], [counts([1, 1], [2, 3])], "not the same queries"),
        ([counts([1, 1], [2, 2])], [counts([1, 1, 1], [2, 2, 2])], "not the same queries"),
        (
            [counts([1, 1], [2, 2])],
            [Counts(groups=("c0", "c5"), trials=(2, 2), correct=(1, 1))],
            "not the same queries",
        ),
    ],
)
def test_comparisons_that_are_refused(student, teacher, message):
    with pytest.raises(ValueError, match=message):
        compare(student, teacher, generator=generator())


@pytest.mark.parametrize(
    ("correct", "queries", "options", "message"),
    [
        ([], [], {}, "at least one class"),
        ([1, 1], [2, 0], {}, "whole numbers from 1"),
        ([1, 1], [2.0, 2.0], {}, "whole numbers from 1"),
        ([1, 1, 1], [2, 2], {}, "not the same queries"),
        ([[[1, 1]]], [2, 2], {}, "not the same queries"),
        ([1, 3], [2, 2], {}, "lie in 0..queries"),
        ([-1, 1], [2, 2], {}, "lie in 0..queries"),
        ([np.nan, 1], [2, 2], {}, "lie in 0..queries"),
        ([1, 1], [2, 2], {"resamples": 1}, "resamples = 1"),
        ([1, 1], [2, 2], {"confidence": 95}, "between 0 and 1"),
    ],
)
def test_counts_that_are_refused(correct, queries, options, message):
    with pytest.raises(ValueError, match=message):
        paired_class_bootstrap(correct, [1] * len(queries), queries, generator=generator(), **options)


def test_one_class_has_a_difference_but_no_interval_and_no_verdict():
    """Half of ten queries against three tenths and four tenths: 0.15 on the mean; nothing is known of other classes."""
    assert paired_class_bootstrap([5], [3], [10], generator=generator()) == Interval(0.2)
    comparison = compare([counts([5], [10])] * 2, [counts([3], [10]), counts([4], [10])], generator=generator())
    assert comparison.difference == pytest.approx(0.15)
    assert comparison.over_queries.side is None
    assert (comparison.p_over_queries, comparison.p_value, comparison.verdict) == (None, None, "no verdict")
    assert comparison.over_seeds.side is not None
    assert [one.verdict for one in holm([comparison] * 2)] == ["no verdict"] * 2


@pytest.mark.parametrize("values", [[], [0.1, np.nan], [[0.1], [0.2]]])
def test_values_that_are_refused(values):
    with pytest.raises(ValueError, match="finite numbers, one per seed"):
        seed_interval(values)
