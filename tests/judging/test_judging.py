"""Networks that are trained already, measured by `relbench evaluate --model`: a user's, a run's, an exported one."""

import json
import re

import numpy as np
import pytest
import timm
import torch
from export.trained import add_photos, classification_of_patterns, finished, retrieval_on_photos
from safetensors.torch import save_file
from tasks.patterns import Patterns, pattern_set

import relbench.data.datasets.rendered
from relbench.data import find_data_set
from relbench.data.table import indices_of
from relbench.evaluation import read_embeddings, retrieval_metrics
from relbench.experiment import Data, Net
from relbench.judging.candidate import Candidate, refuse_trained_validation
from relbench.results.records import read_row
from relbench.settings import changed

OWN = """
import torch
from torch import nn
from averaging import Mean

def build():
    return nn.Sequential(Mean(), nn.Linear(3, 2))

class Rows(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, images):
        return self.make(images)

def maps():
    return nn.Conv2d(3, 4, 3)

def nan():
    return Rows(lambda images: images.mean(dim=(2, 3)) * float("nan"))

def fewer():
    return Rows(lambda images: images.mean(dim=(2, 3))[1:])

def several():
    return Rows(lambda images: [images])

def whole():
    return Rows(lambda images: images.mean(dim=(2, 3)).long())

def fails():
    return Rows(lambda images: images.reshape(7))

def number():
    return 3

def raises():
    raise KeyError("no such thing")
"""
BESIDE = """
from torch import nn

class Mean(nn.Module):
    def forward(self, images):
        return images.mean(dim=(2, 3))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return add_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A user's file, and weights of the network that it builds."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.py").write_text(OWN)
    (folder / "averaging.py").write_text(BESIDE)
    weights = {"1.weight": torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]), "1.bias": torch.tensor([0.1, -0.2])}
    save_file(weights, folder / "w.safetensors")
    torch.save(weights, folder / "w.pt")
    return folder


def evaluated(call, data, *given):
    done = call("evaluate", *given, "--data-folder", data, "--json")
    assert done.code == 0, done.error
    return json.loads(done.out)


def refused(call, data, *given):
    done = call("evaluate", *given, "--data-folder", data)
    assert (done.code, done.out, done.error.count("\n")) == (2, "", 1), done.error
    return done.error


def test_a_run_and_what_was_exported_of_it_measure_as_its_row_says(call, data, tmp_path):
    run = finished(retrieval_on_photos(data), tmp_path / "runs", data)
    out = tmp_path / "out"
    assert call("export", run, "--to", "hub-folder", "--without-onnx", "--out", out, "--data", data).code == 0
    metrics = read_row(run / "row.json", run.name).metrics
    for model in (run, out):
        found = evaluated(call, data, "--model", model)
        assert {name: found[name] for name in metrics} == metrics
    assert (found["queries"], found["gallery"], found["classes"]) == (24, 24, 6)
    assert evaluated(call, data, "--model", run, "--k", "3").keys() >= {"recall@3"}
    episodes = ("--task", "few-shot", "--way", "3", "--queries", "2", "--episodes", "20")
    by_file = call("evaluate", run, *episodes, "--json")
    assert evaluated(call, data, "--model", out, *episodes) == json.loads(by_file.out)
    (out / "model.safetensors").write_bytes((out / "model.safetensors").read_bytes()[:-1] + b"\1")
    assert "are not those that config.json beside them names" in refused(call, data, "--model", out)


def test_a_network_is_compared_with_embeddings_of_the_same_images(call, own, data, tmp_path):
    """As if its own had been kept in a file, too."""
    given = ("--data", "photos", "--data-folder", data, "--set", "data.size=16")
    network = ("evaluate", "--model", f"{own}/own.py:build", *given)
    assert call(*network, "--save", tmp_path / "one.npz").code == 0
    np.savez(tmp_path / "other.npz", **(dict(np.load(tmp_path / "one.npz")) | {"embeddings": np.eye(24)}))
    for more in (("--k", "1"), ("--task", "few-shot", "--way", "3", "--queries", "2", "--episodes", "9")):
        compared = ("--compare", tmp_path / "other.npz", *more, "--json")
        found = call(*network, *compared)
        assert found.code == 0, found.error
        assert json.loads(found.out) == json.loads(call("evaluate", tmp_path / "one.npz", *compared).out)
    words = call(*network, "--compare", tmp_path / "other.npz").out
    assert f"A: {own}/own.py:build" in words


def test_a_run_with_a_head_is_measured_with_it(call, tmp_path, monkeypatch):
    monkeypatch.setitem(relbench.data.datasets.rendered.RENDERED, "patterns", pattern_set(Patterns()))
    run = finished(classification_of_patterns(), tmp_path / "runs", tmp_path)
    metrics = read_row(run / "row.json", run.name).metrics
    found = evaluated(call, tmp_path, "--model", run)
    assert {name: found[name] for name in metrics} == metrics
    by_class = evaluated(call, tmp_path, "--model", run, "--by-class")["by_class"]
    assert [line["class"] for line in by_class] == ["crosses", "dots", "stripes", "waves"]


@pytest.mark.parametrize("weights", ["w.safetensors", "w.pt"])
def test_a_users_network_by_definition(call, own, data, tmp_path, weights):
    """Its embeddings, computed here, and Recall@K of them; its file imports what lies beside it."""
    given = ("--data", "photos", "--set", "data.size=16", "--normalization", "imagenet")
    kept = tmp_path / "kept.npz"
    network = ("--model", f"{own}/own.py:build", "--weights", own / weights)
    found = evaluated(call, data, *network, *given, "--save", kept)
    source = find_data_set("photos", data).load(Data(name="photos", size=16), data, iter)
    indices = indices_of(source.table, "test")
    images = source.test_batch(torch.from_numpy(indices)).numpy() / 255
    means, deviations = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    colours = (images.mean(axis=(2, 3)) - means) / deviations
    expected = colours @ np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]).T + [0.1, -0.2]
    stored = read_embeddings(kept)
    np.testing.assert_allclose(stored.embeddings, expected, atol=1e-5)
    assert stored.names.tolist() == source.table["name"].to_numpy()[indices].tolist()
    assert stored.labels.tolist() == source.table["label"].to_numpy()[indices].tolist()
    metrics = retrieval_metrics(stored.embeddings, stored.labels, ks=(1, 2, 4, 8))
    assert {name: found[name] for name in metrics} == metrics
    assert "is there already" in refused(call, data, *network, *given, "--save", kept)


def test_a_trunk_of_a_library_with_weights_from_a_file(call, data, tmp_path):
    """Its features, by the library itself."""
    model = timm.create_model("test_efficientnet", num_classes=0).eval()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    given = ("--model", "timm:test_efficientnet", "--weights", tmp_path / "w.safetensors", "--data", "photos")
    evaluated(call, data, *given, "--set", "data.size=64", "--save", tmp_path / "kept.npz")
    source = find_data_set("photos", data).load(Data(name="photos", size=64), data, iter)
    images = source.test_batch(torch.from_numpy(indices_of(source.table, "test"))).float() / 255
    mean, deviation = (torch.tensor(model.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        expected = model((images - mean) / deviation).numpy()
    np.testing.assert_allclose(read_embeddings(tmp_path / "kept.npz").embeddings, expected, rtol=1e-4, atol=1e-5)


def test_what_is_known_of_it_is_told(call, own, data):
    done = call("evaluate", "--model", f"{own}/own.py", "--data", "photos", "--data-folder", data)
    assert "What this network was trained on is not known here" in done.out


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("maps", r"returns shape \(24, 4, 14, 14\) for images of shape \(24, 3, 16, 16\): return a matrix"),
        ("fewer", r"returns shape \(23, 3\) for images"),
        ("several", "returns a value of type list for images"),
        ("nan", "returns numbers that are not finite: return a matrix of finite numbers"),
        ("whole", "returns numbers of type torch.int64"),
        ("fails", r"own.py:fails, line 33: RuntimeError: shape '\[7\]' is invalid"),
        ("number", "own.py:number returns a value of type int: return a torch.nn.Module"),
        ("raises", "own.py:raises, line 39: KeyError: 'no such thing'"),
        ("buld", "has no function buld: it has build, Rows, maps"),
    ],
)
def test_a_users_network_that_is_none_is_refused(call, own, data, function, why):
    told = refused(call, data, "--model", f"{own}/own.py:{function}", "--data", "photos", "--set", "data.size=16")
    assert re.search(why, told), told


def test_weights_of_another_network_are_refused(call, own, data, tmp_path):
    def told(content, name="w.safetensors"):
        if isinstance(content, dict):
            save_file(content, tmp_path / name)
        else:
            (tmp_path / name).write_bytes(content)
        network = ("--model", f"{own}/own.py:build", "--weights", tmp_path / name)
        return refused(call, data, *network, "--data", "photos", "--set", "data.size=16")

    assert "2 missing (1.weight, 1.bias); 1 unexpected (fc)" in told({"fc": torch.ones(1)})
    wrong = {"1.weight": torch.ones(2, 4), "1.bias": torch.ones(2)}
    assert "own.py:build: 1 of another shape (1.weight)" in told(wrong)
    assert "can't be read" in told(b"no tensors")
    assert "can't be read" in told(b"no tensors", "w.pt")
    torch.save(torch.ones(2), tmp_path / "alone.pt")
    assert "holds no weights by name" in told((tmp_path / "alone.pt").read_bytes(), "alone.pt")


def test_options_that_do_not_go_together_are_refused(call, own, data, tmp_path):
    network = ("--model", f"{own}/own.py:build")
    for given, why in (
        ((tmp_path / "x.npz", *network), "EMBEDDINGS is for embeddings in files, not for --model"),
        ((*network, "--ignore", "camera", "--data", "photos"), "--ignore is for embeddings in files"),
        (("--weights", "w.pt", tmp_path / "x.npz"), "--weights says something of a network"),
        ((), "name a file of embeddings, or a network with --model"),
        (network, "--model needs a data set: name it with --data"),
        ((*network, "--data", "photoss"), "unknown data set 'photoss': did you mean photos"),
        ((*network, "--data", "photos", "--set", "net.dim=3"), "unknown setting of --model 'net.dim'"),
        ((*network, "--data", "photos", "--split", "train"), "unknown split 'train'"),
        ((*network, "--data", "photos", "--normalization", "cifar"), "unknown normalization 'cifar'"),
        ((*network, "--data", "photos", "--way", "3"), "choose --task few-shot, too"),
        (("--model", "conv4", "--data", "photos"), "there are no pretrained weights of conv4"),
        (("--model", tmp_path / "no", "--data", "photos"), "is not there: name a folder, a trunk, or a Python file"),
        (("--model", tmp_path / "no.py:build", "--data", "photos"), "no.py is not there: name a Python file"),
        (("--model", tmp_path, "--data", "photos"), "is not finished or no run's folder"),
    ):
        assert why in refused(call, data, *given), given


def test_images_that_were_seen_are_refused(data):
    """As transfers refuse them: by the card, by the split, by what was held out."""
    run = retrieval_on_photos(data)
    pretrained = Candidate(lambda *_: None, net=Net(trunk="resnet18", weights="imagenet", dim=None))
    with pytest.raises(ValueError, match="these weights were trained on the test classes of mini-imagenet"):
        pretrained.check(Data(name="mini-imagenet", size=84))
    trained = Candidate(lambda *_: None, experiment=run)
    trained.check(run.data)
    with pytest.raises(ValueError, match="the network was trained on photos split by classes"):
        trained.check(changed(run.data, {"split": "images"}))
    refuse_trained_validation(run, run.data)
    with pytest.raises(ValueError, match="trained on other classes or images of photos"):
        refuse_trained_validation(changed(run, {"data": changed(run.data, {"hold_out": False})}), run.data)
