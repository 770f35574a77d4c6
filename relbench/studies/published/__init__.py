"""Numbers that papers print, as files of comma-separated values, each number with its source.

`rkd_table1` to `rkd_table4` and `rkd_table5_6` hold the 244 numbers of the tables of Park et al. (CVPR 2019,
arXiv:1904.05068), read by eye from pictures of the printed tables; no table prints a standard deviation or a number of
seeds, but Table 6 has half of an interval over episodes, in points (`ci95`). `rkd_fig3` holds the heights of the bars
of its Figure 3, measured by pixel, and two numbers of its text.

`sp_repdistiller` holds the two tables of CIFAR-100 in the README of HobbitLong/RepDistiller@b84f547, and numbers that
others print of similarity-preserving distillation.

`sp_paper` holds the six numbers of Table 1 of Similarity-Preserving Knowledge Distillation (arXiv:1907.09682) that a
survey quotes. `refilled` holds the numbers in the README of njulus/ReFilled, in three generations, and
`refilled_checkpoints` the accuracies in its files of baselines, more digits of which are kept than anybody prints.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from importlib.resources.abc import Traversable

from relbench.lookup import lookup

TABLES = {  # by name, the column of the number
    "rkd_table1": "recall_at_1",
    "rkd_table2": "recall_at_1",
    "rkd_table3": "recall_at_k",
    "rkd_table4": "accuracy",
    "rkd_table5_6": "accuracy",
    "rkd_fig3": "recall_at_1",
    "sp_repdistiller": "value",
    "sp_paper": "accuracy",
    "refilled": "value",
    "refilled_checkpoints": "best_accuracy",
}


@dataclass(frozen=True)
class Published:
    """A number as a paper prints it."""

    value: float  # in [0, 1]; the printed decimals, divided by 100 without rounding
    source: str
    fields: Mapping[str, str]  # what else stands in its line, by column: data set, method, dimensions


def read_published(table: str) -> tuple[Published, ...]:
    """The numbers of a table, in printed order.

    Raises:
        ValueError: there is no such table.
    """
    column = TABLES[lookup(table, TABLES, "published table")]
    return read_numbers(files("relbench.studies.published").joinpath(f"{table}.csv"), column)


def read_numbers(file: Traversable, column: str) -> tuple[Published, ...]:
    """The numbers of a file of comma-separated values, in its order.

    Args:
        file: with a column "source", and others that say where a number stands.
        column: of the number, in percent.
    """
    lines = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    return tuple(Published(float(Decimal(line.pop(column)) / 100), line.pop("source"), line) for line in lines)
