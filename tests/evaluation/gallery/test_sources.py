import os
import pickle

import numpy as np
import pytest

from relbench.evaluation import Sharding, sharded_query_results, stored_metrics
from relbench.evaluation.gallery import sources
from relbench.evaluation.gallery.shard import load
from relbench.evaluation.gallery.sources import layout_of, rows_in_file, rows_in_memory

ROWS = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
LABELS = np.arange(50) % 10
LARGE = 1 << 34


def in_file(path, rows):
    np.save(path, rows)
    return rows_in_file(path, layout_of(path))


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize(("at_once", "skipped"), [(1, 0), (7 * 12, 0), (7 * 12, 60), (1 << 20, 1 << 16)])
def test_parts_of_a_file_are_those_of_the_array(tmp_path, monkeypatch, order, at_once, skipped):
    """A piece of one row, of seven, of all; rows stored one after another, or column by column."""
    monkeypatch.setattr(sources, "_BYTES_AT_ONCE", at_once)
    monkeypatch.setattr(sources, "_BYTES_SKIPPED", skipped)
    file, array = in_file(tmp_path / "x.npy", np.asarray(ROWS, order=order)), rows_in_memory(ROWS)
    chosen = np.array([2, 3, 9, 30, 31, 49])
    two = pickle.loads(pickle.dumps(sources.Joined((file.part(0, 17), array.part(17, 50)))))  # as nodes are sent it
    for source in (file, array, two):
        parts = {
            "all": (source, ROWS),
            "part": (source.part(5, 45).part(1, 30), ROWS[6:35]),
            "picked": (source.picked(chosen), ROWS[chosen]),
            "picked from a part": (source.part(20, 50).picked(np.array([0, 28])), ROWS[[20, 48]]),
            "part of picked": (source.picked(chosen).part(1, 4), ROWS[chosen[1:4]]),
        }
        for name, (part, wanted) in parts.items():
            assert part.shape == wanted.shape, name
            np.testing.assert_array_equal(load([part], ROWS.dtype), wanted, err_msg=name)
        np.testing.assert_array_equal(load([source, source.part(0, 2)], np.dtype(float)), [*ROWS, *ROWS[:2]])


@pytest.mark.parametrize(("order", "runs"), [("C", [(2, 4), (9, 10), (30, 33), (49, 50)]), ("F", [(2, 10), (30, 50)])])
def test_what_lies_between_rows_far_apart_is_not_read(tmp_path, monkeypatch, order, runs):
    """Beyond four rows of twelve bytes, or sixteen numbers of a column."""
    monkeypatch.setattr(sources, "_BYTES_SKIPPED", {"C": 4 * 12, "F": 16 * 4}[order])
    read, reads = sources.RowsInFile._read, []
    monkeypatch.setattr(sources.RowsInFile, "_read", lambda *of: reads.append((of[2], of[2] + of[3])) or read(*of))
    rows = np.array([2, 3, 9, 30, 32, 49])
    source = in_file(tmp_path / "x.npy", np.asarray(ROWS, order=order)).picked(rows)
    np.testing.assert_array_equal(load([source], ROWS.dtype), ROWS[rows])
    assert reads == runs


def cut_short(path):
    os.truncate(path, path.stat().st_size - 1)


def uncountable(path):
    """Says 2^64 numbers, which machines count as none."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (2**62, 4)})
        file.write(bytes(100))


def touched(path):
    os.utime(path, ns=(0, 0))


def written_anew(path):
    path.unlink()
    np.save(path, ROWS)


@pytest.mark.parametrize("change", [cut_short, touched, written_anew])
def test_a_file_that_changes_is_refused(tmp_path, change):
    source = in_file(tmp_path / "x.npy", ROWS)
    other = tmp_path / "kept.npy"  # keeps the inode from being used again
    os.link(tmp_path / "x.npy", other)
    change(tmp_path / "x.npy")
    with pytest.raises(
        ValueError, match=r"\A.*x\.npy has changed while it was read, or is another file on .*: wait .*\Z"
    ):
        sharded_query_results(source, LABELS, (1,), sharding=Sharding(LARGE, items=20))


def test_a_file_that_changes_in_the_middle_of_the_search_is_refused(tmp_path):
    source = in_file(tmp_path / "x.npy", ROWS)
    with pytest.raises(ValueError, match=r"x\.npy has changed while it was read"):
        sharded_query_results(
            source,
            LABELS,
            (1,),
            sharding=Sharding(LARGE, items=20, queries=10),
            progress=lambda _: touched(tmp_path / "x.npy"),
        )


@pytest.mark.parametrize("left", [0, 4, 60, 128 + 50 * 12 - 1, None])
def test_a_file_that_is_cut_short_is_named(tmp_path, left):
    np.save(tmp_path / "x.npy", ROWS)
    np.save(tmp_path / "l.npy", LABELS)
    if left is None:
        uncountable(tmp_path / "x.npy")
    else:
        os.truncate(tmp_path / "x.npy", left)
    with pytest.raises(ValueError, match=r"\A[^\n]*x\.npy is not a readable \.npy file[^\n]*save it again\Z"):
        stored_metrics(tmp_path / "x.npy", tmp_path / "l.npy", (1,), sharding=Sharding(LARGE))
