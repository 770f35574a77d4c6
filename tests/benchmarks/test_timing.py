"""The harness of all benchmarks: whose time is taken, in which order, and what is made of it."""

import time
from threading import Thread

import pytest
import torch

from relbench.benchmarks import timing


def busy(seconds):
    """Keep a core busy for so long, by its own processor time."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_forms_take_turns_each_after_an_untimed_call():
    calls = []
    times = timing.timed({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert calls == ["a", "a", "b", "b"] * 3
    assert {name: len(taken) for name, taken in times.items()} == {"a": 3, "b": 3}


def test_waiting_does_not_count_but_work_of_other_threads_does():
    def in_a_thread():
        thread = Thread(target=busy, args=(0.05,))
        thread.start()
        thread.join()

    times = timing.timed({"waits": lambda: time.sleep(0.05), "works": in_a_thread}, rounds=1, warm=0)
    assert times["waits"][0] < 0.04
    assert times["works"][0] >= 0.05


def test_a_single_thread_meanwhile_and_the_former_number_afterwards():
    before, seen = torch.get_num_threads(), []
    timing.timed({"a": lambda: seen.append(torch.get_num_threads())}, rounds=1)
    with pytest.raises(ZeroDivisionError):
        timing.timed({"a": lambda: 1 / 0})
    assert set(seen) == {1}
    assert torch.get_num_threads() == before


def test_a_ratio_is_that_of_each_round():
    """A round in which all took ten times as long changes nothing."""
    figure = timing.ratio("a", [2.0, 40.0, 3.0], [1.0, 10.0, 1.0], target=3)
    assert (figure.value, figure.spread, figure.met) == (3.0, (2.5, 3.5), True)


def test_seconds():
    figure = timing.seconds("a", [5.0, 1.0, 2.0])
    assert (figure.value, figure.spread, figure.unit, figure.met) == (2.0, (1.5, 3.5), "s", None)
    assert timing.seconds("a", [5.0]).spread is None
