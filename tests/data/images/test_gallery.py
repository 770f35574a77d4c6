"""The gallery: which images it shows, and that it is a picture."""

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_photos import write_photos

from relbench.data.images import gallery as module
from relbench.data.images.gallery import gallery
from relbench.data.images.photos import ImageFiles
from relbench.data.table import checked


class Recorder:
    """Images of one colour each; remembers which were asked for."""

    side = 8

    def __init__(self):
        self.asked = []

    def read(self, names):
        for name in names:
            self.asked.append(name)
            yield np.full((3, 8, 8), len(self.asked), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    """Fewer pixels: the same pictures in a fraction of the time."""
    monkeypatch.setattr(module, "DOTS_PER_INCH", 30)


@pytest.fixture(scope="module")
def table():
    rows = [
        (f"{split}/{label}/{number}", f"{split} {label}", split)
        for split in ("train", "validation", "test")
        for label in range(9)
        for number in range(1 + label % 4)
    ]
    return checked(pd.DataFrame(rows, columns=["name", "label", "split"]))


def asked(table, classes, images, seed=0):
    pixels = Recorder()
    content = gallery(table, pixels, classes, images, torch.Generator().manual_seed(seed))
    return content, pixels.asked


def test_shows_so_many_classes_of_both_sides_and_so_many_images_of_each(table):
    _, names = asked(table, 4, 3)
    parts = pd.DataFrame([name.split("/") for name in names], columns=["split", "label", "number"])
    assert parts["split"].unique().tolist() == ["train", "test"]
    assert parts.groupby("split")["label"].nunique().tolist() == [4, 4]
    for (_, label), numbers in parts.groupby(["split", "label"])["number"]:
        assert numbers.tolist() == [str(number) for number in range(min(3, 1 + int(label) % 4))]


def test_the_generator_decides(table):
    first, again, other = (asked(table, 3, 9, seed) for seed in (0, 0, 1))
    assert first == again
    assert first[1] != other[1]


def test_all_classes_if_there_are_fewer(table):
    _, names = asked(table, 100, 4)
    assert sorted(names) == sorted(table["name"][table["split"] != "validation"])


def test_a_picture_of_files(tmp_path):
    photos = checked(write_photos(tmp_path))
    before = dict(mpl.rcParams)
    content = gallery(photos, ImageFiles(tmp_path, 20, 1), 2, 3, torch.Generator())
    assert dict(mpl.rcParams) == before
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        assert image.width == module.WIDTH * module.DOTS_PER_INCH
        pixels = np.asarray(image.convert("RGB"))
    coloured = np.ptp(pixels.astype(int), axis=2) > 30
    assert 0.5 < coloured.mean() < 0.95  # mostly photos
    left, right = np.array_split(coloured, 2, axis=1)
    assert min(left.mean(), right.mean()) > 0.4


def test_class_names_of_any_kind(table):
    labels = ["cost $5 and $6", "_hidden", "a" * 300, "100 %", "\\alpha", "two\nlines", "\u732b", "tab\t\x07"]
    renamed = {f"train {number}": label for number, label in enumerate(labels)}
    content, _ = asked(table.assign(label=table["label"].replace(renamed)), 9, 9)
    assert content.startswith(b"\x89PNG")


def test_readers_are_shown_class_names_in_place_of_codes(table, monkeypatch):
    """And a warning about missing characters would be an error here."""
    named = {"train 0": "\u732b", "test 3": "dog", "test 4": "dog"}
    drawn = []
    monkeypatch.setattr(module, "_draw_row", lambda _axes, name, *_: drawn.append(name))
    asked(table.assign(class_name=table["label"].map(named)), 9, 1)
    codes = [f"{split} {number}" for split in ("train", "test") for number in range(9)]
    assert drawn == [
        {"train 0": "\u732b", "test 3": "dog (test 3)", "test 4": "dog (test 4)"}.get(code, code) for code in codes
    ]


def test_strip_keeps_the_images_and_leaves_room():
    images = [np.random.default_rng(seed).integers(0, 256, (3, 50, 50), dtype=np.uint8) for seed in (0, 1)]
    strip = module._strip(images, columns=3)
    assert strip.shape == (50, 3 * 52, 3)
    for place, image in enumerate(images):
        np.testing.assert_array_equal(strip[:, place * 52 : place * 52 + 50], image.transpose(1, 2, 0))
    assert (strip[:, 104:] == 255).all()
