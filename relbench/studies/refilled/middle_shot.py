"""REFILLED with few images of each class, on CIFAR-100: the protocol is ours.

    relbench reproduce refilled-middle-shot --device cuda
    relbench reproduce refilled-middle-shot --only teacher --only 'k5/*' --protocol fair

A wide ResNet 40-2 that knows 50 classes teaches a wide ResNet 16-2 fifty others, of which it is shown k images each,
k = 5, 10, 20, 50, or all 500: more than few-shot learning has, fewer than usual. Of the paper's experiment (Ye, Lu,
Zhan, CVPR 2020) neither its numbers of images nor its data were seen, so no number of the paper can stand beside these.

    ce          cross-entropy alone
    rkd-d       and the distances among pooled features (RKD)
    pkt         and their similarities (PKT)
    refilled    the two stages of njulus/ReFilled@be649aa
    gkd         those of njulus/GKD@a37fc79: tuples, and a hundredth of the weight in the second stage

The classes are those of `refilled-label-spaces` where all are new (m = 50), the teacher is its teacher, and recipes are
GKD's, but for batches of 128: 5 images of 50 classes fill none of 256. The last batch of an epoch has 40 images or more
at every k; a much smaller one would make a dent in the curve (see `glyphs-middle-shot`). RKD and PKT have the weights
that they have in RepDistiller's benchmark (HobbitLong/RepDistiller@b84f547); nothing was chosen for these label spaces.

Every student has as many steps as the two stages of REFILLED with all images, 400 epochs, whatever its method and k:
where k = 5 it sees its images a hundred times as often. With equal epochs it would have 800 steps, of 78,400, and the
curve would be one of the length of training. Under protocol `fair` it is 200 epochs, and a learning rate is chosen for
each method and k, on 50 validation images of each class, for all methods alike: more than are trained on where k < 50.

The k images of a class are among those of the next larger k, and the same for all methods and seeds
(`relbench.data.selection.few_images`): intervals over seeds know nothing of what other images would have done.
"""

from collections.abc import Iterator
from dataclasses import replace

from relbench.experiment import Data, Term
from relbench.settings import changed
from relbench.studies.epoch_protocol import EpochProtocol, pooled_net
from relbench.studies.refilled.label_spaces import CLASSES, IMAGES, TAUGHT_BY, label_space
from relbench.studies.refilled.recipes import (
    CROSS_ENTROPY,
    EPOCHS,
    PRESETS,
    SOURCE,
    TASK,
    TEACHER,
    recipe,
    stages_of,
)
from relbench.studies.study import Cell, Claim, RunSpec, Scale, Stage, Study
from relbench.transforms import SmallTransform

SHOTS = {"k5": 5, "k10": 10, "k20": 20, "k50": 50, "all": None}  # by path; None: all that there are
TOY_SHOTS = {5: 4, 10: 6, 20: 8, 50: 12}  # in place of so many
STUDENT = "WRN-16-2"
BATCH = 128
ALONE = "ce"
BESIDE = {  # by method, what stands beside cross-entropy
    "ce": (),
    "rkd-d": (Term(loss="rkd_distance", weight=25.0),),
    "pkt": (Term(loss="pkt", weight=30000.0),),
}
METHODS = (*BESIDE, "refilled", "gkd")
DATA = Data(name="cifar100", size=32, split="images", transform=SmallTransform())
PART = "Student of 50 classes that the teacher does not know"

OURS = "The protocol is relbench's own: of the paper's experiment neither the numbers of images nor the data were seen."
NOTES = (
    "A column's students are trained on so many images of each class, the same for all methods and seeds.",
    "Weights of RKD and PKT are those of RepDistiller's benchmark; nothing was chosen for these label spaces.",
    "The teacher's accuracy is of its own 50 classes, and says nothing beside the students'.",
)
STEPS_NOTES = {  # by protocol
    name: f"All students have equally many steps, those of {epochs} epochs of all images, however few are theirs."
    for name, epochs in (("paper", 2 * EPOCHS), ("fair", EPOCHS))
}
FAIR_NOTE = (
    "A learning rate is chosen for each method and number of images, on 50 validation images of each class: more than "
    "are trained on where these are few."
)


