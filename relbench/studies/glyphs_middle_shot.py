"""Distillation with few images of each class on Glyphs: a curve over their number, between letters that differ.

    relbench reproduce glyphs-middle-shot

105 runs (5 seeds).

The twin of `refilled-middle-shot` that needs no download. As in `glyphs-label-spaces`, the student learns other letters
than the teacher; but it is shown 1, 2 or 3 typefaces of each letter, or all 4 that training has. The teacher is that
study's, and so are the students of 4.

All students have as many steps as 60 epochs of 4 typefaces, however few are theirs, and refilled has half of them in
each stage. Which typefaces a letter is shown in is drawn for each letter, and is the same for all methods and seeds
(`relbench.data.selection.few_images`); so students of 1 see all four, each of other letters.

Networks, optimiser, rate and the weight of each method are those of `glyphs-classification`, where they were chosen on
validation faces with all typefaces; nothing was chosen for fewer.
"""

from collections.abc import Iterator

from relbench.lookup import lookup
from relbench.settings import changed
from relbench.studies.glyphs_classification import CROSS_ENTROPY, STUDENT, TEACHER
from relbench.studies.glyphs_label_spaces import (
    ALONE,
    SEEDS,
    SETTINGS_NOTES,
    SIZES,
    SPACES,
    Size,
    run_of,
    stages_of,
    taught_in,
)
from relbench.studies.study import Cell, Claim, RunSpec, Scale, Stage, Study

SPACE = "other"
SHOTS = {1: 1, 2: 2, 3: 3, 4: None}  # typefaces of a letter; None: all that there are, as the other study has it
METHODS = (ALONE, *taught_in(SPACE))
TOY = Size(letters=16, epochs=2, batch_size=16)

NOTES = (
    "A column's students are trained on so many typefaces of each letter, the same for all methods and seeds.",
    "All students have equally many steps, those of 60 epochs of 4 typefaces, however few are theirs.",
    "refilled has two stages of half the steps each: its embedding, then its classifier.",
    "The teacher has learned other letters, so that its accuracy says nothing beside the students'.",
)


def path_of(shot: int, method: str) -> str:
    """Of a student."""
    return f"k{shot}/{method}"


def build(*, scale: Scale = "full") -> Study:
    """The study, or a toy of it: a few letters and two epochs, to see that everything runs."""
    size = TOY if lookup(scale, SIZES, "scale") == "toy" else SIZES["full"]
    return Study(
        name="glyphs-middle-shot",
        title="Distillation with few typefaces of each letter on Glyphs: accuracy on letters that the teacher has not",
        source="the middle shots of REFILLED (CVPR 2020), on letters; no printed numbers",
        notes=NOTES,
        settings_notes=SETTINGS_NOTES,
        scale=scale,
        seeds=SEEDS,
        runs=_runs(size),
        cells=tuple(_cells()),
        claims=tuple(_claims()),
        task_terms=(CROSS_ENTROPY,),
        methods_in="row",
        curves_over="training images of each letter",
    )


def _runs(size: Size) -> dict[str, RunSpec]:
    teacher = run_of(TEACHER, size, 0.0, (Stage(terms=(CROSS_ENTROPY,)),), role="teacher")
    students = {path_of(shot, method): _student(size, shot, method) for shot in SHOTS for method in METHODS}
    return {"teacher": teacher} | students


def _student(size: Size, shot: int, method: str) -> RunSpec:
    run = run_of(STUDENT, size, SPACES[SPACE], stages_of(method), teacher="teacher")
    data = changed(run.data, {"train_images_per_class": SHOTS[shot]})
    return changed(run, {"data": data, "epochs": changed(size.passes, {"of_all_images": True})})


def _cells() -> Iterator[Cell]:
    """A row for each method, a column for each number of typefaces; the teacher stands alone."""
    yield Cell(part="Teacher, of its own letters", row="teacher", column="accuracy", run="teacher", metric="accuracy")
    for method in METHODS:
        for shot in SHOTS:
            run, column = path_of(shot, method), f"k = {shot}"
            yield Cell(part="Students, of other letters", row=method, column=column, run=run, metric="accuracy")


def _claims() -> Iterator[Claim]:
    """For each method, whether it helps; its numbers of typefaces are a family."""
    for method in taught_in(SPACE):
        for shot in SHOTS:
            text = f"{method} beats {ALONE}"
            pair = path_of(shot, method), path_of(shot, ALONE)
            yield Claim(text=f"k = {shot}: {text}", better=(pair,), family=text)
