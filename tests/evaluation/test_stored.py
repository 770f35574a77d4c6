import io
import pickle
import re
import warnings
import zipfile

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench.cli import console
from relbench.evaluation import Sharding, read_embeddings, retrieval_metrics, stored_metrics, stored_search
from relbench.evaluation.gallery import plan, sharded
from relbench.trackers import bars as progress

ROWS = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
LABELS = np.array([f"class {row % 5} é" for row in range(30)])


@pytest.fixture
def files(tmp_path):
    """Embeddings and labels in two files, and both in one."""
    np.save(tmp_path / "e.npy", ROWS)
    np.save(tmp_path / "l.npy", LABELS)
    np.savez(tmp_path / "both.npz", embeddings=ROWS, labels=LABELS, names=LABELS)
    return tmp_path


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def with_header(text):
    """An .npy file whose header says what we like."""
    header = text.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)


def in_zip(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def one_line(error, *parts):
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


def test_names_are_read_where_they_are_kept(files):
    np.testing.assert_array_equal(read_embeddings(files / "both.npz").names, LABELS)
    assert read_embeddings(files / "e.npy", files / "l.npy").names is None


@pytest.mark.parametrize("names", [("e.npy", "l.npy"), ("both.npz",)])
def test_what_was_saved_is_read(files, names):
    paths = [files / name for name in names]
    kept = read_embeddings(*paths)
    embeddings, labels = kept.embeddings, kept.labels
    np.testing.assert_array_equal(embeddings, ROWS)
    np.testing.assert_array_equal(labels, LABELS)
    assert (embeddings.dtype, labels.dtype) == (ROWS.dtype, LABELS.dtype)
    labels_path = paths[1] if len(paths) > 1 else None
    assert stored_metrics(paths[0], labels_path, (3, 1)) == retrieval_metrics(ROWS, LABELS, (3, 1))


def test_compressed_and_column_by_column(files):
    np.savez_compressed(files / "small.npz", embeddings=np.asfortranarray(ROWS), labels=LABELS)
    np.testing.assert_array_equal(read_embeddings(files / "small.npz").embeddings, ROWS)


def test_the_folder_of_a_run_is_enough_and_that_of_a_study_is_not(tmp_path):
    run = tmp_path / "runs" / "0123"
    run.mkdir(parents=True)
    np.savez(run / "embeddings.npz", embeddings=np.eye(4), labels=np.arange(4) // 2)
    assert stored_metrics(run, None, (1,)) == retrieval_metrics(np.eye(4), np.arange(4) // 2, (1,))
    with pytest.raises(ValueError, match=r"holds 1 runs: name one of them, such as .*0123"):
        read_embeddings(tmp_path)
    with pytest.raises(ValueError, match=r"is a folder without embeddings\.npz"):
        read_embeddings(tmp_path / "runs")


def test_progress_says_how_many_there_are(tmp_path):
    np.savez(tmp_path / "x.npz", embeddings=np.eye(6), labels=np.arange(6) // 2, query=np.arange(6) < 4)
    calls = []
    stored_metrics(tmp_path / "x.npz", None, (1,), lambda done, total: calls.append((done, total)))
    assert sum(done for done, _ in calls) == 4
    assert {total for _, total in calls} == {4}


@pytest.mark.parametrize(("after", "shown"), [(0.0, True), (60.0, False)])
def test_progress_is_shown_where_it_takes_long(after, shown):
    terminal = console.Terminal(file=io.StringIO(), force_terminal=True, width=60)
    with progress.shown_if_slow("queries", terminal, after) as advance:
        advance(3, 4)
        advance(1, 4)
    assert ("4/4" in terminal.file.getvalue()) == shown


def test_tensors_are_read(tmp_path):
    rows, labels = torch.eye(4, dtype=torch.bfloat16), torch.arange(4) // 2
    for name, held in {
        "both": {"embeddings": rows, "labels": labels, "epoch": 3},
        "rows": rows,
        "labels": labels,
    }.items():
        torch.save(held, tmp_path / f"{name}.pt")
    wanted = retrieval_metrics(rows, labels, (1,))
    assert stored_metrics(tmp_path / "both.pt", None, (1,)) == wanted
    assert stored_metrics(tmp_path / "rows.pt", tmp_path / "labels.pt", (1,)) == wanted
    with pytest.raises(ValueError, match="holds no labels"):
        read_embeddings(tmp_path / "rows.pt")


class _Opens:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("held", [_Opens(), {"embeddings": _Opens()}, "a text", b""])
def test_no_code_in_tensors_is_executed(tmp_path, capsys, held):
    path = tmp_path / "x.pt"
    torch.save(held, path) if held else path.write_bytes(held)
    with pytest.raises(ValueError, match=r"\A.*x\.pt .+\Z"):
        read_embeddings(path)
    assert "executed" not in capsys.readouterr().out


def test_masks_are_read_and_used(files):
    masks = {"query": np.arange(len(ROWS)) % 2 == 0, "gallery": np.arange(len(ROWS)) > 1}
    np.savez(files / "masked.npz", embeddings=ROWS, labels=LABELS, **masks)
    assert stored_metrics(files / "masked.npz", None, (1,)) == retrieval_metrics(ROWS, LABELS, (1,), **masks)
    assert stored_metrics(files / "masked.npz", None, (1,)) != retrieval_metrics(ROWS, LABELS, (1,))


DAMAGED = {
    "empty": b"",
    "text": b"0.1,0.2\n0.3,0.4\n",
    "truncated in the magic": npy(ROWS)[:4],
    "truncated in the header": npy(ROWS)[:50],
    "truncated in the data": npy(ROWS)[:-1],
    "absurd shape": with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000000, 512), }"),
    "shape beyond integers": with_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**70}, 2), }}"),
    "negative shape": with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-4, 2), }"),
    "open bracket": with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 2"),
    "open quote": with_header("{'descr': '<f4"),
    "broken indent": with_header("  1\n 2\n"),
    "no type": with_header("{'descr': 'nix', 'fortran_order': False, 'shape': (4, 2), }"),
    "brackets without end": with_header("(" * 5000),
    "header too long": with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 2), }" + " " * 20_000),
    "objects": npy(np.array([{}, 1], dtype=object)),
    "a pickle": pickle.dumps(ROWS),
}


