"""The report of a printed table as one HTML page that needs nothing but itself."""

from relbench.analysis.cells import FilledCell, Ours
from relbench.analysis.summary import Summary
from relbench.report.markup import Grid, picture_of, rendered, with_addresses
from relbench.report.printed_grid import decimals, formatted_parts, parts
from relbench.report.printed_plot import printed_in_words, printed_plot
from relbench.report.printed_words import (
    BRIEF,
    TOY,
    claims_caution,
    claims_title,
    footnotes,
    full_title,
    how_measured,
    outcome,
    reading,
)
from relbench.report.wording import NOTHING, metric_name, percent
from relbench.results.records import Selection


def printed_page(summary: Summary) -> str:
    """The whole page."""
    content = {
        "study": summary.name,
        "title": full_title(summary),
        "toy": TOY if summary.is_toy else "",
        "source": with_addresses(summary.source),
        "measured": how_measured(summary),
        "outcome": outcome(summary),
        "parts": formatted_parts(summary),
        "footnotes": footnotes(summary),
        "reading": reading(summary),
        "picture": picture_of(printed_plot, summary, printed_in_words(summary)),
        "results_title": "The paper's numbers and ours" if summary.has_published else "Our numbers",
        "claims": summary.claims,
        "claims_title": claims_title(summary),
        "claims_caution": claims_caution(summary),
        "notes": summary.notes,
        "seeds": _by_seed(summary),
    }
    return rendered("printed.html", content)


def _by_seed(summary: Summary) -> Grid | None:
    """What stands behind each of our means."""
    header = ["Network", "Measured on", "Metric", "Step that counts", "Seeds", "Values, %", "Steps"]
    rows = [
        [cell.path, cell.on or NOTHING, metric_name(cell.metric), BRIEF[rule], *_lists(ours, places)]
        for cells in parts(summary).values()
        for places in [decimals(cells)]
        for cell, rule, ours in _finished(cells, summary.shown)
    ]
    return Grid("Values by seed", header, rows, [False] * len(header)) if rows else None


def _finished(cells: list[FilledCell], shown: tuple[Selection, ...]) -> list[tuple[FilledCell, Selection, Ours]]:
    return [(cell, rule, cell.ours[rule]) for cell in cells for rule in shown if rule in cell.ours]


def _lists(ours: Ours, places: int) -> list[str]:
    values = ", ".join(percent(value, places) for value in ours.values)
    return [", ".join(map(str, ours.seeds)), values, ", ".join(f"{step}" for step in ours.steps)]
