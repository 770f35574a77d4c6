"""`relbench evaluate --compare`: embeddings of the same images, and what their difference says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import typer
from rich.table import Table

from relbench.cli.console import errors, numbers, out
from relbench.cli.evaluate_few_shot import few_shot_settings
from relbench.cli.options import tell
from relbench.evaluation.gallery.sharded import Sharding
from relbench.evaluation.measured import Measurement
from relbench.evaluation.metric_names import metric_name
from relbench.evaluation.paired import PairedComparison, Source, compare_embeddings
from relbench.evaluation.paired_files import source_of
from relbench.evaluation.stored import Files, Stored
from relbench.evaluation.stored_search import measured_embeddings, measured_logits
from relbench.plain_text import p_value, percent, signed
from relbench.tasks.stored_episodes import measured_episodes
from relbench.trackers.bars import shown_if_slow

A, B = "A", "B"


@dataclass(frozen=True)
class CompareOptions:
    """What the embeddings are compared with.

    Attributes:
        others: a file or run for each training run of the other side.
        labels: file of their labels; None: their own, or those of the first embeddings.
        also: further training runs of the first side.
    """

    others: Sequence[Path]
    labels: Path | None
    also: Sequence[Path]

    def sides(self, first: Source, files: Files | None = None) -> tuple[list[Source], list[Source]]:
        """The embeddings of both sides.

        Args:
            first: the first embeddings.
            files: theirs, as the others are read; None where they are in no file.

        Raises:
            ValueError: options that say something of a comparison, and nothing to compare with; or a gallery in a file
                of its own, which the others would need, too.
        """
        if not self.others:
            given = "--compare-labels" if self.labels else "--also"
            raise ValueError(f"{given} says something of a comparison: name what to compare with by --compare")
        if files and files.gallery is not None:
            raise ValueError(
                "--gallery and --compare don't go together: store queries and gallery in one file each, with masks "
                "query and gallery"
            )
        read = partial(replace, files, labels=None, ignore=None) if files else Files
        others = [source_of(read(embeddings=path, labels=self.labels)) for path in self.others]
        return [first, *(source_of(read(embeddings=path)) for path in self.also)], others


def show_comparison(
    sides: tuple[Sequence[Source], Sequence[Source]],
    measured: Callable[[Stored], Measurement],
    *,
    by_class: bool,
    as_json: bool,
) -> None:
    """Measure both sides, and print both, their differences and what these say.

    Args:
        sides: embeddings of each training run.
        measured: measures embeddings.
        by_class: whether each class has a line, the one with the worst difference first.
        as_json: print all of it as a JSON object on one line.
    """
    found = compare_embeddings(*sides, measured)
    if as_json:
        typer.echo(found.json(by_class=by_class))
        return
    for letter, side in zip((A, B), sides, strict=True):
        tell(f"{letter}: {', '.join(source.name for source in side)}")
    out.print(_table(found))
    if by_class:
        out.print(_classes(found))
    tell(found.in_words(A, B))


def _table(found: PairedComparison) -> Table:
    """A line per metric; the p of the one that decides."""
    table = Table("metric", *(f"{letter}, %" for letter in (A, B)), "difference, points", "95 %", "p")
    for metric in found.comparisons:
        interval = found.interval(metric)
        bounds = (interval.low, interval.high)
        p = found.p_value if metric == found.metric else None
        table.add_row(
            metric_name(metric),
            *(percent(value, 2) for value in found.means(metric)),
            signed(interval.mean, 2),
            "" if None in bounds else f"[{', '.join(signed(end, 2) for end in bounds if end is not None)}]",
            "" if p is None else p_value(p).removeprefix("p ").removeprefix("= "),
        )
    return table


def _classes(found: PairedComparison) -> Table:
    frame = found.by_class()
    group = str(frame.columns[0])
    table = Table(group, "queries", *(f"{letter}, %" for letter in (A, B)), "difference, points")
    for line in frame.to_dict("records"):
        shares = (percent(line[side], 2) for side in ("ours", "theirs"))
        table.add_row(str(line[group]), f"{line['queries']:,}", *shares, signed(line["difference"], 2))
    return table


def measuring(task: str, asked: Mapping[str, str], sharding: Sharding | None) -> Callable[[Stored], Measurement]:
    """The measurement of a task with its options.

    Args:
        task: its name.
        asked: its options, all of them.
        sharding: how a gallery is searched.

    Raises:
        ValueError: options that make no sense, or several scorers or numbers of support images at once.
    """
    if task == "classification":
        return measured_logits
    if task == "few-shot":
        settings = few_shot_settings(asked)
        if len(settings) > 1:
            raise ValueError("--compare takes one --scorer and one --shot: leave out the others")
        return lambda stored: measured_episodes(stored, settings[0])
    ks = numbers(asked["k"], "--k")

    def retrieval(stored: Stored) -> Measurement:
        with shown_if_slow("queries", errors) as advance:
            return measured_embeddings(stored, ks, advance, sharding)

    return retrieval
