"""The reference of trunks, from their entries."""

from generators.markdown import NONE, code, plain, table
from relbench.models import TRUNKS
from relbench.models.trunk import TrunkEntry


def trunks() -> str:
    """A table of all trunks."""
    return table(
        ["trunk", "what it is", "layers", "sides, pixels", "normalisation", "pretrained weights"],
        (_row(name, entry) for name, entry in TRUNKS.items()),
    )


def _row(name: str, entry: TrunkEntry) -> list[str]:
    sides = f"{entry.smallest} to {entry.largest}" if entry.largest else f"{entry.smallest} and more"
    return [
        code(name),
        plain(entry.summary) + ("; has a width" if entry.scalable else ""),
        ", ".join(map(code, entry.layers)),
        sides if entry.any_size else f"{sides}, one size",
        entry.normalization or "none",
        plain(entry.weights) or NONE,
    ]
