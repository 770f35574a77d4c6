"""Every trunk, at full size: parameters, multiply-adds, compared maps, initial weights, folding.

`reference/networks.csv` holds what was counted in the code of the papers, or in the library where a paper has none;
`reference/networks_made_up_weights.npz`, what the authors' own networks return for the weights of `made_up_weights`, in
double precision: features, and of each map the means over its pixels and the roots of its mean squares.
"""

import csv
import re
from collections import defaultdict
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from relbench.experiment import EMBEDDING, Net
from relbench.models import TRUNKS, Embedder, FeatureExtractor, folded, layers_of
from relbench.models.heads import build_classifier
from relbench.models.trunks import build_trunk

REFERENCE = Path(__file__).parents[1] / "reference"
ROWS = defaultdict(list)
with (REFERENCE / "networks.csv").open(encoding="utf-8") as file:
    for line in csv.DictReader(file):
        ROWS[line["trunk"]].append(line)


@pytest.fixture(scope="module", params=TRUNKS)
def net(request):
    return Net(trunk=request.param, dim=8, unit_length=False)


@pytest.fixture(scope="module")
def network(net):
    """Returns the network, built once for all tests of it, which leave it as it is."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Embedder(build_trunk(net, 3, TRUNKS[net.trunk].smallest), net.dim, unit_length=False).eval()


def noise(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def test_every_counted_network_is_there():
    assert set(ROWS) <= set(TRUNKS)
    assert sum(map(len, ROWS.values())) == 50


def test_parameters(net, network):
    for row in ROWS[net.trunk]:
        trunk = counted(net, network, row).trunk
        own = sum(parameter.numel() for parameter in trunk.parameters())
        assert own + (trunk.features + 1) * int(row["classes"] or 0) == int(row["params"]), row["network"]


def counted(net, network, row):
    """The network for images as a row has them: coloured ones of any size, or those that it is built for."""
    if TRUNKS[net.trunk].any_size:
        return network
    size = int(row["input_px"])
    return Embedder(build_trunk(net, channels_of(net, size), size), net.dim, unit_length=False)


def channels_of(net, size):
    """Omniglot's images are grey, and of 28 pixels."""
    return 1 if (net.trunk, size) == ("conv4-maxpool", 28) else 3


def test_multiply_adds_and_maps(net, network):
    """Without computing: torch knows the shapes of what it would compute."""
    for row in ROWS[net.trunk]:
        copy, size = deepcopy(counted(net, network, row)).to("meta"), int(row["input_px"])
        counts, features = multiply_adds(copy.trunk), copy.trunk.features
        shapes = FeatureExtractor(copy, net, TRUNKS[net.trunk].layers).shapes(channels_of(net, size), size)
        assert sum(counts) + features * int(row["classes"] or 0) == int(row["macs"]), row["network"]
        check_taps(row["taps"], [tuple(shapes[layer]) for layer in TRUNKS[net.trunk].layers], features)


def multiply_adds(trunk):
    """Those of each convolution: for each output as many as it has inputs, biases aside; nothing else is counted."""
    counts = []

    def count(part, _given, output):
        counts.append(output.numel() * part.weight[0].numel())

    for part in trunk.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(count)
    return counts


def check_taps(told, shapes, features):
    """Of each map, channels and size where both are known, or its size alone; and the pooled features."""
    whole = [tuple(map(int, shape)) for shape in re.findall(r"\b(\d+)x(\d+)x(\d+)", told)]
    sides = [int(side) for side in re.findall(r"(\d+)(?=,| px)", told.partition(" at ")[2])]
    pooled = re.search(r"(?:pool=|f\d=|-> )(\d+)$", told)
    if whole:
        expected = whole if whole == shapes else [shape for shape in whole if shape[1:] != (1, 1)]
        assert expected == shapes[-len(expected) :]  # some have no stem among them
    if sides:
        assert sides == [shape[-1] for shape in shapes][-len(sides) :]
    if pooled:
        assert features == int(pooled[1])
    assert whole or sides or pooled


def test_maps_are_what_the_parts_return_and_can_be_trained_on(net, network):
    """At the smallest size, with a backward pass: no later step changes a compared map in place."""
    entry, kept = TRUNKS[net.trunk], {}
    trained = deepcopy(network).train()
    parts = {name: trained.trunk.get_submodule(path) for name, path in entry.layers.items()}
    for name, part in parts.items():
        part.register_forward_hook(
            lambda _part, _given, output, name=name: kept.update({name: output.detach().clone()})
        )
    embeddings, maps = FeatureExtractor(trained, net, entry.layers)(noise(2, 3, entry.smallest, entry.smallest))
    assert all(torch.equal(maps[name], kept[name]) for name in entry.layers)
    sum(values.square().mean() for values in maps.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in trained.parameters())
    assert embeddings.shape == (2, net.dim)


def test_the_largest_size_is_taken(net, network):
    side = TRUNKS[net.trunk].largest
    if side:
        with torch.inference_mode():
            assert network(noise(1, 3, side, side)).shape == (1, net.dim)


def test_grey_is_a_colour(net, network):
    entry = TRUNKS[net.trunk]
    grey = noise(2, 1, entry.smallest, entry.smallest)
    if entry.any_channels:
        with torch.inference_mode():
            torch.testing.assert_close(network(grey), network(grey.repeat(1, 3, 1, 1)))


