"""The benchmark of the angle loss: it measures, and its plain form computes the same loss."""

import sys

import pytest
import torch

from relbench.benchmarks import angle
from relbench.losses import rkd_angle

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux reports")


def test_the_plain_form_is_the_same_loss():
    student, teacher = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(angle.naive_angle(student, teacher), rkd_angle(student, teacher))


@linux
def test_figures_of_each_size():
    threads = torch.get_num_threads()
    *speeds, half, quarter, memory = angle.figures(sizes=((8, 4), (128, 32)), rounds=2)
    assert torch.get_num_threads() == threads
    assert [speed.target for speed in speeds] == [None, None, 10.0, 2.8]
    assert {speed.bound for speed in speeds} == {"at least"}
    assert [speed.name.split()[2] for speed in speeds] == ["numba,", "plain"] * 2
    assert all(speed.spread[0] <= speed.value <= speed.spread[1] for speed in speeds)
    assert quarter.value < half.value
    assert memory.met is True


def test_departures_of_loss_and_gradient_by_each_kernel():
    figures = list(angle.departures("cpu", 33, 8))
    assert [figure.name.split()[2] for figure in figures] == ["numba,"] * 2 + ["plain"] * 2
    assert all(0 < figure.value < 1e-5 and figure.met for figure in figures)


@linux
def test_1024_rows_of_512_take_less_than_a_gigabyte():
    assert 3 * 4 * 1024**2 < angle.peak_memory(1024, 512) < angle.MEMORY_TARGET
