"""REFILLED on CIFAR-100, teacher and student of the same classes (Ye, Lu, Zhan, CVPR 2020).

    relbench reproduce refilled-cifar100 --device cuda
    relbench reproduce refilled-cifar100 --only teacher --only 'wrn-16-2/*' --protocol fair

A wide ResNet 40-2 teaches four: cross-entropy alone, for 200 epochs and for the 400 that REFILLED has, KD, and REFILLED
in three versions of its code: `refilled`, njulus/ReFilled@be649aa; `gkd` and `wgkd`, njulus/GKD@a37fc79, which groups
tuples, and weighs images. Under protocol `fair` all have the recipe of ReFilled. A student like the teacher and
trained by cross-entropy is the teacher.

The numbers come from that code's README, in two generations, and from its files:

- June 2020 (ReFilled@c5e077f), the paper's: the teacher has 74.44 %. Others' methods are as printed, not trained here.
- January 2021 (ReFilled@9098446): accuracies after stage 1 that were replaced a month later.
- February 2021 (ReFilled@be649aa): teacher and baselines are trained anew (76.04 %), but REFILLED's row repeats the
  numbers of June 2020: what lies between the two is no gain. 70.15 of WRN-16-2 is of June 2020, too: the file that
  belongs to the README has 72.60.
- Checkpoints (ReFilled@c7a829a): the accuracies that files of baselines hold, best on test images.

`gkd`, `wgkd`, `ce-400` have no printed number of this setting. After stage 1 the README's accuracies are by class means
of the very images that are classified; ours by those of the training images, so they are lower. What of KD was done in
June 2020 is not known; here it is the baseline of GKD, temperature and weight 1. Recipes: `recipes.py`. Images are
padded by 4 black pixels, cropped and mirrored.
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
from relbench.transforms import SmallTransform

DATA = Data(name="cifar100", size=32, split="images", transform=SmallTransform())
STUDENTS = ("WRN-40-2", "WRN-16-2", "WRN-40-1", "WRN-16-1")  # in printed order
METHODS = ("ce", "ce-400", "kd", "refilled", "gkd", "wgkd", STAGE_1)
TABLE = SameTask(
    data=DATA,
    images=50_000,
    networks={name: (name.lower(), f"{name.lower()}-refilled") for name in STUDENTS},
    taught_by="WRN-40-2",
    tuned_with="WRN-16-2",
    normalization="cifar100",
    codes={"gkd": "GKD", "wgkd": "GKD"},
)

JUNE, FEBRUARY = "README of June 2020", "README of February 2021"
FILES, OURS = "Accuracies in the files of baselines", "Not printed"
PARTS = {
    "ReFilled-README-2020-06": JUNE,
    "ReFilled-README-2021-01 (superseded)": "README of January 2021, superseded",
    "ReFilled-README-2021-02": FEBRUARY,
}
ANSWERING = {  # beginning of the method's name as printed -> ours
    "Teacher (CE": TEACHER,
    "Student (CE": "ce",
    "REFILLED after stage 1": STAGE_1,
    "REFILLED": "refilled",
    "KD + VID": "",
    "KD": "kd",
}
STALE = "Stale: of June 2020; the file that belongs to this README has 72.60."
REPEATED = "The number of June 2020, when the teacher had 74.44: no gain over the baselines beside it follows from it."
OWN_MEANS = "By class means of the very images that are classified: too high; ours are by those of training images."

CIFAR_NOTES = (
    "A student like the teacher and trained by cross-entropy is the teacher.",
    (
        "Printed numbers of REFILLED are of the paper's code, of June 2020; ours of the version of February 2021 "
        "(refilled) and of GKD (gkd, wgkd)."
    ),
)
CODES_NOTE = (
    "gkd and wgkd are trained as in GKD's code, with batches of 256 and decays after a quarter, a half and three "
    "quarters of a stage, all others as in ReFilled's: a difference between the two is of recipes as well."
)
FAIR_NOTE = "A method's learning rate is chosen with WRN-16-2, and used for all students."


def cells(protocol: EpochProtocol) -> Iterator[Cell]:
    """The numbers of both READMEs and of the files, then ours that nobody printed."""
    for told in read_published("refilled"):
        if told.fields["dataset"] == "CIFAR-100":
            yield _printed(told)
    for told in read_published("refilled_checkpoints"):
        if told.fields["dataset"] == "CIFAR-100":
            yield _cell(FILES, "Student (CE)", told.fields["network"], "ce", told)
    for method in methods_under(protocol, "ce-400", "gkd", "wgkd"):
        for student in STUDENTS:
            yield _cell(OURS, method, student, method)


def _printed(told: Published) -> Cell:
    row, student = told.fields["method"], told.fields["student"]
    method = next((ours for printed, ours in ANSWERING.items() if row.startswith(printed)), "")
    return _cell(PARTS[told.fields["table"]], row, student, method, told)


def _cell(part: str, row: str, student: str, method: str, told: Published | None = None) -> Cell:
    return Cell(
        part=part,
        row=row,
        column=student,
        metric="ncm_accuracy" if method == STAGE_1 else "accuracy",
        run=TABLE.path(student, method) if method else "",
        published=told.value if told else None,
        doubt=_doubt(part, student, method),
        source=told.source if told else "",
    )


def _doubt(part: str, student: str, method: str) -> str:
    if method == STAGE_1:
        return OWN_MEANS
    if part == FEBRUARY and (student, method) == ("WRN-16-2", "ce"):
        return STALE
    return REPEATED if (part, method) == (FEBRUARY, "refilled") else ""


def claims(protocol: EpochProtocol) -> Iterator[Claim]:
    """What the READMEs say of printed numbers, and whether equal budgets bear it out."""
    equal = control(protocol)
    yield _claim("REFILLED is better than cross-entropy", "refilled", "ce")
    if equal != "ce":
        yield _claim("REFILLED is better than cross-entropy for as many epochs", "refilled", equal)
    yield _claim("REFILLED is better than KD", "refilled", "kd")
    yield _claim("GKD is better than cross-entropy for as many epochs", "gkd", equal)
    yield _claim("Weights of images help GKD", "wgkd", "gkd")


def _claim(text: str, better: str, worse: str) -> Claim:
    return Claim(text=text, better=tuple((TABLE.path(each, better), TABLE.path(each, worse)) for each in STUDENTS))


def build(*, protocol: str = "paper", scale: Scale = "full") -> Study:
    """The tables under a protocol, at a scale."""
    under = EpochProtocol(protocol, scale)
    return Study(
        name="refilled-cifar100",
        title="REFILLED: accuracy on CIFAR-100, teacher and student of the same classes",
        source=f"{SOURCE}; READMEs of njulus/ReFilled@c5e077f and @be649aa",
        notes=(
            *under.notes(TWO_STAGES_NOTE, CODES_NOTE),
            *((FAIR_NOTE,) if protocol == "fair" else ()),
            *NOTES,
            *CIFAR_NOTES,
        ),
        variant={"protocol": protocol},
        scale=scale,
        runs=TABLE.runs(methods_under(under, *METHODS), under),
        cells=tuple(cells(under)),
        claims=tuple(claims(under)),
        task_terms=(CROSS_ENTROPY,),
        methods_in="row",
    )