@pytest.mark.filterwarnings("ignore:Reading `.npy`")  # numpy's advice on headers that it first fails to parse
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_files_are_named(files, content):
    bad = files / "bad.npy"
    bad.write_bytes(content)
    for paths in ((bad, files / "l.npy"), (files / "e.npy", bad)):
        with pytest.raises(ValueError, match=r"bad\.npy is not a readable \.npy file") as error:
            read_embeddings(*paths)
        one_line(error)
    bad = files / "bad.npz"
    bad.write_bytes(in_zip(embeddings=content, labels=npy(LABELS)))
    with pytest.raises(ValueError, match=r"bad\.npz is not a readable \.npz file") as error:
        read_embeddings(bad)
    one_line(error)


@pytest.mark.parametrize("content", [b"", b"PK", npy(ROWS)], ids=["empty", "two letters", "an npy"])
def test_what_is_no_archive_is_named(files, content):
    (files / "bad.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.npz is not a readable \.npz file") as error:
        read_embeddings(files / "bad.npz")
    one_line(error)


class Trap:
    """Leaves a trace if it is ever unpickled."""

    def __reduce__(self):
        return print, ("a trap was sprung",)


@pytest.mark.parametrize("content", [pickle.dumps(Trap()), npy(np.array([Trap()], dtype=object))])
def test_nothing_is_executed(files, capsys, content):
    (files / "trap.npy").write_bytes(content)
    (files / "trap.npz").write_bytes(in_zip(embeddings=npy(ROWS), labels=content))
    for paths in ((files / "trap.npy", files / "l.npy"), (files / "trap.npz",)):
        with pytest.raises(ValueError, match="trap"):
            read_embeddings(*paths)
    assert not capsys.readouterr().out


