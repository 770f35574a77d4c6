"""Verdicts at looks: against the definition, by hand, and by a small simulation of whole families."""

import runpy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench.evaluation.comparison import VariancePart
from relbench.evaluation.estimate import Estimate
from relbench.evaluation.sequential import claim_decisions, decisions, levels_of, looks_up_to

SCRIPT = Path(__file__).parents[2] / "scripts" / "simulate_sequential.py"
LOOKS = (5, 8, 20)
MARGIN = 0.005


def estimate(mean, error=0.01, seeds=5):
    return Estimate(mean, (VariancePart(error**2, seeds - 1), VariancePart(1e-12, 99)))


def look(*means, error=0.01, seeds=5):
    return [estimate(mean, error, seeds) for mean in means]


def outcomes(found):
    return [each.outcome for each in found]


@given(st.integers(5, 500))
def test_looks_rise_to_the_last_and_their_levels_add_up(most):
    looks = looks_up_to(most)
    assert looks[-1] == most
    assert all(before < after for before, after in pairwise(looks))
    levels = levels_of(looks, 0.05)
    assert sum(levels) == pytest.approx(0.05)
    assert min(levels) > 0
    assert levels[0] == pytest.approx(0.05 * (looks[0] / most) ** 1.5)


def test_the_usual_looks():
    assert looks_up_to(20) == (5, 8, 12, 20)
    assert looks_up_to(10) == (5, 8, 10)
    assert looks_up_to(5) == (5,)
    assert looks_up_to(40) == (5, 8, 12, 20, 32, 40)
    with pytest.raises(ValueError, match="the first look has 5"):
        looks_up_to(4)


def test_a_single_look_is_the_ordinary_test():
    found = decisions((5,), [look(0.03, 0.01)], 0.0)
    alone = sorted(each.p_value for each in look(0.03, 0.01))
    assert [each.p_value for each in found] == pytest.approx(alone)
    assert [each.p_adjusted for each in found] == pytest.approx([2 * alone[0], max(2 * alone[0], alone[1])])
    assert outcomes(found) == ["shown" if each.p_adjusted < 0.05 else "not shown" for each in found]


def inside(interval):
    return interval.low > -MARGIN and interval.high < MARGIN


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-0.08, 0.08), st.floats(-0.08, 0.08)), min_size=1, max_size=5))
def test_looks_are_as_in_the_definition(means):
    """Written anew in loops: each look tests what is not shown yet, by Holm at that look's level; closed ones count."""
    levels, m = levels_of(LOOKS, 0.05), len(means)
    shown, closed = {}, set()
    for at, (level, seeds) in enumerate(zip(levels, LOOKS[:2], strict=False)):
        found = [estimate(each[at], seeds=seeds) for each in means]
        tested = sorted((found[i].p_value, i) for i in range(m) if i not in shown and i not in closed)
        left = m - len(shown)
        for p, i in tested:
            if p * left >= level:
                break
            shown[i] = seeds
            left -= 1
        closed |= {i for i in range(m) if i not in shown and inside(found[i].interval(1 - level / m))}
    made = [look(*(each[at] for each in means), seeds=LOOKS[at]) for at in (0, 1)]
    decided = decisions(LOOKS, made, MARGIN)
    for i, each in enumerate(decided):
        wrong_side = i in shown and np.prod(np.sign([means[i][LOOKS.index(shown[i])], means[i][1]])) <= 0
        expected = (
            "withdrawn" if wrong_side else "shown" if i in shown else "within the margin" if i in closed else "open"
        )
        assert each.outcome == expected
        assert (each.p_adjusted < 0.05) == (i in shown)
        assert each.p_value <= each.p_adjusted <= 1


def test_what_is_decided_stays_decided():
    found = decisions(LOOKS, [look(0.2, 0.0), look(0.001, 0.0, seeds=8)], MARGIN)
    assert (found[0].outcome, found[0].side, found[0].seeds) == ("shown", 1, 5)
    assert found[1].outcome == "open"
    assert outcomes(decisions(LOOKS, [look(-0.2)], MARGIN)) == ["shown"]


def test_a_verdict_on_the_other_side_of_the_latest_difference_is_withdrawn():
    (found,) = decisions(LOOKS, [look(0.2), look(-0.001, seeds=8)], MARGIN)
    assert (found.outcome, found.side) == ("withdrawn", 0)


