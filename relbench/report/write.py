"""From a summary to the files of a report."""

from collections.abc import Callable, Mapping
from pathlib import Path

from relbench.analysis.summary import Summary
from relbench.files import atomic_write
from relbench.report.page import page_text
from relbench.report.plots import recall_plot, size_plot, training_plot
from relbench.report.syntax import csv_text
from relbench.report.tables import latex_text, markdown_text, numbers, pair_numbers
from relbench.results.records import as_frame

FILES: dict[str, Callable[[Summary], str | bytes]] = {
    "table.md": markdown_text,
    "table.csv": lambda summary: csv_text(numbers(summary)),
    "pairs.csv": lambda summary: csv_text(pair_numbers(summary)),
    "table.tex": latex_text,
    "recall_at_k.png": lambda summary: recall_plot(summary, "png"),
    "recall_at_k.svg": lambda summary: recall_plot(summary, "svg"),
    "recall_at_1.png": lambda summary: size_plot(summary, "png"),
    "training.png": lambda summary: training_plot(summary, "png"),
    "rows.csv": lambda summary: csv_text(as_frame(summary.entries, {row.fingerprint: row for row in summary.rows})),
    "report.html": page_text,
}


def write_report(summary: Summary, directory: Path) -> list[Path]:
    """Write tables, plots, rows and the page that shows them; the same summary gives the same bytes.

    Args:
        summary: The study's result.
        directory: Where the files go; made if need be.

    Returns:
        The paths of the files, each whole.
    """
    contents = {name: render(summary) for name, render in FILES.items()}
    return write_all(contents, directory)


def write_all(contents: Mapping[str, str | bytes], directory: Path) -> list[Path]:
    """Write files by name, each whole, when all of them are made."""
    return [_write(directory / name, content) for name, content in contents.items()]


def _write(path: Path, content: str | bytes) -> Path:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
