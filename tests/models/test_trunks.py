"""Trunks: shapes, grey and coloured input, parameters, pretrained weights without a network."""

import os
import pickle
import re
from functools import cache
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from hostile import Hostile
from torch import nn

from relbench.experiment import Net
from relbench.models import TRUNKS, check_weights, imagenet, pretrained, trunks, weights_of
from relbench.models.conv4 import Conv4
from relbench.models.normalization import NORMALIZATIONS
from relbench.models.trunks import build_trunk

TORCHVISION = ("resnet18", "resnet50", "googlenet")
MEAN, DEVIATION = NORMALIZATIONS["imagenet"]


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(scope="module")
def built():
    """Returns each trunk of torchvision, built once."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {name: build_trunk(Net(trunk=name), 3).eval() for name in TORCHVISION}


def noise(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("width", "channels", "size"), [(16, 1, 28), (8, 3, 8), (4, 1, 33)])
def test_conv4(width, channels, size):
    trunk = TRUNKS["conv4"].build(width, channels, None, False)  # noqa: FBT003
    assert trunk.features == 8 * width
    assert trunk(noise(5, channels, size, size)).shape == (5, 8 * width)


def test_conv4_is_16_wide_unless_told():
    assert TRUNKS["conv4"].build(None, 1, None, False).features == 128  # noqa: FBT003


def test_conv4_as_defined():
    """Four times: convolution with stride 2, batch normalisation, ReLU; then the mean over places."""
    trunk, images = Conv4(4, 1), noise(3, 1, 28, 28)
    values = images
    for number, side in enumerate((14, 7, 4, 2)):
        weight = trunk.blocks[number][0].weight
        values = nn.functional.conv2d(values, weight, stride=2, padding=1)
        mean = values.mean(dim=(0, 2, 3), keepdim=True)
        variance = values.var(dim=(0, 2, 3), unbiased=False, keepdim=True)
        values = ((values - mean) / (variance + 1e-5).sqrt()).clamp(min=0)
        assert values.shape == (3, 4 * 2**number, side, side)
    torch.testing.assert_close(trunk(images), values.mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("width", "channels", "count"),
    [
        (16, 1, 9 * (1 * 16 + 16 * 32 + 32 * 64 + 64 * 128) + 2 * (16 + 32 + 64 + 128)),
        (8, 3, 9 * (3 * 8 + 8 * 16 + 16 * 32 + 32 * 64) + 2 * (8 + 16 + 32 + 64)),
    ],
)
def test_parameters_of_conv4(width, channels, count):
    assert parameters(Conv4(width, channels)) == count


@pytest.mark.parametrize(
    ("name", "features", "count"),
    [  # torchvision's published numbers without the classifier of 1000 classes
        ("resnet18", 512, 11_689_512 - 513 * 1000),
        ("resnet50", 2048, 25_557_032 - 2049 * 1000),
        ("googlenet", 1024, 6_624_904 - 1025 * 1000),
    ],
)
def test_torchvision(built, name, features, count):
    trunk = built[name]
    assert trunk.features == features
    assert parameters(trunk) == count
    with torch.inference_mode():
        assert trunk(noise(2, 3, 32, 32)).shape == (2, features)


@pytest.mark.parametrize("name", TORCHVISION)
def test_smallest_image_can_be_trained_on(built, name):
    side = TRUNKS[name].smallest
    trunk = built[name].train()
    try:
        features = trunk(noise(2, 1, side, side))
    finally:
        trunk.eval()
    assert isinstance(features, torch.Tensor)  # GoogLeNet with auxiliary heads would give three
    assert features.isfinite().all()


@pytest.mark.parametrize("name", TORCHVISION)
def test_grey_is_a_colour(built, name):
    grey = noise(2, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(built[name](grey), built[name](grey.repeat(1, 3, 1, 1)))


def test_normalisation_is_not_in_the_weights(built):
    """So checkpoints hold what was learnt, and nothing else."""
    assert not [name for name in built["resnet18"].state_dict() if "normalize" in name]


@pytest.mark.parametrize("name", TORCHVISION)
def test_weights_in_words(name):
    net = Net(trunk=name, weights="imagenet")
    assert weights_of(net).startswith(f"torchvision {name} IMAGENET1K_V1 ({file_of(name)})")
    assert ("the papers' GoogLeNet had Caffe's" in weights_of(net)) == (name == "googlenet")
    assert weights_of(Net(trunk=name)) == ""


@pytest.fixture
def weights_folder(tmp_path, monkeypatch):
    """Where torch looks for weights: an empty folder, and no network behind it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", no_network)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def any_content(monkeypatch):
    """Whatever lies there has the hash that its name says: the real weights are too large for a test."""
    monkeypatch.setattr(pretrained, "_digest", lambda path, _algorithm: path.stem.rpartition("-")[2] + "0" * 56)


def no_network(*_, **__):
    raise URLError("no route to host")


