"""CINIC-10: its parts, where images come from, and what is refused."""

from functools import partial

import pandas as pd
import pytest
from data.archives import make_cinic10, write_image
from data.damage import refusal

from relbench.data.datasets.cinic10 import scan
from relbench.data.parsing.annotations import read_lists
from relbench.data.table import counts, table_hash

read = partial(read_lists, scan, classes="shared")


def test_the_table_is_the_truth(tmp_path):
    truth = make_cinic10(tmp_path, classes=3, images=4)
    table = read(tmp_path)
    pd.testing.assert_frame_equal(table, truth)
    assert table.groupby("split").size().to_dict() == {"test": 12, "train": 12, "validation": 12}
    assert set(table["origin"]) == {"cifar", "imagenet"}
    assert counts(table) == {
        "train_classes": 3,
        "train_images": 24,
        "test_classes": 3,
        "test_images": 12,
        "queries": 12,
        "gallery": 12,
    }


def test_the_origin_does_not_change_the_data(tmp_path):
    truth = make_cinic10(tmp_path)
    assert table_hash(read(tmp_path)) == table_hash(truth.drop(columns="origin"))


def test_hidden_files_and_texts_do_not_enter(tmp_path):
    truth = make_cinic10(tmp_path)
    assert (tmp_path / "train/airplane/.DS_Store").exists()
    (tmp_path / "train/airplane/._cifar10-test-1.png").write_bytes(b"\0\5\x16\7 no image")
    (tmp_path / "train/airplane/list.txt").write_text("cifar10-test-1.png")
    pd.testing.assert_frame_equal(read(tmp_path), truth)


def renamed(source, target):
    return lambda folder: (folder / source).rename(folder / target)


FAULTS = [
    (renamed("valid", "val"), "valid cannot be read (No such file or directory): it should be a folder of images"),
    (renamed("valid/airplane", "valid/plane"), "but not in 'validation': splits must have the same classes"),
    (
        lambda folder: write_image(folder / "test/boat/n02000002_9.png", 9, 9),
        "class 'boat' lies in 'test', by image 'test/boat/n02000002_9.png' (",
    ),
    (
        renamed("test/airplane/n02000002_1.png", "test/airplane/plane.png"),
        "test/airplane, file 3: 'plane.png' is named neither as ImageNet's images",
    ),
    (renamed("train/airplane", "train/air\nplane"), "a name with characters that cannot be printed: rename it"),
]


@pytest.mark.parametrize(("damage", "message"), FAULTS, ids=range(len(FAULTS)))
def test_faults(tmp_path, damage, message):
    make_cinic10(tmp_path)
    damage(tmp_path)
    assert message in refusal(lambda: read(tmp_path))
