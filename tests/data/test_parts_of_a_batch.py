"""A part of a batch: the views of the whole batch at its places, to the last bit, at the cost of the part."""

import numpy as np
import pytest
import torch
from data.every_source import COUNT, SIDE, TRANSFORMS, folder, sources, table_of  # noqa: F401 - fixtures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from relbench.data.images.photos import ImageFiles, Photos

KINDS = ("files", "decoded", "resized photos", "never mirrored", "glyphs", "textured", "cached", "made up")


@pytest.mark.parametrize("kind", [*KINDS, "made up, read", *TRANSFORMS])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_part_is_that_of_the_whole_batch(sources, kind, data):  # noqa: F811
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
def test_pictures_that_are_not_asked_for_are_not_read(sources, kind, monkeypatch):  # noqa: F811
    read, source = [], sources[kind]
    reader = "test_batch" if kind == "padded" else "_images_of"
    original = getattr(source, reader)
    monkeypatch.setattr(source, reader, lambda indices: read.extend(indices.tolist()) or original(indices))
    source.train_batch(torch.arange(10), torch.Generator(), torch.tensor([7, 1]))
    assert read == [7, 1]
