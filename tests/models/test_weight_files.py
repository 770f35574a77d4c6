"""Initial weights from a file: read without executing it, whole or not at all, and named by what they are."""

import pickle
import re
import shutil

import pytest
import timm
import torch
import torchvision
from hostile import Hostile
from safetensors.torch import save_file

from relbench.experiment import Data, Experiment, Net, Term
from relbench.models import blank_network, build_embedder, check_weights, planned, weights_of
from relbench.models.trunks import build_trunk
from relbench.models.weight_files import read_state
from relbench.resolve import resolve

SIDE = 64


def state_of(name: str, classes: int = 7):
    """Weights of a network with a classifier, each different from those of any new one."""
    library, _, model = name.partition(":")
    make = timm.create_model if library == "timm" else torchvision.models.get_model
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return make(model or library, num_classes=classes).state_dict()


def holds(trunk, state):
    """Whether a trunk has these weights, whatever lies beside them in the file."""
    own = trunk.network.state_dict()
    return all(torch.equal(value, state[name]) for name, value in own.items())


@pytest.mark.parametrize("name", ["timm:resnet10t", "timm:test_efficientnet", "torchvision:resnet18", "resnet18"])
def test_the_classifier_of_the_source_is_left_over(tmp_path, name):
    state, path = state_of(name), tmp_path / "weights.safetensors"
    save_file(state, path)
    assert holds(build_trunk(Net(trunk=name, weights=str(path)), 3, SIDE), state)


def test_of_a_vision_transformer_as_timm_adapts_them_to_the_size(tmp_path):
    state, path = state_of("timm:test_vit"), tmp_path / "weights.pt"
    torch.save(state, path)
    found = build_trunk(Net(trunk="timm:test_vit", weights=str(path)), 3, SIDE).network.state_dict()
    original = timm.create_model("test_vit", num_classes=7)
    original.load_state_dict(state)
    original.set_input_size((SIDE, SIDE))
    assert found["pos_embed"].shape != state["pos_embed"].shape
    assert all(torch.equal(value, found[name]) for name, value in original.state_dict().items() if "head" not in name)


@pytest.mark.parametrize("wrap", [lambda state: {"epoch": 3, "state_dict": state}, lambda state: {"model": state}])
def test_of_a_checkpoint_and_of_a_parallel_network(tmp_path, wrap):
    state, path = state_of("timm:resnet10t"), tmp_path / "weights.pth"
    torch.save(wrap({f"module.{name}": value for name, value in state.items()}), path)
    assert holds(build_trunk(Net(trunk="timm:resnet10t", weights=str(path)), 3), state)


@pytest.mark.parametrize(("trunk", "channels"), [("conv4", 1), ("timm:test_efficientnet", 3)])
def test_of_an_embedder_whose_linear_layer_is_left_out(tmp_path, trunk, channels):
    path = tmp_path / "model.safetensors"
    source = build_embedder(Net(trunk=trunk, dim=5), channels, seed=1)
    save_file(source.state_dict(), path)
    found = build_embedder(Net(trunk=trunk, dim=9, weights=str(path)), channels, seed=2)
    random = build_embedder(Net(trunk=trunk, dim=9), channels, seed=2)
    for name, value in source.trunk.state_dict().items():
        assert torch.equal(value, found.trunk.state_dict()[name])
    assert torch.equal(found.linear.weight, random.linear.weight)  # as without the file


def refusal(net, channels=3, size=SIDE):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        check_weights(planned(net), channels, size)
    return str(caught.value)


@pytest.mark.parametrize("name", ["timm:resnet10t", "torchvision:resnet18", "resnet18", "timm:test_vit"])
def test_those_of_another_network(tmp_path, name):
    path = tmp_path / "weights.safetensors"
    save_file(state_of("timm:test_efficientnet"), path)
    message = refusal(Net(trunk=name, weights=str(path)))
    assert re.match(
        rf"the weights {path} are not those of \S*{name}\S*: \S+, \S+, \S+ and \d+ more are missing; ", message
    )
    assert " more are of another network" in message


