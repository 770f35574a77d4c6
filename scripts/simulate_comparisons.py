"""Simulation of tests of a difference over seeds and classes: which of them keep their size, and which has most power.

    python scripts/simulate_comparisons.py [SHARE]

writes results/simulations/comparisons.csv and comparisons.md. SHARE of the replications (1) shortens it for a trial.

A table has a teacher, four students that are no better and no worse, and one that is worse by a known difference. The
logit of a network's recall of a class is a sum of independent normal effects: the class's difficulty; what the method
has for the class, whatever the seed; what the seed has, whatever the class; and what that network has for that class.
Correct queries are binomial. Intercepts are solved for, so that expected recalls over new seeds and classes are exact.

For each test and world: how often an interval at 95 % excludes zero where there is no difference (false positives,
of all four equal students, and of the one that has most); how often any of the four does at the level of Holm's first
step (false tables); how often the interval of the worse student holds its true difference (coverage); and how often a
difference of 3.24 true standard errors is shown (power), alone and at Holm's first step. A test that knew the variance
would show it in 90 and in 77 of 100.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, stdtrit

from relbench.evaluation import Counts, compare

Floats = NDArray[np.floating]
OUT = Path("results/simulations")
SEED = 0
STUDENTS = 4  # equal to the teacher; the next one is worse
DIFFICULTY = 1.2  # standard deviation of classes, on the logit scale
CELLS = 4_000_000  # drawn at once
RESAMPLES = 1000
BOOTSTRAPPED = 800  # replications that are
KNOWN = 3.24  # standard errors that a test of known variance shows in 90 of 100, at 5 %


@dataclass(frozen=True)
class World:
    """What tables are drawn from."""

    name: str
    seeds: int
    classes: int = 200
    seed_sd: float = 0.008  # of a network's recall, over seeds
    spread: float = 0.0  # standard deviation, over methods, of the logarithm of that
    first: float = 1.0  # the first student's, as a multiple of it
    lasting: float = 0.13  # logit: of what methods have for classes; 0.13 is 2.5 points of recall
    passing: float = 0.3  # logit: of what single networks have for classes
    recall: float = 0.4
    worse: float = 0.05  # by how much the last student is
    queries: tuple[int, int] = (12, 12)  # fewest and most of a class
    replications: int = 3000


def worlds() -> Iterator[World]:
    """What is plausible, each kind of chance small and large, and what is hard: few classes, floors and ceilings."""
    for seeds in (3, 5, 7, 10, 20):
        for seed_sd in (0.003, 0.008, 0.02):
            yield World(f"seed sd {100 * seed_sd:g} points", seeds, seed_sd=seed_sd)
        yield World("seeds and classes equal", seeds, seed_sd=0.02, lasting=1.6 / seeds**0.5)
    for seeds in (3, 7):
        yield World("50 classes", seeds, classes=50)
        yield World("1,074 classes", seeds, classes=1074, replications=1200)
        yield World("11,000 classes of 2 to 9", seeds, classes=11_000, queries=(2, 9), replications=800)
        yield World("50 classes of 2 to 120", seeds, classes=50, queries=(2, 120))
        yield World("ceiling: recall 0.97", seeds, recall=0.97, worse=0.02)
        yield World("floor: recall 0.03", seeds, recall=0.03, worse=0.015)
        yield World("methods suit classes", seeds, lasting=0.6)
        yield World("networks suit classes", seeds, passing=1.0)
        yield World("methods vary unequally", seeds, spread=0.4)
        yield World("one method varies three times as much", seeds, first=3.0)


@dataclass(frozen=True)
class Statistics:
    """Of students minus the teacher, (replications, students); variances are of the mean over seeds and classes."""

    seeds: int
    classes: int
    difference: Floats
    over_seeds: Floats
    over_classes: Floats
    rest: Floats
    pooled: Floats  # over_seeds from the residuals of all methods
    resampled: Floats  # (fewer replications, students, resamples) differences

    @property
    def variance(self) -> Floats:
        """max(MS_seed + MS_class - MS_rest, MS_seed, MS_class) / (S C)."""
        largest = np.maximum(self.over_seeds, self.over_classes)
        return np.maximum(self.over_seeds + self.over_classes - self.rest, largest)


@cache
def _intercept(recall: float, sd: float) -> float:
    """The logit around which normal effects of that standard deviation have that mean recall."""
    points, weights = np.polynomial.hermite_e.hermegauss(101)
    low, high = -15.0, 15.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = float((weights * expit(middle + sd * points)).sum() / weights.sum())
        low, high = (middle, high) if mean < recall else (low, middle)
    return (low + high) / 2


@cache
def _slope(recall: float) -> float:
    """Points of recall for a logit, on the mean over classes."""
    points, weights = np.polynomial.hermite_e.hermegauss(101)
    chance = expit(_intercept(recall, DIFFICULTY) + DIFFICULTY * points)
    return float((weights * chance * (1 - chance)).sum() / weights.sum())


def draw(rng: np.random.Generator, world: World, count: int) -> tuple[Floats, Floats]:
    """(count, methods, seeds, classes) correct queries, and (count, 1, 1, classes) queries."""
    methods = STUDENTS + 2
    seed_sd = world.seed_sd / _slope(world.recall) * np.exp(world.spread * rng.standard_normal((count, methods)))
    seed_sd[:, 1] *= world.first
    seed_sd = np.round(seed_sd, 2)  # few intercepts to solve for
    recalls = np.array([world.recall] * (methods - 1) + [world.recall - world.worse])
    whole = np.sqrt(DIFFICULTY**2 + world.lasting**2 + world.passing**2 + seed_sd**2)
    middle = np.array(
        [[_intercept(*pair) for pair in zip(recalls.tolist(), row, strict=True)] for row in whole.tolist()]
    )
    normal = rng.standard_normal
    logit = middle[:, :, None, None] + DIFFICULTY * normal((count, 1, 1, world.classes))
    logit = logit + world.lasting * normal((count, methods, 1, world.classes))
    logit = logit + seed_sd[:, :, None, None] * normal((count, methods, world.seeds, 1))
    logit = logit + world.passing * normal((count, methods, world.seeds, world.classes), dtype=np.float32)
    low, high = world.queries
    size = rng.integers(low, high + 1, (count, 1, 1, world.classes))
    return rng.binomial(size, expit(logit)).astype(np.float64), size.astype(np.float64)


def statistics(correct: Floats, size: Floats, weights: tuple[Floats, Floats] | None) -> Statistics:
    """As `relbench.evaluation.crossed` has them, for all replications at once."""
    _, methods, seeds, classes = correct.shape
    total = size.sum(axis=-1, keepdims=True)
    own = correct.sum(axis=-1) / total[..., 0]
    gain = correct[:, 1:] - correct[:, :1]
    by_seed = own[:, 1:] - own[:, :1]
    difference = by_seed.mean(axis=-1)
    cells = (gain - difference[..., None, None] * size) * (classes - 1) / (total - size)
    of_class = cells.mean(axis=-2)
    of_seed = cells.mean(axis=-1, keepdims=True)
    rest = cells - of_seed - of_class[..., None, :] + of_seed.mean(axis=-2, keepdims=True)
    residual = (
        own - own.mean(axis=1, keepdims=True) - own.mean(axis=2, keepdims=True) + own.mean(axis=(1, 2), keepdims=True)
    )
    pooled = 2 * np.square(residual).sum(axis=(1, 2)) / ((methods - 1) * (seeds - 1) * seeds)
    return Statistics(
        seeds=seeds,
        classes=classes,
        difference=difference,
        over_seeds=by_seed.var(axis=-1, ddof=1) / seeds,
        over_classes=of_class.var(axis=-1, ddof=1) / classes,
        rest=np.square(rest).sum(axis=(-2, -1)) / ((seeds - 1) * (classes - 1) * seeds * classes),
        pooled=np.repeat(pooled[:, None], methods - 1, axis=1),
        resampled=_resampled(gain, size, weights),
    )


def _resampled(gain: Floats, size: Floats, weights: tuple[Floats, Floats] | None) -> Floats:
    """Owen's pigeonhole bootstrap: seeds and classes drawn with replacement, independently."""
    if weights is None:
        return np.empty((0, gain.shape[1], RESAMPLES), np.float32)
    of_seeds, of_classes = weights
    by_seed = gain.astype(np.float32) @ of_classes
    total = size.astype(np.float32) @ of_classes
    return np.einsum("rmsb,sb->rmb", by_seed, of_seeds) / (gain.shape[2] * total[:, :, 0])


