"""From the summary of a printed table to the files of its report."""

from collections.abc import Callable
from pathlib import Path

from relbench.analysis.summary import Summary
from relbench.report.printed_numbers import cell_numbers, claim_numbers, floor_numbers
from relbench.report.printed_page import printed_page
from relbench.report.printed_plot import printed_plot
from relbench.report.printed_tables import latex_printed, markdown_printed
from relbench.report.syntax import csv_text
from relbench.report.write import write_all

FILES: dict[str, Callable[[Summary], str | bytes]] = {
    "table.md": markdown_printed,
    "cells.csv": lambda summary: csv_text(cell_numbers(summary)),
    "floors.csv": lambda summary: csv_text(floor_numbers(summary)),
    "claims.csv": lambda summary: csv_text(claim_numbers(summary)),
    "table.tex": latex_printed,
    "cells.png": lambda summary: printed_plot(summary, "png"),
    "report.html": printed_page,
}


def write_printed(summary: Summary, directory: Path) -> list[Path]:
    """Write tables, numbers, claims, picture and page of a printed table; the same summary gives the same bytes.

    Args:
        summary: The table, with what is finished of it.
        directory: Where the files go; made if need be.

    Returns:
        The paths of the files, each whole.
    """
    return write_all({name: render(summary) for name, render in FILES.items()}, directory)
