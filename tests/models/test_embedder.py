"""Embedding networks: length, seeds, and embedding in evaluation mode."""

import numpy as np
import pytest
import torch
from torch import nn

from relbench.experiment import Net
from relbench.models import Embedder, build_embedder, embed, evaluating

SMALL = Net(trunk="conv4", width=4, dim=6)
CPU = torch.device("cpu")


def images(count=10, seed=0):
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("unit_length", [True, False])
def test_forward(unit_length):
    network = build_embedder(SMALL.model_copy(update={"unit_length": unit_length}), channels=1, seed=0)
    found = network(images())
    expected = nn.functional.linear(network.trunk(images()), network.linear.weight, network.linear.bias)
    lengths = torch.sqrt((expected**2).sum(dim=1, keepdim=True))
    assert found.shape == (10, 6)
    torch.testing.assert_close(found, expected / lengths if unit_length else expected)
    assert bool(((found.norm(dim=1) - 1).abs() < 1e-5).all()) == unit_length


def test_an_embedding_of_zeros_has_no_direction_but_is_finite():
    network = build_embedder(SMALL, channels=1, seed=0)
    nn.init.zeros_(network.linear.weight)
    nn.init.zeros_(network.linear.bias)
    found = network(images())
    found.sum().backward()
    assert (found == 0).all()
    assert weights(network).isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_size_follows_the_settings():
    network = build_embedder(Net(trunk="conv4", width=8, dim=32), channels=3, seed=0)
    assert network.linear.weight.shape == (32, 64)
    assert network.trunk.blocks[0][0].weight.shape == (8, 3, 3, 3)
    trunk = 9 * (3 * 8 + 8 * 16 + 16 * 32 + 32 * 64) + 2 * (8 + 16 + 32 + 64)
    assert sum(parameter.numel() for parameter in network.parameters()) == trunk + 64 * 32 + 32


def test_the_seed_decides_the_weights():
    first, again, other = (weights(build_embedder(SMALL, channels=1, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("trunk", ["conv4", "resnet18"])
def test_the_global_generator_is_neither_used_nor_changed(trunk):
    net = Net(trunk=trunk, dim=6)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = weights(build_embedder(net, channels=3, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(weights(build_embedder(net, channels=3, seed=1)), first)


def test_the_generators_of_gpus_are_left_alone(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    build_embedder(SMALL, channels=1, seed=1)
    assert not seeded


def test_weights_are_pinned():
    """The same seed makes the same network as in runs that are finished."""
    network = build_embedder(SMALL, channels=1, seed=0)
    generator = torch.Generator().manual_seed(0)
    bound = 1 / 3  # of a first layer of 9 inputs: 1 / sqrt(9), uniformly to both sides
    expected = torch.empty(4, 1, 3, 3).uniform_(-bound, bound, generator=generator)
    torch.testing.assert_close(network.trunk.blocks[0][0].weight.detach(), expected)


@pytest.mark.parametrize("mode", [True, False])
def test_evaluating_goes_back_to_the_mode_before(mode):
    network = build_embedder(SMALL, channels=1, seed=0).train(mode)
    with evaluating(network):
        assert not network.training
        assert not network.trunk.blocks[0][1].training
        assert not network(images()).requires_grad
    assert network.training == mode
    assert network.trunk.blocks[0][1].training == mode
    assert network(images()).requires_grad


def test_evaluating_goes_back_after_an_error():
    network = build_embedder(SMALL, channels=1, seed=0)
    with pytest.raises(RuntimeError), evaluating(network):
        network(torch.zeros(2, 5, 8, 8))
    assert network.training
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("cuts", [[10], [4, 4, 2], [1] * 10])
def test_embed_is_the_plain_forward_in_evaluation_mode(cuts):
    network = build_embedder(SMALL, channels=1, seed=0)
    network(images(seed=1))  # moves the running means away from their beginning
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = embed(network, iter(images().split(cuts)), CPU)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    expected = network.eval()(images()).detach().numpy()
    assert found.dtype == np.float32
    assert found.shape == (10, 6)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_embed_keeps_the_order():
    class FirstPixel(nn.Module):
        def forward(self, images):
            return images[:, 0, 0, :1]

    numbers = torch.arange(10.0).view(10, 1, 1, 1)
    assert embed(FirstPixel(), iter(numbers.split(3)), CPU)[:, 0].tolist() == list(range(10))


def test_embed_gives_single_precision():
    class Half(nn.Module):
        def forward(self, images):
            return images[:, 0, 0].bfloat16()

    assert embed(Half(), iter([images()]), CPU).dtype == np.float32


@pytest.mark.parametrize("as_bytes", [False, True])
def test_channels_last(as_bytes):
    """Weights and images lie so in memory, and the numbers stay."""
    given = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    given = (255 * given).byte() if as_bytes else given
    plain, other = (build_embedder(SMALL, channels=3, seed=0) for _ in range(2))
    assert other.with_channels_last() is other
    seen = []
    other.trunk.register_forward_pre_hook(lambda _, images: seen.append(images[0]))
    torch.testing.assert_close(other(given), plain(given), rtol=1e-4, atol=1e-5)
    (images,) = seen
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert not images.is_contiguous()
    convolutions = [module.weight for module in other.modules() if isinstance(module, nn.Conv2d)]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in convolutions)
    other.load_state_dict(plain.state_dict())
    assert not convolutions[0].is_contiguous()  # what is read from a checkpoint comes into the same layout


def test_a_trunk_of_ones_own():
    """Whatever has `features` will do."""

    class Mean(nn.Module):
        features = 1

        def forward(self, images):
            return images.mean(dim=(1, 2, 3))[:, None]

    assert Embedder(Mean(), 3, unit_length=False)(images()).shape == (10, 3)
