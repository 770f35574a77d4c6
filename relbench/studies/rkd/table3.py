"""Table 3 of Relational Knowledge Distillation (Park et al., CVPR 2019, arXiv:1904.05068): beside other methods.

    relbench reproduce rkd-table3 --dataset cub200,cars196,sop --device cuda

Recall@K of students by RKD-DA, GoogLeNet with 128 and 512 dimensions and ResNet50 with 128, beside the rows of other
papers, which are printed and not trained here. 108 numbers, 36 of them RKD's.

What nobody says: who taught these students, and whether their embeddings have unit length. Here it is the ResNet50 with
512 dimensions of Tables 1 and 2, and they have not, as the paper found that to be better. GoogLeNet starts from
torchvision's weights, which are of another training than the authors', whose images also were BGR, in [0, 255], less a
mean. What else is not as the authors did: see `rkd_table1.py`.
"""

from relbench.studies.printed import Claim, Network, Number, PrintedTable
from relbench.studies.published import Published, read_published
from relbench.studies.rkd.recipes import DATA_SETS, GOOGLENET, NOTES, RECIPES, TEACHER, TRUNKS, net

OURS = "RKD-DA"
STUDENTS = (("GoogLeNet", 128), ("GoogLeNet", 512), ("ResNet50", 128))


def _path(data: str, backbone: str, dim: int) -> str:
    return f"{data}/rkd-da-{TRUNKS[backbone]}/{dim}"


def teacher(data: str) -> Network:
    """The teacher of all students of a data set."""
    return Network(path=f"{data}/teacher/512", data=data, net=net("resnet50", 512, unit_length=True), recipe=TEACHER)


def student(data: str, backbone: str, dim: int) -> Network:
    """A student; the two of one backbone share a learning rate, where it is chosen."""
    return Network(
        path=_path(data, backbone, dim),
        data=data,
        net=net(TRUNKS[backbone], dim, unit_length=False),
        recipe=RECIPES["rkd-da"],
        teacher=f"{data}/teacher/512",
        tuned_at=_path(data, backbone, 128),
        note=GOOGLENET if backbone == "GoogLeNet" else "",
    )


def number(told: Published) -> Number:
    """A number, and where it stands: a part for each data set, a column for each K."""
    backbone, dim, k = (told.fields[name] for name in ("backbone", "embedding_dim", "k"))
    ours = told.fields["method"] == OURS
    return Number(
        part=told.fields["dataset"],
        row=f"{told.fields['method']}, {backbone}-{dim}",
        column=f"Recall@{k}",
        printed=told.value,
        path=_path(DATA_SETS[told.fields["dataset"]], backbone, int(dim)) if ours else "",
        metric=f"recall@{k}",
        source=told.source,
    )


TABLE = PrintedTable(
    name="rkd-table3",
    title="Relational Knowledge Distillation, Table 3: Recall@K compared with other methods",
    source="W. Park, D. Kim, Y. Lu, M. Cho, CVPR 2019, arXiv:1904.05068, Table 3",
    notes=(
        *NOTES,
        "The paper says neither which network taught these students nor whether their embeddings have unit length.",
        "Here ResNet50-512 teaches them, without unit length.",
        "Other methods' rows are as printed in the paper; none of them is trained here.",
    ),
    networks=tuple(
        one
        for data in DATA_SETS.values()
        for one in (teacher(data), *(student(data, backbone, dim) for backbone, dim in STUDENTS))
    ),
    numbers=tuple(number(told) for told in read_published("rkd_table3")),
    claims=tuple(
        Claim(
            text=f"{data}: with GoogLeNet, 512 dimensions are better than 128",
            better=((_path(data, "GoogLeNet", 512), _path(data, "GoogLeNet", 128)),),
        )
        for data in DATA_SETS.values()
    ),
)
