"""In-Shop Clothes: split, query and gallery, and what is refused."""

import re
from functools import partial

import pandas as pd
import pytest
from data.archives import make_inshop
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

from relbench.data.datasets.inshop import scan
from relbench.data.parsing.annotations import read_lists
from relbench.data.table import counts

read = partial(read_lists, scan)

LIST = "Eval/list_eval_partition.txt"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inshop")
    return folder, make_inshop(folder)


@pytest.mark.parametrize("root", ["Img", ""])
def test_the_table_is_the_truth(tmp_path, root):
    truth = make_inshop(tmp_path, root=root)
    pd.testing.assert_frame_equal(read(tmp_path), truth)
    assert truth["name"].str.startswith("Img/img/" if root else "img/").all()


def test_queries_and_gallery(made):
    folder, _ = made
    table = read(folder)
    assert counts(table) == {
        "train_classes": 2,
        "train_images": 4,  # the first item has a single image
        "test_classes": 2,
        "test_images": 6,
        "queries": 2,
        "gallery": 4,
    }
    assert set(table["label"][table["query"]]) == set(table["label"][table["gallery"]])


def test_the_list_is_padded(made):
    folder, _ = made
    assert "  " in (folder / LIST).read_text().splitlines()[2]


FAULTS = [
    (without(1), "line 2: the header 'image_name item_id evaluation_status' and images below are missing"),
    (without(2), "line 2: the header 'image_name item_id evaluation_status' and images below are missing"),
    (line(1, "10 images"), "line 1: has 2 columns instead of 1"),
    (without(4), "line 1: says 10 images, but 9 lines follow the header"),
    (doubled(4), "line 1: says 10 images, but 11 lines follow the header"),
    (lambda text: text.replace(*text.splitlines()[3:5]), "line 5) occurs twice"),
    (line(1, "ten"), "line 1: 'ten' is not a whole number"),
    (lambda _: "0\n", "line 1: the header"),
    (lambda _: "0\nimage_name item_id evaluation_status\n", "line 2: the header"),
    (replaced("train", "valid"), "line 3: 'valid' is none of train, query, gallery"),
    (replaced("id_00000001  ", "id_0000000x  "), "line 3: 'id_0000000x' is not an item id"),
    (replaced("train", ""), "line 3: has 2 columns instead of 3"),
    (replaced("img/MEN", "img/../MEN"), "line 3: 'img/../MEN/Denim/id_00000001/01_1_front.jpg' is not"),
    (replaced("01_1_front", "99_9_front"), "line 3: image 'Img/img/MEN/Denim/id_00000001/99_9_front.jpg' is not in"),
    (replaced("gallery", "train"), "line 5), in 'test': splits must share no class"),
    (lambda text: text.replace("query", "gallery"), "has no test image with query = true: some must be"),
    (lambda text: text.replace("gallery", "query"), "has no test image with gallery = true: some must be"),
]


@pytest.mark.parametrize(("edit", "message"), FAULTS, ids=range(len(FAULTS)))
def test_a_damaged_list(made, edit, message):
    folder, _ = made
    found = refusal_after(edit, folder / LIST, lambda: read(folder))
    assert message in found
    assert str(folder / LIST) in found


def test_the_list_or_all_images_are_gone(tmp_path):
    make_inshop(tmp_path)
    (tmp_path / "Img/img").rename(tmp_path / "Img/pictures")
    assert refusal(lambda: read(tmp_path)) == f"{tmp_path} has neither Img/img nor img: unpack img.zip there"
    (tmp_path / LIST).unlink()
    assert refusal(lambda: read(tmp_path)).startswith(f"{tmp_path / LIST} cannot be read")


def plainly(folder):
    """What the list says."""
    for text in (folder / LIST).read_bytes().decode().strip().split("\n")[2:]:
        name, item, status = re.findall(r"\S+", text)
        yield f"Img/{name}", item, "train" if status == "train" else "test", status == "query", status == "gallery"


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_damage_gives_a_refusal_or_what_the_file_says(made, data):
    folder, _ = made
    content = data.draw(damaged((folder / LIST).read_bytes()))

    def check():
        table = table_or_refusal(lambda: read(folder), "list_eval_partition.txt")
        assert table is None or rows_of(table) == list(plainly(folder))

    with_content(folder / LIST, content, check)
