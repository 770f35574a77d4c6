"""Answers to the claims of a table of cells, from the paired differences of its runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from relbench.analysis.cells import Answer, AnsweredClaim, PairedDifference
from relbench.analysis.fill import is_untrained, ours
from relbench.analysis.looks import last_level
from relbench.analysis.results import Results
from relbench.counts import Counts
from relbench.evaluation import (
    chance_of,
    claimed_sides,
    family_sides,
    holm_adjusted,
    over_seeds,
    over_seeds_and_classes,
)
from relbench.evaluation.comparison import Decision, Interval
from relbench.evaluation.estimate import Estimate
from relbench.evaluation.power import Spread
from relbench.evaluation.sequential import claim_decisions, decisions
from relbench.plain_text import counted
from relbench.results.records import Selection
from relbench.studies.record import StudyRecord, UntilDecided
from relbench.studies.study import Cell, Claim

CONFIDENCE = 0.95


@dataclass(frozen=True)
class _Seed:
    """What one seed says of a cell: its metric, and the counts of that where they are known for the rule."""

    value: float
    counts: Counts | None


@dataclass(frozen=True)
class _Compared:
    """What is claimed to be better minus the other, by the seeds that both have."""

    seeds: int
    estimate: Estimate | None = None  # None without such a seed
    remaining: float = 0.0  # of the part of its variance over seeds, what is not their own
    over_groups: bool = False  # over new groups of trials, too
    of_networks: Interval | None = None  # of a single seed, over new groups alone


@dataclass(frozen=True)
class _Judged:
    """A comparison beside all that it is judged with."""

    side: int | None  # of zero: 1 as claimed, -1 the other way round, 0 neither, None where chance is unknown
    difference: PairedDifference | None


def answered_claims(record: StudyRecord, results: Results, rule: Selection) -> tuple[AnsweredClaim, ...]:
    """The claims about runs that were asked for, by a rule of selection; comparisons of a family are judged at once."""
    asked = _asked(record)
    groups: dict[str | int, list[_Sides]] = {}
    for at, claim in enumerate(asked):
        groups.setdefault(claim.family or at, []).extend(_comparisons(claim, record, results, rule))
    judged = {
        group: iter(_judged_group(own, record.until_decided, family=isinstance(group, str)))
        for group, own in groups.items()
    }
    return tuple(
        _answered(claim, [next(judged[claim.family or at]) for _ in claim.better]) for at, claim in enumerate(asked)
    )


_Sides = tuple[Mapping[int, _Seed], Mapping[int, _Seed]]  # what is claimed to be better, and the other, by seed


def _judged_group(sides: Sequence[_Sides], until: UntilDecided | None, *, family: bool) -> list[_Judged]:
    if until is None:
        return _judged([_compared(*each) for each in sides], family=family)
    looks = [until.seeds[:look] for look in until.looks[: until.made]]
    made = [[_compared(*(_only(side, seeds) for side in each)) for each in sides] for seeds in looks]
    if not made:
        return [_unseen(_compared(*each), len(sides) if family else 1) for each in sides]
    estimates = [[each.estimate for each in look] for look in made]
    decide, size = (decisions, len(sides)) if family else (claim_decisions, 1)
    decided = decide(until.looks, estimates, until.margin, CONFIDENCE)
    level = last_level(until)
    return [_at_looks(each, decision, level, size) for each, decision in zip(made[-1], decided, strict=True)]


def _only(side: Mapping[int, _Seed], seeds: Sequence[int]) -> dict[int, _Seed]:
    """A look's seeds: all, or none where one is missing, as what would be looked at again later is no look yet."""
    return {seed: side[seed] for seed in seeds} if side.keys() >= set(seeds) else {}


def _unseen(compared: _Compared, size: int) -> _Judged:
    """Before the first look there is a difference, and nothing that is said of it."""
    found = _difference(replace(compared, of_networks=None), None, size)
    if found is None:
        return _Judged(None, None)
    mean = Interval(found.interval.mean)
    return _Judged(None, replace(found, interval=mean, p_value=None, spread=None, decision=Decision()))


def _at_looks(compared: _Compared, decision: Decision, level: float, size: int) -> _Judged:
    found = _difference(compared, decision.p_adjusted, size)
    if found is None or compared.estimate is None or decision.p_adjusted is None:
        return _Judged(None, found and replace(found, decision=decision, p_value=None))
    interval = compared.estimate.interval(1 - level)
    told = replace(found, interval=interval, p_value=decision.p_value, level=level, decision=decision)
    return _Judged(decision.side, told)


def _asked(record: StudyRecord) -> list[Claim]:
    cells, paths = record.study.cells_by_key, set(record.paths)
    return [
        claim for claim in record.study.claims if {cells[key].run for pair in claim.better for key in pair} <= paths
    ]


