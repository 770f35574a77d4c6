"""How many seeds: sentences and tables on what a study's seeds can show, and how many a difference needs."""

from collections.abc import Callable, Iterable, Sequence

from relbench.analysis.power import CONTROLS, PAIRS, STUDENTS, FamilyPlan, Plan, family_plans
from relbench.analysis.summary import Summary
from relbench.evaluation.power import MOST, Need, Spread
from relbench.plain_text import counted, listed, many, percent
from relbench.report.tables import Column, Table, filled
from relbench.report.wording import NOTHING
from relbench.studies.record import UntilDecided
from relbench.tasks import find_task

IN_A_LINE = (0.01, 0.005)  # differences that the sentence below a table plans for
UNSURE = 5  # seeds: with fewer, how unsure their variance is, is said in the sentence too
BEFORE_NEEDS = 7  # columns of the table
POWER_TITLE = "How many seeds?"


def power_lines(summary: Summary) -> list[str]:
    """What the seeds at hand can show, and what more would: a sentence or two for each family of comparisons."""
    plans = [plan for plan in family_plans(summary, IN_A_LINE) if plan.title != CONTROLS]
    named = len(plans) > 1
    return [_line(plan, summary, named=named) for plan in plans]


def methods_line(summary: Summary) -> list[str]:
    """Of the students against the teacher."""
    return _lines_of(summary, STUDENTS)


def pairs_line(summary: Summary) -> list[str]:
    """Of methods against each other."""
    return _lines_of(summary, PAIRS)


def _lines_of(summary: Summary, title: str) -> list[str]:
    plans = family_plans(summary, IN_A_LINE)
    return [_line(plan, summary, named=False) for plan in plans if plan.title == title]


def claims_lines(summary: Summary) -> list[str]:
    """Of the claims, family by family."""
    plans = [plan for plan in family_plans(summary, IN_A_LINE) if plan.title not in {STUDENTS, CONTROLS, PAIRS}]
    return [_line(plan, summary, named=len(plans) > 1) for plan in plans]


def groups_in_words(summary: Summary) -> str:
    """What tests take for a sample beside training runs: test class, or episode."""
    tasks = [method.row.experiment.task for method in summary.methods[:1]] or summary.tasks
    return listed(list(dict.fromkeys(find_task(task).group for task in tasks)) or ["test class"])


def not_known(rule: UntilDecided | None, group: str) -> str:
    """Why nothing can be planned."""
    if rule and not rule.made:
        return f"Not known before the first look, at {counted(rule.looks[0], 'seed')}."
    return (
        f"Not known: that takes two seeds or more, and two {many(group)} or more, over which a difference is not "
        "always the same."
    )


def _line(plan: FamilyPlan, summary: Summary, *, named: bool) -> str:
    """Short, and true for every number of seeds."""
    group = groups_in_words(summary)
    title = f"{plan.title}: " if named else ""
    if plan.typical is None or plan.typical.spread is None or plan.typical.detectable is None:
        return f"{title}{POWER_TITLE} {not_known(summary.until_decided, group)}"
    spread, least = plan.typical.spread, plan.typical.detectable
    each = [one.detectable for one in plan.plans if one.detectable is not None]
    scatter = f" ({percent(min(each))} to {percent(max(each))} by comparison)" if len(each) > 1 else ""
    parts = f"standard deviation over seeds {percent(spread.of_one_seed, 2)} points{_of_groups(spread, group)}"
    shown = f"{counted(spread.seeds, 'seed')} can show a difference of {percent(least)} points or more here{scatter}"
    sentences = [f"{shown}; {parts}", *_needs_in_words(plan.typical.needs, spread, group), *_caution(spread)]
    return f"{title}{POWER_TITLE} {' '.join(f'{words}.' for words in sentences)}"


def _of_groups(spread: Spread, group: str) -> str:
    if spread.groups is None:
        return ", over training runs alone"
    return f", by the choice of {counted(spread.groups, group)} {percent(spread.of_groups, 2)}"


def points_in_words(difference: float) -> str:
    """0.01 is 1 point, 0.005 is 0.5 points."""
    number = f"{100 * difference:g}"
    return f"{number} point{'' if number == '1' else 's'}"


def _needs_in_words(needs: Sequence[Need], spread: Spread, group: str) -> list[str]:
    """What larger and smaller differences take, from the largest: a sentence on those that some number shows."""
    shown = [need for need in reversed(needs) if need.leaves is None]
    never = [need for need in reversed(needs) if need.leaves is not None]
    takes = [f"{points_in_words(need.difference)} would take {_seeds_in_words(need)}" for need in shown]
    told = [listed(takes)] if takes else []
    if never:
        differences = " or ".join(points_in_words(need.difference) for need in never)
        left = percent(max(need.leaves or 0.0 for need in never))
        alone = f"the {counted(spread.groups or 0, group)} alone leave ±{left}"
        told.append(f"No number of seeds is enough for {differences}: {alone}")
    return told


