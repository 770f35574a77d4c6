"""Batch normalisation folded into convolutions: the same outputs, the same compared maps, the same checkpoint."""

from dataclasses import replace
from itertools import chain

import pytest
import torch
from torch import Tensor, nn

from relbench.experiment import EMBEDDING, Net
from relbench.models import TRUNKS, Embedder, FeatureExtractor, build_embedder, folded, folding, layers_of
from relbench.models.conv4 import Conv4
from relbench.models.trunk import Trunk

SIZE = 32


def network_of(trunk: str, **settings: object) -> tuple[Embedder, Net]:
    """A network whose normalisations have seen something."""
    net = Net(trunk=trunk, dim=8, **settings)
    network = build_embedder(net, 3, 0, SIZE)
    generator = torch.Generator().manual_seed(1)
    for part in normalisations(network):
        part.running_mean.normal_(0, 0.2, generator=generator)
        part.running_var.uniform_(0.5, 1.5, generator=generator)
        part.weight.data.uniform_(0.5, 1.5, generator=generator)
        part.bias.data.normal_(0, 0.2, generator=generator)
    return network.eval(), net


def normalisations(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]


def images(count: int = 3, size: int = SIZE) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(2))


def outputs(network: Embedder, net: Net, layers: list[str]) -> dict[str, Tensor]:
    with torch.no_grad():
        return FeatureExtractor(network, net, layers)(images())[1]


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("trunk", ["conv4", "conv4-maxpool", "resnet18", "resnet50", "googlenet"])
def test_embeddings_and_all_maps_stay_and_no_normalisation_is_left(trunk: str):
    network, net = network_of(trunk, unit_length=False)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    copy = folded(network, net, layers_of(net))
    assert normalisations(network)
    assert not normalisations(copy)
    expected = outputs(network, net, layers_of(net))
    found = outputs(copy, net, layers_of(net))
    assert found.keys() == {*TRUNKS[trunk].layers, EMBEDDING}
    for name, tensor in found.items():
        assert relative_error(tensor, expected[name]) < 1e-5, name
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    own = {tensor.data_ptr() for tensor in chain(copy.parameters(), copy.buffers())}
    assert own.isdisjoint(tensor.data_ptr() for tensor in chain(network.parameters(), network.buffers()))


@pytest.mark.parametrize("trunk", ["conv4", "conv4-maxpool", "resnet18"])
def test_channels_last_stays(trunk: str):
    network, net = network_of(trunk, unit_length=False)
    expected = outputs(network, net, [])[EMBEDDING]
    copy = folded(network.with_channels_last(), net)
    weights = [part.weight for part in copy.modules() if isinstance(part, nn.Conv2d)]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    seen: list[Tensor] = []
    stage = next(iter(TRUNKS[trunk].layers.values()))
    copy.trunk.get_submodule(stage).register_forward_hook(lambda _part, _given, output: seen.append(output))
    assert relative_error(outputs(copy, net, [])[EMBEDDING], expected) < 1e-5
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


class Unusual(Trunk):
    """A convolution compared before its normalisation, one used twice, one with another follower, and one of use."""

    def __init__(self) -> None:
        super().__init__()
        self.features = 4
        self.compared = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))
        self.compared_after = nn.BatchNorm2d(4)
        self.twice, self.twice_after = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.forked, self.forked_after = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.plain, self.plain_after = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)

    def forward(self, given: Tensor) -> Tensor:
        maps = self.compared_after(self.compared(given))
        maps = self.twice_after(self.twice(self.twice_after(self.twice(maps))))
        forked = self.forked(maps)
        maps = self.plain_after(self.plain(forked + self.forked_after(forked)))
        return maps.mean(dim=(2, 3))


def test_what_can_not_be_folded_stays(monkeypatch: pytest.MonkeyPatch):
    entry = replace(TRUNKS["conv4"], build=lambda *_: Unusual(), layers={"stage1": "compared", "stage2": "plain_after"})
    monkeypatch.setitem(TRUNKS, "conv4", entry)
    network, net = network_of("conv4", unit_length=False)
    copy = folded(network, net, ["stage1", "stage2"])
    kept = dict.fromkeys(("compared", "twice", "forked"), nn.BatchNorm2d)
    assert kinds(copy) == kept | {"plain": nn.Identity}
    expected, found = outputs(network, net, ["stage1", "stage2"]), outputs(copy, net, ["stage1", "stage2"])
    assert all(relative_error(found[name], expected[name]) < 1e-5 for name in expected)
    copy = folded(network, net, ["stage2"])
    assert kinds(copy)["compared"] is nn.Identity
    assert relative_error(outputs(copy, net, [])[EMBEDDING], expected[EMBEDDING]) < 1e-5


def kinds(network: Embedder) -> dict[str, type]:
    """What stands where a normalisation stood."""
    names = ("compared", "twice", "forked", "plain")
    return {name: type(network.trunk.get_submodule(f"{name}_after")) for name in names}


def test_pairs_of_conv4():
    assert list(folding._pairs(Conv4(4, 3))) == [(f"blocks.{block}.0", f"blocks.{block}.1") for block in range(4)]


def test_a_layer_that_is_not_there_is_refused():
    network, net = network_of("conv4")
    with pytest.raises(ValueError, match="unknown layer of conv4 'stage9'"):
        folded(network, net, ["stage9"])
