"""Table 2 of Relational Knowledge Distillation (Park et al., CVPR 2019, arXiv:1904.05068): self-distillation.

    relbench reproduce rkd-table2 --dataset cub200,cars196,sop --device cuda

A ResNet50 with 512 dimensions, trained by the triplet loss, teaches another of its kind by RKD-DA, and that the
next, for three generations. Generation 0 has embeddings of unit length, all others do not; so from the second
generation on the teacher has none either (the examples of lenscloth/RKD@0a6c3c0 show the first generation only, and
their `--teacher_l2normalize` is true by default). 12 numbers. What else is not as the authors did: see `table1.py`.
"""

from relbench.studies.published import Published, read_published
from relbench.studies.rkd.protocol import Protocol
from relbench.studies.rkd.recipes import DATA_SETS, NOTES, TRIPLET, net
from relbench.studies.study import Cell, Claim, RunSpec, Scale, Study

GENERATIONS = 3


def _path(data: str, generation: int) -> str:
    return f"{data}/gen{generation}/512" if generation else f"{data}/teacher/512"


def run_of(data: str, generation: int, protocol: Protocol) -> RunSpec:
    """A generation; the one before teaches it."""
    return protocol.run(
        "rkd-da" if generation else "teacher",
        data,
        net("resnet50", 512, unit_length=generation == 0),
        role="teacher" if generation < GENERATIONS else "student",
        teacher=_path(data, generation - 1) if generation else "",
        tuned_with=_path(data, min(generation, 1)),
    )


def cell_of(told: Published) -> Cell:
    """A number, and where it stands: a row for each generation, a column for each data set."""
    generation = int(told.fields["generation"])
    return Cell(
        part="ResNet50-512",
        row=f"generation {generation}" if generation else "triplet loss",
        column=told.fields["dataset"],
        published=told.value,
        run=_path(DATA_SETS[told.fields["dataset"]], generation),
        source=told.source,
    )


def _claims(data: str) -> tuple[Claim, ...]:
    first = _path(data, 1)
    others = tuple((first, _path(data, generation)) for generation in (2, 3))
    return (
        Claim(text=f"{data}: a network beats the identical network that taught it", better=((first, _path(data, 0)),)),
        Claim(text=f"{data}: generation 1 is the peak", better=((first, _path(data, 0)), *others)),
    )


def build(*, protocol: str = "paper", scale: Scale = "full") -> Study:
    """The table under a protocol, at a scale."""
    under = Protocol(protocol, scale)
    return Study(
        name="rkd-table2",
        title="Relational Knowledge Distillation, Table 2: Recall@1 of self-distillation",
        source="W. Park, D. Kim, Y. Lu, M. Cho, CVPR 2019, arXiv:1904.05068, Table 2",
        notes=(*under.notes(), *NOTES),
        variant={"protocol": protocol},
        scale=scale,
        runs={
            _path(data, generation): run_of(data, generation, under)
            for data in DATA_SETS.values()
            for generation in range(GENERATIONS + 1)
        },
        cells=tuple(cell_of(told) for told in read_published("rkd_table2")),
        claims=tuple(claim for data in DATA_SETS.values() for claim in _claims(data)),
        task_terms=(TRIPLET,),
        methods_in="row",
    )