def path_of(shots: str, method: str) -> str:
    """Of a student."""
    return f"{shots}/{method}"


def _data(run: RunSpec, new: int, images: int | None, scale: Scale) -> Data:
    classes = label_space(new, scale)
    few = TOY_SHOTS.get(images or 0) if scale == "toy" else images
    return changed(run.data, {"train_classes": classes, "test_classes": classes, "train_images_per_class": few})


def _stages(method: str) -> tuple[Stage, ...]:
    return stages_of(method) if method in PRESETS else (Stage(terms=(CROSS_ENTROPY, *BESIDE[method])),)


def _teacher(protocol: EpochProtocol) -> RunSpec:
    """That of the study of label spaces."""
    net = pooled_net(f"{TAUGHT_BY.lower()}-refilled", normalization="cifar100")
    trained = recipe(TEACHER, IMAGES, "GKD", protocol)
    run = protocol.run(trained, DATA, net, stages_of(TEACHER), task=TASK, role="teacher")
    return changed(run, {"data": _data(run, 0, None, protocol.scale)})


def _student(images: int | None, method: str, protocol: EpochProtocol) -> RunSpec:
    equal = replace(recipe("gkd", IMAGES, "GKD", protocol), of_all_images=True)
    trained = replace(equal, training=changed(equal.training, {"batch_size": BATCH}))
    net = pooled_net(f"{STUDENT.lower()}-refilled", normalization="cifar100")
    run = protocol.run(trained, DATA, net, _stages(method), task=TASK, teacher="" if method == ALONE else TEACHER)
    return changed(run, {"data": _data(run, CLASSES, images, protocol.scale)})


def runs(protocol: EpochProtocol) -> dict[str, RunSpec]:
    """By path: the teacher, then the students."""
    students = {
        path_of(shots, method): _student(images, method, protocol)
        for shots, images in SHOTS.items()
        for method in METHODS
    }
    return {TEACHER: _teacher(protocol)} | students


def cells() -> Iterator[Cell]:
    """A row for each method, a column for each number of images; the teacher stands alone."""
    yield Cell(part="Teacher", row="ce", column=TAUGHT_BY, metric="accuracy", run=TEACHER)
    for method in METHODS:
        for shots, images in SHOTS.items():
            column = f"k = {images}" if images else "all"
            yield Cell(part=PART, row=method, column=column, metric="accuracy", run=path_of(shots, method))


def claims() -> Iterator[Claim]:
    """At which numbers of images REFILLED is better than cross-entropy, and than other comparisons of embeddings.

    The numbers of images are a family: the best of five is picked by chance too.
    """
    for better, worse, text in (
        ("refilled", "ce", "REFILLED is better than cross-entropy"),
        ("gkd", "ce", "GKD is better than cross-entropy"),
        ("refilled", "rkd-d", "REFILLED is better than RKD-D"),
        ("refilled", "pkt", "REFILLED is better than PKT"),
    ):
        for shots, images in SHOTS.items():
            told = f"k = {images}" if images else "All images"
            pair = path_of(shots, better), path_of(shots, worse)
            yield Claim(text=f"{told}: {text}", better=(pair,), family=text)


def build(*, protocol: str = "paper", scale: Scale = "full") -> Study:
    """The table under a protocol, at a scale."""
    under = EpochProtocol(protocol, scale)
    return Study(
        name="refilled-middle-shot",
        title="REFILLED: accuracy on CIFAR-100 with few images of each class, which the teacher does not know",
        source=f"{SOURCE}; njulus/ReFilled@be649aa, njulus/GKD@a37fc79",
        notes=(*under.notes(), OURS, STEPS_NOTES[protocol], *((FAIR_NOTE,) if protocol == "fair" else ()), *NOTES),
        variant={"protocol": protocol},
        scale=scale,
        runs=runs(under),
        cells=tuple(cells()),
        claims=tuple(claims()),
        task_terms=(CROSS_ENTROPY,),
        methods_in="row",
        curves_over="training images of each class",
    )
