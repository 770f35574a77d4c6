"""Small images as a source: views of the right images, one size, one array for all processes."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from relbench.data.images.augmentation import SmallViews
from relbench.data.images.decoded import decoded_images
from relbench.data.images.photos import ImageFiles
from relbench.data.images.small import SmallImages
from relbench.data.random_views import random_views
from relbench.transforms import SmallTransform

SIDE, COUNT = 12, 20
USUAL = SmallTransform()


@pytest.fixture
def table(tmp_path):
    levels = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
    names = [f"{number:02d}.png" for number in np.random.default_rng(1).permutation(COUNT)]
    for name, image in zip(names, levels, strict=True):
        Image.fromarray(image).save(tmp_path / name)
    return pd.DataFrame({"name": names, "label": list("ab") * (COUNT // 2), "split": "train"})


def source(folder, names, table, transform=USUAL, size=SIDE):
    pixels = decoded_images(ImageFiles(folder, SIDE, threads=1), names, folder / "decoded")
    return SmallImages(table, pixels, size, transform, "what")


def test_test_views_are_the_images(tmp_path, table):
    lines = torch.tensor([3, 0, 3, 19])
    views = source(tmp_path, table["name"], table).test_batch(lines)
    expected = [np.asarray(Image.open(tmp_path / table["name"][line])) for line in lines.tolist()]
    assert torch.equal(views, torch.from_numpy(np.stack(expected)).permute(0, 3, 1, 2))
    assert views.dtype == torch.uint8
    views += 1  # a copy


def test_a_part_of_the_table_has_its_own_images(tmp_path, table):
    whole = source(tmp_path, table["name"], table)
    part = source(tmp_path, table["name"], table.iloc[5:12].reset_index(drop=True))
    assert torch.equal(part.test_batch(torch.arange(7)), whole.test_batch(torch.arange(5, 12)))
    assert part.data_hash != whole.data_hash
    assert (part.shape.size, part.shape.channels, part.content) == (SIDE, 3, "what")


@pytest.mark.parametrize("transform", [USUAL, SmallTransform(crop="resized", rotation=10, jitter=0.2)])
def test_training_views_depend_on_the_generator_alone(tmp_path, table, transform):
    small, lines = source(tmp_path, table["name"], table, transform), torch.tensor([4, 4, 1])
    views = small.train_batch(lines, torch.Generator().manual_seed(3))
    expected = random_views(SmallViews(transform, SIDE), small.test_batch(lines), torch.Generator().manual_seed(3))
    assert torch.equal(views, expected)


def test_a_copy_for_another_process_maps_the_same_file(tmp_path, table):
    small, lines = source(tmp_path, table["name"], table), torch.arange(COUNT)
    content = pickle.dumps(small)
    assert small.test_batch(lines[:1]).numpy().tobytes() not in content
    copy = pickle.loads(content)
    assert torch.equal(copy.test_batch(lines), small.test_batch(lines))
    assert copy.data_hash == small.data_hash


def test_the_hash_is_that_of_the_pixels_not_of_the_files(tmp_path, table):
    before = source(tmp_path, table["name"], table).data_hash
    path = tmp_path / table["name"][7]
    with Image.open(path) as image:
        levels = np.array(image)
    Image.fromarray(levels).save(path, compress_level=0)
    assert source(tmp_path, table["name"], table).data_hash == before
    levels[0, 0, 0] += 1
    Image.fromarray(levels).save(path)
    assert source(tmp_path, table["name"], table).data_hash != before


def test_another_size_is_refused(tmp_path, table):
    with pytest.raises(ValueError, match=r"\Adata.size = 32, but the images have 12 px: set data.size=12\Z"):
        source(tmp_path, table["name"], table, size=32)


def test_a_damaged_array_is_refused(tmp_path, table):
    source(tmp_path, table["name"], table)
    (path,) = (tmp_path / "decoded").glob("*.npy")
    content = bytearray(path.read_bytes())
    content[128 + 5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged: its picture of"):
        source(tmp_path, table["name"], table)
