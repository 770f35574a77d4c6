"""CUB-200-2011: the split, and what is refused."""

from functools import partial

import pandas as pd
import pytest
from data.archives import make_cub200
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

from relbench.data.datasets.cub200 import ByImages, scan
from relbench.data.parsing.annotations import read_lists
from relbench.data.table import counts

read = partial(read_lists, scan)

read_within = partial(read_lists, ByImages().scan, classes="shared")  # split as the authors have it

FILES = ("images.txt", "image_class_labels.txt", "classes.txt")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cub200")
    return folder, make_cub200(folder)


def test_the_table_is_the_truth(made):
    folder, truth = made
    pd.testing.assert_frame_equal(read(folder), truth)
    assert sorted(truth["label"].unique()) == ["099.Bird_99", "100.Bird_100", "101.Bird_101", "102.Bird_102"]
    assert not truth["name"].is_monotonic_increasing  # the list's order, not that of paths


def test_more_classes(tmp_path):
    make_cub200(tmp_path, classes=8, images=2)
    assert counts(read(tmp_path)) == {
        "train_classes": 8,
        "train_images": 16,
        "test_classes": 8,
        "test_images": 16,
        "queries": 16,
        "gallery": 16,
    }


def test_stray_files_do_not_enter(made):
    folder, _ = made
    assert list(folder.rglob("._*"))
    assert not read(folder)["name"].str.contains("._", regex=False).any()


def test_windows_line_ends_do_no_harm(made):
    folder, truth = made
    file = folder / "CUB_200_2011/images.txt"
    again = with_content(file, file.read_bytes().replace(b"\n", b"\r\n"), lambda: read(folder))
    pd.testing.assert_frame_equal(again, truth)


FAULTS = [
    ("images.txt", without(3), "images.txt, line 3: has id 4 instead of 3 (a line is missing or occurs twice)"),
    ("images.txt", without(12), "images.txt has 11 lines"),
    ("images.txt", doubled(3), "images.txt, line 4: has id 3 instead of 4"),
    ("images.txt", line(2, "two x/y.jpg"), "images.txt, line 2: 'two' is not a whole number"),
    ("images.txt", line(2, "2"), "images.txt, line 2: has 1 columns instead of 2"),
    ("images.txt", line(2, ""), "images.txt, line 2: has 0 columns instead of 2"),
    ("images.txt", line(2, "2 a b.jpg"), "images.txt, line 2: has 3 columns instead of 2"),
    ("images.txt", line(2, "2 ../x.jpg"), "images.txt, line 2: '../x.jpg' is not the path of an image"),
    ("images.txt", line(2, "2 /x.jpg"), "images.txt, line 2: '/x.jpg' is not the path of an image"),
    ("images.txt", line(2, "2 099.Bird_99/\0.jpg"), "images.txt, line 2: '099.Bird_99/\\x00.jpg' holds characters"),
    (
        "images.txt",
        line(2, "2 099.Bird_99/gone.jpg"),
        "images.txt, line 2: image 'CUB_200_2011/images/099.Bird_99/gone.jpg' is not in",
    ),
    ("images.txt", replaced("_0001_", "_0002_"), "(line 2, "),
    ("image_class_labels.txt", without(1), "image_class_labels.txt, line 1: has id 2 instead of 1"),
    ("image_class_labels.txt", doubled(12), "image_class_labels.txt, line 13: has id 12 instead of 13"),
    ("image_class_labels.txt", line(5, "5 x"), "image_class_labels.txt, line 5: 'x' is not a whole number"),
    ("image_class_labels.txt", line(5, "5 -1"), "image_class_labels.txt, line 5: '-1' is not a whole number"),
    ("image_class_labels.txt", line(5, "5 0"), "image_class_labels.txt, line 5: has class 0, but there are 200"),
    ("image_class_labels.txt", line(5, "5 201"), "image_class_labels.txt, line 5: has class 201, but there are 200"),
    ("image_class_labels.txt", line(5, "5 101"), "is not in the folder '101.Bird_101' of its class"),
    ("classes.txt", without(100), "classes.txt, line 100: has id 101 instead of 100"),
    ("classes.txt", line(100, "100 099.Bird_99"), "is not in the folder '099.Bird_99' of its class"),
]


@pytest.mark.parametrize(("name", "edit", "message"), FAULTS, ids=range(len(FAULTS)))
def test_a_damaged_list(made, name, edit, message):
    folder, _ = made
    message = message.replace("(line 2, ", f"({folder / 'CUB_200_2011/images.txt'}, line 2) occurs twice")
    assert message in refusal_after(edit, folder / "CUB_200_2011" / name, lambda: read(folder))


