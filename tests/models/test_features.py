"""What a network shows of itself: the same as a forward by hand, and nothing is left behind."""

from itertools import pairwise

import pytest
import torch

from relbench.experiment import EMBEDDING, Net
from relbench.models import TRUNKS, FeatureExtractor, build_embedder, layers_of

SMALL = Net(trunk="conv4", width=4, dim=6)
STAGES = ["stage1", "stage2", "stage3", "stage4"]


def images(size=16, count=5):
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))


def built(net=SMALL, size=None):
    return build_embedder(net, channels=1, seed=0, size=size)


def hooks(network):
    return [module for module in network.modules() if module._forward_hooks or module._forward_pre_hooks]


def test_maps_are_those_of_a_forward_by_hand():
    network = built()
    embeddings, maps = FeatureExtractor(network, SMALL, [*STAGES, EMBEDDING])(images())
    values = images()
    for stage, block in zip(STAGES, network.trunk.blocks, strict=True):
        values = block(values)
        torch.testing.assert_close(maps[stage], values, msg=stage)
    assert maps.keys() == {*STAGES, EMBEDDING}
    assert maps[EMBEDDING] is embeddings


def test_maps_of_a_resnet_are_those_of_a_forward_by_hand():
    net = Net(trunk="resnet18", dim=6)
    network = built(net).eval()
    with torch.inference_mode():
        embeddings, maps = FeatureExtractor(network, net, STAGES)(images(32, 2))
        trunk = network.trunk.network
        values = network.trunk.normalize(images(32, 2).expand(-1, 3, -1, -1))
        values = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(values))))
        for stage, part in zip(STAGES, (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4), strict=True):
            values = part(values)
            torch.testing.assert_close(maps[stage], values, msg=stage)
        expected = torch.nn.functional.normalize(network.linear(values.mean(dim=(2, 3))), dim=1)
    torch.testing.assert_close(embeddings, expected)


@pytest.mark.parametrize("trunk", [name for name, entry in TRUNKS.items() if [*entry.layers] == STAGES])
def test_trunks_of_four_stages_have_each_half_as_large(trunk):
    net = Net(trunk=trunk, dim=6)
    assert layers_of(net) == [*STAGES, EMBEDDING]
    network = built(net, 64)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    shapes = FeatureExtractor(network, net, layers_of(net)).shapes(channels=1, size=64)
    sizes = [shapes[stage][1:] for stage in STAGES]
    assert all(large == (2 * small[0], 2 * small[1]) for large, small in pairwise(sizes))
    last = shapes[STAGES[-1]]
    assert network.trunk.features == (last[0] if TRUNKS[trunk].any_size else last.numel())
    assert shapes[EMBEDDING] == (6,)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_shapes_without_layers_are_the_embeddings():
    assert FeatureExtractor(built(), SMALL, []).shapes(channels=1, size=16) == {EMBEDDING: torch.Size([6])}


@pytest.mark.parametrize("layers", [(), ("stage2",), (EMBEDDING,), ("stage4", "stage1", "stage4")])
def test_embeddings_are_those_of_the_network_alone(layers):
    network = built().eval()
    embeddings, maps = FeatureExtractor(network, SMALL, layers)(images())
    assert torch.equal(embeddings, network(images()))
    assert maps.keys() == {*layers, EMBEDDING}


def test_no_hook_is_left():
    network = built()
    observed = FeatureExtractor(network, SMALL, STAGES)
    assert not hooks(network)
    observed(images())
    assert not hooks(network)


def test_no_hook_is_left_after_an_error():
    network = built()
    with pytest.raises(RuntimeError):
        FeatureExtractor(network, SMALL, STAGES)(torch.zeros(2, 7, 16, 16))
    assert not hooks(network)


def test_two_observers_do_not_meddle():
    """A run's student may be observed while its validation looks at the network alone."""
    network = built().eval()
    first, second = FeatureExtractor(network, SMALL, ["stage1"]), FeatureExtractor(network, SMALL, ["stage2"])
    one, other = first(images())[1], second(images())[1]
    assert one.keys() == {"stage1", EMBEDDING}
    assert other.keys() == {"stage2", EMBEDDING}
    assert torch.equal(first(images())[1]["stage1"], one["stage1"])


def test_maps_of_one_batch_are_not_those_of_the_next():
    observed = FeatureExtractor(built().eval(), SMALL, ["stage3"])
    first = observed(images())[1]["stage3"]
    kept = first.clone()
    assert not torch.equal(observed(images() / 2)[1]["stage3"], first)
    assert torch.equal(first, kept)


@pytest.mark.parametrize("stage", STAGES)
def test_gradient_flows_through_maps_to_the_layers_before_and_no_further(stage):
    network = built()
    FeatureExtractor(network, SMALL, [stage])(images())[1][stage].square().sum().backward()
    reached = [block[0].weight.grad is not None for block in network.trunk.blocks]
    number = STAGES.index(stage)
    assert reached == [at <= number for at in range(4)]
    assert network.trunk.blocks[0][0].weight.grad.any()
    assert network.linear.weight.grad is None


def test_the_network_is_its_only_part():
    network = built()
    observed = FeatureExtractor(network, SMALL, STAGES)
    assert [id(value) for value in observed.parameters()] == [id(value) for value in network.parameters()]
    assert observed.state_dict().keys() == {f"network.{name}" for name in network.state_dict()}


def test_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match=r"\Aunknown layer of conv4 'stage5': did you mean stage4") as caught:
        FeatureExtractor(built(), SMALL, ["stage4", "stage5"])
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="unknown layer of conv4 'blocks': known are embedding, stage1, stage2"):
        FeatureExtractor(built(), SMALL, ["blocks"])
