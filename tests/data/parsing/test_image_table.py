"""Bring your own: tables."""

import sys

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pytest
from data.archives import write_image
from data.damage import damaged, refusal, rows_of, table_or_refusal
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench.data.parsing.image_table import left_out_columns, read_table
from relbench.data.table import class_names, counts, table_hash

ROWS = [
    ("cat/1.jpg", "cat", "train"),
    ("cat/2.jpg", "cat", "train"),
    ("bat/1.jpg", "7", "train"),
    ("dog/1.jpg", "dog", "test"),
    ("dog/2.jpg", "dog", "test"),
]
TEXT = "path,label,split\n" + "".join(",".join(row) + "\n" for row in ROWS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    for at, (path, _, _) in enumerate(ROWS):
        write_image(folder / path, at, 0)
    return folder


def csv(folder, text, name="birds.csv"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def test_a_csv_file(folder):
    found = read_table(csv(folder, TEXT))
    assert rows_of(found) == ROWS
    assert list(found) == ["name", "label", "split"]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + TEXT,  # as Excel writes it
        TEXT.replace("\n", "\r\n"),
        TEXT.replace(",", ", "),
        TEXT.replace("\n", "\n\n"),
        TEXT.removesuffix("\n"),
        TEXT.replace("cat/1.jpg", '"cat/1.jpg"'),
        TEXT.replace("cat/1.jpg", "./cat//1.jpg"),
        TEXT.replace("path", "note,path").replace("\n", "\nx,").removesuffix("x,"),
    ],
    ids=range(8),
)
def test_forms_of_csv_that_are_the_same(folder, text):
    assert rows_of(read_table(csv(folder, text))) == ROWS


def test_absolute_paths(folder, tmp_path):
    found = read_table(csv(tmp_path, TEXT.replace("\n", f"\n{folder}/").removesuffix(f"{folder}/")))
    assert found["name"].tolist() == [f"{folder}/{path}" for path, _, _ in ROWS]


def test_validation_is_kept(folder):
    text = TEXT.replace("7,train", "7,validation")
    assert read_table(csv(folder, text))["split"].tolist() == ["train", "train", "validation", "test", "test"]


def test_query_and_gallery(folder):
    lines = ["cat/1.jpg,cat,train,,", "cat/2.jpg,cat,train,0,", "bat/1.jpg,7,train,false,no matter"]
    lines += ["dog/1.jpg,dog,test,True,0", "dog/2.jpg,dog,test,false,1"]
    found = read_table(csv(folder, "\n".join(["path,label,split,query,gallery", *lines])))
    assert found["query"].tolist() == [False, False, False, True, False]
    assert found["gallery"].tolist() == [False, False, False, False, True]
    assert counts(found)["queries"] == 1


