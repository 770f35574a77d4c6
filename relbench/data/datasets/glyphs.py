"""Glyphs, grey and textured: rendered on first use, so nothing is downloaded."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from relbench.data.data_set import DataSet, transform_of
from relbench.data.glyphs.glyphs import Glyphs, character, content_hash, glyph_counts, glyph_table
from relbench.data.glyphs.textured import TexturedGlyphs, textured_content
from relbench.data.table import ImageSource, Progress
from relbench.experiment import Data
from relbench.transforms import GlyphTransform


def _data_set(title: str, summary: str, content: Callable[[], str], source: type[Glyphs]) -> DataSet:
    """A data set made of rendered glyphs; all keep them in the same folder, as some can share them."""

    def load(data: Data, root: Path, progress: Progress) -> ImageSource:
        distortion = _checked(data).distortion
        return source(
            data.size,
            data.train_classes,
            data.test_classes,
            distortion,
            root / "glyphs",
            progress,
            hold_out=data.hold_out,
            split=data.split,
            train_images_per_class=data.train_images_per_class,
        )

    def table(data: Data, _: Path) -> pd.DataFrame:
        _checked(data)
        classes = data.train_classes, data.test_classes
        return glyph_table(*classes, data.hold_out, data.split, data.train_images_per_class)

    return DataSet(
        title=title,
        summary=summary,
        transform=GlyphTransform,
        channels=source.views.channels,
        ks=(1, 2, 4, 8, 16, 32),
        content=lambda _: content(),
        table=table,
        load=load,
        class_name=character,
        counts=glyph_counts(),
        licence="free, that of the DejaVu fonts",
        views=lambda data: source.views(data.size, transform_of(data, GlyphTransform()).distortion),
        oversize=source.oversize,
    )


def _checked(data: Data) -> GlyphTransform:
    """The views, of settings that glyphs can have.

    Raises:
        ValueError: views of another kind, or another partition than the first.
    """
    if data.partition > 1:
        raise ValueError(f"data.partition = {data.partition}, but {data.name} has 1 alone: choose this")
    return transform_of(data, GlyphTransform())


GLYPHS = _data_set(
    "Glyphs", "letters and signs in the twelve DejaVu faces; rendered on first use, no download", content_hash, Glyphs
)
TEXTURED = _data_set(
    "textured Glyphs",
    "glyphs filled with coloured textures, on others; for large networks, no download",
    textured_content,
    TexturedGlyphs,
)