def test_folded(net, network):
    """Batch normalisations that follow a convolution are gone, and nothing else has changed."""
    disturbed = deepcopy(network)
    generator = torch.Generator().manual_seed(1)
    for part in (part for part in disturbed.modules() if isinstance(part, nn.BatchNorm2d)):
        part.running_mean.normal_(0, 0.2, generator=generator)
        part.running_var.uniform_(0.5, 1.5, generator=generator)
    side = TRUNKS[net.trunk].smallest
    with torch.inference_mode():
        _, expected = FeatureExtractor(disturbed, net, layers_of(net))(noise(2, 3, side, side))
        copy = folded(disturbed, net, layers_of(net))
        _, found = FeatureExtractor(copy, net, layers_of(net))(noise(2, 3, side, side))
    for name, values in expected.items():
        assert (found[name] - values).norm() < 1e-5 * values.norm(), name
    left, before = (sum(isinstance(part, nn.BatchNorm2d) for part in one.modules()) for one in (copy, disturbed))
    assert left == 0 or (net.trunk.startswith("wrn") and left == before // 2 + 1)  # the first of each block stays


MADE_UP = ("wrn-16-2", "mobilenetv2-0.5-repdistiller", "shufflenetv1-repdistiller")
MADE_UP += ("wrn-16-2-refilled", "resnet110-refilled")


def test_it_is_the_authors_network(net, network):
    """The same features and maps for the same weights: those that no library has, and the maps before BN and ReLU."""
    if net.trunk not in MADE_UP:
        return
    copy = deepcopy(network).double()
    made_up_weights(copy.trunk)
    copy.linear, copy.trunk.normalize = nn.Identity(), nn.Identity()
    images = np.random.RandomState(1).uniform(size=(2, 3, 32, 32))
    with torch.inference_mode():
        embeddings, maps = FeatureExtractor(copy, net, TRUNKS[net.trunk].layers)(torch.from_numpy(images))
    with np.load(REFERENCE / "networks_made_up_weights.npz") as values:
        np.testing.assert_allclose(embeddings, values[f"{net.trunk}/pooled"], rtol=1e-9)
        for number, layer in enumerate(TRUNKS[net.trunk].layers):
            found = torch.stack([maps[layer].mean((2, 3)), maps[layer].square().mean((2, 3)).sqrt()])
            expected = values[f"{net.trunk}/{number}"]
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())


def made_up_weights(trunk):
    """Layers are filled in the order in which they are defined, which is that of the authors."""
    random = np.random.RandomState(0)
    for name, value in trunk.state_dict().items():
        if value.ndim == 4:
            value.copy_(torch.from_numpy(random.standard_normal(value.shape) * (2 / value[0].numel()) ** 0.5))
        elif name.endswith("running_var") or (name.endswith("weight") and value.ndim == 1):
            value.copy_(torch.from_numpy(random.uniform(0.3, 1.0, value.shape)))
        elif value.ndim == 1:
            value.copy_(torch.from_numpy(0.2 * random.standard_normal(value.shape)))


def test_made_up_weights_are_those_of_the_values():
    with np.load(REFERENCE / "networks_made_up_weights.npz") as values:
        assert {name.partition("/")[0] for name in values} == set(MADE_UP)


FAN_OUT = ("resnet", "wrn", "vgg8", "vgg13", "mobilenetv2")
OF_TORCH = ("vgg11-rkd", "resnet50-rkd", "mobilenet-", "shufflenet", "conv4")


def test_initial_weights(net, network):
    """Deviations of the larger convolutions: of N(0, 2 / fan_out), or of torch's uniform in +-1 / sqrt(fan_in)."""
    if net.trunk == "googlenet":
        return
    torchs = net.trunk.startswith(OF_TORCH) or net.trunk.endswith("refilled")
    assert torchs or net.trunk.startswith(FAN_OUT)
    for part in network.trunk.modules():
        if isinstance(part, nn.Conv2d) and part.weight.numel() > 1000:
            outputs, inputs, *kernel = part.weight.shape
            area = kernel[0] * kernel[1]
            expected = (1 / (3 * inputs * area)) ** 0.5 if torchs else (2 / (outputs * area)) ** 0.5
            assert float(part.weight.detach().std()) == pytest.approx(expected, rel=0.12)
            assert part.bias is None or torchs == bool(part.bias.any())


@pytest.mark.parametrize(
    ("names", "deviation", "biased"),
    [
        (("vgg8", "vgg13", "mobilenetv2-0.5-repdistiller"), 0.01, False),
        (("wrn-16-1", "wrn-40-2"), None, False),
        (("resnet20", "resnet50-rkd", "vgg11-rkd", "shufflenetv1-repdistiller", "wrn-16-1-refilled"), None, True),
    ],
)
def test_initial_heads(names, deviation, biased):
    """Right above the trunk; above a linear layer of an embedding it is torch's."""
    for name in names:
        for dim in (None, 512):
            head = build_classifier(Net(trunk=name, dim=dim, unit_length=False), 32, 200, 0)
            head.requires_grad_(requires_grad=False)
            of_torch = (1 / (3 * head.in_features)) ** 0.5
            expected = of_torch if dim else deviation or of_torch
            assert float(head.weight.std()) == pytest.approx(expected, rel=0.05)
            assert bool(head.bias.any()) == (biased or dim is not None)


@pytest.mark.parametrize(("name", "entry"), TRUNKS.items(), ids=list(TRUNKS))
def test_entries(name, entry):
    pretrainable = ("resnet18", "resnet50", "resnet101", "googlenet", "mobilenetv2-1.0")
    assert entry.summary
    assert entry.scalable == name.startswith("conv4") == (not entry.any_channels) == (entry.normalization is None)
    assert entry.any_size == (not name.startswith("conv4-maxpool"))
    assert bool(entry.weights) == (name in pretrainable or name.startswith("mobilenet-"))
    assert EMBEDDING not in entry.layers
