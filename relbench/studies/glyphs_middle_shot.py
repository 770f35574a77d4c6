"""Distillation with few images of each class on Glyphs: a curve over their number, between letters that differ.

    relbench reproduce glyphs-middle-shot

115 runs (5 seeds).

The twin of `refilled-middle-shot` that needs no download. As in `glyphs-label-spaces`, the student learns other letters
than the teacher, which is that study's; but it is shown 1, 2 or 3 typefaces of each letter, or all 4 that training has.
With 1, no batch has two images of a letter: REFILLED's first stage has nothing to compare, and is left out there.

All students have as many steps as 60 epochs of 4 typefaces, however few are theirs, and refilled has half of them in
each stage. Batches are of 100 images, not of 128 as there: so every epoch is of whole batches. With 128, the last one
of 2 typefaces has 16 images, and accuracies fell: with seed 0 from 53 to 35 % for cross-entropy, from 51 to 21 % for
PKT, whose loss grows as a batch shrinks.

Which typefaces a letter is shown in is drawn for each letter, and is the same for all methods and seeds
(`relbench.data.selection.few_images`); so students of 1 see all four, each of other letters.

Networks, optimiser, rate and the weight of each method are those of `glyphs-classification`, where they were chosen on
validation faces with all typefaces, in batches of 128; nothing was chosen for fewer.
"""

from collections.abc import Iterator
from dataclasses import replace

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
FULL, TOY = replace(SIZES["full"], batch_size=100), Size(letters=16, epochs=2, batch_size=16)

NOTES = (
    "A column's students are trained on so many typefaces of each letter, the same for all methods and seeds.",
    "All students have equally many steps, those of 60 epochs of 4 typefaces, however few are theirs.",
    (
        "refilled has two stages of half the steps each, its embedding, then its classifier; with one typeface of a "
        "letter the first has nothing to compare."
    ),
    "The teacher has learned other letters, so that its accuracy says nothing beside the students'.",
)


def methods_with(shot: int) -> list[str]:
    """Those that can be trained with so many typefaces of a letter."""
    return [method for method in METHODS if shot > 1 or method != "refilled"]


def path_of(shot: int, method: str) -> str:
    """Of a student."""
    return f"k{shot}/{method}"


def build(*, scale: Scale = "full") -> Study:
    """The study, or a toy of it: a few letters and two epochs, to see that everything runs."""
    toy = lookup(scale, SIZES, "scale") == "toy"
    return Study(
        name="glyphs-middle-shot",
        title="Distillation with few typefaces of each letter on Glyphs: accuracy on letters that the teacher has not",
        source="the middle shots of REFILLED (CVPR 2020), on letters; no printed numbers",
        notes=NOTES,
        settings_notes=SETTINGS_NOTES,
        scale=scale,
        seeds=SEEDS,
        runs=_runs(TOY, TOY) if toy else _runs(SIZES["full"], FULL),
        cells=tuple(_cells()),
        claims=tuple(_claims()),
        task_terms=(CROSS_ENTROPY,),
        methods_in="row",
        curves_over="training images of each letter",
    )


def _runs(of_teacher: Size, of_students: Size) -> dict[str, RunSpec]:
    teacher = run_of(TEACHER, of_teacher, 0.0, (Stage(terms=(CROSS_ENTROPY,)),), role="teacher")
    places = [(shot, method) for shot in SHOTS for method in methods_with(shot)]
    return {"teacher": teacher} | {path_of(*place): _student(of_students, *place) for place in places}


def _student(size: Size, shot: int, method: str) -> RunSpec:
    run = run_of(STUDENT, size, SPACES[SPACE], stages_of(method), teacher="teacher")
    data = changed(run.data, {"train_images_per_class": SHOTS[shot]})
    return changed(run, {"data": data, "epochs": changed(size.passes, {"of_all_images": True})})


def _cells() -> Iterator[Cell]:
    """A row for each method, a column for each number of typefaces; the teacher stands alone."""
    yield Cell(part="Teacher, of its own letters", row="teacher", column="accuracy", run="teacher", metric="accuracy")
    for method in METHODS:
        for shot in (shot for shot in SHOTS if method in methods_with(shot)):
            run, column = path_of(shot, method), f"k = {shot}"
            yield Cell(part="Students, of other letters", row=method, column=column, run=run, metric="accuracy")


def _claims() -> Iterator[Claim]:
    """For each method, whether it helps; its numbers of typefaces are a family."""
    for method in taught_in(SPACE):
        for shot in (shot for shot in SHOTS if method in methods_with(shot)):
            text = f"{method} beats {ALONE}"
            pair = path_of(shot, method), path_of(shot, ALONE)
            yield Claim(text=f"k = {shot}: {text}", better=(pair,), family=text)