FAULTS = [
    (TEXT.replace("dog/1.jpg,dog", "dog/1.jpg,cat"), "line 5), in 'test': splits must share no class"),
    (TEXT.replace("cat/2", "cat/1"), "line 3) occurs twice: correct the table"),
    (TEXT.replace("cat/2", "cat/./1"), "line 3) occurs twice: correct the table"),
    (TEXT.replace("7,train", "cat\0,train"), "line 4) has a label with a null character"),
    (TEXT.replace("cat/2", "cat/3"), "line 3: image 'cat/3.jpg' is not in"),
    (
        TEXT.replace("cat/2.jpg", "cat/2.JPG"),
        "5 listed images 1 are missing): put the images there, or is it 'cat/2.jpg'?",
    ),
    (TEXT.replace("cat/2.jpg", "cat/2.png"), "put the images there, or is it 'cat/2.jpg'?"),
    (TEXT.replace("cat/2", "/no/where"), "line 3: image '/no/where.jpg' is not in"),
    (TEXT.replace("cat/2", "no\0where/2"), "line 3: image 'no\\x00where/2.jpg' is not in"),
    (TEXT.replace("cat/2", "x" * 5000), "line 3: image 'xxx"),
    (TEXT.replace("cat/2", "x" * 5000 + "/2"), "line 3: image 'xxx"),
    (TEXT.replace("cat/2.jpg", "cat"), "line 3: image 'cat' is not in"),
    (TEXT.replace("cat/2.jpg", ""), "line 3) has no name: correct the table"),
    (TEXT.replace("7,train", ",train"), "line 4) has no label: correct the table"),
    (TEXT.replace("7,train", "7,"), "line 4) has no split: correct the table"),
    (
        TEXT.replace("7,train", "7,dev"),
        "line 4) has a split that is none of train, validation, test ('dev': did you mean 'validation'?): correct",
    ),
    (TEXT.replace("7,train", "7,Train"), "none of train, validation, test ('Train': did you mean 'train'?): correct"),
    (TEXT.replace("7,train", "7,x"), "line 4) has a split that is none of train, validation, test: correct the table"),
    (TEXT.replace("7,train", "7"), "line 4: has 2 columns, the header has 3"),
    (TEXT.replace("7,train", "7,train,1"), "line 4: has 4 columns, the header has 3"),
    (TEXT.replace("7,train", '7,"train'), "unexpected end of data: correct it"),
    (TEXT.replace("7,train", '7,"tr"ain'), "line 4: ',' expected after '\"'"),
    (
        TEXT.replace("path", "file"),
        "lacks the column 'path': it needs path,label,split, separated by commas (is it 'file'? rename it)",
    ),
    (TEXT.replace("path,label", "path,Label"), "lacks the column 'label'"),
    (TEXT.replace(",", ";"), "lacks the column 'path': it needs path,label,split, separated by commas"),
    (TEXT.replace("label", "path"), "line 1: a column occurs twice"),
    (TEXT.replace("dog,test", "dog,train"), "has no image in the split 'test'"),
    ("path,label,split\n", "has no image in the split 'train'"),
    ("\n\n", "has no line: it needs the header path,label,split"),
    ("", "is empty"),
    (TEXT.encode().replace(b"7,train", b"\xff,train"), "line 4: is not UTF-8 text"),
    ("path,label,split,query\ncat/1.jpg,cat,train,\ndog/1.jpg,dog,test,maybe\n", "line 3) has a query that is neither"),
    ("path,label,split,query\ncat/1.jpg,cat,train,\ndog/1.jpg,dog,test,\n", "line 3) has a query that is neither"),
    ("path,label,split,query\ncat/1.jpg,cat,train,1\ndog/1.jpg,dog,test,0\n", "has no test image with query = true"),
]


@pytest.mark.parametrize(("text", "message"), FAULTS, ids=range(len(FAULTS)))
def test_a_csv_file_is_refused(folder, text, message):
    path = csv(folder, text)
    found = refusal(lambda: read_table(path))
    assert message in found
    assert str(path) in found


def test_a_table_is_no_table(folder, tmp_path):
    assert "birds.txt is neither .csv nor .parquet" in refusal(lambda: read_table(csv(folder, TEXT, "birds.txt")))
    assert "cannot be read (No such file" in refusal(lambda: read_table(tmp_path / "gone.csv"))
    (tmp_path / "folder.csv").mkdir()
    assert "cannot be read (Is a directory)" in refusal(lambda: read_table(tmp_path / "folder.csv"))


def test_no_source(tmp_path):
    assert refusal(lambda: read_table(tmp_path / "gone")) == f"{tmp_path}/gone does not exist: check the path"


@pytest.mark.parametrize("other", ["{folder}/cat/1.jpg", "cat/../cat/1.jpg", "link.jpg", "cats/1.jpg"])
def test_one_image_on_both_sides(folder, other):
    for link, target in (("link.jpg", "cat/1.jpg"), ("cats", "cat")):
        (folder / link).unlink(missing_ok=True)
        (folder / link).symlink_to(target)
    other = other.format(folder=folder)
    path = csv(folder, TEXT.replace("dog/1.jpg", other))
    assert refusal(lambda: read_table(path)) == (
        f"{path}, line 5: {other!r} is the same file as 'cat/1.jpg' ({path}, line 2): drop one"
    )


