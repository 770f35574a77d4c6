"""Normalisation of images before the trunk: which constants, and that nothing else changes."""

from typing import get_args

import pytest
import torch
from torch import nn

from relbench.experiment import Net
from relbench.experiment import Normalization as Name
from relbench.models import build_embedder
from relbench.models.normalization import NORMALIZATIONS, Normalization
from relbench.models.trunks import build_trunk

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_every_name_of_the_settings_has_constants():
    assert set(NORMALIZATIONS) == set(get_args(Name))
    for mean, deviation in NORMALIZATIONS.values():
        assert all(0.39 < value < 0.53 for value in mean)
        assert all(0.19 < value < 0.28 for value in deviation)


@pytest.mark.parametrize(("name", "constants"), NORMALIZATIONS.items(), ids=list(NORMALIZATIONS))
def test_each_colour_has_its_own(name, constants):
    found = Normalization(name)(IMAGES)
    for channel, (mean, deviation) in enumerate(zip(*constants, strict=True)):
        torch.testing.assert_close(found[:, channel], (IMAGES[:, channel] - mean) / deviation)


@pytest.mark.parametrize(
    ("trunk", "asked", "expected"),
    [
        ("resnet20", None, "imagenet"),
        ("resnet20", "cifar100", "cifar100"),
        ("resnet18", None, "imagenet"),
        ("mobilenet-0.25", None, "imagenet"),
        ("conv4", None, None),
        ("conv4", "cifar10", "cifar10"),
    ],
)
def test_which_a_trunk_is_given(trunk, asked, expected):
    with torch.random.fork_rng():
        found = build_trunk(Net(trunk=trunk, normalization=asked), 3).normalize
    assert isinstance(found, Normalization if expected else nn.Identity)
    torch.testing.assert_close(found(IMAGES), Normalization(expected)(IMAGES) if expected else IMAGES)


@pytest.mark.parametrize("trunk", ["conv4", "resnet8"])
def test_the_network_sees_normalised_images(trunk):
    plain = build_embedder(Net(trunk=trunk, dim=4), 3, 0)
    other = build_embedder(Net(trunk=trunk, dim=4, normalization="cifar10-at"), 3, 0)
    plain.trunk.normalize = nn.Identity()
    assert plain.state_dict().keys() == other.state_dict().keys()  # constants are not learnt, and not kept
    torch.testing.assert_close(other(IMAGES), plain(Normalization("cifar10-at")(IMAGES)))


def test_grey_images_have_no_colours_to_normalise():
    with pytest.raises(ValueError, match=r"\Anormalization = cifar100 is for coloured images, but .+ set it to null\Z"):
        build_trunk(Net(trunk="conv4", normalization="cifar100"), 1)
