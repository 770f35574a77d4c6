"""The table of images: what is refused, and the ways to look things up in it."""

import hashlib
import re

import numpy as np
import pandas as pd
import pytest

from relbench.data.table import (
    check_counts,
    checked,
    counts,
    hold_out,
    hold_out_images,
    indices_of,
    labels_of,
    table_hash,
)

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


def refusal(frame, **options):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        checked(frame, **options)
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
    assert refusal(table((3, column, nothing))).endswith(f"(line 3 of the table) has no {column}: correct the table")


@pytest.mark.parametrize("column", ["name", "label", "split"])
@pytest.mark.parametrize("value", [7, 7.0, True, ("a",)], ids=repr)
def test_a_value_is_not_text(column, value):
    """A label 10 beside a label "10" would be two classes here, and one for the network."""
    message = refusal(table((3, column, value)))
    assert message.endswith(f"(line 3 of the table) has a {column} that is not text: correct the table")


def test_a_name_stands_twice():
    assert refusal(table((2, "name", "a/1"))) == "image 'a/1' (line 2 of the table) occurs twice: correct the table"


def test_a_split_is_unknown():
    message = refusal(table((4, "split", "query")))
    assert message == (
        "image 'c/2' (line 4 of the table) has a split that is none of train, validation, test: correct the table"
    )


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_is_empty(split):
    frame = table()
    message = refusal(frame[frame["split"] != split])
    assert message == f"the table of images has no image in the split '{split}': every split needs some"


def test_an_empty_table():
    assert refusal(table().iloc[:0]) == "the table of images has no image in the split 'train': every split needs some"


@pytest.mark.parametrize(
    ("line", "label", "found"),
    [
        (2, "cat", "class 'cat' lies in 'train' and, by image 'b/1' (line 2 of the table), in 'test'"),
        (3, "cat", "class 'cat' lies in 'train' and, by image 'c/1' (line 3 of the table), in 'validation'"),
        (3, "dog", "class 'dog' lies in 'test' and, by image 'c/1' (line 3 of the table), in 'validation'"),
        (4, "bat", "class 'bat' lies in 'validation' and, by image 'a/3' (line 5 of the table), in 'train'"),
    ],
)
def test_a_class_lies_in_two_splits(line, label, found):
    assert refusal(table((line, "label", label))) == f"{found}: splits must share no class"


SHARED = [(f"{label}/{split}", label, split) for split in ("train", "validation", "test") for label in ("cat", "dog")]


def shared_table(*, without=()):
    return pd.DataFrame([line for line in SHARED if line[0] not in without], columns=["name", "label", "split"])


def test_splits_that_promise_the_same_classes():
    """Then a class has the same number in each of them."""
    frame = checked(shared_table(), classes="shared")
    numbers = {split: labels_of(frame, indices_of(frame, split)) for split in ("train", "validation", "test")}
    assert {split: (found.tolist(), names) for split, (found, names) in numbers.items()} == dict.fromkeys(
        numbers, ([0, 1], ["cat", "dog"])
    )
    message = "class 'cat' lies in 'train', by image 'cat/train' (line 0 of the table), but not in 'test': "
    message += "splits must have the same classes"
    assert refusal(shared_table(without=["cat/test"]), classes="shared") == message
    message = "class 'dog' lies in 'validation', by image 'dog/validation' (line 2 of the table), but not in 'train': "
    message += "splits must have the same classes"
    assert refusal(shared_table(without=["dog/train"]), classes="shared") == message
    checked(shared_table(without=["cat/validation", "dog/validation"]), classes="shared", needs_validation=False)


def test_splits_that_promise_nothing():
    for without in [(), ("cat/test",), ("dog/train", "dog/validation")]:
        checked(shared_table(without=without), classes="overlapping")
    checked(table(), classes="overlapping")
    assert "splits must share no class" in refusal(shared_table())  # what is promised where nothing is said


