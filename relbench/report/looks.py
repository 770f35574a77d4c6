"""Sentences on verdicts whose seeds were added until all were decided."""

from relbench.analysis.looks import CONFIDENCE
from relbench.analysis.summary import Summary
from relbench.evaluation.sequential import levels_of
from relbench.plain_text import counted, listed, percent
from relbench.studies.record import UntilDecided

ENOUGH_SEEDS = 4  # from here on the test keeps its level in tables of every simulated size


def looks_notes(summary: Summary) -> list[str]:
    """What a reader must know of such verdicts, and which looks were made; nothing for a fixed number of seeds."""
    rule = summary.until_decided
    return [_rule(rule), _reading(rule), *_ahead(rule, summary), *_before(rule)] if rule else []


def _rule(rule: UntilDecided) -> str:
    levels = [percent(level, 2) for level in levels_of(rule.looks, 1 - CONFIDENCE)]
    looks = [f"{seeds} (level {level} %)" for seeds, level in zip(rule.looks, levels, strict=True)]
    made, left = looks[: rule.made], looks[rule.made :]
    told = [f"Looks made, by number of seeds: {listed(made)}"] if made else ["No look is made yet"]
    told += [f"not made: {listed(left)}"] if left else []
    return (
        f"Verdicts are sequential: seeds are added until every verdict is decided, {rule.looks[-1]} at most; their "
        f"number was not fixed beforehand, the looks were. {'; '.join(told)}. The levels add up to "
        f"{percent(1 - CONFIDENCE, 0)} % for each family, however the looks depend on each other."
    )


def _reading(rule: UntilDecided) -> str:
    margin = f"±{100 * rule.margin:g} points"
    return (
        "A comparison is decided where a look shows it (Holm at that look's level), where its interval at that level, "
        f"corrected for the family, lies within the margin of {margin}, or at the last look. p is the smallest of its "
        f"looks, each times {percent(1 - CONFIDENCE, 0)} % over the look's level; below 0.05 it is shown, unless "
        "a later difference lies on the other side of zero. Intervals of "
        "differences, and what is detectable, are at the level of the last look made: each interval holds for all "
        "looks together at 95 %. A difference by which the adding of seeds ended tends to be too large."
    )


def _ahead(rule: UntilDecided, summary: Summary) -> list[str]:
    """That values may be of more seeds than verdicts are, while the runs of the next look are made."""
    seen = len(rule.seeds_seen)
    if not seen or len(summary.seeds) <= seen:
        return []
    return [f"Values are of all finished runs, differences of the {counted(seen, 'seed')} of the last look."]


def _before(rule: UntilDecided) -> list[str]:
    """What ordinary verdicts add to the rate of false ones; a single seed had none."""
    if len(rule.after) < 2:
        return []
    seeds = f"{counted(len(rule.after), 'seed')} ({', '.join(map(str, rule.after))})"
    few = ", and at more with fewer than four seeds" if len(rule.after) < ENOUGH_SEEDS else ""
    words = (
        f"Ordinary verdicts were asked for before, with up to {seeds}: each such table was a look of its own, at 5 %"
        f"{few}. After one at 5 %, up to 10 % of families have a false verdict in either."
    )
    return [words]
