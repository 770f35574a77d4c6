"""The command `relbench power`: how many seeds a difference needs, from finished rows."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relbench.cli.console import errors_as_one_line, expanded, out

if TYPE_CHECKING:
    from relbench.analysis.power import FamilyPlan, Plan
    from relbench.analysis.summary import Summary


def power(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", callback=expanded, help="A folder that `reproduce` has written.")
    ],
    points: Annotated[
        str, typer.Option(help="True differences to plan for, in points, separated by commas.")
    ] = "0.5,1,2",
    probability: Annotated[
        float, typer.Option("--power", help="Probability with which a true difference is to be shown.")
    ] = 0.8,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print numbers for programs, as fractions.")] = False,
) -> None:
    """Tell what a study's seeds can show, and how many seeds other differences need, from its finished rows.

    Nothing is trained. Differences are judged as in the study's table: over new training runs and new test classes at
    once, corrected for the number of comparisons.
    """
    with errors_as_one_line():
        if not 0.05 < probability < 1:
            raise ValueError(f"--power {probability:g} must lie between 0.05 and 1: use 0.8")
        wanted = _fractions(points)
        summary, plans = _planned(folder, wanted, probability)
        if as_json:
            typer.echo(json.dumps(_numbers(summary, plans, probability), indent=1))
        else:
            _show(summary, plans, probability)


def _fractions(points: str) -> tuple[float, ...]:
    try:
        found = tuple(float(point) / 100 for point in points.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < point < 1 for point in found):
        raise ValueError(f"--points {points!r}: give points of the metric with commas between, such as 0.5,1,2")
    return found


def _planned(folder: Path, points: tuple[float, ...], probability: float) -> "tuple[Summary, tuple[FamilyPlan, ...]]":
    from relbench.analysis.power import family_plans
    from relbench.analysis.results import read_results
    from relbench.analysis.summarise import summarise
    from relbench.files import refuse_links
    from relbench.studies.record import read_study

    refuse_links(folder)
    record = read_study(folder)
    summary = summarise(record, read_results(record, folder), (record.study.selection,))
    plans = family_plans(summary, points, probability)
    if not plans:
        raise ValueError(f"{folder}: its study compares nothing, or nothing that it compares is finished")
    if not any(plan.typical for plan in plans):
        raise ValueError(f"{folder}: {_nothing_known(summary)}")
    return summary, plans


def _nothing_known(summary: "Summary") -> str:
    from relbench.report.power import groups_in_words, not_known

    advice = "run its command again" if summary.until_decided else "run the study with --seeds 0,1,2"
    return f"{not_known(summary.until_decided, groups_in_words(summary)).removesuffix('.')}; {advice}"


def _show(summary: "Summary", plans: "tuple[FamilyPlan, ...]", probability: float) -> None:
    from relbench.report.console import power_console
    from relbench.report.power import groups_in_words, power_notes

    group = groups_in_words(summary)
    for plan in plans:
        out.print(power_console(plan, group))
        out.print()
    for note in power_notes(plans, group, probability):
        out.print(note)


def _numbers(summary: "Summary", plans: "tuple[FamilyPlan, ...]", probability: float) -> dict[str, Any]:
    families = [
        {
            "comparisons_of": plan.title,
            "family": plan.size,
            "comparisons": [_of_plan(each) for each in plan.plans],
            "on_average": _of_plan(plan.typical) if plan.typical else None,
        }
        for plan in plans
    ]
    return {"study": summary.name, "title": summary.title, "power": probability, "families": families}


def _of_plan(plan: "Plan") -> dict[str, Any]:
    spread = plan.spread
    numbers: dict[str, Any] = {"compared": plan.label}
    if spread is None:
        return numbers
    names = ("seeds", "groups", "of_one_seed", "between_seeds", "of_the_rest", "of_groups")
    numbers |= {name: getattr(spread, name) for name in names}
    low, high = spread.unsure()
    numbers |= {"of_one_seed_95_low": low.of_one_seed, "of_one_seed_95_high": high.of_one_seed}
    numbers |= {"detectable": plan.detectable, "detectable_alone": plan.alone}
    return numbers | {"needs": [asdict(need) for need in plan.needs]}
