"""Networks in the precision of their training, and Adam: as torch has them, without its compiler."""

import shutil
import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import nn
from training.small_runs import CLASSES, TRIPLET, run_of

from relbench.experiment import EMBEDDING, Net, Term, Training
from relbench.models import FeatureExtractor, build_embedder
from relbench.models.features import CompiledFeatures
from relbench.models.layouts import CHANNELS_FIRST
from relbench.results.checkpoint import load_checkpoint
from relbench.settings import changed
from relbench.trackers import Silent
from relbench.training import Learner, TrainingData, train
from relbench.training.assemble import UntrainedNetworks, assemble
from relbench.training.optimizers import Adam
from relbench.training.precision import InPrecision, as_trained


class Shows(nn.Module):
    """Embeddings and a map, and what precision they were computed in."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 4)
        self.computed_in = torch.float64

    def forward(self, images):
        embeddings = self.linear(images)
        self.computed_in = embeddings.dtype
        return embeddings, {"stage1": embeddings.relu()}


@pytest.mark.parametrize(
    ("precision", "dtype"), [("32-true", torch.float32), ("tf32", torch.float32), ("bf16-mixed", torch.bfloat16)]
)
def test_computes_in_its_precision_and_shows_float32(precision, dtype):
    network, images = Shows(), torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    embeddings, maps = InPrecision(network, torch.device("cpu"), precision)(images)
    assert (network.computed_in, embeddings.dtype, maps["stage1"].dtype) == (dtype, torch.float32, torch.float32)
    weight, bias = (value.detach().to(dtype) for value in (network.linear.weight, network.linear.bias))
    expected = nn.functional.linear(images.to(dtype), weight, bias).float()
    assert torch.equal(embeddings, expected)
    assert torch.equal(maps["stage1"], expected.relu())
    embeddings.sum().backward()
    assert network.linear.weight.grad.dtype == torch.float32


def trained(optimizer, fused):
    """Weights and the optimizer's state after some steps, half of them resumed."""
    torch.manual_seed(0)
    network, images = nn.Linear(6, 4), torch.randn(8, 6)
    made = optimizer(network.parameters(), lr=0.1, weight_decay=0.01, fused=fused)
    for step in range(6):
        if step == 3:
            state = made.state_dict()
            made = optimizer(network.parameters(), lr=0.5, fused=fused)
            made.load_state_dict(state)
        made.zero_grad()
        network(images).square().sum().backward()
        made.step()
    return [*network.parameters(), *made.state_dict()["state"][0].values()], made.state_dict()["param_groups"]


@pytest.mark.parametrize("fused", [True, False])
def test_adam_is_torchs_to_the_last_bit(fused):
    (own, groups), (torchs, same) = trained(Adam, fused), trained(torch.optim.Adam, fused)
    assert groups == same
    assert all(torch.equal(one, other) for one, other in zip(own, torchs, strict=True))


TRAINING = """
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from relbench.experiment import Data, Experiment, Net, Term, Training
from relbench.run import run
from relbench.trackers import Silent
training = Training(steps=2, batch_size=8, images_per_class=2, validate_every=1, selection="validation")
terms = (Term(loss="triplet"), Term(loss="fitnet", layers=("stage2",)))
data, net = Data(name="glyphs", size=8, train_classes=8, test_classes=8), Net(trunk="conv4", width=2, dim=4)
with TemporaryDirectory() as folder:
    teacher = Experiment(data=data, net=net, terms=terms[:1], training=training)
    student = Experiment(data=data, net=net, terms=terms, training=training, teacher=teacher)
    for experiment in (teacher, student):
        run(experiment, Path(folder), Path(folder), Silent())
print(*sorted({"torch._dynamo", "scipy.stats", "torchvision", "faiss", "sklearn"} & sys.modules.keys()))
"""


def test_a_run_loads_no_compiler():
    """Each of these takes a second or nearly one, in each process of a grid."""
    done = subprocess.run([sys.executable, "-c", TRAINING], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


NET = Net(trunk="conv4", width=2, dim=4)
LAYERS = ("stage1", "stage3", EMBEDDING)


@pytest.fixture
def traced(monkeypatch):
    """Networks are traced as for compiling, but no machine code is made, which takes long; returns the graphs."""
    graphs = []

    def traced(graph, _):
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=traced))
    yield graphs
    torch.compiler.reset()


