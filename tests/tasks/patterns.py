"""A data set of noisy pictures of four patterns, all of them in every split: made in memory, learnt in seconds."""

from copy import copy

import numpy as np
import pandas as pd
import torch

from relbench.data import DataSet
from relbench.data.table import Shape, checked, counts, table_hash
from relbench.transforms import GlyphTransform

CLASSES = ("crosses", "dots", "stripes", "waves")
IMAGES = {"train": 12, "validation": 4, "test": 6}  # of each class


class Patterns:
    """The source of images."""

    shape = Shape(channels=1, size=28)
    content = data_hash = "patterns"

    def __init__(self, sharing="shared"):
        lines = [
            (f"{label}/{split}/{number}", label, split)
            for split, count in IMAGES.items()
            for label in CLASSES
            for number in range(count)
        ]
        self.table = checked(pd.DataFrame(lines, columns=["name", "label", "split"]), classes=sharing)
        self.data_hash = table_hash(self.table)
        random = np.random.default_rng(0)
        patterns = dict(zip(CLASSES, random.random((4, 1, 28, 28)), strict=True))
        noisy = [patterns[label] + 0.5 * random.standard_normal((1, 28, 28)) for label in self.table["label"]]
        self._pictures = torch.from_numpy(np.stack(noisy)).float()

    def of(self, classes):
        """The images of some classes."""
        part, kept = copy(self), np.flatnonzero(self.table["label"].isin(classes or CLASSES))
        part.table = self.table.iloc[kept].reset_index(drop=True)
        part.data_hash, part._pictures = table_hash(part.table), self._pictures[torch.from_numpy(kept)]
        return part

    def train_batch(self, indices, generator, only=None):
        views = self._pictures[indices] + 0.1 * torch.randn(self._pictures[indices].shape, generator=generator)
        return views if only is None else views[only]

    def test_batch(self, indices):
        return self._pictures[indices]


def pattern_set(source):
    """The entry of the data set."""
    return DataSet(
        title="Patterns",
        summary="",
        transform=GlyphTransform,
        channels=1,
        ks=(1000,),  # of no interest to classification
        content=lambda _: source.content,
        table=lambda data, _: source.of(data.train_classes).table,
        load=lambda data, *_: source.of(data.train_classes),
        counts=counts(source.table),
    )
