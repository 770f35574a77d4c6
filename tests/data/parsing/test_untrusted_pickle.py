"""Pickles that nobody vouches for: arrays and lists come out, and nothing else runs."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from relbench.data.parsing.untrusted_pickle import read_arrays

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


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_arrays_and_lists_come_out(protocol):
    found = read_arrays(pickle.dumps(CONTENT, protocol=protocol))
    np.testing.assert_array_equal(found.pop("data"), CONTENT["data"])
    assert found == {name: value for name, value in CONTENT.items() if name != "data"}


def test_a_pickle_of_python_2():
    found = read_arrays(PYTHON_2)
    assert found["labels"] == [7]
    assert found["data"].tolist() == [[1, 2]]
    assert found["data"].dtype == np.uint8


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
