"""The table of images: what is refused, and the ways to look things up in it."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from relbench.data.table import checked, first_classes, labels_of, lines_of, table_hash

LINES = [
    ("a/1", "cat", "train"),
    ("a/2", "cat", "train"),
    ("b/1", "dog", "test"),
    ("c/1", "10", "validation"),
    ("c/2", "9", "validation"),
    ("a/3", "bat", "train"),
]


def table(*changes):
    """The good table with cells (line, column, value) replaced."""
    frame = pd.DataFrame(LINES, columns=["name", "label", "split"], dtype=object)
    for line, column, value in changes:
        frame.loc[line, column] = value
    return frame


def refusal(frame):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        checked(frame)
    return str(caught.value)


def test_a_good_table_is_returned():
    pd.testing.assert_frame_equal(checked(table()), table())


@pytest.mark.parametrize("kind", [object, "string"])
def test_any_kind_of_text_will_do(kind):
    assert checked(table().astype(kind))["name"].tolist() == table()["name"].tolist()


def test_lines_are_numbered_from_zero():
    assert checked(table().iloc[::-1]).index.tolist() == list(range(6))
    twice = table().set_index(pd.Index([0, 0, 0, 1, 1, 1]))
    assert checked(twice).index.tolist() == list(range(6))


def test_more_columns_are_kept():
    assert checked(table().assign(width=3))["width"].tolist() == [3] * 6


@pytest.mark.parametrize("column", ["name", "label", "split"])
def test_a_column_is_missing(column):
    message = refusal(table().drop(columns=column))
    assert message == f"the table of images lacks the column '{column}': it needs name, label, split"


@pytest.mark.parametrize("column", ["name", "label", "split"])
@pytest.mark.parametrize("nothing", [None, float("nan"), pd.NA], ids=repr)
def test_a_value_is_missing(column, nothing):
    assert refusal(table((3, column, nothing))).endswith(f"(line 3 of the table) has no {column}: mend the table")


@pytest.mark.parametrize("column", ["name", "label", "split"])
@pytest.mark.parametrize("value", [7, 7.0, True, ("a",)], ids=repr)
def test_a_value_is_not_text(column, value):
    """A label 10 beside a label "10" would be two classes here, and one for the network."""
    message = refusal(table((3, column, value)))
    assert message.endswith(f"(line 3 of the table) has a {column} that is not text: mend the table")


def test_a_name_stands_twice():
    assert refusal(table((2, "name", "a/1"))) == "image 'a/1' (line 2 of the table) stands twice: mend the table"


def test_a_split_is_unknown():
    message = refusal(table((4, "split", "query")))
    assert message == (
        "image 'c/2' (line 4 of the table) has a split that is none of train, validation, test: mend the table"
    )


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_is_empty(split):
    frame = table()
    message = refusal(frame[frame["split"] != split])
    assert message == f"no image is in the split '{split}': every split needs some"


def test_an_empty_table():
    assert refusal(table().iloc[:0]) == "no image is in the split 'train': every split needs some"


@pytest.mark.parametrize(("line", "label"), [(2, "cat"), (3, "dog"), (4, "bat")])
def test_a_class_lies_in_two_splits(line, label):
    message = refusal(table((line, "label", label)))
    assert message == f"class '{label}' lies in more than one split: splits must share no class"


def test_lines_of():
    assert lines_of(table(), "train").tolist() == [0, 1, 5]
    assert lines_of(table(), "validation").tolist() == [3, 4]
    assert lines_of(table(), "train").dtype == np.int64


def test_labels_of():
    numbers, names = labels_of(table(), np.array([5, 0, 1]))
    assert (numbers.tolist(), names) == ([0, 1, 1], ["bat", "cat"])
    numbers, names = labels_of(table(), np.array([4, 3]))
    assert (numbers.tolist(), names) == ([1, 0], ["10", "9"])  # sorted as text
    assert numbers.dtype == np.int64
    assert all(type(name) is str for name in names)


def test_table_hash():
    before = table_hash(table(), b"pixels")
    assert before == table_hash(table().assign(width=3), b"pixels")
    others = [
        table_hash(table(), b"pixel"),
        table_hash(table()),
        table_hash(table().iloc[::-1], b"pixels"),
        *(table_hash(table((1, column, "x")), b"pixels") for column in ("name", "label", "split")),
    ]
    assert len({before, *others}) == 7


def test_table_hash_is_that_of_the_lines_as_text():
    """Rows of earlier runs are compared by it, so no version of pandas may change it."""
    text = "".join(f"{name},{label},{split}\n" for name, label, split in [("name", "label", "split"), *LINES])
    expected = hashlib.sha256(text.encode() + b"pixels").hexdigest()
    assert table_hash(table(), b"pixels") == table_hash(table().astype("string"), b"pix", b"els") == expected


def test_first_classes():
    assert first_classes(["b", "a", "c"], 2, "train") == ["b", "a"]
    assert (
        first_classes(["b", "a", "c"], 3, "train") == first_classes(["b", "a", "c"], None, "train") == ["b", "a", "c"]
    )
    with pytest.raises(ValueError, match=r"^data.train_classes = 4, but there are 3: ask for fewer$"):
        first_classes(["b", "a", "c"], 4, "train")
