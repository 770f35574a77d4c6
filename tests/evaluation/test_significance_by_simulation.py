"""How often verdicts are false, and how often intervals hold the truth, where the truth is known.

What is simulated: the classes of each table are drawn anew, of difficulties between 0 and 0.8, with 2 to 12 queries
each. A network's expected recall of a class is skill times difficulty. Its true recall scatters around that (beta
distribution of precision 5), so queries of a class succeed and fail together: scattered for each network anew or, where
`lasting`, for all networks of a method alike, as where an architecture suits a class. Each training run is better or
worse on all classes by a factor around 1 (normal, of deviation `by_run`). Skill 1 of students and teacher means no
difference: equal expected recall of every class. Students of a seed are compared with the same teacher, as in a study.
"""

import runpy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from relbench.evaluation import Counts, compare, holm
from relbench.evaluation.comparison import Comparison

SCRIPT = Path(__file__).parents[2] / "scripts" / "simulate_comparisons.py"
HARDEST, EASIEST = 0.001, 0.8
PRECISION = 5
TABLES = 400
EQUAL = (1.0,) * 5  # a teacher and four students


@dataclass(frozen=True)
class World:
    """How many there are to draw, and which chances there are."""

    seeds: int
    by_run: float
    lasting: bool = False
    classes: int = 50


WORLDS = {
    "classes and runs differ": World(seeds=3, by_run=0.05),
    "runs differ most": World(seeds=3, by_run=0.2),
    "architectures suit classes": World(seeds=3, by_run=0, lasting=True),
    "both at once": World(seeds=3, by_run=0.1, lasting=True),
    "both, five seeds": World(seeds=5, by_run=0.12, lasting=True),
    "both, ten seeds": World(seeds=10, by_run=0.15, lasting=True),
    "few classes": World(seeds=7, by_run=0.1, lasting=True, classes=15),
}


def draw_counts(rng, world, skills):
    """(methods, seeds, classes) correct queries, and (classes,) queries."""
    expected = np.array(skills)[:, None, None] * rng.uniform(HARDEST, EASIEST, world.classes)
    shape = (len(skills), 1 if world.lasting else world.seeds, world.classes)
    recall = rng.beta(PRECISION * expected, PRECISION * (1 - expected), shape)
    runs = 1 + world.by_run * rng.standard_normal((len(skills), world.seeds, 1))
    queries = rng.integers(2, 13, world.classes)
    return rng.binomial(queries, (runs * recall).clip(0, 1)), queries


def draw_table(rng, world, skills) -> list[Comparison]:
    """Each student against the teacher, which has the first skill."""
    correct, queries = draw_counts(rng, world, skills)
    groups, trials = tuple(f"c{at}" for at in range(world.classes)), tuple(queries.tolist())
    counts = [
        [Counts(groups=groups, trials=trials, correct=tuple(one.tolist())) for one in method] for method in correct
    ]
    return [compare(student, counts[0]) for student in counts[1:]]


def judged(tables):
    """(tables, students) whether there is a verdict."""
    return np.array([[one.verdict in ("beats", "loses") for one in table] for table in tables])


@cache
def equal_tables(world):
    rng = np.random.default_rng(0)
    return [draw_table(rng, world, EQUAL) for _ in range(TABLES)]


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_equal_methods_seldom_get_a_verdict(world):
    """Alone, and after the correction; 0.065 is 0.05 and three standard errors, as students share a teacher."""
    tables = equal_tables(world)
    assert judged(tables).mean() <= 0.065
    assert judged([holm(table) for table in tables]).any(axis=1).mean() <= 0.075


@pytest.mark.parametrize("world", ["runs differ most", "both, ten seeds"])
def test_the_test_errs_in_five_percent(world):
    """Not less: a test that never speaks would pass the bounds above. Uncorrected, tables err twice as often."""
    found = judged(equal_tables(WORLDS[world]))
    assert found.mean() == pytest.approx(0.05, abs=0.015)
    assert found.any(axis=1).mean() > 0.1


@pytest.mark.parametrize(
    ("world", "kind"),
    [
        (World(seeds=7, by_run=0.12, lasting=True), "interval"),
        (World(seeds=5, by_run=0.2), "interval"),
        (World(seeds=1, by_run=0, classes=10), "over_classes"),
        (World(seeds=1, by_run=0, classes=500), "over_classes"),
    ],
)
def test_intervals_hold_the_truth(world, kind):
    """Skill 0.6 against 1 is worse by 0.4 times the mean difficulty."""
    rng = np.random.default_rng(8)
    truth = -0.4 * (EASIEST + HARDEST) / 2
    intervals = [getattr(draw_table(rng, world, (1.0, 0.6))[0], kind) for _ in range(1000)]
    assert np.mean([found.low <= truth <= found.high for found in intervals]) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("world", ["runs differ most", "both, five seeds", "few classes"])
def test_what_is_detectable_is_shown_in_four_of_five(world):
    """A true difference of the root of the mean of its squares, as the variance is estimated in each table anew."""
    found = [one for table in equal_tables(WORLDS[world]) for one in table]
    true = np.sqrt(np.mean([one.detectable**2 for one in found]))
    shown = [one.interval.low + true > 0 for one in found]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(("skill", "word"), [(1.2, "beats"), (0.8, "loses")])
def test_a_real_difference_is_found(skill, word):
    """One student of four, by eight points of recall, where runs differ by 0.8; after the correction too."""
    rng = np.random.default_rng(5)
    world = World(seeds=5, by_run=0.02, classes=200)
    tables = [holm(draw_table(rng, world, (1.0, 1.0, skill, 1.0, 1.0))) for _ in range(100)]
    assert np.mean([table[1].verdict == word for table in tables]) > 0.9


def test_the_large_simulation_is_of_what_compare_computes():
    """Its tests are vectorised, and written anew for that."""
    runpy.run_path(str(SCRIPT))["check_against_compare"](np.random.default_rng(1))


def test_the_simulation_of_families_is_of_what_estimates_compute():
    """Likewise."""
    runpy.run_path(str(SCRIPT.with_name("simulate_families.py")))["check_against_estimate"](np.random.default_rng(1))
