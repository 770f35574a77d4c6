"""Checksums: everything that a card knows of a file is checked, nothing else."""

import hashlib

import pytest

from relbench.data.download.card import Archive, packaged_card
from relbench.data.download.checksum import CHUNK, checksum_mismatch, wrong_files
from relbench.settings import changed

CONTENT = bytes(range(256)) * (CHUNK // 256 + 1)  # more than is read at once
MD5, SHA256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
ARCHIVE = Archive(file="a.zip", bytes=len(CONTENT), md5=MD5, sha256=SHA256, unpacks_to=("a",))
WRONG = {"bytes": 7, "md5": "0" * 32, "sha256": "0" * 64}


def silent(done, total):
    pass


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(CONTENT)
    return path


def test_it_fits(path):
    told = []
    assert not checksum_mismatch(path, ARCHIVE, lambda *news: told.append(news))
    assert told == [(CHUNK, len(CONTENT)), (len(CONTENT), len(CONTENT))]


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("alone", [True, False])
def test_one_that_differs(path, name, alone):
    """Beside others that fit, and where it is all that is known."""
    unknown = dict.fromkeys(WRONG) if alone else {}
    archive = changed(ARCHIVE, {**unknown, name: WRONG[name]})
    found = {"bytes": f"has {len(CONTENT)} bytes", "md5": f"has the md5 {MD5}", "sha256": f"has the sha256 {SHA256}"}
    assert checksum_mismatch(path, archive, silent) == f"{found[name]}, not {WRONG[name]}"


def test_nothing_is_known(path):
    assert not checksum_mismatch(path, changed(ARCHIVE, dict.fromkeys(WRONG)), silent)


def test_wrong_files(tmp_path):
    """Those of the card's list that are there and differ, by name."""
    files = {"right.txt": hashlib.md5(b"right").hexdigest(), "wrong.txt": "0" * 32, "not_there.txt": "0" * 32}
    (tmp_path / "right.txt").write_bytes(b"right")
    (tmp_path / "wrong.txt").write_bytes(b"")
    lines = wrong_files(changed(packaged_card("sop"), {"files": files}), tmp_path)
    assert lines == [f"{tmp_path / 'wrong.txt'} has the md5 {hashlib.md5(b'').hexdigest()}, not {'0' * 32}"]
