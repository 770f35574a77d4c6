"""Parts in a process of their own: whatever happens to it, the others are measured."""

import os
import signal

from relbench.benchmarks.apart import Apart
from relbench.benchmarks.figure import Figure
from relbench.benchmarks.section import Section, measure


def part(name):
    """A part that says in which process it is; "fails" after that, "dies" before."""
    if name == "dies":
        os.kill(os.getpid(), signal.SIGKILL)

    def figures():
        yield Figure(name="process", value=os.getpid())
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
