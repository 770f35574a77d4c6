"""A part of a batch: the views of the whole batch at its places, to the last bit, at the cost of the part."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from relbench.data.cached_views import CachedViews
from relbench.data.glyphs.glyphs import Glyphs
from relbench.data.glyphs.textured import TexturedGlyphs
from relbench.data.images.decoded import decoded_images
from relbench.data.images.photos import ImageFiles, Photos
from relbench.data.images.small import SmallImages
from relbench.experiment import Data, Experiment, Net, Term
from relbench.grid.estimate.calibration import _Images
from relbench.transforms import SmallTransform

COUNT, SIDE = 20, 20
TRANSFORMS = {
    "padded": SmallTransform(),
    "reflected": SmallTransform(padding="reflect", pad=3, rotation=20, jitter=0.3),
    "resized": SmallTransform(crop="resized", rotation=20, jitter=0.3),
    "whole": SmallTransform(crop="none", flip=True),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number, pixels in enumerate(np.random.default_rng(0).integers(256, size=(COUNT, 24, 30, 3), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def table_of():
    return pd.DataFrame({"name": [f"{number}.png" for number in range(COUNT)], "label": "a", "split": "train"})


@pytest.fixture(scope="module")
def sources(folder):
    """A source of each kind, by name."""
    table, files = table_of(), ImageFiles(folder, SIDE, threads=2)
    decoded = decoded_images(files, table["name"], folder)
    glyphs = Glyphs(16, 6, 4, 1.0, folder, hold_out=False)
    glyph_data = Data(name="glyphs", size=16)
    photos = {
        "files": Photos(table, folder, 15, files, ""),
        "decoded": Photos(table, folder, 15, decoded, ""),
        "resized photos": Photos(table, folder, 16, decoded, "", resized_crop=True),
        "never mirrored": Photos(table, folder, 15, decoded, "", mirror=False),
    }
    rendered = {
        "glyphs": glyphs,
        "textured": TexturedGlyphs(32, 6, 4, 1.0, folder, hold_out=False),
        "cached": CachedViews(glyphs),
        "made up": _Images(Experiment(data=glyph_data, net=Net(), terms=(Term(loss="triplet"),)), 1),
        "made up, read": _Images(Experiment(data=Data(name="cub200"), net=Net(), terms=(Term(loss="triplet"),)), 3),
    }
    return photos | rendered | {name: SmallImages(table, decoded, SIDE, each, "") for name, each in TRANSFORMS.items()}


KINDS = ("files", "decoded", "resized photos", "never mirrored", "glyphs", "textured", "cached", "made up")


@pytest.mark.parametrize("kind", [*KINDS, "made up, read", *TRANSFORMS])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_part_is_that_of_the_whole_batch(sources, kind, data):
    """Any places in any order, some twice, or none; and the generator is left where the whole batch leaves it."""
    source = sources[kind]
    count = data.draw(st.integers(1, 40))
    indices = torch.tensor(data.draw(st.lists(st.integers(0, COUNT - 1), min_size=count, max_size=count)))
    only = torch.tensor(data.draw(st.lists(st.integers(0, count - 1), max_size=50)), dtype=torch.int64)
    one, other = (torch.Generator().manual_seed(count) for _ in range(2))
    whole, part = source.train_batch(indices, one), source.train_batch(indices, other, only)
    assert torch.equal(part, whole[only])
    assert (part.shape, part.dtype) == (whole[only].shape, whole.dtype)
    assert torch.equal(one.get_state(), other.get_state())


def test_a_photo_that_is_not_asked_for_is_not_opened(tmp_path):
    for number in range(COUNT):
        Image.fromarray(np.full((24, 30, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"damaged")
    photos, indices = Photos(table_of(), tmp_path, 15, ImageFiles(tmp_path, SIDE, threads=2), ""), torch.arange(6)
    views = photos.train_batch(indices, torch.Generator(), torch.tensor([5, 2]))
    assert views[:, 0, 0, 0].tolist() == [5, 2]
    with pytest.raises(ValueError, match=r"3\.png can't be decoded"):
        photos.train_batch(indices, torch.Generator(), torch.tensor([2, 3]))


@pytest.mark.parametrize("kind", ["padded", "glyphs", "textured"])
def test_pictures_that_are_not_asked_for_are_not_read(sources, kind, monkeypatch):
    read, source = [], sources[kind]
    reader = "test_batch" if kind == "padded" else "_pictures_of"
    original = getattr(source, reader)
    monkeypatch.setattr(source, reader, lambda indices: read.extend(indices.tolist()) or original(indices))
    source.train_batch(torch.arange(10), torch.Generator(), torch.tensor([7, 1]))
    assert read == [7, 1]
