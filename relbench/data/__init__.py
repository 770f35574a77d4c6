"""Data sets: one file each, all as a checked table and a source of images."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from relbench.data.glyphs import Glyphs, content_hash
from relbench.data.table import ImageSource
from relbench.experiment import Data

Progress = Callable[[Iterable[str]], Iterable[str]]


@dataclass(frozen=True)
class DataSet:
    """An entry of `DATASETS`."""

    summary: str
    content: Callable[[], str]  # hash of the manifest, without loading anything
    load: Callable[[Data, Path, Progress], ImageSource]
    ks: tuple[int, ...]  # the Ks of Recall@K that are usual for it


def _load_glyphs(data: Data, folder: Path, progress: Progress) -> ImageSource:
    return Glyphs(data.size, data.train_classes, data.test_classes, data.distortion, folder / "glyphs", progress)


DATASETS = {
    "glyphs": DataSet(
        summary="letters and signs in the twelve DejaVu faces; rendered on first use, no download",
        content=content_hash,
        load=_load_glyphs,
        ks=(1, 2, 4, 8, 16, 32),
    ),
}
