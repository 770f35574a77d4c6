import os
import pickle
from pathlib import Path

import pytest
import torch

from relbench.training.checkpoint import CheckpointError, fits, load_checkpoint, save_checkpoint, selected_weights

STATE = {"fingerprint": "abc", "step": 3, "network": {"w": torch.arange(3.0)}, "best": None}


def test_round_trip(tmp_path):
    save_checkpoint(STATE, tmp_path / "c.pt")
    loaded = load_checkpoint(tmp_path / "c.pt", "abc")
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
        load_checkpoint(path, "abc")
    assert "\n" not in str(caught.value)


def test_of_another_experiment(tmp_path):
    save_checkpoint(STATE, tmp_path / "c.pt")
    with pytest.raises(ValueError, match=r"another experiment \(abc, expected xyz\)"):
        load_checkpoint(tmp_path / "c.pt", "xyz")


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("writer", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))])
def test_code_in_a_checkpoint_is_not_run(tmp_path, writer):
    writer({**STATE, "extra": Evil(tmp_path / "ran")}, tmp_path / "c.pt")
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path / "c.pt", "abc")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [{}, [], "text", 3, {"finger": "abc"}], ids=repr)
def test_something_else(tmp_path, content):
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match=r"c\.pt is not a readable checkpoint of this run .*delete it"):
        load_checkpoint(tmp_path / "c.pt", "abc")


@pytest.mark.parametrize(
    "problem", [KeyError("network"), RuntimeError("size\nmismatch"), TypeError(""), IndexError("3")], ids=repr
)
def test_whatever_does_not_fit_is_one_line(tmp_path, problem):
    message = r"\A.*c\.pt is not a readable checkpoint of this run \(.+\): delete it.+\Z"
    with pytest.raises(CheckpointError, match=message), fits(tmp_path / "c.pt"):
        raise problem


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "c.pt"
    save_checkpoint(STATE, path)
    monkeypatch.setattr(torch, "save", lambda value, _, save=torch.save: save(value, "/dev/full"))
    with pytest.raises(OSError, match=r"c\.pt can't be written \(.+\): is the disk full\?"):
        save_checkpoint({**STATE, "step": 4, "more": torch.zeros(10**5)}, path)
    assert load_checkpoint(path, "abc")["step"] == 3


def test_selected_weights():
    assert selected_weights(STATE)["w"] is STATE["network"]["w"]
    best = {"step": 1, "network": {"w": torch.zeros(3)}}
    assert selected_weights({**STATE, "best": best})["w"] is best["network"]["w"]
