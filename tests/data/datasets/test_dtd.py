"""Describable Textures: ten partitions of the same images, and what is refused."""

import pandas as pd
import pytest
from data.archives import dtd_truth, make_dtd
from data.damage import damaged, doubled, line, refusal, refusal_after, rows_of, table_or_refusal, with_content, without
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench.data.datasets.dtd import Partition
from relbench.data.parsing.annotations import read_lists


def read(folder, partition=1):
    return read_lists(Partition(partition).scan, folder, "shared")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dtd")
    return folder, make_dtd(folder)


def test_each_partition_has_all_images_in_other_parts(made):
    folder, truth = made
    pd.testing.assert_frame_equal(read(folder), truth)
    tables = [read(folder, partition) for partition in range(1, 11)]
    for number, table in enumerate(tables, start=1):
        pd.testing.assert_frame_equal(table, dtd_truth(folder, number))
        assert table.groupby(["split", "label"]).size().eq(3).all()
    assert len({frozenset(table["name"]) for table in tables}) == 1
    assert len({frozenset(table["name"][table["split"] == "test"]) for table in tables}) > 5


def test_a_file_that_is_no_image_does_not_enter(made):
    folder, truth = made
    assert (folder / "dtd/images/banded/.directory").exists()
    assert set(truth["label"]) == {"banded", "polka-dotted"}
    assert truth["name"].str.endswith(".jpg").all()


FAULTS = [
    ("train1.txt", line(2, "banded/x y.jpg"), "train1.txt, line 2: has 2 columns instead of 1"),
    ("train1.txt", line(2, ""), "train1.txt, line 2: has 0 columns instead of 1"),
    ("train1.txt", line(2, "../x.jpg"), "train1.txt, line 2: '../x.jpg' is not the path of an image"),
    ("train1.txt", line(2, "banded/dotted_0001.jpg"), "'banded/dotted_0001.jpg' is not an image such as 'banded/band"),
    ("train1.txt", line(2, "banded/.directory"), "'banded/.directory' is not an image such as"),
    ("train1.txt", line(2, "banded/banded_9999.jpg"), "line 2: image 'dtd/images/banded/banded_9999.jpg' is not in"),
    ("train1.txt", doubled(2), "train1.txt, line 3) occurs twice: correct the table"),
    ("test1.txt", lambda text: "".join(text.splitlines(keepends=True)[:3]), "but not in 'test': splits must have the"),
]


@pytest.mark.parametrize(("name", "edit", "message"), FAULTS, ids=range(len(FAULTS)))
def test_a_damaged_list(made, name, edit, message):
    folder, _ = made
    assert message in refusal_after(edit, folder / "dtd/labels" / name, lambda: read(folder))


def test_an_image_in_two_lists(made):
    folder, truth = made
    first = truth["name"].iloc[0].removeprefix("dtd/images/")
    message = refusal_after(line(1, first), folder / "dtd/labels/test1.txt", lambda: read(folder))
    assert message == (
        f"image 'dtd/images/{first}' ({folder}/dtd/labels/test1.txt, line 1) occurs twice: correct the table"
    )


def test_a_missing_partition_hinders_no_other(tmp_path):
    make_dtd(tmp_path)
    for name in ("train3.txt", "val3.txt"):
        (tmp_path / "dtd/labels" / name).unlink()
    assert refusal(lambda: read(tmp_path, 3)) == (
        f"{tmp_path}/dtd/labels lacks train3.txt, val3.txt of partition 3: complete it, or take another partition "
        "(data.partition)"
    )
    pd.testing.assert_frame_equal(read(tmp_path, 4), dtd_truth(tmp_path, 4))
    (tmp_path / "dtd/labels/val1.txt").unlink()
    told = refusal(lambda: read(tmp_path, 1))
    assert told == f"{tmp_path}/dtd/labels lacks val1.txt of partition 1: complete it"


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_damage_gives_a_refusal_or_what_the_file_says(made, data):
    folder, _ = made
    file = folder / "dtd/labels/val1.txt"
    content = data.draw(damaged(file.read_bytes()))

    def check():
        table = table_or_refusal(lambda: read(folder), "val1.txt", "class '")
        assert table is None or rows_of(table) == rows_of(dtd_truth(folder, 1))

    with_content(file, content, check)


def test_without_a_line_nothing_is_wrong_but_the_count(made):
    """How many there must be is what the card says."""
    folder, truth = made
    file = folder / "dtd/labels/val1.txt"
    shorter = with_content(file, without(1)(file.read_text()).encode(), lambda: read(folder))
    assert len(shorter) == len(truth) - 1
