"""The command `relbench distill`: one teacher, one student, some methods, without a study's file."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relbench.cli.console import expanded
from relbench.cli.studies import with_run_options

if TYPE_CHECKING:
    from relbench.cli.options import RunOptions
    from relbench.studies.study import Study

TRUNK = "`relbench list` names trunks, such as resnet18 or timm:resnet18"
WEIGHTS = (
    "imagenet, random, or a file (.safetensors, .pt, .pth); default: imagenet for photos where the trunk has such "
    "weights and they have not seen the test's classes, else random"
)


@partial(with_run_options, without=("data", "dataset", "protocol", "scale", "selection"))
def distill(  # noqa: PLR0913 - one argument an option
    *,
    options: "RunOptions",
    teacher: Annotated[str, typer.Option(metavar="TRUNK", help=f"The teacher's network: {TRUNK}.")],
    student: Annotated[str, typer.Option(metavar="TRUNK", help="The student's network.")],
    data: Annotated[str, typer.Option(metavar="NAME", help="The data set; `relbench data add` adds yours.")],
    methods: Annotated[
        list[str],
        typer.Option(
            "--method",
            metavar="NAME",
            help="How to distil, several times for several: a method of the study glyphs-methods "
            "(glyphs-classification, glyphs-few-shot) with its weights, such as rkd-da, or a loss by name; or "
            "my_loss.py:MyLoss, WHICH IS EXECUTED.",
        ),
    ],
    data_folder: Annotated[
        Path, typer.Option(callback=expanded, help="Holds all data sets.", envvar="RELBENCH_DATA")
    ] = Path("datasets"),
    task: Annotated[str, typer.Option(help="retrieval, classification or few-shot.")] = "retrieval",
    steps: Annotated[int, typer.Option(help="Training steps of every network.", min=1)] = 2000,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Learning rate of every network; default: for each network and method the best of four on validation "
            "images, 1e-5 to 3e-4 with weights of ImageNet or of a file, 1e-4 to 3e-3 with random ones.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Side of the images in pixels; default: 224 for photos, 28 for glyphs, that of small images, as far "
            "as both trunks take it.",
            show_default=False,
        ),
    ] = None,
    dim: Annotated[
        int | None,
        typer.Option(
            help="Dimensions of the student's embedding; default: 128, or the trunk's, without retrieval.",
            show_default=False,
        ),
    ] = None,
    teacher_dim: Annotated[
        int | None,
        typer.Option(
            help="Dimensions of the teacher's embedding; default: 512, or the trunk's, without retrieval.",
            show_default=False,
        ),
    ] = None,
    teacher_weights: Annotated[
        str | None, typer.Option(help=f"What the teacher begins with: {WEIGHTS}.", show_default=False)
    ] = None,
    student_weights: Annotated[
        str | None, typer.Option(help="What the student begins with, likewise.", show_default=False)
    ] = None,
    teacher_as_is: Annotated[
        bool, typer.Option("--teacher-as-is", help="Leave the teacher's weights as they are: distil its features.")
    ] = False,
    save_study: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml", callback=expanded, help="Write the study to a file, to change it and to reproduce it."
        ),
    ] = None,
) -> bool:
    """Train a teacher, a student alone, and the student by each method; table, plots, verdicts. No study file needed.

    Every network has the same number of steps, batches of 128 images (64 for few-shot) and the same decay. `--set`
    changes any other setting, such as student.width=8, training.batch_size=64 or terms.rkd_angle.weight=4.
    """
    from relbench.cli.make_study import made
    from relbench.studies.distill import Asked, distilled

    asked = Asked(
        teacher=teacher,
        student=student,
        data=data,
        methods=methods,
        kind=task,
        steps=steps,
        rate=rate,
        size=size,
        dim=dim,
        teacher_dim=teacher_dim,
        teacher_weights=teacher_weights,
        student_weights=student_weights,
        as_is=teacher_as_is,
    )
    study = distilled(asked, data_folder)
    if save_study:
        _save(study, save_study, options)
    return made(study, replace(options, data=data_folder))


def _save(study: "Study", file: Path, options: "RunOptions") -> None:
    """Write a study to a file that is not there yet."""
    from relbench.cli.options import tell
    from relbench.files import atomic_write
    from relbench.settings import changed
    from relbench.studies.changes import with_values
    from relbench.studies.files import ENDING, study_text

    if file.suffix != ENDING or os.path.lexists(file):
        raise ValueError(f"--save-study {file}: name a file that ends with {ENDING}, and is not there yet")
    changed_study = with_values(study, options.changes)
    told = () if options.changes else study.settings_notes  # which are true of its own settings
    text = study_text(changed(changed_study, {"settings_notes": told}))
    with atomic_write(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
    tell(f"the study is written to {file}: relbench reproduce {file} makes it, too")
