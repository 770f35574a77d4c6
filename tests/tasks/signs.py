"""A data set of noisy pictures of a sign for each class, other classes in each split: made in memory."""

import numpy as np
import pandas as pd
import pytest
import torch

import relbench.data.datasets.rendered
from relbench.data import DataSet
from relbench.data.table import Shape, checked, counts, table_hash
from relbench.transforms import GlyphTransform

CLASSES = {"train": 8, "validation": 4, "test": 7}
IMAGES = 9  # of each class


class Signs:
    """The source of images."""

    shape = Shape(channels=1, size=28)
    content = "signs"

    def __init__(self):
        lines = [
            (f"{split}{label}/{number}", f"{split}{label}", split)
            for split, count in CLASSES.items()
            for label in range(count)
            for number in range(IMAGES)
        ]
        self.table = checked(pd.DataFrame(lines, columns=["name", "label", "split"]), classes="disjoint")
        self.data_hash, random = table_hash(self.table), np.random.default_rng(0)
        signs = {label: random.random((1, 28, 28)) for label in dict.fromkeys(self.table["label"])}
        noisy = [signs[label] + 0.4 * random.standard_normal((1, 28, 28)) for label in self.table["label"]]
        self._pictures = torch.from_numpy(np.stack(noisy)).float()

    def train_batch(self, indices, generator, only=None):
        views = self._pictures[indices] + 0.1 * torch.randn(self._pictures[indices].shape, generator=generator)
        return views if only is None else views[only]

    def test_batch(self, indices):
        return self._pictures[indices]


SIGNS = Signs()


@pytest.fixture
def signs(monkeypatch):
    """Experiments find the data set by its name."""
    data_set = DataSet(
        title="Signs",
        summary="",
        transform=GlyphTransform,
        channels=1,
        ks=(1000,),  # of no interest to few-shot learning
        content=lambda _: SIGNS.content,
        table=lambda *_: SIGNS.table,
        load=lambda *_: SIGNS,
        counts=counts(SIGNS.table),
    )
    monkeypatch.setitem(relbench.data.datasets.rendered.RENDERED, "signs", data_set)
