"""Simulation of seeds that are added until every verdict is decided: how often any is false, and how many it takes.

    python scripts/simulate_sequential.py

writes results/simulations/sequential.csv and sequential.md in about a minute.

Differences and mean squares are drawn as in simulate_families.py, for 20 seeds of which a look sees the first:
students share their teacher, seed by seed, and what they have in common for classes. One unit is the standard deviation
over seeds of a network; that of a difference is 1.4 and more, as many points as on Glyphs. The part of classes in the
mean square over classes is the same at every look, that of single queries is drawn for each look anew; with 1,073
degrees of freedom both hardly vary.

A family has no true difference; or one student of it, or all, differ by as much as ten seeds show with probability 0.8
in a family; or all by twice as much. For each: how often any verdict is false, how many of the true differences are
shown, and how many seeds it takes until all are decided, beside numbers of seeds that are fixed beforehand. The margin
is 0.5 units; in one world, where all chance is a fifth as large, it decides.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from relbench.evaluation.comparison import VariancePart
from relbench.evaluation.estimate import Estimate
from relbench.evaluation.power import Spread
from relbench.evaluation.sequential import decisions, levels_of, looks_up_to

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
OUT = Path("results/simulations")
CLASSES = 1074
MOST = 20
LEVEL = 0.05
MARGIN = 0.5
FIXED = (5, 10, 20)
REPLICATIONS = 4000


@dataclass(frozen=True)
class World:
    """What families are drawn from; what classes and queries add is a multiple of what seeds do."""

    students: int
    differing: int  # students with a true difference
    of_classes: float
    of_queries: float = 0.2
    scale: float = 1.0  # of all chance
    times: float = 1.0  # as much as ten seeds show

    @property
    def difference(self) -> float:
        """What ten seeds show in four of five families, at the first step of Holm's correction."""
        parts = (VariancePart(2 / 10 * (1 + self.of_queries), 9), VariancePart(2 * self.of_classes / 10, CLASSES - 1))
        least = Spread(parts).with_seeds(10).detectable(LEVEL / self.students)
        assert least is not None
        return self.times * least


def worlds() -> Iterator[World]:
    """Families of 4 and 18, with small and large shares of classes."""
    for students in (4, 18):
        for of_classes in (0.01, 0.1, 1.0):
            for differing in (0, 1, students):
                yield World(students, differing, of_classes)
        yield World(students, students, 0.1, times=2)
        yield World(students, 0, 0.01, scale=0.2)


@dataclass(frozen=True)
class Look:
    """(replications, students) differences after some seeds, and both parts of their variances."""

    seeds: int
    difference: Floats
    over_seeds: Floats
    of_classes: Floats

    @property
    def error(self) -> Floats:
        """sqrt(V)."""
        return np.asarray(np.sqrt(self.over_seeds + self.of_classes))

    def critical(self, level: float) -> Floats:
        """Cochran's critical values."""
        few, many = (-stdtrit(freedom, level / 2) for freedom in (self.seeds - 1, CLASSES - 1))
        return np.asarray((self.over_seeds * few + self.of_classes * many) / self.error**2)


def draw(rng: np.random.Generator, world: World, numbers: Sequence[int], count: int) -> list[Look]:
    """The same families after different numbers of seeds."""
    shape = (count, world.students)
    own = np.exp(0.4 * rng.standard_normal(shape))[..., None]
    by_seed = own * rng.standard_normal((*shape, MOST)) + rng.standard_normal((count, 1, MOST))
    chance = rng.standard_normal((*shape, MOST)) + rng.standard_normal((count, 1, MOST))
    by_seed = by_seed + np.sqrt(world.of_queries) * chance
    of_class = 2 * world.of_classes / 10
    classes = np.sqrt(of_class * 2 / 3) * rng.standard_normal((count, 1)) + np.sqrt(of_class / 3) * rng.standard_normal(
        shape
    )
    freedom = CLASSES - 1
    of_classes = of_class * rng.chisquare(freedom, shape) / freedom
    true = np.zeros(world.students)
    true[: world.differing] = world.difference
    return [_look(rng, world, by_seed[..., :seeds], classes + true / world.scale, of_classes) for seeds in numbers]


