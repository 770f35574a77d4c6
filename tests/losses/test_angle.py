"""Kernels of the angle loss against its closed form, and how one is chosen, compiled and kept."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import torch
from angle_closed_form import angle_loss_in_closed_form
from torch import Tensor

from relbench.geometry import Sides, pairwise_distances
from relbench.losses import angle, angle_eager, rkd_angle
from relbench.losses.angle import EAGER, Kernel, angle_loss, kernel_on
from relbench.machine import describe_machine
from relbench.ranks import Ranks

angle_numba = pytest.importorskip("relbench.losses.angle_numba", reason="numba is not installed")
KERNELS = {"eager": angle_eager.loss_and_gradient, "numba": angle_numba.loss_and_gradient}
of_each_kernel = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)


def random_rows(count: int, dim: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def value_and_gradient(kernel: Kernel, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    rows = student.clone().requires_grad_()
    value = angle_loss(pairwise_distances(rows), pairwise_distances(teacher), kernel)
    (gradient,) = torch.autograd.grad(value, rows)
    return value.detach().double(), gradient.double()


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def distances_of(count: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    student, teacher = (pairwise_distances(random_rows(count, 16, seed, dtype)) for seed in (0, 1))
    return student, teacher


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def chosen_anew() -> Iterator[None]:
    """The choice of kernels is forgotten, before and after."""
    kernel_on.cache_clear()
    yield
    kernel_on.cache_clear()
    angle._UNUSABLE.clear()


@of_each_kernel
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize(("count", "dim"), [(3, 3), (5, 2), (33, 8), (128, 512), (130, 32)])
def test_equals_the_closed_form(kernel: Kernel, count: int, dim: int, dtype: torch.dtype, tolerance: float):
    student, teacher = random_rows(count, dim, 0, dtype), random_rows(count, 8, 1, dtype)
    if count > 5:
        student[-1] = student[0]  # a side without a length
    value, gradient = value_and_gradient(kernel, student, teacher)
    expected, expected_gradient = angle_loss_in_closed_form(student, teacher)
    assert relative_error(value, expected) < tolerance
    assert relative_error(gradient, expected_gradient) < tolerance


@of_each_kernel
def test_equals_the_closed_form_where_many_angles_are_opposite(kernel: Kernel):
    """Huber's loss is no square there."""
    student, teacher = random_rows(40, 2, 0), random_rows(40, 2, 1)
    difference = angles(student) - angles(teacher)
    assert difference.abs().gt(1).double().mean() > 0.2
    value, gradient = value_and_gradient(kernel, student, teacher)
    expected, expected_gradient = angle_loss_in_closed_form(student, teacher)
    assert relative_error(value, expected) < 1e-13
    assert relative_error(gradient, expected_gradient) < 1e-12


def angles(rows: Tensor) -> Tensor:
    count = len(rows)
    return Sides.of(pairwise_distances(rows)).at(slice(0, count)).cosines(out=rows.new_empty(count, count, count))


@of_each_kernel
@pytest.mark.parametrize("count", [3, 66, 129])
@pytest.mark.parametrize("parts", [2, 4])
def test_parts_add_up_to_all_angles(kernel: Kernel, count: int, parts: int):
    """Those of ranks, some of them empty; none has the work of another."""
    distances = distances_of(count, torch.float64)
    losses, gradients = zip(
        *(kernel(*distances, Ranks(rank, parts).share(count)) for rank in range(parts)), strict=True
    )
    loss, gradient = kernel(*distances, None)
    torch.testing.assert_close(sum(losses), loss, rtol=1e-13, atol=0)
    torch.testing.assert_close(sum(gradients), gradient, rtol=0, atol=1e-13 * float(gradient.abs().max()))
    assert all(part < loss for part in losses)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize("count", [3, 64, 129])
