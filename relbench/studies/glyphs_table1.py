"""Table 1 of Relational Knowledge Distillation with full-size networks and no download: textured Glyphs.

    relbench reproduce glyphs-table1 --device cuda
    relbench reproduce glyphs-table1 --device cuda --set training.precision=bf16-mixed --set training.channels_last=true

The same networks, losses, steps and rates as `rkd_table1.py`, at 224 px in colour, but from random weights: so that
all of its code runs at full size on a machine without data or weights. No paper prints these numbers, and they say
nothing about birds. Rates that were made for fine-tuning are low for networks that begin at random: `--protocol fair`
chooses them on validation classes.
"""

from relbench.studies.printed import Network, Number, PrintedTable
from relbench.studies.rkd.recipes import NOTES
from relbench.studies.rkd.table1 import PAPER_NOTES, TOLD, claims, network, number

DATA = "glyphs-textured"
CUB = [told for data, told in TOLD if data == "cub200"]


def _fresh(one: Network) -> Network:
    return one.model_copy(update={"net": one.net.model_copy(update={"weights": "random"})})


def _unprinted(one: Number) -> Number:
    return one.model_copy(update={"printed": None, "source": ""})


TABLE = PrintedTable(
    name="glyphs-table1",
    title="Table 1 of Relational Knowledge Distillation on textured Glyphs, from random weights",
    source="the networks, losses and schedules of Table 1 of arXiv:1904.05068; without published numbers",
    notes=(
        *NOTES,
        "Networks start from random weights here, in the paper from ImageNet weights: the numbers can't be compared.",
    ),
    paper_notes=PAPER_NOTES,
    networks=tuple(_fresh(network(DATA, told)) for told in CUB),
    numbers=tuple(_unprinted(number(DATA, told, "Glyphs, textured")) for told in CUB),
    claims=claims(DATA, beaten_from=None),
)
