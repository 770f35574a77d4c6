"""REFILLED on CUB-200-2011, teacher and student of the same classes (Ye, Lu, Zhan, CVPR 2020).

    relbench reproduce refilled-cub200 --device cuda

A MobileNet of width 1 teaches four, of the widths 1, 0.75, 0.5 and 0.25, all of random weights at the beginning:
cross-entropy alone, for 200 epochs and for the 400 that REFILLED has, KD, and REFILLED (njulus/ReFilled@be649aa).

Don't compare the printed numbers with ours. They are of a test set of 1,827 images (or they are multiples: 76.19 and
others are fractions of it, to the last digit of the accuracies in the code's files), which is a split of the authors'
own that is not public; the data set's has 5,794, and 5,994 for training, which is what is trained on here. With more
images to train on, theirs must be higher. The row of REFILLED repeats the paper's numbers, the baselines are trained
anew.

Images are 224 pixels wide: crops of random areas, mirrored; for testing the centre of images of 256 pixels. After
stage 1 the README's accuracies are by class means of the very images that are classified; ours by those of training
images. KD is the baseline of njulus/GKD, temperature and weight 1. Recipes: `recipes.py`.
"""

from collections.abc import Iterator

from relbench.experiment import Data
from relbench.studies.epoch_protocol import EpochProtocol
from relbench.studies.published import Published, read_published
from relbench.studies.refilled.recipes import (
    CROSS_ENTROPY,
    NOTES,
    SOURCE,
    STAGE_1,
    TEACHER,
    TWO_STAGES_NOTE,
    SameTask,
    control,
    methods_under,
)
from relbench.studies.study import Cell, Claim, Scale, Study
from relbench.transforms import PhotoTransform

DATA = Data(name="cub200", size=224, split="images", transform=PhotoTransform(resized_crop=True))
TRUNKS = {  # in printed order, as printed
    "MobileNet-1.00": "mobilenet-1.0",
    "MobileNet-0.75": "mobilenet-0.75",
    "MobileNet-0.50": "mobilenet-0.5",
    "MobileNet-0.25": "mobilenet-0.25",
}
METHODS = ("ce", "ce-400", "kd", "refilled", STAGE_1)
TABLE = SameTask(
    data=DATA,
    images=5_994,
    networks={name: (trunk, trunk) for name, trunk in TRUNKS.items()},
    taught_by="MobileNet-1.00",
    tuned_with="MobileNet-0.50",
)

FEBRUARY, FILES, OURS = "README of February 2021", "Accuracies in the files of baselines", "Not printed"
ANSWERING = {  # beginning of the method's name as printed -> ours
    "Teacher (CE": TEACHER,
    "Student (CE": "ce",
    "REFILLED after stage 1": STAGE_1,
    "REFILLED": "refilled",
}
OTHER_TEST = "Of another test set, of 1,827 images, and more images to train on: not to be compared with ours."
CUB_NOTES = (
    (
        "The authors' split of CUB-200-2011 is their own and not public, with 1,827 test images; ours is the data "
        "set's, with 5,794. Differences between the columns say nothing."
    ),
    "After stage 1 printed accuracies are by class means of the very images that are classified.",
)
FAIR_NOTE = "A method's learning rate is chosen with MobileNet-0.50, and used for all students."


def cells(protocol: EpochProtocol) -> Iterator[Cell]:
    """The numbers of the README and of the files, then ours that nobody printed."""
    for told in read_published("refilled"):
        if told.fields["dataset"] == "CUB-200":
            row = told.fields["method"]
            method = next(ours for printed, ours in ANSWERING.items() if row.startswith(printed))
            yield _cell(FEBRUARY, row, told.fields["student"], method, told)
    for told in read_published("refilled_checkpoints"):
        if told.fields["dataset"] == "CUB-200":
            yield _cell(FILES, "Student (CE)", told.fields["network"], "ce", told)
    for method in methods_under(protocol, "ce-400", "kd"):
        for student in TRUNKS:
            yield _cell(OURS, method, student, method)


def _cell(part: str, row: str, student: str, method: str, told: Published | None = None) -> Cell:
    return Cell(
        part=part,
        row=row,
        column=student,
        metric="ncm_accuracy" if method == STAGE_1 else "accuracy",
        run=TABLE.path(student, method),
        published=told.value if told else None,
        doubt=OTHER_TEST if told else "",
        source=told.source if told else "",
    )


def claims(protocol: EpochProtocol) -> Iterator[Claim]:
    """What the README says of printed numbers, and whether equal budgets bear it out."""
    yield _claim("REFILLED is better than cross-entropy", "refilled", "ce")
    if control(protocol) != "ce":
        yield _claim("REFILLED is better than cross-entropy for as many epochs", "refilled", control(protocol))
    yield _claim("REFILLED is better than KD", "refilled", "kd")


def _claim(text: str, better: str, worse: str) -> Claim:
    return Claim(text=text, better=tuple((TABLE.path(each, better), TABLE.path(each, worse)) for each in TRUNKS))


def build(*, protocol: str = "paper", scale: Scale = "full") -> Study:
    """The tables under a protocol, at a scale."""
    under = EpochProtocol(protocol, scale)
    return Study(
        name="refilled-cub200",
        title="REFILLED: accuracy on CUB-200-2011, teacher and student of the same classes",
        source=f"{SOURCE}; README of njulus/ReFilled@be649aa",
        notes=(*under.notes(TWO_STAGES_NOTE), *((FAIR_NOTE,) if protocol == "fair" else ()), *NOTES, *CUB_NOTES),
        variant={"protocol": protocol},
        scale=scale,
        runs=TABLE.runs(methods_under(under, *METHODS), under),
        cells=tuple(cells(under)),
        claims=tuple(claims(under)),
        task_terms=(CROSS_ENTROPY,),
        methods_in="row",
    )