def test_validation_may_be_absent_if_so_said():
    without = table().drop([3, 4])
    refusal(without)
    assert set(checked(without, needs_validation=False)["split"]) == {"train", "test"}
    message = refusal(without.drop(2), needs_validation=False)
    assert message == "the table of images has no image in the split 'test': every split needs some"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table((3, "label", None)), "image 'c/1' (birds.csv, line 5) has no label: correct the table"),
        (table((3, "split", "dev")), "image 'c/1' (birds.csv, line 5) has a split that is none of"),
        (table((3, "label", "cat")), "by image 'c/1' (birds.csv, line 5), in 'validation'"),
        (table().drop(2), "birds.csv has no image in the split 'test'"),
        (table().drop(columns="split"), "birds.csv lacks the column 'split'"),
        (table().assign(query=0), "image 'b/1' (birds.csv, line 4) has a query that is neither true nor false"),
        (table().assign(query=False), "birds.csv has no test image with query = true: some must be"),
    ],
    ids=range(7),
)
def test_a_message_names_the_file(frame, message):
    assert message in refusal(frame, where="birds.csv", place=lambda line: f"birds.csv, line {line + 2}")


def with_roles(query, gallery):
    """The good table with a second test image; the roles of the two are given."""
    frame = pd.concat([table(), pd.DataFrame([("b/2", "dog", "test")], columns=["name", "label", "split"])])
    frame = frame.reset_index(drop=True)
    for role, (first, second) in (("query", query), ("gallery", gallery)):
        frame[role] = pd.Series([None, float("nan"), first, True, "no matter", 7, second], dtype=object)
    return frame


@pytest.mark.parametrize("query", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("gallery", [(True, False), (False, True), (True, True)])
def test_roles_count_on_test_lines_only(query, gallery):
    found = checked(with_roles(query, gallery))
    assert found["query"].dtype == found["gallery"].dtype == bool
    assert found["query"].tolist() == [False, False, query[0], False, False, False, query[1]]
    assert found["gallery"].tolist() == [False, False, gallery[0], False, False, False, gallery[1]]


def test_one_role_may_stand_alone():
    found = checked(with_roles((True, False), (True, True)).drop(columns="gallery"))
    assert "gallery" not in found
    assert counts(found)["queries"] == 1
    assert counts(found)["gallery"] == 2


@pytest.mark.parametrize("kind", ["boolean", bool])
def test_roles_of_any_boolean_kind(kind):
    frame = checked(with_roles((True, False), (True, True)))
    again = checked(frame.astype({"query": kind, "gallery": kind}))
    pd.testing.assert_frame_equal(again, frame)


@pytest.mark.parametrize("role", ["query", "gallery"])
@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, "true", 1, 1.0], ids=repr)
def test_a_role_is_neither_true_nor_false(role, value):
    frame = with_roles((True, True), (True, True))
    frame.loc[6, role] = value
    assert refusal(frame) == (
        f"image 'b/2' (line 6 of the table) has a {role} that is neither true nor false: correct the table"
    )


def test_nobody_has_a_role():
    """A role on a training line does not count."""
    assert "no test image with query = true" in refusal(with_roles((False, False), (True, False)))
    assert "no test image with gallery = true" in refusal(with_roles((True, False), (False, False)))


def test_lines_of():
    assert indices_of(table(), "train").tolist() == [0, 1, 5]
    assert indices_of(table(), "validation").tolist() == [3, 4]
    assert indices_of(table(), "train").dtype == np.int64


def test_labels_of():
    numbers, names = labels_of(table(), np.array([5, 0, 1]))
    assert (numbers.tolist(), names) == ([0, 1, 1], ["bat", "cat"])
    numbers, names = labels_of(table(), np.array([4, 3]))
    assert (numbers.tolist(), names) == ([1, 0], ["10", "9"])  # sorted as text
    assert numbers.dtype == np.int64
    assert all(type(name) is str for name in names)


def test_table_hash():
    before = table_hash(table(), [b"pixels"])
    assert before == table_hash(table().assign(width=3), [b"pixels"])
    others = [
        table_hash(table(), [b"pixel"]),
        table_hash(table()),
        table_hash(table().iloc[::-1], [b"pixels"]),
        *(table_hash(table((1, column, "x")), [b"pixels"]) for column in ("name", "label", "split")),
    ]
    assert len({before, *others}) == 7


