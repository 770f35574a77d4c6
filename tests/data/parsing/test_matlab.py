"""MATLAB files: the same as scipy reads, and refused where scipy would crash."""

import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from data.archives import FIELDS_B, structs, texts
from data.damage import refusal

from relbench.data.parsing.matlab import RECORD, read_records, read_texts

MOST = 16_185
ROWS = [(1, 2, 300, 4, 98, "00001.jpg"), (5, 6, 7, 7000, 196, "  \u00e9t\u00e9 2012.jpg "), (0, 1, 2, 3, 1, "x")]
MATLABS_OWN = Path(scipy.io.matlab.__file__).parent / "tests/data"  # written by MATLAB itself


def fields_of(lines):
    return [line.fields for line in lines]


def as_text(cell):
    """A cell as scipy reads it, as text; None if it is neither one text nor one whole number."""
    items = np.asarray(cell).reshape(-1)
    if np.shape(cell) == (1,) and isinstance(items[0], np.str_):
        return str(items[0]).strip()
    if np.shape(cell) == (1, 1) and items.dtype.kind in "iuf" and float(items[0]).is_integer():
        return str(int(items[0]))
    return None


@pytest.mark.parametrize("compressed", [False, True])
def test_records_as_scipy_reads_them(tmp_path, compressed):
    file = tmp_path / "a.mat"
    content = {"other": np.eye(3), "annotations": structs(ROWS, FIELDS_B), "more": "text"}
    scipy.io.savemat(file, content, do_compression=compressed)
    lines = read_records(file, "annotations", ("fname", "class", "bbox_y2"), MOST)
    assert fields_of(lines) == [("00001.jpg", "98", "4"), ("\u00e9t\u00e9 2012.jpg", "196", "7000"), ("x", "1", "3")]
    loaded = scipy.io.loadmat(file)["annotations"][0]
    assert fields_of(lines) == [tuple(as_text(row[name]) for name in ("fname", "class", "bbox_y2")) for row in loaded]
    assert [line.place for line in lines] == [f"{file}, record {number}" for number in (1, 2, 3)]


@pytest.mark.parametrize("compressed", [False, True])
def test_texts_as_scipy_reads_them(tmp_path, compressed):
    file = tmp_path / "a.mat"
    names = ["Ram C/V Cargo Van Minivan 2012", "\u00e9t\u00e9", "\u96ea", "x"]
    scipy.io.savemat(file, {"class_names": texts(names)}, do_compression=compressed)
    assert fields_of(read_texts(file, "class_names", MOST)) == [(name,) for name in names]


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64, float, "f4"])
def test_numbers_of_any_kind(tmp_path, kind):
    file = tmp_path / "a.mat"
    content = np.empty((1, 1), dtype=object)
    content[0, 0] = np.array([[98]], dtype=kind)
    scipy.io.savemat(file, {"numbers": content})
    assert fields_of(read_texts(file, "numbers", MOST)) == [("98",)]


def test_files_that_matlab_wrote():
    """Both byte orders, MATLAB 5.3 to 7.4, compressed or not; scipy's wheel brings them."""
    others = ("testhdf5", "testobject", "testfunc")
    files = [file for file in MATLABS_OWN.glob("test*[567].[0-9]_*.mat") if not file.name.startswith(others)]
    assert sum(map(compare, files)) >= 8 or not files


