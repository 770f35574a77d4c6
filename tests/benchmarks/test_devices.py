"""The benchmark of devices, without their processes: all but what they cost."""

import pytest
import torch

from relbench.benchmarks import devices
from relbench.benchmarks.cell import experiments
from relbench.benchmarks.step import NO_END, made_up
from relbench.ranks import ALONE, Ranks
from relbench.training.division import Layout


@pytest.fixture(scope="module")
def student():
    return experiments("toy", "cpu", NO_END)[1]


def test_a_step_is_timed(student):
    taken = devices.step_seconds(ALONE, student, 1, 1)
    assert set(taken) == {"clock", "processor"}
    assert min(taken.values()) > 0


def test_each_device_shows_its_part_of_the_same_images(student):
    whole = made_up(student).views(None, None)
    parts = [made_up(student, Layout(ranks=Ranks(rank, 2))).views(None, None) for rank in range(2)]
    assert [len(part) for part in parts] == [len(whole) / 2] * 2
    assert torch.equal(torch.cat(parts), whole)


def test_ratios_are_of_processor_time_and_of_the_clock(monkeypatch):
    """Two devices take 1.5 times the work of one, and three quarters of the time of one with two threads."""
    times = {"shared": (3.0, 6.0), "threads": (4.0, 9.0), "single": (8.0, 4.0)}
    launches = []

    def launched(function, count, device, *arguments):
        launches.append((count, *arguments[1:]))
        form = next((form for form, what in devices.FORMS.items() if what == (count, *arguments[1:2])), "single")
        return dict(zip(("clock", "processor"), times[form], strict=True))

    monkeypatch.setattr(devices, "launched", launched)
    start, work, _, clock, _ = devices.figures({"small": ("toy", {})}, rounds=2, steps=5)
    assert (work.value, clock.value) == (1.5, 0.75)
    assert launches == [(2,), *[(2, 1, 5), (1, 2, 5), (1, 1, 5)] * 2]
    assert start.value >= 0
