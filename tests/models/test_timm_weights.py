"""Pretrained weights of timm: from the hub's cache or torch's folder, checked, and read without executing them."""

import hashlib
from pathlib import Path

import pytest
import timm
import torch
from hostile import Hostile
from huggingface_hub import constants
from safetensors.torch import save

from relbench.experiment import Data, Experiment, Net, Term
from relbench.models import build_embedder, find_trunk, weights_of
from relbench.models.timm_weights import pretrained_file
from relbench.resolve import resolve

MODEL, COMMIT = "test_efficientnet.r160_in1k", "c" * 40
NET = Net(trunk=f"timm:{MODEL}", weights="imagenet", dim=None, unit_length=False)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub, and no network behind it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def put(cache: Path, name: str, content: bytes, blob: str = "") -> None:
    """Lay a file into the cache as the hub's library does: a link to a file that is named by its SHA-256."""
    folder = cache / f"models--timm--{MODEL}"
    blob = blob or hashlib.sha256(content).hexdigest()
    for below in ("blobs", "refs", f"snapshots/{COMMIT}"):
        (folder / below).mkdir(parents=True, exist_ok=True)
    (folder / "blobs" / blob).write_bytes(content)
    (folder / "refs" / "main").write_text(COMMIT)
    (folder / "snapshots" / COMMIT / name).symlink_to(f"../../blobs/{blob}")


@pytest.fixture(scope="module")
def original():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return timm.create_model(MODEL).eval()


def refusal() -> str:
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:
        build_embedder(NET, 3, 0)
    return str(caught.value)


def test_features_are_those_of_timm_with_its_weights(cache, original):
    put(cache, "model.safetensors", save(original.state_dict()))
    network = build_embedder(NET, 3, 0).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mean, deviation = (torch.tensor(original.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        maps = original.forward_features((images - mean) / deviation)
        torch.testing.assert_close(network(images), original.forward_head(maps, pre_logits=True))


def test_a_pickle_in_the_cache_is_read_without_running_it(cache, tmp_path, original):
    path = tmp_path / "weights"
    torch.save(original.state_dict(), path)
    put(cache, "pytorch_model.bin", path.read_bytes())
    assert torch.equal(build_embedder(NET, 3, 0).trunk.network.conv_stem.weight, original.conv_stem.weight)
    torch.save({"conv_stem.weight": Hostile(tmp_path / "executed")}, path)
    (cache / f"models--timm--{MODEL}" / "snapshots" / COMMIT / "pytorch_model.bin").unlink()
    put(cache, "pytorch_model.bin", path.read_bytes())
    assert refusal().startswith(f"the weights of timm:{MODEL} could not be loaded (")
    assert not (tmp_path / "executed").exists()


def test_weights_of_another_model_and_those_that_are_not_what_their_name_says(cache, original):
    content = save({name: value for name, value in original.state_dict().items() if name != "conv_stem.weight"})
    put(cache, "model.safetensors", content)
    assert "conv_stem.weight" in refusal()
    (cache / f"models--timm--{MODEL}" / "snapshots" / COMMIT / "model.safetensors").unlink()
    put(cache, "model.safetensors", content, blob="0" * 64)
    assert "model.safetensors begins with" in refusal()


def test_offline(cache):
    message = refusal()
    assert message.startswith(f"the weights of timm:{MODEL} could not be had (")
    assert (
        f"model.safetensors or pytorch_model.bin of timm/{MODEL} was looked for in {cache} (HF_HOME), then" in message
    )
    assert message.endswith("or name a file (weights = PATH), or choose weights = random")


def test_weights_at_an_address_lie_in_torchs_folder(tmp_path, monkeypatch):
    """As those of a few models do, some of them as arrays of JAX."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / "net.npz"
    config = timm.models.PretrainedCfg(url="http://127.0.0.1:9/net.npz")
    with pytest.raises(ValueError, match=rf"net\.npz was looked for in {path.parent} \(TORCH_HOME\), then at http"):
        pretrained_file("net", config)
    path.write_bytes(b"arrays")
    assert pretrained_file("net", config) == path


def test_the_weights_are_named_by_their_tag_when_a_run_is_planned():
    experiment = Experiment(net=Net(trunk="timm:test_efficientnet"), terms=(Term(loss="triplet"),), data=Data(size=32))
    found = resolve(experiment, "run").net
    assert found == Net(trunk=f"timm:{MODEL}")
    assert weights_of(NET) == f"timm {MODEL} (timm/{MODEL})"
    assert find_trunk(f"timm:{MODEL}").licence == "apache-2.0"
