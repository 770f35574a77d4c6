"""Printed tables with made-up runs, in the shapes of Park et al.'s, whose numbers are read from relbench's CSV."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from relbench.analysis.cells import AnsweredClaim, FilledCell, Ours
from relbench.analysis.summary import Summary
from relbench.evaluation.significance import seed_interval
from relbench.results.records import Selection

PUBLISHED = Path(__file__).parents[1] / "relbench" / "studies" / "published"
SOURCE = "Park, Kim, Lu, Cho: Relational Knowledge Distillation, CVPR 2019, arXiv:1904.05068; lenscloth/RKD@0a6c3c0"
WEIGHTS = "Starts from torchvision's second ImageNet weights."
HOSTILE = "50 % <b>_R&D_</b> | {x}^2 ~ $a$ #1 \\ [*]"
CLAIMS = (
    AnsweredClaim("Without l2, RKD is better than with l2.", "holds", "24 of 24 comparisons, 3 seeds."),
    AnsweredClaim("RKD-DA beats its teacher on Cars 196.", "does not", "1 of 2 comparisons, 3 seeds."),
    AnsweredClaim("RKD-DA beats the triplet loss.", "not shown", "2 of 8 comparisons have runs of 1 seed."),
)
NOTES = ("Learning rates are the authors' defaults.", "DarkRank without l2 is left out: no such number is printed.")
Finish = Callable[[FilledCell, int], FilledCell]


def lines(name: str) -> list[dict[str, str]]:
    with (PUBLISHED / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ours(printed: float | None, number: int, seeds: int, shift: float = 0.0) -> Ours:
    middle = (0.5 if printed is None else printed) + shift
    values = np.random.default_rng(number).normal(middle, 0.004, seeds).clip(0, 1)
    steps = tuple(8000 - 100 * (seed + number % 7) for seed in range(seeds))
    return Ours(tuple(values.tolist()), tuple(range(seeds)), seed_interval(values), steps)


def finished(cell: FilledCell, number: int, seeds: int, rules: tuple[Selection, ...] = ("last",)) -> FilledCell:
    """With runs, if it is a number of ours: the rules after the first are a bit better."""
    if not cell.path:
        return cell
    runs = {rule: ours(cell.published, number, seeds, 0.006 * at - 0.004) for at, rule in enumerate(rules)}
    return replace(cell, ours=runs)


def summary(cells: list[FilledCell], **options: object) -> Summary:
    given: dict[str, object] = {
        "name": "rkd-table1",
        "title": "Recall@1 on CUB-200-2011 and Cars 196 (RKD, Table 1)",
        "source": SOURCE,
        "primary": "recall@1",
        "variant": {"protocol": "paper"},
        "scale": "full",
        "shown": ("last",),
        "claims": CLAIMS,
        "notes": NOTES,
    }
    return Summary(**{**given, **options}, cells=tuple(cells))  # type: ignore[arg-type]


def table1_cells() -> list[FilledCell]:
    """The 82 numbers, none finished."""
    names = {"yes": "l2", "no": "no l2"}
    return [
        FilledCell(
            part=line["dataset"],
            row=f"{line['student']}-{line['embedding_dim']}",
            column=line["method"] + (f", {names[line['l2norm']]}" if line["method"].startswith("RKD") else ""),
            metric="recall@1",
            path=f"{line['dataset'][:3].lower()}/{line['method'].lower()}-{line['l2norm']}/{line['embedding_dim']}",
            on="",
            published=float(line["recall_at_1"]) / 100,
            ours={},
            note=WEIGHTS if line["student"] == "ResNet50" else "",
        )
        for line in lines("rkd_table1.csv")
    ]


def table1(rules: tuple[Selection, ...] = ("last", "test"), **options: object) -> Summary:
    """Most cells empty; every third of the first half with three seeds, some with one."""
    cells = [
        finished(cell, number, 3 if number % 6 else 1, rules) if number < 41 and number % 3 == 0 else cell
        for number, cell in enumerate(table1_cells())
    ]
    return summary(cells, shown=rules, **options)


def table3() -> Summary:
    """Columns are K; rows of others' methods."""
    cells = [
        FilledCell(
            part=line["dataset"],
            row=f"{line['method']}, {line['backbone']}-{line['embedding_dim']}",
            column=f"K = {line['k']}",
            metric=f"recall@{line['k']}",
            path=f"data/rkd-da/{line['embedding_dim']}" if line["method"] == "RKD-DA" else "",
            on="",
            published=float(line["recall_at_k"]) / 100,
            ours={},
        )
        for line in lines("rkd_table3.csv")
    ]
    cells = [finished(cell, number, 3) if number % 5 else cell for number, cell in enumerate(cells)]
    return summary(cells, name="rkd-table3", title="Recall@K beside others' results (RKD, Table 3)", claims=())