def _comparisons(claim: Claim, record: StudyRecord, results: Results, rule: Selection) -> Iterator[_Sides]:
    cells = record.study.cells_by_key
    for better, worse in claim.better:
        yield _by_seed(cells[better], record, results, rule), _by_seed(cells[worse], record, results, rule)


def _by_seed(cell: Cell, record: StudyRecord, results: Results, rule: Selection) -> dict[int, _Seed]:
    """A network without training is the same for every seed."""
    finished = ours(cell, record, results, rule)
    if not finished:
        return {}
    found = {
        seed: _Seed(value, results.counts_at(cell, seed, rule))
        for value, seed in zip(finished.values, finished.seeds, strict=True)
    }
    if is_untrained(cell, record.study):
        return dict.fromkeys(record.seeds, next(iter(found.values())))
    return found


def _compared(better: Mapping[int, _Seed], worse: Mapping[int, _Seed]) -> _Compared:
    """Over new runs and groups where the counts of all are known, and of the same trials; else over new runs."""
    pairs = [(better[seed], worse[seed]) for seed in better if seed in worse]
    if not pairs:
        return _Compared(0)
    alone = over_seeds([own.value - other.value for own, other in pairs])
    own, other = ([seed.counts for seed in side if seed.counts] for side in zip(*pairs, strict=True))
    if not len(own) == len(other) == len(pairs) or not _same_trials([*own, *other]):
        return _Compared(len(pairs), alone)
    if len(pairs) == 1:
        return _Compared(1, alone, of_networks=over_seeds_and_classes(own, other).over_classes.interval(CONFIDENCE))
    if alone.error == 0:  # seeds that all differ alike, as of two networks without training, say nothing about new runs
        return _Compared(len(pairs), alone)
    crossed = over_seeds_and_classes(own, other)
    return _Compared(len(pairs), crossed.over_both, crossed.remaining, over_groups=True)


def _same_trials(counts: Sequence[Counts]) -> bool:
    first = counts[0]
    return all((each.groups, each.trials) == (first.groups, first.trials) for each in counts)


def _judged(compared: Sequence[_Compared], *, family: bool) -> list[_Judged]:
    """A family's comparisons are each a claim of its own; those of a claim without one must all be as claimed."""
    estimates = [each.estimate for each in compared]
    sides = (family_sides if family else claimed_sides)(estimates, CONFIDENCE)
    p_values = [chance_of(each) for each in estimates]
    adjusted = holm_adjusted(p_values) if family else p_values
    size = len(compared) if family else 1
    return [_Judged(side, _difference(each, p, size)) for each, side, p in zip(compared, sides, adjusted, strict=True)]


def _difference(compared: _Compared, p_adjusted: float | None, family: int) -> PairedDifference | None:
    """The interval is that of the comparison alone; without ends where chance is unknown."""
    estimate, p_value = compared.estimate, chance_of(compared.estimate)
    if estimate is None:
        return None
    return PairedDifference(
        interval=Interval(estimate.mean) if p_value is None else estimate.interval(CONFIDENCE),
        seeds=compared.seeds,
        over_groups=compared.over_groups,
        p_value=p_value,
        p_adjusted=p_adjusted,
        family=family,
        spread=None if p_value is None else Spread(estimate.parts, compared.remaining),
        of_networks=compared.of_networks,
    )


def _answered(claim: Claim, judged: Sequence[_Judged]) -> AnsweredClaim:
    """A claim holds where every comparison is as claimed; one the other way round refutes it."""
    sides = [each.side for each in judged]
    counts = {side: sides.count(side) for side in (1, -1, 0, None)}
    difference = judged[0].difference if len(judged) == 1 else None
    several = [f"{claim.text} ({better} against {worse})" for better, worse in claim.better]
    names = several if len(judged) > 1 else [claim.text]
    found = {name: each.difference for name, each in zip(names, judged, strict=True) if each.difference}
    return AnsweredClaim(
        claim.text, _answer(counts, len(sides)), _detail(counts, judged), difference, claim.family, found
    )


def _answer(counts: Mapping[int | None, int], comparisons: int) -> Answer:
    if counts[-1]:
        return "does not"
    return "holds" if counts[1] == comparisons else "not shown"


def _detail(counts: Mapping[int | None, int], judged: Sequence[_Judged]) -> str:
    decisions_made = [each.difference.decision for each in judged if each.difference]
    unseen = any(decision and not decision.seeds for decision in decisions_made)
    unknown = "before the first look" if unseen else "with too few runs"
    words = {1: "as claimed", -1: "the other way round", 0: "not yet told apart", None: unknown}
    told = [f"{count} {words[side]}" for side, count in counts.items() if count]
    return f"{counted(len(judged), 'comparison')}: {', '.join(told)}"
