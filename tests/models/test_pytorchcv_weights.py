"""ImageNet weights of pytorchcv's MobileNets: its addresses and hashes, and an archive that is checked before use."""

import zipfile
from pathlib import Path

import pytest
import torch
from hostile import Hostile
from pytorchcv.models import mobilenet
from pytorchcv.models.common import model_store

from relbench.experiment import Net
from relbench.models import TRUNKS, check_weights, pretrained, weights_of
from relbench.models.imagenet import MOBILENETS, pytorchcv_weights
from relbench.models.trunks import build_trunk

NET = Net(trunk="mobilenet-0.25", weights="imagenet")
FILE = "mobilenet_wd4-2249-1ad5e8fe.pth"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where torch looks for weights: an empty folder."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    found = tmp_path / "hub" / "checkpoints"
    found.mkdir(parents=True)
    return found


@pytest.fixture
def any_content(monkeypatch):
    """Whatever lies there has the right hash: the real weights are not here."""
    monkeypatch.setattr(pretrained, "_digest", lambda *_: MOBILENETS["mobilenet_wd4"][2])


@pytest.fixture(scope="module")
def original():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return mobilenet.mobilenet_wd4().eval()


def archive(content, path, name=FILE):
    """A zip archive that holds such a file."""
    inner = path.with_name("inner")
    torch.save(content, inner)
    with zipfile.ZipFile(path, "w") as file:
        file.write(inner, name)
    inner.unlink()


def refusal():
    with pytest.raises(
        ValueError, match=r"\Athe ImageNet weights of mobilenet_wd4 could not be loaded \(.+\Z"
    ) as caught:
        build_trunk(NET, 3)
    return str(caught.value)


@pytest.mark.parametrize("name", MOBILENETS)
def test_addresses_and_hashes_are_pytorchcvs(name, monkeypatch, tmp_path):
    weights, asked = pytorchcv_weights(name), []

    def download(url, path, **_):
        asked.append((url, Path(path)))
        raise OSError

    monkeypatch.setattr(model_store, "_download", download)
    with pytest.raises(OSError):  # noqa: PT011 - any
        model_store.get_model_file(name, str(tmp_path))
    assert asked == [(weights.url, tmp_path / f"{weights.file}.zip")]
    assert model_store.get_model_metainfo(name)[2] == weights.hash
    assert weights.algorithm == "sha1"


@pytest.mark.usefixtures("any_content")
@pytest.mark.parametrize("packed", [True, False])
def test_weights_from_disk(folder, original, packed):
    if packed:
        archive(original.state_dict(), folder / f"{FILE}.zip")
    else:
        torch.save(original.state_dict(), folder / FILE)
    trunk = build_trunk(NET, 3).eval()
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = original.features(trunk.normalize(images)).flatten(1)
        torch.testing.assert_close(trunk(images), expected)
    assert (folder / FILE).exists()
    assert weights_of(NET) == f"pytorchcv {FILE}"


@pytest.mark.usefixtures("any_content")
def test_weights_are_downloaded(folder, original, monkeypatch):
    def download(url, path, **_):
        assert url == f"https://github.com/osmr/imgclsmob/releases/download/v0.0.62/{FILE}.zip"
        archive(original.state_dict(), Path(path))

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    trunk = build_trunk(NET, 3)
    assert torch.equal(trunk.network.features.init_block.conv.weight, original.features.init_block.conv.weight)


def test_no_network(folder, monkeypatch):
    def no_network(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    message = refusal()
    assert f"(no route to host; from https://github.com/osmr/imgclsmob/releases/download/v0.0.62/{FILE}.zip)" in message
    assert message.endswith(f"put that file into {folder}, or choose weights = random")
    with pytest.raises(ValueError, match="no route to host"):
        check_weights(NET)


def test_an_archive_of_other_weights_leaves_nothing(folder, original):
    archive(original.state_dict(), folder / f"{FILE}.zip")
    assert "begins with" in refusal()
    assert [path.name for path in folder.iterdir()] == [f"{FILE}.zip"]


@pytest.mark.usefixtures("any_content")
@pytest.mark.parametrize("name", ["other.pth", f"../{FILE}"])
def test_an_archive_without_the_file(folder, original, name):
    archive(original.state_dict(), folder / f"{FILE}.zip", name)
    assert "no item named" in refusal()
    assert [path.name for path in folder.rglob("*")] == [f"{FILE}.zip"]


@pytest.mark.usefixtures("any_content")
def test_code_in_weights_is_not_run(folder, tmp_path):
    archive({"conv": Hostile(tmp_path / "executed")}, folder / f"{FILE}.zip")
    refusal()
    assert not (tmp_path / "executed").exists()


def test_the_trunks_that_have_weights_say_which():
    told = {name: entry.weights for name, entry in TRUNKS.items() if name.startswith("mobilenet-")}
    assert sorted(told.values()) == sorted(f"pytorchcv {pytorchcv_weights(name).file}" for name in MOBILENETS)