def seen(compiled, sizes=(6,), seed=0):
    """Outputs, gradients and running statistics of a network that is shown batches."""
    network = build_embedder(NET, 1, seed, 16)
    features = as_trained(FeatureExtractor(network, NET, LAYERS), Training(compile=compiled))
    shown = []
    for count in sizes:
        embeddings, maps = features(torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(count)))
        network.zero_grad()
        (embeddings.square().sum() + maps["stage3"].square().sum()).backward()
        shown += [embeddings, *maps.values(), *(each.grad for each in network.parameters()), *network.buffers()]
        assert list(maps) == list(LAYERS)
    return shown, network


def test_a_compiled_network_shows_the_same(traced):
    """One graph for each number of images, and none for a batch that has been there."""
    (own, network), (expected, plain) = (seen(compiled, (6, 4, 6)) for compiled in (True, False))
    for value, its in zip(own, expected, strict=True):
        torch.testing.assert_close(value, its)
    assert len(traced) == 2
    assert list(network.state_dict()) == list(plain.state_dict())


def test_more_networks_are_compiled_than_torch_would_by_itself(traced):
    """It has a limit for each place in the code, beyond which nothing is compiled any more."""
    for width in (1, 2, 3):
        network = build_embedder(changed(NET, {"width": width}), 1, 0, 16)
        with torch._dynamo.config.patch(recompile_limit=1):
            CompiledFeatures(FeatureExtractor(network, NET, ()))(torch.rand(2, 1, 16, 16))
    assert len(traced) == 3


@pytest.mark.usefixtures("traced")
def test_a_compiled_network_keeps_no_maps_that_others_ask_for():
    network = build_embedder(NET, 1, 0, 16)
    compiled = CompiledFeatures(FeatureExtractor(network, NET, LAYERS))
    network(torch.rand(2, 1, 16, 16))
    assert compiled._maps == {}
    with pytest.raises(RuntimeError, match="channels"):
        compiled(torch.rand(2, 3, 16, 16))
    network(torch.rand(2, 1, 16, 16))
    assert compiled._maps == {}


def test_student_and_teacher_are_compiled_and_train_alike(traced, tmp_path):
    def history(compiled):
        experiment = run_of(TRIPLET, Term(loss="fitnet", layers=("stage2",)))
        training = changed(experiment.training, {"steps": 2, "validate_every": 2, "compile": compiled})
        experiment = changed(experiment, {"training": training})
        setup = assemble(experiment, UntrainedNetworks(1, CLASSES), data())
        train(Learner(setup, training, 3, "abc", tmp_path / f"{compiled}.pt", Silent()))
        return load_checkpoint(tmp_path / f"{compiled}.pt", "abc", 2, "recall@1")

    own, expected = history(compiled=True), history(compiled=False)
    for entry, its in zip(own["history"], expected["history"], strict=True):
        assert entry == pytest.approx(its, rel=1e-3)
    assert list(own["network"]) == list(expected["network"])
    assert len(traced) == 2


def data():
    return TrainingData(
        channels=1,
        classes=CLASSES,
        labels=torch.arange(40) // 5,
        batch=lambda _: torch.arange(40),
        views=lambda indices, generator, only=None: torch.rand(len(indices), 1, 28, 28, generator=generator),
        validate=lambda *_: {"recall@1": 0.5},
    )


class Parts:
    """A network so small that its machine code is made in seconds."""

    def __init__(self):
        self.network = nn.Sequential(nn.Linear(3, 4), nn.Tanh())

    def parts(self):
        return {"low": self.network[0]}

    def layout(self, name):
        return CHANNELS_FIRST


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_machine_code(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    features, rows = Parts(), torch.rand(5, 3)
    embeddings, maps = CompiledFeatures(features)(rows)
    (embeddings * maps["low"]).sum().backward()
    gradients = [each.grad.clone() for each in features.network.parameters()]
    features.network.zero_grad()
    low = features.network[0](rows)
    (low.tanh() * low).sum().backward()
    torch.testing.assert_close(maps["low"], low)
    torch.testing.assert_close(gradients, [each.grad for each in features.network.parameters()])
    assert list(tmp_path.rglob("*.so"))
