"""A printed table: its numbers, the networks that answer to them, and the claims that it is said to show.

How the networks are trained is a protocol's business (`rkd_protocol.py`), so that one table can be made under several.
"""

from typing import Literal, Self

from pydantic import model_validator

from relbench.experiment import Net, Settings, Term
from relbench.lookup import lookup

Schedule = Literal["teacher", "student"]  # which of the authors' training scripts


class Recipe(Settings):
    """What a network is trained with."""

    schedule: Schedule
    terms: tuple[Term, ...]
    first: tuple[Term, ...] = ()  # of a training before, whose network this one goes on with


class Network(Settings):
    """A network of the table: one run (or two stages) for every seed."""

    path: str  # DATA/METHOD/DIMENSIONS, such as "cub200/rkd-da/64": names it, and is what a selection matches
    data: str  # the data set that it is trained on
    net: Net
    recipe: Recipe | None  # None: not trained; its trunk's features are what is measured
    teacher: str = ""  # path
    tuned_at: str = ""  # path of the network whose learning rate it shares, where rates are chosen; "": its own
    note: str = ""  # in what it cannot be what the paper had


class Number(Settings):
    """A number of the table, and where it stands."""

    part: str  # the sub-table's title
    row: str
    column: str
    printed: float | None  # in [0, 1]; None where the paper has no such number
    path: str = ""  # of the network that answers to it; "": another's result, printed beside
    metric: str = "recall@1"
    on: str = ""  # the data set that it is measured on, if it is not the one that the network is trained on
    source: str = ""

    @property
    def key(self) -> str:
        """Names what is measured: the network, and the data set if it is another one than the network's."""
        return f"{self.path}@{self.on}" if self.on else self.path


class Claim(Settings):
    """What the paper says that the table shows."""

    text: str
    better: tuple[tuple[str, str], ...]  # keys of numbers: each first one's Recall@1 is said to be above the second's


class PrintedTable(Settings):
    """A table of a paper."""

    name: str
    title: str
    source: str
    notes: tuple[str, ...]  # what a reader of the table must know; deviations from the paper among them
    paper_notes: tuple[str, ...] = ()  # likewise, but true under the protocol `paper` alone
    networks: tuple[Network, ...]  # a teacher before those that it teaches
    numbers: tuple[Number, ...]
    claims: tuple[Claim, ...] = ()

    @model_validator(mode="after")
    def _validate(self) -> Self:
        paths = [network.path for network in self.networks]
        if len(set(paths)) != len(paths):
            raise ValueError("a path stands for two networks")
        keys = {number.key for number in self.numbers}
        for path in {number.path for number in self.numbers} - {""}:
            lookup(path, paths, "network of a number")
        for key in {key for claim in self.claims for pair in claim.better for key in pair}:
            lookup(key, keys, "number of a claim")
        for at, network in enumerate(self.networks):
            if network.teacher:
                lookup(network.teacher, paths[:at], f"teacher, before its student {network.path},")
            lookup(network.tuned_at or network.path, paths, f"network to share the rate of {network.path}")
        return self

    @property
    def data_sets(self) -> tuple[str, ...]:
        """Those that its networks are trained on."""
        return tuple(dict.fromkeys(network.data for network in self.networks))

    def network(self, path: str) -> Network:
        """A network by its path."""
        return next(network for network in self.networks if network.path == path)
