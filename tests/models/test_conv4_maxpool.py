"""The network of prototypical networks: as defined, its features are places, and so it is built for a size."""

import pytest
import torch
from torch import nn

from relbench.experiment import Net
from relbench.models import build_classifier, build_embedder, embedding_size, folded, outline, shapes_of_maps
from relbench.models.conv4_maxpool import Conv4MaxPool
from relbench.models.trunks import build_trunk

NET = Net(trunk="conv4-maxpool", dim=None, unit_length=False)
SMALL = Net(trunk="conv4-maxpool", width=4, dim=None, unit_length=False)

TRUNK_NAMES = ("conv4-maxpool", "conv4-maxpool-uniform")


def noise(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_as_defined():
    """Four times: convolution with bias, batch normalisation, ReLU, the largest of 2 x 2; then every place in turn."""
    trunk, images = Conv4MaxPool(4, 3, 84), noise(3, 3, 84, 84)
    values = images
    for number, side in enumerate((42, 21, 10, 5)):
        convolution = trunk.blocks[number][0]
        values = nn.functional.conv2d(values, convolution.weight, padding=1) + convolution.bias.view(-1, 1, 1)
        mean = values.mean(dim=(0, 2, 3), keepdim=True)
        variance = values.var(dim=(0, 2, 3), unbiased=False, keepdim=True)
        values = ((values - mean) / (variance + 1e-5).sqrt()).clamp(min=0)
        places = values[:, :, : 2 * side, : 2 * side]  # the last row and column of odd sides are left out
        corners = [places[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]
        values = torch.stack(corners).amax(dim=0)
        assert values.shape == (3, 4, side, side)
    torch.testing.assert_close(trunk(images), values.reshape(3, 100))


@pytest.mark.parametrize(("channels", "size", "dim", "count"), [(1, 28, 64, 111_936), (3, 84, 1600, 113_088)])
def test_without_a_linear_layer(channels, size, dim, count):
    """As in the paper: nothing follows the features, which have neither length 1 nor the mean over places."""
    network = build_embedder(NET, channels, 0, size)
    assert parameters(network) == parameters(outline(NET, channels, size)) == count
    assert embedding_size(NET, size) == network.trunk.features == dim
    assert network(noise(2, channels, size, size)).shape == (2, dim)
    assert shapes_of_maps(NET, ("stage4", "embedding"), channels, size)["embedding"] == (dim,)


def test_with_a_linear_layer():
    net = Net(trunk="conv4-maxpool", width=4, dim=128)
    network = build_embedder(net, 3, 0, 48)
    assert network.linear.weight.shape == outline(net, 3, 48).linear.weight.shape == (128, 4 * 3 * 3)
    assert network(noise(2, 3, 48, 48)).shape == (2, 128)
    assert embedding_size(net, 48) == 128


@pytest.mark.parametrize(("size", "dim"), [(16, 4), (31, 4), (32, 16), (84, 100)])
def test_a_head_is_as_wide_as_the_map(size, dim):
    assert embedding_size(SMALL, size) == dim
    assert build_classifier(SMALL, size, 7, 0).weight.shape == (7, dim)


def test_it_is_64_wide_unless_told():
    assert build_trunk(NET, 1, 28).features == 64


@pytest.mark.parametrize("fold", [False, True])
def test_images_of_another_size_are_refused(fold):
    """Even where no layer would notice: 28 and 31 pixels have features of equal length."""
    network = build_embedder(SMALL, 1, 0, 28).eval()
    network = folded(network, SMALL) if fold else network
    network(noise(2, 1, 28, 28))
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:
        network(noise(2, 1, 31, 31))
    assert str(caught.value).startswith("this network was built for images of 28 x 28 pixels, not of 31 x 31")


def test_it_is_built_for_a_size():
    with pytest.raises(ValueError, match=r"\Athe trunk conv4-maxpool is built for images of one size: say which\Z"):
        build_embedder(SMALL, 1, 0)


def test_biases_are_folded():
    """A convolution's own bias takes part in what the normalisation shifts."""
    network = build_embedder(SMALL, 1, 0, 32).eval()
    for block in network.trunk.blocks:
        block[0].bias.data.fill_(2.0)
        block[1].running_mean.fill_(1.0)
    copy, images = folded(network, SMALL), noise(2, 1, 32, 32)
    assert not [part for part in copy.modules() if isinstance(part, nn.BatchNorm2d)]
    with torch.inference_mode():
        torch.testing.assert_close(copy(images), network(images), rtol=1e-5, atol=1e-5)


def test_weights_are_pinned():
    """As torch draws them today, block by block: the same seed makes the same network on every machine."""
    network = build_embedder(SMALL, 1, 0, 28)
    generator = torch.Generator().manual_seed(0)
    for before, block in zip((1, 4, 4, 4), network.trunk.blocks, strict=True):
        bound = 1 / (9 * before) ** 0.5
        for values in (torch.empty(4, before, 3, 3), torch.empty(4)):
            values.uniform_(-bound, bound, generator=generator)
            torch.testing.assert_close(block[0].weight.detach() if values.ndim == 4 else block[0].bias.detach(), values)
        assert (block[1].weight == 1).all()
        assert (block[1].bias == 0).all()


def test_gains_of_that_time_are_uniform_and_all_else_is_the_same():
    now, then = (build_embedder(NET.model_copy(update={"trunk": name}), 1, 0, 28) for name in TRUNK_NAMES)
    gains = torch.cat([block[1].weight.detach() for block in then.trunk.blocks])
    assert 0 <= gains.min() < 0.05
    assert 0.95 < gains.max() <= 1
    assert 0.45 < gains.mean() < 0.55
    others = {name for name in now.state_dict() if not name.endswith("1.weight")}
    assert len(others) == len(now.state_dict()) - 4
    assert all(torch.equal(now.state_dict()[name], then.state_dict()[name]) for name in others)
    again = build_embedder(NET.model_copy(update={"trunk": TRUNK_NAMES[1]}), 1, 0, 28)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in then.state_dict().items())


def test_bytes_are_taken():
    network = build_embedder(SMALL, 1, 0, 16).eval()
    given = (255 * noise(2, 1, 16, 16)).byte()
    torch.testing.assert_close(network(given), network(given / 255))
