"""The benchmark of the angle loss: it measures, and its plain form computes the same loss."""

import sys

import pytest
import torch

from relbench.benchmarks import angle
from relbench.losses import rkd_angle


def test_the_plain_form_is_the_same_loss():
    student, teacher = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(angle.naive_angle(student, teacher), rkd_angle(student, teacher))


def test_measures_each_size_and_leaves_the_threads_as_they_were():
    threads = torch.get_num_threads()
    speeds = angle.measure(sizes=((8, 4), (128, 32)), repeats=1, threads=threads + 1)
    assert torch.get_num_threads() == threads
    assert [(speed.batch, speed.dim, speed.target) for speed in speeds] == [(8, 4, None), (128, 32, 3.0)]
    assert all(speed.ratio == speed.naive_seconds / speed.ours_seconds > 0 for speed in speeds)


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux reports")
def test_1024_rows_of_512_take_less_than_a_gigabyte():
    assert 3 * 4 * 1024**2 < angle.peak_memory(1024, 512) < angle.MEMORY_TARGET
