"""Layers of timm and torchvision that see the whole batch, where several devices share it."""

from copy import deepcopy
from dataclasses import dataclass

import pytest
import timm
import torch
from timm.layers import DropPath
from torch import nn
from torchvision.ops import StochasticDepth

from relbench.models.sharing import Shared, SharedDropout, Sharing, share_layers


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_normalisation_with_activation_stays_timms():
    """Alone, a network computes what it did, in training and evaluation, and its weights keep their names."""
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", num_classes=0, drop_path_rate=0.3)
    shared = deepcopy(network)
    share_layers(shared, Sharing())
    kinds = {type(part).__name__ for part in shared.modules()}
    assert "BatchNormAct2d" not in kinds
    assert {"SharedBatchNormAct", "SharedDropout"} <= kinds
    for training in (True, False):
        shown = []
        for each in (network, shared):
            torch.manual_seed(4)
            shown.append(each.train(training)(images(6, 3, 32, 32)))
        torch.testing.assert_close(*shown)
    expected, found = network.state_dict(), shared.state_dict()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


@dataclass
class Half:
    """One of two ranks."""

    number: int

    def share(self, count):
        return slice(self.number * count // 2, (self.number + 1) * count // 2)


@pytest.mark.parametrize("layer", [DropPath(0.5), StochasticDepth(0.5, "row"), nn.Dropout(0.5), nn.Dropout2d(0.5)])
def test_a_mask_is_drawn_for_the_whole_batch(layer):
    sharing, shown = Sharing(), images(8, 3, 2, 2)
    layer.train()
    shared = SharedDropout(layer, sharing)
    torch.manual_seed(7)
    expected = layer(shown)
    assert not torch.equal(expected, shown)
    parts = []
    for number in range(2):
        torch.manual_seed(7)
        with sharing.of(Shared(Half(number), images=8, whole=False)):
            parts.append(shared(shown[4 * number : 4 * number + 4]))
    torch.testing.assert_close(torch.cat(parts), expected)


def test_normalisations_that_are_not_known_are_refused():
    network = timm.create_model("test_efficientnet_evos", num_classes=0)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in network.modules())
    share_layers(network, Sharing())  # by groups of channels of an image alone
    network = nn.Sequential(timm.layers.EvoNorm2dB0(4))
    with pytest.raises(ValueError, match=r"\Aseveral devices can't share the layer EvoNorm2dB0 of this trunk: choose "):
        share_layers(network, Sharing())
