"""The tiny archives hold what their makers say."""

import tarfile
import zipfile

import numpy as np
import pytest
from data.archives import MAKERS, PUBLISHED, name_of, pack
from PIL import Image

from relbench.data.datasets import cars196, cinic10, cub200, dtd, inshop, sop, tiny_imagenet
from relbench.data.parsing.annotations import read_lists
from relbench.data.table import counts

READERS = {
    "cub200": cub200,
    "cars196": cars196,
    "sop": sop,
    "inshop": inshop,
    "tiny-imagenet": tiny_imagenet,
    "cinic10": cinic10,
    "dtd": dtd.Partition(),
}
SHARED = (tiny_imagenet, cinic10, dtd.Partition())  # their parts have the same classes
SIZES = {"tiny-imagenet": (64, 64), "cinic10": (32, 32)}
SAFELY = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # not in the first releases of Python 3.11


def unpack(packed, made, folder):
    """Put archives' members beside the archive, and other files at their place."""
    for file in packed:
        target = folder / file.relative_to(made)
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.name.endswith((".tgz", ".tar.gz")):
            with tarfile.open(file) as archive:
                archive.extractall(target.parent, **SAFELY)
        elif file.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                archive.extractall(target.parent)
        else:
            target.write_bytes(file.read_bytes())


@pytest.mark.parametrize("layout", MAKERS)
def test_packed_and_unpacked_it_reads_the_same(tmp_path, layout):
    for folder in ("made", "packed", "unpacked"):
        (tmp_path / folder).mkdir()
    truth = MAKERS[layout](tmp_path / "made", classes=8, images=2)
    packed = pack(layout, tmp_path / "made", tmp_path / "packed")
    assert [str(file.relative_to(tmp_path / "packed")) for file in packed] == list(PUBLISHED[layout])
    unpack(packed, tmp_path / "packed", tmp_path / "unpacked")
    reader = READERS[name_of(layout)]
    table = read_lists(reader.scan, tmp_path / "unpacked", "shared" if reader in SHARED else "disjoint")
    assert table.to_csv() == truth.to_csv()
    assert counts(table)["train_classes"] == counts(table)["test_classes"] == 8


@pytest.mark.parametrize("layout", MAKERS)
def test_some_images_are_grey_and_none_is_two_images(tmp_path, layout):
    truth = MAKERS[layout](tmp_path)
    modes = []
    for name in truth["name"]:
        with Image.open(tmp_path / name) as image:
            modes.append(image.mode)
            assert image.size == SIZES.get(name_of(layout), (40, 30))
    assert set(modes) == {"L", "RGB"}
    assert len({(tmp_path / name).read_bytes() for name in truth["name"]}) == len(truth)


def test_classes_can_be_told_apart(tmp_path):
    """Each picture's mean colour is nearest to another picture of its own class."""
    truth = MAKERS["sop"](tmp_path, classes=8, images=4)
    colours = []
    for name in truth["name"]:
        with Image.open(tmp_path / name) as image:
            colours.append(np.asarray(image.convert("RGB")).mean(axis=(0, 1)))
    distance = np.linalg.norm(np.array(colours)[:, None] - np.array(colours)[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    labels = truth["label"].to_numpy()
    assert (labels[distance.argmin(axis=1)] == labels).mean() > 0.8
