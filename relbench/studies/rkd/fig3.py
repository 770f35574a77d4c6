"""Figure 3 of Relational Knowledge Distillation (Park et al., CVPR 2019, arXiv:1904.05068): adapted to one domain.

    relbench reproduce rkd-fig3 --device cuda
    relbench data add dogs FOLDER; relbench data add cifar100 FOLDER      # the other two data sets of the figure

Networks trained on Cars196 are measured on other data sets. The paper reads it as adaptation: RKD's student gains on
its own domain and loses more on others than its teacher does, which loses more than ImageNet's features alone. Nothing
is trained but what Table 1 has too; `reproduce` takes finished runs over from it.

The printed values are heights of bars measured by pixel, within 0.3 points. The paper does not say which networks the
figure is of, and its Cars196 bars (86.3, 81.3) are not the numbers of Table 1 (85.65, 77.17): unexplained. Here they
are ResNet18-128 by RKD-DA without unit length, its teacher ResNet50-512, and ResNet50's features after the last
pooling, as they are, for "pretrained". Other data sets are measured on their test classes as relbench splits them; the
paper does not say which images it took. Stanford Dogs and CIFAR-100 have no loader here: add them under the names dogs
and cifar100.
"""

from relbench.studies.published import Published, read_published
from relbench.studies.rkd.protocol import Protocol
from relbench.studies.rkd.recipes import NOTES, TRIPLET, net
from relbench.studies.study import Cell, Claim, RunSpec, Scale, Study

HOME = "cars196"
MEASURED_ON = {"Cars 196": HOME, "CUB-200-2011": "cub200", "Stanford Dog": "dogs", "CIFAR-100": "cifar100"}
PATHS = {
    "RKD-DA (student)": f"{HOME}/rkd-da/128",
    "Triplet (teacher)": f"{HOME}/teacher/512",
    "Pretrained": f"{HOME}/pretrained/2048",
}
STUDENT, TAUGHT_BY, PRETRAINED = PATHS.values()
AWAY = tuple(name for name in MEASURED_ON.values() if name != HOME)


def _cell(told: Published) -> Cell:
    on = MEASURED_ON[told.fields["dataset"]]
    path = PATHS[told.fields["method"]]
    return Cell(
        part="Trained on Cars 196",
        row=told.fields["dataset"],
        column=told.fields["method"],
        published=told.value,
        run=path,
        on="" if on == HOME and path != PRETRAINED else on,
        source=told.source,
    )


def _on(path: str, data: str) -> str:
    return f"{path}@{data}"


FIGURE_NOTES = (
    "The paper's values are bar heights, measured in pixels, within 0.3 points.",
    "Its bars on Cars 196 differ from the numbers in its Table 1, and it does not say why.",
    "The paper does not say which networks these are: here ResNet18-128 by RKD-DA and its teacher, ResNet50-512.",
    "Pretrained: ResNet50's features after its last pooling, unchanged.",
)


def _runs(protocol: Protocol) -> dict[str, RunSpec]:
    features = net("resnet50", 2048, unit_length=False)
    return {
        TAUGHT_BY: protocol.run("teacher", HOME, net("resnet50", 512, unit_length=True), role="teacher"),
        STUDENT: protocol.run("rkd-da", HOME, net("resnet18", 128, unit_length=False), teacher=TAUGHT_BY),
        PRETRAINED: RunSpec(data=protocol.data(HOME), net=protocol.net(features)),
    }


def build(*, protocol: str = "paper", scale: Scale = "full") -> Study:
    """The figure under a protocol, at a scale."""
    under = Protocol(protocol, scale)
    cells = tuple(_cell(told) for told in read_published("rkd_fig3") if told.fields["where"] == "Figure 3")
    return Study(
        name="rkd-fig3",
        title="Relational Knowledge Distillation, Figure 3: Recall@1 on other data sets of networks trained on Cars196",
        source="W. Park, D. Kim, Y. Lu, M. Cho, CVPR 2019, arXiv:1904.05068, Figure 3",
        notes=(
            *under.notes(),
            *NOTES,
            *FIGURE_NOTES,
        ),
        variant={"protocol": protocol},
        scale=scale,
        runs=_runs(under),
        cells=cells,
        claims=(
            Claim(text="On Cars196 RKD's student beats its teacher", better=((STUDENT, TAUGHT_BY),)),
            Claim(
                text="On other data sets RKD's student is worse than its teacher",
                better=tuple((_on(TAUGHT_BY, data), _on(STUDENT, data)) for data in AWAY),
            ),
            Claim(
                text="On other data sets the teacher is worse than ImageNet's features",
                better=tuple((_on(PRETRAINED, data), _on(TAUGHT_BY, data)) for data in AWAY),
            ),
        ),
        other_data={cell.on: under.data(cell.on) for cell in cells if cell.on},
        task_terms=(TRIPLET,),
    )
