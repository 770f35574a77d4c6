"""Networks in the precision of their training, and Adam: as torch has them, without its compiler."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from relbench.training.optimizers import Adam
from relbench.training.precision import InPrecision


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
