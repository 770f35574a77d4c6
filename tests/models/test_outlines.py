"""Outlines of networks have the shapes of the networks, and cost neither weights nor torch's compiler."""

import subprocess
import sys

import pytest
import torch
from models.families import FAMILIES

import relbench.models.imagenet
import relbench.models.outlines
from relbench.experiment import EMBEDDING, Net
from relbench.models import FeatureExtractor, build_embedder, layers_of, outline, shapes_of_maps


@pytest.mark.parametrize("trunk", FAMILIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_outline_has_the_parameters_of_the_network_and_no_numbers(trunk, channels):
    net = Net(trunk=trunk, dim=6, unit_length=False)
    network, own = build_embedder(net, channels, 0, 40), outline(net, channels, 40)
    assert {name: value.shape for name, value in own.state_dict().items()} == {
        name: value.shape for name, value in network.state_dict().items()
    }
    assert all(value.is_meta for value in own.state_dict().values())
    assert not own.unit_length


@pytest.mark.parametrize("trunk", FAMILIES)
def test_shapes_of_maps_are_those_that_the_network_shows(trunk):
    net = Net(trunk=trunk, dim=6)
    for layers in [tuple(layers_of(net)), (EMBEDDING,), ()]:
        shown = FeatureExtractor(build_embedder(net, 3, 0, 40), net, layers).shapes(channels=3, size=40)
        found = shapes_of_maps(net, layers, channels=3, size=40)
        assert (found, list(found)) == (shown, list(shown))


def test_networks_that_differ_in_dimension_or_origin_are_built_once(monkeypatch):
    """Pretrained weights would be read, and random ones drawn, for each of hundreds of runs."""
    built = []

    def spied(net, channels, seed, size):
        built.append(net)
        return build_embedder(net, channels, seed, size)

    monkeypatch.setattr(relbench.models.outlines, "build_embedder", spied)
    monkeypatch.setattr(relbench.models.imagenet, "load_weights", None)  # not to be called
    for cached in (outline, relbench.models.outlines._outlined, relbench.models.outlines._shapes_inside):
        cached.cache_clear()
    before = torch.get_rng_state()
    nets = [Net(trunk="resnet18", dim=dim, weights=weights) for dim in (7, 8) for weights in ("random", "imagenet")]
    assert [outline(net, 3, 32).linear.weight.shape for net in nets] == [(7, 512), (7, 512), (8, 512), (8, 512)]
    assert len(built) == 1
    assert all(shapes_of_maps(net, ("stage4", EMBEDDING), 3, 32)["stage4"] == (512, 1, 1) for net in nets)
    assert len(built) == 2
    assert torch.equal(torch.get_rng_state(), before)


UNCOMPILED = """
import sys
from relbench.experiment import Net
from relbench.models import outline, shapes_of_maps
net = Net(trunk="conv4", width=4, dim=4)
outline(net, 3, 32), shapes_of_maps(net, ("stage1",), 3, 32)
assert not {"torch._dynamo", "torchvision", "pytorchcv"} & set(sys.modules)
"""


def test_torchs_compiler_is_not_loaded():
    subprocess.run([sys.executable, "-c", UNCOMPILED], check=True)