def _look(rng: np.random.Generator, world: World, by_seed: Floats, shift: Floats, of_classes: Floats) -> Look:
    seeds, freedom = by_seed.shape[-1], CLASSES - 1
    over_seeds = by_seed.var(axis=-1, ddof=1) / seeds
    rest = 2 * world.of_queries / seeds
    over_classes = of_classes + rest * rng.chisquare(freedom, of_classes.shape) / freedom
    below = rest * rng.chisquare(freedom * (seeds - 1), of_classes.shape) / (freedom * (seeds - 1))
    added = np.maximum(over_classes - np.minimum(below, over_seeds), 0)
    return Look(
        seeds, world.scale * (by_seed.mean(axis=-1) + shift), world.scale**2 * over_seeds, world.scale**2 * added
    )


def holm_shown(look: Look, counted: Bools, tested: Bools, level: float) -> Bools:
    """Which are shown at a look, by Holm's step-down among those that count; only some of these are tested."""
    ratio, shown = np.abs(look.difference) / look.error, np.zeros_like(tested)
    students = tested.shape[1]
    thresholds = np.stack([look.critical(level / left) for left in range(1, students + 1)])
    while True:
        left = np.maximum((counted & ~shown).sum(axis=1), 1)
        beyond = np.take_along_axis(thresholds, (left - 1)[None, :, None], axis=0)[0]
        more = tested & ~shown & (ratio > beyond)
        if not more.any():
            return shown
        shown |= more


@dataclass(frozen=True)
class Outcome:
    """(replications, students) what is shown or within the margin in the end, and (replications,) seeds until then."""

    shown: Bools
    within: Bools
    seeds: NDArray[np.int_]


def sequential(looks: Sequence[Look], level: float = LEVEL) -> Outcome:
    """As `relbench.evaluation.sequential.decisions` has it, for all replications at once."""
    shape = looks[0].difference.shape
    shown, within = np.zeros(shape, bool), np.zeros(shape, bool)
    seeds = np.full(shape[0], looks[-1].seeds)
    running = np.ones(shape[0], bool)
    for look, own in zip(looks, levels_of([look.seeds for look in looks], level), strict=True):
        open_ = ~shown & ~within & running[:, None]
        shown = shown | holm_shown(look, ~shown, open_, own)
        reach = look.critical(own / shape[1]) * look.error
        within = within | (open_ & ~shown & (np.abs(look.difference) + reach < MARGIN))
        done = running & (shown | within).all(axis=1)
        seeds[done] = look.seeds
        running &= ~done
    return Outcome(shown, within, seeds)


def fixed(look: Look) -> Outcome:
    """A number of seeds that is fixed beforehand."""
    everyone = np.ones(look.difference.shape, bool)
    shown = holm_shown(look, everyone, everyone, LEVEL)
    return Outcome(shown, np.zeros_like(shown), np.full(len(shown), look.seeds))


def simulated(rng: np.random.Generator, world: World, count: int = REPLICATIONS) -> Iterator[dict[str, float | str]]:
    """A line for each rule."""
    looks = looks_up_to(MOST)
    numbers = sorted({*looks, *FIXED})
    found = dict(zip(numbers, draw(rng, world, numbers, count), strict=True))
    rules = {"until decided": sequential([found[look] for look in looks])}
    rules |= {f"{seeds} seeds": fixed(found[seeds]) for seeds in FIXED}
    for rule, outcome in rules.items():
        true, equal = outcome.shown[:, : world.differing], outcome.shown[:, world.differing :]
        yield {
            **vars(world),
            "rule": rule,
            "false_families": float(equal.any(axis=1).mean()) if equal.size else np.nan,
            "shown": float(true.mean()) if true.size else np.nan,
            "within_margin": float(outcome.within.mean()),
            "seeds": float(outcome.seeds.mean()),
        }