Ends = Callable[[Statistics, float], tuple[Floats, Floats]]


def _around(reach: Callable[[Statistics, float], Floats]) -> Ends:
    """The interval of that reach around each difference, at a level."""

    def ends(found: Statistics, level: float) -> tuple[Floats, Floats]:
        arm = reach(found, level)
        return found.difference - arm, found.difference + arm

    return ends


def _t(freedom: float | Floats, level: float) -> Floats:
    return np.asarray(stdtrit(freedom, 1 - level / 2))


def _cochran(found: Statistics, level: float) -> Floats:
    return _weighted(found.over_seeds, found.variance, found.seeds - 1, found.classes - 1, level)


def _weighted(part: Floats, whole: Floats, few: int, many: int, level: float) -> Floats:
    share = part / whole
    return (share * _t(few, level) + (1 - share) * _t(many, level)) * np.sqrt(whole)


def _satterthwaite(found: Statistics, level: float) -> Floats:
    squares = found.over_seeds**2 / (found.seeds - 1) + found.over_classes**2 / (found.classes - 1)
    squares = squares + found.rest**2 / ((found.seeds - 1) * (found.classes - 1))
    return _t(found.variance**2 / squares, level) * np.sqrt(found.variance)


def _harmonic(found: Statistics, level: float) -> Floats:
    share = found.over_seeds / found.variance
    freedom = 1 / (share / (found.seeds - 1) + (1 - share) / (found.classes - 1))
    return _t(freedom, level) * np.sqrt(found.variance)


