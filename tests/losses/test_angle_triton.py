"""Triton's kernel of the angle loss: on the CPU by its interpreter, on a GPU compiled."""

import importlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from angle_closed_form import angle_loss_in_closed_form

from relbench.geometry import pairwise_distances
from relbench.losses import angle
from relbench.losses.angle import angle_loss, kernel_on

INTERPRETED = """
import warnings

import torch

from relbench.geometry import pairwise_distances
from relbench.losses import angle_eager, angle_triton


def distances_of(count, dtype):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(2, count, 2, generator=generator, dtype=torch.float64).to(dtype)
    rows[0, -1] = rows[0, 0]  # a side without a length
    return [pairwise_distances(side) for side in rows]


for count, dtype, tolerance in ((33, torch.float32, 2e-6), (5, torch.float64, 1e-13)):
    distances = distances_of(count, dtype)
    found = angle_triton.loss_and_gradient(*distances)
    expected = angle_eager.loss_and_gradient(*distances)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype == dtype
        assert (one - other).norm() < tolerance * other.norm(), (count, one, other)

distances = distances_of(5, torch.float64)
parts = [angle_triton.loss_and_gradient(*distances, rows) for rows in (slice(0, 2), slice(2, 5), slice(5, 5))]
for one, other in zip(map(sum, zip(*parts)), expected):
    assert torch.allclose(one, other, rtol=0, atol=1e-13)
assert 0 == parts[2][0] < parts[1][0] < expected[0]

angle_triton._WIDE = 0  # wide tiles
wide = angle_triton.loss_and_gradient(*distances_of(5, torch.float64))
assert torch.allclose(wide[1], expected[1], rtol=0, atol=1e-13)

distances = distances_of(5, torch.float64)
for places, exact in ((25, False), (24, True)):  # of 25 partial sums
    angle_triton._PLACES = places
    found = angle_triton.loss_and_gradient(*distances)
    assert torch.equal(found[1], angle_eager.loss_and_gradient(*distances)[1]) == exact
angle_triton._PLACES = 2**31

warnings.simplefilter("ignore")  # of numpy, about the NaN
for value in (torch.nan, torch.inf):
    for side in (0, 1):
        distances = distances_of(5, torch.float32)
        distances[side][1, 2] = distances[side][2, 1] = value
        assert not angle_triton.loss_and_gradient(*distances)[0].isfinite()
"""


installed = pytest.mark.skipif(not find_spec("triton"), reason="triton is not installed")


@installed
@pytest.mark.parametrize("number", ["fp32", "fp64"])
def test_compiles_for_a_gpu_that_is_not_here(number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An H100: what the interpreter allows, the compiler may still refuse."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    compiler = importlib.import_module("triton.compiler")
    target = importlib.import_module("triton.backends.compiler").GPUTarget("cuda", 90, 32)
    kernels = importlib.import_module("relbench.losses.angle_triton")
    sizes = {"_sweep": {"rows": 32, "columns": 32}, "_finish": {"size": 1024}}
    for name, constants in sizes.items():
        kernel = getattr(kernels, name)
        kinds = dict.fromkeys(kernel.arg_names, f"*{number}") | dict.fromkeys(constants, "constexpr")
        given = {"losses": "*fp64"} | dict.fromkeys(("count", "first", "tiles"), "i32")
        kinds |= {name: kind for name, kind in given.items() if name in kinds}
        source = compiler.ASTSource(kernel, kinds, constants)
        assert compiler.compile(source, target=target, options=kernels._OPTIONS).asm["cubin"]


@installed
def test_equals_plain_torch_in_tritons_interpreter():
    """33 rows take two tiles of columns and two of vertices, neither of which is full."""
    environment = dict(os.environ, PYTHONPATH=str(Path(angle.__file__).parents[2]), TRITON_INTERPRET="1")
    subprocess.run([sys.executable, "-c", INTERPRETED], check=True, timeout=240, env=environment)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("count", [5, 33, 128, 300])
def test_equals_the_closed_form_on_a_gpu(count: int, dtype: torch.dtype, tolerance: float):
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, count, 8, generator=generator, dtype=torch.float64).to("cuda", dtype)
    expected, expected_gradient = angle_loss_in_closed_form(student, teacher)
    kernel = kernel_on("cuda")
    assert kernel.package == "triton"
    results = []
    for _ in range(2):
        rows = student.clone().requires_grad_()
        value = angle_loss(*(pairwise_distances(side) for side in (rows, teacher)), kernel.loss_and_gradient)
        results.append((value.detach(), torch.autograd.grad(value, rows)[0]))
    (value, gradient), again = results
    assert abs(value.double() - expected) < tolerance * expected
    assert (gradient.double() - expected_gradient).norm() < tolerance * expected_gradient.norm()
    assert torch.equal(value, again[0])
    assert torch.equal(gradient, again[1])