def test_table_hash_is_that_of_the_lines_as_text():
    """Rows of earlier runs are compared by it, so no version of pandas may change it."""
    text = "".join(f"{name},{label},{split}\n" for name, label, split in [("name", "label", "split"), *LINES])
    expected = hashlib.sha256(text.encode() + b"pixels").hexdigest()
    assert table_hash(table(), [b"pixels"]) == table_hash(table().astype("string"), [b"pix", b"els"]) == expected


def test_table_hash_knows_the_roles():
    frame = checked(with_roles((True, False), (True, True)))
    others = [
        checked(with_roles((True, True), (True, True))),
        checked(with_roles((True, False), (False, True))),
        frame.drop(columns="gallery"),
        frame.drop(columns="query"),
        frame.drop(columns=["query", "gallery"]),
    ]
    assert len({table_hash(frame), *map(table_hash, others)}) == 6
    assert table_hash(frame) == table_hash(frame[["gallery", "query", "split", "label", "name"]])


def many_classes(classes=40):
    """Three lines a class, classes taking turns; every fourth class is for testing."""
    labels = [f"c{number}" for number in range(classes)] * 3
    splits = ["test" if number % 4 == 0 else "train" for number in range(classes)] * 3
    return pd.DataFrame(
        {"name": [f"{at}.jpg" for at in range(len(labels))], "label": labels, "split": splits}, dtype=object
    )


@pytest.mark.parametrize(("share", "expected"), [(0.001, 1), (0.1, 3), (0.5, 15), (0.95, 28)])
def test_hold_out_moves_whole_classes(share, expected):
    frame = many_classes()
    held = checked(hold_out(frame, share, seed=3))
    moved = held["split"] == "validation"
    assert held["label"][moved].nunique() == expected
    assert set(frame["split"][moved]) == {"train"}
    pd.testing.assert_frame_equal(held[~moved], frame[~moved])
    pd.testing.assert_frame_equal(held[["name", "label"]], frame[["name", "label"]])


def test_hold_out_is_a_permutation_of_the_sorted_names():
    frame = many_classes()
    names = sorted(set(frame["label"][frame["split"] == "train"]))
    order = np.random.default_rng(5).permutation(30)
    held = hold_out(frame, 0.2, seed=5)
    assert set(held["label"][held["split"] == "validation"]) == {names[at] for at in order[:6]}


def test_hold_out_depends_on_the_seed_and_not_on_the_order_of_lines():
    frame = many_classes()
    held = hold_out(frame, 0.2, seed=5)
    backwards = hold_out(frame.iloc[::-1].reset_index(drop=True), 0.2, seed=5)
    assert table_hash(held) == table_hash(hold_out(frame, 0.2, seed=5)) == table_hash(backwards.iloc[::-1])
    assert len({table_hash(hold_out(frame, 0.2, seed)) for seed in range(10)}) == 10


def test_hold_out_never_changes():
    """Rows of earlier runs rest on it: the very classes, written down once."""
    held = hold_out(many_classes(), 0.1, seed=0)
    assert sorted(set(held["label"][held["split"] == "validation"])) == ["c11", "c22", "c5"]


@pytest.mark.parametrize(
    ("frame", "share", "message"),
    [
        (many_classes(), 0.0, "a share of 0.0 of the training classes cannot be held out: choose one between 0 and 1"),
        (many_classes(), 1.0, "a share of 1.0 of the training classes cannot be held out: choose one between 0 and 1"),
        (many_classes(), float("nan"), "a share of nan of the training classes cannot be held out"),
        (many_classes(), 0.99, "30 of 30 training classes for validation leave none to train on: hold out fewer"),
        (many_classes(2), 0.1, "1 of 1 training classes for validation leave none to train on"),
        (table(), 0.5, "the table has validation classes already: hold out none"),
    ],
    ids=range(6),
)
def test_hold_out_refuses(frame, share, message):
    with pytest.raises(ValueError, match=rf"\A{re.escape(message)}"):
        hold_out(frame, share, seed=0)


def test_counts():
    expected = {"train_classes": 4, "train_images": 5, "test_classes": 1, "test_images": 1, "queries": 1, "gallery": 1}
    assert counts(checked(table())) == expected
    roles = counts(checked(with_roles((False, True), (True, True))))
    assert roles == {**expected, "test_images": 2, "queries": 1, "gallery": 2}


