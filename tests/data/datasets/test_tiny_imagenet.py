"""Tiny ImageNet: both parts, the places where its validation images may lie, and what is refused."""

import shutil
from functools import partial

import pandas as pd
import pytest
from data.archives import make_tiny_imagenet
from data.damage import (
    damaged,
    doubled,
    line,
    refusal,
    refusal_after,
    replaced,
    rows_of,
    table_or_refusal,
    with_content,
    without,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench.data.datasets.tiny_imagenet import scan
from relbench.data.parsing.annotations import read_lists
from relbench.data.table import class_names, table_hash

read = partial(read_lists, scan, classes="shared")

FILES = ("wnids.txt", "words.txt", "val/val_annotations.txt")
FIRST, SECOND = "n10000000", "n09999923"  # as in wnids.txt


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny-imagenet")
    return folder, make_tiny_imagenet(folder)


def root_of(folder):
    return folder / "tiny-imagenet-200"


def test_the_table_is_the_truth(made):
    folder, truth = made
    pd.testing.assert_frame_equal(read(folder), truth)
    assert (root_of(folder) / "wnids.txt").read_text().split() == [FIRST, SECOND]
    assert truth.groupby("split")["label"].unique().map(sorted).tolist() == [[SECOND, FIRST]] * 2
    assert class_names(truth) == {FIRST: "fish 00", SECOND: "fish 23"}
    assert not read(folder)["name"].str.contains("/test/").any()  # the part without labels


def test_images_stand_by_number_not_by_name(tmp_path):
    """After image 9 comes image 10."""
    truth = make_tiny_imagenet(tmp_path, images=12)
    names = truth["name"].str.extract(r"_(\d+)\.JPEG$")[0].astype(int)
    assert names.tolist() == [*range(12), *range(12), *range(24)]
    pd.testing.assert_frame_equal(read(tmp_path), truth)


@pytest.mark.parametrize("val", ["folders", "nested"])
def test_moved_images_are_the_same_rows_but_for_their_paths(made, tmp_path, val):
    _, published = made
    truth = make_tiny_imagenet(tmp_path, val=val)
    pd.testing.assert_frame_equal(read(tmp_path), truth)
    without_paths = [table.assign(name=table["name"].str.rsplit("/").str[-1]) for table in (truth, published)]
    assert table_hash(without_paths[0]) == table_hash(without_paths[1])


def test_half_of_the_images_are_moved(tmp_path):
    """The annotations tell the classes of all."""
    truth = make_tiny_imagenet(tmp_path)
    val = root_of(tmp_path) / "val"
    (val / FIRST).mkdir()
    (val / "images/val_2.JPEG").rename(val / FIRST / "val_2.JPEG")
    expected = truth["name"].str.replace("val/images/val_2", f"val/{FIRST}/val_2")
    assert read(tmp_path)["name"].tolist() == expected.tolist()


FAULTS = [
    ("wnids.txt", line(1, "goldfish"), "wnids.txt, line 1: 'goldfish' is not a WordNet id such as 'n01443537'"),
    ("wnids.txt", line(1, f"{FIRST} x"), "wnids.txt, line 1: has 2 columns instead of 1"),
    ("wnids.txt", doubled(1), f"wnids.txt, line 2: '{FIRST}' stands in line 1, too"),
    ("wnids.txt", without(2), f"train/{SECOND} is a folder of no class of wnids.txt"),
    ("wnids.txt", lambda text: f"{text}n00000009\n", "words.txt has no words for the class n00000009"),
    ("words.txt", without(2), f"words.txt has no words for the class {SECOND}"),
    ("words.txt", replaced("fish 23", ", fish"), f"words.txt has no words for the class {SECOND}"),
    ("words.txt", replaced("fish 23", "fish \0"), "words.txt, line 2: 'fish \\x00, animal' holds characters"),
    ("val/val_annotations.txt", without(2), "val_annotations.txt does not name images/val_1.JPEG"),
    ("val/val_annotations.txt", doubled(2), "val_annotations.txt, line 3: 'val_1.JPEG' stands in line 2, too"),
    ("val/val_annotations.txt", replaced("val_0.JPEG\t", "val_0.JPEG "), "line 1: has 5 columns instead of 6"),
    ("val/val_annotations.txt", replaced(FIRST, "n00000009"), "line 1: 'n00000009' is no class of wnids.txt"),
    ("val/val_annotations.txt", replaced("val_0.JPEG", "../x.JPEG"), "line 1: '../x.JPEG' is not the path of an"),
    ("val/val_annotations.txt", replaced("val_0.JPEG", "x.JPEG"), "does not name images/val_0.JPEG"),
    (
        "val/val_annotations.txt",
        lambda text: f"{text}val_6.JPEG\t{FIRST}\t0\t0\t1\t1\n",
        "val_annotations.txt, line 7: image 'tiny-imagenet-200/val/images/val_6.JPEG' is not in",
    ),
]


@pytest.mark.parametrize(("name", "edit", "message"), FAULTS, ids=range(len(FAULTS)))
def test_a_damaged_list(made, name, edit, message):
    folder, _ = made
    assert message in refusal_after(edit, root_of(folder) / name, lambda: read(folder))


def moved(source, target):
    """Move a file or a folder below the root."""
    return lambda root: (root / source).rename(root / target)


def copied(source, target):
    return lambda root: shutil.copy(root / source, root / target)


TRAIN, OTHER = f"train/{FIRST}/images/{FIRST}", f"train/{SECOND}/images/{SECOND}"
MISPLACED = [
    ("images", moved(f"{TRAIN}_1.JPEG", f"train/{SECOND}/images/{FIRST}_1.JPEG"), f"'{FIRST}_1.JPEG' is not named as"),
    ("images", moved(f"{TRAIN}_1.JPEG", f"{TRAIN}_7.JPEG"), f"{FIRST}_1.JPEG is missing, but higher numbers are there"),
    ("images", moved(f"train/{FIRST}", "train/n00000009"), "train/n00000009 is a folder of no class of wnids.txt"),
    ("images", moved(f"train/{FIRST}", FIRST), f"wnids.txt, line 1: the class {FIRST} has no folder in"),
    ("images", moved(f"train/{FIRST}/images", f"train/{FIRST}/more"), f"{FIRST}/images cannot be read (No such file"),
    ("images", moved("val/val_annotations.txt", "x.txt"), "val_annotations.txt is missing, and nothing else tells the"),
    ("images", moved("val/images/val_3.JPEG", "x.JPEG"), "line 4: image 'tiny-imagenet-200/val/images/val_3.JPEG' is"),
    ("images", moved("val", "x"), "val cannot be read (No such file or directory)"),
    ("images", moved("train", "x"), "train cannot be read (No such file or directory)"),
    ("images", moved("wnids.txt", "x"), "wnids.txt cannot be read (No such file or directory)"),
    ("images", moved("words.txt", "x"), "words.txt cannot be read (No such file or directory)"),
    ("images", moved("val/images/val_3.JPEG", "val/images/3.JPEG"), "does not name images/3.JPEG"),
    ("folders", moved(f"val/{FIRST}/val_0.JPEG", f"val/{FIRST}/0.JPEG"), "'0.JPEG' is not named as 'val_0.JPEG' is"),
    ("folders", moved(f"val/{FIRST}", "val/n00000009"), "val/n00000009 is a folder of no class of wnids.txt"),
    ("folders", copied(f"val/{FIRST}/val_0.JPEG", f"val/{SECOND}/val_0.JPEG"), "val_0.JPEG are the same image: keep"),
    (
        "nested",
        moved(f"val/{FIRST}/images/val_0.JPEG", f"val/{SECOND}/images/val_0.JPEG"),
        f"val_annotations.txt, line 1: says class {FIRST}, but the image is {SECOND}/images/val_0.JPEG",
    ),
]


@pytest.mark.parametrize(("val", "misplace", "message"), MISPLACED, ids=range(len(MISPLACED)))
def test_a_misplaced_image(tmp_path, val, misplace, message):
    make_tiny_imagenet(tmp_path, val=val)
    misplace(root_of(tmp_path))
    assert message in refusal(lambda: read(tmp_path))


def test_a_class_without_validation_images(tmp_path):
    make_tiny_imagenet(tmp_path, val="folders")
    shutil.rmtree(root_of(tmp_path) / "val" / FIRST)
    message = refusal(lambda: read(tmp_path))
    assert f"class '{FIRST}' lies in 'train'" in message
    assert "but not in 'test': splits must have the same classes" in message


def plainly(folder):
    """What the annotations say of the images that are there."""
    for text in (root_of(folder) / "val/val_annotations.txt").read_bytes().decode().removesuffix("\n").split("\n"):
        name, wnid = map(str.strip, text.split("\t")[:2])
        yield f"tiny-imagenet-200/val/images/{name}", wnid


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_damage_gives_a_refusal_or_what_the_file_says(made, name, data):
    folder, truth = made
    file = root_of(folder) / name
    content = data.draw(damaged(file.read_bytes()))

    def check():
        table = table_or_refusal(lambda: read(folder), *FILES, "class '")
        if table is None:
            return
        train, test = (table[table["split"] == split][["name", "label"]] for split in ("train", "test"))
        assert rows_of(train) == rows_of(truth[truth["split"] == "train"][["name", "label"]])
        assert sorted(rows_of(test)) == sorted(plainly(folder))

    with_content(file, content, check)