def test_one_weight_too_few_or_too_many_or_too_small(tmp_path):
    path, state = tmp_path / "weights.pt", state_of("resnet18")
    first = "layer1.0.conv1.weight"
    for changes, told in [
        ({"layer9.weight": torch.zeros(1)}, "layer9.weight is of another network"),
        ({first: state[first][:3]}, f"{first} is of another shape"),
    ]:
        torch.save(state | changes, path)
        assert refusal(Net(trunk="resnet18", weights=str(path))).endswith(f"not those of resnet18: {told}")
    del state[first]
    torch.save(state, path)
    assert refusal(Net(trunk="resnet18", weights=str(path))).endswith(f"not those of resnet18: {first} is missing")


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_is_not_run(tmp_path, write):
    path = tmp_path / "weights.pth"
    write({"conv1.weight": Hostile(tmp_path / "executed")}, path)
    assert f"the weights {path} can't be read (" in refusal(Net(trunk="timm:resnet10t", weights=str(path)))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
@pytest.mark.parametrize("content", [b"", b"half a file"], ids=repr)
def test_damaged_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert f"the weights {tmp_path / name} can't be read (" in refusal(Net(trunk="conv4", weights=str(tmp_path / name)))


def test_files_that_are_no_weights_or_not_there(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match=r"list\.pt holds no weights by name: save a network's state_dict\(\) alone\Z"):
        read_state(tmp_path / "list.pt")
    assert "nowhere.pt can't be read (No such file or directory): paths begin at " in refusal(Net(weights="nowhere.pt"))
    with pytest.raises(
        ValueError, match=r"choose random or imagenet, or a file that ends with \.safetensors, \.pt, \.pth"
    ):
        Net(weights="weights.bin")


def build_trunk_of(name, seed):
    return build_embedder(Net(trunk=name, dim=None), 3, seed).trunk


def run_with(path, trunk="resnet18"):
    net = Net(trunk=trunk, weights=str(path))
    return resolve(Experiment(net=net, terms=(Term(loss="triplet"),), data=Data(size=32)), "run")


def test_the_content_names_a_run_and_not_the_path(tmp_path):
    paths = [tmp_path / name for name in ("one.pt", "two.pt", "other.pt")]
    for path, seed in zip(paths[::2], (0, 1), strict=True):
        torch.save(build_trunk_of("conv4", seed).state_dict(), path)
    shutil.copy(paths[0], paths[1])
    one, two, other = (run_with(path, "conv4") for path in paths)
    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert one.net != two.net
    assert weights_of(one.net) == f"one.pt (sha256 {one.net.weights_content})"
    assert len(one.net.weights_content) == 64
    again = Experiment.model_validate_json(one.model_dump_json())
    assert again == one == resolve(one, "run")


def test_weights_of_another_network_are_refused_when_a_run_is_planned(tmp_path):
    torch.save(build_trunk_of("conv4", 0).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"\Arun: the weights .+ are not those of resnet18: .+ are missing; .+\Z"):
        run_with(tmp_path / "weights.pt")


def test_a_file_that_was_changed_since_the_plan(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(state_of("resnet18"), path)
    net = run_with(path).net
    torch.save(state_of("resnet18", classes=3), path)
    with pytest.raises(ValueError, match=r"\Athe weights .+ are not those that were planned for: plan the run again\Z"):
        build_trunk(net, 3)


def test_a_trained_network_does_not_need_the_file_that_it_began_with(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(state_of("resnet18"), path)
    run = run_with(path)
    path.unlink()
    assert blank_network(run, 3).trunk.state_dict().keys() == build_trunk(Net(trunk="resnet18"), 3).state_dict().keys()
    with pytest.raises(ValueError, match=r"weights\.pt can't be read \(No such file or directory\)"):
        build_trunk(run.net, 3)