def _seeds_in_words(need: Need) -> str:
    return f"over {MOST:,} seeds" if need.seeds is None else counted(need.seeds, "seed")


def _caution(spread: Spread) -> list[str]:
    """How little a few seeds say of their own variance: chi-square, at 95 %."""
    if spread.seeds >= UNSURE:
        return []
    low, high = ((end.parts[0].variance / spread.parts[0].variance) ** 0.5 for end in spread.unsure())
    known = f"with {counted(spread.seeds, 'seed')} the standard deviation may be {low:.2g} to {high:.2g} times as large"
    return [f"All of that is unsure: {known}"]


def power_table(plan: FamilyPlan, group: str) -> Table:
    """Table of a family's comparisons, and of their average."""
    lines = [*plan.plans, *([plan.typical] if plan.typical and len(plan.plans) > 1 else [])]
    return filled(_columns(plan, group), lines)


def _columns(plan: FamilyPlan, group: str) -> tuple[Column[Plan], ...]:
    found = plan.typical.needs if plan.typical else ()
    needs = [
        Column[Plan](f"Seeds for {points_in_words(need.difference)}", _need_cell(at)) for at, need in enumerate(found)
    ]
    return (
        Column[Plan]("Comparison", lambda line: line.label, is_number=False),
        Column[Plan]("Seeds", lambda line: f"{line.spread.seeds}" if line.spread else NOTHING),
        Column[Plan]("Detectable, points", lambda line: _points(line.detectable)),
        Column[Plan]("Alone, points", lambda line: _points(line.alone)),
        Column[Plan]("Between seeds, points", lambda line: _points(line.spread.between_seeds if line.spread else None)),
        Column[Plan]("Rest, points", lambda line: _points(line.spread.of_the_rest if line.spread else None)),
        Column[Plan](f"{many(group).capitalize()}, points", lambda line: _groups_cell(line.spread)),
        *reversed(needs),
    )


def _points(value: float | None) -> str:
    return NOTHING if value is None else percent(value)


def _groups_cell(spread: Spread | None) -> str:
    return percent(spread.of_groups) if spread and spread.groups is not None else NOTHING


def _need_cell(at: int) -> Callable[[Plan], str]:
    return lambda line: need_text(line.needs[at]) if line.needs else NOTHING


def need_text(need: Need) -> str:
    """The seeds that a difference needs, and between which numbers that is for a variance within its 95 % interval."""
    low, high = (f"{end:,}" if end is not None else f"{MOST:,}+" for end in (need.fewest, need.most))
    if need.leaves is not None:
        return f"never (±{percent(need.leaves)})"
    return f"{MOST:,}+ (from {low})" if need.seeds is None else f"{need.seeds:,} ({low}{NOTHING}{high})"


def power_notes(plans: Iterable[FamilyPlan], group: str, power: float) -> list[str]:
    """How to read the tables."""
    several = any(plan.size > 1 for plan in plans)
    first = ", at the first step of Holm's correction for the comparisons that are judged together" if several else ""
    return [note.format(groups=many(group), power=f"{power:g}", first=first) for note in NOTES]


NOTES = (
    (
        "Detectable: the smallest true difference that the present seeds show with probability {power}{first}; alone: "
        "if the comparison were the only one."
    ),
    (
        "Between seeds, rest: standard deviations of the difference of a single training run, on the present {groups}: "
        "its own, and that of its interaction with {groups} and of single trials; more seeds lessen both. The next "
        "column: that of the difference by the choice of as many {groups}; no number of seeds lessens it."
    ),
    (
        "Seeds for a difference: as many show it, on as many {groups} of the same kind, if their number is fixed "
        "beforehand (above 100 in tens); in brackets, for a variance over seeds at either end of its 95 % interval "
        "(chi-square). Never: no number of seeds is enough, as the {groups} alone leave so many points undetectable."
    ),
    (
        "The test is that of the verdicts (Cochran's critical value), its power by the noncentral t with "
        "Satterthwaite's degrees of freedom."
    ),
)


def family_title(plan: FamilyPlan) -> str:
    """Who is compared, and how many comparisons are corrected together."""
    return f"{plan.title} ({plan.size} corrected together)" if plan.size > 1 else plan.title
