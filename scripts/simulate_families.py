"""Simulation of large tables: how often any verdict is false after Holm's correction, and what `detectable` is worth.

    python scripts/simulate_families.py

writes results/simulations/families.csv and families.md in under a minute.

Drawn are differences and mean squares, which have known distributions for normal effects and classes of one size; what
other effects and sizes do is in simulate_comparisons.py, for tables of four. Students share their teacher, seed by seed
and class by class, and what they have in common for classes; their standard deviations over seeds scatter by a factor
of 1.5. A world is told by what classes, and the chance of single queries, add to the variance of a difference, as
multiples of what seeds do: about 0.1 and 0.2 in Glyphs with seven seeds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import nctdtrinc, stdtrit

from relbench.evaluation.comparison import VariancePart
from relbench.evaluation.estimate import POWER, Estimate

Floats = NDArray[np.float64]
OUT = Path("results/simulations")
CLASSES = 1074
REPLICATIONS = 4000
EXAMINED = 500  # of which what is detectable is computed


@dataclass(frozen=True)
class World:
    """What tables are drawn from; what classes and queries add is a multiple of what seeds do."""

    seeds: int
    students: int
    of_classes: float
    of_queries: float


def worlds() -> Iterator[World]:
    """Those of Glyphs, and smaller and larger shares of classes."""
    for students in (4, 18):
        for seeds in (2, 3, 4, 5, 7, 10, 20):
            for of_classes in (0.01, 0.03, 0.1, 0.3, 1.0, 10.0):
                for of_queries in (0.0, 0.2):
                    yield World(seeds, students, of_classes, of_queries)


@dataclass(frozen=True)
class Tables:
    """(replications, students) differences of equal networks, and both parts of their variances."""

    difference: Floats
    over_seeds: Floats
    of_classes: Floats

    @property
    def error(self) -> Floats:
        """sqrt(V)."""
        return np.asarray(np.sqrt(self.over_seeds + self.of_classes))


def draw(rng: np.random.Generator, world: World) -> Tables:
    """Differences, and variances as `relbench.evaluation.crossed` estimates them."""
    shape = (REPLICATIONS, world.students)
    seeds, own = world.seeds, np.exp(0.4 * rng.standard_normal(shape))[..., None]
    by_seed = own * rng.standard_normal((*shape, seeds)) + rng.standard_normal((REPLICATIONS, 1, seeds))
    chance = rng.standard_normal((*shape, seeds)) + rng.standard_normal((REPLICATIONS, 1, seeds))
    by_seed = by_seed + np.sqrt(world.of_queries) * chance
    of_class = 2 * world.of_classes / seeds
    shared = rng.standard_normal((REPLICATIONS, 1)) * np.sqrt(of_class * 2 / 3)
    difference = by_seed.mean(axis=-1) + shared + rng.standard_normal(shape) * np.sqrt(of_class / 3)
    over_seeds = by_seed.var(axis=-1, ddof=1) / seeds
    rest = 2 * world.of_queries / seeds
    freedom = CLASSES - 1
    over_classes = (of_class + rest) * rng.chisquare(freedom, shape) / freedom
    rest_found = rest * rng.chisquare(freedom * (seeds - 1), shape) / (freedom * (seeds - 1))
    return Tables(difference, over_seeds, np.maximum(over_classes - np.minimum(rest_found, over_seeds), 0))


def critical(found: Tables, seeds: int, level: float) -> Floats:
    """Cochran's critical values."""
    few, many = (-stdtrit(freedom, level / 2) for freedom in (seeds - 1, CLASSES - 1))
    return np.asarray((found.over_seeds * few + found.of_classes * many) / found.error**2)


def freedoms(found: Tables, seeds: int) -> Floats:
    """Satterthwaite's."""
    squares = found.over_seeds**2 / (seeds - 1) + found.of_classes**2 / (CLASSES - 1)
    return np.asarray(found.error**4 / squares)


def simulated(rng: np.random.Generator, world: World) -> dict[str, float]:
    """A line of the table: false positives alone and in a table, and what is detectable at Holm's first step."""
    found, level = draw(rng, world), 0.05 / world.students
    ratio, freedom = np.abs(found.difference) / found.error, freedoms(found, world.seeds)
    alone, first = critical(found, world.seeds, 0.05), critical(found, world.seeds, level)
    least = nctdtrinc(freedom[:EXAMINED], 1 - POWER, first[:EXAMINED]) * found.error[:EXAMINED]
    size = np.sqrt(np.square(least).mean())
    return {
        "false_positives": float((ratio > alone).mean()),
        "false_tables": float((ratio > first).any(axis=1).mean()),
        "false_tables_satterthwaite": float((ratio > -stdtrit(freedom, level / 2)).any(axis=1).mean()),
        "power_at_detectable": float((found.difference + size > first * found.error).mean()),
        "detectable_low": float(np.quantile(least, 0.1) / size),
        "detectable_high": float(np.quantile(least, 0.9) / size),
    }


def check_against_estimate(rng: np.random.Generator) -> None:
    """What is simulated is what `relbench.evaluation.estimate` computes."""
    found = draw(rng, World(3, 4, 0.1, 0.2))
    for at in range(4):
        parts = (VariancePart(found.over_seeds[0, at], 2), VariancePart(found.of_classes[0, at], CLASSES - 1))
        estimate = Estimate(float(found.difference[0, at]), parts)
        interval = estimate.interval(0.95)
        assert interval.high is not None
        reach = (critical(found, 3, 0.05) * found.error)[0, at]
        np.testing.assert_allclose(interval.high - interval.mean, reach)
        np.testing.assert_allclose(estimate.freedom, freedoms(found, 3)[0, at])


def summary(frame: pd.DataFrame) -> str:
    """Extremes over the worlds, by number of students and seeds, as a table."""
    names = (
        "students", "seeds", "false positives, at most %", "false tables, at most %", "by Satterthwaite, at most %",
        "shown of what is detectable, %", "scatter of detectable, times",
    )  # fmt: skip
    lines = [names, ("---",) * len(names)]
    for (students, seeds), some in frame.groupby(["students", "seeds"]):
        most = [f"{100 * some[name].max():.1f}" for name in frame.columns[4:7]]
        power = f"{100 * some['power_at_detectable'].min():.0f} to {100 * some['power_at_detectable'].max():.0f}"
        scatter = f"{some['detectable_low'].min():.2f} to {some['detectable_high'].max():.2f}"
        lines.append((str(students), str(seeds), *most, power, scatter))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Simulate every world, each from a generator of its own."""
    check_against_estimate(np.random.default_rng(0))
    lines = [vars(world) | simulated(np.random.default_rng([0, at]), world) for at, world in enumerate(worlds())]
    frame = pd.DataFrame(lines)
    OUT.mkdir(parents=True, exist_ok=True)
    frame.to_csv(OUT / "families.csv", index=False, float_format="%.4f", lineterminator="\n")
    (OUT / "families.md").write_text(TEXT.format(summary=summary(frame)), encoding="utf-8", newline="\n")


TEXT = """# Verdicts in tables of 4 and of 18 students, by simulation

Made by `python scripts/simulate_families.py`, which says what is simulated: 4,000 tables of 1,074 classes for each of
twelve worlds a line; `families.csv` has them one by one. A false table has at least one verdict after Holm's correction
where all students equal their teacher. In the last two columns, a difference of the size that tables call detectable
(the root of the mean of its squares) is shown in so many of 100, which should be 80; and four of five tables call
detectable what is so many times as large. Extremes of twelve worlds scatter by half a percent themselves.

{summary}
"""

if __name__ == "__main__":
    main()
