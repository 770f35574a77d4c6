"""How `relbench evaluate` prints a measurement: metrics, what they rest on, and a line per class."""

import typer
from rich.table import Column, Table

from relbench.cli.console import out
from relbench.cli.options import tell
from relbench.evaluation.measured import Measurement
from relbench.evaluation.metric_names import short_name
from relbench.plain_text import counted


def show(found: Measurement, *, by_class: bool, as_json: bool) -> None:
    """Print a measurement.

    Args:
        found: the measurement.
        by_class: whether each class has a line, the one with the smallest first metric first.
        as_json: print all of it as a JSON object on one line.
    """
    if as_json:
        typer.echo(found.json(by_class=by_class))
        return
    table = Table("metric", "%")
    for name, value in found.metrics.items():
        table.add_row(name, f"{100 * value:.2f}")
    out.print(table)
    tell(_what(found))
    if by_class:
        out.print(_classes(found))


def _what(found: Measurement) -> str:
    """What the metrics rest on, in a sentence."""
    if found.gallery is None:
        return f"{counted(found.queries, 'image')} of {counted(found.classes, found.group)}"
    said = (
        f"{counted(found.queries, 'query')} of {counted(found.classes, found.group)}, "
        f"gallery of {counted(found.gallery, 'image')}"
    )
    if found.ignored is None:
        return said
    missed = counted(found.ignored.queries_without_positives, "query")
    return (
        f"{said}; ignored are {found.ignored.items / found.queries:,.1f} gallery images per query on average, and "
        f"nothing is left to find for {missed}, which count as misses"
    )


def _classes(found: Measurement) -> Table:
    """A line per class, the worst first, and in the order of the labels where they are equally bad."""
    first = next(iter(found.counts))
    frame = found.by_class().assign(correct=found.counts[first].correct).sort_values(first, kind="stable")
    metrics = list(found.scores)
    numbers = ("images" if found.gallery is None else "queries", "correct", *map(short_name, metrics))
    columns = [Column(title, justify="right", no_wrap=True) for title in numbers]
    table = Table(Column(found.group, overflow="fold"), *columns, box=None, caption="metrics in %")
    for line in frame.to_dict("records"):
        shares = ("" if line[metric] != line[metric] else f"{100 * line[metric]:.2f}" for metric in metrics)
        table.add_row(str(line[found.group]), f"{line['queries']:,}", f"{line['correct']:,}", *shares)
    return table
