"""Losses that are not relbench's: one file of Python, named on the command line."""

from relbench.losses.entry import Loss


def own_loss(name: str, source: str) -> Loss:
    """The entry of a loss from its source, which is executed."""
    raise NotImplementedError(name, source)
