"""REFILLED from one label space to another, on CIFAR-100 (Ye, Lu, Zhan, TPAMI 2022, arXiv:2205.01915).

    relbench reproduce refilled-label-spaces --device cuda
    relbench reproduce refilled-label-spaces --only teacher --only 'm50/wrn-16-2/*'

A wide ResNet 40-2 of 50 classes teaches students of 50 classes, of which 50 - m are its own, for m = 0 (all), 10, ...,
50 (none): the script's grid (njulus/GKD@61fd9f5). Students are trained by cross-entropy for 200 epochs and for the 400
that the two stages of `gkd` and `wgkd` have, and by these; by KD at m = 0 alone, as elsewhere its logits would be
compared with those of other classes, and relbench refuses that. No numbers are printed: the paper's were not seen.

The classes are those of GKD's code: one order of all classes; the teacher has its places 0 to 49, a student m to m +
49. Training and test images are CIFAR-100's own of these classes, 25,000 and 5,000. Within a label space classes are
numbered as their names are sorted, as there, so teacher and student may number one class differently.

The order is that of the parts of CIFAR-FS, each sorted: 64 classes for training, 16 for validation, 20 for testing
(`cifar_fs_order.csv`, from the split in pytorch-meta, with which two other public lists agree). That the code's own
lists, which are not public, have this order is an assumption: they might be alphabetical.

Recipes: `recipes.py`, GKD's. Images are padded by 4 black pixels, cropped and mirrored.
"""

import csv
from collections.abc import Iterator
from importlib.resources import files

from relbench.experiment import Data
from relbench.settings import changed
from relbench.studies.epoch_protocol import EpochProtocol, pooled_net
from relbench.studies.refilled.recipes import (
    CROSS_ENTROPY,
    SOURCE,
    TASK,
    TEACHER,
    TWO_STAGES_NOTE,
    control,
    methods_under,
    recipe,
    stages_of,
    taught,
)
from relbench.studies.study import Cell, Claim, RunSpec, Scale, Study
from relbench.transforms import SmallTransform

ORDER = tuple(
    line["name"]
    for line in csv.DictReader(
        files("relbench.studies.refilled").joinpath("cifar_fs_order.csv").read_text(encoding="utf-8").splitlines()
    )
)
CLASSES = 50  # of a label space
NEW = (0, 10, 20, 30, 40, 50)  # classes that the teacher has not
TOY = 10  # in place of so many classes, toys have one
IMAGES = 25_000
TAUGHT_BY = "WRN-40-2"
STUDENTS = ("WRN-40-2", "WRN-40-1", "WRN-16-2", "WRN-16-1")  # in the order of the script
METHODS = ("ce", "ce-400", "kd", "gkd", "wgkd")
TUNED_WITH = "WRN-16-2"

NOTES = (
    "Nothing of the paper's tables was seen, so no number of theirs stands beside ours.",
    "KD is left out where classes differ: it would compare logits of different classes.",
    (
        "Which classes these are follows CIFAR-FS as it is published; that the authors' lists are in that order is an "
        "assumption."
    ),
)
FAIR_NOTE = "A method's learning rate is chosen with WRN-16-2 where no class is new, and used for all students."


def label_space(new: int, scale: Scale = "full") -> tuple[str, ...]:
    """The classes of a student of whose classes so many are new; of the teacher, where none are."""
    step = TOY if scale == "toy" else 1
    return ORDER[new // step : (new + CLASSES) // step]


def path_of(new: int, student: str, method: str) -> str:
    """Of a run."""
    return TEACHER if method == TEACHER else f"m{new}/{student.lower()}/{method}"


def _run(new: int, student: str, method: str, protocol: EpochProtocol) -> RunSpec:
    classes = label_space(new, protocol.scale)
    data = Data(name="cifar100", size=32, split="images", transform=SmallTransform())
    run = protocol.run(
        recipe(method, IMAGES, "GKD", protocol),
        data,
        pooled_net(f"{student.lower()}-refilled", normalization="cifar100"),
        stages_of(method),
        task=TASK,
        role="teacher" if method == TEACHER else "student",
        teacher=TEACHER if taught(method) else "",
        tuned_with="" if method == TEACHER else path_of(0, TUNED_WITH, method),
    )
    return changed(run, {"data": changed(run.data, {"train_classes": classes, "test_classes": classes})})


def places(protocol: EpochProtocol) -> Iterator[tuple[int, str, str]]:
    """Number of new classes, student and method of all numbers of the table."""
    for new in NEW:
        for method in methods_under(protocol, *METHODS):
            if method != "kd" or new == 0:
                yield from ((new, student, method) for student in STUDENTS)


def runs(protocol: EpochProtocol) -> dict[str, RunSpec]:
    """By path: the teacher, then the students."""
    teacher = {TEACHER: _run(0, TAUGHT_BY, TEACHER, protocol)}
    return teacher | {path_of(*place): _run(*place, protocol) for place in places(protocol)}


def cells(protocol: EpochProtocol) -> Iterator[Cell]:
    """A part for each number of new classes, a row for each method, a column for each student."""
    yield Cell(part="Teacher", row="ce", column=TAUGHT_BY, metric="accuracy", run=TEACHER)
    for new, student, method in places(protocol):
        yield Cell(
            part=f"m = {new}: {CLASSES - new} of {CLASSES} classes are the teacher's",
            row=method,
            column=student,
            metric="accuracy",
            run=path_of(new, student, method),
        )


def claims(protocol: EpochProtocol) -> Iterator[Claim]:
    """Whether a teacher of other classes helps, at equal budgets; under `paper` KD alone has half of GKD's."""
    for new in NEW:
        told = f"m = {new}: GKD is better than cross-entropy for as many epochs"
        yield _claim(told, new, "gkd", control(protocol))
    yield _claim("m = 0: GKD is better than KD", 0, "gkd", "kd")
    for new in NEW:
        yield _claim(f"m = {new}: weights of images help GKD", new, "wgkd", "gkd")


def _claim(text: str, new: int, better: str, worse: str) -> Claim:
    pairs = ((path_of(new, student, better), path_of(new, student, worse)) for student in STUDENTS)
    return Claim(text=text, better=tuple(pairs))


def build(*, protocol: str = "paper", scale: Scale = "full") -> Study:
    """The tables under a protocol, at a scale."""
    under = EpochProtocol(protocol, scale)
    return Study(
        name="refilled-label-spaces",
        title="REFILLED: accuracy on CIFAR-100, teacher and student of partly other classes",
        source=f"{SOURCE}; njulus/GKD@61fd9f5",
        notes=(*under.notes(TWO_STAGES_NOTE), *((FAIR_NOTE,) if protocol == "fair" else ()), *NOTES),
        variant={"protocol": protocol},
        scale=scale,
        runs=runs(under),
        cells=tuple(cells(under)),
        claims=tuple(claims(under)),
        task_terms=(CROSS_ENTROPY,),
        methods_in="row",
    )
