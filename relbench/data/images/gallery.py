"""A picture of a data set: a few classes of the training side and of the test side."""

from collections.abc import Sequence
from io import BytesIO

import matplotlib.style
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from relbench.data.images.photos import Pixels
from relbench.data.table import class_names, indices_of, labels_of
from relbench.fonts import make_readable
from relbench.plain_text import one_line

DOTS_PER_INCH = 150
WIDTH, TOP, ROW = 12.0, 0.5, 0.27  # inches: the figure, its headings, and what a row takes beside its images
GAP = 0.04  # of an image's side, between images
LONGEST = 48  # characters of a class name
SIDES = {"train": "Training", "test": "Test"}


def gallery(
    table: pd.DataFrame, pixels: Pixels, classes: int, images_per_class: int, generator: torch.Generator
) -> bytes:
    """Draw random classes of either side, a row each, with their first images, as the squares that are cropped from.

    Args:
        table: checked.
        pixels: the images by name.
        classes: how many of each side; fewer where there are fewer.
        images_per_class: how many of each class; fewer where there are fewer.
        generator: chooses the classes of the training side, then those of the test side.

    Returns:
        The picture as PNG.

    Raises:
        ValueError: an image can't be decoded.
    """
    chosen = {split: _chosen(table, split, classes, generator) for split in SIDES}
    rows = max(len(labels) for labels in chosen.values())
    content = BytesIO()
    with matplotlib.style.context("default", after_reset=True):
        height = TOP + rows * (WIDTH / 2 / images_per_class + ROW)
        figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
        halves = np.asarray(figure.subfigures(1, 2, wspace=0.03))
        for part, (split, labels) in zip(halves, chosen.items(), strict=True):
            _draw_side(part, table[table["split"] == split], split, labels, (rows, images_per_class), pixels)
        make_readable(figure)
        figure.savefig(content, format="png", dpi=DOTS_PER_INCH)
    return content.getvalue()


def _chosen(table: pd.DataFrame, split: str, count: int, generator: torch.Generator) -> list[str]:
    _, names = labels_of(table, indices_of(table, split))
    order = torch.randperm(len(names), generator=generator)[:count]
    return [names[place] for place in sorted(order.tolist())]


def _draw_side(
    part: SubFigure, table: pd.DataFrame, split: str, labels: Sequence[str], grid: tuple[int, int], pixels: Pixels
) -> None:
    rows, columns = grid
    counts = f"{table['label'].nunique():,} classes, {len(table):,} images"
    part.suptitle(f"{SIDES[split]}: {counts}", x=0.01, ha="left", fontsize="large", fontweight="bold")
    panels = np.asarray(part.subplots(rows, 1, squeeze=False))[:, 0]
    for axes in panels:
        axes.set_axis_off()
    shown = class_names(table)
    for axes, label in zip(panels, labels, strict=False):  # the other side may have more rows
        names = table["name"][table["label"] == label]
        _draw_row(axes, shown.get(label, label), len(names), _strip(list(pixels.read(names[:columns])), columns))


def _draw_row(axes: Axes, name: str, count: int, strip: NDArray[np.uint8]) -> None:
    axes.imshow(strip)
    images = "1 image" if count == 1 else f"{count:,} images"
    shown = one_line(name if len(name) <= LONGEST else f"{name[:LONGEST]}...")
    axes.set_title(f"{shown}  ({images})", loc="left", fontsize="medium", parse_math=False, pad=3)


def _strip(images: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Images side by side, on white; room for `columns` of them."""
    side = images[0].shape[-1]
    step = side + round(GAP * side)
    strip = np.full((side, columns * step, 3), 255, dtype=np.uint8)
    for place, image in enumerate(images):
        strip[:, place * step : place * step + side] = image.transpose(1, 2, 0)
    return strip
