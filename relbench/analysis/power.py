"""How many seeds: what the comparisons of a summary can show with their seeds, and how many a difference needs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from relbench.analysis.cells import PairedDifference
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison
from relbench.evaluation.estimate import POWER
from relbench.evaluation.power import Need, Spread, pooled, seeds_needed

POINTS = (0.005, 0.01, 0.02)  # differences that are planned for
LEVEL = 1 - 0.95  # of a family; as the tables' verdicts have it


@dataclass(frozen=True)
class Plan:
    """What is known of a comparison, or of the average of several, for planning.

    Attributes:
        label: what is compared.
        spread: what its variance is made of; None of a single seed or group, or without any variance.
        detectable: the smallest true difference that the present seeds show, at the first step of the family.
        alone: likewise, if the comparison were the only one.
        needs: the seeds that other differences need, on the present groups, at the first step of the family.
    """

    label: str
    spread: Spread | None
    detectable: float | None = None
    alone: float | None = None
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True)
class FamilyPlan:
    """Comparisons that are judged together, and their average.

    Attributes:
        title: who is compared.
        size: how many are corrected together.
        plans: of each comparison.
        typical: of a comparison with the average variance; None where no variance is known.
    """

    title: str
    size: int
    plans: tuple[Plan, ...]
    typical: Plan | None


def family_plans(summary: Summary, points: Sequence[float] = POINTS, power: float = POWER) -> tuple[FamilyPlan, ...]:
    """What each family of comparisons can show, in the order of the tables; empty where nothing is compared.

    Args:
        summary: of finished rows.
        points: true differences to plan for, in [0, 1].
        power: the probability with which a true difference is to be shown.
    """
    return tuple(_family_plan(title, found, points, power) for title, found in _families(summary) if found)


@dataclass(frozen=True)
class _Compared:
    """A comparison, and how many are corrected together with it."""

    spread: Spread | None
    family: int
    level: float = LEVEL


STUDENTS, CONTROLS = "Students against the teacher", "Controls against the teacher, each alone"
PAIRS, CLAIMS, SINGLE = "Methods against each other", "Claims: {}", "Claims, each alone"


def _families(summary: Summary) -> Iterator[tuple[str, dict[str, _Compared]]]:
    judged = [(method, method.against_teacher) for method in summary.methods if method.against_teacher]
    for title, role in ((STUDENTS, "student"), (CONTROLS, "control")):
        yield title, {method.label: _of(against) for method, against in judged if method.role == role}
    yield PAIRS, {f"{pair.label} against {pair.other}": _of(pair.comparison) for pair in summary.pairs}
    for family in dict.fromkeys(claim.family for claim in summary.claims):
        found = [each for claim in summary.claims if claim.family == family for each in claim.comparisons.items()]
        title = CLAIMS.format(family) if family else SINGLE
        yield title, {name: _of_claim(difference) for name, difference in found}


def _of(comparison: Comparison) -> _Compared:
    """Without a variance, or with one of zero, nothing is known of chance; before the first look, nothing is said."""
    unseen = comparison.decision is not None and not comparison.decision.seeds
    spread = Spread(comparison.parts, comparison.remaining) if comparison.error and not unseen else None
    return _Compared(spread, comparison.family, comparison.level)


def _of_claim(difference: PairedDifference) -> _Compared:
    return _Compared(difference.spread, difference.family, difference.level)


def _family_plan(title: str, found: Mapping[str, _Compared], points: Sequence[float], power: float) -> FamilyPlan:
    size = max(each.family for each in found.values())
    plans = tuple(_plan(label, each, points, power) for label, each in found.items())
    known = [each.spread for each in found.values() if each.spread]
    level = next(iter(found.values())).level
    typical = _plan(ON_AVERAGE, _Compared(pooled(known), size, level), points, power) if known else None
    return FamilyPlan(title, size, plans, typical)


ON_AVERAGE = "on average"


def _plan(label: str, compared: _Compared, points: Sequence[float], power: float) -> Plan:
    spread, level = compared.spread, compared.level / compared.family
    if spread is None:
        return Plan(label, None)
    now = spread.with_seeds(spread.seeds)
    needs = tuple(seeds_needed(spread, point, LEVEL / compared.family, power) for point in sorted(points))
    return Plan(label, spread, now.detectable(level, power), now.detectable(compared.level, power), needs)
