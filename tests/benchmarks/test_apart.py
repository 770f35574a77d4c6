"""Parts in a process of their own: whatever happens to it, the others are measured."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from relbench.benchmarks.apart import Apart, tell_on_stderr
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.section import Section, measure


def part(name):
    """A part that says in which process it is; "fails" after that, "dies" before, "hangs" for ever."""
    if name == "dies":
        os.kill(os.getpid(), signal.SIGKILL)

    def figures():
        yield Figure(name="process", value=os.getpid())
        if name == "hangs":
            tell_on_stderr(str(os.getpid()))
            time.sleep(3600)
        if name == "fails":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    return measure(name, figures, lambda _: None)


def test_a_new_process_after_a_part_that_failed_or_died():
    with Apart(part) as apart:
        first, second, fails, third, dies, fourth = map(apart, ("a", "b", "fails", "c", "dies", "d"))
    assert isinstance(dies, Section)
    processes = [section.figures[0].value for section in (first, second, fails, third, fourth)]
    assert processes[0] == processes[1] == processes[2] != os.getpid()
    assert len(set(processes)) == 3
    assert fails.error == "RuntimeError: CUDA error: an illegal memory access was encountered"
    assert dies.error == "its process ended abruptly, see above"
    assert (first.error, fourth.error) == ("", "")


def hang():
    """What the processes do that are stopped below."""
    with Apart(part) as apart:
        apart("hangs")


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT], ids=["killed", "Ctrl-C"])
def test_the_process_ends_with_its_parent(stop):
    """It would keep the GPU's memory; Ctrl-C reaches all processes of a terminal."""
    command = [sys.executable, "-c", "import benchmarks.test_apart as t\nif __name__ == '__main__': t.hang()"]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(command, env=paths, text=True, stderr=subprocess.PIPE, start_new_session=True)
    child = psutil.Process(int(parent.stderr.readline()))
    if stop == signal.SIGINT:
        os.killpg(parent.pid, stop)
    else:
        parent.kill()
    said = parent.communicate(timeout=60)[1]
    child.wait(timeout=60)
    assert said.count("Traceback") == (stop == signal.SIGINT)  # of the parent alone