def _both_intervals(found: Statistics, level: float) -> Floats:
    over_seeds = _t(found.seeds - 1, level) * np.sqrt(found.over_seeds)
    return np.maximum(over_seeds, _t(found.classes - 1, level) * np.sqrt(found.over_classes))


def _seeds_alone(found: Statistics, level: float) -> Floats:
    return _t(found.seeds - 1, level) * np.sqrt(found.over_seeds)


def _pooled(found: Statistics, level: float) -> Floats:
    whole = found.pooled + np.maximum(found.over_classes - found.rest, 0)
    return _weighted(found.pooled, whole, (STUDENTS + 1) * (found.seeds - 1), found.classes - 1, level)


def _pigeonhole(found: Statistics, level: float) -> tuple[Floats, Floats]:
    low, high = np.quantile(found.resampled, [level / 2, 1 - level / 2], axis=-1)
    return low, high


TESTS: dict[str, Ends] = {
    "Cochran": _around(_cochran),
    "Satterthwaite": _around(_satterthwaite),
    "degrees of freedom by shares": _around(_harmonic),
    "both intervals": _around(_both_intervals),
    "seeds alone": _around(_seeds_alone),
    "variance pooled over methods": _around(_pooled),
    "pigeonhole bootstrap": _pigeonhole,
}