def test_parquet_without_pyarrow(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = folder / "birds.parquet"
    path.touch()
    assert refusal(lambda: read_table(path)) == f"{path} needs pyarrow: pip install 'relbench-kd[parquet]'"


def parquet(folder, **columns):
    pytest.importorskip("pyarrow")
    table = pd.DataFrame(ROWS, columns=["path", "label", "split"]).assign(**columns)
    table.to_parquet(folder / "birds.parquet")
    return folder / "birds.parquet"


def test_a_parquet_file(folder):
    assert rows_of(read_table(parquet(folder))) == ROWS
    numbered = read_table(parquet(folder, label=[1, 1, 2, 3, 3]))
    assert numbered["label"].tolist() == ["1", "1", "2", "3", "3"]
    kept = {column: pd.Categorical([row[at] for row in ROWS]) for at, column in ((1, "label"), (2, "split"))}
    assert rows_of(read_table(parquet(folder, **kept))) == ROWS
    numbers = read_table(parquet(folder, label=pd.Categorical([1, 1, 2, 3, 3])))
    assert numbers["label"].tolist() == ["1", "1", "2", "3", "3"]
    roles = read_table(parquet(folder, query=[None, None, None, True, False], gallery=[False] * 4 + [True]))
    assert roles["query"].tolist() == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": ["1", "1", "2", "1", "3"]}, "birds.parquet, row 4), in 'test'"),
        ({"label": [1.5, 1.5, 2, 3, 3]}, "birds.parquet, row 1) has a label that is not text"),
        ({"label": ["1", "1", None, "3", "3"]}, "birds.parquet, row 3) has no label"),
        ({"path": ["cat/9.jpg", *(path for path, _, _ in ROWS[1:])]}, "birds.parquet, row 1: image 'cat/9.jpg' is not"),
        ({"path": range(5)}, "birds.parquet, row 1) has a name that is not text"),
        ({"query": [1, 1, 1, 1, 1]}, "birds.parquet, row 4) has a query that is neither true nor false"),
    ],
    ids=range(6),
)
def test_a_parquet_file_is_refused(folder, columns, message):
    path = parquet(folder, **columns)
    assert message in refusal(lambda: read_table(path))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table at all"])
def test_a_parquet_file_is_damaged(folder, content):
    pytest.importorskip("pyarrow")
    path = csv(folder, content, "birds.parquet")
    assert refusal(lambda: read_table(path)).startswith(f"{path} cannot be read (")


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_damage_gives_a_refusal_or_what_the_file_says(folder, data):
    """What is read is in the file, in its order, and the two sides share no class."""
    path = csv(folder, data.draw(damaged(TEXT.encode())))
    table = table_or_refusal(lambda: read_table(path), "birds.csv")
    if table is not None:
        text = path.read_text(encoding="utf-8")
        assert all(label in text for label in table["label"])
        names = [name for name, _, _ in ROWS]
        assert set(table["name"]) <= set(names)
        assert not set(table["label"][table["split"] == "train"]) & set(table["label"][table["split"] == "test"])


ROLES_TEXT = "path,label,split,{}\ncat/1.jpg,cat,train,0\ndog/1.jpg,dog,test,1\ndog/2.jpg,dog,test,0\n"


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        *(
            (word, "query")
            for word in ("Query", "QUERY", "is_query", "isQuery", "is-query", "queries", "querry", "probe")
        ),
        *((word, "gallery") for word in ("Gallery", "is_gallery", "galery", "IsGallery")),
    ],
)
def test_a_column_that_nearly_is_one_is_refused(folder, column, meant):
    """Not left out: 16 images would ask where 4 should."""
    path = csv(folder, ROLES_TEXT.format(column))
    assert refusal(lambda: read_table(path)) == (
        f"{path} has a column {column!r}: did you mean {meant!r}? rename it, to something else if not"
    )


