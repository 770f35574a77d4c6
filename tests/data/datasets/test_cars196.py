"""Cars196: three layouts, one split, and what is refused."""

import hashlib
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.io
from data.archives import FIELDS_A, MAKERS, car_names, structs, texts
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

from relbench.data.datasets.cars196 import scan
from relbench.data.parsing.annotations import read_lists

read = partial(read_lists, scan)

LAYOUTS = ("cars196-A", "cars196-B", "cars196-B-inside", "cars196-C")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder and truth of each layout."""
    folders = {layout: tmp_path_factory.mktemp(layout) for layout in LAYOUTS}
    return {layout: (folder, MAKERS[layout](folder)) for layout, folder in folders.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_table_is_the_truth(made, layout):
    folder, truth = made[layout]
    pd.testing.assert_frame_equal(read(folder), truth)
    assert truth.groupby("split")["label"].unique().map(sorted).to_dict() == {
        "train": ["097.Make Model 97 2012", "098.Eagle Talon Hatchback 1998"],
        "test": ["099.FIAT 500 Abarth 2012", "100.Ram C/V Cargo Van Minivan 2012"],
    }


@pytest.mark.parametrize("layout", LAYOUTS[1:])
def test_all_layouts_hold_the_same(made, layout):
    """Each label has the same split and the very same pictures."""
    assert contents(*made[layout]) == contents(*made["cars196-A"])


def contents(folder, _):
    return {
        (row.label, row.split, hashlib.sha256((folder / row.name).read_bytes()).hexdigest())
        for row in read(folder).rename_axis(None).itertuples(index=False, name="Row")
    }


def test_the_parts_of_b_have_the_same_file_names(made):
    _, truth = made["cars196-B"]
    folders = truth["name"].str.split("/").str
    assert set(folders[1][folders[0] == "cars_train"]) == set(folders[1][folders[0] == "cars_test"])


def test_one_record_is_read_as_any_number(tmp_path, made):
    """With squeezing, a file of one record would come out in another shape."""
    folder, truth = made["cars196-B"]
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    whole = scipy.io.loadmat(tmp_path / "devkit/cars_train_annos.mat")["annotations"]
    scipy.io.savemat(tmp_path / "devkit/cars_train_annos.mat", {"annotations": whole[:, :1]})
    assert rows_of(read(tmp_path)) == rows_of(truth)[:1] + rows_of(truth)[6:]


def test_the_first_layout_counts(tmp_path):
    for layout in ("cars196-C", "cars196-A"):
        MAKERS[layout](tmp_path)
    assert read(tmp_path)["name"][0] == "car_ims/000001.jpg"


def test_no_layout(tmp_path):
    assert refusal(lambda: read(tmp_path)) == (
        f"{tmp_path} holds Cars196 in none of the known layouts: layout A lacks cars_annos.mat, car_ims; layout B "
        "lacks devkit/cars_meta.mat, devkit/cars_train_annos.mat, cars_test_annos_withlabels.mat or "
        "devkit/cars_test_annos_withlabels.mat, cars_train, cars_test; layout C lacks names.csv, anno_train.csv, "
        "anno_test.csv, car_data/car_data/train, car_data/car_data/test: complete one of them"
    )


@pytest.mark.parametrize(
    ("layout", "gone"),
    [
        ("cars196-A", "cars_annos.mat"),
        ("cars196-A", "car_ims"),
        ("cars196-B", "cars_test_annos_withlabels.mat"),
        ("cars196-B-inside", "devkit/cars_test_annos_withlabels.mat"),
        ("cars196-B", "devkit/cars_meta.mat"),
        ("cars196-B", "cars_test"),
        ("cars196-C", "names.csv"),
        ("cars196-C", "car_data/car_data/test"),
    ],
)
def test_a_part_of_a_layout_is_gone(tmp_path, layout, gone):
    """The development kit's own test file, without classes, does not stand in for the one with classes."""
    MAKERS[layout](tmp_path)
    (tmp_path / gone).rename(tmp_path / "elsewhere")
    lacks = refusal(lambda: read(tmp_path)).split(f"layout {layout[8]} lacks ")[1].split(";")[0]
    assert gone in lacks.removesuffix(": complete one of them")