def check_against_decisions(rng: np.random.Generator) -> None:
    """What is simulated is what `relbench.evaluation.sequential` decides."""
    looks = looks_up_to(MOST)
    for world in (World(4, 1, 0.1), World(4, 0, 0.01, scale=0.2), World(4, 4, 0.1, times=2)):
        found = draw(rng, world, looks, 12)
        outcome = sequential(found)
        for at in range(12):
            made = [[_estimate(look, at, student) for student in range(4)] for look in found]
            decided = decisions(looks, made, MARGIN)
            assert [each.outcome == "shown" for each in decided] == outcome.shown[at].tolist()
            assert [each.outcome == "within the margin" for each in decided] == outcome.within[at].tolist()
            assert max(each.seeds for each in decided) == outcome.seeds[at]


def _estimate(look: Look, at: int, student: int) -> Estimate:
    parts = (
        VariancePart(float(look.over_seeds[at, student]), look.seeds - 1),
        VariancePart(float(look.of_classes[at, student]), CLASSES - 1),
    )
    return Estimate(float(look.difference[at, student]), parts)


def summary(frame: pd.DataFrame) -> str:
    """Extremes and means over the worlds, by rule, as a table."""
    names = (
        "students", "rule", "false families, at most %", "shown, one differs, %", "shown, all differ, %",
        "seeds, none differs", "seeds, one differs", "seeds, all differ", "seeds, all differ twice as much",
        "within margin, chance small, %", "seeds then",
    )  # fmt: skip
    lines = [names, ("---",) * len(names)]
    for (students, rule), some in frame.groupby(["students", "rule"], sort=False):
        usual, small = some[(some["scale"] == 1) & (some["times"] == 1)], some[some["scale"] < 1]
        none, one, all_ = (usual[usual["differing"] == number] for number in (0, 1, students))
        lines.append(
            (
                str(students), str(rule), f"{100 * some['false_families'].max():.1f}",
                _percent(one["shown"]), _percent(all_["shown"]),
                *(f"{group['seeds'].mean():.1f}" for group in (none, one, all_, some[some["times"] > 1])),
                _percent(small["within_margin"]) if rule == "until decided" else "", f"{small['seeds'].mean():.1f}",
            )
        )  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percent(values: "pd.Series[float]") -> str:
    low, high = f"{100 * values.min():.0f}", f"{100 * values.max():.0f}"
    return low if low == high else f"{low} to {high}"


def main() -> None:
    """Simulate every world, each from a generator of its own."""
    check_against_decisions(np.random.default_rng(0))
    count = int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATIONS
    lines = [
        line for at, world in enumerate(worlds()) for line in simulated(np.random.default_rng([0, at]), world, count)
    ]
    frame = pd.DataFrame(lines)
    OUT.mkdir(parents=True, exist_ok=True)
    frame.to_csv(OUT / "sequential.csv", index=False, float_format="%.4f", lineterminator="\n")
    looks = looks_up_to(MOST)
    levels = ", ".join(f"{100 * level:.2f}" for level in levels_of(looks, LEVEL))
    text = TEXT.format(summary=summary(frame), looks=", ".join(map(str, looks)), levels=levels, count=count)
    (OUT / "sequential.md").write_text(text, encoding="utf-8", newline="\n")


TEXT = """# Verdicts with seeds that are added until all are decided, by simulation

Made by `python scripts/simulate_sequential.py`, which says what is simulated: {count:,} families for each of eleven
worlds of 4 and of 18 students; `sequential.csv` has them one by one. Looks at {looks} seeds, at levels of
{levels} %, against numbers of seeds that are fixed beforehand. A false family has at least one verdict
on a student without a true difference. True differences are as large as ten seeds show in four of five families; in the
last two columns all chance is a fifth as large, none differs, and the margin decides. Extremes scatter by half a
percent themselves.

{summary}
"""

if __name__ == "__main__":
    main()
