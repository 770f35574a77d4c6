"""Results of a study as pandas frames, from its folder."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from relbench.analysis.results import Results, read_results
from relbench.analysis.summarise import summarise
from relbench.analysis.summary import Summary
from relbench.files import refuse_links
from relbench.report.numbers import cell_numbers, claim_numbers, floor_numbers, method_numbers, pair_numbers
from relbench.results.frame import as_frame
from relbench.results.records import Entry
from relbench.studies.record import StudyRecord, read_study

COUNTED = ("run", "seed", "metric", "group", "trials", "correct")


@dataclass(frozen=True)
class StudyResults:
    """What is finished of a study; all numbers are fractions, never percent.

    Attributes:
        runs: One line per finished run: its path in the study (`study_label`), seed, metrics and settings.
        table: One line per method and floor, means over seeds with their intervals, and the verdict against the
            teacher; without lines where the study is a table of cells.
        comparisons: One line per pair of methods that the study compares beside the teacher.
        by_class: One line per run, seed, metric and group of trials (a class, or an episode): its trials, and how many
            of them are correct.
        cells: One line per cell of a table of a paper: the published number and ours.
        claims: One line per claim of such a table, with its answer.
        floors: One line per metric of what is reached without training.
        summary: What reports are drawn from.
    """

    runs: pd.DataFrame = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    comparisons: pd.DataFrame = field(repr=False)
    by_class: pd.DataFrame = field(repr=False)
    cells: pd.DataFrame = field(repr=False)
    claims: pd.DataFrame = field(repr=False)
    floors: pd.DataFrame = field(repr=False)
    summary: Summary = field(repr=False)

    def __str__(self) -> str:
        frames = {name: value for name, value in vars(self).items() if isinstance(value, pd.DataFrame) and len(value)}
        lines = ", ".join(f"{name} ({len(frame):,})" for name, frame in frames.items())
        return f"{self.summary.title}: {lines}"


def load_results(folder: str | PathLike[str]) -> StudyResults:
    """Results of a study as pandas frames.

    Args:
        folder: That `relbench reproduce`, `compare` or `distill` has written; runs may still go on.

    Returns:
        `runs`, `table`, `comparisons`, `by_class`, `cells`, `claims` and `floors`.

    Raises:
        ValueError: The folder holds no results, or damaged ones; one line.

    Example:
        >>> results = load_results("results/reference/quickstart")
        >>> results.table.loc[0, ["method", "role", "seeds"]].to_dict()
        {'method': 'teacher', 'role': 'teacher', 'seeds': 7}
        >>> shares = results.by_class.groupby(["run", "seed"])[["correct", "trials"]].sum()
        >>> recall = (shares["correct"] / shares["trials"]).groupby("run").mean()
    """
    path = Path(folder)
    refuse_links(path)
    record = read_study(path)
    found = read_results(record, path)
    summary = summarise(record, found, (record.study.selection,))
    has_methods, has_cells = bool(summary.methods), bool(summary.cells)
    return StudyResults(
        runs=as_frame(_entries(record, found), {row.fingerprint: row for row in found.rows.values()}),
        table=method_numbers(summary) if has_methods else pd.DataFrame(),
        comparisons=pair_numbers(summary),
        by_class=pd.DataFrame(_counted(found), columns=list(COUNTED)),
        cells=cell_numbers(summary) if has_cells else pd.DataFrame(),
        claims=claim_numbers(summary),
        floors=floor_numbers(summary),
        summary=summary,
    )


def _entries(record: StudyRecord, found: Results) -> list[Entry]:
    return [
        Entry(label=path, role=record.study.runs[path].role, seed=seed, fingerprint=row.fingerprint)
        for (path, seed), row in found.rows.items()
    ]


def _counted(found: Results) -> Iterator[tuple[Any, ...]]:
    for (path, seed), row in found.rows.items():
        for metric, counts in row.all_counts.items():
            for group, trials, correct in zip(counts.groups, counts.trials, counts.correct, strict=True):
                yield path, seed, metric, group, trials, correct
