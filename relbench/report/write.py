"""Files of a report, made from a summary."""

from collections.abc import Callable
from pathlib import Path

from relbench.analysis.summary import Summary
from relbench.files import atomic_write
from relbench.report.documents import latex_text, markdown_text
from relbench.report.figures.cells import cells_figure
from relbench.report.figures.forest import forest_figure
from relbench.report.figures.recall import has_recall_curves, recall_figure
from relbench.report.figures.sizes import size_figure
from relbench.report.figures.training import training_figure
from relbench.report.numbers import cell_numbers, claim_numbers, floor_numbers, method_numbers, pair_numbers
from relbench.report.page import page_text
from relbench.report.table_formats import csv_text
from relbench.results.frame import as_frame

Render = Callable[[Summary], str | bytes]
METHODS: dict[str, Render] = {
    "table.csv": lambda summary: csv_text(method_numbers(summary)),
    "pairs.csv": lambda summary: csv_text(pair_numbers(summary)),
    "rows.csv": lambda summary: csv_text(as_frame(summary.entries, {row.fingerprint: row for row in summary.rows})),
    "training.png": lambda summary: training_figure(summary, "png"),
}
FOREST: dict[str, Render] = {
    "forest.png": lambda summary: forest_figure(summary, "png"),
    "forest.svg": lambda summary: forest_figure(summary, "svg"),
}
RECALL_CURVES: dict[str, Render] = {
    "recall_at_k.png": lambda summary: recall_figure(summary, "png"),
    "recall_at_k.svg": lambda summary: recall_figure(summary, "svg"),
}
CELLS: dict[str, Render] = {
    "cells.csv": lambda summary: csv_text(cell_numbers(summary)),
    "floors.csv": lambda summary: csv_text(floor_numbers(summary)),
    "claims.csv": lambda summary: csv_text(claim_numbers(summary)),
    "cells.png": lambda summary: cells_figure(summary, "png"),
}


def files_of(summary: Summary) -> dict[str, Render]:
    """The files that a summary has something for, by name."""
    files: dict[str, Render] = {"table.md": markdown_text, "table.tex": latex_text}
    if summary.methods:
        sizes = f"{summary.primary.replace('@', '_at_')}.png"
        files |= METHODS | {sizes: lambda summary: size_figure(summary, "png")}
    if any(method.against_teacher for method in summary.methods):
        files |= FOREST
    if has_recall_curves(summary):
        files |= RECALL_CURVES
    if summary.cells:
        files |= CELLS
    return files | {"report.html": page_text}


def write_report(summary: Summary, directory: Path) -> list[Path]:
    """Write tables, numbers, figures and the page that shows them; the same summary makes the same bytes.

    Args:
        summary: The study's result.
        directory: Where the files go; made if need be.

    Returns:
        The paths of the files, each whole; none is written before all are made.
    """
    contents = {name: render(summary) for name, render in files_of(summary).items()}
    return [_write(directory / name, content) for name, content in contents.items()]


def _write(path: Path, content: str | bytes) -> Path:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
