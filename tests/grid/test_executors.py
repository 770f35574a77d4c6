"""Who makes the runs: whatever happens to a run is its failure, in this process and in others."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from relbench.experiment import Experiment, Term
from relbench.grid.executors import Failure, Inline, Job, Processes, attempt, children_deaf_to_ctrl_c, how_ended
from relbench.grid.scheduler import Schedule, run_grid
from relbench.memory import ADVICE, is_out_of_memory
from relbench.training import DivergedError


def experiment(seed):
    return Experiment(terms=(Term(loss="triplet"),), seed=seed)


def ignore(*_):
    pass


def job(tmp_path, run, seed=0):
    return Job(run, experiment(seed), tmp_path / "runs", tmp_path / "data")


class UnsendableError(Exception):
    """Can't be sent from one process to another, as many an exception with arguments of its own can't."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def raising(error):
    def run(*_):
        raise error

    return run


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError("Unable to allocate 7.3 TiB for an array"),
    OSError(12, "Cannot allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_out_of_memory_comes_with_advice(tmp_path, error):
    end = attempt(job(tmp_path, raising(error)), ignore)
    assert end.words.startswith("out of memory (")
    assert ADVICE in end.words
    assert not end.diverged


def test_out_of_memory_behind_another_error(tmp_path):
    def run(*_):
        try:
            raise MemoryError
        except MemoryError as error:
            raise ValueError("training with mine failed") from error

    words = f"out of memory (training with mine failed); {ADVICE}"
    assert attempt(job(tmp_path, run), ignore).words.startswith(words)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory"), OSError(28, "full")])
def test_other_errors_are_no_want_of_memory(error):
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (UnsendableError("this", "that"), "UnsendableError: this and that"),
        (AssertionError(), "AssertionError"),
        (SystemExit(3), "SystemExit: 3"),
        (BaseException("panicked"), "BaseException: panicked"),
        (RuntimeError("two\n  lines"), "RuntimeError: two lines"),
        (RuntimeError("x" * 1000), f"RuntimeError: {'x' * 300}..."),
        (ValueError("step 3: bad"), "step 3: bad"),
        (ValueError(), "ValueError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_error_is_one_line_and_its_traceback_is_in_the_folder(tmp_path, error, words):
    one = job(tmp_path, raising(error))
    path = tmp_path / "runs" / one.name / "error.txt"
    assert attempt(one, ignore) == Failure(f"{words} (traceback: {path})")
    assert "in run\n    raise error\n" in path.read_text()


def test_ctrl_c_is_no_failure(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        attempt(job(tmp_path, raising(KeyboardInterrupt())), ignore)


def test_a_run_that_succeeds_leaves_no_traceback_of_an_earlier_attempt(tmp_path):
    assert attempt(job(tmp_path, raising(DivergedError("step 3"))), ignore).diverged
    assert [path.name for path in tmp_path.glob("runs/*/*")] == ["error.txt"]
    assert attempt(job(tmp_path, lambda *_: "a row"), ignore) == "a row"
    assert not list(tmp_path.glob("runs/*/*"))


def test_a_traceback_that_can_not_be_written_hides_nothing(tmp_path):
    (tmp_path / "runs").write_text("a file where a folder should be")
    assert attempt(job(tmp_path, raising(ZeroDivisionError("a / b"))), ignore).words.startswith("[Errno 20]")


def test_what_a_failed_run_has_used_is_free_afterwards(tmp_path):
    """The error of a run that was out of memory holds all that its functions held."""
    alive = []

    class Large:
        def __del__(self):
            alive.remove(self.name)

        def __init__(self):
            self.name = "large"
            alive.append(self.name)

    def run(*_):
        large = Large()
        raise MemoryError(large.name)

    attempt(job(tmp_path, run), ignore)
    assert alive == []


def test_a_run_in_this_process_ends_before_the_next_begins(tmp_path):
    """So that what is shown, and what has to be given up, is known as soon as it can be."""
    order = []

    class Log:
        step = ignore

        def finished(self, fingerprint, row):
            order.append("end")

    def run(*_):
        order.append("begin")
        return "a row"

    executor = Inline(ignore)
    executor.start(job(tmp_path, run))
    assert not executor.has_room()
    schedule = Schedule.of([experiment(0), experiment(1)], tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relbench.grid.scheduler.run", run)
        run_grid(schedule, tmp_path, tmp_path, 1, Log())
    assert order == ["begin", "end"] * 2


def misbehave(one, runs, data, on_step):
    """By seed: out of memory, killed for want of memory, an error that can't be sent; else a row."""
    on_step(1)
    if one.seed == 0:
        raise torch.OutOfMemoryError("CUDA out of memory")
    if one.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if one.seed == 2:
        raise UnsendableError("this", "that")
    threading.Thread(target=time.sleep, args=(60,)).start()  # outlives the run
    return one.fingerprint


def test_in_other_processes_a_failure_of_any_kind_is_of_one_run(tmp_path):
    ends, steps = {}, []
    with Processes(2, lambda name, step: steps.append((name, step))) as executor:
        for seeds in ((0, 1), (2,), (3,)):
            for seed in seeds:
                executor.start(job(tmp_path, misbehave, seed))
            while executor.is_busy():
                ends.update([executor.next_end()])
        finished = time.monotonic()
    assert time.monotonic() - finished < 30  # threads that a run leaves behind are not waited for
    memory, killed, unsendable, good = (ends[experiment(seed).fingerprint] for seed in range(4))
    assert memory.words.startswith("out of memory (OutOfMemoryError: CUDA out of memory)")
    assert killed.words == f"its process was killed, perhaps for lack of memory: {ADVICE}"
    assert unsendable.words.startswith("UnsendableError: this and that (traceback: ")
    assert good == experiment(3).fingerprint
    assert {name for name, _ in steps} >= {experiment(seed).fingerprint for seed in (0, 2, 3)}


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