def compare(file):
    """Compare what texts and whole numbers there are in rows of structs and cells; returns the number of rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = scipy.io.loadmat(file).items()
    rows = {name: value[0] for name, value in content if np.ndim(value) == 2 and np.shape(value)[0] == 1}
    return sum(compare_row(file, name, row) for name, row in rows.items() if row.dtype.kind in "OV")


def compare_row(file, name, row):
    if not row.dtype.names:
        expected = [(as_text(cell),) for cell in row]
        assert (None,) in expected or fields_of(read_texts(file, name, MOST)) == expected, file
        return (None,) not in expected
    fields = [field for field in row.dtype.names if None not in map(as_text, row[field])]
    expected = list(zip(*([as_text(cell) for cell in row[field]] for field in fields), strict=True))
    assert not fields or fields_of(read_records(file, name, tuple(fields), MOST)) == expected, file
    return bool(fields)


def damaged_at(tmp_path, at, new):
    """An uncompressed file with bytes replaced after a mark."""
    file = tmp_path / "a.mat"
    scipy.io.savemat(file, {"names": texts(["marked"])})
    content = file.read_bytes()
    place = content.index(b"marked") + at
    file.write_bytes(content[:place] + new + content[place + len(new) :])
    return file


@pytest.mark.parametrize(
    ("at", "new", "message"),
    [
        (-8, struct.pack("<I", 77), "record 1 holds no text"),  # data type of the text
        (-8, struct.pack("<I", 0xDE0000), "is truncated or damaged"),
        (-4, struct.pack("<I", 7), "record 1 holds no text"),  # its length
        (-4, struct.pack("<I", 700), "is truncated or damaged"),
        (-28, struct.pack("<I", 1), "a.mat"),  # length of the dimensions: scipy crashes
        (-28, struct.pack("<I", 16), "a.mat"),
        (-24, struct.pack("<i", -1), "record 1 holds no text"),  # the dimensions
        (-40, struct.pack("<I", 6), "record 1 holds no text"),  # class: a number
        (0, b"\xff\xff", "is damaged ('utf-8' codec"),
        (0, b"a\0b", "characters that no annotation has"),
    ],
    ids=range(10),
)
def test_damage(tmp_path, at, new, message):
    file = damaged_at(tmp_path, at, new)
    found = refusal(lambda: read_texts(file, "names", MOST))
    assert message in found
    assert str(file) in found


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_that_is_cut(tmp_path, share, compressed):
    file = tmp_path / "a.mat"
    scipy.io.savemat(file, {"annotations": structs(ROWS * 20, FIELDS_B)}, do_compression=compressed)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    found = refusal(lambda: read_records(file, "annotations", ("class",), MOST))
    assert found.startswith(f"{file}")


def test_a_file_that_is_not_there(tmp_path):
    file = tmp_path / "a.mat"
    assert refusal(lambda: read_texts(file, "names", MOST)) == (
        f"{file} cannot be read (No such file or directory): replace it with a good copy"
    )


BOMB = 16 << 20  # bytes


@pytest.mark.parametrize("read", [read_texts, lambda *given: read_records(given[0], given[1], ("class",), given[2])])
def test_what_would_unpack_to_more_than_there_can_be(tmp_path, read):
    """However much it would be, no more than the limit is held."""
    file = tmp_path / "a.mat"
    unpacked = struct.pack("<II", 14, BOMB) + bytes(BOMB)
    packed = zlib.compress(unpacked)
    file.write_bytes(bytes(124) + b"\0\1IM" + struct.pack("<II", 15, len(packed)) + packed)
    del unpacked
    assert file.stat().st_size < 100_000
    tracemalloc.start()
    try:
        found = refusal(lambda: read(file, "names", 196))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == (
        f"{file}: is larger than such a file can be (more than 1.4 MB, unpacked): replace it with a good copy"
    )
    assert peak < 8e6


def test_a_file_that_is_itself_too_large(tmp_path):
    file = tmp_path / "a.mat"
    file.write_bytes(bytes(124) + b"\0\1IM" + bytes(2 << 20))
    assert "is larger than such a file can be" in refusal(lambda: read_texts(file, "names", 196))


def test_more_parts_than_there_can_be(tmp_path):
    """A part of 8 bytes takes hundreds in memory."""
    file = tmp_path / "a.mat"
    head = struct.pack("<IIII", 6, 8, 1, 0) + struct.pack("<IIii", 5, 8, 1, 130_000)
    content = head + struct.pack("<II", 1 | 5 << 16, 0) + struct.pack("<II", 1, 0) * 130_000
    file.write_bytes(bytes(124) + b"\0\1IM" + struct.pack("<II", 14, len(content)) + content)
    tracemalloc.start()
    try:
        refusal(lambda: read_texts(file, "names", 1))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12e6


def test_the_whole_of_cars196_is_not_too_large(tmp_path):
    """Its records, as many as there are, and names longer than they are."""
    file = tmp_path / "a.mat"
    row = {"relative_im_path": "car_ims/000001.jpg" * 3, "class": 196} | dict.fromkeys(FIELDS_B[:4], 1000)
    scipy.io.savemat(file, {"annotations": structs([tuple(row.values())] * 100, tuple(row))})
    assert file.stat().st_size - 128 < 100 * RECORD / 2
