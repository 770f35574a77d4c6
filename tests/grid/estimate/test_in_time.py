"""Work that is ended when its time is up."""

import math
import os
import signal
import time

import pytest

from relbench.grid.estimate.in_time import in_time


def test_results_come_in_order():
    assert list(in_time(math.factorial, [3, 4], 60)) == [6, 24]


def test_what_is_not_ready_in_time_is_given_up():
    start = time.monotonic()
    assert list(in_time(time.sleep, [100, 0], 0.2)) == [None, None]
    assert time.monotonic() - start < 20


def test_a_refusal_is_told():
    with pytest.raises(ValueError, match="negative"):
        list(in_time(math.factorial, [-1], 60))


def test_a_killed_process_gives_nothing():
    assert list(in_time(os._exit, [1], 60)) == [None]


def test_ctrl_c_is_the_business_of_the_process_that_waits():
    assert list(in_time(signals_that_wait, [()], 60)) == [{signal.SIGINT}]


def signals_that_wait(none):
    return signal.pthread_sigmask(signal.SIG_BLOCK, none)
