"""Every place where a file is read: what came from somebody else is never executed, and nothing waits for ever."""

import ast
import os
import pickle
import re
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hostile import Hostile
from pyarrow import parquet

import relbench
from relbench.data.datasets.added import NOTE, read_added
from relbench.data.datasets.mini_imagenet import pickles as mini_imagenet
from relbench.data.download.card import Archive
from relbench.data.download.checksum import checksum_mismatch
from relbench.data.download.unpack import unpack
from relbench.data.images.decoded import DecodedImages
from relbench.data.images.photos import decoded
from relbench.data.parsing.annotations import read_images, scan_lines
from relbench.data.parsing.image_table import read_table
from relbench.data.parsing.matlab import read_texts
from relbench.evaluation import read_embeddings
from relbench.losses.user_file import read_own
from relbench.results.checkpoint import load_checkpoint
from relbench.results.records import Row, read_record
from relbench.studies.record import StudyRecord

READERS = {  # the file's name, and what reads it
    "row.json": lambda path: read_record(Row, path),
    "study.json": lambda path: read_record(StudyRecord, path),
    "checkpoint.pt": lambda path: load_checkpoint(path, "0", 1, "recall@1"),
    "embeddings.npz": read_embeddings,
    "embeddings.npy": lambda path: read_embeddings(path, path),
    "embeddings.csv": read_embeddings,
    "embeddings.parquet": read_embeddings,
    "embeddings.safetensors": read_embeddings,
    "own.csv": read_table,
    "own.parquet": read_table,
    "image.jpg": lambda path: decoded(path, 8),
    "lists.txt": lambda path: read_images(scan_lines(path)),
    "lists.mat": lambda path: read_texts(path, "class_names", 9),
    "decoded.npy": lambda path: DecodedImages(path, ["a.jpg"], 8),
    f"mine/{NOTE}": lambda path: read_added("mine", path.parents[1]),
    "cache.pkl": lambda path: mini_imagenet.B.part(path, "train"),
    "category_split.pickle": lambda path: mini_imagenet.C.part(path, "train"),
    "my_loss.py": lambda path: read_own(f"{path}:loss"),
}
ALSO = {  # hold no pickles, or are told by a checksum
    "archive.zip": lambda path: unpack(path, path.parent / "unpacked", lambda *_: None),
    "archive.tar": lambda path: checksum_mismatch(path, ARCHIVE, lambda *_: None),
}
ARCHIVE = Archive(file="archive.tar", md5="0" * 32, unpacks_to=("images",))


def made(name, tmp_path):
    """A path without a file."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    return path


@pytest.fixture
def no_waiting():
    """Whatever takes longer than a few seconds ends in an error that nobody catches."""

    def wake(*_):
        pytest.fail("waits for ever")

    before = signal.signal(signal.SIGALRM, wake)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(("name", "read"), (READERS | ALSO).items(), ids=[*READERS, *ALSO])
def test_a_pipe_is_refused(name, read, tmp_path):
    path = made(name, tmp_path)
    os.mkfifo(path)
    with pytest.raises((ValueError, OSError), match=r"\A.+\Z") as caught:
        read(path)
    assert path.stem in str(caught.value)


def as_pickle(path, hostile):
    path.write_bytes(pickle.dumps(hostile))


def as_torch(path, hostile):
    torch.save({"fingerprint": "0", "network": {"weight": hostile}}, path)


def as_array(path, hostile):
    with path.open("wb") as file:
        np.save(file, np.array([hostile, hostile], dtype=object), allow_pickle=True)


def as_arrays(path, hostile):
    values = np.array([hostile, hostile], dtype=object)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=True, embeddings=values, labels=values)


def as_parquet(path, hostile):
    """In the place where pyarrow before 14.0.1 unpickled (CVE-2023-47248)."""
    texts = pa.array(["a.jpg", "b.jpg"])
    metadata = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(hostile, protocol=0),
    }
    fields = [pa.field(name, pa.string(), metadata=metadata) for name in ("path", "label", "split")]
    parquet.write_table(pa.table([texts] * 3, schema=pa.schema(fields)), path)


@pytest.mark.parametrize("write", [as_pickle, as_torch, as_array, as_arrays, as_parquet])
@pytest.mark.parametrize(("name", "read"), READERS.items(), ids=READERS)
def test_a_hostile_pickle_is_not_executed(name, read, tmp_path, write):
    """Whatever the file is called, and in whichever of the forms that hold pickles it is written."""
    path = made(name, tmp_path)
    write(path, Hostile(tmp_path / "executed"))
    with pytest.raises((ValueError, OSError), match=r"\A.+\Z"):
        read(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("write", [as_pickle, as_torch, as_array, as_arrays])
def test_the_pickles_are_hostile(tmp_path, write):
    """Read without care, each of them is executed."""
    path = tmp_path / "file.npz"
    write(path, Hostile(tmp_path / "executed"))
    read = {as_pickle: pd.read_pickle, as_torch: lambda path: torch.load(path, weights_only=False)}
    found = read.get(write, lambda path: np.load(path, allow_pickle=True))(path)
    assert write is not as_arrays or len(found["labels"])
    assert (tmp_path / "executed").exists()


BETWEEN_PROCESSES = {
    "benchmarks/cost/measured.py",  # packs and unpacks an array
    "grid/cluster/environment.py",  # from the driver, which has the process in hand anyway
    "processes.py",  # tries whether an error can be sent
    "ranks/launch.py",
    "training/prefetching.py",
}


def called(path):
    """Name and keywords of each call in a file: `exec`, `torch.load`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}


def test_relbench_calls_nothing_that_executes_what_it_reads():
    """Apart from a user's own loss or network, whose file the command names, and what our processes send each other.

    Extend it with each new way of reading.
    """
    forbidden = re.compile(
        r"(eval|exec|__import__|compile)|(c?[pP]ickle|dill|joblib|marshal|shelve|runpy|yaml)\..+|np\.load|.*read_pickle"
        r"|.*(get_state_dict|load_state_dict_from_url|hub\.load|exec_module|loadmat)"
    )
    found, package = [], Path(relbench.__file__).parent
    for path in package.rglob("*.py"):
        for name, keywords in called(path):
            without_care = (
                name == "torch.load" and keywords.get("weights_only") != "True",
                keywords.get("allow_pickle", "False") != "False",
                name.endswith("get_model") and keywords.get("weights") != "None",
            )
            if forbidden.fullmatch(name) or any(without_care):
                found.append((str(path.relative_to(package)), name))
    sent = {name for name in found if name[1].startswith("pickle.") and name[0] in BETWEEN_PROCESSES}
    assert sorted(set(found) - sent) == [
        ("judging/user_model.py", "found.loader.exec_module"),
        *(("losses/user.py", name) for name in ("compile", "eval", "exec")),
    ]
    assert {path for path, _ in sent} == BETWEEN_PROCESSES