def test_numbas_results_are_those_of_plain_torch(count: int, dtype: torch.dtype, tolerance: float):
    """Entry by entry, with respect to distances."""
    distances = distances_of(count, dtype)
    found, expected = angle_numba.loss_and_gradient(*distances), angle_eager.loss_and_gradient(*distances)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype == dtype
        assert one.shape == other.shape
        assert relative_error(one.double(), other.double()) < tolerance


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("count", [128, 131])
def test_numbas_bits_do_not_depend_on_the_threads(count: int):
    distances = distances_of(count)
    results = []
    for number in (1, 2, 3, 7):
        torch.set_num_threads(number)
        assert min(number, count**3 // angle_numba._ANGLES_PER_THREAD) == number
        results.append(angle_numba.loss_and_gradient(*distances))
    assert all(equal(results[0], other) for other in results[1:])


def equal(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


@of_each_kernel
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("whose", ["student", "teacher"])
@pytest.mark.parametrize("count", [4, 128])
def test_rows_that_are_not_finite_have_no_finite_loss(kernel: Kernel, value: float, whose: str, count: int):
    """So that a run that diverges is noticed: the compiled kernel may take a NaN for any number."""
    rows = {"student": random_rows(count, 3, 0, torch.float32), "teacher": random_rows(count, 3, 1, torch.float32)}
    rows[whose][count // 2, 1] = value
    loss, _ = value_and_gradient(kernel, rows["student"], rows["teacher"])
    assert not loss.isfinite()


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr(angle_numba.numba.config, "CACHE_DIR", str(folder))
    return folder


def compiled_anew() -> tuple[tuple[Tensor, Tensor], bool]:
    """The results of a kernel compiled as in a new process, and whether it came from the disk."""
    compiled = angle_numba._compiled.__wrapped__(torch.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(angle_numba, "_compiled", lambda _: compiled)
        results = angle_numba.loss_and_gradient(*distances_of(16))
    return results, all(function.stats.cache_hits for function in compiled)


def test_a_second_process_finds_the_kernel_on_disk(cache_folder: Path):
    first, from_disk = compiled_anew()
    assert not from_disk
    assert list(cache_folder.rglob("*.nbi"))
    second, from_disk = compiled_anew()
    assert from_disk
    assert equal(first, second)


@pytest.mark.parametrize(("files", "damage"), [("*.nbi", b""), ("*.nbi", b"no index"), ("*.nbc", b"\x80\x05N.")])
def test_a_damaged_cache_is_compiled_anew(cache_folder: Path, files: str, damage: bytes):
    first, _ = compiled_anew()
    paths = list(cache_folder.rglob(files))
    assert paths
    for path in paths:
        path.write_bytes(damage)
    second, _ = compiled_anew()
    assert equal(first, second)


def doubled(number: float) -> float:
    return number + number


def test_code_for_another_type_is_not_taken(cache_folder: Path):
    """Two processes that compile at the same time for two types may choose the same name for their files."""
    narrow, wide = angle_numba.numba.f4, angle_numba.numba.f8
    for number in (narrow, wide):
        assert angle_numba._compile(doubled, number(number)).signatures == [(number,)]
    first, second = sorted(cache_folder.rglob("*.nbc"))
    first.write_bytes(second.read_bytes())
    assert angle_numba._compile(doubled, narrow(narrow)).signatures == [(narrow,)]
    assert angle_numba._compile(doubled, wide(wide)).stats.cache_hits


def test_where_nothing_can_be_written_it_is_compiled_in_each_process(cache_folder: Path):
    cache_folder.write_text("a file in the folder's place", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(angle_numba.numba.core.caching.CacheImpl, "_locator_classes", [])
        results, from_disk = compiled_anew()
    assert not from_disk
    assert equal(results, angle_numba.loss_and_gradient(*distances_of(16)))


def test_numba_is_imported_at_the_first_angle_loss_and_a_forked_process_has_threads_of_its_own():
    """In a process of its own: that of the tests has numba, and threads of many libraries."""
    script = """
import os, sys, torch
import relbench.losses
from relbench.geometry import pairwise_distances
assert "numba" not in sys.modules
relbench.losses.rkd_angle(*torch.randn(2, 4, 3))
from relbench.losses.angle_numba import loss_and_gradient
torch.set_num_threads(3)
distances = [pairwise_distances(torch.randn(128, 8)) for _ in range(2)]
_, gradient = loss_and_gradient(*distances)
child = os.fork()
if not child:
    os._exit(0 if torch.equal(loss_and_gradient(*distances)[1], gradient) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    environment = dict(os.environ, PYTHONPATH=str(Path(angle.__file__).parents[2]))
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, env=environment)


@pytest.mark.usefixtures("chosen_anew")
def test_numba_computes_on_the_cpu_where_it_is_installed():
    assert kernel_on("cpu") == ("numba", angle_numba.loss_and_gradient)
    assert kernel_on("mps") == EAGER
    assert describe_machine(torch.device("cpu")).versions["numba"] == metadata.version("numba")


@pytest.mark.usefixtures("chosen_anew")
def test_plain_torch_computes_where_numba_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    rows = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))
    assert kernel_on("cpu") == EAGER
    assert "numba" not in describe_machine(torch.device("cpu")).versions
    assert torch.equal(
        rkd_angle(*rows), angle_loss(*(pairwise_distances(side) for side in rows), EAGER.loss_and_gradient)
    )


@pytest.mark.usefixtures("chosen_anew")
def test_a_numba_that_can_not_compile_is_told_once(monkeypatch: pytest.MonkeyPatch):
    """As where it is too old for numpy, or on a processor that it doesn't know."""

    def broken(*_: Tensor) -> None:
        raise ImportError("Numba needs NumPy 1.0 or less")

    monkeypatch.setattr(angle_numba, "loss_and_gradient", broken)
    rows = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))
    with pytest.warns(RuntimeWarning, match=r"^rkd_angle: numba is installed, but .*ImportError: Numba needs NumPy 1"):
        value = rkd_angle(*rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(rkd_angle(*rows), value)
    assert kernel_on("cpu") == EAGER
    assert "numba" not in describe_machine(torch.device("cpu")).versions