def figure3(rules: tuple[Selection, ...] = ("last", "validation", "test"), **options: object) -> Summary:
    """Bars: three networks measured on four data sets; other data sets are measured at the last step alone."""
    cells = [
        FilledCell(
            part="Trained on Cars 196",
            row=line["dataset"],
            column=line["method"],
            metric="recall@1",
            path=f"cars196/{line['method'].split()[0].lower()}/512",
            on="" if line["dataset"] == "Cars 196" and line["method"] != "Pretrained" else line["dataset"].lower(),
            published=float(line["recall_at_1"]) / 100,
            ours={},
            note="Which network the paper measured is not said." if line["setting"].startswith("trained") else "",
        )
        for line in lines("rkd_fig3.csv")
        if line["where"] == "Figure 3"
    ]
    seeds = {"Pretrained": 1}
    cells = [
        finished(
            cell, number, seeds.get(cell.column, 3), tuple(rule for rule in rules if rule == "last" or not cell.on)
        )
        for number, cell in enumerate(cells)
    ]
    given: dict[str, object] = {"name": "rkd-fig3", "title": "Recall@1 on other data sets (RKD, Figure 3)"}
    return summary(cells, **{**given, "shown": rules, **options})


def unfinished(made: Summary) -> Summary:
    """The same table before its first run."""
    return made.replaced(cells=tuple(replace(cell, ours={}) for cell in made.cells))


def unpublished(made: Summary) -> Summary:
    """The same table, had nobody printed a number of it."""
    return made.replaced(cells=tuple(replace(cell, published=None) for cell in made.cells))


def hostile() -> Summary:
    """Characters that mean something to Markdown, LaTeX, HTML and matplotlib; forty notes; a number not published."""
    cells = [
        FilledCell(
            HOSTILE, f"{HOSTILE} {row}", f"_{column} {HOSTILE}", "recall@1", "a/b/8", "", None, {}, f"{row}: {HOSTILE}"
        )
        for row in range(20)
        for column in range(2)
    ]
    cells = [finished(cell, number, 1 + number % 3) for number, cell in enumerate(cells)]
    cells[0] = replace(cells[0], note="A note that is like no other.")
    text = {"title": HOSTILE, "source": HOSTILE, "notes": (HOSTILE,) * 20}
    return summary(cells, claims=(AnsweredClaim(HOSTILE, "holds", HOSTILE),) * 20, **text)


SHAPES: dict[str, Callable[[], Summary]] = {
    "table 1": table1,
    "table 1, every rule": lambda: table1(("validation", "last", "test")),
    "table 3": table3,
    "figure 3": figure3,
    "figure 3, empty": lambda: unfinished(figure3()),
    "figure 3, toy": lambda: figure3(("last",), scale="toy", variant={"protocol": "fair"}),
    "nobody's numbers": lambda: unpublished(table1(changes="data.size = 128, training.steps = 2")),
    "empty": lambda: summary(table1_cells(), claims=(), notes=()),
    "toy": lambda: table1(scale="toy", variant={"protocol": "fair"}),
    "one number": lambda: summary([replace(table1_cells()[0], published=None)]),
    "hostile": hostile,
}
