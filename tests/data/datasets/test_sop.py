"""Stanford Online Products: the split, and what is refused."""

import re
from functools import partial

import pandas as pd
import pytest
from data.archives import make_sop
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

from relbench.data.datasets.sop import scan
from relbench.data.parsing.annotations import read_lists

read = partial(read_lists, scan)

LISTS = {"train": "Ebay_train.txt", "test": "Ebay_test.txt"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sop")
    return folder, make_sop(folder)


def test_the_table_is_the_truth(made):
    folder, truth = made
    pd.testing.assert_frame_equal(read(folder), truth)
    assert truth["name"].str.endswith(".JPG").all()
    assert truth.groupby("split")["label"].unique().map(list).to_dict() == {
        "train": ["11317", "11318"],
        "test": ["11319", "11320"],
    }


HEADER = "image_id class_id super_class_id path"
FAULTS = [
    ("train", without(1), "Ebay_train.txt, line 1: the header 'image_id class_id super_class_id path' and"),
    ("train", without(3), "Ebay_train.txt, line 3: has id 3 instead of 2"),
    ("train", doubled(3), "Ebay_train.txt, line 4: has id 2 instead of 3"),
    ("train", lambda _: f"{HEADER}\n", "Ebay_train.txt, line 1: the header"),
    ("train", line(2, "1 x 1 a.JPG"), "Ebay_train.txt, line 2: 'x' is not a whole number"),
    ("train", line(2, "1 1 a.JPG"), "Ebay_train.txt, line 2: has 3 columns instead of 4"),
    ("train", replaced("_0.JPG", "_0.jpg"), "_0.jpg' is not in"),
    ("train", replaced("1 11317", "1 11319"), "Ebay_train.txt, line 2: has class 11319, but training classes end"),
    ("train", replaced("_0.JPG", "_1.JPG"), "Ebay_train.txt, line 3) occurs twice"),
    ("test", replaced("7 11319", "7 11318"), "Ebay_test.txt, line 2: has class 11318, but training classes end"),
    ("test", replaced("bicycle", "../bicycle"), "Ebay_test.txt, line 2: '../bicycle_final/111085111319_0.JPG'"),
]


@pytest.mark.parametrize(("side", "edit", "message"), FAULTS, ids=range(len(FAULTS)))
def test_a_damaged_list(made, side, edit, message):
    folder, _ = made
    file = folder / "Stanford_Online_Products" / LISTS[side]
    assert message in refusal_after(edit, file, lambda: read(folder))


def test_a_missing_folder_is_many_missing_images(tmp_path):
    make_sop(tmp_path)
    (tmp_path / "Stanford_Online_Products/bicycle_final").rename(tmp_path / "elsewhere")
    message = refusal(lambda: read(tmp_path))
    assert "Ebay_train.txt, line 2: image" in message
    assert "of 12 listed images 6 are missing" in message


@pytest.mark.parametrize("name", LISTS.values())
def test_a_list_is_gone(tmp_path, name):
    make_sop(tmp_path)
    (tmp_path / "Stanford_Online_Products" / name).unlink()
    assert f"{name} cannot be read" in refusal(lambda: read(tmp_path))


def plainly(folder):
    """What the lists say."""
    root = folder / "Stanford_Online_Products"
    for split, name in LISTS.items():
        for text in (root / name).read_bytes().decode().strip().split("\n")[1:]:
            _, number, _, path = re.findall(r"\S+", text)
            yield f"Stanford_Online_Products/{path}", str(int(number)), split


@pytest.mark.parametrize("side", LISTS)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_damage_gives_a_refusal_or_what_the_file_says(made, side, data):
    folder, _ = made
    file = folder / "Stanford_Online_Products" / LISTS[side]
    content = data.draw(damaged(file.read_bytes()))

    def check():
        table = table_or_refusal(lambda: read(folder), *LISTS.values())
        assert table is None or rows_of(table) == list(plainly(folder))

    with_content(file, content, check)
