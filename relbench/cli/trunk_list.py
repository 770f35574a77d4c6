"""The trunks whose names match a text: those of relbench, and those of other libraries."""

from collections.abc import Iterator

from rich.table import Column, Table

from relbench.cli.console import out
from relbench.models import listed_trunks
from relbench.plain_text import counted


def print_trunks(pattern: str) -> None:
    """Print one line for each trunk.

    Args:
        pattern: a part of a name, or a pattern of whole names, such as "timm:vit_*".

    Raises:
        ValueError: no name matches.
    """
    found = listed_trunks(pattern)
    if not found:
        raise ValueError(f"no trunk matches {pattern!r}: write a part of a name, or a pattern such as 'timm:resnet*'")
    table = Table(Column("trunk", no_wrap=True), "pretrained", "made for", "what it is", box=None)
    for each in found:
        made_for = f"{each.size} px" if each.size else ""
        table.add_row(each.name, "yes" if each.pretrained else "", made_for, each.summary)
    out.print(table)
    out.print(counted(len(found), "trunk"))


def more_trunks() -> Iterator[tuple[str, str]]:
    """Names that stand for many, and what they stand for."""
    yield "torchvision:NAME", "any classifier of torchvision: relbench list --trunks torchvision:"
    yield "timm:NAME", "any model of timm, without its classifier: relbench list --trunks timm:"
