"""The benchmark of image batches: it measures, and both ways show the same pixels."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from relbench.benchmarks import images
from relbench.data.images.photos import ImageFiles, Photos


def test_a_small_measurement():
    threads = torch.get_num_threads()
    speed, crops, build = images.figures(count=3, rounds=2)
    assert torch.get_num_threads() == threads
    assert speed.value > 1
    assert (speed.target, speed.bound) == (images.TARGET, "at least")
    assert min(crops.value, build.value) > 0
    assert 50 < int(re.search(r"of (\d+) kB", speed.name)[1]) < 120  # as a photo of that size takes


def test_pictures_are_textured_and_those_of_the_generator():
    first, again, other = (images.picture(np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.size == (500, 375)
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert np.asarray(first).std(axis=(0, 1)).min() > 30


@pytest.mark.parametrize("seed", range(4))  # mirrored and not
def test_the_plain_way_gives_one_of_our_views(tmp_path, seed):
    (name,) = images._write_pictures(tmp_path, 1, np.random.default_rng(0))
    plain = np.asarray(images._plain_view(tmp_path / name, torch.Generator().manual_seed(seed)))
    generator = torch.Generator().manual_seed(seed)
    left, top = torch.randint(33, (2,), generator=generator).tolist()
    mirrored = torch.rand(1, generator=generator).item() < 0.5
    photos = Photos(images._table([name]), tmp_path, 256, ImageFiles(tmp_path, 256, 1), content="")
    crop = photos.test_batch(torch.tensor([0]))[0, :, top : top + 224, left : left + 224]
    expected = crop.flip(2) if mirrored else crop
    np.testing.assert_array_equal(plain.transpose(2, 0, 1), expected.numpy())


def test_a_file_is_a_jpeg(tmp_path):
    (name,) = images._write_pictures(tmp_path, 1, np.random.default_rng(0))
    with Image.open(tmp_path / name) as image:
        assert (image.format, image.size) == ("JPEG", (500, 375))
