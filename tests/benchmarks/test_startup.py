"""The benchmark of help texts, and the time and memory of a process."""

import numpy as np
import pytest

from relbench.benchmarks import startup


def test_help_texts_are_timed_beside_a_python_that_does_nothing():
    found = {figure.name: figure for figure in startup.figures(rounds=1)}
    assert found["relbench --help"].target == 0.5
    assert 1 < found["relbench --help / python -c pass"].value < 1000
    assert found["relbench --help"].value > found["python -c pass"].value


def test_a_command_that_fails_is_no_figure():
    with pytest.raises(RuntimeError, match="ended with 2"):
        startup.spent(("-c", "raise SystemExit(2)"))


def test_the_peak_of_a_process_is_its_own():
    """Linux begins with the memory of whoever has started the process."""
    mine = np.ones(64_000_000)  # half a gigabyte
    assert startup.spent(("-c", "")).peak < 100e6 < mine.nbytes