def simulate(rng: np.random.Generator, world: World, share: float) -> list[dict[str, object]]:
    """A line for each test."""
    weights = tuple(
        rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).T.astype(np.float32)
        for count in (world.seeds, world.classes)
    )
    total = max(20, round(share * world.replications))
    step = max(1, CELLS // ((STUDENTS + 2) * world.seeds * world.classes))
    parts = []
    for start in range(0, total, step):
        count = min(step, total - start)
        parts.append(statistics(*draw(rng, world, count), (weights[0], weights[1]) if start < BOOTSTRAPPED else None))
    found = Statistics(
        world.seeds, world.classes, *(np.concatenate([getattr(part, name) for part in parts]) for name in NAMES)
    )
    known = KNOWN * found.difference[:, :STUDENTS].std()
    return [_line(world, name, ends, found, known) for name, ends in TESTS.items()]


NAMES = ("difference", "over_seeds", "over_classes", "rest", "pooled", "resampled")


def _line(world: World, name: str, ends: Ends, found: Statistics, known: float) -> dict[str, object]:
    low, high = ends(found, 0.05)
    lower, higher = ends(found, 0.05 / STUDENTS)
    equal, worse = slice(0, STUDENTS), STUDENTS
    return {
        "world": world.name,
        "seeds": world.seeds,
        "classes": world.classes,
        "test": name,
        "replications": len(low),
        "false_positives": _without(0, low[:, equal], high[:, equal]).mean(),
        "of_worst_method": _without(0, low[:, equal], high[:, equal]).mean(axis=0).max(),
        "false_tables": _without(0, lower[:, equal], higher[:, equal]).any(axis=1).mean(),
        "coverage": 1 - _without(-world.worse, low[:, worse], high[:, worse]).mean(),
        "power": _without(-known, low[:, equal], high[:, equal]).mean(),
        "power_in_table": _without(-known, lower[:, equal], higher[:, equal]).mean(),
    }


def _without(value: float, low: Floats, high: Floats) -> NDArray[np.bool_]:
    """Whether an interval leaves a value out; shifted by a difference, whether it would have left zero out."""
    return (low > value) | (high < value)


def check_against_compare(rng: np.random.Generator) -> None:
    """What is simulated is what `relbench.evaluation.compare` computes."""
    world = World("check", 4, classes=30, queries=(2, 12))
    correct, size = draw(rng, world, 3)
    found = statistics(correct, size, None)
    low, high = TESTS["Cochran"](found, 0.05)
    trials = size.astype(int)[:, 0, 0].tolist()
    for at, of_table in enumerate(correct.astype(int).tolist()):
        groups = tuple(map(str, range(world.classes)))
        teacher, *students = (
            [Counts(groups=groups, trials=tuple(trials[at]), correct=tuple(one)) for one in method]
            for method in of_table
        )
        for student, rows in enumerate(students):
            interval = compare(rows, teacher).interval
            np.testing.assert_allclose((interval.low, interval.high), (low[at, student], high[at, student]))


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Extremes and means over the worlds, by test and number of seeds, in percent."""
    return pd.DataFrame(
        [
            {
                "test": test,
                "seeds": seeds,
                "false positives, %": _range(lines["false_positives"]),
                "of the worst method, %": _range(lines["of_worst_method"]),
                "false tables of 4, %": _range(lines["false_tables"]),
                "coverage, %": _range(lines["coverage"]),
                "power, mean %": f"{100 * lines['power'].mean():.0f}",
                "power in a table, mean %": f"{100 * lines['power_in_table'].mean():.0f}",
            }
            for (test, seeds), lines in frame.groupby(["test", "seeds"], sort=False)
        ]
    )


def _range(values: "pd.Series[float]") -> str:
    return f"{100 * values.min():.1f} to {100 * values.max():.1f}"


def markdown(frame: pd.DataFrame) -> str:
    """A table, without the packages that pandas needs for one."""
    lines = [list(map(str, frame.columns)), ["---"] * len(frame.columns), *frame.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Simulate every world, each from a generator of its own."""
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    check_against_compare(np.random.default_rng(SEED))
    lines: list[dict[str, object]] = []
    for number, world in enumerate(worlds()):
        lines += simulate(np.random.default_rng([SEED, number]), world, share)
        sys.stderr.write(f"{world.seeds} seeds, {world.name}\n")
    frame = pd.DataFrame(lines)
    OUT.mkdir(parents=True, exist_ok=True)
    frame.to_csv(OUT / "comparisons.csv", index=False, float_format="%.4f", lineterminator="\n")
    chosen = frame[frame["test"] == "Cochran"].drop(columns=["test"])
    rounded = chosen.round(dict.fromkeys(chosen.columns[4:], 3))
    text = TEXT.format(seed=SEED, summary=markdown(summary(frame)), chosen=markdown(rounded))
    (OUT / "comparisons.md").write_text(text, encoding="utf-8", newline="\n")


TEXT = """# Tests of a difference over seeds and classes, by simulation

Made by `python scripts/simulate_comparisons.py`, which says what is simulated; seed {seed}. All numbers, and how many
tables were drawn for each, are in `comparisons.csv`; false positives are of four comparisons in each table. Ranges are
over the worlds, in percent. What follows from them is said in `relbench/evaluation/significance.py`.

{summary}

Cochran's critical value, which decides verdicts, world by world:

{chosen}
"""

if __name__ == "__main__":
    main()
