"""Files in pieces: whole or not there."""

from dataclasses import replace
from hashlib import sha256

import pytest

from relbench.grid.cluster import pieces
from relbench.grid.cluster.pieces import DamagedError, Piece, pieces_of, put_together, stamp


@pytest.fixture
def few_bytes(monkeypatch):
    monkeypatch.setattr(pieces, "SIZE", 4)


@pytest.mark.usefixtures("few_bytes")
@pytest.mark.parametrize(("length", "count"), [(0, 1), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_a_file_arrives_as_it_was(tmp_path, length, count):
    content = bytes(range(length))
    (tmp_path / "file").write_bytes(content)
    sent = list(pieces_of(tmp_path / "file"))
    assert [len(piece.content) for piece in sent[:-1]] == [4] * (count - 1)
    following = iter([*sent, Piece(b"of another file", b"")])
    put_together(following, tmp_path / "folder" / "copy")
    assert (tmp_path / "folder" / "copy").read_bytes() == content
    assert next(following).content == b"of another file"  # is left for whoever asks for it


@pytest.mark.usefixtures("few_bytes")
@pytest.mark.parametrize("harm", ["changed", "changed with its hash", "short", "swapped", "nothing"])
def test_a_damaged_file_does_not_arrive(tmp_path, harm):
    (tmp_path / "file").write_bytes(b"0123456789")
    first, second, last = pieces_of(tmp_path / "file")
    arrived = {
        "changed": [first, replace(second, content=b"4_67"), last],
        "changed with its hash": [first, Piece(b"4_67", sha256(b"4_67").digest()), last],
        "short": [first, second],
        "swapped": [second, first, last],
        "nothing": [],
    }[harm]
    (tmp_path / "copy").write_bytes(b"earlier")
    with pytest.raises(DamagedError, match="copy has arrived damaged"):
        put_together(arrived, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "file"]


def test_a_file_that_is_replaced_is_another(tmp_path):
    path = tmp_path / "file"
    assert stamp(path) is None
    for content in (b"1", b"1"):
        before = stamp(path)
        put_together(pieces_of_bytes(tmp_path, content), path)
        assert stamp(path) not in {None, before}
        assert stamp(path) == stamp(path)


def pieces_of_bytes(folder, content):
    (folder / "source").write_bytes(content)
    return pieces_of(folder / "source")