def test_several_missing_images_are_counted(tmp_path):
    truth = make_cub200(tmp_path)
    for name in truth["name"][[4, 7, 8]]:
        (tmp_path / name).unlink()
    assert refusal(lambda: read(tmp_path)) == (
        f"{tmp_path}/CUB_200_2011/images.txt, line 5: image {truth['name'][4]!r} is not in {tmp_path} (of 12 listed "
        "images 3 are missing): put the images there"
    )


@pytest.mark.parametrize("name", FILES)
def test_a_list_is_gone_or_empty(tmp_path, name):
    make_cub200(tmp_path)
    file = tmp_path / "CUB_200_2011" / name
    file.write_bytes(b"")
    assert refusal(lambda: read(tmp_path)) == f"{file} is empty: replace it with a good copy"
    file.unlink()
    assert refusal(lambda: read(tmp_path)).startswith(f"{file} cannot be read (No such file or directory)")
    file.mkdir()
    assert refusal(lambda: read(tmp_path)).startswith(f"{file} cannot be read (Is a directory)")


def test_text_that_is_not_text(made):
    folder, _ = made
    file = folder / "CUB_200_2011/images.txt"
    content = file.read_bytes().replace(b"\n3 ", b"\n3 \xff", 1)
    message = with_content(file, content, lambda: refusal(lambda: read(folder)))
    assert message == f"{file}, line 3: is not UTF-8 text: replace it with a good copy"


def test_one_side_only(made):
    folder, _ = made
    root = folder / "CUB_200_2011"
    half = {name: "".join((root / name).read_text().splitlines(keepends=True)[:6]) for name in FILES[:2]}
    message = with_content(
        root / "images.txt",
        half["images.txt"].encode(),
        lambda: with_content(
            root / "image_class_labels.txt",
            half["image_class_labels.txt"].encode(),
            lambda: refusal(lambda: read(folder)),
        ),
    )
    assert message == f"{root}/images.txt has no image in the split 'test': every split needs some"


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_damage_gives_a_refusal_or_the_right_answer(made, name, data):
    """Folder and class say the same twice, so damage can only be noticed or do no harm."""
    folder, truth = made
    file = folder / "CUB_200_2011" / name
    content = data.draw(damaged(file.read_bytes()))
    table = with_content(file, content, lambda: table_or_refusal(lambda: read(folder), *FILES))
    assert table is None or rows_of(table) == rows_of(truth)


def test_the_authors_split(made):
    """The same images, classes and order; which of them are for training, the authors' list says."""
    folder, truth = made
    table = read_within(folder)
    said = [text.split() for text in (folder / "CUB_200_2011/train_test_split.txt").read_text().splitlines()]
    assert table["split"].tolist() == ["train" if side == "1" else "test" for _, side in said]
    pd.testing.assert_frame_equal(table.drop(columns="split"), truth.drop(columns="split"))
    assert table.groupby("split")["label"].nunique().to_dict() == {"train": 4, "test": 4}


OFFICIAL_FAULTS = [
    (without(3), "train_test_split.txt, line 3: has id 4 instead of 3"),
    (without(12), "images.txt has 12 lines, "),
    (lambda text: f"{text}13 1\n", "train_test_split.txt has 13: replace them with good copies"),
    (line(3, "3 2"), "train_test_split.txt, line 3: has 2 where 1 stands for training and 0 for test"),
    (line(3, "3 x"), "train_test_split.txt, line 3: 'x' is not a whole number"),
    (line(3, "3"), "train_test_split.txt, line 3: has 1 columns instead of 2"),
    (lambda text: text.replace(" 0", " 1"), "images.txt has no image in the split 'test'"),
    (
        lambda text: text.replace("1 1\n", "1 0\n", 1).replace("3 1\n", "3 0\n", 1),
        "class '099.Bird_99' lies in 'test'",
    ),
]


@pytest.mark.parametrize(("edit", "message"), OFFICIAL_FAULTS, ids=range(len(OFFICIAL_FAULTS)))
def test_a_damaged_split_of_the_authors(made, edit, message):
    folder, truth = made
    file = folder / "CUB_200_2011/train_test_split.txt"
    assert message in refusal_after(edit, file, lambda: read_within(folder))
    table = with_content(file, edit(file.read_text()).encode(), lambda: read(folder))
    pd.testing.assert_frame_equal(table, truth)  # retrieval does not look at it


def test_the_authors_split_is_gone(tmp_path):
    make_cub200(tmp_path)
    file = tmp_path / "CUB_200_2011/train_test_split.txt"
    file.unlink()
    assert refusal(lambda: read_within(tmp_path)).startswith(f"{file} cannot be read (No such file or directory)")
    assert len(read(tmp_path)) == 12