@pytest.mark.parametrize("column", ["author", "box", "width", "name", "quality", "labels", "date"])
def test_other_columns_are_left_out_by_name(folder, column):
    path = csv(folder, ROLES_TEXT.format(column))
    assert list(read_table(path)) == ["name", "label", "split"]
    assert left_out_columns(path) == [f"columns left out: {column}"]


def test_a_column_beside_the_one_that_it_nearly_is(folder):
    path = csv(folder, ROLES_TEXT.format("query").replace("path", "Path,path").replace("\n", "\nx,", 3))
    assert read_table(path)["query"].tolist() == [False, True, False]
    assert left_out_columns(path) == ["columns left out: Path"]


def test_roles_of_training_images_are_said_to_be_in_vain(folder):
    path = csv(folder, ROLES_TEXT.format("query").replace("train,0", "train,1"))
    assert left_out_columns(path) == ["query = true on 1 lines outside the split test has no effect"]


def test_a_parquet_file_that_is_small_on_disk_only(tmp_path):
    """A column of one value is kept as that value and a count: 15 kB stand for 320 MB and more."""
    path = tmp_path / "birds.parquet"
    write_table = pytest.importorskip("pyarrow.parquet").write_table
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(5_000_000, np.int8)), pa.array(["x"]))
    write_table(pa.table({"path": column}), path)
    del column
    assert path.stat().st_size < 100_000
    free = psutil.virtual_memory()._replace(available=300_000_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psutil, "virtual_memory", lambda: free)
        found = refusal(lambda: read_table(path))
    assert found == (f"{path} cannot be read (it would take 320.0 MB of memory, but 300.0 MB are free): write it again")


def test_a_parquet_file_whose_texts_are_damaged(tmp_path):
    path = tmp_path / "birds.parquet"
    rows = [("a/1.jpg", "a", "train"), ("b/1.jpg", "b", "test")]
    pd.DataFrame(rows, columns=["path", "label", "split"]).to_parquet(path, compression=None)
    path.write_bytes(path.read_bytes().replace(b"test", b"tes\xe9"))
    assert f"{path} cannot be read (" in refusal(lambda: read_table(path))


def test_a_damaged_parquet_file(tmp_path):
    """Whatever pyarrow raises."""
    path = tmp_path / "birds.parquet"
    rows = [("a/1.jpg", "a", "train"), ("b/1.jpg", "b", "test")]
    for name, _, _ in rows:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    pd.DataFrame(rows, columns=["path", "label", "split"]).to_parquet(path)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        content = bytearray(whole)
        for at in random.integers(len(whole), size=random.integers(1, 4)):
            content[at] = random.integers(256)
        path.write_bytes(content)
        table_or_refusal(lambda: read_table(path), "birds.parquet")


NAMED = "path,label,split,class_name\ncat/1.jpg,1f431,train,cat\ncat/2.jpg,1f431,train,\ndog/1.jpg,1f436,test,dog\n"


def test_names_to_be_shown_change_no_label_and_no_hash(folder):
    table = read_table(csv(folder, NAMED))
    assert table["label"].tolist() == ["1f431", "1f431", "1f436"]
    assert class_names(table) == {"1f431": "cat", "1f436": "dog"}
    assert table_hash(table) == table_hash(table.drop(columns="class_name"))
    assert left_out_columns(folder / "birds.csv") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NAMED.replace("train,\n", "train,Cat\n"), "line 3: class '1f431' has the class_name 'Cat', but 'cat' above"),
        (NAMED.replace("class_name", "Class-Name"), "has a column 'Class-Name': did you mean 'class_name'?"),
        (NAMED.replace("class_name", "display_name"), "has a column 'display_name': did you mean 'class_name'?"),
    ],
)
def test_names_to_be_shown_that_are_refused(folder, text, message):
    path = csv(folder, text)
    assert message in refusal(lambda: read_table(path))