def refusal(name):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        TRUNKS[name].build(None, 3, None, True)  # noqa: FBT003
    return str(caught.value)


@pytest.mark.parametrize("name", TORCHVISION)
def test_no_network(weights_folder, name):
    message = refusal(name)
    assert message.startswith(f"the ImageNet weights of {name} could not be loaded (<urlopen error no route to host>; ")
    assert message.endswith(f"put that file into {weights_folder}, or choose weights = random")
    assert f"{name}-" in message


def file_of(name):
    """What torchvision calls the file of the first weights."""
    return Path(torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].url).name


@pytest.mark.usefixtures("any_content")
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"\x80\x02 half a file"], ids=repr)
def test_damaged_weights(weights_folder, content):
    (weights_folder / file_of("resnet18")).write_bytes(content)
    assert refusal("resnet18").startswith("the ImageNet weights of resnet18 could not be loaded (")


@pytest.mark.usefixtures("any_content")
def test_weights_of_another_network(weights_folder):
    torch.save({"weight": torch.zeros(3)}, weights_folder / file_of("resnet18"))
    assert refusal("resnet18").startswith("the ImageNet weights of resnet18 could not be loaded (")


def test_weights_that_are_not_what_their_name_says(weights_folder):
    """Whole, of the right shapes, and not torchvision's: another network would be trained under the same name."""
    torch.save(
        torchvision.models.get_model("resnet18", weights=None).state_dict(), weights_folder / file_of("resnet18")
    )
    message = refusal("resnet18")
    assert re.search(
        r"the sha256 of .+resnet18-f37072fd\.pth begins with [0-9a-f]{8}, not with f37072fd; from", message
    )


@pytest.mark.usefixtures("any_content")
@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_in_weights_is_not_run(weights_folder, tmp_path, name, write):
    """Not even where the name's eight digits of the hash are right, which can be had by trying."""
    write({"conv1.weight": Hostile(tmp_path / "executed")}, weights_folder / file_of(name))
    assert refusal(name).startswith(f"the ImageNet weights of {name} could not be loaded (")
    assert not (tmp_path / "executed").exists()


def test_a_pipe_among_the_weights(weights_folder):
    os.mkfifo(weights_folder / file_of("resnet18"))
    assert "Not a regular file" in refusal("resnet18")


@pytest.mark.usefixtures("any_content")
@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_pretrained_networks_are_torchvisions(weights_folder, monkeypatch, name):
    """The same weights and buffers, and as many random numbers drawn on the way: what is drawn next stays the same."""
    entry = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    options = {"init_weights": False} if name == "googlenet" else {}
    state = torchvision.models.get_model(name, weights=None, **options).state_dict()
    torch.save(state, weights_folder / file_of(name))
    monkeypatch.setattr(type(entry), "get_state_dict", lambda *_, **__: state)
    found = []
    with torch.random.fork_rng():
        for make in (
            lambda: torchvision.models.get_model(name, weights=entry),
            lambda: imagenet.pretrained_network(name),
        ):
            torch.manual_seed(0)
            found.append((make().state_dict(), torch.get_rng_state()))
    (expected, drawn), (ours, also_drawn) = found
    assert torch.equal(drawn, also_drawn)
    assert list(expected) == list(ours)
    assert all(torch.equal(value, ours[key]) for key, value in expected.items())


@pytest.mark.usefixtures("any_content")
def test_weights_are_looked_at_once(weights_folder, monkeypatch):
    """Those that can't be had are looked for each time: they may have been put there meanwhile."""
    monkeypatch.setattr(trunks, "_had", cache(trunks._had.__wrapped__))
    net = Net(trunk="resnet18", weights="imagenet")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"\Athe ImageNet weights of resnet18 could not be loaded .+\Z"):
            check_weights(net)
    file = weights_folder / file_of("resnet18")
    torch.save(torchvision.models.get_model("resnet18", weights=None).state_dict(), file)
    check_weights(net)
    file.unlink()
    check_weights(net)
    check_weights(Net(trunk="resnet50"))  # random: nothing to be had


@pytest.mark.usefixtures("any_content")
@pytest.mark.parametrize(("name", "options"), [("resnet18", {}), ("googlenet", {"init_weights": False})])
def test_weights_from_disk(weights_folder, name, options):
    """A file that lies there is taken, GoogLeNet's auxiliary heads in it notwithstanding."""
    original = torchvision.models.get_model(name, weights=None, **options).eval()
    torch.save(original.state_dict(), weights_folder / file_of(name))
    trunk = build_trunk(Net(trunk=name, weights="imagenet"), 3).eval()
    assert not [key for key in trunk.state_dict() if "aux" in key]
    original.fc = nn.Identity()
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    if name == "googlenet":  # its weights were trained on another normalisation
        original.transform_input = True
    with torch.inference_mode():
        images = noise(2, 3, 32, 32)
        torch.testing.assert_close(trunk(images), original((images - mean) / deviation))
