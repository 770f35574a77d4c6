"""How many items a shard has, and how many queries are searched at a time, within a limit of memory."""

from dataclasses import dataclass

import numpy as np
import psutil
from rich.filesize import decimal

from relbench.evaluation.knn.points import Integers
from relbench.memory import free_for_this_process

MOST_ITEMS = 1 << 17
"""Rows of a shard: with more, fewer queries are multiplied at a time (64 MB of keys), and products take longer."""

MOST_QUERIES = 1 << 16
"""Queries at a time: with more, reading and preparing the shards would cost no less, and progress be seldom."""

FIXED = 320_000_000  # bytes for products, blocks of keys and libraries
OF_A_TASK = 4_000_000_000
"""Bytes of memory that a task on a cluster uses where nothing else is said."""

LIBRARIES = 700_000_000
"""Bytes that a process uses before it searches, where it can't be asked."""

_FOR_SHARD = 0.5  # of the rest; half of what then remains is for queries, and half for their answers
_COPIES = 6  # of an answer, while it is merged
_ITEM = 16  # bytes of an item in an answer


@dataclass(frozen=True)
class Plan:
    """Sizes of shards and chunks.

    Attributes:
        memory: bytes that may be used for them.
        dim: numbers of a row.
        itemsize: bytes of a number.
    """

    memory: int
    dim: int
    itemsize: int

    @property
    def item(self) -> int:
        """Bytes per row of a shard, with float64 keys and distinct rows, if the data need these.

        Three times as they are (as they are, without outliers, sorted), widened in float32, and five times in float64.
        """
        return self.dim * (3 * self.itemsize + 4 + 5 * 8) + 160

    @property
    def query(self) -> int:
        """Bytes per query, its answer aside: its row twice as it is, and twice widened."""
        return self.dim * (2 * self.itemsize + 2 * 4) + 160

    @property
    def items(self) -> int:
        """Rows of a shard."""
        return min(MOST_ITEMS, int(self.memory * _FOR_SHARD) // self.item)

    def queries(self, wanted: int) -> int:
        """Queries at a time, each of which wants a number of items."""
        part = self.memory * (1 - _FOR_SHARD) / 2
        return int(min(MOST_QUERIES, part // self.query, part // (_COPIES * _ITEM * wanted)))


def half_of_free_memory() -> int:
    """A limit for this process: what it uses already, and half of what is free."""
    return used_memory() + free_for_this_process() // 2


def used_memory() -> int:
    """Bytes of memory that this process uses."""
    return int(psutil.Process().memory_info().rss)


def plan_for(memory: int, used: int, at_once: int, wanted: Integers, dim: int, itemsize: int) -> Plan:
    """A plan for what remains of a limit.

    Args:
        memory: bytes that a process which searches may use.
        used: of these, bytes that it uses already.
        at_once: shards that are searched at the same time in it.
        wanted: R of each query.
        dim: numbers of a row.
        itemsize: bytes of a number.

    Raises:
        ValueError: so little memory remains that not even a row could be searched.
    """
    plan = Plan(max(0, memory - used - FIXED) // at_once, dim, itemsize)
    most = int(np.max(wanted, initial=1))
    if plan.items < 1 or plan.queries(most) < 1:
        least = max(plan.item, 2 * plan.query, 2 * _COPIES * _ITEM * most) * 2 * at_once + used + FIXED
        raise ValueError(
            f"{decimal(memory)} of memory are too few: {decimal(used)} are in use already, and a shard of one row with "
            f"one query needs {decimal(least)} in all; allow more, preferably several times as much"
        )
    return plan