def test_small_intervals_are_within_the_margin():
    """And count on among those that are corrected: else a family would get easier by what is not shown."""
    near = [look(0.0, 0.0004, error=0.0003), look(0.0, 0.0004, error=0.0003, seeds=8)]
    assert outcomes(decisions(LOOKS, near[:1], MARGIN)) == ["within the margin"] * 2
    assert outcomes(decisions(LOOKS, near[:1], 0.0)) == ["open"] * 2
    level = levels_of(LOOKS, 0.05)[1]
    just = next(mean for mean in np.linspace(0.02, 0.06, 400) if estimate(mean, seeds=8).p_value < 0.9 * level)
    alone = decisions(LOOKS, [[estimate(0.0)], [estimate(just, seeds=8)]], MARGIN)
    with_closed = [[estimate(0.0), estimate(0.0, 0.0003)], [estimate(just, seeds=8), estimate(0.2, seeds=8)]]
    assert outcomes(alone) == ["shown"]
    assert outcomes(decisions(LOOKS, with_closed, MARGIN)) == ["open", "within the margin"]


def test_the_last_look_ends_all():
    found = decisions(LOOKS, [look(0.01), look(0.01, seeds=8), look(0.01, seeds=20)], MARGIN)
    assert (found[0].outcome, found[0].seeds) == ("not shown", 20)


def test_unknown_chance_counts_and_is_never_decided():
    (found, other) = decisions(LOOKS, [[None, estimate(0.2)]], MARGIN)
    assert (found.outcome, found.p_value, found.p_adjusted) == ("open", None, None)
    assert other.p_adjusted == pytest.approx(2 * estimate(0.2).p_value * 0.05 / levels_of(LOOKS, 0.05)[0])


def test_looks_that_do_not_fit_are_refused():
    for made in ([], [look(0.1)] * 4, [look(0.1), look(0.1, 0.2)]):
        with pytest.raises(ValueError, match="looks of 3"):
            decisions(LOOKS, made, MARGIN)


def test_a_claim_is_decided_as_a_whole():
    assert outcomes(claim_decisions(LOOKS, [look(0.2, 0.2)], MARGIN)) == ["shown", "shown"]
    assert outcomes(claim_decisions(LOOKS, [look(0.2, 0.01)], MARGIN)) == ["open", "open"]
    (first, second) = claim_decisions(LOOKS, [look(0.2, -0.2)], MARGIN)
    assert (first.side, second.side) == (1, -1)
    near = [[estimate(0.2), estimate(0.0, 0.0003)]]
    assert outcomes(claim_decisions(LOOKS, near, MARGIN)) == ["within the margin"] * 2
    later = claim_decisions(LOOKS, [look(0.2, 0.2), look(0.2, 0.0, seeds=8)], MARGIN)
    assert [(each.outcome, each.seeds) for each in later] == [("shown", 5), ("withdrawn", 5)]


def test_families_without_a_difference_seldom_get_a_verdict():
    """Of 1,500 families, 5 % and three standard errors at most; ordinary tests at the same looks err in more."""
    script = runpy.run_path(str(SCRIPT))
    script["check_against_decisions"](np.random.default_rng(1))
    for students in (1, 4):
        world = script["World"](students, 0, 0.1)
        found = script["draw"](np.random.default_rng(students), world, looks_up_to(20), 1500)
        assert script["sequential"](found).shown.any(axis=1).mean() < 0.05 + 3 * (0.05 * 0.95 / 1500) ** 0.5
    naive = np.any([script["fixed"](each).shown.any(axis=1) for each in found], axis=0)
    assert naive.mean() > 0.07


def test_true_differences_are_found_and_with_fewer_seeds():
    script = runpy.run_path(str(SCRIPT))
    world = script["World"](4, 4, 0.1, times=2)
    found = script["sequential"](script["draw"](np.random.default_rng(0), world, looks_up_to(20), 300))
    assert found.shown.mean() > 0.98
    assert found.seeds.mean() < 11


def test_the_margin_of_a_claim_is_corrected_for_its_differences():
    """Of ten that are all larger than the margin, one alone would often be called within it."""
    level = levels_of(LOOKS, 0.05)[0]
    reach = (estimate(0.0, 0.001).interval(1 - level).high + estimate(0.0, 0.001).interval(1 - level / 2).high) / 2
    assert outcomes(claim_decisions(LOOKS, [look(0.0, error=0.001)], reach)) == ["within the margin"]
    assert outcomes(claim_decisions(LOOKS, [look(0.0, 0.0, error=0.001)], reach)) == ["open", "open"]
