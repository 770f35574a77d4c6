"""One step of incremental learning with REFILLED, on CUB-200-2011: the protocol is ours.

    relbench reproduce refilled-incremental --device cuda

A MobileNet of 100 classes is trained on; now there are 110, the same and ten new ones. The student begins as that
network, with a new head of 110 classes, and is trained on images of all of them:

    lr      the head alone; the network stays as it is
    ft      everything, by cross-entropy
    gkd     everything, by the second stage of REFILLED, the network of 100 classes being the teacher
    wgkd    likewise, images weighted by how sure the teacher is of its own 100 classes
    new     for comparison, a network that begins at random, by cross-entropy

Of the paper's experiment (Ye, Lu, Zhan, TPAMI 2022, arXiv:2205.01915) no table and no code was seen. What is known is
the beginning of a script that was deleted on the day it came (njulus/GKD@b2e62dd): CUB-200, MobileNet, 100 classes and
10 new ones, the methods' names, no first stage, 200 epochs of the second, a learning rate of 0.1, times 0.2 after 50,
100 and 150 epochs, batches of 256. From there the settings are; which images a student sees, the width of the network
(1 here), and that the old classes' head is not kept, are ours. So no number of the paper can stand beside these.

Classes are the first of the data set, images its own split within classes. Accuracy is of all 110 classes.
"""

from collections.abc import Iterator

from relbench.experiment import Data, Net
from relbench.settings import changed
from relbench.studies.epoch_protocol import EpochProtocol, pooled_net
from relbench.studies.refilled.recipes import (
    CROSS_ENTROPY,
    SOURCE,
    TASK,
    TEACHER,
    recipe,
    stages_of,
)
from relbench.studies.study import Cell, Claim, RunSpec, Scale, Study
from relbench.transforms import PhotoTransform

OLD, ALL = 100, 110  # classes
TOY_OLD, TOY_ALL = 3, 4
IMAGES = {OLD: 3_000, ALL: 3_300}  # for training, about 30 of each class
DATA = Data(name="cub200", size=224, split="images", transform=PhotoTransform(resized_crop=True))
NET = pooled_net("mobilenet-1.0")
METHODS = {  # by path, what it is called
    "lr": "lr: the head alone",
    "ft": "ft: everything, cross-entropy",
    "gkd": "gkd: everything, REFILLED's second stage",
    "wgkd": "wgkd: likewise, images weighted",
    "new": "new: from random weights, cross-entropy",
}
NOTES = (
    (
        "The protocol is relbench's own: of the paper's experiment neither table nor code was seen, but for the "
        "beginning of a script that names the methods."
    ),
    (
        "Students are trained on images of all 110 classes. All but `new` begin with the teacher's network and a new "
        "head, so they have its epochs as well."
    ),
    "The teacher's accuracy is of its own 100 classes.",
)


def _data(classes: int, protocol: EpochProtocol) -> Data:
    few = {OLD: TOY_OLD, ALL: TOY_ALL}[classes] if protocol.scale == "toy" else classes
    return changed(protocol.data(DATA), {"train_classes": few, "test_classes": few})


def _net(protocol: EpochProtocol) -> Net:
    """That of the teacher, since students begin as it."""
    return protocol.net(NET, "teacher")


def _run(method: str, protocol: EpochProtocol) -> RunSpec:
    classes, taught = OLD if method == TEACHER else ALL, method in {"gkd", "wgkd"}
    last = changed(stages_of(method)[-1], {"share": 1.0})
    stage = changed(last, {"changes": {"frozen": True}}) if method == "lr" else last
    run = protocol.run(
        recipe("teacher" if method == TEACHER else "ft", IMAGES[classes], "GKD", protocol),
        DATA,
        NET,
        (stage,),
        task=TASK,
        role="teacher" if method == TEACHER else "student",
        teacher=TEACHER if taught else "",
    )
    starts_from = "" if method in {TEACHER, "new"} else TEACHER
    return changed(run, {"data": _data(classes, protocol), "net": _net(protocol), "starts_from": starts_from})


def cells() -> Iterator[Cell]:
    """A row for each method."""
    for path, row in {TEACHER: f"teacher of {OLD} classes", **METHODS}.items():
        yield Cell(part="CUB-200-2011", row=row, column="accuracy", metric="accuracy", run=path)


CLAIMS = (
    Claim(text="A network of 100 classes is a better beginning for 110 than none", better=(("ft", "new"),)),
    Claim(text="Training everything is better than training the head", better=(("ft", "lr"),)),
    Claim(text="GKD is better than fine-tuning", better=(("gkd", "ft"),)),
    Claim(text="Weights of images help GKD", better=(("wgkd", "gkd"),)),
)


def build(*, protocol: str = "paper", scale: Scale = "full") -> Study:
    """The table under a protocol, at a scale."""
    under = EpochProtocol(protocol, scale)
    return Study(
        name="refilled-incremental",
        title="REFILLED: ten new classes for a network of 100, accuracy on CUB-200-2011",
        source=f"{SOURCE}; njulus/GKD@b2e62dd, for the names of the methods and some settings",
        notes=(*under.notes(), *NOTES),
        variant={"protocol": protocol},
        scale=scale,
        runs={path: _run(path, under) for path in (TEACHER, *METHODS)},
        cells=tuple(cells()),
        claims=CLAIMS,
        task_terms=(CROSS_ENTROPY,),
        methods_in="row",
    )
