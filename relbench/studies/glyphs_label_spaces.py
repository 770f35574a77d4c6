"""Distillation between label spaces on Glyphs: the student learns the teacher's letters, half of them, or others.

    relbench reproduce glyphs-label-spaces

115 runs (5 seeds).

The protocol of REFILLED's study of CIFAR-100 (njulus/GKD@a37fc79), on letters: of an order of all classes, here that of
Glyphs' manifest, the teacher learns the first 200, a student 200 from the first on ("same"), from the 101st on ("half")
or from the 201st on ("other"). Students of a space differ in their loss alone and are compared with the student of
cross-entropy there; accuracies of different spaces are of different letters, and say nothing beside each other.

HKD compares logits class by class, so it stands in the space of the teacher's own letters alone, and is refused
elsewhere. All other losses look at embeddings or maps, and REFILLED's second stage at the teacher's class centres of
the student's letters: no class needs to be the teacher's. REFILLED spends half of its epochs on the embedding alone;
`cross-entropy-short` has as many as its second stage.

Networks, optimiser, rate and the weight of each method are those of `glyphs-classification`, where they were chosen on
validation faces with teacher and student of equal classes; nothing was chosen for the other spaces.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from relbench.experiment import Classification, Data
from relbench.lookup import lookup
from relbench.settings import changed
from relbench.studies.distillation import Arm, in_halves
from relbench.studies.glyphs_classification import CROSS_ENTROPY, LETTERS, METHODS, REFILLED, STUDENT, TEACHER
from relbench.studies.study import Cell, Claim, Epochs, RunSpec, Scale, Stage, Study

SPACES = {"same": 0.0, "half": 0.5, "other": 1.0}  # share of a student's letters that the teacher did not learn
ALONE, SHORT = "cross-entropy", "cross-entropy-short"
TAUGHT = ("hkd", "rkd-d", "sp", "pkt", "refilled")
NEEDS_EQUAL_CLASSES = ("hkd",)
SEEDS = (0, 1, 2, 3, 4)
PART = "Student's letters, beside the teacher's"

NOTES = (
    "Accuracies of different letters can't be compared: only those of a column that has the same letters.",
    "hkd compares logits class by class: it is refused where the student has other letters than the teacher.",
    "refilled has two stages of half the epochs each: its embedding, then its classifier.",
    "cross-entropy-short has half of the epochs: as many as refilled's second stage.",
)
SETTINGS_NOTES = ("Settings and weights are those of glyphs-classification, chosen on validation faces.",)


@dataclass(frozen=True)
class Size:
    """How large a study is.

    Attributes:
        letters: of a label space.
        epochs: of every network.
        batch_size: images in a batch.
    """

    letters: int
    epochs: int
    batch_size: int

    @property
    def passes(self) -> Epochs:
        """The length of every training."""
        return Epochs(count=self.epochs, images=4 * self.letters, validate_every=self.epochs)


SIZES = {"full": Size(letters=200, epochs=60, batch_size=128), "toy": Size(letters=8, epochs=2, batch_size=16)}


def build(*, scale: Scale = "full") -> Study:
    """The study, or a toy of it: a few letters and two epochs, to see that everything runs."""
    size = SIZES[lookup(scale, SIZES, "scale")]
    runs = {"teacher": run_of(TEACHER, size, 0.0, (Stage(terms=(CROSS_ENTROPY,)),), role="teacher")}
    for space, share in SPACES.items():
        for method in (ALONE, SHORT, *taught_in(space)):
            runs[f"{space}/{method}"] = run_of(STUDENT, size, share, stages_of(method), teacher="teacher")
    return Study(
        name="glyphs-label-spaces",
        title="Distillation between label spaces on Glyphs: accuracy on letters of an unseen family of typefaces",
        source="the label spaces of REFILLED's study of CIFAR-100 (arXiv:2205.01915), on letters; no printed numbers",
        notes=NOTES,
        settings_notes=SETTINGS_NOTES,
        scale=scale,
        seeds=SEEDS,
        runs=runs,
        cells=tuple(_cells()),
        claims=tuple(_claims()),
        task_terms=(CROSS_ENTROPY,),
        methods_in="row",
    )


def _space(letters: int, share: float) -> Data:
    """The letters of a label space, which all of its sides have."""
    from relbench.data.glyphs.glyphs import letters_and_numbers  # noqa: PLC0415 - help texts wait for no library

    first = round(share * letters)
    names = tuple(letters_and_numbers()[first : first + letters])
    return changed(LETTERS, {"train_classes": names, "test_classes": names})


def taught_in(space: str) -> list[str]:
    """The methods with a teacher that can go there."""
    return [method for method in TAUGHT if space == "same" or method not in NEEDS_EQUAL_CLASSES]


def stages_of(method: str) -> tuple[Stage, ...]:
    """The trainings of a method."""
    if method == "refilled":
        return in_halves(REFILLED[:1], REFILLED[1:])
    if method == SHORT:
        return in_halves((CROSS_ENTROPY,))
    return (Stage(terms=(CROSS_ENTROPY, *METHODS[method])),)


def run_of(arm: Arm, size: Size, share: float, stages: tuple[Stage, ...], **given: str) -> RunSpec:
    """A run on the letters of a space, of which the teacher does not know this share."""
    data = _space(size.letters, share)
    training = changed(arm.training, {"batch_size": size.batch_size})
    how = {"data": data, "task": Classification(), "net": arm.net, "training": training, "epochs": size.passes}
    return RunSpec.model_validate({"stages": stages, **how, **given})


def _cells() -> Iterator[Cell]:
    """A row for each method, a column for each space; the teacher stands in its own."""
    yield _cell("teacher", "same", "teacher")
    for space in SPACES:
        for method in (ALONE, SHORT, *taught_in(space)):
            yield _cell(method, space, f"{space}/{method}")


def _cell(row: str, space: str, path: str) -> Cell:
    return Cell(part=PART, row=row, column=f"{space} letters", run=path, metric="accuracy")


def _claims() -> Iterator[Claim]:
    for space in SPACES:
        for method in taught_in(space):
            yield _beats(space, method, ALONE)
        yield _beats(space, "refilled", SHORT)


def _beats(space: str, method: str, other: str) -> Claim:
    return Claim(text=f"{space} letters: {method} beats {other}", better=((f"{space}/{method}", f"{space}/{other}"),))
