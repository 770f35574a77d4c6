"""Pickles that nobody vouches for: arrays and lists come out, and nothing else runs."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from relbench.data.parsing import untrusted_pickle
from relbench.data.parsing.untrusted_pickle import TextArray, Unread, map_arrays, read_arrays

CONTENT = {"data": np.arange(12, dtype=np.uint8).reshape(3, 4), "labels": [1, 2, 3], b"name": b"a", "text": "worm"}
PYTHON_2 = (  # {'data': numpy.array([[1, 2]], dtype='u1'), 'labels': [7]}, written by hand as Python 2 and numpy 1 do
    b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87R"
    b"(K\x01K\x01K\x02\x86cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
    b"tb\x89U\x02\x01\x02tbU\x06labels]K\x07au."
)


def refusal(content):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:
        read_arrays(content)
    return str(caught.value)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_arrays_and_lists_come_out(protocol):
    found = read_arrays(pickle.dumps(CONTENT, protocol=protocol))
    assert found["data"].dtype == np.uint8
    np.testing.assert_array_equal(found.pop("data"), CONTENT["data"])
    assert found == {name: value for name, value in CONTENT.items() if name != "data"}


def test_a_pickle_of_python_2():
    found = read_arrays(PYTHON_2)
    assert found["labels"] == [7]
    assert found["data"].tolist() == [[1, 2]]
    assert found["data"].dtype == np.uint8


@pytest.fixture
def _short(monkeypatch):
    """Long is what has more than 20 bytes; text is turned in pieces of 7, some of which end within a letter."""
    monkeypatch.setattr(untrusted_pickle, "LONG", 20)
    monkeypatch.setattr(untrusted_pickle, "PIECE", 7)


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", "CF")
def test_long_arrays_of_a_mapped_file(tmp_path, protocol, order):
    """Views of the file, but where Python 3 has written bytes as text."""
    array = np.asarray(np.arange(254, 0, -2, dtype=np.uint8)[:126].reshape(2, 3, 21), order=order)
    (tmp_path / "file").write_bytes(pickle.dumps({b"a": array, "rows": [3, 1]}, protocol=protocol))
    mapped, content = map_arrays(tmp_path / "file", most=100), (tmp_path / "file").read_bytes()
    for found in (mapped, read_arrays(content)):
        assert found["rows"] == [3, 1]
        assert (found[b"a"].shape, found[b"a"].dtype) == (array.shape, array.dtype)
        assert isinstance(found[b"a"], TextArray) == (protocol == 2 and found is mapped)
        values = found[b"a"].read() if isinstance(found[b"a"], TextArray) else found[b"a"]
        np.testing.assert_array_equal(values, array)
        assert not values.flags.owndata
        assert not values.flags.writeable


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("K\x03K\x15", "K\x03K\x16", "an array of another size than its bytes"),  # more than text of these bytes can be
        ("K\x15", "K\x14", "an array of another size than its bytes"),
    ],
)
def test_text_of_another_size(tmp_path, old, new, told):
    """Told at once, or when the text is turned."""
    content = pickle.dumps(np.full((2, 3, 21), 7, np.uint8), protocol=2).replace(old.encode(), new.encode(), 1)
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=told):
        map_arrays(tmp_path / "file", most=100).read()


@pytest.mark.usefixtures("_short")
def test_a_long_array_of_python_2():
    content = bytes(range(200, 230))
    found = read_arrays(EMPTY + b"(K\x01K\x1e\x85" + U1 + b"\x89T\x1e\x00\x00\x00" + content + b"tb.")
    assert found.tobytes() == content


@pytest.mark.usefixtures("_short")
def test_other_long_texts_stay_where_they_are():
    found = read_arrays(pickle.dumps(["a" * 300, b"b" * 300], protocol=4))
    assert [(text.is_text, bytes(text.content)[:2]) for text in found] == [(True, b"aa"), (False, b"bb")]
    assert all(isinstance(text, Unread) for text in found)
    assert "has keys that are neither text nor numbers" in refusal(pickle.dumps({"a" * 300: 1}, protocol=4))


@pytest.mark.usefixtures("_short")
def test_long_text_is_turned_once_at_most():
    again = b"c_codecs\nencode\nh\x00" + LATIN1 + b"\x86R"
    content = b"\x80\x02](" + HALF_MEGABYTE + b"q\x00" + again * 5000 + b"e."
    assert "makes more bytes than it holds" in refusal(content)


def test_numbers_of_numpy_are_plain_numbers():
    for protocol in (2, 4):
        found = read_arrays(pickle.dumps([np.int64(7), np.float32(0.5), np.bool_(1)], protocol=protocol))
        assert found == [7, 0.5, True]
        assert [type(number) for number in found] == [int, float, bool]


def test_more_instructions_than_allowed(tmp_path):
    (tmp_path / "file").write_bytes(b"\x80\x02](" + b"K\x01" * 1000 + b"e.")
    with pytest.raises(ValueError, match="holds more than 500 instructions, so it is not opened"):
        map_arrays(tmp_path / "file", most=500)
    assert map_arrays(tmp_path / "file", most=1100) == [1] * 1000


def test_an_empty_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is empty"):
        map_arrays(tmp_path / "file", most=500)


class Call:
    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (Call(os.system, "touch ran"), f"asks for {os.name}.system"),
        (Call(eval, "1"), "asks for builtins.eval"),
        (Call(getattr, "text", "join"), "asks for builtins.getattr"),
        (OrderedDict(a=1), "asks for collections.OrderedDict"),
        (np.array([print], dtype=object), "holds an array of the type 'O8', not of numbers"),
        (np.dtype([("a", "u1")]), "holds an array of the type 'V1', not of numbers"),
        (Call(np.ndarray, (3,)), "makes an array in a way that numpy's pickles don't"),
        (np.array(["text"]), "not of numbers"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path, monkeypatch, content, told):
    monkeypatch.chdir(tmp_path)
    assert told in refusal(pickle.dumps({"data": content}, protocol=4))
    assert not (tmp_path / "ran").exists()


def test_only_one_way_of_text_to_bytes():
    assert "encodes text as 'bz2'" in refusal(b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00bz2\x86R.")


HALF_MEGABYTE = b"X" + (2**19).to_bytes(4, "little") + b"a" * 2**19
LATIN1 = b"X\x06\x00\x00\x00latin1"
TYPE, ARRAY = b"cnumpy\ndtype\n", b"cnumpy\n_reconstruct\n".replace(b"numpy", b"numpy.core.multiarray")
U1 = TYPE + b"U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
EMPTY = ARRAY + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
DOUBLED = b")q\x00" + b"h\x00h\x00\x86q\x00" * 60  # tuples that each hold another twice
LISTS = b"]q\x00" + b"".join(b"]q%c(h%ch%ceh%c" % (at + 1, at, at, at + 1) for at in range(40))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(b"})" + b"\x85" * 150_000 + b"Ns.", "has keys that are neither text nor numbers", id="deep tuple"),
        pytest.param(b"})" + b"2\x86" * 60 + b"Ns.", "holds the instruction DUP", id="the same tuple twice"),
        pytest.param(DOUBLED + b"}h\x00Ns.", "has keys that are", id="doubled tuples"),
        pytest.param(LISTS + TYPE + b"h\x28\x85R.", "an array of the type without a name", id="doubled lists"),
        pytest.param(LISTS + b"c_codecs\nencode\nU\x01ah\x28\x86R.", "encodes text as nothing", id="doubled encoding"),
        pytest.param(
            HALF_MEGABYTE + b"q\x000" + b"c_codecs\nencode\nh\x00" + LATIN1 + b"\x86R" * 9 + b".",
            "holds the instruction POP",
            id="pop",
        ),
        pytest.param(
            b"](" + HALF_MEGABYTE + b"q\x00" + (b"c_codecs\nencode\nh\x00" + LATIN1 + b"\x86R") * 5000 + b"e.",
            "makes more bytes than it holds",
            id="text turned again and again",
        ),
        pytest.param(b"cnumpy\nndarray\nN}U\x08__name__U\x04evils\x86b.", "sets the state of what is no", id="build"),
        pytest.param(b"cnumpy\nndarray\n)R.", "makes an array in a way that numpy's pickles don't", id="call"),
        pytest.param(ARRAY + b"]R.", "makes an array in a way that numpy's pickles don't", id="call with a list"),
        pytest.param(EMPTY + b"(K\x01K\x05\x85" + U1 + b"\x89U\x02abtb.", "is no whole pickle", id="too few bytes"),
        pytest.param(EMPTY + b"(K\x01K\x01\x85" + U1 + b"\x89U\x02abtb.", "of another size", id="too many bytes"),
        pytest.param(EMPTY + b"(K\x01K\x01\x85U\x01O\x89U\x08aaaaaaaatb.", "without a type", id="objects"),
        pytest.param(TYPE + b"U\x08i4,i4,i4\x85R.", "of the type 'i4,i4,i4', not of numbers", id="several types"),
        pytest.param(b"(ios\nsystem\n.", "holds the instruction INST os system", id="INST"),
        pytest.param(b"(cos\nsystem\no.", "asks for os.system", id="OBJ"),
        pytest.param(b"\x8c\x02os\x8c\x06system\x93)\x81.", "asks for os.system", id="NEWOBJ"),
        pytest.param(b"cnumpy\ndtype\n)\x81.", "holds the instruction NEWOBJ", id="NEWOBJ of what is known"),
        pytest.param(b"Psecret\n.", "holds the instruction PERSID secret", id="PERSID"),
        pytest.param(b"K\x01Q.", "holds the instruction BINPERSID", id="BINPERSID"),
        pytest.param(b"\x82\x01.", "holds the instruction EXT1", id="EXT"),
        pytest.param(b"\x8c\x03o\n\x1b\x8c\x01x\x93.", "asks for o??.x, which", id="a name on two lines"),
        pytest.param(DOUBLED + b"\x8c\x01x\x93.", "is no whole pickle (a global without a name)", id="doubled module"),
        pytest.param(b"]" + DOUBLED + b"\x8c\x01xh\x00\x93.", "(a global without a name)", id="doubled name"),
        pytest.param(b"}\x8b\0\x80\0\0" + b"\x7f" * 2**15 + b"Ns.", "has keys of more than 64 bits", id="a long key"),
        pytest.param(HALF_MEGABYTE + b"\x8c\x01x\x93.", f"asks for {'a' * 60}..., which", id="a long name"),
    ],
)
def test_what_is_made_to_harm_is_refused_in_a_short_line(content, told):
    """Python's own reader crashes on the first, and takes any amount of time or memory on the next ones."""
    message = refusal(b"\x80\x02" + content)
    assert told in message
    assert len(message) < 200


