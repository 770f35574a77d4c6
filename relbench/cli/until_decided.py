"""Seeds that are added until every verdict is decided: the rule, and whether another look is needed.

A look is a table with verdicts that somebody may stop at. Looks at numbers of seeds are fixed before the first run,
each with a level of its own (`relbench.evaluation.sequential`); what a report shows between two looks is what the last
one said. So neither an interrupted command nor a report of unfinished runs is a look. A table that was asked for with a
fixed number of seeds before is one, at 5 %, that no later rule can undo: the report says so. From then on the folder's
verdicts are those of the rule, and no request of fixed seeds, other looks, margins or data sets is let in.
"""

from itertools import count, islice
from pathlib import Path

from relbench.analysis.looks import decisions_of
from relbench.analysis.results import read_results, tuning_plan
from relbench.analysis.summarise import summarise
from relbench.cli.options import Until, tell
from relbench.evaluation.sequential import looks_up_to
from relbench.plain_text import counted, listed
from relbench.results.run_folder import RunFolder
from relbench.studies.record import StudyRecord, UntilDecided


def rule_of(seeds: tuple[int, ...], until: Until) -> UntilDecided:
    """The rule by which seeds are added to a study's own, which come first.

    Raises:
        ValueError: there may be fewer than the first look has.
    """
    looks = looks_up_to(until.most)
    further = islice(count(max(seeds) + 1), max(0, until.most - len(seeds)))
    return UntilDecided(seeds=(*seeds[: until.most], *further), looks=looks, margin=until.margin)


def refuse_another_rule(record: StudyRecord, earlier: StudyRecord, folder: Path) -> None:
    """Refuse what would change the looks after some of them were made, or mix verdicts of two kinds.

    Raises:
        ValueError: one line.
    """
    now, before = record.until_decided, earlier.until_decided
    if now and before and (now.looks, now.margin) == (before.looks, before.margin) and now.seeds != before.seeds:
        raise ValueError(
            f"{folder} adds seeds in the order {', '.join(map(str, before.seeds))}, which was fixed beforehand, and "
            f"the study's own begin with {now.seeds[0]} now: give it its former seeds, or name another folder with "
            "--results"
        )
    if before and not (now and now.same_rule(before)):
        raise ValueError(
            f"{folder} adds seeds until every verdict is decided, by a rule that is fixed beforehand: go on with "
            f"--seeds until-decided --max-seeds {before.looks[-1]} --margin {100 * before.margin:g}, or name another "
            "folder with --results"
        )
    if now and set(record.contents) != set(earlier.contents):
        raise ValueError(
            f"{folder} holds results of {listed(sorted(earlier.contents))}: --seeds until-decided decides all that its "
            "table compares, so name these data sets, or another folder with --results"
        )


def with_looks(merged: StudyRecord, earlier: StudyRecord, folder: Path) -> StudyRecord:
    """The record with the seeds of the next look alone, and what was looked at before the rule was asked for."""
    rule = merged.until_decided
    assert rule is not None
    if earlier.until_decided is None:
        tuning = tuning_plan(merged, folder / "runs")
        planned = {seed: [tuning.run(path, seed) for path in merged.paths] for seed in earlier.seeds}
        after = [
            seed
            for seed, runs in planned.items()
            if any(run and RunFolder(folder / "runs", run).row.exists() for run in runs)
        ]
        rule = rule.model_copy(update={"after": tuple(after)})
    return merged.model_copy(update={"until_decided": rule, "seeds": rule.seeds_now})


def looked(record: StudyRecord) -> StudyRecord:
    """The record after one more look."""
    rule = record.until_decided
    assert rule is not None
    rule = rule.model_copy(update={"made": rule.made + 1})
    return record.model_copy(update={"until_decided": rule, "seeds": rule.seeds_seen})


def is_decided(record: StudyRecord, folder: Path) -> bool:
    """Whether no look is needed any more; says how many comparisons are decided.

    A comparison without a p-value, as of what can't be measured here, would stay open for ever, and is not waited for.
    """
    rule = record.until_decided
    assert rule is not None
    if not rule.made:
        return False
    seen = record.model_copy(update={"seeds": rule.seeds_seen})
    found = decisions_of(summarise(seen, read_results(seen, folder), (record.study.selection,)))
    known = [each for each in found if each.p_adjusted is not None]
    still_open = sum(each.outcome == "open" for each in known)
    comparisons = f"{len(known) - still_open} of {counted(len(known), 'comparison')} decided"
    more = "" if not still_open or rule.made == len(rule.looks) else f"; next look at {rule.looks[rule.made]} seeds"
    tell(f"look at {len(rule.seeds_seen)} seeds: {comparisons}{more}")
    return not still_open or rule.made == len(rule.looks)
