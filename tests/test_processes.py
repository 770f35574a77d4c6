"""Processes of our own: how they ended, and that Ctrl-C is their parent's business."""

import os
import signal
import subprocess
import sys

import pytest

from relbench.memory import ADVICE
from relbench.processes import children_deaf_to_ctrl_c, how_ended


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (-signal.SIGKILL, f"its process was killed, perhaps for lack of memory: {ADVICE}"),
        (-signal.SIGSEGV, "its process ended (SIGSEGV)"),
        (7, "its process ended (exit code 7)"),
    ],
)
def test_how_a_process_ended(exit_code, words):
    assert how_ended(exit_code) == words


def test_processes_that_start_do_not_hear_ctrl_c():
    with children_deaf_to_ctrl_c():
        probe = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
        said = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "True"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


FIRST = """
import multiprocessing, signal
from concurrent.futures import ProcessPoolExecutor
from relbench.processes import children_deaf_to_ctrl_c

with children_deaf_to_ctrl_c(), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
    print(signal.SIGINT in pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result())
"""


def test_nor_does_the_first_that_python_itself_starts():
    """Its first process comes with another, which keeps the books of what they share, and which unblocks SIGINT."""
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FIRST]
    assert subprocess.run(command, env=paths, capture_output=True, text=True, check=True).stdout.strip() == "True"
