"""Trunks of other libraries: timm's and torchvision's, by name."""

import pytest
import timm
import torch

from relbench.experiment import Net
from relbench.models import FeatureExtractor, build_embedder, find_trunk, layers_of

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