def outcome(*paths):
    """The refusal, or nothing where the files could be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read_embeddings(*paths)
        except ValueError as error:
            return str(error)
    return ""


CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([".npy", ".npz"]), CHANGES, st.floats(0, 1))
def test_any_damage_is_one_line_or_none(tmp_path_factory, suffix, changes, kept):
    content = bytearray(npy(ROWS) if suffix == ".npy" else in_zip(embeddings=npy(ROWS), labels=npy(LABELS)))
    for place, value in changes:
        content[int(place**3 * (len(content) - 1))] = value  # mostly in the headers
    path, labels = (tmp_path_factory.getbasetemp() / name for name in (f"damaged{suffix}", "whole.npy"))
    path.write_bytes(content[: len(content) if kept > 0.5 else int(2 * kept * len(content))])
    np.save(labels, LABELS)
    message = outcome(path, labels) if suffix == ".npy" else outcome(path)
    assert not message or "damaged" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("e.npy",), ("e.npy holds no labels", "name a second file")),
        (("both.npz", "l.npy"), ("both.npz must hold the labels itself", "l.npy is one file too many")),
        (("none.npy", "l.npy"), ("none.npy can't be read", "No such file")),
        (("e.npy", "none.npy"), ("none.npy can't be read", "No such file")),
        (("none.npz",), ("none.npz can't be read", "No such file")),
        (("folder", "l.npy"), ("folder is a folder without embeddings.npz", "name the folder of a finished run")),
        (("folder.npz",), ("folder.npz is a folder without embeddings.npz", "or a file")),
        (("e.npy", "unlabelled.npz"), ("unlabelled.npz holds no array 'labels' (it holds embeddings, x)",)),
        (("unlabelled.npz",), ("unlabelled.npz holds no array 'labels' (it holds embeddings, x)",)),
        (("other.npz",), ("other.npz holds no array 'embeddings'",)),
        (("bare.npz",), ("bare.npz holds no array 'embeddings' (it holds nothing)",)),
        (("nothing.npz",), ("nothing.npz holds no array 'embeddings' (it holds nothing)",)),
    ],
)
def test_refusals(files, names, parts):
    for folder in ("folder", "folder.npz"):
        (files / folder).mkdir()
    np.savez(files / "unlabelled.npz", embeddings=ROWS, x=ROWS)
    np.savez(files / "other.npz", labels=LABELS)
    np.savez(files / "nothing.npz")
    with zipfile.ZipFile(files / "bare.npz", "w") as archive:
        archive.writestr("embeddings", npy(ROWS))
    with pytest.raises(ValueError, match=re.escape(str(files))) as error:
        read_embeddings(*(files / name for name in names))
    one_line(error, *parts)


@pytest.mark.parametrize(
    ("embeddings", "labels", "ks", "part"),
    [
        (np.full((4, 2), np.nan), [0, 0, 1, 1], (1,), "first in row 0"),
        (np.ones(4), [0, 0, 1, 1], (1,), "shape"),
        (np.ones((4, 2)), [0, 0, 1], (1,), "there are 4 embeddings"),
        (np.ones((4, 2)), [0, 0.5, 1, 1], (1,), "integers or strings"),
        (np.ones((4, 2)), [0, 0, 1, 1], (4,), "K = 4 is outside 1..3"),
        (np.ones((4, 2), bool), [0, 0, 1, 1], (1,), "float16, float32 or float64"),
    ],
)
def test_bad_contents_name_the_files(tmp_path, embeddings, labels, ks, part):
    np.save(tmp_path / "e.npy", embeddings)
    np.save(tmp_path / "l.npy", labels)
    np.savez(tmp_path / "both.npz", embeddings=embeddings, labels=labels)
    with pytest.raises(ValueError, match=r"e\.npy and .*l\.npy: ") as error:
        stored_metrics(tmp_path / "e.npy", tmp_path / "l.npy", ks)
    one_line(error, part)
    with pytest.raises(ValueError, match=r"both\.npz: ") as error:
        stored_metrics(tmp_path / "both.npz", None, ks)
    one_line(error, part)


def test_an_npz_file_that_is_small_on_disk_only(tmp_path, monkeypatch):
    """Refused by what it says that it holds, before it is unpacked."""
    np.savez_compressed(tmp_path / "bomb.npz", embeddings=np.zeros((50_000, 20), np.float32), labels=LABELS)
    assert (tmp_path / "bomb.npz").stat().st_size < 10_000
    free = psutil.virtual_memory()._replace(available=3_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(
        ValueError, match=r"bomb\.npz is not a readable .* \(it would take 4\.0 MB of memory, but 3\.0 MB"
    ):
        read_embeddings(tmp_path / "bomb.npz")


def test_embeddings_that_may_not_fit_are_searched_in_shards(tmp_path, monkeypatch):
    """Within half of what is free beside what the process uses already, be that as much as is free."""
    embeddings = np.random.default_rng(0).standard_normal((len(LABELS), 3)).astype(np.float32)
    np.savez(tmp_path / "e.npz", embeddings=embeddings, labels=LABELS)
    wanted = stored_metrics(tmp_path / "e.npz", None, (1,))
    free, given = embeddings.nbytes * 12, []
    monkeypatch.setattr(stored_search, "free_for_this_process", lambda: free)
    monkeypatch.setattr(stored_search, "Sharding", lambda memory: given.append(memory) or Sharding(memory))
    monkeypatch.setattr(plan, "free_for_this_process", lambda: 10**9)
    for module in (plan, sharded):
        monkeypatch.setattr(module, "used_memory", lambda: 10**9)
    assert stored_metrics(tmp_path / "e.npz", None, (1,)) == wanted
    assert not given  # they just fit
    free -= 1
    assert stored_metrics(tmp_path / "e.npz", None, (1,)) == wanted
    assert given == [1.5e9]


def test_damage_of_the_older_format_of_torch_is_one_line(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"embeddings": torch.eye(4), "labels": [0, 0, 1, 1]}, path, _use_new_zipfile_serialization=False)
    content, generator = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(content)
        changed[int(generator.random() ** 2 * len(content))] = generator.integers(0, 256)
        path.write_bytes(changed)
        outcome(path)