def test_what_is_made_has_no_state_of_its_own():
    """Values put into places before and after they are built, as numpy's pickles do with types."""
    kept = b"q\x05".join(U1.split(b"(", 1)).replace(b"q\x05", b"q\x05(")
    content = b"(" + kept + b"h\x05" + EMPTY + b"q\x06(K\x01K\x02\x85h\x05\x89U\x02abtbh\x06t."
    built, again, array, same = read_arrays(b"\x80\x02" + content)
    assert built == again == np.uint8
    assert array is same
    assert array.tolist() == [97, 98]


def test_arrays_by_columns_and_of_other_byte_orders():
    content = {"by columns": np.asfortranarray(np.arange(6).reshape(2, 3)), "order": np.arange(3, dtype=">i4")}
    found = read_arrays(pickle.dumps(content, protocol=2))
    for name, array in content.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps(CONTENT)[:40], b"\x80\x02.", b"\x80\xff."])
def test_what_is_no_whole_pickle(content):
    assert refusal(content)


def test_damage_gives_a_refusal_or_some_value():
    """Never an error of another kind, whatever byte is another."""
    content, random = pickle.dumps(CONTENT, protocol=2), np.random.default_rng(0)
    refused = 0
    for _ in range(2000):
        damaged = bytearray(content)
        damaged[random.integers(len(content))] = random.integers(256)
        try:
            read_arrays(bytes(damaged))
        except ValueError:
            refused += 1
    assert 200 < refused < 2000
