"""Table 3 of Relational Knowledge Distillation (Park et al., CVPR 2019, arXiv:1904.05068): beside other methods.

    relbench reproduce rkd-table3 --dataset cub200,cars196,sop --device cuda

Recall@K of students by RKD-DA, GoogLeNet with 128 and 512 dimensions and ResNet50 with 128, beside the rows of other
papers, which are printed and not trained here. 108 numbers, 36 of them RKD's.

What nobody says: who taught these students, and whether their embeddings have unit length. Here it is the ResNet50 with
512 dimensions of Tables 1 and 2, and they have not, as the paper found that to be better. GoogLeNet starts from
torchvision's weights, which are of another training than the authors', whose images also were BGR, in [0, 255], less a
mean. What else is not as the authors did: see `table1.py`.
"""

from collections.abc import Iterator

from relbench.studies.published import Published, read_published
from relbench.studies.rkd.protocol import Protocol
from relbench.studies.rkd.recipes import DATA_SETS, GOOGLENET, NOTES, TRIPLET, TRUNKS, net
from relbench.studies.study import Cell, Claim, RunSpec, Scale, Study

OURS = "RKD-DA"
STUDENTS = (("GoogLeNet", 128), ("GoogLeNet", 512), ("ResNet50", 128))


def _path(data: str, backbone: str, dim: int) -> str:
    return f"{data}/rkd-da-{TRUNKS[backbone]}/{dim}"


def _runs(data: str, protocol: Protocol) -> Iterator[tuple[str, RunSpec]]:
    """The teacher of all students of a data set; and they, of whom those of one trunk share a learning rate."""
    teacher = f"{data}/teacher/512"
    yield teacher, protocol.run("teacher", data, net("resnet50", 512, unit_length=True), role="teacher")
    for backbone, dim in STUDENTS:
        yield (
            _path(data, backbone, dim),
            protocol.run(
                "rkd-da",
                data,
                net(TRUNKS[backbone], dim, unit_length=False),
                teacher=teacher,
                tuned_with=_path(data, backbone, 128),
                note=GOOGLENET if backbone == "GoogLeNet" else "",
            ),
        )


def cell_of(told: Published) -> Cell:
    """A number, and where it stands: a part for each data set, a column for each K."""
    backbone, dim, k = (told.fields[name] for name in ("backbone", "embedding_dim", "k"))
    ours = told.fields["method"] == OURS
    return Cell(
        part=told.fields["dataset"],
        row=f"{told.fields['method']}, {backbone}-{dim}",
        column=f"Recall@{k}",
        published=told.value,
        run=_path(DATA_SETS[told.fields["dataset"]], backbone, int(dim)) if ours else "",
        metric=f"recall@{k}",
        source=told.source,
    )


def build(*, protocol: str = "paper", scale: Scale = "full") -> Study:
    """The table under a protocol, at a scale."""
    under = Protocol(protocol, scale)
    return Study(
        name="rkd-table3",
        title="Relational Knowledge Distillation, Table 3: Recall@K compared with other methods",
        source="W. Park, D. Kim, Y. Lu, M. Cho, CVPR 2019, arXiv:1904.05068, Table 3",
        notes=(
            *under.notes(),
            *NOTES,
            "The paper says neither which network taught these students nor whether their embeddings have unit length.",
            "Here ResNet50-512 teaches them, without unit length.",
            "Other methods' rows are as printed in the paper; none of them is trained here.",
        ),
        variant={"protocol": protocol},
        scale=scale,
        runs=dict(run for data in DATA_SETS.values() for run in _runs(data, under)),
        cells=tuple(cell_of(told) for told in read_published("rkd_table3")),
        claims=tuple(
            Claim(
                text=f"{data}: with GoogLeNet, 512 dimensions are better than 128",
                better=((_path(data, "GoogLeNet", 512), _path(data, "GoogLeNet", 128)),),
            )
            for data in DATA_SETS.values()
        ),
        task_terms=(TRIPLET,),
        methods_in="row",
    )
