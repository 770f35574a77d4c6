import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from hostile import Hostile

from relbench.results.checkpoint import (
    CheckpointError,
    fits,
    load_checkpoint,
    save_checkpoint,
    selected_classifier,
    selected_weights,
)
from relbench.tensors import content_hash

STATE = {
    "fingerprint": "abc",
    "step": 3,
    "network": {"w": torch.arange(3.0)},
    "best": None,
    "history": [{"step": 2, "recall@1": 0.5}, {"step": 3, "recall@1": 0.4}],
    "scheduler": {"last_epoch": 3},
}


def test_round_trip(tmp_path):
    save_checkpoint(STATE, tmp_path / "c.pt")
    loaded = load_checkpoint(tmp_path / "c.pt", "abc", 9, "recall@1")
    assert loaded["step"] == 3
    assert torch.equal(loaded["network"]["w"], STATE["network"]["w"])
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.99])
def test_truncated(tmp_path, share):
    path = tmp_path / "c.pt"
    save_checkpoint(STATE, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"c\.pt is not a readable checkpoint of this run .*delete it") as caught:
        load_checkpoint(path, "abc", 9, "recall@1")
    assert "\n" not in str(caught.value)


def inner_pickle(path):
    """Name and content of the pickle in a checkpoint's zip archive, and its other members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return next(name for name in members if name.endswith("data.pkl")), members


def test_an_inner_pickle_that_is_cut_short(tmp_path):
    path = tmp_path / "c.pt"
    save_checkpoint(STATE, path)
    name, members = inner_pickle(path)
    for length in range(len(members[name])):
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content[:length] if member == name else content)
        with pytest.raises(
            CheckpointError, match=r"\A.+c\.pt is not a readable checkpoint of this run .*delete it.+\Z"
        ):
            load_checkpoint(path, "abc", 9, "recall@1")


def test_a_gpu_without_room_is_no_fault_of_the_checkpoint(tmp_path):
    with pytest.raises(torch.OutOfMemoryError), fits(tmp_path / "c.pt"):
        raise torch.OutOfMemoryError("CUDA out of memory")


FULL = STATE | {
    "seconds": 1.5,
    "losses": {"projection": torch.ones(2)},
    "optimizer": {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
    "generators": {"views": torch.Generator().manual_seed(0).get_state()},
    "cuda_generator": None,
}


def test_a_changed_bit_anywhere_is_refused(tmp_path):
    """In weights, moments and generators, in numbers and names, and in the hash itself: most would never show."""
    path = tmp_path / "c.pt"
    save_checkpoint(FULL, path)
    assert load_checkpoint(path, "abc", 9, "recall@1").keys() == FULL.keys()
    pickled, members = inner_pickle(path)
    for name in (name for name in members if "/data" in name):
        for place in range(0, len(members[name]), 1 + len(members[name]) // 15):
            changed = bytearray(members[name])
            changed[place] ^= 1
            with zipfile.ZipFile(path, "w") as archive:
                for member, content in members.items():
                    archive.writestr(member, changed if member == name else content)
            try:
                found = load_checkpoint(path, "abc", 9, "recall@1")
            except CheckpointError:
                continue
            assert name == pickled  # the same content may be written in several ways
            assert content_hash(found) == content_hash(FULL)


def test_a_checkpoint_without_a_hash_is_an_old_one(tmp_path):
    torch.save(FULL, tmp_path / "c.pt")
    assert load_checkpoint(tmp_path / "c.pt", "abc", 9, "recall@1").keys() == FULL.keys()
    torch.save(FULL | {"hasj": "0" * 64}, tmp_path / "c.pt")  # no old one: the hash's name is damaged
    with pytest.raises(CheckpointError, match="'hasj' is not part of a checkpoint"):
        load_checkpoint(tmp_path / "c.pt", "abc", 9, "recall@1")


def test_of_another_experiment(tmp_path):
    save_checkpoint(STATE, tmp_path / "c.pt")
    with pytest.raises(ValueError, match=r"another experiment \(abc, expected xyz\)"):
        load_checkpoint(tmp_path / "c.pt", "xyz", 9, "recall@1")


@pytest.mark.parametrize("writer", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))])
def test_code_in_a_checkpoint_is_not_run(tmp_path, writer):
    writer({**STATE, "extra": Hostile(tmp_path / "ran")}, tmp_path / "c.pt")
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path / "c.pt", "abc", 9, "recall@1")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [{}, [], "text", 3, {"finger": "abc"}], ids=repr)
def test_something_else(tmp_path, content):
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match=r"c\.pt is not a readable checkpoint of this run .*delete it"):
        load_checkpoint(tmp_path / "c.pt", "abc", 9, "recall@1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"step": "3"}, "step '3' of 9"),
        ({"step": -5}, "step -5 of 9"),
        ({"step": 10**6}, "step 1000000 of 9"),
        ({"step": 2}, "do not end with step 2"),
        ({"history": []}, "list index out of range"),
        ({"history": STATE["history"][:1]}, "do not end with step 3"),
        ({"scheduler": {}}, "last_epoch"),
        ({"scheduler": {"last_epoch": 2}}, "do not end with step 3"),
        ({"best": {"step": 2}}, "network"),
        ({"best": {"step": 1, "network": {}}}, "lacks the best step 1"),
        ({"network": {"w": torch.tensor([1.0, torch.nan])}}, "a weight is not finite"),
    ],
)
def test_parts_that_do_not_belong_together(tmp_path, change, why):
    save_checkpoint({**STATE, **change}, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match=r"c\.pt is not a readable checkpoint of this run") as caught:
        load_checkpoint(tmp_path / "c.pt", "abc", 9, "recall@1")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "problem", [KeyError("network"), RuntimeError("size\nmismatch"), TypeError(""), IndexError("3")], ids=repr
)
def test_whatever_does_not_fit_is_one_line(tmp_path, problem):
    message = r"\A.*c\.pt is not a readable checkpoint of this run \(.+\): delete it.+\Z"
    with pytest.raises(CheckpointError, match=message), fits(tmp_path / "c.pt"):
        raise problem


def test_want_of_memory_says_nothing_against_the_file(tmp_path, monkeypatch):
    """Whoever deleted it, as the message on a damaged file advises, would lose a training."""
    short = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    with pytest.raises(torch.OutOfMemoryError), fits(tmp_path / "c.pt"):
        raise short

    def save(*_):
        raise short

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(torch.OutOfMemoryError):  # nor is the disk full
        save_checkpoint(STATE, tmp_path / "c.pt")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "c.pt"
    save_checkpoint(STATE, path)
    monkeypatch.setattr(torch, "save", lambda value, _, save=torch.save: save(value, "/dev/full"))
    with pytest.raises(OSError, match=r"c\.pt can't be written \(.+\): is the disk full\?"):
        save_checkpoint({**STATE, "more": torch.zeros(10**5)}, path)
    assert "more" not in load_checkpoint(path, "abc", 9, "recall@1")


def test_selected_weights():
    assert selected_weights(STATE)["w"] is STATE["network"]["w"]
    best = {"step": 1, "network": {"w": torch.zeros(3)}}
    assert selected_weights({**STATE, "best": best})["w"] is best["network"]["w"]


def test_selected_classifier():
    losses = {"classifier.weight": torch.ones(2), "classifier.bias": torch.ones(1), "trainable.fitnet@x": torch.ones(3)}
    state = {**STATE, "losses": losses}
    assert selected_classifier(state) == {"weight": losses["classifier.weight"], "bias": losses["classifier.bias"]}
    best = {"step": 2, "network": {}, "losses": {"classifier.bias": torch.zeros(1)}}
    assert selected_classifier({**state, "best": best}) == {"bias": best["losses"]["classifier.bias"]}
    assert selected_classifier({**STATE, "losses": {}}) == {}
