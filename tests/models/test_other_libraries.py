"""Trunks of other libraries: timm's and torchvision's, by name."""

import pytest
import timm
import torch
from torch import nn

from relbench.experiment import Data, Experiment, Net, Term
from relbench.models import FeatureExtractor, build_embedder, find_trunk, folded, layers_of, listed_trunks
from relbench.resolve import resolve

SIDES = {"timm:resnet10t": 64, "timm:test_vit": 160, "timm:test_efficientnet": 64, "torchvision:swin_t": 64}


@pytest.mark.parametrize(("name", "side"), SIDES.items())
def test_maps_are_channels_first_and_never_grow(name, side):
    net = Net(trunk=name, dim=None)
    network = build_embedder(net, 3, seed=0, size=side)
    shapes = FeatureExtractor(network, net, layers_of(net)).shapes(1, side)
    *maps, embedding = [tuple(shapes[layer]) for layer in layers_of(net)]
    assert [height for _, height, _ in maps] == sorted((width for *_, width in maps), reverse=True)
    assert embedding == (network.trunk.features,)


@pytest.mark.parametrize("name", ["resnet10t", "test_vit", "test_efficientnet"])
def test_features_are_timms(name):
    side = SIDES[f"timm:{name}"]
    network = build_embedder(Net(trunk=f"timm:{name}", dim=None, unit_length=False), 3, 0, side).eval()
    original = timm.create_model(name, num_classes=0).eval()
    original.load_state_dict(network.trunk.network.state_dict())
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    mean, deviation = (torch.tensor(original.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        torch.testing.assert_close(network(images), original((images - mean) / deviation))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("timm:resnet50x", "timm:resnet50"),
        ("timm:resnet50.a1_in2k", "timm:resnet50.a1_in1k"),
        ("torchvision:efficientnetb0", "torchvision:efficientnet_b0"),
        ("resnet-50", "resnet50"),
    ],
)
def test_unknown_names(name, near):
    with pytest.raises(ValueError, match=rf"\Aunknown trunk '{name}': did you mean .*{near}.*\?\Z"):
        find_trunk(name)


@pytest.mark.parametrize("name", ["timm:resnet10t", "timm:test_efficientnet", "timm:test_vit", "torchvision:resnet18"])
def test_folded_networks_show_the_same(name):
    net, side = Net(trunk=name, dim=None, unit_length=False), SIDES.get(name, 64)
    network = build_embedder(net, 3, seed=0, size=side).eval()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 1.5)
    copy = folded(network, net, layers_of(net))
    left = [type(part) is nn.BatchNorm2d for part in copy.modules()]
    assert not any(left)
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        (_, expected), (_, found) = (FeatureExtractor(each, net, layers_of(net))(images) for each in (network, copy))
    for layer, value in expected.items():
        torch.testing.assert_close(found[layer], value, rtol=1e-3, atol=1e-3)


def test_tokens_become_a_map_row_by_row():
    """As timm itself makes maps of them, behind the class token."""
    net = Net(trunk="timm:test_vit", dim=None)
    network = build_embedder(net, 3, seed=0, size=64).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    blocks = [int(place.rpartition(".")[2]) for place in find_trunk(net.trunk).layers.values()]
    with torch.inference_mode():
        _, maps = FeatureExtractor(network, net, layers_of(net))(images)
        model = network.trunk.network
        normalised = network.trunk.normalize(images)
        expected = model.forward_intermediates(normalised, indices=blocks, norm=False, intermediates_only=True)
    for layer, value in zip(find_trunk(net.trunk).layers, expected, strict=True):
        torch.testing.assert_close(maps[layer], value)


def refused(**settings):
    run = Experiment(net=Net(**settings), terms=(Term(loss="triplet"),), data=Data(size=30))
    with pytest.raises(ValueError, match=r"\Arun: .+\Z") as caught:
        resolve(run, "run")
    return str(caught.value).removeprefix("run: ")


def test_sizes_and_weights_that_a_trunk_does_not_have():
    assert refused(trunk="torchvision:vit_b_16") == (
        "data.size = 30 pixels, but the trunk torchvision:vit_b_16 needs 224 or more"
    )
    assert "but there are none for the trunk timm:test_vit4" in refused(trunk="timm:test_vit4", weights="imagenet")
    assert "width = 8, but the width of the trunk timm:resnet10t" in refused(trunk="timm:resnet10t", width=8)
    assert "divisible by patch size" in find_trunk("timm:test_vit").refusal(40)
    assert find_trunk("timm:test_vit").refusal(48) == ""


def test_trunks_are_listed_by_a_part_of_the_name_or_a_pattern():
    names = {each.name: each for each in listed_trunks("resnet18")}
    assert {"resnet18", "torchvision:resnet18", "timm:resnet18.a1_in1k"} <= names.keys()
    assert all("resnet18" in name for name in names)
    assert names["timm:resnet18.a1_in1k"].pretrained
    assert [each.name for each in listed_trunks("timm:test_vit?.*")] == [
        "timm:test_vit2.r160_in1k",
        "timm:test_vit3.r160_in1k",
    ]
    assert not listed_trunks("no such trunk")


@pytest.mark.parametrize("name", ["timm:cait_xxs24_224", "timm:hrnet_w18_small", "torchvision:vit_b_16"])
def test_stages_where_tokens_or_lists_come_out(name):
    """Class tokens that are put before the others late, branches of several sizes, and a network that names no maps."""
    assert {f"stage{number}" for number in range(1, 5)} <= find_trunk(name).layers.keys()