def test_counts_do_not_change_when_classes_are_held_out():
    frame = many_classes()
    assert counts(hold_out(frame, 0.3, seed=1)) == counts(frame)


def test_check_counts_names_every_difference():
    found = counts(table())
    check_counts(table(), found, "cards/x.toml")
    check_counts(table(), {"test_images": 1}, "cards/x.toml")
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:
        check_counts(table(), {**found, "train_images": 7, "queries": 0}, "x in /data")
    assert str(caught.value) == (
        "x in /data is not the published data: train_images is 5, not 7; queries is 1, not 0: get the data again"
    )
    check_counts(table(), {"validation_images": 2, "validation_classes": 2}, "cards/x.toml")
    with pytest.raises(ValueError, match="validation_classes is 2, not 3: get the data again"):
        check_counts(table(), {"validation_images": 2, "validation_classes": 3}, "cards/x.toml")
    with pytest.raises(ValueError, match=r"^cards/x.toml: there is no count 'images': take train_classes, "):
        check_counts(table(), {"images": 3}, "cards/x.toml")


def images_of_classes(counts):
    rows = [(f"{label}/{number}", label, "train") for label, count in counts.items() for number in range(count)]
    rows += [(f"test/{label}", label, "test") for label in counts]
    return pd.DataFrame(rows, columns=["name", "label", "split"]).sample(frac=1, random_state=0, ignore_index=True)


@pytest.mark.parametrize(("share", "expected"), [(0.1, [10, 1, 1, 1]), (0.5, [50, 6, 2, 1]), (0.99, [99, 10, 2, 1])])
def test_hold_out_images_takes_a_share_of_each_class(share, expected):
    frame = images_of_classes({"a": 100, "b": 11, "c": 3, "d": 2})
    held = checked(hold_out_images(frame, share, seed=3), classes="shared")
    moved = held["split"] == "validation"
    assert held["label"][moved].value_counts().reindex(list("abcd")).tolist() == expected
    assert set(frame["split"][moved]) == {"train"}
    pd.testing.assert_frame_equal(held[~moved], frame[~moved])
    pd.testing.assert_frame_equal(held[["name", "label"]], frame[["name", "label"]])


def test_hold_out_images_permutes_the_sorted_names_of_each_class():
    frame = images_of_classes({"b": 12, "a": 7})
    held, generator = hold_out_images(frame, 0.3, seed=5), np.random.default_rng(5)
    expected = set()
    for label, count in (("a", 7), ("b", 12)):
        names = sorted(f"{label}/{number}" for number in range(count))
        expected |= {names[at] for at in generator.permutation(count)[: round(0.3 * count)]}
    assert set(held["name"][held["split"] == "validation"]) == expected


def test_hold_out_images_depends_on_the_seed_and_not_on_the_order_of_lines():
    frame = images_of_classes({"a": 20, "b": 30})
    held = hold_out_images(frame, 0.2, seed=5)
    backwards = hold_out_images(frame.iloc[::-1].reset_index(drop=True), 0.2, seed=5)
    assert table_hash(held) == table_hash(hold_out_images(frame, 0.2, seed=5)) == table_hash(backwards.iloc[::-1])
    assert len({table_hash(hold_out_images(frame, 0.2, seed)) for seed in range(10)}) == 10


def test_hold_out_images_never_changes():
    """Rows of earlier runs rest on it: the very images, written down once."""
    held = hold_out_images(images_of_classes({"a": 10, "b": 10}), 0.2, seed=0)
    assert sorted(held["name"][held["split"] == "validation"]) == ["a/4", "a/6", "b/2", "b/9"]


@pytest.mark.parametrize(
    ("frame", "share", "message"),
    [
        (images_of_classes({"a": 5}), 0.0, "a share of 0.0 of the training images cannot be held out: choose one"),
        (
            images_of_classes({"a": 5, "b": 1}),
            0.1,
            "class 'b' has 1 training image, so none can be held out for validation: add images",
        ),
        (table(), 0.5, "the table has validation images already: hold out none"),
    ],
)
def test_hold_out_images_refuses(frame, share, message):
    with pytest.raises(ValueError, match=rf"\A{re.escape(message)}"):
        hold_out_images(frame, share, seed=0)
