"""The part of a table that settings ask for: classes, and few training images of each."""

import re
from itertools import pairwise

import pandas as pd
import pytest

from relbench.data.selection import few_images, selected_classes


def test_first_classes():
    classes = ["b", "a", "c"]
    assert selected_classes(classes, 2, "train") == ["b", "a"]
    assert selected_classes(classes, 3, "train") == selected_classes(classes, None, "train") == classes
    with pytest.raises(ValueError, match=r"^data.train_classes = 4, but there are 3: ask for fewer$"):
        selected_classes(classes, 4, "train")


def test_named_classes():
    """In the order in which they are named."""
    classes = ["b", "a", "c"]
    assert selected_classes(classes, ("c", "b"), "test") == ["c", "b"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("c", "d"), "data.test_classes: no class is named 'd': take names such as b, a, c"),
        (("c", "b", "c"), "data.test_classes = c, b, c: name at least one class, each once"),
        ((), "data.test_classes = none: name at least one class, each once"),
    ],
)
def test_impossible_names_of_classes(names, message):
    with pytest.raises(ValueError, match=rf"^{message}$"):
        selected_classes(["b", "a", "c"], names, "test")


def images(counts, split="train"):
    """So many images of each class."""
    lines = [(f"{label}/{number}", label, split) for label, count in counts.items() for number in range(count)]
    return pd.DataFrame(lines, columns=["name", "label", "split"])


def names(table, split="train"):
    return table["name"][table["split"] == split].tolist()


WHOLE = pd.concat([images({"b": 12, "a": 9}), images({"a": 3, "c": 2}, "validation"), images({"d": 4}, "test")])
WHOLE = WHOLE.reset_index(drop=True)


def test_so_many_training_images_of_each_class_and_all_others():
    few = few_images(WHOLE, 5)
    assert few["label"][few["split"] == "train"].value_counts().to_dict() == {"a": 5, "b": 5}
    assert few.index.tolist() == list(range(len(few)))
    for split in ("validation", "test"):
        assert names(few, split) == names(WHOLE, split)
    assert names(few) == [name for name in names(WHOLE) if name in set(names(few))]  # in their order


def test_all_images_are_left_as_they_are():
    assert few_images(WHOLE, None) is WHOLE
    assert names(few_images(images({"a": 4, "b": 4}), 4)) == names(images({"a": 4, "b": 4}))


def test_fewer_images_are_among_more():
    chosen = [set(names(few_images(WHOLE, count))) for count in range(1, 10)]
    assert all(fewer < more for fewer, more in pairwise(chosen))


def test_the_choice_depends_neither_on_other_classes_nor_on_the_order_of_lines():
    of_a = {name for name in names(few_images(WHOLE, 3)) if name.startswith("a")}
    assert set(names(few_images(images({"a": 9}), 3))) == of_a
    backwards = few_images(WHOLE.iloc[::-1].reset_index(drop=True), 3)
    assert set(names(backwards)) == set(names(few_images(WHOLE, 3)))


def test_the_choice_never_changes():
    """Runs were made with this choice; another would have been as good."""
    assert names(few_images(WHOLE, 3)) == ["b/2", "b/6", "b/11", "a/2", "a/3", "a/7"]


def test_no_image_is_preferred():
    """Of 2,000 classes, 1 of 4 images each: each place as often, by far more than chance would forbid."""
    chosen = names(few_images(images(dict.fromkeys(map(str, range(2000)), 4)), 1))
    places = pd.Series([name.partition("/")[2] for name in chosen]).value_counts()
    assert places.sort_index().index.tolist() == ["0", "1", "2", "3"]
    assert places.between(420, 580).all()  # 500, and four standard deviations of 19


def test_more_images_than_a_class_has():
    message = "data.train_images_per_class = 10, but class 'a' has 9 to train on: ask for 9 or fewer"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        few_images(WHOLE, 10)
