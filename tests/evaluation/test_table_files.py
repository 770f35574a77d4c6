"""Embeddings in .csv and .parquet files: what is read, and what is refused in one line."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relbench.evaluation import Files, read_embeddings, read_files, retrieval_metrics, stored_metrics
from relbench.evaluation.parquet_files import _size

ROWS = np.random.default_rng(0).standard_normal((30, 12)).astype(np.float32)
LABELS = np.array([f"class {row % 5} é" for row in range(30)])
CAMERAS = np.arange(30) // 5 % 3
NUMBERED = {f"e{place}": ROWS[:, place] for place in (11, *range(11))}  # in no order


@pytest.fixture
def table():
    return pd.DataFrame({"label": LABELS, **NUMBERED, "camera": CAMERAS, "query": CAMERAS < 2, "name": np.arange(30)})


def written(folder, text):
    (folder / "t.csv").write_text(text, newline="")
    return folder / "t.csv"


def outcome(path):
    """The refusal, or nothing where the file could be read."""
    try:
        read_embeddings(path)
    except ValueError as error:
        return str(error)
    return ""


def refused(*paths, **options):
    with pytest.raises(ValueError, match=r"\A.*\Z") as error:
        read_embeddings(*paths, **options)
    return str(error.value)


@pytest.mark.parametrize("kind", ["csv", "numbered.parquet", "list.parquet", "fixed.parquet", "large.parquet"])
def test_what_was_saved_is_read(tmp_path, table, kind):
    path = tmp_path / kind if "." in kind else tmp_path / "t.csv"
    numbered = table
    table = table.drop(columns=list(NUMBERED)).assign(embedding=list(ROWS))
    if kind == "csv":
        numbered.to_csv(path, index=False)
    elif kind == "numbered.parquet":
        numbered.astype({"label": "category"}).to_parquet(path)
    else:
        of = pa.float32()
        types = {"list": pa.list_(of), "fixed": pa.list_(of, 12), "large": pa.large_list(of)}
        arrow = pa.Table.from_pandas(table).set_column(
            table.columns.get_loc("embedding"), "embedding", pa.array(list(ROWS), types[kind.split(".")[0]])
        )
        pq.write_table(arrow, path, row_group_size=7)
    kept = read_embeddings(path, ignore="camera")
    np.testing.assert_array_equal(kept.embeddings.astype(np.float32), ROWS)
    assert kept.embeddings.dtype == (np.float64 if kind == "csv" else np.float32)
    assert kept.labels.tolist() == LABELS.tolist()
    np.testing.assert_array_equal(kept.ignore, CAMERAS)
    np.testing.assert_array_equal(kept.masks["query"], CAMERAS < 2)
    np.testing.assert_array_equal(kept.names, np.arange(30))
    wanted = retrieval_metrics(ROWS, LABELS, (1, 3), query=CAMERAS < 2)
    assert stored_metrics(path, None, (1, 3)) == wanted


def test_float64_is_read_to_the_last_bit(tmp_path):
    numbers = np.random.default_rng(0).standard_normal((500, 2)) * 10.0 ** np.arange(-250, 250)[:, None]
    pd.DataFrame({"x1": numbers[:, 0], "x2": numbers[:, 1], "label": 0}).to_csv(tmp_path / "t.csv", index=False)
    np.testing.assert_array_equal(read_embeddings(tmp_path / "t.csv").embeddings, numbers)


def test_texts_are_read_as_they_are_written(tmp_path):
    """Pandas would take NA for nothing, and 01 for 1."""
    kept = read_embeddings(written(tmp_path, 'label,0,1\nNA,1,2\n01,3,4\n"1, a",5,6\n'))
    assert kept.labels.tolist() == ["NA", "01", "1, a"]
    kept = read_embeddings(written(tmp_path, "\ufefflabel,0,1\r\n-3,1,2\r\n10,3,4\r\n"))
    assert (kept.labels.tolist(), kept.labels.dtype) == ([-3, 10], np.int64)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_labels_of_a_table_of_their_own(tmp_path, table, kind):
    np.save(tmp_path / "e.npy", ROWS)
    path = tmp_path / f"t.{kind}"
    renamed = table.rename(columns={"label": "species"}).drop(columns=["query"])
    getattr(renamed, f"to_{kind}")(path, **({"index": False} if kind == "csv" else {}))
    kept = read_embeddings(tmp_path / "e.npy", path, label_column="species", ignore="camera")
    assert kept.labels.tolist() == LABELS.tolist()
    np.testing.assert_array_equal(kept.ignore, CAMERAS)
    assert not kept.masks
    assert "t." + kind + " holds no column 'label' (it holds " in refused(tmp_path / "e.npy", path)
    assert "holds no column 'shot'" in refused(tmp_path / "e.npy", path, label_column="species", ignore="shot")


@pytest.mark.parametrize(
    ("header", "options", "what"),
    [
        ("label,e0,e2", {}, "without a gap, such as e0, e1, e2, but it holds label, e0, e2: rename"),
        ("label,e2,e3", {}, "but it holds label, e2, e3"),
        ("label,e00,e01", {}, None),
        ("label,e1,e01", {}, "but it holds label, e1, e01"),
        ("label,e0,x", {}, None),
        ("label,e0,cam1", {}, "several could be meant (e0, ... and cam1, ...)"),
        ("label,e0,cam1", {"ignore": "cam1"}, None),
        ("class1,e0,x", {"label_column": "class1"}, None),
        ("label,x,y", {}, "but it holds label, x, y"),
        ("label,e0,e0", {}, "several columns 'e0'"),
        ("label;e0;e1", {}, "not separated by commas"),
        ("", {}, "but it holds nothing"),
    ],
)
def test_one_rule_says_which_columns_are_the_embedding(tmp_path, header, options, what):
    path = written(tmp_path, f"{header}\n7,1,2\n" if header else "")
    if what is None:
        assert len(read_embeddings(path, **options).embeddings) == 1
    else:
        assert what in refused(path, **options)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("label,e0,e1\na,1,2,3\nb,3,4,5\n", "lines have more fields than the first has names"),
        ("label,e0,e1\na,1,2\nb,3,4,5\n", "Expected 3 fields in line 3, saw 4"),
        ("label,e0,e1\na,1,x\n", "could not convert string to float: 'x'"),
        ('label,e0\n"a,1\n', "EOF inside string"),
        ('"label,e0\n', "unexpected end of data"),
        ("label,query,e0\na,yes,1\n", "column 'query' must hold true or false, or 1 or 0, but row 0 holds 'yes'"),
    ],
)
def test_damaged_csv(tmp_path, text, what):
    assert what in refused(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("label,e0,e1\na,1,2\n,3,4\n", "row 1 holds None"),
        ("label,e0,e1\na,1,2\nb,nan,4\n", "first in row 1"),
        ("label,e0,e1\na,1,2\n\nb,3,4\n", "first in row 1"),
        ("label,e0,e1\na,1,2\nb,3\n", "first in row 1"),
        ("e0,e1,label\n1,2,a\n3,4\n", "row 1 holds None"),
    ],
)
def test_nothing_that_is_missing_is_made_up(tmp_path, text, what):
    with pytest.raises(ValueError, match=rf"t\.csv: .*{what}"):
        stored_metrics(written(tmp_path, text), None, (1,))


def test_damaged_parquet(tmp_path, table):
    path = tmp_path / "t.parquet"
    table.to_parquet(path)
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    said = []
    for _ in range(60):
        changed = bytearray(content)
        for place in generator.integers(0, len(content), 3):
            changed[place] = generator.integers(0, 256)
        path.write_bytes(changed[: None if generator.random() < 0.7 else generator.integers(0, len(content))])
        said.append(outcome(path))
    assert sum(map(bool, said)) > 20
    assert [each for each in said if each and ("t.parquet" not in each or "\n" in each)] == []
    assert "t.parquet can't be read: No such file" in refused(tmp_path / "no" / "t.parquet")


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"label": [1, 2], "embedding": [[1.0, 2.0], [1.0]]}, "column 'embedding' holds lists of several lengths"),
        ({"label": [1, 2], "embedding": [[1.0, 2.0], None]}, "column 'embedding' holds lists of several lengths"),
        ({"label": [1, 2], "embedding": ["1 2", "3 4"]}, "column 'embedding' holds string, not lists of numbers"),
        ({"label": [1, 2], "embedding": [["1"], ["2"]]}, "column 'embedding' holds string, not numbers"),
        ({"label": [1, 2], "e0": ["1", "2"]}, "column 'e0' holds string, not numbers"),
        ({"label": [[1], [2]], "e0": [1.0, 2.0]}, "column 'label' holds list<"),
    ],
)
def test_columns_of_other_kinds(tmp_path, columns, what):
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert what in refused(tmp_path / "t.parquet")


@pytest.mark.parametrize("labels", [["a", None, "b"], [1, None, 2]])
@pytest.mark.parametrize("coded", [False, True])
def test_a_label_that_is_missing_is_refused(tmp_path, labels, coded):
    column = pa.array(labels).dictionary_encode() if coded else pa.array(labels)
    pq.write_table(pa.table({"label": column, "embedding": [[0.0], [1.0], [2.0]]}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"t\.parquet: labels .*row 1 holds None"):
        stored_metrics(tmp_path / "t.parquet", None, (1,))


def test_logits_of_a_table(tmp_path):
    pq.write_table(pa.table({"label": [0, 1], "logits": [[2.0, 1.0], [0.0, 1.0]]}), tmp_path / "t.parquet")
    assert read_files(Files(tmp_path / "t.parquet", matrix="logits")).embeddings.shape == (2, 2)


def test_row_groups_without_rows_and_texts_in_views(tmp_path):
    lists = pa.chunked_array([pa.array([], pa.list_(pa.float32())), pa.array([[1.0, 2.0]], pa.list_(pa.float32()))])
    path = tmp_path / "t.parquet"
    table = pa.table({"label": pa.array(["a"], pa.string_view()), "embedding": lists})
    pq.write_table(table, path)
    assert read_embeddings(path).labels.tolist() == ["a"]
    pq.write_table(table[:0], path)
    with pytest.raises(ValueError, match=r"t\.parquet: embeddings "):
        stored_metrics(path, None, (1,))


def test_columns_are_not_looked_at_where_all_fit_into_memory():
    """A damaged entry of one ends the process."""
    metadata = SimpleNamespace(num_row_groups=2, row_group=lambda _place: SimpleNamespace(total_byte_size=5))
    assert _size(metadata, ["label"]) == 10
