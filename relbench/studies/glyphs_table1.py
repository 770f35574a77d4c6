"""Table 1 of Relational Knowledge Distillation with full-size networks and no download: textured Glyphs.

    relbench reproduce glyphs-table1 --device cuda
    relbench reproduce glyphs-table1 --device cuda --set training.precision=bf16-mixed --set training.channels_last=true

The same networks, losses, steps and rates as `rkd/table1.py`, at 224 px in colour, but from random weights: so that
all of its code runs at full size on a machine without data or weights. No paper prints these numbers, and they say
nothing about birds. Rates that were made for fine-tuning are low for networks that begin at random: `--protocol fair`
chooses them on validation classes.
"""

from relbench.settings import changed
from relbench.studies.rkd.protocol import Protocol
from relbench.studies.rkd.recipes import NOTES, TRIPLET
from relbench.studies.rkd.table1 import PAPER_NOTES, TOLD, cell_of, claims, path_of, run_of
from relbench.studies.study import Scale, Study

DATA = "glyphs-textured"
CUB = [told for data, told in TOLD if data == "cub200"]
FROM_RANDOM = (
    "Networks start from random weights here, in the paper from ImageNet weights: the numbers can't be compared."
)


def build(*, protocol: str = "paper", scale: Scale = "full") -> Study:
    """The table under a protocol, at a scale."""
    under = Protocol(protocol, scale)
    cells = (cell_of(DATA, told, "Glyphs, textured") for told in CUB)
    return Study(
        name="glyphs-table1",
        title="Table 1 of Relational Knowledge Distillation on textured Glyphs, from random weights",
        source="the networks, losses and schedules of Table 1 of arXiv:1904.05068; without published numbers",
        notes=(
            *under.notes(*PAPER_NOTES),
            *NOTES,
            FROM_RANDOM,
        ),
        variant={"protocol": protocol},
        scale=scale,
        runs={path_of(DATA, told): run_of(DATA, told, under, "random") for told in CUB},
        cells=tuple(changed(cell, {"published": None, "source": ""}) for cell in cells),
        claims=claims(DATA, beaten_from=None),
        task_terms=(TRIPLET,),
    )