GOOD = [(f"car_ims/{at:06d}.jpg", 1, 2, 3, 4, 97 + at // 3, 0) for at in range(1, 12)]


def rewritten(rows=GOOD, fields=FIELDS_A, names=None, **more):
    return {"annotations": structs(rows, fields), "class_names": texts(names or car_names())} | more


def changed(at, field, value):
    """The good annotation with one cell set to exactly that."""
    content = rewritten()
    content["annotations"][0, at][field] = value
    return content


MATS = [
    ({"class_names": texts(car_names())}, "has no variable 'annotations'"),
    ({"annotations": rewritten()["annotations"]}, "has no variable 'class_names'"),
    (rewritten(annotations=np.zeros((3, 4))), "'annotations' has shape (3, 4) instead of (1, n)"),
    (rewritten(annotations=rewritten()["annotations"].T), "'annotations' has shape (11, 1) instead of (1, n)"),
    (rewritten(annotations=np.zeros((1, 4))), "'annotations' is not a struct array"),
    (rewritten(annotations="text"), "'annotations' is not a struct array"),
    (rewritten(annotations={"class": 3}), "'annotations' has no field 'relative_im_path'"),
    (rewritten([row[:5] for row in GOOD], FIELDS_A[:5]), "'annotations' has no field 'class'"),
    (rewritten([]), "'annotations' has shape (1, 0) instead of (1, n)"),
    (changed(2, "class", "98"), None),  # a number in a text is a number
    (changed(2, "class", np.array([[98.0]])), None),
    (changed(2, "class", np.array([[98.5]])), "record 3 holds no text and no whole number"),
    (changed(2, "class", np.array([[np.nan]])), "record 3 holds no text and no whole number"),
    (changed(2, "class", np.array([[98, 99]])), "record 3 holds no text and no whole number"),
    (changed(2, "class", np.array([])), "record 3 holds no text and no whole number"),
    (changed(2, "class", "coupe"), "record 3: 'coupe' is not a whole number"),
    (changed(2, "class", np.array([[-1]])), "record 3: '-1' is not a whole number"),
    (changed(2, "class", np.array([[0]])), "record 3: has class 0, but"),
    (changed(2, "class", np.array([[197]])), "record 3: has class 197, but"),
    (changed(2, "relative_im_path", "car_ims/000002.jpg"), "record 3) occurs twice"),
    (changed(2, "relative_im_path", "../000003.jpg"), "record 3: '../000003.jpg' is not the path"),
    (changed(2, "relative_im_path", "car_ims/3.jpg"), "record 3: image 'car_ims/3.jpg' is not in"),
    (changed(2, "relative_im_path", np.array([[3.5]])), "record 3 holds no text and no whole number"),
    (rewritten(names=car_names()[:98]), "has class 99, but"),
    (rewritten(class_names=np.zeros((2, 2))), "'class_names' has shape (2, 2) instead of (1, n)"),
    (rewritten(class_names=np.full((1, 196), 0.5)), "'class_names' is not an array of 196 cells"),
]


@pytest.mark.parametrize(("content", "message"), MATS, ids=range(len(MATS)))
def test_a_mat_file_of_another_shape(made, content, message):
    folder, _ = made["cars196-A"]
    file = folder / "cars_annos.mat"
    scipy.io.savemat(folder / "other.mat", content)
    other = (folder / "other.mat").read_bytes()
    if message is None:
        assert len(with_content(file, other, lambda: read(folder))) == 11
    else:
        found = with_content(file, other, lambda: refusal(lambda: read(folder)))
        assert message in found
        assert str(file) in found


def test_the_test_part_without_classes(made):
    """A common mistake: the development kit's own file under the name of the one with labels."""
    folder, _ = made["cars196-B"]
    content = (folder / "devkit/cars_test_annos.mat").read_bytes()
    file = folder / "cars_test_annos_withlabels.mat"
    message = with_content(file, content, lambda: refusal(lambda: read(folder)))
    assert message == f"{file}: 'annotations' has no field 'class': replace it with a good copy"


@pytest.mark.parametrize("content", [b"", b"x", b"not a mat file\n" * 99, b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_no_mat_file_at_all(made, content):
    folder, _ = made["cars196-A"]
    file = folder / "cars_annos.mat"
    message = with_content(file, content, lambda: refusal(lambda: read(folder)))
    assert message == f"{file}: is not a .mat file of version 5 to 7.2: replace it with a good copy"


FAULTS = [
    ("names.csv", without(99), "anno_train.csv, line 1: image 'car_data/car_data/train/Make Model 101 2012/"),
    ("names.csv", lambda text: "".join(text.splitlines(keepends=True)[:99]), "has class 100, but"),
    ("names.csv", line(100, "Ram C/V Cargo Van Minivan 2012,x"), "names.csv, line 100: has 2 columns instead of 1"),
    ("anno_train.csv", lambda text: f"name,a,b,c,d,class\n{text}", "anno_train.csv, line 1: 'class' is not a"),
    ("anno_train.csv", doubled(1), "anno_train.csv, line 2) occurs twice"),
    ("anno_train.csv", line(2, "00002.jpg,1,2,3,97"), "anno_train.csv, line 2: has 5 columns instead of 6"),
    ("anno_train.csv", line(2, "00002.jpg,1,2,3,4,0"), "anno_train.csv, line 2: has class 0, but"),
    ("anno_train.csv", line(2, "00002.jpg,1,2,3,4,197"), "anno_train.csv, line 2: has class 197, but"),
    ("anno_train.csv", line(2, "00002.jpg,1,2,3,4,1"), "anno_train.csv, line 2: image 'car_data/car_data/train/Make"),
    ("anno_test.csv", replaced("00001.jpg", "00009.jpg"), "anno_test.csv, line 1: image 'car_data/car_data/test/"),
    ("anno_test.csv", replaced("00001.jpg", "x/../00001.jpg"), "anno_test.csv, line 1: 'x/../00001.jpg' is not"),
    ("anno_test.csv", replaced("00001.jpg", ""), "anno_test.csv, line 1: '' is not the path"),
]


@pytest.mark.parametrize(("name", "edit", "message"), FAULTS, ids=range(len(FAULTS)))
def test_a_damaged_csv_file(made, name, edit, message):
    folder, _ = made["cars196-C"]
    assert message in refusal_after(edit, folder / name, lambda: read(folder))


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("cars196-A", "cars_annos.mat"),
        ("cars196-B", "devkit/cars_train_annos.mat"),
        ("cars196-B", "cars_test_annos_withlabels.mat"),
    ],
)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_damage_to_a_mat_file(made, layout, name, data):
    """A class id says nothing twice here: what is read has existing images, each once, and a split as its class id."""
    folder, truth = made[layout]
    content = data.draw(damaged((folder / name).read_bytes()))
    table = with_content(folder / name, content, lambda: table_or_refusal(lambda: read(folder), name))
    if table is not None:
        assert set(table["name"]) <= set(truth["name"])
        assert ((table["label"].str[:3].astype(int) <= 98) == (table["split"] == "train")).all()


@pytest.mark.parametrize("name", ["names.csv", "anno_train.csv", "anno_test.csv"])
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_damage_to_a_csv_file(made, name, data):
    """An image lies in the folder of its class, so no image changes its class unnoticed."""
    folder, truth = made["cars196-C"]
    content = data.draw(damaged((folder / name).read_bytes()))
    names = ("names.csv", "anno_train.csv", "anno_test.csv")
    table = with_content(folder / name, content, lambda: table_or_refusal(lambda: read(folder), *names))
    if table is not None:
        folders = table["name"].str.split("/").str[3]
        assert (table["label"].str[4:].str.replace("/", "-") == folders).all()
        assert set(table["name"]) <= set(truth["name"])
        assert ((table["label"].str[:3].astype(int) <= 98) == (table["split"] == "train")).all()
