"""Titles and notes of the figures of cells."""

import textwrap
from collections.abc import Sequence

from relbench.analysis.summary import Summary
from relbench.report.wording import RULES, TOY, full_title
from relbench.results.records import Selection


def title_in_lines(summary: Summary, width: int) -> str:
    """The title of a picture, in lines of at most `width` letters."""
    words = [full_title(summary), *([TOY] if summary.is_toy else [])]
    return "\n".join(line for text in words for line in textwrap.wrap(text, width))


def whiskers(summary: Summary, drawn: Sequence[Selection]) -> list[str]:
    """What a picture's thin lines are, where the rules that are drawn have any."""
    runs = [cell.ours[rule] for cell in summary.cells for rule in drawn if rule in cell.ours]
    return ["Whiskers: 95 % interval over seeds"] if any(ours.interval.low is not None for ours in runs) else []


def drawn_rule(summary: Summary, width: int) -> str:
    """What a picture of the first rule alone leaves to the table, and what its thin lines are, in lines."""
    first, *others = (RULES[rule] for rule in summary.shown)
    alone = [f"Drawn: {first}. Only in the table: {'; '.join(others)}."] if others else []
    sentences = [*alone, *whiskers(summary, summary.shown[:1])]
    return "\n".join(line for words in sentences for line in textwrap.wrap(words, width))
