"""Ranks that share an evaluation have the results of one process, to the last bit."""

import pytest
from tasks.measured import measured

from relbench.ranks import ALONE, launched


@pytest.fixture(scope="module")
def alone():
    return measured(ALONE)


@pytest.mark.parametrize("count", [2, 3])
def test_ranks_measure_as_one_process_does(alone, count):
    """Shares are uneven, and of one query, one image or two episodes some ranks have none."""
    among = launched(measured, count, "cpu")
    assert among.keys() == alone.keys()
    for name, expected in alone.items():
        assert among[name] == expected, name
